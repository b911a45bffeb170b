"""Camera files of programs, renderers and data sets: one camera in each form, by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.io.cameras.lens_files import read_lens

FX, FY, CX, CY = 458.6, 457.3, 367.2, 248.4
"""Intrinsics [px]; the centre of the top-left pixel is (0, 0)."""
WIDTH, HEIGHT = 752, 480
SIZE = {"width": WIDTH, "height": HEIGHT}
BEND = [-0.28, 0.07, 2e-4, 1.8e-5]
"""k1, k2, p1 and p2 of OpenCV."""
KB = [0.003, -0.002, 0.004, -0.001]
K = [[FX, 0, CX], [0, FY, CY], [0, 0, 1]]
RADIAL = dict(zip(("k1", "k2", "p1", "p2"), BEND, strict=True))
REALSENSE = {**SIZE, "ppx": CX, "ppy": CY, "fx": FX, "fy": FY}
GYROFLOW = {
    "name": "GoPro HERO9 Black",
    "camera_brand": "GoPro",
    "camera_model": "HERO9 Black",
    "calib_dimension": {"w": WIDTH, "h": HEIGHT},
    "orig_dimension": {"w": 2 * WIDTH, "h": 2 * HEIGHT},
    "input_horizontal_stretch": 1.0,
    "num_images": 15,
    "fps": 50.0,
    "fisheye_params": {"RMS_error": 0.5, "camera_matrix": K, "distortion_coeffs": KB},
}


def depthai(kind: int, coefficients: list[float]) -> dict[str, Any]:
    """Calibration of an OAK with one camera."""
    own = {
        "cameraType": kind,
        "distortionCoeff": [*coefficients, *[0.0] * (14 - len(coefficients))],
        "extrinsics": {"translation": {"x": 0.0}},
        "intrinsicMatrix": K,
        **SIZE,
    }
    return {"boardName": "OAK-D", "cameraData": [[0, own]], "stereoRectificationData": {}}


PHOTOSCAN = (
    f"<?xml version='1.0'?><calibration><projection>frame</projection><width>{WIDTH}</width>"
    f"<height>{HEIGHT}</height><fx>{FX}</fx><fy>{FY}</fy><cx>{CX + 0.5}</cx><cy>{CY + 0.5}</cy>"
    f"<skew>0</skew><k1>{BEND[0]}</k1><k2>{BEND[1]}</k2><k3>0</k3><p1>{BEND[2]}</p1>"
    f"<p2>{BEND[3]}</p2><date>2013-05-01</date></calibration>"
)
OST = f"""# oST version 5.0 parameters


[image]

width
{WIDTH}

height
{HEIGHT}

[narrow_stereo]

camera matrix
{FX} 0.000000 {CX}
0.000000 {FY} {CY}
0.000000 0.000000 1.000000

distortion
{" ".join(map(str, BEND))} 0.000000

rectification
1 0 0
0 1 0
0 0 1
"""
BOUGUET = f"""% Intrinsic and Extrinsic Camera Parameters
%-- Focal length:
fc = [ {FX} ; {FY} ];
%-- Principal point:
cc = [ {CX} ; {CY} ];
alpha_c = 0.000000000000000;
kc = [ {" ; ".join(map(str, BEND))} ; 0.0 ];
fc_error = [ 0.1 ; 0.2 ];
nx = {WIDTH};
ny = {HEIGHT};
"""
TOPIC = f"""header:
  frame_id: cam
