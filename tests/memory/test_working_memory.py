"""Working memory against a plain model, and what it tells a memory."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph import AgentMemory, MemoryGraph, MemoryNode, WorkingMemoryBuffer, WorkingMemorySlot
from memorygraph.core.types import InputError, StoreReadOnly, WorkingMemoryCapacityError
from memorygraph.memory import working
from tests.memory.helpers import SteppedClock

SLOTS = list(WorkingMemorySlot)
CENTRAL, EPISODIC, PHONOLOGICAL = WorkingMemorySlot.CENTRAL, WorkingMemorySlot.EPISODIC, WorkingMemorySlot.PHONOLOGICAL
VECTORS = {"a": [1.0, 0.0], "b": [0.95, 0.3], "c": [0.0, 1.0], "d": [0.9, -0.1], "e": None, "f": [0.0, 0.0]}
NODES = {name: MemoryNode(name, node_id=name, embedding=vector) for name, vector in VECTORS.items()}


class Model:
    """A list of dictionaries, the one used longest ago first; every rule written out."""

    def __init__(self, capacity, slots, policy, decay_rate=0.05, interference=0.1):
        self.capacity, self.slots, self.policy = capacity, slots, policy
        self.decay_rate, self.interference = decay_rate, interference
        self.items: list[dict] = []
        self.lost: list[str] = []

    def find(self, name):
        return next((item for item in self.items if item["name"] == name), None)

    def forward(self, seconds):
        for item in self.items:
            item["activation"] *= math.exp(-self.decay_rate * seconds)

    def worst(self, slot=None):
        rank = {
            "lru": lambda _: 0,
            "lfu": lambda item: item["rehearsals"],
            "lru_activation": lambda item: item["activation"] * item["priority"],
        }[self.policy]
        ranked = [item for item in self.items if slot in (None, item["slot"])]
        ranked.sort(key=rank)
        return ranked[0]

    def lose(self, item):
        self.items.remove(item)
        self.lost.append(item["name"])

    def is_full(self, slot):
        return sum(item["slot"] is slot for item in self.items) >= self.slots[slot]

    def rehearse(self, item):
        item["activation"] = min(1.0, item["activation"] + 0.3)
        item["rehearsals"] += 1
        self.items.remove(item)
        self.items.append(item)

    def push(self, name, slot, activation, priority):
        item = self.find(name)
        is_new = item is None
        if item is not None:
            self.rehearse(item)
            self.items.remove(item)
            item["activation"] = max(item["activation"], activation)
            item["slot"] = slot or item["slot"]
            item["priority"] = item["priority"] if priority is None else priority
        else:
            item = {
                "name": name,
                "slot": slot or EPISODIC,
                "activation": activation,
                "priority": 0.5 if priority is None else priority,
                "rehearsals": 0,
            }
        if self.is_full(item["slot"]):
            self.lose(self.worst(item["slot"]))
        if len(self.items) >= self.capacity:
            self.lose(self.worst())
        if is_new:
            for other in self.items:
                alike = cosine(VECTORS[name], VECTORS[other["name"]])
                if alike > 0.8:
                    other["activation"] *= 1 - self.interference * alike
        self.items.append(item)

    def get(self, name):
        item = self.find(name)
        if item is not None:
            self.rehearse(item)

    def remove(self, name):
        item = self.find(name)
        if item is not None:
            self.items.remove(item)

    def tick(self, seconds):
        self.forward(seconds)
        for item in list(self.items):
            if item["activation"] < 0.01:
                self.lose(item)

    def rehearse_all(self, slot):
        for item in list(self.items):
            if slot in (None, item["slot"]):
                self.rehearse(item)

    def set_focus(self, name):
        item = self.find(name)
        if item is None or item["slot"] is CENTRAL:
            return
        self.items.remove(item)
        if self.is_full(CENTRAL):
            former = self.worst(CENTRAL)
            if self.is_full(EPISODIC):
                self.lose(self.worst(EPISODIC))
            former["slot"] = EPISODIC
        item["slot"] = CENTRAL
        self.items.append(item)

    def told(self):
        return [
            (item["name"], item["slot"], pytest.approx(item["activation"]), item["priority"], item["rehearsals"])
            for item in self.items
        ]


def cosine(one, other):
    if one is None or other is None or not any(one) or not any(other):
        return 0.0
    return sum(map(float.__mul__, one, other)) / math.hypot(*one) / math.hypot(*other)


names = st.sampled_from(sorted(NODES))
shares = st.sampled_from([0.0, 0.05, 0.3, 0.5, 1.0])
slots = st.sampled_from([None, *SLOTS])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), names, slots, shares, st.none() | shares),
        st.tuples(st.just("push"), names, slots, shares, st.none() | shares),
        st.tuples(st.sampled_from(["get", "remove", "set_focus"]), names),
        st.tuples(st.just("tick"), st.sampled_from([0.0, 1.0, 30.0])),
        st.tuples(st.just("rehearse_all"), slots),
        st.tuples(st.just("forward"), st.sampled_from([0.5, 20.0])),
    ),
    max_size=25,
)


def check(steps, capacity, policy, counts) -> None:
    clock = SteppedClock()
    capacities = dict(zip(SLOTS, counts, strict=True))
    buffer = WorkingMemoryBuffer(capacity, eviction_policy=policy, slot_capacities=capacities, clock=clock)
    model = Model(capacity, capacities, policy)
    lost, entered = [], []
    buffer.on_evict = lambda item: lost.append(item.node.id)
    buffer.on_enter = lambda item: entered.append(item.node.id)
    for kind, *values in steps:
        if kind == "forward":
            clock.forward(values[0] / 3600)
            model.forward(values[0])
        elif kind == "push":
            expected = entered + [name for name in values[:1] if name not in buffer]
            buffer.push(NODES[values[0]], *values[1:])
            model.push(*values)
            assert entered == expected
        else:
            getattr(buffer, kind)(*values)
            getattr(model, kind)(*values)
        told = [(item.node.id, item.slot, item.activation, item.priority, item.rehearsals) for item in buffer]
        assert told == model.told()
        assert lost == model.lost
        assert len(buffer) <= capacity
        check_asked(buffer, model)


def check_asked(buffer: WorkingMemoryBuffer, model: Model) -> None:
    focus = buffer.focus()
    central = [item for item in model.items if item["slot"] is CENTRAL]
    assert (focus is None) == (not central)
    assert focus is None or focus.activation == pytest.approx(max(item["activation"] for item in central))
    snapshot = buffer.snapshot()
    assert snapshot["size"] == len(model.items)
    assert snapshot["utilization"] == len(model.items) / model.capacity
    assert snapshot["evictions"] == len(model.lost)
    active = [item.node.id for item in buffer.active_nodes(0.2)]
    assert set(active) == {item["name"] for item in model.items if item["activation"] >= 0.2}
    assert {name for name in NODES if name in buffer} == {item["name"] for item in model.items}


@given(steps, st.integers(1, 5), st.sampled_from(working.POLICIES), st.tuples(*[st.integers(1, 3)] * 4))
@settings(max_examples=150, deadline=None)
def test_it_does_what_the_model_does(steps, capacity, policy, counts) -> None:
    check(steps, capacity, policy, counts)


SCRIPT = [
    ("push", "a", PHONOLOGICAL, 1.0, 0.3),
    ("push", "b", PHONOLOGICAL, 0.9, None),
    ("get", "a"),
    ("forward", 20.0),
    ("push", "c", CENTRAL, 0.5, 1.0),
    ("set_focus", "b"),
    ("push", "d", PHONOLOGICAL, 1.0, 1.0),
    ("push", "e", PHONOLOGICAL, 0.3, None),
    ("push", "a", None, 0.3, None),
    ("tick", 30.0),
    ("rehearse_all", PHONOLOGICAL),
    ("tick", 80.0),
    ("push", "f", EPISODIC, 1.0, None),
]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("_interfere", lambda *_: None),
        ("_decay", lambda *_: None),
        ("_rehearsed", lambda _, item: item),
        ("_victim", lambda self, _: next(iter(self._items.values()))),
        ("_step_back", lambda *_: []),
    ],
)
def test_a_wrong_buffer_is_noticed(monkeypatch, name, wrong) -> None:
    check(SCRIPT, 4, "lru_activation", (2, 2, 2, 1))
    monkeypatch.setattr(WorkingMemoryBuffer, name, wrong)
    with pytest.raises(AssertionError):
        check(SCRIPT, 4, "lru_activation", (2, 2, 2, 1))


@pytest.fixture
def clock():
    return SteppedClock()


def test_the_documented_defaults(clock):
    buffer = WorkingMemoryBuffer(clock=clock)
    assert (buffer.capacity, buffer.decay_rate, buffer.interference_rate) == (7, 0.05, 0.1)
    assert buffer.eviction_policy == "lru_activation"
    assert [buffer.slot_capacities[slot] for slot in SLOTS] == [7, 4, 4, 1]
    item = buffer.push(NODES["a"])
    assert (item.slot, item.activation, item.priority, item.rehearsals) == (EPISODIC, 1.0, 0.5, 0)
    assert repr(buffer) == "<WorkingMemoryBuffer 1 of 7>"
    assert buffer.snapshot()["items"] == [
        {
            "node_id": "a",
            "slot": "episodic",
            "activation": 1.0,
            "priority": 0.5,
            "entered_at": clock.now_us() / 1e6,
            "rehearsals": 0,
        }
    ]


def test_time_may_pass_in_any_number_of_ticks(clock):
    once, often = (WorkingMemoryBuffer(clock=clock) for _ in range(2))
    for buffer in (once, often):
        buffer.push(NODES["a"])
    for _ in range(10):
        clock.forward(1 / 3600)
        often.tick()
    once.tick()
    [one], [other] = once.active_nodes(), often.active_nodes()
    assert one.activation == pytest.approx(other.activation) == pytest.approx(math.exp(-0.5))
    clock.forward(-1)  # a clock that was set back makes nothing younger
    assert once.tick() == []
    clock.forward(1)
    assert once.tick(elapsed=100.0) == ["a"]


def test_the_newest_come_first(clock):
    buffer = WorkingMemoryBuffer(clock=clock)
    for name in "abc":
        buffer.push(NODES[name])
        clock.forward(0.001)
    buffer.get("a")
    assert [item.node.id for item in buffer.most_recent(2)] == ["c", "b"]
    assert buffer.most_recent(0) == []
    assert buffer.contains(NODES["a"])
    assert 5 not in buffer
    buffer.clear()
    assert (len(buffer), buffer.focus(), buffer.get("a"), buffer.remove("a")) == (0, None, None, None)
    assert buffer.set_focus("a") is False


def test_a_slot_of_no_capacity_holds_nothing(clock):
    buffer = WorkingMemoryBuffer(slot_capacities={"visuospatial": 0, CENTRAL: 0}, clock=clock)
    with pytest.raises(WorkingMemoryCapacityError, match="the slot visuospatial holds nothing"):
        buffer.push(NODES["a"], slot="visuospatial")
    buffer.push(NODES["a"])
    with pytest.raises(WorkingMemoryCapacityError, match="central"):
        buffer.set_focus("a")
    assert [item.slot for item in buffer] == [EPISODIC]
    narrow = WorkingMemoryBuffer(slot_capacities={EPISODIC: 0}, clock=clock)
    lost = []
    narrow.on_evict = lost.append
    narrow.push(NODES["a"], CENTRAL)
    narrow.push(NODES["b"], PHONOLOGICAL)
    assert narrow.set_focus("b")
    assert [item.node.id for item in lost] == ["a"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"capacity": 0}, "capacity"),
        ({"decay_rate": "slow"}, "decay_rate"),
        ({"eviction_policy": "fifo"}, "lru_activation"),
        ({"slot_capacities": {"left": 1}}, "phonological"),
        ({"slot_capacities": {"central": -1}}, "capacity"),
        ({"memory": "notes"}, "must be an AgentMemory or a MemoryGraph"),
    ],
)
def test_a_buffer_that_cannot_be_made_says_why(given, message):
    with pytest.raises(InputError, match=message):
        WorkingMemoryBuffer(**given)


@pytest.mark.parametrize(
    "given", [("a",), (NODES["a"], "left"), (NODES["a"], None, "much"), (NODES["a"], None, 1, "x")]
)
def test_a_push_that_makes_no_sense_changes_nothing(given):
    buffer = WorkingMemoryBuffer()
    with pytest.raises(InputError):
        buffer.push(*given)
    assert len(buffer) == 0


def test_a_listener_may_use_the_buffer_and_its_error_reaches_the_caller(clock):
    buffer = WorkingMemoryBuffer(capacity=1, clock=clock)
    buffer.push(NODES["a"])
    buffer.on_evict = lambda item: buffer.remove("b") if item.node.id == "a" else None
    buffer.push(NODES["b"])
    assert len(buffer) == 0
    buffer.push(NODES["c"])
    buffer.on_evict = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        buffer.push(NODES["d"])
    assert [item.node.id for item in buffer] == ["d"]


def test_many_threads_never_overfill_it():
    buffer = WorkingMemoryBuffer(capacity=3)
    lost: list[str] = []
    buffer.on_evict = lambda item: lost.append(item.node.id)
    errors: list[BaseException] = []

    def work(number):
        try:
            for turn in range(60):
                node = MemoryNode("x", node_id=f"{number}.{turn}")
                buffer.push(node, SLOTS[turn % 4])
                buffer.tick()
                buffer.set_focus(node.id)
                assert len(buffer.snapshot()["items"]) <= 3
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(lost) + len(buffer) == 240
    assert len(set(lost)) == len(lost)


# -- bound to a memory -----------------------------------------------------------------------------------------------


def test_the_log_tells_what_fell_out_of_attention(clock, store):
    with AgentMemory(store, principal="ann") as memory:
        first, second = memory.remember("first"), memory.remember("second")
        digest = memory.digest()
        buffer = WorkingMemoryBuffer(capacity=1, memory=memory, clock=clock)
        seen = []
        buffer.on_evict = seen.append
        buffer.push(first, "central", activation=0.75)
        buffer.push(MemoryNode("not in the memory"))
        buffer.push(second)
        buffer.tick(elapsed=1000)
        [evicted] = [change for change in memory.history(first.id) if change.kind == "attention_lost"]
        assert (evicted.event.slots, evicted.event.activations, evicted.event.reason) == ((4,), (0.75,), "evicted")
        [decayed] = [
            change for change in memory.log() if change.kind == "attention_lost" and change.ids == (second.id,)
        ]
        assert decayed.event.reason == "decayed"
        assert decayed.event.activations[0] < 0.01
        assert [entry.ids for entry in memory.audit(action="attention_lost", who="ann")] == [(first.id,), (second.id,)]
        assert memory.digest() == memory.replay() == digest
        assert memory.get(first).version == first.version
        assert len(seen) == 3
    with AgentMemory(store, read_only=True) as memory:
        assert memory.digest() == digest
        with pytest.raises(StoreReadOnly, match="this one is read-only"):
            WorkingMemoryBuffer(memory=memory)


def test_a_graph_is_told_too(clock):
    graph = MemoryGraph()
    node = MemoryNode("x")
    graph.add_node(node)
    buffer = WorkingMemoryBuffer(memory=graph, clock=clock)
    buffer.push(node)
    clock.forward(1)
    assert buffer.tick() == [node.id]
    assert buffer.tick() == []
