"""A view that is made from what was seen before is the one that is made from nothing, over many chunks of rows."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from memorygraph.events import records as ev
from memorygraph.events.types import Partition
from memorygraph.projections import sight
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.sight import PUBLIC, Sight, only, seen

PLACES = [PUBLIC, Partition(1, "ann"), Partition(2, "red")]
SIGHTS = [
    Sight(partitions=frozenset({PUBLIC})),
    Sight(partitions=frozenset({PUBLIC, Partition(1, "ann")}), archive="with"),
    Sight(partitions=frozenset(PLACES[1:]), archive="only"),
    Sight(),
]
NODES = 9_000  # three chunks


class Writer:
    """A state with many nodes and edges, of which few change at a time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.state = GraphState()
        self.position = self.added = 0
        self.ids = [f"n{at}" for at in range(NODES)]
        self.apply([ev.NodeAdded(id=name, partition=self.random.choice(PLACES)) for name in self.ids])
        for _ in range(3):
            self.apply([self.edges(4_000)])

    def edges(self, count: int) -> ev.EdgesAdded:
        sources, targets = self.random.choices(self.ids, k=count), self.random.choices(self.ids, k=count)
        return ev.EdgesAdded(sources=sources, targets=targets)

    def apply(self, events: list[ev.Event]) -> None:
        self.position += 1
        self.state.apply(self.position, self.position, events)

    def some_event(self) -> ev.Event:
        ids = tuple(self.random.sample(self.ids, 2))
        kind = self.random.choice(["move", "archive", "restore", "forget", "add", "link"])
        if kind == "move":
            return ev.NodesMoved(ids=ids, partition=self.random.choice([*PLACES, Partition(2, f"r{self.position}")]))
        if kind == "forget":
            self.ids = [name for name in self.ids if name not in ids]
            return ev.NodesForgotten(ids=ids)
        if kind == "add":
            self.added += 1
            self.ids.append(f"new{self.added}")
            return ev.NodeAdded(id=self.ids[-1], partition=self.random.choice(PLACES))
        if kind == "link":
            return self.edges(3)
        return (ev.NodesArchived if kind == "archive" else ev.NodesRestored)(ids=ids)


def check(frame: Frame, reader: Sight) -> None:
    view = seen(frame, reader)
    expected = only(frame, sight._visible(frame, reader))
    assert np.array_equal(view.live_rows(), expected.live_rows())
    assert np.array_equal(view.edges.column("flags"), expected.edges.column("flags"))
    assert (view.live_nodes, view.live_edges) == (expected.live_nodes, expected.live_edges)


def run(seed: int) -> None:
    writer = Writer(seed)
    frames = []
    for _ in range(12):
        writer.apply([writer.some_event() for _ in range(3)])
        frames.append(writer.state.publish())
        check(frames[-1], writer.random.choice(SIGHTS))
        check(writer.random.choice(frames), writer.random.choice(SIGHTS))
        if writer.random.random() < 0.3:
            fork = GraphState.fork(frames[-1])
            fork.try_out(5, [ev.NodesMoved(ids=tuple(writer.ids[:3]), partition=writer.random.choice(PLACES))])
            check(fork.publish(), writer.random.choice(SIGHTS))
    for frame in frames:
        for reader in SIGHTS:
            check(frame, reader)


@pytest.mark.parametrize("seed", range(2))
def test_a_view_does_not_depend_on_what_was_seen_before(seed: int) -> None:
    run(seed)


def _stale(patch: pytest.MonkeyPatch) -> None:
    traced: Callable[..., Any] = sight._traced

    def mutant(frame: Frame, reader: Sight, old: Any) -> Any:
        return traced(frame, reader, old._replace(edges=frame.edges.versions[:-1]))

    patch.setattr(sight, "_traced", mutant)


def fork_beside() -> None:
    """A fork changes a chunk as often as the state itself did meanwhile, and otherwise."""
    writer = Writer(0)
    before = writer.state.publish()
    writer.apply([ev.NodesMoved(ids=(writer.ids[0],), partition=Partition(2, "elsewhere"))])
    for reader in SIGHTS:
        check(writer.state.publish(), reader)
    fork = GraphState.fork(before)
    fork.try_out(5, [ev.NodesMoved(ids=(writer.ids[1],), partition=Partition(2, "elsewhere"))])
    for reader in SIGHTS:
        check(fork.publish(), reader)


def test_a_fork_does_not_go_on_from_what_was_seen_after_it_began() -> None:
    fork_beside()


def run_all(seeds: int) -> None:
    for seed in range(seeds):
        run(seed)


@pytest.mark.parametrize(
    "mutant",
    [
        _stale,
        lambda patch: patch.setattr(sight, "_turn", lambda *_: None),
    ],
    ids=["edges that changed are not looked at", "edges of what moved are not"],
)
def test_a_view_that_is_not_renewed_is_found_out(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, IndexError)):
        run_all(10)


def test_a_fork_that_goes_on_from_any_trace_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memorygraph.projections.graph.traces_of", lambda frame: dict(frame.traces))
    with pytest.raises(AssertionError):
        fork_beside()
