"""``memory.query()`` against the same conditions in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph import AgentMemory, MemoryNode, MemoryType
from memorygraph.events.errors import InputError
from memorygraph.query import MemoryQuery

BOUNDS = st.sampled_from([-0.5, 0.0, 0.25, 0.3, 0.5, 0.9, 1.0])
TYPES = [MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.WORKING]
STATES = ["labile", "consolidated", "long_term"]
VALUES = [None, 1, "one two", ["one", 2], {"two": 1}, True]


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


class Condition(NamedTuple):
    """One link of the chain, and what it means."""

    ask: Callable[[MemoryQuery], MemoryQuery]
    means: Callable[[MemoryNode], bool]


def limits(name: str, value: Callable[[MemoryNode], float]) -> st.SearchStrategy[Condition]:
    def made(given: dict[str, float]) -> Condition:
        def means(node: MemoryNode) -> bool:
            number = value(node)
            tests = {"gt": number.__gt__, "gte": number.__ge__, "lt": number.__lt__, "lte": number.__le__}
            return all(tests[name](bound) for name, bound in given.items())

        return Condition(lambda query: getattr(query, name)(**given), means)

    return st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), BOUNDS, min_size=1, max_size=2).map(made)


def tags(mode: str, wanted: list[str]) -> Condition:
    join = all if mode == "all" else any
    return Condition(lambda query: query.tag(*wanted, mode=mode), lambda node: join(tag in node.tags for tag in wanted))


def contains(value: Any, part: Any) -> bool:
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    return isinstance(value, list | dict) and part in value


CONDITIONS = st.one_of(
    limits("importance", lambda node: node.importance),
    limits("valence", lambda node: node.emotional_valence),
    limits("confidence", lambda node: node.confidence),
    limits("access_count", lambda node: float(node.access_count)),
    st.lists(st.sampled_from(TYPES), min_size=1).map(
        lambda types: Condition(lambda query: query.type(*types), lambda node: node.memory_type in types)
    ),
    st.lists(st.sampled_from(STATES), min_size=1).map(
        lambda states: Condition(
            lambda query: query.consolidation(*states), lambda node: node.consolidation_state.value in states
        )
    ),
    st.builds(tags, st.sampled_from(["all", "any"]), st.lists(st.sampled_from("xyz"), min_size=1, max_size=2)),
    st.sampled_from(VALUES).map(
        lambda value: Condition(
            lambda query: query.metadata("k", value),
            lambda node: "k" in node.metadata and same(node.metadata["k"], value),
        )
    ),
    st.sampled_from(["one", "two", 2]).map(
        lambda part: Condition(
            lambda query: query.metadata("k", contains=part), lambda node: contains(node.metadata.get("k"), part)
        )
    ),
    st.booleans().map(
        lambda there: Condition(
            lambda query: query.metadata("k", exists=there), lambda node: ("k" in node.metadata) == there
        )
    ),
    st.booleans().map(
        lambda exact: Condition(
            lambda query: query.content_contains("Harbour", case_sensitive=exact),
            lambda node: ("Harbour" in node.content) if exact else ("harbour" in node.content.lower()),
        )
    ),
    st.integers(0, 20).map(
        lambda day: Condition(
            lambda query: query.occurred_after(day * 86_400.0), lambda node: node.occurred_at >= day * 86_400
        )
    ),
    st.integers(0, 20).map(
        lambda day: Condition(
            lambda query: query.occurred_before(day * 86_400.0), lambda node: node.occurred_at < day * 86_400
        )
    ),
    st.just(Condition(lambda query: query.speaker("Ann"), lambda node: node.speaker == "Ann")),
    st.just(Condition(lambda query: query.session(1), lambda node: node.session == 1)),
    st.just(Condition(lambda query: query.where(lambda node: len(node.id) > 2), lambda node: len(node.id) > 2)),
)
KEYS: dict[str, Callable[[MemoryNode], float]] = {
    "importance": lambda node: node.importance,
    "valence": lambda node: node.emotional_valence,
    "confidence": lambda node: node.confidence,
    "access_count": lambda node: node.access_count,
    "occurred": lambda node: node.occurred_at,
}


@pytest.fixture(scope="module")
def memory() -> AgentMemory:
    rng = np.random.default_rng(7)
    memory = AgentMemory(auto_associate=False, embedding_dim=16)
    for at in range(120):
        node = memory.remember(
            ["rain", "the Harbour", "harbour lights"][at % 3],
            importance=float(rng.choice([0.0, 0.25, 0.3, 0.9])),
            emotional_valence=float(rng.choice([-0.5, 0.0, 0.3])),
            confidence=float(rng.choice([0.5, 0.9])),
            memory_type=TYPES[rng.integers(3)],
            tags=[tag for tag in "xyz" if rng.random() < 0.4],
            metadata={} if rng.random() < 0.2 else {"k": VALUES[rng.integers(len(VALUES))]},
            occurred_at=float(rng.integers(20)) * 86_400,
            speaker=[None, "Ann"][rng.integers(2)],
            session=[None, 1, "1"][rng.integers(3)],
            node_id=f"n{at}",
        )
        if at % 4 == 0:
            memory.revise(node.id, consolidation_state=STATES[rng.integers(3)])
        if at % 10 == 0:
            memory.forget(ids=[node.id])
    memory.recall("Harbour", k=9)
    memory.flush()
    return memory


@settings(max_examples=150, deadline=None)
@given(
    conditions=st.lists(CONDITIONS, max_size=4),
    order=st.none() | st.tuples(st.sampled_from(sorted(KEYS)), st.booleans()),
    offset=st.integers(0, 5),
    limit=st.none() | st.integers(0, 30),
)
def test_a_query_gives_what_a_loop_would(
    memory: AgentMemory,
    conditions: list[Condition],
    order: tuple[str, bool] | None,
    offset: int,
    limit: int | None,
) -> None:
    query = memory.query().offset(offset)
    expected = memory.find()
    for condition in conditions:
        query = condition.ask(query)
        expected = [node for node in expected if condition.means(node)]
    if order is not None:
        key, descending = order
        query = query.order_by(key, descending=descending)
        expected.sort(key=KEYS[key], reverse=descending) if not descending else expected.sort(
            key=lambda node: -KEYS[key](node)
        )
    if limit is not None:
        query = query.limit(limit)
    expected = expected[offset : None if limit is None else offset + limit]
    assert query.all() == expected
    assert query.ids() == [node.id for node in expected]
    assert query.count() == len(expected)
    assert query.exists() == bool(expected)
    first = query.first()
    assert first == (expected[0] if expected else None)
    assert list(query) == expected


@settings(max_examples=50, deadline=None)
@given(conditions=st.lists(CONDITIONS, max_size=2), k=st.integers(1, 40), seed=st.integers(0, 9))
def test_the_most_similar_of_those_that_pass(
    memory: AgentMemory, conditions: list[Condition], k: int, seed: int
) -> None:
    vector = np.random.default_rng(seed).normal(size=16).astype(np.float32)
    query = memory.query()
    for condition in conditions:
        query = condition.ask(query)
    passing = {node.id for node in memory.find() if all(condition.means(node) for condition in conditions)}
    every = [found.node_id for found in memory.graph.similarity_search(vector, 1000, threshold=-1.0)]
    assert [node.id for node in query.similar_to(vector, k=k)] == [name for name in every if name in passing][:k]


def test_time_and_what_is_left_of_memories() -> None:
    memory = AgentMemory()
    old = memory.remember("old", importance=0.8)
    position = memory.position
    assert memory.query().retention(gte=0.99).ids() == [old.id]
    assert memory.query().retention(lt=0.5).count() == 0
    assert memory.query().effective_importance(gt=0.4, lt=0.5).ids() == [old.id]
    assert memory.query().older_than(0).ids() == [old.id]
    assert memory.query().older_than(3600).ids() == []
    assert memory.query().created_after(old.created_at).created_before(old.created_at + 1).ids() == [old.id]
    assert memory.query().accessed_before(old.created_at).exists() is False
    assert memory.query().accessed_after(old.created_at).order_by("retention").ids() == [old.id]
    memory.remember("new")
    assert memory.query().count() == 2
    assert memory.at(position).query().ids() == [old.id]
    assert memory.graph.query().content_contains("NEW").first() == memory.find()[-1]


def test_a_query_can_be_gone_on_from_in_two_ways() -> None:
    memory = AgentMemory()
    memory.remember_many([{"content": "a", "tags": ["x"]}, {"content": "b", "tags": ["x", "y"]}])
    tagged = memory.query().tag("x")
    assert [node.content for node in tagged.tag("y")] == ["b"]
    assert [node.content for node in tagged.tags(["x"]).limit(1)] == ["a"]
    assert tagged.count() == 2
    assert [node.content for node in tagged.similar_to("b", k=1)] == ["b"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda query: query.type("nonsense"),
        lambda query: query.type(),
        lambda query: query.importance(),
        lambda query: query.importance(gt="high"),
        lambda query: query.order_by("beauty"),
        lambda query: query.limit(-1),
        lambda query: query.tag("x", mode="some"),
        lambda query: query.where(3),
        lambda query: query.content_contains(3),
        lambda query: query.metadata("k", object()),
        lambda query: query.similar_to([float("nan")]),
        lambda query: query.created_after("soonish"),
    ],
)
def test_what_cannot_be_asked_is_named(wrong: Callable[[MemoryQuery], Any]) -> None:
    with pytest.raises(InputError):
        wrong(AgentMemory().query())
