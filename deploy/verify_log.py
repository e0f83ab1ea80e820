"""Check a memorygraph log without memorygraph: one file, Python 3.11 and the package ``msgpack``.

    python verify_log.py FILE        a file that `memorygraph export` wrote, whole or with --only
    python verify_log.py FOLDER      a store
    python verify_log.py --records FILE   and print every record as a line of JSON

It reads every byte that belongs to the log and checks the checksum of each frame, that positions follow on each other
without a gap, and the chain of SHA-256 from the first frame to the head. It prints the head: compare its chain with a
signed head that you kept. Exit code 0: whole; 1: not; 2: not a log at all.

The format is that of the decision pages 0001 and 0006 of memorygraph. This program shares no code with it.
"""

import argparse
import hashlib
import json
import re
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgpack

FRAME = struct.Struct("<4sIIIII16sQq32sQ")
FRAME_BYTES_MAX = 16 << 20
SEGMENT = struct.Struct("<8s16sQI32s56sI")
SEGMENT_NAME = re.compile(r"(\d{20})(?:-(\d{1,10}))?\.seg")
END = struct.Struct("<8sQ32s")
HEADINGS = {b"MGEXP1\0\0": "an export", b"MGEXC1\0\0": "an excerpt"}
END_MAGIC = b"MGEND1\0\0"
HEADING_BYTES = 24
DIGEST_BYTES = 32
REPLACED = 1  # extension type of the SHA-256 that stands for a record

OnRecord = Callable[[int, int, bytes | None, bytes], None]
"""Told of each record: position, time of the commit, bytes (None: only the hash is kept), SHA-256."""


class NoLog(Exception):
    """What was given is not a log."""


class Damaged(Exception):
    """The log is not as it was written."""


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)  # Castagnoli's polynomial, reflected
        table.append(crc)
    return table


CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of bytes (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def nothing(*_: object) -> None:
    """Do nothing with a record."""


class Log:
    """Follows a log frame by frame from its first one."""

    def __init__(self, memory_id: bytes, on_record: OnRecord) -> None:
        self.memory_id = memory_id
        self.on_record = on_record
        self.position = 0
        self.chain = bytes(32)
        self.epoch = 1
        self.frames = self.hashes = 0

    def take(self, data: bytes, offset: int) -> int:
        """Check the frame at ``offset`` and return the offset behind it."""
        end, header = self.whole(data, offset)
        _, _, _, flags, count, epoch, _, first, time_us, before, _ = header
        if first != self.position + 1:
            raise Damaged(f"position {first} does not follow position {self.position}")
        if before != self.chain:
            raise Damaged(f"the frame at position {first} does not continue the chain")
        if flags:
            raise Damaged(f"the frame at position {first} uses a feature that this program does not know")
        digests = []
        for position, item in enumerate(_items(data[offset + FRAME.size : end], count, first), first):
            digest = hashlib.sha256(item).digest() if isinstance(item, bytes) else item.data
            digests.append(digest)
            self.hashes += not isinstance(item, bytes)
            self.on_record(position, time_us, item if isinstance(item, bytes) else None, digest)
        self.chain = hashlib.sha256(before + data[offset + 16 : offset + 56] + b"".join(digests)).digest()
        self.position, self.epoch = first + count - 1, epoch
        self.frames += 1
        return end

    def whole(self, data: bytes, offset: int) -> tuple[int, tuple[Any, ...]]:
        """Return the end and the header of the frame at ``offset``, whose checksum is right."""
        if len(data) - offset < FRAME.size:
            raise Damaged("the bytes end inside a frame header")
        header = FRAME.unpack_from(data, offset)
        magic, crc, body_bytes, _, count, _, memory_id = header[:7]
        end = offset + FRAME.size + body_bytes
        if magic != b"MGF1":
            raise Damaged("no frame starts here")
        if memory_id != self.memory_id:
            raise Damaged(f"the frame belongs to memory {memory_id.hex()}")
        if end > len(data):
            raise Damaged("the bytes end inside a frame")
        if body_bytes > FRAME_BYTES_MAX - FRAME.size or not 0 < count <= body_bytes // 2:
            raise Damaged("the frame's sizes cannot be right")
        if crc32c(data[offset + 8 : end]) != crc:
            raise Damaged("the frame fails its checksum")
        return end, header


def _items(body: bytes, count: int, first: int) -> list[Any]:
    """Return the ``count`` records of a frame's body: bytes, or an extension that holds the SHA-256 of one."""
    unpacker = msgpack.Unpacker(max_buffer_size=FRAME_BYTES_MAX, strict_map_key=False)
    unpacker.feed(body)
    try:
        items = [unpacker.unpack() for _ in range(count)]
    except Exception as error:  # msgpack has several, without a common base
        raise Damaged(f"the frame at position {first} does not hold {count} records") from error
    if unpacker.tell() != len(body) or not all(isinstance(item, bytes) or _is_hash(item) for item in items):
        raise Damaged(f"the frame at position {first} does not hold {count} records")
    return items


def _is_hash(item: object) -> bool:
    return isinstance(item, msgpack.ExtType) and item.code == REPLACED and len(item.data) == DIGEST_BYTES


def check_export(data: bytes, on_record: OnRecord = nothing) -> tuple[Log, str]:
    """Check the bytes of an export or excerpt; return its ``Log`` and what kind of file it is."""
    kind = HEADINGS.get(data[:8])
    if kind is None or len(data) < HEADING_BYTES:
        raise NoLog("this is not a file that memorygraph export wrote")
    log, offset = Log(data[8:HEADING_BYTES], on_record), HEADING_BYTES
    while data[offset : offset + 8] != END_MAGIC:
        if offset == len(data):
            raise Damaged(
                f"byte {offset}: the file ends without its end mark; it was cut after position {log.position}"
            )
        offset = _taken(log, data, offset, f"byte {offset}")
    if data[offset:] != END.pack(END_MAGIC, log.position, log.chain):
        raise Damaged(f"byte {offset}: the end mark is not that of this log")
    return log, kind


def check_store(folder: Path, on_record: OnRecord = nothing) -> tuple[Log, str]:
    """Check the segments of a store's folder; return its ``Log`` and what was found at its end ('' for nothing)."""
    try:
        memory_id = bytes.fromhex(json.loads((folder / "MEMORY").read_bytes())["memory_id"])
        names = _in_force([path.name for path in (folder / "log").iterdir()])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoLog(f"this is not the folder of a store ({error})") from error
    log, tail = Log(memory_id, on_record), ""
    for (first, name), (following, _) in zip(names, [*names[1:], (None, "")], strict=True):
        data = (folder / "log" / name).read_bytes()
        _check_segment_header(log, data, first, name)
        offset = SEGMENT.size
        while following is None or log.position + 1 < following:
            if following is None and not _starts_frame(log, data, offset):
                tail = _judged_tail(log, data, offset, name)
                break
            offset = _taken(log, data, offset, f"{name} at byte {offset}")
    if not names:
        raise Damaged("the log has no segments")
    return log, tail


def _in_force(names: Iterable[str]) -> list[tuple[int, str]]:
    """Return (first position, name) of the segments that make up the log: a later epoch ends the ones before it."""
    found = [(int(match[2] or 1), int(match[1]), match[0]) for match in map(SEGMENT_NAME.fullmatch, names) if match]
    kept: list[tuple[int, str]] = []
    for _, first, name in sorted(found):
        while kept and kept[-1][0] >= first:
            kept.pop()
        kept.append((first, name))
    return kept


def _check_segment_header(log: Log, data: bytes, first: int, name: str) -> None:
    if len(data) < SEGMENT.size or crc32c(data[: SEGMENT.size - 4]) != struct.unpack_from("<I", data, 124)[0]:
        raise Damaged(f"{name}: the segment's header fails its checksum")
    magic, memory_id, begins, _, before, _, _ = SEGMENT.unpack_from(data)
    if magic != b"MGSEG1\0\0" or memory_id != log.memory_id or begins != first:
        raise Damaged(f"{name}: this segment belongs elsewhere")
    if first != log.position + 1 or before != log.chain:
        raise Damaged(f"{name}: the segment of position {first} does not continue the log")


def _taken(log: Log, data: bytes, offset: int, where: str) -> int:
    try:
        return log.take(data, offset)
    except Damaged as error:
        raise Damaged(f"{where}: {error}") from None


def _starts_frame(log: Log, data: bytes, offset: int) -> bool:
    try:
        log.whole(data, offset)
    except Damaged:
        return False
    return True


def _judged_tail(log: Log, data: bytes, offset: int, name: str) -> str:
    """Say what is behind the last whole frame: nothing but zeros, or a write that was never acknowledged."""
    if not data[offset:].strip(b"\0"):
        return ""
    at = data.find(b"MGF1", offset)
    while at >= 0:
        if _starts_frame(log, data, at) and FRAME.unpack_from(data, at)[7] > log.position:
            raise Damaged(f"{name} at byte {offset}: damage after position {log.position}; frames follow at byte {at}")
        at = data.find(b"MGF1", at + 1)
    return f"{name} at byte {offset}: a write that was never acknowledged, or one in progress"


def print_record(position: int, time_us: int, record: bytes | None, digest: bytes) -> None:
    """Print a record as a line of JSON."""
    line: dict[str, Any] = {"position": position, "committed_us": time_us, "sha256": digest.hex()}
    if record is not None:
        names = ("command_id", "body_hash", "principal", "provenance", "time_us", "flags", "partition", "subject")
        try:
            *fields, events = msgpack.unpackb(record, strict_map_key=False)
            line |= dict(zip(names, fields, strict=True))
            line["events"] = [[code, schema, msgpack.unpackb(payload)] for code, schema, payload in events]
        except Exception as error:  # noqa: BLE001 - an unknown record is no damage: its bytes are as they were written
            line["unreadable"] = str(error)
    sys.stdout.write(json.dumps(line, default=_shown, ensure_ascii=False) + "\n")


def _shown(value: bytes) -> str:
    return value.hex() if len(value) <= DIGEST_BYTES else f"{len(value)} bytes"


def main() -> int:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(description="Check a memorygraph log without memorygraph.")
    parser.add_argument("path", type=Path, help="a file that export wrote, or the folder of a store")
    parser.add_argument("--records", action="store_true", help="print every record as a line of JSON")
    options = parser.parse_args()
    on_record = print_record if options.records else nothing
    try:
        if options.path.is_dir():
            log, tail = check_store(options.path, on_record)
            kind = "a store"
        else:
            (log, kind), tail = check_export(options.path.read_bytes(), on_record), ""
    except (NoLog, OSError) as error:
        sys.stderr.write(f"{options.path}: {error}\n")
        return 2
    except Damaged as error:
        sys.stderr.write(f"{options.path}: DAMAGED: {error}\n")
        return 1
    words = sys.stderr if options.records else sys.stdout
    words.write(f"whole: {kind} of memory {log.memory_id.hex()}\n")
    words.write(f"{log.position} records in {log.frames} frames, of {log.hashes} only the hash is kept\n")
    words.write(f"note: {tail}\n" if tail else "")
    words.write(f"head at position {log.position}, epoch {log.epoch}, chain\n{log.chain.hex()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
