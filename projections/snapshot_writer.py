"""Writing a snapshot: a Frame as blobs, those that are stored already shared with the files that have them.

That a chunk did not change is known without looking at its bytes: a published row is never written in place, so while
the very array object of the last snapshot is still in use, the rows it had then are as they were. A longer chunk gets
a further piece for its new rows. What has no such witness (a changed chunk, another process's snapshot) is looked for
by the hash of its bytes.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final, NamedTuple

import numpy as np
from crc32c import crc32c

from memorygraph.events.snapshots import SnapshotDraft, SnapshotFiles
from memorygraph.projections.frame import Frame
from memorygraph.projections.snapshot_format import (
    HASH_BYTES,
    VERSION,
    Manifest,
    Part,
    Piece,
    Pieces,
    StoredPart,
    StoredTable,
    encode_cells,
    encode_end,
    encode_header,
)
from memorygraph.projections.tables import CHUNK_BITS, CHUNK_ROWS, Interner, View

TABLES: Final = ("nodes", "edges", "texts", "labels", "vectors")  # of a Frame and of the state that makes it
PIECES_MAX: Final = 8  # of one chunk; then they are joined
FILES_MAX: Final = 32  # that a snapshot refers to
LIVE_SHARE_MIN: Final = 0.4  # a file of which less is in use is not referred to any more
STEP_BYTES: Final = 1 << 20  # written between two steps,
STEP_BLOBS: Final = 16  # or so many blobs
_BUFFER_BYTES: Final = 256 << 10

Data = bytes | memoryview
Key = tuple[str, str, int]  # table, column, chunk


class Source(NamedTuple):
    """A chunk of rows to be stored. While ``witness`` is the same object, rows it had once are as they were."""

    key: Key
    witness: Any  # the chunk's array, the interner or the array of times; None: no row has a value
    rows: int


class Shelf:
    """What the newest snapshot that this process knows has stored, and the witnesses that it is still so."""

    def __init__(self) -> None:
        self._chunks: dict[Key, tuple[weakref.ref[Any], Pieces]] = {}
        self.hashes: dict[bytes, Piece] = {}
        self.foreign: set[int] = set()  # files that another process wrote and this one never read
        self.parts: dict[tuple[str, str, str], Piece] = {}

    @classmethod
    def of(cls, manifest: Manifest, frame: Frame) -> Shelf:
        """Return what a snapshot has stored; ``frame`` is the state that was written to it or restored from it."""
        shelf = cls()
        shelf.hashes = {piece.hash: piece for piece in manifest.pieces()}
        for name, part in manifest.parts.items():
            shelf.parts |= {(name, part.version, blob): piece for blob, piece in part.blobs.items()}
        for source in sources(frame):
            table, column, index = source.key
            pieces = manifest.tables[table].chunks[column][index]
            if source.witness is not None:
                shelf._chunks[source.key] = weakref.ref(source.witness), pieces
        return shelf

    def add(self, manifest: Manifest) -> None:
        """Take note of a snapshot of another process: what is the same by its hash can be shared with it."""
        known = {piece.file for piece in self.hashes.values()}
        self.hashes |= {piece.hash: piece for piece in manifest.pieces()}
        self.foreign |= manifest.files() - known

    def forget(self, part: StoredPart) -> None:
        """Share nothing with a part that could not be read."""
        pieces = set(part.blobs.values())
        self.parts = {key: piece for key, piece in self.parts.items() if piece not in pieces}
        self.hashes = {key: piece for key, piece in self.hashes.items() if piece not in pieces}

    def pieces_of(self, source: Source) -> Pieces:
        """Return the pieces that hold the first rows of a source, if that is certain."""
        witness, pieces = self._chunks.get(source.key, (None, None))
        return pieces if witness is not None and witness() is source.witness else None

    def array_of(self, key: Key, pieces: Pieces) -> Any:
        """Return the array of a chunk that holds exactly these pieces and is in use, or None."""
        witness, held = self._chunks.get(key, (None, None))
        return witness() if witness is not None and held == pieces else None


def sources(frame: Frame) -> Iterator[Source]:
    """Give everything of a Frame that is stored as rows, chunk by chunk."""
    for table, view in views(frame).items():
        for column, chunks in view.chunks.items():
            for index, rows in enumerate(_row_counts(view.count)):
                yield Source((table, column, index), chunks[index], rows)
    for index, rows in enumerate(_row_counts(frame.nodes.count)):
        yield Source(("ids", "id", index), frame.interner, rows)
    for index, rows in enumerate(_row_counts(frame.position)):
        yield Source(("times", "time_us", index), frame.times_us, rows)


def _row_counts(count: int) -> list[int]:
    """Return the rows of each chunk of a table."""
    return [min(CHUNK_ROWS, count - first) for first in range(0, count, CHUNK_ROWS)]


def views(frame: Frame) -> dict[str, View]:
    """Return a Frame's tables by name."""
    tables = {name: getattr(frame, name) for name in TABLES}
    return {name: view for name, view in tables.items() if view is not None}


