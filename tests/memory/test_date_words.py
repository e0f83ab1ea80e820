from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph import AgentMemory
from memorygraph.core.types import InputError, TimeFormatError
from memorygraph.date_words import date_window

ASKED = datetime(2023, 8, 15, 12, tzinfo=UTC)  # a Tuesday
WINDOWS = {
    "What did Alice do last week?": ("last week", "2023-08-07", "2023-08-14"),
    "What happened in May 2023?": ("May 2023", "2023-05-01", "2023-06-01"),
    "what did we decide yesterday": ("yesterday", "2023-08-14", "2023-08-15"),
    "What about the day before yesterday?": ("the day before yesterday", "2023-08-13", "2023-08-14"),
    "What did Ben say two months ago?": ("two months ago", "2023-06-01", "2023-07-01"),
    "Where did Ann go on 8 May?": ("8 May", "2023-05-08", "2023-05-09"),
    "What was on 24 December?": ("24 December", "2022-12-24", "2022-12-25"),
    "What happened in summer 2022?": ("summer 2022", "2022-06-01", "2022-09-01"),
    "the winter of 2021": ("the winter of 2021", "2021-12-01", "2022-03-01"),
    "What did she paint last month?": ("last month", "2023-07-01", "2023-08-01"),
    "Who called on 7 May 2023?": ("7 May 2023", "2023-05-07", "2023-05-08"),
    "Who called on May 7, 2023?": ("May 7, 2023", "2023-05-07", "2023-05-08"),
    "on the 5th of June 2022": ("5th of June 2022", "2022-06-05", "2022-06-06"),
    "on Sept. 3, 2022": ("Sept. 3, 2022", "2022-09-03", "2022-09-04"),
    "meeting on 2023-05-08": ("2023-05-08", "2023-05-08", "2023-05-09"),
    "meetings of 2023-05": ("2023-05", "2023-05-01", "2023-06-01"),
    "What was decided in 2021?": ("in 2021", "2021-01-01", "2022-01-01"),
    "what did I do last Friday?": ("last Friday", "2023-08-11", "2023-08-12"),
    "what is on next Friday?": ("next Friday", "2023-08-18", "2023-08-19"),
    "who came on Tuesday?": ("on Tuesday", "2023-08-08", "2023-08-09"),
    "What happened 3 days ago?": ("3 days ago", "2023-08-12", "2023-08-13"),
    "What was said a week ago?": ("a week ago", "2023-08-07", "2023-08-14"),
    "a couple of weeks ago": ("a couple of weeks ago", "2023-07-24", "2023-08-14"),
    "what did we talk about last year": ("last year", "2022-01-01", "2023-01-01"),
    "the plan for this quarter": ("this quarter", "2023-07-01", "2023-10-01"),
    "What did we plan for last weekend?": ("last weekend", "2023-08-12", "2023-08-14"),
    "What did he do this morning?": ("this morning", "2023-08-15", "2023-08-16"),
    "tomorrow's plan": ("tomorrow", "2023-08-16", "2023-08-17"),
    "the trip in March": ("in March", "2023-03-01", "2023-04-01"),
    "the trip in December": ("in December", "2022-12-01", "2023-01-01"),
    "last May": ("last May", "2023-05-01", "2023-06-01"),
    "last August": ("last August", "2022-08-01", "2022-09-01"),
    "next June": ("next June", "2024-06-01", "2024-07-01"),
    "What did she do in the early 1990s?": ("in the early 1990s", "1990-01-01", "2000-01-01"),
    "between May and July 2023?": ("between May and July 2023", "2023-05-01", "2023-08-01"),
    "from 3 to 5 May": ("from 3 to 5 May", "2023-05-03", "2023-05-06"),
    "the week before last": ("the week before last", "2023-07-31", "2023-08-07"),
    "in the past two weeks": ("past two weeks", "2023-08-01", "2023-08-16"),
    "since 2021": ("since 2021", "2021-01-01", "2023-08-16"),
    "last winter": ("last winter", "2022-12-01", "2023-03-01"),
    "last summer": ("last summer", "2022-06-01", "2022-09-01"),
    "this summer": ("this summer", "2023-06-01", "2023-09-01"),
    "the Friday before 22 October 2023": ("the Friday before 22 October 2023", "2023-10-20", "2023-10-21"),
    "the week before 9 June 2023": ("the week before 9 June 2023", "2023-06-02", "2023-06-09"),
}
NO_DATES = [
    "What may Ben like?",
    "Who sat on the chair?",
    "Did she march in the parade?",
    "How many 5 kilo bags did we buy?",
    "What is the second song on the list?",
    "What is April's favourite colour?",
    "What did Mel say about now and then?",
    "When did Ann go to the support group?",
    "the fall of Rome, in the past",
    "last time, the last three",
    "on 31 June 2022, 99999 years ago, in 5 minutes",
    "version 2.0.2021 of room 2019",
    "I think this may be the bug, and the next may fail, or in the end may happen",
    "on sat nav, what this march of progress means, the last sun we saw, on mon plaisir",
    "",
]


