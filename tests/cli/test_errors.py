"""What goes wrong: one line, the right exit code, and nothing made or half written."""

import errno
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memorygraph import AgentMemory
from memorygraph.cli import app, options
from tests.cli.conftest import Shell

NEED_A_STORE = [
    ("recall", "x"),
    ("reason", "x"),
    ("show", "x"),
    ("stats",),
    ("log",),
    ("log", "--follow"),
    ("verify",),
    ("replay",),
    ("export", "out.file"),
    ("link", "x", "y"),
    ("revise", "x", "text"),
    ("forget", "x"),
    ("unlink", "x"),
]
WRONG_USAGE = [
    ("recall",),
    ("recal", "x"),
    ("recall", "x", "-k", "0"),
    ("recall", "x", "-k", "10001"),
    ("recall", "x", "--threshold", "2"),
    ("context", "x", "--max-tokens", "0"),
    ("context", "x", "--pin", "a", "--pin-tag", "b"),
    ("remember", "x", "--importance", "7"),
    ("revise", "x"),
    ("link", "x"),
    ("forget",),
    ("remember", "several", "words"),
    ("remember", "x", "--tag", "a", "b"),
    ("revise", "x", "several", "words"),
    ("revise", "x", "--tag", "a", "--add-tag", "b"),
    ("remember", "x", "--scope", "private"),
    ("log", "--from", "0"),
    ("stats", "--nonsense"),
]


