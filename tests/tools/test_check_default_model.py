"""Promises of a model besides accuracy: each figure on predictions whose figure is known."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from check_default_model import Finding, hard_inputs
from hard_inputs import LITTLE_TO_SEE, hard_pictures
from prediction_sheet import prediction_sheet
from real_frames import Picture
from stability import disagreement, disturbed, flicker, followed, movement, smooth, stillest

from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.types import DepthKind, Photo

K = np.array([[80.0, 0, 47.5], [0, 80.0, 35.5], [0, 0, 1]])
SIZE = (72, 96)


def plane(normal: np.ndarray, distance: float) -> np.ndarray:
    """Depth of the plane ``normal`` · p = -``distance``, by each pixel's own ray."""
    depth = np.empty(SIZE, np.float32)
    for v in range(SIZE[0]):
        for u in range(SIZE[1]):
            ray = np.array([(u - 47.5) / 80, (v - 35.5) / 80, 1])
            depth[v, u] = -distance / (normal @ ray)
    return depth


TILTED = np.array([0.4, -0.3, -0.866])
TILTED /= np.linalg.norm(TILTED)


def everywhere(normal: np.ndarray) -> np.ndarray:
    return np.broadcast_to(normal[:, None, None], (3, *SIZE)).astype(np.float32)


@pytest.mark.parametrize("degrees", [0.0, 10.0, 40.0])
def test_normals_turned_by_an_angle_disagree_with_depth_by_that_angle(degrees: float) -> None:
    side = np.cross(TILTED, [0, 1, 0])
    side /= np.linalg.norm(side)
    turned = np.cos(np.radians(degrees)) * TILTED + np.sin(np.radians(degrees)) * side
    angles = disagreement(plane(TILTED, 3.0), 5 * everywhere(turned), K)
    assert angles.size == (72 - 2 * 5) * (96 - 2 * 5)
    assert angles == pytest.approx(degrees, abs=0.3)


def test_pixels_near_an_edge_or_a_crease_are_not_smooth() -> None:
    wall = np.full(SIZE, 2.0, np.float32)
    wall[:, 48:] = 3.0
    flat = smooth(wall, everywhere(np.array([0, 0, -1])))
    assert not flat[:, 43:53].any()
    assert flat[10:-10, 10:42].all()
    assert flat[10:-10, 54:-10].all()
    corner = everywhere(np.array([0, 0, -1])).copy()
    corner[:, 30:] = np.array([0, -1, 0])[:, None, None]
    flat = smooth(np.full(SIZE, 2.0, np.float32), corner)
    assert not flat[27:33].any()
    assert flat[5:26, 10:-10].all()
    assert flat[34:-10, 10:-10].all()


def test_a_scale_of_its_own_in_each_frame_is_no_flicker() -> None:
    depth = np.random.default_rng(0).uniform(1, 5, SIZE)
    clip = np.stack([scale * depth for scale in (1.0, 0.3, 7.0, 2.0)])
    assert flicker(clip).max() < 1e-12


def test_flicker_is_the_share_by_which_pixels_vary_and_asks_those_that_are_always_seen() -> None:
    clip = np.full((4, *SIZE), 2.0)
    # A quarter of the pixels goes up and down by a tenth, the others stay.
    clip[::2, :36, :48] *= 1.1
    clip[1::2, :36, :48] *= 0.9
    clip[2, -1] = np.nan
    varying = flicker(clip)
    assert varying.size == 71 * 96
    assert np.sort(varying)[: 71 * 96 - 36 * 48] == pytest.approx(0)
    assert np.sort(varying)[-36 * 48 :] == pytest.approx(0.1)


def test_a_camera_that_moves_towards_a_wall_sees_no_flicker_in_true_depth() -> None:
    poses = np.stack([np.eye(4) for _ in range(3)])
    poses[:, 2, 3] = [0.0, 0.1, 0.2]
    true = [np.full(SIZE, 2.0 - far, np.float32) for far in (0.0, 0.1, 0.2)]
    guesses = [scale * each for scale, each in zip((1.0, 5.0, 0.2), true, strict=True)]
    ratios = followed(guesses, true, poses, K)
    assert flicker(ratios).max() < 1e-6
    # Nearer to the wall, its border has left the image.
    assert np.isfinite(ratios[0]).all()
    assert not np.isfinite(ratios[2][0]).any()
    hidden = [true[0], np.full(SIZE, 1.0, np.float32), true[2]]
    assert not np.isfinite(followed(guesses, hidden, poses, K)[1]).any()


