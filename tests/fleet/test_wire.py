"""What travels comes out as it went in, and everything that can be asked can travel."""

from __future__ import annotations

import pytest

from memorygraph.actors import commands as cmd
from memorygraph.actors.fleet import wire
from memorygraph.actors.fleet.answers import ANSWER_TYPES, answer_type, query_types
from memorygraph.actors.fleet.placement import SHARDS, Member, Table, shard_of
from memorygraph.actors.select import Select
from memorygraph.actors.shard import ANSWERS, OF_GRAPH
from memorygraph.actors.sight_queries import InSight
from memorygraph.events.errors import HostFailed, InputError, MemoryGraphError, NodeNotFoundError
from memorygraph.projections.sight import Sight


def test_every_query_that_a_shard_answers_can_travel() -> None:
    assert {*ANSWER_TYPES, Select} == {*ANSWERS, *OF_GRAPH}


def test_queries_come_out_as_they_went_in() -> None:
    asked = InSight(sight=Sight(archive="only"), asked=cmd.GetNodes(ids=["a"], vectors=False))
    assert wire.decode_query(*wire.encode_query(asked)) == asked
    assert wire.decode_query(*wire.encode_query(Select(give="count"))) == Select(give="count")
    assert [answer_type(Select(give=give)) for give in ("ids", "count")] == [list[str], int]
    assert answer_type(asked) == answer_type(asked.asked)
    assert query_types() is query_types()


def test_a_query_of_nobody_is_refused() -> None:
    class Strange(cmd.Query, frozen=True, kw_only=True):
        """Of no fleet."""

    with pytest.raises(InputError, match="Strange is not a query that a fleet knows"):
        wire.encode_query(Strange())


def test_errors_come_out_as_they_went_in() -> None:
    error = NodeNotFoundError("there is no node 'x'", id="x", places=[("a", 1)], when={1: None}, path=pytest)
    with pytest.raises(NodeNotFoundError) as caught:
        wire.result(wire.failure("h", error), int, where="memory 'm'")
    assert caught.value.message == error.message
    assert caught.value.about == {"id": "x", "places": [["a", 1]], "when": {"1": None}, "path": str(pytest)}
    assert caught.value.__notes__ == ["(memory 'm', host 'h')"]


@pytest.mark.parametrize("error", [ZeroDivisionError("what"), type("Newer", (MemoryGraphError,), {})("what")])
def test_errors_of_no_class_of_ours(error) -> None:
    told = wire.failure("h", error)
    if isinstance(error, MemoryGraphError):  # a newer release's: its class is not known here
        told = told.replace(b"Newer", b"Never")
    with pytest.raises(HostFailed, match="what") as caught:
        wire.result(told, int, where="memory 'm'")
    assert "Please report" in caught.value.message


def test_what_is_not_ours_is_refused() -> None:
    for reply in (b"", b"\xc1", wire.encode([1]), wire.success("h", "text")):
        with pytest.raises(HostFailed, match="another release"):
            wire.result(reply, int, where="here")
    with pytest.raises(NotImplementedError):
        wire.encode(object())


def test_a_host_that_joins_takes_a_share_and_nothing_else_moves() -> None:
    hosts = tuple(Member(f"h{number}", "") for number in range(5))
    names = [f"memory{number}" for number in range(2000)]
    assert {shard_of(name) for name in names} == set(range(SHARDS))
    four, five = Table(1, hosts[:4]), Table(2, hosts)
    moved = [name for name in names if four.owner(name) != five.owner(name)]
    assert {five.owner(name).name for name in moved} == {"h4"}
    assert 0.05 < len(moved) / len(names) < 0.4
    assert Table().owner("m") is None
