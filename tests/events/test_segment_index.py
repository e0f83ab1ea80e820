"""Indexes of sealed segments save reading, and are never what an answer rests on."""

from __future__ import annotations

import pytest

from memorygraph.events.disk import OsDisk
from memorygraph.events.stores import SegmentLog
from memorygraph.events.stores.segment_file import SegmentName
from memorygraph.events.stores.segment_index import index_path, read_index, write_index
from tests.events.faulty_disk import NoSyncDisk
from tests.events.log_contract import contents, put

SEGMENT_BYTES = 600_000


class CountingDisk(NoSyncDisk):
    """Counts the bytes that are read."""

    read_bytes = 0

    def pread(self, fd: int, size_bytes: int, offset: int) -> bytes:
        data = super().pread(fd, size_bytes, offset)
        self.read_bytes += len(data)
        return data


def record(n: int) -> bytes:
    return b"%06d" % n * 500


@pytest.fixture
def log(tmp_path):
    """About 200 records of 3 KB in each of four segments."""
    log = SegmentLog.open(tmp_path, disk=CountingDisk(), segment_bytes=SEGMENT_BYTES)
    for n in range(1, 751):
        put(log, record(n))
    assert len(log._tail.segments) == 4
    return log


def bytes_to_read(log: SegmentLog, position: int) -> int:
    disk = log._directory.disk
    disk.read_bytes = 0
    assert contents(log, position, position) == [record(position)]
    return disk.read_bytes


def paths(log: SegmentLog) -> list[str]:
    """Of the sealed segments."""
    return [log._directory.segment_path(name) for name in log._tail.segments[:-1]]


def index_of(log: SegmentLog, at: int):
    names = log._tail.segments
    return read_index(OsDisk(), paths(log)[at], log.memory_id, names[at], names[at + 1].first - 1)


def test_a_read_in_a_sealed_segment_starts_near_the_record(log):
    far = log._tail.segments[1].first - 3
    assert bytes_to_read(log, far) > 400_000
    log.tend()
    assert bytes_to_read(log, far) < 250_000
    assert [index_of(log, at).chain for at in range(2)] == [
        log._directory.open_segment(name, write=False).header.chain_before for name in log._tail.segments[1:3]
    ]
    assert contents(log) == [record(n) for n in range(1, 751)]
    assert log.verify().whole


def test_indexes_are_made_once_and_where_they_are_missing(log, tmp_path):
    log.tend()
    path = index_path(paths(log)[1])
    made = (tmp_path / path).stat().st_mtime_ns
    log.tend()
    SegmentLog.open(tmp_path, disk=NoSyncDisk()).tend()
    assert (tmp_path / path).stat().st_mtime_ns == made
    (tmp_path / path).unlink()
    SegmentLog.open(tmp_path, disk=NoSyncDisk()).tend()
    assert index_of(log, 1) is not None
    reader = SegmentLog.open(tmp_path, read_only=True)
    (tmp_path / path).unlink()
    reader.tend()
    assert index_of(log, 1) is None


def test_a_damaged_index_costs_a_scan_and_is_made_again(log, tmp_path):
    log.tend()
    path = tmp_path / index_path(paths(log)[0])
    data = path.read_bytes()
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        assert index_of(log, 0) is None
        assert contents(log, 150, 152) == [record(n) for n in (150, 151, 152)]
    for cut in (b"", data[:20], data[:-16]):
        path.write_bytes(cut)
        assert contents(log, 150, 150) == [record(150)]
    SegmentLog.open(tmp_path, disk=NoSyncDisk()).tend()
    assert path.read_bytes() == data


@pytest.mark.parametrize("shift", [(1, 0), (-50, 0), (0, 1), (0, -20), (3055, 0), (10**9, 0)])
def test_an_index_that_lies_misleads_nobody(log, tmp_path, shift):
    log.tend()
    offset, position = shift
    index = index_of(log, 0)
    entries = tuple((at + offset, number + position) for at, number in index.entries[1:])
    write_index(OsDisk(), paths(log)[0], index._replace(entries=entries))
    end = log._tail.segments[1].first - 1
    for first in (2, 60, 120, 180, end):
        assert contents(log, first, end) == [record(n) for n in range(first, end + 1)]
    write_index(OsDisk(), paths(log)[0], index._replace(chain=bytes(32)))
    SegmentLog.open(tmp_path, disk=NoSyncDisk()).tend()
    assert index_of(log, 0) == index


def test_the_index_of_a_rewritten_segment_is_made_anew(log):
    log.tend()
    before = index_of(log, 0)
    log.replace_by_hash(range(10, 100))
    assert index_of(log, 0) is None
    assert contents(log, 150, 150) == [record(150)]
    log.tend()
    after = index_of(log, 0)
    assert (after.chain, after.last) == (before.chain, before.last)
    assert after.end < before.end - 250_000
    write_index(OsDisk(), paths(log)[0], before)  # as if it had been rewritten by one who died in between
    for position in (5, 9, 10, 99, 100, 150):
        assert contents(log, position, position) == [None if 10 <= position < 100 else record(position)]


def test_segments_of_a_later_epoch_have_indexes_too(log, tmp_path):
    new = SegmentLog.open(tmp_path, disk=NoSyncDisk(), takeover=True, segment_bytes=SEGMENT_BYTES)
    for n in range(751, 1100):
        put(new, record(n))
    new.tend()
    assert [index_of(new, at) is not None for at in range(len(new._tail.segments) - 1)] == [True] * 5
    assert contents(new, 740, 760) == [record(n) for n in range(740, 761)]
    assert new._tail.segments[3:5] == (SegmentName(log._tail.segments[3].first), SegmentName(750, 2))


@pytest.mark.parametrize("failing", ["create", "pwrite", "rename"])
def test_an_index_that_cannot_be_written_is_done_without(log, monkeypatch, failing):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CountingDisk, failing, fail)
    log.tend()
    monkeypatch.undo()
    assert contents(log, 150, 150) == [record(150)]
    assert not [name for name in log._directory.disk.listdir(log._directory.log_path) if ".tmp" in name]
