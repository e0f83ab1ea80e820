"""``SharedMemoryPool``: agents, rooms, scopes and ownership; what holds in general is in ``test_scopes.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memorygraph import AgentMemory, HashingEmbedder, MemoryNode, Scope, SharedMemoryPool
from memorygraph.actors.engine import Committed
from memorygraph.decay.forgetting import SpacedRepetitionScheduler
from memorygraph.events.errors import DuplicateIdError, InputError, NodeNotFoundError, NotOwnerError, StoreReadOnly
from memorygraph.events.records import EVENT_TYPES, MemoryCreated
from memorygraph.multiagent import AgentView
from memorygraph.projections import duplicates, told
from memorygraph.projections.places import whereabouts

NOT_TOLD = {"SpaceDeclared", "SpaceActivated", "RecordsReplaced"}  # of the memory as a whole


@pytest.fixture
def pool() -> SharedMemoryPool:
    return SharedMemoryPool()


def contents(nodes: list[MemoryNode]) -> list[str]:
    return [node.content for node in nodes]


def test_scopes_say_who_sees_what(pool: SharedMemoryPool) -> None:
    ann, bob, cid = pool.agent("ann", room="red"), pool.agent("bob", room="red"), pool.agent("cid")
    ann.remember("mine")
    ann.remember("ours", scope=Scope.SHARED)
    ann.remember("everyone's", scope="public")
    assert contents(ann.memories()) == ["mine", "ours", "everyone's"]
    assert contents(bob.memories()) == ["ours", "everyone's"]
    assert contents(cid.memories()) == ["everyone's"]
    assert (cid.room, cid.agent) == ("default", "cid")
    assert contents(pool.all_memories()) == contents(pool.by_owner("ann")) == ["mine", "ours", "everyone's"]
    assert contents(bob.by_owner("ann")) == ["ours", "everyone's"]
    assert contents(bob.memories(include_others=False)) == []


def test_the_same_name_is_the_same_agent_and_the_room_is_where_it_is_now(pool: SharedMemoryPool) -> None:
    pool.agent("ann", room="red").remember("in red", scope=Scope.SHARED)
    pool.agent("ann", room="red").remember("mine")
    again = pool.agent("ann", room="blue")
    assert contents(again.memories()) == ["mine"]
    assert contents(pool.agent("bob", room="red").memories()) == ["in red"]


def test_what_was_shared_can_be_taken_back_and_taken_along(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann", room="red"), pool.agent("bob", room="red")
    node = ann.remember("a plan")
    assert ann.share(node) is True
    assert node.id in bob
    assert ann.share(node.id, Scope.PRIVATE) is True
    assert node.id not in bob
    assert bob.history(node.id) == []
    position = pool.memory.position
    assert ann.share(node.id, Scope.PRIVATE) is True
    assert [change.kind for change in pool.memory.log(position + 1)] == []
    assert [change.kind for change in ann.history(node.id)] == ["added", "moved", "moved"]


def test_only_the_owner_shares(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann"), pool.agent("bob")
    node = ann.remember("a plan", scope=Scope.PUBLIC)
    hidden = ann.remember("a secret")
    assert bob.share(node.id, Scope.PRIVATE) is False
    assert bob.share(hidden.id, Scope.PUBLIC) is False
    assert bob.share("nothing", Scope.PUBLIC) is False
    with pytest.raises(InputError):
        ann.share(node.id, "secret")
    nobodys = pool.memory.remember("the pool's own")
    assert ann.share(nobodys.id, Scope.PRIVATE) is False
    assert bob.get(node.id).content == "a plan"


def test_what_belongs_to_others_is_read_only(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann"), pool.agent("bob")
    node = ann.remember("a plan", scope=Scope.PUBLIC)
    other = ann.remember("another", scope=Scope.PUBLIC)
    for change in (
        lambda: bob.revise(node.id, content="x"),
        lambda: bob.forget(ids=[node.id]),
        lambda: bob.get(node.id).reinforce(),
        lambda: bob.get(node.id).add_tag("x"),
        lambda: bob.graph.remove_node(node.id),
    ):
        with pytest.raises(NotOwnerError, match="'ann'"):
            change()
    assert bob.forget(1.0) == []
    assert bob.link(node, other).weight == 0.8
    assert ann.revise(node.id, content="a better plan").content == "a better plan"


def test_what_an_agent_adds_is_its_own_and_private_however_it_adds_it(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann"), pool.agent("bob")
    ann.graph.add_node(MemoryNode("by the graph"))
    ann.remember_many(["many"])
    ann.remember_messages([{"role": "user", "content": "a turn"}])
    assert len(ann.memories(include_others=False)) == 3
    assert len(bob) == 0
    bob.remember_many(["all"], scope=Scope.PUBLIC)
    assert contents(ann.by_owner("bob")) == ["all"]


def test_a_recall_of_others_is_noted_and_private_notes_are_left_alone(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann"), pool.agent("bob")
    public = ann.remember("harbour rain", scope=Scope.PUBLIC)
    private = ann.remember("harbour rain at night")
    bob.recall("harbour rain", k=10)
    bob.recall("harbour rain", k=10, record="audited")
    pool.memory.flush()
    assert pool.memory.get(public.id).access_count == 2
    assert pool.memory.get(private.id).access_count == 0
    assert "bob" in {entry.principal for entry in ann.audit(id=public.id)}


def test_unasked_links_go_only_to_what_every_reader_sees() -> None:
    pool = SharedMemoryPool(associate_k=1)
    ann, bob = pool.agent("ann", room="red"), pool.agent("bob", room="red")
    public = ann.remember("three lemons and rain", scope=Scope.PUBLIC)
    ann.remember("three lemons and rain today")  # more like the next one than the public note is
    later = ann.remember("three lemons and rain today, too", scope=Scope.PUBLIC)
    assert [edge.target_id for edge in bob.edges(later.id)] == [public.id]
    shared = bob.remember("three lemons and rain today, again", scope=Scope.SHARED)
    assert [edge.target_id for edge in pool.memory.edges(shared.id)] == [later.id]


def test_memories_of_two_places_are_not_merged_and_links_stay_where_all_see_them() -> None:
    pool = SharedMemoryPool(AgentMemory(associate_k=1, associate_threshold=0.9))
    ann, bob = pool.agent("ann"), pool.agent("bob")
    ann.remember("three lemons and rain")
    public = ann.remember("three lemons and rain", scope=Scope.PUBLIC)
    again = bob.remember("three lemons and rain", scope=Scope.PUBLIC)
    twin = bob.remember("three lemons and rain", scope=Scope.PUBLIC)
    assert pool.memory.graph.merge_similar_nodes(similarity_threshold=0.99) == 1
    assert contents(ann.memories()) == ["three lemons and rain"] * 3
    assert len(bob) == 2
    assert public.id in bob
    assert (again.id in bob) != (twin.id in bob)
    pool.memory.reembed(HashingEmbedder(dim=32))
    [edge] = bob.graph.edges()
    assert {edge.source_id, edge.target_id} <= {public.id, again.id, twin.id}


def test_a_transaction_sees_what_the_agent_sees(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann"), pool.agent("bob")
    secret = ann.remember("secret harbour")
    with bob.transaction():
        note = bob.remember("my harbour")
        assert [hit.node_id for hit in bob.recall("harbour")] == [note.id]
        with pytest.raises(NodeNotFoundError):
            bob.link(note, secret)
        assert len(bob) == 1
        assert len(ann) == 1
    assert len(pool.memory) == 2


def test_a_chosen_id_is_taken_for_all(pool: SharedMemoryPool) -> None:
    pool.agent("ann").remember("one", node_id="n")
    with pytest.raises(DuplicateIdError):
        pool.agent("bob").remember("two", node_id="n")


def test_another_life_of_an_id_opens_nothing_of_the_first(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann"), pool.agent("bob")
    ann.remember("the first", node_id="n")
    ann.forget(ids=["n"])
    ann.remember("the second", node_id="n", scope=Scope.PUBLIC)
    assert [change.kind for change in bob.history("n")] == ["added"]
    assert [len(bob.at(position)) for position in range(pool.memory.position + 1)] == [0] * 4 + [1]


def test_a_view_does_nothing_to_the_memory_as_a_whole(pool: SharedMemoryPool, tmp_path: Path) -> None:
    ann = pool.agent("ann")
    ann.remember("one")
    whole = (ann.compact, ann.snapshot, ann.build_index, ann.replay, ann.sign_head, ann.consolidate)
    for act in (*whole, lambda: ann.reembed(ann.embedder)):
        with pytest.raises(NotOwnerError, match="pool"):
            act()
    with pytest.raises(Exception, match="pool"):
        ann.export(tmp_path / "log")
    with pytest.raises(Exception, match="pool"):
        ann.backup(tmp_path / "backup")
    for make in (lambda: AgentView.load(tmp_path / "file"), lambda: ann.import_(tmp_path / "log", tmp_path / "store")):
        with pytest.raises(NotOwnerError, match="SharedMemoryPool"):
            make()
    with pytest.raises(StoreReadOnly):
        ann.at(1).remember("two")
    ann.close()
    assert len(ann) == 1
    assert ann.digest() != pool.agent("bob").digest()


def test_owners_and_scopes_survive_files_snapshots_and_replay(tmp_path: Path) -> None:
    with SharedMemoryPool(path=tmp_path / "store") as pool:
        ann = pool.agent("ann", room="red")
        ann.remember("mine")
        ann.share(ann.remember("ours"), Scope.SHARED)
        pool.memory.snapshot()
        ann.remember("everyone's", scope=Scope.PUBLIC)
        stats, digest = pool.stats(), pool.memory.digest()
        assert pool.memory.replay() == digest
        pool.save(tmp_path / "pool.json")
        ann.save(tmp_path / "ann.json")
        pool.agent("bob").save(tmp_path / "bob.json")
    assert stats == {
        "memories": 3,
        "agents": 1,
        "by_owner": {"ann": 3},
        "by_scope": {"private": 1, "public": 1, "shared": 1},
        "by_room": {"red": 1},
    }
    with SharedMemoryPool(path=tmp_path / "store") as pool:
        assert (pool.stats(), pool.memory.digest()) == (stats, digest)
        assert contents(pool.agent("bob", room="red").memories()) == ["ours", "everyone's"]
    with SharedMemoryPool.load(tmp_path / "pool.json") as pool:
        assert pool.stats() == stats
        assert len(pool) == 3
        assert contents(pool.agent("bob", room="red").memories()) == ["ours", "everyone's"]
    assert len(AgentMemory.load(tmp_path / "ann.json")) == 3
    assert len(AgentMemory.load(tmp_path / "bob.json")) == 1


def test_an_expired_memory_is_hidden_from_views_too(pool: SharedMemoryPool) -> None:
    ann = pool.agent("ann")
    node = ann.remember("soon gone", scope=Scope.PUBLIC, expires_at="2999-01-01")
    assert node.id in pool.agent("bob")


def test_every_type_of_event_is_told_with_care() -> None:
    known = {kind.__name__ for kind in told._TOLD}
    assert known | NOT_TOLD == {kind.__name__ for kind in EVENT_TYPES.values()}
    assert told.told(MemoryCreated(name="m"), lambda _: False) == MemoryCreated(name="m")


def test_where_unknown_nodes_are_is_not_known(pool: SharedMemoryPool) -> None:
    pool.memory.remember("one", node_id="a")
    frame = pool.memory._engine._shard.frame  # type: ignore[attr-defined] # the local engine's
    assert whereabouts(frame, ["a", "b"]) == [(frame.partitions[0], 0), None]


def test_only_the_owner_ends_a_schedule_of_reviews(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann"), pool.agent("bob")
    node = ann.remember("the capital of France is Paris", scope="public")
    schedule = SpacedRepetitionScheduler("fsrs", memory=ann)
    schedule.register_node(node.id)
    with pytest.raises(NotOwnerError, match="'ann'"):
        SpacedRepetitionScheduler("fsrs", memory=bob).unregister_node(node.id)
    assert schedule.entry(node.id).node_id == node.id
    schedule.unregister_node(node.id)
    with pytest.raises(NodeNotFoundError):
        schedule.entry(node.id)


def test_a_link_is_changed_by_who_owns_an_end(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann"), pool.agent("bob")
    one, two = ann.remember("one", scope="public"), ann.remember("two", scope="public")
    theirs = ann.link(one, two, "causal", 0.9)
    for change in (
        lambda: bob.unlink(theirs.id),
        lambda: bob.revise_edge(theirs.id, weight=0.1),
        lambda: bob.graph.get_edge(theirs.id).hebbian_update(),
        lambda: bob.unlink(bob.link(one, two).id),
    ):
        with pytest.raises(NotOwnerError, match="memories of others"):
            change()
    assert [edge.weight for edge in ann.edges(one) if edge.id == theirs.id] == [0.9]
    mine = bob.link(bob.remember("three", scope="public"), one, weight=0.5)
    assert bob.revise_edge(mine.id, weight=0.4).weight == 0.4
    ann.unlink(mine.id)
    ann.unlink(theirs.id)
    assert pool.memory.edges(two)  # what is between others stays theirs, whoever made the link


def test_the_log_is_read_once_to_know_where_moved_memories_were(
    pool: SharedMemoryPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob, cid = pool.agent("ann"), pool.agent("bob"), pool.agent("cid")
    nodes = ann.remember_many([f"note {number}" for number in range(20)], associate=False)
    for node in nodes:
        ann.share(node, Scope.PUBLIC)
    engine, records = pool.memory._engine, []
    read = engine.read

    def counted(*asked: Any, **options: Any) -> Iterator[Committed]:
        for committed in read(*asked, **options):
            records.append(committed.position)
            yield committed

    monkeypatch.setattr(engine, "read", counted)
    assert len(list(bob.log())) == len(list(cid.log()))
    assert len(records) == 3 * pool.memory.position  # each log, and once where memories were
    records.clear()
    ann.share(nodes[0], Scope.PRIVATE)
    ann.share(nodes[0], Scope.PUBLIC)
    assert [change.kind for change in bob.history(nodes[0])] == ["moved", "moved"]
    assert len(records) == 2 + 4  # what is new, and what is about it


@pytest.mark.parametrize("given", ["fleet", 7, SharedMemoryPool()])
def test_a_pool_is_made_of_a_memory_only(given):
    with pytest.raises(InputError, match=r"must be an AgentMemory, .* SharedMemoryPool\(AgentMemory\(path=...\)\)"):
        SharedMemoryPool(given)


def test_an_id_stays_with_whom_it_was_first_given_to(pool: SharedMemoryPool) -> None:
    """Else the first one's history and past would be hidden from it: they are told by id."""
    ann, bob = pool.agent("ann"), pool.agent("bob")
    bob.remember("bob's plan", node_id="x")
    position = bob.position
    bob.forget(ids=["x"])
    told_before = [change.kind for change in bob.history("x")]
    for other in (ann, pool.memory):
        with pytest.raises(DuplicateIdError, match="'x' was that of a memory of somebody else, whose history it stays"):
            other.remember("mine now", node_id="x")
    assert [change.kind for change in bob.history("x")] == told_before == ["added", "forgotten"]
    assert "x" in bob.at(position)
    bob.remember("bob's next plan", node_id="x", scope=Scope.PUBLIC)
    assert [change.kind for change in bob.history("x")] == ["added", "forgotten", "added"]
    assert [change.kind for change in ann.history("x")] == ["added"]
    pool.memory.remember("the pool's", node_id="y")
    pool.memory.forget(ids=["y"])
    with pytest.raises(DuplicateIdError):
        ann.remember("mine now", node_id="y")
    pool.memory.remember("the pool's again", node_id="y")


