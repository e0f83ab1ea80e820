"""Bring a memory in line with a harvest: add what is new, revise what changed, forget what is gone.

An item's identity is its source within an origin (the place it was read from), which each node carries as
``metadata["origin"]``. A second run over the same place writes nothing; one that was killed is completed by the next,
because every step is found out anew from what the memory holds.

What belongs to the user stays: tags and metadata added to an ingested node, its importance, the weights of edges
(they may have been learned), and every edge that was not made here. An edge was made here if the log says that it was
added by a command of ours; command ids start with ``ingest-``, and an edge's id begins with its record's position.

Two runs for one origin at the same time may add an item twice; the next run forgets the second copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from memorygraph.author import place
from memorygraph.events.errors import MemoryGraphError
from memorygraph.events.ports import RandomIds
from memorygraph.events.types import EdgeType
from memorygraph.ingest.harvest import Harvest, Item, Progress

if TYPE_CHECKING:
    from memorygraph.agent import AgentMemory
    from memorygraph.core.edge import MemoryEdge
    from memorygraph.core.node import MemoryNode

COMMAND_PREFIX = "ingest-"
_BATCH = 10_000  # ids in one command; far below the size that a command may have
_T = TypeVar("_T")
_Ends = tuple[str, str, EdgeType]  # node id, node id, type


class SyncReport(Struct, frozen=True):
    """What a run did: numbers of items added, revised, unchanged and forgotten, and of edges made and removed.

    Edges that went with forgotten items are not counted. ``notes`` are the harvest's remarks.
    """

    added: int = 0
    revised: int = 0
    unchanged: int = 0
    forgotten: int = 0
    linked: int = 0
    unlinked: int = 0
    notes: tuple[str, ...] = ()


def sync(
    memory: AgentMemory,
    harvest: Harvest,
    *,
    origin: str,
    former_origins: Sequence[str] = (),
    progress: Progress | None = None,
) -> SyncReport:
    """Bring the items of an origin in line with a harvest.

    Items found under one of ``former_origins`` are taken over. Items of files and folders in ``harvest.skipped`` are
    kept as they are. ``progress`` hears the stages "remember", "revise", "link", "unlink" and "forget", where there is
    work.

    Raises:
        MemoryGraphError: it broke off; the next run completes it.
    """
    memory = memory.acting_as(provenance={"via": "ingest", "source": place(origin)})
    try:
        return _sync(memory, harvest, origin, former_origins, progress)
    except MemoryGraphError as error:
        if "cause" not in error.about:  # nothing was done yet, or it was no bulk call
            raise
        message = (
            f"{error.about['cause']}; {error.about['done']:,} items of this step were done; ingest it again to go on"
        )
        raise type(error)(message, **error.about) from error


def _sync(
    memory: AgentMemory,
    harvest: Harvest,
    origin: str,
    former_origins: Sequence[str],
    progress: Progress | None,
) -> SyncReport:
    known, doubles = _known(memory, [origin, *former_origins])
    new = [item for item in harvest.items if item.source not in known]
    kept = [item for item in harvest.items if item.source in known]
    revisions = [change for item in kept if (change := _revision(known[item.source], item, origin))]
    wanted_sources = {item.source for item in harvest.items}
    gone = [
        node.id for source, node in known.items() if source not in wanted_sources and not _is_skipped(source, harvest)
    ]

    def told(stage: str, total: int) -> Callable[[int], None] | None:
        return None if progress is None else lambda done: progress(stage, done, total)

    ids = {source: node.id for source, node in known.items()}
    if new:
        born = memory.remember_many(
            [_fields(item, origin) for item in new],
            associate=False,
            command_id=_command_id(),
            progress=told("remember", len(new)),
        )
        ids.update(zip((item.source for item in new), (node.id for node in born), strict=True))
    if revisions:
        memory.revise_many(revisions, command_id=_command_id(), progress=told("revise", len(revisions)))
    linked, unlinked = _renew_edges(memory, harvest, ids, [known[item.source].id for item in kept], told)
    leaving = [*gone, *doubles]
    for batch in _batches(leaving, told("forget", len(leaving))):
        memory.forget(ids=batch, reason=f"gone from {origin}", command_id=_command_id())
    return SyncReport(
        added=len(new),
        revised=len(revisions),
        unchanged=len(kept) - len(revisions),
        forgotten=len(leaving),
        linked=linked,
        unlinked=unlinked,
        notes=harvest.notes,
    )


def _known(memory: AgentMemory, origins: Iterable[str]) -> tuple[dict[str, MemoryNode], list[str]]:
    """Return the origins' nodes by source, and the ids of second copies: later origin or, within one, later born."""
    known: dict[str, MemoryNode] = {}
    doubles: list[str] = []
    for origin in dict.fromkeys(origins):
        for node in memory.find(metadata={"origin": origin}):
            if node.source is None:
                continue  # a user's own note that borrows the key
            if known.setdefault(node.source, node) is not node:
                doubles.append(node.id)
    return known, doubles


