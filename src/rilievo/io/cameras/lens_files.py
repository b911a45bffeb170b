"""Intrinsics and lenses from small files.

Supported are COLMAP's cameras, KITTI's ``calib.txt`` and ``calib_cam_to_cam.txt``, TUM's numbers,
DSO's ``camera.txt``, Kalibr, ROS, OpenCV, Open3D, ORB-SLAM, VINS, ``transforms.json``, npz
calibrations, rilievo's JSON, and K as text or npy; and the forms of ``programs``,
``scene_files``, ``texts`` and ``stated_views``.
"""

import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rilievo.arrays.shapes import Matrix
from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.errors.messages import OptionName, Text, join_notes
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.spelling import MOST_SIDE, SpelledLens, read_spelling
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.cameras.colmap import MODELS, read_cameras_bin
from rilievo.io.cameras.distortions import NOT_NAMED
from rilievo.io.cameras.models import (
    MATRICES,
    READ,
    parse_opencv_xml,
    parse_xml,
    read_npz_calibration,
    stated_size,
    to_kalibr_entries,
)
from rilievo.io.cameras.programs import cameras_of_programs
from rilievo.io.cameras.rectified_matrices import rectified_note, refuse_rectified_alone
from rilievo.io.cameras.scene_files import StatedCamera, cameras_in_text, cameras_in_xml
from rilievo.io.cameras.search import find_cameras, is_camera, several_cameras_error
from rilievo.io.cameras.stated_views import (
    refuse_millimetres_of_other_view,
    refuse_other_focal_lengths,
    unusual_lens,
    views_in_content,
    views_in_xml,
)
from rilievo.io.cameras.texts import cameras_of_text, entries_of_lines, rows_of_table
from rilievo.io.files.limits import check_regular, read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_numbers
from rilievo.io.picture_changes import is_picture_change, turn_note
from rilievo.io.yaml_text import parse_yaml

_KITTI: Mapping[str, str] = {
    "P2": "the left colour camera",
    "P_rect_02": "the left colour camera",
    "P_rect_00": "the left camera",
    "P0": "the left grey camera",
    "P3": "the right colour camera",
    "P_rect_03": "the right colour camera",
    "P1": "the right grey camera",
    "P_rect_01": "the right camera",
}
"""Projections of KITTI and KITTI-360, in the order in which they are taken."""

_DSO: Mapping[str, tuple[str, int]] = {
    "fov": ("fov", 1),
    "pinhole": ("pinhole", 1),
    "radtan": ("opencv", 4),
    "equidistant": ("fisheye", 4),
    "kannalabrandt": ("fisheye", 4),
}

_RADTAN = (
    *("radtan", "plumb_bob", "rational_polynomial", "brown", "opencv", "none", "pinhole"),
    *("radial-tangential", "radial_tangential", "brown_conrady", NOT_NAMED),
)

_FOV = ("fov", "atan")
_EQUIDISTANT = ("equidistant", "fisheye", "kannala_brandt", "kannala_brandt4")

_UNBENT = ("perspective", "simple_pinhole", "rectified", "linear", "distortion.none")
"""Models of lenses without distortion."""
_CURE = Text(
    "write its numbers as ",
    OptionName("camera", "FX,FY,CX,CY"),
    " or ",
    OptionName("camera", "opencv:FX,FY,CX,CY,K1,K2,P1,P2"),
    ", or give ",
    OptionName("fov", "..."),
)
_LONGEST = 100_000
_FOUR_NOTE = (
    "its camera file names no lens model, and its 4 coefficients are read as k1, k2, p1 and p2: if "
    "they are of a fisheye, name 'distortion_model: equidistant', or write fisheye:FX,FY,CX,CY,K1,"
    "K2,K3,K4"
)
_THREE_NOTE = (
    "its camera file names no lens model, and its k1, k2 and k3 are read as those of OpenCV's "
    "perspective lens: if they are of a fisheye, name 'camera_model: OPENCV_FISHEYE', or write "
    "fisheye:FX,FY,CX,CY,K1,K2,K3,K4"
)
_MOST_DOCUMENTS = 100
_SQUARE = 0.05
"""Relative difference of focal lengths up to which pixels are square."""
_LONGEST_SHARE = 10.0
"""Focal lengths below it may be shares of the width."""
_MOST_OFF_CENTRE = 0.25
"""Distance of a principal point from the middle, in sides, up to which a size is its own."""


def read_K(path: Path) -> Matrix:
    """Read K [px] from four (fx fy cx cy) or nine numbers, or a 3x3 npy array."""
    if path.suffix != ".npy":
        return camera_from_K(_read_K_text(path), path).K
    K = read_numbers(path).astype(np.float64)
    if K.shape != (3, 3):
        raise InputError(f"has shape {K.shape}, expected K, (3, 3)", path=path)
    return camera_from_K(K, path).K


