"""What ``bench.log`` measures: each section writes into an empty folder and gives its rows.

Ours and what it is compared with take turns in rounds, so that a slow moment of the machine meets both.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, sleep
from typing import Final, NamedTuple

import msgspec

from bench import compaction
from bench.goals import Row
from bench.small import small_memories
from bench.snapshots import snapshot_rows
from memorygraph.events.disk import OsDisk
from memorygraph.events.frames import NO_CHAIN, encode_frame
from memorygraph.events.group import GroupAppender
from memorygraph.events.ports import SystemClock
from memorygraph.events.records import (
    EVENT_TYPES,
    NodeAdded,
    Record,
    decode_record,
    encode_record,
    pack_event,
    unpack_event,
)
from memorygraph.events.stores import SegmentLog

US: Final = 1e6
BATCH: Final = 100
SMALL_BYTES: Final = 300
LARGE_BYTES: Final = 3300  # a text with a vector of 768 dimensions
CLIENTS: Final = 512
REST_S: Final = 0.05  # before each turn, so that nobody pays for what another one has left to the background


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    commits: int  # a round
    batches: int  # a round
    appends: int  # a client
    events: int  # in the long log
    memories: int  # small ones
    notes: int  # in the memory that is compacted and copied
    trials: int  # of each compaction and backup
    reopened: int  # memories in the store that is opened from a snapshot


FULL: Final = Scale(
    rounds=15,
    commits=200,
    batches=60,
    appends=60,
    events=1_000_000,
    memories=10_000,
    notes=20_000,
    trials=3,
    reopened=100_000,
)
QUICK: Final = Scale(
    rounds=2, commits=10, batches=5, appends=4, events=20_000, memories=10, notes=500, trials=1, reopened=3_000
)


def single(place: Path, scale: Scale) -> list[Row]:
    """One client that waits for each of its records (L1)."""
    us = _rounds(place, scale, [_record(SMALL_BYTES)], scale.commits)
    return [
        _row("single", f"one client, {SMALL_BYTES} B a record; against the bare write", us.ours, us.bare, "L1"),
        _row("single", "the same, against the bare write at the end of a file that grows", us.ours, us.growing),
        _row("single", "the same, against SQLite", us.ours, us.sqlite),
    ]


def batch(place: Path, scale: Scale) -> list[Row]:
    """Batches of 100 small records (L2) and of 100 large ones (L3)."""
    rows = []
    for size_bytes, goal in ((SMALL_BYTES, "L2"), (LARGE_BYTES, "L3")):
        folder = place / str(size_bytes)
        folder.mkdir()
        records = [_record(size_bytes) for _ in range(BATCH)]
        us = _rounds(folder, scale, records, scale.batches)
        name = f"batches of {BATCH}, {size_bytes:,} B a record, per batch"
        rows += [
            _row("batch", f"{name}; against the bare write", us.ours, us.bare, f"{goal}-bare"),
            _row("batch", "the same, against the bare write at the end of a file that grows", us.ours, us.growing),
            _row("batch", f"{name}; against SQLite", us.ours, us.sqlite, f"{goal}-sqlite"),
        ]
    return rows


def clients(place: Path, scale: Scale) -> list[Row]:
    """512 asyncio tasks that each wait for their records (L2); SQLite commits once per client, behind one lock."""
    record = _record(SMALL_BYTES)
    with closing(SegmentLog.open(str(place / "log"), create=True)) as log:
        appender = GroupAppender(log, SystemClock())
        for _ in range(2):  # the first run makes files and threads
            ours = asyncio.run(_clients(lambda: appender.append(record), scale.appends))
    with closing(_sqlite(place / "db")) as database:
        peer = asyncio.run(_sqlite_clients(database, record, max(scale.appends // 15, 2)))
    sync_us = median(_times(_bare(place / "bare", [record] * CLIENTS), 50))
    p99_us = quantiles(ours.waits_s, n=100)[98] * US
    return [
        _row("clients", f"{CLIENTS} clients, per record, against SQLite", ours.each_us, peer.each_us, "L2-clients"),
        _row(
            "clients",
            f"{CLIENTS} clients, 99 of 100 wait less, against 3 syncs and 10 ms",
            p99_us,
            3 * sync_us + 1e4,
            "L2-p99",
        ),
    ]


def replay(place: Path, scale: Scale) -> list[Row]:
    """Reading the log to typed events, against the bare decoder on the same bytes in memory (L4)."""
    count = scale.events // 10
    with closing(_long_log(place / "log", [[_record(SMALL_BYTES)] * BATCH] * (count // BATCH))) as log:
        stored = [entry.data for entry in log.read() if entry.data is not None]
        decoder, decoders = (
            msgspec.msgpack.Decoder(Record),
            {code: msgspec.msgpack.Decoder(kind) for code, kind in EVENT_TYPES.items()},
        )

        def bare() -> None:
            for data in stored:
                for event in decoder.decode(data).events:
                    decoders[event.type].decode(event.payload)

        def ours() -> None:
            for entry in log.read():
                assert entry.data is not None
                for event in decode_record(entry.data, entry.position).events:
                    unpack_event(event, entry.position)

        taken = [(_taken_s(ours), _taken_s(bare)) for _ in range(5)]
    ours_us, bare_us = (median(times) * US / count for times in zip(*taken, strict=True))
    return [_row("replay", "replay to typed events, per event, against the bare decoder", ours_us, bare_us, "L4")]


def long(place: Path, scale: Scale) -> list[Row]:
    """A long log: opening, full verification, bytes (L5)."""
    thousand = encode_record(_as_record([_event(60) for _ in range(1000)]))
    small = _record(SMALL_BYTES)
    return [
        *_long(place / "1000", "frames of 1,000 events", [thousand], scale.events, 1000, verify="L5-verify"),
        *_long(place / "20", "frames of 20 records", [small] * 20, scale.events, 20, share="L5-bytes"),
        *_long(place / "1", "frames of one record", [small], scale.events // 10, 1),
    ]


def _long(
    path: Path, frames: str, records: list[bytes], events: int, each: int, *, verify: str = "", share: str = ""
) -> list[Row]:
    _long_log(path, [records] * (events // each)).close()
    opened_s = []
    for _ in range(5):
        begun = perf_counter()
        with closing(SegmentLog.open(str(path))) as log:
            opened_s.append(perf_counter() - begun)
            size_bytes = log.size_bytes()
    with closing(SegmentLog.open(str(path))) as log:
        assert log.verify().whole
        verified_s = median(_taken_s(log.verify) for _ in range(3))
    encoded_bytes = sum(map(len, records)) * (events // each)
    name = f"{events:,} events in {frames}"
    return [
        _one("long", f"open {name}", "ms", median(opened_s) * 1e3, "L5-open"),
        _one("long", f"verify {name}", "s", verified_s, verify or None),
        _one("long", f"bytes on disk per encoded byte, {frames}", "x", size_bytes / encoded_bytes, share or None),
    ]


def small(place: Path, scale: Scale) -> list[Row]:
    """Many small memories, open and idle."""
    return small_memories(place, scale.memories)


def beside(_: Path, scale: Scale) -> list[Row]:
    """What a writer notices of compaction and backup."""
    found = compaction.measure(scale.trials, scale.notes, scale.notes, scale.notes // 4)
    slower = "the 99th percentile of a durable write beside {}, against the same alone"
    return [
        _one("beside", slower.format("compaction"), "x", found["fold_p99_ratio"], "p99-fold"),
        _one("beside", slower.format("a backup"), "x", found["backup_p99_ratio"], "p99-backup"),
        _one("beside", "a durable write alone, 99th percentile", "ms", found["idle_p99_ms"], None),
        _one("beside", "bytes that compaction leaves", "x", found["bytes_left_ratio"], None),
    ]


def snapshots(place: Path, scale: Scale) -> list[Row]:
    """Opening a large memory, and what keeping it ready for that costs."""
    return snapshot_rows(place, scale.reopened)


SECTIONS: Final[dict[str, Callable[[Path, Scale], list[Row]]]] = {
    "single": single,
    "batch": batch,
    "clients": clients,
    "replay": replay,
    "long": long,
    "small": small,
    "beside": beside,
    "snapshots": snapshots,
}


class _Commits(NamedTuple):
    """The median microseconds of a commit."""

    ours: float
    bare: float
    growing: float
    sqlite: float


def _rounds(place: Path, scale: Scale, records: list[bytes], commits: int) -> _Commits:
    """Measure commits by turns."""
    with closing(SegmentLog.open(str(place / "log"), create=True)) as log, closing(_sqlite(place / "db")) as database:
        clock = SystemClock()

        def ours() -> None:
            with log.lock():
                log.append(records, clock.now_us())

        def sqlite() -> None:
            database.executemany("insert into record (data) values (?)", ((data,) for data in records))
            database.commit()

        kinds = (ours, _bare(place / "bare", records), _bare(place / "growing", records, room=0), sqlite)
        found: list[list[float]] = [[] for _ in kinds]
        for _ in range(scale.rounds + 1):
            for times, kind in zip(found, kinds, strict=True):
                sleep(REST_S)
                times.extend(_times(kind, commits))
        return _Commits(*(median(times[commits:]) for times in found))  # the first round warms up


def _bare(path: Path, records: list[bytes], room: int = 64 << 20) -> Callable[[], None]:
    """Return a call that writes the bytes of the records' frame behind the last ones, and syncs.

    Args:
        room: how many zeros are on the disk already; the bytes go over them, and from the start again at their end.
            0: each write makes the file longer.
    """
    data, _ = encode_frame(records, memory_id=bytes(16), first=1, time_us=1, epoch=1, chain=NO_CHAIN)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(room), 0)
    os.fsync(fd)
    disk, at = OsDisk(), 0

    def write() -> None:
        nonlocal at
        os.pwrite(fd, data, at)
        disk.sync(fd)
        at = at + len(data) if not room or at + 2 * len(data) <= room else 0

    return write


def _sqlite(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table record (position integer primary key, data blob)")
    database.commit()
    return database


@dataclass
class _Waits:
    each_us: float
    waits_s: list[float]


async def _clients(append: Callable[[], Awaitable[object]], appends: int) -> _Waits:
    waits: list[float] = []

    async def client() -> None:
        for _ in range(appends):
            begun = perf_counter()
            await append()
            waits.append(perf_counter() - begun)

    begun = perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return _Waits((perf_counter() - begun) * US / (CLIENTS * appends), waits)


async def _sqlite_clients(database: sqlite3.Connection, record: bytes, appends: int) -> _Waits:
    lock = asyncio.Lock()

    async def append() -> None:
        async with lock:
            database.execute("insert into record (data) values (?)", (record,))
            database.commit()

    return await _clients(append, appends)


class _Unsynced(OsDisk):
    """For making long logs quickly; they are synced by the system before they are measured."""

    def sync(self, fd: int) -> None:
        del fd


def _long_log(path: Path, frames: Iterable[list[bytes]]) -> SegmentLog:
    with closing(SegmentLog.open(str(path), create=True, disk=_Unsynced())) as log, log.lock():
        for records in frames:
            log.append(records, SystemClock().now_us())
    os.sync()
    return SegmentLog.open(str(path))


def _record(size_bytes: int) -> bytes:
    return encode_record(_as_record([_event(size_bytes - 130)]))


def _event(content_bytes: int) -> NodeAdded:
    dice = random.Random(content_bytes)
    return NodeAdded(
        id=f"{dice.getrandbits(60):015x}", content=f"{dice.getrandbits(8 * content_bytes):x}"[:content_bytes]
    )


def _as_record(events: list[NodeAdded]) -> Record:
    packed = tuple(map(pack_event, events))
    return Record("0192f3c8-7a1c-7c3e-9a51-0123456789ab", b"", "bench", {}, SystemClock().now_us(), 0, None, "", packed)


def _times(call: Callable[[], None], count: int) -> list[float]:
    return [_taken_s(call) * US for _ in range(count)]


def _taken_s(call: Callable[[], object]) -> float:
    begun = perf_counter()
    call()
    return perf_counter() - begun


def _row(section: str, name: str, ours_us: float, peer_us: float, goal: str | None = None) -> Row:
    return Row(section=section, name=name, unit="us", ours=ours_us, peer=peer_us, goal=goal)


def _one(section: str, name: str, unit: str, ours: float, goal: str | None) -> Row:
    return Row(section=section, name=name, unit=unit, ours=ours, goal=goal)
