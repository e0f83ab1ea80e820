"""Who may write: takeovers, exclusive logs, locks that do not come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from memorygraph.events.errors import DamagedLog, Fenced, InputError, LogFailed, LogLocked, StoreError
from memorygraph.events.stores import SegmentLog, takeover
from memorygraph.events.stores.segment_file import SegmentName
from tests.events.faulty_disk import FaultyDisk, NoSyncDisk, VolatileDisk
from tests.events.log_contract import LogContract, contents, fill, put
from tests.faults.figures import figure

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


def open_quickly(path: Path, **options: object) -> SegmentLog:
    return SegmentLog.open(path, **{"disk": NoSyncDisk(), **options})


class TestTakenOver(LogContract):
    """A log whose first epoch is over keeps the contract, but for the epoch that new heads tell."""

    @pytest.fixture
    def make_log(self, tmp_path):
        made = iter(range(100))

        def make(memory_id: bytes) -> SegmentLog:
            path = tmp_path / f"store-{next(made)}"
            open_quickly(path, memory_id=memory_id).close()
            return open_quickly(path, takeover=True)

        return make

    def test_a_new_log_is_empty(self, log):
        assert (log.head.position, log.head.epoch) == (0, 2)
        assert contents(log) == []

    def test_the_chain_follows_the_format(self, log):
        put(log, b"a", b"b", time_us=77)
        frame = next(log.frames())
        assert int.from_bytes(frame[20:24], "little") == 2
        assert log.verify().head == log.head


# -- takeovers ----------------------------------------------------------------------------------------------------


def test_the_epoch_rises_and_the_log_goes_on(path):
    old = open_quickly(path)
    records = fill(old, 4)
    before = old.head
    new = open_quickly(path, takeover=True)
    assert (new.head.position, new.head.chain, new.head.epoch) == (before.position, before.chain, 2)
    put(new, b"new")
    again = open_quickly(path, takeover=True)
    assert again.head.epoch == 3
    put(again, b"newer")
    assert contents(again) == [*records, b"new", b"newer"]
    assert again.verify().whole
    assert sorted(file.name for file in path.iterdir()) == ["MEMORY", "lock-3", "log"]
    assert contents(open_quickly(path)) == contents(open_quickly(path, read_only=True)) == contents(again)


def test_a_writer_that_was_not_writing_goes_on_in_the_new_epoch(path):
    one, reader = open_quickly(path), open_quickly(path, read_only=True)
    put(one, b"a")
    assert reader.refresh() == one.head
    two = open_quickly(path, takeover=True)
    assert put(two, b"b").position == 2
    assert reader.refresh() == two.head
    assert put(one, b"c").position == 3
    assert put(two, b"d").epoch == 2
    assert reader.refresh() == two.head
    assert contents(one, 1, 3) == [b"a", b"b", b"c"]
    assert contents(reader) == contents(two) == [b"a", b"b", b"c", b"d"]


def test_one_that_held_the_lock_is_fenced(path):
    old, reader = open_quickly(path), open_quickly(path, read_only=True)
    put(old, b"a")
    with old.lock():
        new = open_quickly(path, takeover=True)
        put(new, b"b")
        with pytest.raises(Fenced, match="is not recorded; open it anew") as caught:
            old.append([b"stale"], 1)
    assert caught.value.about["recorded"] is False
    assert isinstance(caught.value, LogFailed)
    with pytest.raises(Fenced), old.lock():
        pass
    assert old.refresh() == reader.refresh() == new.head  # it can still read
    assert contents(old) == contents(reader) == contents(open_quickly(path)) == [b"a", b"b"]
    segment = path / "log" / SegmentName(1).text
    assert not segment.exists() or b"stale" in segment.read_bytes()


def test_a_write_that_the_takeover_found_is_said_to_be_recorded(path, monkeypatch):
    old = open_quickly(path)
    put(old, b"a")

    def sync_and_be_taken_over(*_: object) -> None:
        monkeypatch.undo()
        opened.append(open_quickly(path, takeover=True))

    opened: list[SegmentLog] = []
    with old.lock():
        monkeypatch.setattr(NoSyncDisk, "sync", sync_and_be_taken_over)
        with pytest.raises(Fenced, match="is recorded"):
            old.append([b"just in time"], 1)
    assert contents(opened[0]) == [b"a", b"just in time"]
    assert put(opened[0], b"b").position == 3


def left_when_the_old_writer_takes_back(path: Path) -> list[bytes | None]:
    """A takeover finds a frame whole; then its writer's sync fails, and it zeroes the frame."""
    put(open_quickly(path), b"a")
    disk = FaultyDisk(10**9, "error")
    old = open_quickly(path, disk=disk)

    def fail(_fd: int) -> None:
        opened.append(open_quickly(path, takeover=True))
        raise OSError(5, "Input/output error")

    opened: list[SegmentLog] = []
    disk.sync = fail
    with pytest.raises(LogFailed), old.lock():
        old.append([b"b"], 1)
    return contents(opened[0])


