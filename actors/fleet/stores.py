"""The ``Stores`` port: where the memories of a fleet are kept, by name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from memorygraph.actors.fleet.calls import Founding
from memorygraph.actors.fleet.placement import require_name
from memorygraph.actors.local import LocalEngine
from memorygraph.events.disk import Disk
from memorygraph.events.errors import StoreNotFound
from memorygraph.events.log import EventLog
from memorygraph.events.ports import Clock, IdSource
from memorygraph.events.stores import SegmentLog


class Opened(NamedTuple):
    """A memory at work, and its log, of which this process is the only writer."""

    engine: LocalEngine
    log: EventLog


class Stores(Protocol):
    """Opens memories for the one host that they belong to."""

    def open(self, memory: str, founding: Founding | None, *, takeover: bool) -> Opened:
        """Open a memory as its only writer, made if it is not there and ``founding`` is given.

        Args:
            takeover: shut out whoever writes now.

        Raises:
            StoreNotFound: there is no such memory.
            LogLocked: another host has it.
            StoreError: it cannot be opened.
        """
        ...


class SegmentStores:
    """Memories as folders of a root folder, which all hosts of a machine share.

    Args:
        root: holds a folder for each memory, named as it, which is a store like any other.
        disk, clock, ids: the outside world of the engines; the machine's by default.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        disk: Disk | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
    ) -> None:
        self.root = str(root)
        self._disk = disk
        self._clock = clock
        self._ids = ids

    def open(self, memory: str, founding: Founding | None, *, takeover: bool) -> Opened:
        """Open the memory in the folder of its name."""
        path = Path(self.root, require_name("the name of a memory", memory))
        try:
            log = SegmentLog.open(path, create=founding is not None, exclusive=True, takeover=takeover, disk=self._disk)
        except StoreNotFound:
            raise StoreNotFound(f"there is no memory {memory!r} in this fleet", memory=memory) from None
        given = founding or Founding(name=memory)
        try:
            engine = LocalEngine(
                log,
                name=given.name,
                language=given.language,
                principal=given.principal,
                provenance=given.provenance,
                clock=self._clock,
                ids=self._ids,
            )
        except BaseException:
            with suppress(OSError):
                log.close()
            raise
        return Opened(engine, log)
