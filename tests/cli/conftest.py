import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memorygraph.cli import app

# No terminal, no store and no agent of whoever runs the tests.
OURS = ("COLUMNS", "FORCE_COLOR", "MEMORYGRAPH_AGENT", "MEMORYGRAPH_SIGNING_KEY", "MEMORYGRAPH_STORE", "TERM")
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


@dataclass(frozen=True)
class Shell:
    """The command line on one store, in this process (``run``) and in others (``start``)."""

    store: Path

    def run(self, *words: str, code: int = 0, stdin: str | bytes | None = None) -> str:
        """Run a command and return what it printed; ``code`` is the exit code that must come."""
        result = CliRunner().invoke(app, ["--store", str(self.store), *words], input=stdin)
        assert result.exit_code == code, (words, result.output, result.exception)
        return result.stdout if code == 0 else result.stderr + result.stdout

    def json(self, *words: str, code: int = 0, stdin: str | None = None) -> Any:
        """Run a command with --json and return the one value it printed, whatever the exit code."""
        result = CliRunner().invoke(app, ["--store", str(self.store), *words, "--json"], input=stdin)
        assert (result.exit_code, result.stderr) == (code, ""), (words, result.output, result.exception)
        assert result.stdout.count("\n") == 1
        return json.loads(result.stdout)

    def start(self, *words: str, **streams: Any) -> subprocess.Popen[str]:
        """Start a command in a process of its own, with pipes for its streams."""
        command = [sys.executable, "-m", "memorygraph", "--store", str(self.store), *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen(command, text=True, **pipes)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "test.memory")


@pytest.fixture
def start(shell: Shell) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``shell.start``, with an end to what a failing test leaves behind."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, **streams: Any) -> subprocess.Popen[str]:
        started.append(shell.start(*words, **streams))
        return started[-1]

    yield begin
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of a made-up boat-house: three commits, a document, a module."""
    folder = tmp_path / "boathouse"
    folder.mkdir()
    guide = folder / "GUIDE.md"
    guide.write_text(
        "# Boathouse\n\nWhere the club keeps its boats.\n\n"
        "## Renting a canoe\n\nA canoe costs nine crowns per hour; see `price_of`.\n\n"
        "## Winter storage\n\nFrom November on every hull is dried, oiled and stored upside down in the long hall.\n"
    )
    commit(folder, "Begin the guide of the boathouse", "Ada")
    (folder / "prices.py").write_text(
        '"""Prices of the boathouse."""\n\n\ndef price_of(hours):\n    """Price of a canoe in crowns."""\n'
    )
    commit(folder, "Compute what a canoe costs", "Ben")
    guide.write_text(guide.read_text() + "\n## Keys\n\nThe key of the long hall hangs behind the oar rack.\n")
    commit(folder, "Say where the key of the hall hangs", "Ada")
    return folder


def commit(folder: Path, message: str, author: str) -> None:
    git = ["git", "-C", str(folder), "-c", f"user.name={author}", "-c", "user.email=a@example.org"]
    if not (folder / ".git").exists():
        subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", message], check=True)
