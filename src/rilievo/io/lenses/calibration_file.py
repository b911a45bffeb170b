"""Lenses from the files of calibration programs.

Supported are COLMAP's ``cameras.txt``, KITTI's ``calib.txt`` (``P2``) and ``calib_cam_to_cam.txt``
(``P_rect_02``), TUM's numbers (fx fy cx cy d0 to d4), ``camera.txt`` of TUM's monocular videos and
of DSO, Kalibr's YAML with one camera, YAML of ROS and OpenCV, JSON beside results of rilievo, and K
as text or npy.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.geometry.cameras.spelling import SpelledLens, spelled
from rilievo.io.camera_file import camera_of, read_K
from rilievo.io.files.limits import check_regular, printable, read_text, reason
from rilievo.io.yaml_text import parse_yaml

_COLMAP: Mapping[str, tuple[str, int, int]] = {
    "SIMPLE_PINHOLE": ("pinhole", 1, 0),
    "PINHOLE": ("pinhole", 2, 0),
    "SIMPLE_RADIAL": ("opencv", 1, 1),
    "RADIAL": ("opencv", 1, 2),
    "OPENCV": ("opencv", 2, 4),
    "FULL_OPENCV": ("opencv", 2, 8),
    "SIMPLE_RADIAL_FISHEYE": ("fisheye", 1, 1),
    "RADIAL_FISHEYE": ("fisheye", 1, 2),
    "OPENCV_FISHEYE": ("fisheye", 2, 4),
    "FOV": ("fov", 2, 1),
}
"""Our name, number of focal lengths and number of coefficients of each of COLMAP's models."""
_KITTI = ("P2", "P_rect_02")
_DSO: Mapping[str, tuple[str, int]] = {
    "fov": ("fov", 1),
    "pinhole": ("pinhole", 1),
    "radtan": ("opencv", 4),
    "equidistant": ("fisheye", 4),
    "kannalabrandt": ("fisheye", 4),
}
"""Our name and number of coefficients of each of DSO's models."""
_RADTAN = ("radtan", "plumb_bob", "rational_polynomial", "brown", "opencv", "none", "pinhole")
_FOV = ("fov", "atan")
_EQUIDISTANT = ("equidistant", "fisheye", "kannala_brandt", "kannala_brandt4")