def test_a_frame_that_the_old_writer_takes_back_stays(path):
    assert left_when_the_old_writer_takes_back(path) == [b"a", b"b"]
    assert contents(open_quickly(path)) == [b"a", b"b"]


def test_leaving_the_last_frame_in_the_old_file_would_be_noticed(path, monkeypatch):
    first_segment = takeover._first_segment
    mutant = lambda directory, tail, epoch: first_segment(directory, tail._replace(frame_at=0), epoch)  # noqa: E731 - short
    monkeypatch.setattr(takeover, "_first_segment", mutant)
    with pytest.raises(DamagedLog):
        left_when_the_old_writer_takes_back(path)


def test_what_is_behind_the_end_of_an_old_segment_does_not_exist(path):
    old = open_quickly(path, segment_bytes=2000)
    fill(old, 3)
    frames = list(old.frames())
    with old.lock():
        new = open_quickly(path, takeover=True)
        for n in range(20):  # as if it were never to look, through several segments
            old._locking._file = None
            with pytest.raises(Fenced):
                old.append([b"stale %d" % n * 20], n)
    put(new, b"next")
    for log in (new, open_quickly(path), open_quickly(path, read_only=True)):
        assert list(log.frames())[:3] == frames
        assert contents(log)[-1] == b"next"
        assert log.verify().whole
        assert log.verify().records == 7


def test_a_damaged_log_is_not_taken_over(path):
    log = open_quickly(path)
    fill(log, 4)
    segment = path / "log" / SegmentName(1).text
    data = bytearray(segment.read_bytes())
    data[log._tail.frame_at + 3] ^= 1
    segment.write_bytes(data)
    with pytest.raises(DamagedLog, match="not taken over"):
        open_quickly(path, takeover=True)
    assert segment.read_bytes() == data
    assert open_quickly(path).read_only
    assert open_quickly(path, read_only=True).head.position == 6


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["error", "late", "short"])
def test_a_takeover_can_fail_anywhere(path, kind):
    for fail_at in range(1, 40):
        store, disk = path / f"{fail_at}", FaultyDisk(fail_at, kind)
        old = open_quickly(store, segment_bytes=600)
        records = fill(old, 6)
        with old.lock():
            try:
                open_quickly(store, takeover=True, disk=disk)
            except StoreError:
                assert disk.failed
            else:
                if not disk.failed:
                    break
            try:
                records += [b"old"] if old.append([b"old"], 1) else []
            except Fenced as error:
                records += [b"old"] if error.about["recorded"] else []
        new = open_quickly(store)
        put(new, b"new")
        found = contents(new)
        assert found in ([*records, b"new"], [*records, b"old", b"new"])
        assert new.verify().whole
        assert contents(open_quickly(store, read_only=True)) == found
    assert fail_at > 9


def lost_in_power_cuts(root: Path) -> int:
    """Cut the power at the end of a takeover and a few commits after it."""
    lost = 0
    for appends in range(4):
        path, disk = root / f"{appends}", VolatileDisk()
        records = fill(SegmentLog.open(path, disk=disk), 3)
        log = SegmentLog.open(path, disk=disk, takeover=True)
        records += [b"new %d" % n for n in range(appends)]
        for n in range(appends):
            put(log, b"new %d" % n)
        del log
        disk.cut_power()
        found = contents(open_quickly(path))
        assert found == records[: len(found)]
        assert open_quickly(path).verify().whole
        lost += len(records) - len(found)
    return lost


def test_a_power_cut_after_a_takeover_takes_nothing(path):
    assert lost_in_power_cuts(path) == 0


def test_epochs_of_an_imported_log_rise_on(path, tmp_path):
    source = open_quickly(path)
    for _ in range(3):
        source = open_quickly(path, takeover=True)
        put(source, b"a")
    copy = open_quickly(tmp_path / "copy", memory_id=source.memory_id)
    for frame in source.frames():
        with copy.lock():
            copy.adopt(frame)
    assert copy.head == source.head
    taken = open_quickly(tmp_path / "copy", takeover=True)
    assert taken.head.epoch == 5
    put(taken, b"b")
    assert contents(taken) == [b"a", b"a", b"a", b"b"]


def lost_between_end_and_marks(path: Path, monkeypatch: pytest.MonkeyPatch, *, marked: bool) -> bool:
    """Let a writer commit just after a takeover found the log's end; say whether that was acknowledged and is gone."""
    old, told = open_quickly(path), []
    put(old, b"a")
    first_segment = takeover._first_segment

    def commit_first(*args: object) -> object:
        with suppress(Fenced):
            told.append(old.append([b"acknowledged"], 1))
        return first_segment(*args)

    with monkeypatch.context() as patch, old.lock():
        patch.setattr(takeover, "_first_segment", commit_first)
        if not marked:
            patch.setattr(takeover.LockFile, "supersede", lambda *_: None)
        new = open_quickly(path, takeover=True)
    return bool(told) and contents(new) == [b"a"]


