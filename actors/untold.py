"""Records of which only the hash is kept although nothing in the log tells of it: no compaction replaced them.

A compaction says how many records are replaced before it replaces them (decision 0007), so up to a log's head there are
never more than it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final, cast

from msgspec import structs

from memorygraph.events.errors import DamagedLog, NewerSchema
from memorygraph.events.log import LogEntry, VerifyReport
from memorygraph.events.records import EVENT_CODES, RecordsReplaced, decode_record, unpack_event
from memorygraph.projections.frame import Frame

_TOLD: Final = EVENT_CODES[RecordsReplaced]


def untold_notes(frame: Frame) -> tuple[str, ...]:
    """Say how many there are among the records that made a state."""
    replaced, told, _ = frame.replaced
    return _notes(replaced - told)


def _notes(untold: int) -> tuple[str, ...]:
    note = (
        f"of {untold} records only the hash is kept, and nothing in the log tells of that: somebody took out what they "
        "said, and it is missing here"
    )
    return (note,) if untold > 0 else ()


def with_untold(report: VerifyReport, entries: Iterable[LogEntry]) -> VerifyReport:
    """Complete the report of a check by the records up to its head; without hashes, these are not read."""
    if not report.hashes:
        return report
    untold = max(0, report.hashes - told_in(entries))
    return structs.replace(report, untold=untold, notes=report.notes + _notes(untold))


def told_in(entries: Iterable[LogEntry]) -> int:
    """Return of how many replaced records these records tell."""
    told = 0
    for entry in entries:
        with suppress(DamagedLog, NewerSchema):  # what cannot be decoded tells nothing
            for packed in () if entry.data is None else decode_record(entry.data, entry.position).events:
                if packed.type == _TOLD:
                    told = cast("RecordsReplaced", unpack_event(packed, entry.position)).replaced
    return told
