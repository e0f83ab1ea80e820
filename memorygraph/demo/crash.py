"""Kill a writer in the middle of its work, and compare what it acknowledged with what the disk holds."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from memorygraph import AgentMemory
from memorygraph.events.errors import LogFailed, NodeNotFoundError

_KILL_AFTER: Final = 100


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """What the writer said was durable: the position, the id of the original and the id of the copy."""

    position: int
    original: str
    copy: str


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What was found after the kill: how many were acknowledged, those that are lost, and the log's state."""

    signal: int
    acknowledged: int
    lost: Sequence[Acknowledged]
    records: int
    whole: bool
    notes: Sequence[str]


def kill_a_writer(memory: AgentMemory) -> Aftermath:
    """Have a second process copy ``memory``, kill it with signal 9 after 100 acknowledgements, and reopen the copy.

    Raises:
        LogFailed: the writer ended by itself.
    """
    with TemporaryDirectory(prefix="memorygraph-demo-") as folder:
        target = Path(folder) / "copy.memory"
        signal, acknowledged = _run_until_killed(str(memory.path), str(target))
        with AgentMemory(path=target) as reopened:
            report = reopened.verify()
            return Aftermath(
                signal=signal,
                acknowledged=len(acknowledged),
                lost=lost(acknowledged, memory, reopened),
                records=report.records,
                whole=report.whole,
                notes=report.notes,
            )


def lost(acknowledged: Sequence[Acknowledged], memory: AgentMemory, reopened: AgentMemory) -> list[Acknowledged]:
    """Return what was acknowledged and is not there: no such node, another text, or a log that ends before it."""
    return [one for one in acknowledged if not _is_there(one, memory, reopened)]


def _is_there(one: Acknowledged, memory: AgentMemory, reopened: AgentMemory) -> bool:
    try:
        same = reopened.get(one.copy).content == memory.get(one.original).content
    except NodeNotFoundError:
        return False
    return same and one.position <= reopened.position


def _run_until_killed(source: str, target: str) -> tuple[int, list[Acknowledged]]:
    command = [sys.executable, "-m", "memorygraph.demo.copier", source, target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:  # noqa: S603 - our own module
        assert writer.stdout is not None
        lines = [line for _, line in zip(range(_KILL_AFTER), writer.stdout, strict=False)]
        writer.kill()
        lines += writer.stdout.read().splitlines(keepends=True)
    if len(lines) < _KILL_AFTER:
        raise LogFailed(f"the second process ended by itself after {len(lines)} acknowledgements")
    # A line without its end was being written when the kill came: nobody has seen that acknowledgement.
    words = [line.split() for line in lines if line.endswith("\n")]
    return -writer.returncode, [Acknowledged(position=int(p), original=one, copy=two) for p, one, two in words]
