"""Date words in a question: "last week", "in May 2023", "two months ago", "summer 2022", as windows of event time.

What looks like a date is found by the patterns below (a word such as "may" or "sat" alone is none); dateutil reads the
dates and does the arithmetic of calendars. A window is a calendar unit: "a week ago" is the week, Monday to Sunday,
that holds the day seven days ago. A date without a year is the last one that is not after the question. 02/03/2026 is
both days that it may be. English only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

from memorygraph.projections.window import Window
from memorygraph.times import TimeLike, may_be_two, read_text, to_us

Span = tuple[datetime, datetime]  # from, and up to but without

_LETTERS_MAX: Final = 2_000  # a question; what is longer is a text, and its dates are not what is asked for


def date_window(question: str, asked_at: TimeLike) -> Window | None:
    """Return the time that the date words of a question mean, or None if it has none.

    Args:
        question: a text; only its first 2,000 characters are looked at.
        asked_at: when it was asked. Days begin at midnight of its time zone (UTC where it names none).

    Raises:
        TimeFormatError: ``asked_at`` cannot be read as a time.
    """
    text = question[:_LETTERS_MAX]
    asked = _anchor(asked_at)
    if not _HINT.search(text):
        return None
    spans: list[Span] = []
    words: list[str] = []
    for found in _found(text, asked):
        spans.append(found.span)
        words.append(found.words)
    if not spans:
        return None
    return Window(
        ", ".join(dict.fromkeys(words)), tuple((to_us(start), to_us(end)) for start, end in spans), tuple(words)
    )


class _Found(NamedTuple):
    start: int
    words: str
    span: Span


def _anchor(asked_at: TimeLike) -> datetime:
    asked_us = to_us(asked_at)
    given = read_text(asked_at) if isinstance(asked_at, str) else asked_at
    if isinstance(given, datetime) and given.tzinfo is not None:
        return given
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=asked_us)


def _found(text: str, asked: datetime) -> Iterator[_Found]:
    """Give what the patterns find, in their order; no words count twice."""
    taken: list[tuple[int, int]] = []
    found = []
    for pattern, read in _patterns():
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(start < other_end and other_start < end for other_start, other_end in taken):
                continue
            if _NO_DATE.search(match[0]):
                continue
            try:
                span = read(match, asked)
            except (ValueError, OverflowError):  # the 31st of June, the year 0, ten million weeks ago
                span = None
            if span is not None:
                taken.append((start, end))
                found += [_Found(start, match[0].strip(" ,"), one) for one in (span, *_other_reading(match, asked))]
    return iter(sorted(found))


# Reading: each gives the span that a match means, or None.


def _range(match: re.Match[str], asked: datetime) -> Span | None:
    """Both ends of "between A and B"; a year at the end counts for both."""
    last = _absolute(match["last"], asked)
    year = re.search(r"\d{4}", match["last"])
    first_words = (
        match["first"] if year is None or re.search(r"\d{4}", match["first"]) else f"{match['first']} {year[0]}"
    )
    if match["first"].isdigit() and len(match["first"]) < len("1900"):  # from 3 to 5 May
        first_words = re.sub(r"^\d+", match["first"], match["last"])
    first = _absolute(first_words, asked)
    if first is None or last is None:
        return None
    start = first[0] if first[0] < last[1] else _minus(first[0], "year", 1)  # from November to February 2024
    return (start, last[1]) if start < last[1] else None


def _near(match: re.Match[str], asked: datetime) -> Span | None:
    """The week, the Friday, the day before or after a date."""
    date = _absolute(match["date"], asked)
    if date is None:
        return None
    is_before = match["side"].lower() == "before"
    unit = match["unit"].lower()
    if unit in _WEEKDAYS:
        return _day(_weekday(date[0], unit, -1 if is_before else 1))
    return (_minus(date[0], unit, 1), date[0]) if is_before else (date[1], _minus(date[1], unit, -1))


def _open_ended(match: re.Match[str], asked: datetime) -> Span | None:
    """Since a date, up to the question."""
    date = _absolute(match["date"], asked)
    end = _day(asked)[1]
    return None if date is None or date[0] >= end else (date[0], end)


def _date(match: re.Match[str], asked: datetime) -> Span | None:
    return _absolute(match["date"], asked)


def _other_reading(match: re.Match[str], asked: datetime) -> Iterator[Span]:
    """Give the day that a date of digits means with day and month changed over, if it may mean that."""
    digits = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", match[0])
    if digits is not None and may_be_two(digits[1], digits[2]):
        other = _absolute(f"{digits[2]}/{digits[1]}/{digits[3]}", asked)
        if other is not None:
            yield other


def _absolute(words: str, asked: datetime) -> Span | None:
    """Read a day, a month, a season, a year or a decade."""
    words = words.strip(" ,").lower()
    if decade := re.fullmatch(r"(\d{3}0)'?s", words):
        start = _midnight(asked).replace(year=int(decade[1]), month=1, day=1)
        return start, start.replace(year=start.year + 10)
    if re.fullmatch(r"\d{4}", words):
        return _unit(asked.replace(year=int(words), month=1, day=1), "year")
    if season := re.fullmatch(_SEASON + _OF_YEAR, words):
        return _season(season["season"], season["year"], asked)
    if month := re.fullmatch(r"(\d{4})-(\d{2})", words):
        return _unit(asked.replace(year=int(month[1]), month=int(month[2]), day=1), "month")
    return _day_or_month(re.sub(r"\b(the|of)\b|(?<=\d)(st|nd|rd|th)\b", " ", words), asked)


def _day_or_month(words: str, asked: datetime) -> Span | None:
    """Let dateutil read it, over two different days: what differs, the words do not say."""
    from dateutil import parser  # slow to import

    one, other = (parser.parse(words, default=default) for default in (datetime(2000, 1, 2), datetime(2004, 1, 3)))  # noqa: DTZ001 - only their fields count
    unit = "day" if one.day == other.day else "month"
    start = _midnight(asked).replace(year=one.year, month=one.month, day=one.day if unit == "day" else 1)
    if one.year != other.year:  # no year is named: the last such day that is not after the question
        start = start.replace(year=asked.year)
        if start > asked:
            start = start.replace(year=asked.year - 1)
    return _unit(start, unit)


def _named_day(match: re.Match[str], asked: datetime) -> Span | None:
    words = re.sub(r"\s+", " ", match[0].lower())
    days = -2 if "before" in words else _DAYS.get(words.split(" ")[-1], 0)
    return _day(_midnight(asked) + timedelta(days=-1 if words == "last night" else days))


def _weekday_named(match: re.Match[str], asked: datetime) -> Span | None:
    """Last Friday, on Friday: the one before today; next Friday: the one after."""
    return _day(_weekday(_midnight(asked), match["weekday"].lower(), 1 if match["which"].lower() == "next" else -1))


def _this_or_last(match: re.Match[str], asked: datetime) -> Span | None:
    """Last week, this month, next year, last summer, last May."""
    step = {"last": 1, "past": 1, "previous": 1, "next": -1, "coming": -1}.get(match["which"].lower(), 0)
    unit = match["unit"].lower()
    if unit in _SEASONS:
        return _season(unit, None, asked, step)
    if unit in _MONTHS:
        start = _midnight(asked).replace(month=_MONTHS[unit], day=1)
        is_over = _unit(start, "month")[1] <= asked
        years = {1: 0 if is_over else -1, 0: 0, -1: 0 if start > asked else 1}[step]
        return _unit(start.replace(year=start.year + years), "month")
    return _unit(_minus(asked, unit, step), unit)


def _before_last(match: re.Match[str], asked: datetime) -> Span | None:
    unit = match["unit"].lower()
    return _unit(_minus(asked, unit, 2), unit)


def _ago(match: re.Match[str], asked: datetime) -> Span | None:
    """Two months ago: the calendar month that holds that day; a few months ago: with the ones beside it."""
    unit, count = match["unit"].lower(), _number(match["n"])
    vague = 1 if _VAGUE_COUNT.search(match["n"]) else 0
    return _unit(_minus(asked, unit, count + vague), unit)[0], _unit(_minus(asked, unit, count - vague), unit)[1]


def _stretch(match: re.Match[str], asked: datetime) -> Span | None:
    """In the last two weeks: that long, up to the question."""
    unit = match["unit"].lower()
    return _midnight(_minus(asked, unit, _number(match["n"]))), _day(asked)[1]


# Calendar arithmetic.


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> Span:
    return _unit(moment, "day")


def _unit(moment: datetime, unit: str) -> Span:
    """Return the calendar unit that holds a moment."""
    start = _midnight(moment)
    if unit in {"week", "weekend", "fortnight"}:
        start -= timedelta(days=start.weekday())
    if unit == "weekend":
        return start + timedelta(days=5), start + timedelta(days=7)
    if unit in {"month", "quarter", "year"}:
        month = {"month": start.month, "quarter": (start.month - 1) // 3 * 3 + 1, "year": 1}[unit]
        start = start.replace(month=month, day=1)
    return start, _minus(start, unit, -1)


def _minus(moment: datetime, unit: str, count: int) -> datetime:
    from dateutil.relativedelta import relativedelta  # slow to import

    per_unit = {"weekend": {"weeks": 1}, "fortnight": {"weeks": 2}, "quarter": {"months": 3}}
    step: dict[str, int] = per_unit.get(unit, {f"{unit}s": 1})
    arguments: dict[str, Any] = {name: size * count for name, size in step.items()}
    return moment - relativedelta(**arguments)


def _weekday(day: datetime, name: str, direction: int) -> datetime:
    """Return the nearest such weekday before (-1) or after (1) a day."""
    apart = (direction * (_WEEKDAYS[name] - day.weekday()) - 1) % 7 + 1
    return day + timedelta(days=direction * apart)


def _season(name: str, year: str | None, asked: datetime, step: int = 0) -> Span:
    """Meteorological seasons of the northern hemisphere; the winter of a year begins in its December."""
    start = _midnight(asked).replace(month=_SEASONS[name], day=1)
    if year is not None:
        start = start.replace(year=int(year))
    else:  # the last one that has begun; "last summer" must be over, "next summer" has not begun
        start = start if start <= asked else start.replace(year=start.year - 1)
        if step == 1 and _minus(start, "quarter", -1) > asked:
            start = start.replace(year=start.year - 1)
        elif step == -1:
            start = start.replace(year=start.year + 1)
    return start, _minus(start, "quarter", -1)


def _number(words: str) -> int:
    words = words.lower().removeprefix("a ").removesuffix(" of")
    return int(words) if words.isdigit() else _NUMBERS[words]


# Words and patterns.

_MONTH_NAMES: Final = (
    "january", "february", "march", "april", "may", "june", "july",
    "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTHS: Final = {form: number for number, name in enumerate(_MONTH_NAMES, 1) for form in (name, name[:3])} | {
    "sept": 9
}
_WEEKDAYS: Final = {
    form: number
    for number, name in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
    for form in (name, name[:3])
}
_SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_DAYS: Final = {"today": 0, "tonight": 0, "yesterday": -1, "tomorrow": 1}
_NUMBERS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "couple": 2, "three": 3, "few": 3, "four": 4, "several": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip

_NO_DATE: Final = re.compile(
    r"(?i:this|current|next|coming|last|past|previous|on|end|start|beginning|middle)\s+(?:may|march|mar|sat|sun|mon|wed)$"
)
"""In small letters these are other words: "this may be", "on sat nav"."""
_VAGUE_COUNT: Final = re.compile("few|couple|several", re.IGNORECASE)


def _one_of(words: Any) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


_MONTH: Final = _one_of(_MONTHS) + r"\b\.?"
_DAY_NUMBER: Final = r"(?:[0-2]?\d|3[01])(?:st|nd|rd|th)?\b"
_YEAR: Final = r"(?:1[89]|20)\d\d\b"
_OF_YEAR: Final = rf"(?:,?\s*(?:of\s+)?(?P<year>{_YEAR}))?"
_SEASON: Final = r"(?:the\s+)?(?P<season>" + _one_of(_SEASONS) + ")"
_COUNT: Final = r"(?P<n>\d{1,4}|(?:a )?(?:few|couple(?: of)?)|" + _one_of(_NUMBERS) + ")"
_UNIT: Final = r"(?P<unit>day|week|weekend|fortnight|month|quarter|year)"
_FULL_DATE: Final = (
    rf"(?:\d{{4}}-\d\d-\d\d|\d{{4}}-\d\d\b|\d{{1,2}}/\d{{1,2}}/\d{{4}}"
    rf"|{_DAY_NUMBER}\s+(?:of\s+)?{_MONTH}(?:,?\s+(?:of\s+)?{_YEAR})?"
    rf"|{_MONTH}\s+(?:the\s+)?{_DAY_NUMBER}(?:,?\s+{_YEAR})?"
    rf"|{_MONTH},?\s+(?:of\s+)?{_YEAR}|(?:the\s+)?{_one_of(_SEASONS)},?\s+(?:of\s+)?{_YEAR})"
)
_VAGUE_DATE: Final = rf"(?:{_MONTH}|{_YEAR}|(?:19|20)\d0'?s)"  # a date only behind a word such as "in"
_ANY_DATE: Final = rf"(?:the\s+)?(?:{_FULL_DATE}|{_VAGUE_DATE})"
_HINT: Final = re.compile(
    r"\d|ago\b|day|night|month|week|year|season|quarter|decade|morn|tomorrow|afternoon|evening|"
    + "|".join(form[:3] for form in (*_MONTHS, *_WEEKDAYS, *_SEASONS)),
    re.IGNORECASE,
)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str], datetime], Span | None]], ...]:
    """Compile the patterns, the wordiest first."""
    months, seasons, weekdays = _MONTH, _one_of(_SEASONS), _one_of(_WEEKDAYS)
    a_range = (
        rf"\b(?:between|from)\s+(?P<first>{_ANY_DATE}|\d{{1,2}})\s+(?:and|to|until|till|-)\s+(?P<last>{_ANY_DATE})"
    )
    near_unit = rf"(?P<unit>day|week|weekend|month|year|{weekdays})"
    near = rf"\b(?:the\s+)?{near_unit}\s+(?P<side>before|after)\s+(?P<date>(?:the\s+)?{_FULL_DATE})"
    days = r"\b(?:today|tonight|this\s+(?:morning|afternoon|evening)|yesterday|last\s+night|tomorrow)\b"
    which = r"\b(?P<which>last|past|previous|this|current|next|coming)"
    period = rf"(?P<unit>day|week|weekend|month|quarter|year|{seasons}|{months})"
    part = r"(?:early|late|mid|middle|end|beginning|start)(?:\s+of)?(?:\s+|-)"
    behind = rf"\b(?:(?:in|during|of|around|through|throughout|by|from|until)\s+(?:the\s+)?(?:{part})?|{part})"
    patterns = (
        (a_range, _range),
        (near, _near),
        (rf"\bsince\s+(?P<date>{_ANY_DATE})", _open_ended),
        (rf"\b(?P<date>{_FULL_DATE})", _date),
        (r"\b(?:the\s+)?day\s+before\s+yesterday\b", _named_day),
        (days, _named_day),
        (rf"\b{_COUNT}\s+{_UNIT}s?\s+ago\b", _ago),
        (rf"\b(?:last|past|previous)\s+{_COUNT}\s+{_UNIT}s?\b", _stretch),
        (r"\b(?:the\s+)?(?P<unit>week|weekend|month|year)\s+before\s+last\b", _before_last),
        (rf"{which}\s+{period}\b(?!-)", _this_or_last),
        (rf"\b(?P<which>on|last|past|this|next)\s+(?P<weekday>{weekdays})\b", _weekday_named),
        (rf"{behind}(?P<date>{_VAGUE_DATE}|the\s+{seasons})\b", _date),
    )
    return tuple((re.compile(pattern, re.IGNORECASE), read) for pattern, read in patterns)
