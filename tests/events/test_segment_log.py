"""The segment store: the contract, its directory, other writers, and what is found at the end of a log."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memorygraph.events import frames as frames_module
from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import (
    DamagedLog,
    ForeignStore,
    LogFailed,
    MemoryGraphError,
    NewerFormat,
    StoreError,
    StoreNotFound,
    StoreReadOnly,
)
from memorygraph.events.stores import MemoryLog, SegmentLog
from memorygraph.events.stores.directory import StoreDirectory
from memorygraph.events.stores.segment_file import SegmentName
from tests.events.faulty_disk import NoSyncDisk
from tests.events.log_contract import MEMORY_ID, LogContract, contents, fill, put

FIRST_SEGMENT = "log/00000000000000000001.seg"


class TestSegmentLog(LogContract):
    @pytest.fixture
    def make_log(self, tmp_path):
        made = iter(range(100))
        return lambda memory_id: SegmentLog.open(tmp_path / f"store-{next(made)}", memory_id=memory_id)


class TestSmallSegments(LogContract):
    """Nearly every frame starts a segment."""

    @pytest.fixture
    def make_log(self, tmp_path):
        made = iter(range(100))
        return lambda memory_id: SegmentLog.open(
            tmp_path / f"store-{next(made)}", memory_id=memory_id, segment_bytes=400, disk=NoSyncDisk()
        )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


def open_quickly(path: Path, **options: object) -> SegmentLog:
    return SegmentLog.open(path, disk=NoSyncDisk(), **options)


# -- opening ------------------------------------------------------------------------------------------------------


def test_a_store_opens_again_with_all_it_had(path):
    log = SegmentLog.open(path / "with" / "parents", segment_bytes=1000)
    records = fill(log, 20)
    head, frames = log.head, list(log.frames())
    log.close()
    again = SegmentLog.open(path / "with" / "parents", create=False)
    assert (again.head, again.memory_id, again.notes) == (head, log.memory_id, ())
    assert contents(again) == records
    assert list(again.frames()) == frames
    assert again.verify().whole
    assert len(again._tail.segments) > 3


def test_a_small_store_takes_kilobytes(path):
    log = SegmentLog.open(path)
    fill(log, 20)
    assert sum(file.stat().st_blocks * 512 for file in path.rglob("*")) <= 64 << 10
    assert log.size_bytes() == 16 << 10


def test_a_file_grows_in_steps(path):
    log = open_quickly(path)
    sizes = set()
    for _ in range(55):
        put(log, bytes(1000))
        sizes.add(log.size_bytes())
    assert sizes == {16 << 10, 32 << 10, 64 << 10}
    put(log, bytes(5 << 20))
    put(log, bytes(1))
    assert (5 << 20) < log.size_bytes() <= (9 << 20) + (128 << 10)  # large files are filled ahead, by 3 MiB at most


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
def test_nothing_there(path, options):
    with pytest.raises(StoreNotFound, match="no memory here"):
        SegmentLog.open(path, **options)
    assert not path.exists()
    path.mkdir()
    with pytest.raises(StoreNotFound):
        SegmentLog.open(path, **options)
    assert not list(path.iterdir())


def test_an_empty_directory_becomes_a_store(path):
    path.mkdir()
    put(SegmentLog.open(path), b"a")
    assert contents(SegmentLog.open(path)) == [b"a"]


def test_other_peoples_files_are_not_touched(path):
    path.mkdir()
    (path / "thesis.txt").write_text("do not lose")
    with pytest.raises(ForeignStore, match=r"thesis\.txt"):
        SegmentLog.open(path)
    with pytest.raises(ForeignStore, match="is a file"):
        SegmentLog.open(path / "thesis.txt")
    assert [file.name for file in path.iterdir()] == ["thesis.txt"]


def test_a_directory_that_only_has_a_log_folder_is_not_ours(path):
    (path / "log").mkdir(parents=True)
    (path / "log" / "server.log").touch()
    with pytest.raises(ForeignStore):
        SegmentLog.open(path)
    assert not (path / "lock").exists()


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\0", '{"format": "memorygraph", "version": 1}', '{"format": 7}'])
def test_a_memory_file_of_something_else(path, content):
    path.mkdir()
    (path / "MEMORY").write_text(content)
    with pytest.raises(ForeignStore):
        SegmentLog.open(path)


def test_a_newer_format_is_named(path):
    put(SegmentLog.open(path), b"a")
    memory = path / "MEMORY"
    memory.write_text(memory.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(NewerFormat, match="newer release"):
        SegmentLog.open(path)


def test_another_memory_than_asked_for(path):
    SegmentLog.open(path)
    with pytest.raises(ForeignStore, match="another memory"):
        SegmentLog.open(path, memory_id=MEMORY_ID)


def test_a_directory_that_cannot_be_read(path, monkeypatch):
    def refuse(_disk: OsDisk, path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    put(SegmentLog.open(path), b"a")
    monkeypatch.setattr(OsDisk, "listdir", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        SegmentLog.open(path)


def test_a_lost_memory_file_is_made_again_from_the_log(path):
    log = SegmentLog.open(path)
    records = fill(log)
    (path / "MEMORY").unlink()
    with pytest.raises(StoreNotFound):
        SegmentLog.open(path, read_only=True)
    again = SegmentLog.open(path)
    assert (again.memory_id, contents(again)) == (log.memory_id, records)


# -- other writers and readers ------------------------------------------------------------------------------------


def test_two_logs_of_one_store_take_turns(path):
    one, two = (SegmentLog.open(path, segment_bytes=600) for _ in range(2))
    for n in range(20):
        put((one, two)[n % 2], f"record {n}".encode() * 5)
    assert one.refresh() == two.refresh()
    assert contents(one) == contents(two) == [f"record {n}".encode() * 5 for n in range(20)]
    assert one.verify().whole


def test_a_reader_follows_without_writing(path):
    writer = SegmentLog.open(path, segment_bytes=600)
    reader = SegmentLog.open(path, read_only=True)
    with pytest.raises(StoreReadOnly), reader.lock():
        pass
    for n in range(10):
        put(writer, b"x" * 100)
        assert reader.refresh() == writer.head
        assert len(contents(reader)) == n + 1
    assert reader.wait(9, timeout_s=60).position == 10


def test_readers_need_no_lock_file(path):
    put(SegmentLog.open(path), b"a")
    (path / "lock").unlink()
    assert contents(SegmentLog.open(path, read_only=True)) == [b"a"]
    assert not (path / "lock").exists()


def next_frame_of(writer: SegmentLog, record: bytes) -> bytes:
    """Encode the frame that would come next, without writing it."""
    source = MemoryLog(writer.memory_id)
    for frame in writer.frames():
        with source.lock():
            source.adopt(frame)
    put(source, record)
    return list(source.frames())[-1]


def test_a_frame_is_not_there_for_readers_before_it_is_durable(path):
    writer = SegmentLog.open(path)
    put(writer, b"a")
    reader = SegmentLog.open(path, read_only=True)
    frame = next_frame_of(writer, b"b" * 50)
    offset = writer._tail.offset
    with (path / FIRST_SEGMENT).open("r+b", buffering=0) as file:
        for size in range(0, len(frame), 7):
            file.seek(offset)
            file.write(frame[:size])
            assert reader.refresh().position == 1
        assert "in progress" in SegmentLog.open(path, read_only=True).notes[0]
        file.seek(offset)
        file.write(frame)
    assert reader.refresh().position == 1  # its writer did not say that it is
    assert SegmentLog.open(path, read_only=True).head.position == 2  # who opens the log makes it so
    assert put(writer, b"c").position == 3  # and so does the next writer
    assert reader.refresh() == writer.head
    assert contents(reader) == [b"a", b"b" * 50, b"c"]


def test_what_another_writer_took_back_is_noticed(path):
    writer = SegmentLog.open(path)
    put(writer, b"a")
    frame, offset = next_frame_of(writer, b"b"), writer._tail.offset
    with (path / FIRST_SEGMENT).open("r+b", buffering=0) as file:
        file.seek(offset)
        file.write(frame)
        reader = SegmentLog.open(path, read_only=True)
        assert reader.head.position == 2
        file.seek(offset)
        file.write(bytes(len(frame)))  # its sync failed
    put(writer, b"another")
    put(writer, b"and more")
    with pytest.raises(LogFailed, match="open the memory anew"):
        reader.refresh()
    assert contents(SegmentLog.open(path, read_only=True)) == [b"a", b"another", b"and more"]


def test_a_far_read_does_not_start_at_the_beginning(path):
    log = open_quickly(path)
    for n in range(300):
        put(log, f"{n}".encode() * 300)
    again = SegmentLog.open(path)
    assert contents(again, 250, 250) == contents(log, 250, 250)  # now the way is known
    assert again._tail.file.waypoint(240)[1] > 200
    assert log._tail.file.waypoint(290)[1] > 200
    for first in range(1, 301, 13):
        assert contents(log, first, first) == [f"{first - 1}".encode() * 300]


ops = st.lists(
    st.one_of(
        st.lists(st.binary(max_size=300), min_size=1, max_size=4),
        st.sampled_from(["reopen", "other", "refresh", "verify"]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ops=ops)
def test_it_is_the_same_as_the_oracle(ops, tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    oracle = MemoryLog(MEMORY_ID)
    log = other = open_quickly(path, memory_id=MEMORY_ID, segment_bytes=700)
    for n, op in enumerate(ops):
        if op == "reopen":
            log.close()
            log = other = open_quickly(path, create=False, segment_bytes=700)
        elif op == "other":
            log, other = (open_quickly(path, segment_bytes=700) if other is log else other), log
        elif op == "refresh":
            log.refresh()
        elif op == "verify":
            assert log.verify().whole
        else:
            assert put(log, *op, time_us=n) == put(oracle, *op, time_us=n)
    assert log.refresh() == oracle.head
    assert list(log.frames()) == list(oracle.frames())
    assert contents(log) == contents(oracle)
    assert log.notes == ()
    shutil.rmtree(path)


# -- torn tails and damage ----------------------------------------------------------------------------------------


@pytest.fixture
def stored(path):
    """A store of six frames (2 records each), the bytes of its segment, and where each frame ends."""
    log = open_quickly(path)
    ends = []
    for n in range(6):
        put(log, b"first %d" % n, b"second %d" % n)
        ends.append(log._tail.offset)
    log.close()
    forget_commit_point(path)
    return path / FIRST_SEGMENT, (path / FIRST_SEGMENT).read_bytes(), ends


def forget_commit_point(path: Path) -> None:
    """Leave the log as a power cut may: its last frames are there, that they were durable is not known."""
    (path / "lock").unlink()


@pytest.mark.parametrize("tear", [lambda data, at: data[:at], lambda data, at: data[:at] + bytes(len(data) - at)])
def test_a_tear_at_any_byte_loses_only_what_it_hit(stored, tear):
    segment, data, ends = stored
    for at in range(ends[2], ends[5] + 1):
        segment.write_bytes(tear(data, at))
        forget_commit_point(segment.parent.parent) if at > ends[2] else None
        log = open_quickly(segment.parent.parent)
        whole = sum(end <= at for end in ends)
        assert log.head.position == 2 * whole
        torn = data[ends[whole - 1] : at].rstrip(b"\0")
        copies = list(segment.parent.glob("*.torn-*"))
        assert [copy.read_bytes() for copy in copies] == ([torn] if torn else [])
        assert [copies[0].name in note for note in log.notes] == ([True] if torn else [])
        put(log, b"next", b"and next")
        again = open_quickly(segment.parent.parent)
        assert (again.head.position, again.notes) == (2 * whole + 2, ())
        for copy in copies:
            copy.unlink()


@pytest.mark.parametrize("tear", [lambda data, at: data[:at], lambda data, at: data[:at] + bytes(len(data) - at)])
def test_a_tear_in_what_was_acknowledged_is_damage(path, tear):
    log = open_quickly(path)
    for n in range(3):
        put(log, b"record %d" % n)
    data, ends, lock = (path / FIRST_SEGMENT).read_bytes(), log._tail, (path / "lock").read_bytes()
    for at in range(ends.frame_at, ends.offset):
        (path / FIRST_SEGMENT).write_bytes(tear(data, at))
        for read_only in (True, False):
            log = open_quickly(path, read_only=read_only)
            assert (log.read_only, log.head.position) == (True, 2)
            assert f"byte {ends.frame_at}" in log.notes[0]
            assert "durable up to position 3" in log.notes[0]
            assert not log.verify().whole
        assert (path / FIRST_SEGMENT).read_bytes() == tear(data, at), "damage must never be cut"
        assert (path / "lock").read_bytes() == lock


def test_every_flipped_bit_in_the_last_acknowledged_frame_is_found(path):
    log = open_quickly(path)
    put(log, b"first")
    put(log, b"last")
    data, tail = (path / FIRST_SEGMENT).read_bytes(), log._tail
    for bit in range(tail.frame_at * 8, tail.offset * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (path / FIRST_SEGMENT).write_bytes(flipped)
        log = open_quickly(path)
        assert (log.read_only, log.head.position) == (True, 1)
        assert (path / FIRST_SEGMENT).read_bytes() == flipped


def test_a_damaged_commit_point_is_not_trusted(path):
    log = open_quickly(path)
    records = fill(log)
    lock = (path / "lock").read_bytes()
    for at in range(110):
        (path / "lock").write_bytes(lock[:at] + bytes([lock[at] ^ 1 if at < len(lock) else 1]) + lock[at + 1 :])
        again = open_quickly(path)
        assert (again.read_only, again.notes, contents(again)) == (False, (), records)


def test_torn_copies_are_never_overwritten(stored):
    segment, data, ends = stored
    for n in range(3):
        segment.write_bytes(data[: ends[4]] + bytes([n + 1]) * 9)
        open_quickly(segment.parent.parent)
        forget_commit_point(segment.parent.parent)
    copies = sorted(segment.parent.glob("*.torn-*"))
    assert [copy.read_bytes() for copy in copies] == [b"\1" * 9, b"\2" * 9, b"\3" * 9]


def test_a_tear_whose_first_sector_never_reached_the_disk_is_cut_too(stored):
    segment, data, ends = stored
    at = ends[4]
    segment.write_bytes(data[:at] + bytes(100) + data[at + 100 :])
    log = open_quickly(segment.parent.parent)
    assert (log.head.position, len(log.notes)) == (10, 1)


def undetected_flips(segment: Path, data: bytes, ends: list[int]) -> int:
    """Flip a bit of each byte of the log before its last frame; count those after which the log seems whole."""
    dice = random.Random(5)
    undetected = 0
    for at in range(ends[4]):
        flipped = bytearray(data)
        flipped[at] ^= 1 << dice.randrange(8)
        segment.write_bytes(flipped)
        try:
            log = open_quickly(segment.parent.parent)
        except DamagedLog:
            assert at < 128
            continue
        finally:
            assert segment.read_bytes() == flipped, "damage must never be cut"
        frame = sum(end <= at for end in ends)
        seen = (
            log.read_only
            and log.head.position == 2 * frame
            and f"byte {ends[frame - 1] if frame else 128}" in log.notes[0]
        )
        undetected += not (seen and not log.verify().whole and log.verify().frames == 5)
    return undetected


def test_every_flipped_bit_before_the_last_frame_is_found_and_nothing_is_cut(stored):
    assert undetected_flips(*stored) == 0


def test_a_checksum_of_the_header_only_would_be_noticed(stored, monkeypatch):
    real = frames_module.crc32c
    monkeypatch.setattr(frames_module, "crc32c", lambda data: real(data[:88]))
    segment, _, _ = stored
    shutil.rmtree(segment.parent.parent)
    log = open_quickly(segment.parent.parent)
    ends = []
    for n in range(6):
        put(log, b"first %d" % n, b"second %d" % n)
        ends.append(log._tail.offset)
    assert undetected_flips(segment, segment.read_bytes(), ends) > 0


def test_a_damaged_log_reads_up_to_the_damage_and_refuses_writes(stored):
    segment, data, ends = stored
    segment.write_bytes(data[: ends[1] + 5] + b"?" + data[ends[1] + 6 :])
    log = open_quickly(segment.parent.parent)
    assert contents(log) == [b"first 0", b"second 0", b"first 1", b"second 1"]
    assert log.refresh().position == 4
    with pytest.raises(StoreReadOnly, match=f"byte {ends[1]}"), log.lock():
        pass
    report = log.verify()
    assert (report.head.position, report.frames, report.records) == (4, 5, 10)
    assert [damage.position for damage in report.damage] == [5]
    assert f"byte {ends[1]}" in report.damage[0].where


@pytest.mark.parametrize("which", [2, 5])
def test_damage_that_comes_while_the_log_is_open(stored, which):
    segment, data, ends = stored
    segment.write_bytes(data[: ends[1]].ljust(len(data), b"\0"))
    log, writer = (open_quickly(segment.parent.parent, read_only=mode) for mode in (True, False))
    other = open_quickly(segment.parent.parent)
    for n in range(2, 6):
        put(other, b"first %d" % n, b"second %d" % n)
    at = ends[which - 1] + 5
    data = segment.read_bytes()
    segment.write_bytes(data[:at] + b"?" + data[at + 1 :])
    with pytest.raises(DamagedLog, match=f"byte {ends[which - 1]}"):
        log.refresh()
    assert log.refresh().position == 4
    with pytest.raises(DamagedLog), writer.lock():
        pass
    with pytest.raises(StoreReadOnly), writer.lock():
        pass
    assert b"?" in segment.read_bytes()[ends[1] :]


@pytest.fixture
def segments(path):
    log = open_quickly(path, segment_bytes=500)
    for n in range(12):
        put(log, b"record %02d" % n * 10)
    log.close()
    return sorted((path / "log").iterdir())


def test_damage_in_an_older_segment_is_found_by_reading_and_verifying(segments):
    data = bytearray(segments[1].read_bytes())
    data[200] ^= 4
    segments[1].write_bytes(data)
    log = open_quickly(segments[0].parent.parent)
    assert log.head.position == 12
    first = int(segments[1].stem)
    with pytest.raises(DamagedLog, match=segments[1].name) as caught:
        contents(log)
    assert caught.value.about["position"] == first
    assert contents(log, int(segments[2].stem))
    report = log.verify()
    assert report.head.position == first - 1
    assert [damage.position for damage in report.damage] == [first]
    assert report.frames == 11


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_segment_is_found_by_reading_and_verifying(segments, which):
    segments[which].unlink()
    log = open_quickly(segments[0].parent.parent)
    with pytest.raises(DamagedLog):
        contents(log)
    assert not log.verify().whole


def test_a_damaged_last_header_leaves_the_segments_before(segments):
    data = bytearray(segments[-1].read_bytes())
    data[40] ^= 1
    segments[-1].write_bytes(data)
    log = open_quickly(segments[0].parent.parent)
    assert log.read_only
    assert log.head.position == int(segments[-1].stem) - 1
    assert segments[-1].name in log.notes[0]
    assert not log.verify().whole


def test_segments_of_another_log_are_not_mixed_in(segments, tmp_path):
    other = open_quickly(tmp_path / "other", segment_bytes=500)
    for n in range(12):
        put(other, b"another %d" % n * 10)
    shutil.copy(tmp_path / "other" / "log" / segments[1].name, segments[1])
    log = open_quickly(segments[0].parent.parent)
    with pytest.raises(DamagedLog, match="belongs elsewhere"):
        contents(log)
    assert not log.verify().whole


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_of_the_files_raises_anything_but_our_errors(stored, data):
    segment, whole, _ = stored
    root = segment.parent.parent
    target = data.draw(st.sampled_from([segment, root / "MEMORY"]))
    original = target.read_bytes()
    at = data.draw(st.integers(0, min(len(original), 1200)))
    mutated = original[:at] + data.draw(st.binary(max_size=40)) + original[at + data.draw(st.integers(0, 40)) :]
    target.write_bytes(mutated)
    try:
        log = open_quickly(root, read_only=True)
        list(log.read())
        log.verify()
    except MemoryGraphError as error:
        assert str(error)  # noqa: PT017 - any number of outcomes is fine, but only with our errors
    finally:
        target.write_bytes(original)
    assert segment.read_bytes() == whole


def test_the_directory_sorts_its_segments(path):
    log = open_quickly(path, segment_bytes=300)
    for _ in range(12):
        put(log, bytes(250))
    (path / "log" / f"{99:020d}.seg.tmp").touch()
    assert StoreDirectory(OsDisk(), path).segments() == tuple(SegmentName(n) for n in range(1, 13))


@pytest.mark.parametrize("which", [0, 1, 3])
def test_a_log_goes_on_read_only_before_damage_that_a_read_has_met(segments, which):
    data = bytearray(segments[which].read_bytes())
    data[200 if which != 3 else 40] ^= 4
    segments[which].write_bytes(data)
    log = open_quickly(segments[0].parent.parent)
    with pytest.raises(DamagedLog) as caught:
        contents(log)
    first = int(segments[which].stem)
    log.salvage(caught.value)
    assert (log.read_only, log.head.position) == (True, first - 1)
    assert contents(log) == [b"record %02d" % n * 10 for n in range(first - 1)]
    assert "read-only up to there" in log.notes[0]
    assert log.refresh() == log.head
    with pytest.raises(StoreReadOnly), log.lock():
        pass
