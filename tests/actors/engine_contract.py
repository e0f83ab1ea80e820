"""What every ``Engine`` promises; inherit ``EngineContract`` and give it a ``home``."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from memorygraph.actors import command_table
from memorygraph.actors import commands as cmd
from memorygraph.actors.engine import Engine
from memorygraph.actors.replay import rebuilt_digest
from memorygraph.actors.review_queries import FindReviews, GetReviews, Retention
from memorygraph.events import records as ev
from memorygraph.events.errors import (
    BatchTooLarge,
    ClosedError,
    CommandExpired,
    CommandIdReused,
    DuplicateIdError,
    EdgeNotFoundError,
    EmbedderMismatch,
    EmbeddingDimensionError,
    ExpectationFailed,
    InputError,
    MemoryGraphError,
    NodeNotFoundError,
    StoreReadOnly,
)
from memorygraph.events.types import ReviewModel
from memorygraph.projections.filters import Filters
from memorygraph.projections.review import Rules
from memorygraph.projections.review_fsrs import FSRS_45_WEIGHTS

DAY_US = 86_400_000_000
SPACE = ev.SpaceDeclared(space=1, name="toy", version="1", dim=2)
_numbers = itertools.count()


class Ticks:
    """A clock that goes on by one microsecond per look; ``offset_us`` moves it."""

    notes = ()

    def __init__(self) -> None:
        self._looks = itertools.count(1)
        self.offset_us = 0

    def now_us(self) -> int:
        return self.offset_us + next(self._looks)


class Counted:
    """Ids in order, the same in every run; ``prefix`` tells one engine's from another's."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._count = itertools.count()

    def node_id(self) -> str:
        return f"{self._prefix}id{next(self._count)}"

    def command_id(self) -> str:
        return f"{self._prefix}command{next(self._count)}"


class Home(ABC):
    """Where a memory lives: it can be opened again after it was closed."""

    @abstractmethod
    def open(self, **options: Any) -> Engine:
        """Open the memory, made by the first call; ``read_only`` and the engine's own keywords."""


def command(*operations: cmd.Operation, id: str | None = None, **fields: Any) -> cmd.Command:
    return cmd.Command(id=id or f"c{next(_numbers)}", operations=operations, **fields)


def reviewing(*ids: str, grade: float = 0.6, model: str = "fsrs", begin: bool = False) -> cmd.RecordReviews:
    rules = Rules(model=ReviewModel.of(model).code, weights=FSRS_45_WEIGHTS)
    return cmd.RecordReviews(ids=list(ids), grades=[grade] * len(ids), rules=rules, begin=begin)


def losing(*ids: str) -> cmd.LoseAttention:
    count = len(ids)
    return cmd.LoseAttention(
        lost=ev.AttentionLost(ids=ids, slots=(3,) * count, activations=(0.5,) * count, reason="evicted")
    )


def dated(time_us: int) -> str:
    """A UUIDv7 of a time."""
    text = f"{time_us // 1000:012x}7000{1 << 63:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def vector(*values: float) -> bytes:
    return np.array(values, dtype="<f4").tobytes()


def adding(*names: str, **fields: Any) -> cmd.AddNodes:
    return cmd.AddNodes(nodes=[ev.NodeAdded(id=name, **fields) for name in names])


def revising(node_id: str, *expected: int, **fields: Any) -> cmd.ReviseNodes:
    return cmd.ReviseNodes(changes=[ev.NodeRevised(id=node_id, **fields)], expected=list(expected))


def linking(source: str, target: str, **columns: Any) -> cmd.AddEdges:
    return cmd.AddEdges(edges=ev.EdgesAdded(sources=[source], targets=[target], **columns))


def do(engine: Engine, *operations: cmd.Operation, **fields: Any) -> cmd.Receipt:
    return engine.execute(command(*operations, **fields))


def ask(engine: Engine, query: cmd.Query) -> Any:
    return engine.ask(query).value


def node(engine: Engine, node_id: str) -> Any:
    return ask(engine, cmd.GetNodes(ids=[node_id]))[0]


def names(engine: Engine) -> list[str]:
    return [state.id for state in ask(engine, cmd.FindNodes())]


def check_whole(engine: Engine) -> None:
    """Assert that the memory says what its log says, and that the log is whole."""
    assert ask(engine, cmd.Digest()) == rebuilt_digest(engine)
    assert engine.verify().whole
    head = engine.head()
    assert [record.position for record in engine.read(1)] == list(range(1, head.position + 1))
    about = ask(engine, cmd.Describe())
    assert about.nodes == len(names(engine))
    assert about.edges == len(ask(engine, cmd.AllEdges()))


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work(number)`` in so many threads; the first error is raised here."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


