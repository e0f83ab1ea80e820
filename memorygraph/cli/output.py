"""The two streams: results go to standard output, words about them and progress to standard error."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Step = Callable[[str, int, int | None], None]


class Screen(Console):
    """Standard output as Rich sees it; that its reader is gone is an error here as anywhere else."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise ``BrokenPipeError``; Rich itself would exit with an error."""
        raise BrokenPipeError


def print_view(view: RenderableType) -> None:
    """Print a table for people, 80 columns wide where neither a terminal nor COLUMNS says otherwise."""
    Screen(highlight=False, markup=False, emoji=False).print(view)


def terminal_width() -> int | None:
    """Return the columns of the terminal; None for a file or a pipe, where a line may be as long as it is."""
    screen = Console()
    return screen.width if screen.is_terminal else None


def say(line: str) -> None:
    """Print a plain line, as long as it is."""
    sys.stdout.write(line + "\n")


def print_json(value: Any) -> None:
    """Print one JSON value on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def complain(message: str) -> None:
    """Say on standard error, in one line, what went wrong."""
    print("memorygraph: " + " ".join(message.split()), file=sys.stderr)  # noqa: T201 - this is the program's voice


def abandon_output() -> None:
    """Give up standard output, whose reader (head, less) has what it wanted: Python must not flush the rest at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress_bar(title: str) -> Iterator[Step]:
    """Show a bar on standard error while the block runs, if that is a terminal; gives ``step(stage, done, total)``."""
    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task(title, total=None)

        def step(stage: str, done: int, total: int | None) -> None:
            progress.update(task, description=f"{title}: {stage}", completed=done, total=total)

        yield step
