"""Statements beside depth and cameras whose numbers are zero, huge or of something else."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.errors import InputError, RilievoError
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.depth.encoding import NumberEncoding
from rilievo.io.depth.padding import BorderBands, find_border_bands
from rilievo.io.depth.stored_depth import read_stored_depth, stored_depth_from_array
from rilievo.io.depth.text_metadata import _rounding_of_number
from rilievo.io.depth.units import find_unit_in_sentence, parse_unit_text
from support.foreign_forms import png

COUNTS = np.tile(np.arange(500, 1500, 20, dtype=np.uint16), (40, 1))


def with_json(folder: Path, content: object) -> Path:
    path = folder / "depth.png"
    Image.fromarray(COUNTS).save(path)
    (folder / "depth.json").write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "content",
    [
        {"min": -10, "max": 0},
        {"min": "0e999", "max": 5},
        {"unit": "1/0 m"},
        {"description": "depth in mm, scaled by 0"},
    ],
)
def test_zero_and_huge_numbers_beside_depth_bring_no_traceback(
    content: dict, tmp_path: Path
) -> None:
    path = with_json(tmp_path, content)
    with suppress(RilievoError):
        scale = read_stored_depth(path, encoding=NumberEncoding()).metadata.scale
        assert scale is None or np.isfinite(scale)


@pytest.mark.parametrize("words", ["depth in mm, scaled by 0", "depth in mm / 0", "1/0 m"])
def test_a_factor_of_zero_is_no_unit(words: str) -> None:
    found = find_unit_in_sentence(words)
    assert found is None or found.metres == pytest.approx(0.001)
    assert parse_unit_text("1/0 m") is None
    assert _rounding_of_number({"min": "0e999"}, ("min",)) == 0


def test_no_data_of_a_file_stays_beside_the_scale_of_the_user(tmp_path: Path) -> None:
    counts = COUNTS.copy()
    counts[:5] = 65535
    path = png(tmp_path / "d.png", counts, {"znear": "0.1", "zfar": "10", "invalid": "65535"})
    numbers = read_stored_depth(path, encoding=NumberEncoding(scale=0.001))
    assert 65535 in numbers.metadata.invalid


def test_an_array_of_booleans_is_refused() -> None:
    with pytest.raises(InputError, match="expected numbers"):
        stored_depth_from_array(np.ones((20, 20), bool), NumberEncoding(), "depth")


def lens_of(folder: Path, **entries: object) -> object:
    path = folder / "camera.json"
    path.write_text(json.dumps(entries))
    return read_lens(path)


VIEW = {"fx": 300.0, "fy": 300.0, "cx": 159.5, "cy": 119.5, "width": 320, "height": 240}


@pytest.mark.parametrize(
    "entries",
    [{"timestamp": 10**400}, {"pixelRatio": 2}, {"rotation": 90.0, "position": [0, 0, 0]}],
)
def test_what_is_no_change_of_the_picture_leaves_a_camera_right(
    entries: dict, tmp_path: Path
) -> None:
    lens = lens_of(tmp_path, **VIEW, **entries)
    assert lens.numbers == (300, 300, 159.5, 119.5)
    assert lens.note is None


def test_a_focal_length_of_zero_is_named(tmp_path: Path) -> None:
    millimetres = {"focal_length_mm": 4, "sensor_width_mm": 6}
    with pytest.raises(RilievoError, match="focal lengths must be"):
        lens_of(tmp_path, **{**VIEW, "fx": 0, "fy": 0}, **millimetres)


def test_bands_are_counted_in_words_and_leave_something_inside() -> None:
    bands = BorderBands(top=1, bottom=15, left=0, right=1)
    assert str(bands) == "1 row above, 15 rows below and 1 column on the right"
    assert find_border_bands(np.zeros((8, 8))) is None


def test_affine_inverse_depth_is_not_called_turned() -> None:
    v, u = np.mgrid[:240, :320] / 240
    depth = (4 - 2 * v + 0.2 * u).astype(np.float32)

    @rilievo.model(kind="affine_inverse")
    def network(pixels: np.ndarray) -> np.ndarray:
        return 1 / depth

    # A warning is an error here.
    rilievo.predict(np.zeros((240, 320, 3), np.uint8), model=network, sparse=depth)
