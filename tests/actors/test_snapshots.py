"""Opening from a snapshot gives what the log gives, whatever happened to the snapshot."""

from __future__ import annotations

import shutil
import threading
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.actors import commands as cmd
from memorygraph.actors import saving, shard, snapshots
from memorygraph.actors.compaction import RetentionPolicy
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.replay import rebuilt_digest
from memorygraph.actors.snapshots import Snapshots
from memorygraph.events.errors import StoreError, StoreReadOnly
from memorygraph.events.records import Record, encode_record, pack_event
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.events.stores.segment import SegmentLog
from memorygraph.projections import contradictions, snapshot_format, snapshot_writer
from memorygraph.projections.digest import DigestCache
from memorygraph.projections.graph import GraphState
from memorygraph.projections.recall import RecallIndex
from tests.actors.engine_contract import DAY_US, EngineContract, Ticks, adding, ask, do, linking, node, revising
from tests.actors.test_local_engine import SegmentHome
from tests.events.faulty_disk import FaultyDisk, NoSyncDisk
from tests.projections.graph_model import Writer, check_whole, contents


@pytest.fixture(autouse=True)
def sharing_of_small_files(monkeypatch):
    """Blobs of small files are shared too, of which the manifest is the larger part."""
    monkeypatch.setattr(snapshot_writer, "LIVE_SHARE_MIN", 0.0)


@pytest.fixture
def eager(monkeypatch):
    """Snapshots after every commit and on every close."""
    for name in ("DUE_CHANGES", "DUE_SHARE", "CLOSE_CHANGES", "CLOSE_SHARE"):
        monkeypatch.setattr(snapshots, name, 0)


@pytest.mark.usefixtures("eager")
class TestWithSnapshotsEverywhere(EngineContract):
    @pytest.fixture
    def home(self, tmp_path):
        return SegmentHome(tmp_path / "store")


@pytest.fixture
def applied(monkeypatch) -> list[int]:
    """The positions of the records that were applied to any state."""
    positions: list[int] = []
    apply = GraphState.apply

    def noted(self, position, *rest):
        positions.append(position)
        apply(self, position, *rest)

    monkeypatch.setattr(GraphState, "apply", noted)
    return positions


def opened(path: Path, disk=None, **options) -> LocalEngine:
    read_only = options.pop("read_only", False)
    return LocalEngine(SegmentLog.open(path, disk=disk or NoSyncDisk(), read_only=read_only), **options)


def filled(path: Path, count: int = 30, **options) -> LocalEngine:
    engine = opened(path, **options)
    for n in range(count):
        do(engine, adding(f"n{n}", content=f"cat number {n}"))
    return engine


def put(log: SegmentLog | MemoryLog, writer: Writer) -> None:
    """Append the records of a random history that the log does not have yet."""
    with log.lock() as head:
        for position, time_us, events in writer.records[head.position :]:
            packed = tuple(pack_event(event) for event in events)
            log.append([encode_record(Record(f"c{position}", b"", "", {}, time_us, 0, None, "", packed))], time_us)


def files_of(path: Path) -> list[Path]:
    return sorted((path / "snapshots").glob("*.snap"))


def same_as_replayed(engine: LocalEngine) -> bool:
    return ask(engine, cmd.Digest()) == rebuilt_digest(engine)


# -- G10 -------------------------------------------------------------------------------------------------------------


def reopened_at_random_points(random: Random, steps: int, path: Path | None) -> None:
    writer = Writer(random)
    log = MemoryLog() if path is None else SegmentLog.open(path, disk=NoSyncDisk())
    for _ in range(steps):
        for _ in range(random.randint(1, 10)):
            writer.step()
        put(log, writer)
        engine = LocalEngine(log)
        assert contents(engine._shard.frame) == writer.model.copy()
        assert same_as_replayed(engine)
        if random.random() < 0.7:
            engine.snapshot()
        if random.random() < 0.5:
            position = random.randint(0, engine.head().position)
            view = engine.at(position)
            assert ask(view, cmd.Digest()) == digest_at(writer, position)
            check_whole(view._frame)
    assert ask(engine, cmd.Digest()) == digest_at(writer, len(writer.records))


def digest_at(writer: Writer, position: int) -> str:
    state = GraphState()
    for record in writer.records[:position]:
        state.apply(*record)
    return DigestCache().digest(state.publish())


@given(st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=25)
def test_snapshot_and_tail_give_the_digest_of_a_full_replay(random, steps) -> None:
    reopened_at_random_points(random, steps, None)


