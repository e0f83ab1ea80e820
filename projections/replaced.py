"""Records that were replaced by their hashes: what is told of them, and events that name what they told of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from memorygraph.events.records import EdgesAdded, RecordsReplaced
from memorygraph.projections.frame import ORDINAL_BITS

if TYPE_CHECKING:
    from memorygraph.projections.graph import GraphState


def told_of(state: GraphState, event: RecordsReplaced, birth: int) -> None:
    """Take note of what leaves the log.

    Whoever had read anything before may hold it, whatever number of hashes was read since: those may be of records that
    were replaced later. Who is still reading the log for the first time has read it all as hashes, or fewer of these
    than the log tells of by the end; that holds of a compaction under which no content leaves, too, since its hashes
    may have been taken for those of an earlier one.
    """
    state.replaced_told = event.replaced
    if event.memories:
        state.content_left = birth >> ORDINAL_BITS
        state.is_stale |= state.was_published
    if state.content_left and not state.was_published:
        state.is_stale |= state.replaced < event.replaced


def without_ends(event: EdgesAdded, births: Sequence[int], gone: Collection[str]) -> tuple[EdgesAdded, Sequence[int]]:
    """Leave out the edges that have an end among the nodes that are gone; the others keep their births."""
    ends = zip(event.sources, event.targets, strict=True)
    places = [place for place, (source, target) in enumerate(ends) if source not in gone and target not in gone]
    if len(places) == len(births):
        return event, births
    columns = {name: column for name, column in structs.asdict(event).items() if column}
    kept = {name: [column[place] for place in places] for name, column in columns.items()}
    return structs.replace(event, **kept), [births[place] for place in places]
