"""Backups: a copy of a log's beginning in a folder of its own, made while others write, and continued by the next one.

The folder holds parts (files of raw frames, as ``export`` writes them, named by their first position) and the file
``BACKUP``, which says what the parts come to: position, chain and digest. That file is written last, by rename: until
then the backup is what it was before. A backup ends where a commit frame ends, so it is a state that the memory had.
The signed heads that are kept beside the log, up to that position, are copied too; a backup never loses one.
"""

from __future__ import annotations

import mmap
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from memorygraph import checks
from memorygraph.actors.commands import Digest
from memorygraph.actors.engine import Engine
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.pace import Pace
from memorygraph.copies import make_store
from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import (
    BackupMismatch,
    DamagedLog,
    ForeignStore,
    ImportFormatError,
    LogLocked,
    NewerFormat,
)
from memorygraph.events.exports import EXPORT_MAGIC
from memorygraph.events.frames import (
    NO_CHAIN,
    FrameHeader,
    chain_after,
    fault_of,
    frame_header,
    require_next,
    whole_frame,
)
from memorygraph.events.stores import SegmentLog
from memorygraph.events.stores.directory import named_errors
from memorygraph.events.stores.lock_file import LOCK_TIMEOUT_S
from memorygraph.exports import compacted_after
from memorygraph.heads_files import heads_in, keep_heads
from memorygraph.replacing import replacing

FORMAT: Final = "memorygraph-backup"
VERSION: Final = 1
MANIFEST: Final = "BACKUP"
SYNC_BYTES: Final = 1 << 20  # written parts are synced in pieces, so that no writer waits behind a large one

_LOCK: Final = "lock"
_SUFFIX: Final = ".frames"
_OURS: Final = re.compile(r"BACKUP|lock|heads\.jsonl|\d{20}\.frames|\.(BACKUP|heads\.jsonl|\d{20}\.frames)\.[0-9a-f]+")
_HEAD_BYTES: Final = len(EXPORT_MAGIC) + 16


class Part(Struct, frozen=True):
    """One file of a backup: the frames of the positions first..last."""

    file: str
    first: int
    last: int
    size_bytes: int


class Manifest(Struct, frozen=True):
    """What the file ``BACKUP`` says; hashes are hexadecimal digits, times microseconds."""

    format: str
    version: int
    memory_id: str
    position: int
    chain: str
    digest: str
    time_us: int
    parts: tuple[Part, ...]


class BackupReport(Struct, frozen=True):
    """A backup that was made and read back: what it comes to, and what was added to it this time."""

    position: int
    chain: str
    digest: str
    records_added: int
    bytes_added: int


class RestoreReport(Struct, frozen=True):
    """A memory that was restored and checked: position, chain and digest are those that the backup was made with."""

    memory_id: str
    position: int
    chain: str
    digest: str


def back_up(engine: Engine, path: str | Path) -> BackupReport:
    """Bring the backup in a folder up to a memory's present position; it is made if there is none.

    Raises:
        ForeignStore: the folder holds something else, or a backup of another memory.
        BackupMismatch: it holds another history of this memory, or more of it than there is.
        DamagedLog: the log cannot be read, or what was written does not read back.
        DiskFull, StoreError: it could not be written. The backup is what it was before.
        ImportFormatError: the file of signed heads beside the log is damaged; everything else is backed up.
        InputError: this thread is in a transaction.
    """
    folder = checks.path("path", path).absolute()
    engine.frames()  # a view of the past refuses here
    engine.require_no_transaction("be in a backup")
    with named_errors(str(folder), "make the backup"):
        if not folder.exists():
            folder.mkdir()
            OsDisk().sync_directory(str(folder.parent))
        _require_ours(folder)
        with _locked(folder):
            report = None
            while report is None:  # a compaction that was told meanwhile is part of it
                answer = engine.ask(Digest(gently=True))
                report = _continued(engine, folder, answer.position, answer.value)
            heads = {*heads_in(folder), *heads_in(Path(engine.location))}
            kept = (head for head in heads if head.memory_id == engine.memory_id and head.position <= report.position)
            keep_heads(kept, folder)
            return report


