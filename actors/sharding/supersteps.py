"""Spreading activation over edges that are divided among shards, in supersteps (bulk-synchronous, Valiant 1990).

For memories whose edges do not fit one shard. Who asks holds the state: what each node has by now. In each step every
shard is sent the nodes of its own that pass activation on, looks up their arcs, and sends back one array: for each node
that something arrives at, how much, and from where most came. A shard reads no edge but those of its own memories, and
keeps nothing between steps. Several questions go through their steps together.

The columns of nodes are those of the asker and of each shard, which have all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct
from msgspec.msgpack import encode
from numpy.typing import NDArray

from memorygraph.actors.commands import Query
from memorygraph.actors.sharding.gathering import Gathering
from memorygraph.actors.sharding.parts import Ordered, Places
from memorygraph.actors.spread_queries import Activated, Spread, activated, seeds_of, wanted
from memorygraph.events.errors import ShardMismatch
from memorygraph.projections.conductance import PPR, SUM, Conductance, SpreadRules
from memorygraph.projections.filters import OPEN
from memorygraph.projections.frame import Frame
from memorygraph.projections.spreading import (
    BACK,
    Activation,
    Frontier,
    Moved,
    Steps,
    combined,
    passed_on,
    spread_steps,
)

if TYPE_CHECKING:
    from memorygraph.actors.sharding.member import Member

ADDING: Final = (SUM, PPR)
KEPT_MAX: Final = 8  # conductances
Rows = NDArray[np.int64]


class Pushed(Struct, frozen=True, kw_only=True):
    """Nodes that pass activation on, in one question: places (i4) in the order of birth of all that is seen, values f8.

    ``kind``: by which shares; see ``spreading.py``.
    """

    kind: str
    rules: SpreadRules
    now_us: int
    places: bytes
    values: bytes


class PassOn(Query, frozen=True, kw_only=True):
    """One superstep of several questions -> ``list[Arrived]``, one for each; ``of`` says which nodes places count."""

    of: Places
    pushed: list[Pushed]


class Arrived(Struct, frozen=True):
    """What arrives, one number per node: places and where most came from i4, amounts f8.

    ``most`` (f8) are the largest parts where amounts are sums, else empty: they are the amounts.
    """

    places: bytes
    origins: bytes
    amounts: bytes
    most: bytes = b""


def spread_together(g: Gathering, queries: Sequence[Spread]) -> list[Activated]:
    """Answer several questions, with at most one message to each shard in a step.

    Raises:
        NodeNotFoundError: a source is not there.
        ShardError: a shard cannot answer at that position.
    """
    run = _Run(g)
    seeds = [seeds_of(g.frame, query) for query in queries]
    visible = g.frame.live_rows()
    steps: dict[int, Steps] = {
        each: spread_steps(g.frame, *seeds[each], query.rules, visible=visible, wanted=wanted(query))
        for each, query in enumerate(queries)
    }
    done: dict[int, Activation] = {}
    arrived: dict[int, Moved | None] = dict.fromkeys(steps)
    while arrived:
        frontiers: dict[int, Frontier] = {}
        for each, moved in arrived.items():
            try:
                frontiers[each] = next(steps[each]) if moved is None else steps[each].send(moved)
            except StopIteration as end:
                done[each] = end.value
        arrived = {**run.step(queries, frontiers)} if frontiers else {}
    return [activated(g.frame, query, seeds[each][0], done[each]) for each, query in enumerate(queries)]


class _Run:
    """The supersteps of some questions at one moment."""

    def __init__(self, g: Gathering) -> None:
        self._g = g
        self._rows, self._place, self._of = g.member.ordered(g.member.index(g.frame).seen_at(g.frame, OPEN))

    def step(self, queries: Sequence[Spread], frontiers: Mapping[int, Frontier]) -> dict[int, Moved]:
        """Return what the nodes of each question pass on."""
        pushed: dict[int, dict[int, Pushed]] = {}
        for each, frontier in frontiers.items():
            owner = self._g.owners[frontier.rows]
            for shard in np.unique(owner).tolist():
                rows = frontier.rows[owner == shard]
                pushed.setdefault(shard, {})[each] = Pushed(
                    kind=frontier.kind,
                    rules=queries[each].rules,
                    now_us=queries[each].now_us,
                    places=self._place[rows].astype("<i4").tobytes(),
                    values=frontier.values[rows].astype("<f8").tobytes(),
                )
        found = self._g.ask({shard: PassOn(of=self._of, pushed=list(some.values())) for shard, some in pushed.items()})
        parts: dict[int, list[Moved]] = {each: [] for each in frontiers}
        for shard, arrived in found.items():
            for each, part in zip(pushed[shard], arrived, strict=True):
                parts[each].append(self._moved(part))
        return {each: _joined(some) for each, some in parts.items()}

    def _moved(self, part: Arrived) -> Moved:
        amounts = np.frombuffer(part.amounts, "<f8")
        most = np.frombuffer(part.most, "<f8") if part.most else amounts
        origins, targets = (self._rows[np.frombuffer(each, "<i4")] for each in (part.origins, part.places))
        return Moved(origins.astype(np.int32), targets.astype(np.int32), amounts, most)


def _joined(parts: Sequence[Moved]) -> Moved:
    none = Moved(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0), np.zeros(0))
    return Moved(*(np.concatenate(column) for column in zip(none, *parts, strict=True)))


def pass_on(member: Member, frame: Frame, query: PassOn) -> list[Arrived]:
    """Do one step for the own nodes of an asker.

    Raises:
        ShardMismatch: it knows of other nodes than we do.
    """
    known = member.ordered(member.index(frame).seen_at(frame, OPEN))
    if known.of != query.of:
        raise ShardMismatch(
            f"shard {member.number} does not have the memories that it is asked about at position {frame.position}; "
            "build it anew from the log",
            shard=member.number,
            position=frame.position,
        )
    values = np.zeros(frame.nodes.count)
    return [_arrived(member, frame, known, values, each) for each in query.pushed]


def _arrived(member: Member, frame: Frame, known: Ordered, values: NDArray[np.float64], pushed: Pushed) -> Arrived:
    own = known.rows[np.frombuffer(pushed.places, "<i4")].astype(np.int32)
    values[own] = np.frombuffer(pushed.values, "<f8")
    conductance = member.conductance(frame, pushed.rules, pushed.now_us)
    is_adding = pushed.rules.mode in ADDING and pushed.kind != BACK
    moved = combined(passed_on(Frontier(pushed.kind, own, values), conductance), adding=is_adding)
    return Arrived(
        known.place[moved.targets].astype("<i4").tobytes(),
        known.place[moved.origins].astype("<i4").tobytes(),
        moved.amounts.astype("<f8").tobytes(),
        moved.most.astype("<f8").tobytes() if is_adding else b"",
    )


class Conductances:
    """The shares that were looked up lately, for the steps that follow."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[Frame, bytes, Conductance], ...] = ()

    def of(self, frame: Frame, rules: SpreadRules, now_us: int) -> Conductance:
        """Return the conductance of a Frame's arcs under rules at a time."""
        key = encode((rules, now_us))
        for at, known, conductance in self._kept:
            if at is frame and known == key:
                return conductance
        conductance = Conductance(frame, rules, now_us, frame.live_rows())
        self._kept = (*self._kept[1 - KEPT_MAX :], (frame, key, conductance))
        return conductance
