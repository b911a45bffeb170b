"""Pixels that a model gives no depth, and the camera that it sees, through a whole video."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.io.videos.video import VideoReader
from rilievo.models.base import Inference
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.predicting.videos.clip_outputs import ClipSidecar
from rilievo.predicting.videos.stored_inferences import open_stored_inferences
from rilievo.records.sample import Photo
from support.clips import Clip, numbered, write_clip
from support.ply_files import read_ply
from support.relief import Relief

SIZE = (96, 128)
FOCAL = 300.0
"""Far from the one that is assumed of pictures of this size."""


class Outdoors(Relief):
    """The upper quarter is sky, which is filled with depth 1; a telephoto camera, seen in it."""

    def _one(self, photo: Photo) -> Inference:
        answer = super()._one(photo)
        assert answer.depth is not None
        valid = np.ones(answer.depth.shape, bool)
        valid[: len(valid) // 4] = False
        camera = Camera(K=K_from_focal(FOCAL, FOCAL, photo.shape), source=CameraSource.PREDICTED)
        depth = np.where(valid, answer.depth + 5, np.float32(1))
        return replace(answer, depth=depth, valid=valid, camera=camera)


def outdoors(tmp_path: Path) -> ClipSidecar:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(3)))
    options = ClipOptions(outputs=("npz", "ply", "png16"))
    return predict_clip(VideoReader(clip), Outdoors(), tmp_path / "out", options)


def test_sky_is_neither_depth_nor_surface_and_stretches_no_range(tmp_path: Path) -> None:
    sidecar = outdoors(tmp_path)
    sky, ground = np.s_[: SIZE[0] // 4 - 1], np.s_[SIZE[0] // 4 + 1 :]
    for number in range(3):
        with np.load(tmp_path / "out.frames" / f"00000{number}.npz") as arrays:
            assert not arrays["valid"][sky].any()
            assert arrays["valid"][ground].all()
            assert np.isnan(arrays["depth"][sky]).all()
        points = read_ply(tmp_path / "out.frames" / f"00000{number}.ply")["vertex"]
        assert points["z"].min() > 5
    assert sidecar.depth is not None
    assert sidecar.depth.minimum is not None
    assert sidecar.depth.minimum > 5
    assert sidecar.depth.valid_pixels == 3 * SIZE[0] * SIZE[1] * 3 // 4


def test_every_frames_surface_is_that_of_the_camera_that_the_json_tells(tmp_path: Path) -> None:
    sidecar = outdoors(tmp_path)
    assert sidecar.camera is not None
    assert sidecar.camera.source is CameraSource.PREDICTED
    assert sidecar.camera.K[0][0] == FOCAL
    for number in range(3):
        with np.load(tmp_path / "out.frames" / f"00000{number}.npz") as arrays:
            np.testing.assert_array_equal(arrays["K"], sidecar.camera.K)
        points = read_ply(tmp_path / "out.frames" / f"00000{number}.ply")["vertex"]
        assert np.abs(points["x"] / points["z"]).max() <= SIZE[1] / 2 / FOCAL


def test_what_has_no_depth_costs_the_spool_no_precision(tmp_path: Path) -> None:
    depth = np.linspace(5, 6, 99, dtype=np.float32).reshape(9, 11)
    valid = depth > 5.2
    nowhere = np.zeros_like(valid)
    with open_stored_inferences(tmp_path, is_positive=True) as stored:
        stored.append(Inference(depth=np.where(valid, depth, np.float32(0)), valid=valid))
        stored.append(Inference(depth=depth))
        stored.append(Inference(depth=np.zeros_like(depth), valid=nowhere))
        (masked, _), (whole, _), (empty, _) = stored
    assert masked.depth is not None
    np.testing.assert_array_equal(masked.valid, valid)
    np.testing.assert_allclose(masked.depth[valid], depth[valid], rtol=2e-6)
    assert whole.valid is None
    np.testing.assert_array_equal(empty.valid, nowhere)


class Looking(Outdoors):
    """Every frame but the second shows the ground; the second is all sky."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def _one(self, photo: Photo) -> Inference:
        answer = super()._one(photo)
        self.looks += 1
        if self.looks % 3 != 2 or answer.depth is None:
            return answer
        return replace(answer, valid=np.zeros(answer.depth.shape, bool))


def test_a_frame_of_nothing_but_sky_has_no_surface_and_stops_nothing(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(3)))
    options = ClipOptions(outputs=("npz", "ply", "glb", "colour"))
    predict_clip(VideoReader(clip), Looking(), tmp_path / "out", options)
    found = sorted(path.name for path in (tmp_path / "out.frames").iterdir())
    assert [name for name in found if name.endswith(".npz")] == [f"00000{n}.npz" for n in range(3)]
    for suffix in ("ply", "glb"):
        there = [name for name in found if name.endswith(suffix)]
        assert there == [f"000000.{suffix}", f"000002.{suffix}"]
