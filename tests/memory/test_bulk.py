"""Bulk calls go on where they broke off, and do nothing twice; and nobody's change is lost among many writers."""

import multiprocessing
import subprocess
import sys

import pytest

from memorygraph import AgentMemory, MemoryEdge
from memorygraph.bulk import Bulk
from memorygraph.events.errors import CommandIdReused, DiskFull, InputError, LogFailed, MemoryGraphError
from memorygraph.events.stores import SegmentLog
from memorygraph.ingest import harvest_path, sync
from tests.memory.bulk_workers import BULKS, ITEMS, count_up

SMALL = 5  # items of a chunk, where the tests set it
PROCESSES, THREADS, EACH = 4, 8, 2


def require_once(memory, bulk):
    """Assert that a bulk call was done, and once."""
    if bulk == "remember":
        assert [node.content for node in memory.graph.nodes()] == [f"text {number}" for number in range(ITEMS)]
    elif bulk == "link":
        ends = [(edge.source_id, edge.target_id) for edge in memory.graph.edges()]
        assert ends == [(f"n{number}", f"n{number + 1}") for number in range(ITEMS - 1)]
    else:
        assert {node.importance for node in memory.graph.nodes()} == {0.25}
    assert memory.verify().whole


def killed_after(store, bulk, chunks):
    command = [sys.executable, "-m", "tests.memory.bulk_workers", str(store)]
    orders = "".join(f"{bulk} {count}\n" for count in chunks)
    answer = subprocess.run(command, input=orders, capture_output=True, text=True, check=True, timeout=120)
    return [int(line) for line in answer.stdout.split()]


def test_a_bulk_call_that_was_killed_goes_on(store):
    with AgentMemory(store) as memory:
        for bulk, records in (("remember", 3), ("link", 3), ("revise", 3)):
            before = memory.position
            assert max(killed_after(store, bulk, [0, 1, 2, 1])) == 2000
            assert before < memory.position <= before + records
            done = []
            BULKS[bulk](memory, progress=done.append)
            assert done[:2] == [1000, 2000]
            assert memory.position == before + records
            require_once(memory, bulk)
            BULKS[bulk](memory)
            assert memory.position == before + records


@pytest.fixture
def small_chunks(monkeypatch):
    for module in ("drafts", "links"):
        monkeypatch.setattr(f"memorygraph.{module}.CHUNK_ITEMS", SMALL)


@pytest.fixture
def failing(monkeypatch):
    """``failing(n, error, late)`` lets the n-th append from now fail, before or after it has written."""
    whole = SegmentLog.append

    def fail(number, error, *, late):
        left = [number]

        def append(log, records, time_us):
            left[0] -= 1
            if left[0] == 0 and not late:
                raise error
            head = whole(log, records, time_us)
            if left[0] == 0:
                raise error
            return head

        monkeypatch.setattr(SegmentLog, "append", append)

    return fail


TEXTS = [f"text {number}" for number in range(23)]
CALLS = {
    "remember": lambda memory, command_id: memory.remember_many(TEXTS, command_id=command_id),
    "messages": lambda memory, command_id: memory.remember_messages(
        [{"role": "user", "content": text} for text in TEXTS], command_id=command_id
    ),
}


@pytest.mark.parametrize("given", ["mine", None])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("error", "late"), [(DiskFull("no space"), False), (LogFailed("it broke"), True)])
@pytest.mark.usefixtures("small_chunks")
def test_a_bulk_call_goes_on_after_the_disk_failed(store, failing, call, given, error, late):
    with AgentMemory(store, auto_associate=False) as memory:
        for failing_at in range(1, 11 if call == "messages" else 6):
            failing(failing_at, error, late=late)
            before = memory.position
            with pytest.raises(type(error)) as caught:
                CALLS[call](memory, given and f"{given}{failing_at}")
            about = caught.value.about
            assert about["total"] == (23 if failing_at <= 5 else 22)
            assert about["done"] == SMALL * ((failing_at - 1) % 5)
            assert f"{about['done']} of {about['total']}" in caught.value.message
            assert about["command_id"] in caught.value.message
            failing(0, error, late=False)
            with AgentMemory(store, auto_associate=False) as again:  # as after a crash: it learns all from the log
                nodes = CALLS[call](again, about["command_id"])
                assert [node.content for node in nodes] == TEXTS
                assert again.position == before + (10 if call == "messages" else 5)
                assert len(again) == 23 * failing_at
                assert again.stats().num_edges == (22 * failing_at if call == "messages" else 0)