height: {HEIGHT}
width: {WIDTH}
distortion_model: plumb_bob
d:
{"".join(f"- {number}{chr(10)}" for number in (*BEND, 0.0))}k:
{"".join(f"- {number}{chr(10)}" for row in K for number in row)}binning_x: 0
binning_y: 0
---
"""
OPENMVG = {
    "sfm_data_version": "0.3",
    "views": [],
    "intrinsics": [
        {
            "key": 0,
            "value": {
                "polymorphic_id": 2147483649,
                "polymorphic_name": "pinhole_brown_t2",
                "ptr_wrapper": {
                    "id": 2147483660,
                    "data": {
                        **SIZE,
                        "focal_length": FX,
                        "principal_point": [CX + 0.5, CY + 0.5],
                        "disto_t2": [*BEND[:2], 0.0, *BEND[2:]],
                    },
                },
            },
        }
    ],
}

BROWNS: dict[str, tuple[str, Any]] = {
    "RealSense, number 4": ("c.json", {**REALSENSE, "model": 4, "coeffs": [*BEND, 0]}),
    "RealSense, number as text": ("c.json", {**REALSENSE, "model": "4", "coeffs": [*BEND, 0]}),
    "Gyroflow, standard": (
        "lens.json",
        {
            **GYROFLOW,
            "distortion_model": "opencv_standard",
            "fisheye_params": {"camera_matrix": K, "distortion_coeffs": BEND},
        },
    ),
    "PhotoScan": ("camera.xml", PHOTOSCAN),
    "Waymo": ("c.json", {"name": "FRONT", "intrinsic": [FX, FY, CX, CY, *BEND, 0.0], **SIZE}),
    "Waymo, names": (
        "c.json",
        {"f_u": FX, "f_v": FY, "c_u": CX, "c_v": CY, **RADIAL, "k3": 0.0, **SIZE},
    ),
    "Waymo, columns": (
        "c.json",
        {
            f"[CameraCalibrationComponent].{name}": value
            for name, value in {
                "intrinsic.f_u": FX,
                "intrinsic.f_v": FY,
                "intrinsic.c_u": CX,
                "intrinsic.c_v": CY,
                **{f"intrinsic.{name}": value for name, value in RADIAL.items()},
                **SIZE,
            }.items()
        },
    ),
    "DepthAI": ("calib.json", depthai(0, BEND)),
    "MATLAB, matrix": (
        "camera.json",
        {
            "IntrinsicMatrix": [[FX, 0, 0], [0, FY, 0], [CX + 1, CY + 1, 1]],
            "RadialDistortion": BEND[:2],
            "TangentialDistortion": BEND[2:],
            "ImageSize": [HEIGHT, WIDTH],
        },
    ),
    "MATLAB, lists": (
        "camera.json",
        {
            "FocalLength": [FX, FY],
            "PrincipalPoint": [CX + 1, CY + 1],
            "Skew": 0,
            "RadialDistortion": BEND[:2],
            "TangentialDistortion": BEND[2:],
            "ImageSize": [HEIGHT, WIDTH],
        },
    ),
    "Bouguet": ("Calib_Results.m", BOUGUET),
    "ROS, ost.txt": ("ost.txt", OST),
    "ROS, a printed topic": ("info.yaml", TOPIC),
    "matrix and a mapping of coefficients": (
        "c.json",
        {"camera_matrix": K, "distortion": RADIAL, **SIZE},
    ),
    "Anipose": (
        "calibration.toml",
        f"[cam_0]\nname = 'a'\nsize = [{WIDTH}, {HEIGHT}]\nmatrix = {json.dumps(K)}\n"
        f"distortions = {BEND}\nfisheye = false\n\n[metadata]\nerror = 0.3\n",
    ),
    "table": (
        "intrinsics.csv",
        f"sensor,fx_px,fy_px,cx_px,cy_px,k1,k2,p1,p2,height_px,width_px\n"
        f"front,{FX},{FY},{CX},{CY},{','.join(map(str, BEND))},{HEIGHT},{WIDTH}\n",
    ),
    "Matterport3D": (
        "p.txt",
        f"{WIDTH} {HEIGHT} {FX} {FY} {CX} {CY} {' '.join(map(str, BEND))} 0\n",
    ),
    "lines": (
        "camera.txt",
        "".join(
            f"{name} = {value}\n"
            for name, value in {
                "fx": FX,
                "fy": FY,
                "cx": CX,
                "cy": CY,
                **RADIAL,
                **SIZE,
            }.items()
        ),
    ),
    "one focal length": (
        "c.json",
        {"focal_length": [FX, FY], "principal_point": [CX, CY], "image_size": [WIDTH, HEIGHT]}
        | RADIAL,
    ),
}
FISHEYES: dict[str, tuple[str, Any]] = {
    "Gyroflow": ("lens.json", GYROFLOW),
    "Gyroflow, model named": ("lens.json", {**GYROFLOW, "distortion_model": "opencv_fisheye"}),
    "RealSense, number 5": ("c.json", {**REALSENSE, "model": 5, "coeffs": [*KB, 0]}),
    "RealSense, five coefficients": (
        "c.json",
        {**REALSENSE, "model": "distortion.kannala_brandt4", "coeffs": [*KB, 0]},
    ),
    "DepthAI": ("calib.json", depthai(1, KB)),
    "lines": (
        "camera.txt",
        f"model: fisheye\nwidth: {WIDTH}\nheight: {HEIGHT}\nfx: {FX}\nfy: {FY}\ncx: {CX}\n"
        f"cy: {CY}\n" + "".join(f"k{n}: {number}\n" for n, number in enumerate(KB, 1)),
    ),
}
PINHOLES: dict[str, tuple[str, Any]] = {
    "Gyroflow": (
        "lens.json",
        {
            **GYROFLOW,
            "distortion_model": "opencv_standard",
            "fisheye_params": {"camera_matrix": K, "distortion_coeffs": [0] * 8},
        },
    ),
    "RealSense, number 2 of a straight lens": (
        "c.json",
        {**REALSENSE, "model": 2, "coeffs": [0.0] * 5},
    ),
    "XML with a sensor": (
        "camera.xml",
        f"<camera><sensor width='23.5'/><fx>{FX}</fx><fy>{FY}</fy><cx>{CX}</cx><cy>{CY}</cy>"
        f"<width>{WIDTH}</width><height>{HEIGHT}</height></camera>",
    ),
    "XML with attributes": (
        "rig.xml",
        f"<rig><sensor><camera fx='{FX}' fy='{FY}' cx='{CX}' cy='{CY}' width='{WIDTH}' "
        f"height='{HEIGHT}'/></sensor></rig>",
    ),
    "Middlebury": (
        "calib.txt",
        f"cam0=[{FX} 0 {CX}; 0 {FY} {CY}; 0 0 1]\ncam1=[{FX} 0 {CX}; 0 {FY} {CY}; 0 0 1]\n"
        f"doffs=0\nbaseline=193.0\nwidth={WIDTH}\nheight={HEIGHT}\nndisp=280\n",
    ),
    "Matterport3D, straight": (
        "p.txt",
        f"{WIDTH} {HEIGHT} {FX} {FY} {CX} {CY} 0 0 0 0 0\n",
    ),
    "lines with a matrix": (
        "p.conf",
        f"dataset matterport\nintrinsics_matrix {FX} 0 {CX} 0 {FY} {CY} 0 0 1\n",
    ),
    "ARKitScenes": ("a.pincam", f"{WIDTH} {HEIGHT} {FX} {FY} {CX} {CY}"),
    "Virtual KITTI": (
        "intrinsic.txt",
        "frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]\n"
        + "".join(f"{n} {n % 2} {FX} {FY} {CX} {CY}\n" for n in range(4)),
    ),
    "rows of K": ("intrinsics.txt", f"{FX} 0 {CX} 0 {FY} {CY} 0 0 1\n" * 3),
    "rows of four": ("intrinsics.txt", f"{FX} {FY} {CX} {CY}\n" * 2),
    "K in columns": ("K.txt", f"{FX} 0 0\n0 {FY} 0\n{CX} {CY} 1\n"),
    "K of 3 x 4": ("K.txt", f"{FX} 0 {CX} 12\n0 {FY} {CY} 0\n0 0 1 0\n"),
    "K of 3 x 4, JSON": ("K.json", {"P": 1, "K": [[FX, 0, CX, 9], [0, FY, CY, 0], [0, 0, 1, 0]]}),
    "several K that agree": ("K.json", {"intrinsics": [K, K, K]}),
    "K in shares": (
        "K.json",
        {
            "K": [
                [FX / WIDTH, 0, (CX + 0.5) / WIDTH],
                [0, FY / HEIGHT, (CY + 0.5) / HEIGHT],
                [0, 0, 1],
            ],
            **SIZE,
        },
    ),
    "printed by NumPy": ("K.txt", f"[[{FX}   0.   {CX}]\n [  0.   {FY} {CY}]\n [  0. 0. 1.]]\n"),
    "printed by MATLAB": ("K.txt", f"[{FX} 0 {CX}; 0 {FY} {CY}; 0 0 1]"),
    "shares of the longer side": (
        "K.json",
        {
            "fx": FX / WIDTH,
            "fy": FY / WIDTH,
            "cx": (CX + 0.5) / WIDTH,
            "cy": (CY + 0.5) / HEIGHT,
            **SIZE,
        },
    ),
    "shares of the width": (
        "K.json",
        {
            "fx": FX / WIDTH,
            "fy": FY / WIDTH,
            "cx": (CX + 0.5) / WIDTH,
            "cy": (CY + 0.5) / WIDTH,
            **SIZE,
        },
    ),
    "K beside the name of a lens": ("K.json", {"lens": "Sony FE 24mm", "K": K}),
    "K beside a camera's name": ("K.json", {"camera": {"model": "phone"}, "K": K}),
}


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("form", BROWNS)
def test_distortion_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, *BROWNS[form]))
    assert found.name == "opencv"
    expected = [FX, FY, CX, CY, *BEND]
    if "sfm" in BROWNS[form][0]:
        expected[1] = FX
    np.testing.assert_allclose(found.numbers[:8], expected, rtol=1e-9)
    assert not any(found.numbers[8:])
    assert found.size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("form", FISHEYES)
def test_a_fisheye_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, *FISHEYES[form]))
    assert found.name == "fisheye"
    np.testing.assert_allclose(found.numbers[:8], (FX, FY, CX, CY, *KB), rtol=1e-9)
    assert found.size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("form", PINHOLES)
def test_a_pinhole_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, *PINHOLES[form]))
    assert found.name == "pinhole"
    np.testing.assert_allclose(found.numbers, (FX, FY, CX, CY), rtol=1e-9)
    if "width" in str(PINHOLES[form][1]):
        assert found.size == (HEIGHT, WIDTH)


def test_openmvg_counts_from_the_corner_of_the_first_pixel(tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, "sfm_data.json", OPENMVG))
    np.testing.assert_allclose(found.numbers[:8], (FX, FX, CX, CY, *BEND), rtol=1e-9)
    assert found.size == (HEIGHT, WIDTH)


ANGLE = math.degrees(2 * math.atan(WIDTH / 2 / FX))
DOWN = math.degrees(2 * math.atan(HEIGHT / 2 / FX))
MILLIMETRES = FX * 36 / WIDTH
UNITY = {
    "id": "camera",
    "dimension": [WIDTH, HEIGHT],
    "projection": "Perspective",
    "matrix": [2 * FX / WIDTH, 0, 0, 0, 2 * FX / HEIGHT, 0, 0, 0, -1.0006],
}
VIEWS: dict[str, tuple[str, Any]] = {
    "CARLA": ("c.json", {"image_size_x": WIDTH, "image_size_y": HEIGHT, "fov": ANGLE}),
    "CARLA, texts in a list": (
        "objects.json",
        {
            "objects": [
                {
                    "type": "sensor.camera.rgb",
                    "image_size_x": str(WIDTH),
                    "image_size_y": str(HEIGHT),
                    "fov": f"{ANGLE}",
                }
            ]
        },
    ),
    "AirSim": (
        "settings.json",
        {
            "CameraDefaults": {
                "CaptureSettings": [
                    {"ImageType": 0, "Width": WIDTH, "Height": HEIGHT, "FOV_Degrees": ANGLE}
                ]
            }
        },
    ),
    "degrees across": ("c.json", {"hfov": ANGLE, **SIZE}),
    "an axis that is named": ("c.json", {"fov": ANGLE, "fov_axis": "x", **SIZE}),
    "another axis": ("c.json", {"fov": DOWN, "fov_axis": "vertical", **SIZE}),
    "radians across": ("c.json", {"horizontal_fov": math.radians(ANGLE), **SIZE}),
    "degrees vertically": ("c.json", {"vfov": DOWN, **SIZE}),
    "radians down": ("c.json", {"fov_y_radians": math.radians(DOWN), **SIZE}),
    "both": ("c.json", {"fov_x": ANGLE, "fov_y": DOWN, **SIZE}),
    "Blender": (
        "c.json",
        {
            "lens": MILLIMETRES,
            "sensor_width": 36.0,
            "sensor_fit": "AUTO",
            "resolution_x": WIDTH,
            "resolution_y": HEIGHT,
        },
    ),
    "millimetres": (
        "c.json",
        {"focal_length_mm": MILLIMETRES, "sensor_width_mm": 36, **SIZE},
    ),
    "Isaac": (
        "camera_params.json",
        {
            "cameraAperture": [36, 24],
            "cameraApertureOffset": [0, 0],
            "cameraFocalLength": MILLIMETRES,
            "renderProductResolution": [WIDTH, HEIGHT],
        },
    ),
    "Unity": ("frame.json", {"frame": 0, "captures": [UNITY]}),
    "Gazebo": (
        "model.sdf",
        f"<sdf version='1.6'><sensor type='camera' name='c'><camera><horizontal_fov>"
        f"{math.radians(ANGLE)}</horizontal_fov><image><width>{WIDTH}</width>"
        f"<height>{HEIGHT}</height></image></camera></sensor></sdf>",
    ),
    "Mitsuba": (
        "scene.xml",
        f"<scene version='3.0.0'><sensor type='perspective'><float name='fov' value='{ANGLE}'/>"
        f"<film type='hdrfilm'><integer name='width' value='{WIDTH}'/>"
        f"<integer name='height' value='{HEIGHT}'/></film></sensor></scene>",
    ),
}
OF_ANY_SIZE: dict[str, tuple[str, Any]] = {
    "MoGe": ("fov.json", {"fov_x": ANGLE, "fov_y": DOWN}),
    "Habitat": ("c.json", {"hfov": ANGLE}),
    "glTF": (
        "c.json",
        {
            "cameras": [
                {
                    "type": "perspective",
                    "perspective": {"yfov": math.radians(DOWN), "aspectRatio": WIDTH / HEIGHT},
                }
            ]
        },
    ),
    "three.js": (
        "c.json",
        {"object": {"type": "PerspectiveCamera", "fov": DOWN, "aspect": WIDTH / HEIGHT}},
    ),
    "Unity, older": (
        "captures_000.json",
        {
            "captures": [
                {
                    "sensor": {
                        "sensor_id": "a",
                        "modality": "camera",
                        "camera_intrinsic": [
                            [2 * FX / WIDTH, 0, 0],
                            [0, 2 * FX / HEIGHT, 0],
                            [0, 0, -1],
                        ],
                    }
                }
            ]
        },
    ),
}


@pytest.mark.parametrize("form", [*VIEWS, *OF_ANY_SIZE])
def test_angles_and_millimetres_are_a_centred_pinhole(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, *{**VIEWS, **OF_ANY_SIZE}[form]))
    lens = found.lens((HEIGHT, WIDTH))
    expected = [FX, FX, (WIDTH - 1) / 2, (HEIGHT - 1) / 2]
    np.testing.assert_allclose(lens.spelled_numbers, expected, rtol=1e-6)
    assert found.size == (None if form in OF_ANY_SIZE else (HEIGHT, WIDTH))


SIZES: dict[str, Any] = {
    "calibration": {"calibration_resolution": [WIDTH, HEIGHT], "width": 1504, "height": 960},
    "reference of Apple": {
        "intrinsicMatrixReferenceDimensions": {"width": WIDTH, "height": HEIGHT}
    },
    "text": {"resolution": f"{WIDTH}x{HEIGHT}"},
    "dimensions": {"dims": [WIDTH, HEIGHT]},
    "rows and columns": {"rows": HEIGHT, "cols": WIDTH},
    "capitals": {"W": WIDTH, "H": HEIGHT},
    "shape": {"shape": [HEIGHT, WIDTH, 3]},
    "height first": {"image_size": [HEIGHT, WIDTH]},
    "a board and a sensor": {
        "board_size": [900, 600],
        "sensor_size": [2000, 1000],
        "image_dimensions": [WIDTH, HEIGHT],
    },
}


@pytest.mark.parametrize("form", SIZES)
def test_the_size_of_a_matrix_is_found_by_any_name(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, "c.json", {"K": K, **SIZES[form]}))
    np.testing.assert_allclose(found.numbers, (FX, FY, CX, CY), rtol=1e-9)
    assert found.size == (HEIGHT, WIDTH)


def kitti(*names: str, **other: float) -> str:
    """Projections of KITTI's form; those in ``other`` have that focal length."""
    focal = {**dict.fromkeys(names, FX), **other}
    return "".join(
        f"{name}: {fx} 0 {CX} 45 0 {fx} {CY} 0.2 0 0 1 0.003\n" for name, fx in focal.items()
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("calib.txt", kitti("P2", P0=400.0, P3=500.0), ["uses P2", "left colour", "P0, P3 differ"]),
        ("calib.txt", kitti("P0", "P1", "P2", "P3"), []),
        ("calib.txt", kitti("P_rect_00", P_rect_01=500.0), ["uses P_rect_00", "P_rect_01 differ"]),
        (
            "calib.txt",
            f"cam0=[{FX} 0 {CX}; 0 {FX} {CY}; 0 0 1]\ncam1=[{FX} 0 420; 0 {FX} {CY}; 0 0 1]\n",
            ["rilievo uses cam0"],
        ),
        (
            "K.json",
            {"K": [[0.6, 0, 0.49], [0, 0.9, 0.52], [0, 0, 1]], **SIZE},
            ["fractions of the width and the height", "752x480"],
        ),
        (
            "K.json",
            {"fx": 0.61, "fy": 0.61, "cx": 0.49, "cy": 0.52, **SIZE},
            ["fractions of the longer side"],
        ),
        ("K.txt", "500 500 320 240 0.01 0.02 0.03 0.04", ["if they belong to a fisheye"]),
        ("K.txt", "500 500 320 240 0.01 0.02 0.03 0.04 0.05", []),
        ("K.json", {"K": K, "image_size": [HEIGHT, WIDTH]}, ["read as height and width"]),
    ],
)
def test_what_was_chosen_in_a_file_is_noted(
    name: str, content: Any, words: list[str], tmp_path: Path
) -> None:
    note = read_lens(write(tmp_path, name, content)).note
    assert (note is None) == (not words)
    assert note is None or all(each in note for each in words), note


