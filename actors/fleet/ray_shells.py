"""The Ray actors of a fleet: thin shells around ``Directory`` and ``Host``, which know no Ray.

Both are named and detached: they outlive the program that started them, and Ray starts them anew when they die. Calls
of one lane have threads of their own (a concurrency group), so a read never waits for a write.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from typing import Any, Final

from memorygraph.actors.fleet.directory import Directory
from memorygraph.actors.fleet.host import Host
from memorygraph.actors.fleet.ray_transport import RayTransport, load_ray
from memorygraph.actors.fleet.steady import SystemSteady
from memorygraph.actors.fleet.stores import Stores
from memorygraph.actors.fleet.transport import CONTROL, DIRECTORY, READ, WAIT, WRITE
from memorygraph.events.errors import FleetError

_LOG: Final = logging.getLogger(__name__)
TEND_S: Final = 0.5
THREADS: Final = {READ: 16, WRITE: 32, WAIT: 32, CONTROL: 8}  # of a host, by lane
ADDRESS: Final = "host-"  # and the host's name


class DirectoryShell:
    """The directory as an actor."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._directory = Directory(SystemSteady(), **options)

    def handle(self, payload: bytes) -> bytes:
        """Answer a call."""
        return self._directory.handle(payload)


class HostShell:
    """A host as an actor, with a thread that tends it."""

    def __init__(self, name: str, stores: Stores, namespace: str, options: dict[str, Any]) -> None:
        transport = RayTransport(namespace)
        self._host = Host(name, ADDRESS + name, stores, transport, SystemSteady(), **options)
        self._stopping = threading.Event()
        with suppress(FleetError):  # the directory may be starting, too
            self._host.beat()
        threading.Thread(target=self._tend, name="memorygraph-tend", daemon=True).start()

    def handle(self, payload: bytes) -> bytes:
        """Answer a call."""
        return self._host.handle(payload)

    def pid(self) -> int:
        """Return the id of the host's process."""
        return os.getpid()

    def stop(self) -> None:
        """Close every memory and leave the fleet."""
        self._stopping.set()
        self._host.stop()

    def _tend(self) -> None:
        while not self._stopping.wait(TEND_S):
            try:
                self._host.tend()
            except Exception:  # noqa: BLE001 - without this thread the host would be taken to be dead
                _LOG.exception("tending the memories of this host failed; it is tried again")


def start_directory(namespace: str, **options: Any) -> Any:
    """Start the directory of a namespace unless it is there, and return its actor."""
    return _actor(DirectoryShell, DIRECTORY, namespace, {CONTROL: THREADS[CONTROL]}).remote(options)


def start_host(name: str, stores: Stores, namespace: str, *, shell: type[HostShell] = HostShell, **options: Any) -> Any:
    """Start a host in a namespace unless it is there, and return its actor."""
    return _actor(shell, ADDRESS + name, namespace, THREADS).remote(name, stores, namespace, options)


def _actor(shell: type, address: str, namespace: str, threads: dict[str, int]) -> Any:
    ray = load_ray()
    return ray.remote(concurrency_groups=threads)(shell).options(
        name=address,
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=0,
    )
