"""The full check of a log: checksums, dense positions and the chain, frame by frame, and what of it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from memorygraph.events.errors import DamagedLog
from memorygraph.events.frames import NO_CHAIN, FrameHeader, chain_after, hashes_in, require_next
from memorygraph.events.log import Damage, Head, VerifyReport
from memorygraph.events.stores.directory import StoreDirectory
from memorygraph.events.stores.segment_file import SEGMENT_HEADER_BYTES, SegmentFile, SegmentHeader
from memorygraph.events.stores.takeover import known_point


class Verifier:
    """Follows a log from its first frame; damage is noted, and the check goes on behind it.

    The report's head is the last one that follows from position 1 without a gap.
    """

    def __init__(self) -> None:
        self.position = 0
        self._chain = NO_CHAIN
        self._head = Head(0, NO_CHAIN)
        self._records = self._frames = self._size_bytes = self._hashes = 0
        self._damage: list[Damage] = []
        self._gap = False  # whether the frames just before the next one are missing
        self._readable: list[tuple[int, int]] = []

    def damaged(self, where: str, reason: str) -> None:
        """Note bytes that fail their check, after the frame taken last."""
        self._damage.append(Damage(where, self.position + 1, reason))
        self._gap = True

    def starts(self, header: SegmentHeader, where: str) -> None:
        """Check that a segment begins where the frames before it end."""
        if not self._gap and (header.first, header.chain_before) != (self.position + 1, self._chain):
            self.damaged(where, f"the segment of position {header.first} does not continue the log")
        self._continues(header.epoch)

    def take(self, frame: bytes | memoryview, header: FrameHeader, where: str) -> None:
        """Check the next frame, whose checksum is right, against the frames before it."""
        try:
            if not self._gap:
                require_next(header, self.position, self._chain)
            self._gap = False
            self._chain = chain_after(frame, header)
            self._hashes += 0 if self._damage else hashes_in(frame, header)
        except DamagedLog as error:
            self.damaged(where, error.message)
        if self._readable and self._readable[-1][1] + 1 == header.first:
            self._readable[-1] = self._readable[-1][0], header.last
        else:
            self._readable.append((header.first, header.last))
        self.position = header.last
        self._records += header.record_count
        self._frames += 1
        self._size_bytes += header.size_bytes
        self._continues(header.epoch)

    def _continues(self, epoch: int) -> None:
        if not self._damage:
            self._head = Head(self.position, self._chain, max(epoch, self._head.epoch))

    def report(self, notes: tuple[str, ...] = ()) -> VerifyReport:
        """Give what was found."""
        return VerifyReport(
            head=self._head,
            records=self._records,
            frames=self._frames,
            size_bytes=self._size_bytes,
            damage=tuple(self._damage),
            notes=notes,
            readable=tuple(self._readable),
            hashes=self._hashes,
        )


def verify_segments(directory: StoreDirectory, notes: tuple[str, ...]) -> VerifyReport:
    """Read every segment from its first byte; damage is listed and stepped over. ``notes`` are for the report.

    Damage counts only if nobody took the log over meanwhile: then files come and go.
    """
    while True:
        segments = directory.segments()
        report = _verify(directory, notes)
        if report.whole or directory.segments() == segments:
            return report


def _verify(directory: StoreDirectory, notes: tuple[str, ...]) -> VerifyReport:
    point = known_point(directory)
    verifier = Verifier()
    for step in walk(directory):
        if step.header is None:
            verifier.damaged(step.where, step.reason)
        elif isinstance(step.header, SegmentHeader):
            verifier.starts(step.header, step.where)
        else:
            verifier.take(step.frame, step.header, step.where)
    if point is not None and point.head.position > verifier.position:
        where = f"{directory.segment_path(point.segment)} at byte {point.frame_at}"
        verifier.damaged(where, f"the log ends here, but was durable up to position {point.head.position}")
    return verifier.report(notes)


class Step(NamedTuple):
    """What a walk comes to next: the start of a segment, a whole frame, or (no header) damage and why it is that."""

    where: str
    header: SegmentHeader | FrameHeader | None
    frame: bytes | memoryview = b""
    reason: str = ""


def walk(directory: StoreDirectory) -> Iterator[Step]:
    """Go through all segments from their first byte, stepping over damage; frames are checked, each by itself."""
    segments = directory.segments()
    for name, following in zip(segments, (*segments[1:], None), strict=True):
        try:
            file = directory.open_segment(name, write=False)
        except DamagedLog as error:
            yield Step(directory.segment_path(name), None, reason=error.message)
        else:
            yield Step(file.path, file.header)
            yield from _walk_segment(file, None if following is None else following.first)


def _walk_segment(file: SegmentFile, following: int | None) -> Iterator[Step]:
    offset, position = SEGMENT_HEADER_BYTES, file.header.first
    doubted = -1
    while position != following:
        for header, frame, start in file.frames(offset, position):
            yield Step(f"{file.path} at byte {start}", header, frame)
            offset, position = start + len(frame), header.last + 1
            if position == following:
                return
        found = file.find_frame(offset, position - 1)
        if found is not None and offset != doubted:
            # A writer may have been at work here; it finishes one frame before the next, so a second look tells.
            doubted = offset
            continue
        if found is not None or following is not None:
            yield Step(f"{file.path} at byte {offset}", None, reason=file.fault_at(offset))
        if found is None:
            return
        offset, position = found[0], found[1].first
