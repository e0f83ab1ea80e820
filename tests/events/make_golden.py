"""Write the golden files: ``python -m tests.events.make_golden``, and ``... memories`` for the whole memories.

They are the bytes of the released formats. A test compares what this code makes now with what was released; a change
that fails it breaks every existing log. New event types and fields get new files, old files are never written again.
"""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path
from struct import pack

import msgspec
from msgspec import Struct

from memorygraph import AgentMemory, RetentionPolicy
from memorygraph.events import records
from memorygraph.events.frames import NO_CHAIN, encode_frame
from memorygraph.events.keys import SigningKey
from memorygraph.events.records import Event, Record, encode_record, pack_event
from memorygraph.events.stores import SegmentLog
from memorygraph.events.types import Partition

GOLDEN = Path(__file__).parent / "golden"
STORE = GOLDEN / "store-v1"
MEMORIES = GOLDEN / "memories-v1"
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
        owner="ann",
    ),
    "node-added-reviewed": records.NodeAdded(
        id="0123456789abcde", review=records.ReviewCard(1, 13.5, 5.25, 2, TIME_US, TIME_US + 7, (0.5, 1.0))
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
    "reviews-ended": records.ReviewsEnded(ids=("a", "b")),
    "attention-lost": records.AttentionLost(ids=("a",), slots=(3,), activations=(0.25,), reason="evicted"),
    "nodes-archived": records.NodesArchived(ids=("a", "b"), reason="cold"),
    "nodes-restored": records.NodesRestored(ids=("b",)),
    "nodes-moved": records.NodesMoved(ids=("a",), partition=Partition(2, "room")),
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


# -- whole memories --------------------------------------------------------------------------------------------------


class Told(Struct):
    """What a golden memory said of itself when it was made."""

    position: int
    chain: str
    digest: str
    snapshot: int  # its position
    digest_then: str
    replaced: int  # records that compaction replaced by their hashes
    contents: dict[str, str]
    recalled: dict[str, str]  # by question, the id of the best hit
    accesses: dict[str, int]


QUESTIONS = ("When does the harbour open?", "Which boat is rented?", "What did Ada say about the lighthouse?")


def write_memories() -> None:
    """Make the golden memories anew. Times, ids and key are others each time, so only when their format has changed."""
    shutil.rmtree(MEMORIES, ignore_errors=True)
    MEMORIES.mkdir(parents=True)
    for name in ("whole", "compacted"):
        told = _write_memory(MEMORIES / name, compact=name == "compacted")
        (MEMORIES / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")


def _write_memory(path: Path, *, compact: bool) -> Told:
    """Write a little of everything, with a snapshot, records behind it, and signed heads."""
    everything = RetentionPolicy(keep_accesses=timedelta(0), keep_forgotten=timedelta(0))
    where = {"host": "", "pid": "", "via": "make_golden"}
    options = {"embedding_dim": 16, "name": "harbour", "signing_key": SigningKey.generate(), "sign_every": 8}
    with AgentMemory(path, principal="tester", provenance=where, **options) as memory:
        memory.remember("The harbour opens at nine", 0.8, ["harbour"], node_id="opens", metadata={"gate": [1, None]})
        memory.remember("A boat is rented to Köln", memory_type="semantic", node_id="boat", occurred_at=1_700_000_000)
        memory.remember("The harbour opens at eight", node_id="opens-now", supersedes="opens")
        memory.remember("The lighthouse is blue", node_id="light", speaker="Ada", session="s1", source="chat")
        memory.remember("Wash the deck", node_id="deck", expires_at=4_000_000_000)
        memory.remember("Gone by tomorrow", node_id="gone")
        edge = memory.link("boat", "opens", weight=0.5)
        memory.revise_edge(edge, weight=0.25)
        memory.revise("boat", content="A red boat is rented", tags=["boat", "red"])
        memory.get("light").reinforce(0.1)
        memory.remember_many([f"Berth {number} is free" for number in range(6)])
        for _ in range(3):
            memory.recall("the red boat", k=2)
            memory.flush()
        memory.forget(ids=["gone"], reason="asked for")
        replaced = memory.compact(everything).replaced if compact else 0
        snapshot = memory.snapshot().position
        then = memory.digest()
        memory.revise("deck", content="Wash the deck again")
        memory.recall("lighthouse", k=1)
    with AgentMemory(path, read_only=True) as memory:
        return Told(
            memory.position,
            memory.head().chain.hex(),
            memory.digest(),
            snapshot,
            then,
            replaced,
            {node.id: node.content for node in memory},
            {question: memory.recall(question, k=1, reinforce=False)[0].node_id for question in QUESTIONS},
            {node.id: node.access_count for node in memory},
        )


if __name__ == "__main__":
    if "memories" in sys.argv[1:]:
        write_memories()
    else:
        for old in (*GOLDEN.glob("*.bin"), STORE):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        for name, record in RECORDS.items():
            (GOLDEN / f"record-{name}.bin").write_bytes(record)
        (GOLDEN / "frame.bin").write_bytes(frame_bytes())
        write_store(STORE)
