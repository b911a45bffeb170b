"""Metres from the camera's height are refused where depth is too doubtful for them."""

from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.errors import CalibrationError
from rilievo.measure import length
from rilievo.measure.expected_errors import MAX_HEIGHT_ERROR
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Calibration, MadeBy
from support.sloping_plane import CAMERA, map_of, plane_depth

MADE_BY = MadeBy(model="none", weights_sha256="", licence="", settings={}, version="0")
ACTIONS = {
    "distance": lambda prediction, folder: prediction.distance(20, 30),
    "length": lambda prediction, folder: length(prediction, (30, 20), (90, 60)),
    "box": lambda prediction, folder: prediction.measure_box((20, 20, 60, 60)),
    "save": lambda prediction, folder: prediction.save(folder / "map.npz"),
}


def metric(method: str, error: float | None) -> Prediction:
    calibration = Calibration(
        method=method, asked=("1.5 m",), space="depth", scale=1, shift=0, expected_error=error
    )
    depth = map_of(plane_depth(), DepthKind.METRIC)
    return Prediction(depth_or_none=depth, camera=CAMERA, calibration=calibration, made_by=MADE_BY)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_range_beyond_the_bound_is_refused_with_what_would_help(action, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="known distance or length"):
        ACTIONS[action](metric("camera height", MAX_HEIGHT_ERROR + 0.01), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("method", "error"),
    [("camera height", MAX_HEIGHT_ERROR), ("camera height", None), ("known points", 3.0)],
)
def test_a_smaller_range_and_other_known_sizes_are_used(
    action, method: str, error: float | None, tmp_path: Path
) -> None:
    assert ACTIONS[action](metric(method, error), tmp_path)


def test_a_street_of_low_confidence_is_refused_but_its_boxes_are_measured(
    data_folder: Path,
) -> None:
    """A box stands on the road, whose distance follows from the camera's height."""
    photo = sorted((data_folder / "kitti_depth_metric3d" / "rgb").iterdir())[0]
    prediction = rilievo.predict(photo, camera=721.5, camera_height=1.65)
    assert prediction.calibration is not None
    assert prediction.calibration.expected_error > MAX_HEIGHT_ERROR
    with pytest.raises(CalibrationError, match="camera's height"):
        prediction.distance(600, 250)
    height, width = prediction.shape
    box = prediction.measure_box((width // 2, height // 2, width // 2 + 80, height * 3 // 4))
    assert np.isfinite(box.distance.value)
