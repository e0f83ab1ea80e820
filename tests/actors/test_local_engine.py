from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from operator import attrgetter
from typing import Any

import pytest

from memorygraph.actors import command_table, decide, local
from memorygraph.actors import commands as cmd
from memorygraph.actors.engine import Engine
from memorygraph.actors.ledger import Ledger
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.replay import rebuilt_digest
from memorygraph.events import records as ev
from memorygraph.events.errors import (
    CommandIdReused,
    DamagedLog,
    DiskFull,
    DuplicateIdError,
    EdgeNotFoundError,
    EmbeddingDimensionError,
    ExpectationFailed,
    NodeNotFoundError,
    StoreError,
    TransactionConflict,
)
from memorygraph.events.records import Record, encode_record, pack_event
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.events.stores.segment import SegmentLog
from memorygraph.events.types import LIMITS
from memorygraph.projections.graph import GraphState
from memorygraph.projections.tables import Table
from tests.actors.engine_contract import (
    DAY_US,
    Counted,
    EngineContract,
    Home,
    Ticks,
    adding,
    ask,
    check_whole,
    command,
    dated,
    do,
    in_threads,
    linking,
    names,
    node,
    revising,
    vector,
)


class MemoryHome(Home):
    """Opening again copies the frames of the log before."""

    def __init__(self) -> None:
        self.log: MemoryLog | None = None

    def open(self, *, read_only: bool = False, **options: Any) -> Engine:
        before, self.log = self.log, MemoryLog(self.log and self.log.memory_id)
        with self.log.lock():
            for frame in before._frames if before else ():
                self.log.adopt(frame)
        self.log.read_only = read_only
        return LocalEngine(self.log, **options)


class SegmentHome(Home):
    def __init__(self, path) -> None:
        self.path = path

    def open(self, *, read_only: bool = False, **options: Any) -> Engine:
        return LocalEngine(SegmentLog.open(self.path, read_only=read_only), **options)


class TestOverMemoryLog(EngineContract):
    @pytest.fixture
    def home(self):
        return MemoryHome()


class TestOverSegmentLog(EngineContract):
    @pytest.fixture
    def home(self, tmp_path):
        return SegmentHome(tmp_path / "store")


# -- conflicts: another command comes between deciding and committing ------------------------------------------------


class Between:
    """Runs a command of somebody else right after each decision, as often as told."""

    def __init__(self, monkeypatch, engine: LocalEngine, others: list[cmd.Command]) -> None:
        self.engine = engine
        self.others = others
        self.decisions = 0
        self.inside = False
        monkeypatch.setattr(local, "propose", self)

    def __call__(self, *arguments: Any) -> decide.Proposal:
        proposal = decide.propose(*arguments)
        if not self.inside:
            self.decisions += 1
            if self.others:
                self.inside = True
                self.engine.execute(self.others.pop(0))
                self.inside = False
        return proposal


@pytest.fixture(params=["memory", "segment"])
def engine(request, tmp_path):
    home = MemoryHome() if request.param == "memory" else SegmentHome(tmp_path / "store")
    engine = home.open(clock=Ticks(), ids=Counted())
    do(engine, adding("a", "b"), linking("a", "b", ids=["e"]))
    yield engine
    check_whole(engine)
    engine.close()


def anew(node_id: str) -> cmd.Command:
    """Forget a node and add it again, empty."""
    return command(cmd.ForgetNodes(ids=[node_id]), adding(node_id))


def test_a_command_whose_reads_were_touched_is_decided_again(monkeypatch, engine) -> None:
    between = Between(monkeypatch, engine, [anew("a")])
    receipt = do(engine, revising("a", importance=0.75))
    assert between.decisions == 2
    assert receipt.position == 4
    assert node(engine, "a").importance == 0.75


def test_an_expected_version_is_a_read_and_mere_existence_is_not(monkeypatch, engine) -> None:
    Between(monkeypatch, engine, [command(revising("a", content="other"))])
    with pytest.raises(ExpectationFailed):
        do(engine, cmd.ReviseNodes(changes=[ev.NodeRevised(id="a", importance=0.75)], expected=[2]))
    assert (node(engine, "a").content, node(engine, "a").importance) == ("other", 0.5)


