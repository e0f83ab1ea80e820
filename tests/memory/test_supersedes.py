import pytest

from memorygraph import AgentMemory, EdgeType
from memorygraph.actors import shard
from memorygraph.core.types import InputError, NodeNotFoundError
from tests.memory.helpers import fingerprint


@pytest.fixture
def town(memory):
    memory.remember("Alice lives in Paris", node_id="paris")
    memory.remember("Alice collects stamps", node_id="stamps")
    return memory


def test_the_current_statement_ranks_first_and_the_old_one_says_by_what(town):
    before = town.position
    town.remember("Alice now lives in Berlin, since the spring, near the river", node_id="berlin")
    hits = town.recall("Alice lives in Paris?", k=2)
    assert [hit.node_id for hit in hits] == ["berlin", "paris"]
    assert [hit.superseded_by for hit in hits] == [None, "berlin"]
    assert "superseded by berlin" in str(hits[1].why)
    assert "current, where paris is not" in str(hits[0].why)
    assert hits[1].to_dict()["why"]["superseded_by"] == "berlin"
    assert hits[0].score >= hits[1].score > 0
    # Nothing is deleted, and before the new statement the old one is current.
    assert "paris" in town
    past = town.recall("Alice lives in Paris?", k=1, as_of=before)[0]
    assert (past.node_id, past.superseded_by) == ("paris", None)
    assert town.at(before).reason("Paris")[0].superseded_by is None
    assert [hit.node_id for hit in town.reason("Paris")][:2] == ["berlin", "paris"]


def test_a_filter_that_hides_the_current_one_still_tells_of_it(town):
    town.remember("Alice now lives in Berlin", tags=["new"], node_id="berlin")
    town.revise("paris", tags=["old"])
    hits = town.recall("Where does Alice live?", tags=["old"])
    assert [(hit.node_id, hit.superseded_by) for hit in hits] == [("paris", "berlin")]


def test_supersedes_says_so_whatever_the_words(town):
    made = town.remember("The stamps were sold at an auction", supersedes="stamps")
    [edge] = [edge for edge in town.edges("stamps") if edge.edge_type is EdgeType.CONTRADICTS]
    assert (edge.source_id, edge.target_id, edge.directed) == (made.id, "stamps", True)
    assert edge.metadata == {"supersedes": True}
    assert made.version == town.position  # one record: both or none
    hits = town.recall("Does Alice collect stamps?", k=2)
    assert [(hit.node_id, hit.superseded_by) for hit in hits] == [(made.id, None), ("stamps", made.id)]
    town.unlink(edge)
    assert [hit.superseded_by for hit in town.recall("stamps")] == [None, None, None]


def test_several_and_in_bulk(town):
    nodes = town.remember_many(
        [
            {"content": "Alice left town", "supersedes": ["paris", town.get("stamps")], "node_id": "left"},
            {"content": "She came back", "supersedes": "left"},
        ]
    )
    superseded = {hit.node_id: hit.superseded_by for hit in town.recall("Alice left town; she collects stamps", k=4)}
    assert superseded == {"paris": nodes[1].id, "stamps": nodes[1].id, "left": nodes[1].id, nodes[1].id: None}


def test_an_explicit_link_makes_the_later_one_current(town):
    town.remember("The collection is gone", node_id="gone")
    town.link("stamps", "gone", EdgeType.CONTRADICTS)
    assert town.recall("stamps", k=1)[0].node_id == "gone"


@pytest.mark.parametrize("bad", ["nobody", ["paris", "nobody"], 7, [7], "\n", b"paris"])
def test_what_cannot_be_superseded_is_named_and_nothing_is_written(town, bad):
    before = fingerprint(town)
    with pytest.raises((NodeNotFoundError, InputError)):
        town.remember("Alice moved", supersedes=bad)
    with pytest.raises(InputError, match="itself"):
        town.remember("Alice moved", node_id="moved", supersedes="moved")
    assert fingerprint(town) == before


def test_a_repeated_command_gives_the_first_result(store):
    with AgentMemory(store) as memory:
        memory.remember("Alice lives in Paris", node_id="paris")
        first = memory.remember("She moved", supersedes="paris", command_id="move")
        assert memory.remember("She moved", supersedes="paris", command_id="move").id == first.id
        assert len(memory.edges("paris")) == 1


def test_far_down_links_still_mark(memory, monkeypatch):
    monkeypatch.setattr(shard, "_SETTLED_MAX", 3)
    memory.remember_many([f"Coffee, note {number}" for number in range(5)])
    for text in ("coffee is kept in the cellar", "coffee is kept in the attic"):
        memory.remember(f"{text}, as was said at length in the office on many other days", node_id=text[22:])
    memory.remember("Nobody drinks it any more", supersedes="cellar", node_id="gone")
    hits = memory.recall("coffee", 9)
    places = {hit.node_id: place for place, hit in enumerate(hits)}
    assert places["cellar"] >= 3
    assert (hits[places["cellar"]].superseded_by, hits[places["cellar"]].why.superseded_explicitly) == ("gone", True)
    assert hits[places["attic"]].superseded_by is None
    assert len(memory.recall("coffee", places["cellar"] + 1)) == places["cellar"] + 1
