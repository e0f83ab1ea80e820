"""What readers hand to ``sync``: items to remember and the connections between them, named by their sources.

Readers (``git.py``, ``markdown.py``, ``docstrings.py``, ``chat.py``) know nothing of a memory. The same input gives
the same harvest, item by item, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from memorygraph.events.types import EdgeType, MemoryType

Progress = Callable[[str, int, int | None], None]
"""Told (stage, how many are done, of how many or None when that is not known yet)."""

ITEM_BYTES_MAX = 64 << 10
"""Longer texts are split or cut: a memory that answers a question is rarely longer than a chapter."""

_LABEL_LENGTH_MAX = 200


class Item(Struct, frozen=True, gc=False):
    """One memory to be. ``source`` is its identity; ``occurred_at`` is in Unix seconds, None for what has no date."""

    source: str
    content: str
    memory_type: MemoryType
    occurred_at: float | None = None
    speaker: str | None = None
    session: str | int | None = None
    tags: tuple[str, ...] = ()


class Connection(Struct, frozen=True, gc=False):
    """A directed edge from the item with one source to the item with another; ``weight`` is 0..1."""

    source: str
    target: str
    edge_type: EdgeType
    weight: float


class Harvest(Struct, frozen=True):
    """What was read: items in birth order, connections between them, and one-line remarks for the user.

    ``skipped`` are files and folders that could not be read now. ``origins`` names where it comes from, the best name
    first; under the others the same place may have been known before (a shallow clone has no root commit to go by).
    """

    items: tuple[Item, ...]
    connections: tuple[Connection, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


def distinct(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return the items without those whose source was seen before."""
    return tuple({item.source: item for item in reversed(list(items))}.values())[::-1]


def between(items: Iterable[Item], connections: Iterable[Connection]) -> tuple[Connection, ...]:
    """Return the connections whose two ends are different items of ``items``, each pair of ends and type once."""
    sources = {item.source for item in items}
    kept: dict[tuple[str, str, EdgeType], Connection] = {}
    for one in connections:
        if one.source != one.target and one.source in sources and one.target in sources:
            kept.setdefault((one.source, one.target, one.edge_type), one)
    return tuple(kept.values())


def cut(text: str) -> str:
    """Return the text, shortened to ``ITEM_BYTES_MAX`` bytes of UTF-8; a lone surrogate becomes a question mark."""
    return text.encode(errors="replace")[:ITEM_BYTES_MAX].decode(errors="ignore")


def label(text: str | None) -> str | None:
    """Return a name as memories take it: printable and not too long; None where nothing is left of it."""
    readable = "".join(letter if letter.isprintable() else " " for letter in text or "")
    return " ".join(readable.split())[:_LABEL_LENGTH_MAX] or None


def pieces(text: str, size_bytes: int = ITEM_BYTES_MAX) -> list[str]:
    """Split a text at blank lines into pieces of at most ``size_bytes`` (>= 4) of UTF-8; a longer paragraph is cut.

    Always gives at least one piece, which may be empty.
    """
    done: list[str] = []
    held: list[str] = []
    held_bytes = -2
    for paragraph in text.split("\n\n"):
        for part in _hard_pieces(paragraph, size_bytes):
            part_bytes = len(part.encode())
            if held and held_bytes + 2 + part_bytes > size_bytes:
                done.append("\n\n".join(held))
                held, held_bytes = [], -2
            held.append(part)
            held_bytes += 2 + part_bytes
    return [*done, "\n\n".join(held)]


def _hard_pieces(paragraph: str, size_bytes: int) -> list[str]:
    if len(paragraph) * 4 <= size_bytes:
        return [paragraph]
    data = paragraph.encode()
    parts: list[str] = []
    while data:
        parts.append(data[:size_bytes].decode(errors="ignore"))  # never half a character
        data = data[len(parts[-1].encode()) :]
    return parts
