"""Transactions: one record or nothing, seen from inside as they will be, and from outside not at all."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memorygraph import AgentMemory, MemoryEdge, MemoryGraph, MemoryNode
from memorygraph.actors.decide import Proposer
from memorygraph.actors.ledger import Ledger
from memorygraph.actors.transaction import Transaction
from memorygraph.events.errors import (
    BatchTooLarge,
    CommandIdReused,
    DuplicateIdError,
    EdgeNotFoundError,
    ExpectationFailed,
    FrozenViewError,
    InputError,
    MemoryGraphError,
    NodeNotFoundError,
    StoreReadOnly,
    TransactionConflict,
)
from memorygraph.events.types import EdgeType
from tests.memory.helpers import fingerprint

IDS = st.sampled_from(["a", "b", "c", "d"])
TEXTS = st.sampled_from(["a cat", "two dogs", "one fish"])
WEIGHTS = st.sampled_from([0.25, 0.5, 0.75])


def elsewhere(work):
    """Run in another thread and return what it gives."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def said(memory):
    """What a memory says, read in every way there is."""
    nodes = {node.id: (node.content, node.importance) for node in memory.graph.nodes()}
    edges = {edge.id: (edge.source_id, edge.target_id, edge.weight) for edge in memory.graph.edges()}
    assert len(memory) == len(nodes)
    assert memory.stats().num_edges == len(edges)
    for name in "abcd":
        assert (name in memory) == (name in nodes)
        if name in nodes:
            mine = {edge.id for edge in memory.edges(name)}
            assert mine == {key for key, (source, target, _) in edges.items() if name in (source, target)}
            assert memory.get(name).content == nodes[name][0]
    for word in ("cat", "dogs", "fish"):
        hits = {hit.node_id for hit in memory.recall(word, reinforce=False) if hit.score > 0}
        assert hits == {name for name, (content, _) in nodes.items() if word in content}
    return nodes, edges


