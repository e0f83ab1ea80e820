"""The outside world of hosts in other processes: a clock that tests set, and constants that they replace."""

from __future__ import annotations

import importlib
import mmap
import struct
from pathlib import Path
from typing import Any

from memorygraph.actors.fleet.calls import Founding
from memorygraph.actors.fleet.ray_shells import HostShell
from memorygraph.actors.fleet.stores import Opened, SegmentStores


class FileTicks:
    """A clock that goes on by one microsecond per look, in whatever process; ``offset_us`` moves it."""

    notes = ()

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        if not self._path.exists():
            self._path.write_bytes(bytes(16))
        with self._path.open("r+b") as file:
            self._cells = mmap.mmap(file.fileno(), 16)

    def __reduce__(self) -> Any:
        return FileTicks, (self._path,)

    @property
    def offset_us(self) -> int:
        return struct.unpack_from("<q", self._cells, 0)[0]

    @offset_us.setter
    def offset_us(self, offset_us: int) -> None:
        struct.pack_into("<q", self._cells, 0, offset_us)

    def now_us(self) -> int:
        looks = struct.unpack_from("<q", self._cells, 8)[0] + 1
        struct.pack_into("<q", self._cells, 8, looks)
        return self.offset_us + looks


class OutsideStores(SegmentStores):
    """Memories whose clock is the file ``<name>.ticks``, if there is one."""

    def open(self, memory: str, founding: Founding | None, *, takeover: bool) -> Opened:
        ticks = Path(self.root, f"{memory}.ticks")
        self._clock = FileTicks(ticks) if ticks.exists() else None
        return super().open(memory, founding, takeover=takeover)


class OutsideShell(HostShell):
    """A host whose constants tests may replace, and whose memories they may put to sleep."""

    def replace(self, module: str, name: str, value: Any) -> Any:
        where = importlib.import_module(module)
        before = getattr(where, name)
        setattr(where, name, value)
        return before

    def sleep(self, memory: str) -> None:
        one = self._host._awake.get(memory)
        if one is not None:
            self._host._close(one)
