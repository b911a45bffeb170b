"""Camera files that state a camera twice, or that change the picture beside its intrinsics."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.io.cameras.lens_files import read_lens

FOCAL, SHAPE = 280.0, (240, 320)
SIZE = {"width": 320, "height": 240}
K = [[FOCAL, 0, 159.5], [0, FOCAL, 119.5], [0, 0, 1]]
OTHER = [[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]]
FLAT = {"fx": FOCAL, "fy": FOCAL, "cx": 159.5, "cy": 119.5, **SIZE}
NERF = {"fl_x": FOCAL, "fl_y": FOCAL, "cx": 160, "cy": 120, "w": 320, "h": 240, "frames": []}
ACROSS, DOWN = 2 * math.atan(160 / FOCAL), 2 * math.atan(120 / FOCAL)  # [rad]
THREE = {"type": "PerspectiveCamera", "fov": math.degrees(DOWN), "aspect": 4 / 3}
BLENDER = {"lens": 31.5, "sensor_width": 36.0, "resolution_x": 320, "resolution_y": 240}
WHOLE = {"fullWidth": 320, "fullHeight": 240, "width": 320, "height": 240}
VIEW = {**WHOLE, "enabled": True, "offsetX": 0, "offsetY": 0}
ROI = {"x_offset": 0, "y_offset": 0, "do_rectify": False, **SIZE}
RECTIFIED = [[250.0, 0, 150, 0], [0, 250.0, 110, 0], [0, 0, 1, 0]]


def write(folder: Path, content: Any, name: str = "c.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def numbers_of(path: Path) -> np.ndarray:
    return np.array(read_lens(path).lens(SHAPE).spelled_numbers[:4])


AGREEING: dict[str, Any] = {
    "angles of an intrinsic matrix": {"K": K, **SIZE, "hfov": 59, "vfov": 46},
    "an angle along the diagonal": {**FLAT, "fov": 71.1},
    "two angles": {**FLAT, "fov": [59.5, 46.4]},
    "NeRF": {**NERF, "camera_angle_x": ACROSS, "camera_angle_y": DOWN, "scale": 0.33},
    "NeRF with the camera of each frame": {**NERF, "frames": [NERF]},
    "millimetres, which are rounded": {**FLAT, "focal_length_mm": 4.1, "sensor_width_mm": 4.8},
    "a sensor beside pixels": {**FLAT, "focal": FOCAL, "sensor_width": 36},
    "no zoom": {**FLAT, "zoom": 1, "digital_zoom": 0},
    "a crop of all": {**FLAT, "crop": [0, 0, 320, 240]},
    "no crop": {**FLAT, "crop": None, "cropped": False, "crop_factor": 5.6},
    "ROS": {
        "K": [number for row in K for number in row],
        "P": [FOCAL, 0, 159.5, 0, 0, FOCAL, 119.5, 0, 0, 0, 1, 0],
        "roi": ROI,
        "binning_x": 1,
        **SIZE,
    },
    "scaled, with the size of the numbers": {
        "K": [[560, 0, 319.5], [0, 560, 239.5], [0, 0, 1]],
        "image_size": [640, 480],
        "downscale_factor": 2,
    },
    "three.js": {"object": {**THREE, "zoom": 1, "view": None, "filmOffset": 0, "filmGauge": 35}},
    "three.js, a view of all": {"object": {**THREE, "view": VIEW}},
    "Blender": {
        **BLENDER,
        "type": "PERSP",
        "pixel_aspect_x": 1,
        "pixel_aspect_y": 1,
        "shift_x": 0,
        "angle_x": ACROSS,
        "resolution_percentage": 50,
    },
    "Blender's angle": {**BLENDER, "lens_unit": "FOV", "angle": ACROSS},
    "the angle of a turn": {**BLENDER, "angle": 90},
    "Blender, the height of whose sensor counts": {
        **FLAT,
        "lens": 28.0,
        "sensor_width": 36,
        "sensor_height": 24,
        "sensor_fit": "VERTICAL",
    },
    "upright": {**FLAT, "orientation": 1, "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
    "a size and its aspect": {"hfov": math.degrees(ACROSS), "aspect_ratio": 1.333, **SIZE},
}


@pytest.mark.parametrize("form", AGREEING)
def test_statements_that_agree_need_no_word(form: str, tmp_path: Path) -> None:
    path = write(tmp_path, AGREEING[form])
    np.testing.assert_allclose(numbers_of(path), [FOCAL, FOCAL, 159.5, 119.5], rtol=1e-6)
    assert read_lens(path).note is None


@pytest.mark.parametrize("zoom", [0.5, 1.5, 2])
def test_a_zoom_of_three_enlarges_the_middle(zoom: float, tmp_path: Path) -> None:
    path = write(tmp_path, {"object": {**THREE, "zoom": zoom}})
    np.testing.assert_allclose(numbers_of(path), [FOCAL * zoom, FOCAL * zoom, 159.5, 119.5])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({**FLAT, "hfov": 50}, r"280 px and as 343.12 px \(from 'hfov: 50'\)"),
        ({**FLAT, "vfov": 60}, r"280 px and as 207.85 px \(from 'vfov: 60'\)"),
        ({**FLAT, "fov": 40}, "focal length is given twice"),
        ({"K": K, **SIZE, "horizontal_fov_deg": 80}, "190.68 px"),
        (
            {**NERF, "fl_x": 300, "camera_angle_x": ACROSS},
            r"300 px and as 280 px \(from 'camera_angle_x",
        ),
        ({**NERF, "camera_angle_y": 1.2}, r"280 px and as 175.4 px \(from 'camera_angle_y: 1.2'\)"),
        ({"fl_x": 280, "cx": 160, "cy": 120, "camera_angle_x": 1.6}, "camera_angle_x"),
        ({"camera_angle_x": 1.3, **FLAT}, "camera_angle_x"),
        ({**NERF, "K": OTHER}, r"280 and as 300 \(in 'K'\)"),
        ({**NERF, "fx": 300.0}, r"280 and as 300 \(in 'fx'\)"),
        ({"K": K, "intrinsics": OTHER, **SIZE}, r"300 and as 280 \(in 'K'\)"),
        ({"camera_matrix": {"data": K}, "K": OTHER, **SIZE}, r"280 and as 300 \(in 'K'\)"),
        (
            {**NERF, "frames": [{"fl_x": 300}]},
            "for all frames, but some frames have a different value",
        ),
        (
            {**FLAT, "focal_length_mm": 8, "sensor_width_mm": 4.8},
            r"as 533.33 px \(from 'focal_length_mm: 8'\)",
        ),
        ({"hfov": 60, **SIZE, "focal_length_mm": 50, "sensor_width_mm": 36}, "444.44 px"),
        ({**BLENDER, "angle_x": 0.5}, "focal length is given twice"),
        ({"vfov": 46.4, "aspect": 1.78, **SIZE}, "but the file gives 1.78"),
        ({**FLAT, "zoom": 2}, "has 'zoom: 2'"),
        ({"K": K, "digitalZoom": "2x"}, "has 'digitalZoom: 2x'"),
        ({"camera": FLAT, "zoom_factor": 1.5}, "has 'zoom_factor: 1.5'"),
        ({"hfov": 60, "zoom": 2, **SIZE}, "has 'zoom: 2'"),
        ({"intrinsics": FLAT, "crop": {"left": 9, "top": 0, **SIZE}}, "a crop .'crop: "),
        ({**FLAT, "crop_x": 12}, "a crop .'crop_x: 12'"),
        ({**FLAT, "roi": [10, 10, 300, 200]}, "region of interest"),
        ({"K": K, "width": 640, "height": 480, "roi": ROI}, "region of interest"),
        ({**FLAT, "OffsetX": 64}, "'OffsetX: 64'"),
        ({**FLAT, "BinningHorizontal": 2}, "a binning .'BinningHorizontal: 2'"),
        ({**FLAT, "binning_x": 2}, "a binning"),
        ({"K": K, "downscale_factor": 1.25}, "has 'downscale_factor: 1.25'"),
        ({**BLENDER, "crop": {"x": 0, "y": 0, "w": 160, "h": 120}}, "a crop"),
        ({"object": {**THREE, "filmOffset": 5}}, "'filmOffset: 5'"),
        ({"object": {**THREE, "view": {**VIEW, "fullWidth": 640}}}, "'view'"),
        ({"object": {**THREE, "view": {**VIEW, "offsetX": 20}}}, "'view'"),
        ({"object": {**THREE, "zoom": -1}}, "'zoom' is -1; expected a positive"),
        ({**BLENDER, "pixel_aspect_x": 2.0, "pixel_aspect_y": 1.0}, "'pixel_aspect_x: 2'"),
        ({**BLENDER, "pixel_aspect_x": 1, "pixel_aspect_y": 1.2}, "'pixel_aspect_y: 1.2'"),
        ({**BLENDER, "squeeze_ratio": 2}, "'squeeze_ratio: 2'"),
        ({**BLENDER, "type": "ORTHO"}, "'type: ORTHO', but a field of view"),
        ({**BLENDER, "lensShift": {"x": 0, "y": 0.1}}, "'lensShift"),
        ({"hfov": 60, **SIZE, "lens_shift": [0, 0.2]}, "'lens_shift"),
        ({"hfov": 150, **SIZE, "projection": "fisheye"}, "'projection: fisheye'"),
        ({"hfov": 150, **SIZE, "cameraModel": "fisheyePolynomial"}, "fisheyePolynomial"),
        ({"hfov": 150, **SIZE, "lens": "8mm Fisheye"}, "'lens: 8mm Fisheye'"),
        ({"hfov": 150, **SIZE, "is_fisheye": True}, "and a lens with distortion"),
        ({"hfov": 60, **SIZE, "k1": -0.3, "k2": 0.1}, "and a lens with distortion"),
    ],
    ids=str,
)
def test_what_contradicts_or_changes_the_camera_is_refused(
    content: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_lens(write(tmp_path, content))
    assert str(caught.value).startswith(str(tmp_path / "c.json"))
    assert str(caught.value).isprintable()


FILM = {"lens": 42.0, "sensor_width": 36.0}  # 373.33 px across 320, and 280 px across 240


@pytest.mark.parametrize(
    "angle",
    [
        {"angle": ACROSS},
        {"angle": math.degrees(ACROSS)},
        {"angle": ACROSS, "lens_unit": "FOV"},
        {"camera_angle": ACROSS},
        {"angle_x": ACROSS},
        {"angle_y": DOWN},
        {"fov_x": math.degrees(ACROSS)},
        {"vfov": math.degrees(DOWN)},
        {"camera_angle_x": ACROSS},
        {"fl_x": FOCAL},
        {"fx": FOCAL, "fy": FOCAL},
        {"K": K},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "size",
    [SIZE, {"w": 320, "h": 240}, {"resolution_x": 320, "resolution_y": 240}],
    ids=["size", "w and h", "resolution"],
)
def test_millimetres_across_a_lying_picture_contradict_an_angle(
    angle: dict[str, Any], size: dict[str, int], tmp_path: Path
) -> None:
    """The sensor's width is that of the longer side, so 280 px across the shorter do not agree."""
    for millimetres in (FILM, {"focal_length_mm": 42, "sensor_width_mm": 36}):
        content = {**millimetres, **angle, **size}
        if "fl_x" in angle and "w" not in size:
            content |= {"cx": 160, "cy": 120}
        with pytest.raises(InputError, match="focal length is given twice"):
            read_lens(write(tmp_path, content))


