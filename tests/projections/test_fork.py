"""A fork of the state says what the state would say after the same events, and nobody else notices."""

from __future__ import annotations

from copy import deepcopy
from random import Random

import numpy as np
import pytest

from memorygraph.events import records as ev
from memorygraph.projections import overlay, tables
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.similarity import nearest
from tests.projections import graph_model
from tests.projections.graph_model import DIM, NAMES, Writer, check_whole, chunks_of, contents


@pytest.fixture(autouse=True, params=[2, 12], scope="module")
def chunk_bits(request):
    with chunks_of(request.param):
        yield request.param


class Trier(Writer):
    """Tries random events out on a fork of another writer's state."""

    def __init__(self, writer: Writer, frame: Frame) -> None:
        self.random = writer.random
        self.model = deepcopy(writer.model)
        self.state = GraphState.fork(frame)
        self.model.begin(7)

    def step(self) -> None:
        for _ in range(self.random.randint(0, 3)):
            event = self._event()
            if event is not None:
                self.model.take(event)
                self.state.try_out(7, [event])


def run(random: Random, steps: int) -> None:
    writer = Writer(random)
    for _ in range(steps):
        writer.step()
    frame = writer.state.publish()
    index = RecallIndex("en")
    index.catch_up(frame)
    before = contents(frame)
    tried = [Trier(writer, frame) for _ in range(2)]
    for _ in range(steps):  # all go on at the same time
        random.choice([writer, *tried]).step()
        if random.random() < 0.3:
            writer.state.adjacency.compact(writer.state.edges.publish())
            check_tried(random.choice(tried), index, frame)
    for trier in tried:
        check_tried(trier, index, frame)
    assert contents(frame) == before
    check_whole(frame)
    now = writer.state.publish()
    assert contents(now) == writer.model.copy()
    check_whole(now)


def check_tried(trier: Trier, index: RecallIndex, base: Frame) -> None:
    frame = trier.state.publish()
    assert contents(frame) == trier.model.copy()
    alive = np.flatnonzero(frame.live_rows()).tolist()
    graph_model._check_edges(frame, alive, graph_model.live_edges(frame))
    graph_model._check_owned(frame, "text_row", frame.texts, frame.live_texts(), alive)
    assert frame.has_all(trier.model.nodes)
    assert [frame.row(name) is not None for name in NAMES] == [name in trier.model.nodes for name in NAMES]
    alone = GraphState()  # the same, built from its first event
    nodes = sorted(trier.model.nodes.values(), key=lambda node: node.birth)
    space = ev.SpaceDeclared(space=1, name="external", dim=DIM)
    born = [
        ev.NodeAdded(id=node.id, content=node.content, speaker=node.speaker, session=node.session, vector=node.vector)
        for node in nodes
    ]
    alone.apply(1, 1, [space, *born])
    whole = alone.publish()
    fork, fresh = index.fork(base), RecallIndex("en")
    for text in ("cat", "two dogs of Ann"):
        hits = [
            [(hit.node.id, hit.score) for hit in one.recall(at, text, None, k=10)]
            for one, at in ((fork, frame), (fresh, whole))
        ]
        assert hits[0] == hits[1]
    query = np.array([1.0, 2.0, 3.0], dtype="<f4")
    near = [
        [(at.interner.ids[row], round(cosine, 6)) for row, cosine in nearest(at, one.norms, query, 10)]
        for one, at in ((fork, frame), (fresh, whole))
    ]
    assert near[0] == near[1]


def run_all(count: int) -> None:
    for seed in range(count):
        run(Random(seed), seed % 20)


def test_a_fork_and_the_state_know_nothing_of_each_other() -> None:
    run_all(60)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(tables.Table, "_own_tail"), (overlay.OverlayAdjacency, "_indexed"), (overlay._OverlayRows, "__missing__")],
)
def test_a_fork_that_sees_too_much_is_caught(monkeypatch, owner, name) -> None:
    mutants = {
        "_own_tail": lambda table: setattr(table, "_borrowed", False),
        "_indexed": lambda self, edges: (built := self._frame.adjacency._built, min(built.rows, edges.count)),
        "__missing__": lambda self, key: self._shared[key],
    }
    monkeypatch.setattr(owner, name, mutants[name])
    with pytest.raises(Exception):  # noqa: B017, PT011 - it shows as a wrong answer or as an error, at random
        run_all(40)


def test_a_fork_cannot_be_forked_by_the_index() -> None:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id="a", content="cat")])
    frame = state.publish()
    index = RecallIndex("en")
    with pytest.raises(ValueError, match="fork"):
        index.fork(frame).fork(frame)
