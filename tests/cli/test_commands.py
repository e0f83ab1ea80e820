"""Every command end to end, for people and with --json."""

import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memorygraph import AgentMemory
from memorygraph.cli import app, writes
from memorygraph.core.node import MemoryNode
from memorygraph.core.types import MemoryType
from tests.cli.conftest import Shell


@pytest.fixture
def boats(shell: Shell) -> dict[str, str]:
    """Three memories and a link; gives their ids by name."""
    said = {
        "canoe": ("A canoe costs nine crowns per hour", "--speaker", "Ada", "--when", "2024-05-08", "--tag", "price"),
        "hall": ("The long hall is locked in winter", "--type", "semantic", "--source", "GUIDE.md#hall"),
        "key": ("It hangs behind the oar rack", "--session", "monday", "--importance", "0.9"),
    }
    ids = {name: shell.json("remember", *words)["id"] for name, words in said.items()}
    shell.run("link", ids["hall"], ids["key"], "--type", "causal", "--weight", "0.9")
    return ids


def test_remember_keeps_what_is_given(shell: Shell, boats: dict[str, str]) -> None:
    canoe, hall, key = (shell.json("show", boats[name]) for name in ("canoe", "hall", "key"))
    assert (canoe["content"], canoe["speaker"], canoe["tags"]) == (
        "A canoe costs nine crowns per hour",
        "Ada",
        ["price"],
    )
    assert canoe["occurred_at"] == 1715126400.0
    assert (hall["memory_type"], hall["source"]) == ("semantic", "GUIDE.md#hall")
    assert (key["session"], key["importance"]) == ("monday", 0.9)


def test_remember_says_id_and_position(shell: Shell) -> None:
    words = shell.run("remember", "Something").split()
    with AgentMemory(path=shell.store, read_only=True) as memory:
        assert memory.get(words[1]).content == "Something"
        assert words == ["remembered", words[1], "at", "position", str(memory.position)]


def test_text_comes_from_standard_input(shell: Shell) -> None:
    made = shell.json("remember", "-", stdin="two lines\nof text\n")
    assert shell.json("show", made["id"])["content"] == "two lines\nof text"
    shell.run("revise", made["id"], "-", stdin="now one")
    assert shell.json("show", made["id"])["content"] == "now one"
    forgotten = shell.json("forget", "-", stdin=f"{made['id']}\n")
    assert forgotten["forgotten"] == [made["id"]]


def test_recall_ranks_and_says_why(shell: Shell, boats: dict[str, str]) -> None:
    answer = shell.json("recall", "what does a canoe cost in the hall", "-k", "2")
    best = answer["hits"][0]
    assert len(answer["hits"]) == 2
    assert (best["node_id"], best["speaker"]) == (boats["canoe"], "Ada")
    assert 0 < best["score"] <= 1
    assert "canoe" in best["why"]["text"]
    with AgentMemory(path=shell.store, read_only=True) as memory:
        assert answer["position"] == memory.position


def test_recall_for_people(shell: Shell, boats: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = shell.run("recall", "canoe", "-k", "1").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[0] == "1"
    assert "A canoe costs nine crowns per hour" in lines[0]
    assert f"{boats['canoe']} · 2024-05-08 00:00 · Ada" in lines[1]
    assert lines[2].strip().startswith("why: ")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--type", "semantic"), {"hall"}),
        (("--tag", "price"), {"canoe"}),
        (("--tag", "price", "--tag", "other"), set()),
        (("--tag", "price", "--tag", "other", "--tag-mode", "any"), {"canoe"}),
        (("--metadata", "floor=2"), set()),
        (("--scope", "public"), {"canoe", "hall", "key"}),
        (("--scope", "private"), set()),
        (("--speaker", "Ada"), {"canoe"}),
        (("--session", "monday"), {"key"}),
        (("--source", "GUIDE.md#hall"), {"hall"}),
        (("--until", "2024-12-31"), {"canoe"}),
        (("--since", "2025-01-01"), {"hall", "key"}),
        (("--threshold", "1"), set()),
        (("--at", "1"), set()),
        (("--as-of", "1"), set()),
    ],
)
def test_recall_filters(shell: Shell, boats: dict[str, str], options: tuple[str, ...], found: set[str]) -> None:
    hits = shell.json("recall", "the hall in winter", "--threshold", "0", *options)["hits"]
    assert {hit["node_id"] for hit in hits} == {boats[name] for name in found}


