"""However often a call arrives, what it does is done once; the check is proved by what it catches."""

from __future__ import annotations

import random

import msgspec
import pytest

from memorygraph.actors import commands as cmd
from memorygraph.actors.fleet import client, sessions
from memorygraph.actors.fleet.host import Host
from memorygraph.events import records as ev
from memorygraph.events.errors import MemoryGraphError, Overloaded, StoreNotFound, TransactionConflict, TransactionLost
from tests.actors.engine_contract import adding, ask, check_whole, do
from tests.fleet.local_fleet import LocalFleet
from tests.fleet.network import Lossy, SteppedSteady


def remembering(text: str) -> cmd.AddNodes:
    return cmd.AddNodes(nodes=[ev.NodeAdded(content=text)])


def said(engine) -> list[str]:
    return sorted(state.content for state in ask(engine, cmd.FindNodes()))


def check_once(root, seed: int) -> None:
    """Assert that a handle over a lossy network did what it says that it did, once, and nothing else."""
    steady = SteppedSteady()
    fleet = LocalFleet(root, steady=steady, transport=Lossy(seed))
    steady.woken = fleet.tend
    engine = fleet.connect()
    chance = random.Random(seed)
    done: list[str] = []
    for step in range(12):
        if chance.random() < 0.5:
            do(engine, remembering(f"{step}"))
            done.append(f"{step}")
            continue
        with engine.transaction():
            for part in range(chance.randrange(1, 4)):
                do(engine, remembering(f"{step}.{part}"))
                done.append(f"{step}.{part}")
    fleet.transport._share = 0.0
    assert said(engine) == sorted(done)
    check_whole(engine)
    fleet.stop()


@pytest.mark.parametrize("seed", range(6))
def test_lost_and_repeated_calls(tmp_path, seed) -> None:
    check_once(tmp_path, seed)


def without_command_ids(host, one, call):
    if call.step is None:
        call = msgspec.structs.replace(call, command=msgspec.structs.replace(call.command, id=fresh(), id_chosen=False))
    return execute(host, one, call)


def run_whatever_comes(session, number, work):
    session.number = number
    with sessions.acting_for(session.session):
        return work()


execute = Host._execute
_count = iter(range(10**9))


def fresh() -> str:
    return f"drawn{next(_count)}"


@pytest.mark.parametrize("mutant", ["no command ids", "no numbers in transactions"])
def test_the_check_can_fail(tmp_path, monkeypatch, mutant) -> None:
    monkeypatch.setattr(client, "BUSY_MAX_S", 1.0)
    if mutant == "no command ids":
        from memorygraph.actors.fleet import calls, host

        monkeypatch.setitem(host._ANSWERS, calls.Execute, without_command_ids)
    else:
        monkeypatch.setattr(sessions._Open, "run", run_whatever_comes)
    caught = 0
    for seed in range(6):
        try:
            check_once(tmp_path / str(seed), seed)
        except (AssertionError, MemoryGraphError):
            caught += 1
    assert caught >= 3


# -- transactions and the host that has them -------------------------------------------------------------------------


@pytest.fixture
def steady():
    return SteppedSteady()


@pytest.fixture
def fleet(tmp_path, steady):
    fleet = LocalFleet(tmp_path, steady=steady)
    steady.woken = fleet.tend
    yield fleet
    fleet.stop()


def test_a_host_lost_in_a_transaction_undoes_it(fleet) -> None:
    engine = fleet.connect()
    do(engine, remembering("before"))

    def lose_the_host() -> None:
        with engine.transaction():
            do(engine, remembering("x"))
            fleet.crash(fleet.owner().name)
            do(engine, remembering("y"))

    with pytest.raises(TransactionLost, match="do it again"):
        lose_the_host()
    assert said(engine) == ["before"]
    with engine.transaction():
        do(engine, remembering("x"))
    assert said(engine) == ["before", "x"]


@pytest.mark.parametrize("is_chosen", [False, True])
def test_a_host_lost_after_the_end_of_a_transaction_leaves_it_done(fleet, monkeypatch, is_chosen) -> None:
    engine = fleet.connect()
    call = fleet.transport.call

    def lost(address, lane, payload, deadline_s):
        answer = call(address, lane, payload, deadline_s)
        if b"End" in payload and address != "directory" and len(fleet.hosts) == 2:
            fleet.crash(fleet.owner().name)
            return call(address, lane, payload, deadline_s)
        return answer

    monkeypatch.setattr(fleet.transport, "call", lost)
    with engine.transaction(command_id="mine" if is_chosen else None):
        do(engine, remembering("x"))
    assert len(fleet.hosts) == 1
    assert said(engine) == ["x"]
    assert ask(engine, cmd.Describe()).nodes == 1


def test_a_transaction_that_is_not_heard_of_is_undone(fleet, steady) -> None:
    engine, other = fleet.connect(), fleet.connect()

    def fall_silent() -> None:
        with engine.transaction():
            do(engine, remembering("x"))
            steady.sleep(61.0)
            with other.transaction():
                do(other, remembering("other"))
            do(engine, remembering("y"))

    with pytest.raises(TransactionLost):
        fall_silent()
    assert said(engine) == ["other"]


def test_a_transaction_waits_for_another_and_says_so_in_the_end(fleet) -> None:
    engine, other = fleet.connect(), fleet.connect()

    def busy() -> None:
        with other.transaction():
            do(other, remembering("never"))

    with engine.transaction():
        do(engine, remembering("x"))
        fleet.owner()._awake["m"].sessions._kept_s = 1e9
        with pytest.raises(Overloaded, match="under way"):
            busy()
    assert said(engine) == ["x"]


def test_transactions_conflict_as_elsewhere(fleet) -> None:
    engine, other = fleet.connect(), fleet.connect()
    do(engine, adding("a"))

    def rest_on_what_changes() -> None:
        with engine.transaction():
            assert ask(engine, cmd.GetNodes(ids=["a"]))[0].content == ""
            do(other, cmd.ReviseNodes(changes=[ev.NodeRevised(id="a", content="other")]))
            do(engine, remembering("x"))

    with pytest.raises(TransactionConflict):
        rest_on_what_changes()
    assert said(engine) == ["other"]


def test_a_view_in_a_transaction_is_gone_with_its_host(fleet) -> None:
    engine = fleet.connect()

    def look() -> None:
        with engine.transaction():
            do(engine, adding("a"))
            view = engine.pinned()
            assert ask(view, cmd.Describe()).nodes == 1
            fleet.owner()._awake["m"].views.clear()
            ask(view, cmd.Describe())

    with pytest.raises(TransactionLost, match="not kept any more"):
        look()


def test_there_is_no_memory_without_founding_it(fleet) -> None:
    with pytest.raises(StoreNotFound):
        fleet.connect("other", founding=None)