@pytest.mark.parametrize(
    ("other", "mine", "error"),
    [
        (cmd.ForgetNodes(ids=["a"]), linking("b", "a"), NodeNotFoundError),
        (cmd.ForgetNodes(ids=["a"]), cmd.ReinforceNodes(ids=["a"], delta=0.5), NodeNotFoundError),
        (cmd.ForgetNodes(ids=["a"]), cmd.RemoveEdges(ids=["e"]), EdgeNotFoundError),
        (cmd.RemoveEdges(ids=["e"]), cmd.ReviseEdge(change=ev.EdgeRevised(id="e")), EdgeNotFoundError),
        (adding("x"), adding("x"), DuplicateIdError),
        (linking("a", "b", ids=["f"]), linking("a", "b", ids=["f"]), DuplicateIdError),
        (revising("a"), revising("a", 2), ExpectationFailed),
        (adding("x", vector=vector(1, 2, 3)), adding("y", vector=vector(1, 2)), EmbeddingDimensionError),
    ],
)
def test_what_another_did_meanwhile_is_seen(monkeypatch, engine, other, mine, error) -> None:
    Between(monkeypatch, engine, [command(other)])
    with pytest.raises(error):
        do(engine, mine)
    assert engine.head().position == 3


@pytest.mark.parametrize(
    ("other", "mine"),
    [
        (revising("b"), revising("a")),
        (cmd.ReinforceNodes(ids=["a"], delta=0.5), revising("a", 2)),
        (linking("a", "b"), cmd.ForgetNodes(ids=["a"])),
        (cmd.StrengthenEdges(ids=["e"], delta=0.5), cmd.StrengthenEdges(ids=["e"], delta=0.5)),
        (cmd.RecordAccesses(ids=["a"], times_us=[1]), cmd.ReinforceNodes(ids=["a"], delta=0.5)),
        (adding("x"), adding("y")),
    ],
)
def test_what_does_not_touch_is_not_decided_again(monkeypatch, engine, other, mine) -> None:
    between = Between(monkeypatch, engine, [command(other)])
    do(engine, mine)
    assert between.decisions == 1


def test_the_same_command_meanwhile_is_done_once(monkeypatch, engine) -> None:
    Between(monkeypatch, engine, [command(adding(""), id="same")])
    receipt = do(engine, adding(""), id="same")
    assert (receipt.replayed, receipt.position, len(names(engine))) == (True, 3, 3)


def test_a_command_in_conflict_six_times_gives_up(monkeypatch, engine) -> None:
    between = Between(monkeypatch, engine, [anew("a") for _ in range(6)])
    with pytest.raises(TransactionConflict) as caught:
        do(engine, revising("a", importance=0.75))
    assert caught.value.about == {"id": "a"}
    assert between.decisions == 6
    assert engine.head().position == 2 + 6
    Between(monkeypatch, engine, [anew("a") for _ in range(5)])
    do(engine, revising("a", importance=0.75))
    assert node(engine, "a").importance == 0.75


def test_a_ledger_that_never_conflicts_is_caught(monkeypatch, engine) -> None:
    monkeypatch.setattr(Ledger, "conflict", lambda *_: None)
    Between(monkeypatch, engine, [command(revising("a"))])
    do(engine, revising("a", 2))  # the mutant: an old version was overwritten
    home = MemoryHome()
    broken = home.open()
    do(broken, adding("a", "b"))
    Between(monkeypatch, broken, [command(cmd.ForgetNodes(ids=["a"]))])
    with pytest.raises(DamagedLog):
        do(broken, revising("a"))


def test_a_command_table_that_nobody_asks_is_caught(monkeypatch, engine) -> None:
    monkeypatch.setattr(Ledger, "find", lambda *_: None)
    positions = [do(engine, adding(""), id="same").position for _ in range(2)]
    assert positions == [3, 4]  # the mutant: done twice


def test_a_command_table_without_expiry_is_caught(monkeypatch, engine) -> None:
    monkeypatch.setattr(command_table, "ROWS_KEPT", 0)
    clock = engine._clock
    clock.offset_us = 20 * DAY_US
    old = command(adding(""), id=dated(clock.offset_us), id_chosen=False)
    engine.execute(old)
    clock.offset_us += 2 * DAY_US
    do(engine, adding(""))
    monkeypatch.setattr(Ledger, "is_expired", lambda *_: False)
    assert not engine.execute(old).replayed  # the mutant: done twice


