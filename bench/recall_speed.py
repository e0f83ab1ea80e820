"""``python -m bench.recall_speed``: how long recall takes, its index, and remembering one memory after another.

In processor time of this process, on one BLAS thread: what else the machine does counts little. Ends with 1 if a goal
is missed, except with ``--quick``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import process_time
from typing import Any, Final

from bench import one_thread, report
from bench.corpus import named_question, passage, turn
from bench.goals import Row, failed
from bench.recall_sets import NoData, Set, folder, load
from bench.recall_systems import drafts
from memorygraph import AgentMemory

assert one_thread  # has done its work by being imported
MS: Final = 1e3
HITS: Final = 10


@dataclass(frozen=True)
class Scale:
    """How many memories, how many questions are asked, and how many memories are remembered one by one."""

    small: int = 7_000
    large: int = 100_000
    questions: int = 200
    remembered: int = 1_000


FULL: Final = Scale()
QUICK: Final = Scale(small=100, large=200, questions=10, remembered=10)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _parser().parse_args(arguments)
    scale = QUICK if options.quick else FULL
    try:
        sets = [] if options.data is None else load(folder(options.data), options.set or ())
    except NoData as missing:
        print(f"bench.recall_speed: {missing}", file=sys.stderr)
        return 2
    rows = made_up(scale.small, scale, "recall-small") + made_up(scale.large, scale, "recall-large")
    rows += made_up_paragraphs(scale.small, scale)
    rows += of_sets(sets, scale) + one_by_one(scale)
    print(report.table(rows))
    print(report.summary(rows))
    if options.json is not None:
        found = [report.plain(row) for row in rows]
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if failed(rows) and not options.quick else 0


def made_up(count: int, scale: Scale, goal: str) -> list[Row]:
    """Turns of conversations with names, fifteen words each."""
    asked = [named_question(number) for number in range(scale.questions)]
    return _measured(f"{count:,} short memories", [turn(number) for number in range(count)], asked, goal)


def made_up_paragraphs(count: int, scale: Scale) -> list[Row]:
    """Paragraphs with titles and names, eighty words each."""
    asked = [named_question(number) for number in range(scale.questions)]
    items: list[dict[str, Any]] = [passage(number) for number in range(count)]
    return _measured(f"{count:,} paragraphs", items, asked, "recall-small", goal_of_bytes=None)


def of_sets(sets: Sequence[Set], scale: Scale) -> list[Row]:
    """The memories and questions of sets with gold evidence, the largest group of each."""
    rows = []
    for one in sets:
        group = max(one.groups, key=lambda group: len(group.items))
        asked = [question.text for question in group.questions][: scale.questions]
        name = f"{one.name}, {len(group.items):,} memories"
        rows += _measured(name, drafts(group), asked, "recall-small", goal_of_bytes=None)
    return rows


def one_by_one(scale: Scale) -> list[Row]:
    """Remember one memory after another; with links by similarity each is compared with all."""
    rows = []
    for says, associates in (("without links by similarity", False), ("with links by similarity (hashing)", True)):
        with AgentMemory(auto_associate=associates) as memory:
            memory.remember_many([turn(number) for number in range(scale.small)])
            taken = [
                _timed(lambda number=number: memory.remember(**turn(number)))[0]
                for number in range(scale.small, scale.small + scale.remembered)
            ]
        name = f"remember one by one, {scale.small:,} memories, {says}"
        goal = None if associates else "remember-alone"
        rows.append(Row(section="remember", name=name, unit="memories/s", ours=1 / median(taken), goal=goal))
    return rows


def _measured(
    name: str, items: list[dict[str, Any]], asked: list[str], goal: str, *, goal_of_bytes: str | None = "index-bytes"
) -> list[Row]:
    with AgentMemory(auto_associate=False) as memory:
        memory.remember_many(items)
        build_s, texts = _timed(lambda: memory.build_index(_told(name)))
        index_bytes = memory.stats().bytes_by_part["index"]
        memory.recall(asked[0], k=HITS, reinforce=False)  # what is counted once per state
        taken_ms = [_timed(lambda text=text: memory.recall(text, k=HITS, reinforce=False))[0] * MS for text in asked]
    return [
        Row(section="recall", name=f"recall, k={HITS}, {name}: median", unit="ms", ours=median(taken_ms)),
        Row(
            section="recall",
            name=f"recall, k={HITS}, {name}: 95 of 100",
            unit="ms",
            ours=quantiles(taken_ms, n=100, method="inclusive")[94],
            goal=goal,
        ),
        Row(
            section="index",
            name=f"making the index, {name}",
            unit="memories/s",
            ours=texts / build_s,
            goal="rebuild",
        ),
        Row(section="index", name=f"index, {name}", unit="B", ours=index_bytes / texts, goal=goal_of_bytes),
    ]


def _timed(do: Callable[[], Any]) -> tuple[float, Any]:
    begun = process_time()
    found = do()
    return process_time() - begun, found


def _told(name: str) -> Callable[[int, int], None]:
    return lambda done, total: print(f"index, {name}: {done:,} of {total:,}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.recall_speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some hundred memories, which say nothing of the goals")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="also with the sets of this folder")
    parser.add_argument("--set", action="append", metavar="NAME", help="of these, this one; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
