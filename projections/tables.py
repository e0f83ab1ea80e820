"""Tables of columns that readers can hold while a writer goes on (decision 0001, section 5).

A column is a list of chunks of 4,096 rows; the first chunk grows by doubling. New rows wait in ``pending`` lists and
are written beyond the published count, where no reader looks. A change of a published row copies its chunk, once per
batch. ``publish()`` hands out a ``View``: a count and tuples of chunks, which nobody changes below that count.

A chunk of an ``object`` column is made only when a value other than None is written to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

CHUNK_BITS: Final = 12
CHUNK_ROWS: Final = 1 << CHUNK_BITS
CHUNK_MASK: Final = CHUNK_ROWS - 1
FIRST_ROWS: Final = 16
_ROWS_PER_VISIT: Final = 2000  # rows of a column that are joined in the time of a visit to a chunk
_FEW: Final = 16  # rows that are sooner looked up one by one than sorted by chunk
_PENDING_MAX: Final = 256  # rows wait while they are in the processor's cache; more would be slower to write
_INT_BYTES: Final = 32  # of a Python integer, as allocated

Chunk = NDArray[Any] | None
Column = Sequence[Any] | NDArray[Any]


class View:
    """A published table: ``count`` rows of named columns that no longer change.

    ``versions`` has a number per chunk, which changes with its rows, and the table's own as its last. ``kinds`` are the
    columns' dtypes, and widths where a row is a vector: ``<f8``, ``<f4*256``.
    """

    __slots__ = ("chunks", "count", "joined", "kinds", "versions", "visits")

    def __init__(
        self, count: int, chunks: dict[str, tuple[Chunk, ...]], versions: tuple[int, ...], kinds: dict[str, str]
    ) -> None:
        self.count = count
        self.chunks = chunks
        self.versions = versions
        self.kinds = kinds
        self.joined: dict[str, NDArray[Any]] = {}  # columns that were asked for as a whole
        self.visits: dict[str, int] = {}  # of chunks of columns that were not

    def value(self, name: str, row: int) -> Any:
        """Return one cell as a Python value (None in an object chunk that was never written)."""
        chunk = self.chunks[name][row >> CHUNK_BITS]
        return None if chunk is None else chunk.item(row & CHUNK_MASK)

    def vector(self, row: int) -> bytes:
        """Return the cell of a column of vectors, named "vector", as bytes."""
        chunk = _array(self.chunks["vector"][row >> CHUNK_BITS])
        return bytes(chunk[row & CHUNK_MASK].tobytes())

    def column(self, name: str) -> NDArray[Any]:
        """Return a whole column (not of objects), shape (count, ...); several chunks are joined once per view."""
        whole = self.joined.get(name)
        if whole is None:
            whole = self.joined[name] = self._join(name)
        return whole

    def take(self, name: str, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the cells of some rows (not of objects), shape (len(rows),); few rows cost little.

        A column is joined when visits of its chunks have cost as much as that: it is never much more than what is best.
        """
        if name in self.joined or len(self.chunks[name]) == 1:
            return self._taken(name, rows)
        chunks = self.chunks[name]
        if len(rows) <= _FEW and _array(chunks[0]).ndim == 1:
            cells = [_array(chunks[row >> CHUNK_BITS])[row & CHUNK_MASK] for row in rows.tolist()]
            return np.array(cells, dtype=_array(chunks[0]).dtype)
        groups = _by_chunk(rows)
        visits = self.visits[name] = self.visits.get(name, 0) + len(groups)
        if visits * _ROWS_PER_VISIT >= self.count:
            return self._taken(name, rows)
        found = np.empty(len(rows), dtype=_array(chunks[0]).dtype)
        for index, mine in groups:
            found[mine] = _array(chunks[index])[rows[mine] & CHUNK_MASK]
        return found

    def gather(self, name: str, rows: NDArray[Any]) -> list[Any]:
        """Return the cells of some rows of a column of objects, None where none was written."""
        found = np.empty(len(rows), dtype=object)
        for index, mine in _by_chunk(rows):
            chunk = self.chunks[name][index]
            if chunk is not None:
                found[mine] = chunk[rows[mine] & CHUNK_MASK]
        cells: list[Any] = found.tolist()
        return cells

    def tail(self, name: str, first: int) -> NDArray[Any]:
        """Return a column (not of objects) from row ``first`` on, at the cost of these rows."""
        skipped = first >> CHUNK_BITS
        chunks = [_array(chunk) for chunk in self.chunks[name][skipped:]]
        joined = chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
        start = skipped << CHUNK_BITS
        return joined[first - start : self.count - start]

    def blocks(self, name: str) -> Iterable[tuple[int, NDArray[Any]]]:
        """Give (first row, chunk cut to the published rows) without joining."""
        for index, chunk in enumerate(self.chunks[name]):
            first = index << CHUNK_BITS
            if first < self.count and chunk is not None:
                yield first, chunk[: self.count - first]

    def objects(self, name: str) -> Iterable[tuple[int, Any]]:
        """Give (row, value) of an object column where the value is not None."""
        for first, chunk in self.blocks(name):
            for row, value in enumerate(chunk.tolist(), first):
                if value is not None:
                    yield row, value

    def cells(self, name: str, first: int) -> Iterable[Any]:
        """Give the values of an object column whose cells are all written, from row ``first`` on."""
        for index in range(first >> CHUNK_BITS, len(self.chunks[name])):
            start = index << CHUNK_BITS
            yield from _array(self.chunks[name][index])[max(first - start, 0) : self.count - start].tolist()

    def with_chunks(self, name: str, chunks: tuple[NDArray[Any], ...]) -> View:
        """Return this view with other chunks in a column; the other columns are shared."""
        changed = View(self.count, self.chunks | {name: chunks}, self.versions, self.kinds)
        changed.joined = {kept: whole for kept, whole in self.joined.items() if kept != name}
        return changed

    def size_bytes(self, names: Iterable[str] | None = None) -> int:
        """Return the bytes of the columns' arrays (pointers only for objects)."""
        wanted = self.chunks if names is None else names
        return sum(chunk.nbytes for name in wanted for chunk in self.chunks[name] if chunk is not None)

    def _taken(self, name: str, rows: NDArray[Any]) -> NDArray[Any]:
        taken: NDArray[Any] = self.column(name).take(rows, axis=0)
        return taken

    def _join(self, name: str) -> NDArray[Any]:
        chunks = self.chunks[name]
        if len(chunks) == 1 and chunks[0] is not None:
            return chunks[0][: self.count]
        return np.concatenate([chunk for _, chunk in self.blocks(name)])


