"""T5: the n-th disk call fails, for every n. The log stops, acknowledges nothing more, and has lost nothing."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from memorygraph.events.errors import LogFailed, StoreError
from memorygraph.events.stores import SegmentLog
from memorygraph.events.stores.segment_file import SegmentFile
from tests.events.faulty_disk import FaultyDisk, NoSyncDisk
from tests.events.log_contract import contents, put
from tests.faults.figures import figure
from tests.faults.mutants import go_on, sync_again
from tests.simulation.history import History
from tests.simulation.machine import CalmDisk, Chances, Machine
from tests.simulation.scenario import MEMORY_ID

CALLS = 200
STEP = figure(3, 1)
KINDS = ("error", "late", "short", "forget")
SEGMENT_BYTES = 1500

pytestmark = pytest.mark.faults


def open_log(disk):
    return SegmentLog.open("/store", disk=disk, memory_id=MEMORY_ID, segment_bytes=SEGMENT_BYTES)


def broken_by(call: int, kind: str, *, cut_power: bool = False) -> list[str]:
    """Let one call of a long run fail, perhaps cut the power at its end, and list what was promised and not kept."""
    machine = Machine(Random(call), Chances(switch=0.0, write_back=0.0))
    machine.failing[call] = kind
    history = History()

    def write(disk):
        log = None
        for n in range(60):
            attempt = history.attempt("writer", [b"record %03d " % n * 3])
            try:
                log = log or open_log(disk)
                with log.lock():
                    attempt.head = log.append(attempt.records, n)
                attempt.outcome, attempt.position = "acknowledged", attempt.head.position
            except LogFailed:
                if log is not None:
                    in_vain(history, log, n)
                log = None
            except StoreError:
                pass  # an operation that failed before anything was written; the log goes on

    machine.run({"writer": write})
    if cut_power:
        machine.storage.lose_power(machine.dice)
    for name, error in machine.unexpected:
        history.broken(f"{name}: {error!r}")
    try:
        history.check(open_log(CalmDisk(machine.storage.copy())))
    except StoreError as error:
        history.broken(f"the store cannot be used: {error}")
    if len(history.acknowledged) < 50:
        history.broken(f"only {len(history.acknowledged)} appends of 60 came through one failing call")
    return history.violations


def in_vain(history: History, log: SegmentLog, number: int) -> None:
    """Go on with a log that has failed: it must acknowledge nothing."""
    attempt = history.attempt("writer", [b"in vain %03d" % number])
    with suppress(LogFailed), log.lock():
        log.append(attempt.records, number)
        history.broken(f"{attempt.records[0]!r} was acknowledged after a failure")


@pytest.mark.parametrize("cut_power", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_at_any_call_stops_the_log_and_loses_nothing(kind, cut_power):
    broken = {call: broken_by(call, kind, cut_power=cut_power) for call in range(1, CALLS + 1, STEP)}
    assert {call: lines for call, lines in broken.items() if lines} == {}


@pytest.mark.parametrize(
    ("mutant", "kind"), [((SegmentLog, "_failed", go_on), "error"), ((SegmentFile, "sync", sync_again), "forget")]
)
def test_going_on_or_syncing_again_would_be_noticed(monkeypatch, mutant, kind):
    monkeypatch.setattr(*mutant)
    assert any(broken_by(call, kind, cut_power=True) for call in range(1, CALLS + 1))


def test_the_calls_reach_into_the_run():
    """Were the run shorter than the calls, the last of them would test nothing."""
    machine = Machine(Random(0), Chances(switch=0.0, write_back=0.0))

    def write(disk):
        log = open_log(disk)
        for n in range(60):
            with log.lock():
                log.append([b"record %03d " % n * 3], n)

    machine.run({"writer": write})
    assert machine.calls > CALLS


def test_the_stopped_log_says_so_and_still_reads(tmp_path):
    disk = FaultyDisk(10**9, "late")
    log = SegmentLog.open(tmp_path, disk=disk)
    put(log, b"a")
    disk.fail_at = disk.calls + 2  # the sync after the write
    for _ in range(3):
        with pytest.raises(LogFailed, match="opened anew"):
            put(log, b"b")
    assert log.refresh().position == 1
    assert contents(log) == [b"a"]
    other = SegmentLog.open(tmp_path, disk=NoSyncDisk())
    assert put(other, b"c").position == 2  # in the place of the record that was taken back
    assert contents(other) == [b"a", b"c"]