TWO = {**SIZE, "fx": 300.0, "fy": 300.0, "cx": 370.0, "cy": 240.0}
ENTRY_OF_SFM = {"version": ["1", "2", "8"], "intrinsics": [{"intrinsicId": "1"}]}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        *(
            ("c.json", {**REALSENSE, "model": number, "coeffs": [0.1, 0, 0, 0, 0]}, says)
            for number, says in (
                (0, r"none \(number 0"),
                (1, "modified_brown_conrady"),
                (2, "inverse_brown_conrady"),
                (3, "ftheta"),
                (6, "number 6"),
                ("2", "inverse_brown_conrady"),
                (2.0, "inverse_brown_conrady"),
                ("<distortion.ftheta: 3>", "ftheta"),
                ("RS2_DISTORTION_MODIFIED_BROWN_CONRADY", "MODIFIED_BROWN_CONRADY"),
            )
        ),
        ("c.json", {**TWO, "model": 4, "k1": 0.1, "k2": 0.0}, "number 4"),
        ("lens.json", {**GYROFLOW, "distortion_model": "poly5"}, "Gyroflow .*'poly5'"),
        ("lens.json", {**GYROFLOW, "input_horizontal_stretch": 0.75}, "Gyroflow .*stretch"),
        ("lens.json", {**GYROFLOW, "digital_lens": "gopro_superview"}, "Gyroflow .*superview"),
        ("lens.json", {**GYROFLOW, "crop": 1.3}, "a crop .'crop: 1.3'"),
        ("calib.json", depthai(0, [0.1] * 9), "DepthAI .*thin prisms"),
        ("calib.json", depthai(3, BEND), "DepthAI .*type '3'"),
        ("camera.xml", PHOTOSCAN.replace("<skew>0", "<skew>1.5"), "PhotoScan .*'skew: 1.5'"),
        (
            "camera.xml",
            "<rig><fx>500</fx><cx>320</cx><cy>240</cy><fx>600</fx></rig>",
            "several cameras",
        ),
        (
            "p_calibrated_internal_camera_parameters.cam",
            "Pix4D camera calibration file 0\n#Focal Length mm assuming a sensor width of "
            "6.17x4.63mm\nF 3.61\n#Principal Point mm\nPx 3.08\nPy 2.31\nK1 -0.03\n",
            "Pix4D's internal parameters .*Fmm/WIDTHmm",
        ),
        (
            "cameras.csv",
            "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\na,0,0,1,2,3,4,26,0,0\n",
            "RealityCapture's list",
        ),
        (
            "a.xmp",
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a xcr:FocalLength35mm="26.5" '
            'xmlns:xcr="http://www.capturingreality.com/ns/xcr/1.1#"/></x:xmpmeta>',
            "RealityCapture's XMP",
        ),
        ("a.json", {"format": "application/opf-calibrated-cameras+json"}, "Pix4D's OPF"),
        ("a.sfm", ENTRY_OF_SFM, "Meshroom scene .*FOCALmm/WIDTHmm"),
        ("a.json", {"projection_params": [1.0] * 15}, "Project Aria"),
        ("a.xml", "<lensdatabase version='1'/>", "lensfun"),
        ("images.txt", "# Image list with two lines of data per image:\n", "list of images"),
        ("a.txt", "calib_time: 15-Mar-2012\nR: 7.5e-3 -1 0\nT: 1 2 3\n", "a KITTI pose"),
        ("r.txt", "cam0:\n type: <class 'aslam_cv.libaslam_cv_python.X'>\n", "a Kalibr report"),
        ("scene.usda", '#usda 1.0\ndef Camera "c" {}\n', "USD"),
        ("calib.txt", "K_02: 500 0 320 0 500 240 0 0 1\n", "before rectification"),
        ("ost.txt", OST.replace(f"{BEND[0]} ", ""), "ost.txt from ROS has 9 .* and 4 coefficients"),
        ("a.m", BOUGUET.replace("alpha_c = 0.0", "alpha_c = 0.1"), "Bouguet's .*skew"),
        (
            "intrinsic.txt",
            "frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]\n0 0 72 72 62 18\n0 1 60 60 62 18\n",
            "2 cameras .cameraID 0, cameraID 1",
        ),
        ("K.txt", "500 500 320 240\n600 600 320 240\n", "2 cameras .line 1, line 2"),
        ("K.json", {"K": [K, [[1, 0, 2], [0, 1, 2], [0, 0, 1]]]}, "2 cameras .K.0, K.1"),
        (
            "c.ini",
            "[left]\nfx=5\ncx=3\ncy=2\n[right]\nfx=6\ncx=3\ncy=2\n",
            "2 cameras .left, right",
        ),
        (
            "c.txt",
            f"{WIDTH} {HEIGHT} {FX} {FY} {CX} {CY} 0 0\n",
            "unlikely to be k1, k2, p1 and p2",
        ),
        (
            "c.txt",
            "fx: 9\nfy: 9\ncx: 4\ncy: 4\nk1: 1\nk2: 1\nk3: 1\nk4: 1\n",
            "but no camera model",
        ),
        (
            "c.json",
            {**TWO, "units": "mm"},
            "'units: mm' is not supported, because intrinsics must be in pixels",
        ),
        ("c.json", {"fov": 60, **SIZE}, "may be horizontal, vertical or diagonal"),
        ("c.json", {"diagonal_fov": 60, **SIZE}, "may be horizontal, vertical or diagonal"),
        ("c.json", {"vfov": 60}, "but no image size"),
        ("c.json", {"hfov": 200, **SIZE}, "expected an angle between 0 and 180"),
        ("c.json", {"angle_x": 1.2, "angle_y": 1.2, **SIZE}, "keep only the correct angle"),
        ("c.json", {"focal_length": 24, **SIZE}, "has no unit"),
        ("c.json", {"focal_length_mm": 24, **SIZE}, "in millimetres .*24mm/WIDTHmm"),
        ("c.json", {"focal_length_35mm": 24, **SIZE}, "pass 24mm instead"),
        ("c.json", {"lens": 35.0, "sensor_width": 36.0}, "pass 35mm/36mm"),
        (
            "c.json",
            {"lens": 35.0, "sensor_width": 36.0, "width": HEIGHT, "height": WIDTH},
            "pass 35mm/36mm",
        ),
        ("c.json", {"lens": 35.0, "sensor_width": 36.0, "shift_x": 0.1, **SIZE}, "'shift_x: 0.1'"),
        (
            "frame.json",
            {"captures": [{**UNITY, "matrix": [1, 0, 0.2, 0, 1, 0, 0, 0, -1]}]},
            "Unity Perception",
        ),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(
    name: str, content: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_lens(write(tmp_path, name, content))
    assert str(caught.value).startswith(str(tmp_path / name))
    assert str(caught.value).isprintable()


def test_a_file_of_matlab_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cameraParams.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(100))
    with pytest.raises(InputError, match=r"MATLAB files.*jsonencode"):
        read_lens(path)


