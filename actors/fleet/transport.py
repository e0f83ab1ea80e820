"""The ``Transport`` port: how a call gets from one process to another, as bytes."""

from __future__ import annotations

import itertools
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from memorygraph.events.errors import Unreachable

# Lanes: calls of one lane never wait for calls of another.
READ: Final = "read"
WRITE: Final = "write"
WAIT: Final = "wait"  # for the next record
CONTROL: Final = "control"  # what concerns the fleet itself
LANES: Final = (READ, WRITE, WAIT, CONTROL)
DIRECTORY: Final = "directory"  # the address of the directory


class Server(Protocol):
    """Whoever answers at an address; called by several threads at once."""

    def handle(self, payload: bytes) -> bytes:
        """Answer a call; errors travel in the answer."""
        ...


class Transport(Protocol):
    """Brings calls to addresses; can be pickled, and then is the same network."""

    def call(self, address: str, lane: str, payload: bytes, deadline_s: float) -> bytes:
        """Return the answer of the server at an address, within so many seconds.

        A call that fails may have been carried out, once or more than once, or may be carried out later.

        Raises:
            Unreachable: nobody answers there.
            TimedOut: there was no answer in time.
        """
        ...


class LocalTransport:
    """Servers of this process, called directly: the oracle for other transports, and for tests."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        self._number = next(_numbers)
        _NETWORKS[self._number] = self

    def serve(self, address: str, server: Server | None) -> None:
        """Let a server answer at an address; None: nobody."""
        if server is None:
            self._servers.pop(address, None)
        else:
            self._servers[address] = server

    def call(self, address: str, lane: str, payload: bytes, deadline_s: float) -> bytes:
        """Return the answer of the server at an address."""
        del lane, deadline_s
        server = self._servers.get(address)
        if server is None:
            raise Unreachable(f"nobody answers at {address!r}", address=address)
        return server.handle(payload)

    def __reduce__(self) -> tuple[Any, ...]:
        return _network, (self._number,)


_numbers: Final = itertools.count()
_NETWORKS: Final[WeakValueDictionary[int, LocalTransport]] = WeakValueDictionary()


def _network(number: int) -> LocalTransport:
    found = _NETWORKS.get(number)
    if found is None:
        raise Unreachable("the fleet of another process cannot be reached over a LocalTransport", network=number)
    return found
