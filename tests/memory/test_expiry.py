"""Memories that are to be forgotten from a time on."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from memorygraph import AgentMemory, MemoryNode
from memorygraph.actors.local import LocalEngine
from memorygraph.core.types import MemoryGraphError
from memorygraph.events.errors import DiskFull, InputError, NodeNotFoundError
from memorygraph.events.stores import MemoryLog, SegmentLog
from memorygraph.times import to_text
from tests.memory.helpers import SteppedClock, clocked, fingerprint

HOUR_S = 3600


@pytest.fixture
def clock():
    return SteppedClock()


def later(clock, hours):
    return clock.time_us / 1e6 + hours * HOUR_S


def everywhere(memory, node_id):
    """The surfaces on which a memory is found."""
    found = {
        "in": node_id in memory,
        "len": len(memory) == 2,
        "recall": node_id in [hit.node_id for hit in memory.recall("boat", reinforce=False)],
        "reason": node_id in [hit.node_id for hit in memory.reason("harbour", reinforce=False)],
        "find": node_id in [node.id for node in memory.find()],
        "nodes": node_id in [node.id for node in memory.graph.nodes()],
        "edges": len(list(memory.graph.edges())) == 1,
        "similar": node_id in [hit.node_id for hit in memory.graph.similarity_search([1.0] + [0.0] * 255)],
        "stats": memory.stats().num_nodes == 2,
        "stats_edges": memory.stats().num_edges == 1,
        "at_head": node_id in memory.at(memory.position),
        "graph": memory.graph.get_node_safe(node_id) is not None,
    }
    assert len(set(found.values())) == 1, found
    return found["in"]


def with_boat(memory, expires_at):
    boat = memory.remember("The boat is rented", embedding=[1.0] + [0.0] * 255, expires_at=expires_at)
    harbour = memory.remember("The harbour opens at nine", embedding=[0.0, 1.0] + [0.0] * 254)
    memory.link(harbour, boat)
    return boat


def test_an_expired_memory_is_found_nowhere_and_its_history_says_why(clock):
    memory = clocked(clock)
    boat = with_boat(memory, later(clock, 2))
    assert boat.expires_at == later(clock, 2)
    clock.forward(1.9)
    assert everywhere(memory, boat.id)
    before, position = memory.digest(), memory.position
    clock.forward(0.1)
    assert not everywhere(memory, boat.id)
    forgotten = memory.history(boat.id)[-1]
    assert (forgotten.kind, forgotten.event.reason) == ("forgotten", "expired")
    assert memory.position == position + 1
    assert memory.digest() == memory.replay() != before
    assert boat.id in memory.at(position)
    memory.remember("another one")
    assert memory.position == position + 2  # nothing more was written than it takes


def test_a_command_meets_no_expired_memory(clock):
    memory = clocked(clock)
    boat = with_boat(memory, later(clock, 2))
    clock.forward(3)
    with pytest.raises(NodeNotFoundError):
        memory.revise(boat.id, content="too late")
    again = memory.remember("The boat is rented again", node_id=boat.id, embedding=boat.embedding)
    assert again.id == boat.id
    assert memory.get(boat.id).expires_at is None


def test_who_cannot_write_does_not_see_it(clock, tmp_path):
    writer = clocked(clock, SegmentLog.open(tmp_path))
    boat = with_boat(writer, later(clock, 2))
    reader = clocked(clock, SegmentLog.open(tmp_path, read_only=True))
    assert everywhere(reader, boat.id)
    before = fingerprint(writer)
    clock.forward(2)
    assert not everywhere(reader, boat.id)
    assert not everywhere(reader, boat.id)
    position, digest, _, head = before
    assert (reader.position, reader.digest(), reader.head()) == (position, digest, head)
    assert reader.replay() == digest  # of what the log says, whatever the clock
    assert not everywhere(writer, boat.id)
    assert reader.digest() == writer.digest() != digest


def test_a_full_disk_is_no_reason_to_find_it(clock, monkeypatch):
    log = MemoryLog()
    memory = clocked(clock, log)
    boat = with_boat(memory, later(clock, 2))
    clock.forward(2)

    def full(*_):
        raise DiskFull("no space")

    with monkeypatch.context() as patch:
        patch.setattr(log, "append", full)
        assert not everywhere(memory, boat.id)
        assert memory.history(boat.id)[-1].kind == "linked"
        with pytest.raises(DiskFull):
            memory.remember("more")
    assert not everywhere(memory, boat.id)
    assert memory.history(boat.id)[-1].kind == "forgotten"


def test_it_can_be_put_off_or_called_off(clock):
    memory = clocked(clock)
    first, second = (memory.remember(f"note {n}", expires_at=later(clock, 1)) for n in range(2))
    assert memory.revise(first.id, expires_at=later(clock, 5)).expires_at == later(clock, 5)
    assert memory.revise(second.id, expires_at=None).expires_at is None
    clock.forward(2)
    assert {first.id, second.id} == {node.id for node in memory.find()}
    clock.forward(4)
    assert [second.id] == [node.id for node in memory.find()]
    assert memory.revise(second.id, importance=0.1).expires_at is None


@pytest.mark.parametrize(
    "given",
    [
        "2100-01-01",
        "2100-01-01T00:00:00Z",
        "1 January 2100",
        4102444800,
        4102444800.0,
        datetime(2100, 1, 1, tzinfo=UTC),
        datetime(2100, 1, 1),  # noqa: DTZ001 - a naive one is UTC
    ],
)
def test_it_is_given_as_any_other_time(memory, given):
    assert memory.remember("something", expires_at=given).expires_at == 4102444800.0
    assert memory.remember_many([{"content": "more", "expires_at": given}])[0].expires_at == 4102444800.0
    assert (
        memory.graph.get_node(memory.graph.add_node(MemoryNode("built", expires_at=given))).expires_at == 4102444800.0
    )


def test_it_may_be_a_time_from_now_on(memory):
    node = memory.remember("something", expires_at=timedelta(days=30))
    assert node.expires_at == pytest.approx(node.created_at + 30 * 86400, abs=5)
    assert node.to_dict()["expires_at"] == node.expires_at


@pytest.mark.parametrize("given", ["yesterday-ish", float("nan"), True, [1], timedelta(days=10**7), b"1"])
def test_what_is_no_time_is_refused(memory, given):
    before = fingerprint(memory)
    with pytest.raises(MemoryGraphError):
        memory.remember("something", expires_at=given)
    assert fingerprint(memory) == before


def test_a_time_that_is_past_is_refused(memory):
    node = memory.remember("something")
    before = fingerprint(memory)
    for given in (timedelta(0), timedelta(hours=-1), "2020-01-01"):
        with pytest.raises(InputError, match="expired"):
            memory.remember("something", expires_at=given)
        with pytest.raises(InputError, match="expired"):
            memory.revise(node, expires_at=given)
    assert fingerprint(memory) == before


def test_a_file_keeps_it_and_leaves_out_what_expired_meanwhile(clock, tmp_path):
    memory = clocked(clock)
    boat = with_boat(memory, datetime.now(UTC) + timedelta(days=1))
    memory.save(tmp_path / "kept.json")
    loaded = AgentMemory.load(tmp_path / "kept.json")
    assert loaded.get(boat.id).expires_at == boat.expires_at
    assert (len(loaded), loaded.stats().num_edges) == (2, 1)
    text = (tmp_path / "kept.json").read_text()
    (tmp_path / "old.json").write_text(text.replace(str(boat._state.expires_us), "1"))
    late = AgentMemory.load(tmp_path / "old.json")
    assert (len(late), late.stats().num_edges) == (1, 0)


def test_many_expire_in_several_commands(clock, monkeypatch):
    memory = clocked(clock)
    memory.remember_many(
        [{"content": f"note {n}", "expires_at": later(clock, 1), "node_id": f"n{n:0100}"} for n in range(50)]
    )
    from memorygraph.actors import decide

    monkeypatch.setattr(decide, "LIMITS", decide.LIMITS._replace(command_bytes_max=8 * 1000))
    clock.forward(1)
    position = memory._engine.head().position
    assert len(memory) == 0
    assert memory.position > position + 2
    assert memory.digest() == memory.replay()


def test_threads_that_ask_at_once_write_one_event(clock):
    log = MemoryLog()
    memory = clocked(clock, log)
    with_boat(memory, later(clock, 1))
    clock.forward(1)
    position = log.head.position
    barrier = threading.Barrier(8)

    def ask():
        barrier.wait()
        assert len(memory) == 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.head.position == position + 1


def test_a_clock_that_goes_back_ends_the_search(clock):
    memory = clocked(clock)
    boat = with_boat(memory, later(clock, 1))
    engine = memory._engine
    assert isinstance(engine, LocalEngine)
    times = iter([clock.time_us + 2 * 3_600_000_000])
    engine._expiry._clock = type("Once", (), {"now_us": lambda _: next(times, clock.time_us)})()
    assert boat.id in memory


def test_text_of_the_time_reads_back(memory):
    node = memory.remember("something", expires_at="2100-01-01T10:30:00Z")
    assert to_text(node._state.expires_us) == "2100-01-01T10:30:00Z"
