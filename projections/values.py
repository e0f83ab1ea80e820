"""Values that statements give ("Tuesday at ten", "900 euros", "the blue box"), and which two exclude each other.

Only values of one kind can be compared: two weekdays, two clock times, two amounts of one unit, two names. A day and an
hour complete each other, a place and a country may both be right, and a description says nothing against a name. What
is not surely one or the other is neither.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

WORDS_MAX: Final = 8

NAME, CODE, WORD, AMOUNT, TIME = "name", "code", "word", "amount", "time"
"""Kinds; others are the article or the preposition that a value begins with ("the", "a", "in the")."""


class Value(NamedTuple):
    """What a statement says, in a form that can be compared; falsy without words."""

    words: frozenset[str] = frozenset()
    kind: str = WORD
    parts: tuple[tuple[str, float], ...] = ()
    """Of a time: weekday, month, day, year, clock (minutes; in half a day where it may be morning or evening). Of an
    amount: its number, under its unit."""

    def __bool__(self) -> bool:
        return bool(self.words)


def read_value(clause: str, *, is_time: bool = False, is_clock: bool = False) -> Value:
    """Return the value that a clause gives; empty if it has none, or is too long to be one.

    Args:
        is_time: whether days and hours are meant ("is scheduled for"); else "the Sun" is a name.
        is_clock: whether also a bare number is an hour ("opens at nine").
    """
    raw = _WORD.findall(clause)
    lowered = [word.lower() for word in raw]
    words = frozenset(word for word in lowered if word not in _ARTICLES)
    if not words or len(raw) > WORDS_MAX + 1:
        return Value()
    if is_time and (times := _times(" ".join(lowered), is_clock=is_clock)):
        return Value(words, TIME, times)
    kind = _kind(raw)
    if kind in {WORD, CODE, AMOUNT} and (amount := _amount(lowered)):
        return Value(words, AMOUNT, (amount,))
    return Value(words, kind)


def excludes(older: Value, newer: Value) -> bool | None:
    """Whether two values cannot both hold; None: the words do not say."""
    if older.kind != newer.kind:
        return False if older.words <= newer.words or newer.words <= older.words else None
    if older.parts or newer.parts:
        before, after = dict(older.parts), dict(newer.parts)
        shared = before.keys() & after.keys()
        if not shared:
            return None
        return any(not _same(name, before[name], after[name]) for name in shared)
    if older.words <= newer.words or newer.words <= older.words:
        return False
    if older.kind == NAME and _may_be_short_for(older.words, newer.words):
        return None
    return True


def _same(name: str, one: float, other: float) -> bool:
    if name == "clock" and (one < _HALF_DAY or other < _HALF_DAY):  # which half of the day is not said
        return one % _HALF_DAY == other % _HALF_DAY
    return one == other


def _kind(raw: list[str]) -> str:
    first = raw[0].lower()
    if first in _PREPOSITIONS:
        return f"{first} {_kind(raw[1:])}" if len(raw) > 1 else first
    rest = raw[1:] if first in _ARTICLES else raw
    named = bool(rest) and all(word[0].isupper() or word in _LINKS for word in rest)
    if first in _ARTICLES:
        return f"{_ARTICLES[first]} {NAME}" if named else _ARTICLES[first]
    if named or any(word[0].isupper() and word[1:].islower() for word in rest[1:]):  # 5 Oak Street
        return NAME
    return CODE if any(not word.isalpha() for word in rest) else WORD


def _amount(words: list[str]) -> tuple[str, float] | None:
    """Return the unit and the number of an amount; None if there are two numbers, or none."""
    numbers, unit = [], []
    for word in words:
        match = _NUMBER.fullmatch(word)
        if match:
            numbers.append(float(match["number"].replace(",", "")))
            unit += [part for part in (match["before"], match["after"]) if part]
        elif word in _NUMBERS:
            numbers.append(_NUMBERS[word])
        elif word not in _ABOUT:
            unit.append(word)
    if len(numbers) != 1:
        return None
    return " ".join(sorted(_UNITS.get(part, part.removesuffix("s")) for part in unit)), numbers[0]


def _times(text: str, *, is_clock: bool) -> tuple[tuple[str, float], ...]:
    """Return the parts of a time that a text names; empty if it names none."""
    found: dict[str, float] = {}
    if match := _WEEKDAY.search(text):
        found["weekday"] = _WEEKDAYS.index(match[1])
    if match := _ISO_DAY.search(text):
        found |= {"year": float(match[1]), "month": float(match[2]), "day": float(match[3])}
    elif match := _MONTH.search(text):
        found["month"] = _MONTHS.index(match["month"]) + 1.0
        if day := match["before"] or match["after"]:
            found["day"] = float(day)
        if match["year"]:
            found["year"] = float(match["year"])
    elif match := _ORDINAL.search(text):
        found["day"] = float(match[1])
    clock = next((match for pattern in _CLOCKS if (match := pattern.search(text))), None)
    if clock is None and is_clock:
        clock = _BARE_HOUR.match(text)
    if clock and (minutes := _minutes(clock)) is not None:
        found["clock"] = minutes
    return tuple(sorted(found.items()))


def _minutes(match: re.Match[str]) -> float | None:
    """Return minutes of the day; below half a day if it may be either half."""
    named = match.groupdict()
    if word := named.get("word"):
        return {"noon": 12 * 60.0, "midnight": 24 * 60.0}[word]
    hour_word = named["hour"]
    hour = _NUMBERS.get(hour_word) if not hour_word.isdigit() else float(hour_word)
    if hour is None or hour > 24:  # noqa: PLR2004 - hours of a day
        return None
    half = (named.get("half") or "").replace(".", "")
    if half:  # 12 am is 24 hours, so that what is below half a day stays what is not said
        hour = hour % 12 + (12 if half == "pm" else 24)
    elif hour == 12:  # noqa: PLR2004 - half a day
        hour = 0
    return hour * 60 + float(named.get("minute") or 0)


def _may_be_short_for(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether a name may be a shorter form of another: Jon for Jonathan, NYC for New York City."""
    if len(one) == len(other) == 1:
        (first,), (second,) = one, other
        return first.startswith(second) or second.startswith(first)
    short, long = (one, other) if len(one) < len(other) else (other, one)
    return len(short) == 1 and len(next(iter(short))) <= _ACRONYM_MAX and next(iter(short))[0] in {w[0] for w in long}


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_HALF_DAY: Final = 12 * 60
_ACRONYM_MAX: Final = 4
_WORD: Final = re.compile(r"[\w@#%$€£+][\w@.:,/#%$€£'+-]*(?<![.:',])|\d")
_ARTICLES: Final = {
    "a": "a", "an": "a", "the": "the", "my": "the", "our": "the", "his": "the", "her": "the", "their": "the",
}  # fmt: skip
_PREPOSITIONS: Final = _listed(
    "in on at by under over behind beside near for with without to up down off out from between about"
)
_LINKS: Final = _listed("of and & the de la van von")
_ABOUT: Final = _listed("a an the about around roughly only exactly per")
_NUMBER_WORDS: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBERS: Final = {word: float(number) for number, word in enumerate(_NUMBER_WORDS.split())}
_NUMBER: Final = re.compile(r"(?P<before>[$€£]?)(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)(?P<after>[a-z%$€£]{0,3})")
_UNITS: Final = {
    "€": "euro", "eur": "euro", "euros": "euro", "$": "dollar", "usd": "dollar", "£": "pound", "gbp": "pound",
    "s": "second", "sec": "second", "secs": "second", "min": "minute", "mins": "minute", "h": "hour", "hrs": "hour",
    "kgs": "kg", "kilos": "kg", "%": "percent", "yrs": "year",
}  # fmt: skip
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY: Final = re.compile(r"\b(mon|tue|wed|thu|fri|sat|sun)(?:s?day|nesday|rsday|urday)?\b")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = re.compile(
    r"(?:\b(?P<before>\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?)?\b(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
    r"(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember)?\b\.?"
    r"(?:\s+(?:the\s+)?(?P<after>\d{1,2})(?:st|nd|rd|th)?\b(?!:))?(?:,?\s+(?P<year>(?:19|20)\d\d)\b)?"
)
_ISO_DAY: Final = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_ORDINAL: Final = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th)\b")
_HOUR: Final = rf"(?P<hour>\d{{1,2}}|{'|'.join(_NUMBER_WORDS.split()[1:13])})"
_MINUTE: Final = r"(?::(?P<minute>\d\d))?"
_CLOCKS: Final = (
    re.compile(r"\b(?P<word>noon|midnight)\b"),
    re.compile(rf"\b{_HOUR}{_MINUTE}\s*(?P<half>[ap]\.?m)\b"),
    re.compile(r"\b(?P<hour>\d{1,2}):(?P<minute>\d\d)\b"),
    re.compile(rf"\bat\s+{_HOUR}{_MINUTE}\b"),
)
_BARE_HOUR: Final = re.compile(rf"{_HOUR}{_MINUTE}(?:\s+o'clock)?$")
