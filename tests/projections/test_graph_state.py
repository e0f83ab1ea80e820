from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog
from memorygraph.projections.adjacency import Adjacency
from memorygraph.projections.frame import edge_id, parse_edge_id
from memorygraph.projections.graph import GraphState
from tests.projections.graph_model import Writer, check_whole, chunks_of, contents

TIME_US = 1_000
randoms = st.randoms(use_true_random=False)


@pytest.fixture(autouse=True, params=[2, 12], scope="module")
def chunk_bits(request):
    with chunks_of(request.param):
        yield request.param


def graph(*records: list[ev.Event]) -> GraphState:
    state = GraphState()
    for position, events in enumerate(records, 1):
        state.apply(position, TIME_US + position, events)
    return state


def added(*names: str, **fields) -> list[ev.Event]:
    return [ev.NodeAdded(id=name, **fields) for name in names]


def linked(source: str, target: str, **columns) -> ev.EdgesAdded:
    return ev.EdgesAdded(sources=[source], targets=[target], **columns)


@given(randoms, st.integers(1, 25))
@settings(max_examples=35)
def test_the_graph_says_what_the_model_says_and_old_frames_stay(random, steps) -> None:
    writer = Writer(random)
    kept = [(writer.state.publish(), writer.model.copy())]
    for _ in range(steps):
        writer.step()
        if random.random() < 0.5:
            kept.append((writer.state.publish(), writer.model.copy()))
    kept.append((writer.state.publish(), writer.model.copy()))
    for frame, expected in kept:
        assert contents(frame) == expected
        check_whole(frame)


def test_a_graph_of_many_chunks_is_whole_to_the_end() -> None:
    writer = Writer(Random(5))
    for _ in range(300):
        writer.step()
        writer.state.publish()
    frame = writer.state.publish()
    assert contents(frame) == writer.model.copy()
    check_whole(frame)


@pytest.mark.parametrize("position", [0, 2, 4, 7, -1])
def test_positions_must_be_dense(position) -> None:
    state = graph(added("a"), added("b"))
    with pytest.raises(DamagedLog) as caught:
        state.apply(position, TIME_US, [])
    assert caught.value.about == {"position": position, "expected": 3}
    state.apply(3, TIME_US, [])
    check_whole(state.publish())


EDGE = linked("a", "b")
BAD = {
    "a node added twice": added("a"),
    "twice in one record": added("c", "c"),
    "once forgotten, twice added": [ev.NodesForgotten(ids=("a",)), *added("a", "a")],
    "revised, never added": [ev.NodeRevised(id="zz", content="x")],
    "revised after forgetting": [ev.NodesForgotten(ids=("a",)), ev.NodeRevised(id="a", content="x")],
    "forgotten twice": [ev.NodesForgotten(ids=("a",)), ev.NodesForgotten(ids=("a",))],
    "reinforced, never added": [ev.NodesReinforced(ids=("zz",), deltas=(0.1,))],
    "a delta short": [ev.NodesReinforced(ids=("a", "b"), deltas=(0.1,))],
    "accessed, never added": [ev.AccessesRecorded(ids=("zz",), times_us=(1,))],
    "an access time short": [ev.AccessesRecorded(ids=("a", "b"), times_us=(1,))],
    "linked, never added": [linked("a", "zz")],
    "an end outside the list": [ev.EdgesAdded(sources=["a"], targets=["c"])],
    "a target short": [ev.EdgesAdded(sources=["a", "b"], targets=["b"])],
    "a weight short": [ev.EdgesAdded(sources=["a", "b"], targets=["b", "a"], weights=[0.5])],
    "a weight over": [ev.EdgesAdded(sources=["a"], targets=["b"], weights=[0.5, 0.5])],
    "an id short": [ev.EdgesAdded(sources=["a", "b"], targets=["b", "a"], ids=["x"])],
    "no such edge": [ev.EdgeRevised(id="2.5", weight=0.5)],
    "an edge removed twice": [ev.EdgesRemoved(ids=("2.0",)), ev.EdgesRemoved(ids=("2.0",))],
    "an edge that went with its node": [ev.NodesForgotten(ids=("a",)), ev.EdgesStrengthened(ids=("2.0",), delta=0.1)],
    "a vector without a space": added("c", vector=bytes(12)),
    "a code too large": added("c", memory_type=300),
    "a code too large, at an old row": [ev.NodesForgotten(ids=("a",)), *added("a", memory_type=300)],
    "a code too large, revised": [ev.NodeRevised(id="a", memory_type=300)],
    "a time too large": added("c", occurred_us=1 << 63),
    "an edge type too large": [linked("a", "b", types=[256])],
}


