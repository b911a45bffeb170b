"""Intrinsics and lens distortion from the files of calibration programs.

Supported formats are K as text (four or nine numbers), npy, and YAML or JSON of ROS
(``camera_matrix``, ``image_width``), OpenCV (``!!opencv-matrix``), Open3D (``intrinsic_matrix``,
column by column) and the plain ``fx: ... fy: ... cx: ... cy: ...``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from rilievo.datasets.intrinsics_file import pinhole_K, read_K
from rilievo.errors import InputError, MissingExtraError
from rilievo.io.json_record import parse_json, parse_yaml
from rilievo.io.limits import printable, read_text, reason
from rilievo.train.video.lens import Lens

_YAML_SUFFIXES = frozenset((".yaml", ".yml", ".json"))
_MATRIX = ("camera_matrix", "Camera_Matrix", "cameraMatrix", "intrinsic_matrix", "K", "M1")
_DISTORTION = (
    *("distortion_coefficients", "Distortion_Coefficients", "distCoeffs", "dist_coeffs"),
    *("distortion", "D", "D1"),
)
_WIDTH, _HEIGHT = (
    ("image_width", "image_Width", "width"),
    ("image_height", "image_Height", "height"),
)
_MODELS = frozenset(("plumb_bob", "rational_polynomial", "radtan", "brown", "opencv", "pinhole"))
_PARTS = ("fx", "fy", "cx", "cy")
_LENGTHS = (0, 4, 5, 8, 12, 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibration of a camera, as a file has it.

    Attributes:
        K: Intrinsics [px].
        shape: (height, width) of the frames that K is for; None where the file has no size.
        lens: Distortion; None where the file has none, or one that changes nothing.
    """

    K: Float64[np.ndarray, "3 3"]
    shape: tuple[int, int] | None = None
    lens: Lens | None = None


def read_calibration(path: Path) -> Calibration:
    """Read a calibration file.

    Raises:
        InputError: If the file is missing, has none of these formats, or has a lens model that is
            not supported.
        MissingExtraError: If it is YAML and PyYAML is not installed.
    """
    if path.suffix.lower() not in _YAML_SUFFIXES:
        return Calibration(K=read_K(path))
    entries = _entries(path)
    width, height = (_whole(entries, names, path) for names in (_WIDTH, _HEIGHT))
    lens = _lens(entries, path)
    return Calibration(
        K=_matrix(entries, path),
        shape=None if width is None or height is None else (height, width),
        lens=None if lens is None or lens.is_straight else lens,
    )


def _entries(path: Path) -> Mapping[str, Any]:
    text = read_text(path).removeprefix("\ufeff")
    try:
        if path.suffix.lower() == ".json":
            found = parse_json(text)  # YAML refuses the tabs of most JSON
        else:
            # OpenCV's header and tags are not standard YAML; they mark an ordinary mapping.
            text = re.sub(r"\A%YAML[^\n]*\n", "", text).replace("!!opencv-matrix", "")
            found = parse_yaml(text)
    except ModuleNotFoundError as missing:
        raise MissingExtraError("a calibration in YAML", "train") from missing
    except ValueError as error:
        raise InputError(f"{printable(path)}: is no YAML or JSON ({reason(error)})") from error
    return _mapping(found, path)


def _mapping(found: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise _no_camera(path, "no names")
    return found


def _matrix(entries: Mapping[str, Any], path: Path) -> Float64[np.ndarray, "3 3"]:
    if all(part in entries for part in _PARTS):
        return pinhole_K(*(_numbers([entries[part]], path)[0] for part in _PARTS))
    name = next((each for each in _MATRIX if each in entries), None)
    if name is None:
        raise _no_camera(path, ", ".join(map(str, list(entries)[:6])) or "nothing")
    numbers = _numbers(entries[name], path)
    if len(numbers) == 4:
        return pinhole_K(*numbers)
    if len(numbers) != 9:
        raise InputError(
            f"{printable(path)}: '{name}' has {len(numbers)} numbers, expected the nine of K"
        )
    K = np.array(numbers).reshape(3, 3)
    # Open3D writes it column by column; only then does the principal point stand in the last row.
    return K.T if K[2, 0] and not K[0, 2] else K


def _lens(entries: Mapping[str, Any], path: Path) -> Lens | None:
    model = entries.get("distortion_model") or entries.get("camera_model") or "plumb_bob"
    name = next((each for each in _DISTORTION if each in entries), None)
    numbers = [] if name is None else _numbers(entries[name], path)
    if any(numbers) and str(model).lower() not in _MODELS:
        raise InputError(
            f"{printable(path)}: has the lens model '{printable(str(model))}', but plumb_bob and "
            "rational_polynomial are read; straighten the frames first, with the program that "
            "calibrated them"
        )
    if len(numbers) not in _LENGTHS or any(numbers[8:]):
        raise InputError(
            f"{printable(path)}: has {len(numbers)} distortion coefficients, expected 4, 5 or 8: "
            "k1 k2 p1 p2 (k3 (k4 k5 k6)), without thin prism or tilt"
        )
    k1, k2, p1, p2, k3, k4, k5, k6 = [*numbers[:8], *([0.0] * 8)][:8]
    return Lens(k=(k1, k2, k3, k4, k5, k6), p=(p1, p2)) if numbers else None


def _numbers(entry: Any, path: Path) -> list[float]:
    """Return the numbers of ``[...]``, of rows of such, or of ``data`` in a mapping."""
    if isinstance(entry, Mapping):
        entry = entry.get("data")
    if not isinstance(entry, Sequence) or isinstance(entry, str):
        raise InputError(f"{printable(path)}: expected a list of numbers, found {entry!r:.60}")
    flat = [each for row in entry for each in (row if isinstance(row, Sequence) else (row,))]
    try:
        return [float(each) for each in flat]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{printable(path)}: expected numbers ({reason(error)})") from error


def _whole(entries: Mapping[str, Any], names: Sequence[str], path: Path) -> int | None:
    found = next((entries[name] for name in names if name in entries), None)
    if found is None:
        return None
    if not isinstance(found, int) or found < 1:
        raise InputError(
            f"{printable(path)}: a size of frames is a whole number, found {found!r:.40}"
        )
    return found


def _no_camera(path: Path, found: str) -> InputError:
    return InputError(
        f"{printable(path)}: has no intrinsics: camera_matrix, or fx, fy, cx and cy, are "
        f"expected; found {printable(found[:80])}"
    )
