"""The tour on a small repository: every check in it happens, and it fails when one does not hold."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memorygraph import AgentMemory
from memorygraph.core.node import MemoryNode
from memorygraph.demo import crash, tour
from memorygraph.demo.__main__ import default_store
from memorygraph.demo.crash import Acknowledged, Aftermath, lost
from memorygraph.demo.questions import choose, derive, keyword_search
from memorygraph.demo.tour import Tour
from memorygraph.ingest import ingest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ["1. Remember", "2. Ask", "3. Reason", "4. Pull the plug", "5. Look back", "6. Check", "7. Your turn"]


def demo(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "memorygraph.demo", *words], check=False, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_the_tour_twice(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    store = tmp_path / "tour.memory"
    words = ("--repo", str(repository), "--store", str(store))
    first = demo(*words)
    lines = first.stdout.splitlines()
    assert first.stderr == ""
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line in CHAPTERS] == CHAPTERS
    assert "keyword search" in first.stdout
    assert "Ended by signal 9" in first.stdout
    assert ", 0 lost; chain whole" in " ".join(first.stdout.split())
    assert "was moved to Thursday." in first.stdout
    assert "is on Tuesday." in first.stdout
    assert str(store) in "".join(line.strip() for line in lines)
    (repository / "NEW.md").write_text("# Jetty\n\nThe new jetty is of oak.\n")
    subprocess.run(["git", "-C", str(repository), "add", "."], check=True)
    second = " ".join(demo(*words, "--ask", "What is the jetty made of?").stdout.split())
    assert "1 new, 0 changed, 0 gone" in second or "2 new, 0 changed, 0 gone" in second
    assert "“What is the jetty made of?”" in second
    assert "NEW.md" in second


def test_a_folder_without_git(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Bread needs flour, water, salt and time.")
    done = demo("--repo", str(tmp_path / "notes"), "--store", str(tmp_path / "tour.memory"))
    said = " ".join(done.stdout.split())
    assert "no git repository" in said
    assert "becomes memories: sections of text, docstrings" in said
    assert "“Bread needs flour”" in said
    assert "1 memory (1 semantic)" in said
    assert "copies of 1 memory." in said
    assert "keyword search (the same): a.txt a.txt Bread needs" in said


def test_what_does_not_match_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Bread needs flour, water, salt and time.")
    done = demo("--repo", str(tmp_path / "notes"), "--store", str(tmp_path / "tour.memory"), "--ask", "zzzqqq")
    said = " ".join(done.stdout.split())
    assert "“zzzqqq” nothing matches keyword search: nothing" in said
    assert "no match" not in said


def test_folders_of_one_name_have_stores_of_their_own(tmp_path: Path) -> None:
    one, two = (default_store(tmp_path / where / "notes") for where in ("here", "there"))
    assert one != two
    assert re.fullmatch(r"demo-notes-[0-9a-f]{6}\.memory", one.name)
    assert (one.parent, default_store(tmp_path / "here" / "notes")) == (Path.cwd(), one)


def test_clean_removes_what_demos_remembered() -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "-n", "clean"], check=True, capture_output=True, text=True)
    assert "demo-*.memory" in done.stdout.split()


def test_a_closed_pipe_is_no_error(repository: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "memorygraph.demo",
        "--repo",
        str(repository),
        "--store",
        str(tmp_path / "t.memory"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_shallow_clone(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", repository.as_uri(), str(clone)], check=True)
    done = demo("--repo", str(clone), "--store", str(tmp_path / "tour.memory"))
    assert "Note: shallow clone" in " ".join(done.stdout.split())


def test_nothing_to_remember(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = demo("--repo", str(tmp_path / "empty"), "--store", str(tmp_path / "tour.memory"), code=1)
    assert done.stderr.startswith("memorygraph: there is nothing to remember in ")
    assert "make demo REPO=PATH" in done.stderr
    assert (done.stdout, (tmp_path / "tour.memory").exists()) == ("", False)


def test_no_such_folder(tmp_path: Path) -> None:
    done = demo("--repo", str(tmp_path / "gone"), "--store", str(tmp_path / "tour.memory"), code=1)
    assert done.stderr.startswith("memorygraph: ")
    assert done.stderr.count("\n") == 1
    assert "make demo REPO=PATH" in done.stderr
    assert not (tmp_path / "tour.memory").exists()


# Each check of the tour can fail.


@pytest.fixture
def walk(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tour:
    """A tour in this process, with a kill that went well."""
    well = Aftermath(signal=9, acknowledged=100, lost=(), records=100, whole=True, notes=("a torn tail",))
    monkeypatch.setattr(tour, "kill_a_writer", lambda _: well)
    return Tour(repository, tmp_path / "tour.memory", ("What does a canoe cost?",))


def test_a_tour_in_which_all_holds(walk: Tour) -> None:
    assert (walk.run(), walk.failures) == (True, [])


@pytest.mark.parametrize("change", [{"whole": False}, {"lost": (Acknowledged(position=7, original="a", copy="b"),)}])
def test_a_loss_in_the_crash_fails_the_tour(
    walk: Tour, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    bad = {"signal": 9, "acknowledged": 100, "lost": (), "records": 100, "whole": True, "notes": ()} | change
    monkeypatch.setattr(tour, "kill_a_writer", lambda _: Aftermath(**bad))
    assert not walk.run()
    assert len(walk.failures) == 1


def test_a_past_like_the_present_fails_the_tour(walk: Tour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentMemory, "at", lambda self, _: self)
    assert not walk.run()
    assert walk.failures == ["now and then do not give the two versions of the note"]


def test_another_state_fails_the_tour(walk: Tour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentMemory, "replay", lambda _: "another")
    assert not walk.run()
    assert walk.failures == ["computed again, the state is another"]


def test_losses_are_seen() -> None:
    with AgentMemory() as source, AgentMemory() as copy:
        one, two = source.remember("one"), source.remember("two")
        kept = copy.remember("one", node_id="kept")
        good = Acknowledged(position=kept.position, original=one.id, copy=kept.id)
        missing = Acknowledged(position=1, original=one.id, copy="missing")
        other = Acknowledged(position=1, original=two.id, copy=kept.id)
        beyond = Acknowledged(position=99, original=one.id, copy=kept.id)
        assert lost([good, missing, other, beyond], source, copy) == [missing, other, beyond]


def test_the_killed_writer_had_work_left(tmp_path: Path) -> None:
    with AgentMemory(path=tmp_path / "source.memory") as source:
        source.remember_many(["one", "two", "three"])
        after = crash.kill_a_writer(source)
    assert (after.signal, after.lost, after.whole) == (9, [], True)
    assert after.records >= after.acknowledged >= 100


# Questions.


def test_questions_for_a_foreign_repository(repository: Path) -> None:
    with AgentMemory() as memory:
        ingest(memory, repository)
        questions = choose(repository, memory.find(), ())
    assert len(questions.recall) == 4
    assert {"Winter storage", "Renting a canoe", "Say where the key of the hall hangs"} <= set(questions.recall)
    assert questions.reason == "Say where the key of the hall hangs"


def test_questions_that_were_asked_for() -> None:
    assert choose(ROOT, [], ["Why?"]) == (["Why?"], "Why?", "")


def test_topics_are_of_words_that_are_said(tmp_path: Path) -> None:
    (tmp_path / "empty.md").touch()
    with AgentMemory() as memory:
        ingest(memory, tmp_path)
        assert derive(memory.find()).recall == ["empty"]
        (tmp_path / "k.md").write_text("# Kitchen\n\n- ***\n\nThe oven is hot; mind.\n\n## README.md\n\nSee notes.md\n")
        ingest(memory, tmp_path)
        assert derive(memory.find()).recall == ["The oven is hot", "See notes.md"]


ANSWERS = ("bytes behind the tail aside", "not erased", "moved on under the command", "more than 500 lines")


def test_our_own_questions_find_their_answers() -> None:
    with AgentMemory() as memory:
        ingest(memory, ROOT)
        asked = choose(ROOT, memory.find(), ()).recall
        found = [memory.recall(question, k=1)[0] for question in asked]
    assert len(asked) == len(ANSWERS)
    told = {question: " ".join(hit.content.split()) for question, hit in zip(asked, found, strict=True)}
    assert [answer in text for answer, text in zip(ANSWERS, told.values(), strict=True)] == [True] * 4, told
    assert min(hit.score for hit in found) > 0.2


def test_no_memories_give_no_questions() -> None:
    with pytest.raises(ValueError, match="no memories"):
        derive([])


def test_keyword_search_counts_words() -> None:
    with AgentMemory() as memory:
        memory.remember("The canoe")
        most: MemoryNode = memory.remember("canoe, canoe and the boat")
        found = keyword_search("Where is the canoe?", memory.find())
        assert found is not None
        assert found.id == most.id
        assert keyword_search("zzzqqq", memory.find()) is None