REFUSED: dict[str, tuple[type[MemoryGraphError], list[cmd.Operation]]] = {
    "an id that is taken": (DuplicateIdError, [adding("a")]),
    "an id twice": (DuplicateIdError, [adding("x", "x")]),
    "an id twice in two operations": (DuplicateIdError, [adding("x"), adding("x")]),
    "revise nothing": (NodeNotFoundError, [revising("zz")]),
    "revise what was forgotten": (NodeNotFoundError, [cmd.ForgetNodes(ids=["a"]), revising("a")]),
    "revise what came and went": (NodeNotFoundError, [adding("x"), cmd.ForgetNodes(ids=["x"]), revising("x")]),
    "link what came and went": (NodeNotFoundError, [adding("x"), cmd.ForgetNodes(ids=["x"]), linking("a", "x")]),
    "forget nothing": (NodeNotFoundError, [cmd.ForgetNodes(ids=["a", "zz"])]),
    "forget twice": (NodeNotFoundError, [cmd.ForgetNodes(ids=["a"]), cmd.ForgetNodes(ids=["a"])]),
    "reinforce nothing": (NodeNotFoundError, [cmd.ReinforceNodes(ids=["zz"], delta=0.1)]),
    "link nothing": (NodeNotFoundError, [linking("a", "zz")]),
    "an edge id that is taken": (DuplicateIdError, [linking("a", "b", ids=["e"])]),
    "an edge id twice": (DuplicateIdError, [linking("a", "b", ids=["x"]), linking("a", "b", ids=["x"])]),
    "an edge id like our own": (InputError, [linking("a", "b", ids=["9.0"])]),
    "a node by an edge's id": (NodeNotFoundError, [linking("a", "b", ids=["x"]), revising("x")]),
    "revise no edge": (EdgeNotFoundError, [cmd.ReviseEdge(change=ev.EdgeRevised(id="2.7"))]),
    "strengthen no edge": (EdgeNotFoundError, [cmd.StrengthenEdges(ids=["e", "zz"], delta=0.1)]),
    "remove no edge": (EdgeNotFoundError, [cmd.RemoveEdges(ids=["zz"])]),
    "remove an edge twice": (EdgeNotFoundError, [cmd.RemoveEdges(ids=["e"]), cmd.RemoveEdges(ids=["e"])]),
    "an edge of a forgotten node": (EdgeNotFoundError, [cmd.ForgetNodes(ids=["a"]), cmd.RemoveEdges(ids=["e"])]),
    "an edge of a node that came back": (
        EdgeNotFoundError,
        [cmd.ForgetNodes(ids=["a"]), adding("a"), cmd.StrengthenEdges(ids=["e"], delta=0.1)],
    ),
    "another dimension": (EmbeddingDimensionError, [adding("x", vector=vector(1, 2, 3))]),
    "mixed dimensions": (EmbeddingDimensionError, [adding("x", vector=vector(1, 2)), adding("y", vector=vector(1))]),
    "another embedder": (
        EmbedderMismatch,
        [
            cmd.AddNodes(
                nodes=[ev.NodeAdded()], derived=[vector(1, 2)], space=ev.SpaceDeclared(space=1, name="other", dim=2)
            )
        ],
    ),
    "revised by another embedder": (
        EmbeddingDimensionError,
        [cmd.ReviseNodes(changes=[ev.NodeRevised(id="a", content="x")], derived=[vector(1, 2, 3)], space=SPACE)],
    ),
    "an old version": (ExpectationFailed, [revising("b"), revising("a", 1, content="x")]),
    "too many events": (BatchTooLarge, [adding(*(f"x{number}" for number in range(4097)))]),
    "too many bytes": (BatchTooLarge, [adding("x", content="x" * (8 << 20))]),
}


