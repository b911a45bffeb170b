"""Pictures for two eyes, against shifts worked out by hand."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.io.map_pictures import ColourRange
from rilievo.io.outputs.formats.stereo import eye_view, stereo_picture
from rilievo.io.outputs.save_options import StereoOptions, parse_stereo
from rilievo.models import FAST_MODEL
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.clips import Clip, write_clip
from support.predictions import prediction

HEIGHT, WIDTH = 40, 100
WALL, SQUARE = (40, 90, 200), (230, 60, 30)


def scene() -> tuple[np.ndarray, DepthMap]:
    """A striped wall at 4 m; a red square of 20 pixels at 1 m before its middle."""
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:] = WALL
    pixels[:, ::5] = (20, 160, 40)
    depth = np.full((HEIGHT, WIDTH), 4, np.float32)
    pixels[10:30, 40:60], depth[10:30, 40:60] = SQUARE, 1
    return pixels, DepthMap(values=depth, kind=DepthKind.METRIC)


RANGE = ColourRange(low=0.25, high=1.0)


def eyes(**options: float) -> tuple[np.ndarray, np.ndarray]:
    pixels, depth = scene()
    both = stereo_picture(pixels, depth, StereoOptions(**options), RANGE)
    return both[:, :WIDTH], both[:, WIDTH:]


def columns_of_the_square(picture: np.ndarray) -> list[int]:
    return np.flatnonzero((picture[20] == SQUARE).all(axis=1)).tolist()


def test_what_is_near_moves_right_for_the_left_eye_and_left_for_the_right() -> None:
    """A parallax of 8% of 100 pixels from the wall, in the screen, to the square: 4 each way."""
    left, right = eyes(strength=0.08, convergence=0.0)
    assert columns_of_the_square(left) == list(range(44, 64))
    assert columns_of_the_square(right) == list(range(36, 56))
    pixels, _ = scene()
    for eye in (left, right):
        np.testing.assert_array_equal(eye[:10], pixels[:10])


def test_convergence_chooses_what_stays_where_it_is() -> None:
    left, right = eyes(strength=0.08, convergence=1.0)
    assert columns_of_the_square(left) == columns_of_the_square(right) == list(range(40, 60))
    # The wall is 8 pixels behind the screen.
    pixels, _ = scene()
    np.testing.assert_array_equal(left[:10, : WIDTH - 4], pixels[:10, 4:])
    np.testing.assert_array_equal(right[:10, 4:], pixels[:10, : WIDTH - 4])


def test_what_comes_to_light_is_wall_and_never_square() -> None:
    left, right = eyes(strength=0.08, convergence=0.0)
    for eye, hole in ((left, slice(40, 44)), (right, slice(56, 60))):
        colours = eye[20, hole]
        assert not (colours == SQUARE).all(axis=1).any()
        assert (colours == WALL).all(axis=1).any()


def test_a_slope_has_no_gaps() -> None:
    u = np.broadcast_to(np.arange(WIDTH, dtype=np.float32), (HEIGHT, WIDTH))
    pixels = np.repeat(np.rint(2 * u).astype(np.uint8)[..., None], 3, axis=2)
    for side in (0.5, -0.5):
        eye = eye_view(pixels, 0.3 * u - 15, side)[:, 1:-1, 0].astype(float)
        place = (np.arange(1, WIDTH - 1) + 15 * side) / (1 + 0.3 * side)
        inside = (place > 1) & (place < WIDTH - 2)
        expected = np.broadcast_to(2 * place[inside], (HEIGHT, inside.sum()))
        np.testing.assert_allclose(eye[:, inside], expected, atol=1.1)


@pytest.mark.parametrize("parallax", [0, 4, -4])
def test_one_parallax_moves_the_whole_picture_by_half_of_it(parallax: int) -> None:
    """Also the columns at the border keep their own colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 20, 3), np.uint8)
    right_by = parallax // 2
    for side, shift in ((0.5, right_by), (-0.5, -right_by)):
        eye = eye_view(pixels, np.full((8, 20), parallax, np.float32), side)
        seen = slice(max(shift, 0), 20 + min(shift, 0))
        moved = slice(max(-shift, 0), 20 + min(-shift, 0))
        np.testing.assert_array_equal(eye[:, seen], pixels[:, moved])


