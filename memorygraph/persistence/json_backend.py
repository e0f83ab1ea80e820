"""Graphs as JSON: what people and other programs can read; vectors are base64 of little-endian float32."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import msgspec

from memorygraph import checks
from memorygraph.events.errors import ImportFormatError, InputError
from memorygraph.events.records import EdgesAdded, NodeAdded, SpaceDeclared
from memorygraph.persistence.backend import FileBackend
from memorygraph.persistence.checking import BAD_VALUE, checked
from memorygraph.persistence.contents import Contents, edge_states
from memorygraph.projections.contents import columns_of
from memorygraph.projections.frame import EdgeState

JSON_FORMAT: Final = "memorygraph-json"
JSON_VERSION: Final = 1

_FIELDS: Final = frozenset({"format", "version", *Contents.__struct_fields__})
_NODE_FIELDS: Final = frozenset(NodeAdded.__struct_fields__) - {"recorded_us", "space"} | {"created_us"}
_EDGE_FIELDS: Final = frozenset(EdgeState.__struct_fields__)


class JSONBackend(FileBackend):
    """One JSON file per graph, as ``AgentMemory.save`` writes it."""

    name = "json"
    suffix = ".json"

    def write(self, contents: Contents, path: Path) -> None:
        """Write the file."""
        path.write_bytes(json.dumps(document_of(contents), ensure_ascii=False).encode())

    def read(self, path: Path) -> Contents:
        """Read the file; the message of an error names the node or edge."""
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise ImportFormatError(f"{path} cannot be read as JSON: {error}", path=str(path)) from error
        return contents_in(document, str(path))


def document_of(contents: Contents) -> dict[str, Any]:
    """Return a graph as plain data for JSON."""
    about = {name: getattr(contents, name) for name in ("name", "language", "position", "embedding_dim")}
    return {
        "format": JSON_FORMAT,
        "version": JSON_VERSION,
        **about,
        "space": None if contents.space is None else msgspec.structs.asdict(contents.space),
        "nodes": [_node_to_json(node) for node in contents.nodes],
        "edges": [msgspec.structs.asdict(edge) for edge in edge_states(contents.edges)],
    }


def contents_in(document: Any, path: str) -> Contents:
    """Return what ``document_of`` gave, checked; ``path`` is what errors call it.

    Raises:
        ImportFormatError: it is something else, or damaged; the message names the node or edge.
    """
    if not isinstance(document, dict) or document.get("format") != JSON_FORMAT:
        raise ImportFormatError(f"{path} is not a memory that save() or to_dict() wrote", path=path)
    if document.get("version") != JSON_VERSION:
        raise ImportFormatError(
            f"{path} has version {checks.shown(document.get('version'))}; this release reads version {JSON_VERSION}",
            path=path,
        )
    try:
        _require_fields(document, _FIELDS)
        space = None if document["space"] is None else msgspec.convert(document["space"], SpaceDeclared)
        return checked(
            Contents(
                name=document["name"],
                language=document["language"],
                position=document["position"],
                embedding_dim=document["embedding_dim"],
                space=space,
                nodes=_all_of("nodes", document["nodes"], _node_of),
                edges=_edges_of(document["edges"]),
            )
        )
    except BAD_VALUE as error:
        raise ImportFormatError(f"{path} is damaged: {checks.one_line(error)}", path=path) from error


def _all_of(name: str, items: Any, read: Any) -> list[Any]:
    """Read a list of nodes or edges."""
    if not isinstance(items, list):
        raise InputError(f"{name} is not a list")
    found = []
    for at, values in enumerate(items):
        try:
            found.append(read(values))
        except BAD_VALUE as error:
            shown = checks.shown(values.get("id")) if isinstance(values, dict) else "no object"
            raise InputError(f"{name}[{at}] ({shown}): {checks.one_line(error)}") from error
    return found


def _node_to_json(node: NodeAdded) -> dict[str, Any]:
    values = msgspec.structs.asdict(node)
    values["created_us"] = values.pop("recorded_us")
    values["partition"] = list(node.partition)
    values["review"] = None if node.review is None else msgspec.structs.asdict(node.review)
    values["vector"] = base64.b64encode(node.vector).decode()
    del values["space"]
    return values


def _node_of(values: dict[str, Any]) -> NodeAdded:
    _require_fields(values, _NODE_FIELDS)
    renamed = {name: value for name, value in values.items() if name != "created_us"}
    vector = base64.b64decode(values["vector"], validate=True)
    return msgspec.convert({**renamed, "recorded_us": values["created_us"], "vector": vector}, NodeAdded)


def _edge_of(values: dict[str, Any]) -> EdgeState:
    _require_fields(values, _EDGE_FIELDS)
    return msgspec.convert(values, EdgeState)


def _edges_of(items: Any) -> EdgesAdded:
    return columns_of(_all_of("edges", items, _edge_of))


def _require_fields(values: Any, names: frozenset[str]) -> None:
    if not isinstance(values, dict):
        raise InputError("it must be an object of named values")
    wrong = sorted(values.keys() ^ names)
    if wrong:
        raise InputError(f"the field {checks.shown(wrong[0])} is {'unknown' if wrong[0] in values else 'missing'}")
