"""The commands that ask a memory. They open the store read-only, so a recall from here reinforces nothing."""

from typing import Annotated

import typer

from memorygraph.cli import views
from memorygraph.cli.options import (
    AtOption,
    JsonOption,
    KOption,
    StoreOption,
    TagsOption,
    TypeOption,
    moment,
    open_to_read,
)
from memorygraph.cli.output import print_json, print_view, say
from memorygraph.hits import Hits

FilterOption = Annotated[str | None, typer.Option(help="Only of this one.", metavar="NAME", show_default=False)]
SinceOption = Annotated[
    str | None, typer.Option(help="Only what happened then or later.", metavar="TIME", show_default=False)
]
UntilOption = Annotated[
    str | None, typer.Option(help="Only what happened until then.", metavar="TIME", show_default=False)
]


def recall(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="A question or some words.")],
    k: KOption = 5,
    memory_type: TypeOption = None,
    tags: TagsOption = None,
    threshold: Annotated[float, typer.Option(help="Lowest score, 0 to 1.", min=0.0, max=1.0)] = 0.0,
    session: FilterOption = None,
    speaker: FilterOption = None,
    source: FilterOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    at: AtOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what matches a question, best first, and why."""
    with open_to_read(context, store) as memory:
        asked = memory if at is None else memory.at(moment(at))
        hits = asked.recall(
            query,
            k,
            memory_type,
            tags,
            threshold,
            reinforce=False,
            session=session,
            speaker=speaker,
            source=source,
            since=since,
            until=until,
        )
    _print_hits(hits, as_json=as_json)


def reason(
    context: typer.Context,
    cue: Annotated[str, typer.Argument(help="Some words, or the id of a memory.")],
    k: KOption = 10,
    hops: Annotated[int, typer.Option(help="How many links away.", min=0)] = 2,
    at: AtOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is connected with a cue, though it may not match."""
    with open_to_read(context, store) as memory:
        asked = memory if at is None else memory.at(moment(at))
        hits = asked.reason(cue, hops=hops, k=k, reinforce=False)
    _print_hits(hits, as_json=as_json)


def show(
    context: typer.Context,
    node_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the memory.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one memory: its fields, links and history."""
    with open_to_read(context, store) as memory:
        node = memory.get(node_id)
        edges = [(edge, memory.get(views.other_end(edge, node_id))) for edge in memory.edges(node_id)]
        changes = memory.history(node_id)
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


def _print_hits(hits: Hits, *, as_json: bool) -> None:
    if as_json:
        print_json({"position": hits.position, "hits": [views.hit_facts(hit) for hit in hits]})
    elif hits:
        print_view(views.hits_view(hits))
    else:
        say("the memory is empty, or nothing passes the filters")
