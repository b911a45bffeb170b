"""Calibrations of many programs, converted to the names that Kalibr writes.

Converted entries have ``intrinsics`` (fx, fy, cx, cy) or a matrix under one of ``MATRICES``,
``distortion_model``, ``distortion_coeffs``, and ``resolution`` (width, height). Besides Kalibr's
own names there are:

- ``lens``: a lens as text, such as ``pinhole:60``, in place of numbers;
- ``picture_aspect``: width over height of its pictures, or None;
- ``stated_model`` and ``distortion_name``: the file's names of model and coefficients.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.distortions import (
    NOT_NAMED,
    UNREAD_DISTORTIONS,
    is_distortion_name,
    may_be_fisheye,
    read_statement,
    single_coefficients,
    unread_distortion_error,
    with_small_letters,
)
from rilievo.io.cameras.lens_checks import READABLE_MODELS
from rilievo.io.cameras.names import CENTRE_X, CENTRE_Y, FOCAL_X, FOCAL_Y, MATRICES
from rilievo.io.cameras.picture_changes import refuse_picture_changes
from rilievo.io.cameras.picture_sizes import first_of_each, stated_size
from rilievo.io.cameras.values import flat_list, is_number
from rilievo.io.files.names import printable

_UNREAD_MODELS: Mapping[str, str] = {
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
"""Camera models that are recognised and not read, with what messages call them."""

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

_FOCAL_LISTS = ("focal_length", "focalLength", "focal_lengths", "focal", "f", "FocalLength")
_CENTRE_LISTS = (
    *("principal_point", "principalPoint", "PrincipalPoint", "pp"),
    *("center", "centre", "c"),
)
_UNREAD_COEFFICIENTS = (
    *("xi", "alpha", "beta", "lambda", "lambda_", "s1", "s2", "s3", "s4", "tau_x", "tau_y"),
    *("skew", "skew_factor", "gamma", "s", "b1", "b2", "k7", "k8", "p3", "p4"),
    *("ftheta_p0", "ftheta_p1"),
)
"""Coefficients of lens models that are not read."""
_DISTORTION_WORDS = ("distort", "disto", "radial", "tangential")
_MAX_FOCAL_DIFFERENCE = 1e-3
"""Relative difference up to which two focal lengths are the same but for rounding."""


def to_kalibr_entries(
    entries: Mapping[str, Any], location: str, label: str = ""
) -> Mapping[str, Any]:
    """Convert calibrations of ORB-SLAM, VINS, ``transforms.json`` and others to Kalibr's names.

    Entries of a form that is not recognised are returned as they are.

    Args:
        entries: Entries of one camera.
        location: File, and the camera in it, for messages.
        label: Keys that lead to the camera in its file, which may say that it is a fisheye.

    Raises:
        InputError: If they name a model that is not read, or a change of the picture.
    """
    entries = with_small_letters(entries)
    refuse_picture_changes(entries, stated_size(entries), location)
    converted = (
        _from_orb_slam(entries, location)
        or _from_vins(entries)
        or _from_transforms(entries, location)
        or _from_opensfm(entries, location)
        or _from_named_numbers(entries, location, label)
        or _from_matrix(entries, location, label)
        or entries
    )
    _refuse_unread_model(converted, location)
    _refuse_unread_coefficients(entries, location)
    _refuse_unread_distortions(entries, location)
    _refuse_second_camera(entries, location)
    return converted


def has_focal_list(entries: Mapping[str, Any]) -> bool:
    """Whether focal lengths and centre are lists of two, or one focal length stands beside cx."""
    return "fx" in _with_separate_numbers(entries)


def _from_orb_slam(entries: Mapping[str, Any], location: str) -> Mapping[str, Any] | None:
    """Entries of ORB-SLAM, whose names begin with ``Camera.`` or ``Camera1.``."""
    first = [entries.get(f"Camera1.{name}") for name in _INTRINSICS]
    second = [entries.get(f"Camera2.{name}") for name in _INTRINSICS]
    if second[0] is not None and first != second:
        raise InputError(
            "holds two cameras (Camera1, Camera2): keep the one of this photograph", path=location
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
            return _kalibr_entries(intrinsics, camera, model, size)
    return None


def _from_vins(entries: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Entries of VINS (camodocal)."""
    projection = entries.get("projection_parameters")
    if not isinstance(projection, Mapping):
        return None
    model = str(entries.get("model_type") or "PINHOLE")
    if model.lower() in _UNREAD_MODELS:
        return {"model_type": model}

    coefficients = entries.get("distortion_parameters")
    if not isinstance(coefficients, Mapping):
        coefficients = {}
    intrinsics = [projection.get(name) for name in _INTRINSICS]
    if "mu" in projection:
        # Kannala and Brandt's coefficients begin at the third power there.
        intrinsics = [projection.get(name) for name in ("mu", "mv", "u0", "v0")]
        coefficients = {f"k{n - 1}": projection.get(f"k{n}", 0) for n in (2, 3, 4, 5)}
    size = [entries.get("image_width"), entries.get("image_height")]
    return _kalibr_entries(intrinsics, coefficients, model, size)


