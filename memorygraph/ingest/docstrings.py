"""Docstrings of Python files as SEMANTIC items, by parsing them; nothing is ever imported or run.

Public is what has no leading underscore in any part of its name, below modules of which the same holds. A module is
``FILE``, a class or function ``FILE::Qual.name``; each is HIERARCHICAL part of the nearest one around it that has a
docstring. Sections that name one of them in backticks are ASSOCIATEd with it.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from memorygraph.events.errors import ImportFormatError
from memorygraph.events.types import EdgeType, MemoryType
from memorygraph.ingest.harvest import Connection, Harvest, Item, cut
from memorygraph.ingest.markdown import code_spans

_MEMBER_WEIGHT = 0.8
_MENTION_WEIGHT = 0.8
_NAME_LENGTH_MAX = 200  # with the file's name, a source must not become longer than a memory takes
_TAG = "docstring"
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def read_python(file: str, code: bytes) -> Harvest:
    """Read the public docstrings of a Python file, from its bytes: it may declare its own encoding.

    Raises:
        ImportFormatError: the file is not Python of the version that runs this.
    """
    if any(part.startswith("_") and not part.startswith("__") for part in PurePosixPath(file).parts):
        return Harvest((), ())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of a wrong escape in a text: not ours to judge
            module = ast.parse(code)
        described = list(_described(module, file))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ImportFormatError(f"{file}: not valid Python{line}, skipped", file=file) from error
    sources = {source for source, _, _ in described}
    connections = [
        Connection(source, around, EdgeType.HIERARCHICAL, _MEMBER_WEIGHT)
        for source, _, outer in described
        if (around := next((one for one in outer if one in sources), None)) is not None
    ]
    items = [
        Item(source=source, content=cut(content), memory_type=MemoryType.SEMANTIC, tags=(_TAG,))
        for source, content, _ in described
    ]
    return Harvest(tuple(items), tuple(connections))


def link_mentions(items: Iterable[Item]) -> Iterator[Connection]:
    """Connect documents with the docstring items they name in backticks, as `name`, `Qual.name`, `name()` or `FILE`.

    A name leads to the item of exactly that qualified name, else to the only one whose dotted name ends in it; where
    several could be meant there is no connection.
    """
    everything = list(items)
    meant = _meanings(item.source for item in everything if _TAG in item.tags)
    for item in everything:
        if _TAG in item.tags or item.memory_type is not MemoryType.SEMANTIC:
            continue
        for span in code_spans(item.content):
            target = meant.get(span) or meant.get(span.split("(")[0])
            if target is not None:
                yield Connection(item.source, target, EdgeType.ASSOCIATION, _MENTION_WEIGHT)


def _meanings(sources: Iterable[str]) -> dict[str, str | None]:
    """Return what each name means: a source, or None where it is ambiguous."""
    exact: dict[str, str | None] = {}  # by qualified name, or file
    by_ending: dict[str, str | None] = {}
    for source in sources:
        file, _, qualified = source.partition("::")
        module = [part for part in PurePosixPath(file).with_suffix("").parts if part != "__init__"]
        parts = [*module, *qualified.split(".")] if qualified else module
        name = qualified or file
        exact[name] = None if name in exact else source
        for start in range(len(parts)):
            ending = ".".join(parts[start:])
            by_ending[ending] = None if ending in by_ending else source
    return by_ending | {name: source for name, source in exact.items() if source is not None}


def _described(module: ast.Module, file: str) -> Iterator[tuple[str, str, list[str]]]:
    """Give (source, content, sources around it from the nearest out) of each public thing with a docstring."""
    text = ast.get_docstring(module)
    if text:
        yield file, f"{file}\n\n{text}", []
    yield from _members(module, file, "", [file])


def _members(
    parent: ast.Module | ast.ClassDef, file: str, qualifier: str, around: list[str]
) -> Iterator[tuple[str, str, list[str]]]:
    for node in parent.body:
        if not isinstance(node, _Definition) or node.name.startswith("_"):
            continue
        name = f"{qualifier}{node.name}"
        if len(name) > _NAME_LENGTH_MAX:
            continue
        source = f"{file}::{name}"
        text = ast.get_docstring(node)
        if text:
            yield source, f"{_signature(node, name)}\n\n{text}", around
        if isinstance(node, ast.ClassDef):
            yield from _members(node, file, f"{name}.", [source, *around])


def _signature(node: _Definition, name: str) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return f"class {name}({bases})" if bases else f"class {name}"
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{kind} {name}({ast.unparse(node.args)}){returns}"
