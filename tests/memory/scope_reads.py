"""Every way of reading a view, against what the model says (``scope_world.py``). Each gives how many reads it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from memorygraph import AgentMemory, MemoryTimeline
from memorygraph.events.errors import NodeNotFoundError
from memorygraph.events.ports import SystemClock
from memorygraph.hits import Hits
from memorygraph.multiagent import AgentView
from memorygraph.persistence.contents import contents_of
from memorygraph.projections.hit import Concept
from memorygraph.retrieval.spreading import SpreadingActivation, SpreadingConfig
from tests.memory.scope_world import EVERYTHING, PEOPLE, QUESTIONS, ROOMS, World, values_of

Read = Callable[[AgentMemory], Any]


class Score(float):
    """A score, equal to one that was summed in another order."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(self - other) <= 2e-6

    __hash__ = None  # type: ignore[assignment]  # what is nearly equal has no hash


class Still(SystemClock):
    """A clock that stands still."""

    def __init__(self, time_us: int) -> None:
        super().__init__()
        self._time_us = time_us

    def now_us(self) -> int:
        return self._time_us


def check(world: World) -> int:
    """Read all that each agent can read; an ``AssertionError`` says what was wrong."""
    reads = 0
    for agent, view in world.views.items():
        plain, clock = world.plain(agent), view._home.clock
        plain._home.clock = view._home.clock = Still(clock.now_us())  # some scores depend on when it is asked
        for read in READS:
            expected, found = read(plain), read(view)
            assert found == expected, f"{agent}: {found} where {expected} was expected"
            reads += 1
        view._home.clock = clock
        reads += check_ids(world, agent, view) + check_past(world, agent, view) + check_log(world, agent, view)
    return reads


def check_ids(world: World, agent: str, view: AgentView) -> int:
    """What is asked for by its id."""
    seen = world.visible(agent)
    for name in world.notes:
        assert (name in view) == (name in seen)
        try:
            assert view.get(name).id in seen
        except NodeNotFoundError:
            assert name not in seen
    owned = {name for name in seen if world.notes[name].owner == agent}
    assert {node.id for node in view.memories(include_others=False)} == owned
    assert {hit.node_id for hit in view.recall("x", EVERYTHING, reinforce=False, include_others=False)} == owned
    return 2 * len(world.notes) + 2


def check_past(world: World, agent: str, view: AgentView) -> int:
    """What is seen at earlier positions."""
    last = world.pool.memory.position
    positions = sorted(world.random.sample(range(1, last + 1), min(4, last)))
    for position in positions:
        past, whole = view.at(position), {node.id: node.content for node in world.pool.memory.at(position)}
        expected = {
            note.id for note in world.notes.values() if note.is_alive(position) and world.may_see(note, agent, position)
        }
        assert {node.id: node.content for node in past} == {name: whole[name] for name in expected}
        assert {hit.node_id for hit in past.recall("Bernd", EVERYTHING)} == expected
        assert past.stats().num_nodes == len(past) == len(expected)
        assert past.stats().memory_usage_bytes == 0
    return 4 * len(positions)


def check_log(world: World, agent: str, view: AgentView) -> int:
    """What is told of the log: of each event the memories that might be seen then and may be seen now."""
    expected = []
    for change in world.pool.memory.log():
        told = [n for n in change.ids if n in world.notes and world.may_see(world.notes[n], agent, change.position)]
        is_whole = len(told) == len(change.ids)
        if change.kind == "linked" and not is_whole:
            continue  # one edge a time: both ends or nothing
        if told or change.kind == "created":
            expected.append((change.position, change.kind, tuple(told)))
    changes = list(view.log())
    assert [(change.position, change.kind, change.ids) for change in changes] == expected
    with view.subscribe() as live:
        for change in changes:
            assert live.next(timeout_s=1) == change
        assert live.next(timeout_s=0) is None
    for name in world.notes:
        assert all(change in changes or change.kind == "unlinked" for change in view.history(name))
        assert bool(view.history(name)) == any(name in change.ids for change in changes)
    told_of = {name for entry in view.audit() for name in entry.ids}
    assert told_of <= {name for change in changes for name in change.ids}
    return 3 + len(world.notes)


def _hits(hits: Hits) -> list[Any]:
    return [(hit.node_id, Score(hit.score), hit.content, hit.why.terms, hit.why.concepts, hit.superseded_by)
            for hit in hits]  # fmt: skip


