"""The recall benchmark: its measures, and that a run on a small set has every figure."""

import gzip
import json
import math
from pathlib import Path

import pytest

from bench import recall, recall_speed
from bench.goals import RECALL_GOALS
from bench.recall_sets import measured

ITEMS = [
    ("Ann", "The key of the boathouse hangs behind the clock"),
    ("Bob", "I painted the canoe green"),
    ("Ann", "The canoe needs a new seat"),
    ("Bob", "Lunch is at noon"),
]
ASKED = [("Where is the key?", "single", ["d0"]), ("What about the canoe?", "list", ["d1", "d2"])]
WRONG = ("What did Bob say of the key?", "adversarial", ["d0"])


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    docs = [
        {"id": f"d{place}", "text": text, "speaker": speaker, "session": 1, "time": "1:56 pm on 8 May, 2023"}
        for place, (speaker, text) in enumerate(ITEMS)
    ]
    questions = [{"q": asked, "cat": category, "gold": gold} for asked, category, gold in [*ASKED, WRONG]]
    document = {"name": "boats", "groups": [{"gid": "all", "docs": docs, "questions": questions}]}
    (tmp_path / "boats-dev.json.gz").write_bytes(gzip.compress(json.dumps(document).encode()))
    return tmp_path


def test_measures() -> None:
    found = measured([7, 3, 5, *range(100, 107), 9], frozenset({3, 9, 11}))
    assert found["R@5"] == found["R@10"] == pytest.approx(1 / 3)
    assert found["R@20"] == pytest.approx(2 / 3)
    assert found["MRR"] == 0.5
    ideal = sum(1 / math.log2(rank + 1) for rank in (1, 2, 3))
    assert found["nDCG@10"] == pytest.approx(1 / math.log2(3) / ideal)
    assert set(measured([], frozenset({1})).values()) == {0.0}
    assert measured([1], frozenset({1}))["nDCG@10"] == 1.0


def test_a_run(sets: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    nowhere = [f"--{name}={tmp_path / 'none'}" for name in ("peer", "embedder")]
    assert recall.main([f"--data={sets}", "--categories", f"--json={written}", *nowhere]) == 0
    printed = capsys.readouterr().out
    assert "Not measured here: older reason, older recall, dense, recall+minilm, reason+minilm" in printed
    assert "boats: 2 questions, 4 memories" in printed
    found = json.loads(written.read_text())
    assert set(found) == {"bm25", "recall", "reason"}
    figures = found["recall"]["boats"]["figures"]
    assert {name: kept["questions"] for name, kept in figures.items()} == {
        "adversarial": 1, "all": 2, "list": 1, "single": 1
    }  # fmt: skip
    assert figures["all"]["R@5"] == 1.0
    assert figures["single"]["MRR"] == 1.0
    assert found["recall"]["boats"]["ingest_per_s"] > 0


def test_without_data(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MEMORYGRAPH_RECALL_DATA", raising=False)
    assert recall.main([]) == 2
    assert "--data FOLDER" in capsys.readouterr().err
    assert recall.main([f"--data={tmp_path}"]) == 2
    assert "no sets" in capsys.readouterr().err


def test_how_long_it_takes(sets: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    assert recall_speed.main(["--quick", f"--data={sets}", f"--json={written}"]) == 0
    printed = capsys.readouterr()
    assert "recall, k=10, boats, 4 memories: median" in printed.out
    assert "index, 200 short memories: 200 of 200" in printed.err
    rows = json.loads(written.read_text())
    assert {row["goal"] for row in rows if row["goal"]} == {goal.key for goal in RECALL_GOALS}
    assert all(row["ours"] > 0 for row in rows)
    assert recall_speed.main(["--quick", f"--data={tmp_path / 'none'}"]) == 2
