"""The command table: which command ids were carried out lately, and at which position (decision 0005).

A row per record, in order of position: the id's key, the time in a UUIDv7, the first bytes of the body hash, and the
record's time. Rows leave at the front, when a later record is more than 24 hours newer or when there are a million; but
the newest ten thousand stay however old: a clock that is set forward makes the records of a moment ago a day old.
So the table is a function of the log alone: every process that read the same records holds the same rows.

A row takes 32 bytes, and 12 in the index: the keys' hashes, sorted, and their places. The newest rows are found through
a dictionary until there are enough to merge into the index.
"""

from __future__ import annotations

import hashlib
import re
import struct
import threading
from functools import lru_cache
from typing import Final, NamedTuple, Self

import numpy as np

from memorygraph.events.errors import DamagedLog

KEPT_US: Final = 24 * 3_600_000_000
ROWS_KEPT: Final = 10_000
ROWS_MAX: Final = 1_000_000
FRESH_US: Final = 10_000_000
"""An id this near to the clock cannot have been here and left: no log takes a million commands in so little time."""
RECENT_MAX: Final = 16_384

_HEADER: Final = struct.Struct("<8sqqqq")  # magic, first position, next position, newest time, horizon
_MAGIC: Final = b"MGCMDS1\0"
_ROW: Final = struct.Struct("<QQ8sq")  # key (hash, mark), body hash, record's time
HEADER_BYTES: Final = _HEADER.size
ROW_BYTES: Final = _ROW.size
_COLUMNS: Final = np.dtype([("hash", "<u8"), ("mark", "<u8"), ("body", "V8"), ("time_us", "<i8")])
_BODY_BYTES: Final = 8
_DATE_BITS: Final = 48
_DATE_MASK: Final = (1 << _DATE_BITS) - 1
_UUID7: Final = re.compile("([0-9a-f]{8})-([0-9a-f]{4})-(7[0-9a-f]{3})-([89ab][0-9a-f]{3}-[0-9a-f]{12})(?:/|$)")
_UUID_CHARS: Final = 36


class Seen(NamedTuple):
    """What the table knows of a command id: the position of its record, and the first bytes of its body hash."""

    position: int
    body: bytes

    def is_of(self, body_hash: bytes) -> bool:
        """Whether the body may be the same (the whole hash is in the record)."""
        return self.body == _padded(body_hash)


