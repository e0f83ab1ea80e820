"""The index of faiss gives what the exact search gives."""

import sys
import threading

import numpy as np
import pytest

from memorygraph import AgentMemory, MemoryGraph, MemoryNode
from memorygraph.events.errors import InputError
from memorygraph.projections import faiss_index, faiss_lists
from memorygraph.projections.faiss_index import FaissIndex
from memorygraph.projections.similarity import Norms, nearest
from memorygraph.projections.tables import CHUNK_ROWS
from tests.projections.graph_model import chunks_of
from tests.projections.test_similarity import crowd, memory, same

SEGMENT = 64


@pytest.fixture
def small(monkeypatch):
    """Segments of few rows, and candidates up to all of them."""
    monkeypatch.setattr(faiss_index, "SEGMENT_ROWS", SEGMENT)
    monkeypatch.setattr(faiss_index, "MORE", 2)
    monkeypatch.setattr(faiss_index, "_SHARE_MAX", 1.0)
    with chunks_of(5):
        yield


@pytest.fixture
def chunk_wide(monkeypatch):
    """Segments of one chunk."""
    monkeypatch.setattr(faiss_index, "SEGMENT_ROWS", CHUNK_ROWS)


@pytest.fixture
def scans(monkeypatch):
    """Counts the searches that faiss alone did not settle."""
    count = []
    monkeypatch.setattr(faiss_index, "nearest", lambda *args, **named: (count.append(1), nearest(*args, **named))[1])
    return count


@pytest.mark.parametrize("k", [1, 4, 40, 5000])
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.9])
@pytest.mark.usefixtures("small")
def test_it_finds_what_the_exact_search_finds(k, threshold):
    frame = crowd().publish()
    index, norms = FaissIndex(), Norms()
    for query in ([1, 0, 0], [-1, 2, 0.5], [0, 0, 0]):
        wanted = np.float32(query)
        exact = nearest(frame, norms, wanted, k, threshold=threshold)
        same(index.nearest(frame, norms, wanted, k, threshold=threshold), exact)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.11, 0.5, 0.99])
@pytest.mark.usefixtures("small")
def test_filters_act_inside_the_search(share):
    frame = crowd().publish()
    index, norms = FaissIndex(), Norms()
    visible = np.random.default_rng(1).random(frame.nodes.count) < share
    for k in (1, 10, 200):
        exact = nearest(frame, norms, np.float32([-1, 2, 0.5]), k, visible=visible)
        same(index.nearest(frame, norms, np.float32([-1, 2, 0.5]), k, visible=visible), exact)
        assert len(exact) == min(k, int((visible & frame.live_rows()).sum()))


@pytest.mark.usefixtures("small")
def test_ties_go_by_birth():
    frame = memory([[1, 1, 0]] * 300).publish()
    found = FaissIndex().nearest(frame, Norms(), np.float32([1, 0, 0]), 3)
    assert [row for row, _ in found] == [0, 1, 2]


@pytest.mark.usefixtures("small")
def test_it_serves_older_and_newer_frames(scans):
    dice = np.random.default_rng(0)
    rows = dice.normal(size=(400, 3)).tolist()
    old, new = memory(rows[:150]).publish(), memory(rows).publish()
    index, norms = FaissIndex(), Norms()
    for frame in (old, new, old):
        found = index.nearest(frame, norms, np.float32([1, 0, 0]), 2)
        same(found, nearest(frame, norms, np.float32([1, 0, 0]), 2))
    assert len(index._segments_from(0, old, norms)) == 150 // SEGMENT
    assert len(index._segments_from(0, new, norms)) == 400 // SEGMENT
    assert index.size_bytes() == 400 // SEGMENT * SEGMENT * 3 * 2
    assert not scans  # faiss settled all of them


@pytest.mark.usefixtures("small")
def test_few_rows_are_scanned_as_they_are(scans):
    frame = memory([[1, 0, 0]] * (SEGMENT - 1)).publish()
    assert len(FaissIndex().nearest(frame, Norms(), np.float32([1, 0, 0]), 3)) == 3
    assert scans


@pytest.mark.usefixtures("small")
def test_candidates_that_are_too_few_are_noticed(monkeypatch):
    """A mutant that takes the scan's word for it."""
    dice = np.random.default_rng(0)
    rows = (np.array([1, 0, 0]) + dice.normal(size=(600, 3)) * 1e-3).tolist()  # nearer to each other than ERROR
    frame = memory(rows, removed=range(300)).publish()
    index, norms = FaissIndex(), Norms()

    def holds():
        for row in rows[::60]:
            wanted = np.float32(row)
            same(index.nearest(frame, norms, wanted, 5), nearest(frame, norms, wanted, 5))

    holds()
    monkeypatch.setattr(faiss_index, "ERROR", -2.0)
    with pytest.raises(AssertionError):
        holds()


