"""A state that was written and read back says the same and goes on the same, whatever was shared on the way."""

from __future__ import annotations

from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events.errors import DamagedSnapshot
from memorygraph.events.stores.snapshots import MemorySnapshots
from memorygraph.projections import snapshot_writer
from memorygraph.projections.digest import DigestCache
from memorygraph.projections.frame import Frame
from memorygraph.projections.graph import GraphState
from memorygraph.projections.recall import RecallIndex
from memorygraph.projections.sharing import held_by, sharing
from memorygraph.projections.snapshot_format import OBJECTS, Manifest, Part, read_manifest
from memorygraph.projections.snapshot_reader import read_part, restored
from memorygraph.projections.snapshot_writer import Shelf, SnapshotWriter, views
from tests.projections.graph_model import Writer, check_whole, chunks_of, contents

MEMORY_ID = bytes(range(16))
CHAIN = bytes(32)
randoms = st.randoms(use_true_random=False)


@pytest.fixture(autouse=True, params=[2, 12], scope="module")
def chunk_bits(request):
    with chunks_of(request.param):
        yield request.param


@pytest.fixture(autouse=True)
def sharing_of_small_files(monkeypatch):
    """The manifest is most of a small file; sharing is what these tests are about."""
    monkeypatch.setattr(snapshot_writer, "LIVE_SHARE_MIN", 0.0)


def save(frame: Frame, files: MemorySnapshots, shelf: Shelf, parts: dict[str, Part] | None = None) -> SnapshotWriter:
    writer = SnapshotWriter(frame, memory_id=MEMORY_ID, chain=CHAIN, parts=parts or {}, shelf=shelf, files=files)
    for _ in writer.steps():
        pass
    assert writer.manifest == read_manifest(files, frame.position, MEMORY_ID)
    return writer


def stored(frame: Frame) -> tuple[MemorySnapshots, Manifest]:
    files = MemorySnapshots()
    manifest = save(frame, files, Shelf()).manifest
    assert manifest is not None
    return files, manifest


def digest(frame: Frame) -> str:
    return DigestCache().digest(frame)


def history(random: Random, steps: int, snapshots: int, *, read_back: float = 0.5) -> None:
    """Write a random history with snapshots that share, going on from a snapshot that was read back now and then."""
    writer, files, shelf = Writer(random), MemorySnapshots(), Shelf()
    for _ in range(snapshots):
        for _ in range(random.randint(0, steps)):
            writer.step()
            if random.random() < 0.3:
                writer.state.publish()
        frame = writer.state.publish()
        manifest = save(frame, files, shelf).manifest
        assert manifest is not None
        state = restored(manifest, files)
        assert_same(state, frame, writer)
        shelf = Shelf.of(manifest, frame)
        if random.random() < read_back:
            writer.state, shelf = state, Shelf.of(manifest, state.publish())
    replayed = GraphState()
    for record in writer.records:
        replayed.apply(*record)
    assert digest(replayed.publish()) == digest(writer.state.publish())


def assert_same(state: GraphState, frame: Frame, writer: Writer) -> None:
    again = state.publish()
    assert contents(again) == contents(frame) == writer.model.copy()
    assert digest(again) == digest(frame)
    assert (again.position, again.changes, again.name, again.language) == (
        frame.position,
        frame.changes,
        frame.name,
        frame.language,
    )
    assert again.edge_names == frame.edge_names
    assert list(again.times_us) == list(frame.times_us)
    check_whole(again)


@given(randoms, st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=30)
def test_what_is_read_back_says_the_same_and_goes_on_the_same(random, steps, snapshots) -> None:
    history(random, steps, snapshots)


def test_a_long_history_with_few_pieces_and_files(monkeypatch) -> None:
    monkeypatch.setattr(snapshot_writer, "PIECES_MAX", 2)
    monkeypatch.setattr(snapshot_writer, "FILES_MAX", 3)
    for seed in range(6):
        history(Random(seed), 8, 12)


def histories(count: int) -> None:
    for seed in range(count):
        history(Random(seed), 8, 4)


def always_known(shelf: Shelf, source: snapshot_writer.Source) -> snapshot_writer.Pieces:
    """The mutant: a chunk is taken for unchanged if it was stored once, whatever became of its array."""
    _, pieces = shelf._chunks.get(source.key, (None, None))
    return pieces


def test_sharing_a_chunk_that_changed_is_caught(monkeypatch) -> None:
    monkeypatch.setattr(Shelf, "pieces_of", always_known)
    with pytest.raises((AssertionError, DamagedSnapshot)):
        histories(5)


def grown(steps: int, seed: int = 3) -> Writer:
    writer = Writer(Random(seed))
    for _ in range(steps):
        writer.step()
    return writer


