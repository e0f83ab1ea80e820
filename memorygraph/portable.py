"""JSON files of a memory's present state; files of its whole log are in ``exports.py``."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace

from memorygraph import checks
from memorygraph.actors.commands import AddEdges, AddNodes, AllEdges, Describe, FindNodes
from memorygraph.author import Author, place
from memorygraph.drafts import chunks_of, size_bytes
from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import ImportFormatError, InputError, StoreError
from memorygraph.events.records import NodeAdded, SpaceDeclared
from memorygraph.events.stores.directory import named_errors
from memorygraph.events.types import CODE_MAX, LIMITS, Partition
from memorygraph.links import edge_columns
from memorygraph.projections.frame import EdgeState, NodeState, parse_edge_id
from memorygraph.projections.text import analyzer_for
from memorygraph.times import to_us

if TYPE_CHECKING:
    from memorygraph.agent import AgentMemory
    from memorygraph.embeddings import Embedder

JSON_FORMAT: Final = "memorygraph-json"
JSON_VERSION: Final = 1

# A file may come from a memory with larger limits: what must hold is that each item fits one command.
_LIMITS: Final = LIMITS._replace(
    content_bytes_max=LIMITS.command_bytes_max,
    tags_max=LIMITS.command_bytes_max,
    metadata_bytes_max=LIMITS.command_bytes_max,
)
_ITEM_BYTES_MAX: Final = LIMITS.command_bytes_max - (64 << 10)  # leaves room for the command around it
_TIME_MIN_US: Final = to_us(datetime.min.replace(tzinfo=UTC))
_TIME_MAX_US: Final = to_us(datetime.max.replace(tzinfo=UTC))
_MOMENT_US: Final = 60_000_000  # what expires while a file is read in is left out, too
_DERIVED: Final = ("birth", "version", "accessed_us")  # what a file does not say of a node
_NODE_FIELDS: Final = frozenset(NodeState.__struct_fields__) - set(_DERIVED)
_EDGE_FIELDS: Final = frozenset(EdgeState.__struct_fields__)
_FIELDS: Final = frozenset({"format", "version", "name", "language", "position", "space", "nodes", "edges"})
_BAD_VALUE: Final = (TypeError, ValueError, RecursionError)

M = TypeVar("M", bound="AgentMemory")
T = TypeVar("T", NodeAdded, EdgeState)


def save(memory: AgentMemory, path: str | Path) -> None:
    """Write the memory's present nodes and edges as JSON, whole or not at all.

    Not kept are earlier versions, forgotten memories and the history; ``export`` keeps everything.

    Raises:
        StoreError: the folder is not there, or the file cannot be written.
    """
    engine = memory._engine
    about = engine.ask(Describe())
    pinned = engine.at(about.position)
    document = {
        "format": JSON_FORMAT,
        "version": JSON_VERSION,
        "name": about.value.name,
        "language": about.value.language,
        "position": about.position,
        "space": None if about.value.space is None else msgspec.structs.asdict(about.value.space),
        "nodes": [_node_to_json(state) for state in pinned.ask(FindNodes(vectors=True)).value],
        "edges": [msgspec.structs.asdict(state) for state in pinned.ask(AllEdges()).value],
    }
    with replacing(path) as file:
        file.write(json.dumps(document, ensure_ascii=False).encode())


def load(cls: type[M], path: str | Path, embedder: Embedder | None) -> M:
    """Return an in-memory memory with the nodes and edges of a JSON file.

    Raises:
        ImportFormatError: the file is not one that ``save`` wrote.
    """
    document = read_json(path)
    said = {"via": "load", "source": place(path)}
    memory = cls(embedder=embedder, name=document.name, language=document.language, provenance=said)
    document.restore(memory)
    memory._settle(memory._engine, embedder, memory.graph.embedding_dim, Author())
    return memory


def folder_of(cls: type[AgentMemory], path: str, *, read_only: bool) -> str:
    """Return the folder of a store's log: ``path``, or ``path.log`` beside a JSON file, begun with what the file holds.

    Raises:
        ImportFormatError: the file is something else, or damaged.
        StoreError: the store cannot be made.
    """
    folder = folder_named(path)
    if folder != path and Path(path).exists() and not Path(folder).exists() and not read_only:
        _begin(cls, folder, read_json(path))
    return folder


def folder_named(path: str) -> str:
    """Return the folder that a store's log is in."""
    return f"{path}.log" if path.endswith(".json") else path


