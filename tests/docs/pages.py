"""Documentation pages as data: their code blocks, and the commands those blocks tell people to type."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "python"
SHELLS = frozenset({"bash", "console"})
# Every block says what it is, so that none escapes its check.
KNOWN = SHELLS | {PYTHON, "json", "text", "toml"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block: the page, the line where its text begins, its info string, its text."""

    page: str
    line: int
    info: str
    text: str


def blocks_of(text: str, page: str) -> list[Block]:
    """List every code block of a page; an indented one has an empty info string."""
    return [
        Block(page=page, line=token.map[0] + (token.type == "fence"), info=token.info.strip(), text=token.content)
        for token in MarkdownIt().parse(text)
        if token.type in {"fence", "code_block"} and token.map is not None
    ]


def pages(root: Path = ROOT) -> list[Path]:
    """Return the README, the pages directly under docs/ and those of the concepts."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md")), *sorted((root / "docs/concepts").glob("*.md"))]


def unknown_kinds(blocks: Iterable[Block]) -> list[str]:
    """One line for each block whose info string is not exactly a known one: `python no-run` is not."""
    return [f"{block.page}:{block.line} is {block.info!r}" for block in blocks if block.info not in KNOWN]


def run_python(blocks: Iterable[Block]) -> int:
    """Run the Python blocks in order in one namespace; errors show the page's own lines. Returns how many ran."""
    namespace: dict[str, object] = {"__name__": "__page__"}
    ran = 0
    for block in blocks:
        if block.info == PYTHON:
            code = compile("\n" * block.line + block.text, block.page, "exec")
            exec(code, namespace)  # noqa: S102 - running the page is the test
            ran += 1
    return ran


def commands_of(blocks: Iterable[Block]) -> Iterator[tuple[str, list[str]]]:
    """Yield where each command stands and its words: every line of bash, the lines after ``$`` of console."""
    for block in blocks:
        prompt = {"bash": "", "console": "$ "}.get(block.info)
        for offset, line in enumerate(block.text.splitlines(), start=1):
            if prompt is None or not line.startswith(prompt):
                continue
            if words := shlex.split(line.removeprefix(prompt), comments=True):
                yield f"{block.page}:{block.line + offset}", words


def make_targets(makefile: str) -> set[str]:
    """Targets that a Makefile defines by name."""
    return {
        name
        for line in makefile.splitlines()
        if (match := re.match(r"([A-Za-z][\w -]*):(?!=)", line))
        for name in match[1].split()
    }


def unknown_commands(blocks: Iterable[Block], known: Mapping[str, set[str]]) -> list[str]:
    """One line for each ``make X`` or ``memorygraph X`` whose X is not among the known ones.

    Args:
        blocks: blocks of any kind.
        known: for a program's name, the words that may come first after it.
    """
    return [
        f"{where} says {' '.join(words[:2])}"
        for where, words in commands_of(blocks)
        if (program := words[0].rpartition("/")[2]) in known
        for word in words[1:2]
        if not word.startswith("-") and "=" not in word and word not in known[program]
    ]


def dead_links(text: str, folder: Path) -> list[str]:
    """Targets of links and images that are meant as files and are not in the folder."""
    inline = [child for token in MarkdownIt().parse(text) for child in token.children or ()]
    targets = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in inline]
    files = [target.partition("#")[0] for target in targets if "://" not in target]
    return [file for file in files if file and not (folder / file).exists()]
