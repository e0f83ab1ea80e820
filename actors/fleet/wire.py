"""Calls, answers and errors as bytes: MessagePack, typed at both ends; nothing that arrives is run.

An answer is a ``Reply``: a value, or a failure that the caller's side raises as the class it was, with its message and
facts. An error of no class of ours travels by its kind and message and comes out as ``HostFailed``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Raw, Struct

from memorygraph.actors import commands as cmd
from memorygraph.actors.fleet.answers import answer_type, query_types
from memorygraph.actors.fleet.calls import AnyDirectoryCall, AnyHostCall, Done
from memorygraph.actors.sight_queries import InSight
from memorygraph.events.errors import HostFailed, MemoryGraphError
from memorygraph.events.records import pack_event, unpack_event
from memorygraph.projections.sight import Sight


class Failure(Struct, frozen=True):
    """An error: the name of its class, its message and its facts."""

    kind: str
    message: str
    about: dict[str, Any] = {}


class Reply(Struct, frozen=True, omit_defaults=True):
    """An answer: its value, encoded, or a failure; ``host`` is who says so."""

    host: str
    value: Raw = Raw()
    failure: Failure | None = None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot travel")


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_plain)
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def encode(value: Any) -> bytes:
    """Encode what a call or an answer is made of."""
    return _encoder.encode(value)


def decode(data: bytes | memoryview | Raw, kind: Any) -> Any:
    """Decode what ``encode`` made of a value of a type.

    Raises:
        HostFailed: it is something else: two releases that do not know each other.
    """
    try:
        return _decoder(kind).decode(data)
    except _BROKEN as error:
        raise HostFailed(f"what came over the wire is not what was expected: {error}; is it another release?") from None


def decode_host_call(payload: bytes) -> AnyHostCall:
    """Decode a call to a host."""
    call: AnyHostCall = decode(payload, AnyHostCall)
    return call


def decode_directory_call(payload: bytes) -> AnyDirectoryCall:
    """Decode a call to the directory."""
    call: AnyDirectoryCall = decode(payload, AnyDirectoryCall)
    return call


def encode_query(query: cmd.Query) -> tuple[Raw, Sight | None]:
    """Encode a query; the sight that it is asked through is given beside it.

    Raises:
        InputError: it is no query that a fleet knows.
    """
    answer_type(query)
    sight = None
    if isinstance(query, InSight):
        sight, query = query.sight, query.asked
    return Raw(encode(query)), sight


def decode_query(query: Raw, sight: Sight | None) -> cmd.Query:
    """Decode a query."""
    asked: cmd.Query = decode(query, query_types())
    return asked if sight is None else InSight(sight=sight, asked=asked)


def packed(receipt: cmd.Receipt) -> Done:
    """Return a receipt as it travels."""
    return Done(receipt.position, receipt.time_us, tuple(map(pack_event, receipt.events)), receipt.replayed)


def unpacked(done: Done) -> cmd.Receipt:
    """Return a receipt that has travelled."""
    events = tuple([unpack_event(event, done.position) for event in done.events])
    return cmd.Receipt(done.position, done.time_us, events, done.replayed)


def success(host: str, value: Any) -> bytes:
    """Encode an answer."""
    return encode(Reply(host, Raw(encode(value))))


def failure(host: str, error: Exception) -> bytes:
    """Encode an error."""
    if isinstance(error, MemoryGraphError):
        about = {name: _fact(value) for name, value in error.about.items()}
        kind, message = type(error).__name__, error.message
    else:
        kind, message, about = "", f"{type(error).__name__}: {error}", {}
    return encode(Reply(host, failure=Failure(kind, message, about)))


def result(reply: bytes, kind: Any, *, where: str) -> Any:
    """Return the value of an answer, or raise its error.

    Args:
        kind: the type of the value.
        where: what the error is told to be about, such as the memory and its host.

    Raises:
        MemoryGraphError: the error, with a note of where it comes from.
    """
    answer: Reply = decode(reply, Reply)
    if answer.failure is None:
        return decode(answer.value, kind)
    raise _error(answer.failure, answer.host, where)


def _error(told: Failure, host: str, where: str) -> MemoryGraphError:
    cls = _error_classes().get(told.kind)
    if cls is None:
        what = f"{told.kind}: {told.message}" if told.kind else told.message
        error: MemoryGraphError = HostFailed(
            f"{where}: host {host!r} failed with {what}. Please report this", host=host, error=what
        )
    else:
        error = cls(told.message, **told.about)
        error.add_note(f"({where}, host {host!r})")
    return error


@cache
def _error_classes() -> dict[str, type[MemoryGraphError]]:
    return {cls.__name__: cls for cls in _descendants(MemoryGraphError)}


def _descendants(cls: type[MemoryGraphError]) -> Iterator[type[MemoryGraphError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _descendants(child)


def _fact(value: Any) -> Any:
    """Return a fact of an error as something that travels."""
    if isinstance(value, bool | int | float | str | bytes | None):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_fact(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _fact(one) for key, one in value.items()}
    return str(value)