def test_a_merge_compares_memories_of_one_place_alone(pool: SharedMemoryPool, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    cosines = duplicates._cosines

    def counted(frame: Any, norms: Any, some: Any, others: Any) -> Any:
        sizes.append((len(some), len(others)))
        return cosines(frame, norms, some, others)

    for number in range(8):
        agent = pool.agent(f"agent{number}")
        for copy in range(3):
            agent.remember(f"harbour note {'twice ' * copy}")
    monkeypatch.setattr(duplicates, "_cosines", counted)
    assert pool.memory.graph.merge_similar_nodes(similarity_threshold=0.99) == 0
    assert sizes == [(3, 3)] * 8


def test_a_memory_says_whose_it_is_and_who_sees_it(pool: SharedMemoryPool) -> None:
    ann, bob = pool.agent("ann", room="growth"), pool.agent("bob", room="growth")
    node = ann.remember("The price will rise")
    assert (node.owner, node.scope, node.room) == ("ann", Scope.PRIVATE, None)
    ann.share(node, Scope.SHARED)
    seen = bob.get(node.id)
    assert (seen.owner, seen.scope, seen.room) == ("ann", Scope.SHARED, "growth")
    ann.share(node, Scope.PUBLIC)
    assert (ann.get(node).scope, ann.get(node).room) == (Scope.PUBLIC, None)
    assert node.scope is Scope.PRIVATE  # a view is as it was
    nobodys = pool.memory.remember("Everyone's")
    assert (nobodys.owner, nobodys.scope) == (None, Scope.PUBLIC)
    assert (MemoryNode("built").owner, MemoryNode("built").scope) == (None, Scope.PUBLIC)