def camera_from_K(K: Matrix, path: Path) -> Camera:
    """Make a camera; errors name ``path``."""
    try:
        return Camera(K=K)
    except InputError as error:
        raise InputError(problem=Text(error), path=path) from error


def _read_K_text(path: Path) -> Matrix:
    check_regular(path)
    try:
        numbers = _parse_floats(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(f"holds no numbers alone ({error})", path=path, hint=_CURE) from error
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=path) from error
    if len(numbers) == 4:
        return pinhole_K(*numbers)
    if len(numbers) == 9:
        return np.array(numbers).reshape(3, 3)
    raise InputError(
        (f"holds {len(numbers)} numbers, expected four (fx fy cx cy) or the nine of K"), path=path
    )


class _FileLine(NamedTuple):
    number: int
    text: str
    path: Path

    @property
    def place(self) -> str:
        return f"{printable(self.path)}, line {self.number}"


def read_lens(path: Path) -> SpelledLens:
    """Read the lens of a calibration file.

    Raises:
        InputError: If it holds none, or several.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _lens_in_npy(path)
    if suffix == ".bin":
        if path.name == "images.bin":
            raise InputError(
                "is COLMAP's list of images and their poses, which is not read; take the "
                "cameras.bin beside it",
                path=printable(path),
            )
        cameras = [colmap_lens(*row[1:]) for row in read_cameras_bin(path)]
        return _single_lens(cameras, path)
    if suffix == ".npz":
        return _lens_of_entries(read_npz_calibration(path), printable(path))
    check_regular(path)
    head = _first_bytes(path)
    _refuse_matlab_file(head, path)
    if head == _SINTEL:
        return _lens_in_sintel_file(path)
    text = read_text(path).removeprefix("\ufeff")
    if suffix in (".yaml", ".yml"):
        return _lens_in_yaml(text, path)
    if suffix == ".xml" or text.lstrip().startswith("<"):
        return _lens_in_xml(text, path)
    if suffix == ".toml":
        return _lens_in_toml(text, path)
    if suffix != ".json" and re.fullmatch(_ARRAY, text) and not _is_json(text):
        # Printed by NumPy or MATLAB.
        rows = [_numbers_or_empty(row) for row in re.split(r"[\];\n]+", text.replace("[", " "))]
        return _lens_of_numbers([row for row in rows if row], path)
    if suffix == ".json" or text.lstrip().startswith(("{", "[[")):
        return _lens_in_json(text, path)
    return _lens_in_text(text, path)


_ARRAY = re.compile(r"\s*\[[\[\]\s\d.,;eE+-]{1,10000}\]\s*")
"""Numbers in brackets."""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


_SINTEL = b"PIEH"
"""First bytes of a camera of MPI Sintel: 202021.25 as a float."""


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_SINTEL))
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=printable(path)) from error


def _lens_in_npy(path: Path) -> SpelledLens:
    """Lens of K as an array of 3 x 3, 3 x 4 or 4 x 4, by rows or columns."""
    array = read_numbers(path)
    if array.shape not in ((3, 3), (3, 4), (4, 4)):
        raise InputError(
            f"has shape {array.shape}, expected K, (3, 3), or a projection, (3, 4)",
            path=printable(path),
        )
    place = printable(path)
    numbers = _check_finite(array.astype(np.float64).reshape(-1).tolist(), place)
    return _make_lens("pinhole", _four_numbers(numbers, place), None, place)


def _lens_in_sintel_file(path: Path) -> SpelledLens:
    """Lens of MPI Sintel: K by rows, as doubles, then the pose."""
    place = printable(path)
    try:
        content = path.read_bytes()[len(_SINTEL) :][:72]
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=place) from error
    if len(content) != 72:
        raise InputError("is a camera of Sintel that is cut short; fetch it again", path=place)
    numbers = _check_finite(np.frombuffer(content, "<f8").tolist(), place)
    return _make_lens("pinhole", _four_numbers(numbers, place), None, place)


def _refuse_matlab_file(head: bytes, path: Path) -> None:
    """Refuse MATLAB's files of version 5 (text), and of 7.3 (HDF5)."""
    if head == b"MATL" or (path.suffix.lower() == ".mat" and head == b"\x89HDF"):
        raise InputError(
            "is a file of MATLAB, which is not read: write jsonencode(toStruct(cameraParams)) into "
            "a JSON, or give opencv:FX,FY,CX-1,CY-1,K1,K2,P1,P2",
            path=printable(path),
        )


def _lens_in_xml(text: str, path: Path) -> SpelledLens:
    place = printable(path)
    stated = cameras_in_xml(text, place)
    if stated:
        return _only_stated_lens(stated, path)
    root = parse_xml(text, place)
    views = views_in_content(views_in_xml(root, place), place)
    if views:
        return _only_stated_lens(views, path)
    with_attributes = [dict(each.attrib) for each in root.iter() if "fx" in each.attrib]
    if with_attributes:
        return _lens_in_content(with_attributes, path)
    return _lens_of_entries(parse_opencv_xml(text, path), place)


