"""What nobody may show, acknowledge or mend: the end of a log that is being taken over at this moment.

Each race is acted out once, step by step, and once more with the check left out that decides it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from memorygraph.events.errors import LogFailed, LogLocked
from memorygraph.events.stores import SegmentLog, segment, takeover
from memorygraph.events.stores.lock_file import LockFile
from tests.events.faulty_disk import NoSyncDisk
from tests.events.log_contract import contents, put
from tests.faults.mutants import mend_anyway, write_anyway

WAIT_S = 60


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


def open_quickly(path: Path, **options: object) -> SegmentLog:
    return SegmentLog.open(path, **{"disk": NoSyncDisk(), **options})


class SlowTakeover:
    """A takeover that has found the log's end, and stands still until it is told to go on."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        self._found, self._goes_on = threading.Event(), threading.Event()
        self._log: SegmentLog | None = None
        self._thread = threading.Thread(target=self._run)
        real = takeover._first_segment

        def first_segment(directory, tail, epoch):
            if threading.current_thread() is self._thread:
                self._found.set()
                assert self._goes_on.wait(WAIT_S)
            return real(directory, tail, epoch)

        monkeypatch.setattr(takeover, "_first_segment", first_segment)
        self._thread.start()
        assert self._found.wait(WAIT_S)

    def _run(self) -> None:
        self._log = open_quickly(self._path, takeover=True)

    def finish(self) -> SegmentLog:
        """Let it go on to its end."""
        self._goes_on.set()
        self._thread.join(WAIT_S)
        assert self._log is not None
        return self._log


def write_too_late(log: SegmentLog) -> None:
    """Append, and be told that the log was taken over."""
    with pytest.raises(LogFailed):
        log.append([b"too late"], 1)


# -- writing and mending --------------------------------------------------------------------------------------------


def found_after_a_stale_append(path: Path) -> list[bytes | None]:
    """A thread of a stopped writer reads on in the new epoch; then the thread that holds the old lock appends."""
    old = open_quickly(path)
    put(old, b"a")
    with suppress(LogFailed), old.lock():
        new = open_quickly(path, takeover=True)
        put(new, b"b")
        old.refresh()
        old.append([b"stale"], 1)
    put(new, b"c")
    return contents(open_quickly(path))


def test_an_old_lock_is_none_for_the_new_file(path):
    assert found_after_a_stale_append(path) == [b"a", b"b", b"c"]


def test_writing_under_it_would_be_noticed(path, monkeypatch):
    monkeypatch.setattr(segment, "require_own", write_anyway)
    assert b"stale" in found_after_a_stale_append(path)


def begin_a_frame(log: SegmentLog) -> None:
    log._tail.file.write(b"the beginning of a frame", log._tail.offset)


def torn_copies_of_one_who_reads_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The same, but the old lock was only just taken; count what its holder cuts of the other one's write."""
    old, others = open_quickly(path, lock_timeout_s=0.01), []
    put(old, b"a")
    real = old._locking.acquire

    def acquire():
        got = real()
        if not others:
            others.append(open_quickly(path, takeover=True))
            put(others[0], b"b")
            others[0]._enter()
            begin_a_frame(others[0])
            old.refresh()
        return got

    monkeypatch.setattr(old._locking, "acquire", acquire)
    with suppress(LogLocked), old.lock():
        pass
    return len(list(path.glob("log/*.torn-*")))


