"""Every error that memorygraph raises, in one tree.

::

    MemoryGraphError
    ├── InputError (ValueError)            what the caller gave cannot be used
    │   ├── ContentTooLongError            a text, tag list or metadata above its limit
    │   ├── InvalidVectorError             NaN, infinity, zero dimensions, not a vector
    │   ├── EmbeddingDimensionError        a vector of another length than the memory's
    │   ├── EmbedderMismatch               a vector of another embedder than the memory's
    │   ├── TimeFormatError                a time that cannot be read
    │   ├── BatchTooLarge                  a command above 8 MiB or 4,096 events
    │   ├── DuplicateIdError               an id that is already taken
    │   ├── NodeNotFoundError (KeyError)   no such node in the memory (or not visible)
    │   ├── EdgeNotFoundError (KeyError)   no such edge in the memory (or not visible)
    │   ├── NotOwnerError (PermissionError) a change of another agent's memory
    │   ├── FrozenViewError (AttributeError) an assignment to a node or edge that the memory handed out
    │   └── ImportFormatError              a file to ingest, load or import that is not what it claims
    ├── ConflictError                      the memory moved on; nothing was written
    │   ├── ExpectationFailed              an expected version is not the current one
    │   ├── TransactionConflict            still in conflict after all retries
    │   │   └── TransactionLost            the host of a transaction was lost, or undid it
    │   ├── CommandIdReused                a command id seen before with another body
    │   └── CommandExpired                 a command id older than the table's horizon
    ├── StoreError                         the log or its directory
    │   ├── StoreNotFound                  no store there
    │   ├── ForeignStore                   a directory or file of something else
    │   ├── NewerFormat                    written by a newer release
    │   ├── DamagedLog                     bytes that fail their checksum or chain
    │   ├── BackupMismatch                 a backup that is of another history than the memory
    │   ├── DamagedSnapshot                a snapshot that cannot be used; the log is read instead
    │   ├── DiskFull                       no space; nothing was acknowledged
    │   ├── LogLocked                      another process holds the log's lock and does not give it back
    │   ├── LogFailed                      a write or sync failed; reopen from disk
    │   │   └── Fenced                     another process took the log over
    │   ├── StoreReadOnly                  a write to a memory opened read-only or to a past view
    │   └── ClosedError                    used after close()
    ├── FleetError                         the hosts that a memory lives on
    │   ├── Unreachable                    nobody answers at an address
    │   ├── TimedOut (TimeoutError)        no answer by the deadline; the command may have been carried out
    │   ├── NotHosted                      the host does not have this memory, or not any more; ask another
    │   └── HostFailed                     a host met an error that is a defect of ours
    ├── EmbedderFailed                     an embedder could not make vectors: no network, no key, a refusal
    ├── Overloaded                         a queue stayed full; ``about`` has ``retry_after_s``
    ├── ShardError                         a shard of a memory that is spread over several
    │   ├── PositionNotKept                a position that it has not come to, or no longer keeps
    │   └── ShardMismatch                  what it says of a position is not what another says
    ├── NewerSchema                        an event type this release does not know
    ├── WorkingMemoryCapacityError
    └── ConsolidationError

Each carries what it was about in ``about`` (ids, positions, expected and found) and survives pickling.
"""

from __future__ import annotations

from typing import Any


def _rebuild(cls: type[MemoryGraphError], message: str, about: dict[str, Any]) -> MemoryGraphError:
    return cls(message, **about)


class MemoryGraphError(Exception):
    """Base of every memorygraph error; ``about`` holds the facts (ids, positions, expected, found)."""

    def __init__(self, message: str, **about: Any) -> None:
        super().__init__(message)
        self.message = message
        self.about = about

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.about)


class InputError(MemoryGraphError, ValueError):
    """What the caller gave cannot be used; nothing was written."""


class ContentTooLongError(InputError):
    """A text, tag list or metadata is above its limit."""


class InvalidVectorError(InputError):
    """The array is not a finite, non-empty vector."""


class EmbeddingDimensionError(InputError):
    """The vector's length is not the memory's dimension."""


class EmbedderMismatch(InputError):
    """The vector comes from another embedder than the one recorded in the memory."""


class TimeFormatError(InputError):
    """The value cannot be read as a time."""


