"""The backends: the contract of each, and files that are not what they seem."""

import collections
import errno
import io
import os
import pickle
import random
import sqlite3
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from memorygraph import AgentMemory, GraphStorageManager, MemoryGraph, MemoryNode
from memorygraph.core.types import DiskFull, ImportFormatError, InputError, MemoryGraphError, StoreError
from memorygraph.events.stores.directory import named_errors
from memorygraph.persistence import backend, pickle_backend
from memorygraph.persistence.backend import StorageBackend
from memorygraph.persistence.pickle_backend import loads
from tests.persistence.backend_contract import BackendContract, contents, full_memory

FILES = ["json", "sqlite", "pickle"]


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def leaves_the_old_file_whole(manager, graph, address, monkeypatch):
    """Fail in each step of a save: while the file is written, synced, and put in its place."""
    before = Path(address).read_bytes()
    graph.add_node(MemoryNode("more"))
    files = manager._backend
    write = type(files).write

    def writes_and_fails(*args):
        write(*args)
        no_space()

    for owner, call, fails in (
        (type(files), "write", writes_and_fails),
        (os, "fsync", no_space),
        (Path, "replace", no_space),
    ):
        with monkeypatch.context() as broken:
            broken.setattr(owner, call, fails)
            with pytest.raises(DiskFull):
                manager.save(graph, address)
        is_whole = Path(address).read_bytes() == before
        assert is_whole  # telling how two files of binary differ takes minutes


class KeptInADict(StorageBackend):
    """A backend of somebody else's, for addresses that are no paths."""

    kept: dict = {}  # noqa: RUF012 - managers share it, like a server

    def save(self, contents, address):
        self.kept[address] = contents

    def load(self, address):
        return self.kept[address]


class FileContract(BackendContract):
    """What every backend of files must do besides."""

    def test_a_failed_save_leaves_the_old_file_whole(self, manager, address, monkeypatch):
        graph = full_memory().graph
        manager.save(graph, address)
        leaves_the_old_file_whole(manager, graph, address, monkeypatch)
        assert [each.name for each in Path(address).parent.iterdir()] == ["graph"]
        assert contents(manager.load(address)) != contents(graph)

    def test_a_backend_that_writes_in_place_is_noticed(self, manager, address, monkeypatch):
        """The mutant that the test above kills."""
        graph = full_memory().graph
        manager.save(graph, address)

        @contextmanager
        def in_place(path, before=None):
            del before
            with named_errors(str(path), "write the file"):
                Path(path).unlink()
                yield Path(path)

        monkeypatch.setattr(backend, "replacing_path", in_place)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            leaves_the_old_file_whole(manager, graph, address, monkeypatch)

    def test_the_new_file_is_on_disk_before_it_takes_the_place(self, manager, address, monkeypatch):
        done = []
        fsync, replace = os.fsync, Path.replace
        monkeypatch.setattr(os, "fsync", lambda fd: (done.append(("sync", os.fstat(fd).st_size > 0)), fsync(fd)))
        monkeypatch.setattr(Path, "replace", lambda path, to: (done.append(("replace", True)), replace(path, to))[1])
        manager.save(full_memory().graph, address)
        assert done.index(("sync", True)) < done.index(("replace", True))

    def test_a_damaged_file_is_refused_or_read_never_more(self, manager, address):
        """Flipped bytes in a text or number cannot be told from another text or number; all else is named."""
        manager.save(full_memory().graph, address)
        whole = Path(address).read_bytes()
        dice = random.Random(7)
        refused = []
        for _ in range(150):
            data = bytearray(whole)
            if dice.random() < 0.3:
                data = data[: dice.randrange(len(data))]
            for _ in range(dice.choice((1, 1, 3, 40))):
                if data:
                    data[dice.randrange(len(data))] = dice.randrange(256)
            Path(address).write_bytes(data)
            try:
                manager.load(address)
            except ImportFormatError as error:
                refused.append(str(error))
        assert len(refused) > 50
        assert all(address in message and "\n" not in message for message in refused)

    def test_foreign_files_are_refused_by_name(self, manager, address, tmp_path):
        for data in (b"", b"hello", b"{}", b"[]", bytes(100), pickle.dumps([1]), b"SQLite format 3\0"):
            Path(address).write_bytes(data)
            with pytest.raises(ImportFormatError, match="graph"):
                manager.load(address)
        AgentMemory(tmp_path / "store").close()
        for where, message in (
            (tmp_path / "missing", "there is no file"),
            (tmp_path, "this is a folder, not a file"),
            (tmp_path / "store", "this is a store; open it with AgentMemory"),
        ):
            with pytest.raises(ImportFormatError, match=message):
                manager.load(where)

    def test_a_file_of_another_backend_says_so(self, manager, address):
        for other in FILES:
            if other != self.backend:
                GraphStorageManager(other).save(full_memory().graph, address)
                with pytest.raises(ImportFormatError, match=f"begins like one of backend '{other}'"):
                    manager.load(address)

    def test_addresses_of_servers_are_refused(self, manager, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=r"an address bolt://.* needs another backend"):
            manager.save(full_memory().graph, "bolt://user:secret@host:7687")
        assert list(tmp_path.iterdir()) == []


