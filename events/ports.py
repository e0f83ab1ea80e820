"""The outside world as the log and the engines see it: clock and ids; the disk is in ``disk.py``."""

from __future__ import annotations

import os
import time
from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u


class Clock(Protocol):
    """Where times come from."""

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


class SystemClock:
    """The machine's wall clock."""

    def now_us(self) -> int:
        """Return the wall clock in microseconds since the Unix epoch."""
        return time.time_ns() // 1000


class RandomIds:
    """Ids from the operating system's random source."""

    def node_id(self) -> str:
        """Return a new node id: 15 letters and digits, 75 random bits."""
        bits = int.from_bytes(os.urandom(10), "little")
        return "".join([_ALPHABET[bits >> shift & 31] for shift in range(0, 75, 5)])

    def command_id(self) -> str:
        """Return a new UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits."""
        bits = int.from_bytes(os.urandom(10), "little")
        value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | 7 << 76 | (bits & 0xFFF) << 64
        text = f"{value | 2 << 62 | bits >> 12 & (1 << 62) - 1:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
