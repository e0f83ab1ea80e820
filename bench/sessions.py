"""The driver's side of the measured processes: start one per package and size, fill it, ask it, end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).resolve().parents[1]
PEER_PYTHON: Final = ROOT / ".venv-peer" / "bin" / "python"
OURS: Final = "ours"
PEER: Final = "peer"
DISTRIBUTIONS: Final = {OURS: ("memorygraph", None), PEER: ("neural-memorygraph", "1.3.0")}
BLAS_THREADS: Final = "1"  # what runs beside a measurement does not decide it
BLAS_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# Both packages are called memorygraph, and each process must find its own: this folder comes last (-P: only there).
_START: Final = "import sys; sys.path.append(sys.argv[1]); from bench.worker import serve; serve()"
_AT_ONCE: Final = 2  # processes that fill at the same time; while anything is timed, all others wait


class WrongPackage(Exception):
    """A measured process found another package than the one it is to measure."""


class Session:
    """One process with one memory of one package."""

    def __init__(self, package: str, python: Path) -> None:
        self.package = package
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= dict.fromkeys(BLAS_VARIABLES, BLAS_THREADS)
        self._process = subprocess.Popen(
            [python, "-P", "-c", _START, str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.about: dict[str, str] = self.ask("hello")
        self._require(*DISTRIBUTIONS[package])
        self.start_bytes: int = self.ask("rss_bytes")

    def ask(self, do: str, **args: Any) -> Any:
        """Have the process do something, and return what it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, "args": args}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that measures {self.package!r} ended during {do!r}; its error is above")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _require(self, distribution: str, version: str | None) -> None:
        found = self.about["distribution"], self.about["version"]
        if found[0] != distribution or version not in {None, found[1]}:
            self.close()
            wanted = distribution if version is None else f"{distribution} {version}"
            raise WrongPackage(f"{self.package!r} is to be {wanted}, and is {' '.join(found)} ({self.about['file']})")


class Sessions:
    """The processes of one run, made when they are first needed; a process that was filled is used again."""

    def __init__(self, peer_python: Path | None = PEER_PYTHON) -> None:
        self._pythons = {OURS: Path(sys.executable)}
        if peer_python is not None and peer_python.exists():
            self._pythons[PEER] = peer_python
        self._filled: dict[tuple[str, int, str], Session] = {}

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that can be measured."""
        return tuple(self._pythons)

    def fresh(self, package: str) -> Session:
        """Start a process that the caller closes."""
        return Session(package, self._pythons[package])

    def filled(self, wanted: Iterable[tuple[str, int]], how: str = "fill") -> list[Session]:
        """Return a process for each (package, nodes) whose package is there.

        Args:
            how: what fills it: "fill" with texts and vectors, "grow" with bare nodes and links.
        """
        there = [(*key, how) for key in wanted if key[0] in self._pythons]
        missing = [key for key in there if key not in self._filled]
        if missing:
            print(f"filling {', '.join(f'{package} {nodes:,}' for package, nodes, _ in missing)}", file=sys.stderr)
        for key in missing:
            self._filled[key] = self.fresh(key[0])
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(lambda key: self._filled[key].ask(how, nodes=key[1]), missing))
        return [self._filled[key] for key in there]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._filled.values():
            session.close()


def alternate(sessions: Sequence[Session], do: str, rounds: int, count: int) -> list[list[float]]:
    """Have every session do ``count`` in each of ``rounds``, in turn, so that noise hits all of them alike.

    Returns:
        the samples of each session; a first round, in which indexes and caches are made, is left out.
    """
    samples: list[list[float]] = [[] for _ in sessions]
    for number in range(rounds + 1):
        turn = list(zip(sessions, samples, strict=True))
        for session, kept in reversed(turn) if number % 2 else turn:
            taken = session.ask(do, count=count)
            if number:
                kept.extend(taken)
    return samples
