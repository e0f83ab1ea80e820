"""The benchmark of the graph: every goal has its row, alone and beside another package."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench import graph, memory, own_search, sessions
from bench.goals import GRAPH_GOALS, NOT_MEASURED
from bench.sections import QUICK
from bench.sessions import OURS, PEER, Sessions

TINY = replace(QUICK, smallest=20, small=30, middle=40, large=100, huge=200, vast=300, searches=(1, 2))


def test_every_goal_has_its_row(capsys):
    assert graph.main(["--quick", "--peer", "/nonexistent"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{len(GRAPH_GOALS)} goals: ")


def test_two_packages_are_compared(monkeypatch):
    monkeypatch.setitem(sessions.DISTRIBUTIONS, PEER, sessions.DISTRIBUTIONS[OURS])
    with Sessions(Path(sys.executable)) as both:
        rows = memory.measured(both, TINY, list(graph.SECTIONS), graph.SECTIONS)
    found = [row for row in rows if row.goal]
    assert Counter(row.goal for row in found) == Counter(goal.key for goal in GRAPH_GOALS)
    assert all(row.verdict != NOT_MEASURED for row in found)


def test_a_filtered_search_that_misses_some_ends_the_run(monkeypatch):
    real = own_search.MemoryGraph.similarity_search
    monkeypatch.setattr(
        own_search.MemoryGraph,
        "similarity_search",
        lambda *args, **named: real(*args, **named)[: 3 if "tags" in named else None],
    )
    with pytest.raises(AssertionError):
        own_search.SearchWork().similar_turns(nodes=200, rounds=1)