@pytest.mark.parametrize("name", ["angle_x", "fov_x", "hfov", "camera_angle_x"])
def test_millimetres_beside_an_angle_and_no_size_have_to_agree(name: str, tmp_path: Path) -> None:
    agreeing = {"lens": 31.5, "sensor_width": 36, name: ACROSS}
    np.testing.assert_allclose(numbers_of(write(tmp_path, agreeing)), [280, 280, 159.5, 119.5])
    with pytest.raises(InputError, match=r"31\.5 mm and as 42 mm \(from 'lens: 42'\)"):
        read_lens(write(tmp_path, {**agreeing, "lens": 42}))


def test_millimetres_of_an_upright_picture_may_be_of_either_side(tmp_path: Path) -> None:
    upright = {"fx": FOCAL, "fy": FOCAL, "width": 240, "height": 320, "sensor_width": 36}
    for millimetres in (31.5, 42):
        read_lens(write(tmp_path, {**upright, "lens": millimetres}))
    with pytest.raises(InputError, match="focal length is given twice"):
        read_lens(write(tmp_path, {**upright, "lens": 42, "sensor_fit": "AUTO"}))
    with pytest.raises(InputError, match="focal length is given twice"):
        read_lens(write(tmp_path, {**upright, "lens": 36.5}))


