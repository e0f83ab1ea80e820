"""Which records a log need not keep: a retention policy, and the plan that follows from it (decision 0007). Pure.

Two kinds of records may be replaced by their hashes. Those that hold only accesses, once what they came to is said
anew (``AccessesFolded``). And those that hold only events about memories that were forgotten long ago.

What must hold: the records that are left come to the same state. So a record that forgets is always kept, and one that
mixes what may go with anything else is kept whole. Then a memory that is alive at some position of what is left was
alive there in the whole log, too, in the same life; and of one that is alive at the end only accesses are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Final, NamedTuple

from msgspec import Struct

from memorygraph.actors.command_table import KEPT_US
from memorygraph.events import records as ev
from memorygraph.events.records import EVENT_CODES, Record, decode_record, unpack_event

_ADDED: Final = EVENT_CODES[ev.NodeAdded]
_FORGOTTEN: Final = EVENT_CODES[ev.NodesForgotten]
_FOLDED: Final = EVENT_CODES[ev.AccessesFolded]
_ACCESSES: Final = frozenset({EVENT_CODES[ev.AccessesRecorded], _FOLDED})

Records = Callable[[], Iterable[tuple[int, bytes]]]


class RetentionPolicy(Struct, frozen=True, kw_only=True):
    """What a log keeps; None: for ever.

    Args:
        keep_accesses: who was recalled when. What is older is folded: how often each memory was recalled, when last and
            the last 128 times stay.
        keep_access_positions: fold also what is further back than so many records.
        keep_forgotten: the content of forgotten memories, counted from when they were forgotten.
    """

    keep_accesses: timedelta | None = timedelta(days=30)
    keep_access_positions: int | None = None
    keep_forgotten: timedelta | None = None

    def __str__(self) -> str:
        parts = []
        if self.keep_accesses is not None:
            parts.append(f"accesses older than {_days(self.keep_accesses)}")
        if self.keep_access_positions is not None:
            parts.append(f"accesses beyond {self.keep_access_positions} records")
        if self.keep_forgotten is not None:
            parts.append(f"memories forgotten for {_days(self.keep_forgotten)}")
        return ", ".join(parts)


class Plan(Struct, frozen=True):
    """What is to be done: which records to replace, and which nodes' accesses to say anew before that.

    ``memories`` are forgotten ones of which something leaves; ``replaced`` is how many records were replaced before.
    """

    positions: frozenset[int] = frozenset()
    fold: tuple[str, ...] = ()
    memories: int = 0
    replaced: int = 0


class CompactionReport(Struct, frozen=True):
    """What a compaction did: records replaced by their hashes, and the bytes that the log took before and after.

    ``folded`` are memories whose accesses were said anew, ``memories`` forgotten ones of which something left the log,
    ``position`` is where the log tells of it (0: nothing was to be replaced).
    """

    replaced: int = 0
    folded: int = 0
    memories: int = 0
    position: int = 0
    bytes_before: int = 0
    bytes_after: int = 0


class _Life(NamedTuple):
    """One life of an id: where it was added and where it was forgotten."""

    first: int
    last: int


def plan(records: Records, policy: RetentionPolicy, now_us: int, head: int, *, is_live: Callable[[str], bool]) -> Plan:
    """Find the records that a policy does not keep.

    Args:
        records: gives (position, bytes) of the log's records, each time it is called; empty bytes where only the hash
            is kept.
        now_us: the time to count back from; ``head``: the position to count back from.
        is_live: whether a node is in the graph at the end.
    """
    cutoff_us = None if policy.keep_forgotten is None else _before(now_us, policy.keep_forgotten)
    history = _History(cutoff_us)
    for position, data in records():
        history.take(position, data)
    access_us = None if policy.keep_accesses is None else _before(now_us, policy.keep_accesses)
    back = policy.keep_access_positions
    judge = _Judge(history, now_us, access_us, 0 if back is None else head - back, is_live)
    for position, data in records():
        if data:
            judge.take(position, decode_record(data, position))
    return judge.plan()


class _History:
    """A first look: the lives that ended long ago, and where accesses were folded last."""

    def __init__(self, cutoff_us: int | None) -> None:
        self.replaced = 0
        self.last_folds: dict[str, int] = {}
        self._cutoff_us = cutoff_us
        self._births: dict[str, int] = {}
        self._ended: dict[str, list[_Life]] = {}

    def take(self, position: int, data: bytes) -> None:
        """Look at the next record."""
        if not data:
            self.replaced += 1
            return
        record = decode_record(data, position)
        for packed in record.events:
            if packed.type == _FOLDED:
                self.last_folds |= dict.fromkeys(_unpacked(packed, position).ids, position)
            elif self._cutoff_us is not None and packed.type in (_ADDED, _FORGOTTEN):
                self._live_and_die(_unpacked(packed, position), position, record.time_us)

    def _live_and_die(self, event: ev.NodeAdded | ev.NodesForgotten, position: int, time_us: int) -> None:
        if isinstance(event, ev.NodeAdded):
            self._births[event.id] = position
            return
        for node_id in event.ids:
            first = self._births.pop(node_id, 0)  # 0: its beginning was replaced
            if self._cutoff_us is not None and time_us <= self._cutoff_us:
                self._ended.setdefault(node_id, []).append(_Life(first, position))

    @property
    def has_ended(self) -> bool:
        """Whether any life ended long ago."""
        return bool(self._ended)

    def ended_life(self, node_id: str, position: int) -> _Life | None:
        """Return the life that ended long ago and that an event at that position, which forgets nothing, is about."""
        return next((life for life in self._ended.get(node_id, ()) if life.first <= position < life.last), None)


class _Judge:
    """A second look: which records may go."""

    def __init__(
        self,
        history: _History,
        now_us: int,
        access_us: int | None,
        access_position: int,
        is_live: Callable[[str], bool],
    ) -> None:
        self._history = history
        self._young_us = now_us - KEPT_US
        self._access_us = access_us
        self._access_position = access_position
        self._is_live = is_live
        self._positions: set[int] = set()
        self._fold: dict[str, None] = {}
        self._folds: list[tuple[int, tuple[str, ...]]] = []  # records that fold, due themselves
        self._lives: set[tuple[str, _Life]] = set()  # of which something goes

    def take(self, position: int, record: Record) -> None:
        """Judge the next record."""
        types = {packed.type for packed in record.events}
        if not types or self._may_be_sent_again(record):
            return
        if types <= _ACCESSES and self._is_due(position, record.time_us):
            self._take_accesses(position, record)
        elif self._history.has_ended:
            events = [unpack_event(packed, position) for packed in record.events]
            lives: set[tuple[str, _Life]] = set()
            if all(self._is_over(event, position, lives) for event in events):
                self._positions.add(position)
                self._lives |= lives

    def plan(self) -> Plan:
        """Return what was found. A record that folds may go when all that it tells of is folded later."""
        for position, ids in self._folds:
            if all(
                one in self._fold or self._history.last_folds[one] > position or not self._is_live(one) for one in ids
            ):
                self._positions.add(position)
        return Plan(frozenset(self._positions), tuple(self._fold), len(self._lives), self._history.replaced)

    def _may_be_sent_again(self, record: Record) -> bool:
        """Whether somebody may still send the record's command again, and must then get its result."""
        return bool(record.body_hash) and record.time_us > self._young_us

    def _is_due(self, position: int, time_us: int) -> bool:
        return position <= self._access_position or (self._access_us is not None and time_us <= self._access_us)

    def _take_accesses(self, position: int, record: Record) -> None:
        ids = tuple(dict.fromkeys(one for packed in record.events for one in _unpacked(packed, position).ids))
        if all(packed.type == _FOLDED for packed in record.events):
            self._folds.append((position, ids))
            return
        self._positions.add(position)
        last_folds = self._history.last_folds
        self._fold |= dict.fromkeys(one for one in ids if last_folds.get(one, 0) <= position and self._is_live(one))

    def _is_over(self, event: ev.Event, position: int, lives: set[tuple[str, _Life]]) -> bool:
        """Whether an event is about lives that ended long ago and nothing else; these are added to ``lives``."""

        def over(node_id: str) -> bool:
            life = self._history.ended_life(node_id, position)
            if life is not None:
                lives.add((node_id, life))
            return life is not None

        match event:
            case ev.NodeAdded() | ev.NodeRevised():
                return over(event.id)
            case (
                ev.NodesReinforced()
                | ev.AccessesFolded()
                | ev.VectorsAdded()
                | ev.ReviewsRecorded()
                | ev.ReviewsEnded()
                | ev.AttentionLost()
            ):
                return all(map(over, event.ids))
            case ev.AccessesRecorded():
                return all(map(over, event.ids + event.shown))
            case ev.EdgesAdded():  # an edge goes with either end
                return all(over(one) or over(other) for one, other in zip(event.sources, event.targets, strict=True))
            case ev.EdgeRevised():
                return any(map(over, event.nodes))
            case ev.EdgesStrengthened() | ev.EdgesRemoved():  # whose ends the nodes are is not said
                return bool(event.nodes) and all(map(over, event.nodes))
        return False  # what says that they are gone stays, as what it is about may stay in a record with others


def chunks(ids: Iterable[str], bytes_of: Callable[[str], int], size_bytes: int) -> Iterator[list[str]]:
    """Cut ids into lists of about ``size_bytes`` bytes of what is to be said of them."""
    chunk: list[str] = []
    total = 0
    for node_id in ids:
        if total > size_bytes:
            yield chunk
            chunk, total = [], 0
        chunk.append(node_id)
        total += bytes_of(node_id)
    if chunk:
        yield chunk


def _unpacked(packed: ev.PackedEvent, position: int) -> Any:
    return unpack_event(packed, position)


def _before(now_us: int, length: timedelta) -> int:
    return now_us - length // timedelta(microseconds=1)


def _days(length: timedelta) -> str:
    days = length / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}"
