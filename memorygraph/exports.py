"""Files of a memory's log: writing it out, whole or as an excerpt, and making a store of such a file."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO

from memorygraph import checks
from memorygraph.actors.engine import Engine
from memorygraph.actors.untold import told_in
from memorygraph.copies import make_store
from memorygraph.events.errors import DamagedLog, ForeignStore, ImportFormatError
from memorygraph.events.exports import Export, end_mark, heading, read_export
from memorygraph.events.frames import NO_CHAIN, chain_after, require_frame, with_hashes
from memorygraph.events.log import Head
from memorygraph.events.records import RecordsReplaced, decode_record, unpack_event
from memorygraph.events.stores import SegmentLog
from memorygraph.portable import folder_named
from memorygraph.replacing import replacing


def export_log(engine: Engine, path: str | Path, *, only: Collection[int] | None = None) -> int:
    """Write a log's raw frames as one file and return the position that it ends at.

    Args:
        only: the positions of the records to write; of the others, only the hashes (None: all).
    """
    with replacing(path) as file:
        position = _write_log(engine, file, only)
        while compacted_after(engine, position):
            file.seek(0)
            file.truncate()
            position = _write_log(engine, file, only)
    return position


def _write_log(engine: Engine, file: IO[bytes], only: Collection[int] | None) -> int:
    position, chain, memory_id = 0, NO_CHAIN, bytes.fromhex(engine.memory_id)
    file.write(heading(memory_id, is_excerpt=only is not None))
    for frame in engine.frames():
        header = require_frame(frame, memory_id)
        others = () if only is None else set(range(header.first, header.last + 1)).difference(only)
        file.write(with_hashes(frame, header, others) if others else frame)
        position, chain = header.last, chain_after(frame, header)
    file.write(end_mark(position, chain))
    return position


def compacted_after(engine: Engine, position: int) -> bool:
    """Whether a compaction was told after a position.

    What was read of the log up to there may then lack records whose accesses are said anew only after it.
    """
    later = engine.read(position + 1)
    return any(isinstance(event, RecordsReplaced) for committed in later for event in committed.events or ())


def read_file(path: str | Path) -> Export:
    """Read an exported file and check it from end to end.

    Raises:
        ImportFormatError: it cannot be read, or export did not write it.
        DamagedLog: it is cut or damaged.
    """
    try:
        data = checks.path("path", path).read_bytes()
    except OSError as error:
        raise ImportFormatError(f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    return read_export(data, str(path))


def import_log(path: str | Path, to: str | Path) -> None:
    """Make a store out of an exported file: every frame as it was, checked and chained.

    The file is checked from end to end before a store is made or touched. A new store gets its name when it is
    complete; one that already holds the beginning of the same log is completed in its place. ``to`` is what
    ``AgentMemory`` is opened with: a folder, or a path that ends in .json.

    Raises:
        ImportFormatError: the file is not an export, or only an excerpt, or records were taken out of it.
        ForeignStore: the folder holds another memory.
        DamagedLog: the file is damaged, or the store tells another history; nothing was written.
        NewerSchema: the file holds events that this release does not know; nothing was written.
    """
    exported = read_file(path)
    if exported.is_excerpt:
        raise ImportFormatError(
            f"{path} is an excerpt: of some records it holds only the hashes, so no memory can be made of it; look "
            f'into it with "memorygraph audit --file {path}"',
            path=str(path),
        )
    _require_told(exported, str(path))
    _require_records(exported, str(path))
    target = str(checks.path("to", to))
    folder = folder_named(target)
    if folder != target and Path(target).exists() and not Path(folder).exists():
        raise ForeignStore(f"{target}: holds a memory already; import to another path", path=target)
    if not _holds_something(Path(folder)):
        make_store(Path(target), exported.memory_id, (frame for frame, _ in exported.frames), lambda _: None)
        return
    log = SegmentLog.open(folder, memory_id=exported.memory_id)
    try:
        with log.lock() as head:
            if not _is_same_history(log, head, exported.chains):
                raise DamagedLog(
                    f"{folder}: tells another history than {path}; nothing was written: import to another path",
                    where=folder,
                )
            for frame, header in exported.frames:
                if header.last > head.position:
                    log.adopt(bytes(frame))
    finally:
        log.close()


def _holds_something(folder: Path) -> bool:
    """Whether there is more than an empty folder, which is taken away for the store to take its place."""
    if not folder.is_dir():
        return os.path.lexists(folder)
    with suppress(OSError):
        folder.rmdir()
    return folder.exists()


def _require_told(exported: Export, where: str) -> None:
    """Check that a file tells of all its records of which there is only the hash: an excerpt does not."""
    hashes = sum(entry.data is None for entry in exported.entries())
    if hashes and (untold := hashes - told_in(exported.entries())) > 0:
        raise ImportFormatError(
            f"{where}: of {untold} records it holds only the hash, and it tells of no compaction that replaced them: "
            "it is an excerpt, or somebody took out what they said, so no memory is made of it; look into it with "
            f'"memorygraph audit --file {where}"',
            path=where,
            untold=untold,
        )


def _require_records(exported: Export, where: str) -> None:
    """Check that a file's records and events can be decoded."""
    for entry in exported.entries():
        if entry.data is None:
            continue
        try:
            for event in decode_record(entry.data, entry.position).events:
                unpack_event(event, entry.position)
        except DamagedLog as error:
            raise DamagedLog(f"{where} is damaged: {error.message}", **error.about) from error


def _is_same_history(log: SegmentLog, head: Head, chains: dict[int, bytes]) -> bool:
    """Whether a log is a beginning of the log with these chains, or goes on where that one ends."""
    end = max(chains)
    if head.position <= end:
        return chains.get(head.position) == head.chain
    header = require_frame(next(log.frames(end + 1)), log.memory_id)
    return header.first == end + 1 and header.chain_before == chains[end]
