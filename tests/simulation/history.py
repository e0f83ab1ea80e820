"""What clients were told and what readers saw, and whether the log that is found afterwards keeps to it.

The checker knows nothing of the store but its contract: each record has one writer, and its outcome is acknowledged
(with position and chain), refused (surely not written) or unknown (the writer failed or died: all of it or nothing).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from memorygraph.events.errors import LogFailed
from memorygraph.events.frames import chain_after, frame_header
from memorygraph.events.log import EventLog, Head


class Attempt(Struct):
    """One append: its records, and what its writer was told."""

    writer: str
    records: tuple[bytes, ...]
    outcome: str = "unknown"  # "acknowledged", "refused", "unknown"
    position: int = 0  # of its last record, as acknowledged
    head: Head | None = None  # the same with the chain, if it was told


class History:
    """Everything that was asked, told and seen in one run; ``violations`` has a line for each broken promise."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.violations: list[str] = []

    @property
    def unknown(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.outcome == "unknown"]

    def attempt(self, writer: str, records: Iterable[bytes]) -> Attempt:
        attempt = Attempt(writer, tuple(records))
        self.attempts.append(attempt)
        return attempt

    def broken(self, promise: str) -> None:
        self.violations.append(promise)

    @property
    def acknowledged(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.outcome == "acknowledged"]

    def check(self, log: EventLog) -> None:
        """Compare a log that was opened anew with the history."""
        report = log.verify()
        if not report.whole:
            self.broken(f"the log is damaged: {report.damage[0].where}: {report.damage[0].reason}")
        if log.read_only:
            self.broken(f"the log is read-only: {log.notes}")
        entries = list(log.read())
        if [entry.position for entry in entries] != list(range(1, log.head.position + 1)):
            self.broken("positions are not dense")
        if report.whole and report.head != log.head:
            self.broken(f"the head found by opening, {log.head}, is not the one found by reading all, {report.head}")
        self._check_attempts([entry.data for entry in entries])
        self._check_chain(log)

    def _check_attempts(self, stored: list[bytes | None]) -> None:
        places: dict[bytes | None, list[int]] = {}
        for position, data in enumerate(stored, 1):
            places.setdefault(data, []).append(position)
        last_of: dict[str, int] = {}
        for attempt in self.attempts:
            found = [places.pop(record, []) for record in attempt.records]
            self._check_one(attempt, found)
            if found[0]:
                if found[0][0] < last_of.get(attempt.writer, 0):
                    self.broken(f"records of {attempt.writer} are not in the order in which it wrote them")
                last_of[attempt.writer] = found[0][0]
        for record, positions in places.items():
            self.broken(f"position {positions[0]} holds what nobody wrote: {record!r:.60}")

    def _check_one(self, attempt: Attempt, found: list[list[int]]) -> None:
        name = f"{attempt.outcome} {attempt.records[0]!r:.40} of {attempt.writer}"
        if any(len(positions) > 1 for positions in found):
            self.broken(f"{name} is there twice, at {found}")
        present = [positions[0] for positions in found if positions]
        whole = present == list(range(present[0], present[0] + len(attempt.records))) if present else False
        if attempt.outcome == "acknowledged":
            if not present:
                self.broken(f"{name} is lost")
            elif not whole or present[-1] != attempt.position:
                self.broken(f"{name} is at {found}, acknowledged to end at {attempt.position}")
        elif present and attempt.outcome == "refused":
            self.broken(f"{name} is there although it was refused")
        elif present and not whole:
            self.broken(f"{name} is there in part, at {found}")

    def _check_chain(self, log: EventLog) -> None:
        heads = {attempt.position: attempt.head for attempt in self.acknowledged if attempt.head}
        for frame in log.frames():
            header = frame_header(frame)
            told = heads.get(header.last)
            if told is not None and (told.chain, told.epoch) != (chain_after(frame, header), header.epoch):
                self.broken(f"the chain at position {header.last} is not the one that was acknowledged")


class Reader:
    """What one reader saw of a log: it only ever grows, and never changes."""

    def __init__(self, history: History, name: str) -> None:
        self._history = history
        self._name = name
        self._seen: list[bytes | None] = []
        self._lags = False

    def reopened(self) -> None:
        """A log that was opened anew may not show yet what the one before showed last; it shows nothing else."""
        self._lags = True

    def look(self, log: EventLog, *, again: bool) -> None:
        """Read what is new, or everything."""
        try:
            self._look(log, again=again)
        except LogFailed as error:
            self._history.broken(f"{self._name} was shown what its writer took back: {error}")

    def _look(self, log: EventLog, *, again: bool) -> None:
        head = log.refresh()
        if head.position < len(self._seen) and not self._lags:
            self._history.broken(f"{self._name} saw position {len(self._seen)}, and then a head of {head.position}")
            return
        first = 1 if again else len(self._seen) + 1
        for entry in log.read(first):
            if entry.position <= len(self._seen):
                if self._seen[entry.position - 1] != entry.data:
                    self._history.broken(f"{self._name} saw position {entry.position} change")
            elif entry.position == len(self._seen) + 1:
                self._seen.append(entry.data)
            else:
                self._history.broken(f"{self._name} saw {entry.position} before {len(self._seen) + 1}")
        self._lags = head.position < len(self._seen)
        if len(self._seen) < head.position:
            self._history.broken(f"{self._name} was told of {head.position}, and could read only {len(self._seen)}")
