"""A window of event time that a question means ("last week"): memories in it count for more, none is left out."""

from __future__ import annotations

import re

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.frame import Frame


class Window(Struct, frozen=True):
    """The date words of a question, and what they mean: spans of event time, from and up to but without (microseconds).

    A memory lies in the window if its event time is in one of the spans.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    words: tuple[str, ...] = ()
    """The date words as they stand in the question, one group after another."""


def outside(question: str, window: Window) -> str:
    """Return what else a question says."""
    for words in window.words:
        question = re.sub(rf"\b{re.escape(words)}\b", " ", question, count=1)
    return question


def inside(frame: Frame, window: Window) -> NDArray[np.bool_]:
    """Return which node rows happened in the window, shape (node rows,)."""
    occurred = frame.nodes.column("occurred_us")
    mask = np.zeros(len(occurred), dtype=np.bool_)
    for start_us, end_us in window.spans:
        mask |= (occurred >= start_us) & (occurred < end_us)
    return mask