class TransactionMachine(RuleBasedStateMachine):
    """The memory against two dictionaries: what is committed, and what the open blocks make of it."""

    def __init__(self):
        super().__init__()
        self.memory = AgentMemory(embedding_dim=8, auto_associate=False)
        self.nodes, self.edges = {}, {}
        self.committed = ({}, {})
        self.blocks = []  # open ones: the context manager, and what was before
        self.position = self.memory.position
        self.changes = 0  # in the outermost block

    def done(self):
        """After a change: without a block it is a record of its own."""
        self.changes += 1
        if not self.blocks:
            self.position += 1
            self.committed = (dict(self.nodes), dict(self.edges))

    @rule()
    @precondition(lambda self: len(self.blocks) < 3)
    def begin(self):
        block = self.memory.transaction()
        block.__enter__()
        if not self.blocks:
            self.changes = 0
        self.blocks.append((block, dict(self.nodes), dict(self.edges), self.changes))

    @rule()
    @precondition(lambda self: self.blocks)
    def commit(self):
        self.blocks.pop()[0].__exit__(None, None, None)
        if not self.blocks:
            self.position += self.changes > 0
            self.committed = (dict(self.nodes), dict(self.edges))

    @rule()
    @precondition(lambda self: self.blocks)
    def roll_back(self):
        block, self.nodes, self.edges, self.changes = self.blocks.pop()
        error = KeyError("the block's own")
        with suppress(KeyError):
            assert not block.__exit__(KeyError, error, None)

    @rule(name=IDS, text=TEXTS)
    def add(self, name, text):
        if name in self.nodes:
            with pytest.raises(DuplicateIdError):
                self.memory.remember(text, node_id=name)
            return
        node = self.memory.remember(text, node_id=name)
        assert node.content == text
        self.nodes[name] = (text, 0.5)
        self.done()

    @rule(name=IDS, text=TEXTS, importance=WEIGHTS)
    def revise(self, name, text, importance):
        if name not in self.nodes:
            with pytest.raises(NodeNotFoundError):
                self.memory.revise(name, content=text)
            return
        version = self.memory.get(name).version
        assert self.memory.revise(name, content=text, importance=importance, expected=version).content == text
        self.nodes[name] = (text, importance)
        self.done()

    @rule(name=IDS)
    def forget(self, name):
        if name not in self.nodes:
            with pytest.raises(NodeNotFoundError):
                self.memory.forget(ids=[name])
            return
        self.memory.forget(ids=[name])
        del self.nodes[name]
        self.edges = {key: edge for key, edge in self.edges.items() if name not in edge[:2]}
        self.done()

    @rule(ends=st.tuples(IDS, IDS), weight=WEIGHTS)
    def link(self, ends, weight):
        source, target = ends
        if not {source, target} <= set(self.nodes) or source == target:
            with pytest.raises(InputError):
                self.memory.link(source, target, weight=weight)
            return
        edge = self.memory.link(source, target, weight=weight)
        assert edge.weight == weight
        self.edges[edge.id] = (source, target, weight)
        self.done()

    @rule(weight=WEIGHTS, place=st.integers(0, 5))
    @precondition(lambda self: self.edges)
    def revise_edge(self, weight, place):
        name = sorted(self.edges)[place % len(self.edges)]
        before = self.memory.graph.get_edge(name)
        assert self.memory.revise_edge(name, weight=weight, expected=before).weight == weight
        self.edges[name] = (*self.edges[name][:2], weight)
        self.done()

    @rule(place=st.integers(0, 5))
    @precondition(lambda self: self.edges)
    def unlink(self, place):
        name = sorted(self.edges)[place % len(self.edges)]
        self.memory.unlink(name)
        with pytest.raises(EdgeNotFoundError):
            self.memory.unlink(name)
        del self.edges[name]
        self.done()

    @invariant()
    def inside_and_outside(self):
        assert said(self.memory) == (self.nodes, self.edges)
        assert self.memory.position == self.position
        if self.blocks:
            assert elsewhere(lambda: said(self.memory)) == self.committed

    def teardown(self):
        while self.blocks:
            self.commit()
        assert said(self.memory) == (self.nodes, self.edges)
        assert self.memory.replay() == self.memory.digest()
        assert self.memory.verify().whole
        self.memory.close()


TestTransactions = TransactionMachine.TestCase
TestTransactions.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def run_machine(seeds):
    """The same rules, drawn without the tool, for mutants."""
    import random

    for seed in seeds:
        dice = random.Random(seed)
        machine = TransactionMachine()
        for _ in range(40):
            name = dice.choice(["begin", "commit", "roll_back", "add", "add", "revise", "forget", "link", "unlink"])
            if name in ("commit", "roll_back") and not machine.blocks:
                continue
            if (name == "begin" and len(machine.blocks) == 3) or (name == "unlink" and not machine.edges):
                continue
            ids = [dice.choice("abcd"), dice.choice("abcd")]
            arguments = {
                "add": (ids[0], dice.choice(["a cat", "two dogs"])),
                "revise": (ids[0], "one fish", 0.75),
                "forget": (ids[0],),
                "link": (ids, 0.5),
                "unlink": (dice.randrange(5),),
            }
            getattr(machine, name)(*arguments.get(name, ()))
            machine.inside_and_outside()
        machine.teardown()


@pytest.fixture
def memory():
    with AgentMemory(embedding_dim=8, auto_associate=False) as memory:
        yield memory


def test_the_machine_passes_on_the_mutants_seeds():
    run_machine(range(3))


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (Transaction, "back_to", lambda *_: None),
        (Proposer, "frame", lambda self: self._base),
        (Proposer, "back_to", lambda self, events: self.events.__delitem__(slice(events, None))),
    ],
)
def test_an_overlay_that_is_wrong_is_caught(monkeypatch, owner, name, broken):
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises((AssertionError, MemoryGraphError, pytest.fail.Exception)):
        run_machine(range(12))