def test_a_command_table_that_takes_any_body_is_caught(monkeypatch, engine) -> None:
    do(engine, adding("x"), id="same")
    monkeypatch.setattr(cmd.Command, "body_hash", lambda _: bytes(16))
    do(engine, adding("y"), id="mutant")
    assert do(engine, adding("z"), id="mutant").replayed  # the mutant: "z" is not there, and nobody was told


@pytest.mark.parametrize("broken", [(GraphState, "apply"), (Ledger, "recorded"), (Table, "_flush")])
def test_an_interruption_while_a_record_is_applied_is_made_good(monkeypatch, broken) -> None:
    engine = LocalEngine(MemoryLog())
    do(engine, adding("a"))
    whole = getattr(*broken)

    def interrupted(*_) -> None:
        monkeypatch.setattr(*broken, whole)
        raise KeyboardInterrupt

    monkeypatch.setattr(*broken, interrupted)
    with pytest.raises(KeyboardInterrupt):
        do(engine, adding("b"), id="mine")
    assert do(engine, adding("b"), id="mine").position == 3  # it was in the log, and is there once
    do(engine, linking("a", "b"))
    check_whole(engine)
    assert rebuilt_digest(engine) == engine.ask(cmd.Digest()).value


def test_readers_do_not_wait_for_a_writer_that_waits_for_the_lock(tmp_path) -> None:
    """Another process may hold the file's lock for long; its records are read all the same."""
    engine = SegmentHome(tmp_path / "store").open()
    other = SegmentLog.open(tmp_path / "store")
    writer = threading.Thread(target=lambda: do(engine, adding("mine")))
    with other.lock():
        writer.start()
        while not engine._committing.locked():
            time.sleep(0.001)
        record = Record("c", b"", "", {}, 1, 0, None, "", (pack_event(ev.NodeAdded(id="theirs")),))
        other.append([encode_record(record)], 1)
        assert "theirs" in names(engine)
        assert writer.is_alive()
    writer.join()
    assert {"mine", "theirs"} <= set(names(engine))
    check_whole(engine)
    engine.close()
    other.close()


