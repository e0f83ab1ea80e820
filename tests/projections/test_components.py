"""Components and ways at a depth that no recursion survives; small graphs are in ``test_paths.py``."""

from __future__ import annotations

import numpy as np

from memorygraph.events import records as ev
from memorygraph.projections.arcs import OUT
from memorygraph.projections.components import strong_labels, weak_labels
from memorygraph.projections.frame import ALIVE
from memorygraph.projections.graph import GraphState
from memorygraph.projections.paths import cheapest_path, depth_first


def test_a_chain_is_not_too_deep() -> None:
    count = 20_000
    state = GraphState()
    names = [f"n{at}" for at in range(count)]
    state.apply(1, 1, [ev.NodeAdded(id=name) for name in names])
    state.apply(2, 1, [ev.EdgesAdded(sources=names[:-1], targets=names[1:])])
    chain = state.publish()
    assert len(set(strong_labels(chain, compiled=False).tolist())) == count
    assert len(set(weak_labels(chain).tolist())) == 1
    assert depth_first(chain, 0, count, OUT)[0] == list(range(count))
    assert cheapest_path(chain, 0, count - 1) == list(range(count))
    state.apply(3, 1, [ev.EdgesAdded(sources=names[-1:], targets=names[:1])])
    assert len(set(strong_labels(state.publish(), compiled=False).tolist())) == 1


def test_the_arcs_of_older_frames_and_forks_are_their_own() -> None:
    state = GraphState()
    names = [f"n{at}" for at in range(40)]
    state.apply(1, 1, [ev.NodeAdded(id=name) for name in names[:20]])
    state.apply(2, 1, [ev.EdgesAdded(sources=names[:19], targets=names[1:20])])
    old = state.publish()
    state.apply(3, 1, [ev.NodeAdded(id=name) for name in names[20:]])
    state.apply(4, 1, [ev.EdgesAdded(sources=names[19:], targets=[*names[20:], names[0]], undirected=[True] * 21)])
    state.apply(5, 1, [ev.NodesForgotten(ids=("n3",))])
    new = state.publish()
    fork = GraphState.fork(old)
    fork.try_out(1, [ev.EdgesAdded(sources=["n19"], targets=["n0"])])
    for frame, strong in ((new, 18), (old, 20), (fork.publish(), 1), (new, 18)):
        for compiled in (False, True):
            labels = strong_labels(frame, compiled=compiled)[frame.live_rows()]
            assert len(set(labels.tolist())) == strong
        for end in ("source", "target"):
            starts, rows = frame.adjacency.grouped(frame.edges, end, frame.nodes.count)
            live = np.flatnonzero(frame.edges.column("flags") & ALIVE)
            at = frame.edges.column(end)
            assert rows.tolist() == sorted(live.tolist(), key=lambda row, at=at: (at[row], row))
            assert np.diff(starts).tolist() == np.bincount(at[live], minlength=frame.nodes.count).tolist()