def test_a_session_of_digits_may_be_a_number(shell: Shell) -> None:
    with AgentMemory(path=shell.store) as memory:
        ids = {session: memory.remember("The status is green", session=session).id for session in (1, 2, "2")}
    for command in ("recall", "reason"):
        assert [hit["node_id"] for hit in shell.json(command, "status", "--session", "1")["hits"]] == [ids[1]]
        assert [hit["node_id"] for hit in shell.json(command, "status", "--session", "2")["hits"]] == [ids["2"]]
    assert shell.json("context", "status", "--session", "1")["ids"] == [ids[1]]
    assert shell.run("recall", "status", "--session", "3") == "nothing passes the filters\n"


def test_date_words_count_from_when_the_question_is_asked(shell: Shell, boats: dict[str, str]) -> None:
    words = ("the hall or a canoe last week", "-k", "1", "--asked-at", "2024-05-15")
    hit = shell.json("recall", *words)["hits"][0]
    assert (hit["node_id"], hit["why"]["window"]) == (boats["canoe"], "last week")
    assert shell.json("reason", *words)["hits"][0]["node_id"] == boats["canoe"]
    assert "happened last week" in shell.run("recall", *words)


def test_context_prints_a_block(shell: Shell, boats: dict[str, str]) -> None:
    block = shell.json("context", "canoe", "--pin", boats["key"])
    assert block["ids"] == [boats["key"], boats["canoe"]]
    assert shell.run("context", "canoe", "--pin", boats["key"]) == block["text"] + "\n"
    assert shell.json("context", "canoe", "--pin-tag", "price")["ids"] == [boats["canoe"]]
    assert shell.json("context", "hall canoe", "--speaker", "Ada")["ids"] == [boats["canoe"]]
    assert shell.json("context", "canoe", "--max-tokens", "5")["ids"] == []
    assert shell.run("context", "canoe", "--max-tokens", "5") == ""
    assert shell.run("context", "zzzqqq") == ""


def test_a_memory_takes_the_place_of_another(shell: Shell, boats: dict[str, str]) -> None:
    made = shell.json("remember", "Boats are free today", "--supersedes", boats["canoe"])["id"]
    hits = shell.json("recall", "what does a canoe cost", "-k", "2")["hits"]
    assert [hit["node_id"] for hit in hits] == [made, boats["canoe"]]
    assert f"superseded by {made}" in shell.run("recall", "what does a canoe cost")


def test_recall_without_hits_says_why(shell: Shell, boats: dict[str, str]) -> None:
    assert shell.run("recall", "hall", "--speaker", "Nobody") == "nothing passes the filters\n"
    assert shell.run("recall", "zzzqqq") == "nothing matches\n"
    assert shell.run("recall", "zzzqqq", "--speaker", "Ada") == "nothing matches\n"
    assert shell.run("reason", "zzzqqq") == "nothing matches\n"
    shell.run("forget", *boats.values())
    assert shell.run("recall", "hall", "--speaker", "Nobody") == "the memory is empty\n"


@pytest.mark.usefixtures("boats")
def test_recall_lists_what_matches_or_on_demand_all(shell: Shell) -> None:
    assert len(shell.json("recall", "canoe")["hits"]) == 1
    assert len(shell.json("recall", "canoe", "--threshold", "0")["hits"]) == 3


def test_recall_asks_the_past(shell: Shell, boats: dict[str, str]) -> None:
    before = shell.json("stats")["position"]
    shell.run("revise", boats["canoe"], "A canoe costs ten crowns per hour")
    contents = [
        shell.json("recall", "canoe", "-k", "1", *at)["hits"][0]["content"]
        for at in ((), ("--at", str(before)), ("--at", "2999-01-01"))
    ]
    assert [content.split()[3] for content in contents] == ["ten", "nine", "ten"]


