"""What travels through a fleet: the calls to hosts and to the directory, and what they answer with, as plain data.

Each call says in its docstring what it answers with. ``lane`` is which calls it may have to wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from msgspec import Raw, Struct

from memorygraph.actors.commands import Command
from memorygraph.actors.compaction import RetentionPolicy
from memorygraph.actors.engine import Engine, Saved
from memorygraph.actors.fleet.placement import Member, Table
from memorygraph.actors.fleet.transport import CONTROL, READ, WAIT, WRITE
from memorygraph.events.heads import SignedHead
from memorygraph.events.log import Head, VerifyReport
from memorygraph.events.records import PackedEvent
from memorygraph.projections.sight import Sight


class Founding(Struct, frozen=True, kw_only=True):
    """What is recorded of a memory when it is made; see ``LocalEngine``."""

    name: str
    language: str = "en"
    principal: str = ""
    provenance: dict[str, str] = {}


class Step(Struct, frozen=True):
    """A call of a session (a transaction of a caller far away): its token, and the call's number in it from 0 on."""

    token: str
    number: int


class PinnedAt(Struct, frozen=True):
    """A view that a host keeps for a while under a token; it can be made anew from its position, unless it is None.

    None: it showed a transaction as it stood.
    """

    token: str
    position: int | None


class HostCall(Struct, frozen=True, tag_field="call", kw_only=True):
    """A call about one memory; ``table`` is the version of the table that named the host."""

    lane: ClassVar[str] = READ
    memory: str
    table: int = 0


class Open(HostCall, frozen=True, kw_only=True):
    """Begin to use a memory, which is made if it is not there and ``founding`` is given -> ``Opened``."""

    lane: ClassVar[str] = WRITE
    founding: Founding | None = None


class Do(HostCall, frozen=True, kw_only=True):
    """Call a method of the engine that takes no arguments, or read a property -> what it gives (``DEEDS``)."""

    deed: str


class DoSlowly(Do, frozen=True, kw_only=True):
    """As ``Do``, for what may take long or writes."""

    lane: ClassVar[str] = WRITE


class Execute(HostCall, frozen=True, kw_only=True):
    """Carry out a command -> ``Done``."""

    lane: ClassVar[str] = WRITE
    command: Command
    step: Step | None = None


class Ask(HostCall, frozen=True, kw_only=True):
    """Answer a query (encoded; through ``sight``, if given) -> ``Told``.

    ``seen``: the answer must be true at this position or a later one.
    """

    query: Raw
    sight: Sight | None = None
    seen: int = 0
    view: PinnedAt | None = None
    step: Step | None = None


class Pin(HostCall, frozen=True, kw_only=True):
    """Make a view of a position (None: the newest, in a transaction as it stands) -> ``Pinned``."""

    token: str
    position: int | None = None
    seen: int = 0
    step: Step | None = None


class Begin(HostCall, frozen=True, kw_only=True):
    """Enter a block of a transaction -> the newest position.

    ``drawn_id`` is the id of the transaction's record if the caller chose none (``command_id``).
    """

    lane: ClassVar[str] = WRITE
    step: Step
    drawn_id: str
    command_id: str | None = None
    principal: str = ""
    provenance: dict[str, str] = {}


class End(HostCall, frozen=True, kw_only=True):
    """Leave the innermost block of a transaction -> None; ``undo``: as an exception would."""

    lane: ClassVar[str] = WRITE
    step: Step
    undo: bool = False


class ReadRecords(HostCall, frozen=True, kw_only=True):
    """Read records ``first`` to ``last`` (None: the newest), as many as fit into a page -> ``RecordPage``."""

    first: int
    last: int | None = None
    about: str | None = None


class ReadFrames(HostCall, frozen=True, kw_only=True):
    """Read raw frames from the one that holds position ``first`` on, as many as fit into a page -> ``list[bytes]``."""

    first: int


class Wait(HostCall, frozen=True, kw_only=True):
    """Wait until the newest position is beyond ``position`` -> ``int``: the newest position."""

    lane: ClassVar[str] = WAIT
    position: int
    timeout_s: float


class Compact(HostCall, frozen=True, kw_only=True):
    """Compact the log -> ``CompactionReport``."""

    lane: ClassVar[str] = WRITE
    policy: RetentionPolicy
    principal: str = ""
    provenance: dict[str, str] = {}


AnyHostCall = Open | Do | DoSlowly | Execute | Ask | Pin | Begin | End | ReadRecords | ReadFrames | Wait | Compact


class Opened(Struct, frozen=True, kw_only=True):
    """A memory that is open at a host."""

    memory_id: str
    location: str
    position: int
    read_only: bool


class Done(Struct, frozen=True):
    """A ``Receipt``, its events as the log has them."""

    position: int
    time_us: int
    events: tuple[PackedEvent, ...]
    replayed: bool = False


class Told(Struct, frozen=True):
    """An ``Answer``, its value encoded."""

    position: int
    value: Raw


class Pinned(Struct, frozen=True):
    """A view was made: the position it shows, whether it shows a transaction, and what there is to say of it."""

    position: int
    in_transaction: bool
    notes: tuple[str, ...] = ()


class RecordPage(Struct, frozen=True):
    """Records as the log has them (None: only the hash is kept), by position, on the way to ``last``.

    ``next`` is where to read on, 0: there is no more.
    """

    records: list[tuple[int, bytes | None]]
    next: int
    last: int


class Active(Struct, frozen=True, kw_only=True):
    """A memory that is awake at a host."""

    memory: str
    position: int
    epoch: int
    sessions: int
    idle_s: float


# What ``Do`` does, and the type of what it gives.
DEEDS: Final[dict[str, tuple[Callable[[Engine], Any], Any]]] = {
    "head": (lambda engine: engine.head(), Head),
    "notes": (lambda engine: engine.notes, tuple[str, ...]),
    "log_size_bytes": (lambda engine: engine.log_size_bytes(), int),
    "verify": (lambda engine: engine.verify(), VerifyReport),
    "flush": (lambda engine: engine.flush(), None),
    "snapshot": (lambda engine: engine.snapshot(), Saved),
    "sign_head": (lambda engine: engine.sign_head(), SignedHead),
}


class DirectoryCall(Struct, frozen=True, tag_field="call", kw_only=True):
    """A call to the directory."""

    lane: ClassVar[str] = CONTROL


class GetTable(DirectoryCall, frozen=True, kw_only=True):
    """Which hosts are alive -> ``Table``."""


class Beat(DirectoryCall, frozen=True, kw_only=True):
    """A host is alive, knows this table, and has these memories awake -> ``Table``."""

    member: Member
    known: Table
    active: tuple[Active, ...] = ()


class Leave(DirectoryCall, frozen=True, kw_only=True):
    """A host is going to stop -> ``Table``."""

    name: str


class Suspect(DirectoryCall, frozen=True, kw_only=True):
    """A caller could not reach a host -> ``Table``; one that does not beat soon is taken to be dead."""

    name: str


class GetStatus(DirectoryCall, frozen=True, kw_only=True):
    """What the directory knows -> ``FleetStatus``."""


AnyDirectoryCall = GetTable | Beat | Leave | Suspect | GetStatus


class HostStatus(Struct, frozen=True, kw_only=True):
    """A host as the directory knows it: when it was heard of last, and what it had awake then."""

    name: str
    address: str
    silent_s: float
    active: tuple[Active, ...]


class FleetStatus(Struct, frozen=True, kw_only=True):
    """The hosts that are alive."""

    version: int
    hosts: tuple[HostStatus, ...]
