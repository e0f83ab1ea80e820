from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.actors import command_table as module
from memorygraph.actors.command_table import FRESH_US, KEPT_US, CommandTable
from memorygraph.events.errors import DamagedLog
from memorygraph.events.ports import RandomIds, SystemClock

HOUR_US = 3_600_000_000
Added = tuple[str, bytes, int]  # id, body hash, time


def uuid7(time_us: int, number: int = 0) -> str:
    text = f"{time_us // 1000:012x}7{number % 4096:03x}8{number:015x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def filled(records: Iterable[Added]) -> CommandTable:
    table = CommandTable()
    for position, (command_id, body_hash, time_us) in enumerate(records, 1):
        table.add(position, command_id, body_hash, time_us)
    return table


class Model:
    """What the table promises, by brute force."""

    def __init__(self, records: list[Added], rows_max: int, rows_kept: int) -> None:
        self.kept: list[tuple[int, Added]] = []
        times: list[int] = []
        for position, (command_id, body, given_us) in enumerate(records, 1):
            times.append(given_us if command_id else (times[-1] if times else 0))
            self.kept.append((position, (command_id, body, times[-1])))
            while len(self.kept) > 1 and (
                (len(self.kept) > rows_kept and self.kept[0][1][2] < times[-1] - KEPT_US) or len(self.kept) > rows_max
            ):
                del self.kept[0]

    def position_of(self, command_id: str) -> int | None:
        return next((position for position, record in reversed(self.kept) if record[0] == command_id), None)


times_us = st.integers(0, 60).map(lambda hours: hours * HOUR_US)
names = st.sampled_from(["", "a", "b", "c", "x/1", "x/2"]) | st.builds(uuid7, times_us, st.integers(0, 2))
added = st.tuples(names, st.sampled_from([b"", b"1" * 16, b"2" * 16]), times_us)


@given(st.lists(added, max_size=40), st.integers(1, 40), st.integers(0, 12), st.integers(1, 6), st.integers(0, 40))
@settings(max_examples=200)
def test_the_table_is_a_window_over_the_log(records, rows_max, rows_kept, recent_max, cut) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_MAX", rows_max)
        patch.setattr(module, "ROWS_KEPT", rows_kept)
        patch.setattr(module, "RECENT_MAX", recent_max)
        table = filled(records)
        model = Model(records, rows_max, rows_kept)
        assert len(table) == len(model.kept)
        for command_id, body, _ in records:
            found = table.find(command_id) if command_id else None
            assert (found and found.position) == (model.position_of(command_id) if command_id else None)
            if found:
                assert found.is_of(records[found.position - 1][1])
                assert not found.is_of(b"other") or body == b"other"
        restored = CommandTable.restore(filled(records[:cut]).dump())  # as another process comes to it
        for position, (command_id, body, time_us) in enumerate(records[cut:], min(cut, len(records)) + 1):
            restored.add(position, command_id, body, time_us)
        assert restored.dump() == table.dump()
        for command_id, _, _ in records:
            if command_id:
                assert restored.find(command_id) == table.find(command_id)
                assert restored.is_expired(command_id, 10**18) == table.is_expired(command_id, 10**18)


