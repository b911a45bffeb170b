"""TUM RGB-D: rooms from a Kinect, with poses of motion capture (Sturm et al., IROS 2012)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transform, Transforms, Values
from rilievo.data.datasets.dataset import Absent, DatasetCard, Request, checked_ids
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

_CARD = DatasetCard(
    name="tum",
    title="TUM RGB-D benchmark (Sturm et al. 2012)",
    summary="desks and rooms from a hand-held Kinect, 0.5 to 8 m, with the camera's path",
    homepage="https://cvg.cit.tum.de/data/datasets/rgbd-dataset/download",
    licence="CC-BY-4.0",
    commercial=True,
    layout="""\
rgbd_dataset_freiburg1_desk/    a sequence; give it, or the folder that has several
  rgb.txt, depth.txt            lines 'seconds path'
  groundtruth.txt               lines 'seconds tx ty tz qx qy qz qw' [m], the colour camera's path
  rgb/1305031452.791720.png     colour
  depth/1305031452.793480.png   uint16, metres * 5000, 0 unknown; registered to colour
associations.txt                your own list file may have lines 'seconds rgb/... seconds depth/...'
                                as the benchmark's associate.py prints them""",  # noqa: E501
    splits=("all",),
    caveats=(
        (
            "Colour and depth are taken at different times. Images less than 0.02 s apart are "
            "paired, the nearest first and each only once, as associate.py does; colour images "
            "without a partner count as missing."
        ),
        (
            "Kinect depth is rounded to steps that grow with the square of the depth (3 mm at 1 "
            "m, 7 cm at 5 m); dark, shiny and distant surfaces are holes."
        ),
        (
            "Freiburg 1 and 2 are not undistorted: K is taken from the calibration without its "
            "distortion."
        ),
        (
            "For a sequence without a Freiburg number in its name, rilievo assumes the K of a "
            "Kinect (f = 525)."
        ),
        "Poses are the nearest ones in groundtruth.txt and are not interpolated.",
    ),
)

MAX_SECONDS = 0.02
"""Records that belong together are less than this apart [s], as in the benchmark."""

_ROOM_NAME = re.compile(r"(?:freiburg|fr)([123])")
_HEADER_CHARACTERS = 500  # of rgb.txt, whose comments name the room

_INTRINSICS: Mapping[str, tuple[float, float, float, float]] = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}
"""fx, fy, cx, cy [px] of the colour camera of each room, from the authors' calibration."""
_KINECT_INTRINSICS = (525.0, 525.0, 319.5, 239.5)
"""fx, fy, cx, cy [px] of a Kinect by default."""
_STEPS_PER_METRE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedPicture:
    """File of a picture, relative to its sequence, with its time since 1970 [s]."""

    seconds: float
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedPoses:
    """Trajectory of the colour camera: ``world_T_cam`` [m] by time since 1970 [s]."""

    seconds: Values
    poses: Transforms

    def nearest_pose(self, seconds: float) -> Transform | None:
        """Pose nearest in time; None if none is less than ``MAX_SECONDS`` away."""
        if not len(self.seconds):
            return None
        differences = np.abs(self.seconds - seconds)
        nearest = int(differences.argmin())
        return self.poses[nearest] if differences[nearest] < MAX_SECONDS else None


def read_timed_pictures(path: Path) -> list[TimedPicture]:
    """Read the pictures in ``rgb.txt`` or ``depth.txt``."""
    return [_parse_picture(line.text.split(), line, path) for line in text_lines(path)]


def read_pairs(path: Path) -> Iterator[tuple[TimedPicture, TimedPicture]]:
    """Read the pairs of a picture and its depth that the benchmark's ``associate.py`` prints."""
    for line in text_lines(path):
        words = line.text.split()
        yield _parse_picture(words[:2], line, path), _parse_picture(words[2:4], line, path)


def read_trajectory(path: Path) -> TimedPoses:
    """Read ``groundtruth.txt``: lines of seconds, tx ty tz [m], qx qy qz qw, in any order."""
    rows: list[tuple[float, ...]] = []
    for line in text_lines(path):
        row = parse_numbers(line.text)
        if row is None or len(row) != 8 or not np.isfinite(row).all():
            raise _line_error(line, path, "seconds tx ty tz qx qy qz qw")
        # Quaternions are printed with four decimals, so rounding changes the length by about 1e-4.
        if abs(np.linalg.norm(row[4:]) - 1) > 0.01:
            raise _line_error(line, path, "a unit quaternion qx qy qz qw at the end of the line")
        rows.append(row)
    table = np.array(sorted(rows), np.float64).reshape(-1, 8)
    return TimedPoses(
        seconds=table[:, 0],
        poses=rigid(rotation_from_quaternion(table[:, [7, 4, 5, 6]]), table[:, 1:4]),
    )


