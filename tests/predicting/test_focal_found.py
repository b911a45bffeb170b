"""Cameras from vanishing points: where they are asked for and nothing else is known."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import UnknownCameraError
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.lens_boxes import SIZE, boxes, turned


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes seen by a lens of 35 degrees, twice as large as their edges are read."""
    focal = SIZE[1] / 2 / math.tan(math.radians(35) / 2)
    grey = boxes(focal, turned(35, 15, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("street") / "street.png"
    large = Image.fromarray(grey).resize((2 * SIZE[1], 2 * SIZE[0]), Image.Resampling.BICUBIC)
    large.convert("RGB").save(path)
    return path


def test_the_field_of_view_of_the_lens_comes_back(street: Path, tmp_path: Path) -> None:
    words = ["predict", str(street), "--save", "npy", "-o", str(tmp_path)]
    assert main([*words, "--vanishing-points"]) == 0
    camera = json.loads((tmp_path / "street.json").read_text("utf-8"))["camera"]
    assert camera["source"] == "vanishing_points"
    assert camera["horizontal_fov"] == pytest.approx(35, abs=2)


class NeedsCamera(Model):
    """Answers only photographs whose focal length is known: with metres in proportion to it."""

    def __init__(self) -> None:
        self.card = ModelCard(
            name="test/needs-camera",
            summary="",
            kind=DepthKind.METRIC,
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
        if any(photo.camera is None for photo in photos):
            raise UnknownCameraError("needs the focal length")
        focals = [photo.camera.K[0, 0] for photo in photos if photo.camera is not None]
        return [Inference(depth=np.full((24, 32), focal, np.float32)) for focal in focals]


def test_a_model_that_needs_a_focal_length_is_given_that_of_the_vanishing_points(
    street: Path,
) -> None:
    with pytest.raises(UnknownCameraError):
        rilievo.predict(street, model=NeedsCamera())
    for flip in (False, True):
        found = rilievo.predict(street, model=NeedsCamera(), vanishing_points=True, flip=flip)
        assert found.camera is not None
        assert found.camera.source is CameraSource.VANISHING_POINTS
        assert found.depth.values[5, 5] == pytest.approx(found.camera.K[0, 0])
    with pytest.warns(UserWarning, match="no effect, because camera=... gives the focal length"):
        known = rilievo.predict(street, model=NeedsCamera(), vanishing_points=True, camera=500.0)
    assert known.depth.values[5, 5] == pytest.approx(500)
    plain = np.full((96, 128, 3), 90, np.uint8)
    with pytest.raises(UnknownCameraError, match="are not clear: give fov"):
        rilievo.predict(plain, model=NeedsCamera(), vanishing_points=True)


def test_it_is_used_only_where_it_is_asked_for_and_nothing_else_is_known(street: Path) -> None:
    def source(**options: object) -> CameraSource:
        camera = rilievo.predict(street, **options).camera  # pyright: ignore
        assert camera is not None
        return camera.source

    assert source() is CameraSource.ASSUMED
    with pytest.warns(UserWarning, match="no effect, because fov=... gives the focal length"):
        assert source(vanishing_points=True, fov=40.0) is CameraSource.FOV
    plain = rilievo.predict(np.full((96, 128, 3), 90, np.uint8), vanishing_points=True).camera
    assert plain is not None
    assert plain.source is CameraSource.ASSUMED
