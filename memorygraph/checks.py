"""The rules of good input: each returns the value as events carry it, or raises a named error that says what to do."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from memorygraph.events.errors import ContentTooLongError, InputError, InvalidVectorError
from memorygraph.events.records import COMMON
from memorygraph.events.types import Limits

T = TypeVar("T")
NAME_CHARS_MAX: Final = 512
VECTOR_MAX: Final = 1e15  # so that the square of a length fits single precision
NOTE_CHARS_MAX: Final = 4096
SHOWN_CHARS_MAX: Final = 100
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
        raise InputError(f"tags must be a list of texts; write tags=[{shown(given)}]")
    listed = list(several("tags", given))
    if not all(isinstance(tag, str) and tag and not _SURROGATE.search(tag) for tag in listed):
        raise InputError(f"tags must be non-empty texts, not {shown(listed)}")
    unique = tuple(dict.fromkeys(listed))
    if len(unique) > limits.tags_max:
        raise ContentTooLongError(
            f"{len(unique)} tags are more than {limits.tags_max}; give fewer, or pass larger limits=", tags=len(unique)
        )
    return unique


def metadata(given: Mapping[str, Any] | None, limits: Limits) -> dict[str, Any]:
    """Return metadata as plain data (text keys; numbers, texts, lists and maps), at most ``metadata_bytes_max``."""
    if not given:
        return {}
    try:
        encoded = msgspec.msgpack.encode(dict(given))
        plain: dict[str, Any] = msgspec.msgpack.decode(encoded, type=dict[str, Any])
        _require_plain(plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            f"metadata must map texts to finite numbers, texts, booleans, lists and maps: {error}", error=str(error)
        ) from error
    if len(encoded) > limits.metadata_bytes_max:
        raise ContentTooLongError(
            f"metadata takes {len(encoded)} bytes, more than {limits.metadata_bytes_max}; put less there, or pass "
            "larger limits=",
            size_bytes=len(encoded),
        )
    return plain


def number(name: str, given: Any, low: float, high: float) -> float:
    """Return a finite number clipped to low..high (contract item 16)."""
    if type(given) is float and low < given < high:
        return COMMON.get(given, given)
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be a number, not {shown(given)}") from error
    if math.isnan(value):
        raise InputError(f"{name} is not a number (NaN)")
    clipped = min(high, max(low, value))
    return COMMON.get(clipped, clipped)  # also makes -0.0 plain


def within(name: str, given: Any, low: float, high: float) -> float:
    """Return a number in low..high; for what must not be clipped, such as a threshold below which memories go."""
    value = number(name, given, -math.inf, math.inf)
    if not low <= value <= high:
        raise InputError(f"{name} must be from {low:g} to {high:g}, not {shown(given)}")
    return value


def decay_rate(given: Any) -> float:
    """Return a base stability in hours: positive, at most ten thousand years."""
    value = number("decay_rate", given, -math.inf, math.inf)
    if not 0 < value < DECAY_RATE_MAX_H:
        raise InputError(f"decay_rate must be a positive number of hours, not {shown(given)}")
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
            array = np.asarray(given).astype("<f4", casting="same_kind", copy=False)
    except (TypeError, ValueError) as error:
        raise InvalidVectorError(f"an embedding must be a list or array of numbers: {one_line(error)}") from error
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
    if np.abs(array).max() > VECTOR_MAX:
        raise InvalidVectorError(f"the embedding holds numbers beyond {VECTOR_MAX:g}; scale it down")
    return array.tobytes()


def question(given: Any) -> bytes:
    """Return a vector to search with."""
    data = vector(given)
    if not data:
        raise InputError("there is no question; ask with a text or a vector")
    return data


def count(name: str, given: Any, low: int, high: int) -> int:
    """Return a whole number in low..high."""
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or not low <= given <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}, not {shown(given)}")
    return int(given)


def identifier(name: str, given: Any) -> str:
    """Return an id or name: a text of 1 to ``NAME_CHARS_MAX`` characters, on one line, without control characters."""
    if type(given) is str and 0 < len(given) <= NAME_CHARS_MAX and given.isprintable():
        return given  # the common case, at a third of the price
    if not isinstance(given, str) or not 0 < len(given) <= NAME_CHARS_MAX or _UNPRINTABLE.search(given):
        raise InputError(f"{name} must be a text of 1 to {NAME_CHARS_MAX} printable characters, not {shown(given)}")
    return given


def note(name: str, given: Any) -> str:
    """Return a text of up to ``NOTE_CHARS_MAX`` characters, which may be empty."""
    if not isinstance(given, str) or len(given) > NOTE_CHARS_MAX or _SURROGATE.search(given):
        raise InputError(f"{name} must be a text of up to {NOTE_CHARS_MAX} characters, not {shown(given)}")
    return given


def bulk_id(given: Any) -> str:
    """Return a command id that leaves room for the numbers of its chunks."""
    identifier("command_id", f"{given}/links/{10**9}" if isinstance(given, str) else given)
    return str(given)


def optional_text(name: str, given: Any) -> str | None:
    """Return a short text or None."""
    return None if given is None else identifier(name, given)


def session(given: Any) -> str | int | None:
    """Return a session: text, whole number or None."""
    if isinstance(given, int) and not isinstance(given, bool) and -(2**63) <= given < 2**63:
        return given
    return optional_text("session", given)


def one_of(name: str, given: Any, choices: tuple[str, ...]) -> str:
    """Return a text that is one of the choices."""
    if given not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, not {shown(given)}")
    return str(given)


def several(name: str, given: Iterable[T]) -> Iterable[T]:
    """Return what can be iterated over, but is neither a text nor a map."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"{name} must be a list, not {shown(given)}")
    return given


def path(name: str, given: Any) -> Path:
    """Return the path of a file or folder."""
    if not isinstance(given, str | os.PathLike) or not os.fspath(given) or "\0" in str(given):
        raise InputError(f"{name} must be the path of a file or folder, not {shown(given)}")
    return Path(given)


def shown(given: object) -> str:
    """Return what was given as one short line for a message."""
    try:
        text = one_line(repr(given))
    except ValueError:  # an integer of thousands of digits
        text = f"{type(given).__name__} of great length"
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 3]}..."


def one_line(text: object) -> str:
    """Return a text on one line."""
    return " ".join(str(text).split())


def _require_plain(value: Any) -> None:
    """Look through decoded metadata for what JSON would lose: keys that are not texts, bytes, NaN and infinity."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {shown(key)} is not a text")
            _require_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    elif not (value is None or isinstance(value, str | int | float)):
        raise TypeError(f"{shown(value)} is not one of these")


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UNPRINTABLE: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
