"""Files of a memory's present state, and stores that are kept as one; files of the whole log: ``exports.py``."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from memorygraph.author import Author, place
from memorygraph.events.disk import OsDisk
from memorygraph.events.stores.directory import named_errors
from memorygraph.persistence.backend import StorageBackend
from memorygraph.persistence.contents import Contents, contents_of, restore
from memorygraph.persistence.json_backend import JSONBackend
from memorygraph.persistence.storage import backend_of

if TYPE_CHECKING:
    from memorygraph.agent import AgentMemory
    from memorygraph.embeddings import Embedder

M = TypeVar("M", bound="AgentMemory")


def save(memory: AgentMemory, path: str | Path, backend: str | StorageBackend) -> None:
    """Write the memory's present nodes and edges, whole or not at all.

    Not kept are earlier versions, forgotten memories and the history; ``export`` keeps everything.

    Raises:
        StoreError: the folder is not there, or the file cannot be written.
    """
    backend_of(backend).save(contents_of(memory.graph), path)


def load(cls: type[M], path: str | Path, embedder: Embedder | None, backend: str | StorageBackend) -> M:
    """Return an in-memory memory with the nodes and edges of a file.

    Raises:
        ImportFormatError: the file is not one that ``save`` wrote.
    """
    contents = backend_of(backend).load(path)
    said = {"via": "load", "source": place(path)}
    dim = contents.embedding_dim
    memory = cls(embedder=embedder, embedding_dim=dim, name=contents.name, language=contents.language, provenance=said)
    restore(contents, memory._home)
    memory._settle(memory._engine, embedder, memory.graph.embedding_dim, Author())
    return memory


def folder_of(cls: type[AgentMemory], path: str, *, read_only: bool) -> str:
    """Return the folder of a store's log: ``path``, or ``path.log`` beside a JSON file, begun with what the file holds.

    Raises:
        ImportFormatError: the file is something else, or damaged.
        StoreError: the store cannot be made.
    """
    folder = folder_named(path)
    if folder != path and Path(path).exists() and not Path(folder).exists() and not read_only:
        _begin(cls, folder, JSONBackend().load(path))
    return folder


def folder_named(path: str) -> str:
    """Return the folder that a store's log is in."""
    return f"{path}.log" if path.endswith(".json") else path


def _begin(cls: type[AgentMemory], folder: str, contents: Contents) -> None:
    """Make a store out of a JSON file, whole or not at all; if another process is faster, its store is the one."""
    parent = Path(folder).parent
    with (
        named_errors(folder, "make the store"),
        tempfile.TemporaryDirectory(prefix=f"{Path(folder).name}.", dir=parent) as made,
    ):
        store = Path(made) / "store"
        said = {"via": "load", "source": place(folder.removesuffix(".log"))}
        with cls(store, name=contents.name, language=contents.language, provenance=said) as memory:
            restore(contents, memory._home)
        try:
            store.rename(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        OsDisk().sync_directory(str(parent))  # before anything is acknowledged that is in the folder
