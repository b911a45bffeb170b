"""The embedded model and the table of models, as a user meets them."""

import hashlib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import skimage.data

import rilievo
from rilievo.cli import main
from rilievo.models import DEFAULT_MODEL, MODELS, load_model
from rilievo.models.base import Model
from rilievo.models.card import read_details
from rilievo.types import DepthKind

DEFAULT_FILE = Path(import_module("rilievo.models").__file__ or "").parent / "default/small.onnx"
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_table_can_be_loaded_and_has_a_card(name: str) -> None:
    card = MODELS[name]
    assert card.name == name
    module, _, function = card.loader.partition(":")
    assert callable(getattr(import_module(module), function))
    assert card.extra is None or card.extra in Path("pyproject.toml").read_text()


def test_the_default_is_small_enough_to_ship(model: Model) -> None:
    size = DEFAULT_FILE.stat().st_size
    assert size <= 15e6
    assert size == pytest.approx(MODELS[DEFAULT_MODEL].megabytes * 1e6, rel=0.02)
    assert model.weights_sha256 == hashlib.sha256(DEFAULT_FILE.read_bytes()).hexdigest()


def test_its_card_tells_licence_training_data_accuracy_and_limits() -> None:
    details = read_details(MODELS[DEFAULT_MODEL])
    assert details is not None
    for word in ("Apache-2.0", "NYU", "AbsRel", "up to scale", "ImageNet"):
        assert word in details


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((32, 32, 3), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        RNG.integers(0, 256, (300, 200, 3), dtype=np.uint8),
        RNG.integers(0, 256, (40, 1200, 3), dtype=np.uint8),
        RNG.integers(0, 256, (1500, 33, 3), dtype=np.uint8),
    ],
    ids=["black", "white", "noise", "wide", "tall"],
)
def test_odd_pictures_get_a_finite_answer(model: Model, pixels: np.ndarray) -> None:
    [prediction] = model.predict([pixels])
    assert prediction.depth is not None
    assert prediction.normals is not None
    assert prediction.depth.kind is DepthKind.UP_TO_SCALE
    assert prediction.depth.shape == pixels.shape[:2]
    assert np.isfinite(prediction.depth.values).all()
    assert (prediction.depth.values > 0).all()
    np.testing.assert_allclose(np.linalg.norm(prediction.normals, axis=0), 1, atol=1e-4)


def test_it_knows_that_a_floor_comes_nearer_towards_the_bottom(model: Model) -> None:
    """The least a depth model must know: the motorcycle stands on a floor, before a wall."""
    [prediction] = model.predict([skimage.data.stereo_motorcycle()[0]])
    assert prediction.depth is not None
    assert prediction.normals is not None
    height = prediction.shape[0]
    bottom, middle = prediction.depth.values[-20:], prediction.depth.values[height // 3]
    assert np.median(bottom) < 0.8 * np.median(middle)
    assert np.median(prediction.normals[1, -20:]) < -0.7


def test_its_depth_of_the_motorcycle_agrees_with_the_stereo_pair(model: Model) -> None:
    """Middlebury 2014: focal length 994.978 px, baseline 0.193 m, offset 31.086 px."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    valid = np.isfinite(disparity)
    true = np.where(valid, 994.978 * 0.193001 / (np.where(valid, disparity, 1) + 31.086), 1)
    [prediction] = model.predict([left])
    assert prediction.depth is not None
    aligned = rilievo.align(prediction.depth, true, valid).depth.depth()
    error = np.mean(np.abs(aligned[valid] - true[valid]) / true[valid])
    constant = np.mean(np.abs(np.median(true[valid]) - true[valid]) / true[valid])
    assert error < 0.9 * constant


def test_the_table_and_the_card_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    table = capsys.readouterr().out
    for word in (DEFAULT_MODEL, "up_to_scale", "Apache-2.0", "MB"):
        assert word in table
    assert main(["models", DEFAULT_MODEL]) == 0
    assert "AbsRel" in capsys.readouterr().out
