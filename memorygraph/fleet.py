"""A fleet on this machine: hosts that have the memories of a folder, for agents in any process (extra ``ray``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from memorygraph.actors.fleet.cluster import NAMESPACE, Fleet, is_in_cluster, local_cluster, token_of

__all__ = ["Fleet", "local_cluster", "local_fleet"]


@contextmanager
def local_fleet(root: str | Path, *, hosts: int = 2, namespace: str = NAMESPACE, **options: Any) -> Iterator[Fleet]:
    """Have a fleet until the context ends; ``AgentMemory.connect(name)`` finds it.

    It runs on the Ray cluster that this process belongs to, else on one of its own, which is stopped in the end.

    Args:
        root: the folder of the memories: each is a store in a folder of its name.
        hosts: how many processes have them.
        options: of a cluster of its own: ``cpus``, ``object_store_bytes``, ``dashboard``, see ``local_cluster``.

    Raises:
        ImportError: Ray is not installed.
        FleetError: the hosts do not come up.
    """
    root = Path(root).absolute()
    with ExitStack() as running:
        if not is_in_cluster():
            running.enter_context(local_cluster(token_of(root), **options))
        fleet = running.enter_context(Fleet(root, namespace=namespace))
        fleet.start(*(f"host{number}" for number in range(hosts)))
        yield fleet
