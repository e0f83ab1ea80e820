"""Keys, signed heads and excerpts from the command line, with their exit codes."""

import json
import shutil
from pathlib import Path

import pytest

from memorygraph import AgentMemory
from memorygraph.events.heads import read_heads
from memorygraph.events.stores import SegmentLog
from tests.cli.conftest import Shell


@pytest.fixture
def key(shell: Shell, tmp_path: Path) -> Path:
    said = shell.run("keygen", str(tmp_path / "key"))
    assert "keep it with who writes" in said
    return tmp_path / "key"


@pytest.fixture
def signed(shell: Shell, key: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with signed heads, and a copy of them."""
    monkeypatch.setenv("MEMORYGRAPH_SIGNING_KEY", str(key))
    for number in range(3):
        shell.run("remember", f"note {number}")
    monkeypatch.delenv("MEMORYGRAPH_SIGNING_KEY")
    kept = key.with_name("kept.jsonl")
    assert "wrote 3 signed heads" in shell.run("heads", "--export", str(kept))
    return kept


def test_keys_are_never_overwritten(shell: Shell, key: Path) -> None:
    assert "never overwritten" in shell.run("keygen", str(key), code=2)
    made = shell.json("keygen", str(key.with_name("second")))
    assert Path(made["private"]).stat().st_mode & 0o777 == 0o600
    assert len(made["public_key"]) == 64


def test_heads_are_listed_and_signed_now(shell: Shell, signed: Path, key: Path) -> None:
    lines = shell.run("heads").splitlines()
    assert [line.split()[0] for line in lines] == ["2", "3", "4"]
    with AgentMemory(shell.store) as memory:
        memory.remember("not signed")
    listed = shell.json("heads", "--sign", str(key))
    assert [head["position"] for head in listed] == [2, 3, 4, 5]
    assert len(read_heads(signed)) == 3


def test_heads_are_added_to_those_that_were_kept(shell: Shell, signed: Path, key: Path) -> None:
    """The routine of an auditor goes on after a rollback: what tells of it stays."""
    kept = read_heads(signed)
    heads = Path(shell.store) / "heads.jsonl"
    heads.write_bytes(heads.read_bytes().splitlines(keepends=True)[0])  # as if the store were an older copy
    said = shell.run("heads", "--export", str(signed))
    assert "wrote 1 signed heads" in said
    assert "it keeps 2 that this log does not have" in said
    assert read_heads(signed) == kept
    other = key.with_name("notes.txt")
    other.write_text("buy milk\n")
    assert "is not a signed head" in shell.run("heads", "--export", str(other), code=1)
    assert other.read_text() == "buy milk\n"


def test_without_heads_it_says_how(shell: Shell, key: Path) -> None:
    shell.run("remember", "x")
    assert "keygen" in shell.run("heads")
    assert shell.json("heads") == []
    assert "proves nothing" in shell.run("verify", "--heads", _empty(key), code=1)


def _empty(key: Path) -> str:
    (key.parent / "empty").write_text("")
    return str(key.parent / "empty")


def test_verify_tells_that_heads_agree(shell: Shell, signed: Path, key: Path) -> None:
    said = shell.run("verify", "--heads", str(signed), "--key", f"{key}.pub")
    assert "3 of 3 signed heads agree, the last at position 4" in said
    assert "was not checked" not in said
    assert "who signed was not checked" in shell.run("verify", "--heads", str(signed))
    facts = shell.json("verify", "--heads", str(signed), "--key", f"{key}.pub")
    assert (facts["whole"], facts["heads"]["good"], facts["heads"]["findings"]) == (True, True, [])
    shell.run("verify", "--key", f"{key}.pub", code=2)


def test_each_fault_has_its_words_and_its_exit_code(shell: Shell, signed: Path, key: Path, tmp_path: Path) -> None:
    public = f"{key}.pub"
    memory_id = read_heads(signed)[0].memory_id

    def check(store: Path, code: int, words: str, heads: Path = signed, trusted: str = public) -> None:
        said = Shell(store).run("verify", "--heads", str(heads), "--key", trusted, code=code)
        assert words in said
        facts = Shell(store).json("verify", "--heads", str(heads), "--key", trusted, code=code)
        assert facts["heads"]["findings"][0]["fault"].upper() == words.split(":", maxsplit=1)[0]

    shell.run("export", str(tmp_path / "short"))
    rolled_back = tmp_path / "rolled-back"
    SegmentLog.open(rolled_back, memory_id=bytes.fromhex(memory_id)).close()
    frames = list(AgentMemory(shell.store, read_only=True)._engine.frames())
    log = SegmentLog.open(rolled_back)
    for frame in frames[:2]:
        with log.lock():
            log.adopt(frame)
    log.close()
    check(rolled_back, 3, "ROLLED BACK: signed head 2, of position 3: the log ends at position 2")

    rewritten = tmp_path / "rewritten"
    SegmentLog.open(rewritten, memory_id=bytes.fromhex(memory_id)).close()
    with AgentMemory(rewritten) as memory:
        for number in range(5):
            memory.remember(f"other {number}")
    check(rewritten, 4, "REWRITTEN: signed head 1, of position 2: the log has another chain there")

    forged = tmp_path / "forged"
    forged.write_text(signed.read_text().replace('"position":4', '"position":2'))
    check(shell.store, 5, "FORGED: signed head 3, of position 2: the signature does not belong to what it says", forged)
    other = shell.json("keygen", str(tmp_path / "other"))["public_key"]
    check(shell.store, 5, "FORGED: signed head 1, of position 2: it is signed by another key", trusted=other)

    elsewhere = tmp_path / "elsewhere"
    Shell(elsewhere).run("remember", "x")
    check(elsewhere, 6, "OTHER MEMORY: signed head 1, of position 2: it is of memory")


def test_a_record_that_was_emptied_has_its_exit_code(shell: Shell, signed: Path, key: Path) -> None:
    log = SegmentLog.open(shell.store)
    log.replace_by_hash({3})
    log.close()
    said = shell.run("verify", "--heads", str(signed), "--key", f"{key}.pub", code=7)
    assert "nothing in the log tells of that" in said
    assert "3 of 3 signed heads agree" in said


def test_damage_and_heads_are_told_together(shell: Shell, signed: Path, key: Path) -> None:
    segment = next((shell.store / "log").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[data.find(b"note 1")] ^= 1
    segment.write_bytes(data)
    said = shell.run("verify", "--heads", str(signed), "--key", f"{key}.pub", code=1)
    assert "DAMAGED" in said
    assert "1 of 3 signed heads agree" in said
    assert "2 are of positions that cannot be read" in said


def test_a_file_is_verified_and_held_against_heads(shell: Shell, signed: Path, key: Path, tmp_path: Path) -> None:
    file = tmp_path / "excerpt"
    said = shell.run("export", str(file), "--only", "from=3", "--only", "to=3")
    assert said.startswith("exported an excerpt up to position 4")
    nowhere = Shell(tmp_path / "nowhere")
    said = nowhere.run("verify", str(file), "--heads", str(signed), "--key", f"{key}.pub")
    assert "an excerpt: 3 of its records are only hashes" in said
    assert "3 of 3 signed heads agree" in said
    data = file.read_bytes()
    file.write_bytes(data[:-48])
    assert "it was cut" in nowhere.run("verify", str(file), code=1)
    assert "cannot be read" in nowhere.run("verify", str(tmp_path / "missing"), code=1)


def test_an_excerpt_is_audited_without_a_store(shell: Shell, tmp_path: Path) -> None:
    for who in ("ann", "ben"):
        shell.run("remember", f"of {who}", "--agent", who)
    file = tmp_path / "excerpt"
    shell.run("export", str(file), "--only", "who=ben", "--only", "action=wrote", "--only", "since=2000-01-01")
    nowhere = Shell(tmp_path / "nowhere")
    heading, *lines = nowhere.run("audit", "--file", str(file)).splitlines()
    assert "from where" in heading
    assert [line.split()[0] for line in lines[:2]] == ["1", "3"]
    assert "(records to position 2 replaced; only their hashes are kept)" in lines[0]
    entries = [json.loads(line) for line in nowhere.run("audit", "--file", str(file), "--json").splitlines()]
    wrote = [entry["principal"] for entry in entries if entry["action"] == "wrote"]
    assert wrote == ["ben"]
    assert "is an excerpt" in nowhere.run("import", str(file), code=1)


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ("colour=red", "--only colour= is not known; known are who, id, action, session"),
        ("who", "'who' must be NAME=VALUE"),
        ("from=x", "from must be a position, not 'x'"),
        ("action=stole", "is not an action"),
    ],
)
def test_a_choice_that_cannot_be_made_is_said(shell: Shell, tmp_path: Path, only: str, words: str) -> None:
    shell.run("remember", "x")
    assert words in shell.run("export", str(tmp_path / "file"), "--only", only, code=2)
    assert "is there twice" in shell.run("export", str(tmp_path / "file"), "--only", "to=1", "--only", "to=2", code=2)
    assert not (tmp_path / "file").exists()


def test_signing_needs_a_store(shell: Shell, key: Path) -> None:
    assert "there is no memory at" in shell.run("heads", "--sign", str(key), code=1)
    assert "there is no memory at" in shell.run("heads", code=1)
    assert not shell.store.exists()


def test_a_missing_library_is_one_line(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.asymmetric", None)
    said = shell.run("keygen", str(tmp_path / "key"), code=1)
    assert 'memorygraph: signed heads need the extra "audit"' in said


def test_a_copied_store_keeps_its_heads(shell: Shell, signed: Path, tmp_path: Path) -> None:
    shutil.copytree(shell.store, tmp_path / "copy")
    assert len(Shell(tmp_path / "copy").json("heads")) == len(read_heads(signed))
