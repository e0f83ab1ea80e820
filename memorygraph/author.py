"""Who writes, and from where: the principal and the provenance that every record carries (decision 0006)."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from typing import Final

from memorygraph import checks
from memorygraph.events.errors import InputError

PROVENANCE_BYTES_MAX: Final = 2048
_PLACE_CHARS_MAX: Final = 200


class Author:
    """A principal and where it writes from.

    Args:
        principal: a name, or '' for nobody in particular.
        said: what is known of the origin beyond ``version`` (of memorygraph), ``host``, ``pid`` and ``via`` ("api"
            unless said otherwise), or in their place; an empty text leaves a name out.

    Raises:
        InputError: one of them is not text, or takes too much room.
    """

    def __init__(self, principal: str = "", said: Mapping[str, str] | None = None) -> None:
        self.principal = checks.note("principal", principal)
        self.said = _checked(said)
        self._made_in: tuple[int, dict[str, str]] = (0, {})

    def provenance(self) -> dict[str, str]:
        """Return where this process writes from, as small texts by name; not to be changed."""
        pid, made = self._made_in
        if pid != os.getpid():  # the first time, or in a forked child
            pid = os.getpid()
            here = {"version": _version(), "host": platform.node(), "pid": str(pid), "via": "api"}
            made = {name: value for name, value in {**here, **self.said}.items() if value}
            self._made_in = pid, made
        return made

    def but(self, principal: str | None, said: Mapping[str, str] | None) -> Author:
        """Return the author with another principal (None: the same) and more said of the origin."""
        return Author(self.principal if principal is None else principal, {**self.said, **_checked(said)})


def place(path: object) -> str:
    """Return a path or other place as provenance takes it: printable, and its end if it is long."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(path))
    return text if len(text) <= _PLACE_CHARS_MAX else f"...{text[3 - _PLACE_CHARS_MAX :]}"


def _checked(said: Mapping[str, str] | None) -> dict[str, str]:
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise InputError(f"provenance must map names to texts, not {checks.shown(said)}")
    for name, value in said.items():
        checks.identifier("a name in provenance", name)
        if value != "":
            checks.identifier(f"provenance[{name!r}]", value)
    size_bytes = sum(len(text.encode()) for pair in said.items() for text in pair)
    if size_bytes > PROVENANCE_BYTES_MAX:
        raise InputError(
            f"provenance takes {size_bytes} bytes, more than {PROVENANCE_BYTES_MAX}; it is in every record: say less"
        )
    return dict(said)


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and needed by the first write only

    try:
        return version("memorygraph")
    except PackageNotFoundError:  # run from a tree that is not installed
        return ""
