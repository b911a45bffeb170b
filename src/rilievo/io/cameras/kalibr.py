"""Convert the calibrations of many programs to the entries that Kalibr writes.

Converted entries have ``intrinsics`` (fx, fy, cx, cy) or a matrix under one of ``MATRICES``,
``distortion_model``, ``distortion_coeffs``, and ``resolution`` (width, height). Besides Kalibr's
own entries there may be:

- ``lens``: a lens as text, such as ``pinhole:60``, in place of numbers;
- ``picture_aspect``: width over height of its pictures, or None;
- ``stated_model`` and ``distortion_name``: names of model and coefficients in the file.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.distortions import (
    NOT_NAMED,
    UNSUPPORTED_DISTORTIONS,
    is_distortion_name,
    lowercase_intrinsic_names,
    may_be_fisheye,
    ordered_coefficients,
    read_lens_spec,
    unsupported_distortion_error,
)
from rilievo.io.cameras.lens_checks import SUPPORTED_MODELS
from rilievo.io.cameras.names import CENTRE_X, CENTRE_Y, FOCAL_X, FOCAL_Y, MATRICES
from rilievo.io.cameras.picture_changes import check_no_picture_changes
from rilievo.io.cameras.picture_sizes import first_values, stated_size
from rilievo.io.cameras.values import flatten_rows, is_number
from rilievo.io.files.names import printable

_UNSUPPORTED_MODELS: Mapping[str, str] = {
    "omni": "omni (unified model by Mei)",
    "mei": "MEI (unified model by Mei)",
    "ds": "ds (double sphere)",
    "double_sphere": "double_sphere",
    "eucm": "eucm (extended unified model)",
    "ucm": "ucm (unified model)",
    "scaramuzza": "scaramuzza (polynomial by Scaramuzza)",
    "ocam": "OCam (polynomial by Scaramuzza)",
    "ocamcalib": "OCamCalib (polynomial by Scaramuzza)",
    "thin_prism_fisheye": "THIN_PRISM_FISHEYE",
    "rad_tan_thin_prism_fisheye": "RAD_TAN_THIN_PRISM_FISHEYE",
    "division": "division",
    "simple_division": "SIMPLE_DIVISION",
    "orthographic": "orthographic",
}
"""Camera models that are recognised but not supported, with their names for messages."""

_RADTAN = "radtan"
_KALIBR_MODELS: Mapping[str, str] = {
    **dict.fromkeys(("pinhole", "simple_pinhole", "rectified", "perspective"), _RADTAN),
    **dict.fromkeys(("opencv", "simple_radial", "radial", "full_opencv", "brown"), _RADTAN),
    **dict.fromkeys(("radial-tangential", "radial_tangential", "brown_conrady"), _RADTAN),
    **dict.fromkeys(
        ("kannalabrandt8", "kannalabrandt", "kannala_brandt", "opencv_fisheye", "fisheye"),
        "equidistant",
    ),
    **dict.fromkeys(("simple_radial_fisheye", "radial_fisheye", "equidistant"), "equidistant"),
}
"""Kalibr's name of a distortion, by those of ORB-SLAM, VINS and nerfstudio."""

_OPENSFM_MODELS: Mapping[str, str] = {
    "perspective": _RADTAN,
    "brown": _RADTAN,
    "simple_radial": _RADTAN,
    "radial": _RADTAN,
    "fisheye": "equidistant",
    "fisheye_opencv": "equidistant",
}

_INTRINSICS = ("fx", "fy", "cx", "cy")
_FRAME_CAMERA_ENTRIES = (
    *("fl_x", "fl_y", "cx", "cy", "w", "h"),
    *("k1", "k2", "k3", "k4", "p1", "p2"),
)
"""Entries of a frame of ``transforms.json`` that describe its camera."""

