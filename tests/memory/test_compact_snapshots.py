"""What compaction lets go is in no snapshot either: whoever had read it, and whoever writes at the same time."""

from contextlib import nullcontext, suppress
from datetime import timedelta
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from memorygraph import RetentionPolicy
from memorygraph.actors import snapshots
from memorygraph.events.errors import InputError, StoreError
from memorygraph.events.stores import SegmentLog
from memorygraph.projections import graph
from memorygraph.projections.frame import ORDINAL_BITS
from tests.events.faulty_disk import NoSyncDisk
from tests.memory.helpers import SteppedClock, clocked

FORGET = RetentionPolicy(keep_accesses=None, keep_forgotten=timedelta(0))
FOLD = RetentionPolicy(keep_accesses=timedelta(0))
GONE = "zanzibar"


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def opened(clock, tmp_path):
    """Opens the memory once more, as another process would."""
    made = []

    def opened():
        made.append(clocked(clock, SegmentLog.open(tmp_path, disk=NoSyncDisk())))
        return made[-1]

    yield opened
    for memory in made:
        memory.close()


def text(number):
    return " ".join(f"w{number}x{word}" for word in range(6)) + f" unique{number}"


def noted(memory, count=12):
    """Notes of which the third is the secret one."""
    for number in range(count):
        memory.remember(text(number) + (f" {GONE}" if number == 3 else ""), node_id=f"n{number}")


def holders(path):
    return [file.name for file in path.rglob("*") if file.is_file() and GONE.encode() in file.read_bytes()]


def recalled(memory, times):
    for _ in range(times):
        memory.recall("unique1", k=1)
        memory.flush()


def answers(memory):
    return [[hit.node_id for hit in memory.recall(f"unique{number}", 1, reinforce=False)] for number in range(15)]


def require_snapshots_right(opened, path):
    """What is answered with the snapshots is what the log says."""
    with_snapshots = answers(opened())
    for file in path.rglob("*.snap"):
        file.unlink()
    assert with_snapshots == answers(opened())


@pytest.mark.parametrize("looks_between", [False, True])
@pytest.mark.parametrize("writes_between", [False, True])
def test_a_process_that_had_read_what_left_never_keeps_it(opened, tmp_path, looks_between, writes_between):
    one = opened()
    noted(one)
    late = opened()
    late.recall("unique7", reinforce=False)
    late.snapshot()
    late.remember(text(12), node_id="n12")
    one.forget(ids=["n3"])
    assert one.compact(FORGET).memories == 1
    if looks_between:
        late.find()
    if writes_between:
        late.snapshot()
    recalled(one, 3)  # as many records as it did not see go are hashes when it reads them
    assert one.compact(FOLD).replaced == 3
    for number in (13, 14):
        late.remember(text(number), node_id=f"n{number}")
        late.snapshot()
        assert holders(tmp_path) == []
    require_snapshots_right(opened, tmp_path)


def check_a_late_reader(opened, path):
    one = opened()
    noted(one)
    late = opened()
    late.find()
    one.remember("in between")
    recalled(one, 5)  # replaced by the second compaction, before the position at which the first one is told
    one.forget(ids=["n3"])
    one.compact(FORGET)
    assert one.compact(FOLD).replaced == 5
    late.snapshot()
    assert holders(path) == []
    require_snapshots_right(opened, path)


def test_what_left_before_a_late_reader_saw_any_of_it_is_not_counted(opened, tmp_path):
    check_a_late_reader(opened, tmp_path)


def by_number(state, event, birth):
    """Takes hashes of any records for those of the ones that are told of."""
    if event.memories:
        state.content_left = birth >> ORDINAL_BITS
        state.is_stale |= state.replaced < event.replaced


def by_the_last(state, event, birth):
    """Forgets that it is stale when another compaction is told."""
    if event.memories:
        state.content_left = birth >> ORDINAL_BITS
    state.is_stale = state.replaced < event.replaced and bool(event.memories)


