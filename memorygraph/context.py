"""``memory.context``: what a memory has to say to a question, as a block for a model's prompt, within a budget."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct

from memorygraph import checks
from memorygraph.events.errors import InputError
from memorygraph.hits import MemoryHit
from memorygraph.times import to_text
from memorygraph.tokens import TokenCounter

if TYPE_CHECKING:
    from memorygraph.core.node import MemoryNode

TITLE: Final = "Memories (dates are UTC)"
PINNED_TITLE: Final = "Pinned"
NO_SESSION: Final = "Other memories"
SHARE_MAX: Final = 4
"""A memory too long for the whole budget takes this part (1 / SHARE_MAX) of it, and what the others leave."""
_CUT: Final = " …"
_WORD_MAX: Final = 30


class Context(Struct, frozen=True):
    """A block of text for a prompt; ``str(context)`` is the text.

    ``tokens`` is what the counter says of it, at most the budget. ``ids`` are the memories in it, in order;
    ``shortened`` those of them whose text is cut (it ends in an ellipsis), as it is longer than the whole budget;
    ``left_out`` those that matched or were pinned and did not fit, or that a link says are superseded by a shown one.
    """

    text: str
    tokens: int
    ids: tuple[str, ...]
    left_out: tuple[str, ...]
    position: int
    shortened: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "text": self.text,
            "tokens": self.tokens,
            "ids": list(self.ids),
            "shortened": list(self.shortened),
            "left_out": list(self.left_out),
            "position": self.position,
        }


class _Entry(NamedTuple):
    """A memory that may be shown."""

    id: str
    content: str
    occurred_us: int
    session: str | int | None
    speaker: str | None
    superseded_by: str | None
    is_replaced: bool
    """Whether a link says that it is superseded; what rules read out of the words is no reason to hide it."""
    is_pinned: bool


def pinned_entry(node: MemoryNode, superseded_by: str | None) -> _Entry:
    """Return a pinned memory as an entry."""
    return _Entry(
        node.id,
        node.content,
        round(node.occurred_at * 1e6),
        node.session,
        node.speaker,
        superseded_by,
        is_replaced=False,
        is_pinned=True,
    )


def hit_entry(hit: MemoryHit) -> _Entry:
    """Return a found memory as an entry."""
    return _Entry(
        hit.node_id,
        hit.content,
        round(hit.occurred_at * 1e6),
        hit.session,
        hit.speaker,
        hit.superseded_by,
        is_replaced=hit.why.superseded_explicitly,
        is_pinned=False,
    )


def assemble(entries: Iterable[_Entry], position: int, max_tokens: int, counter: TokenCounter) -> Context:
    """Put entries, the most wanted first, into a block of at most ``max_tokens``.

    What one speaker said already is not repeated, and a memory that a link says is superseded is left out if the
    current one is shown. Texts are given whole; only one that is longer than the whole budget is cut.

    Raises:
        InputError: the counter does not give a whole number.
    """
    taken: dict[str, _Entry] = {}
    too_long: dict[str, _Entry] = {}
    left_out: list[str] = []
    headings: set[str] = set()
    spent = title = _counted(counter, TITLE)
    for whole in _without_doubles(entries):
        if whole.is_replaced and whole.superseded_by in taken:
            left_out.append(whole.id)
            continue
        entry, heading = whole, _heading(whole)
        heading_cost = _counted(counter, f"\n{heading}\n")
        cost = _counted(counter, f"{_line(entry)}\n")
        if title + heading_cost + cost > max_tokens:
            too_long[whole.id] = whole
            entry = _cut_to(whole, max_tokens // SHARE_MAX, counter)
            cost = _counted(counter, f"{_line(entry)}\n")
        cost += 0 if heading in headings else heading_cost
        if spent + cost <= max_tokens:
            taken[entry.id] = entry
            headings.add(heading)
            spent += cost
        else:
            left_out.append(entry.id)
    while taken and _counted(counter, _rendered(taken.values())) > max_tokens:  # a counter need not add up
        left_out.append(taken.popitem()[0])
    for whole in too_long.values():
        if whole.id in taken:
            _lengthen(taken, whole, max_tokens, counter)
    text = _rendered(taken.values())
    ids = tuple(entry.id for group in _groups(taken.values()) for entry in group)
    shortened = tuple(name for name in ids if name in too_long and taken[name] is not too_long[name])
    return Context(text, _counted(counter, text), ids, tuple(left_out), position, shortened)


def _lengthen(taken: dict[str, _Entry], whole: _Entry, max_tokens: int, counter: TokenCounter) -> None:
    """Give a shortened entry what is left of the budget."""
    cut = taken[whole.id]
    spare = max_tokens - _counted(counter, _rendered(taken.values()))
    taken[whole.id] = _cut_to(whole, _counted(counter, _line(cut)) + spare, counter)
    if _counted(counter, _rendered(taken.values())) > max_tokens:  # a counter need not add up
        taken[whole.id] = cut


def _without_doubles(entries: Iterable[_Entry]) -> list[_Entry]:
    texts: set[tuple[str, str]] = set()
    wanted: dict[str, _Entry] = {}
    for entry in entries:
        text = (entry.speaker or "").casefold(), checks.one_line(entry.content).casefold()
        if entry.id not in wanted and text not in texts:
            texts.add(text)
            wanted[entry.id] = entry
    return list(wanted.values())


def _rendered(taken: Collection[_Entry]) -> str:
    if not taken:
        return ""
    parts = [TITLE]
    for group in _groups(taken):
        parts += ["", _heading(group[0]), *map(_line, group)]
    return "\n".join(parts)


def _groups(taken: Collection[_Entry]) -> list[list[_Entry]]:
    """The pinned ones in their order; then the sessions by time, and in each its memories by time."""
    pinned = [entry for entry in taken if entry.is_pinned]
    by_session: dict[Any, list[_Entry]] = {}
    for entry in sorted((entry for entry in taken if not entry.is_pinned), key=lambda one: (one.occurred_us, one.id)):
        by_session.setdefault(entry.session, []).append(entry)
    others = by_session.pop(None, [])
    return [group for group in (pinned, *by_session.values(), others) if group]


def _heading(entry: _Entry) -> str:
    if entry.is_pinned:
        return f"## {PINNED_TITLE}"
    return f"## {NO_SESSION}" if entry.session is None else f"## Session {checks.one_line(entry.session)}"


def _line(entry: _Entry) -> str:
    """One memory on one line: no text can look like a heading or like another memory."""
    content = checks.one_line(entry.content)
    is_named = not entry.speaker or content.casefold().startswith(f"{entry.speaker.casefold()}:")
    said = content if is_named else f"{entry.speaker}: {content}"
    mark = f" (superseded by [{entry.superseded_by}])" if entry.superseded_by else ""
    return f"- [{entry.id}] {to_text(entry.occurred_us)[:16].replace('T', ' ')} {said}{mark}"


def _cut_to(entry: _Entry, limit: int, counter: TokenCounter) -> _Entry:
    """Shorten an entry, at a word where there is one, if its line is beyond the limit."""
    content = checks.one_line(entry.content)
    if _counted(counter, _line(entry)) <= limit:
        return entry
    low, high = 1, len(content) - 1
    while low < high:  # as many characters as fit, at least one
        middle = (low + high + 1) // 2
        fits = _counted(counter, _line(entry._replace(content=content[:middle] + _CUT))) <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    kept = content[:low]
    space = kept.rfind(" ", -_WORD_MAX)
    return entry._replace(content=(kept if space < 1 else kept[:space]) + _CUT)


def _counted(counter: TokenCounter, text: str) -> int:
    count = counter(text)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise InputError(f"the token counter must give a whole number, not {checks.shown(count)}")
    return count
