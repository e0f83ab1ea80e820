"""Build the package in a copy of the tree, and install it where nothing else is."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from tests.house.tree import FLOORS, PACKAGE, ROOT

COPIED_FILES = ("LICENSE", "README.md", "constraints.txt", "pyproject.toml")
BUILD_TIMEOUT_S = 600


def copy_tree(root: Path, target: Path) -> Path:
    """Copy what a build needs, links as links, and return the copy."""
    target.mkdir(parents=True)
    for name in COPIED_FILES:
        shutil.copy2(root / name, target / name)
    for floor in FLOORS:
        shutil.copytree(root / floor, target / floor, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def expected_files(root: Path = ROOT) -> set[str]:
    """Every file of the four folders, under the path it has once installed."""
    found = [
        path.relative_to(root).as_posix()
        for floor in FLOORS
        for path in (root / floor).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return {path if path.startswith(f"{PACKAGE}/") else f"{PACKAGE}/{path}" for path in found}


def build(tree: Path, *, sdist_first: bool) -> Path:
    """Build a wheel straight from a tree, or from the sdist of that tree; return the wheel."""
    out = tree / ("dist-from-sdist" if sdist_first else "dist")
    kind = [] if sdist_first else ["--wheel"]
    run([sys.executable, "-m", "build", "--no-isolation", *kind, "--outdir", out, tree], folder=tree)
    (wheel,) = out.glob("*.whl")
    return wheel


def wheel_files(wheel: Path) -> set[str]:
    """Names in a wheel, without the folder entries."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def complaints(names: set[str], expected: set[str]) -> list[str]:
    """What a wheel lacks, what it holds beyond the tree, and what it would put beside the package."""
    packaged = {name for name in names if name.startswith(f"{PACKAGE}/")}
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    return [
        *(f"missing {name}" for name in sorted(expected - packaged)),
        *(f"not in the tree: {name}" for name in sorted(packaged - expected)),
        *(f"beside the package: {name}" for name in sorted(names - packaged - metadata)),
    ]


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel and its dependencies into an empty environment; return the environment's script folder."""
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    run([*pip, "--constraint", ROOT / "constraints.txt", wheel], folder=folder)
    return scripts


def run(command: list[str | Path], *, folder: Path) -> str:
    """Run a command in a folder, outside the checks' environment; return its output, or fail with all of it."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command,
        cwd=folder,
        env=outside,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
