"""A disk in memory that forgets like a real one: sectors and names that were not synced may be lost in a power cut.

Files and directories have two states: what processes see (the operating system's cache), and what is on the platter.
``sync`` copies the one to the other. A power cut leaves the platter, plus whatever the cache had already written back:
any choice of the unsynced sectors of 512 bytes, each old, new, or torn between the two, and any choice of the unsynced
changes of names, in their order. Bytes that a write did not change are never harmed (as SQLite's "powersafe
overwrite" has it), and a rename is one change: it happens or it does not.

After a failed sync nobody knows: each dirty sector is then on the platter, or forgotten for good although the cache
still shows it, so a second sync reports success and writes nothing (as Linux does).
"""

from __future__ import annotations

import errno
import os
from random import Random
from typing import Final

SECTOR_BYTES: Final = 512


def failure(code: int) -> OSError:
    return OSError(code, os.strerror(code))


class File:
    """A file: what is seen, what is durable, and which sectors differ because they were not synced yet."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = bytearray()
        self.dirty: set[int] = set()
        self.forgotten: set[int] = set()  # shown by the cache, and never written by a later sync
        self.locked_by: list[object] = []  # who has it locked: one alone, or several who share
        self.shared = False

    def write(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        first = min(offset, len(self.data))
        if offset > len(self.data):
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset:end] = data
        touched = range(first // SECTOR_BYTES, -(-end // SECTOR_BYTES))
        self.dirty.update(touched)
        if self.forgotten:
            self.forgotten.difference_update(touched)

    def truncate(self, size_bytes: int) -> None:
        before = len(self.data)
        if size_bytes < before:
            del self.data[size_bytes:]
            self.dirty = {sector for sector in self.dirty if sector * SECTOR_BYTES < size_bytes}
            self.forgotten = {sector for sector in self.forgotten if sector * SECTOR_BYTES < size_bytes}
        elif size_bytes > before:
            self.write(bytes(size_bytes - before), before)
        if size_bytes % SECTOR_BYTES:
            self.dirty.add(size_bytes // SECTOR_BYTES)

    def sync(self) -> None:
        if self.forgotten:
            self._write_back(sorted(self.dirty))
            self._resize(len(self.data))
        else:
            self.durable = self.data[:]
        self.dirty.clear()

    def write_some_back(self, dice: Random) -> None:
        """Write a few sectors to the platter unasked, as the operating system may at any time."""
        chosen = [sector for sector in sorted(self.dirty) if dice.random() < 0.5]
        self._write_back(chosen)

    def fail_to_sync(self, dice: Random) -> None:
        """Write some dirty sectors and forget the others."""
        for sector in sorted(self.dirty):
            if dice.random() < 0.4:
                self._write_back([sector])
            else:
                self.forgotten.add(sector)
        self.dirty.clear()

    def lose_power(self, dice: Random) -> None:
        """Keep what is durable, and of the rest whatever chance has it."""
        low, high = sorted((len(self.durable), len(self.data)))
        style = dice.random()  # extremes find what an even mix rarely does
        chance = 0.0 if style < 0.2 else 1.0 if style < 0.35 else dice.random()
        for sector in sorted(self.dirty):
            if dice.random() < chance:
                self._write_back([sector])
            elif dice.random() < 0.3:
                self._tear(sector, dice)
        if low != high or self.dirty:
            self._resize(dice.choice((low, high, dice.randint(low, high))))
        self.data = self.durable[:]
        self.dirty.clear()
        self.forgotten.clear()
        self.locked_by = []

    def _write_back(self, sectors: list[int]) -> None:
        for sector in sectors:
            start = sector * SECTOR_BYTES
            new = self.data[start : start + SECTOR_BYTES]
            if len(self.durable) < start:
                self._resize(start)
            self.durable[start : start + len(new)] = new

    def _tear(self, sector: int, dice: Random) -> None:
        start = sector * SECTOR_BYTES
        new = self.data[start : start + SECTOR_BYTES]
        self._resize(max(len(self.durable), start + len(new)))
        at = dice.randint(0, len(new))
        if dice.random() < 0.5:
            self.durable[start : start + at] = new[:at]
        else:
            self.durable[start + at : start + len(new)] = new[at:]

    def _resize(self, size_bytes: int) -> None:
        if size_bytes < len(self.durable):
            del self.durable[size_bytes:]
        else:
            self.durable.extend(bytes(size_bytes - len(self.durable)))


Entry = "File | Directory"
Change = tuple[tuple[str, object], ...]  # names and what they now stand for (None: nothing)


class Directory:
    """Names, and the changes of names that were not synced yet, oldest first."""

    def __init__(self) -> None:
        self.names: dict[str, object] = {}
        self.durable: dict[str, object] = {}
        self.pending: list[Change] = []

    def change(self, *changes: tuple[str, object]) -> None:
        _apply(self.names, changes)
        self.pending.append(changes)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def fail_to_sync(self, dice: Random) -> None:
        kept = [change for change in self.pending if dice.random() < 0.5]
        for change in kept:
            _apply(self.durable, change)
        self.pending = [change for change in self.pending if change not in kept]

    def lose_power(self, dice: Random) -> None:
        style = dice.random()
        chance = 0.0 if style < 0.25 else 1.0 if style < 0.4 else dice.random()
        for change in self.pending:
            if dice.random() < chance:
                _apply(self.durable, change)
        self.pending.clear()
        self.names = dict(self.durable)
        for entry in self.names.values():
            entry.lose_power(dice)  # type: ignore[attr-defined] - files and directories both can


def _apply(names: dict[str, object], change: Change) -> None:
    for name, entry in change:
        if entry is None:
            names.pop(name, None)
        else:
            names[name] = entry


class Storage:
    """A tree of directories and files, with a limit on the bytes that files may take (None: no limit)."""

    def __init__(self) -> None:
        self.root = Directory()
        self.capacity_bytes: int | None = None

    def directory(self, path: str) -> Directory:
        entry = self.find(path)
        if isinstance(entry, File):
            raise failure(errno.ENOTDIR)
        return entry

    def file(self, path: str) -> File:
        entry = self.find(path)
        if isinstance(entry, Directory):
            raise failure(errno.EISDIR)
        return entry

    def find(self, path: str):
        entry: object = self.root
        for name in path.split("/")[1:]:
            if not name:
                continue
            if not isinstance(entry, Directory):
                raise failure(errno.ENOTDIR)
            entry = entry.names.get(name)
            if entry is None:
                raise failure(errno.ENOENT)
        return entry

    def parent(self, path: str) -> tuple[Directory, str]:
        above, _, name = path.rpartition("/")
        return self.directory(above), name

    def files(self) -> list[File]:
        found: list[File] = []
        waiting = [self.root]
        while waiting:
            for entry in waiting.pop().names.values():
                (waiting if isinstance(entry, Directory) else found).append(entry)
        return found

    def room_bytes(self) -> int:
        if self.capacity_bytes is None:
            return 1 << 60
        return max(self.capacity_bytes - sum(len(file.data) for file in self.files()), 0)

    def lose_power(self, dice: Random) -> None:
        self.root.lose_power(dice)

    def copy(self) -> Storage:
        """Copy what is seen, as if all of it had been synced: for looking without disturbing."""
        copy = Storage()
        _copy_into(copy.root, self.root)
        return copy


def _copy_into(target: Directory, source: Directory) -> None:
    for name, entry in source.names.items():
        if isinstance(entry, Directory):
            below: object = Directory()
            _copy_into(below, entry)
        else:
            below = File()
            below.data = entry.data[:]
            below.durable = entry.data[:]
        target.names[name] = target.durable[name] = below