def test_the_same_on_disk_with_small_files_shared(tmp_path) -> None:
    for seed in range(4):
        reopened_at_random_points(Random(seed), 6, tmp_path / f"{seed}")


def test_opening_reads_only_what_is_behind_the_snapshot(tmp_path, applied) -> None:
    engine = filled(tmp_path)
    engine.snapshot()
    do(engine, revising("n3", content="a dog"))
    engine.close()
    applied.clear()
    engine = opened(tmp_path)
    assert applied == [32]
    assert node(engine, "n3").content == "a dog"
    assert same_as_replayed(engine)


def test_the_index_is_kept_too(tmp_path, monkeypatch) -> None:
    engine = filled(tmp_path)
    before = ask(engine, cmd.Recall(text="cat number 7", k=3))
    engine.close()
    opened(tmp_path).snapshot()
    indexed = []
    add = RecallIndex.catch_up
    monkeypatch.setattr(
        RecallIndex,
        "catch_up",
        lambda self, frame, *rest: indexed.append(self.lexical.count) or add(self, frame, *rest),
    )
    assert ask(opened(tmp_path), cmd.Recall(text="cat number 7", k=3)) == before
    assert indexed == [30]
    monkeypatch.setattr(RecallIndex, "version", "another")
    indexed.clear()
    assert ask(opened(tmp_path), cmd.Recall(text="cat number 7", k=3)) == before
    assert indexed == [0], "an index of another version is made anew"


def test_statements_are_kept_too(tmp_path, monkeypatch) -> None:
    engine = opened(tmp_path)
    do(engine, adding("old", content="Ann lives in Paris"), adding("new", content="Ann now lives in Rome"))
    question = cmd.Recall(text="where does Ann live", k=2)
    before = ask(engine, question)
    assert before[0].supersedes == "old"
    engine.snapshot()
    engine.close()
    read = []
    catch_up = contradictions.StatementIndex.catch_up

    def noted(self, *arguments):
        read.append(self._count)
        return catch_up(self, *arguments)

    monkeypatch.setattr(contradictions.StatementIndex, "catch_up", noted)
    engine = opened(tmp_path)
    assert ask(engine, question) == before
    assert read == [2]
    do(engine, adding("newer", content="Ann now lives in Oslo"))
    assert ask(engine, cmd.Recall(text="where does Ann live", k=3))[0].node.id == "newer"
    monkeypatch.setattr(shard, "STATEMENTS_VERSION", "another")
    read.clear()
    ask(opened(tmp_path), question)
    assert read == [0], "those of other rules are read anew"


def test_command_ids_are_known_after_opening_from_a_snapshot(tmp_path) -> None:
    engine = opened(tmp_path)
    first = do(engine, adding("a"), id="mine")
    engine.snapshot()
    engine.close()
    engine = opened(tmp_path)
    again = do(engine, adding("a"), id="mine")
    assert (again.position, again.replayed) == (first.position, True)


# -- snapshots that must not be used ---------------------------------------------------------------------------------


def two_histories(tmp_path: Path) -> tuple[Path, str]:
    """Give a store that holds a snapshot of another history of the same memory, and the digest of its own."""
    memory_id = bytes(range(16))
    for name in ("a", "b"):
        log = SegmentLog.open(tmp_path / name, disk=NoSyncDisk(), memory_id=memory_id)
        engine = LocalEngine(log)
        for n in range(5):
            do(engine, adding(f"{name}{n}"))
        if name == "a":
            engine.snapshot()
        digest = ask(engine, cmd.Digest())
        engine.close()
    shutil.copytree(tmp_path / "a" / "snapshots", tmp_path / "b" / "snapshots")
    return tmp_path / "b", digest


def test_a_snapshot_of_another_history_is_ignored(tmp_path) -> None:
    path, digest = two_histories(tmp_path)
    assert ask(opened(path), cmd.Digest()) == digest
    engine = opened(path)
    assert ask(engine.at(4), cmd.Describe()).nodes == 3
    assert ask(engine.at(6), cmd.Digest()) == digest


def test_without_the_chain_it_would_be_used(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Snapshots, "_is_of_this_history", lambda *_: True)
    path, digest = two_histories(tmp_path)
    assert ask(opened(path), cmd.Digest()) != digest