# -- one record or nothing -------------------------------------------------------------------------------------------


def test_a_block_is_one_record_of_its_writer():
    with AgentMemory(principal="ann") as memory, memory.transaction() as inside:
        assert inside is memory
        first = memory.remember("one dog", tags=["t"])
        second = memory.remember("another dog")
        edge = memory.link(first, second, EdgeType.CAUSAL)
        memory.revise(first.id, importance=0.9)
        assert memory.position == 1
        assert (first.importance, first.position, edge.source_id) == (0.9, None, first.id)
    assert memory.path is None


def test_a_block_takes_nothing_of_another_principal():
    """It would be recorded as done by who began the block."""
    ann = AgentMemory(principal="ann", auto_associate=False)
    ben = ann.acting_as("ben")

    def inside():
        with ben.transaction():
            pass

    with ann.transaction():
        ann.remember("a", node_id="a")
        for work in (lambda: ben.remember("b", node_id="b"), lambda: ben.forget(ids=["a"]), inside):
            with pytest.raises(InputError, match="'ben' cannot write in a transaction of 'ann'"):
                work()
        assert ben.get("a").content == "a"  # reading is nobody's
        with ann.transaction():
            ann.remember("c", node_id="c")
    assert [(entry.principal, entry.action, entry.ids) for entry in ann.audit(action="wrote")] == [
        ("ann", "wrote", ("a",)),
        ("ann", "wrote", ("c",)),
    ]
    ben.remember("b")


def test_what_was_handed_out_in_the_block_goes_on(memory):
    memory.remember("the first")
    with memory.transaction():
        node = memory.remember("a cat", embedding=[1.0] * 8)
        other = memory.get(memory.remember("a dog").id)
        edge = memory.link(node, other)
        with pytest.raises(FrozenViewError, match="revise"):
            node.content = "x"
        assert node.reinforce(0.5).importance == 0.75
        elsewhere(lambda: memory.remember("somebody else's"))  # the record comes later than the block thought
    assert (node.importance, node.version, node.embedding.tolist()) == (0.75, 4, [1.0] * 8)
    assert memory.graph.get_edge(edge.id).target_id == other.id
    memory.revise(node.id, content="new", expected=node.version)
    assert node.content == "new"
    assert memory.edges(node)[0].hebbian_update(0.5, 0.0).weight == edge.weight > 0.8
    assert [change.kind for change in memory.log(4, 4)] == ["added", "added", "linked", "reinforced"]


def test_what_was_handed_out_in_a_block_that_was_undone_is_not_found(memory):
    built, ends = MemoryNode("built", node_id="b"), [MemoryNode("x", node_id="x"), MemoryNode("y", node_id="y")]
    edge = MemoryEdge("x", "y")
    with suppress(KeyError), memory.transaction():
        node = memory.remember("a cat")
        memory.graph.add_nodes([built, *ends])
        memory.graph.add_edge(edge)
        raise KeyError
    assert memory.position == 1
    for read in (lambda: node.content, lambda: built.content, lambda: node.version):
        with pytest.raises(NodeNotFoundError):
            read()
    with pytest.raises(EdgeNotFoundError):
        edge.weight  # noqa: B018 - reading is what fails
    memory.graph.add_nodes([built, *ends])  # once more
    memory.graph.add_edge(edge)
    assert (built.content, edge.weight, memory.position) == ("built", 1.0, 3)


def test_a_caught_error_in_the_block_undoes_its_own_command_only(memory):
    memory.remember("a cat", node_id="a")
    with memory.transaction():
        memory.remember("a dog", node_id="b")
        with pytest.raises(NodeNotFoundError):
            memory.forget(ids=["b", "zz"])
        with pytest.raises(DuplicateIdError):
            memory.remember_many([{"content": "x", "node_id": "c"}, {"content": "y", "node_id": "a"}])
        assert "c" not in memory
        memory.link("a", "b")
    assert (len(memory), memory.stats().num_edges, memory.position) == (2, 1, 3)


