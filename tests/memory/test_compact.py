"""Compaction as its users see it: the present stays, what is not kept leaves the store."""

import shutil
import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from memorygraph import AgentMemory, RetentionPolicy
from memorygraph.actors import compaction
from memorygraph.actors.commands import FoldAccesses
from memorygraph.actors.local import LocalEngine
from memorygraph.events.errors import InputError, StoreError, StoreReadOnly
from memorygraph.events.frames import HEADER_BYTES, frame_entries, frame_header, whole_frame
from memorygraph.events.stores import MemoryLog, SegmentLog
from tests.events.faulty_disk import FaultyDisk, NoSyncDisk
from tests.events.test_frames import rebuilt
from tests.memory.helpers import SteppedClock, clocked, fingerprint

EVERYTHING = RetentionPolicy(keep_accesses=timedelta(0), keep_forgotten=timedelta(0))


@pytest.fixture
def clock():
    return SteppedClock()


def lived_in(clock, log):
    """A memory with recalls, and with a note that was forgotten; gives it and the note's id."""
    memory = clocked(clock, log)
    kept = memory.remember("The harbour opens at nine")
    gone = memory.remember("The secret is under the stone", metadata={"where": "garden-stone"})
    memory.link(gone, kept)
    memory.revise(gone, content="The secret moved to the attic" + ", to the attic" * 2000)
    for _ in range(20):
        clock.forward(1)
        memory.recall("harbour", k=1)
        memory.flush()
    memory.forget(ids=[gone.id], reason="told")
    return memory, gone.id


def test_a_record_that_was_emptied_without_being_told_is_noted(tmp_path):
    store = tmp_path / "store"
    with AgentMemory(store) as memory:
        lived = [memory.remember(text, node_id=text) for text in ("oak", "elm", "ash")]
        memory.recall("oak", k=1)
        memory.flush()
        assert memory.compact(RetentionPolicy(keep_accesses=timedelta(0))).replaced
        assert (memory.notes, memory.verify().untold) == ((), 0)
        position = memory.history(lived[1].id)[0].position
    with AgentMemory(store) as memory:
        assert (memory.notes, memory.verify().untold) == ((), 0)
        hashes = memory.verify().hashes
    log = SegmentLog.open(store)
    log.replace_by_hash({position})
    log.close()
    with AgentMemory(store) as memory:
        report = memory.verify()
        assert (report.whole, report.hashes, report.untold) == (True, hashes + 1, 1)
        assert report.notes == memory.notes
        assert "of 1 records only the hash is kept, and nothing in the log tells of that" in memory.notes[0]
        for _ in range(3):
            memory.recall("oak", k=1)
            memory.flush()
        assert memory.compact(RetentionPolicy(keep_accesses=timedelta(0))).replaced
        assert memory.verify().untold == 1  # an honest compaction does not wash it away


def stored(path):
    return b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())


def state(memory):
    return memory.digest(), [node.to_dict() for node in memory.find()]


def test_what_is_not_kept_leaves_the_store_and_the_present_stays(clock, tmp_path):
    memory, gone = lived_in(clock, SegmentLog.open(tmp_path))
    before, chain = state(memory), [memory.head()]
    report = memory.compact(EVERYTHING)
    assert (report.folded, report.memories) == (1, 1)
    assert report.replaced == 20 + 3  # recalls; added, linked, revised
    assert report.bytes_after < report.bytes_before
    assert state(memory) == before
    assert memory.replay() == before[0]
    assert memory.verify().whole
    assert memory.verify().head.position == memory.position > chain[0].position
    data = stored(tmp_path)
    assert b"harbour" in data
    assert b"stone" not in data
    assert b"attic" not in data
    again = clocked(clock, SegmentLog.open(tmp_path))
    assert state(again) == before
    assert again.find()[0].access_count == 20
    follower = clocked(clock, SegmentLog.open(tmp_path, read_only=True))
    assert state(follower) == before
    assert gone not in again


def test_a_second_compaction_finds_nothing_to_do(clock):
    memory, _ = lived_in(clock, MemoryLog())
    memory.compact(EVERYTHING)
    before = fingerprint(memory)
    report = memory.compact(EVERYTHING)
    assert (report.replaced, report.position, report.bytes_after) == (0, 0, report.bytes_before)
    assert fingerprint(memory) == before


def test_the_default_keeps_a_month_of_recalls_and_all_that_was_said(clock):
    memory, gone = lived_in(clock, MemoryLog())
    assert memory.compact().replaced == 0
    clock.forward(31 * 24)
    report = memory.compact()
    assert (report.replaced, report.folded, report.memories) == (20, 1, 0)
    assert memory.history(gone)[0].kind == "added"


