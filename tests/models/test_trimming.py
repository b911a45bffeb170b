"""Predictions of a trimmed model for a bordered photograph: those of the inside, in its place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.io.videos.video import VideoReader
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.refine import refined
from rilievo.models.refinement.trimming import Trimmed, border_note
from rilievo.options.photo_options import UNREFINED
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo
from rilievo.schema.fields import Switch
from support.clips import Clip, write_clip
from support.relief import Relief

TOP, LEFT = 40, 24
INSIDE = np.s_[TOP:-TOP, LEFT:-LEFT]


def textured(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 250, (height, width, 3)).astype(np.uint8)


def boxed(inside: np.ndarray, top: int = TOP, left: int = LEFT) -> np.ndarray:
    return np.pad(inside, ((top, top), (left, left), (0, 0)))


class Seeing(Relief):
    """Sees a camera and is sure of half."""

    def _one(self, photo: Photo) -> Inference:
        answer = super()._one(photo)
        camera = Camera(K=K_from_focal(200, 210, photo.shape), source=CameraSource.PREDICTED)
        assert answer.depth is not None
        return replace(answer, camera=camera, confidence=np.full_like(answer.depth, 0.5))


def both(model: Model, camera: Camera | None = None) -> tuple[Prediction, Prediction]:
    """Predictions of the whole, trimmed, and of the inside by itself."""
    inside = textured()
    whole = Photo(pixels=boxed(inside), camera=camera)
    [trimmed] = Trimmed(model).predict_raw([whole])
    [alone] = model.predict_raw([Photo(pixels=inside)])
    assert trimmed.photo is whole
    return trimmed, alone


def test_the_inside_has_its_own_answer_and_the_border_none() -> None:
    trimmed, alone = both(Seeing())
    np.testing.assert_array_equal(trimmed.depth.values[INSIDE], alone.depth.values)
    border = np.ones(trimmed.shape, bool)
    border[INSIDE] = False
    np.testing.assert_array_equal(trimmed.depth.valid, ~border)
    assert trimmed.normals is not None
    assert trimmed.confidence is not None
    np.testing.assert_array_equal(trimmed.normals[:, *INSIDE], alone.normals)
    np.testing.assert_array_equal(trimmed.confidence[INSIDE], alone.confidence)
    assert (trimmed.confidence[border] == 0).all()
    assert np.isnan(trimmed.normals[:, border]).all()
    length = np.linalg.norm(trimmed.normals[:, ~border], axis=0)
    np.testing.assert_allclose(length, 1, rtol=1e-5)
    assert trimmed.made_by.settings["trim"] is True


def test_a_camera_that_is_seen_or_assumed_has_its_middle_inside() -> None:
    for model in (Seeing(), Relief()):
        trimmed, alone = both(model)
        assert trimmed.camera is not None
        assert alone.camera is not None
        moved = alone.camera.K + np.array([[0, 0, LEFT], [0, 0, TOP], [0, 0, 0]])
        np.testing.assert_allclose(trimmed.camera.K, moved)
        assert trimmed.camera.source is alone.camera.source


def test_a_given_camera_stays_and_points_are_where_they_would_be() -> None:
    K = np.array([[150.0, 0, 90], [0, 160.0, 77], [0, 0, 1]])
    trimmed, _ = both(Seeing(), Camera(K=K, source=CameraSource.GIVEN))
    assert trimmed.camera is not None
    np.testing.assert_array_equal(trimmed.camera.K, K)
    points = trimmed.points(step=1).points
    pixels = points @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    assert pixels.min(axis=0) == pytest.approx([LEFT, TOP], abs=0.01)


def test_a_photograph_without_a_border_is_predicted_as_before() -> None:
    photo, model = Photo(pixels=textured()), Seeing()
    [trimmed], [plain] = Trimmed(model).predict_raw([photo]), model.predict_raw([photo])
    assert trimmed == plain.but(made_by=trimmed.made_by)
    assert border_note(Trimmed(model), photo) is None
    assert "top 40" in str(border_note(Trimmed(model), Photo(pixels=boxed(textured()))))


@pytest.mark.slow
def test_trimming_goes_with_tiles_the_mirror_and_smaller_sizes() -> None:
    model = rilievo.load_model("rilievo/small")
    inside = np.asarray(textured(200, 300))
    for thinning in (1, 2):
        small = np.ascontiguousarray(inside[::thinning, ::thinning])
        part = np.s_[TOP // thinning : -TOP // thinning]
        whole = boxed(small, TOP // thinning, 0)
        for refine in (
            UNREFINED,
            replace(UNREFINED, flip=True, tile=128 // thinning),
        ):
            [trimmed] = refined(model, replace(refine, trim=Switch.ON)).predict_raw([whole])
            [alone] = refined(model, refine).predict_raw([small])
            np.testing.assert_array_equal(trimmed.depth.values[part], alone.depth.values)


def test_predict_trims_and_trim_false_does_not() -> None:
    whole = boxed(textured())
    with pytest.warns(UserWarning, match="top 40, .*: trim=False keeps it"):
        trimmed = rilievo.predict(whole, model=Relief())
    assert trimmed.depth.valid[INSIDE].all()
    assert trimmed.depth.valid.sum() == 120 * 160
    assert rilievo.predict(whole, model=Relief(), trim=False).depth.valid.all()


def test_a_model_without_depth_sees_the_whole_picture() -> None:
    """Nothing could say that its normals and confidence on a border are no answer."""
    model = Relief(kind=None)
    assert refined(model, replace(UNREFINED, trim=Switch.ON)) is model


def test_a_letterboxed_video_is_trimmed_alike_in_every_frame(tmp_path: Path) -> None:
    light = np.repeat(np.repeat(textured(12, 16), 8, axis=0), 8, axis=1)
    frames = [boxed((light * share).astype(np.uint8), 32, 0) for share in (0.02, 1, 0.6)]
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=[*frames, *frames * 4]))
    options = ClipOptions(outputs=("npz",), temporal=False)
    sidecar = predict_clip(VideoReader(clip), Trimmed(Seeing()), tmp_path / "out", options)
    assert sidecar.made_by.settings["trim"] is True
    assert [note for note in sidecar.video.notes if "border (top 32, bottom 32 px)" in note]
    alone = Relief.relief((48, 64))
    for number in range(3):
        with np.load(tmp_path / "out.frames" / f"00000{number}.npz") as arrays:
            valid = arrays["valid"]
            assert valid[34:-34].all()
            assert not valid[:30].any()
            assert not valid[-30:].any()
            middle = arrays["depth"][32:-32:2, ::2]
            np.testing.assert_allclose(arrays["K"][1, 2], 79.5)
        rough = middle[: alone.shape[0], : alone.shape[1]]
        assert np.median(np.abs(rough / alone - 1)) < 0.03