def test_nothing_is_acknowledged_once_the_end_was_looked_for(path, monkeypatch):
    assert not lost_between_end_and_marks(path, monkeypatch, marked=True)


def test_looking_for_the_end_without_marks_would_be_noticed(path, monkeypatch):
    assert lost_between_end_and_marks(path, monkeypatch, marked=False)


def takeovers(path: Path, rounds: int, seed: int, mutant: str = "") -> dict[str, object]:
    command = [sys.executable, "-m", "tests.events.takeovers", path, str(rounds), str(seed), mutant]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    return json.loads(done.stdout)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(1, figure(1, 20) + 1))
def test_takeovers_from_stopped_writers_that_go_on(path, seed):
    result = takeovers(path, rounds=figure(18, 25), seed=seed)  # the log is read after each, so it is kept short
    assert result["faults"] == [], f"seed {seed}"
    assert result["acknowledged"] > 100


@pytest.mark.faults
@pytest.mark.parametrize("mutant", ["unfenced", "same file"])
def test_a_takeover_that_does_not_fence_would_be_noticed(path, mutant):
    assert takeovers(path, 18, 1, mutant)["faults"] != []


# -- exclusive logs, and locks that do not come ---------------------------------------------------------------------


def test_an_exclusive_log_keeps_other_writers_out_at_once(path):
    log = open_quickly(path, exclusive=True)
    put(log, b"a")
    with pytest.raises(LogLocked, match=rf"open exclusively \(process {os.getpid()} on ") as caught:
        open_quickly(path)
    assert caught.value.about["pid"] == os.getpid()
    with pytest.raises(LogLocked):
        open_quickly(path, exclusive=True)
    reader = open_quickly(path, read_only=True)
    put(log, b"b")
    assert reader.refresh() == log.head
    log.close()
    assert put(open_quickly(path), b"c").position == 3


def test_one_that_was_open_before_is_kept_out_too(path):
    before = open_quickly(path)
    put(before, b"a")
    log = open_quickly(path, exclusive=True)
    put(log, b"b")
    with pytest.raises(LogLocked), before.lock():
        pass
    log.close()
    assert put(before, b"c").position == 3


def test_who_waits_for_an_exclusive_log_gets_it_when_it_is_closed(path):
    log = open_quickly(path, exclusive=True)
    opened: list[SegmentLog] = []
    waiting = threading.Thread(target=lambda: opened.append(open_quickly(path, lock_timeout_s=60)))
    waiting.start()
    put(log, b"a")
    log.close()
    waiting.join(60)
    assert contents(opened[0]) == [b"a"]


def test_a_lock_that_does_not_come_is_a_named_error(path):
    holder, other = open_quickly(path), open_quickly(path, lock_timeout_s=0.01)
    with holder.lock():
        with pytest.raises(LogLocked, match="takeover=True") as caught, other.lock():
            pass
        with pytest.raises(LogLocked):
            open_quickly(path, lock_timeout_s=0)
        assert str(os.getpid()) in str(caught.value) or sys.platform != "linux"
        again = open_quickly(path, read_only=True)
        assert again.head.position == 0
    put(other, b"a")


def test_a_thread_that_does_not_come_out_of_the_lock_is_a_named_error(path):
    log = open_quickly(path, lock_timeout_s=0.01)
    with log.lock():
        errors = []

        def enter() -> None:
            try:
                log._enter()
            except LogLocked as error:
                errors.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(60)
        assert "another thread of this process" in str(errors[0])


def test_the_name_of_an_owner_that_died_does_not_keep_anybody_out(path):
    code = (
        "import os, sys; from memorygraph.events.stores import SegmentLog; "
        "log = SegmentLog.open(sys.argv[1], exclusive=True); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True, cwd=ROOT)
    log = open_quickly(path)
    assert put(log, b"a").position == 1
    with log.lock(), pytest.raises(LogLocked) as caught:
        open_quickly(path, lock_timeout_s=0.01)
    assert "exclusively" not in str(caught.value)


def test_an_exclusive_log_that_is_taken_over_is_fenced(path):
    old = open_quickly(path, exclusive=True)
    put(old, b"a")
    new = open_quickly(path, takeover=True, exclusive=True)
    put(new, b"b")
    for _ in range(2):
        with pytest.raises(Fenced, match="took this memory over; open it anew"), old.lock():
            pass
    assert old.refresh() == new.head
    with pytest.raises(LogLocked):
        open_quickly(path)


def test_a_forked_child_of_an_exclusive_log_is_kept_out(path):
    log = open_quickly(path, exclusive=True)
    put(log, b"a")
    child = os.fork()
    if not child:
        try:
            with log.lock():
                pass
        except LogLocked:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert put(log, b"b").position == 2


@pytest.mark.parametrize("option", ["exclusive", "takeover"])
def test_a_reader_holds_no_lock(path, option):
    open_quickly(path)
    with pytest.raises(InputError, match="read-only"):
        open_quickly(path, read_only=True, **{option: True})