def test_the_stillest_frames_are_found_and_their_movement_is_told_in_metres() -> None:
    poses = np.stack([np.eye(4) for _ in range(9)])
    poses[:, 0, 3] = [0, 1, 2, 2.01, 2.02, 2.03, 3, 4, 5]
    assert stillest(poses, 4) == 2
    assert movement(poses[2:6]) == pytest.approx(0.03)
    turned = np.stack([np.eye(4), np.eye(4)])
    turned[1, :3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    assert movement(turned) == pytest.approx(2 * np.sqrt(2))


def test_a_photograph_taken_again_differs_a_little_each_time_and_is_always_the_same() -> None:
    photograph = np.kron(np.arange(48, dtype=np.uint8).reshape(6, 8), np.ones((8, 8), np.uint8))
    photograph = np.repeat(4 * photograph[..., None], 3, axis=-1)
    first, second = disturbed(photograph, 2)
    again, _ = disturbed(photograph, 2)
    assert np.array_equal(first, again)
    assert first.shape == photograph.shape
    for one, other in ((first, second), (first, photograph)):
        apart = np.abs(one.astype(int) - other)
        assert 0 < apart.mean() < 8


def test_hard_pictures_have_their_sizes_and_are_what_they_are_called() -> None:
    found = {each.label: each.pixels for each in hard_pictures(photograph())}
    assert {*LITTLE_TO_SEE} < {*found}
    assert found["8000-pixel panorama"].shape == (1000, 8000, 3)
    assert found["40-pixel thumbnail"].shape == (40, 40, 3)
    assert np.array_equal(found["mirror"], found["mirror"][:, ::-1])
    assert (found["black"].max(), found["white"].min()) == (0, 255)
    for drawn in ("line drawing", "page of text"):
        dark = (found[drawn].mean(axis=-1) < 100).mean()
        assert 0.005 < dark < 0.3


def photograph() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)


class Answering(Model):
    """Says the same of every picture, but is as sure as it is told for dark and other ones."""

    card = ModelCard(
        name="answering",
        summary="",
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        licence="",
        commercial=True,
        megabytes=0.0,
        extra=None,
        speed="",
        loader="",
    )
    weights_sha256 = ""

    def __init__(self, *, dark: float, other: float) -> None:
        self._dark, self._other = np.float32(dark), np.float32(other)
        self.settings = {}

    def infer(self, photos: list[Photo]) -> list[Inference]:
        return [
            Inference(
                depth=np.full(SIZE, 2, np.float32),
                normals=everywhere(np.array([0, 0, -1])),
                confidence=np.full(
                    SIZE, self._other if photo.pixels.any() else self._dark, np.float32
                ),
            )
            for photo in photos
        ]


def verdicts(model: Model) -> dict[str, bool | None]:
    usual = [Picture(label="photograph", pixels=photograph())]
    return {each.what: each.kept for each in hard_inputs(model, usual)}


@pytest.mark.slow
def test_a_model_that_is_as_sure_in_the_dark_breaks_its_promise() -> None:
    sure = verdicts(Answering(dark=0.8, other=0.8))
    unsure = verdicts(Answering(dark=0.2, other=0.8))
    assert (sure["bad input: black"], unsure["bad input: black"]) == (False, True)
    assert sure["bad input: mirror"] is True
    assert sure["confidence: 1 photographs"] is None


def test_the_sheet_has_a_group_for_each_picture_in_rows() -> None:
    shown = [Picture(label=str(k), pixels=photograph()) for k in range(3)]
    sheet = prediction_sheet(Answering(dark=0, other=1), shown, columns=2)
    assert sheet.size == (2 * (4 * 192 + 8) - 8, 2 * (144 + 14))
    # White confidence at the end of the first group, nothing where the fourth would be.
    assert sheet.getpixel((3 * 192 + 50, 14 + 50)) == (255, 255, 255)
    assert sheet.getpixel((2 * 192 + 50, 14 + 50)) == (128, 128, 255)
    below = np.asarray(sheet)[158 + 14 :]
    assert (below[:60, 192:272] < 255).any(axis=-1).all()
    assert (below[:, 776:] == 255).all()


def test_a_finding_says_whether_it_was_kept() -> None:
    assert str(Finding(what="a", figures="1", kept=False)) == "| a | 1 | **missed** |"
    assert str(Finding(what="a", figures="1", kept=True)) == "| a | 1 | kept |"
    assert str(Finding(what="a", figures="1")) == "| a | 1 |  |"
