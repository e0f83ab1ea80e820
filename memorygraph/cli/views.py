"""What the commands print: memories, hits, changes and reports, as views for people and as facts for JSON.

Everything shown goes through ``plain``: a memory's text comes from anywhere, and must not steer a terminal.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import UNSET, structs
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memorygraph.core.edge import MemoryEdge
from memorygraph.core.node import MemoryNode
from memorygraph.events.heads import HeadsReport, SignedHead
from memorygraph.events.log import VerifyReport
from memorygraph.events.records import (
    AccessesFolded,
    AttentionLost,
    EdgesAdded,
    Event,
    MemoryCreated,
    NodeAdded,
    NodeRevised,
    NodesForgotten,
    RecordsReplaced,
    ReviewsRecorded,
    SpaceActivated,
    SpaceDeclared,
)
from memorygraph.events.types import EdgeType, ReviewModel, Scope
from memorygraph.history import Change
from memorygraph.hits import MemoryHit
from memorygraph.times import to_seconds

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_WORD: Final = re.compile(r"\w+")
_DIGITS: Final = 1000  # the fourth digit asks for the next unit
_CONTENT_SHOWN: Final = 140
_OPENING_SHOWN: Final = 200
_IDS_SHOWN: Final = 3
_FINDINGS_SHOWN: Final = 5


def plain(text: str) -> str:
    """Return the text on one line, without control characters (which could move the cursor or hide text)."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(text.split()))


def cut(text: str, width: int) -> str:
    """Return the text, shortened to so many columns with an ellipsis where it is longer."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def when(time_s: float | None, form: str = "%Y-%m-%d %H:%M") -> str:
    """Write a time (Unix seconds) in UTC; '' for none."""
    if time_s is None:
        return ""
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime(form)
    except (OverflowError, OSError, ValueError):
        return "in no calendar"  # out of a log that somebody else wrote


def size(count: float) -> str:
    """Write a number of bytes with three digits or so and a unit."""
    if count < _DIGITS:
        return f"{count:.0f} B"
    units = iter(("KiB", "MiB", "GiB"))
    unit, count = next(units), count / 1024
    while count >= _DIGITS and (larger := next(units, "")):
        unit, count = larger, count / 1024
    return f"{count:.1f} {unit}"


# Hits.


def hit_facts(hit: MemoryHit) -> dict[str, Any]:
    """Return a hit for JSON, with its reason also in words."""
    facts = hit.to_dict()
    return {**facts, "why": {**facts["why"], "text": str(hit.why)}}


def passage(hit: MemoryHit) -> str:
    """Return the hit's text on one line, from the sentence on that has most of the matched words.

    A title (a line of its own at the top, as documents and docstrings have) is passed over for a sentence as good.
    """
    title, _, body = hit.content.strip().partition("\n\n")
    sentences = _SENTENCE_END.split(hit.content.strip())
    matched = tuple(term.lower() for term in hit.why.terms)
    found = [sum(word.startswith(matched) for word in _WORD.findall(one.lower())) for one in sentences]
    has_title = bool(body) and sentences[0] == title
    start = found.index(max(found[1:])) if has_title and max(found[1:]) >= found[0] else found.index(max(found))
    return ("… " if start else "") + plain(" ".join(sentences[start:]))


def hits_view(hits: Iterable[MemoryHit]) -> RenderableType:
    """Return the hits as blocks: rank, score, the content shortened, then where it comes from, then why."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", style="bold")
    grid.add_column(style="cyan")
    grid.add_column(ratio=1)
    for rank, hit in enumerate(hits, 1):
        about = [hit.node_id, when(hit.occurred_at), plain(hit.speaker or ""), plain(hit.source or "")]
        grid.add_row(
            str(rank),
            f"{hit.score:.2f}",
            Group(
                Text(cut(passage(hit), _CONTENT_SHOWN)),
                Text(" · ".join(part for part in about if part), style="dim", no_wrap=True, overflow="ellipsis"),
                Text(f"why: {plain(str(hit.why))}", style="green"),
            ),
        )
    return grid


# One memory.


def other_end(edge: MemoryEdge, node_id: str) -> str:
    """Return the id at the other end of an edge."""
    return edge.target_id if edge.source_id == node_id else edge.source_id


