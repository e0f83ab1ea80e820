import itertools
import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from memorygraph import AgentMemory, Limits, MemoryEdge, MemoryNode
from memorygraph.actors.commands import AllEdges, FindNodes
from memorygraph.core.types import (
    DamagedLog,
    EmbedderMismatch,
    ForeignStore,
    ImportFormatError,
    NewerSchema,
    StoreError,
    TimeFormatError,
)
from memorygraph.events import exports, records
from memorygraph.events.frames import NO_CHAIN, encode_frame
from tests.memory.helpers import fingerprint, meaningful_embedder, vector_of


def fill(memory):
    """Give every field of nodes and edges a value somewhere."""
    node = MemoryNode(
        "The mast is oak",
        "procedural",
        vector_of("mast"),
        0.123456789,
        ["boat", "wood"],
        -0.3,
        0.9,
        "consolidated",
        "power_law",
        24.5,
        {"page": 3, "deep": [1, 2.5, None, True, "é"]},
        "mast",
        occurred_at=1000.000001,
        speaker="Ada",
        session="s1",
        source="log.md#mast",
    )
    memory.graph.add_node(node)
    memory.graph.add_node(MemoryNode("", node_id="empty", session=0))
    memory.remember("the moon has no air", node_id="moon", embedding=vector_of("moon"))
    memory.remember("the moon has no water", node_id="dry", embedding=vector_of("dry"), importance=0.1)
    edge = MemoryEdge("mast", "moon", "causal", 0.3, 0.7, directed=True, metadata={"n": 1}, edge_id="chosen")
    memory.graph.add_edge(edge)
    memory.link("moon", "empty", "contradicts", 0.4, directed=False)
    memory.graph.get_edge("chosen").hebbian_update()
    memory.get("moon").reinforce()
    memory.recall("moon air")
    memory.recall("moon")
    memory.flush()
    gone = memory.remember("gone", embedding=vector_of("gone"))
    memory.forget(ids=[gone.id])
    return memory


def full():
    return fill(AgentMemory(embedding_dim=8, associate_threshold=0.2))


def contents(memory):
    """Every field of every node and edge, but positions: those are the log's."""
    nodes = [msgspec.structs.asdict(state) for state in memory._engine.ask(FindNodes(vectors=True)).value]
    edges = [msgspec.structs.asdict(state) for state in memory._engine.ask(AllEdges()).value]
    for node in nodes:
        del node["birth"], node["version"]
    for edge in edges:
        edge["id"] = edge["id"] if edge["id"] == "chosen" else ""
    return nodes, edges


def test_save_and_load_lose_nothing(tmp_path):
    path = tmp_path / "memory.json"
    memory = full()
    memory.save(path)
    loaded = AgentMemory.load(path)
    assert contents(loaded) == contents(memory)
    assert contents(loaded)[0][2]["access_count"] == 2
    assert (loaded.name, loaded.language, loaded.path) == (memory.name, memory.language, None)
    assert loaded.embedder.dim == loaded.graph.embedding_dim == 8
    assert loaded.recall("mast", k=1)[0].node_id == "mast"
    assert loaded.remember("a new one").embedding.shape == (8,)
    again = tmp_path / "again.json"
    loaded.forget(ids=[loaded.find()[-1].id])
    loaded.save(str(again))
    assert contents(AgentMemory.load(str(again))) == contents(loaded)


def test_many_are_saved_and_loaded(tmp_path):
    memory = AgentMemory(auto_associate=False)
    ids = [node.id for node in memory.remember_many([f"note {number}" for number in range(2500)])]
    memory.link_many(itertools.pairwise(ids))
    memory.save(tmp_path / "m.json")
    assert contents(AgentMemory.load(tmp_path / "m.json")) == contents(memory)


def test_an_empty_memory_is_saved_and_loaded(tmp_path):
    AgentMemory(name="empty", language="de").save(tmp_path / "m.json")
    loaded = AgentMemory.load(tmp_path / "m.json")
    assert (len(loaded), loaded.name, loaded.language) == (0, "empty", "de")


