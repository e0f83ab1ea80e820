import errno
import os
import threading

import pytest

from memorygraph import AgentMemory, portable
from memorygraph.core.types import (
    ClosedError,
    DiskFull,
    EmbedderMismatch,
    ForeignStore,
    ImportFormatError,
    InputError,
    NewerFormat,
    StoreError,
    StoreNotFound,
    StoreReadOnly,
)
from tests.memory.helpers import fingerprint, meaningful_embedder


def test_a_durable_memory_is_there_again(store):
    with AgentMemory(path=store, name="mine") as memory:
        memory.remember("Leyla lives in Istanbul", node_id="a")
        memory.remember("Leyla builds boats", node_id="b")
        memory.link("a", "b")
        before = fingerprint(memory)
        assert memory.path == str(store)
    with AgentMemory(path=str(store), name="ignored") as memory:
        assert fingerprint(memory) == before
        assert memory.name == "mine"
        assert memory.recall("Where does Leyla live?", k=1)[0].node_id == "a"


def test_what_returned_is_durable_without_close(store):
    memory = AgentMemory(store)
    memory.remember("Leyla", node_id="a")
    with AgentMemory(store) as other:
        assert "a" in other
    memory.close()


def test_close_and_what_comes_after(store):
    memory = AgentMemory(store)
    node = memory.remember("Leyla", node_id="a")
    with memory:
        pass
    memory.close()
    calls = (
        lambda: memory.remember("x"),
        lambda: memory.remember_many(["x"]),
        lambda: memory.recall("x"),
        lambda: memory.reason("x"),
        lambda: memory.get("a"),
        memory.find,
        lambda: memory.edges("a"),
        lambda: memory.revise("a", content="x"),
        lambda: memory.forget(ids=["a"]),
        lambda: memory.link("a", "b"),
        lambda: memory.history("a"),
        lambda: list(memory.log()),
        memory.stats,
        memory.digest,
        memory.replay,
        memory.verify,
        memory.head,
        lambda: memory.at(1),
        lambda: memory.save(store.parent / "x"),
        lambda: memory.export(store.parent / "x"),
        lambda: memory.position,
        lambda: len(memory),
        lambda: "a" in memory,
        lambda: list(memory),
        node.reinforce,
    )
    for call in calls:
        with pytest.raises(ClosedError, match="closed"):
            call()
    assert list(store.parent.iterdir()) == [store]
    assert node.content == "Leyla"
    assert (memory.path, len(memory.memory_id)) == (str(store), 32)


def test_an_error_inside_the_block_closes_too(store):
    with pytest.raises(InputError), AgentMemory(store) as memory:
        memory.remember("")
    with pytest.raises(ClosedError):
        memory.remember("x")


def test_read_only_refuses_writes_and_follows(store):
    with AgentMemory(store) as writer:
        writer.remember("first", node_id="a")
        with AgentMemory(store, read_only=True) as reader:
            assert reader.read_only
            before = fingerprint(reader)
            node = reader.get("a")
            writes = (
                lambda: reader.remember("x"),
                lambda: reader.remember_many(["x"]),
                lambda: reader.remember_messages([{"role": "user", "content": "x"}]),
                lambda: reader.revise("a", content="x"),
                lambda: reader.revise_many([{"id": "a", "content": "x"}]),
                lambda: reader.forget(ids=["a"]),
                reader.forget,
                lambda: reader.link("a", "b"),
                lambda: reader.link_many([("a", "b")]),
                lambda: reader.unlink("2.0"),
                node.reinforce,
            )
            for write in writes:
                with pytest.raises(StoreReadOnly, match="read-only; nothing was written"):
                    write()
            reader.recall("first")
            reader.flush()
            assert fingerprint(reader) == before
            writer.remember("second", node_id="b")
            assert reader.get("b").content == "second"
            assert reader.recall("second", k=1)[0].node_id == "b"
            assert fingerprint(reader) == fingerprint(writer)
            with reader.subscribe(reader.position + 1) as changes:
                writer.remember("third")
                assert changes.next(timeout_s=30).event.content == "third"


