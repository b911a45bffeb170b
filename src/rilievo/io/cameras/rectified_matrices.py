"""Matrices of rectified or undistorted pictures, which stand beside the K of raw pictures.

ROS writes ``K`` with the distortion ``D`` for raw pictures and ``P`` for rectified ones. OpenCV's
``getOptimalNewCameraMatrix`` and ``stereoRectify`` give such matrices, too. rilievo reads K with
its distortion, and a note names the other.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.files.names import printable

_SAME_NUMBER = 1e-3
"""Difference of numbers that are equal but for rounding, as a share of the focal length."""
_NAME = re.compile(
    r"p1?|prect|projection(matrix)?|(optimal|new|rectified|undistorted|undist|rect)+"
    r"(k|cam|camera|matrix|mtx|mat|intrinsics?|p)+|k(new|opt|optimal|rect|rectified|undist|undistorted)"
    r"|(camera)?(matrix|mtx|intrinsics?)(new|rect|rectified|undist|undistorted)"
)


def is_rectified_matrix(name: str) -> bool:
    """Whether a matrix of this name is that of rectified or undistorted pictures."""
    return _NAME.fullmatch(re.sub(r"[^a-z0-9]", "", str(name).lower())) is not None


def four_of_matrix(value: Any) -> list[float] | None:
    """fx, fy, cx and cy of a matrix of 3 x 3 or 3 x 4 by rows; None of anything else."""
    data = value.get("data") if isinstance(value, Mapping) else value
    rows = data if isinstance(data, list) else []
    numbers = [number for row in rows for number in (row if isinstance(row, list) else [row])]
    is_number = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    if len(numbers) not in (9, 12) or not is_number:
        return None
    columns = len(numbers) // 3
    fx, cx, fy, cy = (numbers[at] for at in (0, 2, columns + 1, columns + 2))
    return [float(fx), float(fy), float(cx), float(cy)]


def rectified_note(
    entries: Mapping[str, Any], numbers: Sequence[float], size: Sequence[float] | None
) -> str | None:
    """Note on a matrix of rectified pictures that differs from the camera that is read.

    Args:
        entries: Entries of the camera.
        numbers: fx, fy, cx and cy that are read.
        size: Width and height of its pictures.
    """
    for name, value in entries.items():
        rectified = four_of_matrix(value) if is_rectified_matrix(name) else None
        if rectified is None or min(rectified[:2]) <= 0:
            continue
        pairs = zip(rectified, numbers, strict=False)
        if any(abs(first - second) > _SAME_NUMBER * numbers[0] for first, second in pairs):
            at = "" if size is None else f"@{size[0]:.0f}x{size[1]:.0f}"
            text = ",".join(f"{number:.10g}" for number in rectified)
            return (
                "the camera of its file is that of raw pictures, as the camera took them, and "
                f"'{printable(str(name)[:30])}', of rectified ones, differs from it: if this "
                f"picture was rectified or undistorted, give pinhole:{text}{at}"
            )
    return None


def refuse_rectified_alone(entries: Any, place: str) -> None:
    """Refuse a file that has the matrices of OpenCV's ``stereoRectify`` alone."""
    if not isinstance(entries, Mapping):
        return
    sides = {"P1": "left", "P2": "right"}
    found = {name: four_of_matrix(entries.get(name)) for name in sides}
    texts = [
        f"{','.join(f'{number:.10g}' for number in numbers)} for the {sides[name]} one ({name})"
        for name, numbers in found.items()
        if numbers is not None
    ]
    if texts:
        raise InputError(
            "has the matrices of rectified pictures alone: if this picture was rectified, give "
            f"{', or '.join(texts)}; if it was not, take the file with M1 and D1",
            path=place,
        )
