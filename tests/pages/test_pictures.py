"""Small pictures of maps."""

import numpy as np

from rilievo.pages.pictures import average_blocks


def test_blocks_of_a_map_are_the_mean_of_their_valid_pixels() -> None:
    rng = np.random.default_rng(0)
    values, valid = rng.normal(size=(2, 7, 1401)), rng.random((7, 1401)) < 0.3
    values[:, ~valid] = np.nan
    small = average_blocks(values, valid)
    assert small.values.shape == (2, 3, 467)
    for row, column in ((0, 0), (1, 200), (2, 466)):
        block = np.s_[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        inside = valid[block]
        assert small.valid[row, column] == inside.any()
        expected = values[(slice(None), *block)][:, inside].mean(axis=1) if inside.any() else 0
        np.testing.assert_allclose(small.values[:, row, column], expected, rtol=1e-5)
