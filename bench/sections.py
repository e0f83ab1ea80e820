"""The sections of the benchmark: each measures, and gives its rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.goals import Row
from bench.own import dictionary_resizes
from bench.sessions import OURS, PEER, Session, Sessions, alternate
from bench.walk_work import EDGES_PER_NODE

US: Final = 1e6


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured: numbers of nodes, and how many rounds of how many operations."""

    smallest: int = 1_000
    small: int = 3_000
    middle: int = 10_000
    large: int = 30_000
    huge: int = 100_000
    vast: int = 1_000_000
    adds: tuple[int, int] = (12, 25)
    remembers: tuple[int, int] = (10, 8)
    searches: tuple[int, int] = (10, 5)
    batches: tuple[int, int] = (5, 1_000)
    durable_batches: int = 20
    replayed: int = 10_000
    replays: int = 4


FULL: Final = Scale()
QUICK: Final = Scale(
    smallest=200,
    small=300,
    middle=400,
    large=600,
    huge=1_000,
    vast=2_000,
    adds=(3, 10),
    remembers=(2, 5),
    searches=(2, 5),
    batches=(2, 200),
    durable_batches=3,
    replayed=200,
    replays=2,
)


def add(sessions: Sessions, scale: Scale) -> list[Row]:
    """One node with text and vector at a time."""
    sizes = (scale.smallest, scale.middle, scale.large)
    taken = medians_us(sessions, "add", (*sizes, scale.huge), sizes, scale.adds)
    goals = {scale.middle: "add-middle", scale.large: "add-large"}
    flat = taken[OURS, scale.huge] / taken[OURS, scale.smallest]
    return [
        *rows_of("add", "add_node", taken, goals),
        Row(
            section="add",
            name=f"add_node, {scale.huge:,} against {scale.smallest:,} nodes",
            unit="x",
            ours=flat,
            goal="add-flat",
        ),
    ]


def batch(sessions: Sessions, scale: Scale) -> list[Row]:
    """Batches against one by one."""
    sizes = (scale.middle,)
    nodes = medians_us(sessions, "add_nodes", sizes, sizes, scale.batches)
    edges = medians_us(sessions, "add_edges", sizes, sizes, scale.batches)
    links = medians_us(sessions, "link", sizes, sizes, scale.batches)
    count = scale.batches[1]
    return [
        *rows_of("batch", f"add_nodes of {count:,}, per node", nodes, {scale.middle: "nodes-batch"}),
        *rows_of(
            "batch", f"edges of {count:,}, from ids, type and weight, per edge", links, {scale.middle: "edges-batch"}
        ),
        *rows_of("batch", f"edges of {count:,}, of edge objects made before, per edge", edges, {}),
    ]


def remember(sessions: Sessions, scale: Scale) -> list[Row]:
    """A text with the links to similar ones."""
    sizes = (scale.small, scale.large)
    keys = keys_of(sessions, sizes, sizes)
    before = [session.ask("edges") for session in sessions.filled(keys)]
    taken = medians_us(sessions, "remember", sizes, sizes, scale.remembers)
    after = [session.ask("edges") for session in sessions.filled(keys)]
    remembered = (scale.remembers[0] + 1) * scale.remembers[1]
    links = {key: (new - old) / remembered for key, old, new in zip(keys, before, after, strict=True)}
    return [
        *rows_of("remember", "remember", taken, {scale.small: "remember-small", scale.large: "remember-large"}),
        *rows_of("remember", "links that a remember made", links, {}, unit="links"),
    ]


def search(sessions: Sessions, scale: Scale) -> list[Row]:
    """Questions; no goals."""
    peers = (scale.middle, scale.large)
    sizes = (*peers, scale.huge)
    (largest,) = sessions.filled([(OURS, scale.huge)])
    indexed_us = largest.ask("recall", count=1)[0] * US / scale.huge
    return [
        Row(section="search", name=f"the first recall of {scale.huge:,} nodes, per node", unit="us", ours=indexed_us),
        *rows_of("search", "recall, k=10", medians_us(sessions, "recall", sizes, peers, scale.searches), {}),
        *rows_of(
            "search", "similarity_search, k=20", medians_us(sessions, "similar", sizes, peers, scale.searches), {}
        ),
    ]


def durable(sessions: Sessions, scale: Scale) -> list[Row]:
    """Batches on disk, less the bare sync of the same bytes."""
    count = scale.batches[1]
    session = sessions.fresh(OURS)
    try:
        with tempfile.TemporaryDirectory(prefix="memorygraph-bench-") as directory:
            measured = session.ask("durable", directory=directory, batches=scale.durable_batches, count=count)
    finally:
        session.close()
    own_us = median(batch["write_s"] - batch["sync_s"] for batch in measured) * US / count
    sync_us = median(batch["sync_s"] for batch in measured) * US / count
    name = f"durable add_nodes of {count:,} (text, vector), per node"
    return [
        Row(section="durable", name=f"{name}, less the sync", unit="us", ours=own_us, goal="durable"),
        Row(section="durable", name="the bare sync of the same bytes, per node", unit="us", ours=sync_us),
        Row(
            section="durable",
            name="bytes in the log per node",
            unit="B",
            ours=median(batch["frame_bytes"] for batch in measured) / count,
        ),
    ]


