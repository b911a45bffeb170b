"""Depth while the camera stands still: flicker goes, and what moves keeps its own depth."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.io.videos.video import VideoReader
from rilievo.models.base import Inference
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.predicting.videos.steadying import MOVING, StillFrame, steady_means, still_spans
from rilievo.records.sample import Photo
from support.clips import Clip, write_clip
from support.footage import texture
from support.relief import Relief

SHAPE = (48, 64)
COUNT = 20
SCENE = texture(3, (60, 80))[:48, :64].mean(axis=2)


def grey(frame: int) -> np.ndarray:
    noisy = SCENE + np.random.default_rng(frame).normal(0, 1, SHAPE)
    return noisy.clip(0, 255).astype(np.uint8)


def values(frame: int) -> np.ndarray:
    return np.random.default_rng(100 + frame).normal(1, 0.04, SHAPE).astype(np.float32)


def frames() -> list[StillFrame]:
    return [
        StillFrame(
            values=values(k),
            valid=np.ones(SHAPE, bool),
            grey=grey(k),
            stretch=0,
        )
        for k in range(COUNT)
    ]


def changing(frames: np.ndarray) -> float:
    return float((np.abs(np.diff(frames, axis=0)) > 0.05).mean())


def test_flicker_of_a_still_camera_goes() -> None:
    pictures = frames()
    means = np.stack(list(steady_means(pictures)))
    assert changing(np.stack([picture.values for picture in pictures])) > 0.3
    assert changing(means) < 0.01
    # In the middle, thirteen frames are averaged.
    assert 0.04 / 13**0.5 * 0.8 < (means[10] - 1).std() < 0.04 / 13**0.5 * 1.4


def test_frames_of_a_moving_camera_stay_as_they_are() -> None:
    still = frames()[8:14]
    means = list(steady_means([*[None] * 8, *still, *[None] * 6]))
    assert means[:8] == [None] * 8
    assert means[14:] == [None] * 6
    alone = list(steady_means(still))
    np.testing.assert_array_equal(means[10], alone[2])


def test_what_moves_has_the_depth_of_its_own_frame() -> None:
    pictures = frames()
    for k, frame in enumerate(pictures):
        left = 2 + 2 * k
        frame.grey[20:34, left : left + 12] = 255
        frame.values[20:34, left : left + 12] = 0.5
    means = list(steady_means(pictures))
    for k in (0, 7, 12, 19):
        left = 2 + 2 * k
        inside = means[k][20:34, left : left + 12]
        assert np.median(inside) == 0.5
        # Nothing of it lags behind, or runs ahead, on the wall.
        outside = means[k][20:34, [*range(left - 2), *range(left + 14, 64)]]
        assert outside.size == 0 or abs(outside - 1).max() < 0.2


def test_a_change_shows_in_its_first_frame() -> None:
    pictures = frames()
    for k in range(10, COUNT):
        pictures[k].grey[10:30, 10:40] = 128
        pictures[k].values[10:30, 10:40] += 1
    means = list(steady_means(pictures))
    inner = np.s_[13:27, 13:37]
    assert abs(np.median(means[9][inner]) - 1) < 0.05
    assert abs(np.median(means[10][inner]) - 2) < 0.05


def test_invalid_pixels_are_not_averaged() -> None:
    pictures = frames()
    pictures[10].valid[:5] = False
    pictures[10].values[:5] = 99
    means = list(steady_means(pictures))
    assert (means[10][:5] == 99).all()
    assert means[9].max() < 1.2


def test_a_change_of_light_of_the_whole_frame_does_not_matter() -> None:
    pictures = frames()
    for k in range(0, COUNT, 2):
        pictures[k].grey[:] = pictures[k].grey // 2 + 60
        pictures[k].grey[:] = (pictures[k].grey.astype(int) - 60) * 2 - 6 + 12 * (k % 4 // 2)
    assert changing(np.stack(list(steady_means(pictures)))) < 0.02


def test_few_frames_are_held() -> None:
    taken = 0

    def counted() -> Iterator[StillFrame]:
        nonlocal taken
        for frame in frames():
            taken += 1
            yield frame

    for count, _ in enumerate(steady_means(counted()), 1):
        assert taken - count <= 6


def test_stretches_are_first_and_last_frames() -> None:
    assert still_spans([MOVING, 1, 1, 1, MOVING, 5, 5, MOVING]) == ((1, 3), (5, 6))
    assert still_spans([MOVING]) == ()


class Flickering(Relief):
    """A relief with noise of its own in each frame."""

    def _one(self, photo: Photo) -> Inference:
        answer = super()._one(photo)
        assert answer.depth is not None
        noise = np.random.default_rng(self.seen).normal(0, 0.05, answer.depth.shape)
        return replace(answer, depth=(answer.depth * np.exp(noise)).astype(np.float32))


def test_a_video_of_a_still_camera_is_steady_and_says_so(tmp_path: Path) -> None:
    frames = [np.repeat(grey(k)[..., None], 3, axis=2) for k in range(24)]
    write_clip(tmp_path / "clip.mp4", Clip(pictures=frames, options={"crf": "10"}))
    shares = []
    for temporal in (False, True):
        asked = ClipOptions(outputs=("npy",), temporal=temporal)
        target = tmp_path / f"{temporal}" / "clip"
        sidecar = predict_clip(VideoReader(tmp_path / "clip.mp4"), Flickering(), target, asked)
        files = sorted((tmp_path / f"{temporal}" / "clip.frames").iterdir())
        logs = np.log(np.stack([np.load(path) for path in files]))
        shares.append(changing(logs))
        assert sidecar.video.still == (((0, 23),) if temporal else ())
    assert shares[0] > 0.2
    assert shares[1] < shares[0] / 3
