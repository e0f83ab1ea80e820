"""What can be asked of a memory: commands (they change it) and queries (they do not), as plain data.

Both travel through the ``Engine`` port, so they hold no handles, callbacks or arrays, only values that MessagePack
carries. Vectors are little-endian float32 bytes; times are microseconds; enums are their codes.

The rules of good input live in ``memorygraph`` (what a person gave) and in ``decide.py`` (what needs the memory's
state); a command that reaches an engine is well formed.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Struct

from memorygraph.events.records import (
    AttentionLost,
    EdgeRevised,
    EdgesAdded,
    Event,
    NodeAdded,
    NodeRevised,
    RecordsReplaced,
    SpaceDeclared,
)
from memorygraph.events.types import Partition
from memorygraph.projections.filters import OPEN, Filters
from memorygraph.projections.frame import EdgeState
from memorygraph.projections.review import Rules
from memorygraph.projections.sight import Viewer
from memorygraph.projections.window import Window


class Associate(Struct, frozen=True):
    """Link new memories to similar ones: up to ``k`` each, from cosine ``threshold`` on."""

    k: int
    threshold: float


class Operation(Struct, frozen=True, tag_field="op", kw_only=True):
    """Base of the operations; a command is one or more of them, all or nothing."""


class AddNodes(Operation, frozen=True, kw_only=True):
    """Add nodes; those without an id get one.

    ``derived`` are vectors made from the contents by the embedder of ``space`` ('' for none), one per node or none at
    all: they are not part of what the caller said, so they do not enter the body hash. ``supersedes`` are the ids of
    the nodes whose place each takes, one list per node or none at all.
    """

    nodes: list[NodeAdded]
    derived: list[bytes] = []
    space: SpaceDeclared | None = None
    associate: Associate | None = None
    supersedes: list[list[str]] = []


class ReviseNodes(Operation, frozen=True, kw_only=True):
    """Replace fields of nodes; ``expected`` are versions that must be current (0: any), one per node or none at all."""

    changes: list[NodeRevised]
    expected: list[int] = []
    derived: list[bytes] = []
    space: SpaceDeclared | None = None


class ForgetNodes(Operation, frozen=True, kw_only=True):
    """Forget these nodes, with their edges."""

    ids: list[str]
    reason: str = ""


class ForgetFaded(Operation, frozen=True, kw_only=True):
    """Forget up to ``limit`` nodes whose retention is below the threshold; important and long-term ones stay.

    ``ids``: only of these (None: of all).
    """

    retention_threshold: float
    limit: int = 50_000
    reason: str = ""
    ids: list[str] | None = None


class ForgetExpired(Operation, frozen=True, kw_only=True):
    """Forget up to ``limit`` nodes that are to be forgotten by now."""

    limit: int = 10_000


class ReinforceNodes(Operation, frozen=True, kw_only=True):
    """Raise importance by I += delta (1 - I); what comes to ``settles_from`` (None: nothing) advances a state."""

    ids: list[str]
    delta: float
    settles_from: float | None = None


class RecordAccesses(Operation, frozen=True, kw_only=True):
    """Record that nodes were recalled, each at its time; nodes that are gone meanwhile are passed over.

    ``shown`` are nodes that were given in answer without being reinforced; they are recorded also when they are gone.
    So are all that were given in an audited recall: those that are gone are recorded as shown.
    """

    ids: list[str]
    times_us: list[int]
    shown: list[str] = []
    is_audited: bool = False


class FoldAccesses(Operation, frozen=True, kw_only=True):
    """Say once what the accesses of these nodes came to; those that are gone are passed over."""

    ids: list[str]


class TellReplaced(Operation, frozen=True, kw_only=True):
    """Say that records are going to be replaced by their hashes."""

    told: RecordsReplaced


class AddEdges(Operation, frozen=True, kw_only=True):
    """Add edges between nodes that exist."""

    edges: EdgesAdded


class ReviseEdge(Operation, frozen=True, kw_only=True):
    """Replace fields of an edge; ``expected`` is what it must be at present (None: anything)."""

    change: EdgeRevised
    expected: EdgeState | None = None


class StrengthenEdges(Operation, frozen=True, kw_only=True):
    """Hebbian update of edges: w += delta (1 - w) - decay w."""

    ids: list[str]
    delta: float
    decay: float = 0.0


class RemoveEdges(Operation, frozen=True, kw_only=True):
    """Remove edges."""

    ids: list[str]
    reason: str = ""


class DeclareSpace(Operation, frozen=True, kw_only=True):
    """Begin to fill another vector space (``space.space`` is of no meaning here)."""

    space: SpaceDeclared


class AddVectors(Operation, frozen=True, kw_only=True):
    """Give nodes, at these versions, vectors of a space: the one that is being filled, or the active one."""

    space: int
    ids: list[str]
    versions: list[int]
    vectors: list[bytes]


class ActivateSpace(Operation, frozen=True, kw_only=True):
    """Let the space that was filled take the place of the active one."""

    space: int


class RenewLinks(Operation, frozen=True, kw_only=True):
    """Make the links by similarity, from these nodes to older ones, those that their vectors give now."""

    ids: list[str]
    associate: Associate


class RecordReviews(Operation, frozen=True, kw_only=True):
    """Review nodes, each id once, with a grade each; those without a card get their first, as all do with ``begin``.

    ``time_us`` is when it was (None: now); ``rules`` say what comes of it.
    """

    ids: list[str]
    grades: list[float]
    rules: Rules
    time_us: int | None = None
    begin: bool = False


class EndReviews(Operation, frozen=True, kw_only=True):
    """Take nodes out of their review schedule; those without a card are passed over."""

    ids: list[str]


class LoseAttention(Operation, frozen=True, kw_only=True):
    """Record that nodes fell out of a working memory; those that are gone are passed over."""

    lost: AttentionLost


class AdvanceConsolidation(Operation, frozen=True, kw_only=True):
    """Bring a node to the next state of its consolidation."""

    id: str


class MergeSimilar(Operation, frozen=True, kw_only=True):
    """Merge nodes of at least this cosine; the newest ``candidates`` (None: all) are compared with all."""

    threshold: float
    candidates: int | None


class MoveNodes(Operation, frozen=True, kw_only=True):
    """Put nodes into another partition; those that are there stay."""

    ids: list[str]
    partition: Partition


class ArchiveNodes(Operation, frozen=True, kw_only=True):
    """Put nodes away: nothing finds them until they are restored."""

    ids: list[str]
    reason: str = ""


class RestoreNodes(Operation, frozen=True, kw_only=True):
    """Take nodes out of the archive."""

    ids: list[str]


class Command(Struct, frozen=True, kw_only=True):
    """What one caller wants done, under an id that makes it safe to send twice.

    ``id_chosen``: the caller chose the id, so it may come with another body one day, which the body hash tells. An id
    that was drawn for this very command cannot, and a hash of every body would cost as much as applying it.
    ``viewer``: the agent that wants it done; it is decided on what that one sees and owns (None: on everything).
    """

    id: str
    operations: tuple[
        AddNodes
        | ReviseNodes
        | ForgetNodes
        | ForgetFaded
        | ForgetExpired
        | ReinforceNodes
        | RecordAccesses
        | FoldAccesses
        | TellReplaced
        | AddEdges
        | ReviseEdge
        | StrengthenEdges
        | RemoveEdges
        | DeclareSpace
        | AddVectors
        | ActivateSpace
        | RenewLinks
        | RecordReviews
        | EndReviews
        | LoseAttention
        | AdvanceConsolidation
        | MergeSimilar
        | MoveNodes
        | ArchiveNodes
        | RestoreNodes,
        ...,
    ]
    principal: str = ""
    provenance: dict[str, str] = {}
    id_chosen: bool = True
    viewer: Viewer | None = None

    def body_hash(self) -> bytes:
        """Return 16 bytes of SHA-256 over what the caller asked for (ids and vectors that we made left out).

        Empty if the id was not chosen.
        """
        if not self.id_chosen:
            return b""
        body: list[Any] = [_as_said(operation) for operation in self.operations]
        if self.viewer is not None:
            body.append((self.viewer.agent, self.viewer.room, self.viewer.scope))
        return hashlib.sha256(_encode(body)).digest()[:16]


class Receipt(Struct, frozen=True):
    """What became of a command: the record's position, its time and its events; ``replayed`` if it was done before."""

    position: int
    time_us: int
    events: tuple[Event, ...]
    replayed: bool = False


