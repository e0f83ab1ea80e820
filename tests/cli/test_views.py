"""What is shown is safe for a terminal, and fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from memorygraph.cli import views
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
