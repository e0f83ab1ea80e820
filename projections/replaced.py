"""Events that name what replaced records told of: they keep what is about the rest."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import structs

from memorygraph.events.records import EdgesAdded


def without_ends(event: EdgesAdded, births: Sequence[int], gone: Collection[str]) -> tuple[EdgesAdded, Sequence[int]]:
    """Leave out the edges that have an end among the nodes that are gone; the others keep their births."""
    ends = zip(event.sources, event.targets, strict=True)
    places = [place for place, (source, target) in enumerate(ends) if source not in gone and target not in gone]
    if len(places) == len(births):
        return event, births
    columns = {name: column for name, column in structs.asdict(event).items() if column}
    kept = {name: [column[place] for place in places] for name, column in columns.items()}
    return structs.replace(event, **kept), [births[place] for place in places]
