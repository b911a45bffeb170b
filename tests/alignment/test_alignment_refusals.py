"""Inputs that alignment refuses, because they do not determine an answer."""

import re
import subprocess
import sys

import numpy as np
import pytest

from rilievo.alignment.ground_truth import METHODS, AlignMethod, align
from rilievo.errors import CalibrationError, InputError, NoGroundTruthError, OptionError
from rilievo.records.depth_map import DepthKind
from support.maps_to_align import ALL, CASES, SHAPE, depth_map, numbers


@pytest.mark.parametrize(
    ("kind", "method"),
    [(kind, method) for kind in DepthKind for method in AlignMethod if method not in METHODS[kind]],
)
def test_a_method_that_makes_no_sense_for_the_kind_is_refused(
    kind: DepthKind, method: AlignMethod
) -> None:
    with pytest.raises(OptionError, match=f"kind '{kind}' cannot be aligned by '{method}'.*choose"):
        align(depth_map(numbers(0), kind), numbers(0).astype(float), ALL, method=method)


def test_no_common_pixel_is_no_ground_truth() -> None:
    left = np.zeros(SHAPE, bool)
    left[:, :8] = True
    predicted = depth_map(numbers(0), DepthKind.METRIC, left)
    with pytest.raises(NoGroundTruthError, match="no pixel"):
        align(predicted, np.ones(SHAPE), ~left)


def test_one_pixel_gives_a_scale_but_no_shift() -> None:
    values, one = numbers(0), np.zeros(SHAPE, bool)
    one[4, 5] = True
    true = np.full(SHAPE, 3.0)
    for method in (AlignMethod.MEDIAN, AlignMethod.SCALE, AlignMethod.ROBUST_SCALE):
        aligned = align(depth_map(values, DepthKind.UP_TO_SCALE), true, one, method=method)
        assert aligned.depth.values[4, 5] == np.float32(3.0)
    for method in (
        AlignMethod.SCALE_SHIFT,
        AlignMethod.INVERSE_SCALE_SHIFT,
        AlignMethod.LOG,
        AlignMethod.ROBUST_SCALE_SHIFT,
    ):
        with pytest.raises(CalibrationError, match="one pixel"):
            align(depth_map(values, DepthKind.UP_TO_SCALE), true, one, method=method)


@pytest.mark.parametrize(
    ("kind", "method"),
    [case for case in CASES if case[1] not in ("none", "median", "scale", "robust_scale")],
)
def test_a_constant_prediction_determines_no_shift(kind: DepthKind, method: AlignMethod) -> None:
    with pytest.raises(CalibrationError, match="constant over all 192 pixels"):
        align(depth_map(np.full(SHAPE, 2.7), kind), numbers(0).astype(float), ALL, method=method)


@pytest.mark.parametrize(
    ("kind", "method"), [case for case in CASES if case[0] not in ("metric", "up_to_scale")]
)
def test_a_prediction_that_takes_near_for_far_is_refused(
    kind: DepthKind, method: AlignMethod
) -> None:
    values = numbers(0)
    true = 1 / values if kind is DepthKind.AFFINE else values
    with pytest.raises(CalibrationError, match="not positive: the prediction swaps near and far"):
        align(depth_map(values, kind), true.astype(float), ALL, method=method)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_true_depth_that_is_no_depth_must_be_masked(bad: float) -> None:
    true = np.ones(SHAPE)
    true[0, 0] = bad
    with pytest.raises(InputError, match="1 of 192 valid pixels"):
        align(depth_map(numbers(0), DepthKind.METRIC), true, ALL)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(12, 16\), \(3, 4\)"):
        align(depth_map(numbers(0), DepthKind.METRIC), np.ones((3, 4)), np.ones((3, 4), bool))


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_least_values_are_positive(bad: float) -> None:
    for options in ({"min_depth": bad}, {"min_inverse": bad}):
        with pytest.raises(OptionError, match="positive number"):
            align(depth_map(numbers(0), DepthKind.METRIC), np.ones(SHAPE), ALL, **options)


def test_a_fit_out_of_float32_is_said() -> None:
    values = numbers(0, 1.0, 2.0)
    true, valid = values.astype(float) ** 3, ALL.copy()
    values[0, 0], valid[0, 0] = 1e30, False
    predicted = depth_map(values, DepthKind.UP_TO_SCALE)
    with pytest.raises(CalibrationError, match="1 pixel zero, negative or infinite"):
        align(predicted, true, valid, method=AlignMethod.LOG)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("rilievo.align(depth, true, np.ones((3, 4), np.uint8))", "the mask is uint8, .* mask > 0"),
        ("rilievo.align(depth, true.astype(int), valid)", "the true depth is int64"),
        ("rilievo.align(depth, true[0], valid)", r"the same shape, got .*, \(4,\)"),
        ("rilievo.align(prediction, true, valid)", "pass prediction.depth"),
        ("rilievo.align(true, true, valid)", "got a ndarray"),
        ("rilievo.calibrate(prediction, [])", "pass prediction.depth"),
        ("rilievo.calibrate_height(prediction, camera, 1.5)", "pass prediction.depth"),
        ("rilievo.DepthMap(values=depth.values, kind='metres')", "no kind 'metres'; .* 'metric'"),
    ],
)
def test_arrays_and_records_of_other_types_are_refused_in_words(call: str, words: str) -> None:
    """Run in a separate process, without the type checks of the tests."""
    code = f"""
import numpy as np
import rilievo
from rilievo.records.prediction_record import MadeBy
true, valid = np.ones((3, 4)), np.ones((3, 4), bool)
depth = rilievo.DepthMap(values=np.ones((3, 4), np.float32), kind="metric")
camera = rilievo.Camera(K=np.eye(3))
made_by = MadeBy(model="", weights_sha256="", licence="", settings={{}}, version="")
prediction = rilievo.Prediction(depth_or_none=depth, camera=camera, made_by=made_by)
try:
    {call}
except rilievo.RilievoError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.match(f"Input(Type)?Error .*{words}", done.stdout)
