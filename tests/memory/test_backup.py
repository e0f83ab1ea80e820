"""Backups: hot, incremental, checked; a restore comes to the same chain and digest or to nothing."""

import json
import os
import shutil
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from memorygraph import AgentMemory, RetentionPolicy, backup
from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import (
    BackupMismatch,
    DamagedLog,
    ForeignStore,
    ImportFormatError,
    InputError,
    MemoryGraphError,
    NewerFormat,
    StoreError,
    StoreReadOnly,
)
from memorygraph.events.heads import read_heads
from memorygraph.events.keys import SigningKey


@pytest.fixture
def memory(store):
    with AgentMemory(store) as memory:
        first = memory.remember("The harbour opens at nine")
        memory.link(memory.remember("The boat is rented"), first)
        yield memory


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backup"


def parts(folder):
    return sorted(path.name for path in folder.glob("*.frames"))


def snapshot_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_backup_is_restored_as_it_was(memory, folder, tmp_path):
    report = memory.backup(folder)
    assert (report.position, report.chain, report.digest) == (
        memory.position,
        memory.head().chain.hex(),
        memory.digest(),
    )
    assert report.records_added == memory.position
    restored = AgentMemory.restore(folder, tmp_path / "again")
    assert (restored.position, restored.chain, restored.digest) == (report.position, report.chain, report.digest)
    with AgentMemory(tmp_path / "again") as again:
        assert (again.memory_id, again.head(), again.digest()) == (memory.memory_id, memory.head(), memory.digest())
        assert list(again._engine.frames()) == list(memory._engine.frames())
        again.remember("it goes on")
        assert again.verify().whole


def test_once_more_adds_what_is_new(memory, folder, tmp_path):
    memory.backup(folder)
    kept = parts(folder)
    assert memory.backup(folder).records_added == 0
    memory.remember("Another day")
    report = memory.backup(folder)
    assert report.records_added == 1
    assert report.bytes_added < 2000
    assert parts(folder)[: len(kept)] == kept
    assert len(parts(folder)) == 2
    assert AgentMemory.restore(folder, tmp_path / "again").digest == memory.digest()


def test_a_memory_in_this_process_and_a_json_store_can_be_backed_up(folder, tmp_path):
    with AgentMemory() as memory:
        memory.remember("Only here")
        memory.backup(folder)
        AgentMemory.restore(folder, tmp_path / "notes.json")
        with AgentMemory(tmp_path / "notes.json") as again:
            assert [node.content for node in again.find()] == ["Only here"]


def test_it_is_made_while_others_write(memory, store, folder, tmp_path):
    stop, failures = threading.Event(), []

    def write(target, name):
        try:
            for n in range(10_000):
                if stop.is_set():
                    return
                target.remember(f"{name} {n}")
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            failures.append(error)

    other = AgentMemory(store)
    threads = [threading.Thread(target=write, args=pair) for pair in ((memory, "one"), (memory, "two"), (other, "far"))]
    for thread in threads:
        thread.start()
    try:
        reports = [memory.backup(folder) for _ in range(4)]
        with AgentMemory(store, read_only=True) as reader:
            reports.append(reader.backup(folder))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    positions = [report.position for report in reports]
    assert positions == sorted(positions)
    last = reports[-1]
    assert AgentMemory.restore(folder, tmp_path / "again").digest == last.digest
    assert memory.at(last.position).digest() == last.digest


def test_what_was_replaced_by_hashes_is_backed_up_so(memory, folder, tmp_path):
    before = tmp_path / "before"
    memory.backup(before)
    gone = memory.remember("Not to be kept")
    memory.forget(ids=[gone.id])
    memory.compact(RetentionPolicy(keep_forgotten=timedelta(0)))
    memory.backup(folder)
    memory.backup(before)
    for made in (folder, before):
        to = tmp_path / f"{made.name}-again"
        assert AgentMemory.restore(made, to).digest == memory.digest()
        assert not any(b"Not to be kept" in path.read_bytes() for path in to.rglob("*.seg"))


def check_beside_a_compaction(memory, folder, to, monkeypatch):
    """A backup restores to what the memory was, whatever is replaced while it is written."""
    for _ in range(5):
        memory.recall("harbour", k=1)
        memory.flush()
    write, reports = backup._write_part, []

    def beside(*arguments):
        if not reports:
            reports.append(memory.compact(RetentionPolicy(keep_accesses=timedelta(0))))
        write(*arguments)

    monkeypatch.setattr(backup, "_write_part", beside)
    made = memory.backup(folder)
    assert reports[0].replaced == 5
    try:
        restored = AgentMemory.restore(folder, to)
    except DamagedLog as damage:
        raise AssertionError from damage
    assert (restored.position, restored.digest) == (made.position, made.digest) == (memory.position, memory.digest())