def _kalibr_entries(
    intrinsics: Sequence[Any], coefficients: Mapping[str, Any], model: str, size: Sequence[Any]
) -> dict[str, Any]:
    """Entries in Kalibr's names; ``coefficients`` have k1 to k6, p1 and p2 among them."""
    kalibr_model = _KALIBR_MODELS.get(model.lower().replace(" ", ""), model)
    return {
        "intrinsics": [*intrinsics],
        "distortion_coeffs": single_coefficients(coefficients, kalibr_model),
        "distortion_model": kalibr_model,
        **_resolution(size),
    }


def _resolution(size: Sequence[Any]) -> dict[str, list[Any]]:
    """Entry of the size; none if a side is missing or 0."""
    return {"resolution": [*size]} if len(size) == 2 and all(size) else {}


def _from_transforms(entries: Mapping[str, Any], location: str) -> Mapping[str, Any] | None:
    """Entries of NeRF's ``transforms.json``, as of instant-ngp and nerfstudio."""
    entries = _with_camera_of_frames(entries, location)
    fx = entries.get("fl_x")
    _refuse_other_focal_length(entries, fx, location)
    has_angle = isinstance(entries.get("camera_angle_x"), float | int)
    has_pixels = any(name in entries for name in FOCAL_X)
    if fx is None and (has_pixels or not has_angle):
        return None
    if _is_panorama(entries):
        return {"lens": "equirect"}

    model = _transforms_model(entries, location)
    width, height = entries.get("w"), entries.get("h")
    if fx is None:
        angle = float(entries["camera_angle_x"])
        _check_angle("camera_angle_x", angle, location)
        if not isinstance(width, float | int):
            # Nothing but the field of view: the principal point is the middle of the picture.
            return {
                "lens": f"pinhole:{math.degrees(angle)!r}",
                "picture_aspect": _aspect_of_angles(angle, entries.get("camera_angle_y"), location),
            }
        fx = 0.5 * width / math.tan(0.5 * angle)

    cx = entries.get("cx", None if width is None else width / 2)
    cy = entries.get("cy", None if height is None else height / 2)
    if cx is None or cy is None:
        raise InputError(
            "states a focal length, but neither the principal point (cx, cy) nor the size of the "
            "picture (w, h): add one of them",
            path=location,
        )
    # The corner of the first pixel is the origin there, as in COLMAP.
    centre = [value - 0.5 if isinstance(value, float | int) else value for value in (cx, cy)]
    intrinsics = [fx, entries.get("fl_y", fx), *centre]
    converted = _kalibr_entries(intrinsics, entries, model, [width, height])
    if not entries.get("camera_model") and may_be_fisheye(entries):
        converted["distortion_model"] = NOT_NAMED
    return converted


def _with_camera_of_frames(entries: Mapping[str, Any], location: str) -> Mapping[str, Any]:
    """Entries of ``transforms.json`` with the camera that all of its frames state, if they do."""
    frames = entries.get("frames")
    if not isinstance(frames, list):
        return entries
    camera_names = ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2")
    cameras = [
        {name: frame[name] for name in camera_names if name in frame}
        for frame in frames
        if isinstance(frame, Mapping) and "fl_x" in frame
    ]
    if not cameras:
        return entries

    shared = entries.get("fl_x")
    if shared is not None:
        if any(camera["fl_x"] != shared for camera in cameras):
            raise InputError(
                f"states 'fl_x: {shared}' for all frames, and another one in a frame: keep the "
                "one of this photograph",
                path=location,
            )
        return entries
    if any(camera != cameras[0] for camera in cameras):
        raise InputError(
            f"its frames have {len({str(camera) for camera in cameras})} cameras: "
            "keep the one of this photograph",
            path=location,
        )
    return {**entries, **cameras[0]}


def _is_panorama(entries: Mapping[str, Any]) -> bool:
    model = str(entries.get("camera_model")).lower()
    return model in ("equirectangular", "spherical") or entries.get("latlong") is True


