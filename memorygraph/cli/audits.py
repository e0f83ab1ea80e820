"""The command that answers who did what, when and from where."""

import csv
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from memorygraph.audit import AuditEntry, audit_of, wanted
from memorygraph.cli import views
from memorygraph.cli.options import JsonOption, StoreOption, bound, name_and_value, open_to_read
from memorygraph.cli.output import print_json, say, terminal_width
from memorygraph.exports import read_file
from memorygraph.history import REPLACED

NOT_GIVEN: Final = "(not given)"
_GONE: Final = "(record replaced; only its hash is kept)"
_HERE: Final = ("via", "host", "pid", "version", "source")  # what provenance says unless told otherwise
_COLUMNS: Final = ("position", "when", "who", "did", "ids", "what", "command", *_HERE, "other")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_HEADING: Final = f"{'position':>8}  {'when (UTC)':<19}  {'who':<12}  {'did':<9}  {'from where':<28}  what"

WhoOption = Annotated[
    list[str] | None, typer.Option("--who", help="Only what this one did ('' without a name).", metavar="NAME")
]
AboutOption = Annotated[list[str] | None, typer.Option("--id", help="Only about this memory.", metavar="ID")]
ActionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--action", help="Only this: wrote, changed, recalled, forgot, linked, unlinked, ...", metavar="ACTION"
    ),
]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="Only from there, such as host=web-1.", metavar="NAME=VALUE")
]
SinceOption = Annotated[
    str | None, typer.Option(help="Only recorded then or later, or since yesterday.", metavar="TIME")
]
UntilOption = Annotated[str | None, typer.Option(help="Only recorded until then.", metavar="TIME")]
SessionOption = Annotated[str | None, typer.Option(help="Only about memories of this session.", metavar="NAME")]
FromOption = Annotated[int, typer.Option("--from", help="First position.", min=1)]
ToOption = Annotated[int | None, typer.Option("--to", help="Last position.", min=1, show_default=False)]


def audit(
    context: typer.Context,
    who: WhoOption = None,
    about: AboutOption = None,
    action: ActionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    session: SessionOption = None,
    where: WhereOption = None,
    first: FromOption = 1,
    last: ToOption = None,
    limit: Annotated[int | None, typer.Option(help="Only the newest of them.", min=1, show_default=False)] = None,
    file: Annotated[
        Path | None, typer.Option(help="Of a file that export wrote, in place of the store.", metavar="FILE")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell who wrote, changed, recalled and forgot what, when and from where.

    Oldest first. Options may be given several times; an entry must fit one value of each. With --json, one object on
    each line.
    """
    if as_csv and as_json:
        raise typer.BadParameter("give --csv or --json, not both")
    filters: dict[str, Any] = {
        "who": who or None,
        "id": about or None,
        "action": action or None,
        "since": bound(since),
        "until": bound(until, is_end=True),
        "session": session,
        "where": dict(map(name_and_value, where or [])),
        "first": first,
        "last": last,
    }
    with ExitStack() as stack:
        entries: Iterable[AuditEntry]
        if file is None:
            entries = stack.enter_context(open_to_read(context, store)).audit(**filters)
        else:
            entries = audit_of(read_file(file).entries(), wanted(**filters))
        _print(entries if limit is None else deque(entries, limit), as_csv=as_csv, as_json=as_json)


def _print(entries: Iterable[AuditEntry], *, as_csv: bool, as_json: bool) -> None:
    if as_json:
        for entry in entries:
            print_json(entry.to_dict())
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows([_cell(value) for value in _row(entry)] for entry in entries)
    else:
        width = terminal_width()
        fitted: Callable[[str], str] = (lambda line: line) if width is None else (lambda line: views.cut(line, width))
        say(fitted(_HEADING))
        for line in _lines(entries):
            say(fitted(line))


def _lines(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """Give a line for each entry; replaced records that follow on each other share one."""
    run: tuple[int, int] | None = None
    for entry in entries:
        if run is not None and (entry.action != REPLACED or entry.position != run[1] + 1):
            yield _replaced_line(*run)
            run = None
        if entry.action == REPLACED:
            run = (entry.position if run is None else run[0], entry.position)
        else:
            yield _line(entry)
    if run is not None:
        yield _replaced_line(*run)


def _replaced_line(first: int, last: int) -> str:
    if first == last:
        return f"{first:>8}  {'':<19}  {'':<12}  {REPLACED:<9}  {'':<28}  {_GONE}"
    several = f"(records to position {last} replaced; only their hashes are kept)"
    return f"{first:>8}  {'':<19}  {'':<12}  {REPLACED:<9}  {'':<28}  {several}"


def _line(entry: AuditEntry) -> str:
    when = views.when(entry.time, "%Y-%m-%d %H:%M:%S")
    who = views.plain(entry.principal) or NOT_GIVEN
    return f"{entry.position:>8}  {when:<19}  {who:<12}  {entry.action:<9}  {_place(entry.where):<28}  {_what(entry)}"


def _place(where: dict[str, str]) -> str:
    """Say in a few words where something came from."""
    said = [where.get("via", ""), where.get("source", "")]
    process = ":".join(part for part in (where.get("host", ""), where.get("pid", "")) if part)
    others = [f"{name}={value}" for name, value in where.items() if name not in _HERE]
    return views.plain(" ".join(part for part in (*said, process, *others) if part)) or NOT_GIVEN


def _what(entry: AuditEntry) -> str:
    if entry.event is not None:
        return views.what_of(entry.event, entry.ids)
    return _GONE if entry.action == REPLACED else "(a command that changed nothing)"


def _row(entry: AuditEntry) -> list[str]:
    where = entry.where
    others = " ".join(f"{name}={value}" for name, value in where.items() if name not in _HERE)
    return [
        str(entry.position),
        "" if entry.time is None else datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="microseconds"),
        entry.principal or ("" if entry.action == REPLACED else NOT_GIVEN),
        entry.action,
        " ".join(entry.ids),
        _what(entry),
        entry.command_id,
        *(where.get(name, "") for name in _HERE),
        others,
    ]


def _cell(value: str) -> str:
    """Return a text that a spreadsheet takes for text: what would start a formula is quoted."""
    return f"'{value}" if value.startswith(_FORMULA) else value
