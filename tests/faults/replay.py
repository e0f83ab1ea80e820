"""Replays a store in every way there is and prints the digests: ``python -m tests.faults.replay STORE [MUTANT]``.

The batches in which records are applied and published, the points at which digests are taken on the way, and the
points at which a snapshot is taken and loaded come from the seed in the environment variable REPLAY_SEED.
"""

from __future__ import annotations

import os
import random
import sys
from typing import Any

import numpy as np

from memorygraph.actors.commands import Digest
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.shard import Shard
from memorygraph.events import records as ev
from memorygraph.events.stores import MemoryLog, SegmentLog
from memorygraph.projections.graph import GraphState

BATCHES = (1, 2, 7, 50, 1000)


def edges_in_the_order_of_a_set(state: GraphState, event: ev.EdgesAdded, birth: int) -> None:
    """The mutant: apply iterates over a set of strings."""
    order = {source: place for place, source in enumerate({f"{n} {name}" for n, name in enumerate(event.sources)})}
    places = sorted(range(len(event.sources)), key=lambda n: order[f"{n} {event.sources[n]}"])
    columns = {
        name: [value[place] for place in places] if (value := getattr(event, name)) else value
        for name in event.__struct_fields__
    }
    apply_edges(state, ev.EdgesAdded(**columns), birth)


def importance_by_blas(state: GraphState, event: ev.NodesReinforced, birth: int) -> None:
    """The mutant: a dot product, whose rounding is the processor's, ends in canonical state."""
    weights = np.random.default_rng(1).standard_normal(997).astype(np.float32)
    share = abs(float(np.dot(weights, weights[::-1].copy()))) % 1.0
    apply_reinforced(state, ev.NodesReinforced(ids=event.ids, deltas=tuple(d * share for d in event.deltas)), birth)


apply_edges, apply_reinforced = GraphState._edges_added, GraphState._nodes_reinforced
MUTANTS: dict[str, tuple[str, Any]] = {
    "set": ("_edges_added", edges_in_the_order_of_a_set),
    "blas": ("_nodes_reinforced", importance_by_blas),
}


def digests(store: str, seed: int) -> list[str]:
    """Give the digest of the whole log, come to in several ways."""
    dice = random.Random(seed)
    log = SegmentLog.open(store, read_only=True)
    found = [LocalEngine(log).ask(Digest()).value]
    for batch in BATCHES:
        looks_at = set(dice.sample(range(1, log.head.position), 3))
        found.append(_in_batches(log, batch, looks_at))
        found.append(_from_a_snapshot(log, dice.randrange(1, log.head.position)))
    return found


def _from_a_snapshot(log: SegmentLog, position: int) -> str:
    """Take a snapshot at a position (or at the end of its frame), and open from it and what is behind it."""
    copy = MemoryLog(log.memory_id)
    is_taken = False
    for frame in log.frames():
        with copy.lock():
            head = copy.adopt(frame)
        if not is_taken and head.position >= position:
            is_taken = LocalEngine(copy).snapshot() is not None
    engine = LocalEngine(copy)
    assert engine._snapshots._known >= position, "it did not start from the snapshot"
    digest: str = engine.ask(Digest()).value
    return digest


def _in_batches(log: SegmentLog, batch: int, looks_at: set[int]) -> str:
    """Publish after every ``batch`` records; digests on the way fill the cache that the last one uses."""
    shard = Shard()
    engine = LocalEngine(log)
    for committed in engine.read(1):
        shard.apply(committed.position, committed.time_us, committed.events or ())
        if committed.position % batch == 0:
            shard.publish()
        if committed.position in looks_at:
            shard.ask(shard.publish(), Digest())
    digest: str = shard.ask(shard.publish(), Digest())
    return digest


if __name__ == "__main__":
    if len(sys.argv) > 2:
        setattr(GraphState, *MUTANTS[sys.argv[2]])
    print(*digests(sys.argv[1], int(os.environ.get("REPLAY_SEED", "0"))))
