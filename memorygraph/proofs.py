"""Holding what is kept elsewhere against a log: signed heads against a memory or an exported file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from memorygraph import checks
from memorygraph.actors.engine import Engine
from memorygraph.actors.untold import with_untold
from memorygraph.events.errors import DamagedLog, ImportFormatError
from memorygraph.events.exports import Export
from memorygraph.events.heads import HeadsReport, chains_at, check_heads, read_heads
from memorygraph.events.keys import load_public_key
from memorygraph.events.log import VerifyReport

Frames = Callable[[int], Iterable[bytes]]


def heads_against(
    path: str | Path, key: str | Path | None, *, memory_id: bytes, frames: Frames, report: VerifyReport
) -> HeadsReport:
    """Hold the heads of a file against a log.

    Args:
        path: the heads file.
        key: the public key to trust, a PEM file or 64 hexadecimal digits; None: none.
        memory_id: of the log, 16 bytes.
        frames: gives the log's frames from the one that holds a position on.
        report: what a full check of the log found.

    Raises:
        ImportFormatError: the file holds no signed heads.
        InputError: the key cannot be used.
    """
    heads = read_heads(checks.path("heads", path))
    if not heads:
        raise ImportFormatError(f"{path} holds no signed heads, so it proves nothing", path=str(path))
    there = [head.position for head in heads if 0 < head.position <= report.head.position]
    return check_heads(
        heads,
        memory_id=memory_id,
        end=report.head,
        chains=chains_at(_whole(frames(min(there))), there) if there else {},
        key=None if key is None else load_public_key(key),
        damaged=not report.whole,
    )


def heads_against_engine(path: str | Path, key: str | Path | None, engine: Engine, report: VerifyReport) -> HeadsReport:
    """Hold the heads of a file against a memory's log."""
    return heads_against(path, key, memory_id=bytes.fromhex(engine.memory_id), frames=engine.frames, report=report)


def heads_against_file(path: str | Path, key: str | Path | None, export: Export, report: VerifyReport) -> HeadsReport:
    """Hold the heads of a file against an exported log."""

    def frames(first: int) -> Iterator[bytes]:
        return (bytes(frame) for frame, header in export.frames if header.last >= first)

    return heads_against(path, key, memory_id=export.memory_id, frames=frames, report=report)


def report_on(export: Export) -> VerifyReport:
    """Return the report of a file that was found whole."""
    hashes = sum(entry.data is None for entry in export.entries())
    says = f"an excerpt: {hashes} of its records are only hashes" if export.is_excerpt else ""
    report = VerifyReport(
        head=export.head,
        records=export.head.position,
        frames=len(export.frames),
        size_bytes=sum(len(frame) for frame, _ in export.frames),
        notes=(says,) if says else (),
        hashes=hashes,
    )
    return report if export.is_excerpt else with_untold(report, export.entries())


def _whole(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Give frames up to damage, if there is some."""
    try:
        yield from frames
    except DamagedLog:
        return
