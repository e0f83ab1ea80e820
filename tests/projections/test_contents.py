import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memorygraph.projections.contents import singles
from memorygraph.projections.frame import single


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_a_column_of_singles_is_what_each_alone_is(values):
    column = np.array(values, dtype=np.float32)
    assert repr(singles(column)) == repr([single(value) for value in column.tolist()])


def test_so_it_is_for_all_kinds_of_numbers():
    dice = np.random.default_rng(0)
    for scale in (1.0, -1.0, 1e-3, 200.0, 1e-30, 1e30):
        column = (dice.random(3000) * scale).astype(np.float32)
        assert singles(column) == [single(value) for value in column.tolist()]