NAMES_OF_FISHEYES: list[dict[str, Any]] = [
    *({name: True} for name in ("fisheye", "is_fisheye", "use_fisheye")),
    *({name: "fisheye"} for name in ("model", "type", "camera_type", "cam_type", "lens_type")),
    *({name: "fisheye"} for name in ("camera_model", "model_type", "projection")),
    *({name: "fisheye"} for name in ("projection_model", "distortion_type", "lens_model")),
    *(
        {"distortion_model": word}
        for word in ("equidistant", "KannalaBrandt", "Kannala-Brandt", "kb4", "opencv_fisheye")
    ),
    {"camera_model": "OPENCV_FISHEYE"},
    {"camera_model": "pinhole", "distortion_model": "equidistant"},
]


@pytest.mark.parametrize("named", NAMES_OF_FISHEYES, ids=str)
@pytest.mark.parametrize("form", ["matrix", "numbers", "list"])
def test_a_fisheye_is_one_wherever_its_name_stands(
    named: dict[str, Any], form: str, tmp_path: Path
) -> None:
    flat = {"fx": FX, "fy": FY, "cx": CX, "cy": CY}
    own = {
        "matrix": {"K": K, "D": KB},
        "numbers": {**flat, **{f"k{n}": number for n, number in enumerate(KB, 1)}},
        "list": {**flat, "distortion_coefficients": KB},
    }
    found = read_lens(write(tmp_path, "c.json", {**own[form], **SIZE, **named}))
    assert found.name == "fisheye"
    np.testing.assert_allclose(found.numbers[:8], (FX, FY, CX, CY, *KB), rtol=1e-9)
    assert found.note is None


