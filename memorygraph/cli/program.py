"""The typer application: every command by name, and one place where errors become a line and an exit code.

Exit codes: 0 done; 1 an error, or damage found; 2 wrong usage; 130 interrupted.
"""

import io
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec

import typer

from memorygraph.cli import reads, records, writes
from memorygraph.cli.options import ProgramStoreOption
from memorygraph.cli.output import complain
from memorygraph.events.errors import MemoryGraphError

P = ParamSpec("P")

INTERRUPTED: Final = 130  # what shells give for a command that Ctrl-C ended

app = typer.Typer(
    name="memorygraph",
    help="Memory for AI agents: what was remembered, why it is recalled, and every change to it.",
    epilog="The store is a folder: --store PATH, else $MEMORYGRAPH_STORE, else ./agent.memory. "
    "Every command takes --json. Times are UTC.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _quiet(command: Callable[P, None]) -> Callable[P, None]:
    """Let no error of the memory or of the system end in a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (head, less) has what it wanted; Python must not try to flush the rest at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (MemoryGraphError, OSError) as error:
            complain(str(error))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


@app.callback()
def _program(context: typer.Context, store: ProgramStoreOption = None) -> None:
    context.obj = store


_COMMANDS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    "Add and change": {
        "ingest": writes.ingest_path,
        "remember": writes.remember,
        "link": writes.link,
        "revise": writes.revise,
        "forget": writes.forget,
    },
    "Ask": {"recall": reads.recall, "reason": reads.reason, "show": reads.show, "stats": reads.stats},
    "The log": {
        "log": records.log,
        "verify": records.verify,
        "replay": records.replay,
        "export": records.export_file,
        "import": records.import_file,
    },
}
for _panel, _members in _COMMANDS.items():
    for _name, _command in _members.items():
        app.command(_name, rich_help_panel=_panel)(_quiet(_command))


def main() -> None:
    """Run the command line of this process and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows "?"
    app(prog_name="memorygraph")