def test_what_did_not_change_is_not_written_again(chunk_bits) -> None:
    writer, files = grown(80), MemorySnapshots()
    frame = writer.state.publish()
    first = save(frame, files, Shelf())
    again = save(writer.state.publish(), MemorySnapshots(), Shelf())
    assert again.written_bytes == first.written_bytes, "the same state gives the same bytes"
    shelf = Shelf.of(first.manifest, frame)
    writer.step()
    second = save(writer.state.publish(), files, shelf)
    assert second.manifest.files() == {frame.position, frame.position + 1}
    blobs = sum(piece.size_bytes for piece in second.manifest.pieces() if piece.file == frame.position + 1)
    assert blobs < first.manifest.size_bytes() * (0.8 if chunk_bits == 2 else 1.0)


def test_another_process_shares_by_hash() -> None:
    files, manifest = stored(grown(60).state.publish())
    shelf = Shelf()
    shelf.add(manifest)
    other = grown(60)  # the same history, replayed: equal bytes in other arrays
    other.step()
    written = save(other.state.publish(), files, shelf)
    shared = [piece for piece in written.manifest.pieces() if piece.file == manifest.position]
    assert shared
    assert contents(restored(written.manifest, files).publish()) == other.model.copy()


def test_a_file_of_which_little_is_used_is_left(monkeypatch) -> None:
    monkeypatch.setattr(snapshot_writer, "LIVE_SHARE_MIN", 0.4)
    writer, files = grown(40), MemorySnapshots()
    frame = writer.state.publish()
    shelf = Shelf.of(save(frame, files, Shelf()).manifest, frame)
    files._files[frame.position] += bytes(10**6)  # as if much of it belonged to blobs that nobody uses
    writer.step()
    assert save(writer.state.publish(), files, shelf).manifest.files() == {writer.state.position}


def test_stopping_a_writer_leaves_nothing() -> None:
    files = MemorySnapshots()
    for steps_done in range(1, 4):
        writer = SnapshotWriter(
            grown(50).state.publish(), memory_id=MEMORY_ID, chain=CHAIN, parts={}, shelf=Shelf(), files=files
        )
        steps = writer.steps()
        for _ in zip(range(steps_done), steps, strict=False):
            pass
        if writer.manifest is None:
            steps.close()
            assert files.positions() == []


def test_every_object_column_has_its_type_and_every_field_is_stored_or_derived() -> None:
    frame = grown(5).state.publish()
    objects = {(table, name) for table, view in views(frame).items() for name in view.kinds if view.kinds[name] == "|O"}
    assert objects | {("ids", "id")} == set(OBJECTS)
    stored = {*(field.name for field in msgspec.structs.fields(Manifest))} - {
        "version",
        "memory_id",
        "chain",
        "tables",
        "parts",
    }
    tables = {"nodes", "edges", "texts", "labels", "vectors", "interner", "times_us"}
    tables |= {"replaced_told", "content_left"}  # in the manifest's ``replaced``
    derived = {"edge_names", "adjacency", "_partition_codes", "_expiries", "traces", "has_archive"}
    never_there = {"pending", "_expires_us"}  # no snapshot is written while a space is filled, nor of a fork
    of_one_reading = {"is_stale", "was_published"}  # a snapshot of a stale state is not written
    of_one_record = {"_tried_out", "_time_us", "_edge_ordinal", "_handlers"}
    assert set(vars(GraphState())) == stored | tables | derived | never_there | of_one_reading | of_one_record, (
        "does a snapshot know of the new field?"
    )


def test_a_file_with_any_byte_changed_or_cut_is_refused_or_says_the_same() -> None:
    writer = grown(30)
    files, manifest = stored(writer.state.publish())
    whole = files._files[manifest.position]
    random = Random(4)
    refused = 0
    for place in [*range(40), *range(len(whole) - 80, len(whole)), *(random.randrange(len(whole)) for _ in range(300))]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << random.randrange(8)
        refused += is_refused(bytes(damaged), manifest, writer)
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        refused += is_refused(whole[:length], manifest, writer)
    assert refused > 400


def is_refused(data: bytes, manifest: Manifest, writer: Writer) -> bool:
    files = MemorySnapshots()
    files._files[manifest.position] = data
    try:
        state = restored(read_manifest(files, manifest.position, MEMORY_ID), files)
    except DamagedSnapshot:
        return True
    assert contents(state.publish()) == writer.model.copy()
    return False


def test_reading_without_the_checksum_is_caught(monkeypatch) -> None:
    monkeypatch.setattr("memorygraph.projections.snapshot_format.crc32c", lambda _: _Any())
    with pytest.raises((AssertionError, IndexError, KeyError)):
        test_a_file_with_any_byte_changed_or_cut_is_refused_or_says_the_same()


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def forged(manifest: Manifest, random: Random) -> Manifest:
    """Change one thing at random in a manifest, as somebody does who can compute checksums."""
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(manifest))
    place, key = plain, random.choice(list(plain))
    while isinstance(place[key], dict | list) and place[key] and random.random() < 0.9:
        place = place[key]
        key = random.choice(list(place) if isinstance(place, dict) else range(len(place)))
    place[key] = random.choice(
        [
            0,
            1,
            -1,
            2**31,
            2**62,
            "",
            "x",
            b"",
            None,
            [],
            {},
            [[0, 0, 0, 0, 0, b""]],
            random.choice(list(plain.values())),
        ]
    )
    return msgspec.msgpack.decode(msgspec.msgpack.encode(plain), type=Manifest)


