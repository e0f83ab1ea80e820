"""Copies of plain data, so that what users are given cannot change what the memory holds."""

from __future__ import annotations

from typing import Any

import msgspec


def plain_copy(data: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of metadata."""
    if not data:
        return {}
    copy: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(data))
    return copy