def _kinds(frame: Frame) -> dict[str, tuple[int, dict[str, str]]]:
    """Return the row count and the kinds of the columns of each table."""
    kinds = {name: (view.count, dict(view.kinds)) for name, view in views(frame).items()}
    return {**kinds, "ids": (frame.nodes.count, {"id": "|O"}), "times": (frame.position, {"time_us": "<i8"})}


def _encoded(source: Source, first: int) -> Data:
    """Return the bytes of a source's rows from ``first`` on, counted from the chunk's first."""
    start = source.key[2] << CHUNK_BITS
    match source.witness:
        case np.ndarray() as chunk if chunk.dtype.hasobject:
            return encode_cells(chunk[first : source.rows].tolist())
        case np.ndarray() as chunk:
            return chunk[first : source.rows].data.cast("B")
        case Interner() as interner:
            return encode_cells(interner.ids[start + first : start + source.rows])
        case times_us:
            return bytes(times_us[start + first : start + source.rows].tobytes())


class SnapshotWriter:
    """Writes one snapshot in small steps, so that it can be done beside other work.

    Args:
        frame: what to write. chain: of the log at its position.
        parts: what is kept beside the graph, by name.
        shelf: what is known to be stored.
        files: where to write; their ``lock()`` must be held until the last step is done.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        memory_id: bytes,
        chain: bytes,
        parts: dict[str, Part],
        shelf: Shelf,
        files: SnapshotFiles,
    ) -> None:
        self._frame = frame
        self._memory_id = memory_id
        self._chain = chain
        self._parts = parts
        self._shelf = shelf
        self._files = files
        self._usable: set[int] = set()  # files whose blobs may be shared
        self._hashes: dict[bytes, Piece] = {}
        self._offset = 0
        self.written_bytes = 0
        self.manifest: Manifest | None = None

    def steps(self) -> Iterator[None]:
        """Write the file; ``manifest`` is set when it is durable. Stopping early leaves nothing behind.

        Raises:
            DiskFull, StoreError: it could not be written.
        """
        self._choose_files()
        draft = self._files.draft(self._frame.position)
        try:
            out = _Buffered(draft)
            out.write(encode_header(self._memory_id, self._frame.position))
            tables: dict[str, StoredTable] = {
                name: StoredTable(count, kinds, {column: [] for column in kinds})
                for name, (count, kinds) in _kinds(self._frame).items()
            }
            for source in sources(self._frame):
                table, column, _ = source.key
                tables[table].chunks[column].append(self._stored(source, out))
                if out.is_step_due():
                    yield
            parts: dict[str, StoredPart] = {}
            for name, part in self._parts.items():
                blobs: dict[str, Piece] = {}
                for blob, encode in part.blobs.items():
                    known = self._shelf.parts.get((name, part.version, blob))
                    if known is None or known.file not in self._usable:
                        known = self._put(encode(), 0, out)
                        yield
                    blobs[blob] = known
                parts[name] = StoredPart(part.version, part.count, blobs)
            manifest = self._manifest(tables, parts)
            out.write(encode_end(manifest, out.offset))
            out.flush()
            yield
            draft.finish()
        except BaseException:
            draft.discard()
            raise
        self.written_bytes = out.offset
        self.manifest = manifest

    def _manifest(self, tables: dict[str, StoredTable], parts: dict[str, StoredPart]) -> Manifest:
        frame = self._frame
        return Manifest(
            version=VERSION,
            memory_id=self._memory_id,
            position=frame.position,
            chain=self._chain,
            changes=frame.changes,
            name=frame.name,
            language=frame.language,
            live_nodes=frame.live_nodes,
            live_edges=frame.live_edges,
            replaced=frame.replaced,
            spaces=frame.spaces,
            partitions=frame.partitions,
            tables=tables,
            parts=parts,
        )

    def _choose_files(self) -> None:
        """Decide whose blobs to share: files that are there and of which much is still in use."""
        there = set(self._files.positions()) - {self._frame.position}
        live: Counter[int] = Counter()
        for source in sources(self._frame):
            for piece in self._shelf.pieces_of(source) or ():
                live[piece.file] += piece.size_bytes
        for piece in self._shelf.parts.values():
            live[piece.file] += piece.size_bytes
        sizes = {position: self._files.open(position).size_bytes for position in there & set(live)}
        worth = [file for file, size_bytes in sizes.items() if live[file] >= LIVE_SHARE_MIN * size_bytes]
        own = sorted(worth, key=lambda file: -live[file])[:FILES_MAX]
        self._usable = {*own, *there & self._shelf.foreign}
        self._hashes = {key: piece for key, piece in self._shelf.hashes.items() if piece.file in self._usable}

    def _is_usable(self, piece: Piece) -> bool:
        return piece.file in self._usable

    def _stored(self, source: Source, out: _Buffered) -> Pieces:
        """Return the pieces of a chunk, writing what is not stored yet."""
        if source.witness is None:
            return None
        pieces = self._shelf.pieces_of(source) or ()
        if all(map(self._is_usable, pieces)):
            stored = sum(piece.rows for piece in pieces)
            if stored == source.rows:
                return pieces
            if stored < source.rows and len(pieces) < PIECES_MAX:
                return (*pieces, self._put(_encoded(source, stored), source.rows - stored, out))
        return (self._put(_encoded(source, 0), source.rows, out),)

    def _put(self, data: Data, rows: int, out: _Buffered) -> Piece:
        """Return a piece with these bytes: one that is stored, or a new one."""
        digest = sha256(data).digest()[:HASH_BYTES]
        known = self._hashes.get(digest)
        if known is not None and (known.rows, known.size_bytes) == (rows, len(data)):
            return known
        piece = Piece(self._frame.position, out.offset, len(data), rows, crc32c(data), digest)
        out.write(data)
        self._hashes[digest] = piece
        return piece


class _Buffered:
    """Gathers small blobs into larger writes, and says when a step's worth of work was done."""

    def __init__(self, draft: SnapshotDraft) -> None:
        self._draft = draft
        self._parts: list[Data] = []
        self._waiting_bytes = 0
        self._step_end = STEP_BYTES
        self._blobs = 0
        self.offset = 0

    def write(self, data: Data) -> None:
        self._parts.append(data)
        self.offset += len(data)
        self._waiting_bytes += len(data)
        self._blobs += 1
        if self._waiting_bytes >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._parts:
            self._draft.write(b"".join(self._parts))
            self._parts.clear()
            self._waiting_bytes = 0

    def is_step_due(self) -> bool:
        """Whether a step's worth of bytes or of blobs was written since this last said so."""
        if self.offset < self._step_end and self._blobs < STEP_BLOBS:
            return False
        self._step_end = self.offset + STEP_BYTES
        self._blobs = 0
        return True
