"""Reading a snapshot back to a state that goes on where it was written.

Checksums say that the bytes are those that were written; what is asked here besides is that they fit together, so that
not even a forged file leads to more than a ``DamagedSnapshot``.
"""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np

from memorygraph.events.snapshots import SnapshotFiles
from memorygraph.projections.expiry import expiries
from memorygraph.projections.frame import ALIVE, NO_ROW
from memorygraph.projections.graph import GraphState
from memorygraph.projections.review import is_sound
from memorygraph.projections.snapshot_format import (
    MAY_LACK,
    Blobs,
    Manifest,
    Pieces,
    StoredPart,
    StoredTable,
    damage_named,
    decode_cells,
    require,
)
from memorygraph.projections.snapshot_writer import TABLES, Shelf
from memorygraph.projections.tables import CHUNK_ROWS, Chunk, Interner, Table, View

_TIMES: Final = StoredTable(0, {"time_us": "<i8"}, {})


def restored(manifest: Manifest, files: SnapshotFiles, shelf: Shelf | None = None) -> GraphState:
    """Return the state that a snapshot holds.

    Args:
        shelf: what a state of the same memory has in use; chunks that it has are shared with it.

    Raises:
        DamagedSnapshot: a blob is not there or fails its check, or the blobs do not fit together.
    """
    with damage_named(manifest.position):
        return _Reader(manifest, files, shelf or Shelf()).state()


def read_part(manifest: Manifest, files: SnapshotFiles, name: str, version: str) -> dict[str, bytes] | None:
    """Return the blobs of a part by name; None if the snapshot has none of that version.

    Raises:
        DamagedSnapshot: a blob is not there or fails its check.
    """
    part: StoredPart | None = manifest.parts.get(name)
    if part is None or part.version != version:
        return None
    with damage_named(manifest.position):
        blobs = Blobs(files)
        return {blob: blobs.read(piece) for blob, piece in part.blobs.items()}


