"""Sky in pictures of depth has a colour of its own, and the ground before it is not blended."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.io.map_pictures import COLOUR_MAPS, colour_table, invalid_colour, sky_colour
from rilievo.io.outputs.formats.colour_files import depth_picture
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.skyline import extend_ground_to_sky, sky_behind_objects
from rilievo.pages.pictures import depth_panel
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from support.predictions import prediction

SOURCE = Path(__file__).parents[2] / "web" / "source" / "skyline.js"
SCRIPT = """
import fs from "fs";
const { skyBehindObjects, extendGroundToSky } = await import(process.argv[1]);
const read = (name) => fs.readFileSync(name);
const [height, width] = process.argv.slice(2, 4).map(Number);
const depth = new Float32Array(new Uint8Array(read("depth")).buffer);
const [valid, sky] = ["valid", "sky"].map((name) => new Uint8Array(read(name)));
const number = { affine: (value) => -value, affine_inverse: (value) => value }[process.argv[4]];
const prediction = { depth, valid, sky, height, width }, drawn = number ?? ((value) => 1 / value);
fs.writeFileSync("out", extendGroundToSky(prediction, drawn).depth);
fs.writeFileSync("sky_out", skyBehindObjects(prediction, drawn, !number));
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


def masts(kind: DepthKind = DepthKind.METRIC, shape: tuple[int, int] = SHAPE) -> PredictionRecord:
    """A horizon with two masts that the network's mask takes for sky, which is nearer below."""
    made = horizon(DepthKind.METRIC, shape)
    depth = made.depth.values.copy()
    depth[:100] = np.linspace(60, 30, 100, dtype=np.float32)[:, None]
    depth[20:100, 100:104] = 12
    depth[50:100, 200:208] = 10
    values = {DepthKind.AFFINE_INVERSE: 2 / depth - 5, DepthKind.AFFINE: 2 * depth - 5}
    changed = prediction(kind, values=values.get(kind, depth), holes=False, with_normals=False)
    return replace(changed, sky=made.sky)


@pytest.mark.parametrize("kind", [*DepthKind])
def test_thin_masts_before_the_sky_are_not_coloured_as_sky(kind: DepthKind) -> None:
    made = masts(kind)
    sky = sky_behind_objects(made.depth, made.sky)
    assert sky is not None
    assert not sky[20:100, 100:104].any()
    assert not sky[50:100, 200:208].any()
    assert sky[:100, :99].all()
    assert sky[:100, 105:199].all()
    picture = depth_picture(made, SaveOptions())
    is_sky = (picture == sky_colour("spectral")).all(axis=2)
    np.testing.assert_array_equal(is_sky, sky)


def test_pages_keep_thin_masts_too() -> None:
    made = masts()
    panel = depth_panel("model", made.depth, sky=made.sky).pixels
    assert tuple(panel[60, 180]) == sky_colour("spectral")
    assert tuple(panel[60, 204]) != sky_colour("spectral")


def test_the_masts_beside_the_rocket_stay_in_the_picture() -> None:
    shown = rilievo.predict(skimage.data.rocket())
    picture = np.asarray(shown.colour())
    is_sky = (picture == sky_colour("spectral")).all(axis=2)
    assert is_sky.mean() > 0.5
    for row, column in ((180, 205), (200, 450), (150, 323)):
        assert not is_sky[row, column]


def test_a_sky_without_objects_is_coloured_as_a_whole() -> None:
    made = horizon()
    rows = np.arange(SHAPE[0])[:, None]
    noise = np.random.default_rng(0).uniform(0.99, 1.01, SHAPE)
    depth = np.where(made.sky, (80 - 0.7 * rows) * noise, 4).astype(np.float32)
    ramp = DepthMap(values=depth, kind=DepthKind.METRIC)
    np.testing.assert_array_equal(sky_behind_objects(ramp, made.sky), made.sky)
    nowhere = replace(ramp, valid=~made.sky)
    np.testing.assert_array_equal(sky_behind_objects(nowhere, made.sky), made.sky)
    assert sky_behind_objects(ramp, np.zeros(SHAPE, bool)) is None


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
    is_mast = (rows > 0.1) & (abs(columns - 0.5) < 0.01) & (rows < outline)
    depth[is_mast] *= 0.5
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
    found_sky = np.fromfile(tmp_path / "sky_out", np.uint8).reshape(shape).astype(bool)
    coloured = sky_behind_objects(depth_map, sky)
    assert coloured is not None
    np.testing.assert_array_equal(found_sky, coloured)
    if kind is not DepthKind.AFFINE_INVERSE:
        assert not coloured[is_mast & valid].any()
