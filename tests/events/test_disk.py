"""The disk port on systems that this one is not."""

from __future__ import annotations

import fcntl
import os
import sys

import pytest

from memorygraph.events import disk as module
from memorygraph.events.disk import OsDisk
from memorygraph.events.stores import SegmentLog

F_FULLFSYNC = 51


@pytest.fixture
def fd(tmp_path):
    disk = OsDisk()
    fd = disk.create(str(tmp_path / "file"))
    yield fd
    disk.close(fd)


def test_macos_is_asked_to_bring_it_to_the_platters(fd, monkeypatch):
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        patch.setattr(fcntl, "F_FULLFSYNC", F_FULLFSYNC, raising=False)
        patch.setattr(fcntl, "fcntl", lambda *call: asked.append(call))
        patch.setattr(os, "fdatasync", lambda _: asked.append("fdatasync"))
        OsDisk().sync(fd)
    assert asked == [(fd, F_FULLFSYNC)]


def test_where_no_call_starts_the_disk_the_sync_does_it_all(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert module._find_sync_file_range() is None
    monkeypatch.setattr(module, "_sync_file_range", None)
    log = SegmentLog.open(tmp_path)
    with log.lock():
        head = log.append([b"a", b"b"], 1)
    assert (log.verify().head, log.verify().whole) == (head, True)
    log.close()


def test_the_system_is_given_the_part_that_was_written(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(module, "_sync_file_range", lambda *part: given.append(part))
    log = SegmentLog.open(tmp_path)
    for _ in range(2):
        with log.lock():
            log.append([b"a" * 100], 1)
    (_, first, size_bytes, how), (_, second, *_) = given
    assert (second - first, how) == (size_bytes, module._SYNC_FILE_RANGE_WRITE)
    log.close()


def test_a_descriptor_that_is_not_open_is_no_error_before_the_sync(fd):
    OsDisk().start_writing(fd + 1000, 0, 10)
    with pytest.raises(OSError, match="descriptor"):
        OsDisk().sync(fd + 1000)
