"""Write the reference of the public names: ``python docs/make_api.py``.

Names, signatures and first sentences are those of the code; a test writes the page again and compares.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import memorygraph
from memorygraph.core.fields import Field

PAGE: Final = Path(__file__).with_name("api.md")
MODULES: Final[dict[str, tuple[str, ...]]] = {
    "memorygraph": tuple(memorygraph.__all__),
    "memorygraph.query": ("MemoryQuery",),
    "memorygraph.hooks": ("Hooks", "HookEvent", "HookError", "CounterPlugin", "LoggingPlugin"),
    "memorygraph.timeline": ("TimelineEvent",),
    "memorygraph.audit": ("AuditEntry",),
    "memorygraph.fleet": (),
    "memorygraph.graphops": ("EdgeKey",),
    "memorygraph.retrieval.spreading": ("ActivationResult",),
    "memorygraph.memory.working": ("WorkingMemoryItem",),
    "memorygraph.decay.forgetting": (),
    "memorygraph.persistence.storage": (),
    "memorygraph.viz": (),
    "memorygraph.ingest": (),
    "memorygraph.benchmark": ("run_all", "BenchmarkReport", "Measurement"),
    "memorygraph.core.types": (),
}
"""Where to import from, and what: the names given here, or else all that the module lists itself."""

HEAD: Final = """# API reference

Every public name, with its signature and what it does in a sentence; `help(name)` in Python says the rest: ranges,
units, errors. This page is written out of the code by `make docs`.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(line for part in _modules() for line in part)])


def _modules() -> Iterator[list[str]]:
    """Give the lines of each module: what is said in a line first, then the classes with methods."""
    told: set[int] = set()
    for module, given in MODULES.items():
        loaded = importlib.import_module(module)
        values = {name: getattr(loaded, name) for name in given or loaded.__all__}
        new = {name: value for name, value in values.items() if id(value) not in told and not _is_constant(value)}
        told |= {id(value) for value in new.values()}
        full = {name: list(_members(value)) for name, value in new.items()}
        rows = [_row(name, value) for name, value in sorted(new.items()) if not full[name]]
        yield [f"## {module}", "", *(_table(rows) if rows else [])]
        for name, members in sorted(full.items()):
            if members:
                yield [f"### {name}", "", f"`{name}{_signature(new[name])}`", "", _said(new[name]), *_also(new[name])]
                yield ["", *_table(members)]


def _is_constant(value: Any) -> bool:
    return not (inspect.isclass(value) or inspect.isroutine(value))


def _table(rows: list[str]) -> list[str]:
    return ["| name | |", "| --- | --- |", *rows, ""]


def _row(name: str, value: Any) -> str:
    kinds = f" One of {', '.join(f'`{one.name}`' for one in value)}." if _is_enum(value) else ""
    is_plain_class = inspect.isclass(value) and (issubclass(value, Exception) or getattr(value, "_is_protocol", False))
    bare = _is_enum(value) or is_plain_class
    text = f"{_said(value)}{kinds}".replace("|", r"\|")
    return f"| `{name}{'' if bare else _signature(value)}` | {text} |"


def _is_enum(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Enum)


def _members(value: Any) -> Iterator[str]:
    """Give a row for each public method and property of ours; those of another class of the page are told there."""
    if not inspect.isclass(value) or issubclass(value, Enum | Exception):
        return
    others = {base for base in value.__mro__[1:] if base in _TOP}
    for name in sorted(dir(value)):
        owner = next((base for base in value.__mro__ if name in vars(base)), object)
        raw = inspect.getattr_static(value, name)
        is_ours = owner.__module__.startswith("memorygraph") and not any(owner in base.__mro__ for base in others)
        if name.startswith("_") or not is_ours:
            continue
        if isinstance(raw, property | cached_property | Field):
            yield f"| `{name}` | {_said(raw)} |".replace("``", "`")
        elif inspect.isroutine(raw) or isinstance(raw, staticmethod | classmethod):
            yield _row(name, getattr(value, name))


def _also(value: type) -> list[str]:
    names = [base.__name__ for base in value.__mro__[1:] if base in _TOP]
    return ["", f"It has also all of [`{names[0]}`](#{names[0].lower()})."] if names else []


def _said(value: Any) -> str:
    """Return the first paragraph of what a name says of itself."""
    text = inspect.getdoc(value) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`")


def _signature(value: Any) -> str:
    """Return the parameters with their defaults, without types."""
    parts: list[str] = []
    is_named = False
    for parameter in inspect.signature(value).parameters.values():
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not is_named:
            parts.append("*")
        is_named |= parameter.kind in {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        parts.append(f"{stars}{parameter.name}{default}")
    return f"({', '.join(parts)})"


def _default(value: Any) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if inspect.isroutine(value):
        return value.__name__
    plain = value is None or type(value) in {bool, int, float, str} or value == ()
    return repr(value) if plain else "..."


_TOP: Final = frozenset(value for value in vars(memorygraph).values() if inspect.isclass(value))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
