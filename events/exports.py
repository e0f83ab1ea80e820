"""The export file: a log's raw frames between a heading and an end mark (decision 0006). Pure functions over bytes.

An **export** holds every record as the log has it. In an **excerpt** the records that were not asked for are replaced
by their SHA-256: it proves that what it shows stands in that log at that place, and shows nothing else.

The end mark says how many records there are and the chain after the last, so that a file that was cut between two
frames is known to be cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from memorygraph.events.errors import DamagedLog, ImportFormatError
from memorygraph.events.frames import (
    NO_CHAIN,
    FrameHeader,
    chain_after,
    fault_of,
    frame_entries,
    require_next,
    whole_frame,
)
from memorygraph.events.log import Head, LogEntry

EXPORT_MAGIC: Final = b"MGEXP1\0\0"
EXCERPT_MAGIC: Final = b"MGEXC1\0\0"
END_MAGIC: Final = b"MGEND1\0\0"
HEADING_BYTES: Final = 24
_END: Final = Struct("<8sQ32s")  # magic, records, chain after the last


class Export(NamedTuple):
    """A checked file: its frames, and the chain at the end of each, by position (0: before the first)."""

    memory_id: bytes
    is_excerpt: bool
    frames: list[tuple[memoryview, FrameHeader]]
    chains: dict[int, bytes]

    @property
    def head(self) -> Head:
        """Where the log ends."""
        end = max(self.chains)
        return Head(end, self.chains[end], self.frames[-1][1].epoch if self.frames else 1)

    def entries(self) -> Iterator[LogEntry]:
        """Give the records, in order."""
        for frame, header in self.frames:
            yield from frame_entries(frame, header)


def heading(memory_id: bytes, *, is_excerpt: bool = False) -> bytes:
    """Give the first bytes of a file."""
    return (EXCERPT_MAGIC if is_excerpt else EXPORT_MAGIC) + memory_id


def end_mark(position: int, chain: bytes) -> bytes:
    """Give the last bytes of a file whose log ends at ``position`` with ``chain``."""
    return _END.pack(END_MAGIC, position, chain)


def read_export(data: bytes, where: str) -> Export:
    """Check a file's checksums, positions, chain and end mark.

    Raises:
        ImportFormatError: it is not such a file.
        DamagedLog: it is cut, or its bytes are not those that were written; the message names the byte.
    """
    view = memoryview(data)
    magic, memory_id = data[: len(EXPORT_MAGIC)], data[len(EXPORT_MAGIC) : HEADING_BYTES]
    if len(data) < HEADING_BYTES or magic not in (EXPORT_MAGIC, EXCERPT_MAGIC):
        raise ImportFormatError(f"{where} is not a file that export wrote", path=where)
    frames: list[tuple[memoryview, FrameHeader]] = []
    position, chains, offset = 0, {0: NO_CHAIN}, HEADING_BYTES
    while data[offset : offset + len(END_MAGIC)] != END_MAGIC:
        try:
            frame, header = _frame_at(view, offset, memory_id)
            require_next(header, position, chains[position])
            chains[header.last] = chain_after(frame, header)
        except DamagedLog as error:
            raise DamagedLog(f"{where} is damaged at byte {offset}: {error.message}", offset=offset) from error
        frames.append((frame, header))
        position = header.last
        offset += header.size_bytes
    if data[offset:] != end_mark(position, chains[position]):
        raise DamagedLog(f"{where} is damaged at byte {offset}: its end mark is not that of this log", offset=offset)
    return Export(memory_id, magic == EXCERPT_MAGIC, frames, chains)


def _frame_at(view: memoryview, offset: int, memory_id: bytes) -> tuple[memoryview, FrameHeader]:
    header = whole_frame(view, offset, memory_id)
    if header is None:
        cut = offset == len(view)
        raise DamagedLog("it ends without an end mark; it was cut" if cut else fault_of(view, offset, memory_id))
    return view[offset : offset + header.size_bytes], header
