"""``memorygraph cluster``: a fleet of its own that outlives the command, and hosts on a cluster that runs already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words: str, code: int = 0) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "memorygraph", "cluster", *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def processes_of(token: Path) -> list[str]:
    """The processes that were given a cluster's token."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(token).encode() in environ.read_bytes():
                found.append(environ.parent.name)
        except OSError:  # it has ended
            pass
    return found


USE = """
from memorygraph import AgentMemory
with AgentMemory.connect("team", fleet={root!r}) as memory:
    memory.remember("The oven is at 200 degrees")
    print(memory.recall("oven")[0].content)
"""


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "fleet"
    yield folder
    if (folder / ".cluster").exists():
        subprocess.run([sys.executable, "-m", "memorygraph", "cluster", "down", "--root", str(folder)], check=False)


def test_a_fleet_outlives_the_command_and_ends_whole(root):
    words = ("--root", str(root))
    assert "start one" in run("status", *words, code=1)
    kept = json.loads(run("up", "--hosts", "1", "--cpus", "1", "--json", *words))
    assert "already" in run("up", *words, code=2)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    used = subprocess.run(
        [sys.executable, "-c", USE.format(root=str(root))], capture_output=True, text=True, env=environment, check=False
    )
    assert used.stdout == "The oven is at 200 degrees\n", used.stderr
    found = json.loads(run("status", "--json", *words))
    assert found["address"] == kept["address"]
    assert [(host["name"], [active["memory"] for active in host["active"]]) for host in found["hosts"]] == [
        ("host-1", ["team"])
    ]
    token = root / ".cluster" / "token"
    assert processes_of(token)
    assert "has ended" in run("down", *words)
    end_s = time.monotonic() + 10
    while processes_of(token) and time.monotonic() < end_s:
        time.sleep(0.1)
    assert processes_of(token) == []
    assert "start one" in run("down", *words, code=1)


def test_hosts_on_a_cluster_that_runs_already(ray_fleet, tmp_path):
    import ray

    address = ray.get_runtime_context().gcs_address
    words = ("--address", address, "--namespace", "another", "--root", str(tmp_path))
    assert "host" in run("up", "--hosts", "1", *words)
    found = json.loads(run("status", "--json", *words))
    assert [host["name"] for host in found["hosts"]] == ["host-1"]
    assert "has ended" in run("down", *words)
    assert {host.name for host in ray_fleet.status().hosts} == {"one", "two"}, "the other fleet goes on"
