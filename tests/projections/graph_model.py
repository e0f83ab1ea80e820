"""What the graph must say, in plain dictionaries: the oracle of the graph tests, and whole-state validation."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import UNSET

from memorygraph.events import records as ev
from memorygraph.events.types import Partition
from memorygraph.projections.frame import ALIVE, NEVER_US, NO_ROW, ORDINAL_BITS, EdgeState, Frame, NodeState, single
from memorygraph.projections.graph import GraphState

Contents = tuple[dict[str, NodeState], dict[str, EdgeState], dict[str, ev.ReviewCard]]
DIM = 3
NAMES = [f"n{number}" for number in range(7)]
PLAIN = (
    "memory_type",
    "importance",
    "consolidation_state",
    "decay_function",
    "tags",
    "metadata",
    "speaker",
    "session",
    "source",
    "expires_us",
)
SINGLES = ("emotional_valence", "confidence", "decay_rate")


@contextmanager
def chunks_of(bits: int) -> Iterator[None]:
    """Run with chunks of 2^bits rows in every module of projections, so that few rows make many chunks."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("memorygraph.projections."):
                sizes = {
                    "CHUNK_BITS": bits,
                    "CHUNK_ROWS": 1 << bits,
                    "CHUNK_MASK": (1 << bits) - 1,
                    "FIRST_ROWS": min(16, 1 << bits >> 1),
                }
                for constant, value in sizes.items():
                    if hasattr(module, constant):
                        patch.setattr(module, constant, value)
        yield


def clip(value: float) -> float:
    return min(1.0, max(0.0, value))


