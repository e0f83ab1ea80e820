"""Giving way: long work beside others takes short rests, so that who waits for the interpreter need not wait long."""

from __future__ import annotations

import time
from typing import Final

WORK_S: Final = 0.0005
REST_S: Final = 0.0005


class Pace:
    """Called often, it rests for half a millisecond after every half millisecond of work."""

    def __init__(self) -> None:
        self._since_s = time.perf_counter()

    def __call__(self) -> None:
        """Rest, if it is time to."""
        if time.perf_counter() - self._since_s > WORK_S:
            time.sleep(REST_S)
            self._since_s = time.perf_counter()
