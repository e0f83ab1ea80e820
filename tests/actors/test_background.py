from __future__ import annotations

import queue
import subprocess
import sys
import threading

from memorygraph.actors import background
from memorygraph.actors.background import Background
from memorygraph.actors.upkeep import Upkeep
from memorygraph.events.stores import MemoryLog


def test_tasks_run_in_the_order_of_their_times() -> None:
    work, order, done = Background(), [], threading.Event()
    for delay_s, number in ((0.05, 2), (0.0, 0), (0.1, 3), (0.02, 1)):
        work.after(delay_s, lambda number=number: order.append(number))
    work.after(0.12, done.set)
    assert done.wait(30)
    assert order == [0, 1, 2, 3]


def test_the_thread_ends_when_there_is_nothing_to_do_and_comes_back(monkeypatch) -> None:
    monkeypatch.setattr(background, "LINGER_S", 0.01)
    work = Background()
    assert not work._running
    for times in (1, 2):
        threads: queue.Queue[threading.Thread] = queue.Queue()
        work.after(0.0, lambda threads=threads: threads.put(threading.current_thread()))
        thread = threads.get(timeout=30)
        thread.join(30)
        assert not thread.is_alive(), times
        assert not work._running


def test_a_thread_that_could_not_be_started_is_started_later(monkeypatch) -> None:
    work, done = Background(), threading.Event()

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        work.after(0.0, done.set)
        work.go_on()
    work.go_on()
    assert done.wait(30)


def test_using_a_memory_starts_the_thread_that_could_not_be_started(monkeypatch) -> None:
    calls = []
    log = MemoryLog()
    watch = Upkeep(log)
    monkeypatch.setattr(background.BACKGROUND, "go_on", lambda: calls.append(1))
    watch.used()
    assert calls


def test_one_thread_does_all() -> None:
    work, threads, done = Background(), set(), threading.Event()
    for _ in range(50):
        work.after(0.0, lambda: threads.add(threading.current_thread()))
    work.after(0.01, done.set)
    assert done.wait(30)
    assert len(threads) == 1
    assert threads.pop().daemon


def test_a_forked_child_has_its_own_thread_and_none_of_its_parents_tasks() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode() == "child did its own\n"


FORKING = """
import os, threading
from memorygraph.actors.background import BACKGROUND

ran = threading.Event()
BACKGROUND.after(0.0, ran.set)
assert ran.wait(30)  # the parent's thread lingers
BACKGROUND.after(0.5, lambda: print("parent's task", flush=True) if os.getpid() != parent else None)
parent = os.getpid()
child = os.fork()
if not child:
    BACKGROUND.after(0.0, ran.clear)
    while ran.is_set():
        pass
    ran.wait(1.0)
    print("child did its own", flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
