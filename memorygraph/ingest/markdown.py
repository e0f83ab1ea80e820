"""Markdown as SEMANTIC items: the document, and its sections below their parent sections.

A section's source is ``FILE#slug``, the slug being the heading as hosting sites make their anchors of it: lower case,
without punctuation, hyphens for spaces; a repeated one gets -1, -2. The document is ``FILE``, with the text before the
first heading. What does not fit in one item goes on in ``~2``, ``~3``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from msgspec import Struct

from memorygraph.events.types import EdgeType, MemoryType
from memorygraph.ingest.harvest import ITEM_BYTES_MAX, Connection, Harvest, Item, pieces

_SLUG_LENGTH_MAX = 100
_TITLE_LENGTH_MAX = 200
_PART_WEIGHT = 0.8
_blocks = MarkdownIt("commonmark").disable("inline")
_inline = MarkdownIt("commonmark")


class _Heading(Struct, frozen=True):
    level: int
    title: str
    first_line: int
    text_line: int


def read_plain(file: str, text: str) -> Harvest:
    """Read a text without known structure as one document item, in several parts where it is long."""
    items = list(_parts(file, file, text.strip()))
    return Harvest(tuple(items), _chain(items))


def read_markdown(file: str, text: str) -> Harvest:
    """Read a Markdown document: the document item first, then its sections in order."""
    lines = _without_front_matter(text.split("\n"))
    headings = _headings("\n".join(lines))
    title = f"{file}: {headings[0].title}" if headings else file
    preamble = text.split("\n")[: headings[0].first_line if headings else None]
    items = list(_parts(file, title, "\n".join(preamble).strip()))
    connections = list(_chain(items))
    slugs: set[str] = set()
    above: list[tuple[_Heading, str]] = []  # the headings over the one at hand, with their sources
    ends = [*[heading.first_line for heading in headings[1:]], len(lines)]
    for heading, end_line in zip(headings, ends, strict=False):
        while above and above[-1][0].level >= heading.level:
            above.pop()
        source = f"{file}#{_slug(heading.title, slugs)}"
        connections.append(_part_of(source, above[-1][1] if above else file))
        above.append((heading, source))
        path = " > ".join(one.title for one, _ in above)
        body = "\n".join(lines[heading.text_line : end_line]).strip()
        parts = list(_parts(source, path, body))
        connections += _chain(parts)
        items += parts
    return Harvest(tuple(items), tuple(connections))


def code_spans(text: str) -> Iterator[str]:
    """Give what stands in backticks in a Markdown text, outside of code blocks, in order."""
    for token in _blocks.parse(text):
        if token.type == "inline" and "`" in token.content:
            for span in re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", token.content, re.DOTALL):
                yield span[2].strip()


def _parts(source: str, title: str, text: str) -> Iterator[Item]:
    """Give a text as one item, or as many as its size asks for, each under its title."""
    room_bytes = ITEM_BYTES_MAX - len(title.encode()) - 2
    for number, piece in enumerate(pieces(text, room_bytes), start=1):
        yield Item(
            source=source if number == 1 else f"{source}~{number}",
            content=f"{title}\n\n{piece}" if piece else title,
            memory_type=MemoryType.SEMANTIC,
            tags=("document",),
        )


def _chain(parts: list[Item]) -> tuple[Connection, ...]:
    return tuple(_part_of(part.source, parts[0].source) for part in parts[1:])


def _part_of(source: str, whole: str) -> Connection:
    return Connection(source, whole, EdgeType.HIERARCHICAL, _PART_WEIGHT)


def _without_front_matter(lines: list[str]) -> list[str]:
    """Blank the metadata block that may open a document: its closing line would make its last entry a heading."""
    if lines[0].rstrip() != "---":
        return lines
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() in ("---", "..."):
            return [""] * (number + 1) + lines[number + 1 :]
    return lines


def _headings(text: str) -> list[_Heading]:
    """Return the headings of the document itself, not those in quotations, lists or code blocks."""
    found: list[_Heading] = []
    tokens = _blocks.parse(text)
    for number, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            title = _plain_text(tokens[number + 1].content)[:_TITLE_LENGTH_MAX] or "(untitled)"
            found.append(_Heading(int(token.tag[1:]), title, token.map[0], token.map[1]))
    return found


def _plain_text(heading: str) -> str:
    """Return a heading's text without its markup."""
    children = _inline.parseInline(heading)[0].children or []
    words = [" " if token.type in ("softbreak", "hardbreak") else token.content for token in children]
    return "".join(word for word, token in zip(words, children, strict=True) if token.type != "html_inline").strip()


def _slug(title: str, taken: set[str]) -> str:
    stem = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")[:_SLUG_LENGTH_MAX] or "section"
    slug, number = stem, 0
    while slug in taken:
        number += 1
        slug = f"{stem}-{number}"
    taken.add(slug)
    return slug