def test_load_with_its_embedder_or_without(tmp_path):
    memory = AgentMemory(embedder=meaningful_embedder())
    memory.remember("We adopted a puppy")
    memory.save(tmp_path / "m.json")
    assert AgentMemory.load(tmp_path / "m.json", embedder=meaningful_embedder()).recall("dog")[0].score > 0
    assert AgentMemory.load(tmp_path / "m.json").recall("puppy")[0].score > 0
    with pytest.raises(EmbedderMismatch, match="vectors of meaning"):
        AgentMemory.load(tmp_path / "m.json", embedder=meaningful_embedder(name="other"))


def test_save_replaces_the_file_whole_or_not_at_all(tmp_path):
    path = tmp_path / "memory.json"
    memory = full()
    memory.save(path)
    before = path.read_bytes()
    memory.remember("more", embedding=vector_of("more"))
    memory.save(path)
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


def test_what_larger_limits_let_in_is_saved_and_loaded(tmp_path):
    memory = AgentMemory(limits=Limits(content_bytes_max=2 << 20, tags_max=100, metadata_bytes_max=1 << 20))
    memory.remember("long " * 300_000, tags=[f"tag {number}" for number in range(100)], metadata={"x": "y" * 500_000})
    memory.save(tmp_path / "m.json")
    assert contents(AgentMemory.load(tmp_path / "m.json")) == contents(memory)


@pytest.mark.parametrize("write", ["save", "export"])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, write):
    path = tmp_path / "memory"
    before = os.umask(0o027)
    try:
        getattr(full(), write)(path)
        assert path.stat().st_mode & 0o777 == 0o640
        for mode in (0o600, 0o666, 0o444):
            path.chmod(mode)
            getattr(full(), write)(path)
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text, _: text[: len(text) // 2], "cannot be read as JSON"),
        (lambda _text, _: "", "cannot be read as JSON"),
        (lambda _text, _: "[" * 100_000, "cannot be read as JSON"),
        (lambda _text, _: b"\xff\xfe\x00", "cannot be read as JSON"),
        (lambda _text, _: "[]", "not a memory that save"),
        (lambda _text, document: {**document, "format": "else"}, "not a memory that save"),
        (lambda _text, document: {**document, "version": 2}, "version 2; this release reads version 1"),
        (lambda _text, document: {"format": document["format"], "version": 1}, "'edges' is missing"),
        (lambda _text, document: {**document, "name": 5}, "is damaged"),
        (lambda _text, document: {**document, "language": "xx"}, "is damaged"),
        (lambda _text, document: {**document, "space": [1]}, "is damaged"),
        (lambda _text, document: {**document, "nodes": 5}, "is damaged"),
        (lambda _text, document: {**document, "nodes": [5]}, "is damaged"),
        (lambda _text, document: {**document, "nodes": {"a": 1}}, "is damaged"),
        (lambda _text, document: {**document, "nodes": [{**document["nodes"][0], "vector": "?"}]}, "is damaged"),
        (lambda _text, document: {**document, "nodes": [{**document["nodes"][0], "importance": "x"}]}, "is damaged"),
        (lambda _text, document: {**document, "edges": [{"id": "x"}]}, "is damaged"),
        (lambda _text, document: {**document, "edges": 5}, "is damaged"),
        (lambda _text, document: {**document, "name": "\ud800"}, "is damaged"),
        (lambda _text, document: {**document, "language": []}, "is damaged"),
        (lambda _text, document: {**document, "space": None}, "the memory holds no vectors"),
        (lambda _text, document: {**document, "space": {**document["space"], "dim": 4}}, "vectors of 4 dimensions"),
        (lambda _text, document: {**document, "space": {**document["space"], "dim": 0}}, "the space's dim"),
        (lambda _text, document: {**document, "space": {**document["space"], "space": 1 << 16}}, "the space's number"),
        (lambda _text, document: {**document, "space": {**document["space"], "name": "\ud800"}}, "the space's name"),
        (lambda _text, document: {**document, "space": {**document["space"], "version": "\ud800"}}, "version"),
        (
            lambda _text, document: {**document, "nodes": document["nodes"] * 2},
            r"nodes\[4\] \('mast'\): the id is there",
        ),
        (lambda _text, document: {**document, "edges": document["edges"] * 2}, "the id is there twice"),
        (lambda _text, document: {**document, "nodes": document["nodes"][1:]}, "there is no node 'mast' in the file"),
    ],
)
def test_a_file_that_save_did_not_write_is_refused(tmp_path, change, message):
    path = tmp_path / "memory.json"
    full().save(path)
    text = path.read_text()
    changed = change(text, json.loads(text))
    changed = json.dumps(changed) if isinstance(changed, dict) else changed
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    with pytest.raises(ImportFormatError, match=message) as caught:
        AgentMemory.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_load_says_what_is_there_instead_of_a_file(tmp_path):
    AgentMemory(tmp_path / "store").close()
    with pytest.raises(ImportFormatError, match=r"this is a store; open it with AgentMemory\(path=...\)"):
        AgentMemory.load(tmp_path / "store")
    with pytest.raises(ImportFormatError, match="this is a folder, not a file"):
        AgentMemory.load(tmp_path)
    with pytest.raises(ImportFormatError, match=f"there is no file {tmp_path / 'missing'}"):
        AgentMemory.load(tmp_path / "missing")


