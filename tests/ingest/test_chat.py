import json

import pytest

from memorygraph.events.errors import ImportFormatError
from memorygraph.events.types import LIMITS, EdgeType, MemoryType
from memorygraph.ingest import chat, harvest_path
from memorygraph.ingest.chat import read_chat


def log(*turns):
    return "\n".join(json.dumps(turn) for turn in turns) + "\n"


def test_turns_are_episodes_in_order():
    text = log(
        {"role": "user", "content": "Hi", "name": "Ada", "time": "2026-01-31T12:00:00Z", "session": "one"},
        {"role": "assistant", "content": " Hello ", "time": 1_769_860_801.5, "session": "one", "model": "ignored"},
        {"role": "user", "content": "Bye", "time": "1:00:02 pm on 31 January, 2026", "session": 2},
    )
    harvest = read_chat("c.jsonl", text)
    assert [(i.source, i.content, i.speaker, i.occurred_at, i.session) for i in harvest.items] == [
        ("c.jsonl:1", "Hi", "Ada", 1_769_860_800.0, "one"),
        ("c.jsonl:2", " Hello ", "assistant", 1_769_860_801.5, "one"),
        ("c.jsonl:3", "Bye", "user", 1_769_864_402.0, 2),
    ]
    assert {item.memory_type for item in harvest.items} == {MemoryType.EPISODIC}


def test_consecutive_turns_of_a_session_are_neighbours():
    turns = [{"role": "user", "content": "x", "session": session} for session in ("a", "b", "a", None, "b", None)]
    harvest = read_chat("c", log(*turns))
    assert {(one.source, one.target) for one in harvest.connections} == {("c:1", "c:3"), ("c:2", "c:5"), ("c:4", "c:6")}
    assert {one.edge_type for one in harvest.connections} == {EdgeType.TEMPORAL}


def test_blank_lines_and_empty_turns_are_left_out_but_counted():
    nothing = [{"role": "tool", "content": "  "}, {"role": "tool", "content": None}, {"role": "tool", "content": []}]
    harvest = read_chat("c", "\n \n" + log(*nothing, {"role": "user", "content": "x"}))
    assert [item.source for item in harvest.items] == ["c:6"]
    assert harvest.notes == ("c: empty lines left out: 2", "c: turns without text left out: 3")
    assert read_chat("c", log({"role": "user", "content": "x"})).notes == ()


@pytest.mark.parametrize("name", ["time", "timestamp", "created_at"])
def test_the_time_has_three_names(name):
    turn = {"role": "user", "content": "x", "timestamp": None, name: "2026-01-31T12:00:00Z"}
    assert read_chat("c", log(turn)).items[0].occurred_at == 1_769_860_800.0


def test_of_parts_the_texts_are_read():
    parts = [
        {"type": "text", "text": "One"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "thinking", "text": ["no"]},
        {"type": "text", "text": "two", "more": 1},
    ]
    harvest = read_chat("c", log({"role": "user", "content": parts}, {"role": "user", "content": parts[1:2]}))
    assert [item.content for item in harvest.items] == ["One\n\ntwo"]
    assert harvest.notes == ("c: parts that are not text left out: 3", "c: turns without text left out: 1")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "JSON is malformed|Input data was truncated"),
        ("[]", "Expected `object`"),
        ('{"role": "user"}', "missing required field `content`"),
        ('{"content": "x"}', "missing required field `role`"),
        ('{"role": "user", "content": ["x"]}', "content"),
        ('{"role": "user", "content": "x", "session": [1]}', "session"),
        ('{"role": "user", "content": "x", "session": 9223372036854775808}', "session"),
        ('{"role": "user", "content": "\\ud800"}', "truncated|malformed|surrogate"),
        ('{"role": "user", "content": "x", "time": "soon"}', "time: 'soon' cannot be read as a time"),
        ('{"role": "user", "content": "x", "time": 1769860800000}', "1769860800000.0 cannot be read"),
        ('{"role": "user", "content": "x", "time": 1e400}', "out of range|cannot be read"),
        ("[" * 5000, "recursion|malformed|truncated|Expected"),
    ],
)
def test_a_malformed_line_is_named_with_what_is_expected(line, what):
    with pytest.raises(
        ImportFormatError, match=f"^c.jsonl, line 2: .*({what}).*expected one JSON object per line"
    ) as e:
        read_chat("c.jsonl", log({"role": "user", "content": "x"}) + line + "\n")
    assert e.value.about == {"file": "c.jsonl", "line": 2}


def test_content_above_the_limit_of_a_memory_is_refused():
    with pytest.raises(ImportFormatError, match=r"line 1: content of more than 1048576 bytes"):
        read_chat("c", log({"role": "user", "content": "x" * (LIMITS.content_bytes_max + 1)}))


def test_names_become_readable_labels():
    turns = [
        {"role": "user", "content": "x", "name": " A\nB\u200d ", "session": "one\ttwo"},
        {"role": "r" * 999, "content": "x", "name": "\n", "session": "\n"},
        {"role": "", "content": "x"},
    ]
    items = read_chat("c", log(*turns)).items
    assert [(item.speaker, item.session) for item in items] == [("A B", "one two"), ("r" * 200, None), (None, None)]


def test_a_chat_file_is_read_by_its_name(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + log({"role": "user", "content": "x"}).replace("\n", "\r\n").encode())
    harvest = harvest_path(path)
    assert [item.source for item in harvest.items] == ["c.jsonl:1"]
    assert harvest.notes == ()
    assert harvest.origins == (str(path),)


def test_the_expected_line_that_errors_show_is_itself_a_turn():
    example = chat._EXPECTED[chat._EXPECTED.index("{") : chat._EXPECTED.rindex("}") + 1]
    assert read_chat("c", example).items[0].speaker == "Ada"
