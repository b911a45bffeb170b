"""TUM RGB-D: rooms from a hand-held Kinect, with camera poses from motion capture.

Sturm, Engelhard, Endres, Burgard and Cremers, "A Benchmark for the Evaluation of RGB-D SLAM
Systems", IROS 2012.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.datasets.base import Request, checked_ids, own_card
from rilievo.datasets.files import found_in, names_in, read_counts, scene_of
from rilievo.datasets.photo_files import PhotoFiles
from rilievo.datasets.tum_sequence import (
    MAX_SECONDS,
    Stamped,
    Trajectory,
    associate,
    camera_of,
    read_pairs,
    read_stamped,
    read_trajectory,
)
from rilievo.errors import InputError
from rilievo.types import Camera, Truth

_STEPS_A_METRE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A colour picture with its depth, camera and pose."""

    id: str
    image: Path
    depth: Path | None
    camera: Camera
    world_T_cam: Float64[np.ndarray, "4 4"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    """Properties of a whole sequence."""

    camera: Camera
    trajectory: Trajectory | None


class Tum(PhotoFiles[_Frame]):
    """TUM RGB-D: one sequence, or a folder of sequences."""

    card = own_card("tum")

    def __init__(self, request: Request) -> None:
        self.request = request
        frames = list(_frames(request))
        checked_ids([frame.id for frame in frames], str(request.list_file or request.root))
        self._keep(
            {frame.id: frame if frame.depth else None for frame in frames},
            lambda frame: (frame.image, frame.depth),
            unknown=f"no depth less than {MAX_SECONDS:g} s away is left for it",
        )

    def truth(self, id: str) -> Truth:
        """Depth, camera, and the pose if the trajectory covers the time of the frame."""
        frame = self._entry(id)
        assert frame.depth is not None, "frames without depth are absent"
        stored = read_counts(frame.depth)
        return Truth(
            id=id,
            depth=stored.astype(np.float32) / _STEPS_A_METRE,
            depth_valid=stored > 0,
            camera=frame.camera,
            world_T_cam=frame.world_T_cam,
            scene=scene_of(id, self.request.root, names=2),
        )


def _frames(request: Request) -> Iterator[_Frame]:
    """Frames of the colour pictures, sequence by sequence, or of the user's list."""
    root = request.root
    folders = [Path()] if (root / "rgb.txt").is_file() else _sequences(root)
    if not folders:
        raise InputError(
            f"{root}: a sequence (rgb.txt, depth.txt, rgb, depth) or a folder of them is expected, "
            f"found {found_in(root)}"
        )
    recorded = cache(_recording)
    if request.list_file is not None:
        for colour, depth in read_pairs(request.list_file):
            recording = recorded(root / Path(colour.file).parent.parent)
            yield _frame(root, Path(), colour, depth, recording)
        return
    for folder in folders:
        colours, depths = (read_stamped(root / folder / name) for name in ("rgb.txt", "depth.txt"))
        partners = associate([each.seconds for each in colours], [each.seconds for each in depths])
        for colour, partner in zip(colours, partners, strict=True):
            depth = None if partner is None else depths[partner]
            yield _frame(root, folder, colour, depth, recorded(root / folder))


def _sequences(root: Path) -> list[Path]:
    """Subfolders of the root that are sequences, relative to it."""
    return [Path(name) for name in sorted(names_in(root)) if (root / name / "rgb.txt").is_file()]


def _recording(folder: Path) -> _Recording:
    path = folder / "groundtruth.txt"
    trajectory = read_trajectory(path) if path.is_file() else None
    return _Recording(camera=camera_of(folder), trajectory=trajectory)


def _frame(
    root: Path, folder: Path, colour: Stamped, depth: Stamped | None, recording: _Recording
) -> _Frame:
    place, path = folder / colour.file, recording.trajectory
    return _Frame(
        id=(place.parent / place.stem).as_posix(),
        image=root / place,
        depth=None if depth is None else root / folder / depth.file,
        camera=recording.camera,
        world_T_cam=None if path is None else path.at(colour.seconds),
    )
