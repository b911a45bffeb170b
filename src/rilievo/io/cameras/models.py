"""Camera models in files of Kalibr, ROS and OpenCV."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np

from rilievo.errors import InputError
from rilievo.io.cameras.distortions import (
    NOT_NAMED,
    UNREAD_DISTORTIONS,
    is_distortion_name,
    may_be_fisheye,
    read_statement,
    with_small_letters,
)
from rilievo.io.cameras.rectified_matrices import is_rectified_matrix
from rilievo.io.files.names import printable
from rilievo.io.numbers import npz_member, one_line_errors, open_npz
from rilievo.io.picture_changes import refuse_picture_changes

READ = (
    "read are pinholes with radtan (also called plumb_bob, opencv, rational_polynomial; 4, 5 or 8 "
    "coefficients), equidistant (fisheye, Kannala-Brandt; 4) and fov (1), and panoramas"
)
UNKNOWN_MODELS: Mapping[str, str] = {
    "omni": "omni (Mei's unified model)",
    "mei": "MEI (Mei's unified model)",
    "ds": "ds (double sphere)",
    "double_sphere": "double_sphere",
    "eucm": "eucm (extended unified model)",
    "ucm": "ucm (unified model)",
    "scaramuzza": "Scaramuzza's polynomial",
    "ocam": "OCam (Scaramuzza's polynomial)",
    "ocamcalib": "OCamCalib (Scaramuzza's polynomial)",
    "thin_prism_fisheye": "THIN_PRISM_FISHEYE",
    "rad_tan_thin_prism_fisheye": "RAD_TAN_THIN_PRISM_FISHEYE",
    "division": "division",
    "simple_division": "SIMPLE_DIVISION",
    "orthographic": "orthographic",
}
_RADTAN = "radtan"
_MODELS: Mapping[str, str] = {
    **dict.fromkeys(("pinhole", "simple_pinhole", "rectified", "perspective"), _RADTAN),
    **dict.fromkeys(("opencv", "simple_radial", "radial", "full_opencv", "brown"), _RADTAN),
    **dict.fromkeys(
        ("kannalabrandt8", "kannalabrandt", "kannala_brandt", "opencv_fisheye", "fisheye"),
        "equidistant",
    ),
    **dict.fromkeys(("radial-tangential", "radial_tangential", "brown_conrady"), _RADTAN),
    **dict.fromkeys(("simple_radial_fisheye", "radial_fisheye", "equidistant"), "equidistant"),
}
_FOCALS = ("fx", "fy", "cx", "cy")
FOCAL_X = (
    *("fx", "focal_x", "f_u", "fu", "f_x", "fx_px", "focal_length_x", "focal_length_x_px_"),
    *("focal_length_px", "focallength_px", "focal_px", "f_px"),
)
FOCAL_Y = (
    *("fy", "focal_y", "f_v", "fv", "f_y", "fy_px", "focal_length_y", "focal_length_y_px_"),
    *FOCAL_X,
)
"""Names of focal lengths in pixels; that along columns is the other if it is not stated."""
WIDTHS = (
    *("width", "w", "image_width", "image_Width", "imageWidth", "img_width", "colorWidth"),
    *("width_px", "Width", "W", "image_w", "img_w", "imgWidth", "cols", "frame_width"),
    *("image_size_x", "resolution_x", "size_x", "res_x"),
)
HEIGHTS = (
    *("height", "h", "image_height", "image_Height", "imageHeight", "img_height", "colorHeight"),
    *("height_px", "Height", "H", "image_h", "img_h", "imgHeight", "rows", "frame_height"),
    *("image_size_y", "resolution_y", "size_y", "res_y"),
)
"""Names of the sides of a picture."""
CENTRE_X = ("cx", "ppx", "u0", "px", "c_x", "mx", "c_u", "cu", "cx_px", "principal_point_x")
CENTRE_X = (*CENTRE_X, "focal_center_x_px_", "center_x")
CENTRE_Y = ("cy", "ppy", "v0", "py", "c_y", "my", "c_v", "cv", "cy_px", "principal_point_y")
CENTRE_Y = (*CENTRE_Y, "focal_center_y_px_", "center_y")
"""Names of the principal point."""
_OTHER_PARTS = (
    *("xi", "alpha", "beta", "lambda", "lambda_", "s1", "s2", "s3", "s4", "tau_x", "tau_y"),
    *(
        "skew",
        "skew_factor",
        "gamma",
        "s",
        "b1",
        "b2",
        "k7",
        "k8",
        "p3",
        "p4",
        "ftheta_p0",
        "ftheta_p1",
    ),
)
"""Coefficients of other models."""
_NPZ_MATRIX = ("K", "mtx", "camera_matrix", "cameraMatrix", "intrinsics", "intrinsic_matrix", "M1")
_NPZ_SIZE = ("image_size", "imageSize", "img_size", "size", "resolution")


MATRICES = (
    *("intrinsics", "camera_matrix", "Camera_Matrix", "cameraMatrix", "intrinsic_matrix", "K"),
    *("M1", "k", "cam_K", "camera_intrinsic", "camera_intrinsics", "intrinsic", "intrinsicMatrix"),
    *("cameraIntrinsics", "Intrinsics", "intrinsics_matrix", "mtx", "cam_intrinsic"),
)
"""Names of a matrix or of four numbers, which are a list or OpenCV's mapping with ``data``."""


