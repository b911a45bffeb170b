"""Cameras in text of other programs, and tables and lists of names and numbers.

Read are Virtual KITTI's ``intrinsic.txt``, ROS' ``ost.txt``, Bouguet's toolbox (``.m``) and
Middlebury's ``calib.txt``. Lines ``fx = 500`` and tables with a header become entries like those
of a JSON.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.models import CENTRE_X, FOCAL_X, MATRICES
from rilievo.io.cameras.rectified_matrices import rectified_note
from rilievo.io.cameras.scene_files import StatedCamera

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def cameras_of_text(text: str, place: str) -> list[StatedCamera]:
    """Cameras of a text; [] if it has none of these forms."""
    return (
        _cameras_of_virtual_kitti(text, place)
        or _camera_of_ost(text, place)
        or _camera_of_bouguet(text, place)
        or _cameras_of_middlebury(text)
    )


def _floats(words: Sequence[str], place: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"has text where a number is expected ({error})", path=place) from error


def _cameras_of_virtual_kitti(text: str, place: str) -> list[StatedCamera]:
    """Lines ``frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]``."""
    lines = text.strip().splitlines()
    if not lines or not re.match(r"frame\s+cameraID\s+K\[0,0\]\s+K\[1,1\]", lines[0]):
        return []
    cameras = []
    for line in lines[1:]:
        words = line.split()
        if len(words) == 6:
            label = f"cameraID {words[1]}"
            cameras.append(StatedCamera(label, "pinhole", _floats(words[2:], place), None))
    return cameras


def _brown(numbers: list[float], bend: list[float]) -> tuple[str, list[float]]:
    return ("opencv", [*numbers, *bend]) if any(bend) else ("pinhole", numbers)


def _camera_of_ost(text: str, place: str) -> list[StatedCamera]:
    """Camera of ROS' calibrator, whose matrix and distortion stand below their names."""
    if not re.search(r"^\s*#\s*oST version", text, re.MULTILINE):
        return []
    found = {
        name: re.search(
            rf"^{name}\s*\n((?:[^\S\n]*{_NUMBER})+(?:\s*\n(?:[^\S\n]*{_NUMBER})+)*)", text, re.M
        )
        for name in ("width", "height", "camera matrix", "distortion", "projection")
    }
    numbers = {
        name: _floats(match[1].split(), place) for name, match in found.items() if match is not None
    }
    matrix, bend = numbers.get("camera matrix", []), numbers.get("distortion", [])
    if len(matrix) != 9 or len(bend) not in (5, 8):
        raise InputError(
            f"is ROS' ost.txt with {len(matrix)} numbers of a matrix and {len(bend)} coefficients; "
            "read are 9, and 5 or 8 (4 may be a fisheye's: take ost.yaml, which says so)",
            path=place,
        )
    lens, whole = _brown([matrix[0], matrix[4], matrix[2], matrix[5]], bend)
    size = None
    if len(numbers.get("width", [])) == 1 and len(numbers.get("height", [])) == 1:
        size = numbers["width"][0], numbers["height"][0]
    note = rectified_note(numbers, whole[:4], size)
    return [StatedCamera("", lens, whole, size, note=note)]


def _camera_of_bouguet(text: str, place: str) -> list[StatedCamera]:
    """Camera of Bouguet's toolbox for MATLAB, whose first pixel's centre is (0, 0)."""
    lists = {
        name: re.split(r"[\s;,]+", content.strip(" \t\r\n;,"))
        for name, content in re.findall(r"^(fc|cc|kc)\s*=\s*\[([^\]]*)\]", text, re.MULTILINE)
    }
    if len(lists.get("fc", [])) != 2 or len(lists.get("cc", [])) != 2:
        return []
    scalars = {
        name: _floats([word], place)[0]
        for name, word in re.findall(r"^(alpha_c|nx|ny)\s*=\s*([^\s;]+)", text, re.MULTILINE)
    }
    if scalars.get("alpha_c", 0):
        raise InputError(
            "is a calibration of Bouguet's toolbox with a skew (alpha_c), which is not read: "
            "calibrate with est_alpha = 0",
            path=place,
        )
    bend = _floats(lists.get("kc", []), place)
    numbers = _floats([*lists["fc"], *lists["cc"]], place)
    lens, whole = _brown(numbers, [*bend, 0.0, 0.0, 0.0, 0.0, 0.0][:5])
    size = None
    if "nx" in scalars and "ny" in scalars:
        size = scalars["nx"], scalars["ny"]
    return [StatedCamera("", lens, whole, size)]


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
        StatedCamera(label, "pinhole", [float(fx), float(fy), float(cx), float(cy)], size)
        for label, fx, cx, fy, cy in matrices
    ]


_LINE = re.compile(r"^\s*([A-Za-z_]\w*)\s*(?:[=:]|\s)\s*([^=:#;]+?)\s*(?:[#;].*)?$")
_SECTION = re.compile(r"^\s*\[([^\]]+)\]\s*$")


def entries_of_lines(text: str) -> dict[str, Any]:
    """Entries of lines such as ``fx = 500``, with sections as mappings; {} if they state no camera.

    Names are as in the file. A name that is repeated with another value becomes another camera.
    """
    entries: dict[str, Any] = {}
    own = entries
    for line in text.splitlines():
        section = _SECTION.match(line)
        if section is not None:
            own = entries.setdefault(section[1].strip(), {})
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        name, value = match[1], _value_of_text(match[2])
        if name in own and own[name] != value:
            own = entries.setdefault(f"line {len(entries)}", {})
        own[name] = value
    nodes = [entries, *(node for node in entries.values() if isinstance(node, Mapping))]
    return entries if any(_states_camera(node) for node in nodes) else {}


def _states_camera(node: Mapping[str, Any]) -> bool:
    """Whether lines state a matrix of nine numbers, or a focal length and a centre."""
    if any(isinstance(node.get(name), list) and len(node[name]) == 9 for name in MATRICES):
        return True
    numbers = {name for name, value in node.items() if isinstance(value, float)}
    return any(name in numbers for name in FOCAL_X) and any(name in numbers for name in CENTRE_X)


def _is_number(word: str) -> bool:
    return isinstance(_value_of_text(word), float)


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
    if not any(name in names for name in FOCAL_X) or any(_is_number(name) for name in names):
        return []
    rows = []
    for line in lines[1:]:
        words = [word.strip() for word in line.split(separator)]
        if len(words) == len(names):
            values = (_value_of_text(word) for word in words)
            rows.append(dict(zip(names, values, strict=True)))
    return rows