def _continued(engine: Engine, folder: Path, position: int, digest: str) -> BackupReport | None:
    """Add what a backup lacks up to a position, and read it back; None: the log was compacted meanwhile."""
    known = _begun(folder, engine.memory_id)
    if known.position > position:
        raise BackupMismatch(
            f"{folder}: holds positions up to {known.position}, more than the memory, which ends at {position}; "
            "if it is this memory that shall be backed up, do so elsewhere",
            path=str(folder),
        )
    chain = bytes.fromhex(known.chain)
    _require_continued(engine, known.position, chain, folder)
    if known.parts and known.position == position:
        return BackupReport(position, known.chain, digest, 0, 0)
    rest, first = Pace(), known.position + 1
    part = folder / _name_of(first)
    _write_part(engine, part, first, position, rest)
    if compacted_after(engine, position):
        return None
    chain = _read_part(part, engine.memory_id, known.position, position, chain, rest)
    size_bytes = part.stat().st_size
    made = structs.replace(
        known,
        position=position,
        chain=chain.hex(),
        digest=digest,
        time_us=time.time_ns() // 1000,
        parts=(*known.parts, Part(part.name, first, position, size_bytes)),
    )
    with replacing(folder / MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    return BackupReport(position, made.chain, digest, position - known.position, size_bytes)


def restore(path: str | Path, to: str | Path) -> RestoreReport:
    """Make a store out of a backup, check its chain and its digest, and only then give it its name.

    Args:
        to: what ``AgentMemory`` is to be opened with; nothing may be there.

    Raises:
        ImportFormatError: ``path`` is no backup.
        ForeignStore: there is something at ``to``.
        DamagedLog: the backup is damaged, or does not come to the digest it was made with.
        DiskFull, StoreError: the store could not be made.
    """
    folder = checks.path("path", path)
    manifest = _manifest_of(folder)
    frames = _frames_of(folder, manifest)
    memory_id = bytes.fromhex(manifest.memory_id)
    heads = heads_in(folder)

    def check(store: Path) -> RestoreReport:
        keep_heads(heads, store)
        return _checked(store, manifest)

    return make_store(checks.path("to", to), memory_id, frames, check)


def _name_of(first: int) -> str:
    return f"{first:020d}{_SUFFIX}"


def _require_ours(folder: Path) -> None:
    """Check that a folder holds a backup or nothing."""
    if not folder.is_dir():
        raise ForeignStore(f"{folder}: is a file, and a backup is a folder; choose another path", path=str(folder))
    foreign = sorted(path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name))
    if foreign:
        raise ForeignStore(
            f"{folder}: holds something that is not part of a backup ({foreign[0]!r}); choose another folder",
            path=str(folder),
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others from writing to the backup, and clear away what one that was killed left behind."""
    disk = OsDisk()
    lock = disk.create(str(folder / _LOCK), truncate=False)
    try:
        if not disk.lock(lock, LOCK_TIMEOUT_S):
            raise LogLocked(
                f"{folder}: another process is writing this backup and does not finish; try again later",
                path=str(folder),
            )
        for path in folder.glob(".*"):
            path.unlink()
        yield
    finally:
        disk.close(lock)


def _begun(folder: Path, memory_id: str) -> Manifest:
    """Return what a folder holds of a backup of this memory."""
    if not (folder / MANIFEST).exists():
        return Manifest(FORMAT, VERSION, memory_id, 0, NO_CHAIN.hex(), "", 0, ())
    manifest = _manifest_of(folder)
    if manifest.memory_id != memory_id:
        raise ForeignStore(
            f"{folder}: is a backup of another memory ({manifest.memory_id}); choose another folder", path=str(folder)
        )
    return manifest


def _manifest_of(folder: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        bytes.fromhex(manifest.memory_id + manifest.chain + manifest.digest)
    except FileNotFoundError as error:
        raise ImportFormatError(
            f"there is no backup at {folder}: it has no file {MANIFEST}; name a folder that backup made",
            path=str(folder),
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else checks.one_line(error)
        raise ImportFormatError(f"{folder} is not a backup: {MANIFEST}: {reason}", path=str(folder)) from error
    if manifest.format != FORMAT or any(part.file != _name_of(part.first) for part in manifest.parts):
        raise ImportFormatError(f"{folder} is not a backup: {MANIFEST} is that of something else", path=str(folder))
    if manifest.version > VERSION:
        raise NewerFormat(f"{folder}: a newer release made this backup; update memorygraph", path=str(folder))
    return manifest


def _require_continued(engine: Engine, position: int, chain: bytes, folder: Path) -> None:
    """Check that a log goes on from a position with this chain."""
    if not position:
        return
    head = engine.head()
    if head.position == position:
        found: bytes | None = head.chain
    else:
        header = frame_header(next(engine.frames(position + 1)))
        found = header.chain_before if header.first == position + 1 else None
    if found != chain:
        raise BackupMismatch(
            f"{folder}: holds another history of this memory from some position up to {position} on; make a new backup "
            "elsewhere",
            path=str(folder),
            position=position,
        )


def _write_part(engine: Engine, path: Path, first: int, last: int, rest: Pace) -> None:
    unsynced = 0
    with replacing(path) as file:
        file.write(EXPORT_MAGIC + bytes.fromhex(engine.memory_id))
        for frame in engine.frames(first):
            if frame_header(frame).first > last:
                break
            file.write(frame)
            unsynced += len(frame)
            if unsynced >= SYNC_BYTES:
                file.flush()
                OsDisk().sync(file.fileno())
                unsynced = 0
            rest()


def _read_part(path: Path, memory_id: str, before: int, last: int, chain: bytes, rest: Pace) -> bytes:
    """Check every checksum of a part, and that it leads from one position to the other; give the chain at its end."""
    for frame, header in _frames(path, memory_id):
        require_next(header, before, chain)
        before, chain = header.last, chain_after(frame, header)
        rest()
    if before != last:
        raise DamagedLog(f"{path}: ends at position {before}, not {last}", where=str(path), position=before)
    return chain


def _frames_of(folder: Path, manifest: Manifest) -> Iterator[memoryview]:
    """Give the frames of a backup, checked."""
    chain, position = NO_CHAIN, 0
    for part in manifest.parts:
        for frame, header in _frames(folder / part.file, manifest.memory_id):
            require_next(header, position, chain)
            position, chain = header.last, chain_after(frame, header)
            yield frame
    if (position, chain.hex()) != (manifest.position, manifest.chain):
        raise DamagedLog(
            f"{folder}: the parts lead to position {position} with chain {chain.hex()}, not to position "
            f"{manifest.position} with chain {manifest.chain}",
            where=str(folder),
            position=position,
        )


def _frames(path: Path, memory_id: str) -> Iterator[tuple[memoryview, FrameHeader]]:
    identity = bytes.fromhex(memory_id)
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b"")
    except FileNotFoundError as error:
        raise DamagedLog(f"{path}: this part of the backup is missing", where=str(path)) from error
    if bytes(data[:_HEAD_BYTES]) != EXPORT_MAGIC + identity:
        raise DamagedLog(f"{path}: this is not a part of this backup", where=str(path))
    offset = _HEAD_BYTES
    while offset < len(data):
        header = whole_frame(data, offset, identity)
        if header is None:
            fault = fault_of(data, offset, identity)
            raise DamagedLog(f"{path} is damaged at byte {offset}: {fault}", where=str(path), offset=offset)
        yield data[offset : offset + header.size_bytes], header
        offset += header.size_bytes


def _checked(store: Path, manifest: Manifest) -> RestoreReport:
    log = SegmentLog.open(store, read_only=True)
    report = log.verify()
    with closing(LocalEngine(log)) as engine:
        digest: str = engine.ask(Digest()).value
    if not report.whole or (report.head.chain.hex(), digest) != (manifest.chain, manifest.digest):
        raise DamagedLog(
            f"the restored memory has chain {report.head.chain.hex()} and digest {digest}, but the backup was made "
            f"with chain {manifest.chain} and digest {manifest.digest}; nothing was restored",
            expected=manifest.digest,
            found=digest,
        )
    return RestoreReport(manifest.memory_id, report.head.position, manifest.chain, digest)
