"""What several commands share: their options, the store they mean, and text from standard input."""

import os
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from memorygraph import AgentMemory, SharedMemoryPool
from memorygraph.cli.output import complain
from memorygraph.date_words import date_window
from memorygraph.events.errors import InputError, StoreNotFound, TimeFormatError
from memorygraph.events.types import LIMITS
from memorygraph.times import Expiry, TimeLike, to_us

DEFAULT_STORE: Final = Path("agent.memory")
FROM_HERE: Final = {"via": "cli"}

_STORE_HELP: Final = "Folder of the memory (default: $MEMORYGRAPH_STORE, else ./agent.memory)."
StoreOption = Annotated[Path | None, typer.Option("--store", help=_STORE_HELP)]
# Only the program's own option reads the variable: a command's would win over a --store before the command.
ProgramStoreOption = Annotated[
    Path | None, typer.Option("--store", envvar="MEMORYGRAPH_STORE", show_envvar=False, help=_STORE_HELP)
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AgentOption = Annotated[
    str,
    typer.Option(
        "--agent",
        envvar="MEMORYGRAPH_AGENT",
        help="Who does this, for log and audit; it hides nothing.",
        metavar="NAME",
    ),
]
TypeOption = Annotated[
    str | None,
    typer.Option("--type", help="episodic, semantic, working, procedural, sensory or prospective.", metavar="TYPE"),
]
TagsOption = Annotated[list[str] | None, typer.Option("--tag", help="A tag; again for more.", metavar="TAG")]
WordsArgument = Annotated[
    list[str], typer.Argument(metavar="TEXT", help="The text, in quotes; - reads standard input.", show_default=False)
]
KOption = Annotated[int, typer.Option("-k", help="How many hits.", min=1, max=LIMITS.k_max)]
ViewerOption = Annotated[
    str | None, typer.Option("--as", help="Only what this agent of a pool sees.", metavar="AGENT", show_default=False)
]
RoomOption = Annotated[
    str | None, typer.Option(help="The room that the agent is in.", metavar="NAME", show_default="default")
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", "--as-of", help="Ask the memory as it was at a position or a time.", metavar="POSITION|TIME"),
]


def store_path(context: typer.Context, store: Path | None) -> Path:
    """Return the store that is meant: the command's own option, then the program's, then the default."""
    return store or context.obj or DEFAULT_STORE


def open_to_add(context: typer.Context, store: Path | None, agent: str) -> AgentMemory:
    """Open the store for writing, making it if there is none."""
    return noted(
        AgentMemory(path=store_path(context, store), principal=agent, provenance=FROM_HERE, signing_key=_key())
    )


def open_to_change(context: typer.Context, store: Path | None, agent: str) -> AgentMemory:
    """Open the store for writing.

    Raises:
        StoreNotFound: there is none, so nothing that could be changed; it is not made.
    """
    return noted(AgentMemory(path=_existing(context, store), principal=agent, provenance=FROM_HERE, signing_key=_key()))


def open_to_sign(context: typer.Context, store: Path | None, key: Path) -> AgentMemory:
    """Open the store for writing and signing.

    Raises:
        StoreNotFound: there is none, so nothing that could be signed; it is not made.
    """
    return noted(AgentMemory(path=_existing(context, store), signing_key=key))


def open_to_read(context: typer.Context, store: Path | None) -> AgentMemory:
    """Open the store read-only.

    Raises:
        StoreNotFound: there is none; it is not made.
    """
    return noted(open_to_check(context, store))


def open_to_check(context: typer.Context, store: Path | None) -> AgentMemory:
    """Open the store read-only, without a word about its state: for a command that says all of it.

    Raises:
        StoreNotFound: there is none; it is not made.
    """
    path = store_path(context, store)
    try:
        return AgentMemory(path=path, read_only=True)
    except StoreNotFound as error:
        raise _not_found(path) from error


def as_agent(memory: AgentMemory, agent: str | None, room: str | None) -> AgentMemory:
    """Return the memory as an agent of a pool sees it; for None as it is.

    Raises:
        BadParameter: there is a room, and nobody in it.
    """
    if agent is not None:
        return SharedMemoryPool(memory).agent(agent, room)
    if room is not None:
        raise typer.BadParameter("--room needs --as: it is the room of that agent")
    return memory


def noted(memory: AgentMemory) -> AgentMemory:
    """Say on standard error what opening found damaged or cut, and return the memory."""
    for note in memory.notes:
        complain(f'{note}; run "memorygraph --store {memory.path} verify"')
    return memory


def _key() -> str | None:
    """Return the key that signs the heads, if the environment names one."""
    return os.environ.get("MEMORYGRAPH_SIGNING_KEY") or None


def _existing(context: typer.Context, store: Path | None) -> Path:
    path = store_path(context, store)
    if not path.exists():
        raise _not_found(path)
    return path


def _not_found(path: Path) -> StoreNotFound:
    return StoreNotFound(
        f"there is no memory at {path}; make one with: memorygraph --store {path} ingest FOLDER "
        '(or remember "TEXT"), or name another with --store',
        path=str(path),
    )


def one_text(words: list[str]) -> str:
    """Return the one argument that is a text to keep, or all of standard input for ``-``.

    Several words are refused and not joined: the last of them may be meant for an option.

    Raises:
        InputError: there is no text, or it is not UTF-8.
        BadParameter: there are several.
    """
    if len(words) > 1:
        raise typer.BadParameter(
            f'put the text in quotes: "{" ".join(words)}" (an option such as --tag takes one value; give it again for '
            "more)"
        )
    return given_text(words)


def given_text(words: Iterable[str]) -> str:
    """Return the arguments as one text, or all of standard input for ``-`` alone.

    Raises:
        InputError: there is no text, or it is not UTF-8.
    """
    given = " ".join(words)
    text = _standard_input() if given == "-" else given
    if not text.strip():
        raise InputError("there is no text; give it as an argument, or - to read standard input")
    return text


def given_ids(arguments: Iterable[str]) -> list[str]:
    """Return the arguments, with the words of standard input in place of ``-``.

    Raises:
        InputError: there are none.
    """
    ids = [one for given in arguments for one in (_standard_input().split() if given == "-" else [given])]
    if not ids:
        raise InputError("there are no ids; give them as arguments, or - to read standard input")
    return ids


def name_and_value(text: str) -> tuple[str, str]:
    """Read NAME=VALUE.

    Raises:
        InputError: there is no equals sign.
    """
    name, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"{text!r} must be NAME=VALUE, such as host=web-1", given=text)
    return name, value


