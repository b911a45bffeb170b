"""Cameras and known distances in the forms that Python callers give."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rilievo.calibration import Known, KnownLength, KnownPoint, parse_known
from rilievo.calibration.sparse import of_array, read_sparse
from rilievo.errors import OptionError
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.types import Camera

CameraLike = Camera | Float[np.ndarray, "3 3"] | Sequence[Sequence[float]] | float | int
"""Intrinsics, a matrix K [px], or a focal length [px]."""

KnownLike = Known | str | tuple[float, float, float] | tuple[float, float, float, float, float]
"""A known point or length, or its numbers."""


def read_camera(camera: CameraLike | None, size: tuple[int, int]) -> Camera | None:
    """Read the intrinsics of a photograph.

    Args:
        camera: Intrinsics, a matrix K, a focal length, or None.
        size: (height, width) of the photograph [px].

    Raises:
        OptionError: If it has none of the forms, or impossible numbers.
    """
    if camera is None or isinstance(camera, Camera):
        return camera
    try:
        array = np.asarray(camera, float)
        if array.shape not in ((), (3, 3)):
            raise ValueError(f"its shape is {array.shape}")
        return Camera(
            K=K_from_focal(float(array), float(array), size) if not array.shape else array
        )
    except (TypeError, ValueError) as error:
        raise OptionError(
            "camera is a rilievo.Camera, a 3x3 matrix K in pixels or a focal length in pixels; "
            f"{error}"
        ) from error


def read_known(known: Sequence[KnownLike]) -> tuple[Known, ...]:
    """Read known points and lengths.

    Raises:
        OptionError: If one has none of the forms, or impossible numbers.
    """
    expected = (
        "known is a list of rilievo.KnownPoint, rilievo.KnownLength, (u, v, metres) or "
        '(u1, v1, u2, v2, metres), or texts "u,v,metres"'
    )
    if isinstance(known, str | KnownPoint | KnownLength) or not isinstance(known, Sequence):
        raise OptionError(expected)
    return tuple(_read(each, expected) for each in known)


def read_sparse_depth(
    sparse: str | Path | np.ndarray, shape: tuple[int, int], unit: float | None
) -> tuple[KnownPoint, ...]:
    """Read the known points of sparse depth from an array or a file.

    Args:
        sparse: Array (h, w) with 0 and NaN as gaps, or a file as ``--sparse`` reads it.
        shape: (height, width) of the photograph [px].
        unit: Metres of one count; if None, 1 for floating-point numbers.

    Raises:
        InputError: If it cannot be read, has no depth, or has other proportions.
        OptionError: If its numbers are whole and have no unit.
    """
    if isinstance(sparse, np.ndarray):
        return of_array(sparse, shape, unit)
    if not isinstance(sparse, str | Path):
        raise OptionError("sparse is an array (h, w) in metres, or a file as --sparse takes it")
    return read_sparse(Path(sparse), shape, unit)


def _read(known: KnownLike, expected: str) -> Known:
    if isinstance(known, str):
        return parse_known(known)
    if isinstance(known, KnownPoint | KnownLength):
        return known
    if not isinstance(known, tuple | list):
        raise OptionError(f"{expected}; found {known!r}")
    numbers = [each for each in known if isinstance(each, float | int | np.number)]
    if len(numbers) == len(known) == 3:
        u, v, metres = map(float, numbers)
        return KnownPoint(u=u, v=v, metres=metres)
    if len(numbers) == len(known) == 5:
        u1, v1, u2, v2, metres = map(float, numbers)
        return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=metres)
    raise OptionError(f"{expected}; found {known!r}")
