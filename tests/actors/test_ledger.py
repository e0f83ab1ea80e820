from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.actors import ledger as module
from memorygraph.actors.ledger import Ledger
from memorygraph.actors.proposal import Proposal

ids = st.sampled_from("abcdef")
records = st.lists(st.sets(ids, max_size=3), max_size=12)


def proposal(position: int, *reads: str) -> Proposal:
    return Proposal(position, (), list(reads))


@given(records, st.integers(0, 12), st.sets(ids), st.sampled_from([0, 2, 4, 100]))
def test_a_proposal_holds_if_nothing_it_read_was_touched_since(records, position, reads, remembered) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RECENT_IDS_MAX", remembered)
        ledger = Ledger()
        for at, touched in enumerate(records, 1):
            ledger.recorded(at, f"c{at}", b"", at, touched)
        found = ledger.conflict(proposal(position, *reads))
    touched_since = set().union(*records[position:]) & reads
    if found is None:
        assert not touched_since
    elif found:
        assert found in touched_since
    else:
        assert remembered < 100  # it forgot, and says so
        assert position < len(records)


def test_after_a_replay_older_proposals_are_not_known_to_hold() -> None:
    ledger = Ledger()
    ledger.replayed(1, "c1", b"", 1)
    ledger.replayed(2, "c2", b"", 2)
    ledger.recorded(3, "c3", b"", 3, ["a"])
    assert [ledger.conflict(proposal(position, "b")) for position in (1, 2, 3)] == ["", None, None]
    assert [ledger.conflict(proposal(position, "a")) for position in (1, 2, 3)] == ["", "a", None]


def test_a_restored_ledger_knows_the_commands_and_no_older_proposal() -> None:
    ledger = Ledger()
    ledger.replayed(1, "c1", b"", 1)
    ledger.recorded(2, "c2", b"two", 2, ["a"])
    restored = Ledger.restore(ledger.dump())
    found = [restored.find(name) for name in ("c1", "c2", "c3")]
    assert [seen and seen.position for seen in found] == [1, 2, None]
    assert found[1].is_of(b"two")
    assert [restored.conflict(proposal(position, "b")) for position in (1, 2)] == ["", None]
    restored.recorded(3, "c3", b"", 3, ["b"])
    assert restored.conflict(proposal(2, "b")) == "b"
    assert restored.size_bytes() > 0
