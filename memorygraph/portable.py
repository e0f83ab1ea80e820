"""Files that a memory is written to and read from: JSON of its present state, and exports of its whole log."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from memorygraph import checks
from memorygraph.actors.commands import AddEdges, AddNodes, AllEdges, Describe, FindNodes
from memorygraph.actors.engine import Engine
from memorygraph.core.graph import edge_columns
from memorygraph.drafts import chunks_of, size_bytes
from memorygraph.events.errors import DamagedLog, ImportFormatError
from memorygraph.events.frames import FrameHeader, fault_of, require_frame, whole_frame
from memorygraph.events.records import NodeAdded, SpaceDeclared
from memorygraph.events.stores import SegmentLog
from memorygraph.events.stores.directory import named_errors
from memorygraph.projections.frame import EdgeState, NodeState, parse_edge_id
from memorygraph.projections.text import analyzer_for

if TYPE_CHECKING:
    from memorygraph.agent import AgentMemory
    from memorygraph.embeddings import Embedder

JSON_FORMAT: Final = "memorygraph-json"
JSON_VERSION: Final = 1
EXPORT_MAGIC: Final = b"MGEXP1\0\0"

M = TypeVar("M", bound="AgentMemory")


def save(memory: AgentMemory, path: str | Path) -> None:
    """Write the memory's nodes and edges as JSON, whole or not at all."""
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
    with _replacing(path) as file:
        file.write(json.dumps(document, ensure_ascii=False).encode())


def load(cls: type[M], path: str | Path, embedder: Embedder | None) -> M:
    """Return an in-memory memory with the nodes and edges of a JSON file.

    Raises:
        ImportFormatError: the file is not one that ``save`` wrote.
    """
    document = read_json(path)
    memory = cls(embedder=embedder, name=document.name, language=document.language)
    document.restore(memory)
    memory._settle(memory._engine, embedder, memory.graph.embedding_dim, "")
    return memory


def folder_of(cls: type[AgentMemory], path: str, *, read_only: bool) -> str:
    """Return the folder of a store's log: ``path``, or ``path.log`` beside a JSON file, begun with what the file holds.

    Raises:
        ImportFormatError: the file is something else, or damaged.
    """
    if not path.endswith(".json"):
        return path
    folder = f"{path}.log"
    if Path(path).exists() and not Path(folder).exists() and not read_only:
        _begin(cls, folder, read_json(path))
    return folder


def _begin(cls: type[AgentMemory], folder: str, document: Document) -> None:
    """Make a store out of a JSON file, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=f"{Path(folder).name}.", dir=Path(folder).parent) as made:
        with cls(Path(made) / "store", name=document.name, language=document.language) as memory:
            document.restore(memory)
        (Path(made) / "store").rename(folder)


class Document(msgspec.Struct, frozen=True):
    """A memory's present state as read from a JSON file, checked."""

    name: str
    language: str
    space: SpaceDeclared | None
    nodes: list[NodeAdded]
    edges: list[EdgeState]

    def restore(self, memory: AgentMemory) -> None:
        """Add the nodes and edges to an empty memory."""
        for chunk in chunks_of(self.nodes, size_bytes):
            memory._home.execute(AddNodes(nodes=chunk, space=self.space))
        # An id of the form position.ordinal told where the edge was made; here it is made anew.
        anew = (replace(edge, id="") if parse_edge_id(edge.id) is not None else edge for edge in self.edges)
        for links in chunks_of(anew, size_bytes):
            memory._home.execute(AddEdges(edges=edge_columns(links)))


def export_log(engine: Engine, path: str | Path) -> int:
    """Write a log's raw frames as one file and return the position that it ends at."""
    position, memory_id = 0, bytes.fromhex(engine.memory_id)
    with _replacing(path) as file:
        file.write(EXPORT_MAGIC + memory_id)
        for frame in engine.frames():
            file.write(frame)
            position = require_frame(frame, memory_id).last
    return position


def import_log(path: str | Path, to: str | Path) -> None:
    """Make a store out of an exported file: every frame as it was, checked and chained.

    A store that already holds the beginning of the same log is completed.

    Raises:
        ImportFormatError: the file is not an export.
        ForeignStore: the folder holds another memory.
        DamagedLog: the file is damaged or continues another log; the store holds what came before.
    """
    try:
        data = checks.path("path", path).read_bytes()
    except OSError as error:
        raise ImportFormatError(f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    start = len(EXPORT_MAGIC) + 16
    if len(data) < start or data[: len(EXPORT_MAGIC)] != EXPORT_MAGIC:
        raise ImportFormatError(f"{path} is not a file that export wrote", path=str(path))
    memory_id = bytes(data[len(EXPORT_MAGIC) : start])
    log = SegmentLog.open(checks.path("to", to), memory_id=memory_id)
    try:
        with log.lock() as head:
            for frame, header in _frames_in(memoryview(data), start, memory_id, path):
                if header.last > head.position:
                    log.adopt(frame)
    finally:
        log.close()


def _frames_in(
    data: memoryview, offset: int, memory_id: bytes, path: str | Path
) -> Iterator[tuple[bytes, FrameHeader]]:
    while offset < len(data):
        header = whole_frame(data, offset, memory_id)
        if header is None:
            raise DamagedLog(f"{path} is damaged at byte {offset}: {fault_of(data, offset, memory_id)}", offset=offset)
        yield bytes(data[offset : offset + header.size_bytes]), header
        offset += header.size_bytes


def read_json(path: str | Path) -> Document:
    """Read a file that ``save`` wrote.

    Raises:
        ImportFormatError: it is something else, or damaged.
    """
    found = _json_of(path)
    try:
        analyzer_for(found["language"])  # a language that is not known here is refused, too
        return Document(
            checks.note("name", found["name"]),
            found["language"],
            found["space"] and msgspec.convert(found["space"], SpaceDeclared),
            [_node_from_json(node) for node in found["nodes"]],
            [msgspec.convert(edge, EdgeState) for edge in found["edges"]],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ImportFormatError(f"{path} is damaged: {error}", path=str(path)) from error


def _json_of(path: str | Path) -> dict[str, Any]:
    try:
        document = json.loads(checks.path("path", path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ImportFormatError(f"{path} cannot be read as JSON: {error}", path=str(path)) from error
    if not isinstance(document, dict) or document.get("format") != JSON_FORMAT:
        raise ImportFormatError(f"{path} is not a memory that save() wrote", path=str(path))
    if document.get("version") != JSON_VERSION:
        raise ImportFormatError(
            f"{path} has version {document.get('version')!r}; this release reads version {JSON_VERSION}", path=str(path)
        )
    return document


def _node_to_json(state: NodeState) -> dict[str, Any]:
    values = msgspec.structs.asdict(state)
    values["partition"] = list(state.partition)
    values["vector"] = base64.b64encode(state.vector or b"").decode()
    for derived in ("birth", "version", "accessed_us"):
        del values[derived]
    return values


def _node_from_json(values: dict[str, Any]) -> NodeAdded:
    created_us = values.pop("created_us")
    vector = base64.b64decode(values.pop("vector"), validate=True)
    return msgspec.convert({**values, "recorded_us": created_us, "vector": vector}, NodeAdded)


@contextlib.contextmanager
def _replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Write to a new file beside ``path`` that takes its place when it is complete and on disk."""
    target = checks.path("path", path)
    with named_errors(str(target), "write the file"):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
