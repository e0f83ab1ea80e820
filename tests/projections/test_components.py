"""Components and ways at a depth that no recursion survives; small graphs are in ``test_paths.py``."""

from __future__ import annotations

from memorygraph.events import records as ev
from memorygraph.projections.arcs import OUT
from memorygraph.projections.components import strong_labels, weak_labels
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
