"""Hosts: whose a memory is, what a host that lost one says, and what sleeping memories cost."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from memorygraph.actors import commands as cmd
from memorygraph.actors.fleet import calls, stores, wire
from memorygraph.actors.fleet import host as host_module
from memorygraph.actors.fleet.host import Host
from memorygraph.actors.local import LocalEngine
from memorygraph.events.errors import FleetError, NotHosted, Overloaded, TimedOut, Unreachable
from memorygraph.events.stores import SegmentLog
from tests.actors.engine_contract import adding, check_whole, command, do, names
from tests.fleet.local_fleet import LocalFleet
from tests.fleet.network import SteppedSteady


@pytest.fixture
def steady():
    return SteppedSteady()


@pytest.fixture
def fleet(tmp_path, steady):
    fleet = LocalFleet(tmp_path / "fleet", steady=steady)
    steady.woken = fleet.tend
    yield fleet
    fleet.stop()


def told(host: Host, call: calls.HostCall, kind) -> object:
    return wire.result(host.handle(wire.encode(call)), kind, where="here")


def asking() -> calls.Ask:
    query, sight = wire.encode_query(cmd.FindNodes())
    return calls.Ask(memory="m", query=query, sight=sight)


class Deaf:
    """A transport that reaches nobody: its host is cut off, and does not know."""

    def call(self, *_: object) -> bytes:
        raise Unreachable("cut off")


def taken_over(fleet: LocalFleet) -> Host:
    """Have a memory of a host that is cut off, and hangs, taken over by the other; return the first, which goes on."""
    engine = fleet.connect()
    do(engine, adding("a"))
    stale = fleet.hosts.pop(fleet.owner().name)
    stale._transport = Deaf()
    fleet.directory.handle(wire.encode(calls.Leave(name=stale.name)))
    do(fleet.connect(), adding("b"))
    return stale


def check_stale_is_refused(fleet: LocalFleet, steady: SteppedSteady, *, write: bool) -> None:
    """Assert that a host answers nothing about a memory that was taken over; at the latest a second after that."""
    stale = taken_over(fleet)
    if write:
        with pytest.raises(NotHosted):
            told(stale, calls.Execute(memory="m", command=command(adding("stale"))), calls.Done)
    else:
        steady.at_s += host_module.EPOCH_CHECK_S
        with pytest.raises(NotHosted, match="taken over"):
            told(stale, asking(), calls.Told)
    assert stale._awake == {}
    engine = fleet.connect()
    assert names(engine) == ["a", "b"]
    check_whole(engine)


@pytest.mark.parametrize("write", [False, True], ids=["reading", "writing"])
def test_a_host_that_was_taken_over_refuses(fleet, steady, write) -> None:
    check_stale_is_refused(fleet, steady, write=write)


@pytest.mark.parametrize(
    "call",
    [
        calls.ReadRecords(memory="m", first=1),
        calls.Execute(memory="m", command=command(cmd.ForgetNodes(ids=["b"]))),
    ],
    ids=["records", "refusal"],
)
def test_what_is_the_last_word_is_not_said_within_the_second(fleet, steady, monkeypatch, call) -> None:
    """What is not found there may be recorded: a transaction's end, the first result of a command."""
    stale = taken_over(fleet)
    monkeypatch.setattr(SegmentLog, "refresh", lambda log: log.head)  # a store far away is not looked at for each read
    stale._awake["m"].checked_s = steady.now_s()
    with pytest.raises(NotHosted, match="taken over"):
        told(stale, call, calls.RecordPage)


def test_the_check_sees_a_host_that_does_not_look_at_the_epoch(fleet, steady, monkeypatch) -> None:
    monkeypatch.setattr(Host, "_check_epoch", lambda *_: None)
    with pytest.raises(pytest.fail.Exception):
        check_stale_is_refused(fleet, steady, write=False)


def test_the_check_sees_a_host_that_does_not_own_its_log(fleet, steady, monkeypatch) -> None:
    class Shared(SegmentLog):
        open = staticmethod(lambda path, **options: SegmentLog.open(path, **options | {"exclusive": False}))

    monkeypatch.setattr(stores, "SegmentLog", Shared)
    with pytest.raises(pytest.fail.Exception):
        check_stale_is_refused(fleet, steady, write=True)


