"""Graphs as pickles, read through an allow-list: plain containers, numbers, texts and NumPy arrays, and nothing else.

A pickle is a program: it names callables and has them called. Here it finds stand-ins for what makes an array of
plain numbers and for nothing else; any other name is refused before anything is looked up or imported. The
stand-ins take no attributes, so a pickle cannot leave anything behind in the process either.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph import checks
from memorygraph.events.errors import ImportFormatError, InputError
from memorygraph.persistence.backend import FileBackend
from memorygraph.persistence.checking import BAD_VALUE
from memorygraph.persistence.contents import Contents
from memorygraph.persistence.rows import EDGE_COLUMNS, NODE_COLUMNS, about_of, contents_from, edge_rows, node_rows

PICKLE_FORMAT: Final = "memorygraph-pickle"
PICKLE_VERSION: Final = 1
PROTOCOL: Final = 5
_FIELDS: Final = ("about", "nodes", "edges", "vectors")
_VECTOR: Final = list(NODE_COLUMNS).index("vector")
_PLAIN_NUMBERS: Final = re.compile("[biuf][1248]|c8|c16")  # dtypes without pointers, fields or code
# What a pickle's bytes can come to when they are not what ``write`` wrote.
_UNREADABLE: Final = (*BAD_VALUE, pickle.UnpicklingError, EOFError, LookupError, AttributeError, MemoryError)


class PickleBackend(FileBackend):
    """One pickle per graph: a dict of plain values, rows as in SQLite, the vectors as one array."""

    name = "pickle"
    suffix = ".pickle"

    def write(self, contents: Contents, path: Path) -> None:
        """Write the file."""
        rows = list(node_rows(contents.nodes))
        data = b"".join(node.vector for node in contents.nodes)
        dim = 0 if contents.space is None else contents.space.dim
        document = {
            "format": PICKLE_FORMAT,
            "version": PICKLE_VERSION,
            "about": about_of(contents),
            # In place of its vector a row has the number of it.
            "nodes": [(*row[:_VECTOR], number) for row, number in zip(rows, _numbers(rows), strict=True)],
            "edges": list(edge_rows(contents.edges)),
            "vectors": np.frombuffer(data, "<f4").reshape(-1, dim) if data else np.zeros((0, 0), "<f4"),
        }
        with path.open("wb") as file:
            pickle.dump(document, file, protocol=PROTOCOL)

    def read(self, path: Path) -> Contents:
        """Read the file; nothing in it is run."""
        try:
            document = loads(path.read_bytes())
        except _UNREADABLE as error:
            raise ImportFormatError(f"{path} cannot be read: {checks.one_line(error)}", path=str(path)) from error
        if not isinstance(document, dict) or document.get("format") != PICKLE_FORMAT:
            raise ImportFormatError(f"{path} is not a graph that save() wrote", path=str(path))
        if document.get("version") != PICKLE_VERSION:
            raise ImportFormatError(
                f"{path} has version {checks.shown(document.get('version'))}; this release reads version "
                f"{PICKLE_VERSION}",
                path=str(path),
            )
        try:
            about, nodes, edges, vectors = (document[name] for name in _FIELDS)
            if not isinstance(about, dict) or not isinstance(nodes, list) or not isinstance(edges, list):
                raise InputError("its parts are not a dict and two lists")
            return contents_from(about, _with_vectors(nodes, vectors), _rows(edges, len(EDGE_COLUMNS)))
        except _UNREADABLE as error:
            raise ImportFormatError(f"{path} is damaged: {checks.one_line(error)}", path=str(path)) from error


def loads(data: bytes) -> Any:
    """Return what a pickle holds, if that is plain containers, numbers, texts, bytes and arrays of numbers.

    Raises:
        InputError: it names anything else; nothing of it was imported or called.
        pickle.UnpicklingError, EOFError, ...: the bytes are no pickle.
    """
    return _Unpickler(io.BytesIO(data)).load()


class _Unpickler(pickle.Unpickler):
    """Finds the stand-ins below by the names that NumPy gives, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in.

        Raises:
            InputError: there is none for this name.
        """
        found = _ALLOWED.get((module, name))
        if found is None:
            raise InputError(
                f"the pickle asks for {checks.shown(f'{module}.{name}')}; only plain containers, numbers, texts and "
                "arrays of numbers are read, and nothing of it was run",
                name=f"{module}.{name}",
            )
        return found


class _MakeArray:
    """In place of NumPy's function that makes an array of a pickle's bytes."""

    __slots__ = ()

    def __call__(self, data: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> NDArray[Any]:
        if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
            raise InputError("an array is not of plain bytes")
        array: NDArray[Any] = np.frombuffer(data, dtype=dtype.order + dtype.kind)
        return array.reshape(shape, order="F" if order == "F" else "C")


class _MakeDtype:
    """In place of ``numpy.dtype``."""

    __slots__ = ()

    def __call__(self, kind: str, *_: Any) -> _Dtype:
        return _Dtype(kind)


class _Dtype:
    """A dtype of plain numbers, as far as a pickle may describe it: kind and byte order."""

    __slots__ = ("kind", "order")

    def __init__(self, kind: str) -> None:
        if not isinstance(kind, str) or not _PLAIN_NUMBERS.fullmatch(kind):
            raise InputError(f"an array of dtype {checks.shown(kind)} does not hold plain numbers")
        self.kind = kind
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order; whatever else could be said of a dtype must not be said."""
        _version, order, subarray, names, fields, *_sizes = state
        if order not in ("<", ">", "|", "=") or not (subarray is names is fields is None):
            raise InputError("an array's dtype is malformed, or has fields")
        self.order = order


_ARRAY, _DTYPE = _MakeArray(), _MakeDtype()
_ALLOWED: Final[dict[tuple[str, str], Any]] = {
    ("numpy._core.numeric", "_frombuffer"): _ARRAY,
    ("numpy.core.numeric", "_frombuffer"): _ARRAY,  # NumPy 1
    ("numpy", "dtype"): _DTYPE,
}


def _numbers(rows: Sequence[tuple[Any, ...]]) -> Iterator[int | None]:
    """Number the rows that have a vector."""
    number = 0
    for row in rows:
        yield None if row[_VECTOR] is None else number
        number += row[_VECTOR] is not None


def _with_vectors(rows: list[Any], vectors: Any) -> Iterator[tuple[Any, ...]]:
    """Put the vectors back in their rows."""
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.dtype("<f4"):
        raise InputError("its vectors are not float32")
    for *row, number in _rows(rows, len(NODE_COLUMNS)):
        if number is None:
            yield (*row, None)
        elif type(number) is int and 0 <= number < len(vectors):
            yield (*row, vectors[number].tobytes())
        else:
            raise InputError(f"there is no vector {checks.shown(number)}")


def _rows(rows: list[Any], columns: int) -> Iterator[tuple[Any, ...]]:
    """Give rows of so many plain values."""
    for row in rows:
        if type(row) is not tuple or len(row) != columns:
            raise InputError(f"a row does not have {columns} values")
        yield row
