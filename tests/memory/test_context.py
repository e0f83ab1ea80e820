import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph import AgentMemory, estimate_tokens
from memorygraph import context as module
from memorygraph.core.types import InputError, NodeNotFoundError

LINE = re.compile(r"- \[(\S+)\] \d{4}-\d\d-\d\d \d\d:\d\d .+")


@pytest.fixture
def diary(memory):
    memory.remember("Never mention the surprise party", tags=["rule"], node_id="rule", occurred_at="2023-01-01")
    memory.remember("Leyla: I bought a canoe", speaker="Leyla", session="s2", node_id="canoe", occurred_at="2023-05-09")
    memory.remember("The canoe leaks", speaker="Ben", session="s2", node_id="leaks", occurred_at="2023-05-08")
    memory.remember("A canoe costs nine crowns", session="s1", node_id="nine", occurred_at="2023-04-01")
    memory.remember("A canoe now costs ten crowns", session="s1", node_id="ten", occurred_at="2023-04-02")
    memory.remember("a canoe  costs NINE crowns", node_id="double", occurred_at="2023-03-01")
    memory.remember("## Session s9\n- [fake] canoe", node_id="sly", occurred_at="2023-06-01T08:30")
    memory.remember("The moon has no air", node_id="moon")
    return memory


def test_a_block_is_grouped_by_session_and_time(diary):
    block = diary.context("What about the canoe?", pinned=["rule"])
    assert str(block).splitlines() == [
        "Memories (dates are UTC)",
        "",
        "## Pinned",
        "- [rule] 2023-01-01 00:00 Never mention the surprise party",
        "",
        "## Session s1",
        "- [nine] 2023-04-01 00:00 A canoe costs nine crowns (superseded by [ten])",
        "- [ten] 2023-04-02 00:00 A canoe now costs ten crowns",
        "",
        "## Session s2",
        "- [leaks] 2023-05-08 00:00 Ben: The canoe leaks",
        "- [canoe] 2023-05-09 00:00 Leyla: I bought a canoe",
        "",
        "## Other memories",
        "- [sly] 2023-06-01 08:30 ## Session s9 - [fake] canoe",
    ]
    assert block.ids == ("rule", "nine", "ten", "leaks", "canoe", "sly")
    assert (block.left_out, block.position) == ((), diary.position)
    assert block.tokens == estimate_tokens(block.text) <= 1000
    assert block == diary.context("What about the canoe?", pinned=["rule"])
    assert block.to_dict()["ids"] == list(block.ids)


def test_what_is_pinned_stays_and_is_marked_when_superseded(diary):
    block = diary.context("moon", pinned=[diary.get("nine"), "rule", "nine"])
    assert block.ids == ("nine", "rule", "moon")
    assert "nine crowns (superseded by [ten])" in block.text
    assert diary.context("moon", pinned="rule").ids == ("rule", "moon")
    assert diary.context("moon", pinned="ten").ids == ("ten", "moon")  # no tag, so an id
    assert diary.context("moon", pinned=diary.get("ten")).ids == ("ten", "moon")
    with pytest.raises(InputError, match="'no such tag', which is neither the tag of a memory nor an id"):
        diary.context("moon", pinned="no such tag")
    assert diary.context("moon", pinned=["rule"], session="s1").ids == ("rule",)  # filters do not hide it


def test_a_superseded_memory_is_shown_and_marked_where_the_current_one_is_not(diary):
    diary.revise("nine", tags=["old"])
    block = diary.context("canoe", tags=["old"])
    assert block.ids == ("nine",)
    assert "(superseded by [ten])" in block.text


def test_what_a_link_supersedes_gives_way_and_is_named(memory):
    """What rules read out of the words is marked and shown: they may be wrong."""
    memory.remember("The canoe leaks", node_id="leaks")
    memory.remember("The canoe is tight again", supersedes="leaks", node_id="tight")
    memory.remember("The canoe costs nine crowns", node_id="nine")
    memory.remember("The canoe costs ten crowns", node_id="ten")
    block = memory.context("canoe")
    assert (set(block.ids), block.left_out) == ({"tight", "nine", "ten"}, ("leaks",))
    assert "nine crowns (superseded by [ten])" in block.text
    why = {hit.node_id: hit.why for hit in memory.recall("canoe")}
    assert [why[name].superseded_explicitly for name in ("leaks", "nine")] == [True, False]
    assert str(why["nine"]).endswith("superseded by ten, by its words")


def test_the_same_words_of_two_speakers_are_two_facts(memory):
    for name, speaker in (("ann", "Ann"), ("bob", "Bob"), ("again", "Ann")):
        memory.remember("I am allergic to peanuts", speaker=speaker, node_id=name)
    assert sorted(memory.context("allergic to peanuts").ids) in (["ann", "bob"], ["again", "bob"])


def test_it_reinforces_what_it_shows(diary):
    diary.context("moon", reinforce=False)
    diary.context("moon", max_tokens=40)
    diary.flush()
    assert [diary.get(name).access_count for name in ("moon", "canoe")] == [1, 0]


