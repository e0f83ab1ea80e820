"""Chat logs: one JSON object per line with role and content, and optionally name, time and session.

Each turn becomes an EPISODIC item ``FILE:<line>`` whose speaker is its name or else its role; consecutive turns of one
session are TEMPORAL neighbours, and the turns without a session are one session too.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from memorygraph.events.errors import ImportFormatError, TimeFormatError
from memorygraph.events.types import LIMITS, EdgeType, MemoryType
from memorygraph.ingest.harvest import Connection, Harvest, Item, label
from memorygraph.times import to_seconds, to_us

_EXPECTED = (
    'expected one JSON object per line, such as {"role": "user", "content": "Hello", "name": "Ada", '
    '"time": "2026-01-31T12:00:00Z", "session": "first"}; name, time and session may be missing'
)
_NEXT_TURN_WEIGHT = 0.5


class _Turn(Struct, frozen=True):
    role: str
    content: str
    name: str | None = None
    time: float | str | None = None
    session: str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None


_decoder = msgspec.json.Decoder(_Turn)


def read_chat(file: str, text: str) -> Harvest:
    """Read a chat log; turns without content are left out.

    Raises:
        ImportFormatError: a line is not a turn; the message names file and line.
    """
    items: list[Item] = []
    connections: list[Connection] = []
    latest: dict[str | int | None, str] = {}  # session -> source of its last turn
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        turn = _parse(line, file, number)
        if not turn.content.strip():
            continue
        source = f"{file}:{number}"
        session = label(turn.session) if isinstance(turn.session, str) else turn.session
        if session in latest:
            connections.append(Connection(latest[session], source, EdgeType.TEMPORAL, _NEXT_TURN_WEIGHT))
        latest[session] = source
        items.append(
            Item(
                source=source,
                content=turn.content,
                memory_type=MemoryType.EPISODIC,
                occurred_at=None if turn.time is None else _seconds(turn.time, file, number),
                speaker=label(turn.name) or label(turn.role),
                session=session,
                tags=("chat",),
            )
        )
    return Harvest(tuple(items), tuple(connections))


def _parse(line: str, file: str, number: int) -> _Turn:
    try:
        turn = _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _wrong(file, number, str(error)) from error
    if len(turn.content.encode()) > LIMITS.content_bytes_max:
        raise _wrong(file, number, f"content of more than {LIMITS.content_bytes_max} bytes")
    return turn


def _seconds(time: float | str, file: str, number: int) -> float:
    try:
        return to_seconds(to_us(time))
    except TimeFormatError as error:
        raise _wrong(file, number, f"time: {error}") from error


def _wrong(file: str, number: int, what: str) -> ImportFormatError:
    return ImportFormatError(f"{file}, line {number}: {what}; {_EXPECTED}", file=file, line=number)
