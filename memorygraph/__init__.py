"""memorygraph: an associative, event-sourced memory for agents.

>>> from memorygraph import AgentMemory
>>> memory = AgentMemory()
>>> node = memory.remember("Leyla lives in Istanbul", importance=0.9)
>>> memory.recall("Where does Leyla live?", k=1)[0].content
'Leyla lives in Istanbul'
"""

from memorygraph.actors.compaction import CompactionReport, RetentionPolicy
from memorygraph.agent import AgentMemory
from memorygraph.aio import AsyncAgentMemory, gather_recall
from memorygraph.archive import ArchivePolicy, MemoryArchiver
from memorygraph.context import Context
from memorygraph.core.edge import MemoryEdge
from memorygraph.core.graph import MemoryGraph
from memorygraph.core.node import MemoryNode
from memorygraph.core.types import (
    ConsolidationState,
    DecayFunction,
    EdgeType,
    ImportanceLevel,
    Limits,
    MemoryGraphError,
    MemoryType,
    RetrievalStrategy,
    Scope,
)
from memorygraph.decay.forgetting import SpacedRepetitionScheduler
from memorygraph.embeddings import (
    CallableEmbedder,
    Embedder,
    HashingEmbedder,
    OpenAIEmbedder,
    SentenceTransformerEmbedder,
)
from memorygraph.graphops import GraphDiff, MergeStrategy, diff_graphs, merge_graphs, sync_into
from memorygraph.history import Change, Subscription
from memorygraph.hits import Hits, MemoryHit, Why
from memorygraph.memory.working import WorkingMemoryBuffer, WorkingMemorySlot
from memorygraph.multiagent import AgentView, SharedMemoryPool
from memorygraph.persistence.storage import GraphStorageManager
from memorygraph.retrieval.spreading import SpreadingActivation, SpreadingConfig
from memorygraph.stats import MemoryStats
from memorygraph.timeline import MemoryTimeline
from memorygraph.tokens import estimate_tokens

__all__ = [
    "AgentMemory",
    "AgentView",
    "ArchivePolicy",
    "AsyncAgentMemory",
    "CallableEmbedder",
    "Change",
    "CompactionReport",
    "ConsolidationState",
    "Context",
    "DecayFunction",
    "EdgeType",
    "Embedder",
    "GraphDiff",
    "GraphStorageManager",
    "HashingEmbedder",
    "Hits",
    "ImportanceLevel",
    "Limits",
    "MemoryArchiver",
    "MemoryEdge",
    "MemoryGraph",
    "MemoryGraphError",
    "MemoryHit",
    "MemoryNode",
    "MemoryStats",
    "MemoryTimeline",
    "MemoryType",
    "MergeStrategy",
    "OpenAIEmbedder",
    "RetentionPolicy",
    "RetrievalStrategy",
    "Scope",
    "SentenceTransformerEmbedder",
    "SharedMemoryPool",
    "SpacedRepetitionScheduler",
    "SpreadingActivation",
    "SpreadingConfig",
    "Subscription",
    "Why",
    "WorkingMemoryBuffer",
    "WorkingMemorySlot",
    "diff_graphs",
    "estimate_tokens",
    "gather_recall",
    "merge_graphs",
    "sync_into",
]
