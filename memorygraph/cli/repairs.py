"""The command that saves what is whole of a damaged store."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec import structs

from memorygraph.cli.options import JsonOption, StoreOption, store_path
from memorygraph.cli.output import print_json, say
from memorygraph.cli.views import plain, ranges
from memorygraph.repair import RepairReport
from memorygraph.repair import repair as repair_store


def repair(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--to", help="The new store's folder; nothing may be there.", metavar="DIR")],
    rest: Annotated[
        Path | None,
        typer.Option(help="Write here, as JSON lines, what can be read behind the damage.", metavar="FILE"),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy what comes before the first damage of a store into a new one.

    The damaged store is only read. The copy is the same memory: it goes on at the position where the damage begins.
    """
    report = repair_store(store_path(context, store), to, rest=rest)
    if as_json:
        print_json({**structs.asdict(report), "rest": None if rest is None else str(rest)})
    else:
        say(_text(report, rest))


def _text(report: RepairReport, rest: Path | None) -> str:
    lines = [f"copied positions 1 to {report.position} into {report.store}; the memory goes on there"]
    if report.heads:
        lines.append(f"{report.heads} signed heads are true of it and went along")
    lines.extend(plain(note) for note in report.notes)
    if report.lost:
        lines.append(f"lost: {ranges(report.lost)}")
    if report.behind:
        lines.append(f"not copied, because they follow on what is lost: {ranges(report.behind)}")
        lines.append(
            f"what their {report.written} records say is in {rest}"
            if rest is not None
            else "(--rest FILE writes what they say, to remember it again)"
        )
    else:
        lines.append("lost, too, is whatever came after the damage")
    return "\n".join(lines)
