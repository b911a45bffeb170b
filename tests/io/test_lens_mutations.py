"""Lens files with odd numbers are read as a lens, or refused in one line that names the place."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError, RilievoError
from rilievo.io.cameras.lens_files import read_lens
from rilievo.options.camera_forms import CameraOptions, camera_for_size

SIZE = (64, 96)
FILES = {
    "COLMAP": ("cameras.txt", "# cameras\n1 OPENCV 96 64 80.5 81 48 32 -0.1 0.01 0.002 0.001\n"),
    "COLMAP, whole": (
        "cameras.txt",
        "1 FULL_OPENCV 96 64 80.5 81 48 32 -0.1 0.01 0.001 0.002 0.003 0.1 0.02 0.01\n",
    ),
    "COLMAP, a fisheye": ("cameras.txt", "1 OPENCV_FISHEYE 96 64 40 41 48 32 0.02 -0.01 0.1 0.2\n"),
    "COLMAP, FOV": ("cameras.txt", "1 FOV 96 64 40 41 48 32 0.9\n"),
    "KITTI": ("calib.txt", "P0: 1 0 0 0 0 1 0 0 0 0 1 0\nP2: 80 0 47 4 0 80 31 0 0 0 1 0\n"),
    "KITTI raw": (
        "calib_cam_to_cam.txt",
        "S_rect_02: 9.6e+01 6.4e+01\nP_rect_02: 8.0e+01 0 4.7e+01 0 0 8.0e+01 3.1e+01 0 0 0 1 0\n",
    ),
    "TUM": ("fr1.txt", "80.5 81.0 47.5 31.5 0.2 -0.9 -0.005 0.003 1.1\n"),
    "DSO": ("camera.txt", "0.8 1.2 0.5 0.5 0.9\n96 64\ncrop\n96 64\n"),
    "DSO, with a name": ("camera.txt", "EquiDistant 80 81 47 31 -0.1 0.01 0.1 0.001\n96 64\n"),
    "Kalibr": (
        "camchain.yaml",
        "cam0:\n  distortion_model: equidistant\n  intrinsics: [80.5, 81.0, 47.5, 31.5]\n"
        "  distortion_coeffs: [0.1, -0.02, 0.01, -0.002]\n  resolution: [96, 64]\n",
    ),
    "ROS": (
        "ost.yaml",
        "image_width: 96\nimage_height: 64\ncamera_matrix:\n"
        "  data: [80.5, 0.0, 47.5, 0.00, 81.0, 31.5, 0, 0, 1]\ndistortion_model: plumb_bob\n"
        "distortion_coefficients: {rows: 1, data: [-0.1, 0.01, 0.002, 0.001, 0.003]}\n",
    ),
    "OpenCV": (
        "camera.yml",
        "%YAML:1.0\n---\ncamera_matrix: !!opencv-matrix\n   rows: 3\n"
        "   data: [80.5, 0.0, 47.5, 0.00, 81.0, 31.5, 0, 0, 1]\n",
    ),
    "JSON, a lens": (
        "x.json",
        json.dumps({"camera": {"lens": "fisheye:40,40,47.5,31.5,0.1,0,0,0,90@96x64"}}),
    ),
    "JSON, K": ("x.json", json.dumps({"camera": {"K": [[80, 0, 47], [0, 81, 31], [0, 0, 1]]}})),
    "Gyroflow": (
        "lens.json",
        json.dumps(
            {
                "calib_dimension": {"w": 96, "h": 64},
                "fisheye_params": {
                    "camera_matrix": [[40, 0, 47.5], [0, 41, 31.5], [0, 0, 1]],
                    "distortion_coeffs": [0.02, -0.01, 0.003, 0.001],
                },
            }
        ),
    ),
    "DepthAI": (
        "calib.json",
        json.dumps(
            {
                "cameraData": [
                    [
                        0,
                        {
                            "cameraType": 0,
                            "width": 96,
                            "height": 64,
                            "intrinsicMatrix": [[80, 0, 47.5], [0, 81, 31.5], [0, 0, 1]],
                            "distortionCoeff": [-0.1, 0.01, 0.002, 0.001, 0, 0, 0, 0, 0, 0],
                        },
                    ]
                ]
            }
        ),
    ),
    "CARLA": ("c.json", json.dumps({"image_size_x": 96, "image_size_y": 64, "fov": 70.5})),
    "Gazebo": (
        "model.sdf",
        "<sdf><camera><horizontal_fov>1.2</horizontal_fov><image><width>96</width>"
        "<height>64</height></image></camera></sdf>",
    ),
    "Bouguet": (
        "Calib.m",
        "fc = [ 80.5 ; 81.0 ];\ncc = [ 47.5 ; 31.5 ];\nalpha_c = 0.0;\n"
        "kc = [ -0.1 ; 0.01 ; 0.002 ; 0.001 ; 0.0 ];\nnx = 96;\nny = 64;\n",
    ),
    "lines": (
        "c.txt",
        "width = 96\nheight = 64\nfx = 80.5\nfy = 81\ncx = 47.5\ncy = 31.5\nk1 = -0.1\n",
    ),
    "a table": ("c.csv", "name,fx,fy,cx,cy,width,height\na,80.5,81,47.5,31.5,96,64\n"),
    "K as text": ("K.txt", "80 0 47.5\n0 81 31.5\n0 0 1\n"),
    "four numbers": ("K.txt", "80,81,47.5,31.5\n"),
}
ODD = (
    *("nan", "-nan", "inf", "-inf", "Infinity", "NaN", ".nan", ".inf", "1e400", "-1e400"),
    *("1e-320", "01e-320", "5e-324", "1e300", "-1e300", "1e160", "1e-300", "0", "-0.0", "-1"),
    *("1" + 400 * "0", "9" * 5000, "true", "null", "[]", "{}", "1_0", "٣", "x", "", "0x10", "1,2"),
)
NUMBER = re.compile(r"(?<![\w.])-?\d+\.?\d*(?:e[+-]?\d+)?")
MUTATIONS = 100
"""Number of mutations of each file."""


def mutate(text: str, random: np.random.Generator) -> str:
    for _ in range(int(random.integers(1, 4))):
        found = [*NUMBER.finditer(text)]
        way = random.integers(6)
        if way < 4 and found:
            number = found[random.integers(len(found))]
            odd = ODD[random.integers(len(ODD))]
            text = text[: number.start()] + odd + text[number.end() :]
        else:
            start = int(random.integers(len(text) + 1))
            other = "" if way == 4 else str(random.choice([*" \n,:[]{}#-\0", "ü", "1", "cam0:"]))
            text = text[:start] + other + text[start + int(random.integers(3)) :]
    return text


def see_through(path: Path) -> str | None:
    """The refusal of a camera file; None where it is read, and what each run does with it works."""
    named = CameraOptions(camera=str(path)).named_camera
    assert named is not None
    try:
        made = camera_for_size(named, SIZE)
    except RilievoError as error:  # such as of another shape
        return str(error)
    made.rays(np.array([[0.0, 47.5, 95.0], [0.0, 31.5, 63.0]]))
    assert math.isfinite(made.field_of_view(SIZE))
    return None


@pytest.mark.parametrize("form", FILES)
def test_any_numbers_in_a_lens_file_make_a_lens_or_one_line(form, tmp_path):
    name, good = FILES[form]
    suffix = name.rpartition(".")[2]
    if suffix in {"yaml", "yml"}:
        pytest.importorskip("yaml")
    path, random = tmp_path / name, np.random.default_rng(len(good))
    path.write_text(good)
    assert see_through(path) is None
    refused = 0
    for _ in range(MUTATIONS):
        path.write_text(broken := mutate(good, random))
        try:
            message = see_through(path)
        except RilievoError as error:
            message = str(error)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}, of {broken!r}") from error
        if message is not None:
            assert message.isprintable(), broken
            refused += 1
    assert refused > MUTATIONS / 5


@pytest.mark.parametrize("odd", ["nan", "inf", "-inf", "1e400", "1e300", "-1e300"])
@pytest.mark.parametrize("form", FILES)
def test_each_number_that_no_lens_has_is_refused_with_its_file_and_place(form, odd, tmp_path):
    name, good = FILES[form]
    if name.endswith(("yaml", "yml")):
        pytest.importorskip("yaml")
        odd = {"nan": ".nan", "inf": ".inf", "-inf": "-.inf", "1e300": "1.0e+300"}.get(odd, odd)
    path = tmp_path / name
    path.write_text(good)
    whole = read_lens(path)
    for number in NUMBER.finditer(good):
        path.write_text(good[: number.start()] + odd + good[number.end() :])
        try:
            found = read_lens(path)
        except InputError as error:
            message = str(error)
        else:
            assert found == whole, "the lens does not come from this number"
            continue
        assert message.startswith(str(path))
        assert message.isprintable()
        assert len(message) < 400


@pytest.mark.parametrize(
    ("form", "before", "after", "place"),
    [
        ("COLMAP", "80.5", "nan", "cameras.txt, line 2: fx is nan, expected"),
        ("COLMAP", "0.01", "inf", "line 2: k2 is inf"),
        ("COLMAP, a fisheye", "0.2", "1e300", "line 1: k4 is 1e+300"),
        ("COLMAP", "96 64", "96 -64", "line 2: the image size is 96x-64"),
        ("COLMAP, FOV", "0.9", "nan", "line 1: omega is nan"),
        ("KITTI", "31 0", "inf 0", "calib.txt, line 2: number 7 is inf"),
        ("KITTI", "47 4", "47 nan", "line 2: number 4 is nan"),
        ("KITTI raw", "9.6e+01", "nan", "line 1: the image size is nanx64"),
        ("TUM", "1.1", "1e400", "fr1.txt: k3 is inf"),
        ("DSO", "0.9", "nan", "camera.txt, line 1: omega is nan"),
        ("Kalibr", "0.01", ".nan", "camchain.yaml, cam0: distortion_coeffs: number 3 is nan"),
        ("Kalibr", "81.0", "1.0e+300", "cam0: fy is 1e+300"),
        ("Kalibr", "[96", "[.inf", "cam0: the image size is infx64"),
        ("ROS", "-0.1,", "x,", "ost.yaml: distortion_coefficients: number 1 is nan"),
        ("ROS", "0.00,", ".inf,", "ost.yaml: camera_matrix: number 4 is inf"),
        ("OpenCV", "80.5", "-.inf", "camera.yml: camera_matrix: number 1 is -inf"),
        ("JSON, K", "81", "NaN", "x.json: K: number 5 is nan"),
        ("K as text", "81", "nan", "K.txt: fy is nan"),
        ("four numbers", "31.5", "-inf", "K.txt: cy is -inf"),
    ],
)
def test_the_line_and_the_field_of_an_odd_number_are_named(form, before, after, place, tmp_path):
    name, good = FILES[form]
    if name.endswith(("yaml", "yml")):
        pytest.importorskip("yaml")
    path = tmp_path / name
    assert before in good
    path.write_text(good.replace(before, after, 1))
    with pytest.raises(InputError) as refused:
        read_lens(path)
    assert place in str(refused.value)


def test_denormal_coefficients_are_those_of_no_distortion(tmp_path):
    name, good = FILES["COLMAP, a fisheye"]
    path = tmp_path / name
    path.write_text(good.replace("0.02 -0.01 0.1 0.2", "0.02 -0.01 0.1 01e-320"))
    pixels = np.random.default_rng(0).uniform(0, 64, (2, 20))
    found = read_lens(path).lens(SIZE).rays(pixels)
    path.write_text(good.replace("0.02 -0.01 0.1 0.2", "0.02 -0.01 0.1 0"))
    np.testing.assert_array_equal(found, read_lens(path).lens(SIZE).rays(pixels))


def test_yaml_takes_numbers_without_a_point_which_are_texts_there(tmp_path):
    pytest.importorskip("yaml")
    name, good = FILES["Kalibr"]
    path = tmp_path / name
    path.write_text(good.replace("-0.002", "1e-05"))
    assert read_lens(path).numbers[4:] == (0.1, -0.02, 0.01, 1e-5)
