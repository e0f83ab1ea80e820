"""The specification's block on spaced repetition, as written, with the outcomes that its text states."""

import re

import numpy as np

from memorygraph import MemoryGraph, MemoryNode, MemoryType
from memorygraph.decay.forgetting import EbbinghausModel, FSRSModel, PowerLawModel


def test_spaced_repetition_and_forgetting(capsys):
    graph = MemoryGraph(embedding_dim=768)
    fact = MemoryNode(content="Paris is the capital of France", memory_type=MemoryType.SEMANTIC, importance=0.9)
    event = MemoryNode(content="We met in Paris", memory_type=MemoryType.EPISODIC)
    graph.add_node(fact)
    graph.add_node(event)

    from memorygraph import SpacedRepetitionScheduler

    scheduler = SpacedRepetitionScheduler(model="fsrs", target_retention=0.90)

    # Register nodes for spaced repetition
    for node in graph.query_by_type(MemoryType.SEMANTIC):
        scheduler.register_node(node.id, initial_grade=node.importance)

    # Record a review (grade: 0.0 = forgot, 1.0 = perfect recall)
    entry = scheduler.record_review(node_id=fact.id, grade=0.9)
    print(f"Next review in {entry.time_until_due() / 86400:.1f} days")
    print(f"Stability: {entry.stability:.2f}")

    # Get all nodes due for review right now
    due_nodes = scheduler.get_due_nodes()

    # Get upcoming reviews within the next 3 days
    upcoming = scheduler.get_upcoming(within_seconds=3 * 86400)

    # Plot the forgetting curve for a specific node
    t_array, r_array = scheduler.forgetting_curve_points(
        node_id=fact.id,
        num_points=100,
        time_horizon_days=30,
    )

    days, stability = map(
        float, re.fullmatch(r"Next review in ([\d.]+) days\nStability: ([\d.]+)\n", capsys.readouterr().out).groups()
    )
    assert abs(days - stability) < 0.06  # at a target of 0.9 the interval is the stability
    assert stability == 13.82  # as FSRS-4.5 gives for "easy"; a review right after registering does not collapse it
    assert due_nodes == upcoming == []
    assert [entry.node_id for entry in scheduler.get_upcoming(within_seconds=14 * 86400)] == [fact.id]
    assert t_array.shape == r_array.shape == (100,)
    assert (t_array[0], r_array[0], t_array[-1]) == (0.0, 1.0, 30 * 86400)
    assert (np.diff(r_array) < 0).all()


def test_all_documented_models_schedule():
    """ "Schedule memory reviews using FSRS-4.5, SM-2, Ebbinghaus, or Power Law models." """
    from memorygraph import SpacedRepetitionScheduler

    for name in ("fsrs", "sm2", "ebbinghaus", "power_law"):
        hard, good, easy = (SpacedRepetitionScheduler(model=name) for _ in range(3))
        stabilities = []
        for one, grade in ((hard, 0.3), (good, 0.6), (easy, 0.9)):
            start = one.register_node("x", 0.6)
            one.record_review("x", 0.6, at=start.due_at)
            later = one.record_review("x", grade, at=one.entry("x").due_at)
            stabilities.append(later.stability)
        assert stabilities == sorted(set(stabilities)), name


def test_retention_models():
    """The table "Retention Models"."""
    day = 86400
    assert np.isclose(EbbinghausModel().retention(3 * day, 2.0), np.exp(-1.5))
    assert np.isclose(PowerLawModel(alpha=0.5, b=1.0).retention(3 * day, 1.0), (1 + 3.0) ** -0.5)
    assert np.isclose(FSRSModel().retention(day, 1.0), 0.9)
    node = MemoryNode(content="x", decay_function="hyperbolic", decay_rate=2.0)
    assert np.isclose(node.retention(elapsed_seconds=2 * 3600), 1 / (1 + 1))
