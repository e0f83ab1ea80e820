"""Files that grow ahead of their writers: the second thread, and what it may and may not do to a log."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from memorygraph.events.disk import OsDisk
from memorygraph.events.stores import SegmentLog
from tests.memory.test_idle import wait_until

MB = 1 << 20


class CountingDisk(OsDisk):
    """Notes who makes files longer, and may refuse the second thread."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.appended: list[int] = []
        self.refuses = refuses

    def append_zeros(self, path: str, size_bytes: int) -> None:
        self.appended.append(size_bytes)
        if self.refuses:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append_zeros(path, size_bytes)


def fill(log: SegmentLog, size_bytes: int, count: int) -> None:
    for number in range(count):
        with log.lock():
            log.append([number.to_bytes(4) * (size_bytes // 4)], number)


def newest(path: Path) -> Path:
    return max((path / "log").glob("*.seg"))


def test_a_large_file_is_filled_ahead_of_its_writer(tmp_path):
    disk = CountingDisk()
    log = SegmentLog.open(tmp_path, disk=disk)
    fill(log, 100_000, 5)
    assert disk.appended == []  # small memories stay small, and need no thread
    fill(log, 100_000, 120)
    assert wait_until(lambda: newest(tmp_path).stat().st_size > 12 * MB)
    assert disk.appended[0] < 2 * MB  # at most what the file has
    assert set(disk.appended[2:]) == {3 * MB}
    assert log.size_bytes() - 125 * 100_000 < 7 * MB
    assert log.verify().whole
    log.close()


def test_it_is_not_filled_beyond_the_size_of_a_segment(tmp_path):
    log = SegmentLog.open(tmp_path, segment_bytes=3 * MB)
    fill(log, 100_000, 20)
    assert wait_until(lambda: newest(tmp_path).stat().st_size == 3 * MB)
    fill(log, 100_000, 20)
    assert len(list((tmp_path / "log").glob("*.seg"))) == 2
    assert log.verify().whole
    log.close()


def test_who_writes_goes_on_without_the_second_thread(tmp_path):
    disk = CountingDisk(refuses=True)
    log = SegmentLog.open(tmp_path, disk=disk)
    fill(log, 100_000, 100)
    assert wait_until(lambda: len(disk.appended) > 1)
    assert len(disk.appended) < 5  # it is asked now and then, not at each write
    assert log.verify().records == 100
    log.close()


def zeros_at_the_end_that_was(path: str, size_bytes: int, *, end: int) -> None:
    """A mutant: write zeros where the file ended when this was asked for."""
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, bytes(size_bytes), end)
    os.close(fd)


@pytest.mark.parametrize("mutant", [False, True], ids=["as it is", "written at the end that was"])
def test_zeros_never_go_over_what_was_written_meanwhile(tmp_path, mutant):
    """The second thread comes late: the writer has passed the end that the file had."""
    late: list = []

    class LateDisk(OsDisk):
        def append_zeros(self, path: str, size_bytes: int) -> None:
            late.append((path, size_bytes, Path(path).stat().st_size))

    log = SegmentLog.open(tmp_path, disk=LateDisk())
    fill(log, 100_000, 15)
    assert wait_until(lambda: late)
    fill(log, 100_000, 60)
    path, size_bytes, end = late[0]
    if mutant:
        zeros_at_the_end_that_was(path, size_bytes, end=end)
    else:
        OsDisk().append_zeros(path, size_bytes)
    assert log.verify().whole is not mutant
    log.close()


def test_small_pieces(tmp_path, monkeypatch):
    """A write may be short."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:1000]))
    OsDisk().append_zeros(str(path), 3500)
    assert path.read_bytes() == b"before" + bytes(3500)
