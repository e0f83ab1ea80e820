from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.projections import expiry
from memorygraph.projections.digest import DigestCache
from memorygraph.projections.expiry import expired_rows, unexpired
from memorygraph.projections.frame import NEVER_US, Frame
from tests.projections.graph_model import Writer, check_whole, chunks_of, contents

randoms = st.randoms(use_true_random=False)


def check_hiding(random, steps: int) -> None:
    """Hide what has expired at several times, and compare with what the model says."""
    with chunks_of(2):
        writer = Writer(random)
        for _ in range(steps):
            writer.step()
            if random.random() < 0.3:
                writer.state.publish()
        frame = writer.state.publish()
        before = contents(frame)
        for now_us in (49, 50, 10**6 - 1, 10**6):
            seen = unexpired(frame, now_us)
            nodes, edges, cards = writer.model.copy()
            left = {name: one for name, one in nodes.items() if one.expires_us is None or one.expires_us > now_us}
            assert contents(seen) == (
                left,
                {name: edge for name, edge in edges.items() if {edge.source_id, edge.target_id} <= set(left)},
                {name: card for name, card in cards.items() if name in left},
            )
            check_whole(seen)
            assert expired_rows(seen, now_us) == []
            assert (seen is frame) == (len(left) == len(nodes))
            assert seen.recorded is frame
        assert contents(frame) == before
        check_whole(frame)


@given(randoms, st.integers(0, 14))
@settings(max_examples=60)
def test_what_has_expired_is_hidden_with_its_edges_and_the_frame_stays(random, steps) -> None:
    check_hiding(random, steps)


def test_the_digest_is_of_what_the_log_says() -> None:
    writer = Writer(Random(5))
    writer.write([ev.NodeAdded(id="n0", expires_us=5)])
    frame = writer.state.publish()
    seen = unexpired(frame, 10**6)
    assert seen is not frame
    assert DigestCache().digest(seen.recorded) == DigestCache().digest(frame)


def _also_dead(frame: Frame, now_us: int) -> list[int]:
    times_us = [frame.extras(row).expires_us for row in range(frame.nodes.count)]
    return [row for row, time_us in enumerate(times_us) if time_us is not None and time_us <= now_us]


def _one_early(frame: Frame, now_us: int) -> list[int]:
    return expired_rows(frame, now_us - 1)


@pytest.mark.parametrize("wrong", [_also_dead, _one_early])
def test_wrong_hiding_is_noticed(monkeypatch: pytest.MonkeyPatch, wrong) -> None:
    monkeypatch.setattr(expiry, "expired_rows", wrong)
    with pytest.raises(AssertionError):
        _check_many()


def _check_many() -> None:
    for seed in range(40):
        check_hiding(Random(seed), 14)


def test_a_frame_without_expiries_never_looks() -> None:
    frame = Writer(Random(1)).state.publish()
    assert frame.expires_us == NEVER_US
    assert unexpired(frame, NEVER_US - 1) is frame
