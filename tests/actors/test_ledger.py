from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.actors import ledger as module
from memorygraph.actors.decide import Proposal
from memorygraph.actors.ledger import Ledger

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
            ledger.recorded(f"c{at}", at, touched)
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
    ledger.replayed("c1", 1)
    ledger.replayed("c2", 2)
    ledger.recorded("c3", 3, ["a"])
    assert [ledger.conflict(proposal(position, "b")) for position in (1, 2, 3)] == ["", None, None]
    assert [ledger.conflict(proposal(position, "a")) for position in (1, 2, 3)] == ["", "a", None]


def test_commands_are_remembered_for_ever() -> None:
    ledger = Ledger()
    ledger.replayed("c1", 1)
    ledger.recorded("c2", 2, ["a"])
    assert [ledger.position_of(name) for name in ("c1", "c2", "c3")] == [1, 2, None]