def test_forged_manifests_raise_named_errors_alone() -> None:
    writer = grown(40)
    files, manifest = stored(writer.state.publish())
    random = Random(11)
    refused = 0
    for _ in range(600):
        try:
            changed = forged(manifest, random)
        except (msgspec.ValidationError, TypeError, ValueError, OverflowError):
            continue
        try:
            frame = restored(changed, files).publish()
        except DamagedSnapshot:
            refused += 1
        else:
            check_whole(frame)
    assert refused > 50


def test_a_manifest_of_another_memory_or_position_or_format_is_refused() -> None:
    files, manifest = stored(grown(3).state.publish())
    with pytest.raises(DamagedSnapshot, match="another memory"):
        read_manifest(files, manifest.position, bytes(16))
    files._files[9] = files._files[manifest.position]
    with pytest.raises(DamagedSnapshot, match="cannot be used"):
        read_manifest(files, 9, MEMORY_ID)
    with pytest.raises(DamagedSnapshot, match="there is no snapshot of position 8"):
        read_manifest(files, 8, MEMORY_ID)


def test_parts_are_kept_by_name_and_version() -> None:
    writer, files = grown(5), MemorySnapshots()
    made: list[str] = []

    def part(version: str, *names: str) -> Part:
        def encoder(name: str):
            return lambda: made.append(name) or name.encode() * 10

        return Part(version, 7, {name: encoder(name) for name in names})

    frame = writer.state.publish()
    manifest = save(frame, files, Shelf(), {"p": part("1", "a", "b")}).manifest
    assert read_part(manifest, files, "p", "1") == {"a": b"a" * 10, "b": b"b" * 10}
    assert read_part(manifest, files, "p", "2") is None
    assert read_part(manifest, files, "q", "1") is None
    writer.step()
    later = save(writer.state.publish(), files, Shelf.of(manifest, frame), {"p": part("1", "b", "c")}).manifest
    assert read_part(later, files, "p", "1") == {"b": b"b" * 10, "c": b"c" * 10}
    assert made == ["a", "b", "c"], "what is stored under a name is not made again"
    save(writer.state.publish(), MemorySnapshots(), Shelf.of(later, frame), {"p": part("2", "b")})
    assert made == ["a", "b", "c", "b"]


def index_of(frame: Frame) -> RecallIndex:
    index = RecallIndex("en")
    index.catch_up(frame)
    return index


def test_an_index_that_was_kept_finds_the_same_and_grows_on() -> None:
    writer, files, shelf = grown(40, seed=8), MemorySnapshots(), Shelf()
    index = RecallIndex("en")
    for _ in range(6):
        for _ in range(8):
            writer.step()
        frame = writer.state.publish()
        while not index.catch_up(frame, rows_max=2):
            pass
        manifest = save(frame, files, shelf, {"index": index.part(frame)}).manifest
        shelf = Shelf.of(manifest, frame)
        blobs = read_part(manifest, files, "index", index.version)
        again = RecallIndex("en")
        again.restore(blobs)
        assert again.lexical.count == frame.texts.count
        assert not [name for name in blobs if name.startswith("texts")][5:], "few parts"
        for text in ("cat", "two dogs", "bob"):
            vector = np.array([0.5, -1.0, 2.0], dtype=np.float32)
            found = [index_of(frame), again, index]
            assert len({str(each.recall(frame, text, vector, k=9)) for each in found}) == 1
        index = again


@pytest.mark.parametrize("damage", [b"", b"\x90", b"nonsense", None])
def test_an_index_that_cannot_be_read_is_made_anew(damage) -> None:
    frame = grown(40).state.publish()
    index = index_of(frame)
    blobs = {name: make() for name, make in index.part(frame).blobs.items()}
    name = next(iter(blobs))
    blobs[name] = damage if damage is not None else index.lexical.dump(1, frame.texts.count)
    again = RecallIndex("en")
    with pytest.raises(ValueError, match="postings"):
        again.restore(blobs)
    assert again.recall(frame, "cat", None, k=9) == index.recall(frame, "cat", None, k=9)


def test_a_frame_of_the_past_shares_what_is_equal() -> None:
    writer = grown(60)
    state = GraphState()
    for record in writer.records[:40]:
        state.apply(*record)
    past, live = state.publish(), writer.state.publish()
    shared, serves = sharing(past, live)
    assert contents(shared) == contents(past)
    check_whole(shared)
    assert digest(shared) == digest(past)
    assert serves
    assert (shared.interner, shared.times_us, shared.adjacency) == (live.interner, live.times_us, live.adjacency)
    mine = {id(part) for part in held_by(past)} - {id(part) for part in held_by(live)}
    assert len({id(part) for part in held_by(shared)} - {id(part) for part in held_by(live)}) < len(mine)


def test_a_frame_of_another_history_shares_nothing_that_differs() -> None:
    some, other = grown(40, seed=1).state.publish(), grown(60, seed=2).state.publish()
    shared, serves = sharing(some, other)
    assert contents(shared) == contents(some)
    assert digest(shared) == digest(some)
    assert not serves