def filled(**options):
    graph = MemoryGraph(8, **options)
    vectors = np.random.default_rng(0).normal(size=(CHUNK_ROWS + 900, 8))
    for first in range(0, len(vectors), 1000):
        graph.add_nodes(
            [
                MemoryNode(embedding=vectors[at], node_id=f"n{at}", tags=["odd"] if at % 2 else [])
                for at in range(first, min(first + 1000, len(vectors)))
            ]
        )
    return graph


CHANGES = {
    "none": len,
    "removed": lambda graph: graph.remove_node("n7"),
    "revised": lambda graph: graph.update_node_embedding("n9", -np.ones(8)),
    "added": lambda graph: graph.add_nodes([MemoryNode(embedding=np.ones(8), node_id=f"m{at}") for at in range(70)]),
}


@pytest.mark.usefixtures("chunk_wide")
def test_a_graph_that_uses_it_answers_the_same():
    exact, graph = filled(), filled(use_faiss=True)
    for change in CHANGES.values():
        change(exact)
        change(graph)
        for number, tags in ((1, None), (10, ["odd"]), (3, ["none"])):
            query = np.random.default_rng(number).normal(size=8)
            found = graph.similarity_search(query, k=number, tags=tags)
            assert [result.node_id for result in found] == [
                result.node_id for result in exact.similarity_search(query, k=number, tags=tags)
            ]
    shard = graph._home.engine._shard
    assert len(shard._faiss._segments[1]) == 1
    assert graph.stats().bytes_by_part["index"] > exact.stats().bytes_by_part["index"]
    with graph.transaction():
        graph.add_node(MemoryNode(embedding=np.ones(8) * 2, node_id="inside"))
        assert "inside" in {result.node_id for result in graph.similarity_search(np.ones(8), k=80)}
    assert "inside" in {result.node_id for result in graph.similarity_search(np.ones(8), k=80)}


@pytest.mark.usefixtures("chunk_wide")
def test_an_agents_memory_that_uses_it():
    memory = AgentMemory(use_faiss=True, auto_associate=False)
    memory.remember_many([f"note number {number} on the harbour" for number in range(200)])
    found = memory.graph.similarity_search(memory.embedder("note number 42 on the harbour"), k=3)
    assert memory.get(found[0].node_id).content == "note number 42 on the harbour"
    assert memory.recall("harbour 42", k=1)[0].content == "note number 42 on the harbour"
    assert memory.acting_as("ann").graph.similarity_search(memory.embedder("harbour"), k=1)
    assert memory._engine._shard._faiss is not None
    memory.close()  # what the recall reinforced must not be written beside the next tests


@pytest.mark.parametrize("make", [MemoryGraph, AgentMemory])
def test_without_faiss_the_extra_is_named(monkeypatch, make):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install 'memorygraph\[faiss-cpu\]'"):
        make(use_faiss=True)
    make()


# -- inverted lists ----------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(monkeypatch, small):  # noqa: ARG001 - it is made on top of the other
    """Lists from a few hundred rows on."""
    monkeypatch.setattr(faiss_index, "LISTS_ROWS_MIN", 2 * SEGMENT)
    monkeypatch.setattr(faiss_lists, "MEASURED", (3, 10))


def groups_of(count: int, each: int) -> list:
    """Vectors of three numbers in groups that lie close together, in turns."""
    dice = np.random.default_rng(7)
    centres = dice.normal(size=(count, 3))
    return (np.tile(centres, (each, 1)) + dice.normal(size=(count * each, 3)) * 0.2).tolist()


def ready(frame) -> tuple[FaissIndex, Norms]:
    index, norms = FaissIndex(), Norms()
    assert index.due(frame)
    index.grow(frame, norms)
    assert not index.due(frame)
    return index, norms


def found_share(index, norms, frame, queries, k, visible=None, recall=0.95) -> float:
    """The share of the exact answers that it gives; equal cosines count."""
    shares = []
    for query in queries:
        wanted = np.float32(query)
        exact = nearest(frame, norms, wanted, k, visible=visible)
        found = index.nearest(frame, norms, wanted, k, visible=visible, recall=recall)
        assert len(found) == len(exact)
        assert visible is None or all(visible[row] for row, _ in found)
        shares.append(np.mean([score >= exact[-1][1] - 1e-6 for _, score in found]))
    return float(np.mean(shares))


@pytest.mark.usefixtures("listed")
def test_lists_find_what_was_asked_for_and_look_at_few(scans, monkeypatch):
    rows = groups_of(30, 50)
    frame = memory(rows).publish()
    index, norms = ready(frame)
    lists = index._lists[1]
    assert 0 < lists.groups_for(0.95, 3) <= lists._index.nlist // 4
    monkeypatch.setattr(FaissIndex, "_segments_from", lambda *_: [])  # what is in the lists is not scanned
    assert found_share(index, norms, frame, rows[::40], 3) >= 0.95
    assert not scans
    assert index.size_bytes() > len(rows) // SEGMENT * SEGMENT * (3 + 8)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.usefixtures("listed")