def torn_copies_after_two_takeovers(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a takeover be overtaken by another one before it looks for the log's end; count what it cuts."""
    put(open_quickly(path), b"a")
    real, others = takeover.begin_epoch, []

    def overtaken(directory, lock):
        if not others:
            others.append(None)
            others[0] = open_quickly(path, takeover=True)
            put(others[0], b"b")
            others[0]._enter()
            begin_a_frame(others[0])
        return real(directory, lock)

    monkeypatch.setattr(takeover, "begin_epoch", overtaken)
    with suppress(LogLocked):
        open_quickly(path, takeover=True, lock_timeout_s=0.01)
    return len(list(path.glob("log/*.torn-*")))


@pytest.mark.parametrize("race", [torn_copies_of_one_who_reads_on, torn_copies_after_two_takeovers])
def test_nobody_mends_what_another_epoch_is_writing(path, monkeypatch, race):
    assert race(path, monkeypatch) == 0


@pytest.mark.parametrize("race", [torn_copies_of_one_who_reads_on, torn_copies_after_two_takeovers])
def test_mending_it_all_the_same_would_be_noticed(path, monkeypatch, race):
    monkeypatch.setattr(segment, "require_own", write_anyway)
    for module in (segment, takeover):
        monkeypatch.setattr(module, "find_end", mend_anyway)
    assert race(path, monkeypatch) == 1


# -- showing --------------------------------------------------------------------------------------------------------


def shown_by_one_who_was_overtaken(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list, list]:
    """A takeover is overtaken by another one, which has looked already; give what it shows, and what is found."""
    old, others = open_quickly(path), []
    put(old, b"a")
    real = takeover.begin_epoch

    def overtaken(directory, lock):
        if not others:
            others.append(None)
            others[0] = SlowTakeover(path, monkeypatch)
            write_too_late(old)
        return real(directory, lock)

    monkeypatch.setattr(takeover, "begin_epoch", overtaken)
    shown = []
    with old.lock(), suppress(LogLocked):
        shown = contents(open_quickly(path, takeover=True, lock_timeout_s=0.01))
    others[0].finish()
    return shown, contents(open_quickly(path))


def shown_while_the_lock_is_given_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list, list]:
    """A reader finds no lock taken: one who is fenced has just given it back, and the other one's it did not see."""
    old, others = open_quickly(path), []
    put(old, b"a")
    real = LockFile.share

    def share(lock):
        if not others:
            others.append(SlowTakeover(path, monkeypatch))
            write_too_late(old)
            old._leave()
        return real(lock)

    monkeypatch.setattr(LockFile, "share", share)
    old._enter()
    shown = contents(open_quickly(path, read_only=True))
    others[0].finish()
    return shown, contents(open_quickly(path))


def shown_while_segments_change(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list, list]:
    """A reader has found a frame behind the commit point, whose segment then gives way to that of a takeover."""
    old, shown = open_quickly(path), []
    put(old, b"a")
    real_point, real_sync = takeover.at_point, NoSyncDisk.sync

    def at_point(directory, point):
        other.finish()
        return real_point(directory, point)

    def sync(*_: object) -> None:
        monkeypatch.setattr(NoSyncDisk, "sync", real_sync)
        monkeypatch.setattr(takeover, "at_point", at_point)
        monkeypatch.setattr(SegmentLog, "refresh", lambda log: log.head)  # as long as there is no new commit point
        shown.extend(contents(open_quickly(path, read_only=True)))

    with old.lock():
        other = SlowTakeover(path, monkeypatch)
        monkeypatch.setattr(NoSyncDisk, "sync", sync)
        write_too_late(old)
    return shown, contents(open_quickly(path))


def test_who_hangs_in_opening_keeps_no_reader_waiting_for_ever(path, monkeypatch):
    monkeypatch.setattr(takeover, "_TRIES", 2)
    log = open_quickly(path)
    put(log, b"a")
    with log.lock():
        (path / "lock").write_bytes(bytes(120))
        assert contents(open_quickly(path, read_only=True)) == [b"a"]


@contextmanager
def any_epochs(directory, *, real=takeover._locks_if_free):
    """The mutant: whoever came meanwhile, nobody was writing."""
    with real(directory) as epochs:
        yield epochs if epochs is None else Anything()


class Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def point_or_what_was_found(directory, point, *, real=takeover.at_point):
    """The mutant: what cannot be found at the commit point is looked for behind it."""
    return real(directory, point) or found_last[-1]


def find_tail(directory, point, *, write, real=takeover.find_tail):
    found_last.append(real(directory, point, write=write)[0])
    return found_last[-1], ""


found_last = []


RACES = {
    shown_by_one_who_was_overtaken: ((segment, "find_end", mend_anyway), (takeover, "find_end", mend_anyway)),
    shown_while_the_lock_is_given_back: ((takeover, "_locks_if_free", any_epochs),),
    shown_while_segments_change: ((takeover, "find_tail", find_tail), (takeover, "at_point", point_or_what_was_found)),
}


@pytest.mark.parametrize("race", RACES)
def test_what_is_shown_is_found(path, monkeypatch, race):
    shown, found = race(path, monkeypatch)
    assert shown in ([], found)
    assert found == [b"a"]


@pytest.mark.parametrize("race", RACES)
def test_showing_more_would_be_noticed(path, monkeypatch, race):
    for target, name, broken in RACES[race]:
        monkeypatch.setattr(target, name, broken)
    shown, found = race(path, monkeypatch)
    found_last.clear()
    assert (shown, found) == ([b"a", b"too late"], [b"a"])
