"""T20: damaged and malicious stores. Only our own errors come out, memory stays flat, nothing outside is touched."""

from __future__ import annotations

import gc
import os
import random
import shutil
import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from memorygraph import AgentMemory, SpacedRepetitionScheduler
from memorygraph.actors.local import LocalEngine
from memorygraph.events import records as ev
from memorygraph.events.errors import MemoryGraphError
from memorygraph.events.frames import encode_frame
from memorygraph.events.stores import MemoryLog, SegmentLog
from memorygraph.projections import snapshot_format
from memorygraph.projections.graph import GraphState
from tests.faults import make_corpus
from tests.faults.figures import figure

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(path.name for path in CORPUS.iterdir())
PEAK_BYTES_MAX = 40 << 20
FUZZED = figure(600, 30_000)

pytestmark = pytest.mark.faults


def uses(path: Path) -> list[Callable[[], Any]]:
    """Give everything that a user may do with a path that is said to hold a memory."""

    def memory(use: Callable[[AgentMemory], Any], **options: Any) -> Callable[[], Any]:
        def opened() -> None:
            with AgentMemory(path, **options) as memory:
                use(memory)

        return opened

    def look(memory: AgentMemory) -> None:
        for each in (
            lambda: list(memory),
            lambda: memory.recall("one", k=5, reinforce=False),
            lambda: memory.stats().to_dict(),
            lambda: list(memory.history("a")),
            memory.digest,
            memory.verify,
        ):
            only_ours(each)

    def logged() -> None:
        log = SegmentLog.open(path)
        for each in (log.verify, lambda: list(log.read()), lambda: list(log.frames()), log.size_bytes):
            only_ours(each)
        with log.lock():
            log.append([make_corpus.record(ev.NodeAdded(id="late"), command_id="late")], 1)

    return [
        memory(look, read_only=True),
        lambda: SegmentLog.open(path, read_only=True).verify(),
        logged,
        memory(look),
        memory(lambda memory: memory.remember("one more")),
    ]


def only_ours(use: Callable[[], Any]) -> str:
    """Do it and say what came out: the name of one of our errors, or nothing; another error is not caught."""
    try:
        use()
    except MemoryGraphError as error:
        return type(error).__name__ if 0 < len(str(error)) < 2000 else pytest.fail(f"no message to read: {error!r}")
    return ""


def outcomes(path: Path) -> list[str]:
    tracemalloc.start()
    try:
        found = [only_ours(use) for use in uses(path)]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < PEAK_BYTES_MAX
    return found


def test_the_corpus_is_what_its_script_makes(tmp_path):
    make_corpus.make_files(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(CORPUS): path.read_bytes() for path in CORPUS.rglob("*") if path.is_file()}
    assert made == kept


@pytest.mark.parametrize("name", CASES)
def test_a_bad_store_is_refused_by_name(tmp_path, name):
    shutil.copytree(CORPUS / name, tmp_path / name)
    found = outcomes(tmp_path / name)
    if name == "good":
        assert found == [""] * len(found)


