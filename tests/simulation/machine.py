"""A simulated machine: processes that take turns at disk calls, each with its own descriptors, on one disk.

Every process is a thread, but only the one that holds the baton runs; at a disk call, chance says whether it goes on,
another one takes over, it dies, a call fails, or the power is cut. All chance comes from one seeded source, so the
same seed gives the same history, call by call.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random
from zlib import crc32

from msgspec import Struct

from tests.simulation.storage import Directory, File, Storage, failure


class Died(BaseException):
    """The process no longer exists: nothing that it still tries has an effect."""


class Chances(Struct, kw_only=True):
    """How likely things are at each disk call; the machine's weather for one seed."""

    switch: float = 0.2  # another process takes its turn
    death: float = 0.0
    death_at_sync: float = 0.0  # between a write and its sync is where it hurts
    death_after_fault: float = 0.0  # and before a failure could be dealt with
    error: float = 0.0  # EIO, before or after the call was done
    short: float = 0.0  # a write that writes only a part
    failed_sync: float = 0.0
    write_back: float = 0.02
    pause: float = 0.0  # the process is left standing for a while


class Process:
    """One process: its thread, whether it lives, and its open files."""

    def __init__(self, machine: Machine, name: str, program: Callable[[Disk], None]) -> None:
        self.machine = machine
        self.name = name
        self.disk = Disk(machine, self)
        self.baton = threading.Lock()
        self.baton.acquire()
        self.alive = True
        self.done = False
        self.doomed = False
        self.waits_for: File | None = None
        self.paused_until = 0
        self.thread = threading.Thread(target=self._run, args=(program,), name=name, daemon=True)

    def _run(self, program: Callable[[Disk], None]) -> None:
        self.baton.acquire()
        try:
            if self.alive:
                program(self.disk)
        except Died:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, the run has found something
            self.machine.unexpected.append((self.name, error))
        finally:
            self.machine.ended(self)

    def kill(self) -> None:
        """Take the process away: its locks are free, its descriptors gone."""
        self.alive = False
        self.disk.lose_descriptors()


class Machine:
    """The disk, the processes on it, and the dice."""

    def __init__(self, dice: Random, chances: Chances | None = None) -> None:
        self.dice = dice
        self.chances = chances or Chances()
        self.storage = Storage()
        self.calls = 0
        self.cut_at: int | None = None  # the call at which the power fails
        self.failing: dict[int, str] = {}  # call: "error", "late" or "short", for faults at a chosen place
        self.trace = 0  # a checksum of all calls: equal traces are equal histories
        self.unexpected: list[tuple[str, BaseException]] = []
        self.stuck: list[str] = []
        self._processes: list[Process] = []
        self._main = threading.Lock()
        self._main.acquire()

    def run(self, programs: dict[str, Callable[[Disk], None]], *, cut_at: int | None = None) -> bool:
        """Run programs side by side until all have ended or the power fails; say whether it failed."""
        self.cut_at = None if cut_at is None else self.calls + cut_at
        self._processes = [Process(self, name, program) for name, program in programs.items()]
        for process in self._processes:
            process.thread.start()
        self._pass_on(None)
        self._main.acquire()
        for process in self._processes:
            process.thread.join()
            process.kill()
        failed = self.cut_at is not None and self.calls >= self.cut_at
        if failed:
            self.storage.lose_power(self.dice)
        self._processes = []
        return failed

    def step(self, process: Process, name: str, path: str, *, writes: bool) -> str:
        """Let chance have its way before a disk call; say how the call is to fail ('' for not at all)."""
        if not process.alive:
            raise Died
        self.calls += 1
        self.trace = crc32(f"{process.name} {name} {path}".encode(), self.trace)
        if self.cut_at is not None and self.calls >= self.cut_at:
            for each in self._processes:
                each.kill()
            raise Died
        chances, roll = self.chances, self.dice.random()
        if roll < chances.switch:
            if chances.pause and self.dice.random() < chances.pause:
                process.paused_until = self.calls + self.dice.randint(10, 200)
            self._take_turns(process)
        elif roll > 1 - (chances.death_at_sync if name == "sync" else chances.death) or process.doomed:
            process.kill()
            raise Died
        fault = self.failing.pop(self.calls, "") or (self._fault(name) if writes else self._read_fault())
        process.doomed = bool(fault) and self.dice.random() < chances.death_after_fault
        return fault

    def _fault(self, name: str) -> str:
        chances, roll = self.chances, self.dice.random()
        if name in {"sync", "sync_directory"}:
            return "forget" if roll < chances.failed_sync else "late" if roll < chances.failed_sync * 1.3 else ""
        if name == "pwrite" and roll > 1 - chances.short:
            return "short"
        return "error" if roll < chances.error / 2 else "late" if roll < chances.error else ""

    def _read_fault(self) -> str:
        return "error" if self.chances.error and self.dice.random() < self.chances.error / 4 else ""

    def wait_for(self, process: Process, file: File) -> None:
        """Let others run until the lock of a file is free."""
        while file.locked_by:
            process.waits_for = file
            self._take_turns(process)
        process.waits_for = None

    def ended(self, process: Process) -> None:
        process.done = True
        process.kill()
        self._pass_on(process)

    def _take_turns(self, process: Process) -> None:
        following = self._choose(process)
        if following is not process:
            following.baton.release()
            process.baton.acquire()
        if not process.alive:
            raise Died

    def _pass_on(self, process: Process | None) -> None:
        following = self._choose(process)
        (self._main if following is None else following.baton).release()

    def _choose(self, process: Process | None) -> Process | None:
        """Say who runs next; the dead run to their end at once."""
        left = [each for each in self._processes if not each.done]
        for each in left:
            if not each.alive and each is not process:
                return each
        ready = [each for each in left if each.waits_for is None or not each.waits_for.locked_by]
        awake = [each for each in ready if each.paused_until <= self.calls] or ready
        if awake:
            return awake[self.dice.randrange(len(awake))] if len(awake) > 1 else awake[0]
        if left:  # all wait for a lock that nobody will give back
            self.stuck = [each.name for each in left]
            for each in left:
                each.kill()
            return next(each for each in left if each is not process) if left != [process] else process
        return None


