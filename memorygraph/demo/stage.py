"""How the tour looks: headings, short paragraphs, hits in three lines. It reads well from 80 columns on."""

from collections.abc import Iterable, Mapping

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from memorygraph.cli import views
from memorygraph.cli.output import Screen
from memorygraph.core.node import MemoryNode
from memorygraph.hits import MemoryHit

_WIDTH_MAX = 110
_ANSWER_SHOWN = 150


class Stage:
    """Prints the tour, numbering its chapters."""

    def __init__(self) -> None:
        screen = Screen()
        self._console = Screen(width=min(screen.width, _WIDTH_MAX), highlight=False, markup=False, emoji=False)
        self._chapter = 0

    def chapter(self, title: str, words: str) -> None:
        """Open a chapter: its title and what happens in it."""
        self._chapter += 1
        self._console.print()
        self._console.print(Text(f"{self._chapter}. {title}", style="bold cyan"))
        self._console.print(Text(words, style="italic"))
        self._console.print()

    def say(self, words: str, style: str = "") -> None:
        """Print a paragraph, indented."""
        self._console.print(Padding(Text(words, style=style, overflow="fold"), (0, 0, 0, 3)))

    def ask(self, question: str, hits: Iterable[MemoryHit], names: Mapping[str, str] | None = None) -> None:
        """Print a question and its hits: score and where it is from, the passage, why (with ``names`` for ids)."""
        self.say(f"“{views.plain(question)}”", style="bold")
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="cyan")
        grid.add_column()
        for rank, hit in enumerate(hits):
            grid.add_row(f"{hit.score:.2f}", self._line(origin(hit)))
            # The best answer gets room for its sentence.
            words = views.passage(hit)
            grid.add_row("", Text(views.cut(words, _ANSWER_SHOWN)) if rank == 0 else self._line(words, style="dim"))
            why = " ".join((names or {}).get(word, word) for word in str(hit.why).split())
            grid.add_row("", self._line(f"why: {views.plain(why)}", style="green"))
        self._console.print(Padding(grid, (0, 0, 0, 3)))

    def remark(self, words: str, quoted: str = "") -> None:
        """Print a line beside the hits, and below it what is quoted; both are cut where the screen ends."""
        self._console.print(Padding(self._line(words, style="magenta"), (0, 0, 0, 3)))
        if quoted:
            self._console.print(Padding(self._line(views.plain(quoted), style="dim"), (0, 0, 0, 9)))

    def facts(self, pairs: dict[str, str]) -> None:
        """Print names and values in two columns."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        for name, value in pairs.items():
            grid.add_row(name, Text(value))
        self._console.print(Padding(grid, (0, 0, 0, 3)))

    def gap(self) -> None:
        """Print an empty line."""
        self._console.print()

    @staticmethod
    def _line(words: str, style: str = "") -> Text:
        return Text(words, style=style, no_wrap=True, overflow="ellipsis")


def origin(found: MemoryHit | MemoryNode) -> str:
    """Say where a memory is from: file and heading, or the commit with its date and author."""
    source = views.plain(found.source or "a note")
    if not source.startswith("git:"):
        return source
    day = views.when(found.occurred_at, "%Y-%m-%d")
    return ", ".join(part for part in (f"commit {source[4:14]}", day, views.plain(found.speaker or "")) if part)
