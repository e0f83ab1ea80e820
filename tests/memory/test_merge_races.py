"""A link to a memory that is being merged away is kept, whoever makes it, and whenever."""

import contextlib
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from memorygraph import AgentMemory
from memorygraph.actors import ledger, merging
from memorygraph.core.types import EdgeNotFoundError, NodeNotFoundError, TransactionConflict


def twins(**options) -> AgentMemory:
    """Two memories of which "gone" gives way to "kept", and one that is linked to."""
    memory = AgentMemory(embedding_dim=2, auto_associate=False, **options)
    memory.remember("kept", importance=0.9, embedding=np.array([1.0, 0.0]), node_id="kept")
    memory.remember("gone", importance=0.1, embedding=np.array([1.0, 0.0]), node_id="gone")
    memory.remember("other", embedding=np.array([0.0, 1.0]), node_id="other")
    return memory


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let something be done while a merge is decided, the first so many times."""

    def arrange(act: Callable[[], object], times: int = 1) -> None:
        decide, left = merging.near_duplicates, [times]

        def decided(*arguments):
            found = decide(*arguments)
            if left[0]:
                left[0] -= 1
                act()
            return found

        monkeypatch.setattr(merging, "near_duplicates", decided)

    return arrange


def is_kept(memory: AgentMemory) -> bool:
    """Whether the link was moved to what stays."""
    return [edge.source_id for edge in memory.edges("other")] == ["kept"]


def test_a_link_made_while_a_merge_is_decided_is_moved(meanwhile):
    memory = twins()
    meanwhile(lambda: memory.link("gone", "other", "causal", 0.5))
    assert memory.graph.merge_similar_nodes() == 1
    assert is_kept(memory)


def test_without_the_check_it_is_lost(meanwhile, monkeypatch):
    monkeypatch.setattr(ledger, "linked_since", lambda *_: None)
    memory = twins()
    meanwhile(lambda: memory.link("gone", "other", "causal", 0.5))
    assert memory.graph.merge_similar_nodes() == 1
    assert not memory.edges("other")


def test_a_link_to_what_goes_is_moved_as_well(meanwhile):
    memory = twins()
    meanwhile(lambda: memory.link("other", "gone"))
    assert memory.graph.merge_similar_nodes() == 1
    assert [edge.target_id for edge in memory.edges("other")] == ["kept"]


def test_a_link_that_another_process_makes_is_moved(meanwhile, tmp_path):
    with twins(path=tmp_path / "m") as memory, AgentMemory(path=tmp_path / "m") as other:
        meanwhile(lambda: other.link("gone", "other"))
        assert memory.graph.merge_similar_nodes() == 1
        assert is_kept(memory)
        assert is_kept(other)


def test_links_to_others_do_not_disturb_a_merge(meanwhile):
    memory = twins()
    meanwhile(lambda: memory.link("kept", "other"), times=100)
    position = memory.position
    assert memory.graph.merge_similar_nodes() == 1
    assert memory.position == position + 2


def test_a_merge_that_is_disturbed_each_time_is_refused_and_changes_nothing(meanwhile):
    memory = twins()
    meanwhile(lambda: memory.link("gone", "other"), times=100)
    with pytest.raises(TransactionConflict, match="'gone' was changed by others each time"):
        memory.graph.merge_similar_nodes()
    assert {"kept", "gone"} <= {node.id for node in memory.graph.nodes()}


def test_a_merge_in_a_transaction_notices_it_at_its_end():
    memory = twins()
    transaction = memory.transaction()
    transaction.__enter__()
    assert memory.graph.merge_similar_nodes() == 1
    thread = threading.Thread(target=lambda: memory.link("gone", "other"))
    thread.start()
    thread.join()
    with pytest.raises(TransactionConflict, match="'gone'"):
        transaction.__exit__(None, None, None)
    assert [edge.source_id for edge in memory.edges("other")] == ["gone"]


def test_links_of_the_transaction_itself_are_moved():
    memory = twins()
    with memory.transaction():
        memory.link("gone", "other")
        assert memory.graph.merge_similar_nodes() == 1
    assert is_kept(memory)


def in_one_group(memory: AgentMemory, *acts: Callable[[], object]) -> None:
    """Let what several threads do wait for one commit, in this order."""
    engine = memory._home.engine
    with engine._committing:
        threads = [threading.Thread(target=act) for act in acts]
        for number, thread in enumerate(threads, 1):
            thread.start()
            while len(engine._queue) < number:
                time.sleep(0.0005)
    for thread in threads:
        thread.join()


def linked_then_merged() -> AgentMemory:
    memory = twins()

    def link() -> None:
        with contextlib.suppress(EdgeNotFoundError):  # merged before it could be handed out
            memory.link("gone", "other")

    in_one_group(memory, link, memory.graph.merge_similar_nodes)
    assert [node.id for node in memory.graph.nodes()] == ["kept", "other"]
    return memory


def test_a_link_that_waits_before_the_merge_is_moved():
    assert is_kept(linked_then_merged())


def test_without_looking_at_who_waits_it_is_lost(monkeypatch):
    monkeypatch.setattr(ledger, "linked_by", lambda *_: None)
    assert not linked_then_merged().edges("other")


def test_a_link_that_waits_behind_the_merge_is_refused():
    memory, errors = twins(), []

    def link() -> None:
        with pytest.raises(NodeNotFoundError) as caught:
            memory.link("gone", "other")
        errors.append(caught.value)

    in_one_group(memory, memory.graph.merge_similar_nodes, link)
    assert len(errors) == 1
    assert not memory.edges("other")