class Disk:
    """The disk port of one process."""

    def __init__(self, machine: Machine, process: Process | None) -> None:
        self._machine = machine
        self._process = process
        self._open: dict[int, tuple[File, str, bool]] = {}
        self._next = 3

    @property
    def _storage(self) -> Storage:
        return self._machine.storage

    def lose_descriptors(self) -> None:
        for fd in list(self._open):
            self._close(fd)

    def _close(self, fd: int) -> None:
        file = self._open.pop(fd)[0]
        self._let_go(file, fd)

    def _step(self, name: str, path: str, *, writes: bool = False) -> str:
        fault = self._machine.step(self._process, name, path, writes=writes)
        if fault == "error" or (fault == "short" and name != "pwrite"):
            raise failure(errno.EIO)
        return fault

    def _late(self, fault: str) -> None:
        if fault == "late":
            raise failure(errno.EIO)

    def _give(self, file: File, path: str, *, write: bool) -> int:
        fd, self._next = self._next, self._next + 1
        self._open[fd] = file, path, write
        return fd

    def _file(self, fd: int) -> File:
        if fd not in self._open:
            raise failure(errno.EBADF)
        return self._open[fd][0]

    def _path(self, fd: int) -> str:
        return self._open[fd][1] if fd in self._open else "?"

    def open(self, path: str, *, write: bool) -> int:
        self._step("open", path)
        return self._give(self._storage.file(path), path, write=write)

    def create(self, path: str, *, truncate: bool = True) -> int:
        self._step("create", path)
        directory, name = self._storage.parent(path)
        file = directory.names.get(name)
        if file is None:
            if not self._storage.room_bytes():
                raise failure(errno.ENOSPC)
            file = File()
            directory.change((name, file))
        elif isinstance(file, Directory):
            raise failure(errno.EISDIR)
        elif truncate:
            file.truncate(0)
        return self._give(file, path, write=True)

    def close(self, fd: int) -> None:
        if fd in self._open:
            self._close(fd)

    def pread(self, fd: int, size_bytes: int, offset: int) -> bytes:
        self._step("pread", self._path(fd))
        return bytes(self._file(fd).data[offset : offset + size_bytes])

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        fault = self._step("pwrite", f"{self._path(fd)}@{offset}", writes=True)
        file = self._file(fd)
        if not self._open[fd][2]:
            raise failure(errno.EBADF)
        count = len(data) if fault != "short" else self._machine.dice.randint(0, max(len(data) - 1, 0))
        growth = offset + count - len(file.data)
        if growth > 0 and self._storage.capacity_bytes is not None:
            count -= max(growth - self._storage.room_bytes(), 0)
            if count <= 0 < len(data):
                raise failure(errno.ENOSPC)
        file.write(data[:count], offset)
        if self._machine.dice.random() < self._machine.chances.write_back:
            file.write_some_back(self._machine.dice)
        self._late(fault)
        return count

    def append_zeros(self, path: str, size_bytes: int) -> None:
        fault = self._step("append_zeros", path, writes=True)
        file = self._storage.file(path)
        count = min(size_bytes, self._storage.room_bytes())
        file.write(bytes(count), len(file.data))
        if count < size_bytes:
            raise failure(errno.ENOSPC)
        self._late(fault)

    def start_writing(self, fd: int, offset: int, size_bytes: int) -> None:
        with suppress(OSError):
            self._step("start_writing", f"{self._path(fd)}@{offset}+{size_bytes}")
        self._file(fd).write_some_back(self._machine.dice)

    def sync(self, fd: int) -> None:
        fault = self._step("sync", self._path(fd), writes=True)
        self._sync(self._file(fd), fault)

    def sync_directory(self, path: str) -> None:
        fault = self._step("sync_directory", path, writes=True)
        self._sync(self._storage.directory(path), fault)

    def _sync(self, entry: File | Directory, fault: str) -> None:
        if fault == "forget":
            entry.fail_to_sync(self._machine.dice)
            raise failure(errno.EIO)
        entry.sync()
        self._late(fault)

    def size_bytes(self, fd: int) -> int:
        self._step("size_bytes", self._path(fd))
        return len(self._file(fd).data)

    def truncate(self, fd: int, size_bytes: int) -> None:
        fault = self._step("truncate", self._path(fd), writes=True)
        self._file(fd).truncate(size_bytes)
        self._late(fault)

    def lock(self, fd: int, timeout_s: float) -> bool:
        self._step("lock", self._path(fd))
        file = self._file(fd)
        if file.locked_by:
            if not timeout_s:
                return False
            self._machine.wait_for(self._process, file)
        file.locked_by = [(self, fd)]
        file.shared = False
        return True

    def lock_holder(self, fd: int) -> int:
        self._step("lock_holder", self._path(fd))
        return 0

    def try_lock_shared(self, fd: int) -> bool:
        self._step("try_lock_shared", self._path(fd))
        file = self._file(fd)
        if file.locked_by and not file.shared:
            return False
        file.locked_by.append((self, fd))
        file.shared = True
        return True

    def unlock(self, fd: int) -> None:
        with suppress(OSError):  # a descriptor that is open can be unlocked
            self._step("unlock", self._path(fd))
        self._let_go(self._file(fd), fd)

    def _let_go(self, file: File, fd: int) -> None:
        file.locked_by = [holder for holder in file.locked_by if holder != (self, fd)]

    def exists(self, path: str) -> bool:
        self._step("exists", path)
        try:
            self._storage.find(path)
        except OSError:
            return False
        return True

    def is_link(self, path: str) -> bool:
        self._step("is_link", path)
        return False

    def listdir(self, path: str) -> list[str]:
        self._step("listdir", path)
        return sorted(self._storage.directory(path).names)

    def mkdir(self, path: str) -> None:
        fault = self._step("mkdir", path, writes=True)
        directory, name = self._storage.parent(path)
        if name and name not in directory.names:
            directory.change((name, Directory()))
        self._late(fault)

    def rename(self, source: str, target: str) -> None:
        fault = self._step("rename", f"{source} {target}", writes=True)
        from_directory, old = self._storage.parent(source)
        to_directory, new = self._storage.parent(target)
        entry = from_directory.names.get(old)
        if entry is None:
            raise failure(errno.ENOENT)
        assert from_directory is to_directory, "the store renames within one directory"
        to_directory.change((old, None), (new, entry))
        self._late(fault)

    def unlink(self, path: str) -> None:
        fault = self._step("unlink", path, writes=True)
        directory, name = self._storage.parent(path)
        if name in directory.names:
            directory.change((name, None))
        self._late(fault)


class CalmDisk(Disk):
    """A disk on which nothing happens, for looking at what a run has left."""

    def __init__(self, storage: Storage) -> None:
        machine = Machine(Random(0), Chances(switch=0.0, write_back=0.0))
        machine.storage = storage
        super().__init__(machine, None)

    def _step(self, *_: object, writes: bool = False) -> str:
        assert isinstance(writes, bool)
        return ""
