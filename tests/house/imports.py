"""Which module imports which, read from the syntax tree: nothing is executed.

An import is deferred when it sits in a function, and for types only when it sits under ``if TYPE_CHECKING``.
Floors look at all imports; cycles look at those that run.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.house.tree import FLOORS, LINKED, PACKAGE, Module


@dataclass(frozen=True, kw_only=True)
class Import:
    """One imported name: a dotted target that may be a module or a name inside one."""

    target: str
    line: int
    deferred: bool = False
    typing_only: bool = False
    lazy_export: bool = False  # inside a module's __getattr__, the way a light __init__ hands on names


def imports_of(module: Module) -> list[Import]:
    """List every import of a module, relative ones resolved."""
    return list(_walk(module.tree(), module, Import(target="", line=0)))


def _walk(node: ast.AST, module: Module, where: Import) -> Iterator[Import]:
    match node:
        case ast.Import():
            for alias in node.names:
                yield _at(where, alias.name, node.lineno)
        case ast.ImportFrom():
            base = _resolved_base(node, module)
            for alias in node.names:
                yield _at(where, f"{base}.{alias.name}" if alias.name != "*" else base, node.lineno)
        case ast.Call() if (target := _dynamic_target(node)) is not None:
            yield _at(where, target, node.lineno)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            lazy = where.lazy_export or getattr(node, "name", "") == "__getattr__"
            inner = Import(target="", line=0, deferred=True, typing_only=where.typing_only, lazy_export=lazy)
            for child in ast.iter_child_nodes(node):
                yield from _walk(child, module, inner)
        case ast.If() if _asks_type_checking(node.test):
            inner = Import(target="", line=0, deferred=where.deferred, typing_only=True)
            for child in node.body:
                yield from _walk(child, module, inner)
            for child in node.orelse:
                yield from _walk(child, module, where)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _walk(child, module, where)


def _at(where: Import, target: str, line: int) -> Import:
    return Import(
        target=target,
        line=line,
        deferred=where.deferred,
        typing_only=where.typing_only,
        lazy_export=where.lazy_export,
    )


def _resolved_base(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    climb = node.level - (1 if module.is_package else 0)
    package = package[: len(package) - climb]
    return ".".join([*package, *([node.module] if node.module else [])])


def _dynamic_target(node: ast.Call) -> str | None:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in {"import_module", "__import__"} or not node.args:
        return None
    first = node.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _asks_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def floor_of(target: str) -> str | None:
    """Floor that an import name belongs to, None for what is not ours."""
    parts = target.split(".")
    if parts[0] != PACKAGE:
        return None
    return parts[1] if len(parts) > 1 and parts[1] in LINKED else PACKAGE


def floor_violations(found: Iterable[Module]) -> list[str]:
    """One line for each import that points up, or that names a linked folder at the top."""
    complaints = []
    for module in found:
        own = floor_of(module.name) or PACKAGE
        for item in imports_of(module):
            where = f"{module.path}:{item.line}"
            if item.target.split(".")[0] in LINKED:
                complaints.append(f"{where} imports {item.target}: say {PACKAGE}.{item.target}")
                continue
            other = floor_of(item.target)
            if other is not None and FLOORS.index(other) > FLOORS.index(own):
                complaints.append(f"{where} ({own}) imports {item.target} ({other}), which is above it")
    return complaints


def import_graph(found: Iterable[Module], *, hidden: bool) -> dict[str, set[str]]:
    """Which modules of ours each module imports when it runs.

    With ``hidden``, imports inside functions count too, except a module's ``__getattr__``: a cycle that only
    closes there was hidden, not removed. Imports for types alone never count.
    """
    found = list(found)
    names = {module.name for module in found}
    graph: dict[str, set[str]] = {}
    for module in found:
        counted = (
            item
            for item in imports_of(module)
            if not item.typing_only and (not item.deferred or (hidden and not item.lazy_export))
        )
        targets = {_module_named(item.target, names) for item in counted}
        graph[module.name] = {target for target in targets if target is not None and target != module.name}
    return graph


def _module_named(target: str, names: set[str]) -> str | None:
    """Longest prefix of a dotted target that is a module: ``a.b.Name`` is in ``a.b``."""
    parts = target.split(".")
    for end in range(len(parts), 0, -1):
        if (name := ".".join(parts[:end])) in names:
            return name
    return None


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other (strongly connected, Tarjan 1972), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            cut = stack.index(name)
            group = sorted(stack[cut:])
            del stack[cut:]
            if len(group) > 1:
                groups.append(group)

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return groups
