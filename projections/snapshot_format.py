"""What a snapshot file looks like (decision 0004): blobs, then a manifest that says which blobs make up the memory.

A blob holds rows of one column of one chunk. A manifest names blobs in its own file and, for what did not change, in
files of older snapshots. Whatever is read is checked against the checksum in the manifest, and the manifest against
the one in the file's last bytes; the chain in it ties it to its log. What fails raises ``DamagedSnapshot``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from struct import Struct as Layout
from types import GenericAlias, NoneType
from typing import Any, Final, get_args

import msgspec
from crc32c import crc32c
from msgspec import Struct

from memorygraph.events.errors import DamagedSnapshot, StoreError
from memorygraph.events.records import ReviewCard, SpaceDeclared
from memorygraph.events.snapshots import SnapshotFile, SnapshotFiles
from memorygraph.events.types import Partition
from memorygraph.projections.frame import EdgeExtras, Extras

VERSION: Final = 1
MAGIC: Final = b"MGSNAP1\0"
END_MAGIC: Final = b"MGSNEND\0"
HASH_BYTES: Final = 16  # of SHA-256: names a blob by what is in it
_HEADER: Final = Layout("<8s16sQ")  # magic, memory id, position
_END: Final = Layout("<QQ32s8s")  # offset and length of the manifest, its SHA-256, magic
HEADER_BYTES: Final = _HEADER.size
_MANIFEST_BYTES_MAX: Final = 1 << 30

# How a cell of an object column is written, by table and column.
OBJECTS: Final[dict[tuple[str, str], Any]] = {
    ("nodes", "access_times_us"): tuple[int, ...] | None,
    ("nodes", "review"): ReviewCard | None,
    ("edges", "extras"): EdgeExtras | None,
    ("labels", "extras"): Extras,
    ("texts", "content"): str,
    ("texts", "speaker"): str | None,
    ("ids", "id"): str,
}
MAY_LACK: Final = frozenset(key for key, cell in OBJECTS.items() if NoneType in get_args(cell))
_decoders: Final[dict[tuple[str, str], msgspec.msgpack.Decoder[Any]]] = {
    key: msgspec.msgpack.Decoder(GenericAlias(list, (cell,))) for key, cell in OBJECTS.items()
}
encode_cells: Final = msgspec.msgpack.Encoder().encode


class Piece(Struct, frozen=True, array_like=True, gc=False):
    """A blob: in which snapshot's file it is and where, how many rows it holds, and what its bytes must give."""

    file: int
    offset: int
    size_bytes: int
    rows: int
    crc: int
    hash: bytes


Pieces = tuple[Piece, ...] | None  # the blobs of one chunk of a column, one behind the other; None: no value in it


class StoredTable(Struct, frozen=True):
    """A table: its row count, and of each column its kind (dtype and width) and the blobs of each chunk."""

    count: int
    kinds: dict[str, str]
    chunks: dict[str, list[Pieces]]


class StoredPart(Struct, frozen=True):
    """Something kept beside the graph: its version, the rows that it knows, and named blobs."""

    version: str
    count: int
    blobs: dict[str, Piece]


class Manifest(Struct, frozen=True, kw_only=True):
    """A memory at one position: what is small by value, the rest as pieces."""

    version: int
    memory_id: bytes
    position: int
    chain: bytes
    changes: int
    name: str
    language: str
    live_nodes: int
    live_edges: int
    replaced: tuple[int, int, int]  # records of which only the hash was kept, those told of, where content left last
    spaces: tuple[SpaceDeclared, ...]
    partitions: tuple[Partition, ...]
    tables: dict[str, StoredTable]
    parts: dict[str, StoredPart]

    def pieces(self) -> Iterator[Piece]:
        """Give every piece."""
        for table in self.tables.values():
            for chunks in table.chunks.values():
                for pieces in chunks:
                    yield from pieces or ()
        for part in self.parts.values():
            yield from part.blobs.values()

    def files(self) -> set[int]:
        """Return the snapshots in whose files the pieces are."""
        return {self.position, *(piece.file for piece in self.pieces())}

    def size_bytes(self) -> int:
        """Return the bytes of all pieces."""
        return sum(piece.size_bytes for piece in self.pieces())


