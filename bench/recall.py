"""``python -m bench.recall``: does recall return the memories that hold the answer?

Measured on sets with gold evidence, beside plain BM25, plain MiniLM (after ``make bench-embedder``) and the older
package (after ``make bench-peer``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

from bench import minilm
from bench.recall_sets import MEASURES, UNCOUNTED, VARIABLE, Figures, NoData, Set, folder, load, measured
from bench.recall_systems import NAMES, System, systems
from bench.sessions import PEER_PYTHON

ALL = "all"  # a set's figure beside those of its categories


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        sets = load(folder(options.data), options.set or (), options.every)
    except NoData as missing:
        print(f"bench.recall: {missing}", file=sys.stderr)
        return 2
    there = systems(options.peer, options.embedder)
    chosen = {name: system for name, system in there.items() if not options.system or name in options.system}
    left_out = [name for name in options.system or NAMES if name not in there]
    if left_out:
        print(f"Not measured here: {', '.join(left_out)} (make bench-embedder, make bench-peer).")
    found = {name: run(name, system, sets) for name, system in chosen.items()}
    print(report(found, sets, categories=options.categories))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def run(name: str, system: System, sets: Sequence[Set]) -> dict[str, Any]:
    """Return a system's figures by set and category, with its times by set."""
    result: dict[str, Any] = {}
    for one in sets:
        print(f"{name}: {one.name} ...", file=sys.stderr)
        figures: dict[str, Figures] = defaultdict(Figures)
        query_s: list[float] = []
        ingest_s, items = 0.0, 0
        for group in one.groups:
            answers = system.answer(group)
            query_s += answers.query_s
            ingest_s, items = ingest_s + answers.ingest_s, items + len(group.items)
            for question, ranking in zip(group.questions, answers.rankings, strict=True):
                values = measured(ranking, question.gold)
                for category in (question.category, *([] if question.category in UNCOUNTED else [ALL])):
                    figures[category].add(values)
        result[one.name] = {
            "figures": {name: {**kept.means(), "questions": kept.count} for name, kept in sorted(figures.items())},
            "ingest_per_s": items / ingest_s if ingest_s else None,
            "query_p50_ms": _percentile(query_s, 50) * 1e3,
            "query_p95_ms": _percentile(query_s, 95) * 1e3,
        }
    return result


def report(found: dict[str, dict[str, Any]], sets: Sequence[Set], *, categories: bool = True) -> str:
    """Return the figures as text: the mean of the sets first, then set by set, with categories."""
    lines = []
    if len(sets) > 1:
        lines += [f"mean of {len(sets)} sets", _heading()]
        lines += [_line(name, _mean(result)) for name, result in found.items()]
    for one in sets:
        count = next(iter(found.values()))[one.name]["figures"][ALL]["questions"] if found else 0
        items = sum(len(group.items) for group in one.groups)
        lines += ["", f"{one.name}: {count} questions, {items:,} memories", _heading(times=True)]
        lines += [_line(name, result[one.name]["figures"][ALL], result[one.name]) for name, result in found.items()]
        if categories:
            lines += _category_lines(found, one.name)
    return "\n".join(lines)


def _category_lines(found: dict[str, dict[str, Any]], set_name: str) -> list[str]:
    names = [name for name in next(iter(found.values()))[set_name]["figures"] if name != ALL] if found else []
    lines = []
    for category in names:
        count = next(iter(found.values()))[set_name]["figures"][category]["questions"]
        lines.append(f"  {category} ({count})")
        lines += [_line(name, result[set_name]["figures"][category]) for name, result in found.items()]
    return lines


def _mean(result: dict[str, Any]) -> dict[str, float]:
    return {name: fmean(kept["figures"][ALL][name] for kept in result.values()) for name in MEASURES}


def _heading(*, times: bool = False) -> str:
    columns = [*MEASURES, *(["p50 ms", "p95 ms", "ingest/s"] if times else [])]
    return " " * 16 + "".join(f"{column:>9}" for column in columns)


def _line(name: str, figures: dict[str, float], times: dict[str, Any] | None = None) -> str:
    line = f"  {name:<14}" + "".join(f"{figures[measure]:9.3f}" for measure in MEASURES)
    if times is not None:
        rate = times["ingest_per_s"]
        line += f"{times['query_p50_ms']:9.2f}{times['query_p95_ms']:9.2f}" + ("" if rate is None else f"{rate:9,.0f}")
    return line


def _percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help=f"where the sets are (default: ${VARIABLE})")
    parser.add_argument("--set", action="append", metavar="NAME", help="this set; may be repeated")
    parser.add_argument("--system", action="append", choices=NAMES, help="this system; may be repeated")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="ask one question in N")
    parser.add_argument("--categories", action="store_true", help="show categories too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--peer", type=Path, default=PEER_PYTHON, metavar="PYTHON", help="has the older package")
    parser.add_argument("--embedder", type=Path, default=minilm.PYTHON, metavar="PYTHON", help="has MiniLM")
    return parser


if __name__ == "__main__":
    sys.exit(main())
