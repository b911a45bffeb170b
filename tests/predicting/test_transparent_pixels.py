"""Transparent pixels have no depth and lie on no surface, at every door."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.io.photographs.photo import read_photo
from support.ply_files import read_ply

NAME = "rilievo/small"
SIZE = HEIGHT, WIDTH = 180, 240
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
with Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png") as _image:
    PIXELS = np.asarray(_image.convert("RGB").resize((WIDTH, HEIGHT)))
MASKS = {
    "ellipse": ((ROWS - 90) / 70) ** 2 + ((COLUMNS - 120) / 95) ** 2 > 1,
    "rectangle inside": (abs(ROWS - 100) < 30) & (abs(COLUMNS - 150) < 40),
    "border": (COLUMNS < 60) | (COLUMNS > 180),
    "frame": (COLUMNS < 40) | (COLUMNS > 200) | (ROWS < 30) | (ROWS > 150),
    "small holes": (ROWS % 30 == 15) & (COLUMNS % 30 == 15),
}


def rgba(mask: np.ndarray, pixels: np.ndarray = PIXELS) -> np.ndarray:
    return np.dstack([pixels, np.where(mask, 0, 255).astype(np.uint8)])


def quietly(image: Any, **options: Any) -> rilievo.Prediction:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return rilievo.predict(image, model=options.pop("model", NAME), **options)


@pytest.fixture(params=MASKS)
def mask(request: pytest.FixtureRequest) -> np.ndarray:
    return MASKS[request.param]


@pytest.fixture
def file(mask: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "cut.png"
    Image.fromarray(rgba(mask)).save(path)
    return path


def pixels_of(points: np.ndarray, camera: rilievo.Camera) -> tuple[np.ndarray, np.ndarray]:
    u, v = camera.project(np.asarray(points, np.float64).T)
    return np.rint(v).astype(int), np.rint(u).astype(int)


@pytest.mark.parametrize("model", [NAME, "rilievo/base"])
def test_they_have_no_depth_and_the_others_all_have(mask: np.ndarray, model: str) -> None:
    with pytest.warns(UserWarning, match="transparent pixels .* have no depth; alpha='keep'"):
        prediction = rilievo.predict(rgba(mask), model=model)
    np.testing.assert_array_equal(prediction.depth.valid, ~mask)
    assert np.isnan(prediction.depth.values[mask]).all()
    for name, empty in (("confidence", 0), ("sky", False)):
        field = getattr(prediction, name)
        assert field is None or (field[mask] == empty).all()
    assert prediction.normals is not None
    assert np.isnan(prediction.normals[:, mask]).all()


def test_keep_is_the_reading_over_white(mask: np.ndarray) -> None:
    flat = np.where(mask[..., None], np.uint8(255), PIXELS)
    kept, white = quietly(rgba(mask), alpha="keep"), quietly(flat)
    np.testing.assert_array_equal(kept.depth.values, white.depth.values)
    np.testing.assert_array_equal(kept.depth.valid, white.depth.valid)


@pytest.mark.parametrize("trim", [True, False])
def test_a_transparent_border_is_not_trimmed(trim: bool) -> None:
    """White and black things at its edge stay, and no border is told of."""
    pixels = PIXELS.copy()
    pixels[:, 60:90], pixels[:, 150:181] = 255, 0
    with pytest.warns(UserWarning, match="transparent pixels") as told:
        prediction = rilievo.predict(rgba(MASKS["border"], pixels), model=NAME, trim=trim)
    assert len(told) == 1
    np.testing.assert_array_equal(prediction.depth.valid, ~MASKS["border"])


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"tile": 96}])
def test_no_point_and_no_vertex_is_on_them(mask: np.ndarray, options: Any) -> None:
    prediction = quietly(rgba(mask), **options)
    cloud = prediction.points(step=1)
    assert len(cloud.points)
    assert not mask[pixels_of(cloud.points, prediction.known_camera)].any()
    mesh = prediction.mesh(step=1)
    assert len(mesh.triangles)
    # A line in place of a staircase of pixels moves a vertex by less than a pixel.
    assert not deep_inside(mask)[pixels_of(mesh.points, prediction.known_camera)].any()


def deep_inside(mask: np.ndarray) -> np.ndarray:
    """Pixels of which all neighbours are transparent; holes of a pixel count as a whole."""
    around = np.pad(mask, 1, mode="edge")
    inner = mask.copy()
    for row in range(3):
        for column in range(3):
            inner &= around[row : row + HEIGHT, column : column + WIDTH]
    return inner if inner.any() else mask


def test_small_holes_stay_open_in_meshes_and_pages(tmp_path: Path) -> None:
    mask = MASKS["small holes"]
    prediction = quietly(rgba(mask))
    mesh = prediction.mesh(step=1)
    v, u = np.rint(mesh.pixels[:, 1]).astype(int), np.rint(mesh.pixels[:, 0]).astype(int)
    assert not mask[v, u].any()
    opaque = quietly(PIXELS).mesh(step=1)
    corners = opaque.pixels[opaque.triangles].mean(axis=1)
    assert len(mesh.triangles) < len(opaque.triangles) - 4 * int(mask.sum() * 0.8)
    assert len(corners)


@pytest.mark.parametrize("backing", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
def test_files_of_surfaces_leave_them_out(mask: np.ndarray, backing: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(rgba(mask)).save(path)
    options = rilievo.PredictOptions(
        model=NAME, output=tmp_path / "out", save="npz,glb,ply,splat,turn,html", backing=backing
    )
    summary = rilievo.predict_files([path], options, show=False)
    assert [note for note in summary.notes if "transparent pixels" in note]
    said = json.loads((tmp_path / "out" / "cut.json").read_text())
    assert said["depth"]["valid_pixels"] == int((~mask).sum())
    camera = rilievo.read_prediction(tmp_path / "out" / "cut.json").known_camera
    points = vertices_of_ply(next((tmp_path / "out").glob("*.ply")))
    inside = deep_inside(mask)
    v, u = pixels_of(points, camera)
    there = (v >= 0) & (v < HEIGHT) & (u >= 0) & (u < WIDTH)
    hit = inside[v[there], u[there]]
    assert not hit.any(), hit.sum()


def vertices_of_ply(path: Path) -> np.ndarray:
    vertices = read_ply(path)["vertex"]
    return np.stack([vertices[axis] for axis in "xyz"], axis=1)


def test_nothing_can_be_measured_or_known_on_them() -> None:
    mask = MASKS["rectangle inside"]
    with pytest.raises(CalibrationError, match=r"\(150, 100\)|150,100"):
        quietly(rgba(mask), known=[(150, 100, 2.0)])
    metric = quietly(rgba(mask), known=[(40, 40, 2.0)])
    with pytest.raises(rilievo.RilievoError):
        metric.measure((150, 100), (40, 40))


def commanded(path: Path, *more: str) -> np.ndarray:
    folder = path.parent / "commanded"
    line = ["predict", str(path), "-m", NAME, "--save", "npz", "-o", str(folder), "--overwrite"]
    assert main([*line, *more]) == 0
    with np.load(folder / "cut.npz") as arrays:
        return arrays["valid"]


def sequence(path: Path, **options: Any) -> np.ndarray:
    pytest.importorskip("av")
    frames = path.parent / "frames"
    frames.mkdir(exist_ok=True)
    for number in range(3):
        (frames / f"{number}.png").write_bytes(path.read_bytes())
    asked = rilievo.PredictOptions(
        model=NAME,
        output=path.parent / "clip",
        save="npy",
        sequence=True,
        overwrite=True,
        **options,
    )
    summary = rilievo.predict_files([frames], asked, show=False)
    assert not summary.failed, summary
    told = [note for note in summary.notes if "transparent pixels" in note]
    assert bool(told) == (options.get("alpha") != "keep")
    return ~np.isnan(np.load(sorted((path.parent / "clip").rglob("*.npy"))[-1]))


def over_http(path: Path, query: str = "") -> np.ndarray:
    from io import BytesIO

    served = pytest.importorskip("support.served").served
    with served(path.parent) as there:
        answer = there.client.post(f"/v1/predict?save=npz{query}", content=path.read_bytes())
        assert answer.status_code == 200, answer.text
        told = there.client.post(f"/v1/predict?save=json{query}", content=path.read_bytes()).json()
    assert bool([each for each in told["notes"] if "transparent" in each]) == (not query)
    with np.load(BytesIO(answer.content)) as arrays:
        return arrays["valid"]


DOORS: dict[str, tuple[Callable[[Path], np.ndarray], Callable[[Path], np.ndarray]]] = {
    "command line": (commanded, lambda path: commanded(path, "--alpha", "keep", "--trim", "off")),
    "sequence": (sequence, lambda path: sequence(path, alpha="keep", trim="off")),
    "HTTP": (over_http, lambda path: over_http(path, "&alpha=keep&trim=off")),
    "model": (
        lambda path: rilievo.load_model(NAME).predict_raw([path])[0].depth.valid,
        lambda path: (
            rilievo.load_model(NAME).predict_raw([read_photo(path, alpha="keep")])[0].depth.valid
        ),
    ),
    "photo": (
        lambda path: quietly(read_photo(path)).depth.valid,
        lambda path: quietly(read_photo(path), alpha="keep", trim=False).depth.valid,
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_masks_or_keeps_them(door: str, file: Path, mask: np.ndarray) -> None:
    masked, kept = DOORS[door]
    np.testing.assert_array_equal(masked(file), ~mask)
    assert kept(file).all()


def test_another_reading_is_another_run(file: Path) -> None:
    line = ["predict", str(file), "-m", NAME, "--save", "npy", "-o", str(file.parent / "out")]
    assert main(line) == 0
    assert main([*line, "--alpha", "keep"]) == 1
    said = json.loads((file.parent / "out" / "cut.json").read_text())
    assert "alpha" not in said["run"]
    assert main([*line, "--alpha", "keep", "--overwrite"]) == 0
    said = json.loads((file.parent / "out" / "cut.json").read_text())
    assert said["run"]["alpha"] == "keep"


def test_measure_masks_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(rgba(MASKS["rectangle inside"])).save(path)
    line = ["measure", str(path), "150,100", "40,40", "--known", "60,40,2", "-m", NAME]
    assert main(line) == 2
    assert "without depth" in capsys.readouterr().err


def test_nothing_visible_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.png"
    Image.fromarray(rgba(np.ones(SIZE, bool))).save(path)
    assert main(["predict", str(path), "-m", NAME, "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    [line] = [each for each in (said.out + said.err).splitlines() if "transparent" in each]
    assert "--alpha keep" in line
    with pytest.raises(InputError, match="all of its pixels are transparent"):
        rilievo.predict(rgba(np.ones(SIZE, bool)), model=NAME)


def test_options_of_reading_are_checked_and_stretch_reaches_every_door(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="alpha"):
        rilievo.predict(PIXELS, model=NAME, alpha="no")  # pyright: ignore
    path = tmp_path / "cut.png"
    warm = (29002 + 2 * PIXELS[..., 1].astype(np.uint16)).astype(np.uint16)
    Image.fromarray(warm).save(path)
    with pytest.raises(InputError, match="read it with stretch"):
        rilievo.predict(path, model=NAME)
    with pytest.warns(UserWarning, match="were stretched to the range from black to white"):
        expected = rilievo.predict(path, model=NAME, stretch=True).depth
    line = ["predict", str(path), "-m", NAME, "--save", "npy", "-o", str(tmp_path / "out")]
    assert main(line) == 1
    assert main([*line, "--stretch"]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "cut.depth.npy"), expected.values)
    served = pytest.importorskip("support.served").served
    with served(path.parent) as there:
        assert there.client.post("/v1/predict", content=path.read_bytes()).status_code == 422
        told = there.client.post("/v1/predict?stretch=true", content=path.read_bytes())
        assert told.status_code == 200, told.text
        assert any("stretched" in each for each in told.json()["notes"])
    line = ["measure", str(path), "150,100", "40,40", "--known", "60,40,2", "-m", NAME]
    assert main(line) == 2
    assert main([*line, "--stretch"]) == 0
