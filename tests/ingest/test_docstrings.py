import pytest

from memorygraph.events.errors import ImportFormatError
from memorygraph.events.types import EdgeType
from memorygraph.ingest.docstrings import link_mentions, read_python
from memorygraph.ingest.markdown import read_markdown

CODE = b'''"""The shop."""

class Shop(Base, Generic[T]):
    """Sells."""

    def sell(self, what: str, *, price: float = 1.0) -> bool:
        """Sell one."""

    def _count(self):
        """Private."""

    def bare(self):
        pass

    class Till:
        """Holds money."""

async def open(at=None):
    """Open up."""

class _Hidden:
    """Private."""

    def method(self):
        """Below something private."""

class Bare:
    def deep(self):
        """Its class says nothing."""
'''


def test_public_docstrings_with_their_signatures():
    harvest = read_python("shop.py", CODE)
    assert {item.source: item.content for item in harvest.items} == {
        "shop.py": "shop.py\n\nThe shop.",
        "shop.py::Shop": "class Shop(Base, Generic[T])\n\nSells.",
        "shop.py::Shop.sell": "def Shop.sell(self, what: str, *, price: float=1.0) -> bool\n\nSell one.",
        "shop.py::Shop.Till": "class Shop.Till\n\nHolds money.",
        "shop.py::open": "async def open(at=None)\n\nOpen up.",
        "shop.py::Bare.deep": "def Bare.deep(self)\n\nIts class says nothing.",
    }
    assert {(one.source, one.target) for one in harvest.connections} == {
        ("shop.py::Shop", "shop.py"),
        ("shop.py::Shop.sell", "shop.py::Shop"),
        ("shop.py::Shop.Till", "shop.py::Shop"),
        ("shop.py::open", "shop.py"),
        ("shop.py::Bare.deep", "shop.py"),
    }
    assert {one.edge_type for one in harvest.connections} == {EdgeType.HIERARCHICAL}


def test_a_module_without_docstring_is_no_item():
    harvest = read_python("m.py", b'def f():\n    """F."""\n')
    assert [item.source for item in harvest.items] == ["m.py::f"]
    assert harvest.connections == ()


@pytest.mark.parametrize("file", ["_m.py", "a/_b/c.py"])
def test_private_modules_are_left_out(file):
    assert read_python(file, CODE).items == ()


@pytest.mark.parametrize("file", ["pkg/__init__.py", "__main__.py"])
def test_modules_with_special_names_are_public(file):
    assert read_python(file, CODE).items[0].source == file


@pytest.mark.parametrize(
    "code", [b"def f(:\n", b"# coding: nonsense\n", b"\xff\xfe", b"(" * 500, b"-" * 200_000 + b"1", b"x = \xe4"]
)
def test_what_is_not_python_is_a_named_error(code):
    with pytest.raises(ImportFormatError, match=r"m\.py: not valid Python"):
        read_python("m.py", code)


def test_files_in_their_own_encoding_and_with_bad_escapes_are_read():
    assert read_python("m.py", b'# coding: latin-1\n"""Gr\xf6\xdfe"""\n').items[0].content == "m.py\n\nGröße"
    assert read_python("m.py", b'"""\\d"""\n').items[0].content == "m.py\n\n\\d"


def test_names_and_texts_that_no_memory_takes_are_left_out_or_made_readable():
    code = f'class {"N" * 201}:\n    """Long."""\n    def f():\n        """Inside."""\ndef g():\n    "\\ud800"\n'
    assert {item.source: item.content for item in read_python("m.py", code.encode()).items} == {
        "m.py::g": "def g()\n\n?"
    }


def test_nothing_is_run(tmp_path):
    code = f'"""M."""\nopen({str(tmp_path / "ran")!r}, "w")\n'.encode()
    assert len(read_python("m.py", code).items) == 1
    assert not (tmp_path / "ran").exists()


def mentions(markdown, **modules):
    parts = [read_python(name.replace("__", "/") + ".py", code.encode()) for name, code in modules.items()]
    items = [item for part in [read_markdown("d.md", markdown), *parts] for item in part.items]
    return {one.target for one in link_mentions(items) if one.edge_type is EdgeType.ASSOCIATION}


ONE = '''"""One."""
class A:
    """A."""
    def run(self):
        """Run."""
    def only(self):
        """Only here."""
'''
TWO = '"""Two."""\nclass B:\n    """B."""\n    def run(self):\n        """Run."""\ndef walk():\n    """W."""\n'


@pytest.mark.parametrize(
    ("span", "target"),
    [
        ("A", "p/one.py::A"),
        ("A.run", "p/one.py::A.run"),
        ("A.run()", "p/one.py::A.run"),
        ("A.run(now, k=5)", "p/one.py::A.run"),
        ("one.A.run", "p/one.py::A.run"),
        ("p.one.A", "p/one.py::A"),
        ("only()", "p/one.py::A.only"),
        ("walk", "p/two.py::walk"),
        ("p.two", "p/two.py"),
        ("p/two.py", "p/two.py"),
        ("run", None),
        ("C", None),
        ("A run", None),
        ("", None),
        ("(A)", None),
    ],
)
def test_a_name_in_backticks_leads_to_what_it_means(span, target):
    found = mentions(f"# T\n\nSee `{span} `.\n", p__one=ONE, p__two=TWO)
    assert found == ({target} if target else set())


def test_an_exact_name_wins_and_twins_mean_nothing():
    assert mentions(
        "`walk`", one="def walk():\n    '''W.'''\n", two="class X:\n    def walk():\n        '''W.'''\n"
    ) == {"one.py::walk"}
    assert mentions("`walk`", one="def walk():\n    '''W.'''\n", two="def walk():\n    '''W.'''\n") == set()
    assert mentions("walk, without backticks", one="def walk():\n    '''W.'''\n") == set()
