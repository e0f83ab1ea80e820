"""The commands that change a memory; ``ingest`` and ``remember`` make the store if there is none."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import structs

from memorygraph.actors.compaction import RetentionPolicy
from memorygraph.cli.options import (
    AgentOption,
    JsonOption,
    QuietOption,
    RoomOption,
    StoreOption,
    TagsOption,
    TypeOption,
    WordsArgument,
    as_agent,
    bound,
    duration,
    expiry,
    given_ids,
    one_text,
    open_to_add,
    open_to_change,
    store_path,
)
from memorygraph.cli.output import print_json, progress_bar, say
from memorygraph.cli.views import size
from memorygraph.core.node import MemoryNode
from memorygraph.events.errors import InputError
from memorygraph.events.types import EdgeType, Scope
from memorygraph.ingest import harvest_path, sync

ImportanceOption = Annotated[
    float | None,
    typer.Option(help="How much it matters, 0 to 1; new ones have 0.5.", min=0.0, max=1.0, show_default=False),
]
SpeakerOption = Annotated[str | None, typer.Option(help="Who said it.", metavar="NAME", show_default=False)]
SessionOption = Annotated[
    str | None, typer.Option(help="The conversation it belongs to.", metavar="NAME", show_default=False)
]
SourceOption = Annotated[str | None, typer.Option(help="Where it comes from.", metavar="TEXT", show_default=False)]
ReasonOption = Annotated[str, typer.Option(help="Why, for the record.", metavar="TEXT", show_default=False)]
ScopeOption = Annotated[
    str | None,
    typer.Option(
        help="Make it --agent's in a pool: private to it, shared with its --room, or public (else: nobody's, public).",
        metavar="SCOPE",
        show_default=False,
    ),
]
SupersedesOption = Annotated[
    list[str] | None,
    typer.Option(help="Id of a memory whose place it takes; again for more.", metavar="ID", show_default=False),
]
WhenOption = Annotated[
    str | None,
    typer.Option(
        "--when", help="When it happened: a date or time, UTC, or yesterday.", metavar="TIME", show_default=False
    ),
]
ExpiresOption = Annotated[
    str | None,
    typer.Option(
        "--expires",
        help="Forget it then: a time, UTC, or so long from now, such as 30d.",
        metavar="TIME|DURATION",
        show_default=False,
    ),
]


def ingest_path(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder, a git repository, a text file or a chat log (JSONL).")
    ],
    agent: AgentOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in a folder, a git repository or a chat log.

    Once more brings the memory up to date: what is new is added, what changed is revised, what is gone is forgotten.
    """
    with progress_bar("ingest") as step:
        harvest = harvest_path(path, step)  # first, so that a path that cannot be read leaves no empty store behind
        with open_to_add(context, store, agent) as memory:
            first, *former = harvest.origins
            report = sync(memory, harvest, origin=first, former_origins=former, progress=step)
            position = memory.position
    facts: dict[str, Any] = structs.asdict(report)
    if as_json:
        print_json({**facts, "position": position})
        return
    counts = ", ".join(f"{count} {name}" for name, count in facts.items() if name != "notes" and count)
    say(f"{counts or 'nothing found'}; {store_path(context, store)} is at position {position}")
    for note in report.notes:
        say(f"note: {note}")


