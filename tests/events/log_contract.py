"""The contract of the ``EventLog`` port: every store's tests inherit ``LogContract``."""

from __future__ import annotations

import threading
import time
from hashlib import sha256

import msgpack
import pytest

from memorygraph.events.errors import BatchTooLarge, ClosedError, DamagedLog, InputError
from memorygraph.events.frames import FRAME_BYTES_MAX, NO_CHAIN
from memorygraph.events.log import EventLog, Head

MEMORY_ID = bytes(range(16))


def put(log: EventLog, *records: bytes, time_us: int = 1_000_000) -> Head:
    """Append one frame under the lock."""
    with log.lock():
        return log.append(records, time_us)


def fill(log: EventLog, frames: int = 5) -> list[bytes]:
    """Append frames of 1, 2, 3, 1, 2, ... records; give all records."""
    records = []
    for n in range(frames):
        frame = [f"frame {n} record {i} ".encode() * (n + 1) for i in range(n % 3 + 1)]
        put(log, *frame, time_us=n)
        records += frame
    return records


def contents(log: EventLog, first: int = 1, last: int | None = None) -> list[bytes | None]:
    """Read the records' bytes, checking that the positions are dense."""
    entries = list(log.read(first, last))
    assert [entry.position for entry in entries] == list(range(max(first, 1), max(first, 1) + len(entries)))
    return [entry.data for entry in entries]


