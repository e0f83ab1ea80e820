"""Arrows point down, and never round: events < projections < actors < memorygraph."""

import pytest

from tests.house.imports import cycles, floor_violations, import_graph, imports_of
from tests.house.tree import FLOORS, make_module, modules, source_paths


def test_every_floor_has_source() -> None:
    assert {path.split("/")[0] for path in source_paths()} == set(FLOORS)


def test_no_import_points_up() -> None:
    assert floor_violations(modules()) == []


def test_no_import_cycle() -> None:
    assert cycles(import_graph(modules(), hidden=False)) == []


def test_no_import_cycle_hidden_in_functions() -> None:
    assert cycles(import_graph(modules(), hidden=True)) == []


# The rules themselves: each must see what was planted.


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("events/log.py", "from memorygraph.projections.graph import Graph"),
        ("events/log.py", "import memorygraph.actors"),
        ("events/log.py", "from memorygraph import AgentMemory"),
        ("events/log.py", "from memorygraph import projections"),
        ("events/log.py", "if TYPE_CHECKING:\n    from memorygraph.actors.ledger import Ledger"),
        ("events/log.py", "def f():\n    import memorygraph.core.types"),
        ("events/log.py", 'importlib.import_module("memorygraph.agent")'),
        ("events/log.py", "from ..projections import graph"),
        ("events/__init__.py", "from ..actors import ledger"),
        ("projections/graph.py", "from memorygraph.actors.ledger import Ledger"),
        ("actors/ledger.py", "from memorygraph.agent import AgentMemory"),
        ("memorygraph/agent.py", "from events.log import Log"),
        ("memorygraph/agent.py", "import projections"),
    ],
)
def test_an_import_that_points_up_is_seen(path: str, line: str) -> None:
    assert len(floor_violations([make_module(path, line)])) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("events/log.py", "from memorygraph.events.types import Remembered"),
        ("events/log.py", "from . import types"),
        ("events/log.py", "import numpy"),
        ("projections/graph.py", "from memorygraph.events import types"),
        ("actors/ledger.py", "from memorygraph.projections.graph import Graph"),
        ("memorygraph/agent.py", "from memorygraph import actors, core"),
    ],
)
def test_an_import_that_points_down_is_free(path: str, line: str) -> None:
    assert floor_violations([make_module(path, line)]) == []


def test_a_cycle_is_seen() -> None:
    planted = [
        make_module("events/a.py", "from memorygraph.events.b import B"),
        make_module("events/b.py", "from memorygraph.events import c"),
        make_module("events/c.py", "try:\n    import memorygraph.events.a\nexcept ImportError:\n    pass"),
        make_module("events/d.py", "import memorygraph.events.a"),
    ]
    expected = [["memorygraph.events.a", "memorygraph.events.b", "memorygraph.events.c"]]
    assert cycles(import_graph(planted, hidden=False)) == expected


def test_a_cycle_hidden_in_a_function_is_seen() -> None:
    planted = [
        make_module("events/a.py", "import memorygraph.events.b"),
        make_module("events/b.py", "def f():\n    import memorygraph.events.a"),
    ]
    assert cycles(import_graph(planted, hidden=False)) == []
    assert cycles(import_graph(planted, hidden=True)) == [["memorygraph.events.a", "memorygraph.events.b"]]


def test_types_and_lazy_exports_make_no_cycle() -> None:
    planted = [
        make_module("memorygraph/__init__.py", "def __getattr__(name):\n    from memorygraph.agent import A"),
        make_module("memorygraph/agent.py", "import memorygraph\nimport memorygraph.core"),
        make_module("memorygraph/core.py", "if TYPE_CHECKING:\n    import memorygraph.agent"),
    ]
    assert cycles(import_graph(planted, hidden=True)) == []


def test_imports_know_where_they_stand() -> None:
    source = "import a\ndef f():\n    import b\nif typing.TYPE_CHECKING:\n    import c\nelse:\n    import d\n"
    seen = {(i.target, i.line, i.deferred, i.typing_only) for i in imports_of(make_module("events/x.py", source))}
    assert seen == {("a", 1, False, False), ("b", 3, True, False), ("c", 5, False, True), ("d", 7, False, False)}
