"""The vectors of a graph as an npz file, for programs that train on them and give back others."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memorygraph import checks
from memorygraph.actors.commands import ReviseNodes
from memorygraph.core.graph import MemoryGraph
from memorygraph.events.errors import EmbeddingDimensionError, ImportFormatError, InputError
from memorygraph.events.records import NodeRevised
from memorygraph.persistence.contents import Contents
from memorygraph.replacing import replacing

_AT_ONCE_BYTES: Final = 4 << 20
_AT_ONCE: Final = 1000
_UNREADABLE: Final = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class Vectors(NamedTuple):
    """Node ids and their vectors, shape (n, dim)."""

    ids: list[str]
    vectors: NDArray[np.float32]


def write_vectors(contents: Contents, path: str | Path) -> int:
    """Write the vectors of the nodes that have one, and return how many."""
    found = [node for node in contents.nodes if node.vector]
    dim = contents.embedding_dim if contents.space is None else contents.space.dim
    data = np.frombuffer(b"".join(node.vector for node in found), "<f4").reshape(-1, dim)
    with replacing(path) as file:
        np.savez(file, ids=np.array([node.id for node in found], dtype=np.str_), embeddings=data)
    return len(found)


def read_vectors(path: str | Path) -> Vectors:
    """Read such a file; nothing in it is unpickled.

    Raises:
        ImportFormatError: it is something else, or damaged.
    """
    where = checks.path("path", path)
    try:
        with where.open("rb") as file, np.load(file, allow_pickle=False) as found:
            ids, vectors = found["ids"], found["embeddings"]
        if ids.ndim != 1 or ids.dtype.kind != "U" or vectors.dtype.kind != "f" or vectors.shape[:-1] != ids.shape:
            raise InputError(
                f"ids, shape (n,), must be texts and embeddings, shape (n, dim), numbers; they are {ids.dtype} "
                f"{ids.shape} and {vectors.dtype} {vectors.shape}"
            )
        single = vectors.astype("<f4")
        if len(single):
            checks.vector(single.ravel())  # that all are finite
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ImportFormatError(f"{where} cannot be read as npz: {checks.one_line(error)}", path=str(where)) from error
    return Vectors(ids.tolist(), single)


def set_vectors(graph: MemoryGraph, found: Vectors) -> int:
    """Give the nodes that are in the graph their vectors, in chunks that are each all or nothing; return how many.

    Raises:
        EmbeddingDimensionError: the vectors have another dimension than the graph's; nothing was written.
    """
    home = graph._home
    states, _ = home.nodes(found.ids)
    rows = [row for row, state in enumerate(states) if state is not None]
    dim = found.vectors.shape[-1]
    if rows and any(state is not None and state.vector for state in states) and dim != graph.embedding_dim:
        raise EmbeddingDimensionError(
            f"the file's vectors have {dim} dimensions; this graph holds vectors of {graph.embedding_dim}",
            expected=graph.embedding_dim,
            found=dim,
        )
    step = max(1, min(_AT_ONCE, _AT_ONCE_BYTES // (4 * max(dim, 1))))
    for first in range(0, len(rows), step):
        changes = [
            NodeRevised(id=found.ids[row], vector=found.vectors[row].tobytes()) for row in rows[first : first + step]
        ]
        home.execute(ReviseNodes(changes=changes, space=home.space))
    return len(rows)