class Query(Struct, frozen=True, tag_field="query", kw_only=True):
    """Base of the queries."""


class GetNodes(Query, frozen=True, kw_only=True):
    """The nodes of these ids -> ``list[NodeState | None]``."""

    ids: list[str]
    vectors: bool = True


class FindNodes(Query, frozen=True, kw_only=True):
    """Nodes that pass the filters, in order of birth -> ``list[NodeState]``."""

    filters: Filters = OPEN
    vectors: bool = False
    offset: int = 0
    limit: int | None = None


class GetEdges(Query, frozen=True, kw_only=True):
    """The edges of these ids -> ``list[EdgeState | None]``."""

    ids: list[str]


class NodeEdges(Query, frozen=True, kw_only=True):
    """The edges of one node ("out", "in" or "both"; an undirected edge is both) -> ``list[EdgeState]``, by birth."""

    id: str
    direction: str = "both"


class AllEdges(Query, frozen=True, kw_only=True):
    """Edges in order of birth -> ``list[EdgeState]``."""

    offset: int = 0
    limit: int | None = None


class Everything(Query, frozen=True, kw_only=True):
    """All live nodes and edges, those in the archive too, as the events that would add them.

    -> ``tuple[list[NodeAdded], EdgesAdded]``
    """


class Recall(Query, frozen=True, kw_only=True):
    """Which memories answer a text, a vector (bytes) or both -> ``list[Hit]``.

    ``space``: the vector's, if known. ``profile``: what else counts, at ``now_us``.
    """

    text: str | None = None
    vector: bytes = b""
    k: int = 5
    threshold: float = 0.0
    filters: Filters = OPEN
    window: Window | None = None
    space: SpaceDeclared | None = None
    profile: str = "relevance"
    now_us: int = 0


