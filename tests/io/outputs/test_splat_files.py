"""Gaussian splats as viewers read them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.fisheye import Fisheye
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.prediction import Prediction, saving
from rilievo.prediction.output_names import split_output_suffix
from rilievo.prediction.saving import SaveOptions, save, write_file, write_part_files
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.analytic import camera_matrix, pixel_rays, plane, sphere
from support.ply_files import read_ply
from support.predictions import MADE_BY, said_beside

HEIGHT, WIDTH, FOCAL = 60, 80, 70.0
SPREAD = 0.55
"""Radius that every splat has in the photograph [px]."""


def wall(normal: tuple[float, float, float]) -> Prediction:
    """A plane 2 m away, red growing to the right and green growing downwards."""
    K = camera_matrix(HEIGHT, WIDTH, FOCAL)
    direction = np.array(normal) / np.linalg.norm(normal)
    view = plane(pixel_rays(K, HEIGHT, WIDTH), direction, -2 * direction[2])
    return prediction_of(view.depth, view.normals, Camera(K=K, source=CameraSource.GIVEN))


def prediction_of(depth: np.ndarray, normals: np.ndarray, camera: Camera) -> Prediction:
    height, width = depth.shape
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 2 * np.arange(width), 2 * np.arange(height)[:, None]
    seen = np.isfinite(depth)
    towards = np.where(seen, normals, [[[0]], [[0]], [[-1]]])
    return Prediction(
        depth_or_none=DepthMap(
            values=np.where(seen, depth, np.nan).astype(np.float32),
            kind=DepthKind.METRIC,
            valid=seen,
        ),
        normals=np.ascontiguousarray(towards, dtype=np.float32),
        camera=camera,
        photo=Photo(pixels=pixels, name="Küche.jpg"),
        made_by=MADE_BY,
    )


def written(folder: Path, given: Prediction, **options: object) -> np.ndarray:
    path, _ = save(given, folder / "photo", ["splat"], SaveOptions(**options))
    assert path.name == "photo.splat.ply"
    return read_ply(path)["vertex"]


def columns(rows: np.ndarray, *names: str) -> np.ndarray:
    return np.stack([rows[name] for name in names]).astype(float)


def scales(rows: np.ndarray) -> np.ndarray:
    return np.exp(columns(rows, "scale_0", "scale_1", "scale_2"))


def axes(rows: np.ndarray) -> np.ndarray:
    """Rotation matrices of the quaternions, by their textbook formula: the columns are the axes."""
    w, x, y, z = columns(rows, "rot_0", "rot_1", "rot_2", "rot_3")
    np.testing.assert_allclose(w * w + x * x + y * y + z * z, 1, atol=1e-5)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_splats_have_the_properties_of_gaussian_splatting_in_its_frame(tmp_path: Path) -> None:
    rows = written(tmp_path, wall((0.3, -0.4, -1)))
    assert rows.dtype.names == (
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
        *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    )
    # COLMAP's frame: the first pixel is at the top left, so at negative x and y.
    assert rows["x"][0] < 0
    assert rows["y"][0] < 0
    assert (rows["z"] > 0).all()
    normal = np.array([0.3, -0.4, -1]) / np.linalg.norm([0.3, -0.4, -1])
    points = columns(rows, *"xyz")
    np.testing.assert_allclose(normal @ points, 2 * normal[2], atol=1e-5)
    assert len(rows) == HEIGHT * WIDTH
    np.testing.assert_allclose(1 / (1 + np.exp(-rows["opacity"])), 0.98, atol=1e-6)


def test_colours_are_those_of_the_photograph(tmp_path: Path) -> None:
    """A viewer shows 0.5 + f_dc / sqrt(4 pi)."""
    rows = written(tmp_path, wall((0, 0, -1)))
    shown = 0.5 + columns(rows, "f_dc_0", "f_dc_1", "f_dc_2") * 0.28209479177387814
    x, y, z = columns(rows, *"xyz")
    np.testing.assert_allclose(shown[0] * 255, 2 * (FOCAL * x / z + (WIDTH - 1) / 2), atol=0.01)
    np.testing.assert_allclose(shown[1] * 255, 2 * (FOCAL * y / z + (HEIGHT - 1) / 2), atol=0.01)
    np.testing.assert_allclose(shown[2], 0, atol=1e-6)


def test_without_a_photograph_splats_are_grey(tmp_path: Path) -> None:
    rows = written(tmp_path, replace(wall((0, 0, -1)), photo=None))
    np.testing.assert_allclose(columns(rows, "f_dc_0", "f_dc_1", "f_dc_2"), 0, atol=0.01)


@pytest.mark.parametrize("normal", [(0, 0, -1), (0.6, 0, -1), (-0.5, 0.8, -1)])
@pytest.mark.parametrize("step", [1, 2])
def test_a_splat_is_a_round_spot_of_its_pixel(
    tmp_path: Path, normal: tuple[float, float, float], step: int
) -> None:
    """Both ends of its axes, projected, are half a pixel and a bit away in every direction."""
    most = HEIGHT * WIDTH if step == 1 else HEIGHT * WIDTH // 4
    rows = written(tmp_path, wall(normal), surface_points=most)
    points, R, sizes = columns(rows, *"xyz"), axes(rows), scales(rows)
    pixel = points[:2] / points[2] * FOCAL
    for turn in np.linspace(0, np.pi, 5):
        end = points + np.cos(turn) * sizes[0] * R[:, 0] + np.sin(turn) * sizes[1] * R[:, 1]
        away = np.linalg.norm(end[:2] / end[2] * FOCAL - pixel, axis=0)
        np.testing.assert_allclose(away, SPREAD * step, rtol=0.05)
    # Flat, along the normal, and thin on a wall.
    towards = np.array(normal) / np.linalg.norm(normal)
    np.testing.assert_allclose(np.abs(towards @ R[:, 2]), 1, atol=1e-5)
    np.testing.assert_allclose(sizes[2] / sizes[1], 0.05, rtol=0.01)


def test_splats_are_thicker_where_the_surface_bends(tmp_path: Path) -> None:
    K = camera_matrix(HEIGHT, WIDTH, FOCAL)
    view = sphere(pixel_rays(K, HEIGHT, WIDTH), np.array([0, 0, 0.35]), 0.1)
    rows = written(tmp_path, prediction_of(view.depth, view.normals, Camera(K=K)))
    sizes = scales(rows)
    middle = np.hypot(rows["x"], rows["y"]) < 0.03
    # The neighbours of a point of a sphere are off its plane by spacing^2 / (2 radius).
    spacing = sizes[1] / SPREAD
    expected = np.clip(SPREAD * spacing**2 / 0.2, 0.05 * sizes[1], 0.5 * sizes[1])
    np.testing.assert_allclose(sizes[2][middle], expected[middle], rtol=0.1)
    assert (sizes[0] / sizes[1]).max() < 6


def test_a_step_is_no_bend(tmp_path: Path) -> None:
    given = wall((0, 0, -1))
    values = given.depth.values.copy()
    values[:, WIDTH // 2 :] = 4
    both = replace(given, depth_or_none=replace(given.depth, values=values))
    sizes = scales(written(tmp_path, both))
    np.testing.assert_allclose(sizes[2] / sizes[1], 0.05, rtol=0.01)


LENSES = {
    "panorama": Equirectangular(fx=WIDTH / np.pi, fy=WIDTH / np.pi, cx=39.5, cy=29.5),
    "fisheye": Fisheye(fx=32.0, fy=32.0, cx=39.5, cy=29.5),
}


@pytest.mark.parametrize("lens", LENSES)
def test_panoramas_and_fisheyes_follow_their_rays(tmp_path: Path, lens: str) -> None:
    """A ball around the camera: each splat is on its pixel's ray and as large as its pixel."""
    camera = Camera(lens=LENSES[lens])
    pixels = np.stack(np.mgrid[:HEIGHT, :WIDTH][::-1]).astype(float)
    rays = camera.rays(pixels)
    depth = np.where(np.isfinite(rays).all(axis=0), 3.0, np.inf)
    normals = -rays / np.linalg.norm(rays, axis=0)
    rows = written(tmp_path, prediction_of(depth, normals, camera))
    points, R, sizes = columns(rows, *"xyz"), axes(rows), scales(rows)
    np.testing.assert_allclose(np.linalg.norm(points, axis=0), 3, rtol=1e-5)
    pixel = camera.project(points)
    for axis in (0, 1):
        end = camera.project(points + sizes[axis] * R[:, axis])
        np.testing.assert_allclose(np.linalg.norm(end - pixel, axis=0), SPREAD, rtol=0.05)


