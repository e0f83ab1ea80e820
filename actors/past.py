"""Views of the past that were asked for lately, kept while they fit into a number of bytes.

A view is a Frame of its own, made from a snapshot and the records behind it. What it has in common with the newest
state (texts, vectors, ids, chunks that did not change) it shares; so a view costs what differs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from memorygraph.actors.shard import Shard
from memorygraph.projections.frame import Frame
from memorygraph.projections.sharing import held_by, held_bytes


class PastViews:
    """Shards at past positions, the least recently used ones dropped first; safe to use from several threads."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._shards: OrderedDict[int, Shard] = OrderedDict()
        self._measured: dict[int, int] = {}  # bytes of the parts that views hold, by the part's id
        self._lock = threading.Lock()

    def get(self, position: int) -> Shard | None:
        """Return the view of a position, if it is kept."""
        with self._lock:
            if position in self._shards:
                self._shards.move_to_end(position)
            return self._shards.get(position)

    def put(self, position: int, shard: Shard, live: Frame) -> None:
        """Keep a view, and drop others until what they hold beside the newest state fits."""
        with self._lock:
            self._shards[position] = shard
            self._shards.move_to_end(position)
            while self._shards and self._size_bytes(live) > self.bytes_max:
                self._shards.popitem(last=False)

    def size_bytes(self, live: Frame) -> int:
        """Return the bytes that the views hold and the newest state does not."""
        with self._lock:
            return self._size_bytes(live)

    def __len__(self) -> int:
        return len(self._shards)

    def _size_bytes(self, live: Frame) -> int:
        shared = {id(part) for part in held_by(live)}
        own = {
            id(part): part for shard in self._shards.values() for part in held_by(shard.frame) if id(part) not in shared
        }
        # A part's bytes are counted once: values of objects are many.
        self._measured = {key: self._measured.get(key) or held_bytes(part) for key, part in own.items()}
        return sum(self._measured.values()) + sum(shard.index_bytes() for shard in self._shards.values())
