"""A pool on the command line: whose a memory is, and what an agent sees."""

from typing import Any

import pytest

from memorygraph import AgentMemory, SharedMemoryPool
from tests.cli.conftest import Shell


@pytest.fixture
def pool(shell: Shell) -> dict[str, str]:
    """Ann's private memory, one that she shares with a room, and one that is nobody's; gives their ids."""
    said = {
        "private": ("The price will rise in May", "--agent", "ann", "--scope", "private"),
        "shared": ("Customers ask for a price list", "--agent", "ann", "--scope", "shared", "--room", "growth"),
        "nobody": ("The price of oil fell", "--agent", "ann"),
    }
    return {name: shell.json("remember", *words)["id"] for name, words in said.items()}


def found(answer: Any, pool: dict[str, str]) -> set[str]:
    names = {node_id: name for name, node_id in pool.items()}
    return {names[hit["node_id"]] for hit in answer["hits"]}


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ((), {"private", "shared", "nobody"}),
        (("--as", "ann", "--room", "growth"), {"private", "shared", "nobody"}),
        (("--as", "bob", "--room", "growth"), {"shared", "nobody"}),
        (("--as", "bob"), {"nobody"}),
        (("--as", "bob", "--room", "growth", "--owner", "ann"), {"shared"}),
        (("--owner", "ann", "--scope", "private"), {"private"}),
        (("--as", "bob", "--room", "growth", "--at", "3"), {"shared"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_agent_finds_what_it_sees(
    shell: Shell, pool: dict[str, str], options: tuple[str, ...], seen: set[str]
) -> None:
    assert found(shell.json("recall", "price", *options), pool) == seen
    assert found(shell.json("reason", "price", *options), pool) == seen
    assert set(shell.json("context", "price", *options)["ids"]) == {pool[name] for name in seen}


def test_what_an_agent_does_not_see_is_not_shown(shell: Shell, pool: dict[str, str]) -> None:
    assert shell.json("show", pool["private"], "--as", "ann")["content"] == "The price will rise in May"
    assert "there is no node" in shell.run("show", pool["private"], "--as", "bob", code=1)


def test_show_says_whose_a_memory_is_and_who_sees_it(shell: Shell, pool: dict[str, str]) -> None:
    facts = {name: shell.json("show", node_id) for name, node_id in pool.items()}
    assert {name: (one["owner"], one["scope"], one["room"]) for name, one in facts.items()} == {
        "private": ("ann", "private", None),
        "shared": ("ann", "shared", "growth"),
        "nobody": (None, "public", None),
    }
    shown = {name: " ".join(shell.run("show", node_id).split()) for name, node_id in pool.items()}
    assert "owner ann seen by its owner" in shown["private"]
    assert "owner ann seen by the room growth" in shown["shared"]
    assert "seen by" not in shown["nobody"]


def test_a_pool_in_python_sees_the_same(shell: Shell, pool: dict[str, str]) -> None:
    with SharedMemoryPool(AgentMemory(path=shell.store, read_only=True)) as opened:
        owners = {node.id: name for name in ("ann", "bob") for node in opened.by_owner(name)}
        assert owners == {pool["private"]: "ann", pool["shared"]: "ann"}
        assert opened.memory.history(pool["nobody"])[0].principal == "ann"  # wrote it, and does not own it


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("remember", "x", "--scope", "private"), "needs --agent"),
        (("remember", "x", "--agent", "ann", "--room", "growth"), "--scope, who sees it"),
        (("recall", "x", "--room", "growth"), "--room needs --as"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_half_an_agent_is_wrong_usage(
    shell: Shell, pool: dict[str, str], words: tuple[str, ...], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    before = shell.json("verify")
    assert part in shell.run(*words, code=2)
    assert shell.json("verify") == before
    assert len(pool) == 3