def test_a_snapshot_beyond_the_log_is_ignored_and_replaced(tmp_path) -> None:
    engine = filled(tmp_path / "a")
    engine.snapshot()
    memory_id = engine._log.memory_id
    SegmentLog.open(tmp_path / "b", disk=NoSyncDisk(), memory_id=memory_id).close()
    shutil.copytree(tmp_path / "a" / "snapshots", tmp_path / "b" / "snapshots")
    other = filled(tmp_path / "b", 3)
    assert other.snapshot().position == 4
    assert [int(path.stem) for path in files_of(tmp_path / "b")] == [4]
    assert same_as_replayed(opened(tmp_path / "b"))


def with_three_snapshots(path: Path) -> list[Path]:
    engine = filled(path)
    for round_ in range(3):
        do(engine, adding(f"x{round_}", content="dogs"), revising(f"n{round_}", importance=0.9))
        engine.snapshot()
    engine.close()
    return files_of(path)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "zeros"])
def test_whatever_files_are_damaged_the_state_is_right(tmp_path, monkeypatch, applied, damage) -> None:
    monkeypatch.setattr(snapshots, "KEPT_LATEST", 3)
    files = with_three_snapshots(tmp_path / "store")
    assert len(files) >= 3
    digest = ask(opened(tmp_path / "store", read_only=True), cmd.Digest())
    random = Random(7)
    for chosen in range(1, 1 << len(files)):
        path = tmp_path / f"{chosen}"
        shutil.copytree(tmp_path / "store", path)
        for number, file in enumerate(files_of(path)):
            if chosen >> number & 1:
                damaged(file, damage, random)
        engine = opened(path)
        assert ask(engine, cmd.Digest()) == digest
        assert len(ask(engine, cmd.Recall(text="dogs", k=9, threshold=0.01))) == 3
        assert ask(engine.at(20), cmd.Describe()).nodes == 19
        do(engine, adding("more"))
        engine.snapshot()
        engine.close()
        applied.clear()
        engine = opened(path)
        assert applied == [], "the new snapshot shares nothing that is damaged"
        assert ask(engine, cmd.Recall(text="dogs", k=9, threshold=0.01))
        assert node(engine, "more") is not None
        assert same_as_replayed(engine)


def damaged(file: Path, how: str, random: Random) -> None:
    data = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
        return
    if how == "flip":
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif how == "cut":
        del data[random.randrange(len(data)) :]
    elif how == "zeros":
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    else:
        data.clear()
    file.write_bytes(data)