def _lens_in_toml(text: str, path: Path) -> SpelledLens:
    try:
        content = tomllib.loads(text)
    except ValueError as error:
        raise InputError(f"is no TOML ({reason(error)})", path=printable(path)) from error
    return _lens_in_content(content, path)


def _lens_in_text(text: str, path: Path) -> SpelledLens:
    """Lens of a text of COLMAP, KITTI, DSO and others, of names and numbers, or of numbers."""
    place = printable(path)
    stated = cameras_in_text(text, place) or cameras_of_text(text, place)
    if stated:
        return _chosen_stated_lens(stated, path)
    stripped = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    lines = [_FileLine(n, line, path) for n, line in stripped if line and not line.startswith("#")]
    colmap = [line for line in lines if re.match(r"\d+\s+[A-Z_]+\s", line.text)]
    if colmap:
        return _single_lens([_lens_in_colmap_line(line) for line in colmap], path)
    kitti = _lens_in_kitti_lines(lines)
    if kitti is not None:
        return kitti
    if _is_dso_file([line.text for line in lines]):
        return _lens_in_dso_file(lines)
    entries = rows_of_table(text) or entries_of_lines(text)
    if entries:
        return _lens_in_content(entries, path)
    return _lens_of_numbers([_numbers_or_empty(line.text) for line in lines], path)


def _lens_of_numbers(rows: list[list[float]], path: Path) -> SpelledLens:
    """Lens of numbers without names: K, fx fy cx cy with coefficients, or one of these in each row.

    Six numbers are width, height, fx, fy, cx and cy, as in ARKitScenes; Matterport3D has k1, k2,
    p1, p2 and k3 behind them.
    """
    place = printable(path)
    lengths = {len(row) for row in rows}
    is_matrix = len(rows) in (3, 4) and lengths in ({3}, {4}) and rows[1][0] == 0
    if len(rows) > 1 and len(lengths) == 1 and lengths <= {4, 6, 8, 9} and not is_matrix:
        lenses = [_lens_of_numbers([row], path) for row in rows]
        if any(lens != lenses[0] for lens in lenses):
            raise several_cameras_error([f"line {n}" for n in range(1, len(rows) + 1)], place)
        return lenses[0]
    numbers = [number for row in rows for number in row]
    if len(numbers) in (8, 9) and not is_matrix and numbers[6:] != [0, 0, 1]:
        if _are_coefficients(numbers[4:]) and min(numbers[:4]) > 0:
            lens = _make_lens("opencv", numbers, None, place)
            return replace(lens, note=_FOUR_NOTE) if len(numbers) == 8 else lens
        if len(numbers) == 8:
            raise InputError(
                "holds 8 numbers, of which the last four are hardly k1, k2, p1 and p2: write fx "
                "fy cx cy k1 k2 p1 p2",
                path=place,
            )
    if len(numbers) == 4:
        camera_from_K(pinhole_K(*numbers), path)
        return _make_lens("pinhole", numbers, None, place)
    if len(numbers) in (6, 10, 11) and _is_size_and_focal(numbers[:6]):
        size = _parse_sides(numbers[0], numbers[1], place)
        name = "opencv" if any(numbers[6:]) else "pinhole"
        whole = numbers[2:] if any(numbers[6:]) else numbers[2:6]
        return _make_lens(name, whole, size, place)
    if len(numbers) in (9, 12, 16):
        numbers = _four_numbers(numbers, place)
        camera_from_K(pinhole_K(*numbers), path)
        return _make_lens("pinhole", numbers, None, place)
    return _lens_of_K(read_K(path))


def _are_coefficients(numbers: Sequence[float]) -> bool:
    """Whether numbers may be k1, k2, p1, p2 and perhaps k3."""
    k1, k2, p1, p2, *_ = numbers
    return max(abs(k1), abs(k2)) < 100 and max(abs(p1), abs(p2)) < 1


def _is_size_and_focal(numbers: Sequence[float]) -> bool:
    width, height, fx, fy, cx, cy = numbers
    are_whole = width.is_integer() and height.is_integer()
    return are_whole and min(fx, fy) > 0 and _is_central(cx, cy, width, height)


def _is_central(cx: float, cy: float, width: float, height: float) -> bool:
    """Whether a principal point lies near the middle of a picture."""
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        return False
    off_centre = max(abs((cx + 0.5) / width - 0.5), abs((cy + 0.5) / height - 0.5))
    return off_centre < _MOST_OFF_CENTRE


