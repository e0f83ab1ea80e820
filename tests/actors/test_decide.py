from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.actors import commands as cmd
from memorygraph.actors import decide
from memorygraph.actors.decide import Proposal, Proposer, propose
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.touches import touched_by
from memorygraph.events import records as ev
from memorygraph.events.errors import BatchTooLarge, ConflictError, DamagedLog, EdgeNotFoundError, InputError
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.similarity import Norms
from tests.actors.engine_contract import (
    Counted,
    Ticks,
    adding,
    check_whole,
    command,
    linking,
    losing,
    reviewing,
    revising,
    vector,
)
from tests.projections import graph_model

NODES = st.sampled_from(["a", "b", "c", "d"])
EDGES = st.sampled_from(["e", "f", "3.0", "3.1", "4.0", "4.1", "5.0", "03.0"])
node_lists = st.lists(NODES, max_size=3)
edge_lists = st.lists(EDGES, max_size=2)
VECTORS = st.sampled_from([b"", b"", vector(1, 0), vector(0.6, 0.8), vector(0, 0), vector(1, 2, 3)])


@st.composite
def edge_columns(draw) -> cmd.AddEdges:
    pairs = draw(st.lists(st.tuples(NODES, NODES, st.sampled_from(["", "", "e", "f"])), max_size=3))
    ids = [name for _, _, name in pairs]
    sources, targets = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return cmd.AddEdges(edges=ev.EdgesAdded(sources=sources, targets=targets, ids=ids if any(ids) else []))


added = st.builds(ev.NodeAdded, id=NODES | st.just(""), vector=VECTORS, content=st.sampled_from(["", "x"]))
revised = st.builds(ev.NodeRevised, id=NODES, vector=VECTORS, importance=st.just(0.75))
operations = st.one_of(
    st.builds(
        cmd.AddNodes,
        nodes=st.lists(added, max_size=3),
        associate=st.sampled_from([None, cmd.Associate(k=2, threshold=0.1)]),
    ),
    st.builds(cmd.ReviseNodes, changes=st.lists(revised, max_size=2)),
    st.builds(cmd.ForgetNodes, ids=node_lists),
    st.builds(cmd.ForgetFaded, retention_threshold=st.sampled_from([0.0, 2.0])),
    st.builds(cmd.ReinforceNodes, ids=node_lists, delta=st.just(0.5)),
    node_lists.map(lambda ids: cmd.RecordAccesses(ids=ids, times_us=[5] * len(ids))),
    edge_columns(),
    edge_columns(),
    EDGES.map(lambda name: cmd.ReviseEdge(change=ev.EdgeRevised(id=name, weight=0.5))),
    st.builds(cmd.StrengthenEdges, ids=edge_lists, delta=st.just(0.5)),
    st.builds(cmd.RemoveEdges, ids=edge_lists),
    st.builds(lambda ids, begin: reviewing(*ids, begin=begin), node_lists, st.booleans()),
    node_lists.map(lambda ids: losing(*ids)),
    st.builds(cmd.EndReviews, ids=node_lists),
)
commands = st.lists(st.lists(operations, min_size=1, max_size=4), min_size=1, max_size=12)


def run(commands) -> None:
    """Whatever is asked is refused by name or done, and the log can be read again."""
    engine = LocalEngine(MemoryLog(bytes(16)), clock=Ticks(), ids=Counted())
    engine.execute(command(adding("a", "b", "c")))
    for operations in commands:
        with suppress(InputError, ConflictError):
            engine.execute(command(*operations))
    check_whole(engine)
    graph_model.check_whole(engine._shard.frame)
    engine.close()


@given(commands)
@settings(max_examples=100)
def test_no_command_makes_a_log_that_cannot_be_read(commands) -> None:
    run(commands)


