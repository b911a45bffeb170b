"""Texts of a camera: numbers or a file, and what is wrong if they are neither."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.options.camera_forms import CameraOptions, parse_camera


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1,2,3,x", "nan", "-5", ""])
def test_numbers_that_are_no_camera_are_repeated(text: str) -> None:
    with pytest.raises(OptionError, match=f"got '{text}'"):
        parse_camera(text)


@pytest.mark.parametrize(
    "text",
    [
        "280 0 159.5 0 290 119.5 0 0 1",
        "280, 0, 159.5, 0, 290, 119.5, 0, 0, 1",
        " 280 290 159.5 119.5 ",
    ],
)
def test_numbers_are_separated_by_commas_or_spaces(text: str) -> None:
    expected = [[280, 0, 159.5], [0, 290, 119.5], [0, 0, 1]]
    camera = parse_camera(text)
    assert isinstance(camera, Camera)
    np.testing.assert_array_equal(camera.K, expected)
    options = CameraOptions(camera=text).named_camera
    assert isinstance(options, Camera)
    np.testing.assert_array_equal(options.K, expected)


@pytest.mark.parametrize("text", ["none.txt", "folder/none.json", "wide"])
def test_a_text_without_numbers_is_the_name_of_a_file_that_is_missing(text: str) -> None:
    with pytest.raises(OptionError, match=f"there is no file '{text}'"):
        parse_camera(text)


@pytest.mark.parametrize("name", ["camera.txt", "left,cropped.txt", "2 cameras.txt"])
def test_a_file_is_read_also_if_a_comma_is_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_text("210 205 70 48\n")
    monkeypatch.chdir(tmp_path)
    camera = parse_camera(name)
    assert isinstance(camera, Camera)
    np.testing.assert_array_equal(camera.K, [[210, 0, 70], [0, 205, 48], [0, 0, 1]])


@pytest.mark.parametrize(
    "spelling",
    ["525, 525, 319.50, 239.5", "525 0 319.5 0 525 239.5 0 0 1", "K.txt", "K.json", "K.yaml"],
)
def test_the_same_intrinsics_are_the_same_option_in_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    (tmp_path / "K.txt").write_text("525 0 319.5\n0 525 239.5\n0 0 1\n")
    (tmp_path / "K.json").write_text('{"K": [[525, 0, 319.5], [0, 525, 239.5], [0, 0, 1]]}')
    (tmp_path / "K.yaml").write_text("fx: 525\nfy: 525\ncx: 319.5\ncy: 239.5\n")
    monkeypatch.chdir(tmp_path)
    assert CameraOptions(camera=spelling).camera == "525,525,319.5,239.5"


def test_the_same_focal_length_is_the_same_option_as_text_and_as_number() -> None:
    focal_lengths: tuple[Any, ...] = ("525", "525.0", 525)
    options = [CameraOptions(camera=focal) for focal in focal_lengths]
    assert {each.camera for each in options} == {"525"}


@pytest.mark.parametrize("word", ["1 ", "1,", "fisheye:", "a"])
def test_a_text_that_is_far_too_long_is_refused_without_being_parsed(word: str) -> None:
    text = word * (33 << 20)
    with pytest.raises(
        OptionError, match=r"got a text of [\d,]+ characters; expected a focal length"
    ):
        parse_camera(text)