def test_what_is_replaced_meanwhile_is_backed_up_with_what_was_said_of_it(memory, folder, tmp_path, monkeypatch):
    check_beside_a_compaction(memory, folder, tmp_path / "again", monkeypatch)


def test_without_a_look_for_compactions_a_backup_cannot_be_restored(memory, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "compacted_after", lambda *_: False)
    with pytest.raises(AssertionError):
        check_beside_a_compaction(memory, folder, tmp_path / "again", monkeypatch)


def test_a_transaction_is_not_backed_up(memory, folder, tmp_path):
    with memory.transaction():
        memory.remember("It may be undone")
        with pytest.raises(InputError, match="transaction"):
            memory.backup(folder)
    assert not folder.exists()
    memory.backup(folder)
    assert AgentMemory.restore(folder, tmp_path / "again").digest == memory.digest()


def test_who_waited_for_another_backup_backs_up_what_there_is_then(memory, folder, monkeypatch):
    require, others = backup._require_ours, []

    def meanwhile(path):
        if not others:
            others.append(None)
            memory.remember("Meanwhile")
            others[0] = memory.backup(folder)
        require(path)

    monkeypatch.setattr(backup, "_require_ours", meanwhile)
    report = memory.backup(folder)
    assert (report.position, report.records_added) == (others[0].position, 0)


def test_another_history_is_refused_and_the_backup_stays(memory, store, folder, tmp_path):
    fork = tmp_path / "fork"
    shutil.copytree(store, fork)
    memory.remember("This way")
    memory.backup(folder)
    kept = snapshot_of(folder)
    with AgentMemory(fork) as other:
        with pytest.raises(BackupMismatch, match="more than the memory"):
            other.backup(folder)
        for n in range(2):
            other.remember(f"That way {n}")
            with pytest.raises(BackupMismatch, match="another history"):
                other.backup(folder)
    with AgentMemory(tmp_path / "foreign") as foreign:
        foreign.remember("Somebody else's")
        with pytest.raises(ForeignStore, match="another memory"):
            foreign.backup(folder)
    assert snapshot_of(folder) == kept


def test_a_folder_of_something_else_is_left_alone(memory, store, tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    for taken in (tmp_path / "file", tmp_path / "photos", store):
        with pytest.raises(ForeignStore):
            memory.backup(taken)
    with pytest.raises(StoreError):
        memory.backup(tmp_path / "no" / "parent")
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == ["cat.jpg"]


def test_nothing_is_ever_overwritten(memory, store, folder, tmp_path):
    memory.backup(folder)
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.json").write_text("{}")
    digest = memory.digest()
    for taken in (store, tmp_path / "empty", tmp_path / "old.json"):
        with pytest.raises(ForeignStore, match="something already"):
            AgentMemory.restore(folder, taken)
    assert memory.digest() == digest
    assert (tmp_path / "old.json").read_text() == "{}"


def test_what_is_no_backup_is_not_restored(memory, store, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "missing", store):
        with pytest.raises(ImportFormatError):
            AgentMemory.restore(wrong, tmp_path / "again")
    memory.backup(folder)
    manifest = json.loads((folder / "BACKUP").read_text())
    for change in (
        {"format": "x"},
        {"parts": [{**manifest["parts"][0], "file": "../x"}]},
        {"chain": "zz"},
        {"parts": 1},
    ):
        (folder / "BACKUP").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(ImportFormatError):
            AgentMemory.restore(folder, tmp_path / "again")
    (folder / "BACKUP").write_text(json.dumps({**manifest, "version": 2}))
    with pytest.raises(NewerFormat):
        AgentMemory.restore(folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def undetected(folder: Path, to: Path) -> list[str]:
    """Damage a backup in many ways, one at a time; give those that a restore does not notice."""
    missed = []
    manifest = json.loads((folder / "BACKUP").read_text())
    changes = [
        {"digest": manifest["digest"][::-1]},
        {"chain": manifest["chain"][::-1]},
        {"position": manifest["position"] - 1},
        {"parts": manifest["parts"][:1]},
        {"parts": manifest["parts"][::-1]},
    ]
    damaged = [(folder / "BACKUP", json.dumps({**manifest, **change}).encode()) for change in changes]
    for part in parts(folder):
        data = (folder / part).read_bytes()
        damaged += [(folder / part, data[:-1]), (folder / part, data + b"x"), (folder / part, b"")]
        for at in range(0, len(data), 37):
            damaged.append((folder / part, data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]))
    for path, data in damaged:
        whole = path.read_bytes()
        path.write_bytes(data)
        try:
            AgentMemory.restore(folder, to)
        except MemoryGraphError:
            assert not to.exists()
        else:
            missed.append(f"{path.name}: {len(data)} bytes")
            shutil.rmtree(to)
        path.write_bytes(whole)
    return missed


def two_parts(memory, folder):
    memory.backup(folder)
    memory.remember("One more")
    memory.backup(folder)


def test_any_damage_is_noticed(memory, folder, tmp_path):
    two_parts(memory, folder)
    assert undetected(folder, tmp_path / "again") == []
    AgentMemory.restore(folder, tmp_path / "again")
    (folder / parts(folder)[1]).unlink()
    with pytest.raises(DamagedLog, match="missing"):
        AgentMemory.restore(folder, tmp_path / "more")


def test_a_restore_that_does_not_look_at_the_digest_is_noticed(memory, folder, tmp_path, monkeypatch):
    two_parts(memory, folder)
    right = backup._checked

    def trusting(store, manifest):
        report = right.__globals__["SegmentLog"].open(store, read_only=True).verify()
        return backup.RestoreReport(manifest.memory_id, report.head.position, manifest.chain, manifest.digest)

    monkeypatch.setattr(backup, "_checked", trusting)
    assert undetected(folder, tmp_path / "again") != []


class Failing:
    """Fails at the n-th call that changes the disk."""

    def __init__(self, monkeypatch, fail_at):
        self.left = fail_at
        for owner, name in (
            (os, "fsync"),
            (os, "open"),
            (Path, "replace"),
            (OsDisk, "sync"),
            (OsDisk, "sync_directory"),
        ):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, call):
        def tried(*args, **options):
            self.left -= 1
            if self.left == 0:
                raise OSError(5, "Input/output error")
            return call(*args, **options)

        return tried


