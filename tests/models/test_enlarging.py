"""Places of a fine picture that have chosen pixels of a coarse one beside them."""

import numpy as np

from rilievo.models.enlarging import Place


def test_pixels_between_which_no_other_lies_have_no_place() -> None:
    """Two rows of a wide picture lie between rows 1 and 2, and 5 and 6, of the network's eight."""
    chosen, fields = np.zeros((8, 8), bool), np.ones((3, 8, 8), np.float32)
    chosen[0] = True
    nowhere = Place.of(chosen, (2, 40))
    assert nowhere.flat.size == 0
    assert nowhere.sample(fields).shape == (3, 0)
    chosen[2] = True
    first_row = Place.of(chosen, (2, 40))
    assert first_row.flat.tolist() == list(range(40))
    np.testing.assert_allclose(first_row.sample(fields), np.ones((3, 40)), atol=1e-6)
