"""What is shown is safe for a terminal, and fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from memorygraph.cli import views
from memorygraph.events.records import AttentionLost, ReviewsRecorded
from tests.cli.conftest import Shell

EVIL = "look \x1b]0;owned\x07 \x1b[2Jgone\r\n\x9b31m \u202e hidden"
SENDS_CONTROLS = frozenset("\x1b\x07\x9b\r\u202e")


@given(st.text())
def test_plain_text_is_one_printable_line(text: str) -> None:
    assert views.plain(text).isprintable()


@given(st.text(), st.integers(min_value=1, max_value=100))
def test_cut_text_fits(text: str, width: int) -> None:
    shown = views.cut(views.plain(text), width)
    assert cell_len(shown) <= width


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3072.0 GiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert views.size(count) == text


@pytest.mark.parametrize("time_s", [4.6e12, -4.6e12])
def test_a_time_that_no_calendar_has_is_shown_as_such(time_s: float) -> None:
    assert views.when(time_s) == "in no calendar"


def shown_everywhere(shell: Shell) -> str:
    made = shell.json("remember", EVIL, "--speaker", "Ada", "--tag", EVIL)["id"]
    other = shell.json("remember", EVIL)["id"]
    shell.run("link", made, other)
    shell.run("forget", other, "--reason", EVIL)
    shell.run("link", made, shell.json("remember", EVIL)["id"])
    return "".join(shell.run(*words) for words in (("recall", "look"), ("reason", "look"), ("show", made), ("log",)))


def test_a_memory_cannot_steer_the_terminal(shell: Shell) -> None:
    shown = shown_everywhere(shell)
    assert "owned" in shown
    assert SENDS_CONTROLS.isdisjoint(shown)


def test_a_memory_that_steers_is_seen(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "plain", lambda text: text)
    assert not SENDS_CONTROLS.isdisjoint(shown_everywhere(shell))


def test_markup_is_text(shell: Shell) -> None:
    shell.run("remember", "[bold]not markup[/bold] :boat: [/nothing]")
    assert "[bold]not markup[/bold] :boat: [/nothing]" in shell.run("recall", "markup")


def test_json_keeps_every_letter(shell: Shell) -> None:
    made = shell.json("remember", EVIL + " 舟 ⛵")
    assert shell.json("show", made["id"])["content"] == EVIL + " 舟 ⛵"


def test_a_hit_shows_the_sentence_that_matches(shell: Shell) -> None:
    shell.run("remember", "The club was founded long ago. " * 10 + "Its canoe is green. It leaks.")
    assert "… Its canoe is green. It leaks." in shell.run("recall", "canoe")


def test_reviews_and_lost_attention_are_told() -> None:
    columns = {
        "ids": ("a", "b"),
        "model": 1,
        "grades": (0.5, 1.0),
        "stabilities_days": (2.0, 2.0),
        "difficulties": (5.0, 5.0),
        "repetitions": (1, 1),
        "times_us": (0, 0),
        "due_us": (0, 86_400_000_000),
    }
    registered = ReviewsRecorded(**columns, begins=True)
    assert views.what_of(registered, registered.ids) == "a, b  registered for review by fsrs"
    told = views.what_of(ReviewsRecorded(**columns), ("b",), about="b")
    assert told == "b  reviewed, grade 1, due 1970-01-02 00:00"
    lost = AttentionLost(ids=("a",), slots=(3,), activations=(0.5,), reason=EVIL)
    assert views.what_of(lost, lost.ids).startswith("a  look ")
    assert SENDS_CONTROLS.isdisjoint(views.what_of(lost, lost.ids))
