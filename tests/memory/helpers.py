"""What several tests of the public API share: a clock that stands still, an embedder with a little meaning."""

import hashlib

from memorygraph import AgentMemory, CallableEmbedder
from memorygraph.actors.local import LocalEngine
from memorygraph.events.stores import MemoryLog

HOUR_US = 3_600_000_000

_CONCEPTS = (
    {"dog", "dogs", "puppy", "hound", "pet"},
    {"boat", "canoe", "ship", "vessel"},
    {"cake", "pastry", "bread", "dessert"},
)


class SteppedClock:
    """A clock that moves only when told to."""

    notes = ()

    def __init__(self, now_us=1_700_000_000_000_000):
        self.time_us = now_us

    def now_us(self):
        return self.time_us

    def forward(self, hours):
        self.time_us += round(hours * HOUR_US)


def clocked(clock, log=None):
    """An ``AgentMemory`` whose times come from ``clock``."""
    memory = AgentMemory()
    memory._settle(LocalEngine(log or MemoryLog(), name="clocked", clock=clock), None, 256)
    memory._home.clock = clock
    return memory


def meaning(text):
    """Say how much a text is about dogs, boats and baking; a fourth number keeps it from being zero."""
    words = text.lower().replace("?", "").split()
    return [float(sum(word in concept for word in words)) for concept in _CONCEPTS] + [0.05]


def meaningful_embedder(**changes):
    return CallableEmbedder(meaning, 4, **{"name": "meaning", **changes})


def fingerprint(memory):
    """Everything that a change of state would change."""
    return memory.position, memory.digest(), len(memory), memory.head()


def vector_of(text, dim=8):
    """A vector that a test can tell apart from others."""
    digest = hashlib.sha256(text.encode()).digest()
    return [digest[place] / 255 + 0.01 for place in range(dim)]
