"""A fleet on Ray: a local cluster with hosts, started and stopped from here, or one that runs already."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

from memorygraph.actors.fleet import calls, wire
from memorygraph.actors.fleet.placement import require_name
from memorygraph.actors.fleet.ray_shells import ADDRESS, HostShell, start_directory, start_host
from memorygraph.actors.fleet.ray_transport import RayTransport, load_ray
from memorygraph.actors.fleet.stores import SegmentStores, Stores
from memorygraph.actors.fleet.transport import CONTROL, DIRECTORY
from memorygraph.events.errors import FleetError, InputError, Unreachable

NAMESPACE: Final = "memorygraph"
FOLDER: Final = ".cluster"  # beside the memories: what is known of a cluster of our own
OBJECT_STORE_BYTES: Final = 128 << 20  # Ray asks for 30 % of the memory by default; calls here are small
START_S: Final = 120.0  # a loaded machine starts processes slowly
STOP_S: Final = 30.0


def token_of(root: str | Path) -> Path:
    """Return where the token of a cluster over a folder of memories lies; no memory can have that name."""
    return Path(root, FOLDER, "token")


class Fleet:
    """The hosts of a namespace on the Ray cluster that this process belongs to.

    Args:
        stores: where the memories are; a folder that all hosts can reach.
        namespace: of the fleet: one cluster may have several.
        options: of each host (``idle_s``, ``session_s``, ``awake_max`` and so on, see ``Host``).
    """

    def __init__(
        self,
        stores: Stores | str | Path,
        *,
        namespace: str = NAMESPACE,
        shell: type[HostShell] = HostShell,
        **options: Any,
    ) -> None:
        self.stores: Stores = SegmentStores(Path(stores).absolute()) if isinstance(stores, str | Path) else stores
        self.namespace = require_name("the namespace of a fleet", namespace)
        self.transport = RayTransport(namespace)
        self._shell = shell
        self._options = options
        self.directory = start_directory(namespace)

    def start(self, *names: str) -> None:
        """Start hosts, and return when they have joined.

        Raises:
            InputError: a name cannot be one.
            FleetError: they do not come up.
        """
        ray = load_ray()
        actors = [
            start_host(
                require_name("the name of a host", name),
                self.stores,
                self.namespace,
                shell=self._shell,
                **self._options,
            )
            for name in names
        ]
        try:
            ray.get([actor.pid.remote() for actor in actors], timeout=START_S)
        except ray.exceptions.RayError as error:
            raise Unreachable(f"the hosts {', '.join(names)} do not come up: {error}") from None

    def stop(self, *names: str) -> None:
        """Let hosts close their memories, leave and end; without names, all of them and the directory."""
        ray = load_ray()
        for name in names or [host.name for host in self.status().hosts]:
            with suppress(ValueError, ray.exceptions.RayError):
                actor = ray.get_actor(ADDRESS + name, namespace=self.namespace)
                ray.get(actor.stop.remote(), timeout=STOP_S)
                ray.kill(actor)
        if not names:
            with suppress(ValueError, ray.exceptions.RayError):
                ray.kill(self.directory)

    def status(self) -> calls.FleetStatus:
        """Return the hosts that are alive, and what each has awake."""
        reply = self.transport.call(DIRECTORY, CONTROL, wire.encode(calls.GetStatus()), 10.0)
        status: calls.FleetStatus = wire.result(reply, calls.FleetStatus, where="the directory")
        return status

    def pid(self, name: str) -> int:
        """Return the process of a host.

        Raises:
            Unreachable: it is not there, or is being started anew.
        """
        ray = load_ray()
        try:
            actor = ray.get_actor(ADDRESS + name, namespace=self.namespace)
            pid: int = ray.get(actor.pid.remote(), timeout=START_S)
        except (ValueError, ray.exceptions.RayError) as error:
            raise Unreachable(f"the host {name!r} does not answer ({type(error).__name__})", host=name) from None
        return pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(FleetError):
            self.stop()


@contextmanager
def local_cluster(
    token_path: str | Path,
    *,
    cpus: int = 2,
    object_store_bytes: int = OBJECT_STORE_BYTES,
    dashboard: bool = False,
) -> Iterator[None]:
    """Have a Ray cluster on this machine, of this process, until the context ends; then no process of it is left.

    Args:
        token_path: the file of the token that its members show each other; made if it is not there.
        object_store_bytes: shared memory for large arguments and answers.
        dashboard: serve Ray's dashboard too; that needs ``ray[default]``.

    Raises:
        InputError: this process belongs to a cluster already.
    """
    if is_in_cluster():
        raise InputError("this process belongs to a Ray cluster already; leave that first, or start a Fleet on it")
    set_environment(token_path)
    ray = load_ray()
    ray.init(
        address="local",
        num_cpus=cpus,
        object_store_memory=object_store_bytes,
        include_dashboard=dashboard,
        log_to_driver=False,
        logging_level="ERROR",
        configure_logging=False,
    )
    try:
        yield
    finally:
        ray.shutdown(wait_for_processes=True)


def is_in_cluster() -> bool:
    """Whether this process belongs to a Ray cluster."""
    return "ray" in sys.modules and bool(load_ray().is_initialized())


def transport_to(address: str | None, namespace: str) -> RayTransport:
    """Return the way to a fleet; this process joins its cluster if it belongs to none.

    Args:
        address: of the cluster, such as ``ray://host:10001`` or ``host:6379``; None: the one on this machine.
    """
    ray = load_ray()
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(address=address or "auto", log_to_driver=False, logging_level="ERROR", configure_logging=False)
    return RayTransport(namespace)


def set_environment(token_path: str | Path) -> None:
    """Set what Ray reads from the environment: no statistics are sent, and who has no token is turned away."""
    path = Path(token_path).absolute()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    if "ray" in sys.modules:  # it read the environment when it was imported
        raylet: Any = import_module("ray._raylet")
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