def test_recalls_that_come_in_between_are_not_lost(clock):
    memory, _ = lived_in(clock, MemoryLog())
    memory.recall("harbour", k=1)  # noted, not yet written
    memory.compact(EVERYTHING)
    memory.recall("harbour", k=1)
    memory.flush()
    assert memory.find()[0].access_count == 22
    assert memory.digest() == memory.replay()


def test_the_past_shows_what_is_left_and_says_so(clock):
    memory, gone = lived_in(clock, MemoryLog())
    kept = memory.find()[0].id
    end = memory.position
    counts = [memory.at(position).find()[0].access_count for position in (end - 10, end)]
    assert counts == [11, 20]
    assert memory.at(end - 1).notes == ()
    memory.compact(EVERYTHING)
    view = memory.at(end - 10)
    assert view.get(kept).access_count == 0
    assert gone not in view
    assert len(view.notes) == 1
    assert "only the hash is kept" in view.notes[0]
    after = memory.position
    memory.remember("something new")
    assert memory.at(after).notes == ()  # nothing is missing from what came after
    assert memory.at(after).get(kept).access_count == 20
    for position in range(memory.position + 1):
        memory.at(position).find()


def test_log_and_history_tell_what_is_gone(clock):
    memory, gone = lived_in(clock, MemoryLog())
    kept = memory.find()[0].id
    memory.compact(EVERYTHING)
    kinds = [change.kind for change in memory.log()]
    assert kinds.count("replaced") == 23
    assert kinds[-2:] == ["folded", "compacted"]
    assert list(memory.log())[-1].event.reason == "accesses older than 0 days, memories forgotten for 0 days"
    assert [change.kind for change in memory.history(gone)] == ["replaced", "forgotten"]
    assert [change.kind for change in memory.history(kept)] == ["added", "unlinked", "folded"]
    replaced = next(change for change in memory.log() if change.kind == "replaced")
    assert (replaced.event, replaced.ids, replaced.to_dict()["event"]) == (None, (), None)
    with memory.subscribe() as changes:
        assert changes.next(timeout_s=1).kind == "created"


def test_a_command_sent_again_after_its_record_is_gone(clock):
    memory = clocked(clock)
    memory.remember("something else")
    node = memory.remember("said once", command_id="mine")
    memory.forget(ids=[node.id])
    assert memory.compact(EVERYTHING).replaced == 0  # it may be sent again for a day
    clock.forward(25)
    assert memory.compact(EVERYTHING).replaced == 1


def test_recalls_that_are_recorded_all_the_time_put_a_fold_off_but_do_not_end_it(clock, monkeypatch):
    memory, _ = lived_in(clock, MemoryLog())
    engine, kept = memory._engine, memory.find()[0].id
    right, more = LocalEngine._propose, iter(range(15))

    def propose(asked, frame, command):
        ticket = right(asked, frame, command)
        if isinstance(command.operations[0], FoldAccesses) and next(more, None) is not None:
            engine.accessed([kept], clock.now_us())
            engine.flush()
        return ticket

    monkeypatch.setattr(LocalEngine, "_propose", propose)
    memory.compact(EVERYTHING)
    assert memory.get(kept).access_count == 20 + 15
    assert memory.digest() == memory.replay()


