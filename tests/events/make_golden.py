"""Write the golden files: ``python -m tests.events.make_golden``.

They are the bytes of the released formats. A test compares what this code makes now with what was released; a change
that fails it breaks every existing log. New event types and fields get new files, old files are never written again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from struct import pack

from memorygraph.events import records
from memorygraph.events.frames import NO_CHAIN, encode_frame
from memorygraph.events.records import Event, Record, encode_record, pack_event
from memorygraph.events.stores import SegmentLog
from memorygraph.events.types import Partition

GOLDEN = Path(__file__).parent / "golden"
STORE = GOLDEN / "store-v1"
MEMORY_ID = bytes.fromhex("0123456789abcdeffedcba9876543210")
TIME_US = 1_795_000_000_000_000
VECTOR = pack("<3f", 0.6, 0.0, -0.8)

EVENTS: dict[str, Event] = {
    "memory-created": records.MemoryCreated(name="notes", language="de"),
    "space-declared": records.SpaceDeclared(space=1, name="hashing", version="1", dim=3, normalised=True),
    "node-added": records.NodeAdded(
        id="0123456789abcde",
        content="Grüße aus Köln",
        memory_type=1,
        importance=0.75,
        emotional_valence=-0.5,
        confidence=0.9,
        consolidation_state=2,
        decay_function=3,
        decay_rate=2.0,
        tags=("travel", "köln"),
        metadata={"n": 1, "deep": {"list": [1.5, None, True]}},
        occurred_us=TIME_US - 1,
        speaker="Ada",
        session=7,
        source="chat",
        space=1,
        vector=VECTOR,
        partition=Partition(2, "room"),
        expires_us=TIME_US + 5,
    ),
    "node-added-plain": records.NodeAdded(id="0123456789abcde", content="plain"),
    "node-revised": records.NodeRevised(
        id="0123456789abcde", content="", tags=(), occurred_us=None, vector=VECTOR, expires_us=None
    ),
    "nodes-forgotten": records.NodesForgotten(ids=("a", "b"), reason="decayed"),
    "nodes-reinforced": records.NodesReinforced(ids=("a", "b"), deltas=(0.05, 0.1)),
    "accesses-recorded": records.AccessesRecorded(ids=("a", "b"), times_us=(TIME_US, TIME_US + 1)),
    "edges-added": records.EdgesAdded(
        sources=["a", "a"],
        targets=["b", "c"],
        weights=[0.5, 0.25],
        types=[1, 5],
        undirected=[True, False],
        confidences=[1.0, 0.5],
        metadata=[{}, {"why": "similar"}],
        ids=["", "chosen"],
    ),
    "edge-revised": records.EdgeRevised(id="3.0", weight=0.5, metadata={}),
    "edges-strengthened": records.EdgesStrengthened(ids=("3.0", "3.1"), delta=0.1, decay=0.01),
    "accesses-folded": records.AccessesFolded(
        ids=("a", "b"), access_counts=(300, 0), accessed_us=(TIME_US, 5), access_times_us=((TIME_US - 1, TIME_US), ())
    ),
    "records-replaced": records.RecordsReplaced(up_to=7, records=3, replaced=4, reason="retention", memories=2),
    "edges-removed": records.EdgesRemoved(ids=("3.0",), reason="unlinked"),
    "vectors-added": records.VectorsAdded(space=2, ids=("a",), vectors=(VECTOR,)),
    "space-activated": records.SpaceActivated(space=2),
    "reviews-recorded": records.ReviewsRecorded(
        ids=("a", "b"),
        model=1,
        grades=(0.9, 0.0),
        stabilities_days=(13.8206, 0.4872),
        difficulties=(3.9320000000000004, 7.6214),
        repetitions=(1, 0),
        times_us=(TIME_US, TIME_US),
        due_us=(TIME_US + 1, TIME_US + 2),
        begins=True,
    ),
    "attention-lost": records.AttentionLost(ids=("a",), slots=(3,), activations=(0.25,), reason="evicted"),
}


def record_of(event: Event, name: str) -> bytes:
    """Wrap an event in a record with every field set."""
    return encode_record(
        Record(
            command_id=f"command-{name}",
            body_hash=bytes(range(16)),
            principal="tester",
            provenance={"tool": "make_golden"},
            time_us=TIME_US,
            flags=0,
            partition=Partition(1, "Ada"),
            subject="subject",
            events=(pack_event(event),),
        )
    )


RECORDS = {name: record_of(event, name) for name, event in EVENTS.items()}


def frame_bytes() -> bytes:
    """Encode one frame that holds every record."""
    options = {"memory_id": MEMORY_ID, "first": 1, "time_us": TIME_US, "epoch": 1, "chain": NO_CHAIN}
    return encode_frame(list(RECORDS.values()), **options)[0]


class _Clock:
    def now_us(self) -> int:
        return TIME_US


def write_store(path: Path) -> None:
    """Write a store of one frame per record, with a second segment."""
    log = SegmentLog.open(path, memory_id=MEMORY_ID, clock=_Clock(), segment_bytes=2500)
    for n, record in enumerate(RECORDS.values()):
        with log.lock():
            log.append([record], TIME_US + n)


if __name__ == "__main__":
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir()
    for name, record in RECORDS.items():
        (GOLDEN / f"record-{name}.bin").write_bytes(record)
    (GOLDEN / "frame.bin").write_bytes(frame_bytes())
    write_store(STORE)