def node_facts(node: MemoryNode) -> dict[str, Any]:
    """Return a memory for JSON, without its vector."""
    facts = {name: value for name, value in node.to_dict().items() if name != "embedding"}
    return {**facts, "owner": node.owner, "scope": node.scope.value, "room": node.room}


def edge_facts(edge: MemoryEdge, other: MemoryNode, node_id: str) -> dict[str, Any]:
    """Return an edge for JSON, with what the memory at its other end says."""
    return {
        "id": edge.id,
        "type": edge.edge_type.value,
        "weight": edge.weight,
        "directed": edge.directed,
        "outgoing": edge.source_id == node_id,
        "other": other.id,
        "content": other.content,
    }


def node_views(
    node: MemoryNode, edges: Sequence[tuple[MemoryEdge, MemoryNode]], changes: Sequence[Change]
) -> Iterable[RenderableType]:
    """Give the views of one memory: its text, its fields, its links with the other end's first words, its history."""
    yield Text(node.content.strip() if node.content.isprintable() else printable_lines(node.content))
    yield ""
    yield _pairs({name: value for name, value in _fields(node).items() if value not in ("", None)})
    yield ""
    if edges:
        table = _table(
            f"{len(edges)} link{'s' if len(edges) > 1 else ''}", "", "type", "weight", "edge", "id", "memory"
        )
        for edge, other in sorted(edges, key=lambda pair: -pair[0].weight):
            way = ("→" if edge.source_id == node.id else "←") if edge.directed else "↔"
            table.add_row(way, edge.edge_type.value, f"{edge.weight:.2f}", edge.id, other.id, _one_line(other.content))
        yield table
        yield ""
    yield history_view(node.id, changes)


def last_forgotten(node_id: str, changes: Sequence[Change]) -> Change | None:
    """Return the latest change that forgot a memory; None if there is none among its changes."""
    forgotten = [one for one in changes if isinstance(one.event, NodesForgotten) and node_id in one.event.ids]
    return forgotten[-1] if forgotten else None


def forgotten_views(node_id: str, forgotten: Change, changes: Sequence[Change]) -> Iterable[RenderableType]:
    """Give the views of a memory that is no longer there: when and by whom it was forgotten, its history."""
    by = f", by {plain(forgotten.principal)}" if forgotten.principal else ""
    reason = plain(forgotten.event.reason) if isinstance(forgotten.event, NodesForgotten) else ""
    yield Text(
        f"{node_id} was forgotten at position {forgotten.position}, {when(forgotten.time)}{by}"
        + (f": {reason}" if reason else "")
    )
    yield Text(f"as it was before: show {node_id} --at {forgotten.position - 1}", style="dim")
    yield ""
    yield history_view(node_id, changes)


def history_view(node_id: str, changes: Sequence[Change]) -> RenderableType:
    """Return the changes of one memory as a table."""
    table = _table("history", "position", "when (UTC)", "what", "agent", "")
    for change in changes:
        what = what_of(change.event, change.ids, node_id).removeprefix(f"{node_id}  ").replace(node_id, "this")
        recorded = when(None if change.event is None else change.time)
        table.add_row(str(change.position), recorded, change.kind, plain(change.principal), _one_line(what))
    return table


def _one_line(content: str) -> Text:
    return Text(plain(content[:_OPENING_SHOWN]), no_wrap=True, overflow="ellipsis")


def printable_lines(content: str) -> str:
    """Return a text with its lines, and without what a terminal would take for a command."""
    return "\n".join(plain(line) if not line.isprintable() else line for line in content.strip().splitlines())


def _seen_by(node: MemoryNode) -> str:
    """Say who sees a memory of a pool; '' for one that is nobody's and everyone's."""
    if node.scope is Scope.SHARED:
        return plain(f"the room {node.room}")
    return "its owner" if node.scope is Scope.PRIVATE else "everyone" if node.owner else ""


def _fields(node: MemoryNode) -> dict[str, Any]:
    return {
        "id": node.id,
        "type": node.memory_type.value,
        "happened": when(node.occurred_at),
        "recorded": when(node.created_at),
        "expires": when(node.expires_at),
        "speaker": plain(node.speaker or ""),
        "session": "" if node.session is None else plain(str(node.session)),
        "source": plain(node.source or ""),
        "owner": plain(node.owner or ""),
        "seen by": _seen_by(node),
        "tags": plain(", ".join(node.tags)),
        "importance": f"{node.importance:.2f}",
        "retention": f"{node.retention():.2f}",
        "metadata": plain(", ".join(f"{name}={value}" for name, value in node.metadata.items())),
        "last changed": f"at position {node.version}",
    }