class Model:
    """Nodes and edges by id."""

    def __init__(self) -> None:
        self.position = 0
        self.nodes: dict[str, NodeState] = {}
        self.edges: dict[str, EdgeState] = {}
        self.cards: dict[str, ev.ReviewCard] = {}
        self.has_space = False
        self._time_us = 0
        self._events = 0
        self._edges = 0

    def copy(self) -> Contents:
        return dict(self.nodes), dict(self.edges), dict(self.cards)

    def begin(self, time_us: int) -> None:
        self.position += 1
        self._time_us = time_us
        self._events = self._edges = 0

    def take(self, event: ev.Event) -> None:
        getattr(self, f"_{type(event).__name__}")(event)
        self._events += 1

    def _MemoryCreated(self, _: ev.MemoryCreated) -> None:  # noqa: N802 - named after the event
        pass

    def _SpaceDeclared(self, _: ev.SpaceDeclared) -> None:  # noqa: N802
        self.has_space = True

    def _NodeAdded(self, event: ev.NodeAdded) -> None:  # noqa: N802
        assert event.id not in self.nodes
        if event.review is not None:
            self.cards[event.id] = event.review
        created = self._time_us if event.recorded_us is None else event.recorded_us
        self.nodes[event.id] = NodeState(
            id=event.id,
            content=event.content,
            **{name: getattr(event, name) for name in PLAIN},
            **{name: single(getattr(event, name)) for name in SINGLES},
            created_us=created,
            occurred_us=created if event.occurred_us is None else event.occurred_us,
            accessed_us=max(event.access_times_us, default=created),
            access_count=event.access_count,
            access_times_us=event.access_times_us[-128:],
            partition=event.partition,
            owner=event.owner,
            birth=self.position << ORDINAL_BITS | self._events,
            version=self.position,
            vector=event.vector,
        )

    def _NodeRevised(self, event: ev.NodeRevised) -> None:  # noqa: N802
        fields: dict[str, Any] = {"version": self.position}
        for name in ("content", "vector", "occurred_us", *PLAIN, *SINGLES):
            value = getattr(event, name)
            if value is not UNSET:
                fields[name] = single(value) if name in SINGLES else value
        before = self.nodes[event.id]
        if fields.get("occurred_us", 0) is None:
            fields["occurred_us"] = before.created_us
        self.nodes[event.id] = msgspec.structs.replace(before, **fields)

    def _NodesForgotten(self, event: ev.NodesForgotten) -> None:  # noqa: N802
        for node_id in event.ids:
            del self.nodes[node_id]
            self.cards.pop(node_id, None)
        self.edges = {
            name: edge
            for name, edge in self.edges.items()
            if edge.source_id in self.nodes and edge.target_id in self.nodes
        }

    def _NodesMoved(self, event: ev.NodesMoved) -> None:  # noqa: N802
        for node_id in event.ids:
            self.nodes[node_id] = msgspec.structs.replace(self.nodes[node_id], partition=event.partition)

    def _NodesArchived(self, event: ev.NodesArchived) -> None:  # noqa: N802
        for node_id in event.ids:
            self.nodes[node_id] = msgspec.structs.replace(self.nodes[node_id], archived=True)

    def _NodesRestored(self, event: ev.NodesRestored) -> None:  # noqa: N802
        for node_id in event.ids:
            self.nodes[node_id] = msgspec.structs.replace(self.nodes[node_id], archived=False)

    def _NodesReinforced(self, event: ev.NodesReinforced) -> None:  # noqa: N802
        for node_id, delta in zip(event.ids, event.deltas, strict=True):
            before = self.nodes[node_id]
            importance = clip(before.importance + delta * (1 - before.importance))
            self.nodes[node_id] = msgspec.structs.replace(before, importance=importance)

    def _AccessesRecorded(self, event: ev.AccessesRecorded) -> None:  # noqa: N802
        for node_id, time_us in zip(event.ids, event.times_us, strict=True):
            before = self.nodes[node_id]
            self.nodes[node_id] = msgspec.structs.replace(
                before,
                access_count=before.access_count + 1,
                accessed_us=max(before.accessed_us, time_us),
                access_times_us=(*before.access_times_us, time_us)[-128:],
            )

    def _AccessesFolded(self, event: ev.AccessesFolded) -> None:  # noqa: N802
        for node_id, count, accessed_us, times_us in zip(
            event.ids, event.access_counts, event.accessed_us, event.access_times_us, strict=True
        ):
            self.nodes[node_id] = msgspec.structs.replace(
                self.nodes[node_id], access_count=count, accessed_us=accessed_us, access_times_us=times_us
            )

    def _ReviewsRecorded(self, event: ev.ReviewsRecorded) -> None:  # noqa: N802
        for place, node_id in enumerate(event.ids):
            before = self.cards.get(node_id)
            grades = () if before is None else before.grades
            self.cards[node_id] = ev.ReviewCard(
                event.model,
                event.stabilities_days[place],
                event.difficulties[place],
                event.repetitions[place],
                event.times_us[place],
                event.due_us[place],
                () if event.begins else (*grades, event.grades[place])[-128:],
            )

    def _ReviewsEnded(self, event: ev.ReviewsEnded) -> None:  # noqa: N802
        for node_id in event.ids:
            self.cards.pop(node_id, None)

    def _AttentionLost(self, _: ev.AttentionLost) -> None:  # noqa: N802
        pass

    def _RecordsReplaced(self, _: ev.RecordsReplaced) -> None:  # noqa: N802
        pass

    def _EdgesAdded(self, event: ev.EdgesAdded) -> None:  # noqa: N802
        for place, (source, target) in enumerate(zip(event.sources, event.targets, strict=True)):
            name = event.ids[place] if event.ids else ""
            name = name or f"{self.position}.{self._edges}"
            assert name not in self.edges
            self.edges[name] = EdgeState(
                id=name,
                source_id=source,
                target_id=target,
                edge_type=event.types[place] if event.types else 1,
                weight=single(event.weights[place] if event.weights else 1.0),
                directed=not (event.undirected and event.undirected[place]),
                confidence=single(event.confidences[place] if event.confidences else 1.0),
                metadata=event.metadata[place] if event.metadata else {},
            )
            self._edges += 1

    def _EdgeRevised(self, event: ev.EdgeRevised) -> None:  # noqa: N802
        fields = {
            name: value
            for name in ("edge_type", "weight", "confidence", "metadata")
            if (value := getattr(event, name)) is not UNSET
        }
        for name in ("weight", "confidence"):
            if name in fields:
                fields[name] = single(fields[name])
        self.edges[event.id] = msgspec.structs.replace(self.edges[event.id], **fields)

    def _EdgesStrengthened(self, event: ev.EdgesStrengthened) -> None:  # noqa: N802
        for name in event.ids:
            before = self.edges[name]
            weight = float(np.float32(before.weight))
            weight = clip(weight + event.delta * (1 - weight) - event.decay * weight)
            self.edges[name] = msgspec.structs.replace(before, weight=single(weight))

    def _EdgesRemoved(self, event: ev.EdgesRemoved) -> None:  # noqa: N802
        for name in event.ids:
            del self.edges[name]


