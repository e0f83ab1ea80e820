"""The lock of a log, whatever epoch it is in: opening the lock file, taking it, noticing that another epoch began."""

from __future__ import annotations

from contextlib import suppress

from memorygraph.events.errors import Fenced
from memorygraph.events.stores.directory import StoreDirectory, named, named_errors
from memorygraph.events.stores.lock_file import LockFile, Look


class EpochLock:
    """The right to write to a store's log, for one log object.

    Args:
        timeout_s: how long to wait for the lock; None: 30 s, and not at all for one who holds it for good.
    """

    def __init__(self, directory: StoreDirectory, *, write: bool, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self._directory = directory
        self._write = write
        self._file: LockFile | None = None  # of the epoch that we know; None: not open
        self._owned: LockFile | None = None  # held for good

    @property
    def is_owned(self) -> bool:
        """Whether the lock is held for good."""
        return self._owned is not None

    def look(self) -> Look | None:
        """Read the lock file of the present epoch; None if there is none.

        Raises:
            StoreError: the disk cannot read it.
        """
        try:
            lock = self._file or self._open(0)
            while lock is not None:
                look = lock.look()
                if look.is_calm or not look.is_superseded:
                    return look
                lock = self._open(look.superseded_by)
        except OSError as error:
            raise named(error, self._directory.path, "read the lock file") from error
        return None

    def acquire(self) -> tuple[LockFile, Look]:
        """Take the lock of the present epoch, and give its file and what that says.

        Raises:
            Fenced: it was held for good, and the log was taken over.
            LogLocked: it does not come.
            StoreError: the disk cannot lock it.
        """
        try:
            return self._acquire()
        except OSError as error:
            raise named(error, self._directory.path, "lock the log") from error

    def _acquire(self) -> tuple[LockFile, Look]:
        if self._owned is not None:
            look = self._owned.look()
            if look.is_superseded:
                raise fenced(self._directory, None)
            return self._owned, look
        while True:
            lock = self._file or self._open(0)
            assert lock is not None, "a lock file that is missing is made"
            if lock.acquire(self.timeout_s):
                try:
                    look = lock.look()
                    if not look.is_superseded:
                        if look.has_owner:
                            lock.disown()  # its owner died
                        return lock, look
                except BaseException:
                    self.release(lock)
                    raise
                self.release(lock)
            self._open(lock.look().superseded_by)

    def require_epoch(self) -> None:
        """Check that nobody took over a log whose lock is held for good; it takes no lock.

        Raises:
            Fenced: somebody did.
            StoreError: the disk cannot read the lock file.
        """
        if self._owned is None:
            return
        with named_errors(self._directory.path, "read the lock file"):
            is_superseded = self._owned.look().is_superseded
        if is_superseded:
            raise fenced(self._directory, None)

    def own(self, lock: LockFile) -> None:
        """Keep a lock that was taken until ``close``."""
        with named_errors(self._directory.path, "hold the lock"):
            lock.own()
        self._owned = lock

    def adopt(self, lock: LockFile) -> None:
        """Use the lock file of an epoch that was claimed."""
        self._file = lock

    def release(self, lock: LockFile) -> None:
        """Give a lock back, unless it is held for good."""
        if lock is self._owned:
            return
        try:
            lock.release()
        except OSError:
            self._file = None  # closing the file gives the lock back too; what was done under it stands

    def rest(self) -> None:
        """Let go of the descriptor, unless the lock is held for good."""
        self._file = self._owned

    def close(self) -> None:
        """Let go of everything; a lock that was held for good is free."""
        owned, self._owned, self._file = self._owned, None, None
        if owned is not None:
            with suppress(OSError):  # the next owner of the lock takes the name away, and it is released with the file
                owned.disown()
                owned.release()

    def forget(self) -> None:
        """Start anew in a forked child: the locks are its parent's."""
        self._file = self._owned = None

    def _open(self, epoch: int) -> LockFile | None:
        """Open the lock file of the present epoch, or of ``epoch`` if that is later; None: there is none to read."""
        lock = self._file = self._directory.open_lock(write=self._write, epoch=epoch)
        return lock


def fenced(directory: StoreDirectory, recorded: bool | None, *, under_way: bool = False) -> Fenced:
    """Make the error of one who was shut out, and say what became of the write that was under way."""
    fate = {True: "is recorded", False: "is not recorded", None: "may be recorded"}[recorded]
    of_write = f"; the write that was under way {fate}" if under_way else ""
    return Fenced(
        f"{directory.path}: another process took this memory over{of_write}; open it anew",
        path=directory.path,
        recorded=recorded,
    )