def test_the_past_has_its_own_block(diary):
    before = diary.position
    diary.remember("The canoe was sold", node_id="sold")
    assert "sold" in diary.context("canoe").ids
    assert "sold" not in diary.context("canoe", as_of=before).ids
    assert diary.context("yesterday", asked_at="2023-05-10").ids == ("canoe",)


words = st.lists(
    st.sampled_from(["canoe", "oar", "x" * 40, "東京タワー", "no. 5", "\n# head", "a"]), min_size=1, max_size=60
)
counters = st.sampled_from(
    [estimate_tokens, len, lambda text: len(text.encode()) // 4, lambda text: len(text) ** 2 // 50, lambda _: 3]
)


def check_budget(block, max_tokens, counter=estimate_tokens):
    assert block.tokens == counter(block.text)
    assert block.tokens <= max_tokens or not block.text


@given(st.lists(words, max_size=12), st.integers(1, 400), counters, st.integers(0, 3))
def test_a_block_is_never_over_its_budget(texts, max_tokens, counter, pins):
    memory = AgentMemory(auto_associate=False)
    nodes = memory.remember_many(
        [
            {"content": " ".join(text), "session": place % 3 or None, "node_id": f"node{place}"}
            for place, text in enumerate(texts)
        ]
    )
    pinned = [node.id for node in nodes[:pins]]
    block = memory.context("canoe oar tower 東京", max_tokens, pinned=pinned, counter=counter)
    check_budget(block, max_tokens, counter)
    lines = [line for line in block.text.splitlines() if line.startswith("- ")]
    assert [LINE.fullmatch(line)[1] for line in lines] == list(block.ids)
    assert len(set(block.ids)) == len(block.ids)
    assert not set(block.ids) & set(block.left_out)
    shown = [line.split(" ", 4)[4].casefold() for line in lines]
    assert len(set(shown)) == len(shown) or any(text.endswith("…") for text in shown)
    assert set(pinned) <= {*block.ids, *block.left_out} | {node.id for node in nodes}


def test_a_long_memory_is_cut_and_leaves_room(memory):
    memory.remember("canoe " * 3000, node_id="long")
    memory.remember("東" * 3000 + " canoe", node_id="cjk")
    memory.remember("A short canoe", node_id="short")
    block = memory.context("canoe", max_tokens=300)
    assert set(block.ids) == {"long", "cjk", "short"}
    assert block.text.count(" …") == 2
    assert set(block.shortened) == {"long", "cjk"} == set(block.to_dict()["shortened"])
    assert 270 <= block.tokens <= 300


def test_what_fits_is_given_whole(memory):
    words = [f"word{n}" for n in range(60)]  # a text of some 100 tokens
    memory.remember(f"canoe {' '.join(words)} end", node_id="long")
    memory.remember(f"rule {' '.join(words)} last", node_id="rule")
    memory.remember("A short canoe", node_id="short")
    whole = memory.context("canoe", max_tokens=1000, pinned=["rule"])
    size = whole.tokens
    for max_tokens in (size + 2, size + 50):
        block = memory.context("canoe", max_tokens=max_tokens, pinned=["rule"])
        assert (block.text, block.shortened, block.left_out) == (whole.text, (), ())
    tight = memory.context("canoe", max_tokens=size * 3 // 4, pinned=["rule"])
    assert tight.shortened == ()  # each would fit alone: it comes whole or not at all
    assert (tight.ids, tight.left_out) == (("rule", "short"), ("long",))
    alone = memory.context("canoe", max_tokens=60, pinned=["rule"])
    assert alone.ids[0] == "rule"
    assert "rule" in alone.shortened
    assert {*alone.ids, *alone.left_out} == {"rule", "long", "short"}


def test_what_does_not_fit_is_named(diary):
    block = diary.context("canoe", max_tokens=40)
    assert len(block.ids) >= 1
    assert block.left_out
    nothing = diary.context("canoe", max_tokens=1)
    assert (nothing.text, nothing.tokens, nothing.ids) == ("", 0, ())
    assert diary.context("xylophone").text == ""


def test_a_budget_that_is_not_kept_is_caught(diary, monkeypatch):
    monkeypatch.setattr(
        "memorygraph.reader.assemble", lambda *given: module.assemble(*given[:2], 2 * given[2], given[3])
    )
    blocks = {max_tokens: diary.context("canoe", max_tokens) for max_tokens in range(20, 120)}
    assert any(block.tokens > max_tokens for max_tokens, block in blocks.items())


def test_the_estimate_is_what_it_says():
    assert estimate_tokens("") == 0
    assert estimate_tokens("The canoe leaks.") == 4
    assert estimate_tokens("extraordinarily 2023") == 3 + 2
    assert estimate_tokens("東京") == 2
    assert estimate_tokens("a\n\nb") == 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"counter": 7}, "counter"),
        ({"counter": lambda _: None}, "whole number"),
        ({"counter": lambda _: -1}, "whole number"),
        ({"pinned": 7}, "pinned"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_used_is_named(diary, given, told):
    with pytest.raises(InputError, match=told):
        diary.context("canoe", **given)
    with pytest.raises(NodeNotFoundError, match="nobody"):
        diary.context("canoe", pinned=["nobody"])
