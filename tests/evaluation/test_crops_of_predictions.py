"""Predictions of a part of the picture: a benchmark's own crops, those that are said, others."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Crop, Task
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.scoring.placing import is_placement_note
from rilievo.evaluation.scoring.regions import cut_truth, model_window, scored_window
from rilievo.evaluation.scoring.score import score
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
        # Garg's and Eigen's crops of KITTI are of one size, so the user has to say which it is.
        crop = benchmark.crop if values.shape == (218, 1153) else None
        found = score(benchmark, stored(depth=metric(values), crop=crop), truth).score
        assert found.values["rmse"] < 1e-5, values.shape
        notes = [note for note in found.notes if "crop" in note or "cut" in note]
        assert bool(notes) == (values.shape != shown.shape and crop is None)


# Sizes that networks make of the picture's own by rounding, or that are parts of it.
ROUNDED = [
    ("moge-scale", (400, 534)),
    ("moge-scale", (360, 480)),
    ("moge-scale", (464, 624)),
    ("moge-scale", (476, 630)),
    ("kitti-eigen", (192, 640)),
    ("kitti-eigen", (320, 1024)),
    ("kitti-eigen", (384, 1280)),
    ("kitti-eigen", (378, 1246)),
    ("kitti-eigen", (187, 621)),
    ("kitti-eigen", (352, 1216)),
    ("nyuv2-eigen", (427, 561)),
]


@pytest.mark.parametrize(("name", "size"), ROUNDED)
def test_a_size_that_says_nothing_is_refused_with_both_sizes_and_the_cure(
    name: str, size: tuple[int, int]
) -> None:
    truth, values, shape = truth_and_values_of_size(name, size)
    with pytest.raises(InputError, match=rf"{size[0]} x {size[1]}.*{shape[0]} x .*crop='resized'"):
        score(BENCHMARKS[name], stored(depth=metric(values)), truth)
    # Said to be all of the picture, the same map is scored.
    assert score(BENCHMARKS[name], stored(depth=metric(values), crop="resized"), truth).score.values


@pytest.mark.parametrize(
    ("name", "size"),
    [("nyuv2-eigen", (480, 480)), ("moge-scale", (448, 448)), ("kitti-eigen", (384, 1024))],
)
def test_a_prediction_of_other_proportions_is_scored_if_it_is_said_to_be_stretched(
    name: str, size: tuple[int, int]
) -> None:
    truth, values, _ = truth_and_values_of_size(name, size)
    with pytest.raises(InputError, match="crop='stretched'"):
        score(BENCHMARKS[name], stored(depth=metric(values)), truth)
    with pytest.raises(InputError, match=r"proportions differ by .*crop='stretched'"):
        score(BENCHMARKS[name], stored(depth=metric(values), crop="resized"), truth)
    stretched = stored(depth=metric(values), crop="stretched")
    assert score(BENCHMARKS[name], stretched, truth).score.values


@pytest.mark.parametrize("crop", [None, "resized", "stretched"])
@pytest.mark.parametrize("size", [(640, 480), (320, 240), (630, 476)])
def test_a_prediction_that_is_turned_by_90_degrees_is_refused(
    size: tuple[int, int], crop: str | None
) -> None:
    truth, values, _ = truth_and_values_of_size("moge-scale", size)
    with pytest.raises(InputError, match="rotated by 90 degrees"):
        score(BENCHMARKS["moge-scale"], stored(depth=metric(values), crop=crop), truth)


def test_a_prediction_of_the_whole_picture_is_none_of_a_part() -> None:
    truth, values, _ = truth_and_values_of_size("moge-scale", (480, 640))
    with pytest.raises(InputError, match=r"the full size of the truth.*leave out crop"):
        score(BENCHMARKS["moge-scale"], stored(depth=metric(values), crop="nyu_eigen"), truth)


def truth_and_values_of_size(
    name: str, size: tuple[int, int]
) -> tuple[Truth, np.ndarray, tuple[int, int]]:
    """Truth of a benchmark's pictures, some depth of a size, and the pictures' size."""
    shape = SHAPES["kitti" if name.startswith("kitti") else "nyu"]
    truth = whole(shape)
    assert truth.depth is not None
    return truth, np.resize(truth.depth, size), shape


@pytest.mark.usefixtures("no_pages")
def test_evaluate_says_once_how_predictions_were_placed_and_that_exif_turns_photographs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images", "depth", "theirs"):
        (tmp_path / name).mkdir()
    exif = Image.Exif()
    exif[0x0112] = 3
    rng = np.random.default_rng(0)
    for number in range(3):
        photo = Image.fromarray(rng.integers(0, 255, (36, 48, 3), np.uint8))
        photo.save(tmp_path / f"images/{number}.png", exif=exif)
        np.save(tmp_path / f"depth/{number}.npy", np.full((36, 48), 2, np.float32))
        np.save(tmp_path / f"theirs/{number}.npy", np.full((18, 24), 2, np.float32))
    words = ["evaluate", "-b", "depth", "--dataset", "folder", "--root", str(tmp_path)]
    words += ["--predictions", str(tmp_path / "theirs"), "--kind", "metric"]
    assert main([*words, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    [placed] = [line for line in printed.out.splitlines() if "half of" in line]
    assert "0: the prediction is 18 x 24 (height x width), half of the truth's 36 x 48" in placed
    assert placed.endswith("(applies to 3 of 3 images)")
    # Before a score is printed, and not once more after it; the results keep it.
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))["warnings"]
    for lines in (printed.err.splitlines(), stored):
        [turned] = [line for line in lines if "the prediction is assumed to be" in line]
        assert turned.endswith("(applies to 3 of 3 photographs)")
        assert [line for line in lines if "depth is assumed to be upright" in line]
    assert "is assumed to be" not in printed.out


KITTI_SIZES = [(370, 1224), (370, 1226), (374, 1238), (375, 1242), (376, 1241)]


@pytest.mark.parametrize("shape", KITTI_SIZES)
@pytest.mark.parametrize("crop", ["kitti_eigen", "kitti_garg"])
def test_crops_of_kitti_that_have_one_size_are_told_apart_by_the_user(
    shape: tuple[int, int], crop: str
) -> None:
    truth = whole(shape)
    assert truth.depth is not None
    window = scored_window(crop, shape)
    other = "kitti_garg" if crop == "kitti_eigen" else "kitti_eigen"
    predicted = metric(truth.depth[window.slices])
    if scored_window(other, shape).shape == window.shape:
        with pytest.raises(InputError, match=r"crop='kitti_garg', or crop='kitti_eigen'"):
            score(BENCHMARKS["kitti-eigen"], stored(depth=predicted), truth)
    else:
        found = score(BENCHMARKS["kitti-eigen"], stored(depth=predicted), truth).score
        assert found.values["abs_rel"] < 1e-6
    named = score(BENCHMARKS["kitti-eigen"], stored(depth=predicted, crop=crop), truth).score
    assert named.values["abs_rel"] < 1e-6


def test_the_crop_of_another_benchmark_is_placed_where_it_is_the_only_one() -> None:
    truth = whole((480, 640))
    assert truth.depth is not None
    found = score(
        BENCHMARKS["moge-scale"], stored(depth=metric(truth.depth[45:471, 41:601])), truth
    ).score
    assert found.values["abs_rel"] < 1e-6
    assert any(
        "size of the crop 'nyu_eigen'" in note and "45,41,426,560" in note for note in found.notes
    )


@pytest.mark.parametrize(("step", "words"), [(2, "half of"), (3, "a third of"), (5, "1/5 of")])
def test_a_whole_multiple_is_resized_and_said(step: int, words: str) -> None:
    truth = whole((480, 630))
    assert truth.depth is not None
    predicted = stored(depth=metric(truth.depth[::step, ::step]))
    found = score(BENCHMARKS["moge-scale"], predicted, truth).score
    assert any(words in note and "480 x 630" in note for note in found.notes)


def test_a_note_that_a_prediction_is_constant_is_no_note_on_its_place() -> None:
    truth = whole((480, 640))
    constant = stored(depth=metric(np.full((240, 320), 3, np.float32)))
    notes = score(BENCHMARKS["moge-scale"], constant, truth).score.notes
    [placed] = [note for note in notes if is_placement_note(note)]
    assert "half of" in placed
    [about_values] = [note for note in notes if "constant" in note]
    assert about_values.startswith("the prediction is ")
    assert not is_placement_note(about_values)


def test_a_multiple_of_the_photograph_is_cut_to_what_the_benchmark_shows() -> None:
    v, u = np.mgrid[:480, :640]
    depth = (3 + 0.001 * u + 0.002 * v).astype(np.float32)
    truth = Truth(id="a", depth=depth, depth_valid=np.ones((480, 640), bool))
    half = depth.reshape(240, 2, 320, 2).mean(axis=(1, 3))
    found = score(BENCHMARKS["probe3d-nyuv2"], stored(depth=metric(half)), truth).score
    assert found.values["rmse"] < 2e-3
    assert any("rilievo cut it to the 480 x 480" in note for note in found.notes)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "0,0,0,5", "-1,0,5,5", "1.5,0,5,5", "resize"])
def test_a_crop_is_four_whole_numbers(text: str) -> None:
    with pytest.raises(OptionError, match="TOP,LEFT,HEIGHT,WIDTH"):
        EvaluateOptions(predictions="p", crop=text)  # pyright: ignore[reportArgumentType]


def test_windows_of_the_crops_are_known_by_their_size() -> None:
    assert model_window("kitti_benchmark", (375, 1242)).shape == (352, 1216)
    assert scored_window(Crop.NYU_EIGEN, (480, 640)).shape == (426, 560)
