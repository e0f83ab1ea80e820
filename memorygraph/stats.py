"""What a memory holds, in numbers."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from msgspec import Struct

from memorygraph.actors.commands import Overview, Summary
from memorygraph.actors.engine import Engine
from memorygraph.events.types import EdgeType, MemoryType


class MemoryStats(Struct, frozen=True, kw_only=True):
    """Counts, means and distributions of live nodes and edges; ``bytes_by_part`` tells memory and log apart.

    ``accesses_dropped`` counts recalls of this process that were not recorded as such: there were too many, or they
    could not be written.
    """

    name: str
    position: int
    num_nodes: int
    num_edges: int
    avg_degree: float
    avg_importance: float
    avg_consolidation: float
    type_distribution: dict[str, int]
    edge_type_distribution: dict[str, int]
    total_accesses: int
    oldest_node_age_s: float
    embedding_dim: int
    embedder: str
    language: str
    memory_usage_bytes: int
    bytes_by_part: dict[str, int]
    accesses_dropped: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return msgspec.structs.asdict(self)


def stats_of(engine: Engine) -> MemoryStats:
    """Ask an engine for its numbers."""
    answer = engine.ask(Summary())
    found: Overview = answer.value
    about = found.about
    nodes = max(about.nodes, 1)
    return MemoryStats(
        name=about.name,
        position=answer.position,
        num_nodes=about.nodes,
        num_edges=about.edges,
        avg_degree=2 * about.edges / nodes,
        avg_importance=found.importance_sum / nodes,
        avg_consolidation=found.consolidated / nodes,
        type_distribution={MemoryType.from_code(code).value: count for code, count in sorted(found.types.items())},
        edge_type_distribution={
            EdgeType.from_code(code).value: count for code, count in sorted(found.edge_types.items())
        },
        total_accesses=found.accesses,
        oldest_node_age_s=max(0.0, time.time() - found.oldest_us / 1e6) if found.oldest_us else 0.0,
        embedding_dim=about.space.dim if about.space else 0,
        embedder=about.space.name if about.space else "",
        language=about.language,
        memory_usage_bytes=sum(found.bytes_by_part.values()),
        accesses_dropped=engine.accesses_dropped,
        bytes_by_part={**found.bytes_by_part, "log": engine.log_size_bytes()},
    )
