"""``Evidence``: the part of a memory that tells who did what, and proves it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from memorygraph import audit, checks, exports
from memorygraph.actors.commands import RecordAccesses
from memorygraph.actors.engine import Engine
from memorygraph.actors.signing import heads_path
from memorygraph.audit import AuditEntry
from memorygraph.events.errors import DamagedLog, InputError
from memorygraph.events.heads import HeadsReport, SignedHead, read_heads
from memorygraph.home import Home
from memorygraph.proofs import heads_against_engine
from memorygraph.times import TimeLike

AUDITED: Final = "audited"
BEST_EFFORT: Final = "best_effort"


def recording(given: str) -> str:
    """Return how recalls are to be recorded.

    Raises:
        InputError: it is none of the two ways.
    """
    if given not in (AUDITED, BEST_EFFORT):
        raise InputError(f"record must be {BEST_EFFORT!r} or {AUDITED!r}, not {checks.shown(given)}")
    return given


_FILTERS: Final = frozenset(inspect.signature(audit.wanted).parameters)


class Evidence:
    """The audit of a memory, its signed heads, and files that prove what they show."""

    path: str | None
    _engine: Engine
    _home: Home
    _live: Home  # where audited recalls are recorded: the memory itself, also for a view of its past
    _record: str

    def audit(
        self,
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
    ) -> Iterator[AuditEntry]:
        """Give who wrote, changed, recalled and forgot what, when and from where, oldest first.

        A record of which only its hash is kept may have been anything: it is told whatever is asked for, as an entry of
        the action "replaced", unless ``action`` leaves that out.

        Args:
            who: principals ('' for what was done without a name). id: of memories. One or several.
            action: one or several of "wrote", "changed", "recalled", "forgot", "linked", "unlinked", "created",
                "space", "folded" (recalls, to counts), "compacted", "embedded" (by another embedder),
                "space_activated", "reviewed", "review_ended", "attention_lost", "moved" (to another scope), "archived",
                "restored", "nothing" (of a command), "replaced".
            since, until: by recording time.
            session: of the memories concerned.
            where: what the provenance must say, such as {"host": "web-1"}.
            first, last: positions.

        Raises:
            InputError: a filter that cannot be used.
        """
        asked = audit.wanted(
            who=who,
            id=id,
            action=action,
            since=since,
            until=until,
            session=session,
            where=where,
            first=first,
            last=last,
        )
        start = 1 if asked.session is not None else asked.first
        return audit.audit(self._engine.read(start, asked.last, about=asked.only_id), asked)

    def heads(self) -> list[SignedHead]:
        """Return the signed heads that are kept in the store, oldest first.

        Raises:
            ImportFormatError: the file that holds them is damaged.
        """
        path = Path(heads_path(self._engine.location))
        return read_heads(path) if self.path is not None and path.exists() else []

    def verify_heads(self, heads: str | Path, key: str | Path | None = None) -> HeadsReport:
        """Check the whole log, and hold the signed heads of a file against it.

        Args:
            heads: a file of signed heads, kept where the writer of the log could not change it.
            key: the public key to trust, its file or 64 hexadecimal digits. Without it only this is proved: the log is
                the one that somebody signed.

        Raises:
            ImportFormatError: the file holds no signed heads.
            InputError: the key cannot be used.
        """
        return heads_against_engine(heads, key, self._engine, self._engine.verify())

    def sign_head(self) -> SignedHead:
        """Sign the log's head as it is now with ``signing_key``, and keep it in the store.

        Raises:
            InputError: there is no signing key.
            StoreError: it cannot be written.
        """
        return self._engine.sign_head()

    def export(self, path: str | Path, *, partial: bool = False, only: Mapping[str, Any] | None = None) -> int:
        """Write the whole log as one portable file, and return the position it ends at.

        Args:
            only: filters of ``audit``, such as {"who": "ann"}: records that no entry asked for is of are written as
                hashes. The file proves what it shows, and cannot be imported.

        Raises:
            DamagedLog: part of the log cannot be read; with ``partial=True`` what comes before it is written.
        """
        if not partial and not (report := self._engine.verify()).whole:
            end = report.head.position
            raise DamagedLog(f"only positions 1 to {end} can be read; nothing was exported", position=end)
        if unknown := set(only or ()) - _FILTERS:
            raise InputError(f"{unknown.pop()!r} is not a filter; use some of: {', '.join(sorted(_FILTERS))}")
        wanted = None if only is None else {entry.position for entry in self.audit(**only)}
        return exports.export_log(self._engine, path, only=wanted)

    def _way(self, record: str | None) -> str:
        """Return how a recall is to be recorded.

        Raises:
            InputError: it is to be audited, and what a transaction says may be undone.
        """
        way = recording(self._record if record is None else record)
        if way == AUDITED and self._live.engine.in_transaction:
            raise InputError(
                "an audited recall cannot be made in a transaction, because an answer that was given stays given when "
                'the block is undone; recall before the block, or with record="best_effort"'
            )
        return way

    def _note(self, way: str, given: list[str], matched: list[str]) -> None:
        """Record what was given in answer, in one of the two ways; ``matched`` of it is reinforced."""
        if way == BEST_EFFORT:
            self._home.accessed(matched)
        elif given:
            # What is seen of the past is recorded in the present, and reinforces nothing.
            reinforced = dict.fromkeys(matched, self._live.clock.now_us()) if self._live is self._home else {}
            shown = [node_id for node_id in given if node_id not in reinforced]
            operation = RecordAccesses(ids=[*reinforced], times_us=[*reinforced.values()], shown=shown, is_audited=True)
            self._live.execute(operation)
