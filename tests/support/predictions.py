"""Predictions of every kind, small and with everything in them, for tests of files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy
from rilievo.records.sample import Photo

HEIGHT, WIDTH = 24, 32
K = np.array([[30.0, 0.0, 15.5], [0.0, 31.0, 11.0], [0.0, 0.0, 1.0]])
MADE_BY = MadeBy(
    model="test/model",
    weights_sha256="ab" * 32,
    licence="Apache-2.0",
    settings={"flip": True, "tile": None, "share": 0.5, "size": 256, "engine": "onnxruntime"},
    version="1.2.3",
)


def values_of(kind: DepthKind) -> np.ndarray:
    """A slanted wall at 1 to 3; affine numbers are that times two minus five."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    depth = (1 + 2 * (u + v) / (WIDTH + HEIGHT - 2)).astype(np.float32)
    match kind:
        case DepthKind.METRIC | DepthKind.UP_TO_SCALE:
            return depth
        case DepthKind.AFFINE:
            return 2 * depth - 5
        case DepthKind.AFFINE_INVERSE:
            return 2 / depth - 5


def prediction(
    kind: DepthKind = DepthKind.METRIC,
    *,
    values: np.ndarray | None = None,
    holes: bool = True,
    with_normals: bool = True,
    with_confidence: bool = True,
    with_sky: bool = True,
    name: str = "folder/photo.jpg",
) -> Prediction:
    """A prediction with two invalid pixels, whose values are NaN and which see the sky."""
    values = values_of(kind) if values is None else values.astype(np.float32)
    height, width = values.shape
    valid = np.ones(values.shape, bool)
    if holes:
        valid[2, 3] = valid[height - 1, width - 1] = False
        values = np.where(valid, values, np.float32(np.nan))
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(3, height, width)).astype(np.float32)
    normals[2] = -np.abs(normals[2])
    normals /= np.linalg.norm(normals, axis=0)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    return Prediction(
        depth_or_none=DepthMap(values=values, kind=kind, valid=valid),
        normals=normals if with_normals else None,
        confidence=rng.random((height, width), np.float32) if with_confidence else None,
        sky=~valid if with_sky else None,
        camera=Camera(K=K, source=CameraSource.EXIF_35MM),
        photo=Photo(pixels=pixels, name=name),
        made_by=MADE_BY,
    )


def said_beside(folder: Path) -> dict[str, Any]:
    """The JSON without sizes and hashes of files, which no file can have inside itself."""
    beside = json.loads((folder / "photo.json").read_text())
    for facts in beside["files"]:
        assert facts.pop("bytes") > 0
        assert len(facts.pop("sha256")) == 64
    return beside
