"""Make ``data/spreading_golden.json``: what neural-memorygraph 1.3.0 says, for ``mode="reference"`` to say, too.

Run in its environment, which ``make bench-peer`` makes::

    .venv-peer/bin/python tests/projections/make_spreading_golden.py

The graphs are random, without two equal weights, so that no order of equal activations matters. Effective importance is
made to be importance (consolidated, no decay), and the temporal boost is off, so that time does not matter either.
"""

import json
import random
from pathlib import Path

import memorygraph as peer
from memorygraph.core.types import ConsolidationState, DecayFunction
from memorygraph.retrieval.spreading import SpreadingActivation, SpreadingConfig

CASES = (
    {},
    {"max_depth": 2},
    {"max_depth": 6, "min_activation": 0.0001},
    {"max_nodes": 7},
    {"max_nodes": 15, "max_depth": 9, "min_activation": 1e-9},
    {"activation_decay": 0.95},
    {"use_edge_weights": False, "max_depth": 3},
    {"use_node_importance": False},
    {"use_edge_confidence": False},
    {"normalize_by_outdegree": True, "min_activation": 0.0001},
    {"aggregate_edges": "sum"},
    {"aggregate_edges": "mean"},
    {"include_types": ["causal", "temporal"]},
    {"exclude_types": ["causal"]},
    {"return_top_k": 4},
    {"sort_by": "depth"},
    {"sort_by": "combined", "return_top_k": 10},
)
NODES, EDGES = 40, 120
TYPES = ("association", "causal", "temporal")


def main() -> None:
    """Write the file."""
    dice = random.Random(4)
    found = []
    for number, config in enumerate(CASES):
        nodes = [round(dice.uniform(0.3, 1.0), 6) for _ in range(NODES)]
        edges = []
        for _ in range(EDGES):
            source, target = dice.sample(range(NODES), 2)
            edges.append(
                [source, target, dice.choice(TYPES), round(dice.uniform(0.2, 1), 6), round(dice.uniform(0.5, 1), 6),
                 dice.random() < 0.7]
            )  # fmt: skip
        edges += [[*edge[:3], round(dice.uniform(0.2, 1), 6), 1.0, edge[5]] for edge in edges[:10]]  # parallel ones
        sources = dice.sample(range(NODES), 2 + number % 3)
        found.append(
            {"config": config, "nodes": nodes, "edges": edges, "sources": sources,
             "results": results(config, nodes, edges, sources)}
        )  # fmt: skip
    lines = ",\n".join(json.dumps(case) for case in found)
    Path(__file__).with_name("data").joinpath("spreading_golden.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def results(config: dict, nodes: list, edges: list, sources: list) -> list:
    """Ask the older package: (node, activation, depth, path) of each result."""
    graph = peer.MemoryGraph()
    for number, importance in enumerate(nodes):
        graph.add_node(
            peer.MemoryNode(
                "", importance=importance, node_id=f"n{number:02}", decay_function=DecayFunction.NO_DECAY,
                consolidation_state=ConsolidationState.CONSOLIDATED,
            )
        )  # fmt: skip
    for source, target, edge_type, weight, confidence, directed in edges:
        graph.add_edge(
            peer.MemoryEdge(
                f"n{source:02}", f"n{target:02}", peer.EdgeType(edge_type), weight, confidence=confidence,
                directed=directed,
            )
        )  # fmt: skip
    named = {
        key: [peer.EdgeType(name) for name in value] if key.endswith("_types") else value
        for key, value in config.items()
    }
    spreader = SpreadingActivation(graph, SpreadingConfig(use_temporal_boost=False, **named))
    return [
        [int(hit.node_id[1:]), round(hit.activation, 10), hit.depth, [int(name[1:]) for name in hit.path]]
        for hit in spreader.spread([f"n{source:02}" for source in sources])
    ]


if __name__ == "__main__":
    main()
