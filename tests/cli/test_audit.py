"""``memorygraph audit``: the table, JSON and CSV say the same."""

import csv
import io
import json
from pathlib import Path

import pytest

from memorygraph import AgentMemory
from tests.cli.conftest import Shell


@pytest.fixture
def used(shell: Shell) -> Shell:
    shell.run("remember", "The canoe leaks", "--agent", "ann", "--session", "monday")
    with AgentMemory(shell.store, auto_associate=False, provenance={"run": "7"}) as memory:
        memory.remember("=1+1 is a formula", node_id="sum")
        memory.remember("it is\nraining", node_id="rain")
    shell.run("forget", "rain", "--agent", "ben", "--reason", "it stopped")
    return shell


def rows(shell: Shell, *words: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(shell.run("audit", "--csv", *words))))


def entries(shell: Shell, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in shell.run("audit", "--json", *words).splitlines()]


def test_the_table_tells_who_what_when_where(used: Shell) -> None:
    heading, *lines = used.run("audit").splitlines()
    assert heading.split() == ["position", "when", "(UTC)", "who", "did", "from", "where", "what"]
    assert len(lines) == 6  # created, its space, three memories, one forgotten
    first, last = lines[2], lines[-1]
    assert first.split()[3:5] == ["ann", "wrote"]
    assert " cli " in first
    assert first.endswith("The canoe leaks")
    assert "(not given)   wrote" in lines[3]
    assert "run=7" in lines[3]
    assert last.split()[3:5] == ["ben", "forgot"]
    assert last.endswith("rain  it stopped")


def test_table_json_and_csv_say_the_same(used: Shell) -> None:
    lines = used.run("audit").splitlines()[1:]
    listed, table = entries(used), rows(used)
    assert len(lines) == len(listed) == len(table)
    for line, entry, row in zip(lines, listed, table, strict=True):
        assert line.split()[0] == str(entry["position"]) == row["position"]
        assert (entry["principal"] or "(not given)") == row["who"]
        assert entry["action"] == row["did"]
        assert " ".join(entry["ids"]) == row["ids"]
        assert entry["where"]["via"] == row["via"]


def test_csv_does_not_steer_a_spreadsheet(used: Shell) -> None:
    (row,) = rows(used, "--id", "sum", "--action", "wrote")
    assert row["what"] == "sum  =1+1 is a formula"
    with AgentMemory(used.store, principal="=cmd") as memory:
        memory.remember("x", node_id="x")
    assert rows(used, "--id", "x")[0]["who"] == "'=cmd"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--who", "ann"), 3),
        (("--who", "ann", "--who", "ben"), 4),
        (("--who", ""), 2),
        (("--action", "wrote"), 3),
        (("--id", "rain"), 2),
        (("--session", "monday"), 1),
        (("--where", "run=7"), 2),
        (("--where", "run=7", "--where", "via=cli"), 0),
        (("--from", "3"), 3),
        (("--to", "2"), 3),
        (("--limit", "2"), 2),
        (("--since", "2100-01-01"), 0),
        (("--until", "2100-01-01"), 6),
    ],
)
def test_filters(used: Shell, words: tuple[str, ...], count: int) -> None:
    assert len(entries(used, *words)) == count


def test_the_limit_keeps_the_newest(used: Shell) -> None:
    assert [entry["action"] for entry in entries(used, "--limit", "1")] == ["forgot"]


def test_replaced_records_are_told_in_one_line_each_run(used: Shell) -> None:
    with AgentMemory(used.store, auto_associate=False) as memory:
        memory.remember("nobody asks for it")
        memory.remember("nor for this")
        memory._engine._log.replace_by_hash([3, 6, 7])
    lines = used.run("audit").splitlines()[1:]
    assert lines[3].split()[:2] == ["3", "replaced"]
    assert lines[3].endswith("(record replaced; only its hash is kept)")
    assert lines[-1].split()[:2] == ["6", "replaced"]
    assert lines[-1].endswith("(records to position 7 replaced; only their hashes are kept)")
    assert [row["what"] for row in rows(used, "--who", "x")] == ["(record replaced; only its hash is kept)"] * 3
    assert rows(used, "--action", "wrote", "--from", "6") == []


def test_what_cannot_be_asked_is_said(used: Shell) -> None:
    assert "is not an action; use one of: created" in used.run("audit", "--action", "stole", code=2)
    assert "'host' must be NAME=VALUE" in used.run("audit", "--where", "host", code=2)
    assert "not both" in used.run("audit", "--json", "--csv", code=2)


def test_a_line_fits_the_terminal(used: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memorygraph.cli.audits.terminal_width", lambda: 60)
    assert all(len(line) <= 60 for line in used.run("audit").splitlines())


def test_ingest_says_the_place(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Boats\n\nA canoe leaks.\n")
    shell.run("ingest", str(tmp_path / "docs"), "--agent", "ann")
    wrote = rows(shell, "--action", "wrote")
    assert {(row["who"], row["via"], row["source"]) for row in wrote} == {("ann", "ingest", str(tmp_path / "docs"))}
