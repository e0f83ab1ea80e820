"""The tour's command line; exit code 1 if anything in it did not hold."""

from pathlib import Path
from typing import Annotated

import typer

from memorygraph.cli.output import complain
from memorygraph.demo.tour import Tour
from memorygraph.events.errors import MemoryGraphError


def demo(
    repo: Annotated[Path, typer.Option(help="A git repository, or a folder with texts.")] = Path(),
    ask: Annotated[list[str] | None, typer.Option(help="A question; may be given several times.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Where the memory is kept (default: ./demo-NAME.memory).", show_default=False)
    ] = None,
) -> None:
    """Build a memory from a repository and walk through what it can do."""
    folder = repo.expanduser().resolve()
    if not folder.is_dir():
        complain(f"{repo} is not a folder; give one with --repo")
        raise typer.Exit(1)
    tour = Tour(folder, store or Path(f"demo-{folder.name}.memory").resolve(), ask or ())
    try:
        held = tour.run()
    except MemoryGraphError as error:
        complain(str(error))
        raise typer.Exit(1) from None
    for failure in tour.failures:
        complain(failure)
    if not held:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(demo)
