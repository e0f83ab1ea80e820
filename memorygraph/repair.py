"""Saving what is whole of a damaged store. The store itself is never changed: somebody may still mend its disk.

What comes before the first damage becomes a new store: the same memory, the same positions, the same chain. What is
whole behind it does not follow from that, since the history in between is lost, so it is never chained to it; what it
says can be written to a file, for people and programs to remember again what they choose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from memorygraph import checks
from memorygraph.actors.engine import committed_of
from memorygraph.copies import make_store
from memorygraph.events.errors import DamagedLog, ImportFormatError, InputError, MemoryGraphError
from memorygraph.events.frames import NO_CHAIN, frame_entries, frame_header
from memorygraph.events.heads import SignedHead, chains_at
from memorygraph.events.log import VerifyReport
from memorygraph.events.stores import SegmentLog
from memorygraph.heads_files import heads_in, keep_heads
from memorygraph.history import changes_of
from memorygraph.portable import folder_named
from memorygraph.replacing import replacing


class RepairReport(Struct, frozen=True):
    """What came of a repair.

    ``position`` is where the new store ends; ``lost`` are the ranges of positions (first, last) that cannot be read,
    ``behind`` those that can, but not follow; ``written`` is how many records of the latter were written to a file.
    ``heads`` signed heads are true of what was copied and went along; ``notes`` say which did not.
    """

    store: str
    position: int
    lost: tuple[tuple[int, int], ...]
    behind: tuple[tuple[int, int], ...]
    written: int = 0
    heads: int = 0
    notes: tuple[str, ...] = ()


def repair(path: str | Path, to: str | Path, *, rest: str | Path | None = None) -> RepairReport:
    """Copy what comes before the first damage of a store into a new one, with the signed heads that are true of it.

    Args:
        path: the damaged store; it is only read.
        to: what ``AgentMemory`` is to be opened with; nothing may be there.
        rest: a file for what the records behind the damage say, as JSON, one event on each line.

    Raises:
        InputError: the store is whole.
        DamagedLog: nothing can be read.
        ForeignStore: there is something at ``to``.
        DiskFull, StoreError: the new store or the file could not be written.
    """
    folder = folder_named(str(checks.path("path", path)))
    with closing(SegmentLog.open(folder, create=False, read_only=True)) as log:
        report = log.verify()
        if report.whole:
            raise InputError(f"{path}: the store is whole; there is nothing to repair")
        if not report.head.position:
            raise DamagedLog(
                f"{path}: nothing can be read before the first damage ({report.damage[0].where}); restore a backup"
            )
        heads, notes = _heads_of(log, Path(folder), report.head.position)
        frames = _beginning(log, report.head.position)
        make_store(checks.path("to", to), log.memory_id, frames, lambda made: keep_heads(heads, made))
        written = 0 if rest is None else _write_rest(log, report.head.position, rest)
    behind = tuple(one for one in _without_beginning(report) if one[0] <= one[1])
    return RepairReport(str(to), report.head.position, lost_ranges(report), behind, written, len(heads), notes)


def lost_ranges(report: VerifyReport) -> tuple[tuple[int, int], ...]:
    """Give the ranges of positions (first, last) between what can be read; what was behind the last is not known."""
    lost, last = [], 0
    for first, end in report.readable:
        if first > last + 1:
            lost.append((last + 1, first - 1))
        last = end
    return tuple(lost)


def _without_beginning(report: VerifyReport) -> Iterator[tuple[int, int]]:
    for first, last in report.readable:
        yield max(first, report.head.position + 1), last


def _beginning(log: SegmentLog, last: int) -> Iterator[bytes]:
    for frame in log.whole_frames():
        yield frame
        if frame_header(frame).last >= last:
            return


def _heads_of(log: SegmentLog, folder: Path, last: int) -> tuple[list[SignedHead], tuple[str, ...]]:
    """Give the signed heads of a store that are true of its log up to a position, and say why others are left out.

    Who signed them is not looked at: that is for who has the public key.
    """
    try:
        signed = heads_in(folder)
    except ImportFormatError as error:
        return [], (f"its signed heads were not copied: {error.message}",)
    within = [head for head in signed if head.position <= last]
    chains = {0: NO_CHAIN, **chains_at(_beginning(log, last), [head.position for head in within])}
    true = [
        head
        for head in within
        if head.memory_id == log.memory_id.hex() and chains.get(head.position) == bytes.fromhex(head.chain)
    ]
    notes = []
    if behind := len(signed) - len(within):
        notes.append(f"{behind} signed heads are of later positions and stay with the damaged store")
    if false := len(within) - len(true):
        notes.append(f"{false} signed heads are not true of what was copied and stay with the damaged store")
    return true, tuple(notes)


def _write_rest(log: SegmentLog, position: int, path: str | Path) -> int:
    """Write what the records behind a position say, and return how many there are."""
    written = 0
    with replacing(path) as file:
        for frame in log.whole_frames():
            if frame_header(frame).first > position:
                for line in _lines(frame):
                    file.write(line)
                written += frame_header(frame).record_count
    return written


def _lines(frame: bytes) -> Iterator[bytes]:
    for entry in frame_entries(frame, frame_header(frame)):
        try:
            changes = [change.to_dict() for change in changes_of(committed_of(entry))]
        except MemoryGraphError as error:  # an event of a newer release, say: that it is there is told
            changes = [{"position": entry.position, "error": error.message}]
        for change in changes:
            yield json.dumps(change, ensure_ascii=False).encode() + b"\n"
