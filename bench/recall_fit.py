"""``python -m bench.recall_fit``: fit the weights of recall on sets with gold evidence, few of them, cross-validated.

One weight at a time is tried at a few values, the others as they are, and the best kept, until nothing changes. What
counts is the mean over sets of recall@5 and recall@10. For the cross-validation one set in turn is left out of the fit
and measured with what the others gave: what it loses against its own best weights is what fitting to it would gain.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from msgspec import structs

from bench.recall_sets import UNCOUNTED, VARIABLE, NoData, Set, folder, load, measured
from bench.recall_systems import drafts
from memorygraph import AgentMemory
from memorygraph.projections.weights import WEIGHTS, Weights

GRID: Final[dict[str, Sequence[float]]] = {
    "turn": (0.0, 0.2, 0.3, 0.4),
    "answer": (0.3, 0.6, 0.8, 1.0),
    "session": (0.0, 0.2, 0.4, 0.6),
    "speaker": (0.0, 1.0, 2.0, 3.0, 4.0),
    "sharpness": (4, 6, 8),
    "damping": (0.6, 0.75, 0.85),
    "asked": (0.0, 0.2, 0.3, 0.4),
    "stay": (1.0, 3.0, 10.0),
    "about": (0.0, 0.6, 0.8, 0.9),
    "titled": (0.0, 0.3, 0.5, 0.8),
    "match": (0.0, 2.0, 5.0, 20.0),
    "common": (0.02, 0.1, 0.3),
    "rounds": (0, 2, 3, 4, 5),
}
DEPTH: Final = 10


class Asked:
    """The memories of some sets, filled once, and asked again with any weights."""

    def __init__(self, sets: Sequence[Set]) -> None:
        self._memories: dict[str, list[tuple[AgentMemory, dict[str, int], Any]]] = {one.name: [] for one in sets}
        self._known: dict[tuple[str, Weights], float] = {}
        for one in sets:
            for group in one.groups:
                memory = AgentMemory(auto_associate=False)
                nodes = memory.remember_many(drafts(group))
                places = {node.id: place for place, node in enumerate(nodes)}
                self._memories[one.name].append((memory, places, group))

    @property
    def names(self) -> list[str]:
        """The sets."""
        return list(self._memories)

    def score(self, weights: Weights, names: Sequence[str]) -> float:
        """Return the mean over some sets of recall@5 and recall@10."""
        return fmean(self._score(weights, name) for name in names)

    def _score(self, weights: Weights, name: str) -> float:
        known = self._known.get((name, weights))
        if known is None:
            known = self._known[name, weights] = fmean(self._scores(weights, name))
        return known

    def _scores(self, weights: Weights, name: str) -> Iterator[float]:
        for memory, places, group in self._memories[name]:
            shard = memory._engine._shard
            shard.index(shard.frame).weights = weights
            for question in group.questions:
                if question.category not in UNCOUNTED:
                    hits = memory.recall(question.text, k=DEPTH, reinforce=False)
                    found = measured([places[hit.node_id] for hit in hits], question.gold)
                    yield (found["R@5"] + found["R@10"]) / 2


def fitted(asked: Asked, names: Sequence[str], start: Weights) -> Weights:
    """Return the weights that are best for some sets, one at a time."""
    best, best_score = start, asked.score(start, names)
    changed = True
    while changed:
        changed = False
        for weight, values in GRID.items():
            for value in values:
                tried = structs.replace(best, **{weight: value})
                score = asked.score(tried, names)
                if score > best_score + 5e-4:  # less is noise
                    best, best_score, changed = tried, score, True
    return best


def ablations(asked: Asked, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return, by weight, what recall loses in each set without it."""
    without = {"turn": 0.0, "answer": WEIGHTS.turn, "session": 0.0, "speaker": 0.0, "asked": 0.0, "about": 0.0}
    without |= {"match": 0.0, "rounds": 0}
    return {
        weight: {
            name: asked.score(structs.replace(WEIGHTS, **{weight: value}), [name]) - asked.score(WEIGHTS, [name])
            for name in names
        }
        for weight, value in without.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the weights as they are, what each is good for, and on demand fit them."""
    options = _parser().parse_args(arguments)
    try:
        asked = Asked(load(folder(options.data), options.set or (), options.every))
    except NoData as missing:
        print(f"bench.recall_fit: {missing}", file=sys.stderr)
        return 2
    names = asked.names
    result: dict[str, Any] = {"as they are": {name: asked.score(WEIGHTS, [name]) for name in names}}
    result["without"] = ablations(asked, names)
    if options.fit:
        best = fitted(asked, names, WEIGHTS)
        result["fitted"] = {"weights": structs.asdict(best), **{name: asked.score(best, [name]) for name in names}}
        result["left out"] = {}
        for name in names if len(names) > 1 else []:
            others = [other for other in names if other != name]
            result["left out"][name] = asked.score(fitted(asked, others, WEIGHTS), [name])
    print(json.dumps(result, indent=1))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.recall_fit", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help=f"where the sets are (default: ${VARIABLE})")
    parser.add_argument("--set", action="append", metavar="NAME", help="this set; may be repeated")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="ask one question in N")
    parser.add_argument("--fit", action="store_true", help="fit the weights, and leave one set out in turn")
    return parser


if __name__ == "__main__":
    sys.exit(main())