@pytest.mark.parametrize(
    "operations",
    [
        [cmd.RemoveEdges(ids=["3.0"]), cmd.RemoveEdges(ids=["3.0"])],
        [cmd.ForgetNodes(ids=["a"]), cmd.StrengthenEdges(ids=["3.0"], delta=0.5)],
        [cmd.ForgetNodes(ids=["a"]), cmd.RecordAccesses(ids=["a"], times_us=[1])],
        [adding("d"), adding("d")],
        [linking("a", "b", ids=["f"]), linking("a", "b", ids=["f"])],
    ],
)
def test_a_decision_that_forgets_what_the_command_did_before_is_caught(monkeypatch, operations) -> None:
    first = [linking("a", "b")]
    run([first, operations])
    monkeypatch.setattr(decide.Proposer, "frame", lambda self: self._base)  # each is decided as if it were the first
    with pytest.raises((DamagedLog, AssertionError)):
        run([first, operations])


def test_an_edge_that_the_command_adds_has_no_id_yet(monkeypatch) -> None:
    """Its position is not known when it is decided: another command may come between."""
    asked = [linking("a", "b"), cmd.ReviseEdge(change=ev.EdgeRevised(id="2.0", weight=0.5))]
    with pytest.raises(EdgeNotFoundError):
        decided(memory(), *asked)
    monkeypatch.setattr(decide.Proposer, "_edge_row", lambda self, name: self._frame.edge_row(name))
    assert len(decided(memory(), *asked).events) == 2  # the mutant: it revises an edge of somebody else's


def decided(state: GraphState, *operations: cmd.Operation, now_us: int = 0) -> Proposal:
    return propose(state.publish(), Norms(), command(*operations), now_us, Counted())


def memory() -> GraphState:
    """Nodes a, b, c and d, the edge e from a to b, and the edge 1.1 from c to d."""
    state = GraphState()
    link = ev.EdgesAdded(sources=["a", "c"], targets=["b", "d"], ids=["e", ""])
    state.apply(1, 1, [*(ev.NodeAdded(id=name) for name in "abcd"), link])
    return state


READS = [
    (adding("x"), {"x"}),
    (adding("x", vector=vector(1, 0)), {"x", "\0space"}),
    (revising("a"), {"a"}),
    (cmd.ForgetNodes(ids=["a", "b"]), {"a", "b"}),
    (cmd.ForgetFaded(retention_threshold=0.0), set()),
    (cmd.ForgetFaded(retention_threshold=1.1), {"a", "b", "c", "d"}),
    (cmd.ReinforceNodes(ids=["a"], delta=0.1), {"a"}),
    (cmd.RecordAccesses(ids=["a", "x"], times_us=[1, 1]), {"a"}),
    (linking("a", "c", ids=["new"]), {"a", "c", "new"}),
    (cmd.ReviseEdge(change=ev.EdgeRevised(id="e")), {"a", "b", "e"}),
    (cmd.StrengthenEdges(ids=["1.1"], delta=0.1), {"c", "d", "1.1"}),
    (cmd.RemoveEdges(ids=["e", "1.1"]), {"a", "b", "e", "c", "d", "1.1"}),
    (reviewing("a", "b"), {"a", "b", "\0review a", "\0review b"}),
    (cmd.EndReviews(ids=["a"]), {"a", "\0review a"}),
    (losing("a", "x"), {"a"}),
]


@pytest.mark.parametrize(("operation", "reads"), READS)
def test_what_a_decision_rests_on(operation, reads) -> None:
    proposal = decided(memory(), operation)
    assert (proposal.position, set(proposal.reads)) == (1, reads)


@pytest.mark.parametrize(
    ("operation", "touched"),
    [
        (adding("x", vector=vector(1, 0)), ["\0space", "x", "\0vectors"]),
        (revising("a"), ["\0version a", "\0vectors"]),
        (cmd.ForgetNodes(ids=["a", "b"]), ["a", "b"]),
        (cmd.ReinforceNodes(ids=["a"], delta=0.1), []),
        (cmd.RecordAccesses(ids=["a"], times_us=[1]), ["\0accesses"]),
        (cmd.FoldAccesses(ids=["a", "gone"]), ["\0accesses"]),
        (linking("a", "c", ids=["new"]), ["new"]),
        (linking("a", "c"), []),
        (cmd.ReviseEdge(change=ev.EdgeRevised(id="e")), ["\0version e"]),
        (cmd.StrengthenEdges(ids=["1.1"], delta=0.1), ["\0version 1.1"]),
        (cmd.RemoveEdges(ids=["e"]), ["e"]),
        (reviewing("a", "b"), ["\0review a", "\0review b", "\0accesses"]),
        (reviewing("a", begin=True), ["\0review a"]),
        (losing("a", "x"), []),
    ],
)
def test_what_events_touch(operation, touched) -> None:
    assert touched_by(decided(memory(), operation).events) == touched