def _transforms_model(entries: Mapping[str, Any], location: str) -> str:
    """Model of ``transforms.json``.

    Raises:
        InputError: If it is none that is read.
    """
    model = str(entries.get("camera_model") or "OPENCV")
    word = model.lower()
    if word in UNREAD_DISTORTIONS or word == "orthophoto":
        raise InputError(
            f"has the camera model '{printable(model)}'; {READABLE_MODELS}", path=location
        )
    if entries.get("is_fisheye") is True:
        return "OPENCV_FISHEYE"
    if _KALIBR_MODELS.get(word) == _RADTAN and entries.get("k4") and word != "full_opencv":
        raise InputError(
            f"has 'k4: {entries['k4']}' of a perspective lens, which nerfstudio takes for the "
            f"eighth power of the radius; {READABLE_MODELS}",
            path=location,
        )
    return model


def _aspect_of_angles(across: float, down: Any, location: str) -> float | None:
    """Width over height of a picture with these angles [rad]; None without the second."""
    if not is_number(down):
        return None
    _check_angle("camera_angle_y", down, location)
    return math.tan(across / 2) / math.tan(down / 2)


def _check_angle(name: str, angle: float, location: str) -> None:
    if not 0 < angle < math.pi:
        raise InputError(
            f"has '{name}: {angle:g}', expected an angle between 0 and 3.14 radians",
            path=location,
        )


def _from_opensfm(entries: Mapping[str, Any], location: str) -> Mapping[str, Any] | None:
    """Entries of OpenSfM, whose focal lengths and centre are fractions of the longer side."""
    projection = entries.get("projection_type")
    if not isinstance(projection, str):
        return None
    if projection in ("spherical", "equirectangular"):
        return {"lens": "equirect"}

    model = _OPENSFM_MODELS.get(projection)
    size = stated_size(entries)
    if model is None or len(size) != 2:
        raise InputError(
            f"has OpenSfM's projection '{printable(projection[:60])}'; {READABLE_MODELS}",
            path=location,
        )
    width, height = (float(side) for side in size)
    longer = max(width, height)
    focal = entries.get("focal", 0)
    return {
        "intrinsics": [
            float(entries.get("focal_x", focal)) * longer,
            float(entries.get("focal_y", focal)) * longer,
            float(entries.get("c_x", 0)) * longer + (width - 1) / 2,
            float(entries.get("c_y", 0)) * longer + (height - 1) / 2,
        ],
        "distortion_coeffs": single_coefficients(entries, model),
        "distortion_model": model,
        "resolution": [width, height],
    }


def _from_named_numbers(
    entries: Mapping[str, Any], location: str, label: str
) -> Mapping[str, Any] | None:
    """Entries with fx, fy, cx and cy, as of RealSense, Polycam, BOP, Gaussian splatting."""
    entries = _with_separate_numbers(entries)
    focal = first_of_each(entries, (FOCAL_X, FOCAL_Y))
    if focal is None or "projection_type" in entries:
        return None

    size = stated_size(entries)
    centre = first_of_each(entries, (CENTRE_X, CENTRE_Y))
    if centre is None:
        if len(size) != 2:
            raise InputError(
                "states a focal length, but neither the principal point (cx, cy) nor the size of "
                "the picture (width, height): add one of them",
                path=location,
            )
        # What states no principal point means the middle.
        centre = [(float(side) - 1) / 2 for side in size]
    _refuse_other_focal_length(entries, focal[0], location)
    return {
        **_distortion_entries(entries, location, label),
        **_resolution(size),
        "intrinsics": [*focal, *centre],
    }


