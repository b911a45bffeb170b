"""Depth of another instrument along the ray or along the axis, for every kind of lens."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.spelling import read_spelling
from support.fixed_depth import FixedDepth

SIZE = (120, 160)
K = np.array([[90.0, 0, 79.5], [0, 90, 59.5], [0, 0, 1]])
V, U = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
RAY_LENGTH = np.sqrt(((U - 79.5) / 90) ** 2 + ((V - 59.5) / 90) ** 2 + 1)
WALL = np.full(SIZE, 2.0)
"""Depth of a wall that the camera looks at straight [m]."""
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)


def predicted(sparse: Any, **options: Any) -> rilievo.Prediction:
    options.setdefault("camera", K)
    return rilievo.predict(
        PHOTO, model=FixedDepth(np.full(SIZE, 1.0)), sparse=sparse, trim=False, **options
    )


def test_distances_of_a_dense_sensor_become_depth() -> None:
    made = predicted(WALL * RAY_LENGTH, sparse_kind="distance")
    np.testing.assert_allclose(made.depth.values, 2.0, rtol=1e-4)
    assert made.distance(10, 10).value == pytest.approx(2 * RAY_LENGTH[10, 10], rel=1e-3)
    with pytest.warns(UserWarning, match="give sparse_kind='distance'"):
        taken_for_depth = predicted(WALL * RAY_LENGTH)
    assert taken_for_depth.depth.values[5, 5] > 2.3


def test_distances_of_few_points_become_depth(tmp_path: Path) -> None:
    points = [(12, 15), (150, 20), (30, 110), (80, 60), (140, 100)]
    lines = [f"{u} {v} {2 * RAY_LENGTH[v, u]:.6f}" for u, v in points]
    (tmp_path / "lidar.txt").write_text("\n".join(lines))
    few = np.zeros(SIZE)
    for u, v in points:
        few[v, u] = 2 * RAY_LENGTH[v, u]
    for sparse in (tmp_path / "lidar.txt", few):
        made = predicted(sparse, sparse_kind="distance")
        np.testing.assert_allclose(made.depth.values, 2.0, rtol=1e-3)


def test_a_file_that_states_a_distance_needs_no_option(tmp_path: Path) -> None:
    np.savez(tmp_path / "tof.npz", depth=WALL * RAY_LENGTH, kind="distance", unit="m")
    made = predicted(tmp_path / "tof.npz")
    np.testing.assert_allclose(made.depth.values, 2.0, rtol=1e-4)
    with pytest.raises(OptionError, match="sparse_kind"):
        predicted(tmp_path / "tof.npz", sparse_kind="metric")


def test_a_focal_length_of_a_network_or_a_rectangle_converts_too() -> None:
    """The conversion waits until the camera is known."""
    made = predicted(WALL * RAY_LENGTH, sparse_kind="distance", camera=None, fov=83.2)
    focal = made.known_camera.K[0, 0]
    assert focal == pytest.approx(90, rel=0.01)
    np.testing.assert_allclose(made.depth.values, 2.0, rtol=5e-3)


def wide(degrees: float) -> Camera:
    return Camera(lens=read_spelling(f"fisheye:{degrees:g}", "camera").lens(SIZE))


def test_depth_along_the_axis_of_a_fisheye_becomes_distance() -> None:
    camera = wide(120)
    rays = camera.points(np.ones(SIZE))
    distance = np.where(rays[2] > 0.1, 2 / rays[2], np.nan)
    with pytest.warns(UserWarning, match="along the ray"):
        taken = predicted(np.nan_to_num(distance), camera=camera)
    np.testing.assert_allclose(taken.depth.values[60, 20], distance[60, 20], rtol=1e-3)
    stated = predicted(np.where(rays[2] > 0.1, 2.0, 0), camera=camera, sparse_kind="metric")
    np.testing.assert_allclose(stated.depth.values[60, 20], distance[60, 20], rtol=1e-3)


def test_depth_along_the_axis_is_refused_beyond_the_hemisphere() -> None:
    camera = wide(240)
    with pytest.raises(CalibrationError, match=r"90 degrees.*sparse_kind='distance'"):
        predicted(WALL, camera=camera, sparse_kind="metric")
    with pytest.raises(InputError, match=r"90 degrees.*kind='distance'"):
        rilievo.Prediction.from_depth(PHOTO, WALL, camera, kind="metric")


def test_a_given_map_of_a_fisheye_says_how_it_is_taken() -> None:
    camera = wide(120)
    rays = camera.points(np.ones(SIZE))
    silent = rilievo.Prediction.from_depth(PHOTO, WALL, camera)
    assert any("along the ray" in note and "kind='metric'" in note for note in silent.notes)
    np.testing.assert_allclose(silent.depth.values, 2.0)
    stated = rilievo.Prediction.from_depth(PHOTO, WALL, camera, kind="metric")
    assert not any("along the ray" in note for note in stated.notes)
    np.testing.assert_allclose(stated.depth.values[60, 20], 2 / rays[2, 60, 20], rtol=1e-5)
    along = rilievo.Prediction.from_depth(PHOTO, WALL, camera, kind="distance")
    assert not any("along the ray" in note for note in along.notes)
    np.testing.assert_allclose(along.depth.values, 2.0)


@pytest.mark.parametrize("kind", ["up_to_scale", "affine", "rays"])
def test_a_kind_without_metres_is_refused(kind: str) -> None:
    with pytest.raises(OptionError, match=r"sparse_kind.*metric or distance"):
        predicted(WALL, sparse_kind=kind)


def test_the_command_takes_the_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    np.save(tmp_path / "tof.npy", WALL * RAY_LENGTH)
    words = ["measure", str(tmp_path / "photo.png"), "--distance", "10,10", "--sparse-kind"]
    assert main([*words, "distance"]) == 2
    assert "--sparse FILE" in capsys.readouterr().err
    words += ["distance", "--sparse", str(tmp_path / "tof.npy"), "--camera", "90,90,79.5,59.5"]
    assert main([*words, "--model", "rilievo/small"]) == 0
    told = capsys.readouterr()
    assert f"distance: {2 * RAY_LENGTH[10, 10]:.2f}" in told.out
