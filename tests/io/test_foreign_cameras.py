"""Camera files of scanners, photogrammetry and NeRF: one camera in each form, by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.io.cameras.lens_files import read_lens

FX, FY, CX, CY = 458.6, 457.3, 367.2, 248.4
"""Intrinsics [px]; the centre of the top-left pixel is (0, 0)."""
WIDTH, HEIGHT = 752, 480
BEND = (-0.28, 0.07, 2e-4, 1.8e-5)
"""k1, k2, p1 and p2 of OpenCV."""
KB = (0.003, -0.002, 0.004, -0.001)
K = [[FX, 0, CX], [0, FY, CY], [0, 0, 1]]
COLUMNS = [FX, 0, 0, 0, FY, 0, CX, CY, 1]
FLAT = {"fx": FX, "fy": FY, "cx": CX, "cy": CY, "width": WIDTH, "height": HEIGHT}
RADIAL = dict(zip(("k1", "k2", "p1", "p2"), BEND, strict=True))
REALSENSE = {"width": WIDTH, "height": HEIGHT, "ppx": CX, "ppy": CY, "fx": FX, "fy": FY}
LONGER = max(WIDTH, HEIGHT)
SHARES = {
    "focal_x": FX / LONGER,
    "focal_y": FY / LONGER,
    "c_x": (CX + 0.5 - WIDTH / 2) / LONGER,
    "c_y": (CY + 0.5 - HEIGHT / 2) / LONGER,
    "width": WIDTH,
    "height": HEIGHT,
}
METASHAPE = f"""<?xml version="1.0" encoding="UTF-8"?>
<document version="2.0.0"><chunk label="Chunk 1"><sensors next_id="1">
<sensor id="0" label="unknown" type="TYPE"><resolution width="{WIDTH}" height="{HEIGHT}"/>
<property name="layer_index" value="0"/>
<calibration type="TYPE" class="initial"><resolution width="{WIDTH}" height="{HEIGHT}"/>
<f>400</f></calibration>
<calibration type="TYPE" class="adjusted"><resolution width="{WIDTH}" height="{HEIGHT}"/>
<f>{FY}</f><cx>{CX + 0.5 - WIDTH / 2}</cx><cy>{CY + 0.5 - HEIGHT / 2}</cy><b1>{FX - FY}</b1>BEND
</calibration></sensor></sensors><cameras><camera id="0" sensor_id="0" label="a"/></cameras>
</chunk></document>"""
# Metashape's p1 is OpenCV's p2.
BROWN = f"<k1>{BEND[0]}</k1><k2>{BEND[1]}</k2><p1>{BEND[3]}</p1><p2>{BEND[2]}</p2>"
METASHAPE_KB = "".join(f"<k{n}>{k}</k{n}>" for n, k in enumerate(KB, 1))
ENUMERATE = f"""Device info:
    Name                          : Intel RealSense D435

Intrinsic Parameters:

 Intrinsic of "Color" / {WIDTH}x{HEIGHT} / {{RGB8/YUYV}}
  Width:        \t{WIDTH}
  Height:       \t{HEIGHT}
  PPX:          \t{CX}
  PPY:          \t{CY}
  Fx:           \t{FX}
  Fy:           \t{FY}
  Distortion:   \tInverse Brown Conrady
  Coeffs:       \t0  \t0  \t0  \t0  \t0
  FOV (deg):    \t78.7 x 55.4
"""
SCANNET = f"""appVersionId = 40
axisAlignment = 0.94 0.34 0 -1.2 -0.34 0.94 0 -1.9 0 0 1 -0.05 0 0 0 1
colorHeight = {HEIGHT}
colorWidth = {WIDTH}
depthHeight = 480
fx_color = {FX}
fx_depth = 577.87
fy_color = {FY}
fy_depth = 577.87
mx_color = {CX}
mx_depth = 319.5
my_color = {CY}
my_depth = 239.5
"""
RSCAN = f"""m_versionNumber = 4
m_colorWidth = {WIDTH}
m_colorHeight = {HEIGHT}
m_calibrationColorIntrinsic = {FX} 0 {CX} 0 0 {FY} {CY} 0 0 0 1 0 0 0 0 1
m_frames.size = 12
"""
MVSNET = f"""extrinsic
1 0 0 0.1
0 1 0 0.2
0 0 1 0.3
0 0 0 1

intrinsic
{FX} 0 {CX}
0 {FY} {CY}
0 0 1