def test_a_backing_has_splats_too(tmp_path: Path) -> None:
    given = wall((0, 0, -1))
    values = given.depth.values.copy()
    values[:, WIDTH // 2 :] = 3
    both = replace(given, depth_or_none=replace(given.depth, values=values))
    rows = written(tmp_path, both, backing=0.1)
    assert len(rows) == HEIGHT * WIDTH + HEIGHT * WIDTH // 10
    assert np.isfinite(columns(rows, *rows.dtype.names)).all()


@pytest.mark.parametrize("names", [("ply", "splat"), ("splat", "npy", "ply")])
@pytest.mark.parametrize("options", [SaveOptions(), SaveOptions(backing=0.1)])
def test_files_that_share_a_surface_are_those_written_alone(
    tmp_path: Path, names: tuple[str, ...], options: SaveOptions
) -> None:
    given = wall((1, 0, -2))
    together = save(given, tmp_path / "together" / "photo", names, options)[:-1]
    for path, name in zip(together, names, strict=True):
        [alone, _] = save(given, tmp_path / name / "photo", [name], options)
        shared, own = (file.read_bytes().partition(b"end_header") for file in (path, alone))
        assert shared[1:] == own[1:]


def test_nothing_stays_for_files_with_other_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged files are made again as they were, beside those of other options."""
    names = ["ply", "splat", "glb", "usdz"]
    before = SaveOptions(surface_points=100)
    own = dict.fromkeys(("splat", "usdz"), before)
    jobs: list[WriteJob] = []

    def write(job: WriteJob) -> FileFacts:
        jobs.append(job)
        return write_file(job)

    monkeypatch.setattr(saving, "write_file", write)
    write_part_files(wall((1, 0, -2)), tmp_path / "photo", names, options_by_output=own)
    assert [job.output for job in jobs] == names
    assert not jobs[-1].cache


def test_the_header_says_unit_frame_and_everything_else(tmp_path: Path) -> None:
    written(tmp_path, wall((0, 0, -1)))
    unit, axes_line, *pieces = read_ply(tmp_path / "photo.splat.ply").comments
    assert unit.startswith("unit: metre")
    assert axes_line.startswith("axes: x right, y down, z forward")
    text = "".join(piece.removeprefix("rilievo: ") for piece in pieces)
    beside = said_beside(tmp_path)
    assert json.loads(text) == beside
    [facts] = beside["files"]
    assert facts["surface"]["backing"] == 0.01


def test_a_path_that_ends_in_splat_ply_names_splats() -> None:
    output = split_output_suffix(Path("cat.splat.ply"))
    assert output is not None
    assert (output.stem, output.output) == (Path("cat"), "splat")
