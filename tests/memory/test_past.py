import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from memorygraph import AgentMemory
from memorygraph.actors.pinned import PinnedEngine
from memorygraph.core.types import ClosedError, InputError, NodeNotFoundError
from tests.memory.helpers import SteppedClock, clocked


def story(memory):
    """Return (position, digest, contents) after each of some changes."""
    steps = []

    def note():
        steps.append((memory.position, memory.digest(), sorted(node.content for node in memory)))

    for change in (
        lambda: memory.remember("red canoe", node_id="a"),
        lambda: memory.remember("red boat", node_id="b"),
        lambda: memory.revise("a", content="green canoe", tags=["x"]),
        lambda: memory.link("a", "b", "causal"),
        lambda: memory.forget(ids=["b"]),
        lambda: memory.remember("blue boat", node_id="b"),
    ):
        change()
        note()
    return steps


def test_at_a_position_is_the_memory_as_it_was(durable):
    steps = story(durable)
    for position, digest, contents in [*steps, steps[0]]:
        past = durable.at(position)
        assert (past.position, past.digest(), len(past)) == (position, digest, len(contents))
        assert sorted(node.content for node in past) == contents
        assert past.stats().position == position
        assert past.read_only
    past = durable.at(steps[1][0])
    assert past.get("a").content == "red canoe"
    assert [hit.content for hit in past.recall("canoe boat")] == ["red canoe", "red boat"]
    assert [hit.node_id for hit in past.reason("canoe")] == ["a", "b"]
    assert len(past.edges("a")) == 1  # similarity
    assert past.find(tags=["x"]) == []
    assert durable.find(tags=["x"]) == [durable.get("a")]
    assert "b" not in durable.at(steps[4][0])
    with pytest.raises(NodeNotFoundError):
        durable.at(steps[0][0]).get("b")
    assert [change.position for change in past.log()][-1] == past.position
    assert past.history("a")[-1].position <= past.position
    assert past.at(2).position == 2
    assert len(durable.at(0)) == 0


def test_at_a_time():
    clock = SteppedClock()
    memory = clocked(clock)
    start = datetime.fromtimestamp(clock.time_us / 1e6, UTC)
    memory.remember("first", node_id="a")
    clock.forward(1)
    memory.revise("a", content="second")
    clock.forward(1)
    memory.remember("long ago", occurred_at="1990-01-01")
    contents = {
        hours: [node.content for node in memory.at(start + timedelta(hours=hours))] for hours in (-1, 0, 0.5, 1, 2, 99)
    }
    assert contents == {
        -1: [],
        0: ["first"],
        0.5: ["first"],
        1: ["second"],
        2: ["second", "long ago"],
        99: ["second", "long ago"],
    }
    clock.forward(-5)  # a clock that runs backwards changes no order
    memory.remember("late")
    assert len(memory.at(start + timedelta(hours=2))) == 3


def test_a_naive_time_and_other_positions_are_refused(memory):
    for when, message in (
        (datetime(2026, 1, 1), "no time zone; give an aware datetime"),  # noqa: DTZ001 - what is tested
        (2, "holds 0 to 1"),
        (-1, "whole number"),
        (1.0, "whole number"),
        (True, "whole number"),
        ("2026-01-01", "whole number"),
    ):
        with pytest.raises(InputError, match=message):
            memory.at(when)
    memory.remember("x")
    with pytest.raises(InputError, match="after this view"):
        memory.at(1).at(2)


def test_looking_at_the_past_leaves_no_trace(memory):
    memory.remember("red canoe")
    past = memory.at(memory.position)
    past.recall("canoe")
    past.flush()
    past.close()
    memory.flush()
    assert memory.position == past.position == 2
    assert memory.remember("still open")


def test_subscribe_catches_up_and_follows_another_thread():
    memory = AgentMemory(auto_associate=False)
    memory.remember("before")
    seen = []
    with memory.subscribe() as changes:
        while (change := changes.next(timeout_s=0)) is not None:
            seen.append(change.kind)
        assert seen == ["created", "space", "added"]
        assert changes.next(timeout_s=0.01) is None
        writer = threading.Thread(target=lambda: [memory.remember(f"live {number}") for number in range(20)])
        writer.start()
        live = [changes.next(timeout_s=30) for _ in range(20)]
        writer.join()
    assert [change.event.content for change in live] == [f"live {number}" for number in range(20)]
    assert [change.position for change in live] == list(range(3, 23))


def test_subscribe_from_a_position_on(memory):
    memory.remember("one")
    memory.remember("two", node_id="two")
    with memory.subscribe(memory.position) as changes:
        assert changes.next(timeout_s=0).ids == ("two",)
        assert changes.next(timeout_s=0) is None


def test_a_closed_subscription_ends(memory):
    changes = memory.subscribe()
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(changes))
    reader.start()
    deadline = time.monotonic() + 30
    while not seen and time.monotonic() < deadline:
        time.sleep(0.01)
    changes.close()
    reader.join(30)
    assert not reader.is_alive()
    assert [change.kind for change in seen] == ["created"]


def test_subscribing_to_a_closed_memory_is_refused(memory):
    changes = memory.subscribe()
    memory.close()
    with pytest.raises(ClosedError, match="open it again"):
        changes.next(timeout_s=0)


def test_subscribe_follows_another_process(durable, store):
    writer = (
        "import sys; from memorygraph import AgentMemory\n"
        "with AgentMemory(sys.argv[1], auto_associate=False) as memory:\n"
        "    for number in range(10): memory.remember(f'live {number}')\n"
    )
    with durable.subscribe(2) as changes, subprocess.Popen([sys.executable, "-c", writer, str(store)]) as process:
        seen = [changes.next(timeout_s=60) for _ in range(11)]
        assert process.wait(60) == 0
    assert [change.kind for change in seen] == ["space", *["added"] * 10]
    assert [change.event.content for change in seen[1:]] == [f"live {number}" for number in range(10)]
    assert len(durable) == 10


def test_history_tells_of_links_that_were_made_strengthened_and_taken_away(memory):
    here, there = memory.remember("here"), memory.remember("there")
    edge = memory.link(here, there)
    edge.hebbian_update()
    memory.unlink(edge)
    for node in (here, there):
        assert [change.kind for change in memory.history(node.id)] == ["added", "linked", "strengthened", "unlinked"]


def test_waiting_for_changes_of_a_past_view_does_not_spin(memory, monkeypatch):
    memory.remember("here")
    past = memory.at(memory.position)
    asked = []
    wait = PinnedEngine.wait
    monkeypatch.setattr(PinnedEngine, "wait", lambda *args: asked.append(args) or wait(*args))
    with past.subscribe(past.position + 1) as changes:
        assert changes.next(timeout_s=0.3) is None
    assert len(asked) <= 2