def test_read_only_changes_no_file(store):
    with AgentMemory(store) as writer:
        writer.remember("first")

    def files():
        return {
            file: (file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(store.rglob("*")) if file.is_file()
        }

    before = files()
    with AgentMemory(store, read_only=True) as reader:
        reader.recall("first")
        reader.verify()
    assert files() == before


def test_two_memories_over_one_path(store):
    with AgentMemory(store) as one, AgentMemory(store) as two:
        one.remember("red canoe", node_id="a")
        two.remember("red canoe again", node_id="b")
        assert len(one.edges("a")) == len(two.edges("a")) == 1
        two.revise("a", content="green canoe")
        one.link("a", "b", "causal")
        assert one.get("a").content == "green canoe"
        assert fingerprint(one) == fingerprint(two)
        threads = [
            threading.Thread(target=memory.remember_many, args=([f"{name} {number}" for number in range(20)],))
            for name, memory in (("one", one), ("two", two), ("one more", one))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(one) == len(two) == 62
        assert fingerprint(one) == fingerprint(two)
        assert one.replay() == one.digest()


def test_readers_and_writers_in_threads(store):
    """Readers never fail and never see half a command."""
    problems = []
    with AgentMemory(store, auto_associate=False) as memory:
        stop = threading.Event()

        def read():
            while not stop.is_set():
                try:
                    contents = [node.content for node in memory.find(tags=["pair"])]
                    if len(contents) % 2:
                        problems.append(contents)
                    memory.recall("pair", k=3)
                except Exception as error:  # noqa: BLE001 - any error is what is looked for
                    problems.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for number in range(60):
            memory.remember_many([{"content": f"pair {number}", "tags": ["pair"]}] * 2)
        stop.set()
        for reader in readers:
            reader.join()
        assert problems == []
        assert len(memory) == 120


def test_an_empty_folder_becomes_a_store(store):
    store.mkdir()
    with AgentMemory(store / "deep" / "er") as memory:
        memory.remember("x")
    with AgentMemory(store / "deep" / "er", read_only=True) as memory:
        assert len(memory) == 1


def foreign_folder(path):
    path.mkdir()
    (path / "precious.txt").write_text("mine")


def newer(path):
    AgentMemory(path).close()
    file = path / "MEMORY"
    file.write_text(file.read_text().replace('"version": 1', '"version": 2'))


def wrong_file(path):
    AgentMemory(path).close()
    (path / "MEMORY").write_text("{}")


def without_log(path):
    AgentMemory(path).close()
    for file in (path / "log").iterdir():
        file.unlink()
    (path / "log").rmdir()


@pytest.mark.parametrize(
    ("prepare", "error", "message"),
    [
        (lambda path: path.write_text("x"), ForeignStore, "is a file, not a memory's directory"),
        (foreign_folder, ForeignStore, "holds 'precious.txt'.*choose a new directory"),
        (newer, NewerFormat, "update memorygraph"),
        (wrong_file, ForeignStore, "not one of ours"),
        (without_log, StoreError, "cannot"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_that_is_not_a_store_is_refused_and_left_alone(store, prepare, error, message, read_only):
    prepare(store)

    def listing():
        return {file: file.read_bytes() if file.is_file() else b"" for file in sorted([store, *store.rglob("*")])}

    before = listing()
    with pytest.raises(error, match=message) as caught:
        AgentMemory(store, read_only=read_only)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert str(store) in str(caught.value)
    assert listing() == before


def test_a_missing_store_is_not_made_by_a_reader(store):
    with pytest.raises(StoreNotFound, match="there is no memory here"):
        AgentMemory(store, read_only=True)
    assert not store.exists()


def test_below_a_file_nothing_can_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="file"):
        AgentMemory(tmp_path / "file" / "store")


@pytest.mark.parametrize(
    "arguments",
    [
        {"embedding_dim": 0},
        {"embedding_dim": 2.5},
        {"embedder": object()},
        {"embedder": lambda text: [len(text)]},
        {"associate_k": -1},
        {"associate_k": "many"},
        {"associate_threshold": "high"},
        {"decay_rate": 0},
        {"decay_rate": float("inf")},
        {"language": "xx"},
        {"language": None},
        {"name": 5},
        {"name": "\ud800"},
        {"principal": 5},
        {"principal": "\ud800"},
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_made(store, arguments):
    with pytest.raises(InputError) as caught:
        AgentMemory(store, **arguments)
    assert type(caught.value) is InputError
    assert "\n" not in str(caught.value)
    assert not store.exists()


@pytest.mark.parametrize("path", [5, "", "a\0b", ["x"]])
def test_a_path_must_be_a_path(path):
    with pytest.raises(InputError, match="path must be the path of a file or folder"):
        AgentMemory(path)


def test_read_only_needs_a_path():
    with pytest.raises(InputError, match="read_only=True needs the path of a store"):
        AgentMemory(read_only=True)


def test_a_foreign_embedder_is_refused_when_opening(store):
    with AgentMemory(store, embedder=meaningful_embedder(version="1")) as memory:
        memory.remember("We adopted a puppy")
        before = fingerprint(memory)
    for foreign in (
        meaningful_embedder(version="2"),
        meaningful_embedder(name="other", version="1"),
    ):
        with pytest.raises(EmbedderMismatch, match=r"Open it with that embedder, or change the memory's with reembed"):
            AgentMemory(store, embedder=foreign)
    with AgentMemory(store) as memory:  # reading by words needs no embedder
        assert memory.embedder is None
        assert memory.recall("puppy")[0].score > 0
        with pytest.raises(EmbedderMismatch, match=r"open it with AgentMemory.*embedder=.*that embedder"):
            memory.remember("x")
        with pytest.raises(EmbedderMismatch):
            memory.revise(memory.find()[0].id, content="x")
        assert fingerprint(memory) == before
    with AgentMemory(store, embedder=meaningful_embedder(version="1")) as memory:
        assert memory.recall("dog", k=1)[0].why.dense > 0.9


@pytest.mark.parametrize(
    ("second", "error", "message"),
    [
        ({"embedder": meaningful_embedder(name="other")}, EmbedderMismatch, "with reembed"),
        ({"embedding_dim": 4}, EmbedderMismatch, "hashing.*meaning"),
        ({}, EmbedderMismatch, r"hashing.*256 dimensions.*meaning \(4 dimensions\)"),
    ],
)
def test_a_foreign_embedder_is_refused_when_writing(store, second, error, message):
    """Two open an empty store with different embedders: the first to write decides."""
    with AgentMemory(store, embedder=meaningful_embedder()) as one, AgentMemory(store, **second) as two:
        node = one.remember("We adopted a puppy")
        before = fingerprint(one)
        for write in (lambda: two.remember("x"), lambda: two.revise(node.id, content="x")):
            with pytest.raises(error, match=message) as caught:
                write()
            assert type(caught.value) is error
        assert fingerprint(two) == fingerprint(one) == before


def test_another_dimension_of_the_default_embedder_is_taken_from_the_store(store):
    with AgentMemory(store, embedding_dim=32) as memory:
        memory.remember("x")
    with AgentMemory(store) as memory:
        assert (memory.embedder.dim, memory.graph.embedding_dim) == (32, 32)
        assert memory.remember("y").embedding.shape == (32,)


def test_a_principal_is_recorded(store):
    with AgentMemory(store, principal="ada") as memory:
        node = memory.remember("x")
    with AgentMemory(store, principal="ben") as memory:
        memory.revise(node.id, content="y")
        assert [change.principal for change in memory.history(node.id)] == ["ada", "ben"]


def test_a_path_that_ends_in_json_is_that_file_with_a_log_beside_it(tmp_path):
    path = tmp_path / "agent_memory.json"
    with AgentMemory(path) as memory:
        memory.remember("Leyla lives in Istanbul", node_id="a")
        assert not path.exists()
    assert AgentMemory.load(path).get("a").content == "Leyla lives in Istanbul"
    path.unlink()  # the log is what counts
    with AgentMemory(path) as memory:
        memory.remember("Leyla builds boats")
        killed = memory.digest()
    assert len(AgentMemory.load(path)) == 2
    with AgentMemory(path, read_only=True) as memory:
        assert memory.digest() == killed


def test_a_json_file_is_the_beginning_of_its_store(tmp_path):
    path = tmp_path / "agent_memory.json"
    saved = AgentMemory(name="saved", language="de", embedding_dim=16)
    saved.remember("Leyla", node_id="a")
    saved.save(path)
    with AgentMemory(path) as memory:
        assert (memory.name, memory.language, memory.embedder.dim) == ("saved", "de", 16)
        assert memory.get("a").content == "Leyla"
    path.write_text("not json")
    broken = tmp_path / "broken.json"
    broken.write_text("not json")
    with pytest.raises(ImportFormatError, match="cannot be read as JSON"):
        AgentMemory(broken)
    assert broken.read_text() == "not json"
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "agent_memory.json",
        "agent_memory.json.log",
        "broken.json",
    ]


def test_leaving_a_past_view_leaves_the_json_file_alone(tmp_path):
    path = tmp_path / "memory.json"
    memory = AgentMemory(path)
    memory.remember("one")
    position = memory.position
    memory.remember("two")
    memory.save(path)
    with memory.at(position):
        pass
    assert len(AgentMemory.load(path)) == 2
    memory.close()


def test_a_memory_is_closed_though_its_json_cannot_be_written(tmp_path):
    memory = AgentMemory(tmp_path / "memory.json")
    (tmp_path / "memory.json").mkdir()
    with pytest.raises(StoreError):
        memory.close()
    with pytest.raises(ClosedError):
        memory.remember("x")
    memory.close()


def test_two_that_begin_a_store_from_one_json_file_share_it(tmp_path, monkeypatch):
    """Both have made a store when the first of them gives it its name."""
    path = tmp_path / "agent_memory.json"
    saved = AgentMemory(name="saved")
    saved.remember("Leyla", node_id="a")
    saved.save(path)
    both, restore, found = threading.Barrier(2), portable.restore, []

    def restore_together(contents, home):
        restore(contents, home)
        both.wait(30)

    def begin(name):
        with AgentMemory(path) as memory:
            memory.remember(name, node_id=name)
            found.append(memory.memory_id)

    monkeypatch.setattr(portable, "restore", restore_together)
    threads = [threading.Thread(target=begin, args=(name,)) for name in ("b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]
    with AgentMemory(path) as memory:
        assert sorted(node.id for node in memory) == ["a", "b", "c"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["agent_memory.json", "agent_memory.json.log"]


def test_a_store_that_cannot_be_begun_beside_its_json_file_is_named(tmp_path, monkeypatch):
    path = tmp_path / "agent_memory.json"
    AgentMemory().save(path)

    def full(*_args, **_named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(portable.tempfile, "TemporaryDirectory", full)
    with pytest.raises(DiskFull, match=r"agent_memory.json.log: cannot make the store: No space left"):
        AgentMemory(path)
    assert list(tmp_path.iterdir()) == [path]
