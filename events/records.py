"""What the log holds: event structs, the record around them, and their codec (decision 0001, section 2).

An event is a frozen struct that travels as a MessagePack map of its non-default fields. Structs never inherit
fields; a released struct only gains fields at its end, with defaults, and unknown fields are skipped, so both old and
new logs stay readable. Decoding checks types only; rules live in the commands that make events.

A record is what one command did: who, when, under which id, and its events, each packed as [type, schema, payload].
Times are microseconds since the Unix epoch. Floats are IEEE doubles. Vectors are little-endian float32 bytes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from memorygraph.events.errors import DamagedLog, NewerSchema
from memorygraph.events.types import Partition

PUBLIC: Final = Partition()
# A float is left off the wire if it is the default object itself, so who makes events takes these for equal values.
COMMON: Final = {value: value for value in (0.0, 0.5, 1.0)}


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of the event structs; it has no fields and never will."""


class MemoryCreated(Event, frozen=True, kw_only=True):
    """The first event of a log: the memory's name and the language of its texts (an ISO 639-1 code)."""

    name: str = ""
    language: str = "en"


class SpaceDeclared(Event, frozen=True, kw_only=True):
    """A vector space and the embedder that makes its vectors; ``space`` is the number vectors carry (1..65535)."""

    space: int
    name: str
    version: str = ""
    dim: int
    normalised: bool = False


class ReviewCard(Struct, frozen=True, omit_defaults=True, gc=False):
    """A memory's place in a review schedule. Times are microseconds; ``grades`` are the last 128, in 0..1.

    ``model`` is a code of ``ReviewModel``. Stability, difficulty and repetitions are told of in
    ``projections/review_terms.py``.
    """

    model: int
    stability_days: float
    difficulty: float
    repetitions: int
    reviewed_us: int
    due_us: int
    grades: tuple[float, ...] = ()


class NodeAdded(Event, frozen=True, kw_only=True):
    """A memory came into being. ``vector`` is empty when it has none; ``occurred_us`` None means when recorded.

    ``recorded_us``, ``access_count``, ``access_times_us``, ``archived`` and ``review`` are set when it was brought over
    from elsewhere, where it was first recorded at that time, recalled and reviewed since, and put away. From
    ``expires_us`` on it is to be forgotten (None: never). ``owner`` is the agent whose memory it is (None: nobody's in
    particular).
    """

    id: str = ""
    content: str = ""
    memory_type: int = 2
    importance: float = COMMON[0.5]
    emotional_valence: float = COMMON[0.0]
    confidence: float = COMMON[1.0]
    consolidation_state: int = 1
    decay_function: int = 1
    decay_rate: float = COMMON[1.0]
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    occurred_us: int | None = None
    speaker: str | None = None
    session: str | int | None = None
    source: str | None = None
    space: int = 0
    vector: bytes = b""
    partition: Partition = PUBLIC
    recorded_us: int | None = None
    access_count: int = 0
    access_times_us: tuple[int, ...] = ()
    expires_us: int | None = None
    owner: str | None = None
    archived: bool = False
    review: ReviewCard | None = None


class NodeRevised(Event, frozen=True, kw_only=True):
    """Fields of a memory were replaced; a field that is not on the wire was left as it was."""

    id: str
    content: str | UnsetType = UNSET
    memory_type: int | UnsetType = UNSET
    importance: float | UnsetType = UNSET
    emotional_valence: float | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    consolidation_state: int | UnsetType = UNSET
    decay_function: int | UnsetType = UNSET
    decay_rate: float | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    occurred_us: int | UnsetType | None = UNSET
    speaker: str | UnsetType | None = UNSET
    session: str | int | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    space: int | UnsetType = UNSET
    vector: bytes | UnsetType = UNSET
    expires_us: int | UnsetType | None = UNSET


class NodesForgotten(Event, frozen=True, kw_only=True):
    """Memories left the graph, with every edge they had. Forgotten is not erased: the log still tells of them.

    ``neighbours`` are the memories that lost an edge by it, for who reads the log.
    """

    ids: tuple[str, ...]
    reason: str = ""
    neighbours: tuple[str, ...] = ()


