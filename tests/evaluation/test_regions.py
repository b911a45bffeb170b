"""Crops and caps, against rectangles drawn pixel by pixel from the protocols' text."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, InputCrop
from rilievo.evaluation.scoring.regions import (
    cut_truth,
    depth_mask,
    model_window,
    normals_mask,
    scored_window,
)
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.sample import Truth

ROOT = Path(__file__).parents[2]
ONES = Benchmark(name="b", title="", dataset=None, metrics=("abs_rel",), reproduces="", hides="")


def truth_of(depth: np.ndarray, **more: object) -> Truth:
    depth = depth.astype(np.float32)
    return Truth(id="a", depth=depth, depth_valid=depth > 0, **more)


def benchmark(**changes: object) -> Benchmark:
    facts = {"name": "b", "title": "", "dataset": None, "metrics": ("abs_rel",)}
    return Benchmark(**{**facts, "reproduces": "", "hides": "", **changes})


def test_the_nyu_crop_keeps_426_by_560_pixels() -> None:
    mask = depth_mask(benchmark(crop=Crop.NYU_EIGEN), truth_of(np.ones((480, 640))))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (45, 470, 41, 600)
    assert mask.sum() == 426 * 560


@pytest.mark.parametrize(
    ("crop", "fractions"),
    [
        (Crop.KITTI_GARG, (0.40810811, 0.99189189, 0.03594771, 0.96405229)),
        (Crop.KITTI_EIGEN, (0.3324324, 0.91351351, 0.0359477, 0.96405229)),
    ],
)
@pytest.mark.parametrize("shape", [(375, 1242), (370, 1226), (376, 1241), (352, 1216)])
def test_kitti_crops_cut_fractions_to_whole_pixels(
    crop: Crop, fractions: tuple[float, ...], shape: tuple[int, int]
) -> None:
    mask = depth_mask(benchmark(crop=crop), truth_of(np.ones(shape)))
    top, bottom, left, right = fractions
    expected = np.zeros(shape, bool)
    for row in range(shape[0]):
        for column in range(shape[1]):
            # A whole number is at least int(f) where it is above f - 1, and below int(f) else.
            down = row > top * shape[0] - 1 and not row > bottom * shape[0] - 1
            across = column > left * shape[1] - 1 and not column > right * shape[1] - 1
            expected[row, column] = down and across
    np.testing.assert_array_equal(mask, expected)


def test_the_garg_crop_of_a_usual_frame_is_the_published_rectangle() -> None:
    window = scored_window(Crop.KITTI_GARG, (375, 1242))
    assert (window.top, window.bottom, window.left, window.right) == (153, 371, 44, 1197)


def test_caps_are_strict_on_both_sides() -> None:
    depth = np.array([[0.5, 0.500001, 9.99, 10.0, 11.0, 0.0]])
    mask = depth_mask(benchmark(min_depth=0.5, max_depth=10.0), truth_of(depth))
    assert mask.tolist() == [[False, True, True, False, False, False]]


def test_without_a_cap_everything_with_truth_counts() -> None:
    mask = depth_mask(benchmark(min_depth=0.0), truth_of(np.array([[1e-6, 5e4, 0.0]])))
    assert mask.tolist() == [[True, True, False]]


def test_the_kitti_benchmark_crop_stands_at_the_bottom_in_the_middle() -> None:
    image = np.arange(376 * 1241).reshape(376, 1241)
    cut = image[model_window(InputCrop.KITTI_BENCHMARK, (376, 1241)).slices]
    assert cut.shape == (352, 1216)
    assert cut[-1, 0] == image[375, 12]
    assert cut[0, -1] == image[24, 1227]


def test_a_cut_truth_keeps_its_points_where_they_are() -> None:
    K = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])
    depth = np.arange(1, 480 * 640 + 1, dtype=np.float32).reshape(480, 640)
    truth = truth_of(depth, camera=Camera(K=K))
    cut = cut_truth(truth, InputCrop.NYU_SQUARE)
    assert cut.depth is not None
    assert cut.depth_valid is not None
    assert cut.camera is not None
    assert cut.depth.shape == cut.depth_valid.shape == (480, 480)
    assert cut.depth[7, 3] == depth[7, 83]
    assert cut.camera.K[:2, 2].tolist() == [240, 240]
    assert cut_truth(truth, InputCrop.NONE) is truth


def test_a_model_sees_what_eigens_crop_counts_where_the_white_frame_is_cut_off() -> None:
    window = model_window(InputCrop.NYU_EIGEN, (480, 640))
    assert (window.top, window.bottom, window.left, window.right) == (45, 471, 41, 601)
    assert model_window(InputCrop.NYU_EIGEN, (480, 640)) == scored_window(
        Crop.NYU_EIGEN, (480, 640)
    )


def test_normals_count_inside_the_crop_and_the_dataset_stays_as_it_was() -> None:
    valid = np.ones((480, 640), bool)
    normals = np.zeros((3, 480, 640), np.float32)
    truth = Truth(id="a", normals=normals, normals_valid=valid)
    assert normals_mask(benchmark(crop=Crop.NYU_EIGEN), truth).sum() == 426 * 560
    assert valid.all()


def test_a_crop_for_another_size_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"480 x 640 .* is 240 x 320"):
        depth_mask(benchmark(crop=Crop.NYU_EIGEN), truth_of(np.ones((240, 320))))
    with pytest.raises(InputError, match=r"352 x 1216 .* or larger, but this image is 300 x 1242"):
        cut_truth(truth_of(np.ones((300, 1242))), InputCrop.KITTI_BENCHMARK)


def test_truth_that_is_not_there_is_said() -> None:
    normals = np.zeros((3, 2, 2), np.float32)
    with pytest.raises(InputError, match="sample a: has no ground-truth depth"):
        depth_mask(ONES, Truth(id="a", normals=normals, normals_valid=np.ones((2, 2), bool)))
    with pytest.raises(InputError, match="sample a: has no ground-truth normals"):
        normals_mask(ONES, truth_of(np.ones((2, 2))))


def test_the_page_of_protocols_has_the_limits_of_every_crop() -> None:
    """Limits of a picture of 10⁸ by 10⁸ pixels are the page's shares to the last digit."""
    page = (ROOT / "docs/reference/protocols.md").read_text("utf-8")
    for crop in (Crop.KITTI_GARG, Crop.KITTI_EIGEN):
        window = scored_window(crop, (10**8, 10**8))
        for first, last, letter in (
            (window.top, window.bottom, "h"),
            (window.left, window.right, "w"),
        ):
            assert f"{first / 10**8:.8g} {letter} to {last / 10**8:.8g} {letter}" in page, crop
