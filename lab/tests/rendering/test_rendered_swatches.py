"""Photographed materials among the textures of rendered scenes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.scenes.patterns import SIDE
from lab.scenes.swatches import CATEGORIES, read_swatches
from lab.scenes.textures import Texture, make_textures
from rilievo.errors import InputError

RED, GREEN = (200, 20, 20), (20, 200, 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A red floor of wood, a green cloth, and bricks that do not repeat."""
    sheet = np.full((40, 120, 3), 255, np.uint8)
    sheet[4:36, 4:36], sheet[4:36, 44:76] = RED, GREEN
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    entries = [
        {"sheet": "sheet.png", "x": x, "y": 4, "w": 32, "h": 32, "category": name, "seam": seam}
        for x, name, seam in ((4, "WoodFloor", 1.0), (44, "Fabric", 2.4), (84, "Bricks", 2.5))
    ]
    (tmp_path / "index.json").write_text(json.dumps(entries))
    return tmp_path


def test_materials_that_repeat_are_cut_from_their_sheets(folder: Path) -> None:
    swatches = read_swatches(folder)
    assert set(swatches) == {"WoodFloor", "Fabric"}
    assert swatches["WoodFloor"][0].shape == (30, 30, 3)
    assert (swatches["WoodFloor"][0] == RED).all()


@pytest.mark.slow
def test_materials_join_the_textures_of_their_uses_alone(folder: Path) -> None:
    plain = make_textures([], share=0.05)
    more = make_textures([], swatches=read_swatches(folder), share=0.05)
    for use, rows in more.groups.items():
        fitting = [name for name in CATEGORIES.get(use, ()) if name in ("WoodFloor", "Fabric")]
        assert len(rows) == len(plain.groups[use]) + len(fitting)
    floor = more.texels[more.groups[Texture.WOOD][-1], : SIDE * SIDE].reshape(-1, 3)
    red, green, blue = np.median(floor, axis=0)
    assert red > 5 * max(green, blue)


@pytest.mark.slow
def test_without_materials_the_bank_is_what_it_was() -> None:
    plain, empty = make_textures([], share=0.01), make_textures([], swatches={}, share=0.01)
    assert np.array_equal(plain.texels, empty.texels)


def test_uses_are_those_of_textures() -> None:
    assert set(CATEGORIES) <= {str(use) for use in Texture}


@pytest.mark.parametrize(
    "index", [None, "no json", '{"a": 1}', '[{"sheet": "absent.png", "seam": 1, "category": "a"}]']
)
def test_a_folder_that_holds_no_materials_is_refused_by_name(
    tmp_path: Path, index: str | None
) -> None:
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    with pytest.raises(InputError, match="no folder of materials"):
        read_swatches(tmp_path)


@pytest.mark.slow
def test_the_downloaded_materials_are_read(data_folder: Path) -> None:
    swatches = read_swatches(data_folder / "materials_ambientcg")
    assert sum(map(len, swatches.values())) == 1268
    named = {name for names in CATEGORIES.values() for name in names}
    assert named <= set(swatches)
