"""Depth at hand becomes a surface: in Python and by ``rilievo surface``."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import InputError, OptionError

SIZE = (60, 80)
K = np.array([[70.0, 0, 39.5], [0, 70, 29.5], [0, 0, 1]])


def plane() -> np.ndarray:
    """A floor that rises away from the camera: z of a plane [m]."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    ray = np.stack([(u - 39.5) / 70, (v - 29.5) / 70, np.ones(SIZE)])
    normal = np.array([0.1, -0.8, -0.6])
    return (-1.5 / np.einsum("c,chw->hw", normal, ray)).astype(np.float32)


def wall() -> np.ndarray:
    depth = plane()
    return np.where((depth > 0.3) & (depth < 6), depth, 0).astype(np.float32)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)).save(path)
    return path


def test_depth_of_a_plane_has_its_normals_and_its_surface(photo: Path, tmp_path: Path) -> None:
    made = rilievo.Prediction.from_depth(photo, wall(), camera=K)
    known = made.depth.valid
    np.testing.assert_array_equal(made.depth.values[known], wall()[known])
    np.testing.assert_array_equal(known, wall() > 0)
    assert made.depth.kind == "metric"
    assert made.normals is not None
    inner = made.normals[:, 20:50, 20:60]
    true = np.array([0.1, -0.8, -0.6]) / np.linalg.norm([0.1, -0.8, -0.6])
    assert np.nanmedian(np.einsum("chw,c->hw", inner, true)) > 0.999
    assert len(made.mesh().points) > 100
    paths = made.save(tmp_path / "out", ["glb", "npz", "ply"])
    assert all(path.is_file() for path in paths)
    again = rilievo.read_prediction(tmp_path / "out.npz")
    np.testing.assert_array_equal(again.depth.values, made.depth.values)


def test_distance_along_the_ray_becomes_depth(photo: Path) -> None:
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    length = np.sqrt(((u - 39.5) / 70) ** 2 + ((v - 29.5) / 70) ** 2 + 1)
    made = rilievo.Prediction.from_depth(photo, 2 * length, camera=K, kind="distance")
    np.testing.assert_allclose(made.depth.values, 2, rtol=1e-5)


def test_a_smaller_map_and_a_crop_take_their_places(photo: Path) -> None:
    small = rilievo.Prediction.from_depth(photo, np.full((30, 40), 3.0), camera=K)
    np.testing.assert_allclose(small.depth.values, 3, rtol=1e-6)
    part = rilievo.Prediction.from_depth(photo, np.full((20, 30), 3.0), camera=K, crop="5,7,20,30")
    assert part.depth.valid.sum() == 600
    assert part.depth.valid[5:25, 7:37].all()
    with pytest.raises(InputError, match=r"20 x 30 .*the photograph is 60 x 80.*crop=TOP"):
        rilievo.Prediction.from_depth(photo, np.full((20, 30), 3.0))


def test_guesses_and_contradictions_are_said(photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "d.png"
    Image.fromarray((wall() * 1000).astype(np.uint16)).save(path)
    made = rilievo.Prediction.from_depth(photo, path)
    assert any("read as millimetres" in note and "a guess" in note for note in made.notes)
    assert any("field of view is assumed" in note for note in made.notes)
    with pytest.raises(OptionError, match="does not accept 'depht'"):
        rilievo.Prediction.from_depth(photo, path, kind="depht")
    with pytest.raises(InputError, match="8 bits"):
        rilievo.Prediction.from_depth(photo, np.zeros(SIZE, np.uint8))
    with pytest.raises(InputError, match="no pixel whose depth is positive"):
        rilievo.Prediction.from_depth(photo, np.zeros(SIZE))


def test_an_array_of_depth_as_a_photograph_is_told(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"to pass depth, use rilievo\.Prediction\.from_depth"):
        rilievo.predict(wall() + 1)
    np.save(tmp_path / "z.npy", wall())
    with pytest.raises(InputError, match="'rilievo surface PHOTO --depth FILE'"):
        rilievo.predict(tmp_path / "z.npy")


def test_the_command_writes_what_is_asked_for(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "z.npy", wall())
    arguments = ["surface", str(photo), "--depth", str(tmp_path / "z.npy"), "--camera"]
    arguments += ["70,70,39.5,29.5", "--save", "glb,normals", "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert "depth is read as metres" in told.err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"photo.glb", "photo.normals.png", "photo.json"}
    assert str(tmp_path / "out" / "photo.glb") in told.out


def test_python_warns_of_a_contradiction_that_the_command_prints_once(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    depth = np.full(SIZE, 2, np.float32)
    np.save(tmp_path / "depth.npy", depth)
    known = "10,30,70,30,5m"  # 60 px are 1.71 m.
    with pytest.warns(UserWarning, match="contradict each other") as told:
        made = rilievo.Prediction.from_depth(photo, depth, K, known=[known])
    assert [str(warning.message) for warning in told] == [
        note for note in made.notes if "contradict" in note
    ]
    assert told[0].filename == __file__
    words = ["measure", str(photo), "10,10", "70,10", "--depth", str(tmp_path / "depth.npy")]
    assert main([*words, "--camera", "70,70,39.5,29.5", "--known-length", known]) == 0
    assert capsys.readouterr().err.count("contradict each other") == 1


def test_affine_depth_keeps_its_negative_values() -> None:
    values = np.linspace(-1, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    photo = np.zeros((48, 64, 3), np.uint8)
    prediction = rilievo.Prediction.from_depth(photo, values, kind="affine", fov=60)
    assert prediction.depth.valid.all()
    np.testing.assert_array_equal(prediction.depth.values, values)