def _with_separate_numbers(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Entries with fx, fy, cx and cy, if focal lengths and centre are lists of two.

    One focal length in pixels beside a centre is that along rows and columns.
    """
    if any(name in entries for name in FOCAL_X):
        return entries
    focal = next((entries[name] for name in _FOCAL_LISTS if _is_pair(entries.get(name))), None)
    centre = next((entries[name] for name in _CENTRE_LISTS if _is_pair(entries.get(name))), None)
    if focal is not None and centre is not None:
        return {**entries, "fx": focal[0], "fy": focal[1], "cx": centre[0], "cy": centre[1]}

    single = next((entries[name] for name in _FOCAL_LISTS if is_number(entries.get(name))), None)
    is_in_millimetres = any("sensor" in str(name).lower() for name in entries)
    if single is None or is_in_millimetres or "projection_type" in entries:
        return entries
    if centre is not None:
        return {**entries, "fx": single, "fy": single, "cx": centre[0], "cy": centre[1]}
    if is_number(entries.get("cx")) and is_number(entries.get("cy")):
        return {**entries, "fx": single, "fy": single}
    return entries


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _from_matrix(entries: Mapping[str, Any], location: str, label: str) -> Mapping[str, Any] | None:
    """Entries of a matrix, as of ROS, OpenCV and Kalibr, with the lens that stands beside it."""
    matrix = next((entries[name] for name in MATRICES if entries.get(name) is not None), None)
    if matrix is None:
        return None
    _refuse_other_focal_length(entries, _first_of_matrix(matrix), location)
    converted = {
        name: value
        for name, value in entries.items()
        if not (is_distortion_name(str(name)) and isinstance(value, list | Mapping))
    }
    if isinstance(converted.get("k"), list) and "K" not in converted:
        converted["K"] = converted.pop("k")
    return {**converted, **_distortion_entries(entries, location, label)}


def _distortion_entries(entries: Mapping[str, Any], location: str, label: str) -> dict[str, Any]:
    """Model and coefficients of a camera in Kalibr's names."""
    statement = read_statement(entries, location, label)
    if statement.is_unread and statement.has_distortion:
        raise InputError(
            f"has the camera model '{printable(statement.shown)}'; {READABLE_MODELS}",
            path=location,
        )
    return {
        "distortion_coeffs": [*statement.coefficients],
        "distortion_model": statement.model,
        "stated_model": statement.shown or statement.model,
        "distortion_name": statement.list_name,
    }


def _refuse_other_focal_length(entries: Mapping[str, Any], focal: Any, location: str) -> None:
    """Refuse another focal length [px] in a matrix, or under another name."""
    if not is_number(focal):
        return
    stated = {name: entries.get(name) for name in (*FOCAL_X, "fl_x")}
    stated |= {name: _first_of_matrix(entries.get(name)) for name in MATRICES}
    for name, other in stated.items():
        if is_number(other) and abs(other - focal) > _MAX_FOCAL_DIFFERENCE * abs(focal):
            raise InputError(
                f"states two focal lengths, {focal:g} and {other:g} in "
                f"'{printable(name)}': keep the one that holds",
                path=location,
            )


def _first_of_matrix(value: Any) -> Any:
    """First number of a matrix; None of anything else."""
    numbers = flat_list(value)
    return numbers[0] if len(numbers) in (9, 12, 16) else None


def _refuse_unread_model(entries: Mapping[str, Any], location: str) -> None:
    for name in ("camera_model", "camera_type", "model_type", "model", "distortion_model"):
        model = str(entries.get(name) or "").strip().lower()
        if model in _UNREAD_MODELS:
            raise InputError(
                f"has the camera model '{printable(_UNREAD_MODELS[model])}'; {READABLE_MODELS}",
                path=location,
            )


def _refuse_unread_coefficients(entries: Mapping[str, Any], location: str) -> None:
    for name in _UNREAD_COEFFICIENTS:
        number = entries.get(name)
        if is_number(number) and number:
            raise InputError(
                f"has '{name}: {number:g}', a part of a lens model that is not read; "
                f"{READABLE_MODELS}",
                path=location,
            )


def _refuse_unread_distortions(entries: Mapping[str, Any], location: str) -> None:
    """Refuse entries whose name speaks of a distortion, and whose form is not read."""
    for name, value in entries.items():
        word = str(name).lower()
        speaks_of_distortion = any(part in word for part in _DISTORTION_WORDS)
        is_read = is_distortion_name(str(name)) or word.endswith(("model", "type"))
        if speaks_of_distortion and not is_read and _has_nonzero_number(value):
            raise unread_distortion_error(str(name), location)


def _has_nonzero_number(value: Any) -> bool:
    """Whether an entry has numbers, at any depth, that are not 0."""
    if isinstance(value, Mapping):
        return any(_has_nonzero_number(child) for child in value.values())
    if isinstance(value, list):
        return any(_has_nonzero_number(child) for child in value)
    return is_number(value) and value != 0


def _refuse_second_camera(entries: Mapping[str, Any], location: str) -> None:
    """Refuse OpenCV's matrices of a stereo pair, unless they are equal."""
    first = next((name for name in ("M1", "K1", "cameraMatrix1") if entries.get(name)), None)
    second = next((name for name in ("M2", "K2", "cameraMatrix2") if entries.get(name)), None)
    if first is None or second is None or entries[first] == entries[second]:
        return
    raise InputError(
        f"holds two cameras ({first}, {second}): keep the one of this photograph", path=location
    )