def test_layouts_hold_the_same_two_pictures() -> None:
    pixels, depth = scene()
    left, right = eyes()
    above = stereo_picture(pixels, depth, StereoOptions(layout="top-bottom"), RANGE)
    np.testing.assert_array_equal(above, np.concatenate([left, right]))
    glasses = stereo_picture(pixels, depth, StereoOptions(layout="anaglyph"), RANGE)
    np.testing.assert_array_equal(glasses[..., 0], left[..., 0])
    np.testing.assert_array_equal(glasses[..., 1:], right[..., 1:])


@pytest.mark.parametrize("kind", DepthKind)
def test_depth_of_every_kind_makes_a_pair(kind: DepthKind, tmp_path: Path) -> None:
    options = SaveOptions(stereo="top-bottom,strength=0.1")
    path, _ = save(prediction(kind), tmp_path / "photo", ["stereo"], options)
    with Image.open(path) as image:
        assert image.size == (32, 48)
    assert "top-bottom; strength 0.1" in (tmp_path / "photo.json").read_text()


def test_pixels_without_depth_count_as_farthest() -> None:
    pixels, depth = scene()
    valid = depth.values == 4
    values = np.where(valid, depth.values, np.float32(np.nan))
    holes = DepthMap(values=values, kind=DepthKind.METRIC, valid=valid)
    both = stereo_picture(pixels, holes, StereoOptions(convergence=0.0), RANGE)
    np.testing.assert_array_equal(both, np.concatenate([pixels, pixels], axis=1))


def test_the_range_of_colours_is_that_of_the_shift(tmp_path: Path) -> None:
    """The wall at 4 m and the square at 1 m are in the middle of 0.5 to 8 m."""
    pixels, depth = scene()
    given = replace(
        prediction(),
        depth_or_none=depth,
        photo=Photo(pixels=pixels),
        normals=None,
        confidence=None,
        sky=None,
    )
    options = SaveOptions(colour_range="0.5,8", stereo="strength=0.2")
    path, _ = save(given, tmp_path / "photo", ["stereo"], options)
    stereo = StereoOptions(strength=0.2)
    wide = stereo_picture(pixels, depth, stereo, ColourRange(low=0.125, high=2.0))
    assert not np.array_equal(wide, stereo_picture(pixels, depth, stereo))
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), wide)


def test_depth_that_is_one_number_makes_the_photograph_twice() -> None:
    pixels, depth = scene()
    flat = DepthMap(values=np.full_like(depth.values, 2), kind=DepthKind.METRIC)
    both = stereo_picture(pixels, flat, StereoOptions())
    np.testing.assert_array_equal(both, np.concatenate([pixels, pixels], axis=1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("crossed", "does not accept 'crossed'"),
        ("strength=2", "above 0 and at most 0.2"),
        ("convergence=-1", "between 0 and 1"),
        ("strength=much", "must be a number, got 'much'"),
        ("depth=1", "known: strength, convergence"),
    ],
)
def test_what_makes_no_pair_is_refused(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        parse_stereo(text)


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(path) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


@pytest.mark.slow
def test_a_video_becomes_one_for_two_eyes(tmp_path: Path) -> None:
    """A picture that stands still, so that each frame is predicted as if alone."""
    v, u = np.mgrid[:96, :128]
    waves = np.rint(128 + 60 * np.sin(u / 6) * np.cos(v / 9)).astype(np.uint8)
    picture = np.stack([waves, waves // 2, 255 - waves], axis=2)
    clip = write_clip(tmp_path / "clip.mp4", Clip(pictures=[picture] * 4))
    command = ["predict", str(clip), "--save", "stereo", "-o", str(tmp_path / "out")]
    assert main([*command, "--stereo", "side-by-side,strength=0.05"]) == 0
    made = frames_of(tmp_path / "out" / "clip.stereo.mp4")
    assert [frame.shape for frame in made] == [(96, 2 * 128, 3)] * 4
    pixels = frames_of(clip)[0]
    options = StereoOptions(strength=0.05)
    expected = stereo_picture(
        pixels, rilievo.predict(pixels, model=FAST_MODEL).depth, options
    ).astype(int)
    for frame in made:
        left, right = np.split(frame.astype(int), 2, axis=1)
        assert np.abs(left - right).mean() > 8
        assert np.abs(frame - expected).mean() < 4  # coding