def picture(folder: Path) -> dict[str, object]:
    """Everything in a folder: kinds, sizes and contents."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        found[str(path)] = path.read_bytes() if stat.S_ISREG(mode) else stat.S_IFMT(mode)
    return found


def test_nothing_outside_a_store_is_touched(tmp_path):
    """Links and fifos where files should be: a store that somebody prepared to write, read or wait elsewhere."""
    victims, stores = tmp_path / "victims", tmp_path / "stores"
    victims.mkdir()
    (victims / "secret").write_bytes(b"a secret of 30 bytes, or so ...")
    make_corpus.make_links(stores, victims / "secret")
    before = picture(victims)
    for store in sorted(stores.iterdir()):
        for use in uses(store):
            only_ours(use)
            assert picture(victims) == before, store.name


def test_a_path_that_is_no_directory(tmp_path):
    (tmp_path / "file").write_bytes(b"text")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "fifo", "loop", "file/below", "x" * 300, "nul\0", "new\nline"):
        for use in uses(tmp_path / name)[:3]:
            only_ours(use)


# -- fuzzing ---------------------------------------------------------------------------------------------------------


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Change a few bytes: flip, cut, repeat, insert, or put in the head of something huge."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(len(changed) + 1)
        kind = dice.randrange(6)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del changed[at : at + dice.randint(1, 8)]
        elif kind == 2:
            changed[at:at] = changed[at : at + dice.randint(1, 16)]
        elif kind == 3:
            changed[at:at] = dice.randbytes(dice.randint(1, 4))
        elif kind == 4:
            changed[at : at + 1] = dice.choice(
                (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\x7f\xff\xff\xff")
            )
        elif at < len(changed):
            changed[at] = dice.choice((0, 0x7F, 0x80, 0x90, 0xC0, 0xC1, 0xFF))
    return bytes(changed)


def fuzz(seed: int) -> str:
    """Open and use a memory with one record that is nearly right; give the name of the error, or nothing."""
    dice = random.Random(seed)
    records = list(SOURCES)
    place = dice.randrange(1, len(records))
    records[place] = mutated(records[place], dice)
    log, chain = MemoryLog(make_corpus.MEMORY_ID), make_corpus.NO_CHAIN
    for first, record in enumerate(records, 1):
        made, chain = encode_frame(
            [record], memory_id=make_corpus.MEMORY_ID, first=first, time_us=first, epoch=1, chain=chain
        )
        with log.lock():
            log.adopt(made)
    return only_ours(lambda: use_engine(log))


def use_engine(log: MemoryLog) -> None:
    engine = LocalEngine(log)
    memory = AgentMemory()
    memory._settle(engine, None, 2, "")
    scheduler = SpacedRepetitionScheduler(memory=memory)
    asked = (memory.digest, memory.stats, scheduler.retention_distribution, scheduler.get_due_nodes)
    for use in (lambda: list(memory), lambda: memory.recall("one", reinforce=False), *asked):
        only_ours(use)


def _sources() -> list[bytes]:
    record = make_corpus.record
    return [
        make_corpus.CREATED,
        record(
            make_corpus.SPACE, ev.NodeAdded(id="a", content="one", vector=b"\0\0\x80?" * 2, space=1), command_id="1"
        ),
        record(
            ev.NodeAdded(id="b", content="two", tags=("t",), metadata={"k": [1, {"x": None}]}, occurred_us=5),
            ev.EdgesAdded(sources=["a"], targets=["b"], weights=[0.5], ids=["e"], metadata=[{"m": 1}]),
            command_id="2",
        ),
        record(ev.NodeRevised(id="a", content="uno", importance=0.25, tags=("x", "y")), command_id="3"),
        record(
            ev.NodesReinforced(ids=("a", "b"), deltas=(0.1, 0.2)),
            ev.AccessesRecorded(ids=("a", "b"), times_us=(10, 20)),
            ev.EdgesStrengthened(ids=("e",), delta=0.5, decay=0.1),
            ev.EdgeRevised(id="e", weight=0.75, metadata={"z": 2}),
            command_id="4",
        ),
        record(
            ev.NodeAdded(id="c", review=ev.ReviewCard(2, 1.5, 5.0, 1, 5, 9, (0.5,))),
            make_corpus.reviewed(),
            ev.ReviewsEnded(ids=("c",)),
            ev.AttentionLost(ids=("a",), slots=(3,), activations=(0.5,), reason="evicted"),
            command_id="5",
        ),
        record(ev.EdgesRemoved(ids=("e",)), ev.NodesForgotten(ids=("b",), reason="r"), command_id="6"),
    ]


SOURCES = _sources()


def test_fuzzed_records_raise_only_our_errors():
    """Right frames around records that are nearly right."""
    found: dict[str, int] = {}
    gc.collect()
    tracemalloc.start()
    try:
        for seed in range(FUZZED):
            try:
                outcome = fuzz(seed)
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
            found[outcome] = found.get(outcome, 0) + 1
            if seed == 200:
                gc.collect()
                settled_bytes, _ = tracemalloc.get_traced_memory()
        gc.collect()
        end_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < PEAK_BYTES_MAX
    assert end_bytes < settled_bytes + (4 << 20), "memory grows with what was refused"
    assert found["DamagedLog"] > FUZZED / 2
    assert found[""] > FUZZED / 50, "some pass, and are used"


def test_fuzzed_files_raise_only_our_errors(tmp_path):
    store = tmp_path / "store"
    for seed in range(FUZZED // 30):
        dice = random.Random(seed)
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(CORPUS / "good", store)
        (store / "lock").write_bytes(bytes(52))
        name = dice.choice(("MEMORY", "lock", make_corpus.segment_name(1), make_corpus.segment_name(1)))
        (store / name).write_bytes(mutated((store / name).read_bytes(), dice))
        for use in uses(store):
            only_ours(use)


def changed_by_harm(tmp_path: Path, rounds: int) -> list[str]:
    """Harm the snapshots of a memory; say where it is not what it was, opened from an older one or from its log."""
    source, store, changed = tmp_path / "source", tmp_path / "store", []
    with AgentMemory(source, embedding_dim=16) as memory:
        for part in range(2):
            memory.remember_many([f"part {part} of memory {n}" for n in range(60)])
            memory.snapshot()
        memory.remember("behind the snapshots")
        digest = memory.digest()
    files = sorted(path for path in source.rglob("*") if "snapshots" in path.parts and path.is_file())
    assert files
    for seed in range(rounds):
        dice = random.Random(seed)
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(source, store)
        for path in dice.sample(files, dice.randint(1, 3)):
            harmed = store / path.relative_to(source)
            harmed.write_bytes(mutated(path.read_bytes(), dice))
        try:
            with AgentMemory(store, read_only=dice.random() < 0.5) as memory:
                hits = memory.recall("part 1 of memory 7", k=3, reinforce=False)
                if memory.digest() != digest or [hit.content for hit in hits][:1] != ["part 1 of memory 7"]:
                    changed.append(f"seed {seed}: another memory")
        except Exception as error:  # noqa: BLE001 - of any kind: it should have opened
            changed.append(f"seed {seed}: {error!r}")
    return changed


def test_fuzzed_snapshots_change_nothing(tmp_path):
    assert changed_by_harm(tmp_path, FUZZED // 15) == []


def test_a_snapshot_that_is_not_checked_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot_format, "crc32c", lambda _: mock.ANY)
    assert changed_by_harm(tmp_path, 20)


def apply_unguarded(state: GraphState, position: int, time_us: int, events: tuple[ev.Event, ...]) -> None:
    """The mutant: apply lets out whatever goes wrong."""
    state._time_us = time_us
    for birth, event in enumerate(events, position << 20):
        state._handlers[type(event)](event, birth)
    state.times_us.append(time_us)
    state.position = position


def open_all() -> None:
    for case in CASES:
        only_ours(lambda case=case: LocalEngine(SegmentLog.open(CORPUS / case, read_only=True)))


MUTANTS = [
    (GraphState, "apply", apply_unguarded),
    (ev, "_DECODE_ERRORS", (msgspec.DecodeError,)),
]


@pytest.mark.parametrize(("target", "name", "broken"), MUTANTS, ids=["apply", "decode"])
def test_an_error_of_another_kind_would_be_noticed(monkeypatch, target, name, broken):
    monkeypatch.setattr(target, name, broken)
    with pytest.raises(Exception, match=r".") as caught:
        open_all()
    assert not isinstance(caught.value, MemoryGraphError)
