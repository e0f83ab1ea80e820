"""Backups, checkpoints and files of vectors."""

import errno
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from memorygraph import AgentMemory, GraphStorageManager, MemoryGraph, MemoryNode
from memorygraph.core.types import DiskFull, EmbeddingDimensionError, ImportFormatError, InputError, StoreError
from memorygraph.persistence.sqlite_backend import SQLiteBackend
from tests.memory.helpers import vector_of
from tests.persistence.backend_contract import contents, full_memory


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def grown(manager, path, count, **options):
    """Save a graph that gets one more node before each save."""
    graph = MemoryGraph(3)
    for number in range(count):
        graph.add_node(MemoryNode(node_id=f"n{number}"))
        assert manager.save_with_backup(graph, path, **options) == path
    return graph


@pytest.mark.parametrize("backend", ["json", "sqlite", "pickle"])
def test_the_last_backups_are_kept(tmp_path, backend):
    manager = GraphStorageManager(backend)
    path = tmp_path / "agent.db"
    grown(manager, path, 6)
    assert names(tmp_path) == ["agent.db", "agent.db.1.bak", "agent.db.2.bak", "agent.db.3.bak"]
    assert len(manager.load(path)) == 6
    assert [len(manager.load(tmp_path / f"agent.db.{number}.bak")) for number in (1, 2, 3)] == [5, 4, 3]


def test_fewer_backups_are_kept_when_asked(tmp_path):
    manager = GraphStorageManager()
    path = tmp_path / "a.json"
    grown(manager, path, 5)
    manager.save_with_backup(path, keep_backups=1)
    assert names(tmp_path) == ["a.json", "a.json.1.bak"]
    manager.save_with_backup(path, keep_backups=0)
    assert names(tmp_path) == ["a.json"]


def test_other_files_are_left_alone(tmp_path):
    others = ["a.json.bak", "a.json.x.bak", "a.json.0.bak", "b.json.1.bak", "a.json.1.bak.old"]
    for name in others:
        (tmp_path / name).write_text("mine")
    grown(GraphStorageManager(), tmp_path / "a.json", 6, keep_backups=2)
    assert set(others) <= set(names(tmp_path))
    assert all((tmp_path / name).read_text() == "mine" for name in others)


