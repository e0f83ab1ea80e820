"""The documented home of enums, errors and limits; most are defined on the floors below and handed on here."""

from __future__ import annotations

from enum import Enum

from memorygraph.events.errors import (
    BackupMismatch,
    BatchTooLarge,
    ClosedError,
    CommandExpired,
    CommandIdReused,
    ConflictError,
    ConsolidationError,
    ContentTooLongError,
    DamagedLog,
    DamagedSnapshot,
    DiskFull,
    DuplicateIdError,
    EdgeNotFoundError,
    EmbedderFailed,
    EmbedderMismatch,
    EmbeddingDimensionError,
    ExpectationFailed,
    Fenced,
    FleetError,
    ForeignStore,
    FrozenViewError,
    HostFailed,
    ImportFormatError,
    InputError,
    InvalidVectorError,
    LogFailed,
    LogLocked,
    MemoryGraphError,
    NewerFormat,
    NewerSchema,
    NodeNotFoundError,
    NotHosted,
    NotOwnerError,
    Overloaded,
    PositionNotKept,
    ShardError,
    ShardMismatch,
    StoreError,
    StoreNotFound,
    StoreReadOnly,
    TimedOut,
    TimeFormatError,
    TransactionConflict,
    TransactionLost,
    Unreachable,
    WorkingMemoryCapacityError,
)
from memorygraph.events.types import (
    LIMITS,
    ConsolidationState,
    DecayFunction,
    EdgeType,
    Limits,
    MemoryType,
    Partition,
    Scope,
)
from memorygraph.stats import MemoryStats as GraphStats


class ImportanceLevel(float, Enum):
    """Named importances."""

    TRIVIAL = 0.1
    LOW = 0.25
    MEDIUM = 0.5
    MODERATE = 0.5  # noqa: PIE796 - another name of the same level
    HIGH = 0.75
    CRITICAL = 0.9
    PERMANENT = 1.0


class RetrievalStrategy(Enum):
    """How a memory was come to; a result of a search says it as ``strategy``."""

    SIMILARITY = "similarity"  # MemoryGraph.similarity_search
    TEMPORAL = "temporal"  # MemoryTimeline, MemoryGraph.query_temporal
    IMPORTANCE = "importance"  # MemoryGraph.query_by_importance
    SPREADING = "spreading"  # SpreadingActivation
    NEURAL = "neural"  # learned retrieval
    HYBRID = "hybrid"  # AgentMemory.recall: words, names and vectors
    CUED_RECALL = "cued_recall"  # AgentMemory.reason, from a cue
    FREE_RECALL = "free_recall"  # without a cue: MemoryTimeline.recent


__all__ = [
    "LIMITS",
    "BackupMismatch",
    "BatchTooLarge",
    "ClosedError",
    "CommandExpired",
    "CommandIdReused",
    "ConflictError",
    "ConsolidationError",
    "ConsolidationState",
    "ContentTooLongError",
    "DamagedLog",
    "DamagedSnapshot",
    "DecayFunction",
    "DiskFull",
    "DuplicateIdError",
    "EdgeNotFoundError",
    "EdgeType",
    "EmbedderFailed",
    "EmbedderMismatch",
    "EmbeddingDimensionError",
    "ExpectationFailed",
    "Fenced",
    "FleetError",
    "ForeignStore",
    "FrozenViewError",
    "GraphStats",
    "HostFailed",
    "ImportFormatError",
    "ImportanceLevel",
    "InputError",
    "InvalidVectorError",
    "Limits",
    "LogFailed",
    "LogLocked",
    "MemoryGraphError",
    "MemoryType",
    "NewerFormat",
    "NewerSchema",
    "NodeNotFoundError",
    "NotHosted",
    "NotOwnerError",
    "Overloaded",
    "Partition",
    "PositionNotKept",
    "RetrievalStrategy",
    "Scope",
    "ShardError",
    "ShardMismatch",
    "StoreError",
    "StoreNotFound",
    "StoreReadOnly",
    "TimeFormatError",
    "TimedOut",
    "TransactionConflict",
    "TransactionLost",
    "Unreachable",
    "WorkingMemoryCapacityError",
]