def test_filters_act_inside_the_lists(share):
    rows = groups_of(30, 50)
    frame = memory(rows, removed=range(0, 1500, 7)).publish()
    index, norms = ready(frame)
    visible = np.random.default_rng(1).random(frame.nodes.count) < share
    assert found_share(index, norms, frame, rows[::40], 3, visible) >= 0.95


@pytest.mark.usefixtures("listed")
def test_where_no_number_of_groups_is_enough_the_answer_is_exact(monkeypatch):
    monkeypatch.setattr(faiss_lists, "SHARE_MAX", 0.06)
    rows = np.random.default_rng(0).normal(size=(400, 3)).tolist()
    frame = memory(rows).publish()
    index, norms = ready(frame)
    assert index._lists[1].groups_for(0.9, 10) is None
    assert index._lists[1].groups_for(0.5, 11) is None  # it was not measured for so many
    for query in rows[::9]:
        wanted = np.float32(query)
        for k, recall in ((10, 1.0), (10, 0.9), (11, 0.5)):
            same(index.nearest(frame, norms, wanted, k, recall=recall), nearest(frame, norms, wanted, k))
    # A mutant that takes lists without looking at what they find.
    monkeypatch.setattr(faiss_lists.InvertedLists, "groups_for", lambda *_: 1)
    monkeypatch.setattr(faiss_lists, "MORE", 0)
    assert found_share(index, norms, frame, rows[::9], 10) < 0.9


@pytest.mark.usefixtures("listed")
def test_what_they_say_of_themselves_is_what_they_find():
    rows = np.random.default_rng(3).normal(size=(1024, 3)).tolist()
    frame = memory(rows).publish()
    index, norms = ready(frame)
    lists = index._lists[1]
    others = np.random.default_rng(4).normal(size=(200, 3))
    for k, measured in lists.recall.items():
        values = list(measured.values())
        assert values == sorted(values)
        for groups, said in measured.items():
            shares = []
            for query in others:
                exact = nearest(frame, norms, np.float32(query), k)
                unit = np.float32(query / np.linalg.norm(query))
                found = lists.search(unit, k, groups, None)
                shares.append(0 if found is None else len({row for row, _ in exact}.intersection(found.tolist())) / k)
            assert np.mean(shares) >= said - 0.05


@pytest.mark.usefixtures("listed")
def test_lists_serve_older_and_newer_frames_and_grow():
    rows = groups_of(30, 50)
    frames = [memory(rows[:count]).publish() for count in (100, 500, 900, 1500)]
    index, norms = FaissIndex(), Norms()
    trained = []
    for frame in frames:
        index.grow(frame, norms)
        lists = index._lists.get(1)
        trained.append(lists and (lists.rows, lists._trained))
        for other in frames:
            assert found_share(index, norms, other, rows[:100:9], 3) >= 0.95
    assert trained == [None, (448, 448), (896, 896), (1472, 896)]
    assert not index.due(frames[0])


@pytest.mark.usefixtures("listed")
def test_ties_in_lists_go_by_birth():
    frame = memory([[1, 1, 0]] * 300 + [[1, 0, 0]] * 20).publish()
    index, norms = ready(frame)
    assert [row for row, _ in index.nearest(frame, norms, np.float32([1, 0, 0]), 3, recall=0.5)] == [300, 301, 302]


@pytest.mark.usefixtures("chunk_wide")
def test_a_graph_makes_its_lists_beside_the_searches(monkeypatch):
    monkeypatch.setattr(faiss_index, "LISTS_ROWS_MIN", CHUNK_ROWS)
    before = set(threading.enumerate())
    for share, has_lists in ((True, True), (0.5, True), (1.0, False)):
        graph = filled(use_faiss=share)
        graph.similarity_search(np.ones(8), k=3)
        for thread in set(threading.enumerate()) - before:
            thread.join()
        assert len(graph.similarity_search(np.ones(8), k=3)) == 3
        assert bool(graph._home.engine._shard._faiss._lists) == has_lists


@pytest.mark.usefixtures("chunk_wide")
def test_build_index_makes_them_before_somebody_asks(monkeypatch):
    monkeypatch.setattr(faiss_index, "LISTS_ROWS_MIN", CHUNK_ROWS)
    memory = AgentMemory(use_faiss=True, auto_associate=False, embedding_dim=8)
    dice = np.random.default_rng(0)
    for _ in range(5):
        memory.remember_many([{"content": "x", "embedding": dice.normal(size=8)} for _ in range(1000)])
    memory.build_index()
    assert memory._engine._shard._faiss._lists[1].rows == CHUNK_ROWS


@pytest.mark.parametrize("share", [-0.1, 1.5, "much"])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(InputError, match="use_faiss"):
        MemoryGraph(use_faiss=share)
