"""Tuples of plain values take a short way to columns: it must say what the long way says, refusals included."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph import AgentMemory, EdgeType
from memorygraph.events.errors import InputError, MemoryGraphError
from memorygraph.links import batches_of, edge_columns, edge_of, plain_columns

IDS = st.sampled_from(["a", "b", "c", "nobody"])
KINDS = st.sampled_from([EdgeType.ASSOCIATION, EdgeType.CAUSAL, "temporal", "nothing"])
WEIGHTS = st.sampled_from([0.5, 1.0, 0.25, 0.0, -0.0, 2.0, -1.0, 1, True, math.nan, math.inf, "x", None])
LINKS = st.lists(
    st.integers(2, 6).flatmap(lambda n: st.tuples(*[IDS, IDS, KINDS, WEIGHTS, st.booleans(), st.just({"n": 1})][:n])),
    min_size=1,
    max_size=6,
)


def outcome(links, *, as_dicts):
    memory = AgentMemory(auto_associate=False)
    for name in "abc":
        memory.remember(name, node_id=name)
    fields = ("source", "target", "edge_type", "weight", "directed", "metadata")
    given_links = [dict(zip(fields, link, strict=False)) for link in links] if as_dicts else links
    try:
        memory.link_many(given_links)
    except MemoryGraphError:  # which one comes first may differ: an unknown id that is linked to itself is both
        return memory.stats().num_edges
    return [edge.to_dict() for edge in memory.graph.edges()]


@given(LINKS)
def test_tuples_say_what_dicts_say(links):
    assert outcome(links, as_dicts=False) == outcome(links, as_dicts=True)


@given(LINKS)
def test_the_short_way_gives_the_columns_of_the_long_way(links):
    columns = plain_columns(links)
    if columns is not None:
        if any(link[0] == link[1] for link in links):  # said by the memory, which compares rows
            return
        assert columns == edge_columns([edge_of(link)._state for link in links])


def test_plain_tuples_take_the_short_way():
    links = [("a", "b", EdgeType.CAUSAL, 0.5), ("b", "c", EdgeType.CAUSAL, 0.25)]
    assert plain_columns(links) is not None
    assert [len(batch.sources) for batch in batches_of(links * 600)] == [1000, 200]


def test_an_edge_to_itself_is_refused_by_the_memory_too():
    memory = AgentMemory()
    memory.remember("x", node_id="a")
    with pytest.raises(InputError, match="'a' cannot be linked to itself"):
        memory.link_many([("a", "a", EdgeType.CAUSAL, 0.5)])
    assert memory.position == 2
