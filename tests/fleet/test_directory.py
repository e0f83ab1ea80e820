"""The directory: who is alive, who is not, and how it comes to know again."""

from __future__ import annotations

import pytest

from memorygraph.actors.fleet import calls, wire
from memorygraph.actors.fleet.directory import DEAD_S, SUSPECT_S, Directory
from memorygraph.actors.fleet.placement import Member, Table
from memorygraph.events.errors import InputError, NotHosted
from tests.fleet.network import SteppedSteady

A, B, C = Member("a", "at-a"), Member("b", "at-b"), Member("c", "at-c")


def tell(directory: Directory, call: calls.AnyDirectoryCall) -> Table:
    return wire.result(directory.handle(wire.encode(call)), Table, where="")


def beat(directory: Directory, member: Member, known: Table = Table()) -> Table:  # noqa: B008 - it is frozen
    return tell(directory, calls.Beat(member=member, known=known))


@pytest.fixture
def steady():
    return SteppedSteady()


@pytest.fixture
def directory(steady):
    return Directory(steady)


def test_hosts_join_and_leave(directory) -> None:
    with pytest.raises(NotHosted, match="no host has joined"):
        tell(directory, calls.GetTable())
    assert beat(directory, B) == Table(1, (B,))
    assert beat(directory, A) == Table(2, (A, B))
    assert beat(directory, A) == Table(2, (A, B))
    moved = Member("a", "elsewhere")
    assert beat(directory, moved) == Table(3, (moved, B))
    assert tell(directory, calls.Leave(name="a")) == Table(4, (B,))
    with pytest.raises(InputError):
        beat(directory, Member("A/b", ""))


def test_who_is_silent_is_dead(directory, steady) -> None:
    beat(directory, A)
    beat(directory, B)
    steady.sleep(DEAD_S - 1)
    assert beat(directory, B).members == (A, B)
    steady.sleep(2.0)
    assert tell(directory, calls.GetTable()).members == (B,)
    assert beat(directory, A).members == (A, B)


def test_who_is_suspected_must_beat_soon(directory, steady) -> None:
    beat(directory, A)
    beat(directory, B)
    tell(directory, calls.Suspect(name="a"))
    tell(directory, calls.Suspect(name="b"))
    tell(directory, calls.Suspect(name="nobody"))
    steady.sleep(SUSPECT_S - 0.1)
    beat(directory, B)
    steady.sleep(0.2)
    assert tell(directory, calls.GetTable()).members == (B,)


def test_a_directory_that_starts_anew_takes_the_table_of_the_first_who_beats(directory, steady) -> None:
    for member in (A, B, C):
        known = beat(directory, member)
    anew = Directory(steady)
    table = beat(anew, B, known)
    assert table.members == (A, B, C)
    assert table.version > known.version
    steady.sleep(DEAD_S - 1)
    beat(anew, A, known)
    beat(anew, B, table)
    steady.sleep(2.0)
    assert tell(anew, calls.GetTable()).members == (A, B)  # c is not there any more


def test_status(directory, steady) -> None:
    active = calls.Active(memory="m", position=7, epoch=1, sessions=0, idle_s=0.0)
    tell(directory, calls.Beat(member=A, known=Table(), active=(active,)))
    steady.sleep(1.0)
    status = wire.result(directory.handle(wire.encode(calls.GetStatus())), calls.FleetStatus, where="")
    assert status.hosts == (calls.HostStatus(name="a", address="at-a", silent_s=1.0, active=(active,)),)
