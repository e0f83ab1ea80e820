"""Changing the embedder: the swap, what happens meanwhile, interruptions, links, the past."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph import AgentMemory, CallableEmbedder, EdgeType
from memorygraph.actors import spaces, touches
from memorygraph.actors.commands import Describe, MissingVectors
from memorygraph.core.types import EmbedderFailed, EmbedderMismatch, InputError, StoreError, StoreReadOnly
from memorygraph.embeddings import cosine
from memorygraph.projections.pending import PendingSpace
from tests.memory.helpers import meaning, meaningful_embedder, vector_of

TEXTS = ["a puppy", "a boat", "a loaf of bread", "a canoe", "a hound", "a pastry"]


def other_embedder(dim=6, name="other"):
    return CallableEmbedder(lambda text: vector_of(f"{name} {text}", dim), dim, name=name)


class Meddling:
    """An embedder that does something before each batch."""

    dim, name, version = 6, "other", ""

    def __init__(self, *deeds):
        self.deeds = list(deeds)
        self.texts = []

    def __call__(self, text):
        return np.array(vector_of(f"other {text}", 6), dtype=np.float32)

    def embed_batch(self, texts):
        self.texts += texts
        if self.deeds:
            self.deeds.pop(0)()
        return np.stack([self(text) for text in texts])


@pytest.fixture
def memory(store):
    with AgentMemory(store, embedder=meaningful_embedder(), associate_threshold=0.5) as memory:
        memory.remember_many([{"content": text, "node_id": f"m{place}"} for place, text in enumerate(TEXTS)])
        yield memory


def check_vectors(memory, embedder):
    """Every memory with a text has the vector that the embedder makes of it now."""
    assert memory.stats().embedding_dim == embedder.dim
    for node in memory.find():
        wanted = np.array(embedder(node.content), dtype=np.float32)
        assert node.embedding is not None, node
        assert np.allclose(node.embedding, wanted), node


def check_links(memory, k=5, threshold=0.5):
    """The undirected links SIMILARITY are those to the most similar older memories."""
    nodes = memory.find()
    expected = {}
    for place, node in enumerate(nodes):
        found = [(older.id, cosine(node.embedding, older.embedding)) for older in nodes[:place]]
        best = sorted((pair for pair in found if pair[1] >= threshold), key=lambda pair: -pair[1])[:k]
        expected |= {(node.id, older): weight for older, weight in best}
    links = [edge for node in nodes for edge in memory.edges(node.id) if edge.source_id == node.id]
    made = {
        (edge.source_id, edge.target_id): edge.weight
        for edge in links
        if edge.edge_type is EdgeType.SIMILARITY and not edge.directed
    }
    assert made == pytest.approx(expected, abs=1e-5)


def test_all_change_at_once_and_the_past_keeps_its_vectors(memory):
    old, new = memory.embedder, other_embedder()
    before = memory.position
    twin = memory.acting_as("Ann")
    vectors = {node.id: node.embedding.tolist() for node in memory.find()}
    steps = []
    assert memory.reembed(new, batch=2, progress=lambda *step: steps.append(step)) == len(TEXTS)
    check_vectors(memory, new)
    check_links(memory)
    assert memory.embedder is twin.embedder is new
    assert steps == [("vectors", done, 6) for done in (2, 4, 6)] + [("links", 6, 6)]
    assert memory.recall("a boat", k=1)[0].why.dense == pytest.approx(1, abs=1e-5)
    assert twin.remember("a ship").embedding.shape == (6,)
    past = memory.at(before)
    assert past.embedder is old
    assert {node.id: node.embedding.tolist() for node in past.find()} == vectors
    assert past.recall("hound", k=2)[0].why.dense == pytest.approx(1, abs=0.01)
    assert memory.digest() == memory.replay()
    assert [change.kind for change in memory.history("m1")][:2] == ["added", "linked"]
    assert "embedded" in [change.kind for change in memory.history("m1")]
    assert "space_activated" in [change.kind for change in memory.log()]
    assert all(isinstance(change.to_dict(), dict) for change in memory.log())
    assert memory.reembed(new) == 0


def test_the_store_opens_with_the_new_embedder_alone(memory, store):
    memory.reembed(other_embedder())
    memory.close()
    for wrong in (meaningful_embedder(), other_embedder(name="third")):
        with pytest.raises(EmbedderMismatch, match="reembed"):
            AgentMemory(store, embedder=wrong)
    with AgentMemory(store, embedder=other_embedder()) as again:
        check_vectors(again, other_embedder())
        check_links(again)


def test_what_happens_meanwhile_is_caught_up(memory):
    def remember():
        assert memory.recall("hound", k=1)[0].why.dense == pytest.approx(1, abs=0.01)  # by the old vectors
        assert memory.remember("a hamster", node_id="late").embedding.shape == (4,)

    def change():
        memory.revise("m0", content="a kitten")
        memory.forget(ids=["m1"])
        memory.remember("a sloop", node_id="m1")

    def revise_plainly():
        memory.revise("m2", importance=0.9)

    new = Meddling(remember, change, revise_plainly)
    memory.reembed(new, batch=3)
    assert not new.deeds
    check_vectors(memory, new)
    check_links(memory)
    assert memory.digest() == memory.replay()


def test_a_memory_that_comes_just_before_the_swap_has_its_vector(memory, monkeypatch):
    activate = memory._home.execute
    came = []

    def execute(*operations, **options):
        if type(operations[0]).__name__ == "ActivateSpace" and len(came) < 3:
            came.append(memory.remember(f"a late one, {len(came)}").id)
        return activate(*operations, **options)

    monkeypatch.setattr(memory._home, "execute", execute)
    memory.reembed(other_embedder())
    assert len(came) == 3
    check_vectors(memory, other_embedder())


def test_another_process_goes_on_and_is_told(memory, store):
    with AgentMemory(store, embedder=meaningful_embedder()) as other:

        def look():
            assert other.recall("hound", k=1)[0].why.dense == pytest.approx(1, abs=0.01)
            other.remember("a ferry", node_id="ferry")

        new = Meddling(look)
        memory.reembed(new)
        check_vectors(memory, new)
        for ask in (other.recall, other.reason, other.remember):
            with pytest.raises(EmbedderMismatch, match="other"):
                ask("a boat")
        assert other.recall(vector_of("other a boat", 6), k=1)[0].node_id == "m1"
        other.reembed(other_embedder())  # nothing is left to do, and it knows the embedder now
        assert other.recall("a boat", k=1)[0].node_id == "m1"


def test_an_embedder_that_fails_leaves_what_it_made(memory, store):
    def fail():
        raise EmbedderFailed("no network")

    new = Meddling(lambda: None, fail)
    with pytest.raises(EmbedderFailed):
        memory.reembed(new, batch=2)
    assert memory.embedder.name == "meaning"
    assert memory.recall("hound", k=1)[0].why.dense == pytest.approx(1, abs=0.01)
    memory.close()
    with AgentMemory(store, embedder=meaningful_embedder()) as again:
        new = Meddling()
        assert again.reembed(new, batch=2) == len(new.texts) == len(TEXTS) - 2
        check_vectors(again, new)


def test_a_third_embedder_takes_the_place_of_one_that_was_given_up(memory):
    def fail():
        raise EmbedderFailed("no network")

    with pytest.raises(EmbedderFailed):
        memory.reembed(Meddling(lambda: None, fail), batch=2)
    third = other_embedder(dim=5, name="third")
    memory.reembed(third)
    check_vectors(memory, third)
    memory.reembed(meaningful_embedder())
    check_vectors(memory, meaningful_embedder())
    assert memory.digest() == memory.replay()
    assert [space.space for space in memory._engine._shard.frame.spaces] == [1, 3, 4]


def test_memories_without_vectors_get_them(store):
    with AgentMemory(store, auto_associate=False) as memory:
        memory.graph.add_node(_node("", "bare"))
        memory.reembed(meaningful_embedder())  # before there is anything
        memory.remember("a puppy", node_id="puppy")
        memory.graph.add_node(_node("", "hand", [1, 2, 3, 4]))
        memory.graph.add_node(_node("a boat", "boat"))
        memory.reembed(meaningful_embedder())
        assert np.allclose(memory.get("boat").embedding, meaning("a boat"))
        memory.reembed(other_embedder())
        assert memory.get("hand").embedding is None
        assert memory.get("puppy").embedding.shape == (6,)
        assert memory.stats().num_edges == 0


def _node(content, name, embedding=None):
    from memorygraph import MemoryNode

    return MemoryNode(content, node_id=name, embedding=embedding)


def test_links_that_people_made_stay(memory):
    directed = memory.link("m0", "m3", EdgeType.SIMILARITY, 0.77)
    other = memory.link("m0", "m4", EdgeType.CAUSAL, 0.5)
    memory.reembed(other_embedder())
    kept = {edge.id for edge in memory.edges("m0")}
    assert {directed.id, other.id} <= kept
    check_links(memory)


def test_what_cannot_be_is_refused(memory):
    position = memory.position
    for wrong in (None, 7, lambda text: text):
        with pytest.raises(InputError):
            memory.reembed(wrong)
    with pytest.raises(InputError, match="batch"):
        memory.reembed(other_embedder(), batch=0)
    assert memory.position == position
    with pytest.raises(StoreReadOnly):
        memory.at(position).reembed(other_embedder())


def test_snapshots_wait_for_the_space_and_then_hold_it(memory, store):
    def snapshot():
        with pytest.raises(StoreError, match="reembed"):
            memory._engine.snapshot()

    memory.reembed(Meddling(lambda: None, snapshot), batch=3)
    assert memory._engine.snapshot().position == memory.position
    memory.remember("a ferry")
    digest = memory.digest()
    memory.close()
    with AgentMemory(store, embedder=other_embedder()) as again:
        assert again.digest() == digest == again.replay()
        check_vectors(again, other_embedder())
        for text in TEXTS:
            assert again.recall(text, k=1)[0].why.dense == pytest.approx(1, abs=1e-5)


WORKER = """
import sys, time
from memorygraph import AgentMemory
from tests.memory.helpers import meaningful_embedder
from tests.memory.test_reembed import Meddling

