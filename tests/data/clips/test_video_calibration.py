from pathlib import Path

import numpy as np
import pytest

from rilievo.data.clips.sequence_camera import read_calibration
from rilievo.errors import InputError

ROS = """\
image_width: 640
image_height: 480
camera_name: phone
camera_matrix:
  rows: 3
  cols: 3
  data: [520.5, 0.0, 319.5, 0.0, 521.5, 239.0, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.001, -0.002, 0.03]
projection_matrix: {rows: 3, cols: 4, data: [1,0,0,0,0,1,0,0,0,0,1,0]}
"""
OPENCV = """\
%YAML:1.0
---
calibration_time: "Fri"
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 5.205e+02, 0., 3.195e+02, 0., 5.215e+02, 2.39e+02, 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ 0.1, -0.2, 0.001, -0.002, 0.03 ]
"""
TRUE_K = np.array([[520.5, 0, 319.5], [0, 521.5, 239.0], [0, 0, 1]])


@pytest.mark.parametrize("text", [ROS, OPENCV])
def test_calibrations_of_ros_and_opencv_are_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    found = read_calibration(path)
    np.testing.assert_array_equal(found.K, TRUE_K)
    assert found.shape == (480, 640)
    assert found.lens is not None
    assert found.lens.k == (0.1, -0.2, 0.03, 0, 0, 0)
    assert found.lens.p == (0.001, -0.002)


def test_a_rational_model_of_eight_numbers_is_read(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    text = ROS.replace("plumb_bob", "rational_polynomial")
    path.write_text(text.replace("0.03]", "0.03, 0.4, 0.5, 0.6]"))
    lens = read_calibration(path).lens
    assert lens is not None
    assert lens.k == (0.1, -0.2, 0.03, 0.4, 0.5, 0.6)


def test_open3d_writes_its_matrix_column_by_column(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(
        '{\n\t"width": 640,\n\t"height": 480,\n\t"intrinsic_matrix":\n\t'
        "[520.5, 0, 0, 0, 521.5, 0, 319.5, 239.0, 1]\n}"
    )
    found = read_calibration(path)
    np.testing.assert_array_equal(found.K, TRUE_K)
    assert found.shape == (480, 640)
    assert found.lens is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("camera.yaml", "fx: 520.5\nfy: 521.5\ncx: 319.5\ncy: 239.0\n"),
        ("camera.yaml", "K: [[520.5, 0, 319.5], [0, 521.5, 239.0], [0, 0, 1]]\n"),
        ("intrinsics.txt", "520.5 521.5 319.5 239.0\n"),
        ("intrinsics.txt", "520.5 0 319.5\n0 521.5 239.0\n0 0 1\n"),
    ],
)
def test_plain_numbers_are_read(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    found = read_calibration(tmp_path / name)
    np.testing.assert_array_equal(found.K, TRUE_K)
    assert found.shape is None
    assert found.lens is None


def test_a_lens_of_zeros_is_none(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(ROS.replace("[0.1, -0.2, 0.001, -0.002, 0.03]", "[0, 0, 0, 0, 0]"))
    assert read_calibration(path).lens is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ROS.replace("plumb_bob", "equidistant"), "the lens model 'equidistant'"),
        (
            ROS.replace(", 0.03]", "]").replace(", -0.002]", "]"),
            "'plumb_bob' is not supported with 3 coefficients",
        ),
        (ROS.replace("239.0, 0.0", "239.0"), "number of intrinsics in the file is 8"),
        (ROS.replace("image_width: 640", "image_width: wide"), "image size is nanx480"),
        (ROS.replace("520.5", "wide"), "camera_matrix: number 1 is nan"),
        ("name: phone\n", "has no camera in a supported form"),
        ("- 1\n- 2\n", "has no camera in a supported form"),
        ("a: [1, 2\n", "is not valid YAML"),
        ("camera_matrix: 5\n", "no camera in a supported form; its entries are camera_matrix"),
        ("cam0:\n  intrinsics: [1, 1, 5, 5, 0.9]\n", "number of intrinsics in the file is 5"),
        ("K: [500, 500, 320, 240]\ndistortion_model: equidistant\nD: [1, 2, 3, 4]\n", "'fisheye'"),
        ("lens: pinhole\n", "without its intrinsics"),
    ],
)
def test_other_files_are_refused_in_a_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_calibration(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