def test_readers_and_writers_go_on(clock, tmp_path):
    memory, _ = lived_in(clock, SegmentLog.open(tmp_path, segment_bytes=4000))
    for n in range(150):
        memory.remember(f"note number {n}")
        if n % 3 == 0:
            memory.recall(f"note number {n}", k=2)
            memory.flush()
    stop, failures, written = threading.Event(), [], []

    def work(name, act):
        def run():
            try:
                for n in range(10_000):
                    if stop.is_set():
                        return
                    act(f"{name} {n}")
            except BaseException as error:  # noqa: BLE001 - handed to the main thread
                failures.append(error)

        return threading.Thread(target=run)

    def write(text):
        written.append(memory.remember(text).id)

    def recall(text):
        memory.recall(text, k=2)
        memory.flush()

    other = clocked(clock, SegmentLog.open(tmp_path, segment_bytes=4000))
    follower = clocked(clock, SegmentLog.open(tmp_path, read_only=True))
    threads = [
        work("writer", write),
        work("recaller", recall),
        work("other", lambda text: written.append(other.remember(text).id)),
        work("reader", lambda _: list(follower.log())),
        work("past", lambda _: memory.at(memory.position // 2).find()),
    ]
    for thread in threads:
        thread.start()
    try:
        reports = [memory.compact(EVERYTHING) for _ in range(3)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    assert reports[0].replaced > 60
    assert all(node_id in memory for node_id in written)
    assert memory.digest() == memory.replay() == other.digest() == follower.digest()
    assert AgentMemory(tmp_path, read_only=True).digest() == memory.digest()
    assert memory.verify().whole


def test_what_is_recalled_while_a_plan_is_made_is_not_part_of_it(clock, monkeypatch):
    memory, _ = lived_in(clock, MemoryLog())
    read, late = memory._engine._log.read, []

    def read_beside_others(*positions):
        if not late:
            late.append(memory.remember("The lighthouse is new").id)
            memory.recall("lighthouse", k=1)
            memory.flush()
        return read(*positions)

    monkeypatch.setattr(memory._engine._log, "read", read_beside_others)
    assert memory.compact(EVERYTHING).replaced == 23
    assert memory.get(late[0]).access_count == 1
    assert memory.digest() == memory.replay()


@pytest.mark.parametrize("from_end", [0, 1])
def test_a_plan_that_would_change_the_state_is_refused(clock, monkeypatch, from_end):
    memory, _ = lived_in(clock, MemoryLog())
    memory.remember("still known")
    wanted = [change.position for change in memory.log() if change.kind == "added"][-1 - 2 * from_end]
    frames = list(memory._engine.frames())
    right = compaction._Judge.plan

    def greedy(judge):
        found = right(judge)
        return compaction.Plan(found.positions | {wanted}, found.fold, found.memories, found.replaced)

    monkeypatch.setattr(compaction._Judge, "plan", greedy)
    with pytest.raises(StoreError, match="nothing was replaced"):
        memory.compact(EVERYTHING)
    assert list(memory._engine.frames())[: len(frames)] == frames


def test_a_hash_that_is_another_breaks_the_chain(clock):
    log = MemoryLog()
    memory, _ = lived_in(clock, log)
    memory.compact(EVERYTHING)
    assert memory.verify().whole
    at, frame = next(
        (at, frame)
        for at, frame in enumerate(log._frames)
        if any(entry.data is None for entry in frame_entries(frame, frame_header(frame)))
    )
    body = frame[HEADER_BYTES:-1] + bytes([frame[-1] ^ 1])
    log._frames[at] = rebuilt(frame, body)
    assert whole_frame(log._frames[at], 0, log.memory_id)
    assert not memory.verify().whole


def test_a_crash_before_the_records_are_replaced_loses_nothing(clock, monkeypatch):
    log = MemoryLog()
    memory, _ = lived_in(clock, log)
    before = state(memory)

    def crash(*_):
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(log, "replace_by_hash", crash)
        with pytest.raises(StoreError, match="gone"):
            memory.compact(EVERYTHING)
    assert state(memory) == before
    assert memory.replay() == before[0]
    report = memory.compact(EVERYTHING)
    assert (report.replaced, report.folded) == (23, 0)  # what was folded then need not be said again
    assert memory.replay() == before[0]


def test_who_cannot_write_cannot_compact(clock, tmp_path):
    memory, _ = lived_in(clock, SegmentLog.open(tmp_path))
    reader = clocked(clock, SegmentLog.open(tmp_path, read_only=True))
    for other in (reader, memory.at(3)):
        with pytest.raises(StoreReadOnly):
            other.compact(EVERYTHING)


@pytest.mark.parametrize(
    "policy",
    [
        None,
        "30d",
        RetentionPolicy(keep_accesses=30),
        RetentionPolicy(keep_forgotten=timedelta(-1)),
        RetentionPolicy(keep_access_positions=-1),
    ],
)
def test_what_is_no_policy_is_refused(memory, policy):
    with pytest.raises(InputError):
        memory.compact(policy)


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["error", "short", "late"])
def test_a_failing_disk_leaves_the_same_memory_and_the_next_compaction_finishes(clock, tmp_path, kind):
    memory, _ = lived_in(clock, SegmentLog.open(tmp_path / "made", disk=NoSyncDisk(), segment_bytes=3000))
    before = state(memory)
    memory.close()
    for fail_at in range(1, 80):
        path, disk = tmp_path / str(fail_at), FaultyDisk(10**9, kind)
        shutil.copytree(tmp_path / "made", path)
        failing = clocked(clock, SegmentLog.open(path, disk=disk, segment_bytes=3000))
        disk.calls, disk.fail_at = 0, fail_at
        with suppress(StoreError):
            failing.compact(EVERYTHING)
        again = clocked(clock, SegmentLog.open(path, disk=NoSyncDisk(), segment_bytes=3000))
        assert state(again) == before
        assert again.replay() == before[0]
        again.compact(EVERYTHING)
        assert state(again) == before
        assert again.replay() == before[0]
        assert again.verify().whole
        assert b"stone" not in stored(path)
        if not disk.failed:
            break
    assert 15 < fail_at < 79