def bytes_(sessions: Sessions, scale: Scale) -> list[Row]:
    """Bytes by part, and the memory of the whole process beside them."""
    return [*_node_bytes(sessions, scale), *_edge_bytes(sessions, scale)]


def replay(sessions: Sessions, scale: Scale) -> list[Row]:
    """The graph from its log in memory, as opening does it, without the search index; the first pass is left out."""
    rows = []
    for mix, says in (("singles", "texts remembered one by one"), ("mix", "mix of batches and single texts")):
        session = sessions.fresh(OURS)
        try:
            found = session.ask("replay", mix=mix, size=scale.replayed, passes=scale.replays)
        finally:
            session.close()
        taken_s = median(found["taken_s"][1:])
        each_edge = (found["nodes"] + found["edges"]) / taken_s
        recorded = f"{found['records']:,} records, {found['events']:,} events, {found['edges']:,} edges"
        rows += [
            Row(
                section="replay",
                name=f"replay, {says}: nodes and edges",
                unit="events/s",
                ours=each_edge,
                goal=f"replay-{mix}",
            ),
            Row(
                section="replay",
                name=f"the same, counting events of the log ({recorded})",
                unit="events/s",
                ours=found["events"] / taken_s,
            ),
        ]
    return rows


Section = Callable[[Sessions, Scale], list[Row]]
SECTIONS: Final[dict[str, Section]] = {
    "add": add,
    "batch": batch,
    "remember": remember,
    "search": search,
    "durable": durable,
    "bytes": bytes_,
    "replay": replay,
}


def _node_bytes(sessions: Sessions, scale: Scale) -> list[Row]:
    """Check columns and ids per bare node at the full size and where the ids' dictionary has just grown before it."""
    session = sessions.fresh(OURS)
    try:
        measured = dict(session.ask("node_bytes", nodes=scale.huge))
    finally:
        session.close()
    after_resize = dictionary_resizes(scale.huge)[-2:]
    worst = max((scale.huge, *after_resize), key=lambda size: measured[size])
    where = ", ".join(f"{size:,}" for size in sorted({scale.huge, *after_resize}))
    return [
        Row(
            section="bytes",
            name=f"node without vector and text, the worst of {where} nodes",
            unit="B",
            ours=measured[worst],
            goal="node-bytes",
        ),
        Row(section="bytes", name=f"the same at {scale.huge:,} nodes", unit="B", ours=measured[scale.huge]),
    ]


def _edge_bytes(sessions: Sessions, scale: Scale) -> list[Row]:
    grown = {package: _grown(sessions.fresh(package), scale) for package in sessions.packages}
    found = grown[OURS]["edge"]
    edges = f"{found['edges']:,} edges at degree {2 * EDGES_PER_NODE}"
    return [
        Row(
            section="bytes",
            name=f"edge: columns and both directions, {edges}",
            unit="B",
            ours=found["adjacency"],
            goal="edge-bytes",
        ),
        Row(section="bytes", name="edge: its identity, counted among the ids", unit="B", ours=found["identity"]),
        *[
            Row(
                section="bytes",
                name=f"process memory (RSS) per {what}, log included",
                unit="B",
                ours=grown[OURS][key],
                peer=grown[PEER][key] if PEER in grown else None,
            )
            for what, key in (("node without vector and text", "node_rss"), ("edge", "edge_rss"))
        ],
    ]


def _grown(session: Session, scale: Scale) -> dict[str, Any]:
    """Fill a fresh process with bare nodes and then edges; RSS per node and per edge, and our edges' bytes by part."""
    nodes, edges = scale.large, EDGES_PER_NODE * scale.large
    try:
        session.ask("fill", nodes=nodes, bare=True)
        filled = session.ask("rss_bytes")
        ours = session.package == OURS
        edge = session.ask("edge_bytes" if ours else "add_edges", count=edges)
        linked = session.ask("rss_bytes")
    finally:
        session.close()
    return {"node_rss": (filled - session.start_bytes) / nodes, "edge_rss": (linked - filled) / edges, "edge": edge}


def keys_of(sessions: Sessions, sizes: tuple[int, ...], peer_sizes: tuple[int, ...]) -> list[tuple[str, int]]:
    """Ours and the older package's by turns."""
    wanted = [key for size in sizes for key in ((OURS, size), (PEER, size))]
    return [key for key in wanted if key[0] in sessions.packages and (key[0] == OURS or key[1] in peer_sizes)]


def medians_us(
    sessions: Sessions,
    do: str,
    sizes: tuple[int, ...],
    peer_sizes: tuple[int, ...],
    rounds: tuple[int, int],
    how: str = "fill",
) -> dict[tuple[str, int], float]:
    keys = keys_of(sessions, sizes, peer_sizes)
    samples = alternate(sessions.filled(keys, how), do, *rounds)
    return {key: median(kept) * US for key, kept in zip(keys, samples, strict=True)}


def rows_of(
    section: str, name: str, found: dict[tuple[str, int], float], goals: dict[int, str], unit: str = "us"
) -> list[Row]:
    return [
        Row(
            section=section,
            name=f"{name}, {size:,} nodes",
            unit=unit,
            ours=value,
            peer=found.get((PEER, size)),
            goal=goals.get(size),
        )
        for (package, size), value in found.items()
        if package == OURS
    ]
