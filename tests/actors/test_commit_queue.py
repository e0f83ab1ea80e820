from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from memorygraph.actors import accesses, commit_queue, local
from memorygraph.actors.accesses import Accesses, Recalled
from memorygraph.actors.commit_queue import CommitQueue
from memorygraph.actors.local import LocalEngine
from memorygraph.events.errors import Overloaded
from memorygraph.events.stores.memory import MemoryLog
from tests.actors.engine_contract import adding, check_whole, command, do, in_threads, names, node


class SlowLog(MemoryLog):
    """A log whose disk waits until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_writing = threading.Event()

    def append(self, records, time_us):
        self.is_writing.set()
        assert self.may_go_on.wait(60)
        return super().append(records, time_us)


@pytest.fixture
def log():
    return SlowLog()


@pytest.fixture
def engine(log):
    engine = LocalEngine(log)
    yield engine
    log.may_go_on.set()
    check_whole(engine)
    engine.close()


def stuck(engine, log, count: int) -> list[threading.Thread]:
    """Let the disk stop with one command on it, and others waiting behind."""
    log.may_go_on.clear()
    log.is_writing.clear()
    threads = []
    for number in range(count):
        threads.append(threading.Thread(target=lambda number=number: do(engine, adding(f"waiting{number}"))))
        threads[-1].start()
        if number == 0:
            assert log.is_writing.wait(60)
    while len(engine._queue) < count - 1:
        pass
    return threads


@pytest.mark.parametrize(("name", "limit"), [("EVENTS_MAX", 3), ("BYTES_MAX", 500)])
def test_a_full_queue_waits_and_then_refuses(monkeypatch, engine, log, name, limit) -> None:
    monkeypatch.setattr(commit_queue, name, limit)
    monkeypatch.setattr(local.LocalEngine._submit, "__defaults__", (0.05,))
    monkeypatch.setattr(local.LocalEngine._execute, "__defaults__", (0.05,))
    threads = stuck(engine, log, 4)
    with pytest.raises(Overloaded, match="try again in 10 s") as caught:
        do(engine, adding("late", content="x" * 500))
    assert (caught.value.retry_after_s, caught.value.about["waiting"]) == (10.0, 3)
    log.may_go_on.set()
    for thread in threads:
        thread.join()
    assert "late" not in names(engine)
    do(engine, adding("late"))


def test_who_finds_the_queue_full_makes_room(monkeypatch, engine) -> None:
    monkeypatch.setattr(commit_queue, "EVENTS_MAX", 3)
    in_threads(
        8, lambda number: [do(engine, adding(f"{number}-{step}", "x" * step + str(number))) for step in range(9)]
    )
    assert len(names(engine)) == 8 * 9 * 2


def test_what_a_caller_left_in_the_queue_does_not_block_it(monkeypatch, engine) -> None:
    monkeypatch.setattr(commit_queue, "EVENTS_MAX", 1)
    ticket = engine._propose(engine._shard.frame, command(adding("left")))  # its thread was interrupted here
    engine._queue.put(ticket, 0.0, engine._committing, engine._commit_waiting)
    do(engine, adding("next"))
    assert names(engine) == ["left", "next"]


def test_an_empty_queue_takes_any(monkeypatch, engine) -> None:
    monkeypatch.setattr(commit_queue, "BYTES_MAX", 1)
    do(engine, adding("large", content="x" * 1000))
    assert len(CommitQueue()) == 0


def test_recalls_do_not_wait_for_a_full_queue(monkeypatch, engine, log) -> None:
    """Reinforcement is dropped first, and counted; the recall goes on."""
    do(engine, adding("a"))
    monkeypatch.setattr(commit_queue, "EVENTS_MAX", 2)
    monkeypatch.setattr(accesses, "RECALLS_MAX", 1)
    threads = stuck(engine, log, 3)
    engine.accessed(["a", "a"], 1)
    assert engine.accesses_dropped == 2
    log.may_go_on.set()
    for thread in threads:
        thread.join()
    engine.accessed(["a"], 2)
    assert node(engine, "a").access_count == 1


def test_accesses_come_at_once_when_there_are_many(monkeypatch, engine) -> None:
    monkeypatch.setattr(local, "BACKGROUND", SimpleNamespace(after=lambda *_: None))  # nobody else writes them
    do(engine, adding("a"))
    for time_us in range(accesses.RECALLS_MAX - 1):
        engine.accessed(["a"], time_us)
    assert node(engine, "a").access_count == 0
    engine.accessed(["a"], 1)
    assert node(engine, "a").access_count == accesses.RECALLS_MAX


def test_the_buffer_of_accesses_has_an_end(monkeypatch) -> None:
    monkeypatch.setattr(accesses, "IDS_MAX", 5)
    buffer = Accesses()
    for _ in range(3):
        buffer.note(Recalled(["a", "b"], 1, "", {}))
    assert (buffer.dropped, buffer.take()[0].operation.ids) == (2, ["a", "b", "a", "b"])
    monkeypatch.setattr(accesses, "BYTES_MAX", 100)
    assert buffer.note(Recalled(["x" * 50], 1, "", {})) == (False, False)
    buffer.note(Recalled(["y" * 50], 1, "", {}))
    assert (buffer.dropped, buffer.take()[0].operation.ids) == (3, ["x" * 50])
    monkeypatch.setattr(accesses, "FETCH_BYTES", 50)
    assert buffer.note(Recalled(["x" * 50], 1, "", {})) == (True, False)
    buffer.put_back(buffer.take() * 3)
    assert (buffer.dropped, len(buffer.take()[0].operation.ids)) == (5, 1)
