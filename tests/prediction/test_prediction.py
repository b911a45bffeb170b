"""``rilievo.Prediction`` is the bare record with methods, and every door returns it."""

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.errors import MissingPackageError
from rilievo.geometry.borders import Margins
from rilievo.models.refinement.trimming import Trimmed
from rilievo.prediction.saving import save
from rilievo.records.prediction_record import PredictionRecord

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def prediction() -> rilievo.Prediction:
    return rilievo.predict(PHOTO, model="rilievo/small")


def bare(prediction: rilievo.Prediction) -> PredictionRecord:
    """The record that the core computes with."""
    return PredictionRecord(
        depth_or_none=prediction.depth_or_none,
        normals=prediction.normals,
        confidence=prediction.confidence,
        camera=prediction.camera,
        photo=prediction.photo,
        made_by=prediction.made_by,
    )


def test_a_prediction_is_the_record_with_methods(prediction: rilievo.Prediction) -> None:
    assert isinstance(prediction, PredictionRecord)
    record = bare(prediction)
    assert not isinstance(record, rilievo.Prediction)
    assert not hasattr(record, "mesh")
    assert repr(record) == repr(prediction)
    assert record != prediction  # as with every record, classes are compared too


def test_copies_keep_the_class_and_its_fields(prediction: rilievo.Prediction) -> None:
    for copy in (
        replace(prediction),
        prediction.but(),
        pickle.loads(pickle.dumps(prediction)),
        replace(prediction, photo=prediction.photo),
    ):
        assert type(copy) is rilievo.Prediction
        assert copy == prediction
    with pytest.raises(AttributeError):
        prediction.camera = None  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError):
        prediction.more = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_every_door_returns_predictions_with_methods(
    prediction: rilievo.Prediction, tmp_path: Path
) -> None:
    model = rilievo.load_model("rilievo/small")
    padded = np.pad(PHOTO, ((20, 20), (0, 0), (0, 0)))
    prediction.save(tmp_path / "photo", ["npz"])
    for made in (
        model(PHOTO),
        model.predict(PHOTO),
        model.predict_raw([PHOTO])[0],
        rilievo.predict(PHOTO, model=model, known=[(10, 10, 2.0)]),
        Trimmed(model, Margins(top=20, bottom=20)).predict_raw([padded])[0],
        rilievo.read_prediction(tmp_path / "photo"),
    ):
        assert type(made) is rilievo.Prediction
        assert made.mesh().triangles.size


def test_bare_records_are_saved_like_predictions(
    prediction: rilievo.Prediction, tmp_path: Path
) -> None:
    for name, given in (("a", prediction), ("b", bare(prediction))):
        save(given, tmp_path / name / "photo", ["npy", "glb", "html"])
    first, second = ((tmp_path / name).iterdir() for name in ("a", "b"))
    assert [each.read_bytes() for each in sorted(first)] == [
        each.read_bytes() for each in sorted(second)
    ]


def test_points_wear_the_colours_of_their_pixels(prediction: rilievo.Prediction) -> None:
    cloud = prediction.points(step=1)
    assert cloud.colours is not None
    camera = prediction.camera
    assert camera is not None
    u, v = np.rint(camera.project(cloud.points.T.astype(np.float64))).astype(int)
    np.testing.assert_array_equal(cloud.colours, PHOTO[v, u])
    assert prediction.but(photo=None).points().colours is None


@pytest.mark.parametrize("name", ["trimesh", "open3d"])
def test_a_library_that_is_missing_is_named_with_what_needs_it(
    prediction: rilievo.Prediction, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=rf"to_{name}\(\) .*{name}"):
        getattr(prediction, f"to_{name}")()