class _Reader:
    def __init__(self, manifest: Manifest, files: SnapshotFiles, shelf: Shelf) -> None:
        self._manifest = manifest
        self._shelf = shelf
        self._blobs = Blobs(files)
        self._blobs.open_all(manifest)

    def state(self) -> GraphState:
        manifest = self._manifest
        state = GraphState()
        state.position = manifest.position
        state.changes = manifest.changes
        state.name = manifest.name
        state.language = manifest.language
        state.replaced, state.replaced_told, state.content_left = manifest.replaced
        if manifest.spaces:
            state.begin_with(manifest.spaces)
        for partition in manifest.partitions:
            state.partition_code(partition)
        tables = tables_of(state)
        self._require(
            {
                "its tables are others": set(manifest.tables) == {*tables, "ids", "times"},
                "it names a partition twice": len(manifest.partitions) == len(set(manifest.partitions)),
            }
        )
        state.interner = self._interner()
        state.times_us = self._times_us()
        for name, table in tables.items():
            setattr(state, name, self._table(name, table))
        state.live_nodes, state.live_edges = manifest.live_nodes, manifest.live_edges
        # The last row that was given a name has it.
        edges = state.edges.publish()
        state.edge_names = {extras.id: row for row, extras in edges.objects("extras") if extras.id}
        self._check(state)
        state.has_archive = any(block.any() for _, block in state.nodes.publish().blocks("archived"))
        for row, time_us in expiries(state.publish()):
            state.expires(row, time_us)
        return state

    def _table(self, name: str, empty: Table) -> Table:
        stored = self._manifest.tables[name]
        self._require({f"the columns of {name} are others": stored.kinds == empty.kinds})
        chunks = {
            column: [self._chunk(name, column, index, pieces) for index, pieces in enumerate(stored.chunks[column])]
            for column in empty.names
        }
        wanted = -(-stored.count // CHUNK_ROWS)
        self._require({f"{name} lacks chunks": {len(column) for column in chunks.values()} == {wanted}})
        return empty.restored(stored.count, chunks)

    def _rows(self, name: str, index: int) -> int:
        """Return how many rows a chunk must have."""
        return min(CHUNK_ROWS, self._manifest.tables[name].count - index * CHUNK_ROWS)

    def _chunk(self, name: str, column: str, index: int, pieces: Pieces) -> Chunk:
        kind = self._manifest.tables[name].kinds[column]
        rows = self._rows(name, index)
        if pieces is None:
            self._require({f"{name} lacks values": (name, column) in MAY_LACK})
            return None
        chunk: Chunk = self._shelf.array_of((name, column, index), pieces) if rows == CHUNK_ROWS else None
        if chunk is None and kind == "|O":
            cells = [cell for piece in pieces for cell in decode_cells(name, column, self._blobs.read(piece))]
            chunk = np.fromiter(cells, dtype=object, count=len(cells))
        elif chunk is None:
            dtype, _, width = kind.partition("*")
            parts = [self._blobs.read(piece) for piece in pieces]
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            chunk = np.frombuffer(data, dtype=np.dtype(dtype))
            chunk = chunk.reshape(-1, int(width)) if width else chunk
        self._require({f"{name} has a chunk of another length": chunk is not None and len(chunk) == rows})
        return chunk

    def _interner(self) -> Interner:
        stored = self._manifest.tables["ids"]
        ids = [
            cell
            for pieces in stored.chunks["id"]
            for piece in pieces or ()
            for cell in decode_cells("ids", "id", self._blobs.read(piece))
        ]
        interner = Interner.restored(ids)
        self._require({"an id comes twice or is missing": len(interner.rows) == len(ids) == stored.count})
        return interner

    def _times_us(self) -> array[int]:
        stored = self._manifest.tables["times"]
        times_us: array[int] = array("q")
        for pieces in stored.chunks["time_us"]:
            for piece in pieces or ():
                times_us.frombytes(self._blobs.read(piece))
        ordered = np.frombuffer(times_us, np.int64) if len(times_us) else np.zeros(0, np.int64)
        self._require(
            {
                "its times are others": stored.kinds == _TIMES.kinds,
                "a time is missing": len(times_us) == stored.count == self._manifest.position,
                "its times do not rise": bool((ordered[1:] >= ordered[:-1]).all()),
            }
        )
        return times_us

    def _check(self, state: GraphState) -> None:
        """Check that what points to rows points to rows that are there."""
        nodes, edges, texts = state.nodes.publish(), state.edges.publish(), state.texts.publish()
        vectors = None if state.vectors is None else state.vectors.publish()
        self._require(
            {
                "ids and nodes differ in number": nodes.count == len(state.interner.ids),
                "live nodes are miscounted": _count(nodes, "alive", 1) == state.live_nodes,
                "live edges are miscounted": _count(edges, "flags", ALIVE) == state.live_edges,
                "a partition is missing": _within(nodes, "partition", 0, len(state.partitions)),
                "a text is missing": _within(nodes, "text_row", NO_ROW, texts.count),
                "labels are missing": _within(nodes, "label_row", NO_ROW, state.labels.count),
                "a vector is missing": _within(nodes, "vector_row", NO_ROW, vectors.count if vectors else 0),
                "a text's node is missing": _within(texts, "node", 0, nodes.count),
                "a vector's node is missing": vectors is None or _within(vectors, "node", 0, nodes.count),
                "a review is unsound": all(is_sound(card) for _, card in nodes.objects("review")),
                "an edge's source is missing": _within(edges, "source", 0, nodes.count),
                "an edge's target is missing": _within(edges, "target", 0, nodes.count),
                "edges are out of order": _rises(edges, "birth"),
            }
        )

    def _require(self, holds: dict[str, bool]) -> None:
        require(self._manifest.position, holds)


def tables_of(state: GraphState) -> dict[str, Table]:
    """Return the tables of a state by name."""
    tables = {name: getattr(state, name) for name in TABLES}
    return {name: table for name, table in tables.items() if table is not None}


def _within(view: View, column: str, low: int, high: int) -> bool:
    """Whether all values of a column are in [low, high)."""
    return all(int(block.min()) >= low and int(block.max()) < high for _, block in view.blocks(column))


def _count(view: View, column: str, flag: int) -> int:
    """Return how many values of a column have a flag."""
    return sum(int(np.count_nonzero(block & flag)) for _, block in view.blocks(column))


def _rises(view: View, column: str) -> bool:
    """Whether each value of a column is above the one before."""
    last = -1
    for _, block in view.blocks(column):
        if int(block[0]) <= last or not bool((block[1:] > block[:-1]).all()):
            return False
        last = int(block[-1])
    return True
