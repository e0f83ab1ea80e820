"""The outside world as the log and the engines see it: clock and ids; the disk is in ``disk.py``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, Protocol

STEP_NS: Final = 60 * 10**9
NOTES_MAX: Final = 10

_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # on macOS the latter counts sleep too
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u
_UUID_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Clock(Protocol):
    """Where times come from; ``notes`` has a line for each thing that was wrong with it."""

    notes: tuple[str, ...]

    def now_us(self) -> int:
        """Return the wall clock in microseconds since the Unix epoch."""
        ...


class IdSource(Protocol):
    """Where new ids come from."""

    def node_id(self) -> str:
        """Return a new node id: 15 letters and digits, 75 random bits."""
        ...

    def command_id(self) -> str:
        """Return a new command id: a UUIDv7 in its usual form."""
        ...


def steady_ns() -> int:
    """Return nanoseconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime_ns(_STEADY)


class SystemClock:
    """The machine's wall clock, watched against its steady one: who sets it by more than a minute is told of.

    Time is taken as read all the same: order never rests on it, and stamps are right again as soon as the clock is.
    """

    def __init__(self, *, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = steady_ns) -> None:
        self.notes: tuple[str, ...] = ()
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._apart_ns = wall_ns() - steady_ns()

    def now_us(self) -> int:
        """Return the wall clock in microseconds since the Unix epoch."""
        now_ns = self._wall_ns()
        step_ns = now_ns - self._steady_ns() - self._apart_ns
        if abs(step_ns) > STEP_NS:
            self._apart_ns += step_ns
            self._note(now_ns, step_ns)
        return now_ns // 1000

    def _note(self, now_ns: int, step_ns: int) -> None:
        where, seconds = "forward" if step_ns > 0 else "back", abs(step_ns) / 1e9
        shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now_ns // 10**9))
        note = f"the machine's clock went {where} by {seconds:.0f} s, to {shown} UTC; records keep their order"
        self.notes = (*self.notes[1 - NOTES_MAX :], note)


class RandomIds:
    """Ids from the operating system's random source."""

    def node_id(self) -> str:
        """Return a new node id: 15 letters and digits, 75 random bits."""
        bits = int.from_bytes(os.urandom(10), "little")
        return "".join([_ALPHABET[bits >> shift & 31] for shift in range(0, 75, 5)])

    def command_id(self) -> str:
        """Return a new UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits."""
        drawn = os.urandom(10).hex()
        date = f"{time.time_ns() // 1_000_000 & (1 << 48) - 1:012x}"
        variant = _UUID_VARIANT[drawn[3]]
        return f"{date[:8]}-{date[8:]}-7{drawn[:3]}-{variant}{drawn[4:7]}-{drawn[7:19]}"
