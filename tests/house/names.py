"""What a module shows to its users: names, docstrings, length."""

import ast
import inspect
from collections.abc import Iterable, Iterator
from functools import cached_property

from tests.house.tree import PACKAGE, Module

LINES_MAX = 500


def too_long(found: Iterable[Module]) -> list[str]:
    """One line for each module of more than 500 lines."""
    counted = ((module.path, len(module.source.splitlines())) for module in found)
    return [f"{path} has {lines} lines, more than {LINES_MAX}" for path, lines in counted if lines > LINES_MAX]


def declared_all(module: Module) -> list[str] | None:
    """Value of ``__all__`` where it is written as a plain list or tuple, else None."""
    for node in module.tree().body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))
    return None


def unlisted_names(package: Module) -> list[str]:
    """Names of ours that an ``__init__`` takes in under a public name and leaves out of its ``__all__``.

    An ``__init__`` that hands names on without an ``__all__`` is complained about as a whole.
    """
    taken = {
        alias.asname or alias.name
        for node in package.tree().body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE)
        for alias in node.names
    }
    public = {name for name in taken if not name.startswith("_")}
    listed = declared_all(package)
    if listed is None:
        return [f"{package.path} hands on names and has no __all__"] if public else []
    twice = sorted({name for name in listed if listed.count(name) > 1})
    missing = sorted(public - set(listed))
    return [f"{package.path} lists {name} twice" for name in twice] + [
        f"{package.path} imports {name} and leaves it out of __all__" for name in missing
    ]


def undocumented_definitions(module: Module) -> list[str]:
    """Public functions and classes at a module's top level that have no docstring, and the module itself."""
    tree = module.tree()
    bare = [] if ast.get_docstring(tree) or not tree.body else [f"{module.path} says nothing about itself"]
    return bare + [
        f"{module.path}:{node.lineno} {node.name}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not _is_overload(node)
    ]


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


def undocumented(name: str, value: object) -> list[str]:
    """Names without a docstring of their own: the object, and a class's public methods and properties.

    Constants need none. What a base class documents counts for methods, not for the class.
    """
    if inspect.isclass(value):
        own = [] if _is_written(value) else [name]
        return own + [f"{name}.{member}" for member in _bare_members(value)]
    if inspect.isroutine(value):
        return [] if inspect.getdoc(value) else [name]
    return []


def _is_written(cls: type) -> bool:
    text = cls.__dict__.get("__doc__")
    # A dataclass without a docstring gets its signature for one.
    return bool(text) and not text.startswith(f"{cls.__name__}(")


def _bare_members(cls: type) -> Iterator[str]:
    for member, raw in vars(cls).items():
        described = inspect.isroutine(raw) or isinstance(raw, property | cached_property | staticmethod | classmethod)
        if described and not member.startswith("_") and not _is_written_anywhere(cls, member):
            yield member


def _is_written_anywhere(cls: type, member: str) -> bool:
    return any(vars(base)[member].__doc__ for base in cls.__mro__ if member in vars(base))