def test_a_fisheye_is_one_by_its_place_in_the_file(tmp_path: Path) -> None:
    content = {"fisheye_calibration": {"camera_matrix": K, "dist_coeffs": KB}, **SIZE}
    assert read_lens(write(tmp_path, "c.json", content)).name == "fisheye"


OKVIS = """cameras:
  - {{T_SC: [1, 0, 0, 0], image_dimension: [{width}, {height}],
     distortion_coefficients: {bend}, distortion_type: {model},
     focal_length: [{fx}, {fy}], principal_point: [{cx}, {cy}]}}
"""
SVO = """label: rig
cameras:
- camera:
    image_height: {height}
    image_width: {width}
    type: pinhole
    intrinsics: {{cols: 1, rows: 4, data: [{fx}, {fy}, {cx}, {cy}]}}
    distortion:
      type: {model}
      parameters: {{cols: 1, rows: 4, data: {bend}}}
"""


@pytest.mark.parametrize("form", [OKVIS, SVO], ids=["OKVIS", "SVO"])
@pytest.mark.parametrize(
    ("model", "bend", "lens"),
    [("equidistant", KB, "fisheye"), ("radial-tangential", BEND, "opencv")],
)
def test_models_of_odometry_are_told_apart(
    form: str, model: str, bend: list[float], lens: str, tmp_path: Path
) -> None:
    text = form.format(
        model=model, bend=bend, width=WIDTH, height=HEIGHT, fx=FX, fy=FY, cx=CX, cy=CY
    )
    found = read_lens(write(tmp_path, "c.yaml", text))
    assert found.name == lens
    np.testing.assert_allclose(found.numbers[:8], (FX, FY, CX, CY, *bend), rtol=1e-9)
    assert found.size == (HEIGHT, WIDTH)


