"""Hooks are told what the log has, once it has it; handlers that fail disturb nobody."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from memorygraph import AgentMemory, AsyncAgentMemory, MemoryArchiver, MemoryNode, Scope, SharedMemoryPool
from memorygraph.events.errors import InputError
from memorygraph.hooks import EVENTS, CounterPlugin, HookEvent, Hooks, LoggingPlugin


class Heard(list[HookEvent]):
    """Events as they came."""

    def to(self, hooks: Hooks, *names: str) -> Heard:
        for name in names or EVENTS:
            hooks.on(name, self.append)
        return self

    @property
    def names(self) -> list[str]:
        return [event.name for event in self]


def test_every_way_of_writing_is_told_in_order() -> None:
    memory = AgentMemory()
    memory.remember("before anybody listened")
    heard = Heard().to(memory.hooks)
    node = memory.remember("rain in the harbour")
    other = memory.graph.add_node(MemoryNode("lemons"))
    memory.link(node, other)
    memory.revise(node.id, content="rain")
    memory.get(node.id).add_tag("x")
    memory.recall("rain")
    memory.reason("rain")
    archiver = MemoryArchiver(memory)
    archiver.archive_node(other)
    archiver.restore(other)
    memory.forget(ids=[other], reason="sour")
    assert heard.names == [
        "remember", "remember", "link", "revise", "revise", "recall", "reason", "archive", "restore", "forget",
    ]  # fmt: skip
    assert heard[0]["node"].content == "rain in the harbour"
    assert heard[2]["edge"].target_id == other
    assert heard[3]["node"].content == "rain"
    assert heard[5].payload["hits"][0].content == "rain"
    assert heard[5]["query"] == "rain"
    assert heard[7].get("ids") == [other]
    assert (heard[9]["removed"], heard[9]["reason"]) == ([other], "sour")
    assert heard[9].position == memory.position
    assert heard[9].get("nothing") is None


def test_a_transaction_is_told_when_it_is_written_and_not_if_it_is_not() -> None:
    memory = AgentMemory()
    heard = Heard().to(memory.hooks, "remember", "link")
    with memory.transaction():
        one, two = memory.remember("a"), memory.remember("b")
        assert heard == []
    assert [event["node"].id for event in heard] == [one.id, two.id]
    with suppress(RuntimeError), memory.transaction():
        memory.remember("c")
        raise RuntimeError
    assert len(heard) == 2
    assert memory.remember("again", command_id="once").id == memory.remember("again", command_id="once").id
    assert len(heard) == 3  # a command that is repeated does nothing


def test_a_handler_that_fails_is_noted_and_the_others_are_called() -> None:
    memory = AgentMemory()
    heard = Heard()

    @memory.hooks.on("remember")
    def fail(event: HookEvent) -> None:
        raise ValueError(event["node"].content)

    heard.to(memory.hooks, "remember")
    memory.remember("a")
    assert heard.names == ["remember"]
    [error] = memory.hooks.errors
    assert (error.handler, str(error.error), error.event.name) == (fail, "a", "remember")
    memory.hooks.raise_errors = True
    with pytest.raises(ValueError, match="b"):
        memory.remember("b")
    assert len(memory) == 2  # it was written
    assert memory.hooks.off("remember", fail) is True
    assert memory.hooks.off("remember", fail) is False
    memory.remember("c")
    memory.hooks.clear("remember")
    memory.remember("d")
    assert [event["node"].content for event in heard] == ["a", "c"]
    memory.hooks.clear()
    with pytest.raises(InputError, match="remember"):
        memory.hooks.on("remembered")
    with pytest.raises(InputError):
        memory.hooks.on("remember", 3)  # type: ignore[type-var] # what a user might try


def test_a_handler_may_write_and_is_told_of_it_afterwards() -> None:
    memory = AgentMemory()
    heard = Heard().to(memory.hooks, "remember")

    @memory.hooks.on("remember")
    def echo(event: HookEvent) -> None:
        if not event["node"].content.startswith("echo"):
            memory.remember(f"echo of {event['node'].content}")

    memory.remember("a")
    assert [event["node"].content for event in heard] == ["a", "echo of a"]


def test_who_listens_hears_from_then_on() -> None:
    memory, heard = AgentMemory(), Heard()
    memory.hooks.on("remember", heard.append)
    assert memory.hooks.off("remember", heard.append)
    memory.remember("while nobody listened")
    heard.to(memory.hooks, "remember")
    memory.remember("after")
    assert [event["node"].content for event in heard] == ["after"]


def test_what_is_written_while_a_handler_runs_is_told_after_and_does_not_wait() -> None:
    memory = AgentMemory()
    heard = Heard().to(memory.hooks, "remember")
    with ThreadPoolExecutor(1) as other:

        @memory.hooks.on("remember")
        def wait_for_another_thread(event: HookEvent) -> None:
            if event["node"].content == "first":
                other.submit(memory.remember, "by another thread").result(timeout=20)

        memory.remember("first")
    assert not memory.hooks.errors
    assert [event["node"].content for event in heard] == ["first", "by another thread"]


def test_an_error_that_is_raised_leaves_nothing_untold() -> None:
    memory = AgentMemory()
    heard = Heard()
    memory.hooks.raise_errors = True
    with ThreadPoolExecutor(1) as other:

        @memory.hooks.on("remember")
        def fail(event: HookEvent) -> None:
            heard.append(event)
            if event["node"].content == "first":
                other.submit(memory.remember, "second").result(timeout=20)
                raise ValueError("first")

        with pytest.raises(ValueError, match="first"):
            memory.remember("first")
    assert [event["node"].content for event in heard] == ["first", "second"]
    memory.remember("third")
    assert len(heard) == 3


def test_a_follower_sleeps_while_there_is_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, slept = AgentMemory(), threading.Event()
    engine, newest = memory._engine, memory.position + 1
    wait = engine.wait

    def noted(position: int, timeout_s: float) -> int:
        if position >= newest:
            slept.set()
        return wait(position, min(timeout_s, 0.01))

    monkeypatch.setattr(engine, "wait", noted)
    memory.hooks.follow()
    memory.remember("nobody listens")
    assert memory.position == newest
    assert slept.wait(10)
    memory.hooks.unfollow()


def test_an_asynchronous_handler_runs_to_its_end_or_in_its_loop() -> None:
    memory, heard = AgentMemory(), []

    async def handler(event: HookEvent) -> None:
        await asyncio.sleep(0)
        heard.append((event.name, threading.current_thread()))

    memory.hooks.on("remember", handler)
    memory.remember("a")
    assert heard == [("remember", threading.main_thread())]

    async def in_a_loop() -> None:
        other = AsyncAgentMemory()
        done = asyncio.Event()

        @other.hooks.on("remember")
        async def tell(event: HookEvent) -> None:
            heard.append((event["node"].content, threading.current_thread()))
            done.set()

        await other.remember("in a loop")
        await asyncio.wait_for(done.wait(), 10)
        await other.close()

    asyncio.run(in_a_loop())
    assert heard[1] == ("in a loop", threading.main_thread())


def test_an_agent_hears_what_it_may_see_and_the_pool_everything() -> None:
    pool = SharedMemoryPool()
    ann, bob = pool.agent("ann"), pool.agent("bob")
    of_all, of_bob = Heard().to(pool.memory.hooks, "remember", "link"), Heard().to(bob.hooks, "remember", "link")
    secret = ann.remember("secret")
    public = ann.remember("public", scope=Scope.PUBLIC)
    mine = bob.remember("mine")
    ann.link(secret, public)
    bob.link(mine, public)
    ann.recall("secret")
    assert of_all.names == ["remember", "remember", "remember", "link", "link"]
    assert [event["node"].content for event in of_bob[:2]] == ["public", "mine"]
    assert [event["edge"].source_id for event in of_bob[2:]] == [mine.id]
    assert of_bob[0].principal == "ann"


def test_plugins_count_and_write_lines(caplog: pytest.LogCaptureFixture) -> None:
    memory = AgentMemory()
    counter = CounterPlugin().attach(memory.hooks)
    LoggingPlugin().attach(memory.hooks)
    with caplog.at_level(logging.INFO, logger="memorygraph"):
        memory.remember_many(["a", "b"])
        memory.recall("a")
    assert counter.counts == {"remember": 2, "recall": 1}
    assert "remember at 2: node=MemoryNode" in caplog.text
    assert "hits=2 items" in caplog.text


def test_writes_of_other_processes_are_told_if_that_is_asked_for(tmp_path: Path) -> None:
    program = "import sys; from memorygraph import AgentMemory; AgentMemory(sys.argv[1]).remember(sys.argv[2])"

    def write(text: str) -> None:
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "store"), text], check=True)

    with AgentMemory(tmp_path / "store") as memory:
        heard, came = Heard().to(memory.hooks, "remember"), threading.Event()
        write("by another")
        memory.remember("own")
        assert [event["node"].content for event in heard] == ["own"]

        @memory.hooks.on("remember")
        def notice(event: Any) -> None:
            if event["node"].content == "by another, again":
                came.set()

        memory.hooks.follow()
        memory.hooks.follow()
        write("by another, again")
        assert came.wait(20)
        memory.hooks.unfollow()
        assert [event["node"].content for event in heard] == ["own", "by another, again"]
