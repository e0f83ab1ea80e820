"""Chat logs: one JSON object per line with role and content, and optionally name, time and session.

The time may also be called ``timestamp`` or ``created_at``. Content may be a list of parts, of which those like
``{"type": "text", "text": "Hello"}`` are read.

Each turn becomes an EPISODIC item ``FILE:<line>`` whose speaker is its name or else its role; consecutive turns of one
session are TEMPORAL neighbours, and the turns without a session are one session too.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from memorygraph.events.errors import ImportFormatError, TimeFormatError
from memorygraph.events.types import LIMITS, EdgeType, MemoryType
from memorygraph.ingest.harvest import Connection, Harvest, Item, label
from memorygraph.times import to_seconds, to_us

_EXPECTED = (
    'expected one JSON object per line, such as {"role": "user", "content": "Hello", "name": "Ada", '
    '"time": "2026-01-31T12:00:00Z", "session": "first"}; content may be a list of parts; name, time (or timestamp, '
    "created_at) and session may be missing"
)
_NEXT_TURN_WEIGHT = 0.5


class _Part(Struct, frozen=True):
    type: str
    text: Any = None

    @property
    def is_text(self) -> bool:
        return self.type == "text" and isinstance(self.text, str)


class _Turn(Struct, frozen=True):
    role: str
    content: str | list[_Part] | None
    name: str | None = None
    time: float | str | None = None
    timestamp: float | str | None = None
    created_at: float | str | None = None
    session: str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None

    @property
    def text(self) -> str:
        """The content without what is not text."""
        if isinstance(self.content, list):
            return "\n\n".join(part.text for part in self.content if part.is_text)
        return self.content or ""

    @property
    def left_out(self) -> int:
        """How many parts are not text."""
        return sum(not part.is_text for part in self.content) if isinstance(self.content, list) else 0

    @property
    def when(self) -> float | str | None:
        """The time, whatever it is called."""
        return next((time for time in (self.time, self.timestamp, self.created_at) if time is not None), None)


_decoder = msgspec.json.Decoder(_Turn)


def read_chat(file: str, text: str) -> Harvest:
    """Read a chat log; empty lines and what is not text are left out, and noted.

    Raises:
        ImportFormatError: a line is not a turn; the message names file and line.
    """
    items: list[Item] = []
    connections: list[Connection] = []
    latest: dict[str | int | None, str] = {}  # session -> source of its last turn
    left_out: Counter[str] = Counter()
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        if not line.strip():
            left_out["empty lines"] += 1
            continue
        turn = _parse(line, file, number)
        left_out["parts that are not text"] += turn.left_out
        if not turn.text.strip():
            left_out["turns without text"] += 1
            continue
        source = f"{file}:{number}"
        session = label(turn.session) if isinstance(turn.session, str) else turn.session
        if session in latest:
            connections.append(Connection(latest[session], source, EdgeType.TEMPORAL, _NEXT_TURN_WEIGHT))
        latest[session] = source
        items.append(
            Item(
                source=source,
                content=turn.text,
                memory_type=MemoryType.EPISODIC,
                occurred_at=None if turn.when is None else _seconds(turn.when, file, number),
                speaker=label(turn.name) or label(turn.role),
                session=session,
                tags=("chat",),
            )
        )
    notes = tuple(f"{file}: {what} left out: {count}" for what, count in left_out.items() if count)
    return Harvest(tuple(items), tuple(connections), notes)


def _parse(line: str, file: str, number: int) -> _Turn:
    try:
        turn = _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _wrong(file, number, str(error)) from error
    if len(turn.text.encode()) > LIMITS.content_bytes_max:
        raise _wrong(file, number, f"content of more than {LIMITS.content_bytes_max} bytes")
    return turn


def _seconds(time: float | str, file: str, number: int) -> float:
    try:
        return to_seconds(to_us(time))
    except TimeFormatError as error:
        raise _wrong(file, number, f"time: {error}") from error


def _wrong(file: str, number: int, what: str) -> ImportFormatError:
    return ImportFormatError(f"{file}, line {number}: {what}; {_EXPECTED}", file=file, line=number)
