"""Several processes on one store, killed processes, and forks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from memorygraph.events.stores import SegmentLog
from tests.events.log_contract import contents, put

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.faults


def start(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.events.writers", *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def outcome(*args: object) -> dict[str, object]:
    process = start(*args)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return json.loads(output)


def check_names(log: SegmentLog, names: list[str], each: int, others: int = 0) -> None:
    """Every record once, at the position its writer saw, each writer's in its order."""
    entries = [entry.data.decode().split(":") for entry in log.read()]
    named = [(at, entry) for at, entry in enumerate(entries, 1) if len(entry) == 3]
    assert len(entries) == len(names) * each + others
    assert all(int(position) == at for at, (_, _, position) in named)
    for name in names:
        assert [int(n) for _, (who, n, _) in named if who == name] == list(range(each))
    assert log.verify().whole
    assert log.notes == ()


def test_four_processes_append_at_once(tmp_path):
    names = ["a", "b", "c", "d"]
    follower = SegmentLog.open(tmp_path)
    writers = [start("append", tmp_path, name, 200) for name in names]
    position = 0
    while position < 800:
        head = follower.wait(position, timeout_s=60)
        assert head.position > position
        position = head.position
    for writer in writers:
        assert writer.wait(timeout=60) == 0
        writer.communicate()
    check_names(follower, names, 200)
    check_names(SegmentLog.open(tmp_path), names, 200)


@pytest.mark.parametrize("store", ["first", "second", "third", "fourth"])
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path, store):
    result = outcome("kill", tmp_path / store, 25)
    assert (result["lost"], result["whole"]) == (0, True)
    assert result["acknowledged"] >= 25


def test_acknowledging_before_the_write_would_be_noticed(tmp_path):
    assert outcome("kill", tmp_path, 40, "--early")["lost"] > 0


def test_after_a_fork_everybody_writes_with_a_lock_of_their_own(tmp_path):
    result = outcome("fork", tmp_path)
    assert result["statuses"] == [0, 0]
    log = SegmentLog.open(tmp_path)
    assert contents(log)[:2] == [b"before", b"in the lock"]
    check_names(log, ["parent", "inner", "outer"], 100, others=2)
    assert put(log, b"more").position == 303