def to_kalibr_entries(entries: Mapping[str, Any], place: str, label: str = "") -> Mapping[str, Any]:
    """Convert calibrations of ORB-SLAM, VINS, ``transforms.json`` and others to Kalibr's names.

    ``label`` is the place of the camera in its file, which may say that it is a fisheye.

    Raises:
        InputError: If they name a model that is not read, or a change of the picture.
    """
    entries = with_small_letters(entries)
    refuse_picture_changes(entries, stated_size(entries), place)
    forms = (
        _kalibr_from_orb_slam(entries, place)
        or _kalibr_from_vins(entries)
        or _kalibr_from_transforms(entries, place)
        or _kalibr_from_opensfm(entries, place)
        or _kalibr_from_flat(entries, place, label)
        or _kalibr_from_matrix(entries, place, label)
        or entries
    )
    for name in ("camera_model", "camera_type", "model_type", "model", "distortion_model"):
        model = str(forms.get(name) or "").strip()
        unknown = UNKNOWN_MODELS.get(model.lower())
        if unknown is not None:
            raise InputError(f"has the camera model '{printable(unknown)}'; {READ}", path=place)
    _refuse_other_parts(entries, place)
    return forms


def _refuse_other_parts(entries: Mapping[str, Any], place: str) -> None:
    """Refuse numbers that belong to lens models that are not read."""
    for name in _OTHER_PARTS:
        number = entries.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool) and number:
            raise InputError(
                f"has '{name}: {number:g}', a part of a lens model that is not read; {READ}",
                path=place,
            )
    for name, value in entries.items():
        word = str(name).lower()
        is_read = is_distortion_name(str(name)) or word.endswith(("model", "type"))
        if any(part in word for part in _DISTORTION_WORDS) and not is_read and _states_more(value):
            raise InputError(
                f"has '{printable(str(name)[:40])}', a distortion in a form that is not read: "
                "write it as 'distortion_coefficients: [k1, k2, p1, p2]' or as k1, k2, p1 and p2",
                path=place,
            )
    other = next((name for name in ("M2", "K2", "cameraMatrix2") if entries.get(name)), None)
    first = next((name for name in ("M1", "K1", "cameraMatrix1") if entries.get(name)), None)
    if other is not None and first is not None and entries[other] != entries[first]:
        raise InputError(
            f"holds two cameras ({first}, {other}): keep the one of this photograph", path=place
        )


_DISTORTION_WORDS = ("distort", "disto", "radial", "tangential")


