"""The first record of a memory: its name and its language."""

from __future__ import annotations

from memorygraph.events.log import EventLog
from memorygraph.events.ports import Clock, IdSource
from memorygraph.events.records import MemoryCreated, Record, encode_record, pack_event


def found_memory(
    log: EventLog, event: MemoryCreated, principal: str, provenance: dict[str, str], clock: Clock, ids: IdSource
) -> None:
    """Write the first record of a log that is empty and may be written to."""
    if log.read_only or log.head.position:
        return
    name, now_us = ids.command_id(), clock.now_us()
    record = Record(name, bytes(16), principal, provenance, now_us, 0, None, "", (pack_event(event),))
    with log.lock() as head:
        if head.position == 0:  # else another process was first
            log.append([encode_record(record)], record.time_us)
