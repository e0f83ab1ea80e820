"""Ways to get scopes wrong, each of which ``scope_reads.check`` must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from memorygraph.actors import decide, placing, shard, viewing
from memorygraph.events import records as ev
from memorygraph.events.types import Partition, Scope
from memorygraph.projections import concepts, filters, lexical, places, recall, seen, sight, told

Patch = Callable[[pytest.MonkeyPatch], None]


def _everywhere(mask: Any) -> Any:
    return np.ones_like(mask)


def _open(scope: Scope, *names: str) -> Patch:
    """Everybody sees what is in these places."""
    allowed = sight.Viewer.partitions.fget  # type: ignore[attr-defined] # a property

    def partitions(viewer: Any) -> Any:
        return allowed(viewer) | {Partition(scope.code, name) for name in names}

    return lambda patch: patch.setattr(sight.Viewer, "partitions", property(partitions))


def _only(**wrong: Callable[[Any], Any]) -> Patch:
    """A view with some part of the Frame as it is."""
    view = sight._frame_of

    def mutant(frame: Any, *args: Any) -> Any:
        made = view(frame, *args)
        for name, value in wrong.items():
            setattr(made, name, value(frame))
        return made

    return lambda patch: patch.setattr(sight, "_frame_of", mutant)


def _all_rows(owner: Any, name: str, at: int = 0) -> Patch:
    """A statistic over all rows instead of those that are seen."""
    count = getattr(owner, name)

    def mutant(*args: Any) -> Any:
        given = list(args)
        given[at] = _everywhere(given[at])
        return count(*given)

    return lambda patch: patch.setattr(owner, name, mutant)


def _all_postings(patch: pytest.MonkeyPatch) -> None:
    """How common a word is, counted over all rows."""
    search = lexical.LexicalIndex.search

    def mutant(self: Any, query: str, visible: Any, statistics: Any = None) -> Any:
        found = search(self, query, _everywhere(visible), statistics or self.statistics(visible))
        kept = visible[found.rows]
        return replace(found, rows=found.rows[kept], scores=found.scores[kept])

    patch.setattr(lexical.LexicalIndex, "search", mutant)


def _told_to_all(kind: type[ev.Event]) -> Patch:
    return lambda patch: patch.setitem(told._TOLD, kind, lambda event, _: event)


def _superseded_by_all(patch: pytest.MonkeyPatch) -> None:
    settled = shard.settled
    patch.setattr(
        shard,
        "settled",
        lambda frame, index, hits, **options: settled(
            frame, index, hits, **options | {"visible": frame.recorded.live_rows()}
        ),
    )


def _only_then(patch: pytest.MonkeyPatch) -> None:
    was = viewing._Places._was_visible
    patch.setattr(
        viewing._Places,
        "visible",
        lambda self, ids, position, index: {name for name in ids if was(self, name, position, index, 1 << 60)},
    )


def _stale(patch: pytest.MonkeyPatch) -> None:
    traced = sight._traced
    patch.setattr(
        sight,
        "_traced",
        lambda frame, reader, before: traced(frame, reader, before._replace(nodes=frame.nodes.versions[:-1])),
    )


def _without_owner(patch: pytest.MonkeyPatch) -> None:
    tests = filters.LabelIndex._tests
    patch.setattr(
        filters.LabelIndex,
        "_tests",
        lambda self, labels, asked: tests(self, labels, filters.Filters(**{
            name: getattr(asked, name) for name in asked.__struct_fields__ if name != "owner"})),
    )  # fmt: skip


def _anybody(patch: pytest.MonkeyPatch) -> None:
    for module in (decide, placing):
        patch.setattr(module, "require_owner", lambda *_: None)


def _in_order_of_number(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        recall,
        "_most_named",
        lambda graph, limit: np.array(
            [one for one in np.argsort(-graph.counts, kind="stable") if graph.counts[one]], np.int64
        )[:limit],
    )


MUTANTS: dict[str, Patch] = {
    "nothing is hidden": lambda patch: patch.setattr(sight, "_hides", lambda *_: False),
    "other rooms are open": _open(Scope.SHARED, "red", "blue"),
    "what is private is open": _open(Scope.PRIVATE, "ann", "bob", "cid"),
    "links of the hidden are seen": _only(edges=lambda frame: frame.edges),
    "edges of what came into sight stay as they were": lambda patch: patch.setattr(sight, "_turn", lambda *_: None),
    "a chunk that changed is not looked at": _stale,
    "hidden memories count": _only(live_nodes=lambda frame: frame.live_nodes),
    "hidden links count": _only(live_edges=lambda frame: frame.live_edges),
    "lengths of hidden texts count": _all_rows(lexical.LexicalIndex, "statistics", 1),
    "words of hidden texts count": _all_postings,
    "names in hidden texts count": _all_rows(concepts.ConceptIndex, "counts", 1),
    "names lead to hidden texts": _all_rows(concepts.ConceptIndex, "mentions", 2),
    "hidden memories count as seen": lambda patch: patch.setattr(
        seen.Seen, "total", property(lambda self: self.frame.recorded.live_nodes)
    ),
    "hidden turns are beside": _all_rows(seen, "turns_of", 0),
    "hidden memories supersede": _superseded_by_all,
    "names in order of first naming": _in_order_of_number,
    "the owner is not asked for": _without_owner,
    "the log as it is": lambda patch: patch.setattr(viewing, "_cut", lambda committed, _: committed),
    "the log as might be read then": _only_then,
    "the log as may be read now": lambda patch: patch.setattr(
        viewing._Places, "_was_visible", lambda *_: True
    ),
    "what was taken back is seen in the past": lambda patch: patch.setattr(shard, "moved_away", lambda *_: []),
    "a move is not remembered": lambda patch: patch.setattr(
        places, "ORDINAL_BITS", 63
    ),
    "commands see everything": lambda patch: patch.setattr(decide, "seen", lambda frame, _: frame),
    "anybody may change": _anybody,
    **{f"{kind.__name__} is told to all": _told_to_all(kind) for kind in (
        ev.NodeAdded, ev.NodeRevised, ev.NodesForgotten, ev.AccessesRecorded, ev.EdgesAdded, ev.NodesMoved)},
}  # fmt: skip