@pytest.mark.usefixtures("small_chunks")
def test_a_bulk_call_without_ids_is_caught(store, failing, monkeypatch):
    run = Bulk.run
    monkeypatch.setattr(Bulk, "run", lambda self, chunks, send: run(self, chunks, lambda chunk, _: send(chunk, None)))
    with AgentMemory(store, auto_associate=False) as memory:
        failing(3, DiskFull("no space"), late=False)
        with pytest.raises(DiskFull):
            memory.remember_many(TEXTS, command_id="mine")
        memory.remember_many(TEXTS, command_id="mine")
        assert len(memory) == 23 + 10  # the mutant: two chunks are there twice


@pytest.mark.usefixtures("small_chunks")
def test_a_bad_item_is_told_with_what_was_done():
    with AgentMemory(auto_associate=False) as memory:
        with pytest.raises(InputError, match=r"has no content.*; 10 of 12 were done before") as caught:
            memory.remember_many([*TEXTS[:11], {"importance": 1}], command_id="mine")
        assert caught.value.about["cause"].startswith("a memory has no content")
        memory.remember_many(TEXTS[:12], command_id="mine")
        assert len(memory) == 12
        with pytest.raises(CommandIdReused):
            memory.remember_many(["another"], command_id="mine")
        with pytest.raises(InputError) as caught:
            memory.remember_many([{"importance": 1}])
        assert "done before" not in caught.value.message


@pytest.mark.usefixtures("small_chunks")
def test_links_under_a_drawn_id_go_on(store, failing):
    with AgentMemory(store, auto_associate=False) as memory:
        nodes = memory.remember_many(TEXTS)
        failing(3, DiskFull("no space"), late=False)
        pairs = [(one.id, nodes[0].id) for one in nodes[1:]]
        with pytest.raises(DiskFull, match=r"10 of 22 were done before\. The same call with command_id='") as caught:
            memory.link_many(pairs)
        assert memory.link_many(pairs, command_id=caught.value.about["command_id"]) == 22
        assert memory.stats().num_edges == 22


@pytest.mark.usefixtures("small_chunks")
def test_an_ingest_that_broke_off_is_completed_by_the_next(tmp_path, store, failing):
    (tmp_path / "notes.md").write_text("\n\n".join(f"# Part {number}\n\nText {number}." for number in range(20)))
    harvest = harvest_path(tmp_path / "notes.md")
    with AgentMemory(store, auto_associate=False) as memory:
        failing(3, DiskFull("no space"), late=False)
        with pytest.raises(MemoryGraphError, match="ingest it again"):
            sync(memory, harvest, origin="here")
        assert 0 < len(memory) < len(harvest.items)
        assert sync(memory, harvest, origin="here").added == len(harvest.items) - 10
        assert sorted(node.source for node in memory.graph.nodes()) == sorted(item.source for item in harvest.items)
        position = memory.position
        sync(memory, harvest, origin="here")
        assert memory.position == position


def test_none_of_many_writers_is_lost(store):
    """Expected versions of a node, and transactions that read an edge: threads of several processes count up."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(PROCESSES)
    with AgentMemory(store) as memory:
        memory.remember_many([{"content": "0", "node_id": "counter"}, {"content": "x", "node_id": "other"}])
        memory.graph.add_edge(MemoryEdge("counter", "other", metadata={"count": 0}, edge_id="edge"))
        processes = [
            context.Process(target=count_up, args=(str(store), THREADS, EACH, start)) for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(300)
        assert [process.exitcode for process in processes] == [0] * PROCESSES
        total = PROCESSES * THREADS * EACH
        assert (memory.get("counter").content, memory.graph.get_edge("edge").metadata) == (str(total), {"count": total})
        assert memory.replay() == memory.digest()
