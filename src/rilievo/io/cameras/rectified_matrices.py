"""Matrices of rectified or undistorted pictures, which stand beside the K of raw pictures.

ROS writes ``K`` with the distortion ``D`` for raw pictures and ``P`` for rectified ones. OpenCV's
``getOptimalNewCameraMatrix`` and ``stereoRectify`` give such matrices, too. rilievo reads K with
its distortion, and a note names the other.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.values import flat_list, is_number, simplified_name
from rilievo.io.files.names import printable

_MAX_ROUNDING = 1e-3
"""Difference of numbers that are equal but for rounding, relative to the focal length."""
_NAME = re.compile(
    r"p1?|prect|projection(matrix)?|(optimal|new|rectified|undistorted|undist|rect)+"
    r"(k|cam|camera|matrix|mtx|mat|intrinsics?|p)+|k(new|opt|optimal|rect|rectified|undist|undistorted)"
    r"|(camera)?(matrix|mtx|intrinsics?)(new|rect|rectified|undist|undistorted)"
)


def is_rectified_matrix(name: str) -> bool:
    """Whether a matrix of this name is that of rectified or undistorted pictures."""
    return _NAME.fullmatch(simplified_name(str(name))) is not None


def rectified_note(
    entries: Mapping[str, Any], intrinsics: Sequence[float], size: Sequence[float] | None
) -> str | None:
    """Note on a matrix of rectified pictures that differs from the camera that is read.

    Args:
        entries: Entries of the camera.
        intrinsics: fx, fy, cx and cy that are read [px].
        size: Width and height of its pictures; None if not stated.
    """
    max_difference = _MAX_ROUNDING * intrinsics[0]
    for name, value in entries.items():
        rectified = _intrinsics_by_rows(value) if is_rectified_matrix(name) else None
        if rectified is None or min(rectified[:2]) <= 0:
            continue
        pairs = zip(rectified, intrinsics, strict=False)
        if any(abs(first - second) > max_difference for first, second in pairs):
            numbers = ",".join(f"{number:.10g}" for number in rectified)
            at_size = "" if size is None else f"@{size[0]:.0f}x{size[1]:.0f}"
            return (
                "the camera of its file is that of raw pictures, as the camera took them, and "
                f"'{printable(str(name)[:30])}', of rectified ones, differs from it: if this "
                f"picture was rectified or undistorted, give pinhole:{numbers}{at_size}"
            )
    return None


def refuse_rectified_alone(entries: Any, location: str) -> None:
    """Refuse a file that has the matrices of OpenCV's ``stereoRectify`` alone."""
    if not isinstance(entries, Mapping):
        return
    choices = []
    for name, side in (("P1", "left"), ("P2", "right")):
        intrinsics = _intrinsics_by_rows(entries.get(name))
        if intrinsics is not None:
            numbers = ",".join(f"{number:.10g}" for number in intrinsics)
            choices.append(f"{numbers} for the {side} one ({name})")
    if choices:
        raise InputError(
            "has the matrices of rectified pictures alone: if this picture was rectified, give "
            f"{', or '.join(choices)}; if it was not, take the file with M1 and D1",
            path=location,
        )


def _intrinsics_by_rows(value: Any) -> list[float] | None:
    """fx, fy, cx and cy of a matrix of 3x3 or 3x4 by rows; None of anything else."""
    numbers = flat_list(value)
    if len(numbers) not in (9, 12) or not all(map(is_number, numbers)):
        return None
    columns = len(numbers) // 3
    fx, cx = numbers[0], numbers[2]
    fy, cy = numbers[columns + 1], numbers[columns + 2]
    return [float(fx), float(fy), float(cx), float(cy)]
