from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.projections.filters import OPEN, Filters, visible_nodes
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.hit import Hit
from memorygraph.projections.recall import RecallIndex
from tests.projections.graph_model import check_whole, chunks_of

DIM = 2
WORDS = ["cat", "dog", "bird", "fish", "owl"]
contents = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
vectors = st.sampled_from([None, (1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (-1.0, 0.0), (0.0, 0.0)])
speakers = st.sampled_from([None, "Ann"])


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    with chunks_of(2):
        yield


def packed(vector) -> bytes:
    return b"" if vector is None else np.array(vector, dtype="<f4").tobytes()


def memory(nodes: list[dict], *changes: ev.Event) -> Frame:
    """Nodes n0, n1, ... with these fields; then the changes."""
    state = GraphState()
    added = [ev.NodeAdded(id=f"n{at}", **fields) for at, fields in enumerate(nodes)]
    state.apply(1, 1, [ev.SpaceDeclared(space=1, name="s", dim=DIM), *added])
    state.apply(2, 2, changes)
    return state.publish()


def texts(*contents: str) -> list[dict]:
    return [{"content": content} for content in contents]


def ask(frame: Frame, text: str | None = None, vector=None, index: RecallIndex | None = None, **options) -> list[Hit]:
    wanted = None if vector is None else np.array(vector, dtype=np.float32)
    return (index or RecallIndex("en")).recall(frame, text, wanted, **{"k": 5, **options})


def ids(hits: list[Hit]) -> list[str]:
    return [hit.node.id for hit in hits]


@st.composite
def memories(draw) -> Frame:
    nodes = draw(
        st.lists(st.fixed_dictionaries({"content": contents, "vector": vectors, "speaker": speakers}), max_size=9)
    )
    for node in nodes:
        node["vector"] = packed(node["vector"])
    places = list(range(len(nodes)))
    gone = sorted(draw(st.sets(st.sampled_from(places), max_size=3))) if nodes else []
    changes: list[ev.Event] = []
    if nodes and draw(st.booleans()):
        changes.append(ev.NodeRevised(id="n0", content=draw(contents), vector=packed(draw(vectors))))
    if gone:
        changes.append(ev.NodesForgotten(ids=tuple(f"n{at}" for at in gone)))
    return memory(nodes, *changes)


@given(
    memories(),
    st.none() | contents | st.just("ann"),
    st.none() | vectors,
    st.integers(1, 12),
    st.sampled_from([0.0, 0.2, 0.6]),
    st.booleans(),
)
@settings(max_examples=100)
def test_what_every_recall_keeps(frame, text, vector, k, threshold, by_speaker) -> None:
    filters = Filters(speaker="Ann") if by_speaker else OPEN
    index = RecallIndex("en")
    hits = ask(frame, text, vector, index, k=k, threshold=threshold, filters=filters)
    every = ask(frame, text, vector, index, k=100, filters=filters)
    visible = {frame.interner.ids[row] for row in np.flatnonzero(visible_nodes(frame, filters, index.labels))}
    assert set(ids(every)) == visible
    assert len(ids(every)) == len(visible)
    assert hits == [hit for hit in every if hit.score >= threshold][:k]
    assert [(-hit.score, hit.node.birth) for hit in every] == sorted((-hit.score, hit.node.birth) for hit in every)
    for hit in every:
        check_hit(frame, hit, text, vector)
    check_whole(frame)


def check_hit(frame: Frame, hit: Hit, text: str | None, vector) -> None:
    assert hit.node == frame.node(frame.row(hit.node.id), vector=False)
    assert 0.0 <= hit.score <= 1.0
    assert (hit.lexical is None, hit.dense is None) == (text is None, vector is None)
    assert all(part is None or 0.0 < part <= 1.0 for part in (hit.walk, hit.turns, hit.session, hit.speaker))
    assert not hit.path or hit.path[-1] == hit.node.id
    assert all(part is None or 0.0 <= part <= 1.0 for part in (hit.lexical, hit.dense))
    assert bool(hit.terms) == bool(hit.lexical)
    if hit.score == 0:
        assert not hit.lexical
    if text is None and vector is not None:
        assert hit.score == hit.dense


def test_the_words_that_matched_are_told() -> None:
    hit = ask(memory(texts("two cats and a dog")), "Cat or owl or dogs?")[0]
    assert hit.terms == ("Cat", "dogs")
    assert 0 < hit.score == hit.lexical < 1


def test_unmatched_memories_fill_the_rest_by_birth() -> None:
    frame = memory(texts("owl", "dog", "cat", "", "bird"))
    hits = ask(frame, "cat", k=4)
    assert ids(hits) == ["n2", "n0", "n1", "n3"]
    assert [hit.score > 0 for hit in hits] == [True, False, False, False]
    assert ids(ask(frame, "cat", k=4, threshold=1e-6)) == ["n2"]
    assert ids(ask(frame, "the of", k=2)) == ["n0", "n1"]
    assert ask(frame, "cat", k=4, threshold=0.99) == []


def test_a_vector_alone_ranks_by_its_cosine() -> None:
    frame = memory([{"vector": packed(vector)} for vector in ((0, 1), (1, 0), (0.6, 0.8), (-1, 0), None)])
    hits = ask(frame, None, (1, 0), k=9)
    assert ids(hits) == ["n1", "n2", "n0", "n3", "n4"]
    assert [hit.score for hit in hits] == pytest.approx([1.0, 0.6, 0.0, 0.0, 0.0], abs=1e-6)


def test_both_legs_are_fused_by_their_spread() -> None:
    frame = memory(
        [
            {"content": word, "vector": packed(vector)}
            for word, vector in (("cat", (0, 1)), ("dog", (1, 0)), ("owl", (0, 1)))
        ]
    )
    lexical, dense = ask(frame, "cat")[0].lexical, 1.0
    weights = 1 / np.std([lexical, 0, 0]), 1 / np.std([0, dense, 0])
    hits = {hit.node.id: hit for hit in ask(frame, "cat", (1, 0))}
    assert hits["n0"].score == pytest.approx(weights[0] * lexical / sum(weights), abs=1e-5)
    assert hits["n1"].score == pytest.approx(weights[1] * dense / sum(weights), abs=1e-5)
    assert hits["n2"].score == 0


def test_a_leg_without_a_say_leaves_the_other_alone() -> None:
    frame = memory([{"content": "cat", "vector": packed((0.6, 0.8))}, {"content": "dog", "vector": packed((1, 0))}])
    for text in ("owl", "the"):
        assert [hit.score for hit in ask(frame, text, (1, 0))] == pytest.approx([1.0, 0.6], abs=1e-6)
    assert ids(ask(memory(texts("dog", "cat")), "cat", (1, 0))) == ["n1", "n0"]


def test_legs_that_say_the_same_of_all_count_half_each() -> None:
    frame = memory([{"content": "", "vector": packed((0.6, 0.8))}])
    assert ask(frame, "cat", (1, 0))[0].score == pytest.approx(0.3, abs=1e-6)


FIELDS = {
    "content": "cat",
    "memory_type": 1,
    "tags": ("x", "y"),
    "metadata": {"a": 1, "b": None},
    "session": 0,
    "speaker": "Ann",
    "source": "file",
    "occurred_us": 100,
}
PASSING = [
    Filters(memory_type=1),
    Filters(tags=("y",)),
    Filters(tags=("y", "x")),
    Filters(metadata={"a": 1}),
    Filters(metadata={"b": None, "a": 1}),
    Filters(session=0),
    Filters(speaker="Ann"),
    Filters(source="file"),
    Filters(since_us=100),
    Filters(until_us=100),
    Filters(
        memory_type=1, tags=("x",), metadata={"a": 1}, session=0, speaker="Ann", source="file", since_us=1, until_us=101
    ),
]
FAILING = [
    Filters(memory_type=2),
    Filters(tags=("x", "z")),
    Filters(metadata={"a": 2}),
    Filters(metadata={"c": None}),
    Filters(session="0"),
    Filters(speaker="ann"),
    Filters(source="other"),
    Filters(since_us=101),
    Filters(until_us=99),
    Filters(memory_type=1, tags=("z",)),
]


@pytest.mark.parametrize("filters", PASSING)
def test_filters_pass(filters) -> None:
    frame = memory([{"content": "cat"}, FIELDS], ev.NodeRevised(id="n0", occurred_us=50))
    found = ids(ask(frame, "cat", filters=filters))
    assert found[0] == "n1" or (found == ["n0", "n1"] and filters == Filters(until_us=100))
    assert len(found) == (2 if filters == Filters(until_us=100) else 1)


@pytest.mark.parametrize("filters", FAILING)
def test_filters_hide(filters) -> None:
    assert ask(memory([FIELDS]), "cat", filters=filters) == []


def test_what_a_filter_hides_changes_no_score() -> None:
    seen = [{**FIELDS, "content": content} for content in ("cat dog", "dog", "cat cat owl")]
    hidden = [{"content": content, "vector": packed((1, 0))} for content in ("cat", "dog bird cat", "owl")]
    alone = ask(memory(seen), "cat owl", (1, 0))
    among = ask(memory([*seen, *hidden]), "cat owl", (1, 0), filters=Filters(speaker="Ann"))
    assert [(hit.node.id, hit.score, hit.lexical) for hit in among] == [
        (hit.node.id, hit.score, hit.lexical) for hit in alone
    ]


def test_the_speaker_can_be_asked_for() -> None:
    nodes = [{"content": "hello", "speaker": speaker} for speaker in ("Ann", "Bob", None)]
    frame = memory(nodes, ev.NodeRevised(id="n2", speaker="Zoe"))
    assert [ids(ask(frame, name, k=1, threshold=0.01)) for name in ("Bob", "zoe", "nobody")] == [["n1"], ["n2"], []]


def test_a_text_that_starts_with_its_speaker_is_not_given_it_twice() -> None:
    named, plain = ({"content": content, "speaker": "Ann"} for content in ("ann: hello", "hello"))
    one, other = (ask(memory([node]), "ann")[0].score for node in (named, plain))
    assert one == other


def test_revised_and_forgotten_texts_are_not_found() -> None:
    frame = memory(texts("cat", "owl", "cat"), ev.NodeRevised(id="n0", content="dog"), ev.NodesForgotten(ids=("n2",)))
    assert ask(frame, "cat", threshold=0.01) == []
    assert ids(ask(frame, "dog", threshold=0.01)) == ["n0"]


def test_one_index_serves_older_and_newer_frames() -> None:
    state = GraphState()
    state.apply(1, 1, [ev.NodeAdded(id="a", content="cat"), ev.NodeAdded(id="b", content="dog")])
    old = state.publish()
    expected = ask(old, "cat dog")
    state.apply(
        2,
        1,
        [ev.NodeRevised(id="a", content="owl"), ev.NodesForgotten(ids=("b",)), ev.NodeAdded(id="c", content="cat")],
    )
    new = state.publish()
    index = RecallIndex("en")
    assert ids(ask(new, "cat", index=index, threshold=0.01)) == ["c"]
    assert ask(old, "cat dog", index=index) == expected
    assert ids(ask(new, "cat", index=index, threshold=0.01)) == ["c"]
    assert index.size_bytes() > 0


def test_an_empty_memory_answers_nothing() -> None:
    frame = GraphState().publish()
    assert ask(frame, "cat", (1, 0)) == []


def linked(*links: tuple[int, int], contents=("cat", "dog", "owl", "")) -> Frame:
    sources, targets = [f"n{link[0]}" for link in links], [f"n{link[1]}" for link in links]
    return memory(
        [{"content": content, "importance": 1.0} for content in contents],
        ev.EdgesAdded(sources=sources, targets=targets),
    )


def reason(frame: Frame, text: str | None = "cat", vector=None, row: int | None = None, **options) -> list[Hit]:
    wanted = None if vector is None else np.array(vector, dtype=np.float32)
    asked = {"k": 10, "hops": 2, "seed_k": 3, "row": row, **options}
    return RecallIndex("en").reason(frame, text if row is None else None, wanted, **asked)


def test_reasoning_follows_links_and_tells_the_path() -> None:
    frame = linked((0, 1), (2, 1), (2, 3))
    hits = reason(frame)
    assert [hit.path for hit in hits] == [("n0",), ("n0", "n1"), ("n0", "n1", "n2")]
    assert hits[0].terms == ("cat",)
    assert hits[0].score == ask(frame, "cat")[0].score
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.walk > 0.2 for hit in hits[1:])
    assert [hit.path for hit in reason(frame, k=2)] == [hit.path for hit in hits[:2]]
    assert [ids(reason(frame, hops=hops)) for hops in (0, 1)] == [["n0"], ["n0", "n1"]]