class LogContract:
    """What every store promises. A subclass gives the fixture ``make_log``: memory id -> a new, empty log."""

    @pytest.fixture
    def log(self, make_log):
        log = make_log(MEMORY_ID)
        yield log
        log.close()

    def test_a_new_log_is_empty(self, log):
        assert log.head == Head(0, NO_CHAIN, 1)
        assert log.memory_id == MEMORY_ID
        assert not log.read_only
        assert isinstance(log.location, str)
        assert log.notes == ()
        assert contents(log) == []
        assert list(log.frames()) == []
        assert log.verify().whole

    def test_positions_are_dense_and_heads_say_them(self, log):
        assert put(log, b"a").position == 1
        assert put(log, b"b", b"c").position == 3
        assert put(log, b"").position == 4
        assert log.head == log.refresh()
        assert contents(log) == [b"a", b"b", b"c", b""]

    def test_the_chain_follows_the_format(self, log):
        put(log, b"a", b"b", time_us=77)
        head = put(log, b"c", time_us=78)
        chain = NO_CHAIN
        for first, time_us, records in ((1, 77, [b"a", b"b"]), (3, 78, [b"c"])):
            fields = b"".join(
                value.to_bytes(size, "little") if isinstance(value, int) else value
                for value, size in ((len(records), 4), (1, 4), (MEMORY_ID, 16), (first, 8), (time_us, 8))
            )
            chain = sha256(chain + fields + b"".join(sha256(record).digest() for record in records)).digest()
        assert head.chain == chain

    def test_any_range_can_be_read(self, log):
        records = fill(log, 7)
        end = len(records)
        for first in range(end + 3):
            assert contents(log, first) == records[max(first, 1) - 1 :]
            for last in range(end + 3):
                assert contents(log, first, last) == records[max(first, 1) - 1 : last]

    def test_a_read_ends_at_the_head_it_began_with(self, log):
        put(log, b"a")
        entries = log.read()
        put(log, b"b")
        assert [entry.data for entry in entries] == [b"a"]

    def test_frames_start_at_the_one_that_holds_the_position(self, log):
        fill(log, 4)  # positions 1 | 2 3 | 4 5 6 | 7
        assert [len(list(log.frames(first))) for first in range(1, 9)] == [4, 3, 3, 2, 2, 2, 1, 0]
        frame = list(log.frames())[1]
        unpacker = msgpack.Unpacker()
        unpacker.feed(frame[96:])
        assert list(unpacker) == contents(log, 2, 3)

    def test_a_copy_made_of_frames_is_the_same_log(self, log, make_log):
        records = fill(log)
        copy = make_log(MEMORY_ID)
        for frame in log.frames():
            with copy.lock():
                head = copy.adopt(frame)
        assert head == copy.head == log.head
        assert contents(copy) == records
        assert list(copy.frames()) == list(log.frames())
        assert put(copy, b"next", time_us=5) == put(log, b"next", time_us=5)
        copy.close()

    def test_only_the_next_frame_of_the_same_log_is_adopted(self, log, make_log):
        fill(log, 3)
        frames = list(log.frames())
        copy = make_log(MEMORY_ID)
        foreign = make_log(bytes(16))
        fill(foreign, 1)
        with copy.lock():
            copy.adopt(frames[0])
            torn = frames[1][:-1]
            longer = frames[1] + b"x"
            flipped = frames[1][:-1] + bytes([frames[1][-1] ^ 1])
            for wrong in (frames[0], frames[2], torn, longer, flipped, b"", next(foreign.frames())):
                with pytest.raises(DamagedLog):
                    copy.adopt(wrong)
            copy.adopt(frames[1])
        other = make_log(MEMORY_ID)
        put(other, b"another first record")
        with other.lock(), pytest.raises(DamagedLog, match="chain"):
            other.adopt(frames[1])
        for made in (copy, foreign, other):
            made.close()

    def test_too_much_for_a_frame_is_refused_whole(self, log):
        with log.lock():
            with pytest.raises(BatchTooLarge):
                log.append([bytes(FRAME_BYTES_MAX - 95)], 1)
            with pytest.raises(BatchTooLarge):
                log.append([bytes(1 << 20)] * 16, 1)
            with pytest.raises(InputError):
                log.append([], 1)
            assert log.append([bytes(FRAME_BYTES_MAX - 101)], 1).position == 1
        assert log.verify().frames == 1

    def test_appending_needs_the_lock(self, log):
        with pytest.raises(RuntimeError):
            log.append([b"a"], 1)
        with pytest.raises(RuntimeError):
            log.adopt(b"")

    def test_the_lock_is_released_when_the_body_fails(self, log):
        with pytest.raises(KeyError), log.lock():
            raise KeyError
        assert put(log, b"a").position == 1

    def test_entering_the_lock_gives_the_head(self, log):
        put(log, b"a")
        with log.lock() as head:
            assert head == log.head

    def test_verify_tells_what_there_is(self, log):
        records = fill(log)
        report = log.verify()
        assert report.whole
        assert (report.head, report.records, report.frames) == (log.head, len(records), 5)
        assert report.size_bytes == sum(map(len, log.frames()))
        assert log.size_bytes() >= report.size_bytes

    def test_a_record_is_replaced_by_its_hash_and_the_chain_stays(self, log):
        records = fill(log, 6)  # positions 1 | 2 3 | 4 5 6 | 7 | 8 9 | 10 11 12
        before = log.head
        assert log.replace_by_hash([3, 4, 5, 6, 12]) == 5
        kept = [None if at in {3, 4, 5, 6, 12} else record for at, record in enumerate(records, 1)]
        assert contents(log) == kept
        assert contents(log, 3, 7) == kept[2:7]
        digests = {entry.position: entry.digest for entry in log.read() if entry.data is None}
        assert digests == {at: sha256(records[at - 1]).digest() for at in (3, 4, 5, 6, 12)}
        assert log.head == log.refresh() == before
        assert log.verify().whole
        assert log.verify().head == before
        assert all(records[at - 1] not in frame for at in (3, 4, 5, 6, 12) for frame in log.frames())

    def test_replacing_again_replaces_only_what_is_left(self, log):
        records = fill(log, 3)
        assert log.replace_by_hash([]) == 0
        assert log.replace_by_hash({2}) == 1
        assert log.replace_by_hash({2, 3}) == 1
        assert log.replace_by_hash({2, 3}) == 0
        assert contents(log) == [records[0], None, None, *records[3:]]

    def test_only_what_is_in_the_log_can_be_replaced(self, log):
        records = fill(log, 2)
        for wrong in (0, 4, -1):
            with pytest.raises(InputError, match=f"position {wrong} "):
                log.replace_by_hash([1, wrong])
        assert contents(log) == records

    def test_a_log_with_replaced_records_goes_on_and_can_be_copied(self, log, make_log):
        fill(log, 3)
        log.replace_by_hash([1, 5])
        put(log, b"next")
        copy = make_log(MEMORY_ID)
        for frame in log.frames():
            with copy.lock():
                copy.adopt(frame)
        assert copy.head == log.head
        assert contents(copy) == contents(log)
        copy.close()

    def test_a_read_under_way_ends_when_records_are_replaced(self, log):
        records = fill(log, 6)
        entries = log.read()
        first = next(entries)
        log.replace_by_hash(range(1, 13))
        rest = [entry.data for entry in entries]
        assert first.data == records[0]
        assert len(rest) == 11
        assert all(data in (None, record) for data, record in zip(rest, records[1:], strict=True))

    def test_wait_returns_at_once_when_there_is_more(self, log):
        put(log, b"a")
        assert log.wait(0, timeout_s=100).position == 1

    def test_wait_gives_up(self, log):
        put(log, b"a")
        assert log.wait(1, timeout_s=0.01).position == 1
        assert log.wait(1, timeout_s=0).position == 1

    def test_wait_is_woken_by_an_append(self, log):
        seen = []
        waiter = threading.Thread(target=lambda: seen.append(log.wait(0, timeout_s=60).position))
        waiter.start()
        time.sleep(0.01)
        put(log, b"a")
        waiter.join(30)
        assert seen == [1]

    def test_a_closed_log_refuses_everything_but_its_head(self, log):
        put(log, b"a")
        log.close()
        log.close()
        assert log.head.position == 1
        for use in (log.refresh, log.read, log.frames, log.verify, lambda: log.wait(0, 1), lambda: put(log, b"b")):
            with pytest.raises(ClosedError):
                use()

    def test_threads_append_and_read_together(self, log):
        per_thread = 40
        stop = threading.Event()
        failures: list[BaseException] = []

        def append(name: int) -> None:
            for n in range(per_thread):
                put(log, f"{name}:{n}".encode())

        def read() -> None:
            seen = 0
            try:
                while not stop.is_set():
                    head = log.refresh()
                    assert head.position >= seen
                    seen = head.position
                    assert len(contents(log, max(1, seen - 5), seen)) == min(seen, 6)
                    time.sleep(0.0005)  # a reader that spins keeps the GIL from the writers
            except BaseException as error:  # noqa: BLE001 - handed to the main thread
                failures.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        writers = [threading.Thread(target=append, args=(name,)) for name in range(4)]
        for thread in readers + writers:
            thread.start()
        for thread in writers:
            thread.join(60)
        stop.set()
        for thread in readers:
            thread.join(60)
        assert not failures, failures
        assert sorted(contents(log)) == sorted(f"{name}:{n}".encode() for name in range(4) for n in range(per_thread))
        assert log.verify().whole