def test_millimetres_that_exceed_the_pixels_are_compared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="from 'focal_length_mm: 300'"):
        read_lens(write(tmp_path, {**FLAT, "focal_length_mm": 300, "sensor_width_mm": 36}))


WIDE = {"yfov": DOWN, "aspectRatio": 16 / 9}


@pytest.mark.parametrize(
    "content",
    [
        {"cameras": [{"type": "perspective", "perspective": WIDE}]},
        {"object": {**THREE, "aspect": 16 / 9}},
        {"hfov": 60, "aspect": 1.5},
        {"fov_x": 60, "fov_y": 36},
        {"camera_angle_x": 1.05, "camera_angle_y": 0.63, "frames": []},
    ],
    ids=str,
)
def test_an_aspect_that_is_not_that_of_the_photograph_is_refused(
    content: Any, tmp_path: Path
) -> None:
    lens = read_lens(write(tmp_path, content))
    assert lens.aspect is not None
    lens.lens((360, round(360 * lens.aspect)))
    for shape in (SHAPE, (320, 240)):
        with pytest.raises(
            InputError, match=r"for pictures with an aspect ratio of .*: give the angle"
        ):
            lens.lens(shape)


ROS = f"""image_width: 320
image_height: 240
camera_matrix: {{rows: 3, cols: 3, data: [{FOCAL}, 0, 159.5, 0, {FOCAL}, 119.5, 0, 0, 1]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: [-0.3, 0.1, 0, 0, 0]}}
projection_matrix: {{rows: 3, cols: 4, data: [250, 0, 150, 0, 0, 250, 110, 0, 0, 0, 1, 0]}}
"""
OST = f"""# oST version 5.0 parameters
[image]
width
320
height
240
[narrow_stereo]
camera matrix
{FOCAL} 0 159.5
0 {FOCAL} 119.5
0 0 1
distortion
-0.3 0.1 0 0 0
projection
250 0 150 0
0 250 110 0
0 0 1 0
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", {"K": K, "D": [0] * 5, "P": RECTIFIED, **SIZE}),
        ("c.json", {"raw": {"K": K, **SIZE}, "P": RECTIFIED}),
        ("c.json", {**FLAT, "new_camera_matrix": [row[:3] for row in RECTIFIED]}),
        ("c.json", {"mtx": K, **SIZE, "newcameramtx": [row[:3] for row in RECTIFIED]}),
        ("ost.yaml", ROS),
        ("ost.txt", OST),
    ],
    ids=str,
)
def test_a_matrix_of_rectified_pictures_is_named_beside_that_of_raw_ones(
    name: str, content: Any, tmp_path: Path
) -> None:
    path = write(tmp_path, content, name)
    assert read_lens(path).numbers[:4] == (FOCAL, FOCAL, 159.5, 119.5)
    note = str(read_lens(path).note)
    assert "belongs to raw images" in note
    assert "pass pinhole:250,250,150,110@320x240" in note


def test_a_new_matrix_in_npz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    np.savez(path, mtx=np.array(K), dist=np.zeros(5), newcameramtx=np.array(OTHER))
    assert "pass pinhole:300,300,160,120" in str(read_lens(path).note)
    np.savez(path, mtx=np.array(K), dist=np.zeros(5), newcameramtx=np.array(K))
    assert read_lens(path).note is None


def test_kitti_of_rectified_pictures_names_the_raw_camera(tmp_path: Path) -> None:
    raw = "K_02: 300 0 161 0 300 118 0 0 1\nD_02: -0.3 0.1 0 0 0\n"
    rectified = f"P_rect_02: {FOCAL} 0 159.5 0 0 {FOCAL} 119.5 0 0 0 1 0\n"
    lens = read_lens(write(tmp_path, raw + rectified, "calib_cam_to_cam.txt"))
    assert lens.numbers == (FOCAL, FOCAL, 159.5, 119.5)
    assert "if the image is raw, pass the numbers of K_02 and D_02" in str(lens.note)
    assert read_lens(write(tmp_path, rectified, "calib.txt")).note is None


def test_matrices_of_rectified_pictures_alone_are_spelled_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"250,250,150,110 for the left image \(P1\).*\(P2\)"):
        read_lens(write(tmp_path, {"R1": K, "P1": RECTIFIED, "P2": RECTIFIED}))


@pytest.mark.parametrize(
    "change",
    [{"orientation": 90}, {"image_rotation": "180"}, {"Orientation": 6}, {"flip_horizontal": True}],
    ids=str,
)
def test_an_orientation_is_noted(change: dict[str, Any], tmp_path: Path) -> None:
    for content in ({**FLAT, **change}, {"hfov": 60, **SIZE, **change}):
        note = str(read_lens(write(tmp_path, content)).note)
        assert next(iter(change)) in note
        assert "not applied" in note


def test_a_fisheye_by_its_name_alone_is_noted_beside_the_numbers_of_a_pinhole(
    tmp_path: Path,
) -> None:
    note = str(read_lens(write(tmp_path, {"K": K, **SIZE, "lens": "8mm Fisheye"})).note)
    assert "'lens: 8mm Fisheye' but no distortion" in note
    assert read_lens(write(tmp_path, {"K": K, **SIZE, "lens": "Sony FE 24mm"})).note is None
    assert read_lens(write(tmp_path, {"K": K, **SIZE, "model": "fisheye"})).name == "fisheye"


RADIAL = {"k1": 0.05, "k2": -0.01, "k3": 0.002}


@pytest.mark.parametrize("camera", [NERF, FLAT], ids=["NeRF", "flat"])
@pytest.mark.parametrize(
    ("beside", "is_noted"),
    [
        ({}, True),
        ({"k4": 0}, True),
        ({"k4": 0, "p1": 0, "p2": 0}, True),
        ({"p1": 0, "p2": 0}, False),
        ({"k3": 0, "k4": 0}, False),
        ({"p1": 1e-4, "p2": 0}, False),
        ({"camera_model": "OPENCV"}, False),
        ({"is_fisheye": False}, False),
    ],
    ids=str,
)
def test_three_radial_coefficients_without_a_model_may_be_a_fisheyes(
    camera: dict[str, Any], beside: dict[str, Any], is_noted: bool, tmp_path: Path
) -> None:
    lens = read_lens(write(tmp_path, {**camera, **RADIAL, **beside}))
    assert lens.name == "opencv"
    assert ("if they belong to a fisheye" in str(lens.note)) == is_noted
    if is_noted:
        named = {**camera, **RADIAL, **beside, "camera_model": "OPENCV_FISHEYE"}
        lens = read_lens(write(tmp_path, named))
        assert (lens.name, lens.note) == ("fisheye", None)


MITSUBA = """<scene version='3.0.0'><sensor type='perspective'><float name='fov' value='59.4898'/>
<film type='hdrfilm'><integer name='width' value='320'/><integer name='height' value='240'/>
<float name='{}' value='{}'/></film></sensor></scene>"""
GAZEBO = """<sdf version='1.6'><sensor type='camera' name='c'><camera>
<horizontal_fov>1.0383</horizontal_fov><image><width>320</width><height>240</height></image>
{}</camera></sensor></sdf>"""


def gazebo_intrinsics(fx: float, fy: float, cx: float, cy: float, skew: float) -> str:
    numbers = {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "s": skew}
    elements = "".join(f"<{name}>{number}</{name}>" for name, number in numbers.items())
    return GAZEBO.format(f"<lens><intrinsics>{elements}</intrinsics></lens>")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (MITSUBA.format("principal_point_offset_x", 0), None),
        (MITSUBA.format("principal_point_offset_x", 0.1), "principal_point_offset_x"),
        (MITSUBA.format("crop_width", 320), None),
        (MITSUBA.format("crop_width", 160), "a crop"),
        (GAZEBO.format("<distortion><k1>0</k1><k2>0</k2></distortion>"), None),
        (GAZEBO.format("<distortion><k1>-0.2</k1></distortion>"), "a lens with distortion"),
        (GAZEBO.format("<lens><type>gnomonical</type></lens>"), None),
        (gazebo_intrinsics(280, 280, 160, 120, 0), None),
        (gazebo_intrinsics(280, 280, 159.5, 119.5, 0), None),
        (gazebo_intrinsics(400, 400, 160, 120, 0), r"280 px and as 400 px \(from 'fx: 400'\)"),
        (gazebo_intrinsics(280, 400, 160, 120, 0), r"280 px and as 400 px \(from 'fy: 400'\)"),
        (gazebo_intrinsics(280, 280, 150, 120, 0), "'cx: 150'"),
        (gazebo_intrinsics(280, 280, 160, 130, 0), "'cy: 130'"),
        (gazebo_intrinsics(280, 280, 160, 120, 3), "'s: 3'"),
        (GAZEBO.format("<lens><type>stereographic</type></lens>"), "'lens_type: stereographic'"),
    ],
)
def test_scenes_with_a_part_or_a_lens_beside_an_angle_are_refused(
    content: str, says: str | None, tmp_path: Path
) -> None:
    path = write(tmp_path, content, "scene.xml")
    if says is None:
        np.testing.assert_allclose(numbers_of(path), [FOCAL, FOCAL, 159.5, 119.5], rtol=1e-4)
        return
    with pytest.raises(InputError, match=says):
        read_lens(path)