def test_an_inner_block_is_part_of_the_outer_one(memory):
    with memory.transaction():
        memory.remember("a", node_id="a")
        with suppress(KeyError), memory.transaction():
            memory.remember("b", node_id="b")
            raise KeyError
        with memory.graph.transaction() as graph:
            graph.add_node(MemoryNode("c", node_id="c"))
        assert ["a" in memory, "b" in memory, "c" in memory] == [True, False, True]
        with pytest.raises(InputError, match="part of it"), memory.transaction(command_id="x"):
            pass
    assert (len(memory), memory.position) == (2, 2)


def test_a_block_that_does_nothing_leaves_no_record(memory):
    before = fingerprint(memory)
    with memory.transaction():
        assert len(memory) == 0
    assert fingerprint(memory) == before


def test_recalls_in_a_block_are_noted_with_it(memory):
    memory.remember("a cat", node_id="a")
    with memory.transaction():
        memory.remember("a cat, too", node_id="b")
        assert len(memory.recall("cat")) == 2
        memory.flush()
    memory.flush()
    assert [memory.get(name).access_count for name in "ab"] == [1, 1]
    with suppress(KeyError), memory.transaction():
        memory.recall("cat")
        raise KeyError
    memory.flush()
    assert memory.get("a").access_count == 1


def test_a_search_in_a_block_finds_what_it_finds_afterwards():
    """Words, labels and contradictions of what is not recorded yet count like those of what is."""
    with AgentMemory(auto_associate=False) as memory:
        memory.remember_many([f"note {number} about cats" for number in range(20)])
        memory.remember("The launch is on Monday", tags=["plan"], speaker="Ann", node_id="monday")
        memory.remember("The office is in Rome", node_id="rome")
        asked = [
            lambda: memory.recall("When is the launch?", k=3, reinforce=False),
            lambda: memory.recall("Where is the office?", k=3, reinforce=False),
            lambda: memory.recall("launch", k=2, tags=["plan"], reinforce=False),
            lambda: memory.recall("cats", k=30, speaker="Bob", reinforce=False),
            lambda: memory.reason("launch", reinforce=False),
        ]
        before = [ask() for ask in asked]
        with memory.transaction():
            memory.remember("The launch is on Friday", tags=["plan"], node_id="friday")
            memory.remember("Cats sleep", speaker="Bob", node_id="cats")
            memory.revise("rome", content="The office is in Paris")
            memory.link("friday", "cats")
            inside = [[(hit.node_id, hit.score, str(hit.why)) for hit in ask()] for ask in asked]
            assert elsewhere(lambda: [ask() for ask in asked]) == before
        assert inside == [[(hit.node_id, hit.score, str(hit.why)) for hit in ask()] for ask in asked]
        assert inside != [[(hit.node_id, hit.score, str(hit.why)) for hit in hits] for hits in before]


def test_bulk_calls_in_a_block_are_part_of_it(memory):
    with memory.transaction():
        nodes = memory.remember_many([f"text {number}" for number in range(1500)])
        assert memory.link_many([(one.id, nodes[0].id) for one in nodes[1:]]) == 1499
        assert memory.revise_many([{"id": node.id, "importance": 0.25} for node in nodes[:10]]) == 10
        turns = memory.remember_messages([{"role": "user", "content": text} for text in ("hello", "bye")])
        assert memory.graph.neighbors(turns[0].id) == [turns[1].id]
    assert (memory.position, len(memory), memory.stats().num_edges) == (2, 1502, 1500)


