"""Write the reference of the public names: ``python docs/make_api.py``.

Names, signatures and first sentences are those of the code; a test writes the page again and compares.
"""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import memorygraph

PAGE: Final = Path(__file__).with_name("api.md")
TOP: Final = "memorygraph"
MODULES: Final[dict[str, tuple[str, ...]]] = {
    TOP: tuple(memorygraph.__all__),
    "memorygraph.query": ("MemoryQuery",),
    "memorygraph.hooks": ("Hooks", "HookEvent", "HookError", "CounterPlugin", "LoggingPlugin"),
    "memorygraph.timeline": ("TimelineEvent",),
    "memorygraph.graphops": ("EdgeKey",),
    "memorygraph.retrieval.spreading": ("ActivationResult",),
    "memorygraph.memory.working": ("WorkingMemoryItem",),
    "memorygraph.decay.forgetting": ("retentions",),
    "memorygraph.decay.models": (),
    "memorygraph.persistence.storage": ("StorageBackend",),
    "memorygraph.viz": (),
    "memorygraph.ingest": (),
    "memorygraph.benchmark": ("run_all", "BenchmarkReport", "Measurement"),
    "memorygraph.core.types": (),
}
"""Where to import from, and what; nothing named: the ``__all__`` of that module."""
