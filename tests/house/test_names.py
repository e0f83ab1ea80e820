"""Public names exist, are gathered in one place, and say what they are; modules stay short."""

import enum
import importlib
from dataclasses import dataclass

import pytest

import memorygraph
from tests.house.names import (
    LINES_MAX,
    declared_all,
    too_long,
    undocumented,
    undocumented_definitions,
    unlisted_names,
)
from tests.house.tree import Module, make_module, modules

PACKAGES = [module for module in modules() if module.is_package]
LISTED = [module for module in modules() if declared_all(module) is not None]


def by_name(module: Module) -> str:
    return module.name


def test_the_package_names_what_is_public() -> None:
    assert "AgentMemory" in memorygraph.__all__


@pytest.mark.parametrize("module", LISTED, ids=by_name)
def test_every_listed_name_exists(module: Module) -> None:
    loaded = importlib.import_module(module.name)
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=by_name)
def test_a_package_lists_the_names_it_hands_on(package: Module) -> None:
    assert unlisted_names(package) == []


def test_every_exported_name_is_documented() -> None:
    bare = [line for name in memorygraph.__all__ for line in undocumented(name, getattr(memorygraph, name))]
    assert bare == []


def test_every_public_definition_is_documented() -> None:
    assert [line for module in modules() if module.is_public for line in undocumented_definitions(module)] == []


def test_no_module_is_too_long() -> None:
    assert too_long(modules()) == []


# The rules themselves: each must see what was planted.


def test_a_long_module_is_seen() -> None:
    fits = make_module("events/a.py", "x = 1\n" * LINES_MAX)
    long = make_module("events/b.py", "x = 1\n" * (LINES_MAX + 1))
    assert too_long([fits, long]) == ["events/b.py has 501 lines, more than 500"]


def test_an_unlisted_name_is_seen() -> None:
    source = "from memorygraph.events.types import A, B, _c\nfrom os import path\n__all__ = ['A', 'A']\n"
    assert unlisted_names(make_module("events/__init__.py", source)) == [
        "events/__init__.py lists A twice",
        "events/__init__.py imports B and leaves it out of __all__",
    ]


def test_a_missing_list_is_seen() -> None:
    planted = make_module("events/__init__.py", "from memorygraph.events.types import A\n")
    assert unlisted_names(planted) == ["events/__init__.py hands on names and has no __all__"]
    assert unlisted_names(make_module("events/__init__.py", '"""Only words."""\n')) == []


def test_a_bare_definition_is_seen() -> None:
    source = '"""Head."""\ndef f(): ...\ndef _g(): ...\nclass C:\n    """Said."""\n@overload\ndef h(): ...\n'
    assert undocumented_definitions(make_module("events/a.py", source)) == ["events/a.py:2 f"]
    assert undocumented_definitions(make_module("events/a.py", "x = 1\n")) == ["events/a.py says nothing about itself"]


def test_a_bare_export_is_seen() -> None:
    class Documented:
        """Said."""

        def said(self) -> None:
            """Say it."""

        def bare(self) -> None: ...

        @property
        def mute(self) -> int:
            return 0

        @classmethod
        def silent(cls) -> None: ...

    class Inherits(Documented):
        def said(self) -> None: ...

    @dataclass
    class Generated:
        x: int

    class Plain(enum.Enum):
        A = 1

    def function() -> None: ...

    assert undocumented("D", Documented) == ["D.bare", "D.mute", "D.silent"]
    assert undocumented("I", Inherits) == ["I"]
    assert undocumented("G", Generated) == ["G"]
    assert undocumented("P", Plain) == ["P"]
    assert undocumented("f", function) == ["f"]
    assert undocumented("constant", 3) == []
