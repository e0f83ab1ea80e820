"""The full check of a log: checksums, dense positions and the chain, frame by frame."""

from __future__ import annotations

from memorygraph.events.errors import DamagedLog
from memorygraph.events.frames import NO_CHAIN, FrameHeader, chain_after, require_next
from memorygraph.events.log import Damage, Head, VerifyReport
from memorygraph.events.stores.segment_file import SegmentHeader


class Verifier:
    """Follows a log from its first frame; damage is noted, and the check goes on behind it.

    The report's head is the last one that follows from position 1 without a gap.
    """

    def __init__(self) -> None:
        self.position = 0
        self._chain = NO_CHAIN
        self._head = Head(0, NO_CHAIN)
        self._records = self._frames = self._size_bytes = 0
        self._damage: list[Damage] = []
        self._gap = False  # whether the frames just before the next one are missing

    def damaged(self, where: str, reason: str) -> None:
        """Note bytes that fail their check, after the frame taken last."""
        self._damage.append(Damage(where, self.position + 1, reason))
        self._gap = True

    def starts(self, header: SegmentHeader, where: str) -> None:
        """Check that a segment begins where the frames before it end."""
        if not self._gap and (header.first, header.chain_before) != (self.position + 1, self._chain):
            self.damaged(where, f"the segment of position {header.first} does not continue the log")

    def take(self, frame: bytes | memoryview, header: FrameHeader, where: str) -> None:
        """Check the next frame, whose checksum is right, against the frames before it."""
        try:
            if not self._gap:
                require_next(header, self.position, self._chain)
            self._gap = False
            self._chain = chain_after(frame, header)
        except DamagedLog as error:
            self.damaged(where, error.message)
        self.position = header.last
        self._records += header.record_count
        self._frames += 1
        self._size_bytes += header.size_bytes
        if not self._damage:
            self._head = Head(self.position, self._chain, header.epoch)

    def report(self, notes: tuple[str, ...] = ()) -> VerifyReport:
        """Give what was found."""
        return VerifyReport(
            head=self._head,
            records=self._records,
            frames=self._frames,
            size_bytes=self._size_bytes,
            damage=tuple(self._damage),
            notes=notes,
        )
