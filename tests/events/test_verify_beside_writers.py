"""A healthy log that is written to while it is verified has no damage."""

from __future__ import annotations

import threading

import pytest

from memorygraph.events.stores.segment_file import SegmentFile
from tests.events.log_contract import fill, put
from tests.events.test_segment_log import open_quickly


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.mark.parametrize("frames", [1, 2])
def test_a_frame_that_is_written_while_it_is_verified_is_no_damage(path, monkeypatch, frames):
    """The writer is just behind the reader's first look at the log's end."""
    log, writer = open_quickly(path), open_quickly(path)
    fill(log, 3)
    find, left = SegmentFile.find_frame, [frames]

    def write_first(file, offset, after_position):
        while left[0]:
            left[0] -= 1
            put(writer, b"meanwhile")
        return find(file, offset, after_position)

    monkeypatch.setattr(SegmentFile, "find_frame", write_first)
    report = log.verify()
    assert report.damage == ()
    assert report.frames == 3 + frames


def test_a_frame_that_was_half_written_at_the_first_look_is_no_damage(path, monkeypatch):
    """The search for later frames sees the next one whole, the one before it not yet."""
    log = open_quickly(path)
    fill(log, 3)
    half_bytes, original = 50, SegmentFile.frames
    start = log._tail.offset
    put(log, b"slowly")
    put(log, b"and the next")
    whole = log._tail.file.read(log._tail.offset - start, start)
    log._tail.file.erase(start + half_bytes, 46)

    def finished_after_the_first_look(file, offset, position):
        yield from original(file, offset, position)
        if position == 1:
            found.append(file.find_frame(start, position))
            file_to_write.write(whole, start)

    found, file_to_write = [], log._tail.file
    monkeypatch.setattr(SegmentFile, "frames", finished_after_the_first_look)
    assert log.verify().damage == ()
    assert found[0][1].first == log.head.position


@pytest.mark.parametrize("segment_bytes", [2000, 1 << 20])
def test_a_log_is_whole_whenever_it_is_verified(path, segment_bytes):
    log = open_quickly(path, segment_bytes=segment_bytes)
    other = open_quickly(path, segment_bytes=segment_bytes)
    stop = threading.Event()

    def write(log):
        number = 0
        while not stop.is_set() and number < 3000:
            put(log, f"record {number} ".encode() * 5)
            number += 1

    writers = [threading.Thread(target=write, args=(log,)) for log in (log, other)]
    for writer in writers:
        writer.start()
    reports = [log.verify() for log in (log, other) * 20]
    stop.set()
    for writer in writers:
        writer.join()
    assert [report.damage for report in reports if not report.whole] == []
    assert log.verify().head == log.refresh()
