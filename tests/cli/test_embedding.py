"""The commands that have to do with vectors and ranks: reembed, and recall by a profile."""

import sys

import pytest
from typer.testing import CliRunner

from memorygraph import AgentMemory, CallableEmbedder
from memorygraph.cli import app
from tests.cli.conftest import Shell


def halves(text: str) -> list[float]:
    return [1.0, float(len(text) % 2)]


def test_reembed_changes_the_embedder(shell: Shell) -> None:
    with AgentMemory(path=shell.store, embedder=CallableEmbedder(halves, 2, name="halves")) as memory:
        memory.remember("A canoe costs nine crowns per hour")
        memory.remember("A canoe costs nine crowns an hour")
        before = memory.position
    assert shell.json("reembed", "hashing") == {"embedded": 2, "embedder": "hashing", "dim": 256, "links": 1}
    assert shell.run("reembed", "hashing") == "vectors made by hashing (256 dimensions): 0; links: 1\n"
    with AgentMemory(path=shell.store, read_only=True) as memory:
        assert memory.stats().embedder == "hashing"
        assert memory.at(before).stats().embedder == "halves"


def test_reembed_says_what_is_missing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("remember", "A canoe costs nine crowns per hour")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    assert "pip install 'memorygraph[minilm]'" in shell.run("reembed", "minilm", code=1)
    assert "pip install 'memorygraph[sentence-transformers]'" in shell.run("reembed", "another/model", code=1)
    monkeypatch.setitem(sys.modules, "openai", None)
    assert "pip install 'memorygraph[openai]'" in shell.run("reembed", "openai:text-embedding-3-large", code=1)
    assert shell.json("stats")["embedder"] == "hashing"


def test_recall_by_a_profile(shell: Shell) -> None:
    shell.run("remember", "A canoe costs nine crowns per hour", "--when", "2020-01-01")
    plain, lately = (shell.json("recall", "canoe", "--profile", name)["hits"] for name in ("relevance", "recency"))
    assert lately[0]["node_id"] == plain[0]["node_id"]
    assert lately[0]["score"] < plain[0]["score"]
    assert "activation" in shell.run("recall", "canoe", "--profile", "fame", code=2)


def test_vectors_of_another_embedder_are_left_out_aloud(shell: Shell) -> None:
    with AgentMemory(path=shell.store, embedder=CallableEmbedder(halves, 2, name="halves")) as memory:
        memory.remember("A canoe costs nine crowns per hour")
    for command in ("recall", "reason", "context"):
        result = CliRunner().invoke(app, ["--store", str(shell.store), command, "canoe"])
        assert result.exit_code == 0
        assert "only words count here: the vectors are of the embedder halves" in result.stderr
        assert "nine crowns" in result.stdout