@given(commands, st.lists(operations, max_size=3), st.lists(operations, max_size=3))
@settings(max_examples=100)
def test_proposals_that_do_not_touch_each_other_can_be_applied_one_after_the_other(commands, one, other) -> None:
    """What the ledger relies on: if nothing that B read was touched by A, then B, decided before A, fits after A."""
    state = memory()
    for operations in commands[:3]:
        with suppress(InputError):
            state.apply(state.position + 1, 1, decided(state, *operations).events)
    try:
        first, second = decided(state, *one), decided(state, *other)
    except InputError:
        return
    if not set(touched_by(first.events)) & set(second.reads):
        state.apply(state.position + 1, 1, first.events)
        state.apply(state.position + 1, 1, second.events)
        graph_model.check_whole(state.publish())


@given(commands)
@settings(max_examples=50)
def test_decisions_that_build_on_each_other_see_what_a_record_each_would_show(commands) -> None:
    """All in one proposal, command by command, against one record per command: the same state, the same refusals."""
    state, one = memory(), memory()
    proposer = Proposer(state.publish(), Norms(), Counted(), names_edges=True)
    apart = Counted()
    for operations in commands:
        refused = []
        for take in (lambda sent: proposer.take(sent, 1), lambda sent: apply_decided(one, sent, apart)):
            try:
                take(operations)
                refused.append(None)
            except InputError as error:
                refused.append(type(error))
        assert refused[0] == refused[1]
        assert plain(proposer.frame()) == plain(one.publish())
    state.apply(2, 1, proposer.proposal().events)
    assert plain(state.publish()) == plain(one.publish())
    graph_model.check_whole(state.publish())


def apply_decided(state: GraphState, operations: list[cmd.Operation], ids: Counted) -> None:
    proposer = Proposer(state.publish(), Norms(), ids, names_edges=True)
    proposer.take(operations, 1)
    state.apply(state.position + 1, 1, proposer.proposal().events)


def plain(frame: Frame) -> Any:
    """What a Frame says, without the positions at which it came about."""
    nodes, *rest = graph_model.contents(frame)
    return [msgspec.structs.replace(node, birth=0, version=0) for node in nodes.values()], rest


def test_deciding_is_pure() -> None:
    state = memory()
    frame = state.publish()
    before = graph_model.contents(frame)
    asked = command(adding("", vector=vector(1, 0)), cmd.ForgetFaded(retention_threshold=1.1))
    results = [propose(frame, Norms(), asked, 7, Counted()) for _ in range(2)]
    assert results[0] == results[1]
    assert graph_model.contents(state.publish()) == before


def test_more_edges_than_a_record_can_number_are_refused() -> None:
    many = 1 << 20
    with pytest.raises(BatchTooLarge):
        decided(memory(), cmd.AddEdges(edges=ev.EdgesAdded(sources=["a"] * many, targets=["b"] * many)))


def test_links_by_similarity_agree_with_a_scan() -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(size=(30, 2)).astype("<f4")
    nodes = [ev.NodeAdded(id=f"n{at:02}", vector=row.tobytes()) for at, row in enumerate(vectors)]
    state = GraphState()
    state.apply(1, 1, decided(state, cmd.AddNodes(nodes=nodes[:20])).events)
    policy = cmd.Associate(k=4, threshold=0.3)
    events = decided(state, cmd.AddNodes(nodes=nodes[20:], associate=policy)).events
    links = events[-1]
    found = {(source, target) for source, target in zip(links.sources, links.targets, strict=True)}
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = set()
    for at in range(20, 30):
        near = sorted(range(at), key=lambda other, at=at: -float(units[other] @ units[at]))[:4]
        expected |= {(f"n{at:02}", f"n{other:02}") for other in near if units[other] @ units[at] >= 0.3}
    assert found == expected
