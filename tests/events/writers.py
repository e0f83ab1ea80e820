"""Processes for the tests: ``python -m tests.events.writers append|kill|fork PATH ...``; JSON on stdout."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from hashlib import sha256
from struct import Struct

from memorygraph.events.stores import SegmentLog

ACK = Struct("<Q8s")


def append(path: str, name: str, count: str) -> None:
    """Append ``count`` records under that name."""
    log = SegmentLog.open(path, segment_bytes=20_000)
    for n in range(int(count)):
        with log.lock() as head:
            log.append([f"{name}:{n}:{head.position + 1}".encode()], n)


def kill(path: str, rounds: str, *options: str) -> None:
    """Kill a writing child at a random moment, again and again; check after each that nothing acknowledged is gone."""
    dice = random.Random(path)
    acknowledged: dict[int, bytes] = {}
    torn = lost = 0
    for _ in range(int(rounds)):
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            _write_and_acknowledge(path, write_end, early="--early" in options)
        os.close(write_end)
        acks = os.read(read_end, ACK.size)  # the child is at work
        time.sleep(dice.random() * 0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while part := os.read(read_end, 1 << 16):
            acks += part
        os.close(read_end)
        acknowledged.update(ACK.iter_unpack(acks[: len(acks) // ACK.size * ACK.size]))
        log = SegmentLog.open(path, segment_bytes=1 << 20)
        torn += len(log.notes)
        stored = {entry.position: sha256(entry.data or b"").digest()[:8] for entry in log.read()}
        lost = sum(stored.get(position) != digest for position, digest in acknowledged.items())
        if lost or not log.verify().whole or len(stored) != log.head.position:
            break
    print(json.dumps({"acknowledged": len(acknowledged), "lost": lost, "torn": torn, "whole": log.verify().whole}))


def _write_and_acknowledge(path: str, pipe: int, *, early: bool) -> None:
    log = SegmentLog.open(path, segment_bytes=1 << 20)
    while True:
        record = os.urandom(16) * random.choice([1, 20, 20_000])
        with log.lock() as head:
            ack = ACK.pack(head.position + 1, sha256(record).digest()[:8])
            if early:
                os.write(pipe, ack)
            log.append([record], 1)
            if not early:
                os.write(pipe, ack)


def fork(path: str) -> None:
    """Fork after opening, and once more inside the lock; parent and children write at the same time."""
    log = SegmentLog.open(path)
    with log.lock() as head:
        log.append([b"before"], 1)
        inner = os.fork()
        if not inner:
            assert log._held is None, "the child believes that it holds its parent's lock"
        else:
            time.sleep(0.01)
            log.append([b"in the lock"], 1)
    if inner:
        outer = os.fork()
        name = "parent" if outer else "outer"
    else:
        name = "inner"
    for n in range(100):
        with log.lock() as head:
            log.append([f"{name}:{n}:{head.position + 1}".encode()], n)
    if name != "parent":
        os._exit(0)
    statuses = [os.waitpid(child, 0)[1] for child in (inner, outer)]
    print(json.dumps({"statuses": statuses, "position": log.refresh().position}))


if __name__ == "__main__":
    {"append": append, "kill": kill, "fork": fork}[sys.argv[1]](*sys.argv[2:])
