"""Recognise matrices of rectified or undistorted pictures beside the K of raw pictures.

ROS writes ``K`` with the distortion ``D`` for raw pictures and ``P`` for rectified ones. OpenCV's
``getOptimalNewCameraMatrix`` and ``stereoRectify`` compute such matrices, too. rilievo reads K with
its distortion, and a note tells the user about the other matrix.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.values import flatten_rows, is_number, normalize_name
from rilievo.io.files.names import printable

_MAX_ROUNDING = 1e-3
"""Largest difference by rounding between equal matrices, relative to the focal length."""
_NAME = re.compile(
    r"p1?|prect|projection(matrix)?|(optimal|new|rectified|undistorted|undist|rect)+"
    r"(k|cam|camera|matrix|mtx|mat|intrinsics?|p)+|k(new|opt|optimal|rect|rectified|undist|undistorted)"
    r"|(camera)?(matrix|mtx|intrinsics?)(new|rect|rectified|undist|undistorted)"
)


def is_rectified_matrix(name: str) -> bool:
    """Whether a matrix of this name is that of rectified or undistorted pictures."""
    return _NAME.fullmatch(normalize_name(str(name))) is not None


def rectified_note(
    entries: Mapping[str, Any], intrinsics: Sequence[float], size: Sequence[float] | None
) -> str | None:
    """Return a note on a matrix of rectified pictures that differs from the camera's K.

    ``intrinsics`` are fx, fy, cx and cy of K [px], and ``size`` is (width, height), if stated.
    """
    fx = intrinsics[0]
    max_difference = _MAX_ROUNDING * fx  # [px]
    for name, value in entries.items():
        rectified = _intrinsics_by_rows(value) if is_rectified_matrix(name) else None
        if rectified is None or min(rectified[:2]) <= 0:
            continue  # no matrix, or one whose focal lengths are not positive
        differences = [
            abs(rectified_number - raw_number)
            for rectified_number, raw_number in zip(rectified, intrinsics, strict=False)
        ]
        if not any(difference > max_difference for difference in differences):
            continue
        numbers = ",".join(f"{number:.10g}" for number in rectified)
        at_size = "" if size is None else f"@{size[0]:.0f}x{size[1]:.0f}"
        return (
            "the camera that rilievo uses from its camera file belongs to raw images, and "
            f"'{printable(str(name)[:30])}', for rectified images, differs: if this image was "
            f"rectified or undistorted, pass pinhole:{numbers}{at_size}"
        )
    return None


def check_not_only_rectified(entries: Any, location: str) -> None:
    """Raise ``InputError`` if a file has only the matrices of OpenCV's ``stereoRectify``."""
    if not isinstance(entries, Mapping):
        return
    choices = []
    for name, side in (("P1", "left"), ("P2", "right")):
        intrinsics = _intrinsics_by_rows(entries.get(name))
        if intrinsics is not None:
            numbers = ",".join(f"{number:.10g}" for number in intrinsics)
            choices.append(f"{numbers} for the {side} image ({name})")
    if choices:
        raise InputError(
            "the file only has the matrices of rectified images: if this image was rectified, "
            f"pass {', or '.join(choices)}; if it was not, use the file with M1 and D1",
            path=location,
        )


def _intrinsics_by_rows(value: Any) -> list[float] | None:
    """Extract fx, fy, cx and cy from a row-major 3x3 or 3x4 matrix; None for anything else."""
    numbers = flatten_rows(value)
    if len(numbers) not in (9, 12) or not all(map(is_number, numbers)):
        return None
    column_count = len(numbers) // 3
    fx, cx = numbers[0], numbers[2]
    fy, cy = numbers[column_count + 1], numbers[column_count + 2]
    return [float(fx), float(fy), float(cx), float(cy)]