def test_reading_without_checksums_is_caught(tmp_path, monkeypatch) -> None:
    """The mutant of the test above: a flipped bit of a blob changes what the memory says."""
    monkeypatch.setattr(snapshot_format.Blobs, "read", unchecked)
    filled(tmp_path).snapshot()
    [file] = files_of(tmp_path)
    digest = ask(opened(tmp_path), cmd.Digest())
    whole, found = file.read_bytes(), set()
    for place in range(40, len(whole) // 3, 11):
        data = bytearray(whole)
        data[place] ^= 1
        file.write_bytes(data)
        found.add(ask(opened(tmp_path, read_only=True), cmd.Digest()))
    assert found - {digest}


def unchecked(self, piece):
    return self._file(piece.file).read(piece.size_bytes, piece.offset)


# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_disk_that_fails_anywhere_while_writing_harms_nothing(tmp_path) -> None:
    written = 0
    for kind in ("error", "short", "late"):
        for calls in range(1, 12):
            path = tmp_path / f"{kind}{calls}"
            disk = FaultyDisk(10**9, kind)
            engine = filled(path, 8, disk=disk)
            for _ in range(2):
                disk.fail_at = disk.calls + calls
                do_not_fail_the_log(engine, disk)
                do(engine, revising("n1", importance=0.25), linking("n1", "n2"))
            digest = ask(engine, cmd.Digest())
            disk.fail_at = 10**9
            engine._snapshots._changes = 10**9  # not on close
            engine.close()
            assert not list((path / "snapshots").glob("*.tmp")) or kind == "error"
            engine = opened(path)
            assert ask(engine, cmd.Digest()) == digest
            assert same_as_replayed(engine)
            assert engine.snapshot().position == engine.head().position
            assert not list((path / "snapshots").glob("*.tmp"))
            written += 1
    assert written == 33


def do_not_fail_the_log(engine: LocalEngine, disk: FaultyDisk) -> None:
    try:
        engine.snapshot()
    except StoreError:
        assert disk.failed
    disk.fail_at = 10**9


def test_a_writer_that_died_half_way_leaves_a_memory_that_opens(tmp_path) -> None:
    engine = filled(tmp_path)
    digest = ask(engine, cmd.Digest())
    steps = 0
    engine._snapshots.begin(engine._state)
    while engine._snapshots.step():
        copy = tmp_path.parent / f"{tmp_path.name}-{steps}"
        shutil.copytree(tmp_path, copy)  # what a kill here would leave
        assert ask(opened(copy), cmd.Digest()) == digest
        opened(copy).snapshot()
        assert not list((copy / "snapshots").glob("*.tmp"))
        steps += 1
    assert steps > 1


def test_two_processes_write_one_at_a_time_and_share(tmp_path) -> None:
    one, other = filled(tmp_path), opened(tmp_path)
    first = one.snapshot()
    assert other.snapshot() == snapshots.Saved(first.position, 0, first.size_bytes), "it is there already"
    do(other, revising("n1", importance=0.9))
    second = other.snapshot()
    assert {int(path.stem) for path in files_of(tmp_path)} == {first.position, second.position}
    assert snapshot_format.read_manifest(other._log.snapshots, second.position, other._log.memory_id).files() == {
        first.position,
        second.position,
    }, "what is equal is shared, though nothing but its bytes tells"
    do(one, adding("and more"))
    third = one.snapshot()
    assert third.position == second.position + 1
    for engine in (one, other, opened(tmp_path)):
        assert same_as_replayed(engine)
    with SegmentLog.open(tmp_path, disk=NoSyncDisk()).snapshots.lock() as has_it:
        assert has_it
        do(one, adding("still more"))
        with pytest.raises(StoreError, match="another process is writing a snapshot"):
            one.snapshot()
    assert one.snapshot().written_bytes > 0


def test_one_that_is_removed_while_it_is_read_is_done_without(tmp_path, monkeypatch) -> None:
    engine = filled(tmp_path)
    engine.snapshot()
    digest = ask(engine, cmd.Digest())
    read = snapshots.restored

    def removed(manifest, files, shelf=None):
        files.remove(manifest.position)
        return read(manifest, files, shelf)

    monkeypatch.setattr(snapshots, "restored", removed)
    assert ask(opened(tmp_path), cmd.Digest()) == digest


def test_threads_write_while_a_snapshot_is_written(tmp_path) -> None:
    engine = filled(tmp_path, 4)
    stop = threading.Event()

    def write(name: str) -> None:
        for n in range(60):
            do(engine, adding(f"{name}{n}", content="dogs"), revising("n1", content=f"{name} {n}"))
            ask(engine, cmd.Recall(text="dogs", k=2))
        stop.set()

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        engine.snapshot()
    for thread in threads:
        thread.join()
    engine.close()
    engine = opened(tmp_path)
    assert ask(engine, cmd.Describe()).nodes == 124
    assert same_as_replayed(engine)


# -- when, and which are kept ----------------------------------------------------------------------------------------


def test_small_memories_have_none(tmp_path) -> None:
    filled(tmp_path).close()
    assert not (tmp_path / "snapshots").exists()


def test_readers_and_memories_in_process_write_none(tmp_path, monkeypatch) -> None:
    filled(tmp_path / "a").close()
    for name in ("DUE_CHANGES", "DUE_SHARE", "CLOSE_CHANGES", "CLOSE_SHARE"):
        monkeypatch.setattr(snapshots, name, 0)
    reader = opened(tmp_path / "a", read_only=True)
    with pytest.raises(StoreReadOnly, match="open read-only; nothing was written"):
        reader.snapshot()
    with pytest.raises(StoreReadOnly, match="view of position 3"):
        reader.at(3).snapshot()
    reader.close()
    assert not (tmp_path / "a" / "snapshots").exists()
    log = MemoryLog()
    engine = LocalEngine(log)
    do(engine, adding("a"))
    assert log.snapshots.positions() == []
    assert engine.snapshot().position == 2
    engine.close()
    assert log.snapshots.positions() == [2]


def test_they_are_written_beside_the_work_when_enough_has_changed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(snapshots, "DUE_CHANGES", 20)
    tasks: list = []
    monkeypatch.setattr(saving, "BACKGROUND", SimpleNamespace(after=lambda _, task: tasks.append(task)))
    engine = filled(tmp_path, 18)
    assert not tasks
    do(engine, adding("last"))
    do(engine, adding("one more"))  # while the first is being written
    assert len(tasks) == 1, "one at a time"
    while tasks:
        tasks.pop()()
    assert [int(path.stem) for path in files_of(tmp_path)] == [21], "the newest position when its turn comes"
    do(engine, adding("and another"))
    assert not tasks


def test_a_snapshot_that_was_begun_is_finished_on_close(tmp_path, monkeypatch) -> None:
    tasks: list = []
    monkeypatch.setattr(saving, "BACKGROUND", SimpleNamespace(after=lambda _, task: tasks.append(task)))
    monkeypatch.setattr(snapshots, "DUE_CHANGES", 5)
    engine = filled(tmp_path, 6)
    engine.close()
    assert files_of(tmp_path)
    for task in tasks:
        task()  # what the background thread still had to do is done already


def test_the_latest_two_and_one_of_every_250_000_changes_are_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(snapshots, "KEPT_EVERY_CHANGES", 10)
    monkeypatch.setattr(snapshot_writer, "LIVE_SHARE_MIN", 2.0)  # nothing shared: what is kept is what is there
    engine = opened(tmp_path)
    for n in range(33):
        do(engine, adding(f"n{n}"))
        engine.snapshot()
    assert [int(path.stem) for path in files_of(tmp_path)] == [9, 19, 29, 33, 34]
    assert same_as_replayed(opened(tmp_path))


def test_files_that_are_shared_are_kept_as_long_as_they_are(tmp_path, applied) -> None:
    engine = filled(tmp_path, 9)
    for n in range(12):
        do(engine, adding(f"x{n}"))
        engine.snapshot()
        engine.close()
        applied.clear()
        engine = opened(tmp_path)
        assert applied == []
    assert len(files_of(tmp_path)) > snapshots.KEPT_LATEST


# -- views of the past -----------------------------------------------------------------------------------------------


def test_a_view_of_the_past_starts_from_the_nearest_snapshot(tmp_path, applied) -> None:
    engine = filled(tmp_path, 20)
    engine.snapshot()
    for n in range(20, 30):
        do(engine, adding(f"n{n}", content=f"cat number {n}"))
    applied.clear()
    view = engine.at(24)
    assert applied == [22, 23, 24]
    assert ask(view, cmd.Describe()).nodes == 23
    assert {hit.node.id for hit in ask(view, cmd.Recall(text="22", k=3, threshold=0.1))} == {"n22"}
    assert not ask(view, cmd.Recall(text="27", k=3, threshold=0.1))
    applied.clear()
    assert ask(engine.at(24), cmd.Digest()) == ask(view, cmd.Digest())
    assert applied == [], "it is kept"


def test_views_of_the_past_are_kept_within_a_number_of_bytes(tmp_path) -> None:
    engine = filled(tmp_path, 4)
    for n in range(40):
        do(engine, revising("n1", importance=n / 100))
    sizes = []
    for position in range(5, 35):
        engine.at(position)
        sizes.append(engine._past.size_bytes(engine._shard.frame))
    assert sizes == sorted(set(sizes)), "each differs from the newest state in a column or two"
    assert len(engine._past) == 30
    limited = opened(tmp_path, past_bytes_max=sizes[3])
    for position in range(5, 35):
        limited.at(position)
        assert limited._past.size_bytes(limited._shard.frame) <= sizes[3]
    assert 1 <= len(limited._past) <= 4
    assert limited._past.get(34) is not None
    assert limited._past.get(5) is None
    nothing = opened(tmp_path, past_bytes_max=0)
    assert ask(nothing.at(5), cmd.Describe()).nodes == 4
    assert len(nothing._past) == 0


# -- compaction ------------------------------------------------------------------------------------------------------

POLICY = RetentionPolicy(keep_forgotten=timedelta(days=1))


def test_what_has_left_the_log_is_in_no_snapshot(tmp_path) -> None:
    engine = opened(tmp_path, clock=(clock := Ticks()))
    do(engine, adding("secret", content="zanzibar"))
    do(engine, adding("other", content="a cat"))
    engine.snapshot()
    do(engine, cmd.ForgetNodes(ids=["secret"]))
    clock.offset_us = 9 * DAY_US
    do(engine, adding("more"))
    engine.snapshot()
    assert b"zanzibar" in b"".join(file.read_bytes() for file in files_of(tmp_path))
    assert engine.compact(POLICY).memories == 1
    assert not files_of(tmp_path), "those that hold it are gone at once"
    do(engine, adding("and more"))
    engine.snapshot()
    assert b"zanzibar" not in b"".join(file.read_bytes() for file in files_of(tmp_path))
    digest = ask(engine, cmd.Digest())
    engine.close()
    engine = opened(tmp_path)
    assert ask(engine, cmd.Digest()) == digest == rebuilt_digest(engine)
    assert not engine._shard.frame.is_stale