@pytest.mark.faults
def test_a_failure_at_any_call_leaves_the_old_or_the_new_backup(memory, folder, tmp_path, monkeypatch):
    memory.backup(folder)
    old = memory.digest()
    memory.remember("One more")
    new = memory.digest()
    shutil.copytree(folder, tmp_path / "kept")
    for fail_at in range(1, 60):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "kept", folder)
        with monkeypatch.context() as patch:
            failing = Failing(patch, fail_at)
            try:
                memory.backup(folder)
            except StoreError:
                assert failing.left <= 0
        to = tmp_path / f"to-{fail_at}"
        assert AgentMemory.restore(folder, to).digest in (old, new)
        assert memory.backup(folder).digest == new
        assert not list(folder.glob(".*"))
        if failing.left > 0:
            break
    assert 5 < fail_at < 59


def test_a_view_of_the_past_has_no_log_to_back_up(memory, folder):
    with pytest.raises(StoreReadOnly):
        memory.at(2).backup(folder)
    assert not folder.exists()


# -- signed heads ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key():
    return SigningKey.generate()


def test_signed_heads_are_backed_up_with_the_log(tmp_path, folder, key):
    store, again = tmp_path / "store", tmp_path / "again"
    with AgentMemory(store, signing_key=key, sign_every=1, auto_associate=False) as memory:
        memory.remember("Signed")
        memory.backup(folder)
        memory.remember("Signed and backed up later")
        memory.backup(folder)
        heads = memory.heads()
        memory.remember("Not backed up")
    AgentMemory.restore(folder, again)
    with AgentMemory(again) as restored:
        assert restored.heads() == heads
        report = restored.verify_heads(again / "heads.jsonl")
        assert (report.good, report.agreeing, report.position) == (True, len(heads), restored.position)


def test_a_head_that_is_signed_meanwhile_waits_for_the_next_backup(tmp_path, folder, key, monkeypatch):
    store = tmp_path / "store"
    continued = backup._continued
    with AgentMemory(store, signing_key=key, sign_every=1) as memory:
        memory.remember("Before")

        def and_meanwhile(*arguments):
            memory.remember("Meanwhile")
            return continued(*arguments)

        monkeypatch.setattr(backup, "_continued", and_meanwhile)
        position = memory.backup(folder).position
        assert [head.position for head in read_heads(folder / "heads.jsonl")][-1] == position < memory.position


def test_a_backup_keeps_the_heads_that_a_store_has_lost(tmp_path, folder, key):
    store = tmp_path / "store"
    with AgentMemory(store, signing_key=key, sign_every=1) as memory:
        memory.remember("Signed")
        memory.backup(folder)
        kept = read_heads(folder / "heads.jsonl")
        (store / "heads.jsonl").unlink()
        memory.remember("Signed anew")
        memory.backup(folder)
    assert read_heads(folder / "heads.jsonl")[: len(kept)] == kept


def test_a_damaged_heads_file_is_told_and_the_log_is_backed_up(tmp_path, folder, key):
    store = tmp_path / "store"
    with AgentMemory(store, signing_key=key, sign_every=1) as memory:
        memory.remember("Signed")
        (store / "heads.jsonl").write_text("nonsense\n")
        with pytest.raises(ImportFormatError, match=r"line 1 of .*heads\.jsonl is not a signed head"):
            memory.backup(folder)
        assert AgentMemory.restore(folder, tmp_path / "again").digest == memory.digest()
