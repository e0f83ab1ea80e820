"""Saving what is whole of a damaged store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from memorygraph import AgentMemory
from memorygraph.core.types import DamagedLog, ForeignStore, InputError, StoreNotFound, StoreReadOnly
from memorygraph.events.keys import SigningKey
from memorygraph.heads_files import write_heads
from memorygraph.repair import lost_ranges, repair


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "store"
    with AgentMemory(path=path, auto_associate=False) as memory:
        for n in range(20):  # positions 2 to 21
            memory.remember(f"memory number {n:02d}", node_id=f"n{n:02d}")
    return path


def damage(store: Path, *numbers: int) -> dict[str, bytes]:
    """Change a byte of these memories' texts; give the store's files as they are then."""
    segment = next((store / "log").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    for n in numbers:
        data[data.index(b"memory number %02d" % n)] ^= 1
    segment.write_bytes(data)
    return files_of(store)


def files_of(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_what_comes_before_the_damage_becomes_a_store(store, tmp_path):
    before = damage(store, 7, 12)
    rest = tmp_path / "rest.jsonl"
    report = repair(store, tmp_path / "new", rest=rest)
    assert files_of(store) == before, "the damaged store is only read"
    assert (report.position, report.lost, report.behind) == (8, ((9, 9), (14, 14)), ((10, 13), (15, 21)))
    assert report.written == 11
    with AgentMemory(path=store, read_only=True) as old, AgentMemory(path=tmp_path / "new") as new:
        assert new.memory_id == old.memory_id
        assert new.head().chain == old.head().chain
        assert new.digest() == old.digest()
        assert new.verify().whole
        assert new.remember("goes on").position == 9
    lines = [json.loads(line) for line in rest.read_text().splitlines()]
    assert [line["position"] for line in lines if line["kind"] == "added"] == [*range(10, 14), *range(15, 22)]
    assert lines[0]["event"]["content"] == "memory number 08"


def test_a_memory_that_is_damaged_in_the_middle_opens_read_only(store):
    damage(store, 7)
    for options in ({}, {"read_only": True}):
        memory = AgentMemory(path=store, **options)
        assert len(memory) == 7
        assert memory.position == 8
        assert "read-only up to there" in memory.notes[0]
        with pytest.raises(StoreReadOnly):
            memory.remember("no")
        report = memory.verify()
        assert report.readable == ((1, 8), (10, 21))
        assert lost_ranges(report) == ((9, 9),)


def test_the_end_of_a_log_that_is_gone_is_lost(store, tmp_path):
    segment = next((store / "log").glob("*.seg"))
    data = segment.read_bytes()
    segment.write_bytes(data[: data.index(b"memory number 15")])
    report = repair(store, tmp_path / "new")
    assert (report.position, report.lost, report.behind) == (16, (), ())
    assert len(AgentMemory(path=tmp_path / "new")) == 15


def test_repair_refuses_what_makes_no_sense(store, tmp_path):
    with pytest.raises(InputError, match="whole"):
        repair(store, tmp_path / "new")
    with pytest.raises(StoreNotFound):
        repair(tmp_path / "nothing", tmp_path / "new")
    damage(store, 3)
    (tmp_path / "taken").mkdir()
    with pytest.raises(ForeignStore, match="something already"):
        repair(store, tmp_path / "taken")
    segment = next((store / "log").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[140] ^= 1
    segment.write_bytes(data)
    with pytest.raises(DamagedLog, match="nothing can be read before"):
        repair(store, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_signed_heads_go_along_as_far_as_they_are_true(tmp_path):
    key, path = SigningKey.generate(), tmp_path / "store"
    with AgentMemory(path=path, auto_associate=False, signing_key=key, sign_every=5) as memory:
        for n in range(20):
            memory.remember(f"memory number {n:02d}", node_id=f"n{n:02d}")
        signed = memory.heads()
    false = structs.replace(signed[0], chain="00" * 32)
    write_heads(path / "heads.jsonl", [false, *signed])
    damage(path, 12)
    report = repair(path, tmp_path / "new")
    kept = [head for head in signed if head.position <= report.position]
    assert (report.position, report.heads) == (13, len(kept))
    assert 0 < len(kept) < len(signed)
    assert [note.split(" ", 1)[1] for note in report.notes] == [
        "signed heads are of later positions and stay with the damaged store",
        "signed heads are not true of what was copied and stay with the damaged store",
    ]
    with AgentMemory(path=tmp_path / "new") as memory:
        assert memory.heads() == kept
        assert memory.verify_heads(tmp_path / "new" / "heads.jsonl").good


def test_signed_heads_that_cannot_be_read_hold_up_nothing(store, tmp_path):
    damage(store, 7)
    (store / "heads.jsonl").write_text("nothing of the kind\n")
    report = repair(store, tmp_path / "new")
    assert (report.position, report.heads) == (8, 0)
    assert "its signed heads were not copied: line 1" in report.notes[0]
    assert not (tmp_path / "new" / "heads.jsonl").exists()
