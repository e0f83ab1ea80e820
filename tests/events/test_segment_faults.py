"""The segment store on disks that fail, fill up, or lose power: nothing acknowledged is lost, nothing is pretended."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memorygraph.events.errors import DiskFull, LogFailed, MemoryGraphError, StoreError
from memorygraph.events.stores import SegmentLog
from memorygraph.events.stores.directory import StoreDirectory
from memorygraph.events.stores.segment_file import SegmentFile
from tests.events.faulty_disk import FaultyDisk, NoSyncDisk, SmallDisk, VolatileDisk
from tests.events.log_contract import contents, put

SMALL = 1500  # bytes per segment: about ten frames
CALLS = 120

pytestmark = pytest.mark.faults


def record(n: int) -> bytes:
    return b"record %03d " % n * 3


def write_until_it_fails(path: Path, disk: FaultyDisk) -> tuple[int, int]:
    """Append with one open log; give (how many were acknowledged, how many of them after a failure)."""
    acknowledged = after_failure = 0
    try:
        log = SegmentLog.open(path, disk=disk, segment_bytes=SMALL)
    except StoreError:
        return 0, 0
    has_failed = False
    for n in range(60):
        try:
            put(log, record(n))
        except StoreError:
            assert disk.failed
            has_failed = True
            continue
        acknowledged += 1
        after_failure += has_failed
    return acknowledged, after_failure


def lost_after(path: Path, acknowledged: int) -> int:
    """Open anew on a sound disk; count acknowledged records that are not there, and check that writing goes on."""
    log = SegmentLog.open(path, disk=NoSyncDisk(), segment_bytes=SMALL)
    found = contents(log)
    assert log.verify().whole
    assert found == [record(n) for n in range(len(found))], "only what was appended, in order"
    position = put(log, b"more").position
    assert position == len(found) + 1
    again = SegmentLog.open(path, disk=NoSyncDisk(), segment_bytes=SMALL)
    assert contents(again) == [*found, b"more"]
    return max(acknowledged - len(found), 0)


@pytest.mark.parametrize("kind", ["error", "short", "late"])
def test_a_failure_at_any_call_stops_the_log_and_loses_nothing(tmp_path, kind):
    stopped = 0
    for fail_at in range(1, CALLS + 1):
        path = tmp_path / f"{fail_at}"
        disk = FaultyDisk(fail_at, kind)
        acknowledged, after_failure = write_until_it_fails(path, disk)
        assert disk.failed
        assert after_failure == 0, f"acknowledged after the failure of call {fail_at}"
        assert lost_after(path, acknowledged) == 0
        stopped += acknowledged < 60
    assert stopped >= CALLS * 0.9  # the others hit a file that is only a copy or a leftover


def test_going_on_after_a_failure_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(SegmentLog, "_failed", lambda self, error, doing: LogFailed(f"{self} {error} {doing}"))
    assert any(write_until_it_fails(tmp_path / f"{n}", FaultyDisk(n, "late"))[1] for n in range(20, 40))


def test_the_stopped_log_says_so_and_still_reads(tmp_path):
    disk = FaultyDisk(10**9, "late")
    log = SegmentLog.open(tmp_path, disk=disk)
    put(log, b"a")
    disk.fail_at = disk.calls + 2  # the sync after the write
    for _ in range(3):
        with pytest.raises(LogFailed, match="opened anew"):
            put(log, b"b")
    assert log.refresh().position == 1
    assert contents(log) == [b"a"]
    other = SegmentLog.open(tmp_path, disk=NoSyncDisk())
    assert put(other, b"c").position == 2  # in the place of the record that was taken back
    assert contents(other) == [b"a", b"c"]


def append_until_full(log: SegmentLog, written: int) -> int:
    try:
        while True:
            put(log, record(written) * 30)
            written += 1
    except DiskFull:
        return written


def test_a_full_disk_refuses_and_goes_on_when_there_is_space(tmp_path):
    for free_bytes in (0, 1, 5_000, 40_000):
        path = tmp_path / f"{free_bytes}"
        disk = SmallDisk(1 << 30)
        log = SegmentLog.open(path, disk=disk, segment_bytes=60_000)
        written = 0
        disk.free_bytes = free_bytes
        for _ in range(2):
            written = append_until_full(log, written)
            assert contents(log) == [record(n) * 30 for n in range(written)]
            assert SegmentLog.open(path, disk=disk).refresh() == log.refresh()
        disk.free_bytes = 1 << 30
        for _ in range(200):
            put(log, record(written) * 30)
            written += 1
        assert contents(SegmentLog.open(path, disk=disk)) == [record(n) * 30 for n in range(written)]
        assert log.verify().whole
        assert log.notes == ()


def test_no_room_to_make_a_store(tmp_path):
    disk = SmallDisk(1000)
    with pytest.raises(DiskFull):
        SegmentLog.open(tmp_path / "store", disk=disk)
    disk.free_bytes = 1 << 20
    assert put(SegmentLog.open(tmp_path / "store", disk=disk), b"a").position == 1


def test_no_room_to_copy_a_torn_tail(tmp_path):
    put(SegmentLog.open(tmp_path, disk=NoSyncDisk()), b"a")
    segment = tmp_path / "log" / f"{1:020d}.seg"
    data = bytearray(segment.read_bytes())
    data[300:310] = b"torn bytes"
    segment.write_bytes(data)
    disk = SmallDisk(0)
    log = SegmentLog.open(tmp_path, disk=disk)
    assert contents(log) == [b"a"]
    with pytest.raises(DiskFull):
        put(log, b"b")
    assert b"torn bytes" in segment.read_bytes()
    disk.free_bytes = 1 << 20
    assert put(log, b"b").position == 2
    assert len(log.notes) == 1


def test_a_file_size_limit_is_a_full_disk(tmp_path):
    code = (
        "import resource, sys\n"
        "from memorygraph.events.errors import DiskFull\n"
        "from memorygraph.events.stores import SegmentLog\n"
        "log = SegmentLog.open(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    while True:\n"
        "        with log.lock():\n"
        "            log.append([bytes(1000)], 1)\n"
        "except DiskFull:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "    with log.lock():\n"
        "        print(log.append([b'more'], 1).position)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(contents(SegmentLog.open(tmp_path)))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def lost_in_power_cuts(root: Path) -> int:
    """Cut the power after each of 30 appends (a few in each segment); count what was acknowledged and is gone."""
    lost = 0
    for appends in range(30):
        path = root / f"{appends}"
        disk = VolatileDisk()
        log = SegmentLog.open(path, disk=disk, segment_bytes=600)
        for n in range(appends):
            put(log, record(n))
        del log
        disk.cut_power()
        try:
            found = contents(SegmentLog.open(path, segment_bytes=600, disk=NoSyncDisk()))
        except MemoryGraphError:
            found = []
        assert found == [record(n) for n in range(len(found))]
        lost += appends - len(found)
        shutil.rmtree(path)
    return lost


def test_a_power_cut_takes_nothing_acknowledged(tmp_path):
    assert lost_in_power_cuts(tmp_path) == 0


@pytest.mark.parametrize(("where", "method"), [(SegmentFile, "sync"), (StoreDirectory, "sync_names")])
def test_without_the_sync_it_would(tmp_path, monkeypatch, where, method):
    monkeypatch.setattr(where, method, lambda *_: None)
    assert lost_in_power_cuts(tmp_path) > 0


def survives_its_finder(path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Write a frame whose writer dies between write and sync; open the store; cut the power."""
    SegmentLog.open(path)
    disk = VolatileDisk()
    with monkeypatch.context() as patch:
        patch.setattr(VolatileDisk, "sync", lambda *_: None)
        put(SegmentLog.open(path, disk=disk), b"written, not synced")
    assert SegmentLog.open(path, disk=disk).head.position == 1
    disk.cut_power()
    return contents(SegmentLog.open(path)) == [b"written, not synced"]


def test_a_frame_found_unsynced_is_synced_before_anything_builds_on_it(tmp_path, monkeypatch):
    assert survives_its_finder(tmp_path, monkeypatch)


def test_trusting_a_found_frame_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(SegmentLog, "_sync_found", lambda *_: None)
    assert not survives_its_finder(tmp_path, monkeypatch)


def test_making_a_store_can_stop_anywhere(tmp_path):
    for fail_at in range(1, 20):
        path = tmp_path / "parent" / f"{fail_at}"
        for kind in ("error", "late"):
            disk = FaultyDisk(fail_at, kind)
            try:
                SegmentLog.open(path, disk=disk)
            except StoreError:
                assert disk.failed
            else:
                assert fail_at > 10
        assert put(SegmentLog.open(path, disk=NoSyncDisk()), b"a").position == 1
