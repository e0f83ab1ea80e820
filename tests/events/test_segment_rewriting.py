"""Records replaced by their hashes in segment files: beside other writers and readers, and on disks that fail."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from memorygraph.events.errors import DamagedLog, Fenced, StoreError, StoreReadOnly
from memorygraph.events.stores import SegmentLog
from tests.events.faulty_disk import FaultyDisk, NoSyncDisk, VolatileDisk
from tests.events.log_contract import contents, put

SMALL = 500  # bytes per segment: about two frames
WANTED = frozenset(range(3, 10)) | {12}


def record(n: int) -> bytes:
    return b"secret %03d " % n * 10


def filled(path, **options) -> SegmentLog:
    log = SegmentLog.open(path, **{"disk": NoSyncDisk(), "segment_bytes": SMALL, **options})
    for n in range(1, 13):
        put(log, record(n))
    return log


def kept(wanted=WANTED) -> list[bytes | None]:
    return [None if n in wanted else record(n) for n in range(1, 13)]


def test_nothing_of_a_replaced_record_is_left_in_the_store(tmp_path):
    log = filled(tmp_path)
    size_bytes = log.size_bytes()
    log.replace_by_hash(WANTED)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert [n for n in range(1, 13) if record(n) in stored] == sorted(set(range(1, 13)) - WANTED)
    assert log.size_bytes() < size_bytes


def test_other_logs_of_the_store_see_it_and_go_on(tmp_path):
    log = filled(tmp_path)
    writer = SegmentLog.open(tmp_path, segment_bytes=SMALL)
    reader = SegmentLog.open(tmp_path, read_only=True)
    log.replace_by_hash(WANTED)
    assert writer.refresh() == reader.refresh() == log.head
    assert contents(writer) == contents(reader) == kept()
    put(writer, b"next")
    assert log.refresh() == reader.refresh() == writer.head
    assert put(log, b"and next").position == 14
    assert [one.verify().whole for one in (log, writer, reader)] == [True] * 3


def test_a_reader_with_the_old_file_open_goes_on(tmp_path):
    log = filled(tmp_path, segment_bytes=1 << 20)
    put(log, bytes(2 << 20))
    entries = log.read()
    assert next(entries).data == record(1)
    log.replace_by_hash(WANTED)
    assert [entry.data for entry in entries][:11] == [record(n) for n in range(2, 13)]


def test_two_that_replace_at_once_undo_nothing(tmp_path):
    logs = [filled(tmp_path), SegmentLog.open(tmp_path, disk=NoSyncDisk())]
    together = threading.Barrier(2)

    def replace(log: SegmentLog, positions: list[int]) -> None:
        for position in positions:
            together.wait(30)
            log.replace_by_hash([position])

    threads = [threading.Thread(target=replace, args=(log, [n, n + 2])) for n, log in enumerate(logs, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert contents(logs[0]) == kept({3, 4, 5, 6})


def test_a_read_only_log_replaces_nothing(tmp_path):
    filled(tmp_path)
    with pytest.raises(StoreReadOnly):
        SegmentLog.open(tmp_path, read_only=True).replace_by_hash([1])


def test_a_damaged_segment_stays_as_it_is(tmp_path):
    log = filled(tmp_path)
    segment = sorted((tmp_path / "log").glob("*.seg"))[1]
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    with pytest.raises(DamagedLog, match=segment.name):
        log.replace_by_hash([int(segment.stem)])
    assert segment.read_bytes() == data
    assert sorted((tmp_path / "log").iterdir()) == sorted((tmp_path / "log").glob("*.seg"))


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["error", "short", "late"])
def test_a_failure_at_any_call_leaves_the_old_or_the_new_file(tmp_path, kind):
    for fail_at in range(1, 60):
        path, disk = tmp_path / f"{fail_at}", FaultyDisk(10**9, kind)
        log = filled(path, disk=disk)
        before, disk.calls, disk.fail_at = log.head, 0, fail_at
        try:
            log.replace_by_hash(WANTED)
        except StoreError:
            assert disk.failed
        else:
            if not disk.failed:
                break
        again = SegmentLog.open(path, disk=NoSyncDisk(), segment_bytes=SMALL)
        assert again.head == before
        assert all(data in (None, whole) for data, whole in zip(contents(again), kept(()), strict=True))
        assert all(contents(again)[n - 1] for n in range(1, 13) if n not in WANTED)
        again.replace_by_hash(WANTED)
        assert contents(again) == kept()
        assert again.verify().whole
        assert not list(path.rglob("*.tmp"))
    assert fail_at > 20


def whole_after_a_power_cut(path) -> bool:
    disk = VolatileDisk()
    log = filled(path, disk=disk)
    log.replace_by_hash(WANTED)
    del log
    disk.cut_power()
    try:
        again = SegmentLog.open(path, disk=NoSyncDisk(), segment_bytes=SMALL)
        return again.verify().whole and contents(again) == kept()
    except StoreError:
        return False


def test_what_was_replaced_stays_so_after_a_power_cut(tmp_path):
    assert whole_after_a_power_cut(tmp_path)


@pytest.mark.parametrize("method", ["sync", "sync_directory"])
def test_without_the_sync_it_would_not(tmp_path, monkeypatch, method):
    real = getattr(VolatileDisk, method)
    is_rewriting = []
    swap = SegmentLog.replace_by_hash

    def replace(log, positions):
        is_rewriting.append(True)
        return swap(log, positions)

    monkeypatch.setattr(SegmentLog, "replace_by_hash", replace)
    monkeypatch.setattr(VolatileDisk, method, lambda *args: None if is_rewriting else real(*args))
    assert not whole_after_a_power_cut(tmp_path)


def test_what_a_takeover_left_in_the_old_file_goes_too(tmp_path):
    log = filled(tmp_path, segment_bytes=1 << 20)
    with log.lock():
        new = SegmentLog.open(tmp_path, takeover=True, disk=NoSyncDisk())
        with suppress(Fenced):
            log.append([b"written in vain"], 1)
    put(new, b"next")
    new.replace_by_hash([12])
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert record(12) not in stored
    assert b"written in vain" not in stored
    assert contents(new) == [*kept({12}), b"next"]
    assert new.verify().whole
