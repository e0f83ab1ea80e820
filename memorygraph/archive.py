"""``MemoryArchiver``: cold memories are put away: nothing finds them, and they come back whole.

Archiving is an event. What is in the archive keeps its edges, vectors and history; it is left out of recall, reason,
search, spreading, queries and counts, and of what is forgotten for having faded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from memorygraph import checks
from memorygraph.actors.commands import (
    ArchiveNodes,
    Describe,
    Everything,
    FindNodes,
    GetNodes,
    Query,
    Recall,
    RestoreNodes,
    Summary,
)
from memorygraph.actors.sight_queries import InSight
from memorygraph.actors.viewing import ViewEngine
from memorygraph.core.graph import HasGraph, MemoryGraph, graph_in
from memorygraph.core.node import MemoryNode
from memorygraph.drafts import CHUNK_ITEMS, id_of
from memorygraph.embeddings import HashingEmbedder, embed_batch
from memorygraph.events.errors import InputError, NodeNotFoundError
from memorygraph.events.types import ConsolidationState, DecayFunction, MemoryType
from memorygraph.hits import Hits, hit_of
from memorygraph.persistence.contents import Contents, edge_states
from memorygraph.persistence.contents import restore as add_contents
from memorygraph.persistence.json_backend import JSONBackend
from memorygraph.projections.contents import columns_of
from memorygraph.projections.frame import NodeState
from memorygraph.projections.selecting import OneOf
from memorygraph.projections.sight import Sight

_ARCHIVE: Final = Sight(archive="only")
_TRIES_MAX: Final = 5  # of a run whose memories are forgotten by others meanwhile


class ArchivePolicy(Struct, frozen=True, kw_only=True):
    """Which memories are cold: all that is said must hold.

    Args:
        max_importance, max_retention: at most so important, and at most so much left of it now (0..1).
        min_age_seconds: recorded at least so long ago.
        min_idle_seconds: not recalled (or recorded) for at least so long.
        protect_importance: from this importance on a memory stays, whatever else holds. Permanent ones (long-term, or
            without decay) stay, too.
        custom: a function of yours that passes those that may go.
    """

    max_importance: float = 0.3
    max_retention: float = 0.25
    min_age_seconds: float = 0.0
    min_idle_seconds: float = 0.0
    protect_importance: float = 0.9
    custom: Callable[[MemoryNode], bool] | None = None


class MemoryArchiver:
    """Puts memories of a graph away and brings them back.

    Args:
        graph: a ``MemoryGraph``, or the ``AgentMemory`` that has one. Of a view of a pool only what the agent owns is
            put away.
    """

    def __init__(self, graph: MemoryGraph | HasGraph) -> None:
        self._graph = graph_in(graph)
        self._home = self._graph._home

    def run(self, policy: ArchivePolicy | None = None) -> list[str]:
        """Put away what a policy says is cold, and return the ids; in commands of at most 1,000 memories."""
        policy = ArchivePolicy() if policy is None else policy
        if not isinstance(policy, ArchivePolicy):
            raise InputError(f"policy must be an ArchivePolicy(...), not {checks.shown(policy)}")
        for attempts_left in reversed(range(_TRIES_MAX)):
            done: list[str] = []
            try:
                for ids in self._chunks(self._cold(policy)):
                    self._home.execute(ArchiveNodes(ids=ids, reason="cold"))
                    done += ids
                break
            except NodeNotFoundError:  # somebody forgot one meanwhile
                if not attempts_left:
                    raise
        return done

    def archive_node(self, id: str | MemoryNode, *, reason: str = "", command_id: str | None = None) -> MemoryNode:
        """Put one memory away, whatever it is, and return it.

        Raises:
            NodeNotFoundError: there is no such memory, or it is in the archive already.
        """
        name = checks.identifier("id", id_of(id))
        operation = ArchiveNodes(ids=[name], reason=checks.note("reason", reason))
        self._home.execute(operation, command_id=command_id)
        return self.get(name)

    def restore(self, id: str | MemoryNode, *, command_id: str | None = None) -> MemoryNode:
        """Bring a memory back as it was, with its edges, and return it.

        Raises:
            NodeNotFoundError: there is no such memory in the archive.
        """
        name = checks.identifier("id", id_of(id))
        self._home.execute(RestoreNodes(ids=[name]), command_id=command_id)
        return self._graph.get_node(name)

    def restore_all(self) -> list[str]:
        """Bring everything back, and return the ids."""
        ids = [node.id for node in self.nodes()]
        for some in self._chunks(ids):
            self._home.execute(RestoreNodes(ids=some))
        return ids

    def get(self, id: str | MemoryNode) -> MemoryNode:
        """Return a memory that is in the archive.

        Raises:
            NodeNotFoundError: it is not.
        """
        name = checks.identifier("id", id_of(id))
        states, position = self._ask(GetNodes(ids=[name]))
        if states[0] is None:
            raise NodeNotFoundError(f"there is no node {name!r} in the archive of this memory", id=name)
        return self._view(states[0], position)

    def nodes(self) -> list[MemoryNode]:
        """Return every memory in the archive, oldest first."""
        states, position = self._ask(FindNodes(vectors=True))
        return [self._view(state, position) for state in states]

    def search_archive(self, query: Any, k: int = 10) -> Hits:
        """Return the k memories in the archive that answer a text, or a vector, best first, as ``recall`` does.

        They stay in the archive, and it is not noted that they were looked at.
        """
        text = checks.content(query, self._home.limits) if isinstance(query, str) else None
        vector = b"" if text is not None else checks.question(query)
        space = self._home.engine.ask(Describe()).value.space
        embedder = self._home.embedders.of(space)
        if text is not None and embedder is not None and not isinstance(embedder, HashingEmbedder):
            vector = embed_batch(embedder, [text])[0]
        asked = Recall(text=text, vector=vector, k=checks.count("k", k, 1, self._home.limits.k_max))
        found, position = self._ask(asked)
        return Hits((hit_of(hit) for hit in found), position)

    def stats(self) -> dict[str, Any]:
        """Return how many memories are in the archive, of which types, and how many are in use."""
        archived, _ = self._ask(Summary(bytes_too=False))
        kinds = {MemoryType.from_code(code).value: count for code, count in sorted(archived.types.items())}
        return {"archived": archived.about.nodes, "active": len(self._graph), "by_type": kinds}

    def save(self, path: str | Path) -> None:
        """Write what is in the archive to a JSON file: memories, and the edges between them.

        Edges to memories that are in use stay with the graph.
        """
        about, position = self._ask(Describe())
        (nodes, edges), _ = self._ask(Everything())
        contents = Contents(
            name=about.name,
            language=about.language,
            position=position,
            embedding_dim=self._graph.embedding_dim,
            space=about.space,
            nodes=nodes,
            edges=edges,
        )
        JSONBackend().save(contents, path)

    def load(self, path: str | Path) -> list[str]:
        """Add to the archive what ``save`` wrote, but for memories that are here already; return the ids.

        Raises:
            ImportFormatError: the file is something else, or damaged.
        """
        contents = JSONBackend().load(path)
        here = {node.id for node in self.nodes()}
        nodes = [replace(node, archived=True) for node in contents.nodes if node.id not in here]
        nodes = [node for node in nodes if node.id not in self._graph]
        ids = {node.id for node in nodes}
        edges = [edge for edge in edge_states(contents.edges) if {edge.source_id, edge.target_id} <= ids]
        add_contents(replace(contents, nodes=nodes, edges=columns_of(edges)), self._home)
        return [node.id for node in nodes]

    def __len__(self) -> int:
        archived: int = self._ask(Describe())[0].nodes
        return archived

    def __contains__(self, id: object) -> bool:
        name = id.id if isinstance(id, MemoryNode) else id
        return isinstance(name, str) and self._ask(GetNodes(ids=[name]))[0][0] is not None

    def _cold(self, policy: ArchivePolicy) -> list[str]:
        permanent = OneOf(column="decay_function", codes=(DecayFunction.NO_DECAY.code,), excluded=True)
        settled = OneOf(column="consolidation_state", codes=(ConsolidationState.LONG_TERM.code,), excluded=True)
        idle_since = self._home.clock.now_us() / 1e6 - checks.number(
            "min_idle_seconds", policy.min_idle_seconds, 0.0, 1e12
        )
        query = (
            self._graph.query()
            .importance(lte=checks.within("max_importance", policy.max_importance, 0.0, 1.0))
            .importance(lt=policy.protect_importance)
            .retention(lte=checks.within("max_retention", policy.max_retention, 0.0, 1.0))
            ._selecting(codes=(permanent, settled))
        )
        if policy.min_age_seconds:
            query = query.older_than(policy.min_age_seconds)
        if policy.min_idle_seconds:
            query = query.accessed_before(idle_since)
        if policy.custom is not None:
            query = query.where(policy.custom)
        if isinstance(self._home.engine, ViewEngine):
            query = query.owner(self._home.engine.viewer.agent)
        return query.ids()

    def _chunks(self, ids: list[str]) -> Iterator[list[str]]:
        return (ids[first : first + CHUNK_ITEMS] for first in range(0, len(ids), CHUNK_ITEMS))

    def _ask(self, asked: Query) -> tuple[Any, int]:
        answer = self._home.engine.ask(InSight(sight=_ARCHIVE, asked=asked))
        return answer.value, answer.position

    def _view(self, state: NodeState, position: int) -> MemoryNode:
        return MemoryNode._view(state, self._home, position)