425.0 2.5
"""
NERF = {"fl_x": FX, "fl_y": FY, "cx": CX + 0.5, "cy": CY + 0.5, "w": WIDTH, "h": HEIGHT}
EUROC = f"""sensor_type: camera
T_BS:
  cols: 4
  rows: 4
  data: [0.01, -1, 0, -0.02, 1, 0.01, 0, -0.06, 0, 0.02, 1, 0.01, 0, 0, 0, 1]
rate_hz: 20
resolution: [{WIDTH}, {HEIGHT}]
camera_model: pinhole
intrinsics: [{FX}, {FY}, {CX}, {CY}]
distortion_model: radial-tangential
distortion_coefficients: [{", ".join(map(str, BEND))}]
"""
BASALT_CAMERA = {"camera_type": "kb4", "intrinsics": {"fx": FX, "fy": FY, "cx": CX, "cy": CY}}
BASALT_KB = dict(zip(("k1", "k2", "k3", "k4"), KB, strict=True))

PINHOLES: dict[str, tuple[str, Any]] = {
    "RealSense": (
        "c.json",
        {**REALSENSE, "model": "distortion.inverse_brown_conrady", "coeffs": [0, 0, 0, 0, 0]},
    ),
    "RealSense, names of C": ("c.json", {**REALSENSE, "model": 2, "coeffs": [0.0] * 5}),
    "RealSense in a list of streams": ("c.json", {"color": REALSENSE, "color_again": REALSENSE}),
    "rs-enumerate-devices": ("c.txt", ENUMERATE),
    "Polycam": ("c.json", {**FLAT, "blur_score": 3.2, "t_00": 0.1, "timestamp": 7}),
    "BOP": ("camera.json", {**FLAT, "depth_scale": 0.1}),
    "BOP, scene": (
        "scene_camera.json",
        {
            "0": {"cam_K": [x for row in K for x in row], "depth_scale": 1.0, "cam_R_w2c": [1] * 9},
            "1": {"cam_K": [x for row in K for x in row]},
        },
    ),
    "Open3D": ("c.json", {"width": WIDTH, "height": HEIGHT, "intrinsic_matrix": COLUMNS}),
    "Open3D, with pose": (
        "c.json",
        {
            "class_name": "PinholeCameraParameters",
            "extrinsic": [1] * 16,
            "intrinsic": {"width": WIDTH, "height": HEIGHT, "intrinsic_matrix": COLUMNS},
        },
    ),
    "Record3D": ("metadata.json", {"K": COLUMNS, "w": WIDTH, "h": HEIGHT, "fps": 60}),
    "ARKit": ("frame.json", {"intrinsics": COLUMNS, "cameraPoseARFrame": [1] * 16, "time": 3}),
    "Stray Scanner": ("camera_matrix.csv", "\n".join(",".join(map(str, row)) for row in K)),
    "ScanNet": ("scene0000_00.txt", SCANNET),
    "ScanNet, matrix": ("intrinsic_color.txt", f"{FX} 0 {CX} 0\n0 {FY} {CY} 0\n0 0 1 0\n0 0 0 1\n"),
    "3RScan": ("_info.txt", RSCAN),
    "MVSNet": ("00000000_cam.txt", MVSNET),
    "Cityscapes": (
        "camera.json",
        {
            "extrinsic": {"pitch": 0.03, "x": 1.7},
            "intrinsic": {"fx": FX, "fy": FY, "u0": CX, "v0": CY},
        },
    ),
    "nuScenes": (
        "calibrated_sensor.json",
        [{"token": "a", "camera_intrinsic": K}, {"token": "lidar", "camera_intrinsic": []}],
    ),
    "ROS 2": (
        "camera_info.yaml",
        f"width: {WIDTH}\nheight: {HEIGHT}\ndistortion_model: plumb_bob\n"
        f"d: [0, 0, 0, 0, 0]\nk: [{FX}, 0, {CX}, 0, {FY}, {CY}, 0, 0, 1]\n"
        "binning_x: 0\nbinning_y: 0\nroi: {x_offset: 0, y_offset: 0, height: 0}\n",
    ),
    "Replica": ("cam_params.json", {"camera": {**FLAT, "w": WIDTH, "h": HEIGHT, "scale": 6553.5}}),
    "K in rows and columns": ("c.json", {"K": K}),
    "K alone": ("c.json", K),
    "four numbers": ("c.json", [FX, FY, CX, CY]),
    "KITTI-360": (
        "perspective.txt",
        f"P_rect_00: {FX} 0 {CX} 0 0 {FY} {CY} 0 0 0 1 0\nS_rect_00: {WIDTH} {HEIGHT}\n",
    ),
    "NeRF": ("transforms.json", {**NERF, "frames": []}),
    "Metashape": ("cameras.xml", METASHAPE.replace("TYPE", "frame").replace("BEND", "")),
}
BROWNS: dict[str, tuple[str, Any]] = {
    "flat": ("c.json", {**FLAT, **RADIAL}),
    "flat, YAML": ("c.yaml", "\n".join(f"{k}: {v}" for k, v in {**FLAT, **RADIAL}.items())),
    "flat, list": ("c.json", {**FLAT, "distortion_coefficients": list(BEND)}),
    "RealSense": (
        "c.json",
        {**REALSENSE, "model": "distortion.brown_conrady", "coeffs": [*BEND, 0]},
    ),
    "K and D": ("c.json", {"K": K, "D": list(BEND), "width": WIDTH, "height": HEIGHT}),
    "camera_matrix and dist": (
        "c.json",
        {"camera_matrix": K, "dist": list(BEND), "image_size": [WIDTH, HEIGHT]},
    ),
    "mtx and dist": ("c.json", {"mtx": K, "dist": [list(BEND)], "width": WIDTH, "height": HEIGHT}),
    "K and dist": (
        "c.json",
        {"camera_matrix": K, "dist_coeffs": [list(BEND)], "image_size": [WIDTH, HEIGHT]},
    ),
    "EuRoC": ("sensor.yaml", EUROC),
    "distortion beside": (
        "c.json",
        {
            "intrinsics": {"fx": FX, "fy": FY, "cx": CX, "cy": CY},
            "distortion": RADIAL,
            "size": {"width": WIDTH, "height": HEIGHT},
        },
    ),
    "radial and tangential": (
        "c.json",
        {**FLAT, "radial_distortion": list(BEND[:2]), "tangential_distortion": list(BEND[2:])},
    ),
    "distortion under another name": (
        "c.yaml",
        f"camera_intrinsics:\n  fx: {FX}\n  fy: {FY}\n  cx: {CX}\n  cy: {CY}\n"
        f"width: {WIDTH}\nheight: {HEIGHT}\ncamera_distortion:\n"
        + "".join(f"  {name}: {value}\n" for name, value in RADIAL.items()),
    ),
    "JSON in a text": ("camera.txt", json.dumps({**FLAT, **RADIAL})),
    "OpenSfM": (
        "camera_models.json",
        {"v2 apple iphone": {"projection_type": "brown", **SHARES, **RADIAL, "k3": 0.0}},
    ),
    "Metashape": ("cameras.xml", METASHAPE.replace("TYPE", "frame").replace("BEND", BROWN)),
    "Metashape, calibration": (
        "camera.xml",
        f"<?xml version='1.0'?><calibration><projection>frame</projection><width>{WIDTH}</width>"
        f"<height>{HEIGHT}</height><f>{FY}</f><cx>{CX + 0.5 - WIDTH / 2}</cx>"
        f"<cy>{CY + 0.5 - HEIGHT / 2}</cy><b1>{FX - FY}</b1>{BROWN}</calibration>",
    ),
    "kapture": (
        "sensors.txt",
        "# kapture format: 1.1\n# sensor_id, name, sensor_type, [params]+\n"
        f"cam0, a, camera, OPENCV, {WIDTH}, {HEIGHT}, {FX}, {FY}, {CX + 0.5}, {CY + 0.5}, "
        f"{', '.join(map(str, BEND))}\n",
    ),
    "NeRF": ("transforms.json", {**NERF, **RADIAL, "frames": [{"file_path": "a.png"}]}),
}
FISHEYES: dict[str, tuple[str, Any]] = {
    "Basalt": (
        "calibration.json",
        {
            "value0": {
                "T_imu_cam": [{"px": 0.1}],
                "intrinsics": [
                    {**BASALT_CAMERA, "intrinsics": {**BASALT_CAMERA["intrinsics"], **BASALT_KB}}
                ],
                "resolution": [[WIDTH, HEIGHT]],
            }
        },
    ),
    "OpenSfM": (
        "camera_models.json",
        {"a": {"projection_type": "fisheye_opencv", **SHARES, **BASALT_KB}},
    ),
    "OpenCV's sample": (
        "c.yml",
        "%YAML:1.0\n---\nimage_width: 752\nimage_height: 480\n"
        "fisheye_model: 1\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n"
        f"   dt: d\n   data: [{FX}, 0., {CX}, 0., {FY}, {CY}, 0., 0., 1.]\n"
        "distortion_coefficients: !!opencv-matrix\n   rows: 4\n   cols: 1\n"
        f"   dt: d\n   data: [{', '.join(map(str, KB))}]\n",
    ),
    "Metashape": (
        "cameras.xml",
        METASHAPE.replace("TYPE", "fisheye").replace("BEND", METASHAPE_KB),
    ),
    "RealSense": ("c.json", {**REALSENSE, "model": "kannala_brandt4", "coeffs": [*KB]}),
    "nerfstudio": (
        "transforms.json",
        {**NERF, "camera_model": "OPENCV_FISHEYE", **BASALT_KB, "frames": []},
    ),
}


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("form", PINHOLES)
def test_a_pinhole_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, *PINHOLES[form]))
    assert found.name == "pinhole"
    np.testing.assert_allclose(found.numbers, (FX, FY, CX, CY), rtol=1e-9)
    assert found.size in ((HEIGHT, WIDTH), None)
    if "width" in str(PINHOLES[form][1]).lower():
        assert found.size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("form", BROWNS)
def test_distortion_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, *BROWNS[form]))
    assert found.name == "opencv"
    np.testing.assert_allclose(found.numbers[:8], (FX, FY, CX, CY, *BEND), rtol=1e-9)
    assert not any(found.numbers[8:])
    assert found.size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("form", FISHEYES)
def test_a_fisheye_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, *FISHEYES[form]))
    assert found.name == "fisheye"
    np.testing.assert_allclose(found.numbers, (FX, FY, CX, CY, *KB), rtol=1e-9)


def test_camera_angle_x_is_the_field_of_view_of_any_picture(tmp_path: Path) -> None:
    """As of NeRF's synthetic scenes, which state nothing else."""
    angle = 0.6911112070083618
    path = write(
        tmp_path, "transforms.json", {"camera_angle_x": angle, "frames": [{"rotation": 1}]}
    )
    for width, height in ((800, 800), (640, 360)):
        lens = read_lens(path).lens((height, width))
        focal = width / 2 / math.tan(angle / 2)
        np.testing.assert_allclose(
            [*lens.spelled_numbers], [focal, focal, (width - 1) / 2, (height - 1) / 2]
        )
    sized = write(tmp_path, "t.json", {"camera_angle_x": angle, "w": 800, "h": 400, "frames": []})
    found = read_lens(sized)
    focal = 400 / math.tan(angle / 2)
    assert found.size == (400, 800)
    np.testing.assert_allclose(found.numbers, [focal, focal, 399.5, 199.5])


