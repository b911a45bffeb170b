"""The distance of a point that is followed through a video whose motion and depth are known."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError, InputError
from rilievo.predicting.videos.followed_point import FollowedPoint, measure_followed_point
from rilievo.records.sample import Photo

pytest.importorskip("av", reason="the extra 'video' is not installed")
pytest.importorskip("cv2", reason="the extra 'markers' is not installed")

from support.clips import Clip, write_clip

SIZE = (160, 200)
STEP = 3
"""Columns by which the picture moves to the left in a frame [px]."""
HIDDEN = (5, 6)
"""Frames in which a grey plate hides the point."""
START = (120.0, 80.0)


def frames(count: int) -> list[np.ndarray]:
    """A photograph that moves to the left, with a plate before the point in two frames."""
    photograph = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((384, 384)))
    pictures = []
    for index in range(count):
        left = 60 + STEP * index
        picture = photograph[40 : 40 + SIZE[0], left : left + SIZE[1]].copy()
        if index in HIDDEN:
            picture[30:130, 50:170] = 128
        pictures.append(picture)
    return pictures


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_clip(path, Clip(pictures=frames(30)))


def at_true_depth(photo: Photo) -> rilievo.Prediction:
    """Depth that falls from the left border to the right one, known to 1%."""
    depth = np.linspace(4, 2, SIZE[1], dtype=np.float32) * np.ones((SIZE[0], 1), np.float32)
    return rilievo.Prediction.from_depth(photo, depth, fov=60, depth_error="1%")


def follow(clip: Path, first_frame: int = 0) -> list[FollowedPoint]:
    u, v = START
    point = u - STEP * first_frame, v
    return list(measure_followed_point(clip, point, first_frame, at_true_depth))


@pytest.mark.parametrize("first_frame", [0, 9])
def test_a_point_is_followed_to_half_a_pixel_and_measured(clip: Path, first_frame: int) -> None:
    found = follow(clip, first_frame)
    assert [each.frame for each in found] == list(range(first_frame, 30))
    for each in found:
        if each.frame in HIDDEN:
            continue
        assert each.pixel is not None
        true_pixel = START[0] - STEP * each.frame, START[1]
        assert each.pixel == pytest.approx(true_pixel, abs=0.5)
        frame = Photo(pixels=np.zeros((*SIZE, 3), np.uint8))
        expected = at_true_depth(frame).distance(*true_pixel)
        assert each.measured is not None
        assert each.measured.value == pytest.approx(expected.value, rel=0.005)
        assert each.measured.low < expected.value < each.measured.high


@pytest.mark.slow
def test_a_hidden_point_is_lost_and_found_again(clip: Path) -> None:
    lost = [each.frame for each in follow(clip) if each.pixel is None]
    assert lost == list(HIDDEN)
    assert all(each.fault for each in follow(clip) if each.pixel is None)


def test_a_point_that_leaves_the_picture_is_lost(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(pictures=frames(20)))
    found = list(measure_followed_point(path, (30.0, 20.0), 0, at_true_depth))
    assert found[0].pixel is not None
    assert all(each.pixel is None for each in found if 30 - STEP * each.frame < -1)


def test_a_point_is_lost_at_a_cut_to_another_scene(tmp_path: Path) -> None:
    other = np.asarray(Image.fromarray(skimage.data.coffee()).resize((300, 200)))
    pictures = frames(4) + [other[20 : 20 + SIZE[0], 40 : 40 + SIZE[1]]] * 4
    path = write_clip(tmp_path / "clip.mp4", Clip(pictures=pictures))
    for start in (START, (60.0, 60.0), (100.0, 100.0), (150.0, 40.0)):
        found = list(measure_followed_point(path, start, 0, at_true_depth))
        assert [each.pixel is None for each in found] == [False] * 4 + [True] * 4


def test_a_frame_without_a_scale_is_a_fault_and_not_the_end(clip: Path) -> None:
    def predict(photo: Photo) -> rilievo.Prediction:
        if photo.name.endswith("frame 3"):
            raise CalibrationError("no floor is visible")
        return at_true_depth(photo)

    found = list(measure_followed_point(clip, START, 0, predict))
    assert found[3].fault == "no floor is visible"
    assert found[3].pixel is not None
    assert found[4].measured is not None


def test_frames_that_do_not_exist_and_points_outside_are_refused(clip: Path) -> None:
    with pytest.raises(InputError, match="no frame 30"):
        list(measure_followed_point(clip, START, 30, at_true_depth))
    with pytest.raises(CalibrationError, match="outside the image"):
        list(measure_followed_point(clip, (500.0, 20.0), 0, at_true_depth))


def test_the_command_writes_a_row_for_each_frame(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["measure", str(clip), "--distance", "120,80", "--model", "rilievo/small"]
    assert main(command) == 1  # The point is lost in some frames.
    printed = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [int(row["frame"]) for row in rows] == list(range(30))
    assert [int(row["frame"]) for row in rows if row["fault"]] == list(HIDDEN)
    assert "2 of 30 frames" in printed.err
    first = rows[0]
    assert float(first["distance_low"]) < float(first["distance"]) < float(first["distance_high"])
    assert main([*command, "--frame", "20", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [point["frame"] for point in record["points"]] == list(range(20, 30))
    assert record["points"][0]["measured"]["unit"] == "× the median distance"
    assert record["coverage"] == 0.8


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["1,2", "30,40"], "--distance"),
        (["--distance", "1,2", "--frame", "-1"], "at least 0"),
        (["--distance", "1,2", "--frame", "99"], "no frame 99"),
        (["--distance", "1,2", "--known", "1,2,3"], "--camera-height"),
        (["--distance", "1,2", "--in-plane"], "--in-plane"),
    ],
)
def test_what_cannot_be_followed_is_one_line(
    clip: Path, words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", str(clip), *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert named in printed.err
