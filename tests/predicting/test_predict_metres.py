"""``rilievo.predict`` in metres: how they came to be goes with the prediction."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo import KnownPoint, predict, read_prediction, save
from rilievo.errors import CalibrationError
from rilievo.measure import expected_errors
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo


class Plane(Model):
    """Answers 1 everywhere, of the kind that it is given."""

    def __init__(self, kind: DepthKind) -> None:
        self.card = ModelCard(
            name="test/plane",
            summary="",
            kind=kind,
            normals=False,
            licence="none",
            commercial=False,
            megabytes=0.0,
            extra=None,
            speed="",
            loader="",
        )
        self.weights_sha256, self.settings = "", {}

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        return [Inference(depth=np.ones((36, 48), np.float32)) for _ in photos]


PIXELS = np.zeros((36, 48, 3), np.uint8)


def test_how_depth_became_metres_goes_with_the_prediction_and_its_files(tmp_path: Path) -> None:
    known = [KnownPoint(u=3, v=4, metres=2), KnownPoint(u=10, v=20, metres=2)]
    prediction = predict(PIXELS, model=Plane(DepthKind.UP_TO_SCALE), known=known)
    calibration = prediction.calibration
    assert calibration is not None
    assert calibration.method == "known points"
    assert calibration.asked == ("3,4,2", "10,20,2")
    assert (calibration.space, calibration.shift) == ("depth", 0.0)
    assert calibration.scale == pytest.approx(2.0)
    assert calibration.residuals == pytest.approx((0.0, 0.0))
    assert calibration.warning is None
    save(prediction, tmp_path / "a", ["npz"])
    assert read_prediction(tmp_path / "a").calibration == calibration


def test_without_known_distances_there_is_no_calibration() -> None:
    assert predict(PIXELS, model=Plane(DepthKind.UP_TO_SCALE)).calibration is None


def test_what_deserves_a_look_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="own metric depth was multiplied by 3") as caught:
        prediction = predict(
            PIXELS, model=Plane(DepthKind.METRIC), known=[KnownPoint(u=3, v=4, metres=3)]
        )
    assert prediction.calibration is not None
    assert prediction.calibration.warning == str(caught[0].message)


def test_metres_that_are_refused_have_no_note_that_says_how_certain_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(calibration: object) -> None:
        raise CalibrationError("too uncertain")

    photo = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(photo)
    options = {"model": "rilievo/small", "output": tmp_path / "out", "known": ["3,4,2"]}
    first = predict_files([photo], PredictOptions(**options), show=False)
    assert any("known" in note for note in first.notes)
    monkeypatch.setattr(expected_errors, "require_certain_height", refuse)
    refused = predict_files([photo], PredictOptions(**options, overwrite=True), show=False)
    assert refused.failed == 1
    assert not any("known" in note for note in refused.notes)
