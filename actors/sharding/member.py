"""``Member``: one of the shards of a memory. Plain; how they reach each other is a port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from memorygraph.actors import commands as cmd
from memorygraph.actors.shard import Shard, sight_of
from memorygraph.actors.sharding import parts
from memorygraph.actors.sharding.gathering import GATHERED, Gathering
from memorygraph.actors.sharding.kept import KeptFrames
from memorygraph.actors.sharding.parts import Ordered
from memorygraph.actors.sharding.peers import InProcess, Moment, Peers
from memorygraph.actors.sharding.placement import Placement
from memorygraph.actors.sharding.supersteps import Conductances, PassOn, pass_on, spread_together
from memorygraph.actors.sharding.sweeping import SweepOf, Swept, sweep_of, together
from memorygraph.actors.spread_queries import Activated, Spread
from memorygraph.events.ports import Clock, SystemClock
from memorygraph.projections.conductance import Conductance, SpreadRules
from memorygraph.projections.expiry import unexpired
from memorygraph.projections.fading import SweepRules
from memorygraph.projections.frame import Frame
from memorygraph.projections.partial import HOMES, PartialIndex, PartialState, held_nodes, homes_in
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.seen import Seen
from memorygraph.projections.sight import PRESENT, Sight, seen

Mask = NDArray[np.bool_]


class Member(Shard):
    """A shard that has the whole topology, and the texts, vectors and words of its own memories.

    It answers any question: what others keep it asks them for. Applying and publishing is for one thread.

    Args:
        number: of this shard in the placement.
        peers: reaches the other shards.
    """

    def __init__(
        self, number: int, placement: Placement, peers: Peers | None = None, clock: Clock | None = None
    ) -> None:
        self.number = number
        self.placement = placement
        self.peers: Peers = peers or InProcess()
        self._held = placement.homes_of(number)
        self._table = placement.table()
        self._part_state = PartialState(placement.home, self._held)
        self._conductances = Conductances()
        self._ordered: WeakKeyDictionary[Seen, dict[int | None, Ordered]] = WeakKeyDictionary()
        self._kept = KeptFrames(number, clock or SystemClock())
        super().__init__(self._part_state)
        self._kept.add(self.frame)

    @property
    def is_first(self) -> bool:
        """Whether it has the first virtual shard: one of all has to count what belongs to no memory."""
        return 0 in self._held

    def publish(self) -> Frame:
        """Let readers see what was applied, once all is read out of texts that are not kept here."""
        before, frame = self.frame, self._part_state.publish()
        if frame.texts.count > before.texts.count:
            self.catch_up(frame, frame.texts.count)
            self.index(frame).questions.upto(frame.texts)
            self._part_state.let_go(frame)
            frame = self._part_state.publish()
        self._kept.add(frame)
        self.frame = frame
        return frame

    def frame_at(self, position: int, now_us: int = 0) -> Frame:
        """Return the Frame of a position, if it is the newest or was it within the last 250 ms.

        Args:
            now_us: leave out what has expired by then (0: nothing).

        Raises:
            PositionNotKept: it is not.
        """
        frame = self._kept.at(position)
        return unexpired(frame, now_us) if now_us else frame

    def answer(self, position: int, query: cmd.Query, now_us: int = 0) -> Any:
        """Answer a question at a position, together with the other shards.

        Raises:
            InputError: the query does not fit the memory.
            ShardError: this shard or another cannot answer at that position.
        """
        sight, asked = sight_of(query)
        if isinstance(asked, cmd.Digest | cmd.PositionAt):  # those are of the log alone
            now_us = 0
        base = self.frame_at(position, now_us)
        gather, frame = GATHERED.get(type(asked)), seen(base, sight)
        if gather is None or (frame.live_nodes and self.holders(frame) == [self.number] and type(asked) not in _OF_ALL):
            return self.ask(base, query)
        return gather(Gathering(self, frame, Moment(position=position, sight=sight, now_us=now_us)), asked)

    def part(self, moment: Moment, query: cmd.Query) -> Any:
        """Answer another shard from what is kept here."""
        frame = seen(self.frame_at(moment.position, moment.now_us), moment.sight)
        return self.part_of(frame, query)

    def part_of(self, frame: Frame, query: cmd.Query) -> Any:
        """Answer from what is kept here, on a Frame as it is seen."""
        return PARTS[type(query)](self, frame, query)

    def spread_together(
        self, position: int, queries: Sequence[Spread], sight: Sight = PRESENT, now_us: int = 0
    ) -> list[Activated]:
        """Answer several questions about activation over the edges of all shards; see ``supersteps.py``.

        Raises:
            NodeNotFoundError: a source is not there.
            ShardError: this shard or another cannot answer at that position.
        """
        frame = seen(self.frame_at(position, now_us), sight)
        return spread_together(Gathering(self, frame, Moment(position=position, sight=sight, now_us=now_us)), queries)

    def sweep(self, position: int, rules: SweepRules, now_us: int) -> Swept:
        """Return what all shards propose for their memories; see ``sweeping.py``.

        Raises:
            ShardError: this shard or another cannot answer at that position.
        """
        frame = seen(self.frame_at(position), PRESENT)
        gathering = Gathering(self, frame, Moment(position=position, sight=PRESENT))
        return together(gathering.ask_holders(SweepOf(rules=rules, now_us=now_us)).values())

    def conductance(self, frame: Frame, rules: SpreadRules, now_us: int) -> Conductance:
        """Return how a Frame's arcs pass activation on; kept for the steps that follow."""
        return self._conductances.of(frame, rules, now_us)

    def part_index(self, frame: Frame) -> PartialIndex:
        """Return the recall index as what it is."""
        index = self.index(frame)
        assert isinstance(index, PartialIndex)
        return index

    def own_nodes(self, frame: Frame) -> Mask:
        """Return which nodes are kept here, shape (node rows,)."""
        return held_nodes(frame, self._held)

    def owners(self, frame: Frame) -> NDArray[np.int64]:
        """Return the shard of each node, shape (node rows,)."""
        return homes_in(frame, self._table)

    def holders(self, frame: Frame, nodes: Mask | None = None) -> list[int]:
        """Return the shards that keep some nodes, or any that is seen, ascending."""
        assert frame.homes is not None  # it is a part's
        counts = np.bincount(frame.homes.column("home")[frame.live_rows() if nodes is None else nodes], minlength=HOMES)
        return sorted({shard for shard, count in zip(self.placement.shards, counts.tolist(), strict=True) if count})

    def ordered(self, seen: Seen, shard: int | None = None) -> Ordered:
        """Return what is seen of a shard (None: of all) in the order that places count; kept as long as that."""
        known = self._ordered.setdefault(seen, {})
        if shard not in known:
            mask = seen.nodes if shard is None else seen.nodes & (self.owners(seen.frame) == shard)
            known[shard] = parts.ordered(seen.frame, mask)
        return known[shard]

    def _made_index(self, language: str) -> RecallIndex:
        return PartialIndex(language, self._held)


_OF_ALL: Final = (cmd.Digest, cmd.Summary)
PARTS: Final[dict[type[cmd.Query], Callable[[Member, Frame, Any], Any]]] = parts.ANSWERS | {
    PassOn: pass_on,
    SweepOf: sweep_of,
}