def complaint(shell: Shell, *words: str, code: int = 1, stdin: str | bytes | None = None) -> str:
    """The one line that a failing command says on standard error; standard output stays empty."""
    result = CliRunner().invoke(app, ["--store", str(shell.store), *words], input=stdin)
    assert (result.exit_code, result.stdout) == (code, ""), (words, result.output, result.exception)
    assert result.stderr.startswith("memorygraph: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def makes_no_store(shell: Shell, *words: str) -> bool:
    result = CliRunner().invoke(app, ["--store", str(shell.store), *words])
    return result.exit_code == 1 and not shell.store.exists()


@pytest.mark.parametrize("words", NEED_A_STORE, ids=" ".join)
def test_without_a_store_each_says_how_to_make_a_memory(shell: Shell, words: tuple[str, ...]) -> None:
    said = complaint(shell, *words)
    assert f"there is no memory at {shell.store}" in said
    assert f"memorygraph --store {shell.store} ingest" in said
    assert not shell.store.exists()


def test_a_read_that_could_write_is_seen(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert makes_no_store(shell, "stats")
    monkeypatch.setattr(options, "AgentMemory", lambda path, **_: AgentMemory(path=path))
    assert not makes_no_store(shell, "stats")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("show", "unknown"), "unknown"),
        (("forget", "unknown"), "recall, reason and log print ids"),
        (("unlink", "unknown"), "show ID prints the ids"),
        (("restore", "/nowhere", "--to", "new"), "no backup at /nowhere"),
        (("link", "unknown", "other"), "unknown"),
        (("revise", "unknown", "text"), "unknown"),
        (("forget", "unknown"), "unknown"),
        (("context", "x", "--pin", "nobody"), "nobody"),
        (("remember", "x", "--supersedes", "nobody"), "nobody"),
        (("export", "/dev/null/file"), "/dev/null"),
        (("import", "/nowhere/at/all"), "/nowhere/at/all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_error_is_one_line_and_writes_nothing(shell: Shell, words: tuple[str, ...], part: str) -> None:
    shell.run("remember", "something")
    before = shell.json("verify")
    assert part in complaint(shell, *words)
    assert shell.json("verify") == before


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("remember", "  "), "no text"),
        (("remember", "x", "--when", "some day"), "some day"),
        (("remember", "x", "--type", "vague"), "episodic"),
        (("link", "a", "b", "--type", "vague"), "causal"),
        (("recall", "x", "--since", "some day"), "some day"),
        (("recall", "x", "--at", "some day"), "neither a position, such as 12, nor a time"),
        (("recall", "x", "--tag-mode", "some"), "'all' or 'any'"),
        (("recall", "x", "--metadata", "floor"), "KEY=VALUE"),
        (("recall", "x", "--scope", "secret"), "private, shared, public"),
        (("recall", "x", "--asked-at", "some day"), "some day"),
        (("recall", "x", "--at", "999"), "999"),
        (("log", "--since", "some day"), "some day"),
        (("ingest", "/nowhere/at/all"), "/nowhere/at/all"),
        (("recall", "x", "--since", "soon"), "nor words for one, such as yesterday"),
        (("remember", "x", "--expires", "30days"), "such as 30d"),
        (("recall", "x", "--scope", "team"), "private, shared, public"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_value_that_cannot_be_used_is_wrong_usage(shell: Shell, words: tuple[str, ...], part: str) -> None:
    shell.run("remember", "something")
    before = shell.json("verify")
    assert part in complaint(shell, *words, code=2)
    assert shell.json("verify") == before


def test_an_ingest_that_fails_makes_no_store(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text('{"role": "user", "content": "Hi"}\n{"role": \n')
    (tmp_path / "picture.png").write_bytes(b"PNG")
    for path, code in (("/nowhere/at/all", 2), (str(tmp_path / "broken.jsonl"), 1), (str(tmp_path / "picture.png"), 1)):
        complaint(shell, "ingest", path, code=code)
        assert not shell.store.exists()


def test_an_empty_standard_input_is_no_text(shell: Shell) -> None:
    assert "no text" in complaint(shell, "remember", "-", code=2, stdin=" \n")
    assert "no ids" in complaint(shell, "forget", "-", code=2, stdin="")
    assert "not UTF-8" in complaint(shell, "remember", "-", code=2, stdin=b"\xff\xfe")


@pytest.mark.parametrize("words", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_2(shell: Shell, words: tuple[str, ...]) -> None:
    assert "Usage: " in shell.run(*words, code=2)
    assert not shell.store.exists()


def test_import_keeps_a_store_of_another_memory(shell: Shell, tmp_path: Path) -> None:
    other = Shell(tmp_path / "other.memory")
    other.run("remember", "something")
    other.run("export", str(tmp_path / "file"))
    shell.run("remember", "mine")
    before = shell.json("verify")
    assert "another memory" in complaint(shell, "import", str(tmp_path / "file"))
    assert shell.json("verify") == before


def test_a_tag_that_is_not_there_is_not_taken_away(shell: Shell) -> None:
    made = shell.json("remember", "something", "--tag", "here")
    assert "has no tag 'there'; it has: here" in complaint(shell, "revise", made["id"], "--remove-tag", "there", code=2)
    assert shell.json("show", made["id"])["tags"] == ["here"]


def test_export_overwrites_a_file_only_when_it_is_told_to(shell: Shell, tmp_path: Path) -> None:
    shell.run("remember", "something")
    (tmp_path / "file").write_text("dear")
    assert "overwrite it with --force" in complaint(shell, "export", str(tmp_path / "file"), code=2)
    assert (tmp_path / "file").read_text() == "dear"
    shell.run("export", str(tmp_path / "file"), "--force")
    assert shell.json("import", str(tmp_path / "file"), "--store", str(tmp_path / "new"))["memories"] == 1


def test_a_foreign_folder_is_refused(shell: Shell) -> None:
    shell.store.mkdir()
    (shell.store / "thesis.txt").write_text("dear")
    complaint(shell, "remember", "something")
    assert [path.name for path in shell.store.iterdir()] == ["thesis.txt"]


def damaged(shell: Shell) -> Shell:
    """The shell, after a byte in the middle of its log was changed."""
    for number in range(20):
        shell.run("remember", f"memory number {number}")
    segment = next((shell.store / "log").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[data.index(b"memory number 7")] ^= 1
    segment.write_bytes(data)
    return shell


def test_verify_says_where_the_damage_is(shell: Shell) -> None:
    damaged(shell)
    result = CliRunner().invoke(app, ["--store", str(shell.store), "verify"])
    assert result.exit_code == 1
    assert result.stderr == ""
    assert "DAMAGED: 8 records can be read; from position 9 on nothing can be read" in result.stdout
    assert "12 records pass their own check" in result.stdout
    assert "export and copies of it hold only what comes before position 9" in result.stdout
    assert ".seg" in result.stdout
    answer = CliRunner().invoke(app, ["--store", str(shell.store), "verify", "--json"])
    assert answer.exit_code == 1
    report = json.loads(answer.stdout)
    assert not report["whole"]
    assert ".seg" in report["damage"][0]["where"]


READ_DAMAGED = [("stats",), ("recall", "memory"), ("reason", "memory"), ("log",), ("replay",)]


def says_damage(shell: Shell, *words: str, code: int = 0) -> bool:
    result = CliRunner().invoke(app, ["--store", str(shell.store), *words])
    assert result.exit_code == code
    return f'run "memorygraph --store {shell.store} verify"' in result.stderr.partition("\n")[0]


def test_every_command_says_that_the_store_is_damaged(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("remember", "well")
    assert not says_damage(shell, "stats")
    damaged(shell)
    for words in READ_DAMAGED:
        assert says_damage(shell, *words)
    assert says_damage(shell, "remember", "more", code=1)
    assert says_damage(shell, "forget", "x", code=1)
    monkeypatch.setattr(options, "noted", lambda memory: memory)
    assert not says_damage(shell, "stats")


def test_a_damaged_store_is_exported_only_on_demand(shell: Shell, tmp_path: Path) -> None:
    damaged(shell)
    file = tmp_path / "file"
    assert "only positions 1 to 8 can be read; nothing was exported" in shell.run("export", str(file), code=1)
    assert not file.exists()
    assert "up to position 8 " in shell.run("export", str(file), "--partial")
    other = Shell(tmp_path / "other.memory")
    assert other.json("import", str(file)) == {"store": str(other.store), "position": 8, "memories": 7}


def test_an_error_of_the_system_is_one_line(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "Permission denied", "there")

    shell.run("remember", "something")
    monkeypatch.setattr(AgentMemory, "export", refuse)
    assert "Permission denied" in complaint(shell, "export", str(tmp_path / "file"))


def test_without_arguments_there_is_help() -> None:
    result = CliRunner().invoke(app, [])
    assert "ingest" in result.output
    assert "$MEMORYGRAPH_STORE" in result.output


def test_the_store_comes_from_the_environment_or_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["remember", "here"]).exit_code == 0
    assert (tmp_path / "agent.memory").is_dir()
    monkeypatch.setenv("MEMORYGRAPH_STORE", str(tmp_path / "other.memory"))
    assert CliRunner().invoke(app, ["remember", "there"]).exit_code == 0
    assert (tmp_path / "other.memory").is_dir()


def test_the_agent_comes_from_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYGRAPH_AGENT", "Ada")
    made = shell.json("remember", "something")
    with AgentMemory(path=shell.store, read_only=True) as memory:
        assert memory.history(made["id"])[0].principal == "Ada"


def test_repair_says_what_it_copied_and_what_is_lost(shell: Shell, tmp_path: Path) -> None:
    damaged(shell)
    assert "positions 10 to 21" in shell.run("verify", code=1)
    assert shell.json("verify", code=1)["readable"] == [[1, 8], [10, 21]]
    new, rest = tmp_path / "new.memory", tmp_path / "rest.jsonl"
    said = shell.run("repair", "--to", str(new))
    assert "copied positions 1 to 8" in said
    assert "lost: positions 9\n" in said
    assert "not copied, because they follow on what is lost: positions 10 to 21" in said
    assert "--rest FILE" in said
    Shell(new).run("remember", "goes on")
    other = tmp_path / "other.memory"
    report = shell.json("repair", "--to", str(other), "--rest", str(rest))
    assert (report["position"], report["lost"], report["behind"], report["written"]) == (8, [[9, 9]], [[10, 21]], 12)
    assert "memory number 8" in rest.read_text()
    assert "something already" in complaint(shell, "repair", "--to", str(new))
    assert "nothing to repair" in complaint(Shell(new), "repair", "--to", str(tmp_path / "third"), code=2)
