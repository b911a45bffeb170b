"""The program for COLMAP: every form of a model, lenses with distortion, one line at the end."""

import importlib.util
import json
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.geometry.transforms import invert, rigid, rotation_from_quaternion
from rilievo.io.cameras.colmap import colmap_lens

PROGRAM = Path(__file__).parents[1] / "examples" / "colmap_priors.py"
MODEL = "rilievo/small"
SIZE = (120, 160)
SCALE = 2.5
LENSES = {
    "PINHOLE": [150, 151, 80, 60],
    "SIMPLE_RADIAL": [150, 80, 60, -0.1],
    "OPENCV": [150, 151, 80.5, 59.5, -0.25, 0.08, 0.001, -0.002],
    "FULL_OPENCV": [150, 151, 80, 60, -0.1, 0.02, 0.001, 0.002, 0.01, 0, 0, 0],
    "OPENCV_FISHEYE": [90, 91, 80, 60, 0.02, -0.01, 0.001, 0.0],
    "RADIAL_FISHEYE": [90, 80, 60, 0.02, -0.01],
}
NUMBERS = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4}
NUMBERS |= {"OPENCV_FISHEYE": 5, "FULL_OPENCV": 6, "FOV": 7, "RADIAL_FISHEYE": 9}
NUMBERS |= {"THIN_PRISM_FISHEYE": 10}
POSES = {"a b.png": ((1.0, 0, 0, 0), (0.0, 0, 0)), "b.png": ((0.9, 0.1, -0.2, 0.05), (0.3, -1, 2))}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("colmap_priors", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name, picture in zip(POSES, (skimage.data.coffee(), skimage.data.cat()), strict=True):
        Image.fromarray(picture).resize(SIZE[::-1]).save(folder / name)
    return folder


@cache
def reconstruction(images: Path, lens: str) -> dict:
    """Points that lie on each photograph's predicted surface, ``SCALE`` times as large."""
    made = colmap_lens(lens, SIZE[1], SIZE[0], LENSES[lens], "it")
    points, seen = {}, {}
    for name, (q, t) in POSES.items():
        q = np.array(q) / np.linalg.norm(q)
        world_T_cam = invert(rigid(rotation_from_quaternion(q), np.array(t, float)))
        prediction = rilievo.predict(images / name, model=MODEL, camera=made)
        values = SCALE * np.where(prediction.depth.valid, prediction.depth.values, 1)
        places = prediction.known_camera.points(values)
        ids = []
        for v in range(12, 110, 14):
            for u in range(14, 150, 17):
                if np.isfinite(places[:, v, u]).all() and places[2, v, u] > 0:
                    ids.append(len(points) + 1)
                    points[ids[-1]] = (world_T_cam @ [*places[:, v, u], 1])[:3]
        seen[name] = ids
    return {"points": points, "seen": seen}


def write_text(folder: Path, lens: str, made: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    words = " ".join(map(str, LENSES.get(lens, [1] * 12)))
    (folder / "cameras.txt").write_text(f"# cameras\n7 {lens} {SIZE[1]} {SIZE[0]} {words}\n")
    lines = ["# images"]
    for number, (name, (q, t)) in enumerate(POSES.items(), 1):
        lines.append(" ".join(map(str, (number, *q, *t, 7, name))))
        lines.append(" ".join(f"1.5 2.5 {id}" for id in (*made["seen"][name], -1)))
    lines += ["3 1 0 0 0 0 0 0 7 gone.png", ""]
    (folder / "images.txt").write_text("\n".join(lines))
    rows = [f"{id} {x} {y} {z} 1 2 3 0.5 1 2" for id, (x, y, z) in made["points"].items()]
    (folder / "points3D.txt").write_text("\n".join(rows) + "\n")


def write_binary(folder: Path, lens: str, made: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    numbers = LENSES.get(lens, [1.0] * {"FOV": 5}.get(lens, 12))
    content = struct.pack(f"<QiiQQ{len(numbers)}d", 1, 7, NUMBERS[lens], SIZE[1], SIZE[0], *numbers)
    (folder / "cameras.bin").write_bytes(content)
    content = struct.pack("<Q", 3)
    poses = {**POSES, "gone.png": ((1.0, 0, 0, 0), (0.0, 0, 0))}
    for number, (name, (q, t)) in enumerate(poses.items(), 1):
        ids = (*made["seen"].get(name, ()), -1)
        content += struct.pack("<i7di", number, *q, *t, 7) + name.encode() + b"\0"
        content += struct.pack("<Q", len(ids))
        content += b"".join(struct.pack("<ddq", 1.5, 2.5, id) for id in ids)
    (folder / "images.bin").write_bytes(content)
    content = struct.pack("<Q", len(made["points"]))
    for id, place in made["points"].items():
        content += struct.pack("<Q3d3BdQ4i", id, *place, 1, 2, 3, 0.5, 2, 1, 2, 3, 4)
    (folder / "points3D.bin").write_bytes(content)


@pytest.mark.parametrize("write", [write_text, pytest.param(write_binary, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "lens",
    [pytest.param(lens, marks=[pytest.mark.slow] * (lens == "RADIAL_FISHEYE")) for lens in LENSES],
)
def test_depth_has_the_scale_of_the_model_and_the_lens_its_distortion(
    program, images, tmp_path, capsys, lens, write
) -> None:
    write(tmp_path / "model", lens, reconstruction(images, lens))
    program.main(tmp_path / "model", images, tmp_path / "out", MODEL)
    told = capsys.readouterr()
    assert told.out.count("\n") == 1
    assert "2 of 3 photographs" in told.out
    assert "gone.png: left out" in told.err
    whole = json.loads((tmp_path / "out" / "transforms.json").read_text())
    is_fisheye = "FISHEYE" in lens
    assert whole["camera_model"] == ("OPENCV_FISHEYE" if is_fisheye else "OPENCV")
    assert len(whole["frames"]) == 2
    numbers = LENSES[lens]
    focals = 1 if lens in ("SIMPLE_RADIAL", "RADIAL_FISHEYE") else 2
    names = ("k1", "k2", "k3", "k4") if is_fisheye else ("k1", "k2", "p1", "p2", "k3")
    bend = [*numbers[focals + 2 :], 0, 0, 0, 0]
    made = colmap_lens(lens, SIZE[1], SIZE[0], numbers, "it")
    for frame in whole["frames"]:
        assert (frame["fl_x"], frame["cx"]) == (numbers[0], numbers[focals])
        assert (frame["fl_y"], frame["cy"]) == (numbers[focals - 1], numbers[focals + 1])
        if lens != "PINHOLE":
            assert [frame[name] for name in names] == bend[: len(names)]
        name = Path(frame["file_path"]).name
        depth = np.load(tmp_path / "out" / "depth" / f"{name}.npy")
        prediction = rilievo.predict(images / name, model=MODEL, camera=made)
        usual = prediction.known_camera.points(prediction.depth.values)[2]
        both = (depth > 0) & prediction.depth.valid & (usual > 0)
        assert both.mean() > 0.7
        assert np.median(depth[both] / usual[both]) == pytest.approx(1000 * SCALE, rel=0.02)
        q, t = POSES[name]
        cam_T_world = rigid(rotation_from_quaternion(np.array(q)), np.array(t, float))
        pose = invert(cam_T_world) @ np.diag([1, -1, -1, 1])
        np.testing.assert_allclose(frame["transform_matrix"], pose, atol=1e-9)


@pytest.mark.parametrize("inner", ["", "0", "sparse", "sparse/0"])
def test_the_model_is_found_in_its_usual_folders(program, tmp_path, inner) -> None:
    write_binary(tmp_path / "project" / inner, "PINHOLE", {"points": {}, "seen": {}})
    found = program.read_model(program.find_model(tmp_path / "project"))
    assert [image.name for image in found.images] == [*POSES, "gone.png"]
    assert found.cameras[7].numbers == (150, 151, 79.5, 59.5)


@pytest.mark.parametrize(
    ("lens", "words"),
    [
        ("FOV", "lens of the kind 'fov'"),
        ("THIN_PRISM_FISHEYE", "COLMAP's camera model 'THIN_PRISM_FISHEYE'"),
        ("rational", "lens of the kind 'opencv'"),
        ("mixed", "this model has both"),
    ],
)
@pytest.mark.parametrize("write", [write_text, write_binary])
def test_a_lens_without_a_form_is_refused_in_a_line(
    program, tmp_path, capsys, monkeypatch, lens, words, write
) -> None:
    monkeypatch.setitem(LENSES, "FOV", [150, 151, 80, 60, 0.9])
    monkeypatch.setitem(LENSES, "FULL_OPENCV", [150, 151, 80, 60, 0, 0, 0, 0, 0, 0.1, 0, 0])
    made = {"points": {}, "seen": {name: [] for name in POSES}}
    write(tmp_path, {"rational": "FULL_OPENCV", "mixed": "PINHOLE"}.get(lens, lens), made)
    if lens == "mixed":
        content = program.read_model(tmp_path)
        fisheye = colmap_lens("OPENCV_FISHEYE", 160, 120, LENSES["OPENCV_FISHEYE"], "it")
        content.cameras[8] = fisheye
        content.images[1] = content.images[1]._replace(camera=8)
        monkeypatch.setattr(program, "read_model", lambda place: content)
    with pytest.raises(SystemExit) as refused:
        program.main(tmp_path, tmp_path, tmp_path / "out", MODEL)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("write", [write_text, write_binary])
def test_damaged_models_are_refused_in_a_line(program, tmp_path, write) -> None:
    made = {"points": {1: (0, 0, 2), 2: (0, 1, 2)}, "seen": {name: [1, 2] for name in POSES}}
    write(tmp_path, "OPENCV", made)
    random = np.random.default_rng(0)
    refused = 0
    for path in sorted(tmp_path.iterdir()):
        good = path.read_bytes()
        for _ in range(300):
            broken = bytearray(good)
            for at in random.integers(len(good), size=random.integers(1, 6)):
                broken[at] = int(random.choice([0, 45, 57, 101, 127, 255, random.integers(256)]))
            path.write_bytes(broken[: random.integers(1, 2 * len(good))])
            try:
                program.read_model(tmp_path)
            except rilievo.InputError as error:
                message = str(error)
                refused += 1
            else:
                continue
            assert message.isprintable(), message
            assert str(tmp_path) in message
        path.write_bytes(good)
        path.unlink()
        with pytest.raises(rilievo.InputError, match=r"images|is not there"):
            program.read_model(program.find_model(tmp_path))
        path.write_bytes(good)
    assert refused > 100


def test_the_program_ends_in_one_line_without_a_model(tmp_path) -> None:
    command = [sys.executable, PROGRAM, tmp_path, tmp_path, tmp_path / "out", MODEL]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "name the folder of COLMAP's model" in done.stderr


@pytest.mark.parametrize("name", ["points3D.txt", "points3D.bin"])
def test_points_of_the_scene_are_no_sparse_depth_of_a_photograph(tmp_path, name) -> None:
    (tmp_path / name).write_text("1 0.1 0.2 3 10 20 30 0.5 1 2\n")
    photo = skimage.data.coffee()
    with pytest.raises(rilievo.InputError, match="rilievo example colmap"):
        rilievo.predict(photo, model=MODEL, sparse=tmp_path / name)


def test_a_name_that_leads_out_is_left_out(program, tmp_path, capsys) -> None:
    write_text(tmp_path, "PINHOLE", {"points": {}, "seen": {name: [] for name in POSES}})
    text = (tmp_path / "images.txt").read_text()
    (tmp_path / "images.txt").write_text(text.replace("b.png", "../../b.png"))
    with pytest.raises(SystemExit, match="0 of 3 photographs"):
        program.main(tmp_path, tmp_path, tmp_path / "out", MODEL)
    assert "../../b.png: left out: its name leads out of the folder" in capsys.readouterr().err