def _chosen_stated_lens(cameras: Sequence[StatedCamera], path: Path) -> SpelledLens:
    """Lens of the only camera of a file, or of Middlebury's left one with a note."""
    first = cameras[0]
    if first.label != "cam0" or len(cameras) == 1:
        return _only_stated_lens(cameras, path)
    lens = _lens_of_stated(first, printable(path))
    if all(_lens_of_stated(camera, printable(path)) == lens for camera in cameras):
        return lens
    return replace(
        lens,
        note="its camera file has cam0 (im0.png) and cam1 (im1.png), which differ, and cam0 is "
        "taken: for the other, give FX,FY,CX,CY",
    )


def _only_stated_lens(cameras: Sequence[StatedCamera], path: Path) -> SpelledLens:
    """Lens of the only camera that a file states."""
    lenses = [_lens_of_stated(camera, printable(path)) for camera in cameras]
    if any(lens != lenses[0] for lens in lenses):
        raise several_cameras_error([camera.label for camera in cameras], printable(path))
    return lenses[0]


def _lens_of_stated(camera: StatedCamera, place: str) -> SpelledLens:
    numbers = _check_finite(camera.numbers, place)
    if camera.lens.startswith("colmap:"):
        assert camera.size is not None, "kapture's cameras have a size"
        height, width = _parse_sides(*camera.size, place)
        return colmap_lens(camera.lens.removeprefix("colmap:"), width, height, numbers, place)
    if camera.lens == "equirect":
        return SpelledLens(name="equirect")
    size = None if camera.size is None else _parse_sides(*camera.size, place)
    lens = _make_lens(camera.lens, numbers, size, place)
    return replace(lens, note=camera.note, aspect=camera.aspect)


def _lens_of_K(K: np.ndarray) -> SpelledLens:
    (fx, _, cx), (_, fy, cy), _ = K.tolist()
    return SpelledLens(name="pinhole", numbers=(fx, fy, cx, cy))


def _numbers_or_empty(text: str) -> list[float]:
    try:
        return _parse_floats(text)
    except ValueError:
        return []


def _parse_floats(text: str) -> list[float]:
    if len(text) > _LONGEST:
        raise ValueError(f"it has {len(text):,} characters")
    return [float(word) for word in re.split(r"[\s,;]+", text.strip(" \t\r\n,;"))]


def _check_finite(numbers: Sequence[float], place: str) -> list[float]:
    for at, number in enumerate(numbers, 1):
        if not math.isfinite(number):
            raise InputError(f"number {at} is {number:g}, expected finite numbers", path=place)
    return [*numbers]


def _parse_sides(width: float, height: float, place: str) -> tuple[int, int]:
    """Size (height, width); refuses impossible sides."""
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise InputError(
            (
                f"its pictures are {width:.10g}x{height:.10g}, expected sides of "
                f"1 to {MOST_SIDE} pixels"
            ),
            path=place,
        )
    return int(height), int(width)


def _make_lens(
    name: str, numbers: Sequence[float], size: tuple[int, int] | None, place: str
) -> SpelledLens:
    # FOV without distortion is a pinhole.
    if name in ("fov", "pinhole") and not any(numbers[4:]):
        name, numbers = "pinhole", numbers[:4]
    spelling = SpelledLens(name=name, numbers=tuple(map(float, numbers)), size=size)
    try:
        spelling.lens(size or (2, 2))
    except InputError as error:
        raise InputError(problem=Text(error), path=place) from error
    return spelling


def _single_lens(lenses: list[SpelledLens], path: Path) -> SpelledLens:
    if not lenses or any(lens != lenses[0] for lens in lenses):
        raise InputError(
            f"holds {len(lenses)} cameras: keep the one of this photograph", path=printable(path)
        )
    return lenses[0]


def _lens_in_colmap_line(line: _FileLine) -> SpelledLens:
    try:
        _, model, width, height, *numbers = line.text.split()
        return colmap_lens(model, int(width), int(height), [*map(float, numbers)], line.place)
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise InputError(
            (
                f"'{printable(line.text[:60])}' is no camera of COLMAP "
                f"({printable(str(error)[:60])})"
            ),
            path=line.place,
        ) from error


def colmap_lens(
    model: str, width: int, height: int, numbers: Sequence[float], place: str
) -> SpelledLens:
    """Make the lens of a COLMAP camera.

    Raises:
        InputError: If there is no such lens; it names ``place``.
    """
    names = [name for name, entry in MODELS.items() if entry.lens]
    if model not in names:
        raise InputError(f"has COLMAP's model '{model}'; read are {', '.join(names)}", path=place)
    name, focals, count = MODELS[model]
    expected = MODELS[model].parameter_count
    if len(numbers) != expected:
        raise InputError(f"{model} has {expected} parameters, got {len(numbers)}", path=place)
    # COLMAP's origin is the corner of the first pixel.
    cx, cy, *bend = numbers[focals:]
    whole = [numbers[0], numbers[focals - 1], cx - 0.5, cy - 0.5, *bend]
    if name in ("opencv", "fisheye"):
        whole += [0.0] * (4 - count)
    return _make_lens(name, whole, _parse_sides(width, height, place), place)