@pytest.mark.usefixtures("boats")
def test_recall_changes_nothing(shell: Shell) -> None:
    before = shell.json("stats")
    shell.run("recall", "canoe")
    shell.run("reason", "hall")
    assert shell.json("stats") | {"oldest_node_age_s": 0} == before | {"oldest_node_age_s": 0}


def test_reason_follows_links(shell: Shell, boats: dict[str, str]) -> None:
    hits = shell.json("reason", "long hall winter", "--hops", "1", "-k", "5")["hits"]
    assert boats["key"] in [hit["node_id"] for hit in hits]
    assert "It hangs behind the oar rack" in shell.run("reason", "long hall winter")


def test_link_is_there_from_both_ends(shell: Shell, boats: dict[str, str]) -> None:
    made = shell.json("link", boats["canoe"], boats["key"], "--undirected")
    for here, there in (("canoe", "key"), ("key", "canoe")):
        found = [edge for edge in shell.json("show", boats[here])["edges"] if edge["id"] == made["id"]]
        assert [(edge["other"], edge["directed"], edge["type"]) for edge in found] == [
            (boats[there], False, "association")
        ]


def test_show_for_people(shell: Shell, boats: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shell.run("revise", boats["hall"], "The long hall is locked in winter and spring", "--tag", "x", "--agent", "Ben")
    shown = shell.run("show", boats["hall"])
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "The long hall is locked in winter and spring"
    (edge,) = [one["id"] for one in shell.json("show", boats["hall"])["edges"]]
    assert any(line.split()[:5] == ["→", "causal", "0.90", edge, boats["key"]] for line in lines)
    assert [word for word in ("added", "linked", "revised") if word not in shown] == []
    revised = next(line for line in lines if "revised" in line)
    assert "Ben" in revised
    assert "It hangs behind" in shown


def test_show_tells_of_the_forgotten(shell: Shell, boats: dict[str, str]) -> None:
    before = shell.json("stats")["position"]
    shell.run("forget", boats["key"], "--reason", "key moved", "--agent", "Ben")
    lines = shell.run("show", boats["key"]).splitlines()
    assert lines[0].startswith(f"{boats['key']} was forgotten at position {before + 1}, 2")
    assert lines[0].endswith(", by Ben: key moved")
    assert lines[1] == f"as it was before: show {boats['key']} --at {before}"
    assert any("It hangs behind the oar rack" in line for line in lines)
    facts = shell.json("show", boats["key"])
    assert (facts["forgotten"]["position"], facts["forgotten"]["principal"]) == (before + 1, "Ben")
    assert [change["kind"] for change in facts["history"]] == ["added", "linked", "forgotten"]
    assert log_of(shell, "--id", boats["key"])[-1]["kind"] == "forgotten"


def test_show_asks_the_past(shell: Shell, boats: dict[str, str]) -> None:
    before = str(shell.json("stats")["position"])
    shell.run("revise", boats["key"], "It is lost")
    shell.run("forget", boats["key"])
    then = shell.json("show", boats["key"], "--at", before)
    assert (then["content"], len(then["edges"]), len(then["history"])) == ("It hangs behind the oar rack", 1, 2)
    assert "no node" in shell.run("show", boats["key"], "--at", "1", code=1)


def test_quiet_prints_the_id_alone(shell: Shell, boats: dict[str, str]) -> None:
    made = shell.run("remember", "-q", "Something").removesuffix("\n")
    assert shell.json("show", made)["content"] == "Something"
    edge = shell.run("link", made, boats["key"], "--quiet").removesuffix("\n")
    assert [one["id"] for one in shell.json("show", made)["edges"] if one["other"] == boats["key"]] == [edge]


def test_unlink_takes_the_id_that_show_prints(shell: Shell, boats: dict[str, str]) -> None:
    (edge,) = [one["id"] for one in shell.json("show", boats["key"])["edges"]]
    assert f" {edge} " in shell.run("show", boats["key"])
    assert shell.run("unlink", edge, "--reason", "not so").startswith(f"unlinked {edge} at position ")
    assert shell.json("show", boats["key"])["edges"] == []
    assert log_of(shell)[-1]["event"]["reason"] == "not so"  # type: ignore[index]
    assert "no edge" in shell.run("unlink", edge, code=1)


def test_version(shell: Shell) -> None:
    assert shell.run("--version") == f"memorygraph {version('memorygraph')}\n"


def test_revise_changes_only_what_is_given(shell: Shell, boats: dict[str, str]) -> None:
    before = shell.json("show", boats["canoe"])
    shell.json("revise", boats["canoe"], "--importance", "0.7", "--type", "semantic", "--when", "2024-06-01")
    after = shell.json("show", boats["canoe"])
    changed = {name for name in before if before[name] != after[name]}
    assert {"importance", "memory_type", "occurred_at"} <= changed
    assert changed.isdisjoint({"content", "tags", "speaker", "session", "source", "edges"})
    assert shell.run("revise", boats["canoe"], "New words").startswith(f"revised {boats['canoe']} at position ")


def test_revise_gives_all_tags_anew_or_some_more_and_less(shell: Shell, boats: dict[str, str]) -> None:
    canoe = boats["canoe"]
    shell.run("revise", canoe, "--add-tag", "boat", "--add-tag", "rent", "--importance", "0.7")
    assert (shell.json("show", canoe)["tags"], shell.json("show", canoe)["importance"]) == (
        ["price", "boat", "rent"],
        0.7,
    )
    shell.run("revise", canoe, "--add-tag", "summer", "--remove-tag", "rent", "--remove-tag", "price")
    assert shell.json("show", canoe)["tags"] == ["boat", "summer"]
    shell.run("revise", canoe, "--tag", "only")
    assert shell.json("show", canoe)["tags"] == ["only"]
    shell.run("revise", canoe, "--remove-tag", "only")
    assert shell.json("show", canoe)["tags"] == []


def test_a_tag_that_somebody_adds_meanwhile_is_not_lost(
    shell: Shell, boats: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tags_of = writes._tags

    def beside_another(node: MemoryNode, added: list[str], removed: list[str]) -> list[str]:
        with AgentMemory(path=shell.store) as other:
            other.revise(node.id, tags=["price", "theirs"])
        return tags_of(node, added, removed)

    monkeypatch.setattr(writes, "_tags", beside_another)
    shell.run("revise", boats["canoe"], "--add-tag", "ours", code=1)
    assert shell.json("show", boats["canoe"])["tags"] == ["price", "theirs"]


def test_questions_need_no_quotes(shell: Shell, boats: dict[str, str]) -> None:
    asked = ["what", "does", "a", "canoe", "cost"]
    for command in ("recall", "reason", "context"):
        answer = shell.run(command, *asked)
        assert boats["canoe"] in answer
        assert shell.run(command, " ".join(asked)) == answer
        assert shell.run(command, "-", stdin=" ".join(asked)) == answer


def test_forget_takes_several_or_none(shell: Shell, boats: dict[str, str]) -> None:
    shell.run("forget", boats["canoe"], "unknown", code=1)
    assert shell.json("stats")["num_nodes"] == 3
    shell.run("forget", boats["canoe"], boats["key"])
    assert shell.json("stats")["num_nodes"] == 1


@pytest.mark.usefixtures("boats")
def test_stats(shell: Shell) -> None:
    facts = shell.json("stats")
    assert (facts["num_nodes"], facts["path"]) == (3, str(shell.store))
    assert facts["type_distribution"]["semantic"] == 1
    shown = shell.run("stats")
    assert "memories" in shown
    assert "semantic 1" in shown


def log_of(shell: Shell, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in shell.run("log", "--json", *words).splitlines()]


def test_log_lists_every_event(shell: Shell, boats: dict[str, str]) -> None:
    events = log_of(shell)
    assert [event["position"] for event in events] == sorted(event["position"] for event in events)
    assert events[-1]["position"] == shell.json("stats")["position"]
    lines = shell.run("log").splitlines()
    assert len(lines) == len(events)
    assert f"{boats['hall']} → {boats['key']}  causal" in lines[-1]
    assert lines[0].endswith('the memory "agent_memory", its texts in language "en"')
    assert " vectors of 256 dimensions, made by " in lines[1]


def test_log_filters(shell: Shell, boats: dict[str, str]) -> None:
    shell.run("remember", "From Ben", "--agent", "Ben")
    everything = log_of(shell)
    first, last = 3, len(everything)
    assert {event["kind"] for event in log_of(shell, "--type", "added")} == {"added"}
    assert {event["kind"] for event in log_of(shell, "--type", "added", "--type", "linked")} == {"added", "linked"}
    assert [event["kind"] for event in log_of(shell, "--id", boats["key"])] == ["added", "linked"]
    assert len(log_of(shell, "--agent", "Ben")) == 1
    assert log_of(shell, "--agent", "Nobody") == []
    span = [event for event in everything if first <= event["position"] <= last]
    assert log_of(shell, "--from", str(first), "--to", str(last)) == span
    assert log_of(shell, "--since", "2000-01-01", "--until", "2999-01-01") == everything
    assert log_of(shell, "--since", "2999-01-01") == []
    assert log_of(shell, "--until", "2000-01-01") == []


@pytest.mark.usefixtures("boats")
def test_log_says_that_nothing_is_like_that(shell: Shell, boats: dict[str, str]) -> None:
    for words in (("--agent", "nobody"), ("--id", "nothing"), ("--from", "99")):
        result = CliRunner().invoke(app, ["--store", str(shell.store), "log", *words])
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "memorygraph: no event is like that\n")
    assert CliRunner().invoke(app, ["--store", str(shell.store), "log", "--id", boats["key"]]).stderr == ""


def test_log_of_an_unknown_kind_says_which_there_are(shell: Shell) -> None:
    said = shell.run("log", "--type", "addedd", code=2)
    assert "added" in said
    assert "forgotten" in said


@pytest.mark.usefixtures("boats")
def test_verify_and_replay(shell: Shell) -> None:
    report = shell.json("verify")
    assert (report["whole"], report["damage"], report["position"]) == (True, [], shell.json("stats")["position"])
    assert report["chain"] in shell.run("verify")
    replayed = shell.json("replay")
    with AgentMemory(path=shell.store, read_only=True) as memory:
        assert replayed == {"position": memory.position, "digest": memory.digest(), "same": True}
    assert replayed["digest"] in shell.run("replay")


@pytest.mark.usefixtures("boats")
def test_export_and_import(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "boats.export"
    assert "exported up to position" in shell.run("export", str(file))
    other = Shell(tmp_path / "other.memory")
    assert other.json("import", str(file))["memories"] == 3
    assert other.json("replay") == shell.json("replay")
    assert log_of(other) == log_of(shell)


def test_ingest_again_changes_nothing(shell: Shell, repository: Path) -> None:
    first = shell.json("ingest", str(repository))
    assert first["added"] >= 8
    again = shell.json("ingest", str(repository))
    assert (again["added"], again["unchanged"], again["position"]) == (0, first["added"], first["position"])
    assert f"{first['added']} unchanged" in shell.run("ingest", str(repository))
    hit = shell.json("recall", "where hangs the key", "-k", "1")["hits"][0]
    assert "key" in hit["content"]


def test_ingest_notes_what_is_special(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# A\n\nWords.\n")
    assert "note: no git repository" in shell.run("ingest", str(tmp_path / "notes"))


def test_ingest_of_a_chat(shell: Shell, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "The oars are wet", "name": "Ada"},
        {"role": "assistant", "content": "Dry them"},
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, turns)))
    assert shell.json("ingest", str(tmp_path / "chat.jsonl"))["added"] == 2
    assert shell.json("recall", "oars", "-k", "1")["hits"][0]["speaker"] == "Ada"


