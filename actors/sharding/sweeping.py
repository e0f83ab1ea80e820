"""Decay sweeps over shards: each looks at its own memories and proposes, the ledger decides on what was named.

A sweep changes nothing. What it proposes is carried out in commands of bounded size, with ids of their own below that
of the sweep: a sweep that was interrupted may be carried out again, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.actors.commands import ArchiveNodes, Command, ForgetFaded, GetNodes, Query, ReviseNodes
from memorygraph.actors.engine import Engine
from memorygraph.events.errors import ExpectationFailed, NodeNotFoundError
from memorygraph.events.records import Event, NodeRevised, NodesArchived, NodesForgotten
from memorygraph.projections.consolidation import next_state
from memorygraph.projections.fading import SweepRules, fates
from memorygraph.projections.frame import Frame

if TYPE_CHECKING:
    from memorygraph.actors.sharding.member import Member

CHUNK_ITEMS: Final = 1_000
_TRIES_MAX: Final = 5
_ANY: Final[Mapping[str, int]] = {}


class Advance(Struct, frozen=True):
    """A memory, the code of the state that it is to go on to, and its version when that was found."""

    id: str
    state: int
    version: int


class Swept(Struct, frozen=True, kw_only=True):
    """What a sweep proposes, or what became of it: ids to forget and to put away, and what is to be advanced."""

    forget: list[str] = []
    archive: list[str] = []
    advance: list[Advance] = []


class SweepOf(Query, frozen=True, kw_only=True):
    """What is to become of a shard's memories -> ``Swept``."""

    rules: SweepRules
    now_us: int


def sweep_of(member: Member, frame: Frame, query: SweepOf) -> Swept:
    """Look at the shard's own memories."""
    rows = np.flatnonzero(frame.live_rows() & member.own_nodes(frame)).astype(np.int32)
    return proposed(frame, rows, query.rules, query.now_us)


def proposed(frame: Frame, rows: NDArray[np.int32], rules: SweepRules, now_us: int) -> Swept:
    """Return what is to become of some nodes."""
    found, name, cell = fates(frame, rows, rules, now_us), frame.interner.ids, frame.nodes.value
    return Swept(
        forget=[name[row] for row in found.forget.tolist()],
        archive=[name[row] for row in found.archive.tolist()],
        advance=[
            Advance(name[row], next_state(cell("consolidation_state", row)), cell("version", row))
            for row in found.advance.tolist()
        ],
    )


def together(parts: Iterable[Swept]) -> Swept:
    """Return what several shards propose."""
    several = list(parts)
    return Swept(
        forget=[name for part in several for name in part.forget],
        archive=[name for part in several for name in part.archive],
        advance=[name for part in several for name in part.advance],
    )


def carry_out(engine: Engine, found: Swept, rules: SweepRules, command_id: str) -> Swept:
    """Have the ledger carry out what a sweep proposes, and return what was done.

    Of what was named, that is forgotten which is still faded by then, and that advanced which nobody revised. Memories
    that are gone meanwhile are passed over.

    Args:
        command_id: names the sweep; what was carried out under it is not done again.

    Raises:
        StoreError: it could not be written; what was written before is done.
        ConflictError: others kept changing what was named; what was done before is done.
    """
    run = _Run(engine, command_id)
    versions = {each.id: each.version for each in found.advance}
    states = {each.id: each.state for each in found.advance}

    def forgetting(ids: list[str]) -> Any:
        return ForgetFaded(retention_threshold=rules.forget_below, reason="faded", ids=ids)

    def advancing(ids: list[str]) -> Any:
        changes = [NodeRevised(id=name, consolidation_state=states[name]) for name in ids]
        return ReviseNodes(changes=changes, expected=[versions[name] for name in ids])

    run.chunks("forget", found.forget, forgetting)
    run.chunks("archive", found.archive, lambda ids: ArchiveNodes(ids=ids, reason="cold"))
    run.chunks("advance", list(versions), advancing, versions)
    return run.done(found)


class _Run:
    """A sweep that is carried out."""

    def __init__(self, engine: Engine, command_id: str) -> None:
        self._engine = engine
        self._command_id = command_id
        self._events: list[Event] = []

    def chunks(
        self, name: str, ids: Sequence[str], operation: Callable[[list[str]], Any], versions: Mapping[str, int] = _ANY
    ) -> None:
        """Carry out an operation on so many memories at a time; those of another version are passed over."""
        for number, first in enumerate(range(0, len(ids), CHUNK_ITEMS)):
            some = list(ids[first : first + CHUNK_ITEMS])
            self._some(f"{self._command_id}/{name}/{number}", some, operation, versions)

    def done(self, found: Swept) -> Swept:
        """Return what was done of what was found."""
        events = self._events
        gone = {name for event in events if isinstance(event, NodesForgotten) for name in event.ids}
        away = {name for event in events if isinstance(event, NodesArchived) for name in event.ids}
        revised = {event.id for event in events if isinstance(event, NodeRevised)}
        return Swept(
            forget=[name for name in found.forget if name in gone],
            archive=[name for name in found.archive if name in away],
            advance=[each for each in found.advance if each.id in revised],
        )

    def _some(
        self, command_id: str, ids: list[str], operation: Callable[[list[str]], Any], versions: Mapping[str, int]
    ) -> None:
        for attempts_left in reversed(range(_TRIES_MAX)):
            if not ids:
                return
            command = Command(id=command_id, operations=(operation(ids),), id_chosen=False)
            try:
                self._events += self._engine.execute(command).events
            except (NodeNotFoundError, ExpectationFailed):  # somebody was faster
                if not attempts_left:
                    raise
                states = self._engine.ask(GetNodes(ids=ids, vectors=False)).value
                ids = [each.id for each in states if each and versions.get(each.id, each.version) == each.version]
            else:
                return
