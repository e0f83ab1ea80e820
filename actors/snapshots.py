"""The snapshots of one memory: which one to start from, when to write the next, which ones to keep (decision 0004).

A snapshot only saves time. Whatever is wrong with one, an older one is taken or the log is read from its start; and
whatever is wrong with writing one, nothing else fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import groupby
from typing import Final, NamedTuple

from memorygraph.actors.engine import Saved, committed_of
from memorygraph.actors.ledger import PART_VERSION, Ledger
from memorygraph.actors.shard import Shard
from memorygraph.events.errors import DamagedLog, DamagedSnapshot, MemoryGraphError, StoreError
from memorygraph.events.log import EventLog
from memorygraph.projections.frame import Frame
from memorygraph.projections.snapshot_format import Manifest, Part, damage_named, read_manifest
from memorygraph.projections.snapshot_reader import read_part, restored
from memorygraph.projections.snapshot_writer import Shelf, SnapshotWriter

DUE_CHANGES: Final = 10_000  # a snapshot is due after so many changes,
DUE_SHARE: Final = 0.1  # and so large a part of all;
CLOSE_CHANGES: Final = 2_000  # on close, after so many,
CLOSE_SHARE: Final = 0.02  # and so large a part
KEPT_LATEST: Final = 2
KEPT_EVERY_CHANGES: Final = 250_000
INDEX_ROWS: Final = 100  # texts taken into the index in one step
STEP_RECORDS: Final = 20  # records read in one step
HOLD_TRIES: Final = 500
HOLD_WAIT_S: Final = 0.02

State = tuple[Shard, Frame, Part]


class Loaded(NamedTuple):
    """A state from a snapshot."""

    shard: Shard
    ledger: Ledger


class Snapshots:
    """Loads and writes the snapshots of one log; safe to use from several threads.

    Args:
        log: whose they are.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._files = log.snapshots
        self._shelf = Shelf()
        self._known = 0  # the snapshot that the shelf is of
        self._changes = 0  # of the log, at the newest snapshot or the last attempt to write one
        self._damaged: set[int] = set()
        self._writing = threading.Lock()  # held for each step
        self._steps: Iterator[None] | None = None
        self._saved: Saved | None = None

    def load(self) -> Loaded | None:
        """Return the state of the newest usable snapshot, to go on from; None: there is none."""
        self._shelf = Shelf()
        for manifest in self._candidates(self._log.head.position):
            try:
                shard = self._shard_of(manifest, None)
                with damage_named(manifest.position):
                    blobs = read_part(manifest, self._files, "ledger", PART_VERSION)
                    ledger = _ledger_of(blobs or {}, manifest.position)
            except DamagedSnapshot:
                self._damaged.add(manifest.position)
                continue
            self._shelf = Shelf.of(manifest, shard.frame)
            self._known, self._changes = manifest.position, manifest.changes
            return Loaded(shard, ledger)
        return None

    def past(self, position: int) -> Shard:
        """Return the state of the newest usable snapshot at or before a position, to bring it there."""
        for manifest in self._candidates(position):
            with suppress(DamagedSnapshot):
                return self._shard_of(manifest, self._shelf)
        return Shard()

    def is_due(self, changes: int) -> bool:
        """Whether enough has changed since the newest snapshot to write another beside other work."""
        return self._files.is_lasting and changes - self._changes >= max(DUE_CHANGES, DUE_SHARE * changes)

    def is_due_on_close(self, changes: int) -> bool:
        """Whether enough has changed since the newest snapshot to slow down the next opening."""
        return self._files.is_lasting and changes - self._changes >= max(CLOSE_CHANGES, CLOSE_SHARE * changes)

    @property
    def is_writing(self) -> bool:
        """Whether a snapshot was begun and is not done."""
        return self._steps is not None

    def begin(self, state: Callable[[], State], changes: int = 0) -> None:
        """Begin a snapshot, unless one was begun: ``step`` writes it. Does not wait for a step.

        Args:
            state: gives the newest state; called when nobody else can write a snapshot or compact the log.
            changes: of the log until now; an attempt that fails is not repeated at once.
        """
        self._changes = max(self._changes, changes)
        if self._steps is None:
            self._saved = None
            self._steps = self._written(state)

    def step(self) -> bool:
        """Do a little of what was begun; return whether there is more to do.

        Raises:
            StoreError: it could not be written.
        """
        with self._writing:
            if self._steps is None:
                return False
            try:
                next(self._steps)
            except StopIteration:
                self._steps = None
            except BaseException:
                self._steps = None
                raise
            return self._steps is not None

    def finish(self) -> Saved | None:
        """Do the rest of what was begun and return what became of it; None: another process is writing one.

        Raises:
            StoreError: it could not be written.
        """
        while self.step():
            pass
        return self._saved

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep everybody from writing a snapshot; one that is being written is done first.

        Raises:
            StoreError: another process does not finish.
        """
        for _ in range(HOLD_TRIES):
            with suppress(StoreError):
                self.finish()
            with self._files.lock() as has_it:
                if has_it:
                    yield
                    return
            time.sleep(HOLD_WAIT_S)
        raise StoreError(
            f"{self._log.location}: a snapshot of it is being written, or it is being compacted, by another process "
            "that does not finish; nothing was replaced, try again"
        )

    def drop_stale(self, frame: Frame) -> None:
        """Remove the snapshots that may hold content which has left the log since; they must be ``held``.

        Raises:
            StoreError: the disk refuses.
        """
        for position in self._files.positions():
            if _is_stale(position, frame):
                self._files.remove(position)

    def _candidates(self, last: int) -> Iterator[Manifest]:
        """Give the manifests at or before a position that are of this log's history, newest first."""
        for position in reversed(self._files.positions()):
            if position <= last:
                try:
                    manifest = read_manifest(self._files, position, self._log.memory_id)
                except DamagedSnapshot:
                    self._damaged.add(position)
                    continue
                if self._is_of_this_history(manifest):
                    yield manifest

    def _is_of_this_history(self, manifest: Manifest) -> bool:
        try:
            return self._log.chain_at(manifest.position) == manifest.chain
        except DamagedLog:
            return False

    def _shard_of(self, manifest: Manifest, shelf: Shelf | None) -> Shard:
        state = restored(manifest, self._files, shelf)
        return Shard(state, partial(self._part_of, manifest))

    def _part_of(self, manifest: Manifest, name: str, version: str) -> dict[str, bytes] | None:
        try:
            return read_part(manifest, self._files, name, version)
        except DamagedSnapshot:
            self._shelf.forget(manifest.parts[name])
            raise

    def _written(self, state: Callable[[], State]) -> Iterator[None]:
        with self._files.lock() as has_it:
            if not has_it:
                return
            self._log.refresh()  # whoever compacted it until now has told so in it
            shard, frame, ledger = state()
            self._changes = frame.changes
            if self._is_there(frame):
                return
            if frame.pending is not None:
                raise StoreError(
                    f"{self._log.location}: the embedder is being changed; call reembed with the new one until it is "
                    "done, then take a snapshot"
                )
            chain = self._log.chain_at(frame.position)
            if chain is None:
                return
            if frame.is_stale:  # what has left the log must not come back through a snapshot
                shard = self._without_what_left(frame)
                yield from self._replayed(shard, frame.position)
                frame = shard.frame
            while not shard.catch_up(frame, INDEX_ROWS):
                yield
            parts = {"ledger": ledger, **shard.parts(frame)}
            writer = SnapshotWriter(
                frame,
                memory_id=self._log.memory_id,
                chain=chain,
                parts=parts,
                shelf=self._shelf,
                files=self._files,
            )
            yield from writer.steps()
            manifest = writer.manifest
            assert manifest is not None  # the steps came to their end
            self._shelf = Shelf.of(manifest, frame)
            self._known = frame.position
            self._damaged.discard(frame.position)
            self._saved = Saved(frame.position, writer.written_bytes, manifest.size_bytes())
            yield
            self._tidy(manifest, frame)

    def _without_what_left(self, frame: Frame) -> Shard:
        """Return a state to bring to a Frame's position: of a snapshot made since content left, or an empty one."""
        for manifest in self._candidates(frame.position):
            if not _is_stale(manifest.position, frame):
                with suppress(DamagedSnapshot):
                    shard = self._shard_of(manifest, None)
                    self._shelf, self._known = Shelf.of(manifest, shard.frame), manifest.position
                    return shard
        self._shelf = Shelf()
        return Shard()

    def _replayed(self, shard: Shard, last: int) -> Iterator[None]:
        """Read the log anew up to a position."""
        for entry in self._log.read(shard.position + 1, last):
            committed = committed_of(entry)
            shard.apply(committed.position, committed.time_us, committed.events)
            if committed.position % STEP_RECORDS == 0:
                yield
        shard.publish()

    def _is_there(self, frame: Frame) -> bool:
        """Look at what other processes wrote: whether it makes this snapshot needless, and what can be shared."""
        there = [position for position in self._files.positions() if position not in self._damaged]
        if not there or there[-1] == self._known < frame.position:
            return False
        try:
            newest = read_manifest(self._files, there[-1], self._log.memory_id)
        except DamagedSnapshot:
            self._damaged.add(there[-1])
            return False
        if not self._is_of_this_history(newest):
            self._damaged.add(there[-1])
            return False
        if newest.position >= frame.position and newest.files() <= set(self._files.positions()):
            self._saved = Saved(newest.position, 0, newest.size_bytes())
            return True
        if newest.position != self._known and not self._damaged and not _is_stale(newest.position, frame):
            self._shelf.add(newest)
        return False

    def _tidy(self, newest: Manifest, frame: Frame) -> None:
        """Remove the files that no snapshot to be kept has blobs in. Who reads one of them falls back."""
        manifests = [newest]
        there = self._files.positions()
        for position in there:
            if position < newest.position and position not in self._damaged:
                with suppress(DamagedSnapshot):
                    manifests.append(read_manifest(self._files, position, self._log.memory_id))
        usable = [
            each
            for each in manifests
            if each.files() <= set(there) and self._is_of_this_history(each) and not _is_stale(each.position, frame)
        ]
        needed = {file for each in kept(usable) for file in each.files()}
        for position in there:
            if position not in needed:
                with suppress(StoreError):  # it takes space until the next time
                    self._files.remove(position)
        self._damaged &= needed


def _is_stale(position: int, frame: Frame) -> bool:
    """Whether a snapshot was made before content left the log, as far as the Frame knows."""
    return position < frame.replaced[2]


def kept(manifests: list[Manifest]) -> list[Manifest]:
    """Return which snapshots are kept: the latest two, and the last one of every 250,000 changes."""
    ordered = sorted(manifests, key=lambda manifest: manifest.position)
    spaced = [
        list(group)[-1] for _, group in groupby(ordered, key=lambda manifest: manifest.changes // KEPT_EVERY_CHANGES)
    ]
    return [manifest for manifest in ordered if manifest in spaced or manifest in ordered[-KEPT_LATEST:]]


def _ledger_of(blobs: dict[str, bytes], position: int) -> Ledger:
    try:
        ledger = Ledger.restore(b"".join(blobs[name] for name in sorted(blobs)))
    except MemoryGraphError as error:
        raise DamagedSnapshot(f"its command table cannot be read: {error}", position=position) from error
    if ledger.position != position:
        raise DamagedSnapshot(f"its command table is of position {ledger.position}", position=position)
    return ledger