@pytest.mark.parametrize("locked", ["_committing", "_applying", "_accesses._lock"])
def test_a_forked_child_goes_on_whatever_the_parent_was_doing(tmp_path, locked, monkeypatch) -> None:
    monkeypatch.setattr(
        "memorygraph.actors.local.ACCESS_DELAY_S", 30
    )  # else the parent may write before the child looks
    engine = SegmentHome(tmp_path / "store").open()
    do(engine, adding("a"))
    engine.accessed(["a"], 1)
    with attrgetter(locked)(engine):  # as if another thread held it
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            do(engine, adding("child"))
            engine.flush()
            os._exit(0 if {"a", "child"} == set(names(engine)) and node(engine, "a").access_count == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
    engine.flush()
    assert (names(engine), node(engine, "a").access_count) == (["a", "child"], 1)
    check_whole(engine)
    engine.close()


def test_a_record_that_cannot_be_applied_is_told_once_and_for_all() -> None:
    log = MemoryLog()
    engine = LocalEngine(log)
    broken = Record("c", b"", "", {}, 1, 0, None, "", (pack_event(ev.NodesForgotten(ids=("nobody",))),))
    with log.lock():
        log.append([encode_record(broken)], 1)
    for _ in range(2):
        with pytest.raises(DamagedLog, match="position 2"):
            names(engine)


@pytest.mark.parametrize("read", [0, 1])
def test_a_read_that_fails_while_catching_up_is_tried_again(monkeypatch, tmp_path, read) -> None:
    """As with too many open files: the engine goes on as soon as there is one, also in the middle of the records."""
    home = SegmentHome(tmp_path / "store")
    one, other = home.open(ids=Counted("one")), home.open(ids=Counted("other"))
    do(one, adding("a"))
    do(one, adding("b"))
    whole = type(other._log).read

    def failing(log: Any, *positions: int) -> Any:
        yield from itertools.islice(whole(log, *positions), read)
        raise StoreError("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(type(other._log), "read", failing)
        for _ in range(2):
            with pytest.raises(StoreError, match="too many"):
                names(other)
    assert names(other) == ["a", "b"]
    do(other, adding("c"))
    check_whole(other)


class Publishing(local.LocalEngine):
    """A mutant: readers see what is not durable yet."""

    def _commit(self, tickets: list[Any]) -> None:
        with self._log.lock():
            for ticket in tickets:
                ticket.position = self._shard.position + 1
                self._shard.apply(ticket.position, ticket.time_us, ticket.proposal.events)
            self._shard.publish()
            self._log.append([ticket.data for ticket in tickets], 0)


class FailingLog(MemoryLog):
    """A log whose appends fail when told to."""

    failing = False

    def append(self, records: Any, time_us: int) -> Any:
        if self.failing:
            raise DiskFull("no space")
        return super().append(records, time_us)


def after_a_failed_append(kind: type[LocalEngine]) -> tuple[int, int]:
    """What readers see, and what the log holds."""
    log = FailingLog()
    engine = kind(log)
    log.failing = True
    with pytest.raises(DiskFull):
        do(engine, adding("a"))
    return engine.ask(cmd.Describe()).position, engine.head().position


def test_readers_see_only_what_the_log_holds() -> None:
    assert after_a_failed_append(LocalEngine) == (1, 1)
    assert after_a_failed_append(Publishing) == (2, 1)  # the mutant is seen


def test_a_failed_append_is_everybodys_error_and_the_engine_goes_on() -> None:
    log = FailingLog()
    engine = LocalEngine(log)
    log.failing = True

    def work(number: int) -> None:
        with pytest.raises(DiskFull):
            do(engine, adding(f"x{number}"))

    in_threads(4, work)
    log.failing = False
    assert do(engine, adding("x0")).position == 2
    check_whole(engine)


def test_accesses_that_cannot_be_recorded_are_dropped_and_counted() -> None:
    log = FailingLog()
    engine = LocalEngine(log)
    do(engine, adding("a"))
    log.failing = True
    engine.accessed(["a"], 1)
    with pytest.raises(DiskFull):
        engine.flush()
    engine.accessed(["a"], 2)
    engine.close()
    assert engine.accesses_dropped == 2  # a flush that fails keeps what it could not write


# -- group commit ----------------------------------------------------------------------------------------------------


def queued(engine: LocalEngine, sent: list[cmd.Command]) -> list[cmd.Receipt]:
    """Send commands from a thread each, so that all wait when the first one commits."""
    receipts: list[cmd.Receipt] = []
    before = len(engine._queue)
    with engine._committing:
        threads = [threading.Thread(target=lambda one=one: receipts.append(engine.execute(one))) for one in sent]
        for number, thread in enumerate(threads, 1):
            thread.start()
            while len(engine._queue) < before + number:
                time.sleep(0.0005)
    for thread in threads:
        thread.join()
    return receipts


def test_commands_that_wait_share_a_frame(engine) -> None:
    receipts = queued(engine, [command(adding(f"x{number}")) for number in range(20)])
    assert sorted(receipt.position for receipt in receipts) == list(range(3, 23))
    assert len(list(engine.frames())) == 3
    assert [record.position for record in engine.read(1)] == list(range(1, 23))


def test_a_group_is_resolved_in_order_of_arrival(engine) -> None:
    sent = [anew("a"), command(revising("a", content="x")), command(revising("b"))]
    receipts = queued(engine, sent)
    assert sorted(receipt.position for receipt in receipts) == [3, 4, 5]
    assert node(engine, "a").content == "x"
    assert len(list(engine.frames())) == 4  # the second one was in conflict and came again


def test_one_command_twice_in_a_group_is_done_once(engine) -> None:
    receipts = queued(engine, [command(adding(""), id="same") for _ in range(3)])
    assert sorted(receipt.replayed for receipt in receipts) == [False, True, True]
    assert {receipt.position for receipt in receipts} == {3}


class InterruptedLog(MemoryLog):
    """A log whose next append is interrupted when told to: before it writes, or when all is written."""

    when = ""

    def append(self, records: Any, time_us: int) -> Any:
        when, self.when = self.when, ""
        if when == "before":
            raise KeyboardInterrupt
        head = super().append(records, time_us)
        if when == "after":
            raise KeyboardInterrupt
        return head


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("command_id", [None, "chosen"])
def test_a_transaction_is_written_once_though_its_leader_was_interrupted(when, command_id) -> None:
    log = InterruptedLog()
    engine = LocalEngine(log)
    do(engine, adding("a"))
    errors: list[Exception] = []

    def work() -> None:
        try:
            with engine.transaction(command_id=command_id):
                do(engine, revising("a", content="paid"))
                do(engine, adding("b"))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    thread = threading.Thread(target=work)
    with engine._committing:
        thread.start()
        while not len(engine._queue):
            time.sleep(0.0005)
        log.when = when
        with pytest.raises(KeyboardInterrupt):  # in the thread that commits for the other one
            engine._commit_waiting()
    thread.join()
    assert not errors
    assert [len(record.events or ()) for record in engine.read(1)] == [1, 1, 2]
    assert node(engine, "a").content == "paid"
    check_whole(engine)


def test_a_transaction_whose_id_another_took_meanwhile_is_not_taken_for_it(tmp_path) -> None:
    home = SegmentHome(tmp_path / "store")
    one, other = home.open(ids=Counted("one")), home.open(ids=Counted("other"))

    def twice() -> None:
        with one.transaction(command_id="chosen"):
            do(one, adding("a"))
            with other.transaction(command_id="chosen"):
                do(other, adding("b"))

    with pytest.raises(CommandIdReused):
        twice()
    assert names(one) == ["b"]


def test_more_than_a_frame_holds_is_several_frames() -> None:
    """Every command is done once, though not all that wait fit into the first frame."""
    engine = MemoryHome().open()
    content = "x" * (3 << 20)
    receipts = queued(engine, [command(adding(f"x{number}", content=content)) for number in range(7)])
    assert sorted(receipt.position for receipt in receipts) == list(range(2, 9))
    assert not any(receipt.replayed for receipt in receipts)
    assert max(len(frame) for frame in engine.frames()) <= LIMITS.frame_bytes_max
    check_whole(engine)


def test_a_command_behind_more_than_a_frame_waits_for_its_turn() -> None:
    """The queue is longer than a frame when our command gets the lock: it commits for the others until it is done."""
    engine = MemoryHome().open()
    for number in range(3):  # as if their threads did not get the lock yet
        waiting = engine._propose(engine._shard.frame, command(adding(f"x{number}", content="x" * (3 << 20))))
        engine._queue.put(waiting, 0.0, engine._committing, engine._commit_waiting)
    receipt = do(engine, adding("last"))
    assert (receipt.position, receipt.replayed) == (5, False)
    check_whole(engine)


# -- two engines on one store ----------------------------------------------------------------------------------------


def test_two_engines_on_one_store_see_each_other(tmp_path) -> None:
    home = SegmentHome(tmp_path / "store")
    one, other = home.open(ids=Counted("one")), home.open(ids=Counted("other"))
    do(one, adding("a"))
    assert names(other) == ["a"]
    version = node(other, "a").version
    do(other, revising("a", content="x"))
    with pytest.raises(ExpectationFailed):
        do(one, revising("a", version, content="y"))
    do(other, adding("b"), id="same")
    assert do(one, adding("b"), id="same").replayed
    assert ask(one, cmd.Digest()) == ask(other, cmd.Digest())
    for engine in (one, other):
        check_whole(engine)
        engine.close()


def test_two_engines_on_one_store_win_each_id_once(tmp_path) -> None:
    home = SegmentHome(tmp_path / "store")
    engines = [home.open(ids=Counted(f"{number}-")) for number in range(2)]
    won: list[int] = []

    def work(number: int) -> None:
        for step in range(40):
            try:
                do(engines[number % 2], adding(f"x{step}"))
            except DuplicateIdError:
                continue
            won.append(step)

    in_threads(4, work)
    assert sorted(won) == list(range(40))
    for engine in engines:
        check_whole(engine)
        engine.close()


def test_a_follower_reads_on(tmp_path) -> None:
    home = SegmentHome(tmp_path / "store")
    writer = home.open()
    follower = home.open(read_only=True)
    view = follower.at(1)
    for step in range(5):
        do(writer, adding(f"x{step}"))
        assert follower.ask(cmd.Describe()).position == step + 2
    assert ask(view, cmd.Describe()).nodes == 0
    assert ask(follower, cmd.Digest()) == ask(writer, cmd.Digest())
    for engine in (follower, writer):
        engine.close()
