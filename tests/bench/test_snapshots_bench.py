"""The figures of snapshots: they are taken, and a missed goal ends with 1."""

import pytest

from bench import snapshots


def test_it_measures_a_small_store(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "WRITES", 5)
    monkeypatch.setattr(snapshots, "ROUNDS", 1)
    found = snapshots.measured(tmp_path, 220)
    assert found["written_bytes"] < found["size_bytes"]
    assert min(found.values()) > 0


GOOD = {"opened_s": 0.5, "replayed_s": 5.0, "written_bytes": 3, "size_bytes": 100, "during_s": 0.02, "idle_s": 0.01}


@pytest.mark.parametrize(("key", "value"), [("opened_s", 1.1), ("written_bytes", 6), ("during_s", 0.04)])
def test_a_missed_goal_is_said(monkeypatch, capsys, key, value):
    monkeypatch.setattr(snapshots, "measured", lambda *_: GOOD)
    assert snapshots.main([]) == 0
    monkeypatch.setattr(snapshots, "measured", lambda *_: {**GOOD, key: value})
    assert snapshots.main([]) == 1
    assert snapshots.main(["--quick"]) == 0
    assert "goal 5 %" in capsys.readouterr().out