def _recalls(question: str, **options: Any) -> Read:
    return lambda memory: _hits(memory.recall(question, options.get("k", EVERYTHING), reinforce=False, **{
        name: value for name, value in options.items() if name != "k"}))  # fmt: skip


def _named(concepts: list[Concept]) -> Any:
    return [(one.name, set(one.memories), set(one.about)) for one in concepts]


def _edges(memory: AgentMemory) -> Any:
    return [(edge.source_id, edge.target_id, edge.edge_type, edge.weight) for edge in memory.graph.edges()]


def _of_each(read: Callable[[AgentMemory, str], Any]) -> Read:
    return lambda memory: [read(memory, node.id) for node in memory.find()]


def _spread(memory: AgentMemory, name: str) -> Any:
    found = SpreadingActivation(memory.graph, SpreadingConfig(use_temporal_boost=False)).spread(source_ids=[name])
    return [(one.node_id, round(one.activation, 5), one.depth) for one in found]


def _stats(memory: AgentMemory) -> Any:
    stats = memory.stats()
    return (stats.num_nodes, stats.num_edges, stats.avg_degree, round(stats.avg_importance, 9), stats.type_distribution,
            stats.edge_type_distribution, stats.total_accesses)  # fmt: skip


VECTOR = np.ones(16, dtype=np.float32)
READS: list[Read] = [
    *(_recalls(question) for question in QUESTIONS),
    *(_recalls(question, k=2) for question in QUESTIONS),
    _recalls(QUESTIONS[1], profile="recency"),
    _recalls("Bernd", tags=["x"]),
    _recalls("Bernd", speaker="Bernd"),
    _recalls("What did Dora say?", session=1),
    _recalls("Bernd", metadata={"k": 1}),
    _recalls("Bernd", scope="public"),
    lambda memory: [hit.why.path for hit in memory.recall(QUESTIONS[1], EVERYTHING, reinforce=False)],
    lambda memory: _hits(memory.recall(VECTOR, EVERYTHING, reinforce=False)),
    lambda memory: _hits(memory.reason(QUESTIONS[1], k=EVERYTHING, reinforce=False)),
    lambda memory: _hits(memory.reason(VECTOR, k=EVERYTHING, reinforce=False)),
    _of_each(lambda memory, name: _hits(memory.reason(name, k=EVERYTHING, reinforce=False))),
    lambda memory: _named(memory.concepts()),
    lambda memory: _named(memory.concepts(limit=3)),
    lambda memory: _named(memory.concepts(" and ".join(PEOPLE))),
    lambda memory: memory.context("Bernd", reinforce=False).text,
    lambda memory: [values_of(node._now()) for node in memory.find()],
    lambda memory: [node.id for node in memory.find(tags=["x"])],
    lambda memory: {owner: [node.id for node in memory.find(owner=owner)] for owner in ROOMS},
    lambda memory: [node.id for node in memory.graph.nodes()],
    len,
    _edges,
    _of_each(lambda memory, name: [(edge.source_id, edge.target_id) for edge in memory.edges(name)]),
    _of_each(lambda memory, name: memory.graph.neighbors(name)),
    lambda memory: [
        (found.node_id, Score(found.score)) for found in memory.graph.similarity_search(VECTOR, EVERYTHING)
    ],
    lambda memory: [(found.node_id, Score(found.score)) for found in memory.graph.similarity_search(VECTOR, 2)],
    lambda memory: memory.query().ids(),
    lambda memory: memory.query().tag("x").content_contains("in").order_by("importance").limit(3).ids(),
    lambda memory: (memory.query().count(), memory.query().metadata("k").count()),
    lambda memory: [node.id for node in memory.query().importance(gte=0.9).similar_to(VECTOR, 3)],
    lambda memory: [sorted(names) for names in memory.graph.connected_components()],
    _of_each(lambda memory, name: [node.id for node in memory.graph.bfs(name)]),
    lambda memory: [(event.node_id, event.kind, event.time) for event in MemoryTimeline(memory).events()],
    lambda memory: MemoryTimeline(memory).histogram("minute", "both"),
    _of_each(lambda memory, name: [node.id for node in memory.graph.dfs(name)]),
    _of_each(_spread),
    lambda memory: [sorted(names) for names in memory.graph.strongly_connected_components()],
    lambda memory: [node.id for node in memory.graph.query_by_importance(0.5)],
    lambda memory: [node.id for node in memory.graph.query_by_tag("x")],
    lambda memory: [values_of(node) for node in contents_of(memory.graph).nodes if not node.archived],
    _stats,
]
