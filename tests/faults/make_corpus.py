"""Makes the corpus of damaged and malicious stores: ``python -m tests.faults.make_corpus DIRECTORY``.

Each case is a directory that claims to be a store. What is crafted has the right checksums, so that it gets as deep
as it can. The same bytes come out every time; ``test_corpus.py`` compares them with the committed ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from struct import pack

import msgspec
from crc32c import crc32c

from memorygraph.events import records as ev
from memorygraph.events.frames import NO_CHAIN, encode_frame
from memorygraph.events.stores.directory import FORMAT, MemoryFile
from memorygraph.events.stores.segment_file import SegmentHeader, encode_header

MEMORY_ID = bytes(range(16))
MEMORY = msgspec.json.encode(MemoryFile(FORMAT, 1, MEMORY_ID.hex(), 1))
encode = msgspec.msgpack.encode
DEEP = 5000

Packed = tuple[int, int, bytes]


def record(*events: ev.Event | Packed, **fields: object) -> bytes:
    """Encode a record whose events may be given raw, as (type, schema, payload)."""
    packed = tuple(ev.PackedEvent(*event) if isinstance(event, tuple) else ev.pack_event(event) for event in events)
    values = {
        "command_id": "c", "body_hash": b"", "principal": "", "provenance": {}, "time_us": 1, "flags": 0,
        "partition": None, "subject": "", "events": packed, **fields,
    }  # fmt: skip
    return ev.encode_record(ev.Record(**values))


def header(first: int = 1, memory_id: bytes = MEMORY_ID, chain: bytes = NO_CHAIN) -> bytes:
    return encode_header(SegmentHeader(memory_id, first, 1, chain))


def frame(*records: bytes, first: int = 1, chain: bytes = NO_CHAIN, memory_id: bytes = MEMORY_ID) -> bytes:
    return encode_frame(records, memory_id=memory_id, first=first, time_us=1, epoch=1, chain=chain)[0]


def frames(*each: bytes) -> bytes:
    """Give a segment of one record per frame, chained."""
    data, chain = header(), NO_CHAIN
    for first, one in enumerate(each, 1):
        made, chain = encode_frame([one], memory_id=MEMORY_ID, first=first, time_us=first, epoch=1, chain=chain)
        data += made
    return data


def crafted(body: bytes, count: int, *, flags: int = 0, first: int = 1, time_us: int = 1, **claim: int) -> bytes:
    """Give a segment with one frame of any body and any claims, under the right checksum."""
    fields = pack(
        "<4sIIIII16sQq32sQ", b"MGF1", 0, claim.get("body_bytes", len(body)), flags, count, claim.get("epoch", 1),
        MEMORY_ID, first, time_us, NO_CHAIN, claim.get("reserved", 0),
    )  # fmt: skip
    whole = fields + body
    return header() + whole[:4] + pack("<I", crc32c(whole[8:])) + whole[8:]


CREATED = record(ev.MemoryCreated(name="m"))
NODE = ev.NodeAdded(id="a", content="one")
GOOD = frames(CREATED, record(NODE, command_id="d"), record(ev.NodeAdded(id="b", content="two"), command_id="e"))
B = ev.NodeAdded(id="b")
SPACE = ev.SpaceDeclared(space=1, name="s", dim=2)


def after(*events: ev.Event | Packed, **fields: object) -> bytes:
    """Give a segment in which these events follow a memory with one node."""
    return frames(CREATED, record(NODE, command_id="d"), record(*events, command_id="e", **fields))


def reviewed(**fields: object) -> ev.ReviewsRecorded:
    """Give a review of the node a."""
    values = {
        "ids": ("a",), "model": 1, "grades": (0.5,), "stabilities_days": (2.0,), "difficulties": (5.0,),
        "repetitions": (1,), "times_us": (5,), "due_us": (9,), **fields,
    }  # fmt: skip
    return ev.ReviewsRecorded(**values)


def raw(number: int, **payload: object) -> Packed:
    return number, 1, encode(payload)


def bomb(depth: int = DEEP) -> bytes:
    """Lists in lists."""
    return b"\x91" * depth + b"\xc0"


SEGMENTS: dict[str, bytes] = {
    "segment-empty": b"",
    "segment-short-header": header()[:100],
    "segment-wrong-magic": b"NOTOURS!" + GOOD[8:],
    "segment-header-flipped": bytes([*GOOD[:20], GOOD[20] ^ 1, *GOOD[21:]]),
    "segment-of-another-memory": header(memory_id=bytes(16)) + frame(CREATED, memory_id=bytes(16)),
    "segment-of-another-position": header(first=7) + frame(CREATED, first=7),
    "segment-only-zeros": bytes(300),
    "frame-half": GOOD[:-20],
    "frame-flipped-in-the-middle": bytes([*GOOD[:250], GOOD[250] ^ 1, *GOOD[251:]]),
    "frame-count-too-high": crafted(encode(CREATED), 2),
    "frame-count-too-low": crafted(encode(CREATED) * 3, 1),
    "frame-count-huge": crafted(encode(CREATED), 0xFFFFFFFF),
    "frame-count-zero": crafted(encode(CREATED), 0),
    "frame-body-claims-4-gib": crafted(encode(CREATED), 1, body_bytes=0xFFFFFFFF),
    "frame-body-empty": crafted(b"", 1),
    "frame-unknown-flags": crafted(encode(CREATED), 1, flags=1 << 31),
    "frame-epoch-max": crafted(encode(CREATED), 1, epoch=0xFFFFFFFF),
    "frame-reserved-used": crafted(encode(CREATED), 1, reserved=1),
    "frame-position-gap": header() + frame(CREATED, first=5),
    "frame-position-max": crafted(encode(CREATED), 1, first=(1 << 64) - 1),
    "frame-time-min": crafted(encode(CREATED), 1, time_us=-(1 << 63)),
    "frame-chain-wrong": header() + frame(CREATED, chain=b"\1" * 32),
    "frame-twice": header() + frame(CREATED) + frame(CREATED),
    "body-of-numbers": crafted(b"\x01\x02\x03", 3 // 2),
    "body-of-a-foreign-extension": crafted(b"\xc7\x20\x05" + bytes(32), 1),
    "body-of-a-short-hash": crafted(b"\xc7\x08\x01" + bytes(8), 1),
    "body-of-hashes-only": crafted((b"\xc7\x20\x01" + bytes(32)) * 2, 2),
    "body-nested": crafted(bomb(), 1),
    "body-claims-a-4-gib-bin": crafted(b"\xc6\xff\xff\xff\xff" + b"x" * 20, 1),
    "body-claims-a-4-gib-array": crafted(b"\xdd\xff\xff\xff\xff" + b"\xc0" * 20, 1),
    "body-never-used-byte": crafted(b"\xc1\xc1", 1),
    "record-empty": frames(b""),
    "record-garbage": frames(b"\xff" * 40),
    "record-nested": frames(bomb()),
    "record-a-map": frames(encode({"command_id": "c"})),
    "record-too-short": frames(encode(["c"])),
    "record-claims-4-gi-events": frames(encode(["c", b"", "", {}, 1, 0, None, ""])[:-1] + b"\xa0\xdd\xff\xff\xff\xff"),
    "record-not-utf-8": frames(encode(["c", b"", "", {}, 1, 0, None, "", []]).replace(b"\xa1c", b"\xa1\xff")),
    "record-time-too-large": frames(CREATED, record(NODE, time_us=(1 << 63) - 1)),
    "record-time-beyond-64-bits": frames(encode(["c", b"", "", {}, (1 << 64) - 1, 0, None, "", []])),
    "record-long-id": frames(CREATED, record(NODE, command_id="x" * 100_000)),
    "record-partition": frames(CREATED, record(NODE, partition=ev.Partition(250, "../../x"))),
    "event-of-a-newer-release": after((999, 1, b"\x80")),
    "event-of-a-negative-type": after((-1, 1, b"\x80")),
    "event-of-a-newer-schema": after((3, 99, encode({"id": "z", "new": 1}))),
    "event-garbage": after((3, 1, b"\xff" * 30)),
    "event-nested": after((3, 1, bomb())),
    "event-nested-metadata": after((3, 1, b"\x82\xa2id\xa1z\xa8metadata\x81\xa1m" + bomb())),
    "event-metadata-nested-500": after((3, 1, b"\x82\xa2id\xa1z\xa8metadata\x81\xa1m" + bomb(500))),
    "event-claims-a-4-gi-map": after((3, 1, b"\xdf\xff\xff\xff\xff")),
    "event-claims-a-4-gib-text": after((3, 1, b"\x82\xa2id\xa1z\xa7content\xdb\xff\xff\xff\xff")),
    "event-not-utf-8": after((3, 1, b"\x81\xa2id\xa2\xc3\x28")),
    "event-half-a-surrogate": after((3, 1, b"\x81\xa2id\xa3\xed\xa0\x80")),
    "node-twice": after(NODE),
    "node-without-an-id": after(ev.NodeAdded(content="nameless")),
    "node-with-a-path-for-an-id": after(ev.NodeAdded(id="../../../etc/passwd\0\n", content="x")),
    "node-importance-nan": after(ev.NodeAdded(id="z", importance=float("nan"))),
    "node-importance-infinite": after(ev.NodeAdded(id="z", importance=float("inf"))),
    "node-decay-nan": after(ev.NodeAdded(id="z", decay_rate=float("nan"), content="x")),
    "node-type-300": after(ev.NodeAdded(id="z", memory_type=300)),
    "node-type-negative": after(ev.NodeAdded(id="z", memory_type=-1)),
    "node-type-beyond-64-bits": after(raw(3, id="z", memory_type=(1 << 64) - 1)),
    "node-count-huge": after(ev.NodeAdded(id="z", access_count=1 << 40)),
    "node-time-huge": after(ev.NodeAdded(id="z", occurred_us=(1 << 63) - 1)),
    "node-access-times-huge": after(ev.NodeAdded(id="z", access_times_us=((1 << 63) - 1,) * 5)),
    "node-vector-without-a-space": after(ev.NodeAdded(id="z", vector=b"\0" * 8, space=1)),
    "node-vector-of-another-length": after(SPACE, ev.NodeAdded(id="z", vector=b"\0" * 12, space=1)),
    "node-vector-of-odd-bytes": after(SPACE, ev.NodeAdded(id="z", vector=b"\0" * 7, space=1)),
    "node-vector-nan": after(SPACE, ev.NodeAdded(id="z", vector=b"\xff" * 8, space=1, content="x")),
    "space-of-a-huge-dimension": after(
        ev.SpaceDeclared(space=1, name="s", dim=1 << 40), ev.NodeAdded(id="z", vector=b"\0" * 8, space=1)
    ),
    "space-of-dimension-zero": after(ev.SpaceDeclared(space=1, name="s", dim=0), ev.NodeAdded(id="z", space=1)),
    "space-of-a-negative-dimension": after(ev.SpaceDeclared(space=1, name="s", dim=-4)),
    "space-twice": after(SPACE, SPACE),
    "revised-nobody": after(ev.NodeRevised(id="nobody", content="x")),
    "revised-type-300": after(ev.NodeRevised(id="a", memory_type=300)),
    "revised-time-huge": after(ev.NodeRevised(id="a", occurred_us=(1 << 63) - 1)),
    "forgotten-nobody": after(ev.NodesForgotten(ids=("nobody",))),
    "reinforced-unevenly": after(ev.NodesReinforced(ids=("a",), deltas=(0.1, 0.2))),
    "reinforced-nan": after(ev.NodesReinforced(ids=("a",), deltas=(float("nan"),))),
    "accessed-unevenly": after(ev.AccessesRecorded(ids=("a", "a"), times_us=(1,))),
    "accessed-at-a-huge-time": after(ev.AccessesRecorded(ids=("a",), times_us=((1 << 63) - 1,))),
    "edges-to-nobody": after(ev.EdgesAdded(sources=["a"], targets=["nobody"])),
    "edges-unevenly": after(B, ev.EdgesAdded(sources=["a", "b"], targets=["b"])),
    "edges-weights-unevenly": after(B, ev.EdgesAdded(sources=["a"], targets=["b"], weights=[1.0] * 9)),
    "edges-weight-nan": after(B, ev.EdgesAdded(sources=["a"], targets=["b"], weights=[float("nan")])),
    "edges-weight-huge": after(B, ev.EdgesAdded(sources=["a"], targets=["b"], weights=[1e308])),
    "edges-type-300": after(B, ev.EdgesAdded(sources=["a"], targets=["b"], types=[300])),
    "edges-names-unevenly": after(B, ev.EdgesAdded(sources=["a"], targets=["b"], ids=["x"] * 40)),
    "edges-to-themselves": after(ev.EdgesAdded(sources=["a"] * 40, targets=["a"] * 40)),
    "edge-revised-nobody": after(ev.EdgeRevised(id="1.9")),
    "edge-named-like-a-number": after(ev.EdgesRemoved(ids=("99999999999999999999.99999999999999999999",))),
    "edge-strengthened-nan": after(
        B, ev.EdgesAdded(sources=["a"], targets=["b"], ids=["e"]),
        ev.EdgesStrengthened(ids=("e",), delta=float("nan")),
    ),
    "reviewed-unevenly": after(reviewed(due_us=(9, 9))),
    "reviewed-stability-nan": after(reviewed(stabilities_days=(float("nan"),))),
    "reviewed-at-a-huge-time": after(reviewed(times_us=((1 << 63) - 1,))),
    "node-review-without-stability": after(ev.NodeAdded(id="z", review=ev.ReviewCard(1, 0.0, 5.0, 1, 5, 9))),
    "good": GOOD,
}  # fmt: skip

MEMORY_FILES: dict[str, bytes] = {
    "memory-file-empty": b"",
    "memory-file-not-json": b"\x80\x04\x95pickle",
    "memory-file-nested": b"[" * DEEP,
    "memory-file-a-list": b"[1, 2]",
    "memory-file-of-another-program": b'{"format": "other", "version": 1, "memory_id": "' + b"00" * 16 + b'"}',
    "memory-file-newer": b'{"format": "memorygraph", "version": 99}',
    "memory-file-version-huge": b'{"format": "memorygraph", "version": 1' + b"0" * 400 + b"}",
    "memory-file-version-text": b'{"format": "memorygraph", "version": "1"}',
    "memory-file-id-short": b'{"format": "memorygraph", "version": 1, "memory_id": "00"}',
    "memory-file-id-path": b'{"format": "memorygraph", "version": 1, "memory_id": "../../../../etc/passwd"}',
    "memory-file-not-utf-8": b'{"format": "memorygraph\xff", "version": 1}',
    "memory-file-sqlite": b"SQLite format 3\0" + bytes(100),
}
LOCKS: dict[str, bytes] = {
    "lock-garbage": b"\xff" * 64,
    "lock-short": b"\1",
    "lock-zeros": bytes(52),
}


def put(directory: Path, name: str, data: bytes) -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def segment_name(first: int) -> str:
    return f"log/{first:020d}.seg"


def make_files(root: Path) -> None:
    """Make the cases that are plain files."""
    for name, data in SEGMENTS.items():
        put(root / name, "MEMORY", MEMORY)
        put(root / name, segment_name(1), data)
    for name, data in MEMORY_FILES.items():
        put(root / name, "MEMORY", data)
        put(root / name, segment_name(1), GOOD)
    for name, data in LOCKS.items():
        put(root / name, "MEMORY", MEMORY)
        put(root / name, "lock", data)
        put(root / name, segment_name(1), GOOD)
    put(root / "segments-missing", "MEMORY", MEMORY)
    put(root / "segments-missing", "log/README", b"nothing here")
    put(root / "segments-overlap", "MEMORY", MEMORY)
    put(root / "segments-overlap", segment_name(1), GOOD)
    put(root / "segments-overlap", segment_name(2), header(2) + frame(CREATED, first=2))
    put(root / "segments-gap", "MEMORY", MEMORY)
    put(root / "segments-gap", segment_name(1), GOOD)
    put(root / "segments-gap", segment_name(90), header(90) + frame(CREATED, first=90))
    put(root / "segments-max", "MEMORY", MEMORY)
    put(root / "segments-max", f"log/{'9' * 20}.seg", header(1) + frame(CREATED))
    put(root / "unfinished", segment_name(1), GOOD)
    put(root / "foreign-git", "HEAD", b"ref: refs/heads/main\n")
    put(root / "foreign-pickle", "log/data.pkl", b"\x80\x04\x8c\x05posix\x8c\x06system\x93.")
    put(root / "foreign-log-is-a-file", "MEMORY", MEMORY)
    put(root / "foreign-log-is-a-file", "log", b"Nov 22 kernel: hello\n")


def make_links(root: Path, victim: Path) -> None:
    """Make the cases with links out of the store, fifos and directories in the place of files."""

    def store(name: str) -> Path:
        put(root / name, "MEMORY", MEMORY)
        put(root / name, segment_name(1), GOOD)
        return root / name

    def in_place_of(name: str, file: str, make: Callable[[Path], object], *, also: str = "") -> None:
        path = store(name) / file
        path.unlink(missing_ok=True)
        make(path)
        if also:
            (root / name / also).unlink()

    def linked(path: Path) -> None:
        path.symlink_to(victim)

    def dangling(path: Path) -> None:
        path.symlink_to(victim.with_name("new"))

    for what, make in (("link", linked), ("dangling-link", dangling), ("fifo", os.mkfifo), ("directory", Path.mkdir)):
        in_place_of(f"{what}-for-memory", "MEMORY", make)
        in_place_of(f"{what}-for-lock", "lock", make)
        in_place_of(f"{what}-for-segment", segment_name(1), make)
        in_place_of(f"{what}-for-next-segment", segment_name(4), make)
        in_place_of(f"{what}-for-memory-tmp", "MEMORY.tmp", make, also="MEMORY")
        in_place_of(f"{what}-for-segment-tmp", f"{segment_name(4)}.tmp", make)
        torn = store(f"{what}-for-torn-copy")
        put(torn, segment_name(1), GOOD + b"torn")
        make(torn / f"{segment_name(1)}.torn-{len(GOOD)}")
    outside = victim.parent / "outside"
    outside.mkdir()
    put(root / "link-for-log", "MEMORY", MEMORY)
    (root / "link-for-log" / "log").symlink_to(outside)
    put(root / "link-for-unfinished-log", "lock", b"")
    (root / "link-for-unfinished-log" / "log").symlink_to(outside)


if __name__ == "__main__":
    make_files(Path(sys.argv[1]))
