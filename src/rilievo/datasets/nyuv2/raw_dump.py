"""Raw recordings of the Kinect: colour as PPM, disparity as PGM, not registered."""

import re
from pathlib import Path

import numpy as np

from rilievo.datasets.base import Absent
from rilievo.datasets.files import names_in, read_counts
from rilievo.datasets.nyuv2.layout import DepthTruth, Listing, PairedLayout, listed, recorded_scene
from rilievo.datasets.nyuv2.pairs import Pair, Pairs
from rilievo.errors import InputError
from rilievo.io.limits import printable
from rilievo.types import Camera

_TIMED = re.compile(r"([rd])-(\d+\.\d+)-\d+\.(?:ppm|pgm)$")
_OTHERS = (("_color.ppm", "_depth.pgm"), (".ppm", ".pgm"))
# Constants of the toolbox that comes with the dataset.
_NUMERATOR, _ZERO_DISPARITY = 351.3, 1092.5
_FARTHEST = 10.0
_DEEPEST = 2


class RawDump(PairedLayout):
    """Raw recordings: ``r-TIME-TICKS.ppm`` and ``d-TIME-TICKS.pgm`` in one folder per scene.

    Depth is in pixels of the depth camera, which are *not* those of the photograph: principal
    points and viewpoints differ. So it is a variant of its own, without intrinsics. Each depth map
    is paired with the photograph nearest in time; ids are those of the depth maps.
    """

    what = "a raw recording (PPM with PGM)"
    variants = ("unregistered",)

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """All images, since the official split covers only the labelled images."""
        found, absent = self._pairs.found, self._pairs.absent
        if list_file is not None:
            return listed(list_file, {id: id for id in found}, absent, "ids are the depth maps'")
        if split != "all":
            raise InputError(f"{self.root}: raw recordings have no official split; take 'all'")
        return Listing(ids=tuple(found), absent=tuple(absent.values()))

    def scene(self, id: str) -> str | None:
        """Recording of the image, if a folder names it."""
        return recorded_scene(id)

    def depth(self, id: str, variant: str) -> DepthTruth:
        """Depth 351.3 / (1092.5 - d) [m]; unknown without a measurement, or beyond 10 m.

        The recorder wrote the low byte first, although PGM has the high byte first.
        """
        path = self._pair(id).truth
        stored = read_counts(path)
        left = _ZERO_DISPARITY - stored.byteswap().astype(np.float64)
        valid = left >= _NUMERATOR / _FARTHEST
        values = np.where(valid, _NUMERATOR / np.where(valid, left, 1), 0).astype(np.float32)
        return DepthTruth(values=values, valid=valid)

    def camera(self, id: str, size: tuple[int, int]) -> Camera | None:
        """None, since photograph and depth have different cameras."""
        return None


def find_dump(root: Path) -> Pairs | None:
    """Find the pairs of a recording, or of a folder of recordings; None if there are none."""
    found: dict[str, Pair] = {}
    absent: dict[str, Absent] = {}
    _collect(root, "", _DEEPEST, found, absent)
    return Pairs(found=found, absent=absent) if found else None


def _collect(
    folder: Path, prefix: str, deepest: int, found: dict[str, Pair], absent: dict[str, Absent]
) -> None:
    names = sorted(names_in(folder))
    photos = [name for name in names if name.endswith(".ppm")]
    for name in names:
        if name.endswith(".pgm"):
            id = prefix + name.removesuffix(".pgm")
            photo = _partner(name, photos)
            if photo is None:
                reason = f"{printable(folder / name)} has no photograph (.ppm) beside it"
                absent[id] = Absent(id=id, reason=reason)
            else:
                found[id] = Pair(photo=folder / photo, truth=folder / name)
        elif deepest and "." not in name and (folder / name).is_dir():
            _collect(folder / name, f"{prefix}{name}/", deepest - 1, found, absent)


def _partner(depth: str, photos: list[str]) -> str | None:
    if (timed := _TIMED.match(depth)) and timed[1] == "d":
        times = {name: float(each[2]) for name in photos if (each := _TIMED.match(name))}
        time = float(timed[2])
        return min(times, key=lambda name: abs(times[name] - time), default=None)
    for photo_end, depth_end in _OTHERS:
        if depth.endswith(depth_end):
            photo = depth.removesuffix(depth_end) + photo_end
            if photo in photos:
                return photo
    return None