def days(window):
    return [tuple(str(datetime.fromtimestamp(end / 1e6, UTC).date()) for end in span) for span in window.spans]


@pytest.mark.parametrize("question", WINDOWS)
def test_date_words_mean_a_window(question):
    words, *span = WINDOWS[question]
    window = date_window(question, ASKED)
    assert (window.text, days(window)) == (words, [tuple(span)])


@pytest.mark.parametrize("question", NO_DATES)
def test_other_words_mean_none(question):
    assert date_window(question, ASKED) is None


def test_a_range_that_ends_before_it_begins_began_the_year_before():
    assert days(date_window("between November and February 2023", ASKED)) == [("2022-11-01", "2023-03-01")]
    assert days(date_window("from 3 November to 5 February 2023", ASKED)) == [("2022-11-03", "2023-02-06")]
    assert len(days(date_window("last May, this March, on Sun, in may", ASKED))) == 4


def test_several_dates_are_several_spans():
    window = date_window("What happened in 2022, and what yesterday?", ASKED)
    assert (window.text, len(window.spans)) == ("in 2022, yesterday", 2)


def test_days_begin_at_midnight_of_the_one_who_asks():
    tokyo = timezone(timedelta(hours=9))
    window = date_window("yesterday", datetime(2023, 8, 15, 1, tzinfo=tokyo))
    assert window.spans[0][0] == datetime(2023, 8, 14, tzinfo=tokyo).timestamp() * 1e6
    assert date_window("yesterday", "2023-08-15") == date_window("yesterday", datetime(2023, 8, 15, tzinfo=UTC))
    for question in ("yesterday", "last year", "last week"):
        text = "2024-01-01T00:30:00+09:00"
        assert date_window(question, text) == date_window(question, datetime.fromisoformat(text))
        assert date_window(question, text) != date_window(question, datetime.fromisoformat(text).astimezone(UTC))
    with pytest.raises(TimeFormatError):
        date_window("yesterday", "soon")


@given(st.text(alphabet="0123456789 -/,.stndrhofMayJunWeekagolstxbetwi", max_size=60), st.integers(-60, 7_000))
def test_any_text_is_read_without_an_error(text, year):
    window = date_window(text, datetime(min(max(year, 1), 9999), 1, 1, tzinfo=UTC))
    assert window is None or all(start < end for start, end in window.spans)


@pytest.fixture
def dated():
    memory = AgentMemory()
    memory.remember("Ben planted tomatoes in the garden", occurred_at="2023-08-14", node_id="tomatoes")
    memory.remember("Ben planted tulips and roses in the garden", occurred_at="2023-05-08", node_id="tulips")
    memory.remember("Ann repaired the canoe", occurred_at="2023-08-09", node_id="canoe")
    return memory


def test_a_window_raises_what_happened_in_it(dated):
    asked = {"k": 3, "asked_at": "2023-08-15T12:00Z"}
    assert dated.recall("What did Ben plant in the garden?", **asked)[0].node_id == "tomatoes"
    hits = dated.recall("What did Ben plant in the garden on 8 May?", **asked)
    assert [hit.node_id for hit in hits] == ["tulips", "tomatoes", "canoe"]  # nothing is hidden
    assert (hits[0].why.window, hits[1].why.window) == ("8 May", "")
    assert "happened 8 May" in str(hits[0].why)
    assert hits[0].to_dict()["why"]["window"] == "8 May"
    assert all(0 <= hit.score <= 1 for hit in hits)
    # Without a word to match, the window alone tells.
    assert [hit.node_id for hit in dated.recall("What about last week?", threshold=0.01, **asked)] == ["canoe"]
    assert dated.reason("last week", asked_at="2023-08-15")[0].why.window == "last week"


def test_the_anchor_is_now_unless_it_is_given(dated):
    dated.remember("Ann sings", occurred_at=datetime.now(UTC) - timedelta(days=1), node_id="sings")
    assert dated.recall("yesterday", k=1)[0].node_id == "sings"
    assert dated.recall("yesterday", k=1, asked_at="2023-08-15")[0].node_id == "tomatoes"
    with pytest.raises(InputError):
        dated.recall("yesterday", asked_at=[])


def test_a_boost_that_ignores_the_window_is_caught(dated, monkeypatch):
    monkeypatch.setattr("memorygraph.projections.recall.inside", lambda frame, _: frame.live_rows() & np.False_)
    with pytest.raises(AssertionError):
        test_a_window_raises_what_happened_in_it(dated)


def test_a_date_that_may_be_two_days_means_both():
    window = date_window("What happened on 02/03/2026?", "2026-08-01")
    assert [datetime.fromtimestamp(start / 1e6, UTC).date().isoformat() for start, _ in window.spans] == [
        "2026-02-03", "2026-03-02",
    ]  # fmt: skip
    assert window.text == "02/03/2026"
    assert len(date_window("on 13/02/2026", "2026-08-01").spans) == 1