@pytest.mark.parametrize(
    "name", ["camera_angle_x_deg", "angle_x_degrees", "fov_x_deg", "cameraAngleXDeg"]
)
def test_an_angle_in_degrees_by_its_name_is_in_degrees(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, "camera.json", {name: 1.2, "w": 800, "h": 400})
    np.testing.assert_allclose(read_lens(path).numbers[0], 400 / math.tan(math.radians(0.6)))


def test_what_states_no_principal_point_means_the_middle(tmp_path: Path) -> None:
    """As in cameras.json of 3-D Gaussian splatting."""
    cameras = [
        {
            "id": k,
            "img_name": "a",
            "width": 640,
            "height": 480,
            "position": [1, 2, 3],
            "rotation": [[1, 0, 0]] * 3,
            "fy": 500.0,
            "fx": 500.0,
        }
        for k in range(3)
    ]
    found = read_lens(write(tmp_path, "cameras.json", cameras))
    assert found.numbers == (500, 500, 319.5, 239.5)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "c.json",
            {**REALSENSE, "model": "distortion.inverse_brown_conrady", "coeffs": [0.1, 0, 0, 0, 0]},
            "inverse_brown_conrady",
        ),
        ("c.json", {**REALSENSE, "model": "distortion.ftheta", "coeffs": [0.9]}, "ftheta"),
        ("c.txt", ENUMERATE.replace("Coeffs:       \t0", "Coeffs:       \t0.1"), "Inverse Brown"),
        ("c.json", {"color": REALSENSE, "depth": {**REALSENSE, "fx": 300.0}}, r"2 cameras .*color"),
        ("c.json", {**FLAT, "xi": 1.2}, "'xi: 1.2'"),
        ("c.json", {**FLAT, "camera_type": "eucm", "alpha": 0.5}, "eucm|alpha"),
        (
            "c.json",
            {
                "value0": {
                    "intrinsics": [
                        {
                            "camera_type": "ds",
                            "intrinsics": {
                                "fx": FX,
                                "fy": FY,
                                "cx": CX,
                                "cy": CY,
                                "xi": -0.2,
                                "alpha": 0.5,
                            },
                        }
                    ]
                }
            },
            "ds|xi",
        ),
        ("c.json", {"K": [[FX, 3.0, CX], [0, FY, CY], [0, 0, 1]]}, "expected K as"),
        ("c.json", {"K": K, "D": [0.1] * 12}, "with 12 coefficients"),
        ("c.json", {"M1": K, "D1": list(BEND), "M2": [[1, 0, 2], [0, 1, 2], [0, 0, 1]]}, "two cam"),
        ("c.yaml", f"K: [{FX}, 0, {CX}, 0, {FY}, {CY}, 0, 0, 1]\nbinning_x: 2\n", "binning"),
        ("c.yaml", f"K: [{FX}, 0, {CX}, 0, {FY}, {CY}, 0, 0, 1]\nroi: {{x_offset: 9}}\n", "roi"),
        ("c.json", {"K": K, "distortion_model": "tilted"}, "tilted"),
        ("c.json", {"a": {"projection_type": "dual", **SHARES}}, "OpenSfM's projection 'dual'"),
        ("c.json", {"fx": FX, "fy": FY}, "neither the principal point"),
        ("t.json", {"fl_x": FX, "frames": []}, "neither the principal point"),
        ("t.json", {**NERF, "camera_model": "FISHEYE624", "frames": []}, "FISHEYE624"),
        ("t.json", {**NERF, "k4": 0.1, "frames": []}, "eighth power"),
        ("t.json", {"camera_angle_x": 4.0, "frames": []}, "camera_angle_x"),
        ("c.json", {"sfm_data_version": "0.3", "intrinsics": []}, "OpenMVG"),
        ("c.sfm.json", {"intrinsics": [{"intrinsicId": "1", "type": "radial3"}]}, "Meshroom"),
        ("c.json", {"CalibrationInformation": {"Cameras": []}}, "Azure Kinect"),
        ("c.xml", "<BlocksExchange version='2.1'></BlocksExchange>", "ContextCapture"),
        ("c.xml", METASHAPE.replace("TYPE", "frame").replace("BEND", "<k4>0.1</k4>"), "'k4: 0.1'"),
        ("c.xml", METASHAPE.replace("TYPE", "frame").replace("BEND", "<b2>0.1</b2>"), "'b2: 0.1'"),
        ("c.xml", METASHAPE.replace("TYPE", "cylindrical").replace("BEND", ""), "cylindrical"),
        ("bundle.out", "# Bundle file v0.3\n2 100\n500 0.1 0.2\n", "Bundler"),
        ("a.nvm", "NVM_V3\n\n3\n", "VisualSFM"),
        ("c.txt", "fileName imageWidth imageHeight\ncamera matrix K [3x3]\n", "Pix4D"),
        ("SN1234.conf", "[LEFT_CAM_HD]\nfx=700\nfy=700\ncx=600\ncy=300\n", "ZED"),
        ("c.json", {"cameras": {"left": {"pose": [1, 2, 3]}}}, "no camera in a supported form"),
        ("c.json", {"pose": 60, "aspect": 1.5}, "its entries are pose, aspect"),
        ("c.json", {**FLAT, "s": 1.5}, "'s: 1.5'"),
        (
            "c.json",
            {**FLAT, "lens_distortion": {"poly": [0.1]}},
            "'lens_distortion' gives the distortion",
        ),
        ("c.json", {**FLAT, "k1": 0.1, "k2": 0.01, "k3": 0.0, "k4": 0.1}, "but no camera model"),
        ("c.json", "[1, 2]", "intrinsics in the file is 2"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(
    name: str, content: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_lens(write(tmp_path, name, content))
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        {**NERF, "camera_model": "EQUIRECTANGULAR", "frames": []},
        {"a": {"projection_type": "spherical", "width": 4000, "height": 2000}},
    ],
)
def test_panoramas_are_panoramas(content: Any, tmp_path: Path) -> None:
    assert read_lens(write(tmp_path, "c.json", content)).name == "equirect"
