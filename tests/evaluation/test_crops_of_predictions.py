"""Predictions of a part of the picture: a benchmark's own crops, those that are said, others."""

import numpy as np
import pytest

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Crop, Task
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.scoring.regions import cut_truth, model_window, scored_window
from rilievo.evaluation.scoring.resizing import is_rounded_size
from rilievo.evaluation.scoring.score import score
from rilievo.io.depth_crops import DepthCrop
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.scenes_to_score import scene
from support.stored_answers import stored

SHAPES = {"nyu": (480, 640), "kitti": (375, 1242)}
CROPPING = [
    name
    for name, each in BENCHMARKS.items()
    if each.task is Task.DEPTH
    and DepthKind.METRIC in each.alignment
    and (each.crop != "none" or each.input_crop != "none")
]


def whole(shape: tuple[int, int]) -> Truth:
    truth = scene(shape, far=9.0)
    assert truth.depth is not None
    depth = np.where(truth.depth > 0, truth.depth, np.float32(3))
    return Truth(id="a", depth=depth, depth_valid=np.ones(shape, bool))


def metric(values: np.ndarray) -> DepthMap:
    return DepthMap(values=np.ascontiguousarray(values), kind=DepthKind.METRIC)


@pytest.mark.parametrize("name", CROPPING)
def test_a_perfect_prediction_of_each_known_crop_scores_perfectly(name: str) -> None:
    benchmark = BENCHMARKS[name]
    shape = SHAPES["kitti" if "kitti" in name else "nyu"]
    truth = whole(shape)
    shown = cut_truth(truth, benchmark.input_crop).depth
    assert truth.depth is not None
    assert shown is not None
    counted = scored_window(benchmark.crop, (shown.shape[0], shown.shape[1]))
    for values in (shown[counted.slices], shown, truth.depth):
        found = score(benchmark, stored(depth=metric(values)), truth).score
        assert found.values["rmse"] < 1e-5, values.shape
        notes = [note for note in found.notes if "crop" in note or "cut" in note]
        assert bool(notes) == (values.shape != shown.shape)


OTHERS = [
    ("nyuv2-eigen", (480, 480)),
    ("moge-scale", (426, 560)),
    ("kitti-eigen", (352, 1216)),
    ("moge-scale", (218, 1153)),
    ("nyuv2-eigen", (427, 561)),
]


@pytest.mark.parametrize(("name", "size"), OTHERS)
def test_a_crop_that_is_no_rounding_is_refused_with_both_sizes(
    name: str, size: tuple[int, int]
) -> None:
    shape = SHAPES["kitti" if size[1] > 1000 else "nyu"]
    truth = whole(shape)
    assert truth.depth is not None
    predicted = stored(depth=metric(truth.depth[: size[0], : size[1]]))
    with pytest.raises(InputError, match=rf"{size[0]} x {size[1]}.*{shape[0]} x .*crop=") as error:
        score(BENCHMARKS[name], predicted, truth)
    if size == (426, 560):
        assert "crop='45,41,426,560'" in str(error.value)


def test_a_crop_that_is_said_is_placed_and_resized_in_its_own_frame() -> None:
    truth = whole((480, 640))
    assert truth.depth is not None
    place = DepthCrop.parse("20,30,400,560")
    for values in (truth.depth[place.slices], truth.depth[place.slices][::2, ::2]):
        predicted = stored(depth=metric(values), crop=place)
        found = score(BENCHMARKS["moge-scale"], predicted, truth).score
        assert found.unanswered == 480 * 640 - 400 * 560
        if values.shape == place.shape:
            assert found.values["abs_rel"] < 1e-6


@pytest.mark.parametrize("size", [(192, 640), (320, 1024), (378, 1246), (187, 621), (229, 758)])
def test_sizes_that_networks_round_to_are_no_crops(size: tuple[int, int]) -> None:
    assert is_rounded_size(size, (375, 1242))


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "0,0,0,5", "-1,0,5,5", "1.5,0,5,5"])
def test_a_crop_is_four_whole_numbers(text: str) -> None:
    with pytest.raises(OptionError, match="TOP,LEFT,HEIGHT,WIDTH"):
        EvaluateOptions(predictions="p", crop=text)  # pyright: ignore[reportArgumentType]


def test_windows_of_the_crops_are_known_by_their_size() -> None:
    assert model_window("kitti_benchmark", (375, 1242)).shape == (352, 1216)
    assert scored_window(Crop.NYU_EIGEN, (480, 640)).shape == (426, 560)
