"""Cameras in text of other programs, and tables and lists of names and numbers.

Read are Virtual KITTI's ``intrinsic.txt``, ROS' ``ost.txt``, Bouguet's toolbox (``.m``) and
Middlebury's ``calib.txt``. Lines ``fx = 500`` and tables with a header become entries like those
of a JSON.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.names import CENTRE_X, FOCAL_X, MATRICES
from rilievo.io.cameras.rectified_matrices import rectified_note
from rilievo.io.cameras.stated_camera import StatedCamera, perspective_camera

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def cameras_of_text(text: str, location: str) -> list[StatedCamera]:
    """Cameras of a text; [] if it has none of these forms.

    Raises:
        InputError: If it has one of them, with a lens or numbers that are not read.
    """
    return (
        _cameras_of_virtual_kitti(text, location)
        or _camera_of_ost(text, location)
        or _camera_of_bouguet(text, location)
        or _cameras_of_middlebury(text)
    )


def _floats(words: Sequence[str], location: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"has text where a number is expected ({error})", path=location) from error


def _cameras_of_virtual_kitti(text: str, location: str) -> list[StatedCamera]:
    """Lines ``frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]``."""
    lines = text.strip().splitlines()
    if not lines or not re.match(r"frame\s+cameraID\s+K\[0,0\]\s+K\[1,1\]", lines[0]):
        return []
    cameras = []
    for line in lines[1:]:
        words = line.split()
        if len(words) == 6:
            intrinsics = _floats(words[2:], location)
            cameras.append(perspective_camera(f"cameraID {words[1]}", intrinsics, (), None))
    return cameras


def _camera_of_ost(text: str, location: str) -> list[StatedCamera]:
    """Camera of ROS' calibrator, whose matrix and distortion stand below their names."""
    if not re.search(r"^\s*#\s*oST version", text, re.MULTILINE):
        return []
    numbers: dict[str, list[float]] = {}
    for name in ("width", "height", "camera matrix", "distortion", "projection"):
        row_of_numbers = rf"(?:[^\S\n]*{_NUMBER})+"
        below_name = rf"^{name}\s*\n({row_of_numbers}(?:\s*\n{row_of_numbers})*)"
        match = re.search(below_name, text, re.MULTILINE)
        if match is not None:
            numbers[name] = _floats(match[1].split(), location)

    matrix = numbers.get("camera matrix", [])
    coefficients = numbers.get("distortion", [])
    if len(matrix) != 9 or len(coefficients) not in (5, 8):
        raise InputError(
            f"is ROS' ost.txt with {len(matrix)} numbers of a matrix and {len(coefficients)} "
            "coefficients; read are 9, and 5 or 8 (4 may be a fisheye's: take ost.yaml, which says "
            "so)",
            path=location,
        )
    intrinsics = [matrix[0], matrix[4], matrix[2], matrix[5]]
    size = None
    if len(numbers.get("width", [])) == 1 and len(numbers.get("height", [])) == 1:
        size = numbers["width"][0], numbers["height"][0]
    note = rectified_note(numbers, intrinsics, size)
    return [perspective_camera("", intrinsics, coefficients, size, note)]


def _camera_of_bouguet(text: str, location: str) -> list[StatedCamera]:
    """Camera of Bouguet's toolbox for MATLAB, whose first pixel's centre is (0, 0)."""
    lists = {
        name: re.split(r"[\s;,]+", content.strip(" \t\r\n;,"))
        for name, content in re.findall(r"^(fc|cc|kc)\s*=\s*\[([^\]]*)\]", text, re.MULTILINE)
    }
    if len(lists.get("fc", [])) != 2 or len(lists.get("cc", [])) != 2:
        return []
    scalars = {
        name: _floats([word], location)[0]
        for name, word in re.findall(r"^(alpha_c|nx|ny)\s*=\s*([^\s;]+)", text, re.MULTILINE)
    }
    if scalars.get("alpha_c", 0):
        raise InputError(
            "is a calibration of Bouguet's toolbox with a skew (alpha_c), which is not read: "
            "calibrate with est_alpha = 0",
            path=location,
        )

    coefficients = _floats(lists.get("kc", []), location)
    five_coefficients = [*coefficients, 0.0, 0.0, 0.0, 0.0, 0.0][:5]
    intrinsics = _floats([*lists["fc"], *lists["cc"]], location)
    size = None
    if "nx" in scalars and "ny" in scalars:
        size = scalars["nx"], scalars["ny"]
    return [perspective_camera("", intrinsics, five_coefficients, size)]


