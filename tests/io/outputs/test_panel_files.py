"""The panel of ``--save panel``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.io.map_pictures import colour_range, colourise, normals_picture
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.predictions import prediction

HEIGHT, WIDTH = 90, 160


def given() -> Prediction:
    rng = np.random.default_rng(0)
    values = np.broadcast_to(np.linspace(1, 4, WIDTH, dtype=np.float32), (HEIGHT, WIDTH))
    normals = np.zeros((3, HEIGHT, WIDTH), np.float32)
    normals[2] = -1
    return replace(
        prediction(),
        depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC),
        photo=Photo(pixels=rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)),
        normals=normals,
        confidence=None,
        sky=None,
    )


def panel(made: Prediction, folder: Path, **options: object) -> np.ndarray:
    path, _ = save(made, folder / "photo", ["panel"], SaveOptions(**options))
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def place_of(part: np.ndarray, sheet: np.ndarray) -> tuple[int, int]:
    """Row and column of a picture on the sheet, which has it unchanged."""
    height, width, _ = part.shape
    for row, column in np.argwhere((sheet == part[0, 0]).all(axis=2)):
        if np.array_equal(sheet[row : row + height, column : column + width], part):
            return int(row), int(column)
    raise AssertionError("not on the sheet")


def test_photograph_depth_and_normals_stand_side_by_side(tmp_path: Path) -> None:
    made = given()
    assert made.photo is not None
    assert made.normals is not None
    sheet = panel(made, tmp_path)
    depth = colourise(made.depth, limits=colour_range(made.depth))
    places = [
        place_of(part, sheet) for part in (made.photo.pixels, depth, normals_picture(made.normals))
    ]
    assert len({row for row, _ in places}) == 1
    columns = [column for _, column in places]
    assert columns == sorted(columns)
    assert np.diff(columns).min() > WIDTH


def test_the_legend_is_the_colour_map_from_far_to_near(tmp_path: Path) -> None:
    sheet = panel(given(), tmp_path, colour_map="grey")
    depth = colourise(given().depth, colour_map="grey", limits=colour_range(given().depth))
    row, column = place_of(depth, sheet)
    bar = sheet[row + HEIGHT + 6, column : column + WIDTH, 0].astype(int)
    assert bar[0] < 12
    assert bar[-1] > 243
    assert (np.diff(bar) >= 0).all()


@pytest.mark.parametrize(("missing", "pictures"), [("normals", 2), ("photo", 2)])
def test_what_is_missing_is_left_out(tmp_path: Path, missing: str, pictures: int) -> None:
    whole = panel(given(), tmp_path / "whole").shape
    less = panel(replace(given(), **{missing: None}), tmp_path / "less").shape
    margin = whole[1] - 3 * WIDTH
    assert less[1] == pictures * WIDTH + margin * (pictures + 1) // 4


def test_a_large_photograph_is_shrunk(tmp_path: Path) -> None:
    values = np.broadcast_to(np.linspace(1, 4, 3000, dtype=np.float32), (60, 3000))
    wide = replace(
        given(),
        depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC),
        photo=Photo(pixels=np.full((60, 3000, 3), 90, np.uint8)),
        normals=np.broadcast_to(np.float32([0, 0, -1])[:, None, None], (3, 60, 3000)),
    )
    # Every third column of 3,000, and a thirtieth of that between the pictures.
    assert panel(wide, tmp_path).shape[1] == 3 * 1000 + 4 * 33