def test_export_and_import_keep_every_byte(tmp_path, durable):
    fill_store(durable)
    file = tmp_path / "memory.export"
    assert durable.export(file) == durable.position
    with AgentMemory.import_(file, tmp_path / "copy") as copy:
        assert (copy.digest(), copy.head(), copy.memory_id) == (durable.digest(), durable.head(), durable.memory_id)
        assert copy.replay() == durable.digest()
        assert copy.verify().whole
        assert contents(copy) == contents(durable)
        assert [change.to_dict() for change in copy.log()] == [change.to_dict() for change in durable.log()]
        assert copy.remember("it goes on").position == durable.position + 1


def test_a_memory_in_this_process_can_be_exported(tmp_path):
    memory = full()
    memory.export(str(tmp_path / "m"))
    with AgentMemory.import_(str(tmp_path / "m"), str(tmp_path / "copy")) as copy:
        assert (copy.digest(), copy.head()) == (memory.digest(), memory.head())


def test_import_again_completes(tmp_path, durable):
    fill_store(durable)
    durable.export(tmp_path / "one")
    AgentMemory.import_(tmp_path / "one", tmp_path / "copy").close()
    durable.remember("more")
    durable.export(tmp_path / "two")
    for _ in range(2):
        with AgentMemory.import_(tmp_path / "two", tmp_path / "copy") as copy:
            assert copy.head() == durable.head()
    AgentMemory.import_(tmp_path / "one", tmp_path / "copy").close()
    with AgentMemory(tmp_path / "copy") as copy:
        assert copy.head() == durable.head()


def test_a_damaged_export_leaves_nothing_behind(tmp_path, durable):
    fill_store(durable)
    durable.export(tmp_path / "whole")
    AgentMemory.import_(tmp_path / "whole", tmp_path / "copy").close()
    durable.remember("more")
    durable.export(tmp_path / "longer")
    data = (tmp_path / "longer").read_bytes()
    second = len(exports.EXPORT_MAGIC) + 16 + len(next(durable._engine.frames()))
    before = listing(tmp_path / "copy")
    for place in (second + 120, len(data) // 2, len(data) - 3):
        for name, damaged in (
            ("cut", data[:place]),
            ("flipped", data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]),
            ("one frame less", data[: second - len(next(durable._engine.frames()))] + data[second:]),
        ):
            file = tmp_path / name
            file.write_bytes(damaged)
            for to in ("new", "copy", "new.json"):
                with pytest.raises(DamagedLog, match=f"{name} is damaged at byte") as caught:
                    AgentMemory.import_(file, tmp_path / to)
                assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("new*"))
    assert listing(tmp_path / "copy") == before


