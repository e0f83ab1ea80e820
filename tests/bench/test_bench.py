"""The benchmark itself: it runs, every goal has its row, and a missed goal is said and ends with 1."""

import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import compaction, log, log_sections, memory, report, sessions, small, snapshots
from bench.corpus import text, topic, vocabulary
from bench.goals import BY_KEY, FAILED, GOALS, LOG_GOALS, NOT_MEASURED, PASSED, RECALL_GOALS, Row, failed
from bench.own import dictionary_resizes
from bench.sections import QUICK, SECTIONS
from bench.sessions import OURS, PEER, ROOT, Sessions, WrongPackage, alternate

TINY = replace(QUICK, adds=(1, 4), remembers=(1, 3), searches=(1, 3), batches=(1, 50), durable_batches=1, replayed=60)
VALUES = {True: (1e9, 1e-9), False: (0.0, 1e9)}  # of a goal "at least" or "at most": far beyond it, far short of it


def row_of(key: str, *, good: bool) -> Row:
    """A row that meets or misses a goal by far."""
    goal = BY_KEY[key]
    value = VALUES[goal.at_least][not good]
    return Row(section=goal.section, name=key, unit=goal.unit, ours=value, goal=key)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A run of the command without the older package: what it printed, and its folder."""
    folder = tmp_path_factory.mktemp("bench")
    files = ["--peer", folder / "none", "--json", folder / "found.json", "--picture", folder / "found.svg"]
    ran = subprocess.run(
        [sys.executable, "-m", "bench.memory", "--quick", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout, folder


def test_a_run_alone_has_a_row_for_every_goal(alone: tuple[str, Path]) -> None:
    printed, folder = alone
    found = json.loads((folder / "found.json").read_text())
    assert found["quick"] is True
    assert found["machine"][PEER] is None
    assert found["machine"][OURS]["distribution"] == "memorygraph"
    rows = found["rows"]
    assert Counter(row["goal"] for row in rows if row["goal"]) == Counter(goal.key for goal in GOALS)
    assert {row["section"] for row in rows} == set(SECTIONS)
    assert all(math.isfinite(row["ours"]) for row in rows)
    lines = printed.splitlines()
    assert "Ours alone" in lines[1]
    assert len(lines) == len(rows) + 4  # machine, alone, heading, rows, summary
    assert lines[-1].startswith(f"{len(GOALS)} goals: ")


def test_what_was_not_compared_is_not_called_a_pass(alone: tuple[str, Path]) -> None:
    rows = json.loads((alone[1] / "found.json").read_text())["rows"]
    verdicts = {row["goal"]: row["verdict"] for row in rows if row["goal"]}
    for goal in GOALS:
        is_ratio = goal.unit == "x" and goal.key != "add-flat"
        assert (verdicts[goal.key] == NOT_MEASURED) is is_ratio


def test_the_picture_has_a_bar_for_every_measured_goal(alone: tuple[str, Path]) -> None:
    tree = ET.fromstring((alone[1] / "found.svg").read_text())  # noqa: S314 - our own file
    rows = json.loads((alone[1] / "found.json").read_text())["rows"]
    bars = tree.findall(".//{http://www.w3.org/2000/svg}rect")[1:]
    assert len(bars) == sum(row["verdict"] in {PASSED, FAILED} for row in rows)


def test_two_packages_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sessions.DISTRIBUTIONS, PEER, sessions.DISTRIBUTIONS[OURS])
    with Sessions(Path(sys.executable)) as both:
        rows = memory.measured(both, TINY, ["add", "remember"])
    compared = {row.goal: row for row in rows if row.goal}
    assert compared.keys() == {goal.key for goal in GOALS if goal.section in {"add", "remember"}}
    for key in ("add-middle", "add-large", "remember-small", "remember-large"):
        assert compared[key].value == compared[key].ratio == compared[key].peer / compared[key].ours
        assert compared[key].verdict in {PASSED, FAILED}
    links = [row for row in rows if row.unit == "links"]
    assert links
    assert all(row.ours == row.peer for row in links)  # the same texts, the same work


def test_another_package_in_the_peers_place_is_refused() -> None:
    with (
        Sessions(Path(sys.executable)) as wrong,
        pytest.raises(WrongPackage, match=r"is to be neural-memorygraph 1\.3\.0"),
    ):
        wrong.fresh(PEER)


def test_a_process_that_fails_ends_the_run() -> None:
    with Sessions(None) as ours:
        session = ours.fresh(OURS)
        with pytest.raises(RuntimeError, match="'ours' ended during 'no_such_thing'"):
            session.ask("no_such_thing")
        session.close()


class Counting:
    """A session that answers with numbers instead of seconds."""

    def __init__(self, turns: list[str], name: str) -> None:
        self.turns, self.name, self.asked = turns, name, 0

    def ask(self, do: str, *, count: int) -> list[float]:
        self.turns.append(f"{do} {self.name}")
        self.asked += 1
        return [float(self.asked)] * count


def test_sessions_take_turns_and_the_first_round_is_left_out() -> None:
    turns: list[str] = []
    one, other = alternate([Counting(turns, "a"), Counting(turns, "b")], "add", 3, 2)
    assert turns == [f"add {name}" for name in "abbaabba"]
    assert one == other == [2.0, 2.0, 3.0, 3.0, 4.0, 4.0]


@pytest.mark.parametrize("key", [goal.key for goal in (*GOALS, *LOG_GOALS, *RECALL_GOALS)])
def test_every_goal_can_be_met_and_missed(key: str) -> None:
    goal = BY_KEY[key]
    assert goal.section in {*SECTIONS, *log_sections.SECTIONS, *(goal.section for goal in RECALL_GOALS)}
    assert goal.verdict(goal.limit) == PASSED
    assert goal.verdict(math.nan) == FAILED
    assert goal.verdict(None) == NOT_MEASURED
    good, bad = row_of(key, good=True), row_of(key, good=False)
    assert goal.verdict(good.ours) == PASSED
    assert goal.margin(good.ours) > 1 > goal.margin(bad.ours)
    assert goal.verdict(bad.ours) == FAILED


def test_one_missed_goal_ends_with_1_unless_quick() -> None:
    good = [row_of(goal.key, good=True) for goal in GOALS]
    bad = [*good, row_of("durable", good=False)]
    assert memory.exit_code(good, quick=False) == 0
    assert failed(bad) == bad[-1:]
    assert memory.exit_code(bad, quick=False) == 1
    assert memory.exit_code(bad, quick=True) == 0
    assert "1 FAIL" in report.summary(bad)
    assert "FAIL" in report.table(bad)
    assert "FAIL" in report.picture(bad, "a < b")


def test_a_goal_about_the_older_package_looks_at_the_ratio_and_not_at_our_time() -> None:
    slow = Row(section="add", name="add_node", unit="us", ours=500.0, peer=1_000.0, goal="add-middle")
    assert slow.value == 2.0
    assert slow.verdict == FAILED
    assert replace(slow, ours=50.0).verdict == PASSED
    flat = Row(section="add", name="flat", unit="x", ours=2.5, goal="add-flat")
    assert flat.verdict == FAILED


def test_texts_are_a_function_of_their_number() -> None:
    assert text(7) == text(7) != text(8)
    assert len(set(text(7).split()) & set(topic(7))) >= 8
    assert len(set(vocabulary())) == len(vocabulary())


def test_dictionary_resizes_are_found() -> None:
    grown = dict.fromkeys(range(dictionary_resizes(2000)[-1] - 1))
    before = sys.getsizeof(grown)
    grown[-1] = None
    assert sys.getsizeof(grown) > before


def test_the_log_is_measured_against_its_goals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    tiny = replace(
        log_sections.QUICK, rounds=1, commits=2, batches=2, appends=2, events=2000, memories=3, notes=50, reopened=220
    )
    monkeypatch.setattr(log, "QUICK", tiny)
    monkeypatch.setattr(compaction, "IDLE_S", 0.2)
    monkeypatch.setattr(small, "IDLE_S", 0.1)
    monkeypatch.setattr(snapshots, "WRITES", 5)
    monkeypatch.setattr(snapshots, "ROUNDS", 1)
    files = ["--json", str(tmp_path / "found.json"), "--picture", str(tmp_path / "found.svg"), "--dir", str(tmp_path)]
    assert log.main(["--quick", *files]) == 0
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert {row["goal"] for row in rows if row["goal"]} == {goal.key for goal in LOG_GOALS}
    assert all(row["ours"] >= 0 for row in rows)
    assert f"{len([row for row in rows if row['goal']])} goals: " in capsys.readouterr().out
    ET.fromstring((tmp_path / "found.svg").read_text())  # noqa: S314 - our own file