@pytest.mark.parametrize("events", BAD.values(), ids=BAD.keys())
def test_an_event_that_does_not_fit_names_its_position(events) -> None:
    state = graph(added("a", "b"), [EDGE])
    with pytest.raises(DamagedLog, match="position 3") as caught:
        state.apply(3, TIME_US, events)
    assert caught.value.about["position"] == 3


def test_a_record_time_that_no_column_holds_is_damage() -> None:
    with pytest.raises(DamagedLog, match="position 1"):
        GraphState().apply(1, 1 << 63, [])


def test_a_vector_of_another_dimension_is_damage() -> None:
    state = graph([ev.SpaceDeclared(space=1, name="s", dim=3)])
    with pytest.raises(DamagedLog, match="position 2") as caught:
        state.apply(2, TIME_US, added("a", vector=bytes(8)))
    assert caught.value.about["position"] == 2


def test_forgetting_takes_every_edge_of_the_node_and_no_other() -> None:
    events = [linked("a", "b"), linked("b", "a", undirected=[True]), linked("b", "c"), linked("a", "a")]
    state = graph(added("a", "b", "c"), events, [ev.NodesForgotten(ids=("a",))])
    frame = state.publish()
    assert [frame.edge(row).id for row in range(frame.edges.count) if frame.edge_row(edge_id((2 << 20) + row))] == [
        "2.2"
    ]
    assert frame.live_edges == 1
    check_whole(frame)


def test_what_one_event_names_twice_goes_once() -> None:
    state = graph(added("a", "b"), [EDGE, EDGE], [ev.EdgesRemoved(ids=("2.0", "2.0"))])
    check_whole(state.publish())
    state.apply(4, TIME_US, [ev.NodesForgotten(ids=("a", "a"))])
    frame = state.publish()
    assert (frame.live_nodes, frame.live_edges) == (1, 0)
    check_whole(frame)


def test_an_id_added_again_is_a_new_node_at_its_old_row() -> None:
    first = added("a", content="old", tags=("t",), importance=0.9, access_count=4, access_times_us=(1, 2))
    state = graph([*first, *added("b")], [linked("a", "b")])
    before = state.publish()
    state.apply(3, TIME_US, [ev.NodesForgotten(ids=("a",)), *added("a", content="new")])
    frame = state.publish()
    row = frame.row("a")
    assert row == before.row("a") == 0
    node = frame.node(row)
    assert (node.content, node.tags, node.importance, node.access_count, node.access_times_us) == (
        "new",
        (),
        0.5,
        0,
        (),
    )
    assert (node.birth, node.version) == (3 << 20 | 1, 3)
    assert frame.live_edges == 0
    assert before.node(row).content == "old"
    assert before.live_edges == 1
    for each in (before, frame):
        check_whole(each)


def test_a_revised_speaker_alone_gives_a_new_text_row() -> None:
    state = graph(added("a", content="hello", speaker="Ann"))
    before = state.publish()
    state.apply(2, TIME_US, [ev.NodeRevised(id="a", speaker="Bob")])
    frame = state.publish()
    rows = np.flatnonzero(frame.live_texts()).tolist()
    assert [(frame.texts.value("content", row), frame.texts.value("speaker", row)) for row in rows] == [
        ("hello", "Bob")
    ]
    assert before.texts.count == 1
    check_whole(frame)


