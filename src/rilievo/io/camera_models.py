"""Camera models in files of Kalibr, ROS and OpenCV."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np

from rilievo.errors import InputError
from rilievo.io.files.names import printable
from rilievo.io.numbers import npz_member, one_line_errors, open_npz

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
    **dict.fromkeys(("simple_radial_fisheye", "radial_fisheye", "equidistant"), "equidistant"),
}
_FOCALS = ("fx", "fy", "cx", "cy")
_NPZ_MATRIX = ("K", "mtx", "camera_matrix", "cameraMatrix", "intrinsics", "intrinsic_matrix", "M1")
_NPZ_BEND = ("dist", "D", "distCoeffs", "dist_coeffs", "distortion", "distortion_coefficients")
_NPZ_SIZE = ("image_size", "imageSize", "img_size", "size", "resolution")


def to_kalibr_entries(entries: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """Convert calibrations of ORB-SLAM, VINS and ``transforms.json``; others stay.

    Raises:
        InputError: If they name a model that is not read.
    """
    forms = (
        _kalibr_from_orb_slam(entries)
        or _kalibr_from_vins(entries)
        or _kalibr_from_transforms(entries, place)
        or entries
    )
    for name in ("camera_model", "model_type", "model", "distortion_model"):
        model = str(forms.get(name) or "").strip()
        label = UNKNOWN_MODELS.get(model.lower())
        if label is not None:
            raise InputError(f"has the camera model '{printable(label)}'; {READ}", path=place)
    return forms


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


def _kalibr_from_orb_slam(entries: Mapping[str, Any]) -> Mapping[str, Any] | None:
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
    frames = entries.get("frames")
    if "fl_x" not in entries and "camera_angle_x" not in entries and isinstance(frames, list):
        named = ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2")
        own = [
            {name: frame[name] for name in named if name in frame}
            for frame in frames
            if isinstance(frame, Mapping) and "fl_x" in frame
        ]
        if not own:
            return None
        if any(camera != own[0] for camera in own):
            raise InputError(
                (
                    f"its frames have {len({str(lens) for lens in own})} cameras: "
                    "keep the one of this photograph"
                ),
                path=place,
            )
        entries = {**entries, **own[0]}
    width, height = entries.get("w"), entries.get("h")
    angle, fx = entries.get("camera_angle_x"), entries.get("fl_x")
    if fx is None and isinstance(angle, float | int) and isinstance(width, float | int):
        fx = 0.5 * width / math.tan(0.5 * angle) if 0 < angle < math.pi else None
    if fx is None:
        return None
    fy = entries.get("fl_y", fx)
    # The corner of the first pixel is the origin there, as in COLMAP.
    middle = [
        None if side is None else side / 2 for side in (width, height) if not isinstance(side, str)
    ]
    cx, cy = entries.get("cx", middle[0]), entries.get("cy", middle[-1])
    centre = [value - 0.5 if isinstance(value, float | int) else value for value in (cx, cy)]
    model = str(entries.get("camera_model") or "OPENCV")
    if entries.get("is_fisheye") is True:
        model = "OPENCV_FISHEYE"
    return _kalibr_entries([fx, fy, *centre], entries, model, [width, height])


def parse_opencv_xml(text: str, path: Path) -> Mapping[str, Any]:
    """Read numbers and texts of OpenCV's FileStorage by tag."""
    shown = printable(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("declares entities, which no calibration needs", path=shown)
    try:
        root = fromstring(re.sub(r"\A\s*<\?xml[^>]*\?>", "", text))
    except (ParseError, ValueError, RecursionError) as error:
        raise InputError(f"is no XML ({error})", path=shown) from error
    return {element.tag: _element_value(element) for element in root.iter() if element is not root}


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
            ("distortion_coeffs", _NPZ_BEND),
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
        for name in ("distortion_model", "camera_model", "model"):
            if name in archive.files and npz_member(archive, name).size == 1:
                entries["distortion_model"] = str(npz_member(archive, name).item())
    if "camera_matrix" not in entries:
        raise InputError(
            f"has no intrinsics; expected an array {', '.join(_NPZ_MATRIX[:4])}",
            path=printable(path),
        )
    return {"distortion_model": "radtan", **entries}