@pytest.mark.parametrize(
    "fill",
    [
        lambda memory: memory.remember_many([f"text {number}" for number in range(4097)]),
        lambda memory: [memory.remember("x" * (1 << 20)) for _ in range(9)],
        lambda memory: [memory.remember("x") for _ in range(4097)],
    ],
)
def test_a_block_too_large_for_a_record_writes_nothing(memory, fill):
    before = fingerprint(memory)
    with pytest.raises(BatchTooLarge), memory.transaction():
        fill(memory)
    assert fingerprint(memory) == before
    memory.remember("x")


# -- others, meanwhile -----------------------------------------------------------------------------------------------


@pytest.fixture
def three(memory):
    memory.remember_many([{"content": f"text {name}", "node_id": name} for name in "abc"])
    memory.graph.add_edge(MemoryEdge("a", "b", edge_id="e", weight=0.5))
    return memory


READ = [
    (lambda memory: memory.get("a"), lambda memory: memory.revise("a", content="x")),
    (lambda memory: memory.get("a"), lambda memory: memory.forget(ids=["a"])),
    (lambda memory: "new" in memory, lambda memory: memory.remember("x", node_id="new")),
    (lambda memory: memory.edges("c"), lambda memory: memory.forget(ids=["c"])),
    (lambda memory: memory.edges("a"), lambda memory: memory.unlink("e")),
    (lambda memory: memory.graph.get_edge("e"), lambda memory: memory.revise_edge("e", weight=0.75)),
    (lambda memory: memory.graph.get_edge("e"), lambda memory: memory.graph.get_edge("e").hebbian_update()),
    (lambda memory: memory.revise("a", content="x"), lambda memory: memory.revise("a", importance=0.9)),
    (lambda memory: memory.link("a", "c"), lambda memory: memory.forget(ids=["c"])),
    (lambda memory: memory.remember("x", node_id="new"), lambda memory: memory.remember("x", node_id="new")),
]


@pytest.mark.parametrize(("read", "other"), READ)
def test_what_others_change_of_what_was_read_undoes_all(three, read, other):
    def block():
        with three.transaction():
            read(three)
            three.remember("mine", node_id="mine")
            elsewhere(lambda: other(three))

    with pytest.raises(TransactionConflict, match="do it again"):
        block()
    assert "mine" not in three
    assert three.replay() == three.digest()


@pytest.mark.parametrize(("read", "other"), READ)
def test_a_read_set_that_nobody_checks_is_caught(three, monkeypatch, read, other):
    monkeypatch.setattr(Ledger, "conflict", lambda *_: None)
    with suppress(MemoryGraphError), three.transaction():
        read(three)
        three.remember("mine", node_id="mine")
        elsewhere(lambda: other(three))
    with suppress(MemoryGraphError):
        assert "mine" in three  # the mutant: written over what it did not see


@pytest.mark.parametrize(
    "other",
    [
        lambda memory: memory.revise("b", content="x"),
        lambda memory: memory.get("a").reinforce(),
        lambda memory: memory.link("a", "b"),
        lambda memory: memory.remember("text d"),
        lambda memory: (memory.recall("text"), memory.flush()),
    ],
)
def test_what_others_do_besides_is_no_conflict(three, other):
    with three.transaction():
        memory_says = len(three.recall("text", reinforce=False)), len(list(three.graph.nodes())), len(three)
        three.revise("a", content="mine")
        elsewhere(lambda: other(three))
        assert memory_says == (len(three.recall("text", reinforce=False, threshold=0.0)), 3, 3)
    assert three.get("a").content == "mine"
    assert three.replay() == three.digest()


def test_blocks_wait_for_each_other(three):
    def work(_):
        for _ in range(10):
            with three.transaction():
                node = three.get("a")
                three.revise("a", content=str(int(node.content) + 1), importance=0.5)

    three.revise("a", content="0")
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert three.get("a").content == "40"


def test_two_memories_of_one_store_are_elsewhere_to_each_other(tmp_path):
    with AgentMemory(tmp_path / "s") as one, AgentMemory(tmp_path / "s") as other:
        one.remember("x", node_id="a")

        def block():
            with one.transaction():
                one.revise("a", content="mine")
                other.revise("a", content="theirs")

        with pytest.raises(TransactionConflict):
            block()
        assert one.get("a").content == other.get("a").content == "theirs"


