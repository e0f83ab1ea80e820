"""The harness that the package brings."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from memorygraph.benchmark import main, run_all
from memorygraph.core.types import InputError

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["remember", "recall", "reason", "similarity_search"]


def test_every_operation_is_measured_at_every_size():
    report = run_all(sizes=[3, 20])
    found = [(result.name.split(",")[0], result.nodes) for result in report.results]
    kinds = [*NAMES, *["save", "load"] * 3]
    assert found == [(kind, size) for size in (3, 20) for kind in kinds]
    assert all(result.seconds > 0 for result in report.results)
    assert [result.operations for result in report.results[:4]] == [3, 3, 3, 3]
    first = report.results[0]
    assert first.ops_per_s * first.ms_per_op == pytest.approx(1000)
    assert json.loads(json.dumps(report.to_dict()))["results"][0]["nodes"] == 3


@pytest.mark.parametrize("sizes", [[], [0], [-1], ["1000"], [2.5], 1000])
def test_bad_sizes_are_named(sizes):
    with pytest.raises(InputError, match="size"):
        run_all(sizes=sizes)


def test_the_command_says_what_it_cannot_use(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["many"]) == 2
    assert capsys.readouterr().err == "a size must be a whole number, not 'many'\n"
    assert list(tmp_path.iterdir()) == []


def test_the_documented_command(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "run.py", "5", "10"],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    page = (tmp_path / "BENCHMARKS.md").read_text()
    assert done.stdout == page
    assert page.count("| remember |") == 2
