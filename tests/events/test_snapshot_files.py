from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memorygraph.events.errors import DiskFull, StoreError
from memorygraph.events.stores.snapshots import MemorySnapshots, SnapshotDirectory
from tests.events.faulty_disk import FaultyDisk, NoSyncDisk, SmallDisk, VolatileDisk
from tests.events.snapshot_files_contract import SnapshotFilesContract


class TestMemorySnapshots(SnapshotFilesContract):
    @pytest.fixture
    def files(self):
        return MemorySnapshots()


class TestSnapshotDirectory(SnapshotFilesContract):
    @pytest.fixture
    def files(self, tmp_path):
        return SnapshotDirectory(NoSyncDisk(), f"{tmp_path}/snapshots")

    def test_nothing_is_made_by_looking(self, files, tmp_path):
        assert files.positions() == []
        assert list(tmp_path.iterdir()) == []

    def test_leftovers_of_a_writer_that_died_are_removed(self, files, tmp_path):
        self.put(files, 3, b"abc")
        leftover = tmp_path / "snapshots" / f"{9:020d}.snap.tmp"
        leftover.write_bytes(b"half")
        assert files.positions() == [3]
        with files.lock():
            assert not leftover.exists()

    def test_another_process_that_writes_keeps_us_out(self, files, tmp_path):
        code = (
            "import sys\n"
            "from memorygraph.events.disk import OsDisk\n"
            "from memorygraph.events.stores.snapshots import SnapshotDirectory\n"
            "with SnapshotDirectory(OsDisk(), sys.argv[1]).lock() as has_it:\n"
            "    print(has_it, flush=True)\n"
            "    sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", code, f"{tmp_path}/snapshots"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout.readline() == "True\n"
            with files.lock() as has_it:
                assert not has_it
            other.kill()
        with files.lock() as has_it:
            assert has_it, "the lock goes with the process"

    def test_a_forked_child_leaves_its_parents_draft_and_lock_alone(self, files):
        with files.lock():
            draft = files.draft(5)
            draft.write(b"abc")
            pid = os.fork()
            if not pid:
                draft.discard()
                os._exit(0)
            os.waitpid(pid, 0)
            draft.finish()
        assert files.open(5).read(3, 0) == b"abc"


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["error", "short", "late"])
def test_a_disk_that_fails_at_any_call_leaves_the_old_file_or_the_new_one(tmp_path, kind):
    for fail_at in range(1, 14):
        path = f"{tmp_path}/{fail_at}"
        TestSnapshotDirectory.put(SnapshotDirectory(NoSyncDisk(), path), 1, b"old")
        disk = FaultyDisk(fail_at, kind)
        files = SnapshotDirectory(disk, path)
        try:
            TestSnapshotDirectory.put(files, 1, b"new", b"er")
        except StoreError:
            assert disk.failed
        content = SnapshotDirectory(NoSyncDisk(), path).open(1).read(9, 0)
        assert content in {b"old", b"newer"}
        with SnapshotDirectory(NoSyncDisk(), path).lock() as has_it:
            assert has_it
        assert sorted(entry.name for entry in Path(path).iterdir()) == [f"{1:020d}.snap", "lock"]


@pytest.mark.faults
@pytest.mark.parametrize("missing", ["", "sync", "sync_directory"])
def test_a_file_that_is_there_after_a_power_cut_is_whole(tmp_path, monkeypatch, missing):
    """And without the sync of its bytes it would not be; without that of its name it would not be there."""
    path = f"{tmp_path}/snapshots"
    TestSnapshotDirectory.put(SnapshotDirectory(NoSyncDisk(), path), 1, b"old")
    disk = VolatileDisk()
    with monkeypatch.context() as patch:
        if missing:
            patch.setattr(VolatileDisk, missing, lambda *_: None)
        TestSnapshotDirectory.put(SnapshotDirectory(disk, path), 2, b"new" * 1000)
    if missing == "sync":
        disk._names.clear()  # the worst case: the name lasts, the bytes do not
    disk.cut_power()
    files = SnapshotDirectory(NoSyncDisk(), path)
    is_whole = files.positions() == [1, 2] and files.open(2).read(9000, 0) == b"new" * 1000
    assert is_whole == (missing == "")


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    files = SnapshotDirectory(SmallDisk(100), f"{tmp_path}/snapshots")
    with files.lock():
        draft = files.draft(1)
        with pytest.raises(DiskFull, match="snapshot"):
            draft.write(bytes(5000))
        draft.discard()
    assert files.positions() == []
    assert [entry.name for entry in (tmp_path / "snapshots").iterdir()] == ["lock"]
