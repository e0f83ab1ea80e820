"""Time and a network that tests control: calls and answers are lost and repeated, and waiting takes no time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from memorygraph.actors.fleet.transport import DIRECTORY, LocalTransport
from memorygraph.events.errors import TimedOut


class SteppedSteady:
    """Time that goes on when somebody sleeps; then ``woken`` is called."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.woken: Callable[[], Any] = lambda: None

    def now_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds
        self.woken()


class Lossy(LocalTransport):
    """Loses a share of the calls and of the answers, and brings some calls twice, or again later; by a seed."""

    def __init__(self, seed: int, share: float = 0.3) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self._share = share
        self._late: list[tuple[str, str, bytes]] = []

    def call(self, address: str, lane: str, payload: bytes, deadline_s: float) -> bytes:
        if address == DIRECTORY or self._share == 0.0:
            return super().call(address, lane, payload, deadline_s)
        if self._random.random() < self._share:
            self._late.append((address, lane, payload))  # lost, as far as the caller can tell
            raise TimedOut("lost")
        for late in self._late:
            if self._random.random() < self._share:
                super().call(*late, deadline_s)
        answer = super().call(address, lane, payload, deadline_s)
        if self._random.random() < self._share:
            answer = super().call(address, lane, payload, deadline_s)
        if self._random.random() < self._share:
            raise TimedOut("the answer was lost")
        return answer