class NodesReinforced(Event, frozen=True, kw_only=True):
    """Importance rose: I += delta (1 - I), one delta per id."""

    ids: tuple[str, ...]
    deltas: tuple[float, ...]


class AccessesRecorded(Event, frozen=True, kw_only=True):
    """Memories were recalled: one id and one time (microseconds) per access.

    ``shown`` were given in answer to an audited recall, too, without being reinforced.
    """

    ids: tuple[str, ...]
    times_us: tuple[int, ...]
    shown: tuple[str, ...] = ()


class EdgesAdded(Event, frozen=True, kw_only=True):
    """Edges came into being, as columns of equal length; an empty column means the default for all.

    ``sources`` and ``targets`` are node ids. ``weights`` and ``confidences`` are single precision values. ``ids`` are
    chosen ids ('' for none). The n-th edge of a record at position p has the identity (p, n), written ``p.n``.
    """

    sources: list[str]
    targets: list[str]
    weights: list[float] = []
    types: list[int] = []
    undirected: list[bool] = []
    confidences: list[float] = []
    metadata: list[dict[str, Any]] = []
    ids: list[str] = []


class EdgeRevised(Event, frozen=True, kw_only=True):
    """Fields of an edge were replaced. ``nodes``, here and below: the ends of the edges, for who reads the log."""

    id: str
    edge_type: int | UnsetType = UNSET
    weight: float | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    nodes: tuple[str, ...] = ()


class EdgesStrengthened(Event, frozen=True, kw_only=True):
    """Hebbian update of edges: w += delta (1 - w) - decay w, clipped to 0..1."""

    ids: tuple[str, ...]
    delta: float
    decay: float = 0.0
    nodes: tuple[str, ...] = ()


class EdgesRemoved(Event, frozen=True, kw_only=True):
    """Edges left the graph."""

    ids: tuple[str, ...]
    reason: str = ""
    nodes: tuple[str, ...] = ()


class AccessesFolded(Event, frozen=True, kw_only=True):
    """What the accesses of memories came to, said once, so that older access records need not be kept.

    The columns are what each memory has at this position: how often it was recalled, when last, and the last times.
    """

    ids: tuple[str, ...]
    access_counts: tuple[int, ...]
    accessed_us: tuple[int, ...]
    access_times_us: tuple[tuple[int, ...], ...]


class RecordsReplaced(Event, frozen=True, kw_only=True):
    """Records were chosen to be replaced by their hashes: what they said leaves the log after this is written.

    ``records`` are chosen now, the last of them at position ``up_to``; ``replaced`` is how many are replaced in all
    when that is done, those of earlier times included. ``memories`` are those whose content leaves by it.
    """

    up_to: int
    records: int
    replaced: int
    reason: str = ""
    memories: int = 0


class VectorsAdded(Event, frozen=True, kw_only=True):
    """Memories got vectors of a space that is not active yet, one vector per id."""

    space: int
    ids: tuple[str, ...]
    vectors: tuple[bytes, ...]


class SpaceActivated(Event, frozen=True, kw_only=True):
    """A space took the place of the active one: from here on the memories' vectors are those that it has."""

    space: int


class ReviewsRecorded(Event, frozen=True, kw_only=True):
    """Memories were reviewed, or (``begins``) registered for review: one entry of each column per id.

    ``grades`` are in 0..1, the rest is what the schedule's model came to: its code, and of each memory its stability in
    days, difficulty, repetitions, when it was reviewed and when it is due (microseconds).
    """

    ids: tuple[str, ...]
    model: int
    grades: tuple[float, ...]
    stabilities_days: tuple[float, ...]
    difficulties: tuple[float, ...]
    repetitions: tuple[int, ...]
    times_us: tuple[int, ...]
    due_us: tuple[int, ...]
    begins: bool = False


class ReviewsEnded(Event, frozen=True, kw_only=True):
    """Memories were taken out of their review schedule; they stay in the memory."""

    ids: tuple[str, ...]