def test_revising_other_fields_keeps_the_text_row() -> None:
    state = graph(added("a", content="hello", speaker="Ann"), [ev.NodeRevised(id="a", importance=0.9, tags=("t",))])
    assert state.publish().texts.count == 1


def test_brought_over_access_times_are_cut_to_the_last_128() -> None:
    times = tuple(range(200))
    state = graph(added("a", access_count=200, access_times_us=times))
    assert state.publish().node(0).access_times_us == times[-128:]
    state.apply(2, TIME_US, [ev.AccessesRecorded(ids=("a",), times_us=(900,))])
    node = state.publish().node(0)
    assert node.access_times_us == (*times[-127:], 900)
    assert node.access_count == 201


def test_a_node_brought_over_was_last_accessed_when_it_was_recorded() -> None:
    assert graph(added("a", recorded_us=7)).publish().node(0).accessed_us == 7


def test_a_chosen_edge_id_given_again_is_found_in_every_frame() -> None:
    state = graph(added("a", "b"), [linked("a", "b", ids=["e"], weights=[0.25])])
    first = state.publish()
    state.apply(3, TIME_US, [ev.EdgesRemoved(ids=("e",))])
    between = state.publish()
    state.apply(4, TIME_US, [linked("b", "a", ids=["e"], weights=[0.5])])
    last = state.publish()
    assert first.edge(first.edge_row("e")).weight == 0.25
    assert between.edge_row("e") is None
    assert last.edge(last.edge_row("e")).weight == 0.5
    for frame in (first, between, last):
        check_whole(frame)


def test_an_edge_has_one_name() -> None:
    frame = graph(added("a", "b"), [linked("a", "b", ids=["e"]), linked("a", "b")]).publish()
    assert [frame.edge_row(name) for name in ("e", "2.0", "2.1", "02.1", "2.01", "1.1048577")] == [
        0,
        None,
        1,
        None,
        None,
        None,
    ]


@given(st.integers(0, 2**30), st.integers(0, 2**20 - 1))
def test_edge_ids_round_trip(position, ordinal) -> None:
    birth = position << 20 | ordinal
    assert parse_edge_id(edge_id(birth)) == birth


@pytest.mark.parametrize("text", ["", ".", "1", "1.", ".1", "a.1", "1.b", "1.1.1", "-1.0", "\u0661.0", "9" * 40 + ".0"])
def test_other_texts_are_no_edge_ids(text) -> None:
    assert parse_edge_id(text) is None


def test_a_graph_that_kills_no_edges_with_a_node_is_caught(monkeypatch) -> None:
    monkeypatch.setattr(Adjacency, "incident", lambda *_: np.zeros(0, np.int32))
    state = graph(added("a", "b"), [EDGE], [ev.NodesForgotten(ids=("a",))])
    with pytest.raises(AssertionError):
        check_whole(state.publish())


def test_times_of_records_give_positions() -> None:
    state = GraphState()
    for position, time_us in enumerate((10, 30, 20, 40), 1):  # a clock went back
        state.apply(position, time_us, [])
    frame = state.publish()
    assert [frame.position_at(time_us) for time_us in (0, 9, 10, 29, 30, 39, 40, 99)] == [0, 0, 1, 1, 3, 3, 4, 4]
    state.apply(5, 41, [])
    assert frame.position_at(99) == 4


def test_without_its_order_check_the_graph_would_take_a_record_twice() -> None:
    def unchecked(state: GraphState, position: int) -> None:
        state.position = position - 1  # what the check compares with
        state.apply(position, TIME_US, [ev.AccessesRecorded(ids=("a",), times_us=(5,))])

    state = graph(added("a"))
    for _ in range(2):
        unchecked(state, 2)
    assert state.publish().node(0).access_count == 2  # the mutant: counted twice
    with pytest.raises(DamagedLog):
        state.apply(2, TIME_US, [ev.AccessesRecorded(ids=("a",), times_us=(5,))])
