"""Scales of depth maps in a row, against a dense least-squares solution."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rilievo.data.motion.log_scales import LINK_DEVIATION as LINK
from rilievo.data.motion.log_scales import PRIOR_DEVIATION as OWN
from rilievo.data.motion.log_scales import ScaleLink, chained_log_scales, linked_log_scales


@given(st.lists(st.one_of(st.floats(-1, 1), st.just(math.nan)), min_size=1, max_size=12))
def test_the_chain_is_the_least_squares_solution(steps: list[float]) -> None:
    steps[0] = math.nan
    count = len(steps)
    rows, values = [np.eye(count) / OWN], [np.zeros(count)]
    for place, step in enumerate(steps):
        if not math.isnan(step):
            row = np.zeros((1, count))
            row[0, place - 1 : place + 1] = -1 / LINK, 1 / LINK
            rows.append(row)
            values.append(np.array([step / LINK]))
    expected = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
    np.testing.assert_allclose(chained_log_scales(steps), expected, atol=1e-9)


def test_scales_of_a_row_are_those_of_the_chain() -> None:
    steps = [math.nan, *np.random.default_rng(1).normal(0, 0.2, 50)]
    steps[20] = math.nan
    links = [ScaleLink(first=k - 1, second=k, log_ratio=steps[k]) for k in range(1, 51) if k != 20]
    np.testing.assert_allclose(linked_log_scales(51, links), chained_log_scales(steps), atol=1e-10)
    assert linked_log_scales(3, []).tolist() == [0, 0, 0]
