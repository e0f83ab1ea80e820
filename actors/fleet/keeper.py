"""A fleet on this machine that outlives the command which starts it: a keeper process has the cluster and the hosts.

Beside the memories, in the folder ``.cluster``, lie the token of the cluster, what the keeper had to say, a file that
says where the cluster is, and one that the keeper holds a lock on: who can lock it knows that no keeper is left,
whatever process has its number now.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from memorygraph.actors.fleet.cluster import (
    FOLDER,
    NAMESPACE,
    Fleet,
    local_cluster,
    set_environment,
    token_of,
    transport_to,
)
from memorygraph.actors.fleet.ray_transport import RayTransport, load_ray
from memorygraph.events.errors import FleetError, InputError, MemoryGraphError

START_S: Final = 120.0
STOP_S: Final = 60.0
HOSTS_MAX: Final = 64
_STEP_S: Final = 0.1
_ERROR_CHARS: Final = 2000


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fleet is: its keeper's process, the cluster's address, its namespace; and its number of hosts."""

    pid: int
    address: str
    namespace: str = NAMESPACE
    hosts: int


def start(root: str | Path, *, hosts: int = 2, cpus: int | None = None, dashboard: bool = False) -> Kept:
    """Start a keeper with a fleet of so many hosts over the memories in a folder, and return when it can be used.

    Args:
        root: holds the memories, a folder each; made if it is not there.
        hosts: processes that have memories, named host-1, host-2, ...
        cpus: what Ray may give to tasks and actors; None: those of this machine. Hosts take none of it.
        dashboard: serve Ray's dashboard too; that needs ``ray[default]``.

    Raises:
        InputError: there is a fleet over this folder already, or not 1 to 64 hosts.
        FleetError: it did not start; says why.
        ImportError: Ray is not installed.
    """
    load_ray()
    if not 1 <= hosts <= HOSTS_MAX:
        raise InputError(f"a fleet has 1 to {HOSTS_MAX} hosts, not {hosts}", hosts=hosts)
    folder = Path(root, FOLDER)
    if _has_keeper(folder):
        raise InputError(f"there is a fleet over {root} already: it runs, is starting or is ending", root=str(root))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = [sys.executable, "-m", __name__, str(Path(root).absolute()), str(hosts), str(cpus or os.cpu_count() or 1)]
    with Path(folder, "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(  # noqa: S603 - our own module, and numbers
            [*words, *(["--dashboard"] if dashboard else [])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
    if not _until(START_S, lambda: keeper.poll() is not None or _kept(folder) is not None):
        keeper.terminate()
        raise FleetError(f"the fleet over {root} did not start in {START_S:g} s; see {folder / 'keeper.log'}")
    kept = _kept(folder)
    if kept is None:
        raise FleetError(f"the fleet over {root} did not start: {_last_words(folder)}")
    return kept


def find(root: str | Path) -> Kept:
    """Return where the fleet over a folder is.

    Raises:
        FleetError: none runs.
    """
    kept = _kept(Path(root, FOLDER))
    if kept is None:
        raise FleetError(
            f'no fleet runs over {root}; start one with "memorygraph cluster up --root {root}"', root=str(root)
        )
    return kept


def stop(root: str | Path) -> Kept:
    """End the fleet over a folder, with every process of its cluster; return where it was.

    Raises:
        FleetError: none runs, or it does not end.
    """
    kept = find(root)
    with suppress(ProcessLookupError):
        os.kill(kept.pid, signal.SIGTERM)
    if not _until(STOP_S, lambda: not _has_keeper(Path(root, FOLDER))):
        raise FleetError(
            f"the fleet over {root} has not ended in {STOP_S:g} s; its process is {kept.pid}", pid=kept.pid
        )
    return kept


def transport_over(root: str | Path) -> RayTransport:
    """Return the way to the fleet over a folder; this process joins its cluster if it belongs to none.

    Raises:
        FleetError: none runs.
    """
    kept = find(root)
    if not load_ray().is_initialized():
        set_environment(token_of(root))
    return transport_to(kept.address, kept.namespace)


def keep(root: str | Path, hosts: int, cpus: int, *, dashboard: bool = False) -> None:
    """Be the keeper: have the fleet until this process is told to end (SIGTERM, SIGINT)."""
    ending = threading.Event()
    folder = Path(root, FOLDER)
    with Path(folder, "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"the fleet over {root} runs already") from None
        with local_cluster(token_of(root), cpus=cpus, dashboard=dashboard), Fleet(root) as fleet:
            for number in (signal.SIGTERM, signal.SIGINT):  # Ray set its own
                signal.signal(number, lambda *_: ending.set())
            fleet.start(*(f"host-{number}" for number in range(1, hosts + 1)))
            context = load_ray().get_runtime_context()
            kept = Kept(pid=os.getpid(), address=context.gcs_address, namespace=fleet.namespace, hosts=hosts)
            _write(folder / "fleet.json", msgspec.json.encode(kept))
            ending.wait()
            Path(folder, "fleet.json").unlink(missing_ok=True)


def _has_keeper(folder: Path) -> bool:
    try:
        with Path(folder, "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _kept(folder: Path) -> Kept | None:
    """Return what a keeper that lives has written; None if it lives no more, or is starting or ending."""
    if not _has_keeper(folder):
        return None
    try:
        return msgspec.json.decode(Path(folder, "fleet.json").read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _until(seconds: float, is_so: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(_STEP_S)
    return True


def _last_words(folder: Path) -> str:
    said = Path(folder, "keeper.log").read_text(errors="replace").strip()[-_ERROR_CHARS:]
    return said.splitlines()[-1] if said else "it said nothing"


def main() -> None:
    """Run as ``start`` runs it: FOLDER HOSTS CPUS [--dashboard]."""
    root, hosts, cpus, *rest = sys.argv[1:]
    try:
        keep(root, int(hosts), int(cpus), dashboard=bool(rest))
    except MemoryGraphError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
