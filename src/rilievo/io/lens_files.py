"""Intrinsics and lenses from small files.

Supported are COLMAP's cameras, KITTI's ``calib.txt`` and ``calib_cam_to_cam.txt``, TUM's numbers,
DSO's ``camera.txt``, Kalibr, ROS, OpenCV, Open3D, ORB-SLAM, VINS, ``transforms.json``, npz
calibrations, rilievo's JSON, and K as text or npy.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rilievo.arrays.shapes import Matrix
from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.spelling import MOST_SIDE, SpelledLens, read_spelling
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.camera_models import (
    HEIGHTS,
    READ,
    WIDTHS,
    parse_opencv_xml,
    read_npz_calibration,
    to_kalibr_entries,
)
from rilievo.io.camera_search import find_cameras, several_cameras_error
from rilievo.io.colmap_files import MODELS, read_cameras_bin
from rilievo.io.files.limits import check_regular, read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_numbers
from rilievo.io.scene_files import StatedCamera, cameras_in_text, cameras_in_xml
from rilievo.io.yaml_text import parse_yaml

_KITTI = ("P2", "P_rect_02", "P_rect_00", "P0")
"""Projections of KITTI and KITTI-360; the colour camera on the left comes first."""

_DSO: Mapping[str, tuple[str, int]] = {
    "fov": ("fov", 1),
    "pinhole": ("pinhole", 1),
    "radtan": ("opencv", 4),
    "equidistant": ("fisheye", 4),
    "kannalabrandt": ("fisheye", 4),
}

_RADTAN = (
    *("radtan", "plumb_bob", "rational_polynomial", "brown", "opencv", "none", "pinhole"),
    *("radial-tangential", "radial_tangential", "brown_conrady"),
)

_FOV = ("fov", "atan")
_MATRIX = (
    *("intrinsics", "camera_matrix", "Camera_Matrix", "cameraMatrix"),
    *("intrinsic_matrix", "K", "M1", "cam_K", "camera_intrinsic", "camera_intrinsics"),
    *("intrinsic", "intrinsicMatrix", "cameraIntrinsics", "intrinsics_matrix", "mtx"),
    "cam_intrinsic",
)
_BEND = (
    *("distortion_coeffs", "distortion_coefficients", "Distortion_Coefficients", "distCoeffs"),
    *("dist_coeffs", "distortion", "D", "D1", "disto", "dist", "camera_distortion", "dist_params"),
    *("distortion_params", "distortionCoefficients"),
)
_SIDES = (WIDTHS, HEIGHTS)
_SIZES = ("resolution", "image_size", "imageSize", "img_size", "image_resolution")
"""Names of a width and a height together."""
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
        return _lens_of_K(read_K(path))
    if suffix == ".bin":
        cameras = [colmap_lens(*row[1:]) for row in read_cameras_bin(path)]
        return _single_lens(cameras, path)
    if suffix == ".npz":
        return _lens_of_entries(read_npz_calibration(path), printable(path))
    check_regular(path)
    text = read_text(path).removeprefix("\ufeff")
    if suffix == ".xml":
        stated = cameras_in_xml(text, printable(path))
        if stated:
            return _only_stated_lens(stated, path)
        return _lens_of_entries(parse_opencv_xml(text, path), printable(path))
    if suffix == ".json" or (
        suffix not in (".yaml", ".yml") and text.lstrip().startswith(("{", "[["))
    ):
        return _lens_in_json(text, path)
    if suffix in (".yaml", ".yml"):
        return _lens_in_yaml(text, path)
    stated = cameras_in_text(text, printable(path))
    if stated:
        return _only_stated_lens(stated, path)
    stripped = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    lines = [_FileLine(n, line, path) for n, line in stripped if line and not line.startswith("#")]
    colmap = [line for line in lines if re.match(r"\d+\s+[A-Z_]+\s", line.text)]
    if colmap:
        return _single_lens([_lens_in_colmap_line(line) for line in colmap], path)
    for name in _KITTI:
        kitti_line = next((line for line in lines if line.text.startswith(f"{name}:")), None)
        if kitti_line is not None:
            return _lens_in_kitti_line(kitti_line, lines)
    if _is_dso_file([line.text for line in lines]):
        return _lens_in_dso_file(lines)
    numbers = _numbers_or_empty(text)
    if len(numbers) == 16:
        return _make_lens("pinhole", _four_numbers(numbers, printable(path)), None, printable(path))
    if len(numbers) in (8, 9) and not (len(numbers) == 9 and numbers[6:] == [0, 0, 1]):
        return _make_lens("opencv", numbers, None, printable(path))
    return _lens_of_K(read_K(path))


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
    return _make_lens(camera.lens, numbers, size, place)


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


def _lens_in_kitti_line(line: _FileLine, lines: Sequence[_FileLine]) -> SpelledLens:
    numbers = _check_finite(_numbers_or_empty(line.text.split(":", 1)[1]), line.place)
    if len(numbers) != 12:
        raise InputError(f"'{printable(line.text[:40])}' has no twelve numbers", path=line.place)
    number = line.text.partition(":")[0].removeprefix("P_rect_")
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
    try:
        content = parse_yaml(text)
    except ModuleNotFoundError as missing:
        raise MissingExtraError("a calibration in YAML", "evaluate") from missing
    except ValueError as error:
        raise InputError(f"is no YAML ({reason(error)})", path=printable(path)) from error
    if not isinstance(content, Mapping):
        raise _no_lens_error(printable(path))
    return _lens_in_content(content, path)


def _lens_in_content(content: Any, path: Path) -> SpelledLens:
    """Lens of the only camera in a JSON or YAML."""
    place = printable(path)
    if isinstance(content, list) and content and not isinstance(content[0], Mapping):
        content = {"K": content}
    found = find_cameras(content, place)
    if not found:
        raise _no_lens_error(place, content)
    lenses = [
        _lens_of_entries(camera.entries, f"{place}, {camera.label}" if camera.label else place)
        for camera in found
    ]
    if any(lens != lenses[0] for lens in lenses):
        raise several_cameras_error([camera.label for camera in found], place)
    return lenses[0]


def _lens_of_entries(entries: Mapping[str, Any], place: str) -> SpelledLens:
    entries = to_kalibr_entries(entries, place)
    if isinstance(entries.get("lens"), str):
        return read_spelling(entries["lens"], option="its lens")
    focal = _numbers_of_entry(entries, _MATRIX, place) or [
        number
        for name in ("fx", "fy", "cx", "cy")
        for number in _numbers_of_entry(entries, (name,), place)
    ]
    focal = _four_numbers(focal, place)
    bend = _numbers_of_entry(entries, _BEND, place)
    bend = bend if any(bend[8:]) else bend[:8]
    model = str(entries.get("distortion_model") or entries.get("camera_model") or "none").lower()
    sides = _numbers_of_entry(entries, _SIZES, place) or [
        _float_or_nan(entries[name]) for names in _SIDES for name in names if name in entries
    ]
    # Calibrations that do not know the size state 0.
    shape = _parse_sides(sides[0], sides[1], place) if len(sides) == 2 and all(sides) else None
    if focal and len(focal) != 4:
        raise InputError(
            f"has {len(focal)} numbers as its intrinsics, expected fx, fy, cx, cy, or the 9 of K",
            path=place,
        )
    if not focal:
        raise _no_lens_error(place, entries)
    if not any(bend):
        if model not in (*_EQUIDISTANT, *_RADTAN, *_FOV, *_UNBENT):
            raise InputError(f"has the lens model '{printable(model[:60])}'; {READ}", path=place)
        name = "fisheye" if model in _EQUIDISTANT else "pinhole"
        return _make_lens(name, focal, shape, place)
    if model in _EQUIDISTANT and len(bend) == 4:
        return _make_lens("fisheye", [*focal, *bend], shape, place)
    if model in _FOV and len(bend) == 1:
        return _make_lens("fov", [*focal, *bend], shape, place)
    if model in _RADTAN and len(bend) in (4, 5, 8):
        return _make_lens("opencv", [*focal, *bend], shape, place)
    raise InputError(
        f"has the lens model '{printable(model[:60])}' with {len(bend)} coefficients; {READ}",
        path=place,
    )


def _four_numbers(numbers: list[float], place: str) -> list[float]:
    """fx, fy, cx and cy of a matrix of 3 x 3 or 4 x 4, by rows or columns; others as they are."""
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
        content: Any = json.loads(text)
        # The JSON of a result has other numbers beside its camera.
        own = content.get("camera") if isinstance(content, Mapping) else None
        return _lens_in_content(own if isinstance(own, Mapping) else content, path)
    except (
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        if isinstance(error, InputError):
            raise
        if isinstance(error, OptionError):
            raise InputError(problem=Text(error), path=printable(path)) from error
        raise InputError(
            f"is no camera in JSON that is read ({printable(reason(error)[:80])})",
            path=printable(path),
            hint=_CURE,
        ) from error


def _no_lens_error(place: str, content: Any = None) -> InputError:
    """Refusal of a file in which no form of intrinsics is recognised, with the names it has."""
    names = [printable(str(name)[:30]) for name in content] if isinstance(content, Mapping) else []
    held = f"; it has {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else ""
    return InputError(f"has no camera in a form that is read{held}", path=place, hint=_CURE)