def test_the_store_can_be_named_in_three_ways(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("remember", "before", "--store", str(tmp_path / "after.memory"))
    assert not shell.store.exists()
    named = Shell(tmp_path / "after.memory")
    assert named.json("stats")["num_nodes"] == 1
    monkeypatch.setenv("MEMORYGRAPH_STORE", str(tmp_path / "variable.memory"))
    shell.run("remember", "the option wins")
    assert shell.store.exists()
    assert not (tmp_path / "variable.memory").exists()


def test_memory_types_are_those_of_the_package(shell: Shell) -> None:
    for kind in MemoryType:
        shell.run("remember", f"a memory that is {kind.value}", "--type", kind.value)
    assert set(shell.json("stats")["type_distribution"]) == {kind.value for kind in MemoryType}


def test_a_memory_expires_when_it_is_told_to(shell: Shell) -> None:
    kept = shell.json("remember", "Until further notice", "--expires", "2w")["id"]
    dated = shell.json("remember", "Until the new year of 2100", "--expires", "2100-01-01")["id"]
    fields = shell.json("show", kept)
    assert fields["expires_at"] == pytest.approx(fields["created_at"] + 14 * 86400, abs=60)
    assert "2100-01-01" in shell.run("show", dated)
    shell.run("revise", kept, "--expires", "never")
    assert shell.json("show", kept)["expires_at"] is None
    assert "expired" in shell.run("remember", "too late", "--expires", "2020-01-01", code=2)
    assert "neither a length of time" in shell.run("remember", "when?", "--expires", "sometime", code=2)


def test_when_takes_the_words_of_questions(shell: Shell) -> None:
    made = shell.json("remember", "The key was found", "--when", "yesterday")
    happened = datetime.fromtimestamp(shell.json("show", made["id"])["occurred_at"], UTC)
    assert timedelta(0) <= datetime.now(UTC) - happened <= timedelta(days=2)
    assert (happened.hour, happened.minute, happened.second) == (0, 0, 0)


def test_since_and_until_take_the_words_of_questions(shell: Shell) -> None:
    today = datetime.now(UTC)
    ids = {}
    for days in (0, 1, 3):
        when = (today - timedelta(days=days)).isoformat()
        ids[days] = shell.json("remember", f"A canoe, {days} days ago", "--when", when)["id"]

    def found(*words: str) -> set[str]:
        return {hit["node_id"] for hit in shell.json("recall", "canoe", *words)["hits"]}

    now = ("--asked-at", today.isoformat())
    assert found("--since", "yesterday", *now) == {ids[0], ids[1]}
    assert found("--until", "Yesterday", *now) == {ids[1], ids[3]}
    assert found("--since", "2 days ago", "--until", "yesterday", *now) == {ids[1]}
    assert len(shell.run("log", "--type", "added", "--since", "yesterday").splitlines()) == 3
    assert shell.run("log", "--until", "two weeks ago") == ""
    assert shell.run("audit", "--since", "tomorrow", "--json") == ""


def test_compact_lets_go_of_what_was_forgotten(shell: Shell) -> None:
    kept = shell.json("remember", "Known for good")["id"]
    gone = shell.json("remember", "Not to be kept")["id"]
    shell.run("forget", gone)
    assert "replaced 0 records" in shell.run("compact")
    report = shell.json("compact", "--keep-forgotten", "0d", "--agent", "janitor")
    assert (report["replaced"], report["memories"]) == (1, 1)
    assert "(replaced; only its hash is kept)" in shell.run("log")
    assert "of 1 records up to position 3 only the hash is kept (" in shell.run("log", "--agent", "janitor")
    assert shell.json("verify")["whole"]
    assert shell.json("replay")["same"]
    assert "was forgotten at position 4" in shell.run("show", gone)
    assert shell.json("show", kept)["content"] == "Known for good"
    assert "not a length of time" in shell.run("compact", "--keep-forgotten", "soon", code=2)
    shell.run("compact", "--keep-accesses", "ever", "--keep-access-positions", "10")


@pytest.mark.usefixtures("boats")
def test_backup_and_restore(shell: Shell, tmp_path: Path) -> None:
    folder, to = str(tmp_path / "backup"), str(tmp_path / "again")
    first = shell.json("backup", folder)
    assert first["records_added"] == first["position"]
    assert "added nothing" in shell.run("backup", folder)
    shell.run("remember", "One more")
    said = shell.run("backup", folder)
    assert "added 1 records" in said
    replayed = shell.json("replay")["digest"]
    assert f"digest {replayed}" in said
    assert f"digest {replayed}" in shell.run("restore", folder, "--to", to)
    assert Shell(Path(to)).json("replay")["digest"] == replayed
    assert "something already" in shell.run("restore", folder, "--to", to, code=1)
    assert shell.json("restore", folder, "--to", f"{to}-2")["digest"] == replayed
