import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.events.types import EdgeType, MemoryType
from memorygraph.ingest.harvest import ITEM_BYTES_MAX, pieces
from memorygraph.ingest.markdown import code_spans, read_markdown, read_plain


def sources(text):
    return [item.source for item in read_markdown("d.md", text).items]


def test_a_section_is_its_heading_path_and_text_below_its_parent():
    harvest = read_markdown("d.md", "Hello.\n\n# One\n\nfirst\n\n### Deep `x`\n\n*deep*\n\n## Flat\n")
    assert [(item.source, item.content) for item in harvest.items] == [
        ("d.md", "d.md: One\n\nHello."),
        ("d.md#one", "One\n\nfirst"),
        ("d.md#deep-x", "One > Deep x\n\n*deep*"),
        ("d.md#flat", "One > Flat"),
    ]
    assert {(one.source, one.target, one.edge_type) for one in harvest.connections} == {
        ("d.md#one", "d.md", EdgeType.HIERARCHICAL),
        ("d.md#deep-x", "d.md#one", EdgeType.HIERARCHICAL),
        ("d.md#flat", "d.md#one", EdgeType.HIERARCHICAL),
    }
    assert {item.memory_type for item in harvest.items} == {MemoryType.SEMANTIC}


@pytest.mark.parametrize(
    "not_a_heading",
    [
        "```sh\n# no\n```",
        "~~~\n# no\n~~~",
        "    # no",
        "> # no",
        "- # no",
        "<!--\n# no\n-->",
        "#no",
        "\\# no",
        "```\n# never closed",
    ],
)
def test_what_only_looks_like_a_heading_is_text(not_a_heading):
    assert sources(f"text\n\n{not_a_heading}\n") == ["d.md"]


def test_repeated_headings_are_numbered_and_never_collide():
    text = "# A\n# A\n# A-1\n# A\n# !!!\n# ***\n# \n"
    assert sources(text) == [
        "d.md",
        "d.md#a",
        "d.md#a-1",
        "d.md#a-1-1",
        "d.md#a-2",
        *["d.md#section", "d.md#section-1", "d.md#untitled"],
    ]


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("Setext\n---", "setext"),
        ("# What's *new*, [here](there)? #", "whats-new-here"),
        ("# Größe 测试", "größe-测试"),
        ("# a_b - c", "a_b---c"),
        ("# `memory.at(...)`", "memoryat"),
        ("# <b>bold</b> text", "bold-text"),
    ],
)
def test_slugs_are_those_of_hosting_sites(heading, slug):
    assert sources(heading) == ["d.md", f"d.md#{slug}"]


def test_front_matter_belongs_to_the_document_and_is_no_heading():
    harvest = read_markdown("d.md", "---\ntitle: T\nkind: K\n---\n\n# A\n")
    assert [(item.source, item.content) for item in harvest.items] == [
        ("d.md", "d.md: A\n\n---\ntitle: T\nkind: K\n---"),
        ("d.md#a", "A"),
    ]
    assert sources("---\nnever closed\n\n# A\n") == ["d.md", "d.md#a"]


@pytest.mark.parametrize("text", ["", "\n\n", "just text"])
def test_a_file_without_headings_is_one_document(text):
    assert [(item.source, item.content) for item in read_markdown("d.md", text).items] == [
        ("d.md", f"d.md\n\n{text}".strip())
    ]


def test_long_sections_go_on_in_parts():
    paragraph = "word " * 4000
    harvest = read_markdown("d.md", f"# A\n\n{paragraph}\n\n{paragraph}\n\n{paragraph}\n\n{paragraph}\n")
    assert [item.source for item in harvest.items] == ["d.md", "d.md#a", "d.md#a~2"]
    assert all(item.content.startswith("A\n\nword") for item in harvest.items[1:])
    assert all(len(item.content.encode()) <= ITEM_BYTES_MAX for item in harvest.items)
    assert [(one.source, one.target) for one in harvest.connections] == [("d.md#a", "d.md"), ("d.md#a~2", "d.md#a")]


def test_plain_texts_have_no_structure():
    harvest = read_plain("n.txt", "# not a heading\n\n" + "ä" * ITEM_BYTES_MAX)
    assert [item.source for item in harvest.items] == ["n.txt", "n.txt~2", "n.txt~3", "n.txt~4"]
    assert harvest.items[0].content.startswith("n.txt\n\n# not a heading")
    assert sum(item.content.count("ä") for item in harvest.items) == ITEM_BYTES_MAX


def test_code_spans_are_found_outside_of_code_blocks_only():
    text = "`a` and ``b`c``, `d\ne`\n\n```\n`no`\n```\n\n    `no`\n\n> - `f`\n\n`open"
    assert list(code_spans(text)) == ["a", "b`c", "d\ne", "f"]


@given(st.text(alphabet="# \n`-a>ä=", max_size=200))
def test_any_text_gives_unique_sources_and_whole_connections(text):
    harvest = read_markdown("d.md", text)
    found = [item.source for item in harvest.items]
    assert len(set(found)) == len(found)
    assert found[0] == "d.md"
    assert {end for one in harvest.connections for end in (one.source, one.target)} <= set(found)
    assert harvest == read_markdown("d.md", text)


@given(st.lists(st.text(alphabet="aä€\U0001f600 ", max_size=30), max_size=8), st.integers(4, 40))
def test_pieces_lose_nothing_and_fit(paragraphs, size_bytes):
    text = "\n\n".join(paragraphs)
    found = pieces(text, size_bytes)
    assert all(len(piece.encode()) <= size_bytes for piece in found)
    assert "".join(found).replace("\n", "") == text.replace("\n", "")