class EngineContract:
    """One memory at work. ``home`` is the fixture that a subclass gives."""

    @pytest.fixture
    def home(self) -> Home:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Ticks:
        return Ticks()

    @pytest.fixture
    def engine(self, home, clock):
        """A memory that is checked as a whole when the test is done."""
        engine = home.open(name="m", language="de", clock=clock, ids=Counted())
        yield engine
        check_whole(engine)
        engine.close()

    @pytest.fixture
    def small(self, engine):
        """Position 2: nodes a, b, c with vectors; position 3: the edge e from a to b."""
        nodes = [
            ev.NodeAdded(id=name, content=content, importance=0.5)
            for name, content in (("a", "eine Katze"), ("b", "ein Hund"), ("c", ""))
        ]
        derived = [vector(1, 0), vector(0.8, 0.6), vector(0, 1)]
        do(engine, cmd.AddNodes(nodes=nodes, derived=derived, space=SPACE))
        do(engine, linking("a", "b", ids=["e"], weights=[0.5]))
        return engine

    # -- commands ------------------------------------------------------------------------------------------------

    def test_a_new_memory_knows_its_name_and_language(self, engine) -> None:
        answer = engine.ask(cmd.Describe())
        assert answer == cmd.Answer(1, cmd.Description(name="m", language="de", nodes=0, edges=0, space=None))
        assert not engine.read_only
        assert len(bytes.fromhex(engine.memory_id)) == 16

    def test_nodes_are_added_and_get_ids(self, engine) -> None:
        receipt = do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(content="x"), ev.NodeAdded(id="mine"), ev.NodeAdded()]))
        assert receipt.position == 2
        given = [event.id for event in receipt.events]
        assert given[1] == "mine"
        assert names(engine) == given
        assert node(engine, given[0]).content == "x"
        assert node(engine, given[0]).created_us == receipt.time_us

    def test_vectors_declare_their_space_once(self, engine) -> None:
        first = do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(id="a", content="x")], derived=[vector(1, 0)], space=SPACE))
        second = do(
            engine, cmd.AddNodes(nodes=[ev.NodeAdded(id="b", content="x")], derived=[vector(0, 1)], space=SPACE)
        )
        assert [type(event).__name__ for event in first.events] == ["SpaceDeclared", "NodeAdded"]
        assert [type(event).__name__ for event in second.events] == ["NodeAdded"]
        assert first.events[1].space == second.events[0].space == 1
        assert ask(engine, cmd.Describe()).space == SPACE
        assert node(engine, "b").vector == vector(0, 1)

    def test_vectors_of_unknown_origin_are_external(self, engine) -> None:
        do(engine, adding("a", vector=vector(1, 2, 3)))
        assert ask(engine, cmd.Describe()).space == ev.SpaceDeclared(space=1, name="external", dim=3)

    def test_a_given_vector_beats_the_derived_one(self, engine) -> None:
        nodes = [ev.NodeAdded(id="a", vector=vector(1, 0)), ev.NodeAdded(id="b"), ev.NodeAdded(id="c")]
        do(engine, cmd.AddNodes(nodes=nodes, derived=[vector(0, 1), vector(0, 1), b""], space=SPACE))
        assert [node(engine, name).vector for name in "abc"] == [vector(1, 0), vector(0, 1), b""]

    def test_nodes_are_revised(self, small) -> None:
        change = ev.NodeRevised(id="a", content="neu", tags=("t",), occurred_us=None, speaker="Ann", importance=0.75)
        receipt = do(small, cmd.ReviseNodes(changes=[change], derived=[vector(0, 1)], space=SPACE))
        state = node(small, "a")
        assert (state.content, state.tags, state.speaker, state.importance) == ("neu", ("t",), "Ann", 0.75)
        assert (state.vector, state.version, state.occurred_us) == (vector(0, 1), receipt.position, state.created_us)
        do(small, revising("a", vector=b""))
        assert node(small, "a").vector == b""

    def test_nodes_are_forgotten_with_their_edges(self, small) -> None:
        receipt = do(small, cmd.ForgetNodes(ids=["b", "b"], reason="old"))
        assert receipt.events == (ev.NodesForgotten(ids=("b",), reason="old", neighbours=("a",)),)
        assert names(small) == ["a", "c"]
        assert ask(small, cmd.AllEdges()) == []

    def test_faded_nodes_are_forgotten(self, small, clock) -> None:
        do(
            small,
            adding("vip", importance=0.9),
            adding("long", consolidation_state=4),
            adding("ever", decay_function=6),
        )
        do(small, adding("slow", decay_rate=1e6))
        clock.offset_us = 10 * DAY_US
        do(small, adding("new"))
        do(small, cmd.RecordAccesses(ids=["c"], times_us=[clock.now_us()]))
        receipt = do(small, cmd.ForgetFaded(retention_threshold=0.5, reason="faded"))
        assert receipt.events == (ev.NodesForgotten(ids=("a", "b"), reason="faded"),)
        assert do(small, cmd.ForgetFaded(retention_threshold=0.5)).events == ()

    def test_what_was_forgotten_already_does_not_fade_too(self, small, clock) -> None:
        clock.offset_us = 10 * DAY_US
        do(small, cmd.ForgetNodes(ids=["a"]), cmd.ForgetFaded(retention_threshold=0.5))
        assert names(small) == []

    def test_nodes_are_reinforced_and_accessed(self, small) -> None:
        do(small, cmd.ReinforceNodes(ids=["a", "b", "a"], delta=0.5))
        do(small, cmd.RecordAccesses(ids=["a", "zz", "a", "b"], times_us=[7, 8, DAY_US, 9]))
        assert [node(small, name).importance for name in "abc"] == [0.875, 0.75, 0.5]
        assert node(small, "a").access_times_us == (7, DAY_US)
        assert (node(small, "a").access_count, node(small, "a").accessed_us) == (2, DAY_US)
        assert do(small, cmd.RecordAccesses(ids=["zz"], times_us=[1])).events == ()

    def test_reviews_build_on_each_other(self, small, clock) -> None:
        do(small, reviewing("a", "b", begin=True))
        clock.offset_us = 5 * DAY_US
        receipt = do(small, reviewing("a"))
        first, second, none = ask(small, GetReviews(ids=["b", "a", "zz"]))
        assert (none, first.grades, second.grades) == (None, (), (0.6,))
        assert second.stability_days > first.stability_days
        assert second.reviewed_us == receipt.time_us == node(small, "a").accessed_us
        assert ask(small, FindReviews()) == [("b", first), ("a", second)]
        assert ask(small, FindReviews(until_us=first.due_us, model=1)) == [("b", first)]
        assert ask(small, FindReviews(model=2)) == []
        do(small, cmd.ForgetNodes(ids=["b"]), adding("b"))
        assert ask(small, GetReviews(ids=["b"])) == [None]
        with pytest.raises(InputError, match="scheduled by fsrs, not by sm2"):
            do(small, reviewing("a", model="sm2"))
        with pytest.raises(InputError, match="twice"):
            do(small, reviewing("a", "a"))
        assert do(small, cmd.EndReviews(ids=["a", "b", "a"])).events == (ev.ReviewsEnded(ids=("a",)),)
        assert ask(small, FindReviews()) == []

    def test_what_falls_out_of_attention_changes_nothing(self, small) -> None:
        before = ask(small, cmd.Digest())
        receipt = do(small, losing("zz", "a"))
        assert receipt.events == (ev.AttentionLost(ids=("a",), slots=(3,), activations=(0.5,), reason="evicted"),)
        assert do(small, losing("zz")).events == ()
        assert ask(small, cmd.Digest()) == before

    def test_retention_of_every_node(self, small, clock) -> None:
        do(small, cmd.ForgetNodes(ids=["b"]))
        clock.offset_us = DAY_US
        do(small, adding("b", decay_function=6), adding("new", recorded_us=DAY_US - 3_600_000_000))
        values = np.frombuffer(ask(small, Retention(now_us=DAY_US)))
        assert values.tolist() == pytest.approx([np.exp(-24), np.exp(-24), 1.0, np.exp(-1)], rel=1e-6)

    def test_edges_live(self, small) -> None:
        receipt = do(small, linking("b", "c", weights=[0.25], undirected=[True]))
        mine = f"{receipt.position}.0"
        do(small, cmd.ReviseEdge(change=ev.EdgeRevised(id=mine, edge_type=3, metadata={"k": 1}, confidence=0.5)))
        do(small, cmd.StrengthenEdges(ids=[mine, "e"], delta=0.5))
        found, chosen, none = ask(small, cmd.GetEdges(ids=[mine, "e", "zz"]))
        assert (found.source_id, found.target_id, found.edge_type, found.directed) == ("b", "c", 3, False)
        assert (found.weight, found.metadata, found.confidence) == (0.625, {"k": 1}, 0.5)
        assert (chosen.id, chosen.weight, none) == ("e", 0.75, None)
        do(small, cmd.RemoveEdges(ids=["e", "e"], reason="wrong"))
        assert [edge.id for edge in ask(small, cmd.AllEdges())] == [mine]

    def test_operations_of_a_command_build_on_each_other(self, small) -> None:
        receipt = do(
            small,
            adding("x"),
            linking("a", "x"),
            revising("x", content="mine"),
            cmd.ReinforceNodes(ids=["x"], delta=0.5),
            cmd.ForgetNodes(ids=["b"]),
            adding("b", content="again"),
            linking("x", "b"),
        )
        assert small.head().position == receipt.position == 4
        assert [(edge.source_id, edge.target_id) for edge in ask(small, cmd.AllEdges())] == [("a", "x"), ("x", "b")]
        assert (node(small, "x").content, node(small, "x").importance, node(small, "b").content) == (
            "mine",
            0.75,
            "again",
        )

    def test_a_node_may_come_go_and_come_in_one_command(self, small) -> None:
        do(small, adding("x"), cmd.ForgetNodes(ids=["x"]), adding("x", content="last"))
        assert node(small, "x").content == "last"

    def test_similar_nodes_are_linked(self, small) -> None:
        policy = cmd.Associate(k=2, threshold=0.5)
        nodes = [ev.NodeAdded(id="x"), ev.NodeAdded(id="y"), ev.NodeAdded(id="z")]
        derived = [vector(1, 0), vector(1, 0.1), b""]
        do(small, cmd.AddNodes(nodes=nodes, derived=derived, space=SPACE, associate=policy))
        links = [
            (edge.source_id, edge.target_id, edge.directed, edge.edge_type) for edge in ask(small, cmd.AllEdges())[1:]
        ]
        assert links == [("x", "a", False, 5), ("x", "b", False, 5), ("y", "a", False, 5), ("y", "x", False, 5)]
        assert ask(small, cmd.AllEdges())[1].weight == 1.0

    def test_similar_nodes_that_this_command_forgets_are_not_linked(self, small) -> None:
        add = cmd.AddNodes(
            nodes=[ev.NodeAdded(id="x", vector=vector(1, 0))], associate=cmd.Associate(k=2, threshold=0.9)
        )
        do(small, cmd.ForgetNodes(ids=["a"]), add)
        assert ask(small, cmd.AllEdges()) == []

    @pytest.mark.parametrize(("error", "operations"), REFUSED.values(), ids=REFUSED.keys())
    def test_a_refused_command_writes_nothing(self, small, error, operations) -> None:
        before = (small.head(), ask(small, cmd.Digest()), list(small.frames()))
        with pytest.raises(error) as caught:
            do(small, adding("first"), revising("c", content="first"), *operations)
        assert caught.value.message
        assert (small.head(), ask(small, cmd.Digest()), list(small.frames())) == before
        assert do(small, adding("first")).position == 4

    def test_the_most_events_that_a_command_may_make(self, engine) -> None:
        assert len(do(engine, adding(*(f"x{number}" for number in range(4096)))).events) == 4096

    def test_a_command_without_effect_is_a_record(self, small) -> None:
        receipt = do(small, cmd.ForgetNodes(ids=[]), cmd.RemoveEdges(ids=[]))
        assert (receipt.position, receipt.events) == (4, ())
        assert small.head().position == 4

    # -- command ids, versions -----------------------------------------------------------------------------------

    def test_the_same_command_again_gives_the_first_result(self, engine) -> None:
        first = do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(content="x")]), id="same")
        again = do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(content="x")]), id="same")
        assert again == cmd.Receipt(first.position, first.time_us, first.events, replayed=True)
        assert not first.replayed
        assert engine.head().position == 2

    def test_the_same_command_again_after_reopening(self, home) -> None:
        engine = home.open(ids=Counted("one"))
        first = do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(content="x")]), id="same")
        engine.close()
        engine = home.open(ids=Counted("two"))
        again = do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(content="x")]), id="same")
        assert again == cmd.Receipt(first.position, first.time_us, first.events, replayed=True)
        with pytest.raises(CommandIdReused):
            do(engine, adding("other"), id="same")
        check_whole(engine)
        engine.close()

    def test_another_command_of_the_same_id_is_refused(self, small) -> None:
        do(small, adding("x"), id="same")
        with pytest.raises(CommandIdReused) as caught:
            do(small, adding("y"), id="same")
        assert caught.value.about == {"command_id": "same", "position": 4}
        assert small.head().position == 4

    def test_vectors_that_an_embedder_made_are_no_part_of_the_command(self, engine) -> None:
        def add(derived: list[bytes], space: ev.SpaceDeclared | None) -> cmd.Receipt:
            return do(engine, cmd.AddNodes(nodes=[ev.NodeAdded(content="x")], derived=derived, space=space), id="add")

        def revise(derived: list[bytes], space: ev.SpaceDeclared | None) -> cmd.Receipt:
            change = ev.NodeRevised(id="id0" if first is None else first.events[1].id, content="y")
            return do(engine, cmd.ReviseNodes(changes=[change], derived=derived, space=space), id="revise")

        first = None
        first = add([vector(1, 0)], SPACE)
        assert add([vector(0, 1)], None).replayed
        assert not revise([vector(1, 0)], SPACE).replayed
        assert revise([], None).replayed
        given = cmd.AddNodes(nodes=[ev.NodeAdded(content="x", vector=vector(1, 0))])
        with pytest.raises(CommandIdReused):
            do(engine, given, id="add")

    def test_an_old_command_of_ours_is_never_run_again(self, small, clock, monkeypatch) -> None:
        monkeypatch.setattr(command_table, "ROWS_KEPT", 0)
        clock.offset_us = 20 * DAY_US
        sent = {"id": dated(clock.offset_us), "id_chosen": False}
        assert not do(small, adding(""), **sent).replayed
        clock.offset_us += DAY_US // 2
        do(small, adding(""))
        assert do(small, adding(""), **sent).replayed
        clock.offset_us += DAY_US
        do(small, adding(""))
        position = small.head().position
        with pytest.raises(CommandExpired) as caught:
            do(small, adding(""), **sent)
        assert caught.value.about == {"command_id": sent["id"]}
        assert small.head().position == position
        assert not do(small, adding(""), id=dated(clock.offset_us), id_chosen=False).replayed

    def test_a_chosen_id_is_known_after_a_clock_was_set_forward(self, small, clock) -> None:
        do(small, adding(""), id="mine")
        clock.offset_us = 2 * DAY_US
        do(small, adding(""))
        assert do(small, adding(""), id="mine").replayed

    def test_a_chosen_id_is_unknown_after_a_day_and_many_commands(self, small, clock, monkeypatch) -> None:
        monkeypatch.setattr(command_table, "ROWS_KEPT", 0)
        do(small, adding(""), id="mine")
        clock.offset_us = 2 * DAY_US
        assert do(small, adding(""), id="mine").replayed
        do(small, adding(""))
        assert not do(small, adding(""), id="mine").replayed

    def test_a_refused_command_may_come_again(self, small) -> None:
        with pytest.raises(NodeNotFoundError):
            do(small, linking("a", "x"), id="same")
        do(small, adding("x"))
        assert not do(small, linking("a", "x"), id="same").replayed

    def test_expected_versions(self, small) -> None:
        version = node(small, "a").version
        receipt = do(small, revising("a", version, content="x"))
        with pytest.raises(ExpectationFailed) as caught:
            do(small, revising("a", version, content="y"))
        assert caught.value.about == {"id": "a", "expected": version, "found": receipt.position}
        do(small, cmd.ReinforceNodes(ids=["a"], delta=0.1), cmd.RecordAccesses(ids=["a"], times_us=[1]))
        do(small, linking("a", "c"))
        do(small, revising("a", receipt.position, content="y"))
        do(small, revising("a", 0, content="z"))
        assert node(small, "a").content == "z"

    # -- many at once --------------------------------------------------------------------------------------------

    def test_threads_lose_and_double_nothing(self, engine) -> None:
        do(engine, adding("shared"))
        receipts: list[list[cmd.Receipt]] = [[] for _ in range(8)]

        def work(number: int) -> None:
            for step in range(200):
                operations: list[cmd.Operation] = [adding(f"{number}-{step}")]
                if step % 10 == 0:
                    operations += [
                        cmd.ReinforceNodes(ids=["shared"], delta=0.001),
                        linking("shared", f"{number}-{step}"),
                    ]
                receipts[number].append(do(engine, *operations))

        in_threads(8, work)
        positions = [receipt.position for mine in receipts for receipt in mine]
        assert sorted(positions) == list(range(3, 1603))
        assert all(mine == sorted(mine, key=lambda receipt: receipt.position) for mine in receipts)
        assert len(names(engine)) == 1601
        assert len(ask(engine, cmd.AllEdges())) == 160
        assert node(engine, "shared").importance == pytest.approx(1 - 0.5 * 0.999**160)
        by_position = {record.position: record.events for record in engine.read(3)}
        assert all(by_position[receipt.position] == receipt.events for mine in receipts for receipt in mine)

    def test_one_id_is_won_by_one_thread(self, engine) -> None:
        won: list[int] = []

        def work(number: int) -> None:
            for step in range(30):
                try:
                    do(engine, adding(f"x{step}", content=str(number)))
                except DuplicateIdError:
                    continue
                won.append(step)

        in_threads(4, work)
        assert sorted(won) == list(range(30))

    def test_one_command_sent_by_many_is_done_once(self, engine) -> None:
        receipts: list[cmd.Receipt] = []

        def work(_: int) -> None:
            for step in range(30):
                sent = cmd.AddNodes(nodes=[ev.NodeAdded(content=str(step))])
                receipts.append(do(engine, sent, id=f"send{step}"))

        in_threads(4, work)
        assert len(names(engine)) == 30
        assert sum(not receipt.replayed for receipt in receipts) == 30
        assert len({(receipt.position, receipt.events[0].id) for receipt in receipts}) == 30

    def test_expected_versions_make_a_counter(self, engine) -> None:
        do(engine, adding("counter", content="0"))

        def work(_: int) -> None:
            done = 0
            while done < 15:
                state = node(engine, "counter")
                try:
                    do(engine, revising("counter", state.version, content=str(int(state.content) + 1)))
                except ExpectationFailed:
                    continue
                done += 1

        in_threads(4, work)
        assert node(engine, "counter").content == "60"

    def test_readers_see_whole_records(self, engine) -> None:
        done = threading.Event()

        def write() -> None:
            try:
                for step in range(60):
                    do(engine, adding(f"l{step}"), adding(f"r{step}"), linking(f"l{step}", f"r{step}"))
                    if step % 3 == 0:
                        do(engine, cmd.ForgetNodes(ids=[f"l{step}", f"r{step}"]))
            finally:
                done.set()

        def read() -> None:
            last = 0
            while not done.wait(0.001):  # who only reads would keep the processor from who writes
                answer = engine.ask(cmd.Describe())
                assert answer.value.nodes == 2 * answer.value.edges
                assert answer.position >= last
                last = answer.position
                assert len(names(engine)) % 2 == 0

        in_threads(3, lambda number: read() if number else write())

    # -- the past ------------------------------------------------------------------------------------------------

    def test_every_past_position_can_be_asked(self, small) -> None:
        digests = {small.head().position: ask(small, cmd.Digest())}
        for operation in (
            revising("a", content="x"),
            cmd.ForgetNodes(ids=["b"]),
            adding("b"),
            adding("d"),
            adding("f"),
        ):
            do(small, operation)
            digests[small.head().position] = ask(small, cmd.Digest())
        for position, digest in [*digests.items(), *reversed(digests.items())]:
            view = small.at(position)
            assert view.ask(cmd.Digest()) == cmd.Answer(position, digest)
        assert names(small.at(4)) == ["a", "b", "c"]
        assert ask(small.at(0), cmd.Describe()).nodes == 0
        assert len(set(digests.values())) == len(digests)

    def test_a_view_of_the_past_stays(self, small) -> None:
        view = small.at(small.head().position)
        digest = ask(view, cmd.Digest())
        recalled = ask(view, cmd.Recall(text="Katze"))
        do(small, cmd.ForgetNodes(ids=["a"]), revising("b", content="Katze"))
        assert ask(view, cmd.Digest()) == digest
        assert ask(view, cmd.Recall(text="Katze")) == recalled
        assert ask(small, cmd.Recall(text="Katze", k=1))[0].node.id == "b"

    def test_a_view_of_the_past_is_read_only(self, small) -> None:
        do(small, adding("x"))
        view = small.at(3)
        assert view.read_only
        with pytest.raises(StoreReadOnly):
            do(view, adding("y"))
        with pytest.raises(StoreReadOnly):
            view.frames()
        view.accessed(["a"], 1)
        view.flush()
        assert [record.position for record in view.read(1)] == [1, 2, 3]
        assert [record.position for record in view.read(2, 9)] == [2, 3]
        assert view.wait(2, 60.0) == view.wait(3, 0.0) == view.wait(3, 0.01) == 3
        assert view.head() == small.head()
        assert view.verify().whole
        assert view.log_size_bytes() == small.log_size_bytes()
        assert view.at(2).ask(cmd.Describe()).position == 2
        view.close()
        assert node(view, "a").access_count == 0
        with pytest.raises(InputError):
            view.at(4)

    @pytest.mark.parametrize("position", [-1, 4])
    def test_there_is_no_such_position(self, small, position) -> None:
        with pytest.raises(InputError) as caught:
            small.at(position)
        assert caught.value.about == {"position": position}

    # -- accesses ------------------------------------------------------------------------------------------------

    def test_accesses_are_there_after_flush(self, small) -> None:
        small.accessed(["a", "b"], 5)
        small.accessed(["a", "zz"], 6)
        small.accessed([], 7)
        small.flush()
        small.flush()
        assert [node(small, name).access_times_us for name in "abc"] == [(5, 6), (5,), ()]
        assert small.head().position == 4

    def test_accesses_come_by_themselves(self, small) -> None:
        small.accessed(["a"], 5)
        deadline_s = time.monotonic() + 30
        while node(small, "a").access_count == 0:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)

    def test_many_accesses_come_without_flush(self, small) -> None:
        for time_us in range(1000):
            small.accessed(["a"], time_us)
        deadline_s = time.monotonic() + 30
        while node(small, "a").access_count < 1000:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)

    def test_more_accesses_than_a_command_holds_are_several(self, small) -> None:
        long = "n" * 20_000
        do(small, adding(long))
        for time_us in range(500):
            small.accessed([long], time_us)
        small.flush()
        assert node(small, long).access_count == 500

    def test_accesses_are_there_after_closing(self, home) -> None:
        engine = home.open()
        do(engine, adding("a"))
        engine.accessed(["a"], 5)
        engine.close()
        engine = home.open()
        assert node(engine, "a").access_times_us == (5,)
        engine.close()

    # -- questions -----------------------------------------------------------------------------------------------

    def test_nodes_are_found_in_order_of_birth(self, small) -> None:
        do(small, cmd.ForgetNodes(ids=["a"]))
        do(small, adding("a", tags=("t",)))
        assert names(small) == ["b", "c", "a"]
        assert [state.id for state in ask(small, cmd.FindNodes(offset=1, limit=1))] == ["c"]
        assert [state.id for state in ask(small, cmd.FindNodes(filters=Filters(tags=("t",))))] == ["a"]
        assert [state.vector for state in ask(small, cmd.FindNodes())] == [None] * 3
        assert ask(small, cmd.FindNodes(vectors=True))[0].vector == vector(0.8, 0.6)
        assert ask(small, cmd.GetNodes(ids=["zz", "b"], vectors=False))[1].vector is None

    def test_edges_of_a_node(self, small) -> None:
        do(small, linking("c", "a", ids=["in"]), linking("a", "c", ids=["both"], undirected=[True]))
        found = {
            (name, direction): [edge.id for edge in ask(small, cmd.NodeEdges(id=name, direction=direction))]
            for name in "ac"
            for direction in ("out", "in", "both")
        }
        assert found == {
            ("a", "out"): ["e", "both"],
            ("a", "in"): ["in", "both"],
            ("a", "both"): ["e", "in", "both"],
            ("c", "out"): ["in", "both"],
            ("c", "in"): ["both"],
            ("c", "both"): ["in", "both"],
        }
        assert [edge.id for edge in ask(small, cmd.AllEdges(offset=1, limit=1))] == ["in"]
        with pytest.raises(NodeNotFoundError):
            ask(small, cmd.NodeEdges(id="zz"))

    def test_recall_reason_and_similar(self, small) -> None:
        hit = ask(small, cmd.Recall(text="Katzen", k=1))[0]  # German: the stems agree
        assert (hit.node.id, hit.terms) == ("a", ("Katzen",))
        assert [hit.node.id for hit in ask(small, cmd.Recall(vector=vector(0, 1), k=2))] == ["c", "b"]
        assert [hit.path for hit in ask(small, cmd.Reason(node_id="a"))] == [("a",), ("a", "b")]
        assert ask(small, cmd.Reason(text="Katze", k=2, seed_k=1))[1].path == ("a", "b")
        assert [name for name, _ in ask(small, cmd.Similar(vector=vector(1, 0), threshold=0.5))] == ["a", "b"]
        assert ask(small, cmd.Similar(vector=b"")) == []
        with pytest.raises(NodeNotFoundError):
            ask(small, cmd.Reason(node_id="zz"))
        with pytest.raises(EmbeddingDimensionError):
            ask(small, cmd.Recall(vector=vector(1, 2, 3)))

    def test_the_summary_counts(self, small) -> None:
        do(small, adding("d", importance=0.25, memory_type=1, consolidation_state=4, access_count=3, recorded_us=-9))
        found = ask(small, cmd.Summary())
        assert (found.about.nodes, found.about.edges, found.importance_sum, found.consolidated) == (4, 1, 1.75, 1)
        assert (found.types, found.edge_types, found.accesses, found.oldest_us) == ({2: 3, 1: 1}, {1: 1}, 3, -9)
        assert all(size > 0 for size in found.bytes_by_part.values())
        assert sorted(found.bytes_by_part) == ["adjacency", "columns", "ids", "index", "text", "vectors"]

    def test_positions_of_times(self, small) -> None:
        times = [record.time_us for record in small.read(1)]
        assert [ask(small, cmd.PositionAt(time_us=time_us)) for time_us in (times[0] - 1, *times, times[-1] + 1)] == [
            0,
            1,
            2,
            3,
            3,
        ]

    # -- the log -------------------------------------------------------------------------------------------------

    def test_records_tell_who_did_what(self, small) -> None:
        receipt = do(small, revising("a", content="x"), id="mine", principal="ann", provenance={"run": "7"})
        record = list(small.read(1))[-1]
        assert (record.command_id, record.principal, record.provenance) == ("mine", "ann", {"run": "7"})
        assert (record.position, record.time_us, record.events) == (4, receipt.time_us, receipt.events)
        assert [found.position for found in small.read(1, about="mine")] == [4]
        assert [found.position for found in small.read(2, 3)] == [2, 3]

    def test_waiting_ends_with_the_next_record(self, small) -> None:
        assert small.wait(2, 60.0) == 3
        assert small.wait(3, 0.0) == 3
        waiter = threading.Thread(target=lambda: seen.append(small.wait(3, 60.0)))
        seen: list[int] = []
        waiter.start()
        do(small, adding("x"))
        waiter.join()
        assert seen == [4]

    def test_the_log_can_be_copied(self, small) -> None:
        assert len(b"".join(small.frames())) <= small.log_size_bytes()
        assert len(list(small.frames(3))) == 1
        report = small.verify()
        assert (report.records, report.head) == (3, small.head())

    # -- open and closed -----------------------------------------------------------------------------------------

    def test_closed_is_closed(self, home) -> None:
        engine = home.open()
        do(engine, adding("a"))
        engine.close()
        engine.close()
        uses: list[tuple[Callable[..., Any], Any]] = [
            (engine.execute, [command(adding("b"))]),
            (engine.ask, [cmd.Describe()]),
            (engine.at, [1]),
            (engine.frames, []),
            (engine.wait, [0, 0.0]),
            (engine.head, []),
            (engine.verify, []),
            (next, [engine.read(1)]),
        ]
        for use, arguments in uses:
            with pytest.raises(ClosedError):
                use(*arguments)
        engine.accessed(["a"], 1)  # never fails

    def test_read_only_answers_and_refuses(self, home) -> None:
        engine = home.open(name="m")
        do(engine, adding("a"))
        engine.close()
        engine = home.open(read_only=True)
        assert engine.read_only
        assert names(engine) == ["a"]
        with pytest.raises(StoreReadOnly):
            do(engine, adding("b"))
        engine.accessed(["a"], 1)
        engine.flush()
        assert engine.head().position == 2
        check_whole(engine)
        engine.close()

    def test_reopening_changes_nothing(self, home) -> None:
        engine = home.open(name="m", language="fr")
        memory_id = engine.memory_id
        do(engine, adding("a", "b"), linking("a", "b"))
        digest = ask(engine, cmd.Digest())
        engine.close()
        seen: list[tuple[int, int]] = []
        engine = home.open(name="other", language="en", progress=lambda done, total: seen.append((done, total)))
        about = ask(engine, cmd.Describe())
        assert (engine.memory_id, about.name, about.language) == (memory_id, "m", "fr")
        assert ask(engine, cmd.Digest()) == digest
        assert engine.head().position == 2
        engine.close()