@pytest.mark.parametrize("mutant", [by_number, by_the_last])
def test_who_takes_numbers_for_records_is_noticed(opened, tmp_path, monkeypatch, mutant):
    monkeypatch.setattr(graph, "told_of", mutant)
    with pytest.raises(AssertionError):
        check_a_late_reader(opened, tmp_path)


def check_an_opening_beside_two_compactions(opened, path, monkeypatch):
    """One lets a text go that was read already, the other makes as many hashes, which are read in their place."""
    one = opened()
    noted(one)
    one._engine._log._seal()
    recalled(one, 5)
    one._engine._log._seal()  # who reads the log opens each sealed segment when it comes to it
    one.forget(ids=["n3"])
    told, read_it = Event(), Event()
    read, replace = SegmentLog.read, SegmentLog.replace_by_hash

    def late_replace(log, *how):
        told.set()
        assert read_it.wait(30)
        return replace(log, *how)

    def slow_read(log, *what):
        for entry in read(log, *what):
            if entry.data is not None and b"w5x" in entry.data and not read_it.is_set():
                monkeypatch.setattr(SegmentLog, "read", read)
                read_it.set()
                first.join()
                assert one.compact(FOLD).replaced == 5
            yield entry

    monkeypatch.setattr(SegmentLog, "replace_by_hash", late_replace)
    first = Thread(target=one.compact, args=(FORGET,))
    first.start()
    assert told.wait(30)
    monkeypatch.setattr(SegmentLog, "read", slow_read)
    late = opened()
    assert read_it.is_set()
    late.snapshot()
    assert holders(path) == []
    require_snapshots_right(opened, path)


def test_an_opening_beside_two_compactions_keeps_nothing_that_left(opened, tmp_path, monkeypatch):
    check_an_opening_beside_two_compactions(opened, tmp_path, monkeypatch)


def by_content_alone(state, event, birth):
    """A mutant: a compaction under which no content leaves says nothing of those before."""
    state.replaced_told = event.replaced
    if event.memories:
        state.content_left = birth >> ORDINAL_BITS
        state.is_stale |= state.was_published or state.replaced < event.replaced


def test_who_does_not_hear_of_the_second_compaction_is_noticed(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "told_of", by_content_alone)
    with pytest.raises(AssertionError, match="snap"):
        check_an_opening_beside_two_compactions(opened, tmp_path, monkeypatch)


def test_a_revision_that_leaves_alone_counts_as_content(opened, tmp_path):
    memory = opened()
    ids = memory.remember_many([text(number) for number in range(6)])  # one record, of which the rest lives
    memory.revise(ids[3], content=GONE)
    memory.snapshot()
    memory.forget(ids=[ids[3]])
    assert memory.compact(FORGET).memories == 1
    assert holders(tmp_path) == []
    memory.remember("more")
    memory.snapshot()
    assert holders(tmp_path) == []


def check_a_snapshot_under_way(opened, path):
    memory = opened()
    noted(memory)
    memory.forget(ids=["n3"])
    saver = memory._engine._saver
    saver._snapshots.begin(memory._engine._state)
    assert saver._snapshots.step()  # it holds the right to write
    memory.compact(FORGET)
    saver._snapshots.finish()
    assert holders(path) == []
    memory.snapshot()
    assert holders(path) == []


def test_a_snapshot_that_is_being_written_is_done_before_and_dropped(opened, tmp_path):
    check_a_snapshot_under_way(opened, tmp_path)


def test_a_compaction_that_does_not_wait_is_noticed(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots.Snapshots, "held", lambda _: nullcontext())
    with pytest.raises(AssertionError):
        check_a_snapshot_under_way(opened, tmp_path)


def test_a_snapshot_that_was_begun_before_and_not_gone_on_with_is_of_what_is_there(opened, tmp_path):
    memory, other = opened(), opened()
    noted(memory)
    memory.forget(ids=["n3"])
    other.find()
    other._engine._snapshots.begin(other._engine._state)
    memory.compact(FORGET)
    other._engine._snapshots.finish()
    assert list(tmp_path.rglob("*.snap"))
    assert holders(tmp_path) == []


