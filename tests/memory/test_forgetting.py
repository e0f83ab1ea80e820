"""Review schedules through the public API: by themselves, and as part of a memory."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from memorygraph import AgentMemory, MemoryGraph, MemoryNode, SpacedRepetitionScheduler
from memorygraph.actors import reviews
from memorygraph.actors.commands import ArchiveNodes, RestoreNodes
from memorygraph.core.types import (
    DecayFunction,
    InputError,
    MemoryGraphError,
    NodeNotFoundError,
    StoreReadOnly,
    TransactionConflict,
)
from memorygraph.decay import cards, forgetting
from memorygraph.decay.forgetting import (
    EbbinghausModel,
    FSRSModel,
    PowerLawModel,
    SM2Card,
    SM2Model,
    retentions,
)
from memorygraph.multiagent import SharedMemoryPool
from memorygraph.projections.review import reviewed
from memorygraph.projections.review_fsrs import FSRS_6_WEIGHTS, FSRS_45_WEIGHTS
from tests.memory.helpers import SteppedClock, clocked

DAY_S = 86_400.0
MODELS = ["fsrs", "fsrs6", "sm2", "ebbinghaus", "power_law"]
NAMES = ["a", "b", "c"]


class SchedulerContract:
    """What a scheduler promises, wherever its cards are."""

    @pytest.fixture
    def clock(self):
        return SteppedClock()

    @pytest.fixture
    def make(self, clock):
        raise NotImplementedError

    @pytest.mark.parametrize("model", MODELS)
    def test_a_memory_is_due_when_it_fades(self, make, clock, model):
        scheduler = make(model)
        entry = scheduler.register_node("a", initial_grade=0.6)
        assert (entry.model, entry.grade_history, entry.last_review) == (model, [], clock.now_us() / 1e6)
        assert entry.time_until_due() > 0
        assert not entry.is_due()
        assert scheduler.get_due_nodes() == []
        clock.forward(entry.time_until_due() / 3600 + 0.01)
        assert scheduler.get_due_nodes() == [entry]
        assert entry.is_due()
        assert entry.retention() == pytest.approx(0.9, abs=1e-3)
        after = scheduler.record_review("a", 0.6)
        assert after.grade_history == [0.6]
        assert after.time_until_due() > (entry.due_at - entry.last_review if model != "sm2" else 0)
        assert scheduler.get_due_nodes() == []

    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("grade", [0.3, 0.6, 0.9])
    def test_a_review_right_after_registering_does_not_collapse_stability(self, make, model, grade):
        scheduler = make(model)
        before = scheduler.register_node("a")
        after = scheduler.record_review("a", grade)
        assert after.stability >= before.stability
        assert after.time_until_due() >= before.time_until_due()

    @pytest.mark.parametrize("model", ["fsrs", "fsrs6"])
    def test_it_says_what_the_reference_says(self, make, model):
        name = {"fsrs": "fsrs-4.5", "fsrs6": "fsrs-6"}[model]
        path = Path(__file__).parents[1] / "projections" / "data" / f"{name}.json"
        run = json.loads(path.read_text())["runs"][1]
        scheduler = make(FSRSModel(run["weights"]), run["target_retention"])
        at = 1_800_000_000.0
        for place, step in enumerate(run["steps"]):
            at += step["gap_s"]
            grade = {1: 0.0, 2: 0.4, 3: 0.7, 4: 1.0}[step["rating"]]
            entry = scheduler.record_review("a", grade, at=at) if place else scheduler.register_node("a", grade, at=at)
            said = step["after"][str(step["rating"])]
            assert (entry.stability, entry.difficulty) == pytest.approx((said["stability"], said["difficulty"]))
            assert entry.retention(at + 10 * DAY_S) == pytest.approx(said["retention"][2])

    def test_upcoming_comes_soonest_first_with_what_is_overdue(self, make, clock):
        scheduler = make("fsrs")
        scheduler.register_nodes({"a": 1.0, "b": 0.0, "c": 0.6})
        clock.forward(24)
        soon = scheduler.get_upcoming(within_seconds=3 * 86400)
        assert [entry.node_id for entry in soon] == ["b", "c"]
        assert [entry.node_id for entry in scheduler.get_due_nodes()] == ["b"]
        assert [entry.node_id for entry in scheduler.get_upcoming()] == ["b"]
        assert [entry.node_id for entry in scheduler] == ["b", "c", "a"]
        tomorrow = datetime.fromtimestamp(clock.now_us() / 1e6, UTC) + timedelta(days=20)
        assert len(scheduler.get_due_nodes(at=tomorrow)) == 3
        assert len(scheduler) == 3
        assert ("a" in scheduler, "zz" in scheduler, 7 in scheduler) == (True, False, False)

    def test_the_curve_and_the_distribution(self, make, clock):
        scheduler = make("fsrs")
        stability = scheduler.register_node("a", 0.6).stability
        scheduler.register_node("b", 0.0)
        times_s, left = scheduler.forgetting_curve_points("a", num_points=100, time_horizon_days=30)
        assert times_s.shape == left.shape == (100,)
        assert (times_s[0], times_s[-1], left[0]) == (0.0, 30 * DAY_S, 1.0)
        assert (np.diff(left) < 0).all()
        assert left[-1] == pytest.approx((1 + 19 / 81 * 30 / stability) ** -0.5)
        clock.forward(10 * 24)
        distribution = scheduler.retention_distribution()
        assert set(distribution) == {"a", "b"}
        assert 0 < distribution["b"] < distribution["a"] < 1
        assert distribution["a"] == scheduler.entry("a").retention()

    def test_a_review_of_what_is_not_registered_begins_with_it(self, make):
        scheduler = make("fsrs")
        assert scheduler.record_review("a", 0.6).grade_history == [0.6]
        assert scheduler.entry("a").stability == FSRS_45_WEIGHTS[2]
        assert scheduler.register_node("a", 1.0).grade_history == []

    def test_a_review_before_the_last_one_is_refused(self, make, clock):
        scheduler = make("fsrs")
        at = clock.now_us() / 1e6
        entry = scheduler.register_node("a", 0.6, at=at)
        with pytest.raises(InputError, match="'a' was reviewed after that already, 3600 s later"):
            scheduler.record_review("a", 0.6, at=at - 3600)
        assert scheduler.entry("a") == entry
        assert scheduler.record_review("a", 0.6, at=at).grade_history == [0.6]  # at the same time it may be
        assert scheduler.register_node("a", 0.6, at=at - 3600).last_review == at - 3600  # and it may begin anew
        assert scheduler.register_node("a", 0.6, at=at + 3600).last_review == at + 3600
        assert scheduler.record_review("a", 0.6).last_review == at + 3600  # a clock behind is nobody's fault

    def test_what_is_taken_out_is_not_due_any_more(self, make):
        scheduler = make("fsrs")
        scheduler.register_nodes(dict.fromkeys(NAMES, 0.0))
        scheduler.unregister_node("b")
        scheduler.unregister_node("b")
        assert [entry.node_id for entry in scheduler.get_upcoming()] == ["a", "c"]
        assert scheduler.register_node("b", 0.6).grade_history == []

    @pytest.mark.parametrize("grade", [-0.01, 1.5, 3, math.nan, "good", None])
    def test_a_grade_that_is_none_is_refused(self, make, grade):
        scheduler = make("fsrs")
        with pytest.raises(InputError, match="grade"):
            scheduler.record_review("a", grade)
        with pytest.raises(InputError, match="grade"):
            scheduler.register_nodes({"b": 0.5, "a": grade})
        assert len(scheduler) == 0

    def test_what_is_not_scheduled_is_named(self, make):
        for ask in ("entry", "forgetting_curve_points"):
            with pytest.raises(NodeNotFoundError, match="'a' is not scheduled for review; register it first"):
                getattr(make("fsrs"), ask)("a")

    def test_reviews_from_many_threads_are_all_counted(self, make):
        scheduler = make("sm2")
        scheduler.register_node("a")
        threads = [run_thread(lambda: [scheduler.record_review("a", 0.6) for _ in range(10)]) for _ in range(2)]
        for thread in threads:
            thread.join()
        entry = scheduler.entry("a")
        assert (len(entry.grade_history), entry.repetitions) == (20, 21)

    def test_a_review_that_does_not_wait_for_the_one_before_is_seen(self, make, monkeypatch):
        def slowly(*given, **options):
            time.sleep(0.001)
            return reviewed(*given, **options)

        monkeypatch.setattr(reviews, "reviewed", slowly)
        monkeypatch.setattr(cards, "reviewed", slowly)
        monkeypatch.setattr(reviews, "review_of", lambda node_id: f"\0nobody {node_id}")
        monkeypatch.setattr(cards, "threading", SimpleNamespace(Lock=nullcontext))
        with pytest.raises(AssertionError):
            self.test_reviews_from_many_threads_are_all_counted(make)


def run_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


class TestAlone(SchedulerContract):
    @pytest.fixture
    def make(self, clock):
        return lambda *given: SpacedRepetitionScheduler(*given, clock=clock)

    def test_a_command_id_is_refused(self, make):
        for use in ("register_node", "unregister_node"):
            with pytest.raises(InputError, match="memory="):
                getattr(make("fsrs"), use)("a", command_id="x")


class TestInAMemory(SchedulerContract):
    @pytest.fixture
    def memory(self, clock):
        with clocked(clock) as memory:
            for name in NAMES:
                memory.remember(name, node_id=name)
            yield memory

    @pytest.fixture
    def make(self, memory):
        return lambda *given: SpacedRepetitionScheduler(*given, memory=memory)

    def test_reviews_are_changes_that_the_memory_tells_of(self, make, memory):
        scheduler = make("fsrs")
        scheduler.register_node(memory.get("a"))
        scheduler.record_review("a", 0.9)
        assert [change.kind for change in memory.history("a")] == ["added", "reviewed", "reviewed", "recalled"]
        assert [entry.action for entry in memory.audit(action="reviewed")] == ["reviewed", "reviewed"]
        assert memory.get("a").access_count == 1

    def test_the_past_has_its_own_cards(self, make, memory, clock):
        first = make("fsrs").register_node("a")
        before = memory.position
        clock.forward(100)
        make("fsrs").record_review("a", 0.9)
        past = SpacedRepetitionScheduler(memory=memory.at(before))
        assert past.entry("a") == first
        with pytest.raises(StoreReadOnly):
            past.record_review("a", 0.9)

    def test_forgetting_a_memory_drops_its_card(self, make, memory):
        scheduler = make("fsrs")
        scheduler.register_nodes(dict.fromkeys(NAMES, 0.5))
        memory.forget(ids=["a"])
        assert [entry.node_id for entry in scheduler] == ["b", "c"]
        with pytest.raises(NodeNotFoundError):
            scheduler.record_review("a", 0.5)
        memory.remember("again", node_id="a")
        assert "a" not in scheduler
        assert memory.replay() == memory.digest()

    def test_the_digest_holds_the_cards(self, make, memory):
        digests = {memory.digest()}
        make("fsrs").register_node("a", 0.5)
        digests.add(memory.digest())
        make("fsrs").register_node("a", 0.9)
        digests.add(memory.digest())
        assert len(digests) == 3
        assert memory.replay() == memory.digest()

    def test_a_memory_has_one_card_of_one_model(self, make):
        make("fsrs").register_node("a")
        with pytest.raises(InputError, match="'a' is scheduled by fsrs, not by sm2; register it anew"):
            make("sm2").record_review("a", 0.9)
        assert len(make("sm2")) == 0
        make("sm2").register_node("a")
        assert (len(make("sm2")), len(make("fsrs"))) == (1, 0)

    def test_a_command_is_carried_out_once(self, make):
        scheduler = make("fsrs")
        for _ in range(2):
            scheduler.record_review("a", 0.9, command_id="once")
        assert scheduler.entry("a").grade_history == [0.9]

    def test_a_transaction_undoes_reviews(self, make, memory):
        scheduler = make("fsrs")

        def broken():
            with memory.transaction():
                scheduler.register_node("a")
                assert scheduler.record_review("a", 0.9).grade_history == [0.9]
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            broken()
        assert "a" not in scheduler
        with memory.transaction():
            scheduler.register_node("a")
        assert "a" in scheduler

    def test_a_transaction_that_read_a_card_notices_a_review(self, make, memory):
        scheduler = make("fsrs")
        scheduler.register_node("a")

        def overtaken():
            with memory.transaction():
                scheduler.entry("a")
                memory.remember("rests on it")
                run_thread(lambda: scheduler.record_review("a", 0.9)).join()

        with pytest.raises(TransactionConflict, match="'a' was changed by others"):
            overtaken()

    def test_many_are_registered_in_few_records(self, make, memory, monkeypatch):
        monkeypatch.setattr(forgetting, "CHUNK", 2)
        before = memory.position
        assert [
            entry.node_id for entry in make("sm2").register_nodes(dict.fromkeys(NAMES, 0.5), command_id="x")
        ] == NAMES
        assert memory.position == before + 2


@pytest.mark.parametrize("reopened", ["replay", "snapshot", "import"])
def test_cards_survive(store, tmp_path, reopened):
    with AgentMemory(store) as memory:
        node = memory.remember("a")
        scheduler = SpacedRepetitionScheduler("fsrs6", memory=memory)
        scheduler.register_node(node, 0.6)
        entry = scheduler.record_review(node, 0.9, at=memory.get(node).created_at + 5 * DAY_S)
        digest = memory.digest()
        if reopened == "snapshot":
            memory.snapshot()
            memory.remember("b")
            digest = memory.digest()
        memory.export(tmp_path / "whole")
    if reopened == "import":
        AgentMemory.import_(tmp_path / "whole", tmp_path / "copy").close()
        store = tmp_path / "copy"
    with AgentMemory(store) as memory:
        assert SpacedRepetitionScheduler("fsrs6", memory=memory).entry(node) == entry
        assert memory.digest() == memory.replay() == digest


def test_cards_are_kept_by_save_and_in_the_archive(tmp_path):
    with AgentMemory() as memory:
        node = memory.remember("a")
        scheduler = SpacedRepetitionScheduler(memory=memory)
        scheduler.register_node(node, 0.6)
        entry = scheduler.record_review(node, 0.9)
        memory.save(tmp_path / "notes.json")
    with AgentMemory.load(tmp_path / "notes.json") as memory:
        scheduler = SpacedRepetitionScheduler(memory=memory)
        assert scheduler.entry(node) == entry
        memory._home.execute(ArchiveNodes(ids=[node.id]))
        assert list(scheduler) == []
        memory._home.execute(RestoreNodes(ids=[node.id]))
        assert list(scheduler) == [entry]
        assert memory.replay() == memory.digest()


def test_agents_of_a_pool_schedule_what_they_may_see():
    pool = SharedMemoryPool()
    ann, ben = pool.agent("ann"), pool.agent("ben")
    private, public = ann.remember("private"), ann.remember("public", scope="public")
    SpacedRepetitionScheduler(memory=ann).register_nodes({private.id: 0.5, public.id: 0.5})
    seen = SpacedRepetitionScheduler(memory=ben)
    assert [entry.node_id for entry in seen] == [public.id]
    assert private.id not in seen
    for name in (private.id, public.id):
        with pytest.raises(MemoryGraphError):
            seen.record_review(name, 0.9)
    assert {change.ids for change in ben.log() if change.kind == "reviewed"} == {(public.id,)}
    assert retentions(ben).shape == (1,)


def test_a_graph_has_cards_too():
    graph = MemoryGraph()
    node = MemoryNode("x")
    graph.add_node(node)
    scheduler = SpacedRepetitionScheduler(memory=graph)
    scheduler.register_node(node)
    assert scheduler.entry(node.id).stability == FSRS_45_WEIGHTS[3]
    assert repr(scheduler) == "SpacedRepetitionScheduler('fsrs', 0.9, nodes=1)"
    assert repr(scheduler.entry(node)).startswith(f"<ReviewEntry {node.id}: stability 13.82 days, due ")


def test_what_is_due_beyond_the_calendar_can_be_shown():
    scheduler = SpacedRepetitionScheduler()
    entry = scheduler.register_node("a", 1.0, at="9999-12-31")
    assert repr(entry) == "<ReviewEntry a: stability 13.82 days, due after the year 9999>"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "anki"}, "use one of: fsrs, fsrs6, sm2, ebbinghaus, power_law"),
        ({"model": 7}, "not a model of review"),
        ({"target_retention": 1.0}, "target_retention must be from 0.01 to 0.999"),
        ({"target_retention": "high"}, "must be a number"),
        ({"memory": "notes"}, "must be an AgentMemory or a MemoryGraph"),
    ],
)
def test_a_scheduler_that_cannot_be_made_says_why(given, message):
    with pytest.raises(InputError, match=message):
        SpacedRepetitionScheduler(**given)
    with AgentMemory() as memory, pytest.raises(InputError, match="own clock"):
        SpacedRepetitionScheduler(memory=memory, clock=SteppedClock())


def test_the_models_in_closed_form():
    assert EbbinghausModel().retention(2 * DAY_S, 2.0) == pytest.approx(math.exp(-1))
    assert PowerLawModel().retention(3 * DAY_S, 1.0) == 0.5
    assert PowerLawModel(alpha=1.0, b=2.0).retention(DAY_S, 1.0) == pytest.approx(1 / 3)
    assert FSRSModel().retention(5 * DAY_S, 5.0) == pytest.approx(0.9)
    assert SM2Model().interval(6.0) == pytest.approx(6 * DAY_S)
    for model in (EbbinghausModel(), PowerLawModel(), SM2Model(), FSRSModel(), FSRSModel.six()):
        assert model.retention(model.interval(4.0, 0.8), 4.0) == pytest.approx(0.8)
        assert SpacedRepetitionScheduler(model).model == model
    assert FSRSModel(FSRS_6_WEIGHTS) == FSRSModel.six() != FSRSModel()
    assert {FSRSModel(): 1}[FSRSModel(FSRS_45_WEIGHTS)] == 1
    assert (repr(SM2Model()), repr(PowerLawModel())) == ("SM2Model()", "PowerLawModel(alpha=0.5, b=1)")
    assert repr(FSRSModel()).startswith("FSRSModel([0.4872,")


def test_sm2_cards_take_any_quality():
    card = SM2Card()
    for quality in (5, 5, 5):
        card = card.review(quality)
    assert (card.interval_days, card.easiness, card.repetitions) == (pytest.approx(6 * 2.8), pytest.approx(2.8), 3)
    assert card.review(0) == SM2Card(1.0, card.easiness, 0)
    with pytest.raises(InputError):
        card.review(6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FSRSModel([1.0] * 19), "17 weights .* or 21 .*, not 19"),
        (lambda: FSRSModel([0.0, *FSRS_45_WEIGHTS[1:]]), "weight 0 of FSRS must be from 0.001 to 100, not 0"),
        (lambda: FSRSModel([*FSRS_45_WEIGHTS[:-1], -1.0]), "weight 16 .* from 0 to 10"),
        (lambda: FSRSModel([*FSRS_6_WEIGHTS[:-1], 0.9]), "weight 20 .* from 0.1 to 0.8"),
        (lambda: FSRSModel(5), "weights"),
        (lambda: PowerLawModel(alpha=0.0), "alpha must be from"),
        (lambda: EbbinghausModel().retention(1.0, 0.0), "stability must be a positive number of days"),
        (lambda: EbbinghausModel().interval(1.0, 0.0), "target_retention"),
    ],
)
def test_a_model_that_cannot_be_made_says_why(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_retentions_are_those_of_the_nodes():
    clock = SteppedClock()
    memory = clocked(clock)
    for place, function in enumerate(DecayFunction):
        memory.remember(function.value, node_id=function.value)
        memory.revise(function.value, decay_function=function, decay_rate=10.0 + place)
    memory.forget(ids=["exponential"])
    memory.remember("late", node_id="exponential")
    clock.forward(25)
    memory.remember("new")
    at = clock.now_us() / 1e6
    expected = [node.retention(at - node.temporal.last_accessed) for node in memory]
    assert retentions(memory).tolist() == pytest.approx(expected)
    assert retentions(memory.graph, at=at).tolist() == pytest.approx(expected)
    assert retentions(AgentMemory()).shape == (0,)


# -- fitting ---------------------------------------------------------------------------------------------------------


def test_fitting_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsrs", None)
    scheduler = SpacedRepetitionScheduler()
    scheduler.register_node("a")
    with pytest.raises(ImportError, match=r"pip install 'memorygraph\[review\]'"):
        scheduler.fit()


class Fitted:
    """Stands in for the package: keeps what it is given."""

    given: list = []  # noqa: RUF012 - of the last call

    def __init__(self, reviews):
        Fitted.given = reviews

    def compute_optimal_parameters(self):
        return [*FSRS_6_WEIGHTS[:-1], 0.2]


@pytest.mark.parametrize("bound", [False, True])
def test_a_fit_gets_every_rating(monkeypatch, bound):
    def log(card_id, rating, review_datetime, review_duration):
        return card_id, rating, review_datetime, review_duration

    monkeypatch.setitem(sys.modules, "fsrs", SimpleNamespace(Optimizer=Fitted, Rating=int, ReviewLog=log))
    memory = AgentMemory()
    for name in NAMES:
        memory.remember(name, node_id=name)
    scheduler = SpacedRepetitionScheduler("sm2", **({"memory": memory} if bound else {}))
    with pytest.raises(InputError, match="nothing to fit"):
        scheduler.fit()
    scheduler.register_node("a", 0.6, at=1_800_000_000)
    scheduler.record_review("a", 0.1, at=1_800_086_400)
    scheduler.record_review("b", 1.0, at=1_800_086_401)
    scheduler.register_node("a", 0.3, at=1_800_086_402)
    model = scheduler.fit()
    assert model.weights[-1] == 0.2
    when = datetime.fromtimestamp(1_800_000_000, UTC)
    day = timedelta(days=1)
    assert Fitted.given == [
        (0, 3, when, None),
        (0, 1, when + day, None),
        (2, 4, when + day + timedelta(seconds=1), None),
        (3, 2, when + day + timedelta(seconds=2), None),
    ]
    assert SpacedRepetitionScheduler(model).register_node("a").model == "fsrs6"
