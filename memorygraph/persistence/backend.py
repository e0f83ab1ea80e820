"""The port of all backends: a graph's present contents go to an address, and come back from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from memorygraph import checks
from memorygraph.events.errors import ImportFormatError, InputError
from memorygraph.persistence.contents import Contents
from memorygraph.replacing import replacing_path

_MAGIC = {b"SQLite format 3\0": "sqlite", b"\x80": "pickle", b"{": "json"}


class StorageBackend(ABC):
    """Keeps graphs at addresses. An address reaches the backend exactly as the caller gave it."""

    @abstractmethod
    def save(self, contents: Contents, address: str | Path) -> None:
        """Put a graph's contents there in place of what is there, all of it or nothing.

        Raises:
            StoreError: it cannot be written; what was there is still there.
        """

    @abstractmethod
    def load(self, address: str | Path) -> Contents:
        """Return what is there, checked value by value.

        Raises:
            ImportFormatError: there is nothing, something else, or something damaged.
        """


class FileBackend(StorageBackend):
    """A backend of one file per graph, which is replaced when the new one is complete and on disk."""

    name = ""
    suffix = ""

    @abstractmethod
    def write(self, contents: Contents, path: Path) -> None:
        """Fill a new, empty file."""

    @abstractmethod
    def read(self, path: Path) -> Contents:
        """Read a file that is there.

        Raises:
            ImportFormatError: see ``load``.
        """

    def save(self, contents: Contents, address: str | Path, before: Callable[[], None] | None = None) -> None:
        """See the port; ``before`` is called when the new file is on disk and has not taken its place yet."""
        with replacing_path(self.path_of(address), before) as path:
            self.write(contents, path)

    def load(self, address: str | Path) -> Contents:
        """See the port."""
        path = self.path_of(address)
        try:
            with path.open("rb") as file:
                start = file.read(16)
        except FileNotFoundError as error:
            raise ImportFormatError(f"there is no file {path}", path=str(path)) from error
        except IsADirectoryError as error:
            is_store = (path / "MEMORY").exists()
            what = "this is a store; open it with AgentMemory(path=...)" if is_store else "this is a folder, not a file"
            raise ImportFormatError(f"{path}: {what}", path=str(path)) from error
        except OSError as error:
            raise ImportFormatError(f"{path} cannot be read: {error.strerror}", path=str(path)) from error
        looks = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), self.name)
        if looks != self.name:
            raise ImportFormatError(
                f"{path} is no {self.name} file, and begins like one of backend {looks!r}; load it with that",
                path=str(path),
            )
        return self.read(path)

    def path_of(self, address: str | Path) -> Path:
        """Return the path that an address is.

        Raises:
            InputError: it is the address of a server.
        """
        if isinstance(address, str) and "://" in address:
            scheme = address.partition("://")[0]
            raise InputError(f"backend {self.name!r} writes files; an address {scheme}://... needs another backend")
        return checks.path("path", address)
