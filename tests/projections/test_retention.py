from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.events import records as ev
from memorygraph.events.types import DecayFunction
from memorygraph.projections.graph import GraphState
from memorygraph.projections.retention import HOUR_S, retention, retention_now, stability_s

CLOSED = {
    DecayFunction.EBBINGHAUS: [1.0, math.exp(-0.5), math.exp(-1), math.exp(-2.5)],
    DecayFunction.POWER_LAW: [1.0, 1.5**-0.5, 2**-0.5, 3.5**-0.5],
    DecayFunction.EXPONENTIAL: [1.0, 2**-0.5, 0.5, 2**-2.5],
    DecayFunction.HYPERBOLIC: [1.0, 1 / 1.5, 0.5, 1 / 3.5],
    DecayFunction.STEPPED: [1.0, 1.0, math.exp(-1), math.exp(-2)],
    DecayFunction.NO_DECAY: [1.0, 1.0, 1.0, 1.0],
}


@pytest.mark.parametrize("function", DecayFunction)
def test_the_closed_forms(function) -> None:
    ratios = np.array([0.0, 0.5, 1.0, 2.5])
    assert retention(function, ratios * 70.0, np.full(4, 70.0)).tolist() == pytest.approx(CLOSED[function])
    assert [float(retention(function, ratio * 70.0, 70.0)) for ratio in ratios] == pytest.approx(CLOSED[function])


@given(st.sampled_from(list(DecayFunction)), st.floats(0, 1e12), st.floats(0, 1e12), st.floats(0, 1e9))
def test_it_is_a_share_that_never_grows_with_age(function, one, other, stability) -> None:
    younger, older = sorted((one, other))
    first, last = (float(retention(function, age, stability)) for age in (younger, older))
    assert 0.0 <= last <= first <= 1.0


@pytest.mark.parametrize("function", DecayFunction)
def test_a_time_before_the_last_access_is_no_age(function) -> None:
    assert float(retention(function, -1e6, 1.0)) == 1.0


@pytest.mark.parametrize(
    ("rate", "accesses", "hours"), [(1.0, 0, 1.0), (1.0, 2, 2.0), (168.0, 1, 252.0), (0.0, 9, 0.0)]
)
def test_stability(rate, accesses, hours) -> None:
    assert stability_s(rate, accesses) == hours * HOUR_S


def test_every_row_of_a_frame() -> None:
    state = GraphState()
    codes = [function.code for function in DecayFunction] + [99]
    state.apply(1, 0, [ev.NodeAdded(id=f"n{code}", decay_function=code, decay_rate=2.0) for code in codes])
    state.apply(2, 0, [ev.AccessesRecorded(ids=("n1",), times_us=(int(1e6 * HOUR_S),))])
    frame = state.publish()
    now_us = int(2 * HOUR_S * 1e6)
    expected = [CLOSED[function][2] for function in DecayFunction] + [math.exp(-1)]  # an unknown curve: Ebbinghaus
    expected[0] = math.exp(-1 / 3)  # an hour ago, recalled once: S is 3 hours
    assert retention_now(frame, now_us).tolist() == pytest.approx(expected)
    assert retention_now(frame, -5).tolist() == [1.0] * len(codes)
    assert retention_now(GraphState().publish(), 0).tolist() == []
