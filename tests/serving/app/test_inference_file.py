"""The app's file of a network's answer."""

from pathlib import Path

import numpy as np

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.models.base import Inference
from rilievo.serving.app.inference_file import encode_inference, read_inference


def test_an_answer_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shape = 12, 17
    depth = np.exp(rng.normal(size=shape)).astype(np.float32)
    depth[3, 4], depth[5, 6] = np.float32(np.nan), np.float32(-0.0)
    inference = Inference(
        depth=depth,
        valid=rng.random(shape) > 0.5,
        normals=rng.normal(size=(3, *shape)).astype(np.float32),
        sky=rng.random(shape, np.float32),
        camera=Camera(
            K=np.array([[500 / 3, 0, 7.1], [0, 501 / 3, 6], [0, 0, 1]]),
            source=CameraSource.PREDICTED,
        ),
        shift=0.25,
    )
    (tmp_path / "answer.npz").write_bytes(encode_inference(inference))
    read = read_inference(tmp_path / "answer.npz")
    for name in ("depth", "normals", "sky"):
        assert getattr(read, name).tobytes() == getattr(inference, name).tobytes()
    np.testing.assert_array_equal(read.valid, inference.valid)
    assert (read.camera, read.shift, read.confidence) == (inference.camera, 0.25, None)
