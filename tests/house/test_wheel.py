"""What users install is the tree, whole, under one name, and it works away from the repository."""

from pathlib import Path

import pytest

from tests.house.tree import ROOT, source_paths
from tests.house.wheels import build, complaints, copy_tree, expected_files, install, run, wheel_files

pytestmark = pytest.mark.slow

REMEMBER_AND_RECALL = """
import pathlib, memorygraph
from memorygraph import AgentMemory
assert "site-packages" in memorygraph.__file__, memorygraph.__file__
assert pathlib.Path(memorygraph.__file__).with_name("py.typed").exists()
with AgentMemory(path="notes") as memory:
    memory.remember("The launch moved to Friday")
with AgentMemory(path="notes") as memory:
    print(memory.recall("When is the launch?", k=1)[0].content)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(ROOT, tmp_path_factory.mktemp("wheel") / "tree")


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    return build(tree, sdist_first=False)


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("installed") / "venv")


def test_the_wheel_holds_the_tree(wheel: Path) -> None:
    assert complaints(wheel_files(wheel), expected_files()) == []


def test_the_wheel_of_the_sdist_is_the_same(tree: Path, wheel: Path) -> None:
    assert wheel_files(build(tree, sdist_first=True)) == wheel_files(wheel)


def test_the_installed_package_remembers(scripts: Path, tmp_path: Path) -> None:
    assert run([scripts / "python", "-c", REMEMBER_AND_RECALL], folder=tmp_path).strip() == "The launch moved to Friday"


def test_the_installed_command_speaks(scripts: Path, tmp_path: Path) -> None:
    assert "remember" in run([scripts / "memorygraph", "--help"], folder=tmp_path)


# The rules themselves: each must see what was planted.


def test_a_lost_a_stray_and_a_neighbouring_file_are_seen() -> None:
    expected = {"memorygraph/__init__.py", "memorygraph/events/log.py"}
    names = {"memorygraph/__init__.py", "memorygraph/old.py", "events/log.py", "memorygraph-0.1.0.dist-info/METADATA"}
    assert complaints(names, expected) == [
        "missing memorygraph/events/log.py",
        "not in the tree: memorygraph/old.py",
        "beside the package: events/log.py",
    ]


def test_the_expectation_covers_every_source_file() -> None:
    expected = expected_files()
    assert len([name for name in expected if name.endswith(".py")]) == len(source_paths())
    assert "memorygraph/events/__init__.py" in expected
    assert "memorygraph/py.typed" in expected


def test_a_failing_command_is_told_whole(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ended with 3"):
        run(["sh", "-c", "echo why; exit 3"], folder=tmp_path)
