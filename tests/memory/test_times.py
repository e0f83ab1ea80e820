import contextlib
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.core.types import TimeFormatError
from memorygraph.times import to_seconds, to_text, to_us

MAY_8 = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    "given",
    [
        MAY_8,
        MAY_8.replace(tzinfo=None),
        MAY_8.astimezone(timezone(timedelta(hours=5, minutes=30))),
        MAY_8.timestamp(),
        int(MAY_8.timestamp()),
        "2023-05-08T13:56:00Z",
        "2023-05-08T13:56",
        "2023-05-08 13:56:00",
        " 2023-05-08T15:56:00+02:00 ",
        "20230508T135600Z",
        "1:56 pm on 8 May, 2023",
        "8 May 2023 13:56",
        "May 8, 2023 1:56 PM UTC",
        "Mon, 08 May 2023 13:56:00 +0000",
        "Mon, 08 May 2023 13:56:00 GMT",
        "Mon May 8 13:56:00 2023",
        "8 May 2023 09:56 -0400",
    ],
)
def test_the_same_time_in_many_forms(given):
    assert to_us(given) == 1_683_554_160_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-05-08", datetime(2023, 5, 8, tzinfo=UTC)),
        ("8 May, 2023", datetime(2023, 5, 8, tzinfo=UTC)),
        ("May 2023", datetime(2023, 5, 1, tzinfo=UTC)),
        ("1969-12-31T23:59:59.999999Z", datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_texts(text, expected):
    assert to_us(text) == (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "soon",
        "yesterday",
        "10:36",  # no date
        "8 May",  # no year
        "Monday",
        "2023-13-01",
        "31 April 2023",
        "8 May 2023 13:56 EST",  # letters mean different offsets in different places
        "8 May 2023 13:56 XYZ",
        "1 2 3 4 5 6 7",
        "\0",
        float("nan"),
        float("inf"),
        1e15,
        -1e15,
        True,
        None,
        [],
        date(2023, 5, 8),
        b"2023-05-08",
    ],
)
def test_what_cannot_be_read(given):
    with pytest.raises(TimeFormatError, match="cannot be read as a time; give a datetime") as caught:
        to_us(given)
    assert "\n" not in str(caught.value)


@given(st.datetimes(timezones=ZONES | st.just(UTC), min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)))  # noqa: DTZ001
def test_datetimes_round_trip(moment):
    time_us = to_us(moment)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us) == moment
    assert to_us(moment.isoformat()) == time_us
    assert to_us(moment.astimezone(UTC).replace(tzinfo=None)) == time_us


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_000_000))
def test_seconds_and_texts_round_trip(time_us):
    text = to_text(time_us)
    assert to_us(text) == time_us // 1_000_000 * 1_000_000
    if abs(time_us) < 2**52:  # doubles hold the microseconds exactly enough
        assert to_us(to_seconds(time_us)) == time_us


@given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - naive is UTC
def test_times_as_people_write_them_round_trip(moment):
    moment = moment.replace(microsecond=0)
    expected = to_us(moment)
    for form in ("%d %B %Y %H:%M:%S", "%B %d, %Y %I:%M:%S %p", "%I:%M:%S %p on %d %B, %Y"):
        assert to_us(moment.strftime(form)) == expected


@given(st.text() | st.text(alphabet="0123456789 :-+/.,TZamp") | st.floats() | st.integers())
def test_anything_is_a_time_or_the_named_error(given):
    with contextlib.suppress(TimeFormatError):  # warnings are errors, too
        time_us = to_us(given)
        assert to_us(to_text(time_us)) == time_us // 1_000_000 * 1_000_000


def test_a_text_is_the_same_time_wherever_it_is_read():
    script = (
        "from memorygraph.times import to_us\n"
        "for text in ('8 May 2023 13:56', '2023-05-08', '8 May 2023 13:56 GMT', '8 May 2023 13:56 EST'):\n"
        "    try: print(to_us(text))\n"
        "    except ValueError as error: print(type(error).__name__)\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone in ("UTC", "EST5EDT", "Asia/Tokyo")
    }
    assert len(answers) == 1
    assert answers.pop().split()[-1] == "TimeFormatError"


@pytest.mark.parametrize("text", ["02/03/2026", "2.3.2026", "02-03-2026", "1:56 pm on 02/03/2026", "12/1/26"])
def test_a_date_that_may_be_two_days_is_refused(text):
    with pytest.raises(TimeFormatError, match=r"may be one of two days.*put the year first \('2026-03-02'\)"):
        to_us(text)


@pytest.mark.parametrize("text", ["13/02/2026", "02/13/2026", "3/3/2026", "2026/02/03", "2026-02-03 5 pm"])
def test_a_date_of_digits_that_is_one_day_is_read(text):
    assert to_text(to_us(text))[:7] in {"2026-02", "2026-03"}