COEFFICIENTS: dict[str, Any] = {
    **{
        name: {name: BEND}
        for name in (
            *("D", "d", "D1", "dist", "disto", "distortion", "distortions", "coeffs", "coefs"),
            *("dist_coefs", "dist_coeff", "distCoeffs", "distortion_vector", "kc", "lens_params"),
            *("camera_distortion", "distortion_parameters", "cam_dist_coeffs"),
        )
    },
    "numbers": RADIAL,
    "capitals": {name.upper(): value for name, value in RADIAL.items()},
    "texts": {name: str(value) for name, value in RADIAL.items()},
    "mapping": {"coeffs": RADIAL},
    "rows": {"dist": [[number] for number in BEND]},
    "radial and tangential": {
        "RadialDistortion": None,
        "radial_distortion": BEND[:2],
        "tangential_distortion": BEND[2:],
    },
    "an empty list beside numbers": {"distortion": [], **RADIAL},
}


@pytest.mark.parametrize("form", COEFFICIENTS)
def test_coefficients_beside_a_matrix_have_any_name(form: str, tmp_path: Path) -> None:
    found = read_lens(write(tmp_path, "c.json", {"K": K, **SIZE, **COEFFICIENTS[form]}))
    assert found.name == "opencv"
    np.testing.assert_allclose(found.numbers[:8], (FX, FY, CX, CY, *BEND), rtol=1e-9)


