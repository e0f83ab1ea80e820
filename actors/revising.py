"""What a revision of a node says beside what was asked for."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from memorygraph.events.records import NodeRevised
from memorygraph.projections.frame import Frame


def completed(frame: Frame, row: int, change: NodeRevised, space: int) -> NodeRevised:
    """Return a revision with the space of its vector, and with the text that another speaker says.

    A text is indexed with who says it, also where it is not kept (``projections/partial.py``).
    """
    told: dict[str, Any] = {"space": space} if change.vector is not UNSET and change.vector else {}
    if change.speaker is not UNSET and change.content is UNSET and (content := frame.content(row)):
        told["content"] = content
    return replace(change, **told) if told else change
