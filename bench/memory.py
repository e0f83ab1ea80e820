"""``python -m bench.memory``: measure this package, beside the older one where ``make bench-peer`` has installed it.

Ends with 1 if a goal is missed, except with ``--quick``, whose sizes say nothing about the goals.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from bench import report
from bench.goals import Row, failed
from bench.sections import FULL, QUICK, SECTIONS, Scale, Section
from bench.sessions import PEER, PEER_PYTHON, Sessions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections, print what was found, and return the exit code."""
    return run("memory", __doc__, SECTIONS, arguments)


def run(name: str, about: str | None, sections: Mapping[str, Section], arguments: Sequence[str] | None) -> int:
    """Do what ``python -m bench.<name>`` does with its sections."""
    options = _parser(name, about, sections).parse_args(arguments)
    started = perf_counter()
    with Sessions(options.peer) as sessions:
        facts = report.machine(sessions)
        print(report.machine_line(facts))
        if PEER not in sessions.packages:
            print(f"Ours alone: there is no {options.peer} (make bench-peer makes one).")
        rows = measured(sessions, QUICK if options.quick else FULL, options.only or list(sections), sections)
    print(report.table(rows))
    print(report.summary(rows))
    if options.json is not None:
        found = report.document(rows, facts, quick=options.quick, took_s=perf_counter() - started)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.picture is not None:
        options.picture.write_text(report.picture(rows, report.machine_line(facts)), encoding="utf-8")
    return exit_code(rows, quick=options.quick)


def measured(
    sessions: Sessions, scale: Scale, names: Sequence[str], sections: Mapping[str, Section] = SECTIONS
) -> list[Row]:
    """Run the named sections, in their order."""
    rows = []
    for name, section in sections.items():
        if name in names:
            started = perf_counter()
            print(f"{name} ...", file=sys.stderr)
            rows += section(sessions, scale)
            print(f"{name} took {perf_counter() - started:.0f} s", file=sys.stderr)
    return rows


def exit_code(rows: list[Row], *, quick: bool) -> int:
    """Return 1 if a goal is missed and the sizes were the goals' own."""
    return 1 if failed(rows) and not quick else 0


def _parser(name: str, about: str | None, sections: Mapping[str, Section]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=about)
    parser.add_argument("--quick", action="store_true", help="a few hundred nodes, seconds instead of minutes")
    parser.add_argument("--only", action="append", choices=list(sections), help="this section; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="write a picture of the goals there")
    parser.add_argument(
        "--peer", type=Path, default=PEER_PYTHON, metavar="PYTHON", help="interpreter that has the older package"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
