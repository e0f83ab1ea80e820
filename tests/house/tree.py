"""The repository as data: its four floors, and every module of the package with its path and name.

Paths are those of the real folders; names are the ones that users import. ``events/log.py`` is
``memorygraph.events.log``.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "memorygraph"
# Lowest first. A file imports from its own floor or from a lower one.
FLOORS = ("events", "projections", "actors", PACKAGE)
LINKED = FLOORS[:-1]


@dataclass(frozen=True, kw_only=True)
class Module:
    """One source file: the path below the root, the import name, and whether it is an ``__init__``."""

    path: str
    name: str
    source: str

    def tree(self) -> ast.Module:
        """Parse the source; a syntax error names the file."""
        return ast.parse(self.source, filename=self.path)

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))


def module_name(path: str) -> str:
    """Import name of a file given by its path below the root."""
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts if parts[0] == PACKAGE else [PACKAGE, *parts])


def source_paths(root: Path = ROOT) -> list[str]:
    """Every Python file of the four real folders below ``root``, sorted; ``rglob`` does not follow the links."""
    return sorted(path.relative_to(root).as_posix() for floor in FLOORS for path in (root / floor).rglob("*.py"))


def modules(root: Path = ROOT) -> list[Module]:
    """Every module of the package, read from disk."""
    return [
        Module(path=path, name=module_name(path), source=(root / path).read_text(encoding="utf-8"))
        for path in source_paths(root)
    ]


def make_module(path: str, source: str) -> Module:
    """Make a module that is on no disk, for checks of the rules themselves."""
    return Module(path=path, name=module_name(path), source=source)
