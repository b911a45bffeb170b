"""Resizing, against other programs' and against sums written out."""

import cv2
import numpy as np
import pytest
import torch

from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Interpolation
from rilievo.evaluation.scoring.resizing import nonzero_vector_mask, resize_depth, resize_normals
from rilievo.records.depth_map import DepthKind, DepthMap

SIZES = [((12, 16), (48, 64)), ((48, 64), (12, 16)), ((7, 23), (30, 97)), ((30, 97), (31, 99))]


def relief(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 9, shape).astype(np.float32)


def resized(values: np.ndarray, shape: tuple[int, int], how: Interpolation) -> np.ndarray:
    # Cubic convolution goes beyond the numbers that it is made of, which depth may not.
    beyond = how is Interpolation.BICUBIC_CORNERS
    kind = DepthKind.AFFINE if beyond else DepthKind.UP_TO_SCALE
    return resize_depth(DepthMap(values=values, kind=kind), shape, how).values


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_half_pixel_bilinear_is_opencvs(old: tuple[int, int], new: tuple[int, int]) -> None:
    values = relief(old)
    expected = cv2.resize(values, new[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(
        resized(values, new, Interpolation.BILINEAR), expected, rtol=2e-6, atol=2e-6
    )


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_inverse_bilinear_is_monodepth2s(old: tuple[int, int], new: tuple[int, int]) -> None:
    values = relief(old)
    expected = 1 / cv2.resize(1 / values, new[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(
        resized(values, new, Interpolation.BILINEAR_INVERSE), expected, rtol=2e-6
    )


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_corner_aligned_bilinear_interpolates_between_corners(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    values = relief(old).astype(np.float64)
    down = np.linspace(0, old[0] - 1, new[0])
    across = np.linspace(0, old[1] - 1, new[1])
    wide = np.stack([np.interp(across, np.arange(old[1]), row) for row in values])
    tall = np.stack([np.interp(down, np.arange(old[0]), column) for column in wide.T], axis=1)
    found = resized(values.astype(np.float32), new, Interpolation.BILINEAR_CORNERS)
    np.testing.assert_allclose(found, tall, rtol=1e-6)
    assert found[0, 0] == np.float32(values[0, 0])
    assert found[-1, -1] == pytest.approx(values[-1, -1])


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_nearest_takes_the_pixel_that_holds_the_centre(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    values = relief(old)
    found = resized(values, new, Interpolation.NEAREST)
    for row, column in [(0, 0), (new[0] - 1, new[1] - 1), (new[0] // 2, new[1] // 3)]:
        at = values[
            (2 * row + 1) * old[0] // (2 * new[0]), (2 * column + 1) * old[1] // 2 // new[1]
        ]
        assert found[row, column] == at


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_bicubic_on_corners_is_pytorchs(old: tuple[int, int], new: tuple[int, int]) -> None:
    values = relief(old).astype(np.float64)
    [[expected]] = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], new, mode="bicubic", align_corners=True
    ).numpy()
    found = resized(values.astype(np.float32), new, Interpolation.BICUBIC_CORNERS)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_the_ways_differ() -> None:
    values = relief((12, 16))
    ways = [resized(values, (48, 64), how) for how in Interpolation]
    for index, one in enumerate(ways):
        for other in ways[index + 1 :]:
            assert np.abs(one - other).max() > 0.1


def test_the_truths_own_size_is_left_alone() -> None:
    depth = DepthMap(values=relief((12, 16)), kind=DepthKind.METRIC)
    for how in Interpolation:
        assert resize_depth(depth, (12, 16), how) is depth


def test_a_pixel_made_of_one_without_an_answer_has_none() -> None:
    valid = np.ones((4, 4), bool)
    valid[1, 1] = False
    values = np.ones((4, 4), np.float32)
    values[1, 1] = np.nan
    depth = DepthMap(values=values, kind=DepthKind.METRIC, valid=valid)
    large = resize_depth(depth, (8, 8), Interpolation.BILINEAR)
    rows, columns = np.nonzero(~large.valid)
    # Centres nearer than a whole pixel to (1, 1): from 0.25 to 1.75 of the small map.
    assert set(rows) == set(columns) == {1, 2, 3, 4}
    assert large.values[large.valid] == pytest.approx(1)


def test_inverse_depth_is_interpolated_as_it_is() -> None:
    values = relief((12, 16))
    depth = DepthMap(values=values, kind=DepthKind.AFFINE_INVERSE)
    np.testing.assert_array_equal(
        resize_depth(depth, (48, 64), Interpolation.BILINEAR_INVERSE).values,
        resize_depth(depth, (48, 64), Interpolation.BILINEAR).values,
    )


def test_affine_depth_has_no_inverse_to_interpolate() -> None:
    depth = DepthMap(values=relief((12, 16)), kind=DepthKind.AFFINE)
    with pytest.raises(InputError, match="'affine' cannot be interpolated as inverse depth"):
        resize_depth(depth, (48, 64), Interpolation.BILINEAR_INVERSE)


def test_normals_are_resized_by_component() -> None:
    normals = np.stack([relief((6, 8), seed) for seed in range(3)])
    large = resize_normals(normals, (12, 16), Interpolation.BILINEAR)
    for channel, other in zip(large, normals, strict=True):
        np.testing.assert_allclose(channel, resized(other, (12, 16), Interpolation.BILINEAR))


def test_a_normal_made_of_one_without_direction_has_none() -> None:
    normals = np.zeros((3, 4, 4), np.float32)
    normals[2] = -1
    for fault in (0.0, np.nan, np.inf):
        normals[:, 1, 1] = fault
        large = resize_normals(normals, (8, 8), Interpolation.BILINEAR)
        rows, columns = np.nonzero(~nonzero_vector_mask(large))
        assert set(rows) == set(columns) == {1, 2, 3, 4}
        np.testing.assert_array_equal(large[2, 5:, 5:], -1)
