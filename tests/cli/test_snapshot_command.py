"""``memorygraph snapshot``, and what other commands do with snapshots."""

from __future__ import annotations

import pytest

from memorygraph.actors import snapshots
from memorygraph.projections.graph import GraphState
from tests.cli.conftest import Shell


def files_of(shell: Shell) -> list[str]:
    return sorted(path.name for path in (shell.store / "snapshots").glob("*.snap"))


def test_snapshot_says_what_it_wrote(shell: Shell) -> None:
    assert "there is no memory" in shell.run("snapshot", code=1)
    shell.run("remember", "The ferry leaves at nine")
    saved = shell.json("snapshot")
    assert saved["position"] == 2
    assert 0 < saved["size_bytes"] < saved["written_bytes"]
    assert files_of(shell) == [f"{2:020d}.snap"]
    assert "there is a snapshot of position 2 already" in shell.run("snapshot")
    shell.run("remember", "The bus leaves at ten")
    assert shell.run("snapshot").startswith("snapshot of position 3: ")


def test_commands_start_from_it_and_those_that_read_write_none(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOSE_CHANGES", "CLOSE_SHARE"):
        monkeypatch.setattr(snapshots, name, 0)
    for n in range(3):
        shell.run("remember", f"The ferry leaves at {n}")
    assert files_of(shell)[-1] == f"{4:020d}.snap", "a command that writes leaves one behind, if it is worth it"
    written = files_of(shell)
    applied = []
    apply = GraphState.apply
    monkeypatch.setattr(
        GraphState, "apply", lambda self, position, *rest: applied.append(position) or apply(self, position, *rest)
    )
    assert "at 2" in shell.run("recall", "ferry")
    shell.run("stats")
    assert applied == []
    assert files_of(shell) == written
    assert shell.json("replay")["same"]
    assert applied == [1, 2, 3, 4], "replay is the check, and uses none"
    applied.clear()
    assert [hit["content"] for hit in shell.json("recall", "ferry", "--at", "3")["hits"]] != []
    assert len(applied) <= 1
