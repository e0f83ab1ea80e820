"""The tour's command line; exit code 1 if anything in it did not hold."""

import sys
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from memorygraph.cli.output import abandon_output, complain
from memorygraph.demo.tour import Tour
from memorygraph.events.errors import MemoryGraphError


def demo(
    repo: Annotated[Path, typer.Option(help="A git repository, or a folder with texts.")] = Path(),
    ask: Annotated[list[str] | None, typer.Option(help="A question; may be given several times.")] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Where the memory is kept (default: ./demo-NAME-HASH.memory).", show_default=False),
    ] = None,
) -> None:
    """Build a memory from a repository and walk through what it can do."""
    folder = repo.expanduser().resolve()
    if not folder.is_dir():
        complain(f"{repo} is not a folder; name one that is there: make demo REPO=PATH (or --repo PATH)")
        raise typer.Exit(1)
    tour = Tour(folder, store or default_store(folder), ask or ())
    try:
        held = tour.run()
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_output()  # whoever reads has seen enough; make would call another exit code an error
        raise typer.Exit(0) from None
    except MemoryGraphError as error:
        complain(str(error))
        raise typer.Exit(1) from None
    for failure in tour.failures:
        complain(failure)
    if not held:
        raise typer.Exit(1)


def default_store(folder: Path) -> Path:
    """Return where the memory of a folder is kept: here, named after it and, as names repeat, after its path's hash."""
    return Path(f"demo-{folder.name}-{sha256(bytes(folder)).hexdigest()[:6]}.memory").resolve()


if __name__ == "__main__":
    typer.run(demo)