def listing(folder):
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize(
    ("packed", "error"),
    [
        (b"no record", DamagedLog),
        (records.PackedEvent(3, 1, b"no event"), DamagedLog),
        (records.PackedEvent(99, 1, b"\x80"), NewerSchema),
    ],
)
def test_an_export_of_what_cannot_be_read_is_refused(tmp_path, packed, error):
    """Its checksums and chain are right."""
    record = packed
    if isinstance(packed, records.PackedEvent):
        record = records.encode_record(records.Record("c", b"", "", {}, 1, 0, None, "", (packed,)))
    memory_id = bytes(16)
    frame, chain = encode_frame([record], memory_id=memory_id, first=1, time_us=1, epoch=1, chain=NO_CHAIN)
    (tmp_path / "file").write_bytes(exports.heading(memory_id) + frame + exports.end_mark(1, chain))
    with pytest.raises(error):
        AgentMemory.import_(tmp_path / "file", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_export_is_imported_to_the_log_beside_a_json_file(tmp_path, durable):
    fill_store(durable)
    durable.export(tmp_path / "file")
    with AgentMemory.import_(tmp_path / "file", tmp_path / "m.json") as copy:
        assert copy.head() == durable.head()
    assert sorted(file.name for file in tmp_path.glob("m.json*")) == ["m.json", "m.json.log"]
    AgentMemory.import_(tmp_path / "file", tmp_path / "m.json").close()
    full().save(tmp_path / "other.json")
    before = (tmp_path / "other.json").read_bytes()
    with pytest.raises(ForeignStore, match="holds a memory already; import to another path"):
        AgentMemory.import_(tmp_path / "file", tmp_path / "other.json")
    assert (tmp_path / "other.json").read_bytes() == before
    assert not (tmp_path / "other.json.log").exists()


def test_what_is_not_an_export_is_refused(tmp_path, durable):
    durable.export(tmp_path / "good")
    (tmp_path / "text").write_text("hello, I am not an export")
    (tmp_path / "short").write_bytes((tmp_path / "good").read_bytes()[:20])
    for name in ("text", "short", "missing", "."):
        with pytest.raises(ImportFormatError, match=r"not a file that export wrote|cannot be read"):
            AgentMemory.import_(tmp_path / name, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()


def test_import_into_another_memory_is_refused(tmp_path, durable):
    durable.export(tmp_path / "file")
    with AgentMemory(tmp_path / "other") as other:
        other.remember("mine")
    with pytest.raises(ForeignStore, match="holds another memory"):
        AgentMemory.import_(tmp_path / "file", tmp_path / "other")
    with AgentMemory(tmp_path / "other") as other:
        assert [node.content for node in other] == ["mine"]


@pytest.mark.parametrize("theirs", [1, 2, 3])
def test_import_does_not_go_on_another_branch(tmp_path, durable, theirs):
    """Neither where the store is shorter, nor where it ends at the same position, nor where it is longer."""
    durable.remember("common")
    durable.export(tmp_path / "start")
    durable.remember("ours")
    durable.remember("ours too")
    durable.export(tmp_path / "longer")
    with AgentMemory.import_(tmp_path / "start", tmp_path / "copy") as copy:
        for number in range(theirs):
            copy.remember(f"theirs {number}")
        before = fingerprint(copy)
    with pytest.raises(DamagedLog, match=r"tells another history than .*longer; nothing was written"):
        AgentMemory.import_(tmp_path / "longer", tmp_path / "copy")
    AgentMemory.import_(tmp_path / "start", tmp_path / "copy").close()  # nothing is missing, so nothing is added
    with AgentMemory(tmp_path / "copy") as copy:
        assert fingerprint(copy) == before


@pytest.mark.parametrize("write", ["save", "export"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, write):
    (tmp_path / "file").write_text("in the way")
    memory = full()
    for path, message in (
        (tmp_path / "file" / "below", f"no such folder: {tmp_path / 'file'}"),
        (tmp_path / "missing" / "below", f"no such folder: {tmp_path / 'missing'}"),
        (tmp_path, "cannot write the file"),
    ):
        with pytest.raises(StoreError, match=message) as caught:
            getattr(memory, write)(path)
        assert "\n" not in str(caught.value)
    assert [file.name for file in Path(tmp_path).iterdir()] == ["file"]


def test_a_bad_time_in_a_message_says_which(memory):
    with pytest.raises(TimeFormatError, match="'soon' cannot be read as a time"):
        memory.remember_messages([{"role": "user", "content": "x", "time": "soon"}])
    assert len(memory) == 0


def fill_store(memory):
    memory.remember_many([f"note {number}" for number in range(30)])
    for number in range(10):
        memory.remember(f"the canoe number {number}", tags=["canoe"], metadata={"n": number})
    node = memory.find()[3]
    memory.revise(node.id, content="revised")
    memory.forget(ids=[memory.find()[4].id])
    assert isinstance(node.embedding, np.ndarray)