def _states_more(value: Any) -> bool:
    """Whether an entry has numbers, at any depth, that are not 0."""
    if isinstance(value, Mapping):
        return any(_states_more(child) for child in value.values())
    if isinstance(value, list):
        return any(_states_more(child) for child in value)
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0


def _numbers_by_name(
    entries: Mapping[str, Any], names: Sequence[Sequence[str]]
) -> list[Any] | None:
    """First entry of each group of names; None if a group has none."""
    found = [next((entries[name] for name in group if name in entries), None) for group in names]
    return None if any(number is None for number in found) else found


_SIZE_NAMES = ("resolution", "image_size", "imageSize", "img_size", "image_resolution", "size")
_SIZE_OF_MATRIX = re.compile(r"(calib|reference|intrinsic).*(size|resolution|dim|shape)", re.I)
_SIZE_OF_PICTURE = re.compile(r"(size|resolution|dims?|dimensions?|shape)$", re.I)
_NO_SIZE = re.compile(
    r"board|pattern|grid|square|chess|marker|tile|patch|window|voxel|pixel|thumb|depth|batch|"
    r"output|target|orig|sensor|chip|font|step|crop|roi",
    re.I,
)
"""Words of sizes that are not those of the picture."""
_LEAST_SIDE = 16  # [px]


def stated_size(entries: Mapping[str, Any]) -> list[Any]:
    """Width and height by any of their names; [] without them.

    That of the calibration goes before that of the picture. A ``shape`` has its height first.
    """
    matrix_sizes = [name for name in entries if _SIZE_OF_MATRIX.search(str(name))]
    for name in (*matrix_sizes, *_SIZE_NAMES):
        sides = _sides_of_value(entries.get(name))
        if sides:
            return sides
    sides = _numbers_by_name(entries, (WIDTHS, HEIGHTS))
    # Rows and columns may be those of a matrix.
    is_matrix = sides is not None and sides == [entries.get("cols"), entries.get("rows")]
    if sides is not None and (not is_matrix or all(_is_side(side) for side in sides)):
        return sides
    for name, value in entries.items():
        if not _SIZE_OF_PICTURE.search(str(name)) or _NO_SIZE.search(str(name)):
            continue
        sides = _sides_of_value(value)
        if len(sides) == 2 and all(_is_side(side) for side in sides):
            is_shape = str(name).lower().endswith("shape")
            return [sides[1], sides[0]] if is_shape else sides
    return []


def _sides_of_value(value: Any) -> list[Any]:
    """Width and height of a mapping, of a list or of a text such as 640x480; [] of another."""
    if isinstance(value, Mapping):
        return _numbers_by_name(value, (WIDTHS, HEIGHTS)) or []
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{2,6})\s*[xX*,]\s*(\d{2,6})\s*", value)
        return [] if match is None else [int(match[1]), int(match[2])]
    if isinstance(value, list) and len(value) in (2, 3):
        # A third number is a count of channels.
        is_size = len(value) == 2 or value[2] in (1, 3, 4)
        return value[:2] if is_size else []
    return []


def _is_side(side: Any) -> bool:
    is_number = isinstance(side, int | float) and not isinstance(side, bool)
    return is_number and _LEAST_SIDE <= side < math.inf and float(side).is_integer()


def _kalibr_from_flat(
    entries: Mapping[str, Any], place: str, label: str
) -> Mapping[str, Any] | None:
    """Entries of flat files, as of RealSense, Polycam, BOP, Gaussian splatting and Cityscapes."""
    entries = _with_separate_numbers(entries)
    focal = _numbers_by_name(entries, (FOCAL_X, FOCAL_Y))
    if focal is None or "projection_type" in entries:
        return None
    size = stated_size(entries)
    centre = _numbers_by_name(entries, (CENTRE_X, CENTRE_Y))
    if centre is None:
        if len(size) != 2:
            raise InputError(
                "states a focal length, but neither the principal point (cx, cy) nor the size of "
                "the picture (width, height): add one of them",
                path=place,
            )
        # What states no principal point means the middle.
        centre = [(float(side) - 1) / 2 for side in size]
    _refuse_other_focal_length(entries, focal[0], place)
    resolution = {"resolution": [*size]} if len(size) == 2 and all(size) else {}
    return {**_lens_entries(entries, place, label), **resolution, "intrinsics": [*focal, *centre]}


