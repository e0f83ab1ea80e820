"""The columns of the graph's tables: NumPy types, by name, in the order of ``Table.append``."""

from __future__ import annotations

from typing import Any, Final

NODE_COLUMNS: Final[dict[str, Any]] = {
    "importance": "f8",
    "emotional_valence": "f4",
    "confidence": "f4",
    "decay_rate": "f4",
    "created_us": "i8",
    "occurred_us": "i8",
    "accessed_us": "i8",
    "birth": "i8",
    "version": "i8",
    "access_count": "u4",
    "memory_type": "u1",
    "consolidation_state": "u1",
    "decay_function": "u1",
    "alive": "?",
    "archived": "?",
    "partition": "i4",
    "moved": "i8",
    "vector_row": "i4",
    "text_row": "i4",
    "label_row": "i4",
    "access_times_us": "O",
    "review": "O",
}
EDGE_COLUMNS: Final[dict[str, Any]] = {
    "source": "i4",
    "target": "i4",
    "weight": "f4",
    "edge_type": "u1",
    "flags": "u1",
    "birth": "i8",
    "extras": "O",
}
LABEL_COLUMNS: Final[dict[str, Any]] = {"extras": "O"}
TEXT_COLUMNS: Final[dict[str, Any]] = {"node": "i4", "content": "O", "speaker": "O"}


def vector_columns(dim: int) -> dict[str, Any]:
    """Return the columns of a table of vectors."""
    return {"node": "i4", "vector": ("<f4", dim)}