class TestJSON(FileContract):
    backend = "json"

    def test_it_is_the_file_of_agent_memory(self, manager, address):
        memory = full_memory()
        manager.save(memory.graph, address)
        assert contents(AgentMemory.load(address).graph) == contents(memory.graph)
        memory.save(address)
        assert contents(manager.load(address)) == contents(memory.graph)


class TestSQLite(FileContract):
    backend = "sqlite"

    def test_agent_memory_saves_and_loads_it_too(self, address):
        memory = full_memory()
        memory.save(address, backend="sqlite")
        loaded = AgentMemory.load(address, backend="sqlite")
        assert contents(loaded.graph) == contents(memory.graph)
        assert loaded.embedder.dim == 8

    def test_people_can_ask_it(self, manager, address):
        manager.save(full_memory().graph, address)
        with sqlite3.connect(address) as database:
            assert database.execute(
                "SELECT id, importance, tags ->> 0, metadata ->> '$.page' FROM nodes WHERE memory_type = 'procedural'"
            ).fetchall() == [("mast", 0.123456789012345, "boat", 3)]
            assert database.execute(
                "SELECT n.content FROM edges e JOIN nodes n ON n.id = e.target_id WHERE e.id = 'chosen 🙂'"
            ).fetchall() == [("the moon has no air",)]
            (vector,) = database.execute("SELECT vector FROM nodes WHERE id = 'mast'").fetchone()
        database.close()
        assert np.frombuffer(vector, "<f4").shape == (8,)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("UPDATE nodes SET memory_type = 'nonsense' WHERE id = 'mast'", r"nodes\[0\] \('mast'\).*'nonsense'"),
            (
                "UPDATE nodes SET importance = 7 WHERE id = 'moon'",
                r"nodes\[2\] \('moon'\): importance must be a number",
            ),
            ("UPDATE nodes SET importance = 'x' WHERE id = 'moon'", r"nodes\[2\] \('moon'\)"),
            ("UPDATE nodes SET confidence = -1 WHERE id = 'moon'", "confidence"),
            ("UPDATE nodes SET decay_rate = 0 WHERE id = 'moon'", "decay_rate"),
            ("UPDATE nodes SET vector = x'00' WHERE id = 'mast'", "the vector has 1 bytes"),
            (
                "UPDATE nodes SET vector = CAST(x'0000c07f' || substr(vector, 5) AS BLOB) WHERE id = 'mast'",
                r"nodes\[0\] \('mast'\)",
            ),
            ("UPDATE nodes SET content = x'ff' WHERE id = 'mast'", "content must be text"),
            ("UPDATE nodes SET tags = '{' WHERE id = 'mast'", r"nodes\[0\] \('mast'\)"),
            ("UPDATE nodes SET tags = '[1]' WHERE id = 'mast'", r"nodes\[0\] \('mast'\)"),
            ("UPDATE nodes SET metadata = '[]' WHERE id = 'mast'", r"nodes\[0\] \('mast'\)"),
            ("UPDATE nodes SET created_us = 1 << 62 WHERE id = 'mast'", "created_us must be microseconds"),
            ("UPDATE nodes SET created_us = 1.5 WHERE id = 'mast'", "created_us must be microseconds"),
            ("UPDATE nodes SET access_count = -1 WHERE id = 'mast'", "access_count"),
            ("UPDATE nodes SET session = 1.5 WHERE id = 'mast'", "session"),
            ("UPDATE nodes SET speaker = char(10) WHERE id = 'mast'", "speaker"),
            (
                "DROP INDEX nodes_id; UPDATE nodes SET id = 'mast' WHERE id = 'moon'",
                r"nodes\[2\].*the id is there twice",
            ),
            ("DELETE FROM nodes WHERE id = 'moon'", r"edges\[.*there is no node 'moon' in the file"),
            ("UPDATE edges SET target_id = source_id WHERE id = 'chosen 🙂'", "two different nodes"),
            ("UPDATE edges SET id = 'chosen 🙂'", "the id is there twice"),
            ("UPDATE edges SET id = '7.0' WHERE id = 'chosen 🙂'", "ids of this form are given by a memory"),
            ("UPDATE edges SET edge_type = 'nonsense' WHERE id = 'chosen 🙂'", r"edges\[.*'nonsense'"),
            ("UPDATE edges SET weight = 2 WHERE id = 'chosen 🙂'", "weight must be a number"),
            ("UPDATE edges SET directed = 2 WHERE id = 'chosen 🙂'", "directed is neither"),
            ("UPDATE edges SET metadata = '{\"a\": NaN}' WHERE id = 'chosen 🙂'", r"edges\["),
            ("DELETE FROM meta WHERE key = 'space'", "'space' is missing"),
            ("UPDATE meta SET value = 'null' WHERE key = 'space'", "the memory holds no vectors"),
            ("UPDATE meta SET value = '\"xx\"' WHERE key = 'language'", "language"),
            ("UPDATE meta SET value = '{}' WHERE key = 'name'", "name"),
            ("DROP TABLE edges", "no such table"),
            ("PRAGMA user_version = 2", "version 2; this release reads version 1"),
            ("PRAGMA application_id = 1", "a database of another program"),
        ],
    )
    def test_values_that_are_not_right_are_named(self, manager, address, change, message):
        manager.save(full_memory().graph, address)
        with sqlite3.connect(address) as database:
            database.executescript(change)
        database.close()
        with pytest.raises(ImportFormatError, match=message) as caught:
            manager.load(address)
        assert "\n" not in str(caught.value)

    def test_a_journal_that_another_program_left_is_not_played_back(self, manager, address):
        graph = full_memory().graph
        manager.save(graph, address)
        for ending in ("-journal", "-wal"):
            Path(address + ending).write_bytes(os.urandom(4096))
        assert contents(manager.load(address)) == contents(graph)