def test_a_child_forked_in_a_block_does_not_write_it(tmp_path):
    with AgentMemory(tmp_path / "s") as memory:
        reader, writer = os.pipe()
        with suppress(TransactionConflict), memory.transaction():
            memory.remember("x", node_id="a")
            child = os.fork()
        if child == 0:
            os.write(writer, b"child" if "a" in memory else b"clean")
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reader, 9) in (b"clean", b"child")
        assert (len(memory), memory.position) == (1, 2)
        os.close(reader)
        os.close(writer)


# -- ids, versions, places where there are none ----------------------------------------------------------------------


def test_a_block_with_an_id_is_carried_out_once(tmp_path):
    def block(memory):
        with memory.transaction(command_id="once"):
            memory.remember("x")

    with AgentMemory(tmp_path / "s") as memory:
        block(memory)
        with pytest.raises(CommandIdReused, match="position 2") as caught:
            block(memory)
        assert caught.value.about == {"command_id": "once", "position": 2}
    with AgentMemory(tmp_path / "s") as memory:
        with pytest.raises(CommandIdReused):
            block(memory)
        assert len(memory) == 1
        with memory.transaction(command_id="nothing"):
            pass
        assert memory.position == 3
        with pytest.raises(InputError, match="transaction"), memory.transaction():
            memory.remember("x", command_id="mine")


def test_transactions_of_what_cannot_change_are_refused(tmp_path):
    with AgentMemory(tmp_path / "s") as memory:
        memory.remember("x")
        with pytest.raises(StoreReadOnly), memory.at(1).transaction():
            pass
    with (
        AgentMemory(tmp_path / "s", read_only=True) as memory,
        pytest.raises(StoreReadOnly),
        memory.transaction(),
    ):
        pass


def test_a_bare_graph_has_transactions():
    graph = MemoryGraph(embedding_dim=2)
    with suppress(ValueError), graph.transaction() as inside:
        inside.add_node(MemoryNode("a", embedding=[1.0, 0.0], node_id="a"))
        assert graph.similarity_search([1.0, 0.0]) == [("a", 1.0)]
        raise ValueError
    assert (len(graph), graph.similarity_search([1.0, 0.0])) == (0, [])


def test_edges_are_revised(three):
    edge = three.graph.get_edge("e")
    new = three.revise_edge(edge, weight=0.75, edge_type="causal", confidence=0.5, metadata={"k": 1}, expected=edge)
    assert (new.weight, new.edge_type, new.confidence, new.metadata) == (0.75, EdgeType.CAUSAL, 0.5, {"k": 1})
    with pytest.raises(ExpectationFailed, match="read it again") as caught:
        three.revise_edge("e", weight=0.25, expected=edge)
    assert caught.value.about == {"id": "e"}
    assert three.graph.revise_edge("e", weight=0.25, expected=new).metadata == {"k": 1}
    for fields in ({}, {"colour": 1}, {"weight": "heavy"}):
        with pytest.raises(InputError):
            three.revise_edge("e", **fields)
    with pytest.raises(EdgeNotFoundError):
        three.revise_edge("zz", weight=0.5)
    with pytest.raises(FrozenViewError, match="revise_edge"):
        edge.weight = 0.5


def test_an_edge_is_revised_by_one_of_many(three):
    three.revise_edge("e", metadata={"count": 0})

    def work(_):
        for _ in range(10):
            while True:
                edge = three.graph.get_edge("e")
                with suppress(ExpectationFailed, TransactionConflict):
                    three.revise_edge(edge, metadata={"count": edge.metadata["count"] + 1}, expected=edge)
                    break

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert three.graph.get_edge("e").metadata == {"count": 40}
