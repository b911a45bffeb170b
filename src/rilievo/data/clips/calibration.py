"""Calibration of a camera, from the files of calibration programs.

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
from jaxtyping import Bool, Float32, Float64, UInt8
from PIL import Image

from rilievo.errors import InputError, MissingExtraError, needing
from rilievo.io.camera_file import pinhole_K, read_K
from rilievo.io.files.limits import printable, read_text, reason
from rilievo.io.json_record import parse_json
from rilievo.io.yaml_text import parse_yaml

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
class Lens:
    """Coefficients of Brown's model with the rational extension, as OpenCV and ROS have it.

    A point (x, y) of the plane z = 1, with r² = x² + y², is seen at

        x (1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶) + 2 p1 x y + p2 (r² + 2 x²)

    and y likewise.

    Attributes:
        k: Radial coefficients k1 to k6.
        p: Tangential coefficients p1 and p2, of a lens that is not parallel to the sensor.
    """

    k: tuple[float, float, float, float, float, float]
    p: tuple[float, float]

    @property
    def is_straight(self) -> bool:
        """Whether the lens has no distortion."""
        return not any((*self.k, *self.p))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibration of a camera, as a file has it.

    Attributes:
        shape: (height, width) of the frames that K is for; None where the file has no size.
        lens: Distortion; None where the file has none, or one that changes nothing.
    """

    K: Float64[np.ndarray, "3 3"]
    shape: tuple[int, int] | None = None
    lens: Lens | None = None


def read_calibration(path: Path) -> Calibration:
    """Read a calibration file."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Straightening:
    """Map from the pixels of an undistorted frame to the frame as it was taken.

    Attributes:
        valid: Pixels of the undistorted frame that lie inside the one that was taken.
    """

    x: Float32[np.ndarray, "h w"]
    y: Float32[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]


def distorted(lens: Lens, points: Float64[np.ndarray, "2 *n"]) -> Float64[np.ndarray, "2 *n"]:
    """Apply the distortion to points (x, y) of the plane z = 1; the result is on that plane too."""
    x, y = points
    k1, k2, k3, k4, k5, k6 = lens.k
    p1, p2 = lens.p
    r = x * x + y * y
    radial = (1 + r * (k1 + r * (k2 + r * k3))) / (1 + r * (k4 + r * (k5 + r * k6)))
    return np.stack(
        (
            x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x),
            y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y,
        )
    )


def straightening(
    lens: Lens, K: Float64[np.ndarray, "3 3"], shape: tuple[int, int]
) -> Straightening:
    """Compute the map that undistorts frames of a size, with the same K before and after.

    A polynomial that turns back far from the middle would show parts of the frame twice; pixels
    beyond its turning point are not valid.
    """
    height, width = shape
    column, row = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    x = np.broadcast_to((column - K[0, 2]) / K[0, 0], shape)
    y = np.broadcast_to(((row - K[1, 2]) / K[1, 1])[:, None], shape)
    seen = distorted(lens, np.stack((x, y)))
    u, v = seen[0] * K[0, 0] + K[0, 2], seen[1] * K[1, 1] + K[1, 2]
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    return Straightening(
        x=u.astype(np.float32), y=v.astype(np.float32), valid=inside & _grows(lens, np.hypot(x, y))
    )


def straight(pixels: UInt8[np.ndarray, "h w 3"], how: Straightening) -> UInt8[np.ndarray, "h w 3"]:
    """Undistort a frame with bilinear interpolation; black where nothing was seen."""
    with needing("frames of a distorting lens", "train"):
        import cv2
    return cv2.remap(pixels, how.x, how.y, cv2.INTER_LINEAR)


def shrunk_mask(
    valid: Bool[np.ndarray, "h w"], size: tuple[int, int]
) -> Bool[np.ndarray, "new_h new_w"]:
    """Resize a mask; pixels of the result have no invalid pixel under them."""
    height, width = size
    levels = Image.fromarray(valid.astype(np.uint8) * 255)
    return np.asarray(levels.resize((width, height), Image.Resampling.BOX)) == 255


def _grows(lens: Lens, radius: Float64[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Whether the radial part still grows at each radius, all the way from the middle."""
    steps = np.linspace(0.0, float(radius.max()) + 1e-9, 1000)
    seen = distorted(Lens(k=lens.k, p=(0.0, 0.0)), np.stack((steps, np.zeros_like(steps))))[0]
    falls = np.flatnonzero(np.diff(seen) <= 0)
    return radius <= (steps[falls[0]] if falls.size else np.inf)