def test_only_the_owner_answers(fleet) -> None:
    engine = fleet.connect()
    do(engine, adding("a"))
    for host in fleet.hosts.values():
        if host is not fleet.owner():
            with pytest.raises(NotHosted, match="another host's") as caught:
                told(host, asking(), calls.Told)
            assert caught.value.about["memory"] == "m"


def test_memories_move_when_hosts_join_and_leave(fleet) -> None:
    engines = {name: fleet.connect(name) for name in ("m", *(f"m{number}" for number in range(12)))}
    for engine in engines.values():
        do(engine, adding("a"))
    before = {name: fleet.owner(name).name for name in engines}
    fleet.start("host2")
    fleet.tend()
    after = {name: fleet.owner(name).name for name in engines}
    moved = {name for name in engines if before[name] != after[name]}
    assert moved
    assert {after[name] for name in moved} == {"host2"}
    for engine in engines.values():
        do(engine, adding("b"))
    awake = {name: host.name for host in fleet.hosts.values() for name in host._awake}
    assert awake == after
    fleet.hosts.pop("host2").stop()
    for engine in engines.values():
        assert names(engine) == ["a", "b"]


def test_a_crashed_host_is_replaced(fleet) -> None:
    engine = fleet.connect()
    do(engine, adding("a"))
    fleet.crash(fleet.owner().name)
    do(engine, adding("b"))
    assert names(engine) == ["a", "b"]
    check_whole(engine)


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_sleeping_memories_cost_nothing(fleet, steady) -> None:
    engines = [fleet.connect(f"m{number}") for number in range(20)]
    for engine in engines:
        do(engine, adding("a"))
    open_files = open_descriptors()
    steady.sleep(61.0)
    assert all(host._awake == {} for host in fleet.hosts.values())
    assert open_descriptors() <= open_files - 20
    assert [names(engine) for engine in engines] == [["a"]] * 20


def test_only_so_many_are_awake(tmp_path, steady) -> None:
    fleet = LocalFleet(tmp_path / "fleet", hosts=0, steady=steady)
    host = fleet.start("host0", awake_max=3)
    for number in range(6):
        fleet.connect(f"m{number}")
        steady.sleep(0.1)
    fleet.tend()
    assert sorted(host._awake) == ["m3", "m4", "m5"]
    fleet.stop()


def test_no_host_is_said_with_the_memory(tmp_path, steady) -> None:
    fleet = LocalFleet(tmp_path / "fleet", hosts=1, steady=steady)
    engine = fleet.connect(deadline_s=3.0)
    fleet.crash("host0")
    with pytest.raises(TimedOut, match=r"memory 'm': no answer to Execute in 3 s") as caught:
        do(engine, adding("a"))
    assert isinstance(caught.value, FleetError | TimeoutError)
    assert caught.value.about["memory"] == "m"


def test_overload_reaches_the_caller_with_its_hint(fleet, monkeypatch) -> None:
    engine = fleet.connect()

    def full(*_: object) -> None:
        raise Overloaded("too much waits", retry_after_s=1.5)

    monkeypatch.setattr(LocalEngine, "execute", full)
    with pytest.raises(Overloaded) as caught:
        do(engine, adding("a"))
    assert caught.value.retry_after_s == 1.5


def test_a_read_is_not_older_than_what_its_handle_has_seen(fleet) -> None:
    engine = fleet.connect(deadline_s=0.5)
    do(engine, adding("a"))
    engine._seen = 9
    with pytest.raises(TimedOut, match="is at position 2 here, and its caller has seen 9"):
        names(engine)


def test_what_a_host_fails_with_is_ours(fleet, monkeypatch) -> None:
    engine = fleet.connect()
    monkeypatch.setattr(LocalEngine, "ask", partial(divmod, 1))
    with pytest.raises(FleetError, match="Please report this") as caught:
        names(engine)
    assert caught.value.about["host"] == fleet.owner().name
