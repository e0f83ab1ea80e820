"""``GraphStorageManager``: graphs in files: save, load, backups, checkpoints, and vectors by themselves."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from memorygraph import checks
from memorygraph.actors.local import LocalEngine
from memorygraph.author import Author, place
from memorygraph.core.graph import HasGraph, MemoryGraph, graph_in
from memorygraph.events.errors import InputError, StoreError
from memorygraph.events.stores.memory import MemoryLog
from memorygraph.home import Home
from memorygraph.persistence.backend import FileBackend, StorageBackend
from memorygraph.persistence.contents import Contents, contents_of, restore
from memorygraph.persistence.json_backend import JSONBackend
from memorygraph.persistence.pickle_backend import PickleBackend
from memorygraph.persistence.sqlite_backend import SQLiteBackend
from memorygraph.persistence.vectors import read_vectors, set_vectors, write_vectors
from memorygraph.replacing import replacing

__all__ = [
    "Contents",
    "FileBackend",
    "GraphStorageManager",
    "JSONBackend",
    "PickleBackend",
    "SQLiteBackend",
    "StorageBackend",
]

_FILES: Final[dict[str, type[FileBackend]]] = {
    backend.name: backend for backend in (JSONBackend, PickleBackend, SQLiteBackend)
}
_SERVERS: Final = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "neo4j": "neo4j",
    "redis": "redis",
    "qdrant": "qdrant",
}
_KEPT_MAX: Final = 10_000
_STAMP: Final = "%Y%m%dT%H%M%S%fZ"  # of a checkpoint; sorts by time


class GraphStorageManager:
    """Saves graphs and loads them again, elsewhere too, without loss; forgotten memories stay forgotten.

    What is saved is the present of a graph, or of the ``AgentMemory`` that has it; ``AgentMemory.export`` writes the
    whole log, past included.

    Args:
        backend: "json", "sqlite" or "pickle", or a ``StorageBackend`` of your own.

    Raises:
        InputError: there is no such backend.
    """

    def __init__(self, backend: str | StorageBackend = "json") -> None:
        self._backend = backend_of(backend)
        self._graph: MemoryGraph | None = None

    def save(self, graph: MemoryGraph | HasGraph, path: str | Path) -> str | Path:
        """Write a graph in place of what is there, whole or not at all, and return the path.

        Raises:
            StoreError: it cannot be written; what was there is still there.
        """
        self._backend.save(contents_of(self._remembered(graph)), path)
        return path

    def load(self, path: str | Path) -> MemoryGraph:
        """Return a graph in memory with what a file holds.

        Raises:
            ImportFormatError: there is no file, or one that this backend did not write, or a damaged one.
        """
        contents = self._backend.load(path)
        author = Author("", {"via": "load", "source": place(path) if isinstance(self._backend, FileBackend) else ""})
        engine = LocalEngine(
            MemoryLog(), name=contents.name, language=contents.language, provenance=author.provenance()
        )
        home = Home(engine, author=author)
        restore(contents, home)
        self._graph = MemoryGraph(contents.embedding_dim, contents.name, home=home)
        return self._graph

    def save_with_backup(
        self,
        graph: MemoryGraph | HasGraph | str | Path | None = None,
        path: str | Path | None = None,
        keep_backups: int = 3,
    ) -> Path:
        """Save, and keep the files that were there before as ``<path>.1.bak`` (the newest), ``<path>.2.bak``, ...

        Backups move up when the new file is on disk: a save that fails costs none of them.

        Args:
            graph: may be left out, for the one that was saved or loaded last.
            keep_backups: how many to keep; older ones are removed.
        """
        graph, given = self._graph_and(graph, path, "save_with_backup(path)")
        kept = checks.count("keep_backups", keep_backups, 0, _KEPT_MAX)
        backend = self._files("backups")
        target = backend.path_of(given)
        backend.save(contents_of(graph), target, lambda: _rotate(target, kept))
        return target

    def checkpoint(
        self,
        graph: MemoryGraph | HasGraph | str | Path | None = None,
        directory: str | Path | None = None,
        prefix: str = "checkpoint",
    ) -> Path:
        """Save to a new file ``<prefix>_<time in UTC>`` in a folder, which is made if it is not there.

        Args:
            graph: may be left out, for the one that was saved or loaded last.

        Returns:
            the path of the file.
        """
        graph, where = self._graph_and(graph, directory, "checkpoint(directory)")
        backend, folder = self._files("checkpoints"), checks.path("directory", where)
        _checked_prefix(prefix)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: cannot make the folder: {error.strerror}", path=str(folder)) from error
        path = _unused(folder, prefix, backend.suffix)
        backend.save(contents_of(graph), path)
        return path

    def list_checkpoints(self, directory: str | Path, prefix: str = "checkpoint") -> list[Path]:
        """Return the checkpoints of a prefix in a folder, newest first."""
        folder, suffix = checks.path("directory", directory), self._files("checkpoints").suffix
        form = re.compile(rf"{re.escape(_checked_prefix(prefix))}_\d{{8}}T\d{{12}}Z{re.escape(suffix)}")
        found = [path for path in folder.iterdir() if form.fullmatch(path.name)] if folder.is_dir() else []
        return sorted(found, reverse=True)

    def export_embeddings(self, graph: MemoryGraph | HasGraph, path: str | Path) -> int:
        """Write the vectors of a graph as npz: ``ids``, shape (n,), and ``embeddings``, float32, shape (n, dim).

        Returns:
            how many there are.
        """
        return write_vectors(contents_of(self._remembered(graph)), path)

    def import_embeddings(self, graph: MemoryGraph | HasGraph, path: str | Path) -> int:
        """Give nodes the vectors of such a file; those of nodes that are not in the graph are passed over.

        Returns:
            how many nodes got one.

        Raises:
            ImportFormatError: the file is something else. Nothing was written.
            EmbeddingDimensionError: the vectors have another dimension than the graph's. Nothing was written.
        """
        return set_vectors(self._remembered(graph), read_vectors(path))

    def _remembered(self, graph: MemoryGraph | HasGraph) -> MemoryGraph:
        self._graph = graph_in(graph)
        return self._graph

    def _graph_and(self, graph: Any, where: Any, call: str) -> tuple[MemoryGraph, Any]:
        """Return the graph, or the last one where only a place was given, and the place."""
        if where is None and not isinstance(getattr(graph, "graph", graph), MemoryGraph):
            graph, where = None, graph
        if where is None:
            raise InputError(f"write {call}, with a graph before it if it is not the one saved or loaded last")
        graph = self._graph if graph is None else graph
        if graph is None:
            raise InputError(f"{call}: this manager saved and loaded no graph yet; give one as the first argument")
        return self._remembered(graph), where

    def _files(self, what: str) -> FileBackend:
        if not isinstance(self._backend, FileBackend):
            raise InputError(f"{what} are files; this manager's backend writes none")
        return self._backend


def backend_of(given: str | StorageBackend) -> StorageBackend:
    """Return a backend by its name, or the one given.

    Raises:
        InputError: there is no such backend.
        StoreError: it comes with a later release.
    """
    if isinstance(given, StorageBackend):
        return given
    name = given.lower() if isinstance(given, str) else ""
    if name in _FILES:
        return _FILES[name]()
    if name in _SERVERS:
        raise StoreError(
            f"backend {name!r} comes with a later release, under the extra memorygraph[{name}]; until then "
            f"use {', '.join(_FILES)} or a StorageBackend of your own",
            backend=name,
        )
    raise InputError(
        f"backend must be one of {', '.join((*_FILES, *_SERVERS))} or a StorageBackend, not {checks.shown(given)}"
    )


def _rotate(path: Path, kept: int) -> None:
    """Make room for a backup of the file that is there, and make it; each step leaves whole files behind."""
    backups = _backups(path)
    for number in sorted(backups, reverse=True):
        if number >= kept:
            backups[number].unlink()
        elif path.exists():
            backups[number].replace(_backup(path, number + 1))
    if kept and path.exists():
        with replacing(_backup(path, 1)) as to, path.open("rb") as file:
            shutil.copyfileobj(file, to)


def _backups(path: Path) -> dict[int, Path]:
    """Return the backups of a file by number."""
    form = re.compile(rf"{re.escape(path.name)}\.([1-9]\d{{0,5}})\.bak")
    return {int(match[1]): each for each in path.parent.iterdir() if (match := form.fullmatch(each.name))}


def _backup(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}.bak")


def _checked_prefix(prefix: str) -> str:
    if checks.identifier("prefix", prefix) != Path(prefix).name:
        raise InputError(f"prefix must be the beginning of a file's name, not {checks.shown(prefix)}")
    return prefix


def _unused(folder: Path, prefix: str, suffix: str) -> Path:
    while (path := folder / f"{prefix}_{datetime.now(UTC).strftime(_STAMP)}{suffix}").exists():
        pass
    return path