def wait():
    print("batch", flush=True)
    time.sleep(60 if sys.argv[2] == "{0}" else 0)

with AgentMemory(sys.argv[1], embedder=meaningful_embedder()) as memory:
    new = Meddling(*[wait] * 100)
    print("open", flush=True)
    memory.reembed(new, batch=2, progress=lambda stage, done, total: print(stage, done, flush=True))
"""


@pytest.mark.parametrize("after", ["open", "vectors 2", "vectors 4", "vectors 6", "links 6"])
def test_killed_in_the_middle_it_goes_on(memory, store, after):
    memory.close()
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WORKER, str(store), after]
    worker = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    for line in worker.stdout:
        if line.strip() == after:
            break
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    done = 0 if after == "open" else int(after.split()[1])
    try:
        memory = AgentMemory(store, embedder=meaningful_embedder())
    except EmbedderMismatch:  # it was killed after the swap
        memory = AgentMemory(store, embedder=other_embedder())
    with memory:
        assert len(memory) == len(TEXTS)
        again = Meddling()
        memory.reembed(again, batch=2)
        assert len(again.texts) <= len(TEXTS) - min(done, len(TEXTS))
        check_vectors(memory, again)
        check_links(memory)
        assert memory.digest() == memory.replay()


deeds = st.lists(
    st.tuples(st.sampled_from(["remember", "revise", "weigh", "forget", "again"]), st.integers(0, 9)), max_size=6
)


@given(st.lists(deeds, min_size=1, max_size=5), st.integers(1, 3))
@settings(max_examples=40)
def test_whatever_happens_between_batches_nothing_is_missed(rounds, batch):
    memory = AgentMemory(embedder=meaningful_embedder(), associate_threshold=0.5)
    memory.remember_many([{"content": text, "node_id": f"m{place}"} for place, text in enumerate(TEXTS)])

    def do(several):
        for deed, number in several:
            name = f"m{number}"
            if deed in ("remember", "again") and name not in memory:
                memory.remember(f"a {deed} {number}", node_id=name)
            elif name not in memory:
                continue
            elif deed == "revise":
                memory.revise(name, content=f"a revised {number} at {memory.position}")
            elif deed == "weigh":
                memory.revise(name, importance=0.1)
            elif deed == "forget":
                memory.forget(ids=[name])

    new = Meddling(*[lambda several=several: do(several) for several in rounds])
    memory.reembed(new, batch=batch)
    check_vectors(memory, new)
    assert memory.digest() == memory.replay()


MUTANTS = {
    "a revised text keeps its pending vector": (PendingSpace, "drop", lambda *_: None),
    "who comes last is not seen": (spaces, "VECTORS", "\0nothing"),
    "nobody is missed": (spaces, "missing_vectors", lambda *_: []),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_swap_that_misses_something_is_caught(name, memory, monkeypatch):
    where, what, broken = MUTANTS[name]
    monkeypatch.setattr(where, what, broken)
    assert touches.VECTORS != "\0nothing"
    late = []

    def change():
        memory.revise("m0", content="a kitten")

    execute = memory._engine._propose

    def propose(frame, command):
        ticket = execute(frame, command)
        if type(command.operations[0]).__name__ == "ActivateSpace" and not late:
            late.append("late")
            memory.remember("a late one")  # after the decision, before the commit
        return ticket

    monkeypatch.setattr(memory._engine, "_propose", propose)
    memory.reembed(Meddling(lambda: None, lambda: None, change), batch=2)
    with pytest.raises(AssertionError):
        check_vectors(memory, Meddling())


def test_the_same_without_a_mutant(memory, monkeypatch):
    monkeypatch.setitem(MUTANTS, "none", (spaces, "VECTORS", spaces.VECTORS))
    with pytest.raises(pytest.fail.Exception):
        test_a_swap_that_misses_something_is_caught("none", memory, monkeypatch)


def test_progress_can_be_asked_for(memory):
    with pytest.raises(EmbedderFailed):
        memory.reembed(Meddling(lambda: None, lambda: (_ for _ in ()).throw(EmbedderFailed("x"))), batch=2)
    pending = memory._engine.ask(Describe()).value.pending
    assert (pending.name, pending.space) == ("other", 2)
    assert memory._engine.ask(MissingVectors(space=2, limit=1)).value.count == 4


def test_words_answer_of_a_past_whose_embedder_is_not_at_hand(memory, store):
    before = memory.position
    memory.reembed(other_embedder())
    memory.close()
    with AgentMemory(store, embedder=other_embedder()) as again:
        for found in (again.recall("canoe", 1, as_of=before), again.at(before).reason("canoe", k=1)):
            assert [(hit.node_id, hit.why.dense) for hit in found] == [("m3", None)]
        assert "m3" in again.context("canoe", as_of=before).ids
        assert again.at(before).embedder is None
        assert again.recall("canoe", 1)[0].why.dense is not None
