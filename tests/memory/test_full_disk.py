"""A full disk: a named error, nothing acknowledged or half written, and on it goes once there is space."""

import errno
import gc
import os
import subprocess

import pytest

from memorygraph import AgentMemory
from memorygraph.actors.local import LocalEngine
from memorygraph.core.types import DiskFull
from memorygraph.events.disk import OsDisk
from memorygraph.events.stores import SegmentLog
from tests.memory.helpers import fingerprint


class SmallDisk(OsDisk):
    """The file system with a limit on how far files may grow; ``limit_bytes`` None: as much as there is."""

    def __init__(self):
        self.limit_bytes = None

    def pwrite(self, fd, data, offset):
        if self.limit_bytes is not None and offset + len(data) > self.limit_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().pwrite(fd, data, offset)

    def truncate(self, fd, size_bytes):
        if self.limit_bytes is not None and size_bytes > self.limit_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().truncate(fd, size_bytes)


def fill_up(memory):
    """Remember until the disk is full and return what was acknowledged."""
    kept = []

    def fill():
        while True:
            name = f"n{len(kept)}"
            memory.remember(f"{name} " + "x" * 5000, node_id=name)
            kept.append(name)

    with pytest.raises(DiskFull, match=r"no space to write.*nothing was written") as caught:
        fill()
    assert "\n" not in str(caught.value)
    assert len(kept) > 5
    return kept


def is_whole_and_readable(memory, kept):
    before = fingerprint(memory)
    assert [node.id for node in memory] == kept
    assert memory.recall("x" * 5000, k=1, reinforce=False)[0].score > 0
    assert memory.replay() == memory.digest()
    with pytest.raises(DiskFull):
        memory.remember("y" * 6000)
    assert fingerprint(memory) == before


def goes_on(memory, store, kept):
    memory.remember("there is space again", node_id="after")
    assert memory.verify().whole
    with AgentMemory(store, read_only=True) as reopened:
        assert [node.id for node in reopened] == [*kept, "after"]
        assert fingerprint(reopened) == fingerprint(memory)


@pytest.mark.faults
def test_a_full_disk(store):
    disk = SmallDisk()
    memory = AgentMemory()
    log = SegmentLog.open(store, disk=disk)
    memory._settle(LocalEngine(log), None, 256)
    disk.limit_bytes = 200_000
    kept = fill_up(memory)
    memory.recall("x" * 5000, k=1)  # what a recall reinforces is lost, the recall is not
    is_whole_and_readable(memory, kept)
    disk.limit_bytes = None
    goes_on(memory, store, kept)
    memory.close()


@pytest.mark.faults
def test_a_full_file_system(tmp_path):
    """The same on a real, small one, where this process may mount it."""
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mounted, capture_output=True, check=False).returncode:
        return  # test_a_full_disk says the same through the disk port
    try:
        store, ballast = tmp_path / "store", tmp_path / "ballast"
        ballast.write_bytes(bytes(400_000))
        with AgentMemory(store) as memory:
            kept = fill_up(memory)
            is_whole_and_readable(memory, kept)
            with pytest.raises(DiskFull, match="cannot write the file"):
                memory.save(tmp_path / "memory.json")
            with pytest.raises(DiskFull), AgentMemory(tmp_path / "another") as another:
                another.remember_many(["x" * 100_000] * 10)
            with AgentMemory(store, read_only=True) as reader:
                assert [node.id for node in reader] == kept
            ballast.unlink()
            goes_on(memory, store, kept)
        with AgentMemory(store) as reopened:
            assert [node.id for node in reopened] == [*kept, "after"]
    finally:
        gc.collect()  # the errors above still hold frames that hold open files
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
