"""``python -m bench.log``: the log against the bare limits of the machine and against SQLite, in the same run.

The peer column is what ours is compared with: the bare write and sync of as many bytes, the bare decoder, or SQLite
(WAL, ``synchronous=FULL``). Ends with 1 if a goal is missed, except with ``--quick``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from bench import report
from bench.goals import Row, failed
from bench.log_sections import FULL, QUICK, SECTIONS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections, print what was found, and return the exit code."""
    options = _parser().parse_args(arguments)
    started = perf_counter()
    line = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}"
    print(line)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="memorygraph-bench-", dir=options.dir) as directory:
        for name in options.only or SECTIONS:
            begun = perf_counter()
            print(f"{name} ...", file=sys.stderr)
            place = Path(directory, name)
            place.mkdir()
            rows += SECTIONS[name](place, QUICK if options.quick else FULL)
            print(f"{name} took {perf_counter() - begun:.0f} s", file=sys.stderr)
    print(report.table(rows))
    print(report.summary(rows))
    if options.json is not None:
        facts = {"machine": line}
        found = report.document(rows, facts, quick=options.quick, took_s=perf_counter() - started)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.picture is not None:
        options.picture.write_text(report.picture(rows, line), encoding="utf-8")
    return 1 if failed(rows) and not options.quick else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.log", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, which say nothing about the goals")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="this section; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="write a picture of the goals there")
    parser.add_argument("--dir", type=Path, help="on which disk to measure (default: where temporary files go)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
