"""TUM RGB-D: rooms from a Kinect, with poses of motion capture (Sturm et al., IROS 2012)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transform, Transforms, Values
from rilievo.data.datasets.dataset import Absent, Request, checked_ids, own_card
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, read_steps
from rilievo.data.datasets.text_files import (
    Line,
    contents_text,
    names_in,
    parse_numbers,
    scene_by_folders,
    text_lines,
)
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import rigid, rotation_from_quaternion

MAX_SECONDS = 0.02
"""Time between associated records [s], exclusive, as in the benchmark."""

_FREIBURG = re.compile(r"(?:freiburg|fr)([123])")
_HEAD_CHARACTERS = 500

# fx, fy, cx, cy [px] of the colour camera of each room, from the authors' calibration.
_INTRINSICS: Mapping[str, tuple[float, float, float, float]] = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}
_KINECT = (525.0, 525.0, 319.5, 239.5)
_STEPS_A_METRE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """Picture with its time since 1970 [s]."""

    seconds: float
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedPoses:
    """Trajectory of the colour camera: ``world_T_cam`` [m] by time since 1970 [s]."""

    seconds: Values
    poses: Transforms

    def nearest_pose(self, seconds: float) -> Transform | None:
        """Pose within ``MAX_SECONDS``, if any."""
        if not len(self.seconds):
            return None
        apart = np.abs(self.seconds - seconds)
        nearest = int(apart.argmin())
        return self.poses[nearest] if apart[nearest] < MAX_SECONDS else None


def read_stamped_pictures(path: Path) -> list[Stamped]:
    """Read ``rgb.txt`` or ``depth.txt``."""
    return [_picture_of_words(line.text.split(), line, path) for line in text_lines(path)]


def read_pairs(path: Path) -> Iterator[tuple[Stamped, Stamped]]:
    """Read colour and depth of ``associate.py``."""
    for line in text_lines(path):
        words = line.text.split()
        yield _picture_of_words(words[:2], line, path), _picture_of_words(words[2:4], line, path)


def read_trajectory(path: Path) -> TimedPoses:
    """Read ``groundtruth.txt``: seconds, tx ty tz [m], qx qy qz qw."""
    rows: list[tuple[float, ...]] = []
    for line in text_lines(path):
        row = parse_numbers(line.text)
        if row is None or len(row) != 8 or not np.isfinite(row).all():
            raise _line_error(line, path, "seconds tx ty tz qx qy qz qw")
        # Quaternions are printed with four decimals, so rounding changes the length by about 1e-4.
        if abs(np.linalg.norm(row[4:]) - 1) > 0.01:
            raise _line_error(line, path, "a quaternion qx qy qz qw of length 1 at its end")
        rows.append(row)
    table = np.array(sorted(rows), np.float64).reshape(-1, 8)
    return TimedPoses(
        seconds=table[:, 0],
        poses=rigid(rotation_from_quaternion(table[:, [7, 4, 5, 6]]), table[:, 1:4]),
    )


def associate(colour: Sequence[float], depth: Sequence[float]) -> list[int | None]:
    """Index of the depth picture for each colour picture by times [s].

    Pairs within ``MAX_SECONDS`` are matched greedily, nearest first, each once.
    """
    order = np.argsort(depth, kind="stable")
    times = np.asarray(depth, np.float64)[order]
    candidates: list[tuple[float, float, float, int, int]] = []
    for i, seconds in enumerate(colour):
        first, last = np.searchsorted(times, (seconds - MAX_SECONDS, seconds + MAX_SECONDS))
        for k in range(int(first), int(last)):
            apart = abs(seconds - float(times[k]))
            if apart < MAX_SECONDS:
                candidates.append((apart, seconds, float(times[k]), i, int(order[k])))
    partner: list[int | None] = [None] * len(colour)
    used: set[int] = set()
    for _, _, _, i, j in sorted(candidates):
        if partner[i] is None and j not in used:
            partner[i] = j
            used.add(j)
    return partner


def room_camera(folder: Path) -> Camera:
    """Intrinsics by name, else a Kinect's, marked as assumed."""
    listing = folder / "rgb.txt"
    head = ""
    if listing.is_file():
        with listing.open(encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD_CHARACTERS)
    room = _FREIBURG.search(head) or _FREIBURG.search(folder.resolve().name)
    return Camera(
        K=pinhole_K(*(_INTRINSICS[room[1]] if room else _KINECT)),
        source=CameraSource.GIVEN if room else CameraSource.ASSUMED,
    )


def _picture_of_words(words: Sequence[str], line: Line, path: Path) -> Stamped:
    seconds = parse_numbers(words[0]) if len(words) == 2 else None
    if seconds is None or not np.isfinite(seconds[0]):
        raise _line_error(
            line, path, "seconds and the path of a picture, such as '1.5 rgb/1.5.png'"
        )
    return Stamped(seconds=seconds[0], file=words[1])


def _line_error(line: Line, path: Path, expected: str) -> InputError:
    return InputError(f"{path}: line {line.number} is '{line.text[:80]}'; expected {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    camera: Camera
    trajectory: TimedPoses | None


class Tum(DepthSet):
    """Sequence, or folder of sequences."""

    card = own_card("tum")

    def __init__(self, request: Request) -> None:
        self.request = request
        frames = list(_frames_of_request(request))
        checked_ids([id for id, _ in frames], str(request.list_file or request.root))
        self._set_entries(dict(frames))


def _frames_of_request(request: Request) -> Iterator[tuple[str, DepthFiles | Absent]]:
    root = request.root
    folders = [Path()] if (root / "rgb.txt").is_file() else _sequence_folders(root)
    if not folders:
        raise InputError(
            f"{root}: a sequence (rgb.txt, depth.txt, rgb, depth) or a folder of them is expected, "
            f"found {contents_text(root)}"
        )
    recorded = cache(_read_recording)
    if request.list_file is not None:
        for colour, depth in read_pairs(request.list_file):
            recording = recorded(root / Path(colour.file).parent.parent)
            yield _id_and_files(root, Path(), colour, depth, recording)
        return
    for folder in folders:
        colours, depths = (
            read_stamped_pictures(root / folder / name) for name in ("rgb.txt", "depth.txt")
        )
        partners = associate(
            [stamp.seconds for stamp in colours], [stamp.seconds for stamp in depths]
        )
        for colour, partner in zip(colours, partners, strict=True):
            depth = None if partner is None else depths[partner]
            yield _id_and_files(root, folder, colour, depth, recorded(root / folder))


def _sequence_folders(root: Path) -> list[Path]:
    return [Path(name) for name in sorted(names_in(root)) if (root / name / "rgb.txt").is_file()]


def _read_recording(folder: Path) -> _Recording:
    path = folder / "groundtruth.txt"
    trajectory = read_trajectory(path) if path.is_file() else None
    return _Recording(camera=room_camera(folder), trajectory=trajectory)


def _id_and_files(
    root: Path, folder: Path, colour: Stamped, depth: Stamped | None, recording: _Recording
) -> tuple[str, DepthFiles | Absent]:
    place, path = folder / colour.file, recording.trajectory
    id = (place.parent / place.stem).as_posix()
    if depth is None:
        reason = f"no depth less than {MAX_SECONDS:g} s away is left for it"
        return id, Absent(id=id, reason=reason)
    return id, DepthFiles(
        image=root / place,
        depth=root / folder / depth.file,
        read=partial(read_steps, steps=_STEPS_A_METRE),
        camera=recording.camera,
        pose=None if path is None else path.nearest_pose(colour.seconds),
        scene=scene_by_folders(id, root, names=2),
    )