def test_a_closer_link_leads_further() -> None:
    state = GraphState()
    nodes = [ev.NodeAdded(id=f"n{at}", content=content) for at, content in enumerate(("cat", "", "", ""))]
    edges = ev.EdgesAdded(sources=["n0", "n0", "n0"], targets=["n1", "n2", "n3"], weights=[0.3, 0.9, 0.0])
    state.apply(1, 1, [*nodes, edges])
    assert ids(reason(state.publish())) == ["n0", "n2", "n1"]


def test_reasoning_from_a_memory_or_a_vector() -> None:
    frame = memory(
        [{"content": "cat", "vector": packed((1, 0))}, {"content": "dog", "vector": packed((0, 1))}, *texts("owl")],
        ev.EdgesAdded(sources=["n0"], targets=["n2"]),
    )
    assert [hit.path for hit in reason(frame, row=0)] == [("n0",), ("n0", "n2")]
    assert reason(frame, row=0)[0].score == 1.0
    assert ids(reason(frame, None, (1, 0.1), seed_k=1)) == ["n0", "n2"]
    assert ids(reason(frame, None, (1, 0.1), seed_k=2)) == ["n0", "n2", "n1"]


def test_only_what_matches_spreads() -> None:
    assert sorted(ids(reason(linked((0, 1), (2, 3)), seed_k=4))) == ["n0", "n1"]
    assert reason(linked((0, 1)), "xylophone") == []
    assert reason(GraphState().publish()) == []


def test_what_recall_finds_stays() -> None:
    many = texts("cat", *("The Owl" for _ in range(9)))
    frame = memory(many, ev.EdgesAdded(sources=["n0"] * 9, targets=[f"n{at}" for at in range(1, 10)]))
    assert "n0" in ids(reason(frame, "cat or The Owl", k=3, seed_k=10))


def test_a_recall_that_keeps_forgotten_texts_is_caught(monkeypatch) -> None:
    frame = memory(texts("cat"), ev.NodesForgotten(ids=("n0",)))
    monkeypatch.setattr(Frame, "live_rows", lambda frame: np.ones(frame.nodes.count, np.bool_))
    assert ids(ask(frame, "cat")) == ["n0"]
    with pytest.raises(AssertionError):
        check_whole(frame)