def test_a_save_that_fails_costs_no_backup(tmp_path, monkeypatch):
    manager = GraphStorageManager("sqlite")
    path = tmp_path / "a.db"
    graph = grown(manager, path, 4)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}

    def broken(_, __, file):
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SQLiteBackend, "write", broken)
    with pytest.raises(DiskFull):
        manager.save_with_backup(graph, path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_graph_is_needed_once(tmp_path):
    manager = GraphStorageManager()
    for call in (manager.save_with_backup, manager.checkpoint):
        with pytest.raises(InputError, match="this manager saved and loaded no graph yet; give one as the first"):
            call(tmp_path / "a")
        with pytest.raises(InputError, match=r"with a graph before it if it is not the one saved or loaded last"):
            call()
    with pytest.raises(InputError, match="no graph yet"):
        manager.checkpoint("not a graph")
    manager.save(full_memory().graph, tmp_path / "a.json")
    other = GraphStorageManager()
    other.load(tmp_path / "a.json")
    assert len(other.load(other.checkpoint(tmp_path))) == len(full_memory())
    with pytest.raises(InputError, match="keep_backups"):
        other.save_with_backup(tmp_path / "a.json", keep_backups=-1)


def test_graph_and_place_in_every_way(tmp_path):
    graph, path = full_memory().graph, tmp_path / "a.json"
    for call in (
        lambda manager: manager.save_with_backup(graph, path),
        lambda manager: manager.save_with_backup(graph, str(path), 5),
        lambda manager: manager.save_with_backup(path=path, graph=graph, keep_backups=5),
    ):
        manager = GraphStorageManager()
        assert call(manager) == path
        assert manager.save_with_backup(path=path) == path
    assert len(list(tmp_path.glob("a.json.*.bak"))) == 3
    for call in (
        lambda manager: manager.checkpoint(graph, tmp_path),
        lambda manager: manager.checkpoint(graph, str(tmp_path), "agent"),
        lambda manager: manager.checkpoint(graph=graph, directory=tmp_path, prefix="agent"),
    ):
        manager = GraphStorageManager()
        assert call(manager).parent == tmp_path
        assert manager.checkpoint(tmp_path).parent == tmp_path
    with pytest.raises(InputError, match="expected a MemoryGraph"):
        manager.save_with_backup("not a graph", path)


def test_what_changed_since_is_in_the_next_backup(tmp_path):
    """The manager remembers the graph, not what it held."""
    manager = GraphStorageManager("sqlite")
    graph = MemoryGraph(3)
    manager.save(graph, tmp_path / "a.db")
    graph.add_node(MemoryNode(node_id="later"))
    manager.save_with_backup(tmp_path / "a.db")
    assert "later" in manager.load(tmp_path / "a.db")


@pytest.mark.parametrize(("backend", "suffix"), [("json", ".json"), ("sqlite", ".db"), ("pickle", ".pickle")])
def test_checkpoints(tmp_path, backend, suffix):
    manager = GraphStorageManager(backend)
    graph = full_memory().graph
    folder = tmp_path / "deep" / "checkpoints"
    first = manager.checkpoint(graph, directory=folder, prefix="agent")
    made = [first, *(manager.checkpoint(directory=str(folder), prefix="agent") for _ in range(3))]
    assert made == sorted(made)
    assert re.fullmatch(rf"agent_\d{{8}}T\d{{12}}Z\{suffix}", first.name)
    manager.checkpoint(folder, prefix="agent_two")
    (folder / f"agent_notes{suffix}").write_text("mine")
    assert manager.list_checkpoints(folder, prefix="agent") == made[::-1]
    assert manager.list_checkpoints(tmp_path / "missing") == []
    assert manager.list_checkpoints(folder) == []
    assert contents(manager.load(manager.list_checkpoints(folder, "agent")[0])) == contents(graph)


def test_bad_places_are_named(tmp_path):
    manager = GraphStorageManager()
    graph = full_memory().graph
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot make the folder"):
        manager.checkpoint(graph, tmp_path / "file")
    with pytest.raises(StoreError, match="no such folder"):
        manager.save(graph, tmp_path / "missing" / "a.json")
    with pytest.raises(StoreError, match="cannot write the file"):
        manager.save(graph, tmp_path)
    for prefix in ("../up", "", "a/b", 5):
        with pytest.raises(InputError, match="prefix"):
            manager.checkpoint(directory=tmp_path, prefix=prefix)
        with pytest.raises(InputError, match="prefix"):
            manager.list_checkpoints(tmp_path, prefix)
    assert names(tmp_path) == ["file"]


def test_a_database_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite3, "connect", broken)
    with pytest.raises(StoreError, match="cannot write the database: disk I/O error"):
        GraphStorageManager("sqlite").save(MemoryGraph(3), tmp_path / "a.db")
    assert names(tmp_path) == []


def test_vectors_go_out_and_come_back(tmp_path):
    graph = full_memory().graph
    manager = GraphStorageManager("sqlite")
    path = tmp_path / "vectors.npz"
    assert manager.export_embeddings(graph, path) == 3
    with np.load(path) as found:
        assert found["ids"].tolist() == ["mast", "moon", "dry"]
        assert (found["embeddings"].shape, found["embeddings"].dtype) == ((3, 8), np.float32)
        np.testing.assert_array_equal(found["embeddings"][0], graph.get_node("mast").embedding)
        tuned = found["embeddings"] * -2
        np.savez(tmp_path / "tuned.npz", ids=np.array(["dry", "mast", "nobody"]), embeddings=tuned.astype("f8"))
    assert manager.import_embeddings(graph, tmp_path / "tuned.npz") == 2
    np.testing.assert_array_equal(graph.get_node("dry").embedding, tuned[0])
    np.testing.assert_array_equal(graph.get_node("mast").embedding, tuned[1])
    np.testing.assert_array_equal(graph.get_node("moon").embedding, np.float32(vector_of("moon")))
    assert len(graph) == len(full_memory())


