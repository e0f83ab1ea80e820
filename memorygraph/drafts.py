"""What callers give, as the events and commands it becomes: items, turns, links, and chunks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from memorygraph import checks
from memorygraph.core.edge import MemoryEdge
from memorygraph.core.node import MemoryNode
from memorygraph.events.errors import InputError
from memorygraph.events.records import NodeAdded
from memorygraph.events.types import ConsolidationState, DecayFunction, EdgeType, Limits, MemoryType
from memorygraph.times import to_us

T = TypeVar("T")
CHUNK_ITEMS: Final = 1000
CHUNK_BYTES: Final = 4 << 20

_REMEMBER_FIELDS: Final = frozenset(
    {
        "content",
        "importance",
        "tags",
        "memory_type",
        "metadata",
        "emotional_valence",
        "embedding",
        "confidence",
        "occurred_at",
        "speaker",
        "session",
        "source",
        "node_id",
    }
)


def draft_of(item: Mapping[str, Any], decay_rate: float, limits: Limits) -> NodeAdded:
    """Check what ``remember`` was given and return it as an event (without an id, unless one was chosen).

    Raises:
        InputError: an unknown field, or a value that cannot be used.
    """
    unknown = sorted(set(item) - _REMEMBER_FIELDS)
    if unknown or "content" not in item:
        problem = f"has an unknown field {unknown[0]!r}" if unknown else "has no content"
        raise InputError(f"a memory {problem}; fields are {', '.join(sorted(_REMEMBER_FIELDS))}")
    get = item.get
    occurred_at, node_id = get("occurred_at"), get("node_id")
    return NodeAdded(
        id="" if node_id is None else checks.identifier("node_id", node_id),
        content=checks.content(item["content"], limits),
        memory_type=MemoryType.of(get("memory_type", MemoryType.EPISODIC)).code,
        importance=checks.number("importance", get("importance", 0.5), 0.0, 1.0),
        emotional_valence=checks.number("emotional_valence", get("emotional_valence", 0.0), -1.0, 1.0),
        confidence=checks.number("confidence", get("confidence", 1.0), 0.0, 1.0),
        consolidation_state=ConsolidationState.LABILE.code,
        decay_function=DecayFunction.EBBINGHAUS.code,
        decay_rate=decay_rate,
        tags=checks.tags(get("tags"), limits),
        metadata=checks.metadata(get("metadata"), limits),
        occurred_us=None if occurred_at is None else to_us(occurred_at),
        speaker=checks.optional_text("speaker", get("speaker")),
        session=checks.session(get("session")),
        source=checks.optional_text("source", get("source")),
        vector=checks.vector(get("embedding")),
    )


def turn_of(message: Mapping[str, Any], session: str | int | None) -> dict[str, Any]:
    """Return a turn of a conversation as an item.

    Raises:
        InputError: it has no role or no content.
    """
    if not isinstance(message, Mapping) or "content" not in message or "role" not in message:
        raise InputError(f"a message needs 'role' and 'content', and may have 'name' and 'time'; this is {message!r}")
    return {
        "content": message["content"],
        "speaker": message.get("name") or message["role"],
        "session": session,
        "occurred_at": message.get("time"),
    }


def id_of(node: str | MemoryNode) -> str:
    """Return the id of a node, or the id itself."""
    return node.id if isinstance(node, MemoryNode) else node


def edge_of(link: Sequence[Any] | Mapping[str, Any]) -> MemoryEdge:
    """Return a link given as a tuple or a dict as an edge to add."""
    if isinstance(link, Mapping):
        link = [link["source"], link["target"], *(link.get(name, default) for name, default in _LINK_DEFAULTS)]
    source, target, *rest = link
    edge_type, weight, directed, metadata = rest + [default for _, default in _LINK_DEFAULTS[len(rest) :]]
    return MemoryEdge(id_of(source), id_of(target), edge_type, weight, directed=directed, metadata=metadata)


_LINK_DEFAULTS: Final = (("edge_type", EdgeType.ASSOCIATION), ("weight", 0.8), ("directed", True), ("metadata", None))


def chunks_of(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Cut items into lists of at most ``CHUNK_ITEMS`` and about ``CHUNK_BYTES``; ``size`` gives an item's bytes."""
    chunk: list[T] = []
    total = 0
    for item in items:
        bytes_ = size(item)
        if chunk and (len(chunk) == CHUNK_ITEMS or total + bytes_ > CHUNK_BYTES):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += bytes_
    if chunk:
        yield chunk