_FOCAL_LISTS = ("focal_length", "focalLength", "focal_lengths", "focal", "f", "FocalLength")
_CENTRE_LISTS = (
    *("principal_point", "principalPoint", "PrincipalPoint", "pp"),
    *("center", "centre", "c"),
)
_UNSUPPORTED_COEFFICIENTS = (
    *("xi", "alpha", "beta", "lambda", "lambda_", "s1", "s2", "s3", "s4", "tau_x", "tau_y"),
    *("skew", "skew_factor", "gamma", "s", "b1", "b2", "k7", "k8", "p3", "p4"),
    *("ftheta_p0", "ftheta_p1"),
)
"""Coefficients of lens models that are not supported."""
_DISTORTION_WORDS = ("distort", "disto", "radial", "tangential")
_MAX_FOCAL_DIFFERENCE = 1e-3
"""Relative difference below which two focal lengths differ by rounding only."""


def convert_to_kalibr(
    entries: Mapping[str, Any], location: str, label: str = ""
) -> Mapping[str, Any]:
    """Convert the entries of one camera, by any known program, to those of Kalibr.

    Entries of an unknown form are returned as they are.

    ``label`` are the keys that lead to the camera in its file, which may say that it is a fisheye.

    Raises:
        InputError: If they name an unsupported model, or a change of the picture such as a crop.
    """
    entries = lowercase_intrinsic_names(entries)
    check_no_picture_changes(entries, stated_size(entries), location)
    converted = (
        _from_orb_slam(entries, location)
        or _from_vins(entries)
        or _from_transforms(entries, location)
        or _from_opensfm(entries, location)
        or _from_named_numbers(entries, location, label)
        or _from_matrix(entries, location, label)
        or entries
    )
    _check_model_is_supported(converted, location)
    _check_coefficients_are_supported(entries, location)
    _check_distortions_are_supported(entries, location)
    _check_single_camera(entries, location)
    return converted


def has_focal_list(entries: Mapping[str, Any]) -> bool:
    """Whether focal length and centre are written as lists, or a single focal length beside cx."""
    return "fx" in _split_focal_and_centre(entries)


def _from_orb_slam(entries: Mapping[str, Any], location: str) -> Mapping[str, Any] | None:
    """Convert ORB-SLAM's entries, whose names begin with ``Camera.`` or ``Camera1.``."""
    left_intrinsics = [entries.get(f"Camera1.{name}") for name in _INTRINSICS]
    right_intrinsics = [entries.get(f"Camera2.{name}") for name in _INTRINSICS]
    if right_intrinsics[0] is not None and left_intrinsics != right_intrinsics:
        raise InputError(
            "the file has two cameras (Camera1, Camera2): keep only the one that took this "
            "photograph",
            path=location,
        )

    for prefix in ("Camera.", "Camera1."):
        camera = {
            str(name).removeprefix(prefix): value
            for name, value in entries.items()
            if str(name).startswith(prefix)
        }
        if all(name in camera for name in _INTRINSICS):
            intrinsics = [camera[name] for name in _INTRINSICS]
            model = str(entries.get("Camera.type") or camera.get("type") or "PinHole")
            size = [entries.get("Camera.width"), entries.get("Camera.height")]
            return _make_kalibr_entries(intrinsics, camera, model, size)
    return None


