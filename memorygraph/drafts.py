"""What callers give, as the events and commands it becomes: items, turns, and chunks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from memorygraph import checks
from memorygraph.core.node import MemoryNode, revision
from memorygraph.events.errors import InputError
from memorygraph.events.records import NodeAdded, NodeRevised
from memorygraph.events.types import ConsolidationState, DecayFunction, Limits, MemoryType
from memorygraph.times import expiry_us, to_us

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
        "expires_at",
        "supersedes",
    }
)


class Draft(NamedTuple):
    """A memory to add: its event (without an id, unless one was chosen) and the ids of those whose place it takes."""

    event: NodeAdded
    supersedes: list[str]


def draft_of(item: str | Mapping[str, Any], decay_rate: float, limits: Limits) -> Draft:
    """Check what ``remember`` was given and return it as a draft.

    Raises:
        InputError: an unknown field, or a value that cannot be used.
    """
    if isinstance(item, str):
        item = {"content": item}
    if not isinstance(item, Mapping):
        raise InputError(f"a memory must be a text or a dict of remember's arguments, not {checks.shown(item)}")
    unknown = [name for name in item if name not in _REMEMBER_FIELDS]
    if unknown or "content" not in item:
        problem = f"has an unknown field {checks.shown(unknown[0])}" if unknown else "has no content"
        raise InputError(f"a memory {problem}; fields are {', '.join(sorted(_REMEMBER_FIELDS))}")
    get = item.get
    occurred_at, node_id = get("occurred_at"), get("node_id")
    event = NodeAdded(
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
        expires_us=expiry_us(get("expires_at")),
    )
    return Draft(event, _superseded(get("supersedes")))


def _superseded(given: Any) -> list[str]:
    if given is None:
        return []
    several = [given] if isinstance(given, str | MemoryNode) else checks.several("supersedes", given)
    return [checks.identifier("supersedes", id_of(node)) for node in several]


def turn_of(message: Mapping[str, Any], session: str | int | None) -> dict[str, Any]:
    """Return a turn of a conversation as an item.

    Raises:
        InputError: it has no role or no content.
    """
    if not isinstance(message, Mapping) or "content" not in message or "role" not in message:
        raise InputError(
            f"a message needs 'role' and 'content', and may have 'name' and 'time'; this is {checks.shown(message)}"
        )
    return {
        "content": message["content"],
        "speaker": message.get("name") or message["role"],
        "session": session,
        "occurred_at": message.get("time"),
    }


def change_of(change: Mapping[str, Any], limits: Limits) -> NodeRevised:
    """Return what ``revise_many`` was given for one memory as an event.

    Raises:
        InputError: it has no id, an unknown field, or a value that cannot be used.
    """
    if not isinstance(change, Mapping) or "id" not in change:
        raise InputError(f"a change needs 'id' and the fields to replace; this is {checks.shown(change)}")
    return revision(change["id"], {name: value for name, value in change.items() if name != "id"}, limits)


def id_of(node: str | MemoryNode) -> str:
    """Return the id of a node, or the id itself."""
    return node.id if isinstance(node, MemoryNode) else node


def size_bytes(event: Struct) -> int:
    """Return about how many bytes an item takes in the log."""
    return len(_encode(event))


_encode: Final = msgspec.msgpack.Encoder().encode


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
