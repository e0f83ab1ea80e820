"""From records to state: applying the log's records to a shard."""

from __future__ import annotations

from memorygraph.actors.commands import Digest
from memorygraph.actors.engine import Engine
from memorygraph.actors.shard import Shard


def bring_to(shard: Shard, engine: Engine, last: int | None) -> None:
    """Apply the records that follow to a shard, up to a position (None: all), and publish."""
    for committed in engine.read(shard.position + 1, last):
        shard.apply(committed.position, committed.time_us, committed.events)
    shard.publish()


def rebuilt_digest(engine: Engine) -> str:
    """Rebuild the state from the first record, beside the live one, and return its digest."""
    shard = Shard()
    bring_to(shard, engine, None)
    digest: str = shard.ask(shard.frame, Digest())
    return digest
