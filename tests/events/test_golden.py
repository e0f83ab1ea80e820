"""The released formats, byte for byte."""

from __future__ import annotations

import shutil

import msgpack
import msgspec
import pytest

from memorygraph.events.frames import frame_entries, require_frame
from memorygraph.events.records import EVENT_CODES, EVENT_TYPES, decode_record, unpack_event
from memorygraph.events.stores import SegmentLog
from tests.events.log_contract import contents, put
from tests.events.make_golden import EVENTS, GOLDEN, MEMORY_ID, RECORDS, STORE, TIME_US, frame_bytes, write_store


def test_every_event_type_has_a_golden_record():
    assert {type(event) for event in EVENTS.values()} == set(EVENT_TYPES.values())
    assert {path.name for path in GOLDEN.glob("record-*.bin")} == {f"record-{name}.bin" for name in EVENTS}


@pytest.mark.parametrize("name", EVENTS)
def test_a_golden_record_is_written_and_read_as_it_was_released(name):
    golden = (GOLDEN / f"record-{name}.bin").read_bytes()
    assert golden == RECORDS[name]
    record = decode_record(golden, 1)
    assert (record.principal, record.time_us, record.subject) == ("tester", TIME_US, "subject")
    assert [unpack_event(packed, 1) for packed in record.events] == [EVENTS[name]]


@pytest.mark.parametrize("name", EVENTS)
def test_a_golden_record_can_be_read_without_the_schema(name):
    event = EVENTS[name]
    command_id, body_hash, *_, events = msgpack.unpackb((GOLDEN / f"record-{name}.bin").read_bytes())
    assert (command_id, body_hash) == (f"command-{name}", bytes(range(16)))
    [(code, schema, payload)] = events
    assert (code, schema) == (EVENT_CODES[type(event)], 1)
    as_lists = msgpack.unpackb(msgpack.packb(msgspec.to_builtins(event, builtin_types=(bytes,))))
    assert msgpack.unpackb(payload) == as_lists


def test_the_golden_frame():
    golden = (GOLDEN / "frame.bin").read_bytes()
    assert golden == frame_bytes()
    header = require_frame(golden, MEMORY_ID)
    assert [entry.data for entry in frame_entries(golden, header)] == list(RECORDS.values())
    assert golden[:4] == b"MGF1"
    assert int.from_bytes(golden[16:20], "little") == len(RECORDS)


def test_the_golden_store_opens_verifies_and_goes_on(tmp_path):
    store = tmp_path / "store"
    shutil.copytree(STORE, store)
    log = SegmentLog.open(store, read_only=True)
    assert log.memory_id == MEMORY_ID
    assert contents(log) == list(RECORDS.values())
    assert log.verify().whole
    assert put(SegmentLog.open(store), b"more").position == len(RECORDS) + 1


def test_the_golden_store_is_still_written_the_same(tmp_path):
    write_store(tmp_path)
    files = [path.relative_to(STORE) for path in sorted(STORE.rglob("*")) if path.is_file() and path.name != "lock"]
    assert len(files) >= 3
    assert all((tmp_path / file).read_bytes() == (STORE / file).read_bytes() for file in files)
