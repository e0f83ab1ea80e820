"""The filters that recall, reason, find and context share, as callers give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypedDict

from memorygraph import checks
from memorygraph.events.errors import InputError
from memorygraph.events.types import Limits, MemoryType, Scope
from memorygraph.projections.filters import Filters
from memorygraph.times import TimeLike, to_us

TagMode = Literal["all", "any"]


class FilterFields(TypedDict, total=False):
    """Which memories may be found; what is left out or None leaves them open, and all that is given must hold.

    ``tags``: every one, or with ``tag_mode="any"`` one of them. ``metadata``: these keys with these values.
    ``session``, ``speaker``, ``source``: equal. ``scope``: private, shared or public. ``owner``: the agent
    whose they are, in a memory that agents share. ``since``, ``until``: when it happened, both ends included.
    """

    memory_type: MemoryType | str | None
    tags: Iterable[str] | None
    tag_mode: TagMode
    session: str | int | None
    speaker: str | None
    source: str | None
    metadata: Mapping[str, Any] | None
    scope: Scope | str | None
    owner: str | None
    since: TimeLike | None
    until: TimeLike | None


def filters_of(fields: FilterFields, limits: Limits) -> Filters:
    """Return what was given, checked.

    Raises:
        InputError: there is no such filter, or a value cannot be used.
    """
    unknown = [name for name in fields if name not in _FIELDS]
    if unknown:
        raise InputError(f"there is no filter {unknown[0]!r}; filters are {', '.join(sorted(_FIELDS))}")
    given: dict[str, Any] = {**fields}
    get = given.get
    memory_type, scope, since, until = get("memory_type"), get("scope"), get("since"), get("until")
    tag_mode = get("tag_mode", "all")
    if tag_mode not in ("all", "any"):
        raise InputError(f"tag_mode must be 'all' or 'any', not {checks.shown(tag_mode)}")
    return Filters(
        memory_type=None if memory_type is None else MemoryType.of(memory_type).code,
        tags=checks.tags(get("tags"), limits),
        metadata=checks.metadata(get("metadata"), limits),
        session=checks.session(get("session")),
        speaker=checks.optional_text("speaker", get("speaker")),
        source=checks.optional_text("source", get("source")),
        since_us=None if since is None else to_us(since),
        until_us=None if until is None else to_us(until),
        tag_mode=tag_mode,
        scope=None if scope is None else Scope.of(scope).code,
        owner=checks.optional_text("owner", get("owner")),
    )


_FIELDS: Final = frozenset(FilterFields.__annotations__)
