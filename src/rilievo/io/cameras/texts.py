"""Parse cameras in text of other programs, and tables and lists of names and numbers.

Supported are Virtual KITTI's ``intrinsic.txt``, ROS' ``ost.txt``, Bouguet's toolbox (``.m``) and
Middlebury's ``calib.txt``. Lines such as ``fx = 500``, and tables with a header, are converted to
entries like those of a JSON.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.names import CENTRE_X, FOCAL_X, MATRICES
from rilievo.io.cameras.parsed_camera import ParsedCamera, perspective_camera
from rilievo.io.cameras.rectified_matrices import rectified_note

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def parse_text_cameras(text: str, location: str) -> list[ParsedCamera]:
    """Parse the cameras of a text; return an empty list if it has none of these formats.

    Raises:
        InputError: If it has one of these formats, with unsupported numbers.
    """
    return (
        _parse_virtual_kitti_cameras(text, location)
        or _parse_ost_camera(text, location)
        or _parse_bouguet_camera(text, location)
        or _parse_middlebury_cameras(text)
    )


def _parse_floats(words: Sequence[str], location: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise InputError(
            f"the file has text where a number is expected ({error})", path=location
        ) from error


def _parse_virtual_kitti_cameras(text: str, location: str) -> list[ParsedCamera]:
    """Parse a table with the columns ``frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]``."""
    lines = text.strip().splitlines()
    if not lines or not re.match(r"frame\s+cameraID\s+K\[0,0\]\s+K\[1,1\]", lines[0]):
        return []
    cameras = []
    for line in lines[1:]:
        words = line.split()
        if len(words) == 6:
            intrinsics = _parse_floats(words[2:], location)
            cameras.append(perspective_camera(f"cameraID {words[1]}", intrinsics, (), None))
    return cameras


def _parse_ost_camera(text: str, location: str) -> list[ParsedCamera]:
    """Parse the text of ROS' calibrator, in which the numbers stand in the lines below a name."""
    if not re.search(r"^[^\S\n]*#[^\S\n]*oST version", text, re.MULTILINE):
        return []
    numbers_by_name = _parse_ost_numbers(text, location)
    matrix = numbers_by_name.get("camera matrix", [])
    coefficients = numbers_by_name.get("distortion", [])
    if len(matrix) != 9 or len(coefficients) not in (5, 8):
        raise InputError(
            f"this ost.txt from ROS has {len(matrix)} numbers in the camera matrix and "
            f"{len(coefficients)} coefficients; expected 9 numbers and 5 or 8 coefficients. If "
            "there are 4, use ost.yaml, which says whether they belong to a fisheye",
            path=location,
        )
    fx, _, cx, _, fy, cy, *_ = matrix
    intrinsics = [fx, fy, cx, cy]
    widths, heights = numbers_by_name.get("width", []), numbers_by_name.get("height", [])
    size = (widths[0], heights[0]) if len(widths) == 1 and len(heights) == 1 else None
    note = rectified_note(numbers_by_name, intrinsics, size)
    return [perspective_camera("", intrinsics, coefficients, size, note)]


def _parse_ost_numbers(text: str, location: str) -> dict[str, list[float]]:
    """Parse the numbers of each name that ROS' calibrator writes in a line of its own.

    They are in one or more lines directly below the name. Names that the text lacks are left out.
    """
    numbers_by_name: dict[str, list[float]] = {}
    row_of_numbers = rf"(?:[^\S\n]*{_NUMBER})+"
    for name in ("width", "height", "camera matrix", "distortion", "projection"):
        rows_below_name = rf"^{name}\s*\n({row_of_numbers}(?:\s*\n{row_of_numbers})*)"
        match = re.search(rows_below_name, text, re.MULTILINE)
        if match is not None:
            numbers_by_name[name] = _parse_floats(match[1].split(), location)
    return numbers_by_name


