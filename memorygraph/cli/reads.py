"""The commands that ask a memory. They open the store read-only, so a recall from here reinforces nothing."""

from typing import Annotated, Any, Final

import typer

from memorygraph import AgentMemory
from memorygraph.cli import views
from memorygraph.cli.filtering import filtered
from memorygraph.cli.options import (
    AtOption,
    JsonOption,
    KOption,
    RoomOption,
    StoreOption,
    ViewerOption,
    as_agent,
    given_text,
    moment,
    open_to_read,
)
from memorygraph.cli.output import complain, print_json, print_view, say
from memorygraph.events.types import LIMITS
from memorygraph.history import Change
from memorygraph.hits import Hits
from memorygraph.projections.profiles import RELEVANCE
from memorygraph.reader import MemoryReader

MATCHING: Final = 0.000001
"""A threshold that leaves out what does not match at all, which has score 0."""


@filtered
def recall(
    context: typer.Context,
    query: Annotated[list[str], typer.Argument(metavar="QUESTION", help="A question or some words.")],
    filters: dict[str, Any],
    k: KOption = 5,
    threshold: Annotated[
        float,
        typer.Option(
            help="Lowest score, 0 to 1; 0 fills up with memories that do not match.",
            min=0.0,
            max=1.0,
            show_default="what matches",
        ),
    ] = MATCHING,
    profile: Annotated[
        str, typer.Option(help="What else counts: activation (used often and lately) or recency.", metavar="PROFILE")
    ] = RELEVANCE,
    viewer: ViewerOption = None,
    room: RoomOption = None,
    at: AtOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what matches a question, best first, and why.

    Date words in it ("last week", "in May 2023") raise what happened then.
    """
    with open_to_read(context, store) as memory:
        asked, filters = _to_search(_asked(memory, at, viewer, room), filters)
        hits = asked.recall(given_text(query), k, threshold=threshold, reinforce=False, profile=profile, **filters)
        missing = "" if hits else _why_none(asked, filters)
    _print_hits(hits, missing, as_json=as_json)


@filtered
def reason(
    context: typer.Context,
    cue: Annotated[list[str], typer.Argument(metavar="CUE", help="Some words, or the id of a memory.")],
    filters: dict[str, Any],
    k: KOption = 10,
    hops: Annotated[int, typer.Option(help="How many links away.", min=0, max=LIMITS.hops_max)] = 2,
    viewer: ViewerOption = None,
    room: RoomOption = None,
    at: AtOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is connected with a cue, though it may not match."""
    with open_to_read(context, store) as memory:
        asked, filters = _to_search(_asked(memory, at, viewer, room), filters)
        hits = asked.reason(given_text(cue), hops=hops, k=k, reinforce=False, **filters)
        missing = "" if hits else _why_none(asked, filters)
    _print_hits(hits, missing, as_json=as_json)


@filtered
def context(
    context: typer.Context,
    query: Annotated[list[str], typer.Argument(metavar="QUESTION", help="The question, or what is talked about.")],
    filters: dict[str, Any],
    max_tokens: Annotated[int, typer.Option(help="The budget, by an estimate.", min=1)] = 1000,
    pinned: Annotated[
        list[str] | None, typer.Option("--pin", help="Id of a memory that comes first; again for more.", metavar="ID")
    ] = None,
    pinned_tag: Annotated[
        str | None, typer.Option("--pin-tag", help="All memories with this tag come first.", metavar="TAG")
    ] = None,
    viewer: ViewerOption = None,
    room: RoomOption = None,
    at: AtOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what the memory has to say to a question, as a block for a model's prompt."""
    if pinned and pinned_tag:
        raise typer.BadParameter("give --pin or --pin-tag, not both")
    with open_to_read(context, store) as memory:
        asked, filters = _to_search(_asked(memory, at, viewer, room), filters)
        block = asked.context(
            given_text(query), max_tokens, pinned=pinned_tag or pinned or (), reinforce=False, **filters
        )
    if as_json:
        print_json(block.to_dict())
    elif block.text:
        say(views.printable_lines(block.text))
    else:
        complain("nothing matches" if not block.left_out else "nothing fits in the budget")


def show(
    context: typer.Context,
    node_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the memory.")],
    viewer: ViewerOption = None,
    room: RoomOption = None,
    at: AtOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one memory: its fields, links and history.

    Of a forgotten one, its history and who forgot it when.
    """
    with open_to_read(context, store) as memory:
        asked = _asked(memory, at, viewer, room)
        changes = asked.history(node_id)
        forgotten = None if node_id in asked else views.last_forgotten(node_id, changes)
        if forgotten is None:
            node = asked.get(node_id)
            edges = [(edge, asked.get(views.other_end(edge, node_id))) for edge in asked.edges(node_id)]
    if forgotten is not None:
        _print_forgotten(node_id, forgotten, changes, as_json=as_json)
        return
    if as_json:
        linked = [views.edge_facts(edge, other, node_id) for edge, other in edges]
        print_json({**views.node_facts(node), "edges": linked, "history": [change.to_dict() for change in changes]})
        return
    for view in views.node_views(node, edges, changes):
        print_view(view)


def stats(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show how much the memory holds and where the bytes are."""
    with open_to_read(context, store) as memory:
        facts = {**memory.stats().to_dict(), "path": memory.path}
    if as_json:
        print_json(facts)
    else:
        print_view(views.stats_view(facts))


def _asked(memory: AgentMemory, at: str | None, viewer: str | None, room: str | None) -> MemoryReader:
    seen = as_agent(memory, viewer, room)
    return seen if at is None else seen.at(moment(at))


def _print_forgotten(node_id: str, forgotten: Change, changes: list[Change], *, as_json: bool) -> None:
    if as_json:
        history = [change.to_dict() for change in changes]
        print_json({"id": node_id, "forgotten": forgotten.to_dict(), "history": history})
        return
    for view in views.forgotten_views(node_id, forgotten, changes):
        print_view(view)


def _to_search(asked: MemoryReader, filters: dict[str, Any]) -> tuple[MemoryReader, dict[str, Any]]:
    """Return a memory and the filters to search it with, and say what the search cannot use.

    A session of digits may be a text or a number: it is the number if no memory has the text.
    """
    session = filters.get("session")
    if session and session.isdecimal() and not asked.find(session=session) and asked.find(session=int(session)):
        filters = {**filters, "session": int(session)}
    if asked.embedder is None:
        embedder = views.plain(asked.stats().embedder)
        complain(
            f"only words count here: the vectors are of the embedder {embedder}, which the command line does not have; "
            'ask in Python with AgentMemory(path, embedder=...), or change it with "memorygraph reembed"'
        )
    return asked, filters


def _why_none(asked: MemoryReader, filters: dict[str, Any]) -> str:
    """Say why there are no hits."""
    if not len(asked):
        return "the memory is empty"
    hiding = {name: value for name, value in filters.items() if name not in ("asked_at", "tag_mode")}
    if hiding and not asked.find(**hiding):
        return "nothing passes the filters"
    return "nothing matches"


def _print_hits(hits: Hits, missing: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"position": hits.position, "hits": [views.hit_facts(hit) for hit in hits]})
    elif hits:
        print_view(views.hits_view(hits))
    else:
        say(missing)