def test_vectors_of_many_nodes_and_of_none(tmp_path):
    graph = MemoryGraph(4)
    manager = GraphStorageManager()
    assert manager.export_embeddings(graph, tmp_path / "none.npz") == 0
    assert manager.import_embeddings(graph, tmp_path / "none.npz") == 0
    for first in range(0, 2500, 500):
        graph.add_nodes([MemoryNode(node_id=f"n{number}") for number in range(first, first + 500)])
    vectors = np.random.default_rng(0).normal(size=(2500, 4)).astype("f4")
    np.savez_compressed(tmp_path / "all.npz", ids=[f"n{number}" for number in range(2500)], embeddings=vectors)
    assert manager.import_embeddings(graph, tmp_path / "all.npz") == 2500
    assert graph.embedding_dim == 4
    np.testing.assert_array_equal(graph.get_node("n2499").embedding, vectors[-1])


def test_vectors_of_another_dimension_are_refused(tmp_path):
    graph = full_memory().graph
    before = contents(graph)
    np.savez(tmp_path / "v.npz", ids=["mast"], embeddings=np.ones((1, 5)))
    with pytest.raises(EmbeddingDimensionError, match="5 dimensions; this graph holds vectors of 8"):
        GraphStorageManager().import_embeddings(graph, tmp_path / "v.npz")
    assert contents(graph) == before


def test_files_that_hold_no_vectors_are_refused(tmp_path):
    path = tmp_path / "v.npz"
    graph = full_memory().graph
    before = contents(graph)
    made = {
        "objects": {"ids": np.array(["mast"], dtype=object), "embeddings": np.ones((1, 8))},
        "numbers": {"ids": np.arange(1), "embeddings": np.ones((1, 8))},
        "flat": {"ids": np.array(["mast"]), "embeddings": np.ones(8)},
        "other lengths": {"ids": np.array(["mast"]), "embeddings": np.ones((2, 8))},
        "no ids": {"embeddings": np.ones((2, 8))},
        "not finite": {"ids": np.array(["mast"]), "embeddings": np.full((1, 8), np.nan)},
        "texts": {"ids": np.array(["mast"]), "embeddings": np.array([["a"] * 8])},
    }
    for arrays in made.values():
        np.savez(path, **arrays)
        with pytest.raises(ImportFormatError, match="cannot be read as npz"):
            GraphStorageManager().import_embeddings(graph, path)
    GraphStorageManager().export_embeddings(graph, path)
    whole = path.read_bytes()
    for data in (b"", b"hello", whole[: len(whole) // 2], whole[:100] + b"\xff" * 40 + whole[140:]):
        path.write_bytes(data)
        with pytest.raises(ImportFormatError, match="cannot be read as npz"):
            GraphStorageManager().import_embeddings(graph, path)
    with pytest.raises(ImportFormatError):
        GraphStorageManager().import_embeddings(graph, tmp_path / "missing.npz")
    assert contents(graph) == before


def test_recalls_until_now_are_saved(tmp_path):
    memory = AgentMemory()
    memory.remember("the moon has no air", node_id="moon")
    memory.recall("moon")
    memory.recall("moon")
    GraphStorageManager().save(memory.graph, tmp_path / "a.json")  # without flush()
    assert GraphStorageManager().load(tmp_path / "a.json").get_node("moon").access_count == 2


@pytest.mark.parametrize("fields", [{}, {"tags": ["🙂" * 400]}, {"speaker": "🙂" * 512, "source": "🙂" * 512}])
def test_nodes_of_long_names_come_back_in_commands_that_fit(tmp_path, fields):
    graph = MemoryGraph(3)
    for first in range(0, 1500, 500):
        graph.add_nodes([MemoryNode(node_id=f"{number}{'🙂' * 500}", **fields) for number in range(first, first + 500)])
    GraphStorageManager("sqlite").save(graph, tmp_path / "a.db")
    assert len(GraphStorageManager("sqlite").load(tmp_path / "a.db")) == 1500


def test_a_store_that_is_read_only_can_be_saved(tmp_path):
    with AgentMemory(tmp_path / "store") as memory:
        memory.remember("kept", node_id="kept")
    with AgentMemory(tmp_path / "store", read_only=True) as memory:
        GraphStorageManager("sqlite").save(memory.graph, tmp_path / "a.db")
    assert "kept" in GraphStorageManager("sqlite").load(Path(tmp_path / "a.db"))
