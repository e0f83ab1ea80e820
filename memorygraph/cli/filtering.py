"""The options of recall, reason and context that say which memories may be found, and when the question is asked."""

import inspect
import json
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Annotated, Any, Final

import typer

from memorygraph.cli.options import TagsOption, TypeOption, bound
from memorygraph.events.errors import InputError


def _option(text: str, metavar: str) -> Any:
    return typer.Option(help=text, metavar=metavar, show_default=False)


_OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "memory_type": (TypeOption, None),
    "tags": (TagsOption, None),
    "tag_mode": (Annotated[str, typer.Option(help="Of several tags, all or any.", metavar="MODE")], "all"),
    "session": (Annotated[str | None, _option("Only of this conversation.", "NAME")], None),
    "speaker": (Annotated[str | None, _option("Only what this one said.", "NAME")], None),
    "source": (Annotated[str | None, _option("Only from this source.", "NAME")], None),
    "metadata": (Annotated[list[str] | None, _option("Only with this metadata; again for more.", "KEY=VALUE")], None),
    "scope": (
        Annotated[str | None, _option("Only private, shared or public ones, as agents of a pool set it.", "SCOPE")],
        None,
    ),
    "owner": (Annotated[str | None, _option("Only those that this agent of a pool owns.", "AGENT")], None),
    "since": (
        Annotated[str | None, _option("Only what happened then or later, or since yesterday.", "TIME")],
        None,
    ),
    "until": (Annotated[str | None, _option("Only what happened until then.", "TIME")], None),
    "asked_at": (Annotated[str | None, _option('What "last week" counts from (default: now).', "TIME")], None),
}


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options above; it takes what was given as the keyword ``filters``."""
    own = inspect.signature(command)
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in _OPTIONS.items()
    ]

    @wraps(command)
    def run(**options: Any) -> None:
        given = {name: options.pop(name) for name in _OPTIONS}
        given["metadata"] = _pairs(given["metadata"]) if given["metadata"] else None
        asked_at = given["asked_at"]
        given["since"] = bound(given["since"], asked_at=asked_at)
        given["until"] = bound(given["until"], is_end=True, asked_at=asked_at)
        command(**options, filters={name: value for name, value in given.items() if value is not None})

    kept = [parameter for name, parameter in own.parameters.items() if name != "filters"]
    run.__signature__ = own.replace(parameters=[*kept, *extra])  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *extra)}
    return run


def _pairs(given: Iterable[str]) -> dict[str, Any]:
    """Read KEY=VALUE; a value that is JSON is taken as such, another as text.

    Raises:
        InputError: there is no "=".
    """
    pairs: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals:
            raise InputError(f"--metadata takes KEY=VALUE, not {one!r}")
        try:
            pairs[key] = json.loads(value)
        except ValueError:
            pairs[key] = value
    return pairs
