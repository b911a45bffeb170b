"""The comparison of networks tells kernels, which err anywhere by a little, from faults."""

import numpy as np
import pytest
import torch

from support.network_numbers import assert_networks_agree

NUMBERS = np.random.default_rng(0).uniform(0, 1, (60, 80, 3)).cumsum(axis=1) / 40
NOISE = np.random.default_rng(1).normal(0, 1e-6, NUMBERS.shape)


def compare(found: object) -> None:
    assert_networks_agree(found, NUMBERS, median=1e-5, tolerance=1e-4, limit=0.1)


def with_pixels_off(count: int, by: float) -> np.ndarray:
    found = NUMBERS + NOISE
    found.reshape(-1)[:: found.size // count][:count] += by
    return found


@pytest.mark.parametrize("found", [NUMBERS, NUMBERS + NOISE, with_pixels_off(5, 0.09)])
def test_noise_everywhere_and_a_few_pixels_far_off_agree(found: np.ndarray) -> None:
    compare(found)
    compare(torch.from_numpy(found))


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(NUMBERS[..., ::-1], id="channels in another order"),
        pytest.param(NUMBERS * 1.001, id="another normalisation"),
        pytest.param(-NUMBERS, id="another sign"),
        pytest.param(np.roll(NUMBERS, 1, axis=1), id="moved by a pixel"),
        pytest.param(with_pixels_off(60 * 3, 2e-4), id="another column"),
        pytest.param(with_pixels_off(1, 0.2), id="a pixel beyond the limit"),
        pytest.param(with_pixels_off(1, np.nan), id="a pixel that is no number"),
        pytest.param(NUMBERS[:-1], id="another shape"),
    ],
)
def test_a_fault_does_not_agree(found: np.ndarray) -> None:
    with pytest.raises(AssertionError):
        compare(found)