def _lens_in_kitti_lines(lines: Sequence[_FileLine]) -> SpelledLens | None:
    """Lens of KITTI's projections, with a note if its cameras differ; None without one."""
    by_name = {line.text.partition(":")[0]: line for line in lines if ":" in line.text}
    names = [name for name in _KITTI if name in by_name]
    if not names:
        if "K_02" in by_name or "K_00" in by_name:
            place = printable(lines[0].path)
            raise InputError(
                "has KITTI's cameras before rectification alone (K_02 and D_02): for rectified "
                "pictures take its P_rect_02, for others give opencv:FX,FY,CX,CY,K1,K2,P1,P2,K3",
                path=place,
            )
        return None
    taken = names[0]
    lens = _lens_in_kitti_line(by_name[taken], lines)
    others = [name for name in names[1:] if _differs(by_name[name], lines, lens)]
    notes: list[str] = []
    if others:
        differ = "differs" if len(others) == 1 else "differ"
        notes.append(
            f"its camera is {taken} of the file ({_KITTI[taken]}), and {', '.join(others)} "
            f"{differ} from it: for another, keep only its line in the file, or give FX,FY,CX,CY"
        )
    raw = taken.replace("P_rect_", "K_")
    if raw != taken and raw in by_name:
        notes.append(
            f"its camera is that of rectified pictures ({taken}), and {raw} is that of raw ones: "
            f"for a raw picture, give the numbers of {raw} and its D as opencv:FX,FY,CX,CY,K1,K2,"
            "P1,P2,K3"
        )
    return replace(lens, note=join_notes(notes)) if notes else lens


def _differs(line: _FileLine, lines: Sequence[_FileLine], lens: SpelledLens) -> bool:
    """Whether a line is another camera; one that cannot be read is none."""
    try:
        return _lens_in_kitti_line(line, lines) != lens
    except InputError:
        return False


def _lens_in_kitti_line(line: _FileLine, lines: Sequence[_FileLine]) -> SpelledLens:
    numbers = _check_finite(_numbers_or_empty(line.text.split(":", 1)[1]), line.place)
    if len(numbers) != 12:
        raise InputError(f"'{printable(line.text[:40])}' has no twelve numbers", path=line.place)
    number = line.text.partition(":")[0].removeprefix("P_rect_")
    number = f"0{number[1:]}" if re.fullmatch(r"P\d", number) else number
    size_name = f"S_rect_{number if len(number) == 2 and number.isdigit() else '02'}:"
    stated = next((row for row in lines if row.text.startswith(size_name)), None)
    sides = [] if stated is None else _numbers_or_empty(stated.text.split(":", 1)[1])
    size = None
    if stated is not None and len(sides) == 2:
        size = _parse_sides(sides[0], sides[1], stated.place)
    numbers = [numbers[0], numbers[5], numbers[2], numbers[6]]
    return _make_lens("pinhole", numbers, size, line.place)


def _is_dso_file(lines: Sequence[str]) -> bool:
    if len(lines) < 2 or not re.fullmatch(r"\d{1,6}\s+\d{1,6}", lines[1]):
        return False
    words = lines[0].split(maxsplit=1)
    has_name = words[0].isalpha() and len(words) == 2
    return len(_numbers_or_empty(words[1] if has_name else lines[0])) >= 5


def _lens_in_dso_file(lines: Sequence[_FileLine]) -> SpelledLens:
    line, place = lines[0].text, lines[0].place
    words = line.split()
    model = words.pop(0).lower() if words[0].isalpha() else ""
    numbers = _numbers_or_empty(" ".join(words))
    default = {5: "fov", 8: "radtan"}.get(len(numbers), "")
    name, count = _DSO.get(model or default, ("", 0))
    if len(numbers) != 4 + count:
        raise InputError(
            (
                f"'{printable(line[:60])}' is no lens of DSO; read are FOV "
                "and Pinhole (fx fy cx cy omega), RadTan and EquiDistant "
                "(fx fy cx cy and 4 coefficients)"
            ),
            path=place,
        )
    width, height = map(int, lines[1].text.split())
    size = _parse_sides(width, height, lines[1].place)
    fx, fy, cx, cy, *bend = numbers
    if cx < 1 and cy < 1:
        # Parts of the width and the height, from the corner of the first pixel.
        fx, fy, cx, cy = fx * width, fy * height, cx * width - 0.5, cy * height - 0.5
    if name == "pinhole" and any(bend):
        raise InputError("is a pinhole, whose fifth number is 0", path=place)
    return _make_lens(name, [fx, fy, cx, cy, *bend], size, place)


