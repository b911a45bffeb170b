"""Scores of benchmarks at the sizes that networks answer in are those that were stored."""

import pytest

from support.scores_on_file import differences

FEW = ("nyuv2-eigen", "kitti-eigen", "kitti-eigen-improved", "kitti-kb-eigen", "moge-scale")
"""Benchmarks of each way of resizing, and with each kind of crop."""


@pytest.mark.parametrize("frame", ["room", pytest.param("street", marks=pytest.mark.slow)])
def test_scores_are_those_that_were_stored(frame: str) -> None:
    """Sums on other processors may differ in their last bits; the script compares all bits."""
    assert not differences(frame, FEW, within=1e-9)
