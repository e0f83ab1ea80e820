"""Takeovers from stopped writers: ``python -m tests.events.takeovers PATH ROUNDS SEED [MUTANT]``; JSON on stdout.

In each round a child process writes and stops itself (SIGSTOP) at one place of its work, most often while it holds the
lock. The parent takes the log over, writes, lets the child go on beside it, and then counts what is wrong: records
that were acknowledged and are gone or others, records that were refused and are there, records that are there twice.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path

from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import Fenced, StoreError
from memorygraph.events.frames import MAGIC
from memorygraph.events.stores import SegmentLog, segment, takeover
from memorygraph.events.stores.lock_file import encoded_point

SEGMENT_BYTES = 2500
PLACES = (
    "before the write",
    "within the write",
    "after the write",
    "after the sync",
    "before the commit point",
    "after the commit point",
    "before the name",
    "after the name",
    "between commits",
)


class StoppingDisk(OsDisk):
    """Stops the process at the n-th time that it comes to one place of a commit."""

    def __init__(self, place: str, count: int) -> None:
        self.place = place
        self.count = count

    def at(self, place: str) -> None:
        if place == self.place:
            self.count -= 1
            if not self.count:
                os.kill(os.getpid(), signal.SIGSTOP)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if data.startswith(b"MGLOCK1"):
            self.at("before the commit point")
            written = super().pwrite(fd, data, offset)
            self.at("after the commit point")
            return written
        if data.startswith(MAGIC):
            self.at("before the write")
            if self.place == "within the write" and self.count == 1:
                super().pwrite(fd, data[: len(data) // 2], offset)
            self.at("within the write")
        written = super().pwrite(fd, data, offset)
        if data.startswith(MAGIC):
            self.at("after the write")
        return written

    def sync(self, fd: int) -> None:
        os.fstat(fd)
        self.at("after the sync")

    def sync_directory(self, path: str) -> None:
        Path(path).stat()

    def rename(self, source: str, target: str) -> None:
        self.at("before the name")
        super().rename(source, target)
        self.at("after the name")


def write(path: str, name: str, place: str, count: int, pipe: int, times: int) -> None:
    """Write until it is enough or somebody takes over; report each acknowledgement, and how it ended."""
    disk = StoppingDisk(place, count)
    log = SegmentLog.open(path, disk=disk, segment_bytes=SEGMENT_BYTES)
    for n in range(times):
        disk.at("between commits")
        record = f"{name}:{n}:".encode() * random.Random(n).choice((1, 5, 40))
        try:
            with log.lock():
                position = log.append([record], n).position
        except Fenced as error:
            os.write(pipe, json.dumps(["fenced", record.decode(), error.about["recorded"]]).encode() + b"\n")
            return
        os.write(pipe, json.dumps(["ack", record.decode(), position]).encode() + b"\n")


def start(path: str, name: str, place: str, count: int) -> tuple[int, int]:
    """Fork a writer and wait until it has stopped itself; give its process id and the pipe of its reports."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.close(read_end)
        try:
            write(path, name, place, count, write_end, 30)
        finally:
            os._exit(0)
    os.close(write_end)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status), (place, count, status)
    return child, read_end


def reports(pipe: int) -> list[list[object]]:
    lines = b""
    while part := os.read(pipe, 1 << 16):
        lines += part
    os.close(pipe)
    return [json.loads(line) for line in lines.splitlines()]


def faults_of_round(path: str, dice: random.Random, number: int, acknowledged: dict[int, str]) -> list[str]:
    """Take over once; add to what was acknowledged, and say what is wrong afterwards."""
    place = PLACES[number % len(PLACES)]
    child, pipe = start(path, f"old{number}", place, 1 if "name" in place else dice.randint(1, 6))
    if number % 4 == 3:  # somebody began to take over and died
        _die_within_a_takeover(path, dice)
    log = SegmentLog.open(path, takeover=True, segment_bytes=SEGMENT_BYTES, disk=StoppingDisk("", 0))
    mine = [f"new{number}:{n}:" * dice.choice((1, 30)) for n in range(6)]
    resumed_after = dice.randrange(6)
    for n, record in enumerate(mine):
        if n == resumed_after:
            os.kill(child, signal.SIGCONT)
        with log.lock():
            acknowledged[log.append([record.encode()], n).position] = record
    os.waitpid(child, 0)
    found = reports(pipe)
    acknowledged.update({report[2]: report[1] for report in found if report[0] == "ack"})
    refused = {report[1]: report[2] for report in found if report[0] == "fenced"}
    return wrong(path, place, acknowledged, refused)


def _die_within_a_takeover(path: str, dice: random.Random) -> None:
    child = os.fork()
    if not child:
        calls = dice.randint(1, 12)

        class Dying(StoppingDisk):
            def at(self, _: str) -> None:
                nonlocal calls
                calls -= 1
                if not calls:
                    os._exit(0)

        try:
            SegmentLog.open(path, takeover=True, segment_bytes=SEGMENT_BYTES, disk=Dying("", 0))
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def wrong(path: str, place: str, acknowledged: dict[int, str], refused: dict[str, bool | None]) -> list[str]:
    """Compare the store with what its writers were told."""
    try:
        log = SegmentLog.open(path, read_only=True)
        stored = {entry.position: (entry.data or b"").decode() for entry in log.read()}
        whole = log.verify().whole
    except StoreError as error:
        return [f"{place}: {error}"]
    faults = [] if whole else [f"{place}: damaged"]
    faults += [f"{place}: lost {at}" for at, record in acknowledged.items() if stored.get(at) != record]
    records = list(stored.values())
    faults += [f"{place}: doubled {record}" for record in set(records) if records.count(record) > 1]
    for record, recorded in refused.items():
        if recorded is not None and recorded != (record in records):
            faults.append(f"{place}: said {recorded} of {record}")
    return faults


def acknowledge_unfenced(log: SegmentLog, tail: segment.Tail) -> None:
    """A mutant: the epoch is not looked at after the sync."""
    log._held_lock().publish(encoded_point(tail.point, log.memory_id))
    log._tail, log._point = tail, b""


def main(path: str, rounds: str, seed: str, mutant: str = "") -> None:
    if mutant == "unfenced":
        SegmentLog._acknowledge = acknowledge_unfenced
    elif mutant == "same file":
        takeover._first_segment = lambda _directory, tail, _epoch: tail
    dice = random.Random(int(seed))
    faults: list[str] = []
    acknowledged: dict[int, str] = {}
    for number in range(int(rounds)):
        try:
            faults += faults_of_round(path, dice, number, acknowledged)
        except StoreError as error:
            faults.append(str(error))
        if faults:
            break
    print(json.dumps({"seed": seed, "acknowledged": len(acknowledged), "faults": faults}))


if __name__ == "__main__":
    main(*sys.argv[1:])
