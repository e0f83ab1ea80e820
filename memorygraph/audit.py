"""The audit: who wrote, changed, recalled and forgot what, when and from where, told from the log (decision 0006).

Pure functions over records. A record of which only its hash is kept may have been anything; it is told as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec
from msgspec import Struct

from memorygraph import checks
from memorygraph.actors.engine import Committed, committed_of
from memorygraph.events.errors import InputError
from memorygraph.events.log import LogEntry
from memorygraph.events.records import AccessesRecorded, Event, NodeAdded, NodeRevised
from memorygraph.history import KINDS, REPLACED, Change, changes_of
from memorygraph.times import TimeLike, to_seconds, to_text, to_us

NOTHING: Final = "nothing"
_ACTIONS: Final = {
    "added": "wrote",
    "revised": "changed",
    "reinforced": "changed",
    "forgotten": "forgot",
    "edge_revised": "changed",
    "strengthened": "changed",
}
"""Action by kind of change; a kind that is not here is an action of that name."""
ACTIONS: Final = (*dict.fromkeys(_ACTIONS.get(kind, kind) for kind in KINDS), NOTHING)


class AuditEntry(Struct, frozen=True):
    """One thing that somebody did.

    ``time`` is when it was recorded (of a recall: when it was made), in Unix seconds; None where that is not known any
    more. ``principal`` is '' where none was given. ``action`` is one of ``ACTIONS``; "nothing" is a command that
    changed nothing, "replaced" a record of which only its hash is kept. ``ids`` are the memories concerned, ``where``
    is the record's provenance. ``event`` tells the rest; a recall's is that of all recalls recorded with it.
    """

    position: int
    index: int
    time: float | None
    principal: str
    action: str
    ids: tuple[str, ...]
    where: dict[str, str]
    command_id: str
    event: Event | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON; vectors are given as their length in numbers."""
        data: dict[str, Any] = {}
        if self.event is not None and not isinstance(self.event, AccessesRecorded):
            data = msgspec.msgpack.decode(msgspec.msgpack.encode(self.event))
        if "vector" in data:
            data["vector"] = f"{len(data['vector']) // 4} numbers"
        return {
            "position": self.position,
            "index": self.index,
            "time": self.time,
            "when": None if self.time is None else to_text(round(self.time * 1e6)),
            "principal": self.principal,
            "action": self.action,
            "ids": list(self.ids),
            "where": dict(self.where),
            "command_id": self.command_id,
            "event": data,
        }


class Wanted(Struct, frozen=True, kw_only=True):
    """Which entries are asked for; empty and None stand for any. ``wanted`` makes it from what a caller gave."""

    who: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    since_us: int | None = None
    until_us: int | None = None
    session: str | int | None = None
    where: dict[str, str] = {}
    first: int = 1
    last: int | None = None

    @property
    def only_id(self) -> str | None:
        """The one id that every entry must name, if the records that name it are enough to tell."""
        return next(iter(self.ids)) if len(self.ids) == 1 and self.session is None else None


def wanted(
    *,
    who: str | Iterable[str] | None = None,
    id: str | Iterable[str] | None = None,
    action: str | Iterable[str] | None = None,
    since: TimeLike | None = None,
    until: TimeLike | None = None,
    session: str | int | None = None,
    where: Mapping[str, str] | None = None,
    first: int = 1,
    last: int | None = None,
) -> Wanted:
    """Return the filters of an audit, checked.

    Args:
        who: principals ('' for what was done without a name). id: of memories. action: of ``ACTIONS``. One or several.
        since, until: by recording time.
        session: of the memories concerned.
        where: what the provenance must say.
        first, last: positions.

    Raises:
        InputError: a value that cannot be used.
    """
    actions = _texts("action", action)
    if unknown := sorted(actions - set(ACTIONS)):
        raise InputError(
            f"{checks.shown(unknown[0])} is not an action; use one of: {', '.join(ACTIONS)}", given=unknown[0]
        )
    if where is not None and not isinstance(where, Mapping):
        raise InputError(f"where must map names to texts, not {checks.shown(where)}")
    return Wanted(
        who=_texts("who", who),
        ids=_texts("id", id),
        actions=actions,
        since_us=None if since is None else to_us(since),
        until_us=None if until is None else to_us(until),
        session=checks.session(session),
        where=dict(where or {}),
        first=checks.count("first", first, 1, 2**62),
        last=None if last is None else checks.count("last", last, 0, 2**62),
    )


