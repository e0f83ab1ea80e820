"""One seed's run: a store, processes that write, read, fail and die, power cuts, and the check after each.

A run has a few eras. In each, some processes open the store and work on it side by side until they are done or the
power fails; then a copy of the disk is opened on a calm machine and compared with the history. The next era goes on
with the disk as the last one left it, so that recovery itself runs among faults.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

from msgspec import Struct

from memorygraph.events.errors import DamagedLog, DiskFull, LogFailed, StoreError
from memorygraph.events.stores import SegmentLog
from tests.simulation.history import History, Reader
from tests.simulation.machine import CalmDisk, Chances, Disk, Machine

STORE = "/machine/store"
MEMORY_ID = bytes(range(16))


class Outcome(Struct):
    """What a run came to."""

    seed: int
    violations: list[str]
    trace: int
    calls: int
    power_cuts: int
    attempts: int
    acknowledged: int


class Scenario:
    """One seed at work."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = Random(seed)
        self.history = History()
        self.machine = Machine(self.dice, _weather(self.dice))
        self.segment_bytes = self.dice.choice((600, 1500, 4000, 30_000))
        self.fill_bytes = self.dice.choice((512, 16 << 10))  # how far files are zero-filled at a time, at least
        self.takeovers = self.dice.choice((0.0, 0.0, 0.3, 0.6))
        if self.takeovers:
            self.machine.chances.pause = 0.5  # those who are shut out are slow
        self.power_cuts = 0
        self._numbers = 0

    def run(self) -> Outcome:
        """Run all eras."""
        for era in range(self.dice.randint(1, 4)):
            self._era(era)
            if self.history.violations:
                break
        history = self.history
        return Outcome(
            self.seed,
            history.violations,
            self.machine.trace,
            self.machine.calls,
            self.power_cuts,
            self.attempts,
            self.acknowledged,
        )

    @property
    def attempts(self) -> int:
        """How many appends were tried."""
        return len(self.history.attempts)

    @property
    def acknowledged(self) -> int:
        """How many of them were acknowledged."""
        return len(self.history.acknowledged)

    def _era(self, era: int) -> None:
        dice = self.dice
        programs: dict[str, Callable[[Disk], None]] = {}
        for number in range(dice.choice((1, 1, 2, 3))):
            programs[f"writer {era}.{number}"] = self._writer(f"writer {era}.{number}", dice.randint(1, 12))
        for number in range(dice.choice((0, 0, 1, 2))):
            programs[f"reader {era}.{number}"] = self._reader(f"reader {era}.{number}", dice.randint(2, 15))
        if dice.random() < 0.4:
            programs[f"filler {era}"] = self._filler(dice.randint(1, 10))
        cut_at = dice.randint(1, 60 * len(programs)) if dice.random() < 0.7 else None
        storage = self.machine.storage
        storage.capacity_bytes = None
        if dice.random() < 0.15:
            storage.capacity_bytes = sum(len(file.data) for file in storage.files()) + dice.randint(0, 60_000)
        self.power_cuts += self.machine.run(programs, cut_at=cut_at)
        for name, error in self.machine.unexpected:
            self.history.broken(f"{name} came to {type(error).__name__}: {error}")
        if self.machine.stuck:
            self.history.broken(f"{self.machine.stuck} wait for each other")
        if not self.history.violations:
            self.check()

    def check(self) -> None:
        """Open a copy of what is on the disk, compare it, and go on writing."""
        disk = CalmDisk(self.machine.storage.copy())
        try:
            log = self.open(disk)
            self.history.check(log)
            position = log.head.position
            with log.lock():
                head = log.append([b"goes on"], 1)
            if head.position != position + 1 or self.open(disk).head != head:
                self.history.broken("the log does not go on after it was opened")
        except StoreError as error:
            self.history.broken(f"the store cannot be used: {type(error).__name__}: {error}")

    def open(self, disk: Disk, *, read_only: bool = False, takeover: bool = False) -> SegmentLog:
        """Open the store."""
        return SegmentLog.open(
            STORE,
            disk=disk,
            memory_id=MEMORY_ID,
            create=not read_only,
            read_only=read_only,
            takeover=takeover,
            segment_bytes=self.segment_bytes,
        )

    def _writer(self, name: str, appends: int) -> Callable[[Disk], None]:
        def program(disk: Disk) -> None:
            log, reader, failures = None, Reader(self.history, name), 0
            for _ in range(appends):
                try:
                    if log is None:
                        log = self.open(disk, takeover=self.dice.random() < self.takeovers)
                        reader.reopened()
                    if self.dice.random() < 0.3:
                        reader.look(log, again=self.dice.random() < 0.3)
                    if self.dice.random() < 0.2:
                        self._recognise(log)
                    self._append(name, log)
                except DamagedLog as error:
                    self.found_damage(name, error)
                    return
                except LogFailed:
                    log, failures = None, failures + 1
                except StoreError:
                    failures += 1
                if log is not None and self.dice.random() < 0.05:
                    log.close()
                    log = None
                if failures > 8:
                    return

        return program

    def found_damage(self, name: str, error: DamagedLog) -> None:
        """Nothing is damaged here, whoever takes over from whom."""
        self.history.broken(f"{name} found damage where nothing was damaged: {error}")

    def _append(self, name: str, log: SegmentLog) -> None:
        with log.lock():
            for _ in range(self.dice.choice((1, 1, 2))):
                attempt = self.history.attempt(name, self._records(name))
                try:
                    if self.dice.random() < 0.2:
                        log.refresh()  # as a thread that only reads does at any time
                    before = log.head
                    head = log.append(attempt.records, self._numbers)
                except DiskFull:
                    attempt.outcome = "refused"
                    raise
                except LogFailed:
                    self._try_on(name, log)
                    raise
                if head.position != before.position + len(attempt.records):
                    self.history.broken(f"{name} appended behind {before.position} and came to {head.position}")
                attempt.outcome, attempt.position, attempt.head = "acknowledged", head.position, head

    def _try_on(self, name: str, log: SegmentLog) -> None:
        """Fail-stop: the same open log acknowledges nothing more."""
        attempt = self.history.attempt(name, self._records(name))
        with suppress(StoreError):
            log.append(attempt.records, self._numbers)
            self.history.broken(f"{name} was told that {attempt.records[0]!r:.40} is durable, after a failure")

    def _recognise(self, log: SegmentLog) -> None:
        """Find what an earlier process wrote without an answer, and take it for done, as a repeated command does."""
        with log.lock():
            stored = {entry.data: entry.position for entry in log.read()}
            found = [attempt for attempt in self.history.unknown if attempt.records[-1] in stored]
        for attempt in found:
            attempt.outcome, attempt.position = "acknowledged", stored[attempt.records[-1]]

    def _records(self, name: str) -> list[bytes]:
        records = []
        for _ in range(self.dice.choice((1, 1, 1, 2, 4))):
            self._numbers += 1
            size_bytes = self.dice.choice((0, 5, 60, 300, 700, 2000))
            records.append(f"{name} {self._numbers} ".encode() + self.dice.randbytes(size_bytes))
        return records

    def _filler(self, times: int) -> Callable[[Disk], None]:
        """Make segments longer at any moment and without the lock, as a writer's second thread does."""

        def program(disk: Disk) -> None:
            for _ in range(times):
                with suppress(OSError):
                    names = [name for name in disk.listdir(f"{STORE}/log") if name.endswith(".seg")]
                    if names:
                        disk.append_zeros(f"{STORE}/log/{self.dice.choice(names)}", self.dice.randint(1, 5000))

        return program

    def _reader(self, name: str, looks: int) -> Callable[[Disk], None]:
        def program(disk: Disk) -> None:
            log, reader = None, Reader(self.history, name)
            for _ in range(looks):
                try:
                    if log is None:
                        log = self.open(disk, read_only=True)
                        reader.reopened()
                    reader.look(log, again=self.dice.random() < 0.3)
                except DamagedLog as error:
                    self.found_damage(name, error)
                    return
                except StoreError:
                    log = None

        return program


def _weather(dice: Random) -> Chances:
    """Choose how rough this run is: each kind of trouble is there in some runs and not in others."""

    def some(share: float, most: float) -> float:
        return dice.random() * most if dice.random() < share else 0.0

    return Chances(
        switch=dice.choice((0.0, 0.05, 0.2, 0.6)),
        death=some(0.4, 0.02),
        death_at_sync=some(0.2, 0.2),
        death_after_fault=some(0.3, 1.0),
        error=some(0.25, 0.03),
        short=some(0.25, 0.05),
        failed_sync=some(0.3, 0.1),
        write_back=dice.choice((0.0, 0.05, 0.4)),
        pause=some(0.3, 0.5),
    )