def _lens_entries(entries: Mapping[str, Any], place: str, label: str) -> dict[str, Any]:
    """Model and coefficients of a camera in Kalibr's names."""
    statement = read_statement(entries, place, label)
    if statement.is_unread and statement.bends:
        raise InputError(f"has the camera model '{printable(statement.shown)}'; {READ}", path=place)
    return {
        "distortion_coeffs": [*statement.coefficients],
        "distortion_model": statement.model,
        "stated_model": statement.shown or statement.model,
        "distortion_name": statement.name,
    }


def _refuse_other_focal_length(entries: Mapping[str, Any], focal: Any, place: str) -> None:
    """Refuse another focal length [px] in a matrix, or under another name."""
    if not _is_plain_number(focal):
        return
    stated = {name: entries.get(name) for name in (*FOCAL_X, "fl_x")}
    stated |= {name: _first_of_matrix(entries.get(name)) for name in MATRICES}
    for name, other in stated.items():
        if _is_plain_number(other) and abs(other - focal) > 1e-3 * abs(focal):
            raise InputError(
                f"states two focal lengths, {focal:g} and {other:g} in "
                f"'{printable(name)}': keep the one that holds",
                path=place,
            )


def _first_of_matrix(value: Any) -> Any:
    """First number of a matrix; None of anything else."""
    rows = value.get("data") if isinstance(value, Mapping) else value
    rows = rows if isinstance(rows, list) else []
    flat = [number for row in rows for number in (row if isinstance(row, list) else [row])]
    return flat[0] if len(flat) in (9, 12, 16) else None


_FOCAL_LISTS = ("focal_length", "focalLength", "focal_lengths", "focal", "f", "FocalLength")
_CENTRE_LISTS = (
    "principal_point",
    "principalPoint",
    "PrincipalPoint",
    "pp",
    "center",
    "centre",
    "c",
)


def has_focal_list(entries: Mapping[str, Any]) -> bool:
    """Whether focal lengths and centre are lists of two, or one focal length stands beside cx."""
    return "fx" in _with_separate_numbers(entries)


