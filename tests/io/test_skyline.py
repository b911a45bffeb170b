"""Sky in pictures of depth has a colour of its own, and the ground before it is not blended."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.io.map_pictures import COLOUR_MAPS, colour_table, invalid_colour, sky_colour
from rilievo.io.outputs.formats.colour_files import depth_picture
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.skyline import extend_ground_to_sky
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from support.predictions import prediction

SOURCE = Path(__file__).parents[2] / "web" / "source" / "skyline.js"
SCRIPT = """
import fs from "fs";
const { upToSky } = await import(process.argv[1]);
const read = (name) => fs.readFileSync(name);
const [height, width] = process.argv.slice(2, 4).map(Number);
const depth = new Float32Array(new Uint8Array(read("depth")).buffer);
const [valid, sky] = ["valid", "sky"].map((name) => new Uint8Array(read(name)));
const number = { affine: (value) => -value, affine_inverse: (value) => value }[process.argv[4]];
const shown = upToSky({ depth, valid, sky, height, width }, number ?? ((value) => 1 / value));
fs.writeFileSync("out", shown.depth);
"""
SHAPE = (240, 320)


def horizon(kind: DepthKind = DepthKind.METRIC, shape: tuple[int, int] = SHAPE) -> PredictionRecord:
    """A wall at a depth of 4 whose upper 3 pixels melt into a sky at 60."""
    rows = np.broadcast_to(np.arange(shape[0])[:, None], shape)
    depth = np.select([rows < 100, rows < 103], [60, 30], 4).astype(np.float32)
    values = {DepthKind.AFFINE_INVERSE: 2 / depth - 5, DepthKind.AFFINE: 2 * depth - 5}
    made = prediction(kind, values=values.get(kind, depth), holes=False, with_normals=False)
    return replace(made, sky=rows < 100)


@pytest.mark.parametrize("kind", [*DepthKind])
def test_the_ground_is_even_up_to_the_sky_in_pictures_alone(kind: DepthKind) -> None:
    made = horizon(kind)
    shown = extend_ground_to_sky(made.depth, made.sky).values
    np.testing.assert_allclose(shown[100:], made.depth.values[110, 0], rtol=1e-6)
    np.testing.assert_array_equal(shown[:100], made.depth.values[:100])
    assert made.depth.values[101, 0] != made.depth.values[110, 0]


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_the_colour_of_the_sky_is_in_no_map(name: str) -> None:
    assert not (colour_table(name) == sky_colour(name)).all(axis=1).any()
    assert sky_colour(name) != invalid_colour(name)


def test_the_picture_has_one_colour_for_the_sky_and_a_file_names_it(tmp_path: Path) -> None:
    made = horizon()
    picture = depth_picture(made, SaveOptions())
    is_sky = (picture == sky_colour("spectral")).all(axis=2)
    np.testing.assert_array_equal(is_sky, made.sky)
    path, _ = save(made, tmp_path / "photo", ["colour"])
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), picture)
        assert '"sky":[206,214,224]' in image.info["rilievo"].replace(" ", "")


def test_the_page_and_the_panel_have_a_key_of_the_sky(tmp_path: Path) -> None:
    made = horizon()
    page, panel, _ = save(made, tmp_path / "photo", ["html", "panel"])
    assert '<span class="sky">sky</span>' in page.read_text("utf-8")
    with Image.open(panel) as image:
        below = np.asarray(image.convert("RGB"))[-image.height // 4 :]
    assert (below == sky_colour("spectral")).all(axis=2).sum() > 40
    page, _ = save(replace(made, sky=None), tmp_path / "none", ["html"])
    assert '<span class="sky">' not in page.read_text("utf-8")


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize("kind", [*DepthKind])
@pytest.mark.parametrize("shape", [(120, 160), (500, 701)])
def test_pages_draw_the_same_ground(
    kind: DepthKind, shape: tuple[int, int], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    rows, columns = np.indices(shape) / max(shape)
    outline = 0.3 + 0.05 * np.sin(30 * columns)
    depth = np.where(rows > outline + 0.01, 4, 60) * random.uniform(0.98, 1.02, shape)
    depth = depth.astype(np.float32)
    sky, valid = rows < outline, random.random(shape) > 0.01
    depth_map = DepthMap(values=depth, kind=kind, valid=valid)
    shown = extend_ground_to_sky(depth_map, sky).values
    assert (shown != depth)[valid].sum() > 100
    depth.tofile(tmp_path / "depth")
    for name, mask in (("valid", valid), ("sky", sky)):
        mask.astype(np.uint8).tofile(tmp_path / name)
    subprocess.run(
        ["node", "--input-type=module", "-e", SCRIPT, SOURCE.as_uri(), *map(str, shape), kind],
        cwd=tmp_path,
        check=True,
    )
    found = np.fromfile(tmp_path / "out", np.float32).reshape(shape)
    np.testing.assert_allclose(found[valid], shown[valid], rtol=1e-5)
