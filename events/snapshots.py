"""The port for snapshot files: small named files beside a log, each written once and as a whole, or not at all.

What is in them is the business of ``projections/snapshot.py``. A snapshot only saves time: who cannot read one takes an
older one or reads the log from its start, so nothing here acknowledges anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager


class SnapshotFile(ABC):
    """An open file; it stays readable after its removal."""

    size_bytes: int

    @abstractmethod
    def read(self, size_bytes: int, offset: int) -> bytes:
        """Return up to that many bytes; fewer at the end of the file.

        Raises:
            StoreError: the disk cannot read them.
        """


class SnapshotDraft(ABC):
    """A file being written: nobody sees it before ``finish``."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            DiskFull, StoreError: they could not be written; ``discard`` the draft.
        """

    @abstractmethod
    def finish(self) -> None:
        """Make the file durable and then visible under its name, in place of a file that had it.

        Raises:
            DiskFull, StoreError: it could not be; the file may be there or not.
        """

    @abstractmethod
    def discard(self) -> None:
        """Leave nothing behind, as far as the disk lets us. Never fails."""


class SnapshotFiles(ABC):
    """The snapshot files of one log, named by the position that they hold.

    ``is_lasting``: they outlive the process, so they make opening faster; otherwise they only serve to look back.
    """

    is_lasting: bool

    @abstractmethod
    def positions(self) -> list[int]:
        """Return the positions of the files that are there, rising."""

    @abstractmethod
    def open(self, position: int) -> SnapshotFile:
        """Open a file.

        Raises:
            StoreError: it is not there or cannot be opened.
        """

    @abstractmethod
    def draft(self, position: int) -> SnapshotDraft:
        """Begin a file; ``lock()`` must be held.

        Raises:
            DiskFull, StoreError: it cannot be made.
        """

    @abstractmethod
    def remove(self, position: int) -> None:
        """Remove a file, if it is there; ``lock()`` must be held. Readers that have it open keep it.

        Raises:
            StoreError: the disk refuses.
        """

    @abstractmethod
    def lock(self) -> AbstractContextManager[bool]:
        """Hold the right to write, if nobody else has it, in this process or another: the context gives whether so.

        Entering removes what a writer that died left half done.
        """
