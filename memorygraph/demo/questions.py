"""What the tour asks: of this repository, of any other, and how a plain keyword search would answer."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from memorygraph.core.node import MemoryNode
from memorygraph.events.types import MemoryType

_WORD: Final = re.compile(r"\w+")
_SAID: Final = re.compile(r"\w+(?:[./'-]\w+)*")  # keeps README.md and don't in one piece
_CLAUSE_END: Final = re.compile(r"[.!?,;:](?=\s|$)|\n")
_NUMBER: Final = re.compile(r"^[\d.]+\s+")  # of a heading
_ASKED: Final = 4
_LANDMARK: Final = "docs/decisions/0001-records-frames-digest.md"


class Questions(NamedTuple):
    """Questions for ``recall``, a cue for ``reason``, and where they come from, where that is not plain."""

    recall: Sequence[str]
    reason: str
    origin: str = ""


_OUR_OWN: Final = Questions(
    recall=(
        "What happens to a torn tail?",
        "Is a forgotten memory erased?",
        "Which errors say that the memory moved on?",
        "How long may a module be?",
    ),
    reason="commit frames and their chain",
)


def choose(folder: Path, nodes: Iterable[MemoryNode], asked: Sequence[str]) -> Questions:
    """Return the questions that were asked for, else our own for this repository, else some made from the memories."""
    if asked:
        return Questions(recall=asked, reason=asked[0])
    return _OUR_OWN if (folder / _LANDMARK).exists() else derive(nodes)


def derive(nodes: Iterable[MemoryNode]) -> Questions:
    """Take topics from what is there: long sections' headings, a recent commit's subject, else first words.

    Raises:
        ValueError: there are no memories.
    """
    nodes = list(nodes)
    found = list(dict.fromkeys([*_headings(nodes)][: _ASKED - 1] + [*_subjects(nodes)][:1] + [*_openings(nodes)]))
    found = found or [PurePosixPath(_title(node)).stem for node in nodes[:1]]  # nothing but the names of empty files
    if not found:
        raise ValueError("no memories to ask about")
    origin = 'Topics found in the folder; for your own: make demo REPO=PATH ASK="YOUR QUESTION"'
    return Questions(recall=found[:_ASKED], reason=next(_subjects(nodes), found[0]), origin=origin)


def _headings(nodes: Sequence[MemoryNode]) -> Iterator[str]:
    """Headings that stand once and say something, those of the longest sections first."""
    sections = [
        (node, _NUMBER.sub("", _title(node).rpartition(" > ")[2])) for node in nodes if "#" in (node.source or "")
    ]
    often = Counter(heading for _, heading in sections)
    for _, heading in sorted(sections, key=lambda section: -len(section[0].content)):
        if often[heading] == 1 and 2 <= len(_SAID.findall(heading)) <= 8:  # noqa: PLR2004 - neither "Usage" nor a paragraph
            yield heading


def _subjects(nodes: Sequence[MemoryNode]) -> Iterator[str]:
    """Commit subjects that say something, the latest first."""
    for node in reversed(nodes):
        subject = _title(node)
        if _is_commit(node) and 4 <= len(_WORD.findall(subject)) <= 12:  # noqa: PLR2004
            yield subject


def _is_commit(node: MemoryNode) -> bool:
    return node.memory_type is MemoryType.EPISODIC and (node.source or "").startswith("git:")


def _title(node: MemoryNode) -> str:
    """First line: the path of headings to a section, the subject of a commit."""
    return node.content.strip().partition("\n")[0]


def _openings(nodes: Sequence[MemoryNode]) -> Iterator[str]:
    """The first clause of some words in each commit, and in each text below its title, which may be a file's name."""
    for node in nodes:
        said = node.content if _is_commit(node) else node.content.strip().partition("\n\n")[2]
        clauses = (_SAID.findall(clause) for clause in _CLAUSE_END.split(said))
        if words := next((words for words in clauses if len(words) > 1), []):
            yield " ".join(words[:6])


def keyword_search(question: str, nodes: Iterable[MemoryNode]) -> MemoryNode | None:
    """Return the first hit of plain keyword search: the text with most of the question's words; None: none has any."""
    wanted = set(_WORD.findall(question.lower()))

    def often(node: MemoryNode) -> int:
        return sum(word in wanted for word in _WORD.findall(node.content.lower()))

    best = max(nodes, key=often)
    return best if often(best) else None