class BatchTooLarge(InputError):
    """One command holds more than 8 MiB or 4,096 events."""


class DuplicateIdError(InputError):
    """The id is already taken in this memory."""


class NodeNotFoundError(InputError, KeyError):
    """No node of that id in the memory, or none that the viewer may see."""


class EdgeNotFoundError(InputError, KeyError):
    """No edge of that id in the memory, or none that the viewer may see."""


class NotOwnerError(InputError, PermissionError):
    """A change of another agent's memory, or one that only the pool's own memory may make."""


class FrozenViewError(InputError, AttributeError):
    """An assignment to a node or edge that the memory handed out; ``revise`` changes it."""


class ImportFormatError(InputError):
    """A file to ingest, load or import is not what it claims to be."""


class ConflictError(MemoryGraphError):
    """The memory moved on under the command; nothing was written."""


class ExpectationFailed(ConflictError):
    """The expected version is not the node's current one."""


class TransactionConflict(ConflictError):
    """The command was still in conflict after all its retries."""


class TransactionLost(TransactionConflict):
    """A transaction ended before its block did: its host was lost, or did not hear of it for too long; do it again."""


class CommandIdReused(ConflictError):
    """The command id was used before with another body."""


class CommandExpired(ConflictError):
    """The command id is older than the command table's horizon."""


class StoreError(MemoryGraphError):
    """The log, or the directory or file that holds it."""


class StoreNotFound(StoreError):
    """There is no store at that path."""


class ForeignStore(StoreError):
    """The path holds something that is not a memorygraph store."""


class NewerFormat(StoreError):
    """The store was written in a format that this release does not know."""


class DamagedLog(StoreError):
    """Bytes of the log fail their checksum or chain."""


class BackupMismatch(StoreError):
    """The backup holds another history than the memory, or more of it."""


class DamagedSnapshot(StoreError):
    """A snapshot fails its checks or is of another history; an older one or the log itself is read instead."""


class DiskFull(StoreError):
    """The disk has no space left; nothing was acknowledged."""


class LogFailed(StoreError):
    """A write or sync failed; nothing is acknowledged until the log is reopened."""


class LogLocked(StoreError):
    """Another process, or another thread of this one, holds the log's lock and does not give it back in time."""


class Fenced(LogFailed):
    """Another process took the log over while this one was writing; open the memory anew.

    ``about["recorded"]`` says of the commit under way whether it is in the log (True, False, or None: not decided yet).
    """


class StoreReadOnly(StoreError):
    """A write to a memory that was opened read-only, or to a view of the past."""


class ClosedError(StoreError):
    """The memory was used after ``close()``."""


class FleetError(MemoryGraphError):
    """What went wrong between a caller and the hosts of a fleet; ``about`` names memory and host, as far as known."""


class Unreachable(FleetError):
    """Nobody answers at an address: the host has died, is starting, or cannot be reached from here."""


class TimedOut(FleetError, TimeoutError):
    """There was no answer by the deadline. A command may have been carried out; the same id is safe to send again."""


class NotHosted(FleetError):
    """The host does not have the memory, or not any more; the directory knows who has it."""


class HostFailed(FleetError):
    """A host met an error that it does not know: a defect of ours, told by its kind and message."""


class EmbedderFailed(MemoryGraphError):
    """An embedder could not make vectors; nothing was written."""


class Overloaded(MemoryGraphError):
    """A queue was full for as long as the caller could wait; ``retry_after_s`` (seconds) says when to try again."""

    @property
    def retry_after_s(self) -> float:
        """After how many seconds to try again."""
        return float(self.about["retry_after_s"])


class ShardError(MemoryGraphError):
    """A shard of a memory that is spread over several; ``about`` names the shard and the position."""


class PositionNotKept(ShardError):
    """The shard has not come to that position yet, or no longer keeps it; ``about["newest"]`` is its newest."""


class ShardMismatch(ShardError):
    """Two shards say different things of one position; the one that is named has to be built anew from the log."""


class NewerSchema(MemoryGraphError):
    """The log holds an event type that this release does not know."""


class WorkingMemoryCapacityError(MemoryGraphError):
    """The working memory slot is full."""


class ConsolidationError(MemoryGraphError):
    """The consolidation step is not in the transition table."""
