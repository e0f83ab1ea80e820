"""The commands about a fleet on this machine, or on a Ray cluster that runs already: up, status, down."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec import structs
from rich import box
from rich.table import Table

from memorygraph.actors.fleet import cluster, keeper
from memorygraph.actors.fleet.calls import FleetStatus
from memorygraph.actors.fleet.ray_transport import load_ray
from memorygraph.cli.options import JsonOption
from memorygraph.cli.output import print_json, print_view, say

DEFAULT_ROOT: Final = Path("agent.fleet")

RootOption = Annotated[
    Path,
    typer.Option(
        "--root",
        envvar="MEMORYGRAPH_FLEET",
        show_envvar=False,
        help="Folder of the fleet's memories (default: $MEMORYGRAPH_FLEET, else ./agent.fleet).",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="A Ray cluster that runs already, such as 10.0.0.5:6379, instead of one of our own.",
        metavar="HOST:PORT",
        show_default=False,
    ),
]
NamespaceOption = Annotated[
    str, typer.Option(help="The fleet's namespace on that cluster: one cluster may have several.", metavar="NAME")
]


def up(
    root: RootOption = DEFAULT_ROOT,
    hosts: Annotated[int, typer.Option(help="Processes that have memories.", min=1, max=keeper.HOSTS_MAX)] = 2,
    cpus: Annotated[
        int | None,
        typer.Option(help="CPUs that tasks and actors of yours may take (default: all).", min=1, show_default=False),
    ] = None,
    dashboard: Annotated[bool, typer.Option(help="Serve Ray's dashboard; needs ray[default].")] = False,
    address: AddressOption = None,
    namespace: NamespaceOption = cluster.NAMESPACE,
    as_json: JsonOption = False,
) -> None:
    """Start a fleet: hosts on a Ray cluster of this machine, which stay when this command ends.

    With --address the hosts start on a cluster that runs already; all its machines must share the folder.
    """
    if address is None:
        kept = keeper.start(root, hosts=hosts, cpus=cpus, dashboard=dashboard)
        if as_json:
            print_json(structs.asdict(kept))
            return
        say(f"a fleet of {hosts} hosts is up at {kept.address} (process {kept.pid}); its memories are in {root}")
        say(f'use it:   AgentMemory.connect("NAME", fleet="{root}")')
    else:
        with _member_of(address, namespace):
            cluster.Fleet(root, namespace=namespace).start(*(f"host-{number}" for number in range(1, hosts + 1)))
        if as_json:
            print_json({"address": address, "namespace": namespace, "hosts": hosts})
            return
        say(f"a fleet of {hosts} hosts is up on the cluster at {address}; its memories are in {root}")
        say(f'use it:   AgentMemory.connect("NAME", address="{address}", namespace="{namespace}")')
    say("look:     memorygraph cluster status")
    say("end it:   memorygraph cluster down")


def status(
    root: RootOption = DEFAULT_ROOT,
    address: AddressOption = None,
    namespace: NamespaceOption = cluster.NAMESPACE,
    as_json: JsonOption = False,
) -> None:
    """Show the hosts that are alive, and the memories that each has awake."""
    with _member(root, address, namespace) as (where, space):
        found = cluster.Fleet(root, namespace=space).status()
    asleep = _stored(root) - {active.memory for host in found.hosts for active in host.active}
    if as_json:
        print_json({"address": where, "namespace": space, **structs.asdict(found), "hosts": _facts(found)})
        return
    print_view(_table(found))
    say(f"{len(found.hosts)} hosts at {where}; {_counted(len(asleep), 'memory sleeps', 'memories sleep')} in {root}")


def down(
    root: RootOption = DEFAULT_ROOT,
    address: AddressOption = None,
    namespace: NamespaceOption = cluster.NAMESPACE,
    as_json: JsonOption = False,
) -> None:
    """End a fleet; its memories stay. A cluster of our own ends with it, another's goes on."""
    if address is None:
        kept = keeper.stop(root)
        address, namespace = kept.address, kept.namespace
    else:
        with _member_of(address, namespace):
            cluster.Fleet(root, namespace=namespace).stop()
    if as_json:
        print_json({"address": address, "namespace": namespace})
    else:
        say(f"the fleet at {address} has ended; its memories stay in {root}")


@contextmanager
def _member(root: Path, address: str | None, namespace: str) -> Iterator[tuple[str, str]]:
    """Belong to the fleet's cluster for a while; gives its address and the fleet's namespace."""
    if address is not None:
        with _member_of(address, namespace):
            yield address, namespace
        return
    kept = keeper.find(root)
    keeper.transport_over(root)
    try:
        yield kept.address, kept.namespace
    finally:
        load_ray().shutdown()


@contextmanager
def _member_of(address: str, namespace: str) -> Iterator[None]:
    cluster.transport_to(address, namespace)
    try:
        yield
    finally:
        load_ray().shutdown()


def _stored(root: Path) -> set[str]:
    """Return the names of the memories in a folder."""
    return {path.name for path in root.glob("[!.]*") if path.is_dir()}


def _facts(found: FleetStatus) -> list[dict[str, Any]]:
    return [
        structs.asdict(host) | {"active": [structs.asdict(active) for active in host.active]} for host in found.hosts
    ]


def _table(found: FleetStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("host", "heard", "memory"):
        table.add_column(name)
    for name in ("position", "epoch", "transactions", "unused"):
        table.add_column(name, justify="right")
    for host in found.hosts:
        heard = f"{host.silent_s:.1f} s ago"
        if not host.active:
            table.add_row(host.name, heard, "(none awake)")
        for at, active in enumerate(host.active):
            table.add_row(
                "" if at else host.name,
                "" if at else heard,
                active.memory,
                f"{active.position:,}",
                str(active.epoch),
                str(active.sessions),
                f"{active.idle_s:.0f} s",
            )
    return table


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
