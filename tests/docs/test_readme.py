"""The README and the pages in docs/ run: Python blocks as written, commands by name."""

import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from typer.main import get_command

from memorygraph.cli import app
from tests.docs.pages import (
    ROOT,
    Block,
    blocks_of,
    commands_of,
    dead_links,
    make_targets,
    pages,
    run_python,
    unknown_commands,
    unknown_kinds,
)

PAGES = [(path, blocks_of(path.read_text(encoding="utf-8"), path.name)) for path in pages()]
BLOCKS = [block for _, blocks in PAGES for block in blocks]
PARAMS = [
    pytest.param(
        path,
        blocks,
        id=str(path.relative_to(ROOT)),
        marks=pytest.mark.ray if any("local_fleet" in block.text for block in blocks) else (),
    )
    for path, blocks in PAGES
]


def subcommands() -> set[str]:
    return set(get_command(app).commands)


@pytest.mark.parametrize(("path", "blocks"), PARAMS)
def test_python_blocks_run(
    path: Path,
    blocks: list[Block],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if request.node.get_closest_marker("ray"):
        request.getfixturevalue("ray_cluster")  # a page that starts a fleet uses the cluster that is there
    monkeypatch.chdir(tmp_path)
    ran = run_python(blocks)
    assert ran or (path != ROOT / "README.md" and (path.parent.name != "concepts" or path.name == "README.md"))


def test_every_block_says_what_it_is() -> None:
    assert unknown_kinds(BLOCKS) == []


def test_make_targets_exist() -> None:
    known = {"make": make_targets((ROOT / "Makefile").read_text(encoding="utf-8"))}
    assert unknown_commands(BLOCKS, known) == []


def test_subcommands_exist() -> None:
    assert unknown_commands(BLOCKS, {"memorygraph": subcommands()}) == []


def test_the_readme_shows_every_subcommand() -> None:
    shown = {words[1] for _, words in commands_of(PAGES[0][1]) if words[0] == "memorygraph" and len(words) > 1}
    assert subcommands() - shown == set()


def test_linked_files_exist() -> None:
    assert [link for path, _ in PAGES for link in dead_links(path.read_text(encoding="utf-8"), path.parent)] == []


def unlinked(texts: Mapping[Path, str], from_: Path, wanted: Iterable[Path]) -> list[Path]:
    """Those of some files that a page does not link to."""
    inside = re.findall(r"\]\(([^)#]+)", texts[from_])
    linked = {(from_.parent / link).resolve() for link in inside if "://" not in link}
    return [path for path in wanted if path != from_ and path.resolve() not in linked]


def test_every_page_is_in_an_index() -> None:
    docs = ROOT / "docs"
    top, index, concepts = ROOT / "README.md", docs / "README.md", docs / "concepts/README.md"
    texts = {path: path.read_text(encoding="utf-8") for path in (top, index, concepts)}
    of_concepts = [path for path in sorted((docs / "concepts").glob("*.md")) if path != concepts]
    assert unlinked(texts, index, [*sorted(docs.glob("*.md")), concepts]) == []
    assert unlinked(texts, concepts, of_concepts) == []
    assert unlinked(texts, top, [index, *of_concepts]) == []


# The rules themselves: each must see what was planted.

PAGE = """
```python
x = 1
```

```python
assert x == 2, "one namespace"
```

```console
$ make nothing REPO=.
memorygraph lies
$ memorygraph remember "a b"
```

```bash
make test  # quietly
.venv/bin/memorygraph dance
memorygraph --help
```
"""


def test_a_wrong_block_fails_on_its_own_line() -> None:
    with pytest.raises(AssertionError, match="one namespace") as failure:
        run_python(blocks_of(PAGE, "PAGE.md"))
    frames = traceback.extract_tb(failure.value.__traceback__)
    assert (frames[-1].filename, frames[-1].lineno) == ("PAGE.md", 7)


@pytest.mark.parametrize("info", ["python no-run", "py", "", "sh"])
def test_a_block_that_dodges_its_check_is_seen(info: str) -> None:
    assert unknown_kinds(blocks_of(f"```{info}\nx\n```\n", "PAGE.md")) == [f"PAGE.md:1 is {info!r}"]


def test_an_indented_block_is_seen() -> None:
    assert unknown_kinds(blocks_of("Words.\n\n    x = 1\n", "PAGE.md")) == ["PAGE.md:2 is ''"]


def test_unknown_commands_are_seen() -> None:
    known = {"make": {"test"}, "memorygraph": {"remember"}}
    assert unknown_commands(blocks_of(PAGE, "PAGE.md"), known) == [
        "PAGE.md:11 says make nothing",
        "PAGE.md:18 says .venv/bin/memorygraph dance",
    ]


def test_targets_are_read_from_a_makefile() -> None:
    assert make_targets("A := 1\nhelp: ## x\n.PHONY: z\ntest-all one: two\n\t@no: thing\n") == {
        "help",
        "test-all",
        "one",
    }


def test_a_page_that_nothing_links_to_is_seen(tmp_path: Path) -> None:
    page, here, lost = tmp_path / "README.md", tmp_path / "here.md", tmp_path / "lost.md"
    assert unlinked({page: "[a](here.md#top) [b](https://x.org/lost.md)"}, page, [page, here, lost]) == [lost]


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "here.md").touch()
    text = "[a](here.md#top) [b](gone.md) ![c](gone.svg) [d](https://example.org/x) [e](#part)"
    assert dead_links(text, tmp_path) == ["gone.md", "gone.svg"]
