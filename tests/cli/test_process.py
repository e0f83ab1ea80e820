"""The command as a process of its own: exit codes, streams, signals."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memorygraph import AgentMemory
from memorygraph.core.types import StoreNotFound
from tests.cli.conftest import Shell

Start = Callable[..., subprocess.Popen[str]]


def test_results_and_words_go_to_their_own_streams(start: Start) -> None:
    with start("remember", "something", "--json") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert set(json.loads(out)) == {"id", "position"}
    with start("show", "unknown") as process:
        out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    with start("recall") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "Traceback" not in err


def test_ingest_of_a_pipe_shows_no_bar(start: Start, repository: Path) -> None:
    with start("ingest", str(repository)) as process:
        out, err = process.communicate()
    assert (process.returncode, err, out.count("\n")) == (0, "", 1)


def test_a_closed_pipe_is_quiet(shell: Shell, start: Start) -> None:
    long = "word " * 20_000
    for _ in range(5):
        shell.run("remember", long)
    with start("log") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_closed_pipe_is_quiet_for_tables_too(shell: Shell, start: Start) -> None:
    made = shell.json("remember", "word " * 100_000)["id"]
    with start("show", made) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_follow_shows_what_others_write(shell: Shell, start: Start) -> None:
    shell.run("remember", "before")
    with start("log", "--follow", "--type", "added") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "before" in process.stdout.readline()
        for number in range(3):
            shell.run("remember", f"live number {number}")
            assert f"live number {number}" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 130


def test_follow_ends_at_the_position_asked_for(shell: Shell, start: Start) -> None:
    shell.run("remember", "first")
    last = shell.json("remember", "second")["position"]
    with start("log", "--follow", "--json", "--to", str(last)) as process:
        shell.run("remember", "third")
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert [json.loads(line)["position"] for line in out.splitlines()][-1] == last


def test_lines_of_the_log_fit_a_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("remember", "word " * 100)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with shell.start("log", stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    lines = shown.decode().splitlines()
    assert max(map(len, lines)) == 80
    assert lines[-1].endswith("…")
    assert "  word word word" in lines[-1]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the other end was closed
        return b""


def test_ingest_survives_kill_9(shell: Shell, start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for page in range(150):
        sections = "".join(f"## Part {part} of {page}\n\nWords of part {part}.\n\n" for part in range(40))
        (folder / f"page{page}.md").write_text(f"# Page {page}\n\n{sections}")
    with start("ingest", str(folder)) as process:
        while process.poll() is None and not _has_memories(shell):
            pass
        process.kill()
    assert process.returncode == -signal.SIGKILL
    rest = shell.json("ingest", str(folder))
    assert rest["added"] + rest["unchanged"] == 150 * 42
    assert rest["unchanged"] > 0
    assert shell.json("verify")["whole"]
    assert shell.json("stats")["num_nodes"] == 150 * 42


def _has_memories(shell: Shell) -> bool:
    try:
        with AgentMemory(path=shell.store, read_only=True) as memory:
            return len(memory) > 0
    except StoreNotFound:
        return False


def test_python_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "memorygraph", "--help"], capture_output=True, text=True, check=True)
    assert "Usage: memorygraph" in done.stdout


def test_importing_the_command_line_is_light() -> None:
    code = "import sys, memorygraph.cli, memorygraph.demo.tour; print({'torch', 'ray', 'faiss'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
