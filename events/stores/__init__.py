"""Where a log lives: ``MemoryLog`` in the process, ``SegmentLog`` in a directory; both keep the port's contract."""

from memorygraph.events.stores.memory import MemoryLog
from memorygraph.events.stores.segment import SegmentLog

__all__ = ["MemoryLog", "SegmentLog"]