class Reason(Query, frozen=True, kw_only=True):
    """What a cue (text, vector or node id) leads to -> ``list[Hit]``."""

    text: str | None = None
    vector: bytes = b""
    node_id: str | None = None
    k: int = 10
    hops: int = 2
    seed_k: int = 3
    filters: Filters = OPEN
    window: Window | None = None
    space: SpaceDeclared | None = None


class Concepts(Query, frozen=True, kw_only=True):
    """What memories name: what is in a text, else what is named most -> ``list[Concept]``."""

    text: str | None = None
    limit: int = 20


class Superseded(Query, frozen=True, kw_only=True):
    """Which of some nodes are not current, each with the one that is -> ``dict[str, str]`` (ids)."""

    ids: list[str]


class Similar(Query, frozen=True, kw_only=True):
    """Nearest nodes by cosine -> ``list[tuple[str, float]]`` (id, cosine), best first.

    ``faiss`` is the share of these that its index may not miss, 0..1; 0: all are found without it.
    """

    vector: bytes
    k: int = 10
    threshold: float = 0.0
    filters: Filters = OPEN
    faiss: float = 0.0


class MissingVectors(Query, frozen=True, kw_only=True):
    """Nodes that have a text and no vector of a space, oldest first -> ``Missing``."""

    space: int
    limit: int


class BornUpTo(Query, frozen=True, kw_only=True):
    """The ids of the live nodes that were added up to a position, oldest first -> ``list[str]``."""

    position: int


class Describe(Query, frozen=True, kw_only=True):
    """What can be said of the memory without looking at its nodes -> ``Description``."""


class Summary(Query, frozen=True, kw_only=True):
    """Counts, means and, with ``bytes_too``, bytes of the whole memory -> ``Overview``."""

    bytes_too: bool = True


class Digest(Query, frozen=True, kw_only=True):
    """The digest of the canonical state -> ``str``; ``gently``: taking rests, for the sake of who else is at work."""

    gently: bool = False


class PositionAt(Query, frozen=True, kw_only=True):
    """The last position recorded at or before a time -> ``int``."""

    time_us: int


class Missing(Struct, frozen=True):
    """How many nodes lack a vector, and the first of them: id, version, content."""

    count: int
    nodes: list[tuple[str, int, str]]


class Description(Struct, frozen=True, kw_only=True):
    """A memory's name and language, its live nodes and edges, its vector space, if any, and the one being filled."""

    name: str
    language: str
    nodes: int
    edges: int
    space: SpaceDeclared | None
    pending: SpaceDeclared | None = None


class Overview(Struct, frozen=True, kw_only=True):
    """What a memory holds, in numbers; distributions count by enum code; times are microseconds (0: no node)."""

    about: Description
    importance_sum: float
    consolidated: int
    types: dict[int, int]
    edge_types: dict[int, int]
    accesses: int
    oldest_us: int
    bytes_by_part: dict[str, int]


class Answer(Struct, frozen=True):
    """A query's value and the position it is true at."""

    position: int
    value: Any


_encode: Final = msgspec.msgpack.Encoder(order="deterministic").encode


def _as_said(operation: Operation) -> Operation:
    """Leave out what we added to the caller's words: vectors, their space, what comes from the memory's settings."""
    if isinstance(operation, AddNodes):
        nodes = [msgspec.structs.replace(node, decay_rate=1.0) for node in operation.nodes]
        return msgspec.structs.replace(operation, nodes=nodes, derived=[], space=None, associate=None)
    if isinstance(operation, ReviseNodes):
        return msgspec.structs.replace(operation, derived=[], space=None)
    return operation