def _from_vins(entries: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Convert the entries of VINS (camodocal)."""
    projection = entries.get("projection_parameters")
    if not isinstance(projection, Mapping):
        return None
    model = str(entries.get("model_type") or "PINHOLE")
    if model.lower() in _UNSUPPORTED_MODELS:
        return {"model_type": model}  # convert_to_kalibr refuses it by its name

    size = [entries.get("image_width"), entries.get("image_height")]
    is_kannala_brandt = "mu" in projection
    if is_kannala_brandt:
        intrinsics = [projection.get(name) for name in ("mu", "mv", "u0", "v0")]
        # Our k1 to k4 are numbered k2 to k5 there.
        coefficients = {f"k{n}": projection.get(f"k{n + 1}", 0) for n in (1, 2, 3, 4)}
        return _make_kalibr_entries(intrinsics, coefficients, model, size)
    intrinsics = [projection.get(name) for name in _INTRINSICS]
    distortion = entries.get("distortion_parameters")
    coefficients = distortion if isinstance(distortion, Mapping) else {}
    return _make_kalibr_entries(intrinsics, coefficients, model, size)


def _make_kalibr_entries(
    intrinsics: Sequence[Any], coefficients: Mapping[str, Any], model: str, size: Sequence[Any]
) -> dict[str, Any]:
    """Make Kalibr's entries; ``coefficients`` is a mapping that contains k1 to k6, p1 and p2."""
    kalibr_model = _KALIBR_MODELS.get(model.lower().replace(" ", ""), model)
    return {
        "intrinsics": [*intrinsics],
        "distortion_coeffs": ordered_coefficients(coefficients, kalibr_model),
        "distortion_model": kalibr_model,
        **_resolution(size),
    }


def _resolution(size: Sequence[Any]) -> dict[str, list[Any]]:
    """Make the entry of the picture size; empty if a side is missing or 0."""
    return {"resolution": [*size]} if len(size) == 2 and all(size) else {}


def _from_transforms(entries: Mapping[str, Any], location: str) -> Mapping[str, Any] | None:
    """Convert NeRF's ``transforms.json``, as instant-ngp and nerfstudio write it.

    It states a focal length ``fl_x`` [px], or a horizontal field of view ``camera_angle_x`` [rad],
    for all frames or in each.
    """
    entries = _merge_frame_camera(entries, location)
    fx = entries.get("fl_x")
    _check_single_focal_length(entries, fx, location)
    has_angle = isinstance(entries.get("camera_angle_x"), float | int)
    has_other_focal = any(name in entries for name in FOCAL_X)
    if fx is None and (has_other_focal or not has_angle):
        return None
    if _is_panorama(entries):
        return {"lens": "equirect"}

    model = _transforms_model(entries, location)
    width = entries.get("w")
    if fx is None:
        angle = float(entries["camera_angle_x"])
        _check_angle("camera_angle_x", angle, location)
        if not isinstance(width, float | int):
            return _transforms_without_size(angle, entries.get("camera_angle_y"), location)
        fx = 0.5 * width / math.tan(0.5 * angle)

    intrinsics = [fx, entries.get("fl_y", fx), *_centre_of_transforms(entries, location)]
    converted = _make_kalibr_entries(intrinsics, entries, model, [width, entries.get("h")])
    if not entries.get("camera_model") and may_be_fisheye(entries):
        converted["distortion_model"] = NOT_NAMED
    return converted


def _transforms_without_size(
    horizontal_fov: float, vertical_fov: Any, location: str
) -> Mapping[str, Any]:
    """Make Kalibr's entries for fields of view [rad] alone.

    The principal point is then the middle of the picture, and the vertical field of view, which may
    be missing, only states the proportions.
    """
    return {
        "lens": f"pinhole:{math.degrees(horizontal_fov)!r}",
        "picture_aspect": _aspect_from_angles(horizontal_fov, vertical_fov, location),
    }


def _centre_of_transforms(entries: Mapping[str, Any], location: str) -> list[Any]:
    """Find cx and cy [px] of a ``transforms.json``; by default the middle of the picture.

    As in COLMAP, its origin is the corner of the first pixel, which is half a pixel from ours.
    """
    width, height = entries.get("w"), entries.get("h")
    cx = entries.get("cx", None if width is None else width / 2)
    cy = entries.get("cy", None if height is None else height / 2)
    if cx is None or cy is None:
        raise InputError(
            "the file gives a focal length, but neither the principal point (cx, cy) nor the "
            "image size (w, h): add one of them",
            path=location,
        )
    # Anything but a number is refused later, with all intrinsics.
    return [value - 0.5 if isinstance(value, float | int) else value for value in (cx, cy)]


def _merge_frame_camera(entries: Mapping[str, Any], location: str) -> Mapping[str, Any]:
    """Merge the camera that each frame of ``transforms.json`` states into its entries.

    Without such frames, the entries are returned as they are.

    Raises:
        InputError: If the frames have different cameras, or another one than all frames together.
    """
    cameras = _cameras_of_frames(entries.get("frames"))
    if not cameras:
        return entries

    shared_fx = entries.get("fl_x")
    if shared_fx is None:
        if any(camera != cameras[0] for camera in cameras):
            raise InputError(
                f"the frames have {len({str(camera) for camera in cameras})} different cameras: "
                "keep only the one that took this photograph",
                path=location,
            )
        return {**entries, **cameras[0]}

    if any(camera["fl_x"] != shared_fx for camera in cameras):
        raise InputError(
            f"the file gives 'fl_x: {shared_fx}' for all frames, but some frames have a "
            "different value: keep only the value for this photograph",
            path=location,
        )
    return entries


def _cameras_of_frames(frames: Any) -> list[dict[str, Any]]:
    """List the cameras of those frames of a ``transforms.json`` that state a focal length."""
    if not isinstance(frames, list):
        return []
    return [
        {name: frame[name] for name in _FRAME_CAMERA_ENTRIES if name in frame}
        for frame in frames
        if isinstance(frame, Mapping) and "fl_x" in frame
    ]


def _is_panorama(entries: Mapping[str, Any]) -> bool:
    model = str(entries.get("camera_model")).lower()
    return model in ("equirectangular", "spherical") or entries.get("latlong") is True


def _transforms_model(entries: Mapping[str, Any], location: str) -> str:
    """Return the camera model of ``transforms.json``."""
    model = str(entries.get("camera_model") or "OPENCV")
    word = model.lower()
    if word in UNSUPPORTED_DISTORTIONS or word == "orthophoto":
        raise InputError(
            f"the camera model '{printable(model)}' is not supported; {SUPPORTED_MODELS}",
            path=location,
        )
    if entries.get("is_fisheye") is True:
        return "OPENCV_FISHEYE"
    if _KALIBR_MODELS.get(word) == _RADTAN and entries.get("k4") and word != "full_opencv":
        raise InputError(
            f"'k4: {entries['k4']}' of a perspective lens is not supported, because nerfstudio "
            f"uses it for the eighth power of the radius; {SUPPORTED_MODELS}",
            path=location,
        )
    return model


def _aspect_from_angles(horizontal: float, vertical: Any, location: str) -> float | None:
    """Return width over height of a picture with two fields of view [rad].

    Return None if the vertical one is not stated.
    """
    if not is_number(vertical):
        return None
    _check_angle("camera_angle_y", vertical, location)
    return math.tan(horizontal / 2) / math.tan(vertical / 2)


def _check_angle(name: str, angle: float, location: str) -> None:
    """Check that a field of view [rad] is one of a pinhole."""
    if not 0 < angle < math.pi:
        raise InputError(
            f"'{name}' is {angle:g}; expected an angle between 0 and 3.14 radians",
            path=location,
        )


def _from_opensfm(entries: Mapping[str, Any], location: str) -> Mapping[str, Any] | None:
    """Convert OpenSfM's entries, whose focal length and centre are fractions of the longer side.

    The centre counts from the middle of the picture.
    """
    projection = entries.get("projection_type")
    if not isinstance(projection, str):
        return None
    if projection in ("spherical", "equirectangular"):
        return {"lens": "equirect"}

    model = _OPENSFM_MODELS.get(projection)
    size = stated_size(entries)
    if model is None:
        raise InputError(
            f"OpenSfM's projection '{printable(projection[:60])}' is not supported; "
            f"{SUPPORTED_MODELS}",
            path=location,
        )
    if len(size) != 2:
        raise InputError(
            "OpenSfM's focal length is a fraction of the longer side of the image, but the file "
            "gives no image size: add the width and height",
            path=location,
        )
    width, height = (float(side) for side in size)
    longer_side = max(width, height)
    single_focal = entries.get("focal", 0)
    fx = float(entries.get("focal_x", single_focal)) * longer_side
    fy = float(entries.get("focal_y", single_focal)) * longer_side
    cx = float(entries.get("c_x", 0)) * longer_side + (width - 1) / 2
    cy = float(entries.get("c_y", 0)) * longer_side + (height - 1) / 2
    return {
        "intrinsics": [fx, fy, cx, cy],
        "distortion_coeffs": ordered_coefficients(entries, model),
        "distortion_model": model,
        "resolution": [width, height],
    }


def _from_named_numbers(
    entries: Mapping[str, Any], location: str, label: str
) -> Mapping[str, Any] | None:
    """Convert entries with fx, fy, cx and cy, as of RealSense, Polycam, BOP, Gaussian splatting."""
    named = _split_focal_and_centre(entries)
    focal_lengths = first_values(named, (FOCAL_X, FOCAL_Y))
    if focal_lengths is None or "projection_type" in named:
        return None

    size = stated_size(named)
    centre = first_values(named, (CENTRE_X, CENTRE_Y))
    if centre is None:
        if len(size) != 2:
            raise InputError(
                "the file gives a focal length, but neither the principal point (cx, cy) nor the "
                "image size (width, height): add one of them",
                path=location,
            )
        # Programs that write no principal point mean the middle of the picture.
        centre = [(float(side) - 1) / 2 for side in size]
    fx, fy = focal_lengths
    _check_single_focal_length(named, fx, location)
    return {
        **_distortion_entries(named, location, label),
        **_resolution(size),
        "intrinsics": [fx, fy, *centre],
    }


def _split_focal_and_centre(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Split lists of focal lengths and of the centre into fx, fy, cx and cy.

    A single focal length [px] beside a centre becomes both fx and fy. Entries without a focal
    length or without a centre are returned as they are.
    """
    if any(name in entries for name in FOCAL_X):
        return entries
    focal_lengths = _first_pair(entries, _FOCAL_LISTS)
    centre = _first_pair(entries, _CENTRE_LISTS)
    if focal_lengths is not None and centre is not None:
        fx, fy = focal_lengths
        return {**entries, "fx": fx, "fy": fy, "cx": centre[0], "cy": centre[1]}

    focal = _single_focal_length(entries)
    if focal is None:
        return entries
    if centre is not None:
        return {**entries, "fx": focal, "fy": focal, "cx": centre[0], "cy": centre[1]}
    if is_number(entries.get("cx")) and is_number(entries.get("cy")):
        return {**entries, "fx": focal, "fy": focal}
    return entries


def _single_focal_length(entries: Mapping[str, Any]) -> Any:
    """Return a focal length [px] that is a single number; None if there is none.

    Beside the size of a sensor it is in millimetres, and beside OpenSfM's ``projection_type`` a
    fraction of the picture.
    """
    has_other_unit = any("sensor" in str(name).lower() for name in entries)
    if has_other_unit or "projection_type" in entries:
        return None
    numbers = [entries[name] for name in _FOCAL_LISTS if is_number(entries.get(name))]
    return numbers[0] if numbers else None


def _first_pair(entries: Mapping[str, Any], names: Sequence[str]) -> list[Any] | None:
    """Return the first of these entries that is a list of two numbers; None if there is none."""
    for name in names:
        value = entries.get(name)
        if isinstance(value, list) and len(value) == 2 and all(map(is_number, value)):
            return value
    return None


def _from_matrix(entries: Mapping[str, Any], location: str, label: str) -> Mapping[str, Any] | None:
    """Convert entries with a matrix, as of ROS, OpenCV and Kalibr, and the distortion beside it."""
    matrix = next((entries[name] for name in MATRICES if entries.get(name) is not None), None)
    if matrix is None:
        return None
    _check_single_focal_length(entries, _focal_length_of_matrix(matrix), location)
    converted = {
        name: value
        for name, value in entries.items()
        if not (is_distortion_name(str(name)) and isinstance(value, list | Mapping))
    }
    if isinstance(converted.get("k"), list) and "K" not in converted:
        converted["K"] = converted.pop("k")
    return {**converted, **_distortion_entries(entries, location, label)}


def _distortion_entries(entries: Mapping[str, Any], location: str, label: str) -> dict[str, Any]:
    """Make Kalibr's entries for the lens model and the coefficients."""
    spec = read_lens_spec(entries, location, label)
    if spec.is_unsupported and spec.has_distortion:
        raise InputError(
            f"the camera model '{printable(spec.name_in_file)}' is not supported; "
            f"{SUPPORTED_MODELS}",
            path=location,
        )
    return {
        "distortion_coeffs": [*spec.coefficients],
        "distortion_model": spec.model,
        "stated_model": spec.name_in_file or spec.model,
        "distortion_name": spec.list_name,
    }


def _check_single_focal_length(entries: Mapping[str, Any], focal: Any, location: str) -> None:
    """Check that no other entry, such as a matrix, states another focal length [px]."""
    if not is_number(focal):
        return
    focal_by_name = {name: entries.get(name) for name in (*FOCAL_X, "fl_x")}
    focal_by_name |= {name: _focal_length_of_matrix(entries.get(name)) for name in MATRICES}
    for name, other_focal in focal_by_name.items():
        if not is_number(other_focal):
            continue
        if abs(other_focal - focal) > _MAX_FOCAL_DIFFERENCE * abs(focal):
            raise InputError(
                f"the focal length is given twice, as {focal:g} and as {other_focal:g} (in "
                f"'{printable(name)}'): keep only the correct one",
                path=location,
            )


def _focal_length_of_matrix(value: Any) -> Any:
    """Return fx, the first number of a matrix; None if the value is no matrix."""
    numbers = flatten_rows(value)
    return numbers[0] if len(numbers) in (9, 12, 16) else None


def _check_model_is_supported(entries: Mapping[str, Any], location: str) -> None:
    """Check that no entry names a lens model that rilievo has not."""
    for name in ("camera_model", "camera_type", "model_type", "model", "distortion_model"):
        model = str(entries.get(name) or "").strip().lower()
        if model in _UNSUPPORTED_MODELS:
            model_name = printable(_UNSUPPORTED_MODELS[model])
            raise InputError(
                f"the camera model '{model_name}' is not supported; {SUPPORTED_MODELS}",
                path=location,
            )


def _check_coefficients_are_supported(entries: Mapping[str, Any], location: str) -> None:
    """Check that no coefficient of an unsupported lens model has a value other than 0."""
    for name in _UNSUPPORTED_COEFFICIENTS:
        number = entries.get(name)
        if is_number(number) and number:
            raise InputError(
                f"'{name}: {number:g}' belongs to a lens model that is not supported; "
                f"{SUPPORTED_MODELS}",
                path=location,
            )


def _check_distortions_are_supported(entries: Mapping[str, Any], location: str) -> None:
    """Check that no entry is a distortion, by its name, in an unsupported form."""
    for name, value in entries.items():
        lowercase_name = str(name).lower()
        is_about_distortion = any(word in lowercase_name for word in _DISTORTION_WORDS)
        is_supported = is_distortion_name(str(name)) or lowercase_name.endswith(("model", "type"))
        if is_about_distortion and not is_supported and _has_nonzero_number(value):
            raise unsupported_distortion_error(str(name), location)


def _has_nonzero_number(value: Any) -> bool:
    """Whether an entry has a number other than 0, at any level of nesting."""
    if isinstance(value, Mapping):
        return any(_has_nonzero_number(child) for child in value.values())
    if isinstance(value, list):
        return any(_has_nonzero_number(child) for child in value)
    return is_number(value) and value != 0


def _check_single_camera(entries: Mapping[str, Any], location: str) -> None:
    """Check that OpenCV's two matrices of a stereo pair are equal, if a file has both."""
    left = next((name for name in ("M1", "K1", "cameraMatrix1") if entries.get(name)), None)
    right = next((name for name in ("M2", "K2", "cameraMatrix2") if entries.get(name)), None)
    if left is None or right is None or entries[left] == entries[right]:
        return
    raise InputError(
        f"the file has two cameras ({left}, {right}): keep only the entries of the one that took "
        "this photograph, and name its matrix K and its distortion D",
        path=location,
    )