def _begin(cls: type[AgentMemory], folder: str, document: Document) -> None:
    """Make a store out of a JSON file, whole or not at all; if another process is faster, its store is the one."""
    parent = Path(folder).parent
    with (
        named_errors(folder, "make the store"),
        tempfile.TemporaryDirectory(prefix=f"{Path(folder).name}.", dir=parent) as made,
    ):
        store = Path(made) / "store"
        said = {"via": "load", "source": place(folder.removesuffix(".log"))}
        with cls(store, name=document.name, language=document.language, provenance=said) as memory:
            document.restore(memory)
        try:
            store.rename(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        OsDisk().sync_directory(str(parent))  # before anything is acknowledged that is in the folder


class Document(msgspec.Struct, frozen=True):
    """A memory's present state as read from a JSON file, checked."""

    name: str
    language: str
    space: SpaceDeclared | None
    nodes: list[NodeAdded]
    edges: list[EdgeState]

    def restore(self, memory: AgentMemory) -> None:
        """Add the nodes and edges to an empty memory, but for what has expired since the file was written."""
        now_us = memory._home.clock.now_us() + _MOMENT_US
        gone = {node.id for node in self.nodes if node.expires_us is not None and node.expires_us <= now_us}
        for chunk in chunks_of((node for node in self.nodes if node.id not in gone), size_bytes):
            memory._home.execute(AddNodes(nodes=chunk, space=self.space))
        edges = (edge for edge in self.edges if not gone & {edge.source_id, edge.target_id})
        # An id of the form position.ordinal told where the edge was made; here it is made anew.
        anew = (replace(edge, id="") if parse_edge_id(edge.id) is not None else edge for edge in edges)
        for links in chunks_of(anew, size_bytes):
            memory._home.execute(AddEdges(edges=edge_columns(links)))


def read_json(path: str | Path) -> Document:
    """Read a file that ``save`` wrote; every value passes the same rules as what ``remember`` and ``link`` are given.

    Raises:
        ImportFormatError: it is something else, or damaged; the message names the node or edge.
    """
    found = _json_of(path)
    try:
        _require_fields(found, _FIELDS)
        analyzer_for(found["language"])  # a language that is not known here is refused, too
        name, space = checks.note("name", found["name"]), _space_from_json(found["space"])
        nodes = _all_from_json("nodes", found["nodes"], lambda values: _node_from_json(values, space))
        ids = {node.id for node in nodes}
        edges = _all_from_json("edges", found["edges"], lambda values: _edge_from_json(values, ids))
    except _BAD_VALUE as error:
        raise ImportFormatError(f"{path} is damaged: {checks.one_line(error)}", path=str(path)) from error
    return Document(name, found["language"], space, nodes, edges)


def _json_of(path: str | Path) -> dict[str, Any]:
    try:
        document = json.loads(_bytes_of(checks.path("path", path)))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise ImportFormatError(f"{path} cannot be read as JSON: {error}", path=str(path)) from error
    if not isinstance(document, dict) or document.get("format") != JSON_FORMAT:
        raise ImportFormatError(f"{path} is not a memory that save() wrote", path=str(path))
    if document.get("version") != JSON_VERSION:
        raise ImportFormatError(
            f"{path} has version {checks.shown(document.get('version'))}; this release reads version {JSON_VERSION}",
            path=str(path),
        )
    return document


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImportFormatError(f"there is no file {path}", path=str(path)) from error
    except IsADirectoryError as error:
        is_store = (path / "MEMORY").exists()
        what = "this is a store; open it with AgentMemory(path=...)" if is_store else "this is a folder, not a file"
        raise ImportFormatError(f"{path}: {what}", path=str(path)) from error


def _space_from_json(values: dict[str, Any] | None) -> SpaceDeclared | None:
    if values is None:
        return None
    space = msgspec.convert(values, SpaceDeclared)
    checks.count("the space's number", space.space, 1, (1 << 16) - 1)
    checks.count("the space's dim", space.dim, 1, 1 << 16)
    checks.identifier("the space's name", space.name)
    checks.note("the space's version", space.version)
    return space


def _all_from_json(name: str, items: Any, read: Callable[[dict[str, Any]], T]) -> list[T]:
    """Read a list of nodes or edges, whose ids must differ."""
    if not isinstance(items, list):
        raise InputError(f"{name} is not a list")
    ids: set[str] = set()
    found = []
    for at, values in enumerate(items):
        try:
            item = read(values)
            if values["id"] in ids:
                raise InputError("the id is there twice")
        except _BAD_VALUE as error:
            shown = checks.shown(values.get("id")) if isinstance(values, dict) else "no object"
            raise InputError(f"{name}[{at}] ({shown}): {error}") from error
        ids.add(values["id"])
        found.append(item)
    return found


def _node_to_json(state: NodeState) -> dict[str, Any]:
    values = msgspec.structs.asdict(state)
    values["partition"] = list(state.partition)
    values["vector"] = base64.b64encode(state.vector or b"").decode()
    for name in _DERIVED:
        del values[name]
    return values


def _node_from_json(values: dict[str, Any], space: SpaceDeclared | None) -> NodeAdded:
    _require_fields(values, _NODE_FIELDS)
    renamed = {name: value for name, value in values.items() if name != "created_us"}
    vector = base64.b64decode(values["vector"], validate=True)
    given = msgspec.convert({**renamed, "recorded_us": values["created_us"], "vector": vector}, NodeAdded)
    node = replace(
        given,
        id=checks.identifier("id", given.id),
        content=checks.content(given.content, _LIMITS, empty=True),
        memory_type=checks.count("memory_type", given.memory_type, 0, CODE_MAX),
        importance=_between("importance", given.importance, 0.0, 1.0),
        emotional_valence=_between("emotional_valence", given.emotional_valence, -1.0, 1.0),
        confidence=_between("confidence", given.confidence, 0.0, 1.0),
        consolidation_state=checks.count("consolidation_state", given.consolidation_state, 0, CODE_MAX),
        decay_function=checks.count("decay_function", given.decay_function, 0, CODE_MAX),
        decay_rate=checks.decay_rate(given.decay_rate),
        tags=checks.tags(given.tags, _LIMITS),
        metadata=checks.metadata(given.metadata, _LIMITS),
        occurred_us=_time_us("occurred_us", given.occurred_us),
        speaker=checks.optional_text("speaker", given.speaker),
        session=checks.session(given.session),
        source=checks.optional_text("source", given.source),
        vector=_vector_of(given.vector, space),
        partition=Partition(
            checks.count("the partition's scope", given.partition.scope, 0, CODE_MAX),
            checks.note("the partition's name", given.partition.name),
        ),
        recorded_us=_time_us("created_us", given.recorded_us),
        access_count=checks.count("access_count", given.access_count, 0, (1 << 32) - 1),
        access_times_us=tuple(_time_us("access_times_us", time_us) for time_us in given.access_times_us),
        expires_us=None if given.expires_us is None else _time_us("expires_us", given.expires_us),
    )
    if size_bytes(node) > _ITEM_BYTES_MAX:
        raise InputError(f"it takes more than {_ITEM_BYTES_MAX} bytes")
    return node


def _edge_from_json(values: dict[str, Any], node_ids: set[str]) -> EdgeState:
    _require_fields(values, _EDGE_FIELDS)
    given = msgspec.convert(values, EdgeState)
    checks.identifier("id", given.id)
    for end in (given.source_id, given.target_id):
        if end not in node_ids:
            raise InputError(f"there is no node {checks.shown(end)} in the file")
    if given.source_id == given.target_id:
        raise InputError("an edge needs two different nodes")
    edge = replace(
        given,
        edge_type=checks.count("edge_type", given.edge_type, 0, CODE_MAX),
        weight=_between("weight", given.weight, 0.0, 1.0),
        confidence=_between("confidence", given.confidence, 0.0, 1.0),
        metadata=checks.metadata(given.metadata, _LIMITS),
    )
    if size_bytes(edge) > _ITEM_BYTES_MAX:
        raise InputError(f"it takes more than {_ITEM_BYTES_MAX} bytes")
    return edge


def _require_fields(values: Any, names: frozenset[str]) -> None:
    if not isinstance(values, dict):
        raise InputError("it must be an object of named values")
    wrong = sorted(values.keys() ^ names)
    if wrong:
        raise InputError(f"the field {checks.shown(wrong[0])} is {'unknown' if wrong[0] in values else 'missing'}")


def _between(name: str, given: float, low: float, high: float) -> float:
    if not low <= given <= high:
        raise InputError(f"{name} must be a number from {low:g} to {high:g}, not {given}")
    return checks.number(name, given, low, high)


def _time_us(name: str, given: int | None) -> int:
    if given is None or not _TIME_MIN_US <= given <= _TIME_MAX_US:
        raise InputError(f"{name} must be microseconds within the years 1 to 9999, not {checks.shown(given)}")
    return given


def _vector_of(data: bytes, space: SpaceDeclared | None) -> bytes:
    """Return a vector's bytes; it must be one of the file's space."""
    if not data:
        return b""
    if space is None or len(data) != 4 * space.dim:
        wanted = "no vectors" if space is None else f"vectors of {space.dim} dimensions"
        raise InputError(f"the vector has {len(data)} bytes; the file says that the memory holds {wanted}")
    return checks.vector(np.frombuffer(data, dtype="<f4"))


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Write to a new file beside ``path`` that takes its place when it is complete and on disk.

    A file that is replaced passes on its mode.
    """
    target = checks.path("path", path)
    if not target.parent.is_dir():
        raise StoreError(f"{target}: cannot write the file: no such folder: {target.parent}", path=str(target))
    with named_errors(str(target), "write the file"):
        name = target.parent / f".{target.name}.{os.urandom(8).hex()}"
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(name, flags, 0o666 if mode is None else mode), "wb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)  # also what the umask took away
                yield file
                file.flush()
                os.fsync(file.fileno())
            name.replace(target)
        except BaseException:
            name.unlink(missing_ok=True)
            raise
        OsDisk().sync_directory(str(target.parent))
