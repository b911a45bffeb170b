"""Calibrations of other programs: the same camera in every form, and models by their names."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.io.cameras.lens_files import read_lens

FOCAL, SIZE = (458.6, 457.3, 367.2, 248.4), (480, 752)
BEND = (-0.28, 0.07, 2e-4, 1.8e-5)
KB = (0.003, -0.002, 0.004, -0.001)


def text(name: str, words: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_text(words)
        return path

    return write


def npz(folder: Path) -> Path:
    fx, fy, cx, cy = FOCAL
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    np.savez(folder / "c.npz", mtx=K, dist=np.array([BEND]), rvecs=np.zeros((3, 3)))
    return folder / "c.npz"


fx, fy, cx, cy = FOCAL
k1, k2, p1, p2 = BEND
ORB = f"""%YAML:1.0
Camera.type: "PinHole"
Camera.fx: {fx}
Camera.fy: {fy}
Camera.cx: {cx}
Camera.cy: {cy}
Camera.k1: {k1}
Camera.k2: {k2}
Camera.p1: {p1}
Camera.p2: {p2}
Camera.width: 752
Camera.height: 480
Camera.fps: 20.0
"""
VINS = f"""%YAML:1.0
---
model_type: PINHOLE
camera_name: camera
image_width: 752
image_height: 480
distortion_parameters:
   k1: {k1}
   k2: {k2}
   p1: {p1}
   p2: {p2}
projection_parameters:
   fx: {fx}
   fy: {fy}
   cx: {cx}
   cy: {cy}
"""
XML = f"""<?xml version="1.0"?>
<opencv_storage>
<calibration_time>"today"</calibration_time>
<image_width>752</image_width>
<image_height>480</image_height>
<camera_matrix type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt>
  <data>{fx} 0. {cx} 0. {fy} {cy} 0. 0. 1.</data></camera_matrix>
<distortion_coefficients type_id="opencv-matrix"><rows>1</rows><cols>4</cols><dt>d</dt>
  <data>{k1} {k2} {p1} {p2}</data></distortion_coefficients>
</opencv_storage>
"""
TRANSFORMS = {
    "fl_x": fx,
    "fl_y": fy,
    "cx": cx + 0.5,
    "cy": cy + 0.5,
    "w": 752,
    "h": 480,
    "k1": k1,
    "k2": k2,
    "p1": p1,
    "p2": p2,
    "camera_model": "OPENCV",
    "frames": [],
}
FRAMES = {"frames": [{key: each for key, each in TRANSFORMS.items() if key != "frames"}] * 2}
OPENCV_YAML = f"""%YAML:1.0
---
image_width: 752
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [{fx}, 0., {cx}, 0., {fy}, {cy}, 0., 0., 1.]
distortion_coefficients: !!opencv-matrix
   rows: 1
   cols: 4
   dt: d
   data: [{k1}, {k2}, {p1}, {p2}]
"""
COLMAP = f"1 OPENCV 752 480 {fx} {fy} {cx + 0.5} {cy + 0.5} {k1} {k2} {p1} {p2}\n"
KALIBR = f"""cam0:
  camera_model: pinhole
  intrinsics: [{fx}, {fy}, {cx}, {cy}]
  distortion_model: radtan
  distortion_coeffs: [{k1}, {k2}, {p1}, {p2}]
  resolution: [752, 480]
"""
FORMS = {
    "ORB-SLAM": text("c.yaml", ORB),
    "ORB-SLAM3": text(
        "c.yaml",
        ORB.replace("Camera.f", "Camera1.f")
        .replace("Camera.c", "Camera1.c")
        .replace("Camera.k", "Camera1.k")
        .replace("Camera.p", "Camera1.p")
        .replace("Camera1.fps", "Camera.fps"),
    ),
    "VINS": text("c.yaml", VINS),
    "OpenCV, XML": text("c.xml", XML),
    "OpenCV, YAML": text("c.yml", OPENCV_YAML),
    "transforms.json": text("transforms.json", json.dumps(TRANSFORMS)),
    "transforms.json, cameras in frames": text("transforms.json", json.dumps(FRAMES)),
    "npz": npz,
    "COLMAP": text("cameras.txt", COLMAP),
    "Kalibr": text("c.yaml", KALIBR),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_camera_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    found = read_lens(FORMS[form](tmp_path))
    assert found.name == "opencv"
    np.testing.assert_allclose(found.numbers[:8], (*FOCAL, *BEND), atol=1e-9)
    assert found.size == (None if form == "npz" else SIZE)


ORB_KB = (ORB.replace("PinHole", "KannalaBrandt8").replace("Camera.p1", "Camera.k3")).replace(
    "Camera.p2", "Camera.k4"
)
VINS_KB = """model_type: KANNALA_BRANDT
image_width: 752
image_height: 480
projection_parameters: {k2: -0.28, k3: 0.07, k4: 2.0e-4, k5: 1.8e-5, mu: 458.6, mv: 457.3,
  u0: 367.2, v0: 248.4}
"""
FISHEYE_JSON = {**TRANSFORMS, "camera_model": "OPENCV_FISHEYE", "k3": p1, "k4": p2}


@pytest.mark.parametrize("words", [ORB_KB, VINS_KB, json.dumps(FISHEYE_JSON)])
def test_fisheyes_of_others_are_fisheyes(words: str, tmp_path: Path) -> None:
    found = read_lens(text("c.json" if words[0] == "{" else "c.yaml", words)(tmp_path))
    assert found.name == "fisheye"
    np.testing.assert_allclose(found.numbers[:8], (*FOCAL, *BEND), atol=1e-9)


UNKNOWN = [
    ("c.yaml", KALIBR.replace("pinhole", "omni").replace(f"[{fx}", f"[1.2, {fx}"), "omni"),
    ("c.yaml", KALIBR.replace("pinhole", "ds").replace(f"[{fx}", f"[1, 1, {fx}"), "double sphere"),
    ("c.yaml", KALIBR.replace("pinhole", "eucm").replace(f"[{fx}", f"[1, 1, {fx}"), "eucm"),
    ("c.yaml", VINS.replace("PINHOLE", "MEI"), "MEI"),
    ("c.yaml", VINS.replace("PINHOLE", "SCARAMUZZA"), "Scaramuzza"),
    ("c.json", json.dumps({**TRANSFORMS, "camera_model": "THIN_PRISM_FISHEYE"}), "THIN_PRISM"),
]


@pytest.mark.parametrize(("name", "words", "model"), UNKNOWN)
def test_a_model_that_is_not_read_is_called_by_its_name(
    name: str, words: str, model: str, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=f"camera model '.*{model}.*' is not supported; supported lens"
    ) as error:
        read_lens(text(name, words)(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "words", "problem"),
    [
        ("c.xml", "<a><b></a>", "is not valid XML"),
        ("c.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "declares XML entities"),
        ("c.xml", "<a><fx>3</fx></a>", "gives a focal length, but neither"),
        (
            "c.json",
            json.dumps({"frames": [{"fl_x": 1.0}, {"fl_x": 2.0}]}),
            "have 2 different cameras",
        ),
    ],
)
def test_a_file_without_a_camera_is_one_line(
    name: str, words: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=problem):
        read_lens(text(name, words)(tmp_path))
