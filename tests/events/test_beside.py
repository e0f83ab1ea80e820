"""A second thread for what can be computed while the caller waits."""

import os
import threading
import time

import pytest

from memorygraph.events.stores import SegmentLog
from memorygraph.events.stores.beside import Beside
from tests.memory.test_idle import wait_until


def test_a_call_is_made_by_another_thread_and_its_value_or_error_is_handed_over():
    beside, ran = Beside(), threading.Event()
    result = beside.start(lambda: (ran.set(), threading.current_thread())[1])
    assert ran.wait(10)
    assert result() is not threading.current_thread()
    failed = beside.start(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failed()


def test_who_waits_for_a_call_that_has_not_begun_makes_it():
    beside, goes_on = Beside(), threading.Event()
    first = beside.start(lambda: goes_on.wait(10))
    second = beside.start(threading.current_thread)
    assert second() is threading.current_thread()
    goes_on.set()
    assert first()


def test_without_a_thread_the_caller_does_it(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    beside = Beside()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert beside.start(lambda: 5)() == 5
    assert beside.start(lambda: 6)() == 6


def test_the_thread_ends_when_there_is_nothing_to_do():
    beside = Beside()
    assert beside.start(lambda: 1)() == 1
    assert wait_until(lambda: not beside._running)
    assert beside.start(lambda: 2)() == 2


def test_a_child_of_a_fork_starts_its_own():
    beside = Beside()
    assert beside.start(lambda: 1)() == 1
    pid = os.fork()
    if not pid:
        os._exit(beside.start(lambda: 7)())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_the_chain_of_large_frames_is_the_one_that_verify_finds(tmp_path):
    log = SegmentLog.open(tmp_path)
    for size in (10, 20_000, 400_000, 10, 20_000):
        with log.lock():
            head = log.append([bytes([size % 251]) * size, b"and a small one"], time.time_ns() // 1000)
    report = log.verify()
    assert (report.whole, report.head) == (True, head)
    log.close()
