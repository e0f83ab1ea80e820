"""``WorkingMemoryBuffer``: what an agent attends to right now: few items, in slots, fading and crowding each other out.

After Baddeley (2000): a phonological and a visuospatial loop, an episodic buffer and one focus of attention (central),
each with a capacity of its own, and one for all together (Miller's seven). Nothing in here is remembered by itself, and
nothing depends on chance: given the same calls at the same times it holds the same.

With ``memory=`` that memory's log tells what fell out of attention (``AttentionLost``); nothing else changes by it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from memorygraph import checks
from memorygraph.actors.commands import LoseAttention
from memorygraph.core.graph import MemoryGraph
from memorygraph.core.node import MemoryNode
from memorygraph.events.errors import InputError, StoreReadOnly, WorkingMemoryCapacityError
from memorygraph.events.ports import Clock, SystemClock
from memorygraph.events.records import AttentionLost
from memorygraph.events.types import WorkingMemorySlot
from memorygraph.reader import MemoryReader
from memorygraph.times import to_seconds

__all__ = ["WorkingMemoryBuffer", "WorkingMemoryItem", "WorkingMemorySlot"]

SLOT_CAPACITIES: Final = {
    WorkingMemorySlot.PHONOLOGICAL: 7,
    WorkingMemorySlot.VISUOSPATIAL: 4,
    WorkingMemorySlot.EPISODIC: 4,
    WorkingMemorySlot.CENTRAL: 1,
}
POLICIES: Final = ("lru_activation", "lru", "lfu")
LOST_BELOW: Final = 0.01  # an activation that nothing brings back
REHEARSAL: Final = 0.3  # what rehearsing adds to an activation
SIMILAR: Final = 0.8  # a cosine above which items interfere
CAPACITY_MAX: Final = 100_000
EVICTED: Final = "evicted"
DECAYED: Final = "decayed"


@dataclass(frozen=True, slots=True)
class WorkingMemoryItem:
    """A memory in working memory, as it was when it was handed out. Times are Unix seconds.

    ``activation`` is in 0..1. ``priority`` in 0..1 weighs it when the buffer is full. ``rehearsals`` counts how often
    it was attended to again.
    """

    node: MemoryNode
    slot: WorkingMemorySlot
    activation: float
    priority: float
    entered_at: float
    used_at: float
    rehearsals: int = 0


Listener = Callable[[WorkingMemoryItem], object]


class WorkingMemoryBuffer:
    """A bounded buffer of attention; safe to use from several threads.

    Activations decay with time; ``tick`` lets go of what has faded, and is to be called now and then.

    Args:
        capacity: items in all slots together.
        decay_rate: activation falls as e^(-decay_rate t), t in seconds.
        interference_rate: what a new item takes from each one that resembles it (cosine c > 0.8): activation is
            multiplied by 1 - interference_rate c.
        eviction_policy: who leaves a full slot or buffer: "lru_activation" (the least activation times priority),
            "lru" (used longest ago), "lfu" (rehearsed least). Whoever was used longest ago leaves first among equals.
        slot_capacities: other capacities than 7 phonological, 4 visuospatial, 4 episodic, 1 central.
        memory: in whose log it is told what fell out of attention; an ``AgentMemory`` or a ``MemoryGraph``.
        clock: where the time comes from.

    Attributes:
        on_evict: called with an item that fell out, by eviction or decay. on_enter: with one that came in. Both after
            the fact and outside of the lock; what they raise reaches the caller.

    Raises:
        InputError: a value that cannot be used.
        StoreReadOnly: the memory cannot be written to.
    """

    def __init__(
        self,
        capacity: int = 7,
        decay_rate: float = 0.05,
        interference_rate: float = 0.1,
        eviction_policy: str = "lru_activation",
        *,
        slot_capacities: Mapping[WorkingMemorySlot | str, int] | None = None,
        memory: MemoryReader | MemoryGraph | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.capacity = checks.count("capacity", capacity, 1, CAPACITY_MAX)
        self.decay_rate = checks.number("decay_rate", decay_rate, 0.0, math.inf)
        self.interference_rate = checks.number("interference_rate", interference_rate, 0.0, 1.0)
        self.eviction_policy = checks.one_of("eviction_policy", eviction_policy, POLICIES)
        self.slot_capacities = SLOT_CAPACITIES | {
            WorkingMemorySlot.of(slot): checks.count("a slot's capacity", count, 0, CAPACITY_MAX)
            for slot, count in (slot_capacities or {}).items()
        }
        self._memory = _writable(memory)
        self._clock = clock or SystemClock()
        self._items: dict[str, WorkingMemoryItem] = {}  # the one used longest ago first
        self._decayed_s = self._now_s()
        self._lock = threading.RLock()
        self._hits = self._misses = self._lost = 0
        self.on_evict: Listener | None = None
        self.on_enter: Listener | None = None

    def push(
        self,
        node: MemoryNode,
        slot: WorkingMemorySlot | str | None = None,
        activation: float = 1.0,
        priority: float | None = None,
    ) -> WorkingMemoryItem:
        """Attend to a memory; if its slot or the buffer is full, another leaves.

        One that is there already is rehearsed, is at least as active as given, and keeps its slot and priority if none
        are named.

        Args:
            slot: default: episodic. activation, priority: 0..1; the default priority is 0.5.

        Raises:
            WorkingMemoryCapacityError: the slot has no room for anything.
        """
        if not isinstance(node, MemoryNode):
            raise InputError(f"push needs a MemoryNode, not {checks.shown(node)}")
        wanted = None if slot is None else WorkingMemorySlot.of(slot)
        level = checks.number("activation", activation, 0.0, 1.0)
        weight = None if priority is None else checks.number("priority", priority, 0.0, 1.0)
        with self._lock:
            self._decay()
            before = self._items.get(node.id)
            if before is None:
                self._misses += 1
                item = self._new(node, wanted or WorkingMemorySlot.EPISODIC, level, 0.5 if weight is None else weight)
            else:
                self._hits += 1
                item = self._again(before, wanted or before.slot, level, before.priority if weight is None else weight)
            lost = self._make_room(item)
            if before is None:
                self._interfere(node)
            self._use(item)
        self._tell(lost, EVICTED)
        if before is None and self.on_enter is not None:
            self.on_enter(item)
        return item

    def get(self, node_id: str | MemoryNode) -> WorkingMemoryItem | None:
        """Return an item and rehearse it; None if it is not here. ``id in buffer`` only looks."""
        with self._lock:
            self._decay()
            before = self._items.get(_id(node_id))
            if before is None:
                self._misses += 1
                return None
            self._hits += 1
            return self._use(self._rehearsed(before))

    def contains(self, node_id: str | MemoryNode) -> bool:
        """Whether a memory is here."""
        return _id(node_id) in self._items

    def remove(self, node_id: str | MemoryNode) -> WorkingMemoryItem | None:
        """Take an item out and return it; None if it was not here. It was put away, not lost: nobody is told."""
        with self._lock:
            return self._items.pop(_id(node_id), None)

    def clear(self) -> None:
        """Put everything away."""
        with self._lock:
            self._items.clear()

    def tick(self, elapsed: float | None = None) -> list[str]:
        """Let go of what has faded (activation below 0.01); return its ids, what was used longest ago first.

        Args:
            elapsed: let activations decay by so many seconds more than the clock says have passed.
        """
        more_s = 0.0 if elapsed is None else checks.number("elapsed", elapsed, 0.0, math.inf)
        with self._lock:
            self._decay(more_s)
            lost = [item for item in self._items.values() if item.activation < LOST_BELOW]
            for item in lost:
                del self._items[item.node.id]
            self._lost += len(lost)
        self._tell(lost, DECAYED)
        return [item.node.id for item in lost]

    def rehearse_all(self, slot: WorkingMemorySlot | str | None = None) -> None:
        """Rehearse everything, or one slot: activations rise by 0.3, up to 1."""
        wanted = None if slot is None else WorkingMemorySlot.of(slot)
        with self._lock:
            for item in self:
                if wanted is None or item.slot is wanted:
                    self._use(self._rehearsed(item))

    def focus(self) -> WorkingMemoryItem | None:
        """Return what is in the focus of attention: the most active item of the central slot; None: nothing."""
        central = [item for item in self if item.slot is WorkingMemorySlot.CENTRAL]
        return max(central, key=lambda item: item.activation, default=None)

    def set_focus(self, node_id: str | MemoryNode) -> bool:
        """Move an item to the focus of attention, and what was there to the episodic buffer; False: it is not here."""
        with self._lock:
            self._decay()
            item = self._items.get(_id(node_id))
            if item is None:
                return False
            lost: list[WorkingMemoryItem] = []
            if item.slot is not WorkingMemorySlot.CENTRAL:
                central = WorkingMemorySlot.CENTRAL
                self._require_room(central)
                del self._items[item.node.id]
                if self._count(central) >= self.slot_capacities[central]:
                    lost = self._step_back(self._victim(central))
                self._use(replace(item, slot=central))
        self._tell(lost, EVICTED)
        return True

    def active_nodes(
        self, min_activation: float = 0.1, slot: WorkingMemorySlot | str | None = None
    ) -> list[WorkingMemoryItem]:
        """Return the items that are at least so active, the most active first."""
        least = checks.number("min_activation", min_activation, 0.0, 1.0)
        wanted = None if slot is None else WorkingMemorySlot.of(slot)
        items = [item for item in self if item.activation >= least and (wanted is None or item.slot is wanted)]
        return sorted(items, key=lambda item: (-item.activation, item.node.id))

    def most_recent(self, n: int = 5) -> list[WorkingMemoryItem]:
        """Return the items that came in last, the newest first."""
        newest = sorted(self, key=lambda item: item.entered_at)[::-1]
        return newest[: checks.count("n", n, 0, CAPACITY_MAX)]

    def snapshot(self) -> dict[str, Any]:
        """Return what it holds and did, as plain data: size, capacity, utilization, hits, misses, evictions, items."""
        with self._lock:
            items = self.active_nodes(0.0)
            return {
                "size": len(items),
                "capacity": self.capacity,
                "utilization": len(items) / self.capacity,
                "hits": self._hits,
                "misses": self._misses,
                "evictions": self._lost,
                "items": [
                    {
                        "node_id": item.node.id,
                        "slot": item.slot.value,
                        "activation": item.activation,
                        "priority": item.priority,
                        "entered_at": item.entered_at,
                        "rehearsals": item.rehearsals,
                    }
                    for item in items
                ],
            }

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, node_id: object) -> bool:
        return isinstance(node_id, str | MemoryNode) and self.contains(node_id)

    def __iter__(self) -> Iterator[WorkingMemoryItem]:
        with self._lock:
            self._decay()
            return iter(list(self._items.values()))

    def __repr__(self) -> str:
        return f"<WorkingMemoryBuffer {len(self)} of {self.capacity}>"

    def _now_s(self) -> float:
        return to_seconds(self._clock.now_us())

    def _decay(self, more_s: float = 0.0) -> None:
        """Bring all activations to now."""
        now_s = self._now_s()
        passed_s, self._decayed_s = max(0.0, now_s - self._decayed_s) + more_s, now_s
        left = math.exp(-self.decay_rate * passed_s) if passed_s and self.decay_rate else 1.0
        if left < 1.0:
            for node_id, item in self._items.items():
                self._items[node_id] = replace(item, activation=item.activation * left)

    def _new(self, node: MemoryNode, slot: WorkingMemorySlot, level: float, weight: float) -> WorkingMemoryItem:
        now_s = self._now_s()
        return WorkingMemoryItem(node, slot, level, weight, now_s, now_s)

    def _again(
        self, before: WorkingMemoryItem, slot: WorkingMemorySlot, level: float, weight: float
    ) -> WorkingMemoryItem:
        item = self._rehearsed(before)
        return replace(item, slot=slot, activation=max(item.activation, level), priority=weight)

    def _rehearsed(self, item: WorkingMemoryItem) -> WorkingMemoryItem:
        activation = min(1.0, item.activation + REHEARSAL)
        return replace(item, activation=activation, used_at=self._now_s(), rehearsals=item.rehearsals + 1)

    def _use(self, item: WorkingMemoryItem) -> WorkingMemoryItem:
        """Put an item in, as the one used last."""
        self._items.pop(item.node.id, None)
        self._items[item.node.id] = item
        return item

    def _count(self, slot: WorkingMemorySlot) -> int:
        return sum(item.slot is slot for item in self._items.values())

    def _require_room(self, slot: WorkingMemorySlot) -> None:
        if not self.slot_capacities[slot]:
            raise WorkingMemoryCapacityError(
                f"the slot {slot.value} holds nothing: its capacity is 0; use another slot, or slot_capacities=",
                slot=slot.value,
            )

    def _make_room(self, item: WorkingMemoryItem) -> list[WorkingMemoryItem]:
        """Take out whoever must leave before an item can be put in, and return them."""
        self._require_room(item.slot)
        before = self._items.pop(item.node.id, None)
        lost = []
        if self._count(item.slot) >= self.slot_capacities[item.slot]:
            lost.append(self._items.pop(self._victim(item.slot).node.id))
        if before is None and len(self._items) >= self.capacity:
            lost.append(self._items.pop(self._victim(None).node.id))
        self._lost += len(lost)
        return lost

    def _step_back(self, item: WorkingMemoryItem) -> list[WorkingMemoryItem]:
        """Move an item from the focus to the episodic buffer, and return who must leave there for it."""
        episodic = WorkingMemorySlot.EPISODIC
        if not self.slot_capacities[episodic]:
            self._lost += 1
            return [self._items.pop(item.node.id)]
        lost = []
        if self._count(episodic) >= self.slot_capacities[episodic]:
            lost.append(self._items.pop(self._victim(episodic).node.id))
            self._lost += 1
        self._items[item.node.id] = replace(item, slot=episodic)
        return lost

    def _victim(self, slot: WorkingMemorySlot | None) -> WorkingMemoryItem:
        """Return who leaves: of a slot, or of all; the first of equals, which was used longest ago."""
        items: Iterable[WorkingMemoryItem] = self._items.values()
        if slot is not None:
            items = [item for item in items if item.slot is slot]
        if self.eviction_policy == "lru":
            return next(iter(items))
        if self.eviction_policy == "lfu":
            return min(items, key=lambda item: item.rehearsals)
        return min(items, key=lambda item: item.activation * item.priority)

    def _interfere(self, node: MemoryNode) -> None:
        """Weaken what resembles a new item."""
        vector = node.embedding if self.interference_rate else None
        if vector is None:
            return
        for node_id, item in self._items.items():
            alike = _cosine(vector, item.node.embedding)
            if alike > SIMILAR:
                left = item.activation * (1.0 - self.interference_rate * alike)
                self._items[node_id] = replace(item, activation=left)

    def _tell(self, lost: list[WorkingMemoryItem], reason: str) -> None:
        """Say what fell out: to the memory first, then to the listener."""
        if lost and self._memory is not None:
            event = AttentionLost(
                ids=tuple(item.node.id for item in lost),
                slots=tuple(item.slot.code for item in lost),
                activations=tuple(item.activation for item in lost),
                reason=reason,
            )
            self._memory._home.execute(LoseAttention(lost=event))
        for item in lost:
            if self.on_evict is not None:
                self.on_evict(item)


def _id(node: str | MemoryNode) -> str:
    return node.id if isinstance(node, MemoryNode) else node


def _cosine(one: Any, other: Any) -> float:
    if other is None or one.shape != other.shape:
        return 0.0
    length = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(np.dot(one, other)) / length if length else 0.0


def _writable(memory: MemoryReader | MemoryGraph | None) -> MemoryReader | MemoryGraph | None:
    if memory is None:
        return None
    if not isinstance(memory, MemoryReader | MemoryGraph):
        raise InputError(f"memory must be an AgentMemory or a MemoryGraph, not {checks.shown(memory)}")
    if memory._home.engine.read_only:
        raise StoreReadOnly("a working memory writes to its memory what fell out of attention; this one is read-only")
    return memory