def remember(
    context: typer.Context,
    text: WordsArgument,
    importance: ImportanceOption = None,
    tags: TagsOption = None,
    memory_type: TypeOption = None,
    speaker: SpeakerOption = None,
    session: SessionOption = None,
    source: SourceOption = None,
    when: WhenOption = None,
    expires: ExpiresOption = None,
    supersedes: SupersedesOption = None,
    scope: ScopeOption = None,
    room: RoomOption = None,
    quiet: QuietOption = False,
    agent: AgentOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add one memory.

    Prints its id and position; with --quiet, the id alone.
    """
    expires_at = None if expires is None else expiry(expires)
    fields = _given(
        importance=importance, tags=tags, memory_type=memory_type, occurred_at=bound(when), expires_at=expires_at
    )
    content = one_text(text)
    if scope is not None:
        fields["scope"] = Scope.of(scope)
    if (scope is not None or room is not None) and not (scope and agent):
        raise typer.BadParameter("a memory of a pool needs --agent, whose it is, and --scope, who sees it")
    with open_to_add(context, store, agent) as memory:
        node = (as_agent(memory, agent, room) if scope else memory).remember(
            content, **fields, speaker=speaker, session=session, source=source, supersedes=supersedes
        )
    if as_json:
        print_json({"id": node.id, "position": node.position})
    elif quiet:
        say(node.id)
    else:
        say(f"remembered {node.id} at position {node.position}")


def link(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Id of the memory that the link starts from.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Id of the memory that it leads to.")],
    edge_type: Annotated[
        str, typer.Option("--type", help="Such as association, causal, temporal, contradicts.", metavar="TYPE")
    ] = EdgeType.ASSOCIATION.value,
    weight: Annotated[float, typer.Option(help="How strong it is, 0 to 1.", min=0.0, max=1.0)] = 0.8,
    undirected: Annotated[bool, typer.Option("--undirected", help="Leads both ways.")] = False,
    quiet: QuietOption = False,
    agent: AgentOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Connect two memories.

    Prints the edge's id, which unlink takes; with --quiet, the id alone.
    """
    with open_to_change(context, store, agent) as memory:
        edge = memory.link(source, target, EdgeType.of(edge_type), weight, directed=not undirected)
        position = memory.position
    if as_json:
        print_json({"id": edge.id, "position": position})
    elif quiet:
        say(edge.id)
    else:
        say(f"linked {source} to {target} ({edge.edge_type.value}), edge {edge.id}")


def unlink(
    context: typer.Context,
    edge_id: Annotated[str, typer.Argument(metavar="EDGE_ID", help="Id of the link, as link and show print it.")],
    reason: ReasonOption = "",
    agent: AgentOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a link away; both memories stay."""
    with open_to_change(context, store, agent) as memory:
        memory.unlink(edge_id, reason=reason)
        position = memory.position
    if as_json:
        print_json({"unlinked": edge_id, "position": position})
    else:
        say(f"unlinked {edge_id} at position {position}")


def revise(
    context: typer.Context,
    node_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the memory.")],
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What it shall say, in quotes; - reads standard input.")
    ] = None,
    importance: ImportanceOption = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", help="Its tags from now on, in place of all it has; again for more.", metavar="TAG"),
    ] = None,
    add_tags: Annotated[
        list[str] | None, typer.Option("--add-tag", help="One more tag; again for more.", metavar="TAG")
    ] = None,
    remove_tags: Annotated[
        list[str] | None, typer.Option("--remove-tag", help="A tag to take away; again for more.", metavar="TAG")
    ] = None,
    memory_type: TypeOption = None,
    speaker: SpeakerOption = None,
    session: SessionOption = None,
    source: SourceOption = None,
    when: WhenOption = None,
    expires: ExpiresOption = None,
    agent: AgentOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Correct a memory; its history keeps what it said before.

    What is not given stays as it is, and --tag gives all tags anew. --expires never takes an expiry away.
    """
    if tags and (add_tags or remove_tags):
        raise typer.BadParameter("--tag names all tags that it shall have; give it, or --add-tag and --remove-tag")
    fields = _given(
        content=one_text(text) if text else None,
        importance=importance,
        tags=tags,
        memory_type=memory_type,
        speaker=speaker,
        session=session,
        source=source,
        occurred_at=bound(when),
        expires_at=expiry(expires) if expires not in (None, "never") else None,
    )
    if expires == "never":
        fields["expires_at"] = None
    if not (fields or add_tags or remove_tags):
        raise typer.BadParameter("nothing to revise: give a new TEXT or an option such as --importance")
    with open_to_change(context, store, agent) as memory:
        expected = None
        if add_tags or remove_tags:
            before = memory.get(node_id)
            expected = before.version  # the tags are those that were read
            fields["tags"] = _tags(before, add_tags or [], remove_tags or [])
        node = memory.revise(node_id, expected=expected, **fields)
    if as_json:
        print_json({"id": node.id, "position": node.position})
    else:
        say(f"revised {node.id} at position {node.position}")


def forget(
    context: typer.Context,
    node_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids; - reads them from standard input.")],
    reason: ReasonOption = "",
    agent: AgentOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let memories go; the log still tells of them.

    All of them or, if one is unknown, none.
    """
    ids = given_ids(node_ids)
    with open_to_change(context, store, agent) as memory:
        forgotten = memory.forget(ids=ids, reason=reason)
        position = memory.position
    if as_json:
        print_json({"forgotten": forgotten, "position": position})
    else:
        say(f"forgot {', '.join(forgotten)} at position {position}")


def compact(
    context: typer.Context,
    keep_accesses: Annotated[
        str, typer.Option(help="Fold who was recalled when, if older than this; ever: keep all.", metavar="DURATION")
    ] = "30d",
    keep_access_positions: Annotated[
        int | None,
        typer.Option(help="Fold it also beyond so many records.", min=0, metavar="RECORDS", show_default=False),
    ] = None,
    keep_forgotten: Annotated[
        str, typer.Option(help="Let go of what was forgotten longer ago than this.", metavar="DURATION")
    ] = "ever",
    agent: AgentOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the log smaller: what is not kept leaves it, but for its hash.

    The present stays as it is and the chain still verifies; views of the past from before show less.
    """
    policy = RetentionPolicy(
        keep_accesses=_kept(keep_accesses),
        keep_access_positions=keep_access_positions,
        keep_forgotten=_kept(keep_forgotten),
    )
    with open_to_change(context, store, agent) as memory:
        report = memory.compact(policy)
    if as_json:
        print_json(structs.asdict(report))
        return
    say(
        f"replaced {report.replaced:,} records by their hashes: {size(report.bytes_before)} before, "
        f"{size(report.bytes_after)} now"
    )
    if report.replaced:
        say(f"recalls of {report.folded:,} memories folded, {report.memories:,} forgotten memories let go")


def snapshot(
    context: typer.Context, agent: AgentOption = "", store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Keep the state in the store, so that the next commands need not read the whole log.

    Large stores do this by themselves now and then.
    """
    with open_to_change(context, store, agent) as memory:
        saved = memory.snapshot()
    if as_json:
        print_json(structs.asdict(saved))
    elif saved.written_bytes:
        say(f"snapshot of position {saved.position}: {size(saved.size_bytes)}, {size(saved.written_bytes)} of it new")
    else:
        say(f"there is a snapshot of position {saved.position} already ({size(saved.size_bytes)})")


def _tags(node: MemoryNode, added: list[str], removed: list[str]) -> list[str]:
    """Return the tags of a memory with some more and some less.

    Raises:
        InputError: it has not all of those that are to go.
    """
    if unknown := [tag for tag in removed if tag not in node.tags]:
        raise InputError(f"{node.id} has no tag {unknown[0]!r}; it has: {', '.join(node.tags) or 'none'}", id=node.id)
    return [tag for tag in dict.fromkeys([*node.tags, *added]) if tag not in removed]


def _kept(text: str) -> timedelta | None:
    return None if text == "ever" else duration(text)


def _given(**fields: object) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
