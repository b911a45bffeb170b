"""Connected patches of masks, against those that SciPy counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from rilievo.geometry.connected_components import label_patches


@given(seed=st.integers(0, 1000), share=st.floats(0.2, 0.9))
def test_patches_are_those_that_scipy_finds(seed: int, share: float) -> None:
    chosen = np.random.default_rng(seed).random((13, 17)) < share
    result = label_patches(chosen)
    labels, count = ndimage.label(chosen)
    assert len({*zip(labels.flat, result.label.flat, strict=True)}) == count + (not chosen.all())
    assert [result.size[result.label[labels == k][0]] for k in range(1, count + 1)] == [
        (labels == k).sum() for k in range(1, count + 1)
    ]