def _with_separate_numbers(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Entries whose focal lengths and centre are four numbers if they are lists of two."""
    if any(name in entries for name in FOCAL_X):
        return entries
    focal = next((entries[name] for name in _FOCAL_LISTS if _is_pair(entries.get(name))), None)
    centre = next((entries[name] for name in _CENTRE_LISTS if _is_pair(entries.get(name))), None)
    if focal is not None and centre is not None:
        return {**entries, "fx": focal[0], "fy": focal[1], "cx": centre[0], "cy": centre[1]}
    single = next(
        (entries[name] for name in _FOCAL_LISTS if _is_plain_number(entries.get(name))), None
    )
    has_centre = _is_plain_number(entries.get("cx")) and _is_plain_number(entries.get("cy"))
    is_metric = any("sensor" in str(name).lower() for name in entries)
    if single is None or is_metric or "projection_type" in entries:
        return entries
    if centre is not None:
        return {**entries, "fx": single, "fy": single, "cx": centre[0], "cy": centre[1]}
    return {**entries, "fx": single, "fy": single} if has_centre else entries


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_plain_number, value))


def _kalibr_from_matrix(
    entries: Mapping[str, Any], place: str, label: str
) -> Mapping[str, Any] | None:
    """Entries of a matrix, as of ROS, OpenCV and Kalibr, with the lens that stands beside it."""
    if all(entries.get(name) is None for name in MATRICES):
        return None
    first = next(name for name in MATRICES if entries.get(name) is not None)
    _refuse_other_focal_length(entries, _first_of_matrix(entries[first]), place)
    read = {
        name: value
        for name, value in entries.items()
        if not (is_distortion_name(str(name)) and isinstance(value, list | Mapping))
    }
    if isinstance(read.get("k"), list) and "K" not in read:
        read["K"] = read.pop("k")
    return {**read, **_lens_entries(entries, place, label)}


def _kalibr_from_opensfm(entries: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    """Entries of OpenSfM: focal lengths and centre are shares of the longer side."""
    kind = entries.get("projection_type")
    if not isinstance(kind, str):
        return None
    size = stated_size(entries)
    if kind in ("spherical", "equirectangular"):
        return {"lens": "equirect"}
    model = {
        "perspective": "radtan",
        "brown": "radtan",
        "simple_radial": "radtan",
        "radial": "radtan",
        "fisheye": "equidistant",
        "fisheye_opencv": "equidistant",
    }.get(kind)
    if model is None or len(size) != 2:
        raise InputError(f"has OpenSfM's projection '{printable(kind[:60])}'; {READ}", path=place)
    width, height = (float(side) for side in size)
    longer = max(width, height)
    focal = float(entries.get("focal_x", entries.get("focal", 0))) * longer
    focal_y = float(entries.get("focal_y", entries.get("focal", 0))) * longer
    centre = [
        float(entries.get("c_x", 0)) * longer + (width - 1) / 2,
        float(entries.get("c_y", 0)) * longer + (height - 1) / 2,
    ]
    return {
        "intrinsics": [focal, focal_y, *centre],
        "distortion_coeffs": _distortion_coefficients(entries, model),
        "distortion_model": model,
        "resolution": [width, height],
    }


def _distortion_coefficients(entries: Mapping[str, Any], model: str) -> list[Any]:
    names: Sequence[str] = ("k1", "k2", "k3", "k4")
    if model != "equidistant":
        names = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    numbers = [entries.get(name, 0) for name in names]
    least = 4
    while len(numbers) > least and not numbers[-1]:
        numbers.pop()
    # OpenCV has 4, 5 or 8 coefficients.
    return numbers + [0] * (8 - len(numbers) if len(numbers) > 5 else 0)


def _kalibr_entries(
    focal: Sequence[Any], entries: Mapping[str, Any], model: str, size: Sequence[Any]
) -> Mapping[str, Any]:
    model_name = _MODELS.get(model.lower().replace(" ", ""), model)
    return {
        "intrinsics": [*focal],
        "distortion_coeffs": _distortion_coefficients(entries, model_name),
        "distortion_model": model_name,
        **({"resolution": [*size]} if len(size) == 2 and all(size) else {}),
    }


def _kalibr_from_orb_slam(entries: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    first, second = (
        [entries.get(f"{prefix}{name}") for name in _FOCALS] for prefix in ("Camera1.", "Camera2.")
    )
    if second[0] is not None and first != second:
        raise InputError(
            "holds two cameras (Camera1, Camera2): keep the one of this photograph", path=place
        )
    for prefix in ("Camera.", "Camera1."):
        own = {
            str(key).removeprefix(prefix): entry
            for key, entry in entries.items()
            if str(key).startswith(prefix)
        }
        if all(name in own for name in _FOCALS):
            size = [entries.get("Camera.width"), entries.get("Camera.height")]
            model = str(entries.get("Camera.type") or own.get("type") or "PinHole")
            return _kalibr_entries([own[name] for name in _FOCALS], own, model, size)
    return None


def _kalibr_from_vins(entries: Mapping[str, Any]) -> Mapping[str, Any] | None:
    own = entries.get("projection_parameters")
    if not isinstance(own, Mapping):
        return None
    model = str(entries.get("model_type") or "PINHOLE")
    if model.lower() in UNKNOWN_MODELS:
        return {"model_type": model}
    bend = entries.get("distortion_parameters")
    bend = bend if isinstance(bend, Mapping) else {}
    focal = [own.get(name) for name in _FOCALS]
    if "mu" in own:
        # Kannala and Brandt's coefficients begin at the third power there.
        focal = [own.get(name) for name in ("mu", "mv", "u0", "v0")]
        bend = {f"k{number - 1}": own.get(f"k{number}", 0) for number in (2, 3, 4, 5)}
    size = [entries.get("image_width"), entries.get("image_height")]
    return _kalibr_entries(focal, bend, model, size)


def _kalibr_from_transforms(entries: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    """Entries of NeRF's ``transforms.json``, as of instant-ngp and nerfstudio."""
    entries = _with_camera_of_frames(entries, place)
    _refuse_other_focal_length(entries, entries.get("fl_x"), place)
    width, height = entries.get("w"), entries.get("h")
    angle, fx = entries.get("camera_angle_x"), entries.get("fl_x")
    has_pixels = any(name in entries for name in FOCAL_X)
    if fx is None and (has_pixels or not isinstance(angle, float | int)):
        return None
    angle = float(angle) if isinstance(angle, float | int) else math.nan

    model = _transforms_model(entries, place)
    if model is None:
        return {"lens": "equirect"}
    if fx is None:
        _check_angle("camera_angle_x", angle, place)
        if not isinstance(width, float | int):
            # Nothing but the field of view: the principal point is the middle of the picture.
            return {
                "lens": f"pinhole:{math.degrees(angle)!r}",
                "picture_aspect": _aspect_of_angles(angle, entries.get("camera_angle_y"), place),
            }
        fx = 0.5 * width / math.tan(0.5 * angle)
    # The corner of the first pixel is the origin there, as in COLMAP.
    middle = [None if side is None else side / 2 for side in (width, height)]
    cx, cy = entries.get("cx", middle[0]), entries.get("cy", middle[1])
    if cx is None or cy is None:
        raise InputError(
            "states a focal length, but neither the principal point (cx, cy) nor the size of the "
            "picture (w, h): add one of them",
            path=place,
        )
    centre = [value - 0.5 if isinstance(value, float | int) else value for value in (cx, cy)]
    focal = [fx, entries.get("fl_y", fx), *centre]
    camera = _kalibr_entries(focal, entries, model, [width, height])
    if not entries.get("camera_model") and may_be_fisheye(entries):
        return {**camera, "distortion_model": NOT_NAMED}
    return camera


def _aspect_of_angles(across: float, down: Any, place: str) -> float | None:
    """Width over height of a picture with these angles [rad]; None without the second."""
    if not _is_plain_number(down):
        return None
    _check_angle("camera_angle_y", down, place)
    return math.tan(across / 2) / math.tan(down / 2)


def _with_camera_of_frames(entries: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """Entries with the camera of all frames, if frames have it."""
    frames = entries.get("frames")
    if not isinstance(frames, list):
        return entries
    named = ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2")
    own = [
        {name: frame[name] for name in named if name in frame}
        for frame in frames
        if isinstance(frame, Mapping) and "fl_x" in frame
    ]
    if not own:
        return entries
    shared = entries.get("fl_x")
    if shared is not None and any(camera["fl_x"] != shared for camera in own):
        raise InputError(
            f"states 'fl_x: {shared}' for all frames, and another one in a frame: keep the one of "
            "this photograph",
            path=place,
        )
    if shared is not None:
        return entries
    if any(camera != own[0] for camera in own):
        raise InputError(
            f"its frames have {len({str(lens) for lens in own})} cameras: "
            "keep the one of this photograph",
            path=place,
        )
    return {**entries, **own[0]}


def _transforms_model(entries: Mapping[str, Any], place: str) -> str | None:
    """Model of ``transforms.json``; None for panoramas.

    Raises:
        InputError: If it is none that is read.
    """
    model = str(entries.get("camera_model") or "OPENCV")
    word = model.lower()
    if word in ("equirectangular", "spherical") or entries.get("latlong") is True:
        return None
    if word in UNREAD_DISTORTIONS or word == "orthophoto":
        raise InputError(f"has the camera model '{printable(model)}'; {READ}", path=place)
    if entries.get("is_fisheye") is True:
        return "OPENCV_FISHEYE"
    if _MODELS.get(word) == _RADTAN and entries.get("k4") and word != "full_opencv":
        raise InputError(
            f"has 'k4: {entries['k4']}' of a perspective lens, which nerfstudio takes for the "
            f"eighth power of the radius; {READ}",
            path=place,
        )
    return model


def _check_angle(name: str, angle: float, place: str) -> None:
    if not 0 < angle < math.pi:
        raise InputError(
            f"has '{name}: {angle:g}', expected an angle between 0 and 3.14 radians",
            path=place,
        )


def parse_xml(text: str, place: str) -> Element:
    """Root of an XML.

    Raises:
        InputError: If it is none, or declares entities.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("declares entities, which no calibration needs", path=place)
    try:
        return fromstring(re.sub(r"\A\s*<\?xml[^>]*\?>", "", text))
    except (ParseError, ValueError, RecursionError) as error:
        raise InputError(f"is no XML ({error})", path=place) from error


def parse_opencv_xml(text: str, path: Path) -> Mapping[str, Any]:
    """Read numbers and texts of OpenCV's FileStorage by tag."""
    shown = printable(path)
    root = parse_xml(text, shown)
    entries: dict[str, Any] = {}
    for element in root.iter():
        if element is root:
            continue
        value = _element_value(element)
        if element.tag in (*FOCAL_X, *MATRICES) and entries.get(element.tag, value) != value:
            raise InputError(
                f"holds several cameras ('{printable(element.tag[:30])}' differs): keep the one of "
                "this photograph",
                path=shown,
            )
        entries[element.tag] = value
    return entries


def _element_value(element: Element) -> Any:
    """Numbers, one number or text of an element."""
    data = element.find("data")
    text = ((element if data is None else data).text or "").strip()
    words = text.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return text.strip('"')
    return numbers if data is not None or len(numbers) != 1 else numbers[0]


def read_npz_calibration(path: Path) -> Mapping[str, Any]:
    """Read matrix, coefficients, resolution and model in Kalibr's names."""
    entries: dict[str, Any] = {}
    with open_npz(path) as archive, one_line_errors(printable(path), "npz file"):
        for ours, names in (
            ("camera_matrix", _NPZ_MATRIX),
            ("distortion_coeffs", [name for name in archive.files if is_distortion_name(name)]),
            ("resolution", _NPZ_SIZE),
        ):
            name = next((name for name in names if name in archive.files), None)
            if name is None:
                continue
            array = npz_member(archive, name)
            if array.dtype.kind not in "uif" or array.size > 14:
                raise InputError(
                    (
                        f"its '{name}' is {array.shape} {array.dtype}, expected the "
                        "numbers of one camera"
                    ),
                    path=printable(path),
                )
            entries[ours] = np.asarray(array, np.float64).reshape(-1).tolist()
        for name in filter(is_rectified_matrix, archive.files):
            array = npz_member(archive, name)
            if array.dtype.kind in "uif" and array.size in (9, 12):
                entries[name] = np.asarray(array, np.float64).reshape(-1).tolist()
        for name in ("distortion_model", "camera_model", "model"):
            if name in archive.files and npz_member(archive, name).size == 1:
                entries["distortion_model"] = str(npz_member(archive, name).item())
        held = archive.files
    if "camera_matrix" not in entries:
        raise InputError(
            f"has no camera in a form that is read; expected an array "
            f"{', '.join(_NPZ_MATRIX[:4])}, and it has {printable(', '.join(held[:8]))}",
            path=printable(path),
        )
    return entries