def _lens_in_yaml(text: str, path: Path) -> SpelledLens:
    # OpenCV's header and tags are not standard YAML; they mark an ordinary mapping.
    text = re.sub(r"\A%YAML[^\n]*\n", "", text).replace("!!opencv-matrix", "")
    # ROS' topics are printed as documents, each with a line of dashes at its end.
    documents = [
        part for part in re.split(r"^---[^\S\n]*$", text, flags=re.MULTILINE) if part.strip()
    ]
    try:
        contents = [parse_yaml(part) for part in documents[:_MOST_DOCUMENTS]]
        content = contents[0] if len(contents) == 1 else {"documents": contents}
    except ModuleNotFoundError as missing:
        raise MissingExtraError("a calibration in YAML", "evaluate") from missing
    except ValueError as error:
        raise InputError(f"is no YAML ({reason(error)})", path=printable(path)) from error
    if not isinstance(content, Mapping):
        raise _no_lens_error(printable(path))
    return _lens_in_content(content, path)


def _lens_in_content(content: Any, path: Path) -> SpelledLens:
    """Lens of the only camera in a JSON, YAML or TOML."""
    try:
        return _lens_of_content(content, path)
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
        if isinstance(error, InputError):
            raise
        if isinstance(error, OptionError):
            raise InputError(problem=Text(error), path=printable(path)) from error
        raise InputError(
            f"has no camera in a form that is read ({printable(reason(error)[:80])})",
            path=printable(path),
            hint=_CURE,
        ) from error


def _lens_of_content(content: Any, path: Path) -> SpelledLens:
    place = printable(path)
    if isinstance(content, list) and content and not isinstance(content[0], Mapping):
        content = {"K": content}
    stated = cameras_of_programs(content, place)
    if stated:
        return _only_stated_lens(stated, path)
    found = find_cameras(content, place)
    if not found:
        views = views_in_content(content, place)
        if views:
            return _only_stated_lens(views, path)
        refuse_rectified_alone(content, place)
        raise _no_lens_error(place, content)
    lenses = [
        _lens_of_entries(
            camera.entries, f"{place}, {camera.label}" if camera.label else place, camera.label
        )
        for camera in found
    ]
    if any(lens != lenses[0] for lens in lenses):
        raise several_cameras_error([camera.label for camera in found], place)
    return lenses[0]


def _lens_of_entries(entries: Mapping[str, Any], place: str, label: str = "") -> SpelledLens:
    _refuse_other_units(entries, place)
    stated = entries
    entries = to_kalibr_entries(entries, place, label)
    lens = entries.get("lens")
    has_intrinsics = any(entries.get(name) is not None for name in MATRICES)
    if isinstance(lens, str) and (":" in lens or not has_intrinsics):
        spelled = read_spelling(lens, option="its lens")
        _refuse_other_views(stated, entries.get("picture_aspect"), place)
        return replace(spelled, aspect=entries.get("picture_aspect"))
    focal = _numbers_of_entry(entries, MATRICES, place) or [
        number
        for name in ("fx", "fy", "cx", "cy")
        for number in _numbers_of_entry(entries, (name,), place)
    ]
    bend = [_float_or_nan(number) for number in entries.get("distortion_coeffs") or []]
    bend = _check_finite(bend, f"{place}: {entries.get('distortion_name', 'distortion_coeffs')}")
    bend = bend if any(bend[8:]) else bend[:8]
    model = str(entries.get("distortion_model") or "none").lower()
    if _has_coefficients(focal) and not bend:
        focal, bend = focal[:4], focal[4:]
    focal = _four_numbers(focal, place)
    if focal and len(focal) != 4:
        raise InputError(
            f"has {len(focal)} numbers as its intrinsics, expected fx, fy, cx, cy, or the 9 of K",
            path=place,
        )
    if not focal:
        raise _no_lens_error(place, entries)
    sides = [_float_or_nan(side) for side in stated_size(entries)]
    # Calibrations that do not know the size state 0.
    sides = sides if len(sides) == 2 and all(sides) else []
    focal, sides, note = _in_pixels_of_size(focal, sides)
    shape = _parse_sides(sides[0], sides[1], place) if sides else None
    shown = str(entries.get("stated_model") or model)
    lens = _lens_of_model(model, shown, [*focal, *bend], shape, place)
    # NeRF's forms have w and h, and other programs add the size by other names.
    refuse_other_focal_lengths(
        stated, focal, sides or _positive_sides(stated), place, is_bent=any(bend)
    )
    is_guess = model == NOT_NAMED and any(bend)
    guess_note = _FOUR_NOTE if len(bend) == 4 else _THREE_NOTE
    possible = (
        note,
        guess_note if is_guess else None,
        rectified_note(stated, focal, sides or None),
        turn_note(stated),
        _lens_name_note(stated, lens),
    )
    notes = [each for each in possible if each is not None]
    return replace(lens, note=join_notes(notes)) if notes else lens