class AttentionLost(Event, frozen=True, kw_only=True):
    """Memories fell out of a working memory: from which slots (codes), how active they still were, and why."""

    ids: tuple[str, ...]
    slots: tuple[int, ...]
    activations: tuple[float, ...]
    reason: str = ""


class NodesArchived(Event, frozen=True, kw_only=True):
    """Memories were put away: nothing finds them until they are restored. They keep all they have, edges too."""

    ids: tuple[str, ...]
    reason: str = ""


class NodesRestored(Event, frozen=True, kw_only=True):
    """Memories came back from the archive as they were."""

    ids: tuple[str, ...]


class NodesMoved(Event, frozen=True, kw_only=True):
    """Memories went to another partition: who may see them changed."""

    ids: tuple[str, ...]
    partition: Partition


# Type numbers are for ever: never reused, never renumbered.
EVENT_TYPES: Final[dict[int, type[Event]]] = {
    1: MemoryCreated,
    2: SpaceDeclared,
    3: NodeAdded,
    4: NodeRevised,
    5: NodesForgotten,
    6: NodesReinforced,
    7: AccessesRecorded,
    8: EdgesAdded,
    9: EdgeRevised,
    10: EdgesStrengthened,
    11: EdgesRemoved,
    12: AccessesFolded,
    13: RecordsReplaced,
    14: VectorsAdded,
    15: SpaceActivated,
    19: ReviewsRecorded,
    20: AttentionLost,
    21: ReviewsEnded,
    16: NodesArchived,
    17: NodesRestored,
    18: NodesMoved,
}
EVENT_CODES: Final[dict[type[Event], int]] = {cls: code for code, cls in EVENT_TYPES.items()}
SCHEMA: Final = 1


class PackedEvent(Struct, frozen=True, array_like=True, gc=False):
    """An event on the wire: its type number, the schema it was written with, and its encoded payload."""

    type: int
    schema: int
    payload: bytes


class Record(Struct, frozen=True, array_like=True, gc=False):
    """What one command did, as one atomic entry of the log.

    ``body_hash`` is 16 bytes of SHA-256 over the command's body, or empty if its id was drawn for it. ``flags``,
    ``partition`` (None: the events' own) and ``subject`` are reserved for sealing, routing and erasure. A command that
    changed nothing has no events.
    """

    command_id: str
    body_hash: bytes
    principal: str
    provenance: dict[str, str]
    time_us: int
    flags: int
    partition: Partition | None
    subject: str
    events: tuple[PackedEvent, ...]


_encoder = msgspec.msgpack.Encoder()
_record_decoder = msgspec.msgpack.Decoder(Record)
_event_decoders: Final = {code: msgspec.msgpack.Decoder(cls) for code, cls in EVENT_TYPES.items()}
_DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def pack_event(event: Event) -> PackedEvent:
    """Encode one event."""
    return PackedEvent(EVENT_CODES[type(event)], SCHEMA, _encoder.encode(event))


def encode_record(record: Record) -> bytes:
    """Encode a record to the bytes that the log keeps."""
    return _encoder.encode(record)


def decode_record(data: bytes | memoryview, position: int) -> Record:
    """Decode a record's own fields; its events stay packed.

    Raises:
        DamagedLog: the bytes are not a record.
    """
    try:
        return _record_decoder.decode(data)
    except _DECODE_ERRORS as error:
        raise DamagedLog(f"the record at position {position} cannot be decoded: {error}", position=position) from error


def unpack_event(packed: PackedEvent, position: int) -> Event:
    """Decode one packed event of the record at ``position``.

    Raises:
        NewerSchema: the event's type is not known to this release.
        DamagedLog: the payload is not such an event.
    """
    decoder = _event_decoders.get(packed.type)
    if decoder is None:
        raise NewerSchema(
            f"position {position} holds an event of type {packed.type}, which this release does not know; "
            "update memorygraph to read this log",
            position=position,
            type=packed.type,
        )
    try:
        return decoder.decode(packed.payload)
    except _DECODE_ERRORS as error:
        raise DamagedLog(
            f"an event of type {packed.type} at position {position} cannot be decoded: {error}", position=position
        ) from error
