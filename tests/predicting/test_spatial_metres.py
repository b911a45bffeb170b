"""The two views of a spatial photograph give metres, with a range that holds."""

from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.cli import main
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.records.depth_map import DepthKind
from support.fixed_depth import FixedDepth
from support.spatial_photographs import BASELINE, SIZE, depth_of, spatial_heic, view

pytest.importorskip("pillow_heif")


def spatial(scale: float) -> bytes:
    return spatial_heic((view(scale), view(scale, BASELINE)))


def crooked(scale: float) -> FixedDepth:
    """A model that answers depth of another size, bent by a fifth across the picture."""
    bend = np.linspace(0.9, 1.1, SIZE[1])
    return FixedDepth(depth_of(scale) / 3 * bend)


@pytest.mark.parametrize(
    "scale", [0.5, *(pytest.param(scale, marks=pytest.mark.slow) for scale in (1.5, 3.0))]
)
def test_depth_is_in_metres_and_its_range_holds(scale: float) -> None:
    prediction = rilievo.predict(spatial(scale), model=crooked(scale))
    assert prediction.depth.kind is DepthKind.METRIC
    assert prediction.known_camera.source is CameraSource.HEIF
    calibration = prediction.calibration
    assert calibration is not None
    assert calibration.own_depth == "two views, 19.2 mm apart"
    assert calibration.expected_error is not None
    errors = np.log(prediction.depth.depth() / depth_of(scale))
    assert abs(np.median(errors)) < 0.02
    assert np.mean(np.abs(errors) < np.log1p(calibration.expected_error)) > 0.8


def test_what_the_user_knows_goes_first() -> None:
    prediction = rilievo.predict(
        spatial(0.5), model=crooked(0.5), camera=600.0, known=[(320, 100, 7.0)]
    )
    assert prediction.calibration is not None
    assert prediction.calibration.method == "known points"
    assert prediction.known_camera.fx == 600
    assert rilievo.predict(spatial(0.5), model=crooked(0.5), own_depth=False).calibration is None


@pytest.mark.slow
def test_a_scene_that_is_too_far_has_no_metres_and_a_note_says_why() -> None:
    prediction = rilievo.predict(spatial(30.0), model=crooked(30.0))
    assert prediction.depth.kind is DepthKind.UP_TO_SCALE
    [note] = [str(note) for note in prediction.notes if "two views" in note]
    assert "not used: they match at only 0 points nearer than 3.8 m" in note


def test_a_prediction_of_other_proportions_is_not_scaled() -> None:
    depth = depth_of(0.5) * np.where(np.arange(SIZE[1]) < 0.4 * SIZE[1], 6, 1)
    with pytest.warns(UserWarning, match="is not used: [0-9]+ of its [0-9]+ points contradict"):
        prediction = rilievo.predict(spatial(0.5), model=FixedDepth(depth))
    assert prediction.depth.kind is DepthKind.UP_TO_SCALE


@pytest.mark.slow
def test_the_command_says_where_metres_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "spatial.heic"
    photo.write_bytes(spatial(0.8))
    assert main(["measure", str(photo), "100,100", "500,100"]) == 0
    said = capsys.readouterr().err
    assert "metres from the photograph's own depth (two views, 19.2 mm apart)" in said
