"""What every way in which NYU Depth V2 lies on disk has to tell."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from rilievo.datasets.base import Absent
from rilievo.datasets.files import text_lines
from rilievo.datasets.intrinsics_file import pinhole_K
from rilievo.errors import InputError
from rilievo.io.limits import printable
from rilievo.types import Camera

_RECORDING = re.compile(r"\w+_\d{4}[a-z]?")

SIZE = (480, 640)
"""(height, width) of every image as it was recorded."""

K = pinhole_K(518.8579, 519.4696, 325.5824, 253.7362)
"""Of the colour camera at ``SIZE``, to whose pixels the depth was brought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthTruth:
    """True depth of one image.

    Attributes:
        values: Depth [m]; read only where ``valid``.
        valid: Pixels that have one.
    """

    values: Float32[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalsTruth:
    """True normals of one image.

    Attributes:
        values: Unit, camera frame, towards the camera; zero where not ``valid``.
        valid: Pixels that have one.
    """

    values: Float32[np.ndarray, "3 h w"]
    valid: Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The images of a split.

    Attributes:
        ids: Those whose files are there.
        absent: The others.
    """

    ids: tuple[str, ...]
    absent: tuple[Absent, ...] = ()


class Layout(ABC):
    """A way in which NYU Depth V2 lies on disk.

    Attributes:
        root: Its folder or file.
        what: What messages call it.
        variants: Which ground truth it holds.
    """

    root: Path
    what: str
    variants: tuple[str, ...]

    @abstractmethod
    def listing(self, split: str, list_file: Path | None) -> Listing:
        """The images of a split, or of the user's list.

        Raises:
            InputError: If this layout has no such split, or the list makes no sense.
        """

    @abstractmethod
    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph."""

    @abstractmethod
    def depth(self, id: str, variant: str) -> DepthTruth | None:
        """True depth; None where the layout holds none."""

    def normals(self, id: str) -> NormalsTruth | None:
        """True normals from files; None where the layout holds none."""
        return None

    def scene(self, id: str) -> str | None:
        """Recording that the image is of; None where the layout does not say."""
        return None

    def camera(self, id: str, size: tuple[int, int]) -> Camera | None:
        """Intrinsics; None where the pictures are not of the size that they were recorded at."""
        return Camera(K=K) if size == SIZE else None


def recorded_scene(id: str) -> str | None:
    """The recording that a folder of the path names: ``kitchen_0045a``, not a mere ``kitchen``."""
    return next((part for part in id.split("/")[:-1] if _RECORDING.fullmatch(part)), None)


def of_metres(values: np.ndarray) -> DepthTruth:
    """Depth in metres, in which zero, negative and NaN mean none."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    return DepthTruth(values=values, valid=np.isfinite(values) & (values > 0))


def listed(
    list_file: Path, ids: Mapping[str, str], absent: Mapping[str, Absent], what: str
) -> Listing:
    """The user's own list, one image a line: its first word counts, so that lists of pairs do.

    Args:
        list_file: The user's.
        ids: What a line may say, to the id that it means.
        absent: Likewise, of images without all their files.
        what: How ids look, for messages.

    Raises:
        InputError: If a line names no image; the message has the line's number.
    """
    found: list[str] = []
    missing: list[Absent] = []
    for line in text_lines(list_file):
        word = line.text.split()[0].lstrip("/")
        if word in ids:
            found.append(ids[word])
        elif word in absent:
            missing.append(absent[word])
        else:
            raise InputError(
                f"{printable(list_file)}:{line.number}: there is no image '{printable(word)}'; "
                f"{what}"
            )
    return Listing(ids=tuple(found), absent=tuple(missing))
