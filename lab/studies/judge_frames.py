"""Cameras by which networks are judged: their frames, and which of these are turned.

More cameras than those that decide in ``panel``, some with few frames, so the mean over cameras
says more than one of them. No training sees these frames.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from panel import frames, valid_of
from real_frames import scored_samples
from real_sets import REAL_SETS

from rilievo.records.sample import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCamera:
    """Frames of one camera.

    Attributes:
        sets: Names of ``REAL_SETS``.
        takes: Frames of each set; None for those that the set says.
        block: Consecutive frames that show the same things and are drawn together.
        turned: Step between frames that are also judged turned; 0 for none.
        normals: Whether normals are judged.
    """

    sets: tuple[str, ...]
    takes: slice | None = None
    block: int = 1
    turned: int = 0
    normals: bool = False


CAMERAS: Mapping[str, JudgedCamera] = {
    "nyu": JudgedCamera(sets=("nyu",), turned=4, normals=True),
    "7scenes": JudgedCamera(sets=("panel-7scenes",), block=4, turned=2, normals=True),
    "tum-rpy": JudgedCamera(sets=("panel-tum-rpy",), block=4, turned=1, normals=True),
    "hospital": JudgedCamera(sets=("panel-tartanair-hospital",), block=4, turned=1, normals=True),
    "realsense": JudgedCamera(sets=("realsense",), block=4),
    "tum-desk": JudgedCamera(sets=("tum",), block=4),
    "kitti": JudgedCamera(sets=("kitti-depth", "kitti-raw"), block=4),
    "nyu-kept": JudgedCamera(sets=("nyu-kept",), takes=slice(-60, None)),
    "icl": JudgedCamera(sets=("icl",)),
    "replica": JudgedCamera(sets=("replica-47", "replica-156")),
    "others": JudgedCamera(sets=("motorcycle", "sunrgbd", "tum-pair", "tartanair")),
}
SEVEN = ("nyu", "7scenes", "tum-rpy", "hospital", "realsense", "tum-desk", "kitti")
"""Cameras whose mean change decides."""
GROUPS: Mapping[str, Sequence[str]] = {
    "seven cameras": SEVEN,
    "all cameras": tuple(CAMERAS),
    "ICL and Replica": ("icl", "replica"),
}
BLOCKS: Mapping[str, int] = {name: camera.block for name, camera in CAMERAS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFrame:
    """One frame with true depth.

    Attributes:
        camera: Name in ``CAMERAS``.
        number: Place among the camera's frames.
        set: Name in ``REAL_SETS``.
        sample: Photograph, camera and depth.
        depth: True depth [m]; 0 where it is not scored.
    """

    camera: str
    number: int
    set: str
    sample: Sample
    depth: Float32[np.ndarray, "h w"]

    @property
    def turned(self) -> bool:
        """Whether it is also judged turned."""
        step = CAMERAS[self.camera].turned
        return bool(step) and self.number % step == 0


def judged_frames(name: str, data: Path) -> Iterator[JudgedFrame]:
    """Yield the frames of a camera in order.

    Raises:
        RilievoError: If a set is not there.
    """
    camera, number = CAMERAS[name], 0
    for part in camera.sets:
        for sample in _samples(part, camera.takes, data):
            assert sample.depth is not None
            depth = np.where(valid_of(part, sample), sample.depth, 0).astype(np.float32)
            yield JudgedFrame(camera=name, number=number, set=part, sample=sample, depth=depth)
            number += 1


def _samples(name: str, takes: slice | None, data: Path) -> Iterator[Sample]:
    if takes is None:
        return frames(name, data)
    return scored_samples(replace(REAL_SETS[name], takes=takes), data)