def _parse_bouguet_camera(text: str, location: str) -> list[ParsedCamera]:
    """Parse the script of Bouguet's MATLAB toolbox, which has the first pixel at (0, 0)."""
    # fc are fx and fy, cc are cx and cy, and kc are the coefficients.
    words_by_list = {
        name: re.split(r"[\s;,]+", content.strip(" \t\r\n;,"))
        for name, content in re.findall(r"^(fc|cc|kc)\s*=\s*\[([^\]]*)\]", text, re.MULTILINE)
    }
    focal_words, centre_words = words_by_list.get("fc", []), words_by_list.get("cc", [])
    if len(focal_words) != 2 or len(centre_words) != 2:
        return []
    scalars = {
        name: _parse_floats([word], location)[0]
        for name, word in re.findall(r"^(alpha_c|nx|ny)\s*=\s*([^\s;]+)", text, re.MULTILINE)
    }
    if scalars.get("alpha_c", 0):
        raise InputError(
            "this calibration from Bouguet's toolbox has a skew (alpha_c), which is not "
            "supported: calibrate with est_alpha = 0",
            path=location,
        )

    coefficients = _parse_floats(words_by_list.get("kc", []), location)
    five_coefficients = [*coefficients, 0.0, 0.0, 0.0, 0.0, 0.0][:5]
    intrinsics = _parse_floats([*focal_words, *centre_words], location)
    size = None
    if "nx" in scalars and "ny" in scalars:
        size = (scalars["nx"], scalars["ny"])
    return [perspective_camera("", intrinsics, five_coefficients, size)]


def _parse_middlebury_cameras(text: str) -> list[ParsedCamera]:
    """Parse both cameras of ``calib.txt``: ``cam0=[fx 0 cx; 0 fy cy; 0 0 1]``."""
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


_NAMED_LINE = re.compile(r"([A-Za-z_]\w*)(?:\s*[=:]\s*|\s+)([^\s=:][^=:]*)")
"""A name, a separator and a value, such as ``fx = 500``."""
_SECTION = re.compile(r"^\s*\[([^\]]+)\]\s*$")


def parse_named_lines(text: str) -> dict[str, Any]:
    """Parse lines such as ``fx = 500`` into entries; empty if they have no camera.

    INI-like sections become nested mappings. A name that is repeated with another value begins the
    mapping of another camera.
    """
    all_entries: dict[str, Any] = {}
    current_entries = all_entries  # or the mapping of a section or of another camera within it
    for line in text.splitlines():
        section = _SECTION.match(line)
        if section is not None:
            current_entries = all_entries.setdefault(section[1].strip(), {})
            continue
        without_comment = re.split("[#;]", line, maxsplit=1)[0]
        match = _NAMED_LINE.fullmatch(without_comment.strip())
        if match is None:
            continue
        name, value = match[1], _parse_value(match[2])
        if name in current_entries and current_entries[name] != value:
            unique_key = f"line {len(all_entries)}"
            current_entries = all_entries.setdefault(unique_key, {})
        current_entries[name] = value

    nested = [value for value in all_entries.values() if isinstance(value, Mapping)]
    has_camera = any(_has_camera(entries) for entries in [all_entries, *nested])
    return all_entries if has_camera else {}


def _has_camera(entries: Mapping[str, Any]) -> bool:
    """Whether entries have a matrix of nine numbers, or a focal length and a centre."""
    for name in MATRICES:
        if isinstance(entries.get(name), list) and len(entries[name]) == 9:
            return True
    has_focal_length = any(isinstance(entries.get(name), float) for name in FOCAL_X)
    has_centre = any(isinstance(entries.get(name), float) for name in CENTRE_X)
    return has_focal_length and has_centre


def _parse_value(text: str) -> Any:
    """Parse a number or a list of numbers; anything else is a text, without its quotes."""
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        return text.strip("\"'")
    return numbers[0] if len(numbers) == 1 else numbers


def parse_table(text: str) -> list[dict[str, Any]]:
    """Parse a table whose header names focal lengths into a mapping per row; else empty.

    The columns are separated by commas or spaces, and the header may begin with ``#``.
    """
    lines = [line.strip().lstrip("#").strip() for line in text.strip().splitlines()]
    lines = [line for line in lines if line]
    if len(lines) < 2:
        return []
    separator = "," if "," in lines[0] else None
    names = [word.strip().strip("\"'") for word in lines[0].split(separator)]
    has_numbers = any(isinstance(_parse_value(name), float) for name in names)
    if has_numbers or not any(name in names for name in FOCAL_X):
        return []

    rows = []
    for line in lines[1:]:
        values = [_parse_value(word.strip()) for word in line.split(separator)]
        if len(values) == len(names):
            rows.append(dict(zip(names, values, strict=True)))
    return rows
