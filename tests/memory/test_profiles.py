"""What else counts than relevance; and what memories name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memorygraph import AgentMemory
from memorygraph.events.errors import InputError
from memorygraph.projections import profiles


def ids(hits) -> list[str]:
    return [hit.node_id for hit in hits]


@pytest.fixture
def memory():
    with AgentMemory(auto_associate=False) as memory:
        now = datetime.now(UTC)
        for name, days in (("old", 400), ("older", 800), ("new", 1)):
            memory.remember("the ferry to the island", node_id=name, occurred_at=now - timedelta(days=days))
        memory.remember("the bus", node_id="bus")
        yield memory


def what_is_used_comes_first(memory) -> None:
    for _ in range(3):
        memory.recall("ferry", k=1, until=datetime.now(UTC) - timedelta(days=500))
    memory.flush()
    assert ids(memory.recall("ferry", k=3)) == ["old", "older", "new"]
    hits = memory.recall("ferry", k=4, profile="activation")
    assert ids(hits)[0] == "older"
    assert ids(hits)[-1] == "bus"
    assert all(0 < hit.score < 1 for hit in hits[:3])
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def what_is_recent_comes_first(memory) -> None:
    hits = memory.recall("ferry", k=4, profile="recency")
    assert ids(hits) == ["new", "old", "older", "bus"]
    assert hits[3].score == 0
    assert hits[0].score > 5 * hits[1].score
    assert ids(memory.recall("ferry", k=3, profile="recency", threshold=hits[0].score)) == ["new"]


@pytest.mark.parametrize("case", [what_is_used_comes_first, what_is_recent_comes_first])
def test_a_profile_and_that_it_can_fail(case, memory, monkeypatch) -> None:
    case(memory)
    monkeypatch.setattr(profiles, "DECAY", 0.0)
    monkeypatch.setattr(profiles, "NOISE", 1e9)
    monkeypatch.setattr(profiles, "FADING_S", 1e18)
    with pytest.raises(AssertionError):
        case(memory)


def test_the_base_level_is_that_of_act_r(memory) -> None:
    frame = memory._engine._shard.frame
    row = frame.row("new")
    created = frame.nodes.value("created_us", row)
    assert profiles._base_level(frame, row, created) == 0.0  # ages are at least a second
    assert profiles._base_level(frame, row, created + 100_000_000) == pytest.approx(-2.302585)  # ln(100^-0.5)


def test_profiles_that_are_none(memory) -> None:
    with pytest.raises(InputError, match="profile must be one of relevance, activation, recency"):
        memory.recall("ferry", profile="luck")


def test_what_memories_name() -> None:
    with AgentMemory() as memory:
        memory.remember("The Long Night\nA film by Greta Holm.", node_id="film")
        memory.remember("Greta Holm\nA director.", node_id="greta")
        memory.remember("I met Greta Holm in Bergen", node_id="met")
        secret = memory.remember("Only Oslo knows", node_id="oslo")
        found = {concept.name: concept for concept in memory.concepts()}
        assert found["greta holm"].memories == ("film", "greta", "met")
        assert found["greta holm"].about == ("greta",)
        assert memory.concepts(limit=1)[0].name == "greta holm"
        assert [concept.name for concept in memory.concepts("is Bergen near Oslo or Paris?")] == ["bergen", "oslo"]
        memory.forget(ids=[secret])
        assert "oslo" not in {concept.name for concept in memory.concepts()}
        assert memory.at(memory.position - 1).concepts("Oslo")[0].memories == ("oslo",)
        with pytest.raises(InputError):
            memory.concepts(limit=0)
    with AgentMemory() as empty:
        assert empty.concepts() == []


def test_a_hit_says_what_led_to_it() -> None:
    with AgentMemory(auto_associate=False) as memory:
        memory.remember("The Long Night\nA film by Greta Holm.", node_id="film")
        memory.remember("Greta Holm\nShe lives in Bergen.", node_id="greta")
        memory.remember("Why?", session=1, speaker="Boris Low", node_id="why")
        memory.remember("Since the harbour is closed", session=1, speaker="Anna Weir", node_id="since")
        hit = memory.recall("who made the film The Long Night?", k=2)[1]
        assert (hit.node_id, hit.why.concepts, hit.why.path) == ("greta", ("greta holm",), ("film", "greta"))
        assert "reached by greta holm in 1 step from film" in str(hit.why)
        assert hit.to_dict()["why"]["concepts"] == ["greta holm"]
        said = memory.recall("What did Anna say of the harbour?", k=1)[0]
        assert said.node_id == "since"
        assert 0 < said.why.speaker < 1
        assert "who spoke" in str(said.why)
        assert "conversation" in str(memory.recall("closed harbour", k=2)[1].why)