def _cameras_of_middlebury(text: str) -> list[StatedCamera]:
    """Both cameras of ``calib.txt``: ``cam0=[fx 0 cx; 0 fy cy; 0 0 1]``."""
    matrices = re.findall(
        rf"^(cam\d)\s*=\s*\[\s*({_NUMBER})\s+0\s+({_NUMBER})\s*;\s*0\s+({_NUMBER})\s+({_NUMBER})\s*;",
        text,
        re.MULTILINE,
    )
    sides = dict(re.findall(r"^(width|height)\s*=\s*(\d+)\s*$", text, re.MULTILINE))
    size = (float(sides["width"]), float(sides["height"])) if len(sides) == 2 else None
    return [
        perspective_camera(label, [float(fx), float(fy), float(cx), float(cy)], (), size)
        for label, fx, cx, fy, cy in matrices
    ]


_NAMED_LINE = re.compile(r"^\s*([A-Za-z_]\w*)\s*(?:[=:]|\s)\s*([^=:#;]+?)\s*(?:[#;].*)?$")
"""A name, a separator and a value, such as ``fx = 500  # pixels``."""
_SECTION = re.compile(r"^\s*\[([^\]]+)\]\s*$")


def entries_of_lines(text: str) -> dict[str, Any]:
    """Entries of lines such as ``fx = 500``, with sections as mappings; {} if they state no camera.

    Names are as in the file. A name that is repeated with another value begins another camera.
    """
    entries: dict[str, Any] = {}
    section_entries = entries
    for line in text.splitlines():
        section = _SECTION.match(line)
        if section is not None:
            section_entries = entries.setdefault(section[1].strip(), {})
            continue
        match = _NAMED_LINE.match(line)
        if match is None:
            continue
        name, value = match[1], _value_of_text(match[2])
        if name in section_entries and section_entries[name] != value:
            section_entries = entries.setdefault(f"line {len(entries)}", {})
        section_entries[name] = value
    sections = [section for section in entries.values() if isinstance(section, Mapping)]
    return entries if any(map(_states_camera, [entries, *sections])) else {}


def _states_camera(entries: Mapping[str, Any]) -> bool:
    """Whether lines state a matrix of nine numbers, or a focal length and a centre."""
    for name in MATRICES:
        if isinstance(entries.get(name), list) and len(entries[name]) == 9:
            return True
    numbers = {name for name, value in entries.items() if isinstance(value, float)}
    return not numbers.isdisjoint(FOCAL_X) and not numbers.isdisjoint(CENTRE_X)


def _value_of_text(text: str) -> Any:
    """Number, list of numbers, or text without its quotes."""
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        return text.strip("\"'")
    return numbers[0] if len(numbers) == 1 else numbers


def rows_of_table(text: str) -> list[dict[str, Any]]:
    """Rows of a table whose header names focal lengths; [] of another text."""
    lines = [line.strip().lstrip("#").strip() for line in text.strip().splitlines()]
    lines = [line for line in lines if line]
    if len(lines) < 2:
        return []
    separator = "," if "," in lines[0] else None
    names = [word.strip().strip("\"'") for word in lines[0].split(separator)]
    has_numbers = any(isinstance(_value_of_text(name), float) for name in names)
    if has_numbers or not any(name in names for name in FOCAL_X):
        return []

    rows = []
    for line in lines[1:]:
        values = [_value_of_text(word.strip()) for word in line.split(separator)]
        if len(values) == len(names):
            rows.append(dict(zip(names, values, strict=True)))
    return rows