def chunks_of(values: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Cut a column into chunks, at least one."""
    return tuple(values[first : first + CHUNK_ROWS] for first in range(0, max(len(values), 1), CHUNK_ROWS))


def _by_chunk(rows: NDArray[Any]) -> list[tuple[int, NDArray[np.intp]]]:
    """Return, for each chunk that has some of the rows, its number and the places of these."""
    if not len(rows):
        return []
    index = rows >> CHUNK_BITS
    order = np.argsort(index, kind="stable")
    index = index[order]
    starts = [0, *(np.flatnonzero(index[1:] != index[:-1]) + 1).tolist(), len(rows)]
    return [(int(index[start]), order[start:end]) for start, end in pairwise(starts)]


def _array(chunk: Chunk) -> NDArray[Any]:
    assert chunk is not None  # only object columns wait for their first value
    return chunk


def _as_bytes(array: NDArray[Any]) -> NDArray[Any]:
    """Return a column of vectors as one of bytes, over the same memory."""
    return array.view(f"V{array.shape[1] * array.itemsize}")[:, 0]


def _kind(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{dtype.str}*{shape[0]}" if shape else dtype.str


class Table:
    """The writer's side of a table; not thread safe, one writer at a time.

    Args:
        columns: name -> dtype, or (dtype, width) for a column of vectors, whose values come as bytes; the order is
            the order of ``append``.
    """

    def __init__(self, columns: dict[str, DTypeLike | tuple[DTypeLike, int]]) -> None:
        self.names = tuple(columns)
        self._columns = columns
        self._specs: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        for name, spec in columns.items():
            dtype, shape = (spec[0], (spec[1],)) if isinstance(spec, tuple) else (spec, ())
            self._specs[name] = np.dtype(dtype), shape
        self.kinds = {name: _kind(dtype, shape) for name, (dtype, shape) in self._specs.items()}
        self._chunks: dict[str, list[Chunk]] = {name: [] for name in columns}
        self._pending: list[tuple[Any, ...]] = []
        self._written = 0
        self._published: View | None = None
        self._fresh: set[tuple[str, int]] = set()  # chunks of published rows that this batch has already copied
        self._changed: set[str] = set()  # columns whose tuple of chunks must be made anew
        self._versions: list[int] = []
        self._tuples: dict[str, tuple[Chunk, ...]] = {}
        self._version = 0
        self._borrowed = False  # whether the last chunk, which has room for new rows, is somebody else's
        self._tail: list[Chunk] = []  # where single rows are written
        self._tail_end = 0  # the rows that fit there; 0: an array was replaced, so they must be looked up anew
        self._add_chunk()

    @classmethod
    def fork(cls, columns: dict[str, Any], view: View) -> Table:
        """Return a table that goes on from a view of another with these columns; neither sees the other's changes."""
        table = cls(columns)
        table._chunks = {name: list(view.chunks[name]) for name in columns}
        table._written = view.count
        table._published = view
        table._fresh, table._changed = set(), set()
        table._versions, table._version = list(view.versions[:-1]), view.versions[-1]
        table._tuples = view.chunks
        table._borrowed = True
        return table

    def restored(self, count: int, chunks: dict[str, list[Chunk]]) -> Table:
        """Return a table with the columns of this one and ``count`` rows, which goes on where another was published.

        Args:
            chunks: of each column, with exactly the rows that count; full ones are shared with whoever holds them and
                copied before they are changed, the last one, unless full, is copied here.
        """
        table = Table(self._columns)
        table._written = count
        table._versions = [index + 1 for index in range(max(1, -(-count // CHUNK_ROWS)))]
        table._version = len(table._versions)
        if count:
            table._chunks = {name: list(chunks[name]) for name in table.names}
        last = len(table._versions) - 1
        for name in table.names if count % CHUNK_ROWS else ():
            if table._chunks[name][last] is not None:
                table._make(name, last, count - (last << CHUNK_BITS))
        table._changed.update(table.names)
        table.publish()
        return table

    @property
    def count(self) -> int:
        """Rows, those waiting included."""
        return self._written + len(self._pending)

    def append(self, *row: Any) -> int:
        """Add one row and return its number."""
        self._pending.append(row)
        number = self._written + len(self._pending) - 1
        if len(self._pending) >= _PENDING_MAX:
            self._flush()
        return number

    def append_rows(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add a few rows."""
        self._pending.extend(rows)
        if len(self._pending) >= _PENDING_MAX:
            self._flush()

    def extend(self, *columns: Column) -> None:
        """Add rows given as columns of equal length.

        Raises:
            ValueError: the columns differ in length.
        """
        total = len(columns[0])
        if {len(column) for column in columns} != {total}:
            raise ValueError(f"columns of unequal length: {[len(column) for column in columns]}")
        if total == 1:
            self._pending.append(tuple([column[0] for column in columns]))
            return
        if self._pending:
            self._flush()
        if self._borrowed:
            self._own_tail()
        done = 0
        while done < total:
            done += self._write(columns, done, total)

    def value(self, name: str, row: int) -> Any:
        """Return one cell as a Python value."""
        if self._pending:
            self._flush()
        chunk = self._chunks[name][row >> CHUNK_BITS]
        return None if chunk is None else chunk.item(row & CHUNK_MASK)

    def set(self, name: str, row: int, value: Any) -> None:
        """Change one cell; a chunk that readers hold is copied first."""
        if self._pending:
            self._flush()
        index = row >> CHUNK_BITS
        chunk = self._writable(name, index, row)
        if chunk is None and value is not None:
            chunk = self._make(name, index, self._written - (index << CHUNK_BITS))
        if chunk is not None:
            chunk[row & CHUNK_MASK] = value
        self._touch(index)

    def publish(self) -> View:
        """Return the rows so far as a view that later writes leave alone; the same one if nothing changed."""
        if self._pending:
            self._flush()
        if self._published is not None and self._published.versions[-1] == self._version:
            return self._published
        self._fresh.clear()
        if self._changed:
            self._tuples = self._tuples | {name: tuple(self._chunks[name]) for name in self._changed}
            self._changed.clear()
        self._published = View(self._written, self._tuples, (*self._versions, self._version), self.kinds)
        return self._published

    def _touch(self, index: int) -> None:
        self._version += 1
        self._versions[index] = self._version

    def _flush(self) -> None:
        if self._borrowed:
            self._own_tail()
        rows, self._pending = self._pending, []
        if len(rows) == 1 and self._write_row(rows[0]):
            return
        columns = tuple(zip(*rows, strict=True))
        done = 0
        while done < len(rows):
            done += self._write(columns, done, len(rows))

    def _write_row(self, row: tuple[Any, ...]) -> bool:
        """Write one row if every array has room for it; False: it must go the general way, over what was written."""
        if self._written >= self._tail_end and not self._find_tail():
            return False
        at = self._written & CHUNK_MASK
        for array, value in zip(self._tail, row, strict=True):
            if array is not None:
                array[at] = value
            elif value is not None:
                return False
        self._version += 1
        self._versions[self._written >> CHUNK_BITS] = self._version
        self._written += 1
        return True

    def _find_tail(self) -> bool:
        """Look up the arrays of the last chunk; False if a row does not fit all of them."""
        index = self._written >> CHUNK_BITS
        if index == len(self._versions):
            return False
        arrays = [chunks[index] for chunks in self._chunks.values()]
        rows = min([len(array) for array in arrays if array is not None], default=0)
        self._tail_end = (index << CHUNK_BITS) + rows
        self._tail = [array if array is None or array.ndim == 1 else _as_bytes(array) for array in arrays]
        return self._written < self._tail_end

    def _write(self, columns: Sequence[Column], done: int, total: int) -> int:
        """Write rows ``done``.. of the columns, as many as fit in one chunk; return how many."""
        index, at = self._written >> CHUNK_BITS, self._written & CHUNK_MASK
        fits = min(total - done, CHUNK_ROWS - at)
        if index == len(self._versions):
            self._add_chunk()
        for name, column in zip(self.names, columns, strict=True):
            self._write_column(name, index, at, column if fits == total else column[done : done + fits])
        self._touch(index)
        self._written += fits
        return fits

    def _own_tail(self) -> None:
        """Copy the last chunk, as far as it counts, before new rows are written into it."""
        self._borrowed = False
        index, used = self._written >> CHUNK_BITS, self._written & CHUNK_MASK
        if index == len(self._versions):
            return
        for name, chunks in self._chunks.items():
            chunk = chunks[index]
            if chunk is not None and (name, index) not in self._fresh:
                own = chunks[index] = np.empty_like(chunk)
                self._tail_end = 0
                own[:used] = chunk[:used]
                self._fresh.add((name, index))
                self._changed.add(name)

    def _add_chunk(self) -> None:
        """Add a chunk to every column; object columns wait for their first value."""
        index = len(self._versions)
        self._versions.append(0)
        for name, (dtype, _) in self._specs.items():
            self._chunks[name].append(None)
            self._changed.add(name)
            if not dtype.hasobject:
                self._make(name, index, FIRST_ROWS)

    def _write_column(self, name: str, index: int, at: int, values: Column) -> None:
        chunk = self._chunks[name][index]
        dtype, shape = self._specs[name]
        if dtype.hasobject and chunk is None and isinstance(values, list | tuple) and values.count(None) == len(values):
            return
        if chunk is None or len(chunk) < at + len(values):
            chunk = self._make(name, index, at + len(values))
        if shape:
            chunk[at : at + len(values)] = np.frombuffer(b"".join(values), dtype=dtype).reshape(-1, *shape)
        elif dtype.hasobject:  # fromiter: numpy would take a list of sequences apart
            chunk[at : at + len(values)] = np.fromiter(values, dtype=dtype, count=len(values))
        elif isinstance(values, range):
            chunk[at : at + len(values)] = np.arange(values.start, values.stop)
        else:
            chunk[at : at + len(values)] = values

    def _make(self, name: str, index: int, rows: int) -> NDArray[Any]:
        """Make a chunk, or a larger copy of the first one, for at least ``rows`` rows."""
        dtype, shape = self._specs[name]
        old = self._chunks[name][index]
        size = min(CHUNK_ROWS, max(FIRST_ROWS, 1 << (rows - 1).bit_length())) if index == 0 else CHUNK_ROWS
        chunk: NDArray[Any] = np.empty((size, *shape), dtype=dtype)
        if old is not None:
            chunk[: len(old)] = old
        self._chunks[name][index] = chunk
        self._tail_end = 0
        self._fresh.add((name, index))
        self._changed.add(name)
        return chunk

    def _writable(self, name: str, index: int, row: int) -> Chunk:
        """Return the chunk to change a row in: a copy, if readers hold that row and this batch has not copied it."""
        chunk = self._chunks[name][index]
        is_published = self._published is not None and row < self._published.count
        if chunk is not None and is_published and (name, index) not in self._fresh:
            chunk = self._chunks[name][index] = chunk.copy()
            self._tail_end = 0
            self._fresh.add((name, index))
            self._changed.add(name)
        return chunk


class Interner:
    """Ids and their rows: an id gets the next row once and keeps it for ever."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.rows: dict[str, int] = {}
        self._ends: tuple[Sequence[str], Sequence[str], NDArray[np.int32]] | None = None

    def ends_of(self, sources: Sequence[str], targets: Sequence[str]) -> NDArray[np.int32]:
        """Return the rows of edges' ends (-1: not known), shape (2, edges).

        The last answer is kept if it was complete: rows are for ever, and edges are looked up when they are decided and
        again when they are applied. Finding them takes as long as all else that is done with them.
        """
        known = self._ends
        if known is not None and known[0] is sources and known[1] is targets:
            return known[2]
        ids = (*sources, *targets)
        try:
            found = itemgetter(*ids)(self.rows) if ids else ()  # half the time of a loop, even one inside of map
        except KeyError:
            return np.array([self.rows.get(node_id, -1) for node_id in ids], np.int32).reshape(2, -1)
        rows = np.fromiter(found, np.int32, len(ids)).reshape(2, -1)
        self._ends = sources, targets, rows
        return rows

    def add(self, node_id: str) -> int:
        """Give a new id the next row."""
        row = self.rows[node_id] = len(self.ids)
        self.ids.append(node_id)
        return row

    @classmethod
    def restored(cls, ids: list[str]) -> Interner:
        """Return an interner that goes on where another had come to."""
        interner = cls()
        interner.ids = ids
        interner.rows = dict(zip(ids, range(len(ids)), strict=True))
        return interner

    def size_bytes(self) -> int:
        """Return the bytes of the id texts, the list and the dictionary with its row numbers."""
        ids = self.ids.copy()  # readers may ask while the writer adds
        numbers = _INT_BYTES * len(ids)
        return sum(map(sys.getsizeof, ids)) + sys.getsizeof(self.ids) + sys.getsizeof(self.rows) + numbers
