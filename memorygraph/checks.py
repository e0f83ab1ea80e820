"""The rules of good input: each returns the value as events carry it, or raises a named error that says what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from memorygraph.events.errors import ContentTooLongError, InputError, InvalidVectorError
from memorygraph.events.types import Limits

NAME_CHARS_MAX: Final = 512
DECAY_RATE_MAX_H: Final = 1e8  # beyond ten thousand years


def content(given: object, limits: Limits, *, empty: bool = False) -> str:
    """Return a text of at most ``content_bytes_max`` bytes in UTF-8."""
    if not isinstance(given, str):
        raise InputError(f"content must be text, not {type(given).__name__}")
    if not empty and not given.strip():
        raise InputError("content is empty; there is nothing to remember")
    try:
        size = len(given) if given.isascii() else len(given.encode())
    except UnicodeEncodeError as error:
        raise InputError(f"content holds a lone surrogate at {error.start}, which is not text") from error
    if size > limits.content_bytes_max:
        raise ContentTooLongError(
            f"content takes {size} bytes, more than {limits.content_bytes_max}; split it, or pass larger limits=",
            size_bytes=size,
        )
    return given


def tags(given: Iterable[str] | None, limits: Limits) -> tuple[str, ...]:
    """Return tags without doubles, in order, at most ``tags_max``."""
    if given is None:
        return ()
    if isinstance(given, str):
        raise InputError(f"tags must be a list of texts; write tags=[{given!r}]")
    unique = tuple(dict.fromkeys(given))
    if not all(isinstance(tag, str) and tag for tag in unique):
        raise InputError(f"tags must be non-empty texts, not {unique!r}")
    if len(unique) > limits.tags_max:
        raise ContentTooLongError(f"{len(unique)} tags are more than {limits.tags_max}", tags=len(unique))
    return unique


def metadata(given: Mapping[str, Any] | None, limits: Limits) -> dict[str, Any]:
    """Return metadata as plain data (text keys; numbers, texts, lists and maps), at most ``metadata_bytes_max``."""
    if not given:
        return {}
    try:
        encoded = msgspec.msgpack.encode(dict(given))
        plain: dict[str, Any] = msgspec.msgpack.decode(encoded, type=dict[str, Any])
        json.dumps(plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            f"metadata must map texts to numbers, texts, booleans, lists and maps: {error}", error=str(error)
        ) from error
    if len(encoded) > limits.metadata_bytes_max:
        raise ContentTooLongError(
            f"metadata takes {len(encoded)} bytes, more than {limits.metadata_bytes_max}", size_bytes=len(encoded)
        )
    return plain


def number(name: str, given: Any, low: float, high: float) -> float:
    """Return a finite number clipped to low..high (contract item 16)."""
    try:
        value = float(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number, not {given!r}") from error
    if math.isnan(value):
        raise InputError(f"{name} is not a number (NaN)")
    return min(high, max(low, value))


def decay_rate(given: Any) -> float:
    """Return a base stability in hours: positive, at most ten thousand years."""
    value = number("decay_rate", given, -math.inf, math.inf)
    if not 0 < value < DECAY_RATE_MAX_H:
        raise InputError(f"decay_rate must be a positive number of hours, not {given!r}")
    return value


def vector(given: Any) -> bytes:
    """Return a vector as little-endian float32 bytes ('' for None).

    Raises:
        InvalidVectorError: it is not one-dimensional, is empty, or holds NaN, infinity or what is beyond float32.
    """
    if given is None:
        return b""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.asarray(given, dtype="<f4")
    except (TypeError, ValueError) as error:
        raise InvalidVectorError(f"an embedding must be a list or array of numbers: {error}") from error
    if array.ndim != 1 or not array.size:
        raise InvalidVectorError(
            f"an embedding must have one dimension and at least one number; this has shape {array.shape}",
            shape=array.shape,
        )
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidVectorError(
            f"the embedding holds {array[bad]} at place {bad}; all numbers must be finite", place=bad
        )
    return array.tobytes()


def count(name: str, given: Any, low: int, high: int) -> int:
    """Return a whole number in low..high."""
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or not low <= given <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}, not {given!r}")
    return int(given)


def identifier(name: str, given: Any) -> str:
    """Return an id or name: a text of 1 to ``NAME_CHARS_MAX`` characters without control characters."""
    if not isinstance(given, str) or not 0 < len(given) <= NAME_CHARS_MAX or not given.isprintable():
        raise InputError(f"{name} must be a text of 1 to {NAME_CHARS_MAX} printable characters, not {given!r}")
    return given


def optional_text(name: str, given: Any) -> str | None:
    """Return a short text or None."""
    return None if given is None else identifier(name, given)


def session(given: Any) -> str | int | None:
    """Return a session: text, whole number or None."""
    if isinstance(given, int) and not isinstance(given, bool) and -(2**63) <= given < 2**63:
        return given
    return optional_text("session", given)