def _refuse_other_views(entries: Mapping[str, Any], aspect: float | None, place: str) -> None:
    """Refuse what contradicts the only angle of a ``transforms.json``."""
    angle = entries.get("camera_angle_x")
    if not isinstance(angle, int | float):
        return
    sides = _positive_sides(entries)
    if sides:
        width, height = sides
        fx = 0.5 * width / math.tan(0.5 * angle)
        intrinsics = [fx, fx, (width - 1) / 2, (height - 1) / 2]
        refuse_other_focal_lengths(entries, intrinsics, sides, place, is_bent=False)
    else:
        refuse_millimetres_of_other_view(entries, math.degrees(angle), aspect, place)


def _positive_sides(entries: Mapping[str, Any]) -> list[float]:
    """Width and height by any of their names; [] if they are not stated, or not positive."""
    sides = [_float_or_nan(side) for side in stated_size(entries)]
    return sides if len(sides) == 2 and all(side > 0 for side in sides) else []


def _lens_name_note(entries: Mapping[str, Any], lens: SpelledLens) -> str | None:
    """Note on a lens that is named a fisheye or the like, and has the numbers of a pinhole."""
    unusual = unusual_lens(entries)
    if unusual is None or lens.name != "pinhole":
        return None
    return (
        f"its camera file states '{unusual}' and no distortion, so it is taken for a pinhole: if "
        "it is a fisheye, give fisheye:FX,FY,CX,CY,K1,K2,K3,K4"
    )


def _in_pixels_of_size(
    focal: list[float], sides: list[float]
) -> tuple[list[float], list[float], str | None]:
    """Focal lengths and centre in pixels, width and height in order, and what was changed."""
    if not sides:
        return focal, sides, None
    fx, fy, cx, cy = focal
    width, height = sides
    if 0 < cx < 1 and 0 < cy < 1 and max(fx, fy) < _LONGEST_SHARE and min(sides) > 1:
        pixels, note = _pixels_of_shares(focal, width, height)
        return pixels, sides, note
    if not _is_central(cx, cy, width, height) and _is_central(cx, cy, height, width):
        note = (
            f"the size [{width:.10g}, {height:.10g}] of its camera file is taken for height and "
            f"width, because its centre is {cx:g},{cy:g}"
        )
        return focal, [height, width], note
    return focal, sides, None


def _pixels_of_shares(focal: list[float], width: float, height: float) -> tuple[list[float], str]:
    """Pixels of numbers that are shares of the sides, or of the longer one, and a note on it."""
    fx, fy, cx, cy = focal
    longer = max(width, height)
    is_square = abs(fx * width / (fy * height) - 1) <= _SQUARE
    if is_square or abs(fx / fy - 1) > _SQUARE:
        whose, across, down = "the width and the height", width, height
    else:
        whose, across, down = "the longer side", longer, longer
    # A centre in the middle is a half of each side, whatever the focal length is a share of.
    is_half = abs(cx - 0.5) < _MOST_OFF_CENTRE / 2 and abs(cy - 0.5) < _MOST_OFF_CENTRE / 2
    centre_across, centre_down = (width, height) if is_half else (across, down)
    pixels = [fx * across, fy * down, cx * centre_across - 0.5, cy * centre_down - 0.5]
    note = (
        f"the numbers of its camera file are taken for shares of {whose} of the picture, "
        f"{width:.10g}x{height:.10g}, and were multiplied by it"
    )
    return pixels, note


def _refuse_other_units(entries: Mapping[str, Any], place: str) -> None:
    """Refuse numbers that are stated to be in millimetres."""
    for name, value in entries.items():
        word = str(value).lower()
        is_unit = re.search(r"units?$", str(name), re.IGNORECASE) is not None
        if is_unit and re.fullmatch(r"mm|milli\w*|cm|m|metres?|meters?|in|inch(es)?", word):
            if re.search(r"world|translation|baseline|depth|pose|length", str(name), re.IGNORECASE):
                continue
            raise InputError(
                f"states '{printable(str(name)[:30])}: {printable(word[:20])}': intrinsics are "
                "read in pixels; multiply them by the width of the pictures over that of the "
                "sensor, or write Fmm/WIDTHmm",
                path=place,
            )