def number_of(name: str, text: str) -> int:
    """Read a position.

    Raises:
        InputError: it is not a whole number.
    """
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{name} must be a position, not {text!r}", given=text)
    return int(text)


def moment(text: str) -> int | datetime:
    """Read a position (digits alone) or a time, as ``AgentMemory.at`` takes it.

    Raises:
        TimeFormatError: it is neither.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return _moment_of(to_us(text))
    except TimeFormatError as error:
        raise TimeFormatError(
            f"{text!r} is neither a position, such as 12, nor a time, such as 2023-05-08T13:56Z; log prints both",
            given=text,
        ) from error


def _moment_of(time_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)


def duration(text: str) -> timedelta:
    """Read a length of time: a number and a unit, such as 90m, 12h, 30d or 2w.

    Raises:
        InputError: it is none.
    """
    found = _DURATION.fullmatch(text.strip())
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else _no_duration(text)
    except OverflowError:
        return _no_duration(text)


def expiry(text: str) -> Expiry:
    """Read when something expires: a length of time from now on, or a time.

    Raises:
        TimeFormatError: it is neither.
    """
    if _DURATION.fullmatch(text.strip()):
        return duration(text)
    try:
        to_us(text)
    except TimeFormatError as error:
        raise TimeFormatError(
            f"{text!r} is neither a length of time (a number and s, m, h, d or w, such as 30d) nor a time, such as "
            "2030-05-08T13:56Z",
            given=text,
        ) from error
    return text


def bound(text: str | None, *, is_end: bool = False, asked_at: TimeLike | None = None) -> datetime | None:
    """Read the time that --since or --until names: a time, or the words of a question, such as "last week" (UTC).

    Args:
        text: what was given, if anything.
        is_end: of words the end is meant, and not the beginning.
        asked_at: what words count from (default: now).

    Raises:
        TimeFormatError: it is neither.
    """
    if text is None:
        return None
    try:
        return _moment_of(to_us(text))
    except TimeFormatError as error:
        window = date_window(text, datetime.now(UTC) if asked_at is None else asked_at)
        if window is None or window.text.casefold() != text.strip().casefold():
            raise TimeFormatError(
                f"{text!r} is neither a time, such as 2023-05-08 or 2023-05-08T13:56Z, nor words for one, such as "
                "yesterday, 'last week' or 'two months ago'",
                given=text,
            ) from error
    if is_end:
        return _moment_of(max(end_us for _, end_us in window.spans) - 1)
    return _moment_of(min(start_us for start_us, _ in window.spans))


def _no_duration(text: str) -> NoReturn:
    raise InputError(f"{text!r} is not a length of time; give a number and s, m, h, d or w, such as 30d", given=text)


_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode().strip()
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 text (byte {error.start})", found=error.start) from error