class TestPickle(FileContract):
    backend = "pickle"

    def test_values_that_are_not_right_are_named(self, manager, address):
        manager.save(full_memory().graph, address)
        document = loads(Path(address).read_bytes())
        row = document["nodes"][0]
        changes = {
            "nodes": [
                ([(*row[:3], 7.0, *row[4:])], r"nodes\[0\] \('mast'\): importance must be a number"),
                ([row[:-1]], "a row does not have 25 values"),
                ([list(row)], "a row does not have 25 values"),
                ([(*row[:-1], 10**9)], "there is no vector 1000000000"),
                ([(*row[:-1], True)], "there is no vector True"),
                ([(*row[:2], {}, *row[3:])], "'mast'"),
                ({}, "a dict and two lists"),
            ],
            "edges": [([("e",)], "a row does not have 8 values"), (5, "a dict and two lists")],
            "about": [([], "a dict and two lists"), ({}, "'embedding_dim' is missing")],
            "vectors": [(np.zeros(3), "not float32"), ([], "not float32"), (np.zeros(3, "f4"), r"nodes\[0\]")],
            "version": [(2, "this release reads version 1")],
            "format": [("other", "not a graph that save")],
        }
        for name, cases in changes.items():
            for value, message in cases:
                Path(address).write_bytes(pickle.dumps({**document, name: value}, protocol=5))
                with pytest.raises(ImportFormatError, match=message):
                    manager.load(address)


class TestAnotherBackend(BackendContract):
    backend = ""

    def make(self):
        return KeptInADict()

    @pytest.fixture
    def address(self):
        return "kept://user:p%40ss@host:7687//a/../b?x=1"

    def test_the_address_reaches_it_as_it_was_given(self, manager, address):
        KeptInADict.kept.clear()
        assert manager.save(MemoryGraph(3), address) == address
        assert list(KeptInADict.kept) == [address]

    def test_it_has_no_files(self, manager, address, tmp_path):
        manager.save(MemoryGraph(3), address)
        with pytest.raises(InputError, match="backups are files"):
            manager.save_with_backup(address)
        with pytest.raises(InputError, match="checkpoints are files"):
            manager.checkpoint(directory=tmp_path)


@pytest.mark.parametrize("name", ["postgres", "neo4j", "redis", "qdrant"])
def test_servers_come_later(name):
    with pytest.raises(
        StoreError, match=rf"'{name}' comes with a later release, under the extra memorygraph\[{name}\]"
    ):
        GraphStorageManager(name)


@pytest.mark.parametrize("name", ["", "xml", None, 5, object])
def test_unknown_backends_are_refused(name):
    with pytest.raises(InputError, match="backend must be one of json, pickle, sqlite"):
        GraphStorageManager(name)


# Malicious pickles: each would leave a mark if anything of it ran.


class Reduced:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


MARK = []


def leave_mark(*_):
    MARK.append(1)


def opcodes(*lines):
    """A pickle by hand: STOP is added."""
    return b"".join(lines) + b"."


