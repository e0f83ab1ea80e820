"""The newest Frames of a shard: a question that goes to several shards is answered by all at one position."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from memorygraph.events.errors import PositionNotKept
from memorygraph.events.ports import Clock
from memorygraph.projections.frame import Frame

KEPT_US: Final = 250_000
KEPT_MAX: Final = 256  # Frames, however fast they come: each may hold copies of what changed


class KeptFrames:
    """The newest Frame and those that were the newest within the last 250 ms; one writer, any number of readers."""

    def __init__(self, shard: int, clock: Clock) -> None:
        self._shard = shard
        self._clock = clock
        self._frames: dict[int, Frame] = {}
        self._newest = 0
        self._followed_us: OrderedDict[int, int] = OrderedDict()  # when a Frame was no longer the newest

    def add(self, frame: Frame) -> None:
        """Keep a Frame that is newer than all before, and drop what is too old."""
        now_us = self._clock.now_us()
        if frame.position != self._newest:
            self._followed_us[self._newest] = now_us
        self._frames[frame.position] = frame
        self._newest = frame.position
        while self._followed_us:
            position, followed_us = next(iter(self._followed_us.items()))
            if now_us - followed_us < KEPT_US and len(self._frames) <= KEPT_MAX:
                break
            del self._followed_us[position]
            self._frames.pop(position, None)

    def at(self, position: int) -> Frame:
        """Return the Frame of a position.

        Raises:
            PositionNotKept: there is none; ``about`` says which is the newest.
        """
        frame = self._frames.get(position)
        if frame is None:
            newest = self._newest
            why = (
                f"it has come to {newest}" if position > newest else f"its newest is {newest}, and that one was let go"
            )
            raise PositionNotKept(
                f"shard {self._shard} cannot answer at position {position}: {why}; ask at its newest position, or for "
                "a view of the past",
                shard=self._shard,
                position=position,
                newest=newest,
            )
        return frame
