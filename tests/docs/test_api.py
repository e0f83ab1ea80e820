"""The API reference names every public name, and is what the code says now."""

import re

import pytest

import memorygraph
from memorygraph.core import types
from memorygraph.events import errors
from tests.docs.pages import ROOT
from tests.docs.scripts import loaded

MAKE = loaded("docs/make_api.py")
PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")


def unnamed(page: str, names: list[str]) -> list[str]:
    """Those of some names that the page neither has as a heading nor in a row of a table."""
    told = [line for line in page.splitlines() if line.startswith(("### ", "| `"))]
    firsts = {line.removeprefix("### ").removeprefix("| `").partition("(")[0].partition("`")[0] for line in told}
    return [name for name in names if name not in firsts]


def test_the_page_is_what_the_code_says() -> None:
    assert MAKE.page() == PAGE, "run make docs"


def test_every_public_name_is_there() -> None:
    assert unnamed(PAGE, [*memorygraph.__all__, "InputError", "MemoryQuery", "render_graphviz", "recall_stream"]) == []


def test_the_page_of_errors_has_every_error() -> None:
    told = set(re.findall(r"`(\w+)`", (ROOT / "docs/errors.md").read_text(encoding="utf-8")))
    found = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert found - set(types.__all__) == set(), "memorygraph.core.types is their documented home"
    assert found - told == set()
    assert "InputError" in found


def test_every_name_says_what_it_is() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("| `")]
    assert [row for row in rows if not row.rpartition("` |")[2].strip("| ")] == []


def test_a_name_that_is_missing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MAKE.MODULES, "memorygraph", ("AgentMemory",))
    page = MAKE.page()
    assert page != PAGE
    assert unnamed(page, ["AgentMemory", "SharedMemoryPool"]) == ["SharedMemoryPool"]
