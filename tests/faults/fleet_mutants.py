"""Broken versions of a fleet: each leaves out one thing that a promise rests on, and the simulator must notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memorygraph.actors.command_table import CommandTable
from memorygraph.actors.fleet import host, sessions
from memorygraph.actors.fleet.caller import Caller
from memorygraph.actors.fleet.calls import Execute, PinnedAt
from memorygraph.actors.fleet.client import FleetEngine
from memorygraph.actors.fleet.host import Host
from memorygraph.actors.fleet.wire import packed
from memorygraph.actors.pinned import PinnedEngine
from memorygraph.events.stores.lock_file import Look
from memorygraph.events.stores.segment_file import SegmentFile
from tests.faults.mutants import Mutant, nothing


def unknown(*_: Any) -> None:
    """Forget every command."""


def carried_out_again(session: sessions._Open, number: int, work: Callable[[], Any]) -> Any:
    """Carry out a call as often as it comes."""
    session.number = number
    with sessions.acting_for(session.session):
        return work()


def asleep_in_a_transaction(_: Host, one: host._Awake, *, at_once: bool = False) -> None:
    """Close a memory whatever transaction is open, which then goes on in the engine that is opened next."""
    with one.opening:
        if one.opened is not None and (at_once or not one.users):
            opened, one.opened = one.opened, None
            opened.engine.close()


def with_the_newest(at: Host, one: host._Awake, call: Execute) -> Any:
    """Carry out a call of a transaction with whatever engine is open."""
    if call.step is None:
        return packed(one.engine.execute(call.command))
    return packed(one.sessions.run(call.step, lambda _: one.engine.execute(call.command), at._steady.now_s()))


def any_view(_: Host, one: host._Awake, view: PinnedAt, *, view_of: Callable[..., PinnedEngine] = Host._view) -> Any:
    """Give what is kept under a token, whatever position it shows."""
    return one.views.get(view.token) or view_of(_, one, view)


def all_of_it(_: Caller, _end_s: float, most_s: float) -> float:
    """Give every call all the time there is."""
    return most_s


class NeverSuperseded:
    """Stands for ``Look.is_superseded``."""

    def __get__(self, *_: Any) -> bool:
        return False


ROUGH = {"drop": 0.15, "again": 0.3}

FLEET_MUTANTS = (
    Mutant("command ids are not remembered", "T9", ((CommandTable, "find", unknown),), 0, ROUGH),
    Mutant("a host does not look at its epoch", "T9", ((Host, "_check_epoch", nothing),), 49),
    Mutant("acknowledged without a sync", "T9", ((SegmentFile, "sync", nothing),), 5),
    Mutant("a handle without its position", "T9", ((FleetEngine, "_saw", nothing),), 39),
    Mutant("taken over without a fence", "T9", ((Look, "is_superseded", NeverSuperseded()),), 49),
    Mutant(
        "calls of a transaction are carried out as they come",
        "T9",
        ((sessions._Open, "run", carried_out_again),),
        0,
        ROUGH,
    ),
    Mutant(
        "a memory falls asleep in a transaction, which goes on",
        "T9",
        ((Host, "_close", asleep_in_a_transaction), (host, "_ANSWERS", {**host._ANSWERS, Execute: with_the_newest})),
    ),
    Mutant("a view moves on", "T9", ((Host, "_view", any_view),), 7, {"again": 0.6, "again_s": 2.0}),
    Mutant("a call takes its time", "T9", ((Caller, "_left_s", all_of_it),)),
)
