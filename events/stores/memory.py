"""A log in the process's memory: the oracle that every other store is compared with, and the log of unsaved memories.

It keeps the very frames that a disk would hold, so that export, copies and the chain are the same for every store.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from threading import Lock

from memorygraph.events.errors import ClosedError
from memorygraph.events.frames import (
    NO_CHAIN,
    chain_after,
    encode_frame,
    fault_of,
    frame_entries,
    frame_header,
    require_frame,
    require_next,
    whole_frame,
    with_hashes,
)
from memorygraph.events.log import Head, LogEntry, VerifyReport, no_rest
from memorygraph.events.stores.base import BaseLog
from memorygraph.events.stores.snapshots import MemorySnapshots
from memorygraph.events.stores.verifying import Verifier


class MemoryLog(BaseLog):
    """A log that lasts as long as its object; ``memory_id`` (16 bytes) is random unless given."""

    def __init__(self, memory_id: bytes | None = None) -> None:
        super().__init__()
        self.memory_id = memory_id or os.urandom(16)
        self.read_only = False
        self.location = "memory"
        self.notes = ()  # nothing is ever cut here
        self.snapshots = MemorySnapshots()
        self._head = Head(0, NO_CHAIN)
        self._frames: list[bytes] = []
        self._firsts: list[int] = []  # of each frame; a frame is published by the head, which is set last
        self._size_bytes = 0
        self._mutex = Lock()
        self._closed = False

    @property
    def head(self) -> Head:
        """The head."""
        return self._head

    def refresh(self) -> Head:
        """Return the head: nobody else writes here."""
        self._require_open()
        return self._head

    def append(self, records: Sequence[bytes], time_us: int) -> Head:
        """Append records as one commit frame and return the new head."""
        self._require_lock()
        head = self._head
        frame, chain = encode_frame(
            records,
            memory_id=self.memory_id,
            first=head.position + 1,
            time_us=time_us,
            epoch=head.epoch,
            chain=head.chain,
        )
        return self._keep(frame, Head(head.position + len(records), chain, head.epoch))

    def adopt(self, frame: bytes) -> Head:
        """Append one frame of another copy of this log as it is."""
        self._require_lock()
        header = require_frame(frame, self.memory_id)
        require_next(header, self._head.position, self._head.chain)
        return self._keep(frame, Head(header.last, chain_after(frame, header), header.epoch))

    def read(self, first: int = 1, last: int | None = None) -> Iterator[LogEntry]:
        """Give the records at positions first..last, in order."""
        self._require_open()
        end = self._head.position
        return self._entries(max(first, 1), end if last is None else min(last, end))

    def frames(self, first: int = 1) -> Iterator[bytes]:
        """Give the raw frames from the one that holds position ``first`` on."""
        self._require_open()
        return self._frames_of(max(first, 1), self._head.position)

    def replace_by_hash(self, positions: Collection[int], rest: Callable[[], None] = no_rest) -> int:
        """Replace the records at ``positions`` by their SHA-256 and return how many were still there."""
        wanted, replaced = self._in_the_log(positions), 0
        for at in range(len(self._frames)):
            with self._mutex:
                frame = self._frames[at]
                header = frame_header(frame)
                entries = [entry for entry in frame_entries(frame, header) if entry.position in wanted]
                if entries:
                    replaced += sum(entry.data is not None for entry in entries)
                    self._frames[at] = with_hashes(frame, header, wanted)
                    self._size_bytes += len(self._frames[at]) - len(frame)
            rest()
        return replaced

    def verify(self) -> VerifyReport:
        """Check every frame's checksum and the chain."""
        self._require_open()
        verifier = Verifier()
        for frame in self.frames():
            header = whole_frame(frame, 0, self.memory_id)
            if header is None:
                verifier.damaged("memory", fault_of(frame, 0, self.memory_id))
            else:
                verifier.take(frame, header, "memory")
        return verifier.report()

    def size_bytes(self) -> int:
        """Return the bytes of all frames."""
        return self._size_bytes

    def close(self) -> None:
        """Refuse further use; the records live as long as the object."""
        self._closed = True
        self._announce()

    def _enter(self) -> Head:
        self._mutex.acquire()
        if self._closed:
            self._mutex.release()
        self._require_open()
        return self._head

    def _leave(self) -> None:
        self._mutex.release()

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("the log is closed")

    def _require_lock(self) -> None:
        if not self._mutex.locked():
            raise RuntimeError("append() and adopt() need lock()")

    def _keep(self, frame: bytes, head: Head) -> Head:
        self._firsts.append(self._head.position + 1)
        self._frames.append(frame)
        self._size_bytes += len(frame)
        self._head = head
        self._announce()
        return head

    def _frames_of(self, first: int, last: int) -> Iterator[bytes]:
        """Give the frames that hold the positions first..last."""
        at = bisect_right(self._firsts, first) - 1
        while first <= last:
            yield self._frames[at]
            at += 1
            first = self._firsts[at] if at < len(self._firsts) else last + 1

    def _entries(self, first: int, last: int) -> Iterator[LogEntry]:
        for frame in self._frames_of(first, last):
            entries = frame_entries(frame, frame_header(frame))  # memory does not rot; ``verify`` checks the sums
            skip = max(first - entries[0].position, 0)
            yield from entries[skip : last + 1 - entries[0].position]