# The ways in which bytes can fail to be what they should be, and in which a disk can refuse them.
_CAUSES: Final = (
    StoreError,
    msgspec.DecodeError,
    ArithmeticError,
    MemoryError,  # a forged size
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Manifest).decode


def encode_header(memory_id: bytes, position: int) -> bytes:
    """Return the first bytes of a file."""
    return _HEADER.pack(MAGIC, memory_id, position)


def encode_end(manifest: Manifest, offset: int) -> bytes:
    """Return the last bytes of a file: the manifest, which begins at ``offset``, and where it is."""
    data = _encode(manifest)
    return data + _END.pack(offset, len(data), sha256(data).digest(), END_MAGIC)


@contextmanager
def damage_named(position: int) -> Iterator[None]:
    """Turn whatever malformed bytes can cause into a ``DamagedSnapshot``."""
    try:
        yield
    except DamagedSnapshot:
        raise
    except _CAUSES as error:
        raise DamagedSnapshot(f"the snapshot of position {position} cannot be used: {error}", position=position) from (
            error
        )


def require(position: int, holds: Mapping[str, bool]) -> None:
    """Raise ``DamagedSnapshot`` with the first condition that does not hold."""
    for condition, does_hold in holds.items():
        if not does_hold:
            raise DamagedSnapshot(f"the snapshot of position {position} cannot be used: {condition}", position=position)


def read_manifest(files: SnapshotFiles, position: int, memory_id: bytes) -> Manifest:
    """Read the manifest of a file.

    Raises:
        DamagedSnapshot: the file is missing, of another memory or format, or fails its checks.
    """
    with damage_named(position):
        file = files.open(position)
        return _manifest_in(file, position, memory_id)


def _manifest_in(file: SnapshotFile, position: int, memory_id: bytes) -> Manifest:
    header = file.read(HEADER_BYTES, 0)
    end = file.read(_END.size, max(file.size_bytes - _END.size, 0))
    require(position, {"it is cut short": len(header) == HEADER_BYTES and len(end) == _END.size})
    require(position, {"it is another memory's": header == encode_header(memory_id, position)})
    offset, size_bytes, digest, magic = _END.unpack(end)
    require(
        position,
        {
            "it is cut short": magic == END_MAGIC,
            "its end is malformed": offset + size_bytes + _END.size == file.size_bytes < 1 << 62
            and size_bytes <= _MANIFEST_BYTES_MAX,
        },
    )
    data = file.read(size_bytes, offset)
    require(position, {"its manifest fails its checksum": sha256(data).digest() == digest})
    manifest = _decode(data)
    require(
        position,
        {
            "it is of another format": manifest.version == VERSION,
            "it is another memory's": (manifest.memory_id, manifest.position) == (memory_id, position),
        },
    )
    return manifest


class Blobs:
    """Reads and checks pieces, keeping the files open that they are in."""

    def __init__(self, files: SnapshotFiles) -> None:
        self._files = files
        self._open: dict[int, SnapshotFile] = {}

    def open_all(self, manifest: Manifest) -> None:
        """Open the files of all pieces: from here on their removal does no harm.

        Raises:
            StoreError: one is not there.
        """
        for position in manifest.files():
            self._file(position)

    def read(self, piece: Piece) -> bytes:
        """Return the bytes of a piece.

        Raises:
            DamagedSnapshot: they are not there or fail their checksum.
            StoreError: the disk cannot read them.
        """
        file = self._file(piece.file)
        is_inside = 0 <= piece.offset <= piece.offset + piece.size_bytes <= file.size_bytes
        data = file.read(piece.size_bytes, piece.offset) if is_inside else b""
        if not is_inside or crc32c(data) != piece.crc:
            raise DamagedSnapshot(
                f"the snapshot of position {piece.file} is damaged at byte {piece.offset}", position=piece.file
            )
        return data

    def _file(self, position: int) -> SnapshotFile:
        file = self._open.get(position)
        if file is None:
            file = self._open[position] = self._files.open(position)
        return file


def decode_cells(table: str, column: str, data: bytes) -> list[Any]:
    """Decode a blob of an object column."""
    cells: list[Any] = _decoders[table, column].decode(data)
    return cells


class Part(Struct, frozen=True):
    """What to keep beside the graph. A blob's name stands for its content: same part, version and name, same bytes."""

    version: str
    count: int
    blobs: dict[str, Callable[[], bytes]]
