"""T4: the disk is full, then there is space again: reads go on, the store opens, nothing acknowledged is lost."""

from __future__ import annotations

import resource
import subprocess
import sys
from random import Random

import pytest

from memorygraph.events.errors import DiskFull
from memorygraph.events.stores import SegmentLog, segment
from tests.events.faulty_disk import NoSyncDisk, SmallDisk
from tests.events.log_contract import contents, put
from tests.faults.figures import figure
from tests.faults.mutants import nothing
from tests.simulation.history import History, Reader
from tests.simulation.machine import CalmDisk, Chances, Machine
from tests.simulation.scenario import MEMORY_ID

ROUNDS = figure(60, 2000)

pytestmark = pytest.mark.faults


def record(n: int) -> bytes:
    return b"record %03d " % n * 3


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


def broken_on_a_small_disk(seed: int) -> list[str]:
    """Write on a disk that fills up at a random byte, reopen and read while it is full, and go on with space again."""
    dice = Random(seed)
    machine = Machine(dice, Chances(switch=0.0, death=dice.choice((0.0, 0.01))))
    history = History()
    segment_bytes = dice.choice((1500, 20_000, 200_000))

    def open_log(disk, **options):
        return SegmentLog.open("/store", disk=disk, memory_id=MEMORY_ID, segment_bytes=segment_bytes, **options)

    def write(disk, appends):
        log, reader = None, Reader(history, "writer")
        for n in range(appends):
            attempt = history.attempt("writer", [b"%d %d " % (n, machine.calls) + dice.randbytes(dice.randint(0, 900))])
            try:
                if log is None or dice.random() < 0.1:
                    log = open_log(disk)
                    reader.reopened()
                with log.lock():
                    attempt.head = log.append(attempt.records, n)
                attempt.outcome, attempt.position = "acknowledged", attempt.head.position
            except DiskFull:
                attempt.outcome = "refused"
            if log is not None:
                reader.look(log, again=dice.random() < 0.1)

    machine.storage.capacity_bytes = dice.randint(0, 80_000)
    machine.run({"writer": lambda disk: write(disk, 40)})
    machine.storage.capacity_bytes = None
    machine.chances = Chances(switch=0.0)
    machine.run({"writer": lambda disk: write(disk, 10)})
    for name, error in machine.unexpected:
        history.broken(f"{name}: {error!r}")
    if sum(attempt.outcome == "acknowledged" for attempt in history.attempts[-10:]) < 10:
        history.broken("an append failed although there was space again")
    history.check(open_log(CalmDisk(machine.storage.copy())))
    return history.violations


def test_a_disk_that_fills_up_anywhere_loses_nothing():
    broken = {seed: lines for seed in range(ROUNDS) if (lines := broken_on_a_small_disk(seed))}
    assert broken == {}


def test_a_full_disk_that_counts_as_a_failure_would_be_noticed(monkeypatch):
    monkeypatch.setattr(segment, "is_full", nothing)
    assert any(broken_on_a_small_disk(seed) for seed in range(20))
