"""A video of affine depth is anchored shot by shot, not frame by frame."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.io.files.limits import read_text
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.models.base import Inference
from rilievo.options.photo_options import UNREFINED
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs import anchoring
from rilievo.predicting.photographs.anchoring import reference_depth
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions, make_finish_function
from rilievo.predicting.videos.shot_anchoring import ShotFitter, StreamFitter
from rilievo.predicting.videos.steadying import Correction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.affine_answers import AffineAnswer, affine_graph

SIZE = (96, 128)


def scene(seed: int, shift: int = 0) -> np.ndarray:
    """A wall, a floor and a box, seen from a camera that moves sideways."""
    chance = np.random.default_rng(seed)
    height, width = SIZE
    picture = np.full((height, width, 3), chance.integers(120, 220, 3), float)
    picture[50:] = chance.integers(40, 120, 3)
    left = 40 + shift
    picture[30:75, left : left + 30] = chance.integers(0, 255, 3)
    return np.clip(picture + chance.normal(0, 5, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two shots of twelve frames, of which three follow each other unchanged."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(24):
        pixels = scene(1 if index < 12 else 2, index % 12 // 3)
        if index >= 12:
            pixels = pixels[::-1]
        Image.fromarray(pixels).save(folder / f"{index:04d}.png")
    return folder


def clip(source: Path, target: Path, *outputs: str, **options: object):
    asked = ClipOptions(
        outputs=outputs,
        finish=make_finish_function(PredictOptions(refine=UNREFINED)),
        reference=lambda photo: reference_depth(photo, UNREFINED),
        **options,  # pyright: ignore
    )
    model = AffineAnswer(DepthKind.AFFINE_INVERSE)
    return predict_clip(FrameFolder(source, rate=Fraction(10)), model, target, asked)


def test_each_shot_has_one_scale_and_one_shift(frames: Path, tmp_path: Path) -> None:
    sidecar = clip(frames, tmp_path / "out", "npy", "anchored", "ply")
    said = json.loads(read_text(tmp_path / "out.json"))
    assert said["depth"]["kind"] == "affine_inverse"
    assert said["anchoring"]["model"] == "rilievo/base"
    assert len(sidecar.video.anchorings) == len(sidecar.video.shots)
    firsts = [*sidecar.video.shots, 24]
    for index in range(24):
        shot = max(place for place, first in enumerate(firsts[:-1]) if first <= index)
        found = sidecar.video.anchorings[shot]
        own = np.load(tmp_path / f"out.frames/{index:04d}.depth.npy")
        anchored = np.load(tmp_path / f"out.frames/{index:04d}.anchored.npy")
        assert found.scale is not None
        assert found.shift is not None
        valid = ~np.isnan(anchored)
        assert valid.mean() > 0.9
        np.testing.assert_allclose(
            1 / anchored[valid], found.scale * own[valid] + found.shift, rtol=1e-3
        )
    assert (tmp_path / "out.frames/0000.ply").exists()


def test_the_embedded_model_runs_on_few_frames_and_not_without_a_surface(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(photo, refine):
        asked.append(photo)
        return reference_depth(photo, refine)

    monkeypatch.setattr(anchoring, "reference_depth", counted)
    clip(frames, tmp_path / "maps", "npy", "colour")
    assert not asked


def test_frames_of_a_long_shot_are_thinned_evenly() -> None:
    chance, seen = np.random.default_rng(0), []

    def reference(photo: Photo) -> DepthMap:
        seen.append(photo)
        return DepthMap(values=photo_depth, kind=DepthKind.UP_TO_SCALE)

    photo_depth = chance.uniform(1, 5, SIZE).astype(np.float32)
    depth = DepthMap(values=1 / photo_depth + 3, kind=DepthKind.AFFINE_INVERSE)
    track = ShotFitter(reference, DepthKind.AFFINE_INVERSE, is_listed=False)
    blank = Photo(pixels=np.zeros((*SIZE, 3), np.uint8))
    for frame in range(1000):
        track.add_frame(frame, 0 if frame < 700 else 700, depth, blank)
    assert len(seen) < 80
    one, other = track.fit_shots([Correction(scale=2.0, shift=1.0)] * 1000)
    assert one.scale == pytest.approx(0.5, rel=1e-3)
    assert one.shift == pytest.approx(-3.5, rel=1e-2)
    assert other.scale == pytest.approx(0.5, rel=1e-3)


def test_a_known_distance_makes_a_clip_metric_by_anchored_depth(
    frames: Path, tmp_path: Path
) -> None:
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    for late in sorted(frames.iterdir())[4:]:
        late.unlink()
    own = rilievo.predict(frames / "0000.png", known=[(60, 80, 2.0)])
    options = rilievo.PredictOptions(
        output=tmp_path / "out",
        save="png16,npy",
        known=("60,80,2.0",),
        sequence=True,
        model=str(_affine_file(tmp_path)),
    )
    summary = rilievo.predict_files([frames], options, show=False)
    assert summary.exit_code == 0
    said = json.loads(read_text(tmp_path / "out/frames.json"))
    assert said["depth"]["kind"] == "metric"
    assert said["calibration"]["method"] == "known points"
    assert said["anchoring"]["rank_correlation"] > 0.9
    first = np.load(tmp_path / "out/frames.frames/0000.depth.npy")
    assert first[80, 60] == pytest.approx(2.0, rel=0.05)
    ratio = np.log(first / own.depth.values)
    assert np.median(np.abs(ratio)) < 0.1


def _affine_file(folder: Path) -> Path:
    return affine_graph(folder / "affine.onnx")


class _Drifting(AffineAnswer):
    """Answers with a slow drift of its scale, as networks do that see one frame at a time."""

    drift = 0.0

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        answers = super().run_network(photos)
        self.drift += 0.001
        return [replace(answer, depth=answer.depth * (1 + self.drift)) for answer in answers]  # pyright: ignore


def _streamed(scenes: Sequence[np.ndarray], reads: Callable[[int], bool]):
    """Anchorings of a stream's frames whose surface is read, and the frames that were looked at."""
    model, seen = _Drifting(DepthKind.AFFINE_INVERSE), list[str]()

    def reference(photo: Photo) -> DepthMap:
        seen.append(photo.name)
        return reference_depth(photo, UNREFINED)

    anchor, found = StreamFitter(reference), {}
    for number, pixels in enumerate(scenes):
        [prediction] = model.predict_raw([Photo(pixels=pixels, name=str(number))])
        prediction = anchor.add_frame(prediction)
        if reads(number):
            found[number] = prediction.anchoring
    return found, [int(each) for each in seen]


@pytest.mark.slow
def test_a_stream_has_a_running_scale_and_shift_that_a_cut_resets() -> None:
    one = [scene(1, index % 12) for index in range(40)]
    other = [scene(2)[::-1].copy() for _ in range(6)]
    found, seen = _streamed(one + other, lambda number: True)
    assert seen == [0, 1, 2, 4, 8, 16, 32, 40, 41, 42, 44]
    fits = [(found[index].scale, found[index].shift) for index in range(46)]
    assert len(set(fits)) == len(seen)
    assert fits[16:32] == [fits[16]] * 16
    alone, _ = _streamed(other, lambda number: True)
    drifted = (1 + 0.001 * 41) / (1 + 0.001)
    assert found[40].scale * drifted == pytest.approx(alone[0].scale, rel=2e-2)


def test_the_embedded_model_sees_no_frame_of_a_stream_that_nobody_asks_for() -> None:
    one = [scene(1, index % 12) for index in range(12)]
    found, seen = _streamed(one, lambda number: number in (5, 9, 11))
    assert seen == [5, 11]
    assert found[5].refused is None
    assert _streamed(one, lambda number: False) == ({}, [])