@pytest.mark.parametrize(
    ("content", "is_noted"),
    [
        ({"K": K, "D": BEND}, True),
        ({"K": K, "D": BEND, "distortion_model": "plumb_bob"}, False),
        ({"K": K, "D": [*BEND, 0.01]}, False),
        ({"K": K, "D": [0, 0, 0, 0]}, False),
        ({"K": K, **RADIAL}, False),
        ({"fx": FX, "fy": FY, "cx": CX, "cy": CY, "dist": BEND}, True),
    ],
)
def test_four_numbers_without_a_model_are_noted(
    content: dict[str, Any], is_noted: bool, tmp_path: Path
) -> None:
    note = read_lens(write(tmp_path, "c.json", content)).note
    assert (note is not None) == is_noted
    assert note is None or "if they belong to a fisheye" in note


def test_coefficients_of_npz_have_any_name_and_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    np.savez(path, K=np.array(K), dist_coefs=np.array(KB)[:, None])
    found = read_lens(path)
    np.testing.assert_allclose(found.numbers[4:8], KB)
    assert "if they belong to a fisheye" in str(found.note)
    np.savez(path, K=np.array(K), D=np.array(KB), camera_model="fisheye")
    assert read_lens(path).name == "fisheye"
    np.savez(path, mtx_left=np.array(K), mtx_right=np.array(K))
    with pytest.raises(InputError, match="but the file has mtx_left, mtx_right"):
        read_lens(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "c.json",
            {"K": K, "D": BEND, "distortion_model": "none"},
            "the distortion model is 'none'",
        ),
        (
            "c.json",
            {"K": K, "D": BEND, "dist": KB},
            "distortion is given twice, in 'D' and in 'dist'",
        ),
        ("c.json", {"K": K, "D": BEND, "dist": [0, 0, 0, 0]}, "distortion is given twice"),
        ("c.json", {"K": K, "D": BEND, "k1": 0.5}, "distortion is given twice"),
        ("c.json", {"K": K, "fx": 100, "fy": 100, "cx": 3, "cy": 4}, "focal length is given twice"),
        ("c.json", {"K": K, "distortion": {"poly": [0.1]}}, "in an unsupported form"),
        ("c.json", '{"fx": 5, "fy": 5, "cx": 3, "cy": 2, "fx": 9}', "'fx' appears twice"),
        (
            "c.yaml",
            "%YAML:1.0\n"
            + "".join(
                f"Camera{n}.{name}: {n}00.0\n" for n in (1, 2) for name in ("fx", "fy", "cx", "cy")
            ),
            "two cameras .Camera1, Camera2",
        ),
        (
            "c.xml",
            "<a><l><K><data>5 0 3 0 5 2 0 0 1</data></K></l>"
            "<r><K><data>6 0 3 0 6 2 0 0 1</data></K></r></a>",
            "several cameras .their 'K' differs",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(
    name: str, content: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_lens(write(tmp_path, name, content))
    assert str(caught.value).startswith(str(tmp_path / name))
    assert str(caught.value).isprintable()


MATRICES = {
    "K": np.array(K),
    "K in columns": np.array(K).T,
    "projection": np.hstack([np.array(K), [[12.0], [0], [0]]]),
    "4 x 4": np.block([[np.array(K), np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]),
}


@pytest.mark.parametrize("form", MATRICES)
def test_a_matrix_in_npy_is_read_in_any_form(form: str, tmp_path: Path) -> None:
    np.save(tmp_path / "K.npy", MATRICES[form])
    np.testing.assert_allclose(read_lens(tmp_path / "K.npy").numbers, (FX, FY, CX, CY))


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "K.npy", np.stack([np.array(K)] * 2))
    with pytest.raises(InputError, match=r"shape \(2, 3, 3\); expected \(3, 3\) for K"):
        read_lens(tmp_path / "K.npy")


def test_a_camera_of_sintel_is_read(tmp_path: Path) -> None:
    path = tmp_path / "frame_0001.cam"
    content = b"PIEH" + np.array(K, "<f8").tobytes() + np.zeros((3, 4), "<f8").tobytes()
    path.write_bytes(content)
    np.testing.assert_allclose(read_lens(path).numbers, (FX, FY, CX, CY))
    path.write_bytes(content[:40])
    with pytest.raises(InputError, match="Sintel camera file is truncated"):
        read_lens(path)


def test_images_of_colmap_are_refused_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "images.bin"
    path.write_bytes(bytes(8))
    with pytest.raises(InputError, match=r"use the cameras\.bin"):
        read_lens(path)


def test_the_camera_of_a_result_holds_for_its_photograph(tmp_path: Path) -> None:
    content = {"source": {"file": "a.png", **SIZE}, "camera": {"K": K, "source": "given"}}
    found = read_lens(write(tmp_path, "a.json", content))
    assert found.size == (HEIGHT, WIDTH)
    np.testing.assert_allclose(found.numbers, (FX, FY, CX, CY))


def test_a_lens_of_a_picture_that_was_turned_is_refused_with_what_to_write() -> None:
    lens = read_spelling("pinhole:500,500,319.5,239.5@640x480")
    with pytest.raises(InputError, match=r"480x640 when upright.*fx and fy are swapped"):
        lens.lens((640, 480))
    with pytest.raises(InputError, match="a different aspect ratio"):
        lens.lens((640, 300))