def audit(records: Iterable[Committed], asked: Wanted) -> Iterator[AuditEntry]:
    """Give the entries that are asked for, in the order of the log.

    ``records`` begin at position 1 if a session is asked for: which memories belong to it is told by the log alone.
    """
    members: set[str] = set()
    for record in records:
        if not record.events:
            bare = _without_events(record)
            names_none = record.events is not None and (asked.ids or asked.session is not None)
            if not names_none and record.position >= asked.first and _matches(bare, asked):
                yield bare
            continue
        for change in changes_of(record):
            for entry in _entries(change):
                if record.position >= asked.first and (found := _matching(entry, change, asked, members)) is not None:
                    yield found
            _note_session(change.event, asked.session, members)


def audit_of(entries: Iterable[LogEntry], asked: Wanted) -> Iterator[AuditEntry]:
    """Give the entries that are asked for from the records of a file, from position 1 on."""
    last = asked.last
    return audit((committed_of(one) for one in entries if last is None or one.position <= last), asked)


def _entries(change: Change) -> Iterator[AuditEntry]:
    """Give what a change says: one entry, or of recalls that were recorded together, one for each."""
    event = change.event
    if not isinstance(event, AccessesRecorded):
        yield _entry(change, change.time, change.ids)
        return
    pairs = zip(event.times_us, event.ids, strict=True)
    recalls = [(time_us, [node_id for _, node_id in group]) for time_us, group in groupby(pairs, itemgetter(0))]
    if event.shown:  # then it is one recall
        ids = [*(node_id for _, group in recalls for node_id in group), *event.shown]
        recalls = [(round(change.time * 1e6), ids)]
    for time_us, ids in recalls:
        yield _entry(change, to_seconds(time_us), tuple(ids))


def _entry(change: Change, time_s: float, ids: tuple[str, ...]) -> AuditEntry:
    return AuditEntry(
        change.position,
        change.index,
        time_s,
        change.principal,
        _ACTIONS.get(change.kind, change.kind),
        ids,
        change.provenance,
        change.command_id,
        change.event,
    )


def _without_events(record: Committed) -> AuditEntry:
    if record.events is None:
        return AuditEntry(record.position, 0, None, "", REPLACED, (), {}, "", None)
    return AuditEntry(
        record.position,
        0,
        to_seconds(record.time_us),
        record.principal,
        NOTHING,
        (),
        record.provenance,
        record.command_id,
        None,
    )


def _matching(entry: AuditEntry, change: Change, asked: Wanted, members: set[str]) -> AuditEntry | None:
    """Return the entry if it is asked for; of a link that went with another memory, told as such."""
    if asked.ids and not asked.ids.intersection(entry.ids):
        cut = [told.ids[0] for node_id in sorted(asked.ids) if (told := change.told_of(node_id)) is not None]
        if not cut or isinstance(change.event, AccessesRecorded):
            return None
        entry = msgspec.structs.replace(entry, action="unlinked", ids=tuple(cut))
    if asked.session is not None and not _is_of_session(entry, asked.session, members):
        return None
    return entry if _matches(entry, asked) else None


def _matches(entry: AuditEntry, asked: Wanted) -> bool:
    """Whether an entry is as asked, but for the memories concerned. What is not known any more may have been so."""
    if asked.actions and entry.action not in asked.actions:
        return False
    if entry.time is None:
        return True
    time_us = round(entry.time * 1e6)
    return (
        (not asked.who or entry.principal in asked.who)
        and (asked.since_us is None or time_us >= asked.since_us)
        and (asked.until_us is None or time_us <= asked.until_us)
        and all(entry.where.get(name) == value for name, value in asked.where.items())
    )


def _is_of_session(entry: AuditEntry, session: str | int, members: set[str]) -> bool:
    event = entry.event
    if isinstance(event, NodeAdded | NodeRevised) and event.session == session:
        return True
    return not members.isdisjoint(entry.ids)


def _note_session(event: Event | None, session: str | int | None, members: set[str]) -> None:
    if session is None or not isinstance(event, NodeAdded | NodeRevised) or event.session is msgspec.UNSET:
        return
    if event.session == session:
        members.add(event.id)
    else:
        members.discard(event.id)


def _texts(name: str, given: str | Iterable[str] | None) -> frozenset[str]:
    if given is None:
        return frozenset()
    return frozenset(
        checks.note(name, one) for one in ([given] if isinstance(given, str) else checks.several(name, given))
    )
