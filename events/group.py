"""Group commit for asyncio: the records of all who wait become one frame and share one sync.

While one group is being written in a worker thread, the event loop goes on and the next group gathers, so a sync is
paid per group, not per caller. Callers in threads need none of this: the engine groups them itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from memorygraph.events.errors import MemoryGraphError
from memorygraph.events.frames import FRAME_BYTES_MAX
from memorygraph.events.log import EventLog
from memorygraph.events.ports import Clock

_GROUP_BYTES_MAX: Final = FRAME_BYTES_MAX * 3 // 4  # leaves room for the frame's table and one more record

_Waiting = tuple[bytes, "asyncio.Future[int]"]


class GroupAppender:
    """Appends records to a log for any number of tasks of one event loop.

    Args:
        log: open for writing; who made it closes it.
        clock: stamps the frames.
    """

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def append(self, record: bytes) -> int:
        """Append a record and return its position once it is durable.

        A caller that is cancelled meanwhile does not know whether its record was written; it will be.

        Raises:
            BatchTooLarge, DiskFull, LogFailed: as ``EventLog.append``; everyone in the group gets it.
        """
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append((record, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await done

    async def _write_all(self) -> None:
        try:
            while self._queue:
                group = self._next_group()
                try:
                    last = await asyncio.to_thread(self._write, [record for record, _ in group])
                except Exception as error:  # noqa: BLE001 - nobody else can tell those who wait
                    for _, done in group:
                        _fail(done, error)
                else:
                    for position, (_, done) in enumerate(group, last - len(group) + 1):
                        if not done.done():
                            done.set_result(position)
        finally:
            self._writer = None

    def _next_group(self) -> list[_Waiting]:
        group = [self._queue.popleft()]
        size_bytes = len(group[0][0])
        while self._queue and size_bytes + len(self._queue[0][0]) <= _GROUP_BYTES_MAX:
            group.append(self._queue.popleft())
            size_bytes += len(group[-1][0])
        return group

    def _write(self, records: list[bytes]) -> int:
        with self._log.lock():
            return self._log.append(records, self._clock.now_us()).position


def _fail(done: asyncio.Future[int], error: Exception) -> None:
    if done.done():
        return
    if isinstance(error, MemoryGraphError):  # one each: raising adds to an error's traceback
        error = type(error)(error.message, **error.about)
    done.set_exception(error)
