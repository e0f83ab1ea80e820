"""The typer application: every command by name, and one place where errors become a line and an exit code.

Exit codes: 0 done; 1 an error, or damage found; 2 wrong usage, or a value that cannot be used; 130 interrupted; 141 the
reader of the output went away.
"""

import io
import sys
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from typing import Annotated, Final, ParamSpec

import typer

from memorygraph.cli import audits, clusters, embedding, reads, records, repairs, signing, writes
from memorygraph.cli.options import ProgramStoreOption
from memorygraph.cli.output import abandon_output, complain, say
from memorygraph.events.errors import (
    EdgeNotFoundError,
    InputError,
    MemoryGraphError,
    NodeNotFoundError,
    TimeFormatError,
)

P = ParamSpec("P")

WRONG_USAGE: Final = 2
_OF_VALUES: Final = {InputError, TimeFormatError}  # not their kinds, such as a memory that is not there
_ADVICE: Final[dict[type[MemoryGraphError], str]] = {
    NodeNotFoundError: "recall, reason and log print ids, and show tells of a forgotten one",
    EdgeNotFoundError: "show ID prints the ids of a memory's links",
}
INTERRUPTED: Final = 130  # what shells give for a command that Ctrl-C ended
PIPE_CLOSED: Final = 141  # and for one that wrote to a pipe whose reader was gone

app = typer.Typer(
    name="memorygraph",
    help="Memory for AI agents: what was remembered, why it is recalled, and every change to it.",
    epilog="The store is a folder: --store PATH, else $MEMORYGRAPH_STORE, else ./agent.memory. "
    "Every command takes --json. Times are UTC. Exit codes: 0 done, 1 an error or damage, 2 wrong usage; more in "
    "verify --help.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _quiet(command: Callable[P, None]) -> Callable[P, None]:
    """Let no error of the memory or of the system end in a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            try:
                command(*args, **kwargs)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            abandon_output()
            raise typer.Exit(PIPE_CLOSED) from None
        except (MemoryGraphError, OSError, ImportError) as error:  # ImportError: names the extra to install
            complain(_advised(error))
            raise typer.Exit(WRONG_USAGE if type(error) in _OF_VALUES else 1) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


def _advised(error: Exception) -> str:
    """Say what went wrong and, of an id that is none, where to find one."""
    for kind, advice in _ADVICE.items():
        if isinstance(error, kind):
            return f"{error}; {advice}"
    return str(error)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"memorygraph {version('memorygraph')}")
        raise typer.Exit


@app.callback()
def _program(
    context: typer.Context,
    store: ProgramStoreOption = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = store


_COMMANDS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    "Add and change": {
        "ingest": writes.ingest_path,
        "remember": writes.remember,
        "link": writes.link,
        "unlink": writes.unlink,
        "revise": writes.revise,
        "forget": writes.forget,
        "reembed": embedding.reembed,
    },
    "Ask": {
        "recall": reads.recall,
        "reason": reads.reason,
        "context": reads.context,
        "show": reads.show,
        "stats": reads.stats,
    },
    "The log": {
        "log": records.log,
        "audit": audits.audit,
        "verify": records.verify,
        "repair": repairs.repair,
        "replay": records.replay,
        "snapshot": writes.snapshot,
        "compact": writes.compact,
        "backup": records.backup,
        "restore": records.restore,
        "export": records.export_file,
        "import": records.import_file,
        "heads": signing.heads,
        "keygen": signing.keygen,
    },
}
for _panel, _members in _COMMANDS.items():
    for _name, _command in _members.items():
        app.command(_name, rich_help_panel=_panel)(_quiet(_command))


_fleets = typer.Typer(help="A fleet on Ray: hosts that have memories for many agents.", no_args_is_help=True)
_FLEET_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "up": clusters.up,
    "status": clusters.status,
    "down": clusters.down,
}
for _name, _command in _FLEET_COMMANDS.items():
    _fleets.command(_name)(_quiet(_command))
app.add_typer(_fleets, name="cluster", rich_help_panel="Serve")


def main() -> None:
    """Run the command line of this process and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows "?"
    app(prog_name="memorygraph")