class CommandTable:
    """Recent command ids; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = bytearray()
        self._first = self._next = 1  # the positions of the first row and of the next one
        self._oldest_us = 0  # the time of the first row
        self._newest_us = 0
        self._horizon_ms = 0  # the newest date among the ids that left
        self._recent: dict[tuple[int, int], int] = {}  # key -> position, of rows that are not in the index yet
        self._indexed = 1  # the first position that is not in the index
        self._hashes = np.zeros(0, dtype=np.uint64)  # sorted
        self._places = np.zeros(0, dtype=np.uint32)  # position - _base, of each hash
        self._base = 1
        self._indexed_ms = 0  # the newest date among the ids in the index

    def __len__(self) -> int:
        return self._next - self._first

    @property
    def next_position(self) -> int:
        """The position that the next record must have."""
        return self._next

    def add(self, position: int, command_id: str, body_hash: bytes, time_us: int) -> None:
        """Take note of the record at ``next_position``; the id is empty where only the record's hash is kept."""
        key = _key(command_id) if command_id else (0, 0)
        with self._lock:
            if position != self._next:
                raise ValueError(f"the table goes on at position {self.next_position}, not {position}")
            if not command_id:
                time_us = self._newest_us  # its own is not known
            if not self._rows:
                self._oldest_us = time_us
            self._rows += _ROW.pack(*key, body_hash, time_us)
            self._newest_us = time_us
            self._next = position + 1
            if command_id:
                self._recent[key] = position
            rows = len(self)
            if rows > ROWS_MAX or (rows > ROWS_KEPT and self._oldest_us < time_us - KEPT_US):
                self._expire(time_us)
            if len(self._recent) >= RECENT_MAX:
                self._merge()

    def find(self, command_id: str) -> Seen | None:
        """Return where a command was carried out; None if it is not known (any more)."""
        key = _key(command_id)
        with self._lock:
            position = self._recent.get(key)
            if position is None and not key[1] & _DATE_MASK > self._indexed_ms:  # else newer than all that are there
                position = self._find_indexed(*key)
            if position is None or position < self._first:
                return None
            return Seen(position, self._row(position)[2])

    def is_expired(self, command_id: str, now_us: int) -> bool:
        """Whether an id that is not in the table is too old to tell if it was: a UUIDv7 from before the horizon.

        An id of the last seconds is never too old, so a memory that was written to under a wrong clock can still be. An
        id whose date was more than a day off its record's time is not told from a new one.
        """
        date_ms = _key(command_id)[1] & _DATE_MASK
        if not date_ms or abs(now_us - 1000 * date_ms) <= FRESH_US:
            return False
        return date_ms <= self._horizon_ms or 1000 * date_ms < self._newest_us - KEPT_US

    @property
    def first_position(self) -> int:
        """The position of the oldest row."""
        return self._first

    def dump(self) -> bytes:
        """Return the table as bytes: a header (``HEADER_BYTES``), then ``ROW_BYTES`` per row, in order of position."""
        with self._lock:
            header = _HEADER.pack(_MAGIC, self._first, self.next_position, self._newest_us, self._horizon_ms)
            return header + self._rows

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """Return the table that ``dump`` gave.

        Raises:
            DamagedLog: the bytes are something else.
        """
        size = len(data) - _HEADER.size
        magic, first, following, newest_us, horizon_ms = _HEADER.unpack_from(data) if size >= 0 else (b"", 0, 0, 0, 0)
        if magic != _MAGIC or size != _ROW.size * (following - first) or first < 1:
            raise DamagedLog(f"{len(data)} bytes are not a command table", bytes=len(data))
        table = cls()
        table._rows += memoryview(data)[_HEADER.size :]
        table._first = table._indexed = table._base = first
        table._next = following
        table._newest_us, table._horizon_ms = newest_us, horizon_ms
        table._oldest_us = table._row(first)[3] if size else 0
        table._merge()
        return table

    def size_bytes(self) -> int:
        """Return the bytes of rows and index, without the dictionary of the newest ones."""
        return len(self._rows) + self._hashes.nbytes + self._places.nbytes

    def _row(self, position: int) -> tuple[int, int, bytes, int]:
        row: tuple[int, int, bytes, int] = _ROW.unpack_from(self._rows, (position - self._first) * _ROW.size)
        return row

    def _find_indexed(self, hash_: int, mark: int) -> int | None:
        """Look from the newest of equal hashes back to the oldest."""
        if not len(self._hashes):
            return None
        at = int(self._hashes.searchsorted(np.uint64(hash_), side="right")) - 1
        while at >= 0 and self._hashes[at] == hash_:
            position = self._base + int(self._places[at])
            if position >= self._first and self._row(position)[1] == mark:
                return position
            at -= 1
        return None

    def _expire(self, time_us: int) -> None:
        """Let rows go at the front, and remember the newest date among them."""
        leaving = 0
        total = len(self)
        while leaving < total - 1:
            hash_, mark, _, row_us = _ROW.unpack_from(self._rows, leaving * _ROW.size)
            rows = total - leaving
            if rows <= ROWS_MAX and (rows <= ROWS_KEPT or row_us >= time_us - KEPT_US):
                break
            date_ms = mark & _DATE_MASK
            if abs(1000 * date_ms - row_us) <= KEPT_US:  # else one of the two clocks was wrong
                self._horizon_ms = max(self._horizon_ms, date_ms)
            if self._recent.get((hash_, mark)) == self._first + leaving:
                del self._recent[hash_, mark]
            leaving += 1
        del self._rows[: leaving * _ROW.size]
        self._first += leaving
        self._oldest_us = self._row(self._first)[3]

    def _merge(self) -> None:
        """Take the newest rows into the index, and what has left out of it."""
        start = max(self._indexed, self._first)
        columns = np.frombuffer(self._rows, dtype=_COLUMNS, offset=(start - self._first) * _ROW.size)
        hashes = columns["hash"]
        known = np.flatnonzero(hashes)  # a row without an id has none
        added = known[np.argsort(hashes[known], kind="stable")]
        new_hashes, new_places = hashes[added], added + start
        self._indexed_ms = max(self._indexed_ms, int((columns["mark"] & _DATE_MASK).max(initial=0)))
        del columns, hashes  # the rows cannot grow while somebody looks at them
        old_hashes, old_places = self._hashes, self._places.astype(np.int64) + self._base
        if self._first > self._base:
            kept = old_places >= self._first
            old_hashes, old_places = old_hashes[kept], old_places[kept]
        at = np.searchsorted(old_hashes, new_hashes, side="right")
        self._hashes = np.insert(old_hashes, at, new_hashes)
        self._places = (np.insert(old_places, at, new_places) - self._first).astype(np.uint32)
        self._base = self._first
        self._indexed = self.next_position
        self._recent = {}


def _padded(body_hash: bytes) -> bytes:
    return body_hash[:_BODY_BYTES].ljust(_BODY_BYTES, b"\0")


@lru_cache(maxsize=256)  # a command's id is looked for, looked for again and noted
def _key(command_id: str) -> tuple[int, int]:
    """Return two words of 64 bits that stand for an id: a hash, and 16 more bits above the milliseconds of its date.

    A UUIDv7 stands for itself. Of any other id it is a hash, dated if the id begins with a UUIDv7 and a slash, as those
    of the chunks of a bulk call do; milliseconds 0: it has no date.
    """
    dated = _UUID7.match(command_id)
    date_ms = int(dated[1] + dated[2], 16) if dated else 0
    if dated and len(command_id) == _UUID_CHARS:
        return int(dated[4].replace("-", ""), 16), int(dated[3], 16) << _DATE_BITS | date_ms
    digest = hashlib.blake2b(command_id.encode(), digest_size=10).digest()
    mark = int.from_bytes(digest[8:], "little") << _DATE_BITS | date_ms
    return int.from_bytes(digest[:8], "little") or 1, mark