def _is_skipped(source: str, harvest: Harvest) -> bool:
    return any(
        source == file or source.startswith((f"{file}#", f"{file}::", f"{file}~", f"{file}/"))
        for file in harvest.skipped
    )


def _fields(item: Item, origin: str) -> dict[str, Any]:
    return {
        "content": item.content,
        "memory_type": item.memory_type,
        "occurred_at": item.occurred_at,
        "speaker": item.speaker,
        "session": item.session,
        "source": item.source,
        "tags": list(item.tags),
        "metadata": {"origin": origin},
    }


def _revision(node: MemoryNode, item: Item, origin: str) -> dict[str, Any] | None:
    """Return what ``revise_many`` needs to bring the node in line with the item, None if it is."""
    changes: dict[str, Any] = {}
    if node.content != item.content:
        changes["content"] = item.content
    if node.memory_type is not item.memory_type:
        changes["memory_type"] = item.memory_type
    if node.speaker != item.speaker:
        changes["speaker"] = item.speaker
    if node.session != item.session:
        changes["session"] = item.session
    if item.occurred_at is not None and round(node.occurred_at * 1e6) != round(item.occurred_at * 1e6):
        changes["occurred_at"] = item.occurred_at
    if not set(item.tags) <= set(node.tags):
        changes["tags"] = list(dict.fromkeys([*node.tags, *item.tags]))
    if node.metadata.get("origin") != origin:
        changes["metadata"] = {**node.metadata, "origin": origin}
    return {"id": node.id, **changes} if changes else None


def _renew_edges(
    memory: AgentMemory,
    harvest: Harvest,
    ids: dict[str, str],
    old_ids: Sequence[str],
    told: Callable[[str, int], Callable[[int], None] | None],
) -> tuple[int, int]:
    """Make the connections that are missing and remove ours that are not wanted; return how many of each."""
    wanted = {(ids[one.source], ids[one.target], one.edge_type): one.weight for one in harvest.connections}
    old = set(old_ids)
    have: dict[_Ends, MemoryEdge] = {}
    for node_id in old_ids:  # new nodes have no edges yet
        have.update(_ends_of(memory.edges(node_id), node_id, old))
    missing = [(*ends, weight, True) for ends, weight in wanted.items() if ends not in have]
    if missing:
        memory.link_many(missing, command_id=_command_id(), progress=told("link", len(missing)))
    stale = _ours(memory, [edge for ends, edge in have.items() if ends not in wanted])
    for batch in _batches(stale, told("unlink", len(stale))):
        memory.unlink_many(batch, reason="no longer said", command_id=_command_id())
    return len(missing), len(stale)


def _ends_of(edges: Iterable[MemoryEdge], source_id: str, among: set[str]) -> dict[_Ends, MemoryEdge]:
    """Return, by ends and type, the directed edges that leave a node towards one of ``among``."""
    return {
        (edge.source_id, edge.target_id, edge.edge_type): edge
        for edge in edges
        if edge.source_id == source_id and edge.target_id in among and edge.directed
    }


def _ours(memory: AgentMemory, edges: Iterable[MemoryEdge]) -> list[MemoryEdge]:
    """Return the edges that a command of ours added; an edge with a chosen id was not."""
    made_here: dict[str, bool] = {}

    def is_ours(edge: MemoryEdge) -> bool:
        position = edge.id.partition(".")[0]
        if not position.isdecimal():
            return False
        if position not in made_here:
            changes = memory.log(int(position), int(position))
            made_here[position] = any(change.command_id.startswith(COMMAND_PREFIX) for change in changes)
        return made_here[position]

    return [edge for edge in edges if is_ours(edge)]


def _batches(given: Sequence[_T], told: Callable[[int], None] | None) -> Iterator[Sequence[_T]]:
    """Give parts of a command's size, telling after each how many are done."""
    for start in range(0, len(given), _BATCH):
        batch = given[start : start + _BATCH]
        yield batch
        if told is not None:
            told(start + len(batch))


def _command_id() -> str:
    return f"{COMMAND_PREFIX}{RandomIds().command_id()}"