# Numbers.


def stats_view(facts: dict[str, Any]) -> RenderableType:
    """Return what ``stats().to_dict()`` says, and the path, as pairs."""
    parts = {name: count for name, count in facts["bytes_by_part"].items() if count}
    return _pairs(
        {
            "store": plain(str(facts["path"])),
            "position": f"{facts['position']:,}",
            "memories": f"{facts['num_nodes']:,}" + _by_name(facts["type_distribution"]),
            "links": f"{facts['num_edges']:,}" + _by_name(facts["edge_type_distribution"]),
            "links per memory": f"{facts['avg_degree']:.1f}",
            "mean importance": f"{facts['avg_importance']:.2f}",
            "recalls": f"{facts['total_accesses']:,}",
            "bytes": size(sum(parts.values())) + _by_name({name: size(count) for name, count in parts.items()}),
        }
    )


def _by_name(counts: dict[str, Any]) -> str:
    listed = ", ".join(
        f"{name} {count:,}" if isinstance(count, int) else f"{name} {count}" for name, count in counts.items()
    )
    return f" ({listed})" if listed else ""


# Events.


def change_line(change: Change, width: int | None = None) -> str:
    """Return an event as one line: position, time, kind, agent, what.

    For a terminal ``width`` columns wide it is cut there, and the agent's column, empty as a rule, makes room for text.
    """
    agent = plain(change.principal) or "-"
    recorded = when(None if change.event is None else change.time, "%Y-%m-%d %H:%M:%S")
    head = f"{change.position:>6}  {recorded:<19}  {change.kind:<9}"
    if width is None:
        return f"{head}  {agent:<8}  {what_of(change.event, change.ids)}"
    return cut(f"{head}  {agent}  {what_of(change.event, change.ids)}", width)


def what_of(event: Event | None, ids: Sequence[str], about: str = "") -> str:
    """Return on one line what an event says, of the memories it concerns; ``about``: only one of them."""
    match event:
        case None:
            return "(replaced; only its hash is kept)"
        case NodeAdded():
            return f"{event.id}  {plain(event.content)}"
        case NodeRevised():
            return f"{event.id}  {_revised(event)}"
        case NodesForgotten():
            return f"{_several(event.ids)}  {plain(event.reason)}".rstrip()
        case EdgesAdded():
            return _linked(event, about)
        case MemoryCreated():
            return f'the memory "{plain(event.name)}", its texts in language "{plain(event.language)}"'
        case SpaceActivated():
            return f"vectors of space {event.space} are used from here on"
        case SpaceDeclared():
            made_by = f"{plain(event.name)} {plain(event.version)}".rstrip()
            return f"vectors of {event.dim} dimensions, made by {made_by}"
        case AccessesFolded():
            return _folded(event, about)
        case ReviewsRecorded():
            return f"{_several(ids)}  {_reviewed(event, about)}"
        case AttentionLost():
            return f"{_several(ids)}  {plain(event.reason)}"
        case RecordsReplaced():
            why = f" ({plain(event.reason)})" if event.reason else ""
            return f"of {event.records:,} records up to position {event.up_to} only the hash is kept{why}"
        case _:
            return _several(ids) or plain(" ".join(str(value) for value in _set_fields(event).values()))


def _revised(event: NodeRevised) -> str:
    fields = _set_fields(event)
    said = fields.pop("content", None)
    names = ", ".join(name for name in fields if name not in ("id", "space", "vector"))
    return "  ".join(part for part in (plain(said) if said is not None else "", f"({names})" if names else "") if part)


def _linked(event: EdgesAdded, about: str) -> str:
    ends = list(zip(event.sources, event.targets, strict=True))
    shown = [row for row, pair in enumerate(ends) if not about or about in pair]
    first = shown[0]
    kind = EdgeType.from_code(event.types[first]).value if event.types else EdgeType.ASSOCIATION.value
    more = len(shown) - 1
    return " → ".join(ends[first]) + f"  {kind}" + (f", and {more} more" if more else "")


def _folded(event: AccessesFolded, about: str) -> str:
    if about in event.ids:
        row = event.ids.index(about)
        return f"recalled {event.access_counts[row]:,} times, last {when(event.accessed_us[row] / 1e6)}"
    return f"{sum(event.access_counts):,} recalls of {_several(event.ids)}"