def _lens_of_model(
    model: str, shown: str, numbers: list[float], shape: tuple[int, int] | None, place: str
) -> SpelledLens:
    """Lens of fx, fy, cx, cy and coefficients; ``shown`` is the model's name in the file."""
    focal, bend = numbers[:4], numbers[4:]
    if not any(bend):
        if model not in (*_EQUIDISTANT, *_RADTAN, *_FOV, *_UNBENT):
            raise InputError(f"has the lens model '{printable(shown[:60])}'; {READ}", path=place)
        name = "fisheye" if model in _EQUIDISTANT else "pinhole"
        return _make_lens(name, focal, shape, place)
    if model in _EQUIDISTANT and not any(bend[4:]):
        # RealSense has five places for coefficients, whatever the model.
        bend = bend[:4]
    if model in _EQUIDISTANT and len(bend) == 4:
        return _make_lens("fisheye", [*focal, *bend], shape, place)
    if model in _FOV and len(bend) == 1:
        return _make_lens("fov", [*focal, *bend], shape, place)
    if model in _RADTAN and len(bend) in (4, 5, 8):
        return _make_lens("opencv", [*focal, *bend], shape, place)
    raise InputError(
        f"has the lens model '{printable(shown[:60])}' with {len(bend)} coefficients; {READ}",
        path=place,
    )


def _has_coefficients(numbers: Sequence[float]) -> bool:
    """Whether nine numbers are fx, fy, cx, cy, k1, k2, p1, p2 and k3, as of Waymo, and not K."""
    is_matrix = len(numbers) != 9 or numbers[8] == 1 or numbers[1] == 0 or numbers[3] == 0
    return not is_matrix and min(numbers[:4]) > 1


def _four_numbers(numbers: list[float], place: str) -> list[float]:
    """fx, fy, cx and cy of a matrix of 3 x 3, 3 x 4 or 4 x 4, by rows or columns; or as it is."""
    if len(numbers) == 12:
        numbers = [*numbers[:3], *numbers[4:7], *numbers[8:11]]
    if len(numbers) not in (9, 16):
        return numbers
    side = 3 if len(numbers) == 9 else 4
    matrix = np.array(numbers, np.float64).reshape(side, side)
    # Open3D and ARKit write it column by column: the principal point stands at its end.
    if matrix[2, :2].any() and not matrix[:2, 2].any():
        matrix = matrix.T
    if side == 4 and (matrix[3].tolist() != [0, 0, 0, 1] or matrix[:3, 3].any()):
        raise InputError("has 16 numbers that are no K with a row and a column of 0", path=place)
    (fx, skew, cx), (zero, fy, cy), last = matrix[:3, :3].tolist()
    if skew or zero or last != [0, 0, 1]:
        raise InputError(
            f"K is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {matrix[:3, :3].tolist()}", path=place
        )
    return [fx, fy, cx, cy]


def _numbers_of_entry(entries: Mapping[str, Any], names: Sequence[str], place: str) -> list[float]:
    """Numbers of the first of these entries; [] without one."""
    name = next((name for name in names if entries.get(name) is not None), None)
    if name is None:
        return []
    entry = entries[name]
    if isinstance(entry, Mapping):
        entry = entry.get("data")
    rows = entry if isinstance(entry, list) else [entry]
    flat = [number for row in rows for number in (row if isinstance(row, list) else [row])]
    return _check_finite([_float_or_nan(number) for number in flat], f"{place}: {name}")


def _float_or_nan(entry: Any) -> float:
    # YAML reads 1e-05 as text.
    try:
        return math.nan if isinstance(entry, bool) else float(entry)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def _lens_in_json(text: str, path: Path) -> SpelledLens:
    try:
        content: Any = json.loads(text, object_pairs_hook=_mapping_of_pairs)
        # The JSON of a result has other numbers beside its camera.
        own = content.get("camera") if isinstance(content, Mapping) else None
        if not (isinstance(own, Mapping) and is_camera(own)):
            return _lens_in_content(content, path)
        is_result = isinstance(content.get("source"), Mapping)
        changes = {name: content[name] for name in content if is_picture_change(name)}
        lens = _lens_in_content(own if is_result else {**changes, **own}, path)
        # Results state the size of their photograph beside its camera.
        size = stated_size(content["source"]) if is_result else []
        is_sized = len(size) == 2 and len(lens.numbers) >= 4 and lens.size is None
        if not is_sized:
            return lens
        width, height = (_float_or_nan(side) for side in size)
        return replace(lens, size=_parse_sides(width, height, printable(path)))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"is no camera in JSON that is read ({printable(reason(error)[:80])})",
            path=printable(path),
            hint=_CURE,
        ) from error


def _mapping_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Mapping of JSON, in which a name stands once, or with the same value."""
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read and read[name] != value:
            raise ValueError(f"it states '{name[:40]}' twice")
        read[name] = value
    return read


def _no_lens_error(place: str, content: Any = None) -> InputError:
    """Refusal of a file in which no form of intrinsics is recognised, with the names it has."""
    names = [printable(str(name)[:30]) for name in content] if isinstance(content, Mapping) else []
    held = f"; it has {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else ""
    return InputError(f"has no camera in a form that is read{held}", path=place, hint=_CURE)
