"""The commands about the log itself: its events, its checks, its copies."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec import structs

from memorygraph import AgentMemory
from memorygraph.cli import views
from memorygraph.cli.options import (
    JsonOption,
    StoreOption,
    bound,
    name_and_value,
    number_of,
    open_to_check,
    open_to_read,
    store_path,
)
from memorygraph.cli.output import complain, print_json, say, terminal_width
from memorygraph.events.errors import DamagedLog, InputError
from memorygraph.events.heads import HeadFault
from memorygraph.exports import read_file
from memorygraph.history import KINDS, Change
from memorygraph.proofs import heads_against_engine, heads_against_file, report_on

_HEAD_CODES: Final = {
    HeadFault.ROLLED_BACK: 3,
    HeadFault.REWRITTEN: 4,
    HeadFault.FORGED: 5,
    HeadFault.OTHER_MEMORY: 6,
}
_UNTOLD_CODE: Final = 7
_SEVERAL: Final = ("who", "id", "action")
_ONE: Final = {"session": "session", "since": "since", "until": "until", "from": "first", "to": "last"}

KindOption = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only this kind, such as added, revised, forgotten, linked.", metavar="KIND"),
]


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """Which events to list; None and () stand for any."""

    kinds: tuple[str, ...]
    node_id: str | None
    agent: str | None
    since: datetime | None
    until: datetime | None

    def __call__(self, change: Change) -> bool:
        return (
            (not self.kinds or change.kind in self.kinds)
            and (self.node_id is None or self.node_id in change.ids)
            and (self.agent is None or self.agent == change.principal)
            and (self.since is None or self.since.timestamp() <= change.time)
            and (self.until is None or change.time <= self.until.timestamp())
        )


def log(
    context: typer.Context,
    kinds: KindOption = None,
    node_id: Annotated[str | None, typer.Option("--id", help="Only about this memory.", metavar="ID")] = None,
    agent: Annotated[str | None, typer.Option(help="Only what this one did.", metavar="NAME")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only recorded then or later, or since yesterday.", metavar="TIME"),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only recorded until then.", metavar="TIME")] = None,
    first: Annotated[int, typer.Option("--from", help="First position.", min=1)] = 1,
    last: Annotated[int | None, typer.Option("--to", help="Last position.", min=1, show_default=False)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the events, newest last.

    One line each; with --json, one object on each line.
    """
    if unknown := sorted(set(kinds or ()) - set(KINDS)):
        raise InputError(f"{unknown[0]!r} is not a kind of event; use one of: {', '.join(KINDS)}", given=unknown[0])
    wanted = _Wanted(
        kinds=tuple(kinds or ()),
        node_id=node_id,
        agent=agent,
        since=bound(since),
        until=bound(until, is_end=True),
    )
    width = terminal_width()
    with open_to_read(context, store) as memory:
        changes = _followed(memory, first, last) if follow else memory.log(first, last)
        is_any = False
        for change in filter(wanted, changes):
            _print_change(change, width, as_json=as_json)
            is_any = True
            if follow:
                sys.stdout.flush()
    if not is_any:
        complain("no event is like that")


def _followed(memory: AgentMemory, first: int, last: int | None) -> Iterator[Change]:
    with closing(memory.subscribe(first)) as subscription:
        for change in subscription:
            if last is not None and change.position > last:
                return
            yield change


def _print_change(change: Change, width: int | None, *, as_json: bool) -> None:
    if as_json:
        print_json(change.to_dict())
        return
    say(views.change_line(change, width))


