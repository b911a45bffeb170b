"""Places that two views share, where their intrinsics are far apart."""

import numpy as np
import pytest

from rilievo.io.photographs.view_matching import match_views

K = np.array([[100.0, 0, 79.5], [0, 100.0, 59.5], [0, 0, 1]])


@pytest.mark.parametrize(("shift", "some"), [(0, True), (-70, False), (-400, False)])
def test_rows_beyond_the_other_view_are_not_searched_elsewhere(shift: int, some: bool) -> None:
    grey = np.random.default_rng(4).integers(0, 256, (120, 160), np.uint8)
    other_K = K.copy()
    other_K[1, 2] += shift
    matches = match_views(grey, np.roll(grey, -6, axis=1), K, other_K, max_disparity=12)
    assert (len(matches) > 20) is some
    if some:
        np.testing.assert_allclose(np.asarray(matches)[:, 2], 6, atol=0.2)