def _reviewed(event: ReviewsRecorded, about: str) -> str:
    model = ReviewModel.from_code(event.model).value
    did = f"registered for review by {model}" if event.begins else "reviewed"
    if about not in event.ids and len(event.ids) > 1:
        return did
    row = event.ids.index(about) if about in event.ids else 0
    return f"{did}, grade {event.grades[row]:g}, due {when(event.due_us[row] / 1e6)}"


def _several(ids: Sequence[str]) -> str:
    more = len(ids) - _IDS_SHOWN
    return ", ".join(ids[:_IDS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _set_fields(event: Event) -> dict[str, Any]:
    return {name: value for name, value in structs.asdict(event).items() if value is not UNSET}


# Checks.


def verify_facts(report: VerifyReport) -> dict[str, Any]:
    """Return a report for JSON."""
    return {
        "whole": report.whole,
        "position": report.head.position,
        "chain": report.head.chain.hex(),
        "records": report.records,
        "frames": report.frames,
        "size_bytes": report.size_bytes,
        "damage": [structs.asdict(damage) for damage in report.damage],
        "readable": [list(one) for one in report.readable],
        "hashes": report.hashes,
        "untold": report.untold,
        "notes": list(report.notes),
    }


def verify_text(report: VerifyReport) -> str:
    """Return a report as lines: what was read, each damaged place, the head."""
    read = f"{report.records:,} records in {report.frames:,} frames, {size(report.size_bytes)}"
    lines = [f"whole: {read}"] if report.whole else [*_damage_lines(report)]
    lines += [f"note: {plain(note)}" for note in report.notes]
    lines += [f"head at position {report.head.position}, chain", report.head.chain.hex()]
    return "\n".join(lines)


def signed_head_line(head: SignedHead) -> str:
    """Return a signed head as one line: position, time, key, the beginning of the chain."""
    signed = when(to_seconds(head.time_us), "%Y-%m-%d %H:%M:%S")
    return f"{head.position:>8}  {signed}  key {head.key_id}  chain {head.chain[:16]}..."


def heads_facts(report: HeadsReport) -> dict[str, Any]:
    """Return what holding signed heads against a log gave, for JSON."""
    findings = [{**structs.asdict(one), "fault": one.fault.value} for one in report.findings]
    return {**structs.asdict(report), "findings": findings, "good": report.good}


def heads_text(report: HeadsReport, *, is_key_given: bool) -> str:
    """Return it as lines: each fault, what agrees, what it is worth."""
    lines = [
        f"{one.fault.value.upper()}: signed head {one.number}, of position {one.position}: {plain(one.message)}"
        for one in report.findings[:_FINDINGS_SHOWN]
    ]
    if (more := len(report.findings) - _FINDINGS_SHOWN) > 0:
        lines.append(f"and {more} more")
    keys = ", ".join(report.keys)
    agree = f"{report.agreeing} of {report.heads} signed heads agree"
    lines.append(f"{agree}, the last at position {report.position} (key {keys})" if report.agreeing else agree)
    if report.unchecked:
        lines.append(f"{report.unchecked} are of positions that cannot be read")
    if not is_key_given:
        lines.append("who signed was not checked; --key compares with the public key that you trust")
    return "\n".join(lines)


def _damage_lines(report: VerifyReport) -> Iterator[str]:
    last = report.head.position
    yield f"DAMAGED: {last:,} records can be read; from position {last + 1} on nothing can be read"
    for one in report.damage:
        yield f"  {plain(one.where)}, position {one.position}: {plain(one.reason)}"
    if beyond := report.records - last:
        behind = [(max(first, last + 1), end) for first, end in report.readable if end > last]
        yield (
            f"  behind it, {beyond:,} records pass their own check ({ranges(behind)}), but do not follow from what can "
            "be read"
        )
    yield f"the store is read-only, and export and copies of it hold only what comes before position {last + 1}"
    yield '"repair --to DIR" copies that into a new store, which can be written to'


def ranges(positions: Iterable[tuple[int, int]]) -> str:
    """Return ranges of positions in words."""
    return "positions " + ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in positions)


def _pairs(facts: dict[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(name, Text(str(value)))
    return grid


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        # Rich narrows the columns that may wrap first; the text in the last one (``_one_line``) does not wrap even so.
        table.add_column(name, no_wrap=name != columns[-1])
    return table
