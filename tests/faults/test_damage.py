"""T3: truncation at every byte of the last frames, and flipped bits anywhere: all noticed, nothing altered is read.

A damaged log opens read-only up to the damage; the bytes on the disk stay as they are, whole frames behind the damage
too, so that they can be salvaged.
"""

from __future__ import annotations

from random import Random

import pytest
from msgspec import Struct

from memorygraph.events.errors import StoreError
from memorygraph.events.stores import SegmentLog
from tests.faults.figures import figure
from tests.faults.mutants import BYTE_MUTANTS
from tests.simulation.machine import CalmDisk
from tests.simulation.scenario import MEMORY_ID
from tests.simulation.storage import File, Storage

FLIPS = figure(400, 2000)
CUT_STEP = figure(5, 1)
FRAMES = 24
LAST = 8

pytestmark = pytest.mark.faults


class Store(Struct):
    """A healthy log on a simulated disk: what is in it, and the segments that hold its last frames."""

    storage: Storage
    segment_bytes: int
    records: list[bytes]
    last_frames: dict[str, tuple[int, int]]  # segment: where the last frames are, from and to

    def open(self, storage: Storage, **options: bool) -> SegmentLog:
        return SegmentLog.open(
            "/store", disk=CalmDisk(storage), memory_id=MEMORY_ID, segment_bytes=self.segment_bytes, **options
        )


def make_store(segment_bytes: int) -> Store:
    store, dice = Store(Storage(), segment_bytes, [], {}), Random(segment_bytes)
    log = store.open(store.storage)
    for n in range(FRAMES):
        records = [b"record %d.%d " % (n, i) + dice.randbytes(dice.randint(0, 60)) for i in range(n % 3 + 1)]
        with log.lock():
            log.append(records, n)
        store.records += records
        path, end = log._tail.file.path, log._tail.offset
        if n >= FRAMES - LAST:
            start = store.last_frames.get(path, (log._tail.frame_at, 0))[0]
            store.last_frames[path] = (start, end)
    return store


@pytest.fixture(scope="module", params=[1200, 100_000], ids=["several segments", "one segment"])
def store(request):
    return make_store(request.param)


def segments(storage: Storage) -> dict[str, File]:
    names = storage.directory("/store/log").names
    return {f"/store/log/{name}": file for name, file in names.items() if name.endswith(".seg")}


def unnoticed(store: Store, harmed: Storage) -> str:
    """Open a harmed log as writer and as reader; say what went unnoticed, was altered or was cut ('' if nothing)."""
    before = {path: bytes(file.data) for path, file in segments(harmed).items()}
    for read_only in (True, False):
        try:
            log = store.open(harmed, read_only=read_only)
        except StoreError:
            continue  # noticed at once
        problem = _unnoticed_in(store, log)
        if problem:
            return problem
        after = {path: bytes(file.data) for path, file in segments(harmed).items()}
        if log.read_only and after != before:
            return "a damaged log was written to"
    return ""


def _unnoticed_in(store: Store, log: SegmentLog) -> str:
    seen: list[bytes | None] = []
    is_noticed = bool(log.notes)
    try:
        seen.extend(entry.data for entry in log.read())
    except StoreError:
        is_noticed = True
    if seen != store.records[: len(seen)]:
        return "a reader got what nobody wrote"
    if len(seen) < len(store.records) and not is_noticed:
        return f"{len(store.records) - len(seen)} records are gone without a word"
    try:
        is_whole = log.verify().whole
    except StoreError:
        is_whole = False
    return "verify finds nothing wrong" if is_whole and seen != store.records and not log.notes else ""


def test_a_log_cut_at_any_byte_is_noticed(store):
    problems = {}
    for path, (start, end) in store.last_frames.items():
        for at in range(start, end, CUT_STEP):
            harmed = store.storage.copy()
            harmed.file(path).truncate(at)
            problem = unnoticed(store, harmed)
            if problem:
                problems[path, at] = problem
    assert problems == {}


def flip(store: Store, seed: int) -> tuple[Storage, str]:
    """Flip one bit of a copy, half of the time in the last frames."""
    dice = Random(seed)
    harmed = store.storage.copy()
    path = dice.choice(sorted(store.last_frames if dice.random() < 0.5 else segments(harmed)))
    file = harmed.file(path)
    used = len(bytes(file.data).rstrip(b"\0"))
    start = store.last_frames.get(path, (0, 0))[0] if dice.random() < 0.5 else 0
    at = dice.randrange(start, used)
    file.data[at] ^= 1 << dice.randrange(8)
    return harmed, f"{path} at byte {at}"


def unnoticed_flips(store: Store, flips: range) -> dict[str, str]:
    problems = {}
    for seed in flips:
        harmed, where = flip(store, seed)
        problem = unnoticed(store, harmed)
        if not problem and b"".join(bytes(file.data) for file in segments(harmed).values()).count(b"MGF1") < FRAMES - 1:
            problem = "frames behind the damage were cut"
        if problem:
            problems[f"seed {seed}, {where}"] = problem
    return problems


def test_a_flipped_bit_is_noticed_and_nothing_is_cut(store):
    assert unnoticed_flips(store, range(FLIPS // 2)) == {}


@pytest.mark.parametrize("mutant", BYTE_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_weaker_checksum_would_be_noticed(mutant):
    with mutant.at_work():
        assert unnoticed_flips(make_store(100_000), range(40))
