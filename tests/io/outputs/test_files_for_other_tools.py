"""Files that other tools open: a relief to print, a cutout, a picture with near in white."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from rilievo.errors import OptionError
from rilievo.io.outputs.formats.cutout import otsu_threshold
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.prediction import Prediction
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind, DepthMap
from support.predictions import prediction

NEAR, FAR = 1.0, 3.0


def halves(kind: DepthKind = DepthKind.UP_TO_SCALE) -> Prediction:
    """A near left half and a far right half; without depth at the top left."""
    answer = prediction(holes=False)
    height, width = answer.shape
    values = np.full((height, width), NEAR, np.float32)
    values[:, width // 2 :] = FAR
    if kind is DepthKind.AFFINE_INVERSE:
        values = 1 / values
    valid = np.ones(values.shape, bool)
    valid[:3, :4] = False
    depth = replace(answer.depth, values=values, kind=kind, valid=valid)
    return replace(answer, depth_or_none=depth, sky=None)


def written(folder: Path, name: str, answer: Prediction, **options: object) -> Path:
    return save(answer, folder / "photo", [name], SaveOptions(**options))[0]


def corners(path: Path) -> np.ndarray:
    """Triangles of a binary STL, read by its definition."""
    data = path.read_bytes()
    count = int(np.frombuffer(data, "<u4", 1, 80)[0])
    assert len(data) == 84 + 50 * count
    rows = np.frombuffer(data, [("n", "<f4", 3), ("p", "<f4", (3, 3)), ("a", "<u2")], count, 84)
    a, b, c = np.moveaxis(rows["p"], 1, 0)
    cross = np.cross(b - a, c - a)
    assert (np.linalg.norm(cross, axis=1) > 0).all()
    assert ((cross * rows["n"]).sum(axis=1) > 0).all()
    return rows["p"]


@pytest.mark.parametrize("kind", [DepthKind.UP_TO_SCALE, DepthKind.AFFINE_INVERSE])
def test_a_relief_is_closed_and_near_is_high(tmp_path: Path, kind: DepthKind) -> None:
    triangles = corners(written(tmp_path, "stl", halves(kind)))
    places = [[tuple(corner) for corner in triangle] for triangle in triangles.tolist()]
    edges = Counter((t[i], t[(i + 1) % 3]) for t in places for i in range(3))
    # Every edge is met once in each direction, so the surface is closed and turned one way.
    assert set(edges.values()) == {1}
    assert all((b, a) in edges for a, b in edges)
    volume = np.einsum("mi,mi->", np.cross(triangles[:, 0], triangles[:, 1]), triangles[:, 2]) / 6
    low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    assert max(high[:2]) == pytest.approx(100)
    np.testing.assert_allclose(low, 0, atol=1e-5)
    assert high[2] == pytest.approx(17)
    assert 2 * high[0] * high[1] < volume < 17 * high[0] * high[1]
    top = triangles[triangles[..., 2] == high[2]]
    assert top[:, 0].max() < high[0] / 2 + 2
    [facts] = read_sidecar(tmp_path / "photo.json").files
    assert facts.unit == "mm"


RATIO = 23 / 31


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"relief_height": 40.0}, (100, RATIO * 100, 42)),
        ({"relief_base": 0.5}, (100, RATIO * 100, 15.5)),
        ({"relief_width": 50.0}, (50, RATIO * 50, 17)),
        ({"relief_width": 200.0, "relief_height": 1.0, "relief_base": 3.0}, (200, RATIO * 200, 4)),
    ],
)
def test_a_relief_has_the_size_that_was_asked_for(
    tmp_path: Path, options: dict[str, object], size: tuple[float, ...]
) -> None:
    triangles = corners(written(tmp_path, "stl", halves(), **options))
    np.testing.assert_allclose(np.ptp(triangles, axis=(0, 1)), size, rtol=1e-5)


def test_the_width_of_an_upright_relief_is_its_shorter_side(tmp_path: Path) -> None:
    shape = (50, 20)
    tall = prediction(holes=False)
    depth = DepthMap(values=np.ones(shape, np.float32), kind=DepthKind.METRIC)
    parts = {name: None for name in ("normals", "confidence", "sky", "photo")}
    tall = replace(tall, depth_or_none=depth, **parts)
    high = corners(written(tmp_path, "stl", tall, relief_width=38.0)).max(axis=(0, 1))
    np.testing.assert_allclose(high[:2], (38, 98), rtol=1e-5)


@pytest.mark.parametrize("length", [1e39, 0.0, float("nan")])
def test_a_relief_of_no_printer_is_refused(length: float) -> None:
    with pytest.raises(OptionError, match=r"relief_width must be between 0.1 and 2000 mm"):
        SaveOptions(relief_width=length)


def test_trimesh_finds_a_relief_watertight(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    solid = trimesh.load(written(tmp_path, "stl", prediction(holes=True)))
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume > 0


@pytest.mark.parametrize(("options", "opaque"), [({}, 0.5), ({"colour_range": "0.5,9"}, 1.0)])
def test_a_cutout_is_opaque_up_to_a_depth(
    tmp_path: Path, options: dict[str, object], opaque: float
) -> None:
    answer = halves()
    with Image.open(written(tmp_path, "cutout", answer, **options)) as image:
        assert image.mode == "RGBA"
        pixels = np.asarray(image)
    assert answer.photo is not None
    np.testing.assert_array_equal(pixels[..., :3], answer.photo.pixels)
    near = answer.depth.valid & ((answer.depth.values == NEAR) | (opaque == 1))
    alpha = pixels[..., 3]
    assert (alpha[~near] == 0).all()
    inside = ndimage.binary_erosion(near, iterations=2, border_value=1)
    assert (alpha[inside] == 255).all()


def test_the_edge_of_a_cutout_is_soft_and_inside(tmp_path: Path) -> None:
    values = np.full((200, 400), 9, np.float32)
    values[:, 150:] = 2
    answer = prediction(values=values, holes=False, with_sky=False)
    with Image.open(written(tmp_path, "cutout", answer)) as image:
        row = np.asarray(image)[100, :, 3].astype(int)
    assert (row[:150] == 0).all()
    assert 0 < row[151] < 255
    assert (np.diff(row) >= 0).all()
    assert row[160] == 255


def test_the_threshold_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(1, 0.1, 900), rng.normal(2, 0.3, 600)]).astype(np.float32)
    width = float(values.max() - values.min()) / 256
    assert otsu_threshold(values) == pytest.approx(float(threshold_otsu(values)), abs=width)


def test_near_is_white_and_what_has_no_depth_is_black(tmp_path: Path) -> None:
    answer = halves()
    with Image.open(written(tmp_path, "near16", answer)) as image:
        stored = np.asarray(image)
    [facts] = read_sidecar(tmp_path / "photo.json").files
    valid = answer.depth.valid
    assert stored.dtype == np.uint16
    assert (stored[~valid] == 0).all()
    assert (stored[valid & (answer.depth.values == NEAR)] == 65535).all()
    assert facts.scale is not None
    assert facts.offset is not None
    values = stored[valid] * facts.scale + facts.offset
    np.testing.assert_allclose(values, 1 / answer.depth.values[valid], atol=facts.scale)