MALICIOUS = {
    "system": pickle.dumps(Reduced(os.system, ("touch /tmp/never",))),
    "eval": pickle.dumps(Reduced(eval, ("1",))),
    "ours": pickle.dumps(Reduced(leave_mark, ())),
    "class": pickle.dumps(collections.OrderedDict()),
    "getattr": opcodes(b"cbuiltins\ngetattr\n(cnumpy\ndtype\nVmro\ntR"),
    "dotted": opcodes(b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93"),
    "loads": pickle.dumps(Reduced(pickle.loads, (pickle.dumps(1),))),
    "numpy load": pickle.dumps(Reduced(np.load, ("x",))),
    "objects": pickle.dumps(np.array([Reduced(leave_mark, ())], dtype=object), protocol=5),
    "plain objects": pickle.dumps(np.array([{}], dtype=object), protocol=4),
    "old array": pickle.dumps(np.zeros(3), protocol=2),
    "fields": pickle.dumps(np.zeros(3, dtype=[("a", "f4")]), protocol=5),
    "object dtype": opcodes(b"cnumpy\ndtype\n(VO8\nI0\nI1\ntR"),
    "dtype state": opcodes(b"cnumpy\ndtype\n(Vf4\nI0\nI1\ntR(I3\nV|\nNN}I-1\nI-1\nI63\ntb"),
    "state of the stand-in": opcodes(b"cnumpy\ndtype\n}Vx\nI1\nsb"),
    "attribute of the stand-in": opcodes(b"cnumpy\ndtype\n(N}V__class__\nI1\nstb"),
    "persistent": opcodes(b"Pid\n"),
    "instance": opcodes(b"(ios\nsystem\n"),
    "new object": opcodes(b"\x80\x02cnumpy\ndtype\n)\x81"),
    "huge": opcodes(b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little")),
    "huge array": opcodes(
        b"cnumpy._core.numeric\n_frombuffer\n(C\x01acnumpy\ndtype\n(Vf4\nI0\nI1\ntR(I1000000000000\ntVC\ntR"
    ),
    "deep": b"(" * 100_000 + b".",
    "extension": opcodes(b"\x80\x02\x82\x01"),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_nothing_of_a_malicious_pickle_runs(tmp_path, name, monkeypatch):
    path = tmp_path / "graph.pickle"
    path.write_bytes(MALICIOUS[name])
    loaded = []
    monkeypatch.setattr("builtins.__import__", lambda *args, **_: loaded.append(args[0]))
    try:
        with pytest.raises(MemoryGraphError) as caught:
            GraphStorageManager("pickle").load(path)
    finally:
        monkeypatch.undo()
    assert isinstance(caught.value, ImportFormatError)
    assert not MARK
    assert not Path("/tmp/never").exists()  # noqa: S108 - what the pickle names


@pytest.mark.parametrize("name", ["system", "ours", "class", "getattr"])
def test_what_a_pickle_asks_for_is_named(tmp_path, name):
    path = tmp_path / "graph.pickle"
    path.write_bytes(MALICIOUS[name])
    wanted = {"system": "system", "ours": "leave_mark", "class": "collections.OrderedDict", "getattr": "getattr"}[name]
    with pytest.raises(
        ImportFormatError, match=rf"asks for '.*{wanted}'; only plain containers.*nothing of it was run"
    ):
        GraphStorageManager("pickle").load(path)


def test_a_pickle_leaves_nothing_behind_in_the_stand_ins():
    for stand_in in set(pickle_backend._ALLOWED.values()):
        assert not hasattr(stand_in, "__dict__")
        with pytest.raises(AttributeError):
            stand_in.mark = 1


def test_the_same_pickles_do_run_without_the_allow_list(monkeypatch):
    """The mutant that the tests above kill."""
    monkeypatch.setattr(pickle_backend._Unpickler, "find_class", pickle.Unpickler.find_class)
    loads(MALICIOUS["ours"])
    assert MARK == [1]
    MARK.clear()


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, "é", b"x", None, True, (1, {2}), frozenset({3})], 5: 1 << 80},
        np.arange(6, dtype="<f4").reshape(2, 3),
        np.arange(6, dtype=">i8"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]),
        np.zeros((0, 4), "u1"),
    ],
)
def test_plain_values_and_arrays_are_read(value):
    found = loads(pickle.dumps(value, protocol=5))
    np.testing.assert_equal(found, value)
    assert type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype


def test_a_file_is_not_half_a_pickle_of_another():
    assert loads(pickle.dumps(1) + b"rest") == 1  # what follows a pickle is not looked at
    with pytest.raises(EOFError):
        loads(io.BytesIO(b"").read())