def test_a_compaction_waits_for_who_writes_a_snapshot_and_says_so_in_the_end(opened, tmp_path, monkeypatch):
    memory, other = opened(), opened()
    noted(memory)
    memory.forget(ids=["n3"])
    other.find()
    slept = []

    def sleep(_):
        slept.append(1)
        if len(slept) == 3:
            other._engine._snapshots.finish()

    monkeypatch.setattr(snapshots, "time", SimpleNamespace(sleep=sleep))
    other._engine._snapshots.begin(other._engine._state)
    assert other._engine._snapshots.step()
    assert memory.compact(FORGET).memories == 1
    assert (len(slept), holders(tmp_path)) == (3, [])
    memory.remember("more")
    other._engine._snapshots.begin(other._engine._state)
    assert other._engine._snapshots.step()
    position = memory.position
    with pytest.raises(StoreError, match=r"a snapshot of it is being written.*nothing was replaced"):
        memory.compact(FORGET)
    assert memory.position == position


def test_nobody_writes_a_snapshot_while_records_are_replaced(opened, monkeypatch):
    memory, other = opened(), opened()
    noted(memory)
    memory.forget(ids=["n3"])
    log = memory._engine._log
    replace = log.replace_by_hash

    def beside(*args):
        for each in (memory, other):
            with pytest.raises(StoreError, match="log is being compacted"):
                each.snapshot()
        return replace(*args)

    monkeypatch.setattr(log, "replace_by_hash", beside)
    assert memory.compact(FORGET).memories == 1


def test_after_a_compaction_snapshots_go_on_from_the_first_one(opened, tmp_path):
    memory = opened()
    memory.remember_many([f"note {number} about thing {number % 9}" for number in range(400)])
    memory.remember(GONE, node_id="s")
    memory.forget(ids=["s"])
    memory.compact(FORGET)
    memory.snapshot()
    for _ in range(2):
        memory.remember("one more")
        saved = memory.snapshot()
        assert saved.written_bytes < saved.size_bytes / 2
    require_snapshots_right(opened, tmp_path)


def test_a_compaction_that_was_interrupted_leaves_snapshots_that_the_next_one_drops(opened, tmp_path, monkeypatch):
    memory = opened()
    noted(memory)
    memory.forget(ids=["n3"])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(memory._engine._log, "replace_by_hash", killed)
        memory.compact(FORGET)
    for each in (memory, opened()):
        each.remember("more")
        each.snapshot()  # the content is still in the log
        assert each.compact().replaced == 0
    assert holders(tmp_path)
    assert memory.compact(FORGET).memories == 1
    assert holders(tmp_path) == []
    for each in (memory, opened()):
        each.remember("and more")
        each.snapshot()
        assert holders(tmp_path) == []


def test_a_failure_to_drop_a_snapshot_is_told_and_the_next_compaction_does_it(opened, tmp_path, monkeypatch):
    memory = opened()
    noted(memory)
    memory.snapshot()
    memory.forget(ids=["n3"])

    def refused(_):
        raise StoreError("the disk refuses")

    with monkeypatch.context() as patch:
        patch.setattr(memory._engine._log.snapshots, "remove", refused)
        with pytest.raises(StoreError, match="refuses"):
            memory.compact(FORGET)
    assert holders(tmp_path)
    assert memory.compact(FORGET).replaced == 0
    assert holders(tmp_path) == []


def test_compaction_is_refused_in_a_transaction(opened):
    memory = opened()
    noted(memory)
    memory.forget(ids=["n3"])
    position = memory.position
    with memory.transaction(), pytest.raises(InputError, match="transaction"):
        memory.compact(FORGET)
    assert memory.position == position
    assert memory.compact(FORGET).memories == 1
