"""Reading and writing times: microseconds inside, Unix seconds and aware datetimes outside."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from memorygraph import checks
from memorygraph.events.errors import TimeFormatError

TimeLike = datetime | float | int | str
Expiry = TimeLike | timedelta

_MONTHS = 12
_YEARS_MAX_S = 253_402_300_799  # the end of the year 9999
_YEARS_MIN_S = -62_135_596_800  # the start of the year 1


_DIGITS = re.compile(r"(?<!\d)(\d{1,2})[/.-](\d{1,2})[/.-](?:\d{4}|\d{2})(?!\d)")


def to_us(given: TimeLike) -> int:
    """Return a time as microseconds since the Unix epoch.

    Args:
        given: a datetime (a naive one is UTC), Unix seconds, or text: ISO 8601 or a date as people write it, such as
            "1:56 pm on 8 May, 2023" (UTC unless it names an offset).

    Raises:
        TimeFormatError: it cannot be read as a time, or as two: in 02/03/2026 nothing says which is the month.
    """
    if isinstance(given, bool):
        raise _unreadable(given)
    if isinstance(given, int | float):
        return _in_range(round(given * 1_000_000) if abs(given) <= _YEARS_MAX_S else None, given)
    moment = read_text(given) if isinstance(given, str) else given
    if not isinstance(moment, datetime):
        raise _unreadable(given)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return _in_range((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds, given)


def expiry_us(given: Expiry | None) -> int | None:
    """Return when a memory expires, as microseconds: a time, or a timedelta from now on; None for never.

    Raises:
        TimeFormatError: it is neither.
    """
    if isinstance(given, timedelta):
        return _in_range(time.time_ns() // 1000 + given // timedelta(microseconds=1), given)
    return None if given is None else to_us(given)


def to_seconds(time_us: int) -> float:
    """Return microseconds as Unix seconds."""
    return time_us / 1_000_000


def to_text(time_us: int) -> str:
    """Return microseconds as ISO 8601 text in UTC, to the second."""
    moment = datetime(1970, 1, 1) + timedelta(seconds=time_us // 1_000_000)  # noqa: DTZ001 - UTC, and written so
    return f"{moment.isoformat()}Z"


def read_text(text: str) -> datetime:
    """Return a time given as text; aware if the text names an offset, or no ISO format was found.

    Raises:
        TimeFormatError: it cannot be read as a time, or as two.
    """
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        pass
    if (digits := _DIGITS.search(text)) and may_be_two(*digits.groups()):
        raise TimeFormatError(
            f"{checks.shown(text)} may be one of two days, as nothing says which number is the month; put the year "
            "first ('2026-03-02') or name the month ('2 March 2026')",
            given=checks.shown(text),
        )
    from dateutil import parser  # slow to import, and rarely needed

    try:
        # Parts that the text leaves out are taken from this day, not from today: the same text is the same time.
        read = parser.parse(text, default=datetime(1970, 1, 1, tzinfo=UTC), tzinfos=_zone)
        again = parser.parse(text, default=datetime(1972, 1, 1, tzinfo=UTC), tzinfos=_zone)
    except (ValueError, OverflowError) as error:
        raise _unreadable(text) from error
    if read != again:  # it names no year
        raise _unreadable(text)
    return read


def may_be_two(one: str, other: str) -> bool:
    """Whether two numbers, such as 02 and 03 in 02/03/2026, may be month and day either way."""
    return int(one) != int(other) and all(0 < int(number) <= _MONTHS for number in (one, other))


def _zone(name: str | None, offset_s: int | None) -> tzinfo:
    """Return the zone that a text names. Letters such as EST mean different offsets in different places."""
    if name is not None and offset_s is None:
        raise ValueError(f"the time zone {name} has no offset")
    return timezone(timedelta(seconds=offset_s or 0))


def _in_range(time_us: int | None, given: object) -> int:
    if time_us is None or not _YEARS_MIN_S * 1_000_000 <= time_us < (_YEARS_MAX_S + 1) * 1_000_000:
        raise _unreadable(given)
    return time_us


def _unreadable(given: object) -> TimeFormatError:
    return TimeFormatError(
        f"{checks.shown(given)} cannot be read as a time; give a datetime, Unix seconds, or text such as "
        "'2023-05-08T13:56:00Z' or '1:56 pm on 8 May, 2023'",
        given=checks.shown(given),
    )