def verify(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A file that export wrote, in place of the store.", show_default=False),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(help="Signed heads, kept elsewhere, to hold against the log.", metavar="FILE"),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The public key to trust: its file, or its 64 digits.", metavar="KEY")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every checksum and the chain from the first byte, and hold signed heads against the log.

    Exit code 1: damage, shown with its place; 7: records were emptied, and nothing in the log tells of it. With --heads
    also 3: rolled back, 4: rewritten, 5: forged, 6: the heads of another memory. Of several, the highest.
    """
    if key is not None and heads is None:
        raise typer.BadParameter("--key needs --heads: it says whose signed heads to trust")
    if file is None:
        with open_to_check(context, store) as memory:
            report = memory.verify()
            held = None if heads is None else heads_against_engine(heads, key, memory._engine, report)
    else:
        exported = read_file(file)
        report = report_on(exported)
        held = None if heads is None else heads_against_file(heads, key, exported, report)
    if as_json:
        facts = views.verify_facts(report)
        print_json(facts if held is None else {**facts, "heads": views.heads_facts(held)})
    else:
        say(views.verify_text(report))
        if held is not None:
            say(views.heads_text(held, is_key_given=key is not None))
    codes = [_HEAD_CODES[one.fault] for one in held.findings] if held is not None else []
    if code := max([*codes, 0 if report.whole else 1, _UNTOLD_CODE if report.untold else 0]):
        raise typer.Exit(code)


def replay(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Compute the state again from the first record.

    Prints its digest; exit code 1 if the state in use has another.
    """
    with open_to_read(context, store) as memory:
        position, kept = memory.position, memory.digest()
        digest = memory.replay()
        # Another process may have written in between; then the two are of different positions.
        same = kept == digest or memory.position != position
    if as_json:
        print_json({"position": position, "digest": digest, "same": same})
    else:
        say(f"{digest}  at position {position}" + ("" if same else f"; the state in use differs: {kept}"))
    if not same:
        raise typer.Exit(1)


def export_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Of a damaged store, write what comes before the damage.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Of all other records only hashes: who=, id=, action=, session=, since=, until=, from=, to=.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole log into one portable file.

    A file that is there is not overwritten, unless with --force.
    A damaged store is refused, as its file would lack what comes after the damage; --partial writes what there is.
    With --only the file shows some records and proves that they stand in this log; it cannot be imported.
    """
    if file.exists() and not force:
        raise InputError(f"{file} is there already; name another file, or overwrite it with --force", path=str(file))
    filters = _only(only) if only else None
    with open_to_read(context, store) as memory:
        try:
            position = memory.export(file, partial=partial, only=filters)
        except DamagedLog as error:
            raise DamagedLog(f"{error} (--partial writes what there is)", **error.about) from error
    if as_json:
        print_json({"file": str(file), "position": position})
    else:
        what = "an excerpt " if only else ""
        say(f"exported {what}up to position {position} to {file} ({views.size(file.stat().st_size)})")


def _only(given: list[str]) -> dict[str, Any]:
    """Read the filters of an excerpt; a name that comes several times stands for any of its values."""
    filters: dict[str, Any] = {}
    for name, value in map(name_and_value, given):
        if name in _SEVERAL:
            filters.setdefault(name, []).append(value)
        elif name in _ONE and _ONE[name] not in filters:
            filters[_ONE[name]] = number_of(name, value) if name in {"from", "to"} else value
        else:
            known = ", ".join((*_SEVERAL, *_ONE))
            what = "is there twice" if name in _ONE else f"is not known; known are {known}"
            raise InputError(f"--only {name}= {what}", given=name)
    return filters


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder of the backup.", metavar="DIR")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the log to a folder while others write, and read the copy back.

    Once more adds what is new since.
    """
    with open_to_read(context, store) as memory:
        report = memory.backup(folder)
    if as_json:
        print_json(structs.asdict(report))
        return
    added = f"{report.records_added:,} records, {views.size(report.bytes_added)}" if report.records_added else "nothing"
    say(f"added {added}; {folder} is at position {report.position}")
    say(f"chain  {report.chain}\ndigest {report.digest}")


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that backup made.", metavar="DIR")],
    to: Annotated[Path, typer.Option("--to", help="Where to make the store; nothing may be there.", metavar="STORE")],
    as_json: JsonOption = False,
) -> None:
    """Make a store from a backup, and check chain and digest.

    Nothing is overwritten.
    """
    report = AgentMemory.restore(folder, to)
    if as_json:
        print_json({"store": str(to), **structs.asdict(report)})
        return
    say(f"restored {to} at position {report.position}; chain and digest are those of the backup")
    say(f"chain  {report.chain}\ndigest {report.digest}")


def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that export wrote.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a store from an exported file."""
    path = store_path(context, store)
    with AgentMemory.import_(file, to=path) as memory:
        position, memories = memory.position, len(memory)
    if as_json:
        print_json({"store": str(path), "position": position, "memories": memories})
    else:
        say(f"imported {memories} memories into {path}, position {position}")
