"""Retrieval questions with gold evidence, and how well a ranking found it (the format: docs/benchmarks.md)."""

from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

VARIABLE: Final = "MEMORYGRAPH_RECALL_DATA"
DEPTH: Final = 20  # hits that are asked for
UNCOUNTED: Final = frozenset({"adversarial"})  # asked about the wrong person: shown, and left out of the set's figure
MEASURES: Final = ("R@5", "R@10", "R@20", "MRR", "nDCG@10")


class NoData(Exception):
    """There are no sets to measure with; the message says where they are looked for."""


@dataclass(frozen=True)
class Item:
    """What is to be remembered."""

    text: str
    speaker: str | None
    session: str | int | None
    time: str | None

    @property
    def said(self) -> str:
        """The text with its speaker's name before it, for systems that know no speakers."""
        return f"{self.speaker}: {self.text}" if self.speaker else self.text


@dataclass(frozen=True)
class Question:
    """A question and the places of its evidence among the group's items."""

    text: str
    category: str
    gold: frozenset[int]


@dataclass(frozen=True)
class Group:
    """One memory and the questions that are asked of it."""

    name: str
    items: tuple[Item, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Set:
    """Several memories with questions of one origin."""

    name: str
    groups: tuple[Group, ...]


@dataclass
class Figures:
    """Means of the measures over questions."""

    sums: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})

    def add(self, measured: dict[str, float]) -> None:
        """Count one question."""
        for name, value in measured.items():
            self.sums[name].append(value)

    @property
    def count(self) -> int:
        """How many questions were counted."""
        return len(self.sums["MRR"])

    def means(self) -> dict[str, float]:
        """Return the mean of each measure."""
        return {name: fmean(values) if values else math.nan for name, values in self.sums.items()}


def folder(option: Path | None) -> Path:
    """Return where the sets are: an option, else the environment variable.

    Raises:
        NoData: neither is given, or there are no sets in it.
    """
    named = option or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is None:
        raise NoData(f"say where the recall sets are: --data FOLDER, or {VARIABLE}=FOLDER")
    if not any(named.glob("*.json.gz")):
        raise NoData(f"there are no sets (*.json.gz) in {named}")
    return named


def load(where: Path, names: Sequence[str] = (), every: int = 1) -> list[Set]:
    """Return the sets of a folder, by name; ``every`` keeps one question in so many."""
    files = sorted(where.glob("*.json.gz"))
    documents = [json.loads(gzip.decompress(file.read_bytes())) for file in files]
    return [_set(found, every) for found in documents if not names or found["name"] in names]


def measured(ranking: Sequence[int], gold: frozenset[int]) -> dict[str, float]:
    """Return the measures of one ranking of places.

    Recall@k is the share of the gold among the first k; MRR is 1 / rank of the first gold; nDCG@10 (Järvelin and
    Kekäläinen, 2002) has gain 1 for gold.
    """
    ranks = [rank for rank, place in enumerate(ranking, 1) if place in gold]
    gains = [1 / math.log2(rank + 1) for rank in range(1, 11)]
    found = sum(gains[rank - 1] for rank in ranks if rank <= len(gains))
    return {
        **{f"R@{k}": sum(rank <= k for rank in ranks) / len(gold) for k in (5, 10, 20)},
        "MRR": 1 / ranks[0] if ranks else 0.0,
        "nDCG@10": found / sum(gains[: len(gold)]),
    }


def _set(document: dict[str, Any], every: int) -> Set:
    return Set(document["name"], tuple(_group(group, every) for group in document["groups"]))


def _group(group: dict[str, Any], every: int) -> Group:
    places = {one["id"]: place for place, one in enumerate(group["docs"])}
    items = (Item(one["text"], one["speaker"], one["session"], one["time"]) for one in group["docs"])
    asked = (
        Question(one["q"], one["cat"], frozenset(places[gold] for gold in one["gold"] if gold in places))
        for one in group["questions"]
    )
    answerable = [question for question in asked if question.gold]
    return Group(group["gid"], tuple(items), tuple(answerable[::every]))
