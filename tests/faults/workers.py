"""What the fault tests run in other processes: ``python -m tests.faults.workers kill|compact|write|fork ...``."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from datetime import timedelta
from hashlib import sha256
from typing import Any

from memorygraph import AgentMemory, RetentionPolicy
from memorygraph.events.disk import OsDisk
from memorygraph.events.stores import SegmentLog, rewriting
from tests.faults.mutants import acknowledged_before_the_write, rewritten_in_place

SIZES = (10, 200, 3000, 60_000)
EVERYTHING = RetentionPolicy(keep_accesses=timedelta(0), keep_forgotten=timedelta(0))
CHANGES = ("create", "pwrite", "sync", "truncate", "rename", "unlink", "sync_directory")


def kill(store: str, mode: str) -> None:
    """Fork a writer for each line on standard input (``count delay_us prefix``); kill it that long after so many acks.

    A fork of a process that has imported everything takes milliseconds, so a thousand rounds fit into a test. Prints
    what was acknowledged in each round: id and hash of the content, on one line.
    """
    if mode == "late":
        SegmentLog.append = acknowledged_before_the_write
    for line in sys.stdin:
        count, delay_us, prefix = line.split()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _write_until_killed(store, writer, prefix)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            acknowledged = [pipe.readline() for _ in range(int(count))]
            time.sleep(int(delay_us) / 1e6)
            os.kill(child, 9)
            acknowledged += pipe.readlines()
        os.waitpid(child, 0)
        print(*(entry.decode().strip() for entry in acknowledged if entry.endswith(b"\n")), flush=True)


def hashed(content: str) -> str:
    """Name a content in a few letters."""
    return sha256(content.encode()).hexdigest()[:16]


def _write_until_killed(store: str, pipe: int, prefix: str) -> None:
    dice = random.Random(prefix)
    with AgentMemory(store, auto_associate=False) as memory:
        number = 0
        while True:
            content = f"{prefix} {number} " + "x" * dice.choice(SIZES)
            node = memory.remember(content, node_id=f"{prefix}-{number}")
            os.write(pipe, f"{node.id}:{hashed(content)}\n".encode())
            number += 1


def compact(mode: str) -> None:
    """Fork one who compacts for each line on standard input (``call store``); kill it at that call to the disk.

    Prints "killed", or how many calls it made if it came to its end before.
    """
    if mode == "in place":
        rewriting._swap = rewritten_in_place
    for line in sys.stdin:
        call, store = line.split()
        child = os.fork()
        if child == 0:
            memory = AgentMemory(store)
            calls = _die_at(int(call))
            memory.compact(EVERYTHING)
            print(len(calls), flush=True)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9:
            print("killed", flush=True)


def _die_at(call: int) -> list[str]:
    """Have this process killed just before so many changes on the disk; give the list of those that were made."""
    calls: list[str] = []

    def counted(name: str, real: Any) -> Any:
        def change(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == call:
                os.kill(os.getpid(), 9)
            return real(*arguments, **options)

        return change

    for name in CHANGES:
        setattr(OsDisk, name, counted(name, getattr(OsDisk, name)))
    return calls


def write(store: str, name: str, count: str) -> None:
    """Write memories of ``name`` in all the ways there are, at the same time as others, once a line comes in."""
    sys.stdin.readline()
    with AgentMemory(store, principal=name) as memory:
        memory.remember("of all of us", node_id="common", command_id="common")
        for number in range(int(count)):
            node = memory.remember(f"{name} {number}", tags=[name], command_id=f"{name}-{number}")
            if number % 4 == 0:
                memory.link("common", node, weight=0.5)
                memory.get("common").reinforce(0.01)
            if number % 5 == 0:
                memory.remember(f"{name} {number}", tags=[name], command_id=f"{name}-{number}")
        memory.remember_many([{"content": f"{name} batch {number}", "tags": [name]} for number in range(50)])


def fork(store: str, count: str) -> None:
    """Fork after opening; parent and children write through the same object at the same time."""
    memory = AgentMemory(store, auto_associate=False)
    memory.remember("before", node_id="before")
    children = []
    for name in ("one", "two"):
        child = os.fork()
        if child == 0:
            _write_forked(memory, name, int(count))
            memory.close()
            os._exit(0)
        children.append(child)
    _write_forked(memory, "parent", int(count))
    statuses = [os.waitpid(child, 0)[1] for child in children]
    print(json.dumps({"statuses": statuses, "nodes": len(memory), "digest": memory.digest()}))
    memory.close()


def _write_forked(memory: Any, name: str, count: int) -> None:
    for number in range(count):
        memory.remember(f"{name} {number}", node_id=f"{name}-{number}", tags=[name])


if __name__ == "__main__":
    {"kill": kill, "compact": compact, "write": write, "fork": fork}[sys.argv[1]](*sys.argv[2:])