def associate(colour: Sequence[float], depth: Sequence[float]) -> list[int | None]:
    """Pair colour pictures with depth pictures by their times [s].

    Pairs less than ``MAX_SECONDS`` apart are taken nearest first, and each picture at most once.

    Returns:
        Index of the depth picture of each colour picture, or None.
    """
    order = np.argsort(depth, kind="stable")
    sorted_depth_times = np.asarray(depth, np.float64)[order]
    # Sorted by difference; times break ties, as in the benchmark's program.
    candidates: list[tuple[float, float, float, int, int]] = []
    for colour_index, seconds in enumerate(colour):
        time_range = (seconds - MAX_SECONDS, seconds + MAX_SECONDS)
        first, last = np.searchsorted(sorted_depth_times, time_range)
        for rank in range(int(first), int(last)):
            depth_seconds = float(sorted_depth_times[rank])
            difference = abs(seconds - depth_seconds)
            if difference < MAX_SECONDS:
                depth_index = int(order[rank])
                candidates.append((difference, seconds, depth_seconds, colour_index, depth_index))

    depth_of_colour: list[int | None] = [None] * len(colour)
    paired_depths: set[int] = set()
    for _, _, _, colour_index, depth_index in sorted(candidates):
        if depth_of_colour[colour_index] is None and depth_index not in paired_depths:
            depth_of_colour[colour_index] = depth_index
            paired_depths.add(depth_index)
    return depth_of_colour


def room_camera(folder: Path) -> Camera:
    """Camera of the room that the sequence's ``rgb.txt`` or folder names.

    If neither names a room, it is a default Kinect, and its source says that it is assumed.
    """
    list_file = folder / "rgb.txt"
    header = ""
    if list_file.is_file():
        with list_file.open(encoding="utf-8", errors="replace") as file:
            header = file.read(_HEADER_CHARACTERS)
    room = _ROOM_NAME.search(header) or _ROOM_NAME.search(folder.resolve().name)
    if room is None:
        return Camera(K=pinhole_K(*_KINECT_INTRINSICS), source=CameraSource.ASSUMED)
    return Camera(K=pinhole_K(*_INTRINSICS[room[1]]), source=CameraSource.GIVEN)


def _parse_picture(words: Sequence[str], line: Line, path: Path) -> TimedPicture:
    seconds = parse_numbers(words[0]) if len(words) == 2 else None
    if seconds is None or not np.isfinite(seconds[0]):
        raise _line_error(
            line, path, "a time in seconds and the path of an image, such as '1.5 rgb/1.5.png'"
        )
    return TimedPicture(seconds=seconds[0], file=words[1])


def _line_error(line: Line, path: Path, expected: str) -> InputError:
    return InputError(f"{path}: line {line.number} is '{line.text[:80]}'; expected {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    """Camera and trajectory of a sequence, which all of its frames share."""

    camera: Camera
    trajectory: TimedPoses | None


class Tum(DepthSet):
    """Colour pictures with depth, of one sequence or of a folder of sequences."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        frames = list(_frames_of_request(request))
        checked_ids([image_id for image_id, _ in frames], str(request.list_file or request.root))
        self._set_images(dict(frames))


def _frames_of_request(request: Request) -> Iterator[tuple[str, DepthFiles | Absent]]:
    """Yield ids and files of the pairs in the user's list, or of all pairs close in time."""
    root = request.root
    folders = [Path()] if (root / "rgb.txt").is_file() else _sequence_folders(root)
    if not folders:
        raise InputError(
            f"{root}: expected a sequence with rgb.txt, depth.txt, rgb/ and depth/, or a folder "
            f"of sequences, found {contents_text(root)}"
        )
    cached_recording = cache(_read_recording)
    if request.list_file is not None:
        for colour, depth in read_pairs(request.list_file):
            recording = cached_recording(root / Path(colour.file).parent.parent)
            yield _id_and_files(root, Path(), colour, depth, recording)
        return

    for folder in folders:
        colours = read_timed_pictures(root / folder / "rgb.txt")
        depths = read_timed_pictures(root / folder / "depth.txt")
        depth_indices = associate(
            [picture.seconds for picture in colours], [picture.seconds for picture in depths]
        )
        for colour, depth_index in zip(colours, depth_indices, strict=True):
            depth = None if depth_index is None else depths[depth_index]
            yield _id_and_files(root, folder, colour, depth, cached_recording(root / folder))


def _sequence_folders(root: Path) -> list[Path]:
    return [Path(name) for name in sorted(names_in(root)) if (root / name / "rgb.txt").is_file()]


def _read_recording(folder: Path) -> _Recording:
    path = folder / "groundtruth.txt"
    trajectory = read_trajectory(path) if path.is_file() else None
    return _Recording(camera=room_camera(folder), trajectory=trajectory)


def _id_and_files(
    root: Path,
    folder: Path,
    colour: TimedPicture,
    depth: TimedPicture | None,
    recording: _Recording,
) -> tuple[str, DepthFiles | Absent]:
    """Id of a colour picture, with its files, or with the reason why it has no depth."""
    image, trajectory = folder / colour.file, recording.trajectory
    image_id = (image.parent / image.stem).as_posix()
    if depth is None:
        reason = f"no unused depth map is within {MAX_SECONDS:g} s of this image"
        return image_id, Absent(id=image_id, reason=reason)
    return image_id, DepthFiles(
        image=root / image,
        depth=root / folder / depth.file,
        read_depth=partial(read_steps, steps=_STEPS_PER_METRE),
        camera=recording.camera,
        pose=None if trajectory is None else trajectory.nearest_pose(colour.seconds),
        scene=scene_by_folders(image_id, root, names=2),
    )