@given(st.lists(added, max_size=30), st.integers(1, 20), times_us)
def test_a_dated_id_that_left_is_told_from_a_new_one(records, rows_max, now_us) -> None:
    """Never run again: an id of our own that was here and is not any more is expired, unless it is of this moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_MAX", rows_max)
        patch.setattr(module, "ROWS_KEPT", 0)
        table = filled(records)
    for command_id, _, time_us in records:
        if command_id and "-" in command_id and table.find(command_id) is None:
            date_us = 1000 * int(command_id[:8] + command_id[9:13], 16)
            if date_us and abs(date_us - time_us) <= KEPT_US:
                assert table.is_expired(command_id, now_us) == (abs(now_us - date_us) > FRESH_US)


def test_a_clock_that_is_set_forward_lets_go_of_nothing_recent() -> None:
    """The records of a moment ago are a day old then; a chosen id that is sent again must be known all the same."""
    table = filled([("chosen", b"", 0), ("other", b"", 25 * HOUR_US)])
    assert table.find("chosen") is not None
    for position in range(3, module.ROWS_KEPT + 1):
        table.add(position, str(position), b"", 25 * HOUR_US)
    assert table.find("chosen") is not None
    table.add(module.ROWS_KEPT + 1, "last", b"", 25 * HOUR_US)
    assert table.find("chosen") is None
    assert table.find("other") is not None


def test_ids_by_date(monkeypatch) -> None:
    monkeypatch.setattr(module, "ROWS_KEPT", 0)
    table = filled([(uuid7(HOUR_US), b"", HOUR_US), ("last", b"", 30 * HOUR_US)])
    now_us = 30 * HOUR_US
    assert table.find(uuid7(HOUR_US)) is None
    assert table.is_expired(uuid7(HOUR_US), now_us)
    assert table.is_expired(uuid7(HOUR_US) + "/3", now_us)  # a chunk of a bulk call
    assert table.is_expired(uuid7(2 * HOUR_US, 5), now_us)  # never seen, but older than what is kept
    assert not table.is_expired(uuid7(7 * HOUR_US, 5), now_us)
    assert not table.is_expired("chosen", now_us)
    assert not table.is_expired(uuid7(HOUR_US).upper(), now_us)  # not as ours are written


def test_a_clock_that_ran_ahead_does_not_lock_the_memory(monkeypatch) -> None:
    monkeypatch.setattr(module, "ROWS_KEPT", 0)
    years_us = 10 * 365 * 24 * HOUR_US
    wrong = [(uuid7(years_us + hour * HOUR_US), b"", years_us + hour * HOUR_US) for hour in (0, 30, 60)]
    table = filled(wrong)
    now_us = 5 * HOUR_US
    assert not table.is_expired(uuid7(now_us), now_us)
    assert table.is_expired(wrong[0][0], now_us)


def test_ids_of_a_clock_that_is_far_off_say_nothing_of_others(monkeypatch) -> None:
    monkeypatch.setattr(module, "ROWS_KEPT", 0)
    far_us = 10 * 365 * 24 * HOUR_US
    table = filled([(uuid7(far_us + hour), b"", hour * HOUR_US) for hour in range(0, 90, 30)])
    assert not table.is_expired(uuid7(far_us), 90 * HOUR_US)


def test_ids_of_the_library_are_dated(monkeypatch) -> None:
    monkeypatch.setattr(module, "ROWS_KEPT", 0)
    name = RandomIds().command_id()
    now_us = SystemClock().now_us()
    table = filled([(name, b"", now_us)])
    assert table.find(name).position == 1
    table.add(2, "x", b"", now_us + 2 * KEPT_US)
    assert table.find(name) is None
    assert table.is_expired(name, now_us + 2 * KEPT_US)
    assert not table.is_expired(name, now_us)


def test_a_row_takes_about_forty_bytes() -> None:
    ids = RandomIds()
    table = filled((ids.command_id(), b"", 0) for _ in range(4 * module.RECENT_MAX))
    assert table.size_bytes() / len(table) <= 44


@pytest.mark.parametrize(
    "broken", [b"", b"x" * 40, lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"X" + data[1:]]
)
def test_bytes_that_are_no_table_are_refused(broken) -> None:
    data = filled([("a", b"", 1), ("b", b"", 2)]).dump()
    with pytest.raises(DamagedLog):
        CommandTable.restore(broken(data) if callable(broken) else broken)


def test_positions_are_dense() -> None:
    table = filled([("a", b"", 1)])
    with pytest.raises(ValueError, match="position 2"):
        table.add(3, "b", b"", 1)
