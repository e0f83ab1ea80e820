"""The time of the fleet: for how long, not when. A port, so that a simulation has its own."""

from __future__ import annotations

import time
from typing import Protocol


class Steady(Protocol):
    """A clock that nobody sets, and waiting by it."""

    def now_s(self) -> float:
        """Return seconds since some moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


class SystemSteady:
    """The machine's steady clock."""

    def now_s(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        time.sleep(seconds)