def read_lens(path: Path) -> SpelledLens:
    """Read the lens of a calibration file.

    Raises:
        InputError: If it holds none, or several.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _of_K(read_K(path))
    check_regular(path)
    text = read_text(path).removeprefix("\ufeff")
    if suffix == ".json":
        return _of_json(text, path)
    if suffix in (".yaml", ".yml"):
        return _of_yaml(text, path)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    colmap = [line for line in lines if re.match(r"\d+\s+[A-Z_]+\s", line)]
    if colmap:
        return _only([_of_colmap(line, path) for line in colmap], path)
    for name in _KITTI:
        found = next((line for line in lines if line.startswith(f"{name}:")), None)
        if found is not None:
            return _of_kitti(found, lines, path)
    if _is_of_dso(lines):
        return _of_dso(lines, path)
    numbers = _numbers_alone(text)
    if len(numbers) in (8, 9) and not (len(numbers) == 9 and numbers[6:] == [0, 0, 1]):
        return _checked("opencv", numbers, None, path)
    return _of_K(read_K(path))


def _of_K(K: np.ndarray) -> SpelledLens:
    (fx, _, cx), (_, fy, cy), _ = K.tolist()
    return SpelledLens(name="pinhole", numbers=(fx, fy, cx, cy))


def _numbers_alone(text: str) -> list[float]:
    """Numbers of a text of numbers; none if it has other words."""
    try:
        return [float(word) for word in re.split(r"[\s,;]+", text.strip(" \t\r\n,;"))]
    except ValueError:
        return []


def _checked(
    name: str, numbers: Sequence[float], size: tuple[int, int] | None, path: Path
) -> SpelledLens:
    """A lens whose numbers a lens may have; without distortion FOV is a pinhole."""
    if name in ("fov", "pinhole") and not any(numbers[4:]):
        name, numbers = "pinhole", numbers[:4]
    found = SpelledLens(name=name, numbers=tuple(map(float, numbers)), size=size)
    try:
        return spelled(str(found), option="its lens")
    except OptionError as error:
        raise InputError(f"{printable(path)}: {error}") from error


def _only(found: list[SpelledLens], path: Path) -> SpelledLens:
    if any(each != found[0] for each in found):
        raise InputError(
            f"{printable(path)}: holds {len(found)} cameras: keep the one of this photograph"
        )
    return found[0]


def _of_colmap(line: str, path: Path) -> SpelledLens:
    words = line.split()
    try:
        name, focals, count = _COLMAP[words[1]]
        width, height = int(words[2]), int(words[3])
        numbers = [float(word) for word in words[4:]]
        if len(numbers) != focals + 2 + count:
            raise ValueError(f"{len(numbers)} parameters")
    except KeyError as error:
        raise InputError(
            f"{printable(path)}: has COLMAP's model {error}; read are {', '.join(_COLMAP)}"
        ) from error
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{printable(path)}: '{printable(line[:60])}' is no camera of COLMAP ({error})"
        ) from error
    # COLMAP's origin is the corner of the first pixel.
    cx, cy, *bend = numbers[focals:]
    whole = [numbers[0], numbers[focals - 1], cx - 0.5, cy - 0.5, *bend]
    if name == "opencv":
        whole += [0.0] * (4 - count if count < 4 else 0)
    if name == "fisheye":
        whole += [0.0] * (4 - count)
    return _checked(name, whole, (height, width), path)


def _of_kitti(line: str, lines: Sequence[str], path: Path) -> SpelledLens:
    numbers = _numbers_alone(line.split(":", 1)[1])
    if len(numbers) != 12:
        raise InputError(f"{printable(path)}: '{printable(line[:40])}' has no twelve numbers")
    size = None
    stated = next((each for each in lines if each.startswith("S_rect_02:")), None)
    sides = [] if stated is None else _numbers_alone(stated.split(":", 1)[1])
    if len(sides) == 2:
        size = (int(sides[1]), int(sides[0]))
    return _checked("pinhole", (numbers[0], numbers[5], numbers[2], numbers[6]), size, path)


def _is_of_dso(lines: Sequence[str]) -> bool:
    """Whether lines are those of DSO: a lens, the size of its pictures, what to make of them."""
    if len(lines) < 2 or not re.fullmatch(r"\d{1,6}\s+\d{1,6}", lines[1]):
        return False
    words = lines[0].split(maxsplit=1)
    has_name = words[0].isalpha() and len(words) == 2
    return len(_numbers_alone(words[1] if has_name else lines[0])) >= 5


def _of_dso(lines: Sequence[str], path: Path) -> SpelledLens:
    words = lines[0].split()
    model = words.pop(0).lower() if words[0].isalpha() else ""
    numbers = _numbers_alone(" ".join(words))
    default = {5: "fov", 8: "radtan"}.get(len(numbers), "")
    name, count = _DSO.get(model or default, ("", 0))
    if len(numbers) != 4 + count:
        raise InputError(
            f"{printable(path)}: '{printable(lines[0][:60])}' is no lens of DSO; read are FOV and "
            "Pinhole (fx fy cx cy omega), RadTan and EquiDistant (fx fy cx cy and 4 coefficients)"
        )
    width, height = map(int, lines[1].split())
    fx, fy, cx, cy, *bend = numbers
    if cx < 1 and cy < 1:
        # Parts of the width and the height, from the corner of the first pixel.
        fx, fy, cx, cy = fx * width, fy * height, cx * width - 0.5, cy * height - 0.5
    if name == "pinhole" and any(bend):
        raise InputError(f"{printable(path)}: is a pinhole, whose fifth number is 0")
    return _checked(name, [fx, fy, cx, cy, *bend], (height, width), path)


def _of_yaml(text: str, path: Path) -> SpelledLens:
    # OpenCV's header and tags are not standard YAML; they mark an ordinary mapping.
    text = re.sub(r"\A%YAML[^\n]*\n", "", text).replace("!!opencv-matrix", "")
    try:
        found = parse_yaml(text)
    except ModuleNotFoundError as missing:
        raise MissingExtraError("a calibration in YAML", "evaluate") from missing
    except ValueError as error:
        raise InputError(f"{printable(path)}: is no YAML ({reason(error)})") from error
    if not isinstance(found, Mapping):
        raise _no_lens(path)
    cameras = [each for key, each in found.items() if re.fullmatch(r"cam\d+", str(key))]
    entries = [each for each in cameras if isinstance(each, Mapping)] or [found]
    return _only([_of_entries(each, path) for each in entries], path)


def _of_entries(entries: Mapping[str, Any], path: Path) -> SpelledLens:
    """The lens of a mapping of Kalibr, ROS or OpenCV."""
    focal = _list(entries, ("intrinsics", "camera_matrix", "K"))
    if len(focal) == 9:
        focal = [focal[0], focal[4], focal[2], focal[5]]
    bend = _list(entries, ("distortion_coeffs", "distortion_coefficients", "D"))
    model = str(entries.get("distortion_model") or entries.get("camera_model") or "none").lower()
    sides = _list(entries, ("resolution",)) or [
        _side(entries[name]) for name in ("image_width", "image_height") if name in entries
    ]
    shape = (int(sides[1]), int(sides[0])) if len(sides) == 2 and min(sides) >= 1 else None
    if len(focal) != 4:
        raise _no_lens(path)
    if not any(bend):
        name = "fisheye" if model in _EQUIDISTANT else "pinhole"
        return _checked(name, focal, shape, path)
    if model in _EQUIDISTANT and len(bend) == 4:
        return _checked("fisheye", [*focal, *bend], shape, path)
    if model in _FOV and len(bend) == 1:
        return _checked("fov", [*focal, *bend], shape, path)
    if model in _RADTAN and len(bend) in (4, 5, 8):
        return _checked("opencv", [*focal, *bend], shape, path)
    raise InputError(
        f"{printable(path)}: has the lens model '{printable(model)}' with {len(bend)} "
        "coefficients; read are radtan (4, 5 or 8), equidistant (4) and fov (1)"
    )


def _list(entries: Mapping[str, Any], names: Sequence[str]) -> list[float]:
    """Numbers of the first entry with one of these names; none where there is no such list."""
    entry = next((entries[name] for name in names if name in entries), None)
    if isinstance(entry, Mapping):
        entry = entry.get("data")
    if not isinstance(entry, Sequence) or isinstance(entry, str):
        return []
    flat = [each for row in entry for each in (row if isinstance(row, Sequence) else (row,))]
    return flat if all(isinstance(each, int | float) for each in flat) else []


def _side(entry: Any) -> float:
    """Side of a picture [px]; 0 where there is no number."""
    return float(entry) if isinstance(entry, int | float) else 0.0


def _of_json(text: str, path: Path) -> SpelledLens:
    try:
        found: Any = json.loads(text)
        found = found.get("camera", found)
        stated = found.get("lens")
        if isinstance(stated, str):
            return spelled(stated, option="its lens")
        if "K" not in found:
            return _of_entries(found, path)
        return _of_K(camera_of(np.asarray(found["K"], float), path).K)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        if isinstance(error, OptionError):
            raise InputError(f"{printable(path)}: {error}") from error
        raise InputError(
            f"{printable(path)}: has no K, as the JSON of a result has in 'camera'"
        ) from error


def _no_lens(path: Path) -> InputError:
    return InputError(
        f"{printable(path)}: has no intrinsics, such as Kalibr's 'intrinsics: [fx, fy, cx, cy]' or "
        "ROS's 'camera_matrix'"
    )