class Writer:
    """Random records that fit the model, applied to it and to a graph; every record is kept."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.model = Model()
        self.state = GraphState()
        self.records: list[tuple[int, int, tuple[ev.Event, ...]]] = []
        self.write([ev.MemoryCreated(name="m"), ev.SpaceDeclared(space=1, name="external", dim=DIM)])

    def write(self, events: list[ev.Event], time_us: int | None = None) -> None:
        """Give both the events as the next record."""
        self.model.begin(self.random.randrange(10**6) if time_us is None else time_us)
        for event in events:
            self.model.take(event)
        self._apply(events)

    def step(self) -> None:
        """Write a random record of one to four events."""
        self.model.begin(self.random.randrange(10**6))
        events: list[ev.Event] = []
        for _ in range(self.random.randint(1, 4)):
            event = self._event()
            if event is not None:
                self.model.take(event)
                events.append(event)
        self._apply(events)

    def _apply(self, events: list[ev.Event]) -> None:
        record = (self.model.position, self.model._time_us, tuple(events))
        self.records.append(record)
        self.state.apply(*record)

    def _event(self) -> ev.Event | None:
        kinds = [self._add, self._add, self._link, self._link, self._revise, self._forget, self._reinforce]
        kinds += [
            self._access,
            self._access,
            self._fold,
            self._review,
            self._end,
            self._lose,
            self._revise_edge,
            self._strengthen,
            self._remove,
        ]
        kinds += [self._move, self._archive]
        return self.random.choice(kinds)()

    def _some(self, names: list[str]) -> tuple[str, ...]:
        return tuple(self.random.sample(names, self.random.randint(1, min(3, len(names)))))

    def _vector(self) -> bytes:
        return np.array([self.random.choice((-1.0, 0.0, 0.5, 2.0)) for _ in range(DIM)], dtype="<f4").tobytes()

    def _fields(self) -> dict[str, Any]:
        """Some values of the fields that a node can be added and revised with."""
        choice = self.random.choice
        values = {
            "content": choice(("", "a cat", "two dogs")),
            "memory_type": choice((1, 2, 17)),
            "importance": choice((0.0, 0.1, 0.95)),
            "emotional_valence": choice((-0.3, 0.7)),
            "confidence": choice((0.2, 1.0)),
            "consolidation_state": choice((1, 4)),
            "decay_function": choice((1, 6)),
            "decay_rate": choice((1.0, 0.1)),
            "tags": choice(((), ("x",), ("x", "y"))),
            "metadata": choice(({}, {"k": 1})),
            "speaker": choice((None, "Ann", "Bob")),
            "session": choice((None, 0, "s")),
            "source": choice((None, "file")),
            "occurred_us": choice((None, -5, 77)),
            "vector": choice((b"", self._vector())),
            "expires_us": choice((None, 50, 10**6)),
        }
        return {name: values[name] for name in self.random.sample(sorted(values), self.random.randint(0, len(values)))}

    def _add(self) -> ev.Event | None:
        free = [name for name in NAMES if name not in self.model.nodes]
        if not free:
            return None
        brought: dict[str, Any] = {}
        if self.random.random() < 0.3:
            review = ev.ReviewCard(1, 2.5, 5.0, 3, 8, 9, (0.5,))
            brought = {"recorded_us": 5, "access_count": 2, "access_times_us": (9, 7), "review": review}
        partition = self.random.choice((Partition(), Partition(1, "ann")))
        brought["owner"] = self.random.choice((None, "ann"))
        return ev.NodeAdded(id=self.random.choice(free), partition=partition, **brought, **self._fields())

    def _move(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        place = self.random.choice((Partition(), Partition(1, "ann"), Partition(2, "room")))
        return ev.NodesMoved(ids=self._some(nodes), partition=place) if nodes else None

    def _archive(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        kind = self.random.choice((ev.NodesArchived, ev.NodesRestored))
        return kind(ids=self._some(nodes)) if nodes else None

    def _revise(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        return ev.NodeRevised(id=self.random.choice(nodes), **self._fields()) if nodes else None

    def _forget(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        return ev.NodesForgotten(ids=self._some(nodes)) if nodes and self.random.random() < 0.5 else None

    def _reinforce(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        if not nodes:
            return None
        ids = self._some(nodes)
        return ev.NodesReinforced(ids=ids, deltas=tuple(self.random.choice((0.1, -2.0)) for _ in ids))

    def _access(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        if not nodes:
            return None
        ids = self._some(nodes) * self.random.randint(1, 2)
        return ev.AccessesRecorded(ids=ids, times_us=tuple(self.random.randrange(10**6) for _ in ids))

    def _fold(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        if not nodes:
            return None
        states = [self.model.nodes[node_id] for node_id in self._some(nodes)]
        return ev.AccessesFolded(
            ids=tuple(state.id for state in states),
            access_counts=tuple(state.access_count for state in states),
            accessed_us=tuple(state.accessed_us for state in states),
            access_times_us=tuple(state.access_times_us for state in states),
        )

    def _review(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        if not nodes:
            return None
        ids = self._some(nodes)
        some = self.random.choice
        return ev.ReviewsRecorded(
            ids=ids,
            model=some((1, 99)),
            grades=tuple(some((0.0, 0.5, 0.9)) for _ in ids),
            stabilities_days=tuple(some((0.001, 12.5)) for _ in ids),
            difficulties=tuple(some((0.0, 5.5)) for _ in ids),
            repetitions=tuple(some((0, 7)) for _ in ids),
            times_us=tuple(self.random.randrange(10**6) for _ in ids),
            due_us=tuple(self.random.randrange(10**6) for _ in ids),
            begins=some((False, True)),
        )

    def _end(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        return ev.ReviewsEnded(ids=self._some(nodes)) if nodes else None

    def _lose(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        if not nodes:
            return None
        ids = self._some(nodes)
        return ev.AttentionLost(ids=ids, slots=(3,) * len(ids), activations=(0.5,) * len(ids), reason="evicted")

    def _link(self) -> ev.Event | None:
        nodes = list(self.model.nodes)
        if not nodes:
            return None
        choice = self.random.choice
        names = list(self._some(nodes))
        count = self.random.randint(0, 4)
        free = [name for name in ("e1", "e2") if name not in self.model.edges]
        columns: dict[str, list[Any]] = {
            "weights": [choice((0.0, 0.3, 1.0)) for _ in range(count)],
            "types": [choice((1, 5, 200)) for _ in range(count)],
            "undirected": [choice((False, True)) for _ in range(count)],
            "confidences": [choice((1.0, 0.4)) for _ in range(count)],
            "metadata": [choice(({}, {"why": "so"})) for _ in range(count)],
            "ids": [free[place] if place < len(free) else "" for place in range(count)],
        }
        given = {name: values for name, values in columns.items() if choice((False, True))}
        ends = {end: [choice(names) for _ in range(count)] for end in ("sources", "targets")}
        return ev.EdgesAdded(**ends, **given)

    def _revise_edge(self) -> ev.Event | None:
        edges = list(self.model.edges)
        if not edges:
            return None
        choice = self.random.choice
        values = {"edge_type": 9, "weight": 0.6, "confidence": choice((1.0, 0.7)), "metadata": choice(({}, {"m": [1]}))}
        fields = {name: value for name, value in values.items() if choice((False, True))}
        name = choice(edges)
        return ev.EdgeRevised(id=name, nodes=self._ends([name]), **fields)

    def _strengthen(self) -> ev.Event | None:
        edges = list(self.model.edges)
        if not edges:
            return None
        delta, decay = self.random.choice(((0.1, 0.0), (0.3, 0.05), (0.0, 3.0)))
        ids = self._some(edges)
        return ev.EdgesStrengthened(ids=ids * 2, delta=delta, decay=decay, nodes=self._ends(ids))

    def _remove(self) -> ev.Event | None:
        edges = list(self.model.edges)
        if not edges:
            return None
        ids = self._some(edges)
        return ev.EdgesRemoved(ids=ids, nodes=self._ends(ids))

    def _ends(self, names: Iterable[str]) -> tuple[str, ...]:
        edges = [self.model.edges[name] for name in names]
        return tuple(dict.fromkeys(end for edge in edges for end in (edge.source_id, edge.target_id)))


def contents(frame: Frame) -> Contents:
    """Everything that a Frame says, by id."""
    alive = np.flatnonzero(frame.live_rows()).tolist()
    nodes = [frame.node(row) for row in alive]
    cards = {frame.interner.ids[row]: card for row in alive if (card := frame.nodes.value("review", row)) is not None}
    edges = [frame.edge(row) for row in live_edges(frame)]
    return {node.id: node for node in nodes}, {edge.id: edge for edge in edges}, cards


def live_edges(frame: Frame) -> list[int]:
    """The rows of live edges, read one by one."""
    return [row for row in range(frame.edges.count) if frame.edges.value("flags", row) & ALIVE]


def check_whole(frame: Frame) -> None:
    """Assert what must hold in every state."""
    alive = np.flatnonzero(frame.live_rows()).tolist()
    edges = live_edges(frame)
    assert frame.live_nodes == len(alive)
    assert frame.live_edges == len(edges)
    expiries = [time_us for row in alive if (time_us := frame.node(row).expires_us) is not None]
    assert frame.expires_us == min(expiries, default=NEVER_US)
    assert len(frame.times_us) >= frame.position
    assert list(frame.times_us) == sorted(frame.times_us)
    _check_nodes(frame, alive)
    _check_edges(frame, alive, edges)
    _check_owned(frame, "text_row", frame.texts, frame.live_texts(), alive)
    if frame.vectors is None:
        assert not len(frame.live_vectors())
    else:
        _check_owned(frame, "vector_row", frame.vectors, frame.live_vectors(), alive)


def _check_nodes(frame: Frame, alive: list[int]) -> None:
    ids = frame.interner.ids
    assert frame.rows(ids) == [frame.row(name) for name in ids]
    assert [row for row in frame.rows(ids) if row is not None] == alive
    births = [frame.nodes.value("birth", row) for row in alive]
    assert len(set(births)) == len(births)
    for row in alive:
        assert frame.nodes.value("birth", row) >> ORDINAL_BITS <= frame.nodes.value("version", row) <= frame.position
        assert 0.0 <= frame.nodes.value("importance", row) <= 1.0


def _check_edges(frame: Frame, alive: list[int], edges: list[int]) -> None:
    births = [frame.edges.value("birth", row) for row in range(frame.edges.count)]
    assert births == sorted(set(births))
    ends = {row: (frame.edges.value("source", row), frame.edges.value("target", row)) for row in edges}
    assert {end for pair in ends.values() for end in pair} <= set(alive)
    for row in edges:
        assert 0.0 <= frame.edges.value("weight", row) <= 1.0
        assert frame.edge_row(frame.edge(row).id) == row
    for node in alive:
        incident = frame.adjacency.incident(frame.edges, np.array([node], dtype=np.int32))
        assert incident.tolist() == [row for row, pair in ends.items() if node in pair]


def _check_owned(frame: Frame, pointer: str, rows: Any, mask: Any, alive: list[int]) -> None:
    """A text or vector row counts if and only if a live node points to it, and it points back."""
    pointed = {frame.nodes.value(pointer, row): row for row in alive if frame.nodes.value(pointer, row) != NO_ROW}
    assert np.flatnonzero(mask).tolist() == sorted(pointed)
    assert all(rows.value("node", row) == owner for row, owner in pointed.items())
