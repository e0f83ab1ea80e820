"""Making a store out of the frames of another copy of its log: all of it under its name, or nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import ForeignStore
from memorygraph.events.stores import SegmentLog
from memorygraph.events.stores.directory import StoreDirectory, named_errors
from memorygraph.portable import folder_named

T = TypeVar("T")


def make_store(to: Path, memory_id: bytes, frames: Iterable[bytes | memoryview], check: Callable[[Path], T]) -> T:
    """Make a store of these frames, each checked and chained, and give it its name once ``check`` has passed it.

    Args:
        to: what ``AgentMemory`` is to be opened with; nothing may be there.
        check: called with the store's folder before it has its name; its result is returned.

    Raises:
        ForeignStore: there is something at ``to``.
        DamagedLog: a frame is damaged, or does not follow the one before.
        DiskFull, StoreError: the store could not be made.
    """
    store = Path(folder_named(str(to)))
    for taken in (to, store):
        if taken.exists():
            raise ForeignStore(f"{taken}: there is something already; choose another path", path=str(taken))
    with named_errors(str(store), "make the store"):
        StoreDirectory(OsDisk(), store.absolute().parent).make_directories()
    with (
        named_errors(str(store), "make the store"),
        tempfile.TemporaryDirectory(prefix=f"{store.name}.", dir=store.absolute().parent) as made,
    ):
        folder = Path(made) / "store"
        log = SegmentLog.open(folder, memory_id=memory_id, disk=_LaterDisk())
        with closing(log), log.lock():
            for frame in frames:
                log.adopt(bytes(frame))
        _sync_all(folder)
        result = check(folder)
        folder.rename(store)
        OsDisk().sync_directory(str(store.absolute().parent))
    return result


class _LaterDisk(OsDisk):
    """Leaves syncing for later: nothing is acknowledged before all of it is there."""

    def sync(self, fd: int) -> None:
        """Go on at once."""

    def sync_directory(self, path: str) -> None:
        """Go on at once."""


def _sync_all(folder: Path) -> None:
    disk = OsDisk()
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            disk.sync_directory(str(path))
        else:
            fd = disk.open(str(path), write=True)
            try:
                disk.sync(fd)
            finally:
                disk.close(fd)
