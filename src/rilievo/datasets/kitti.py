"""Frames of KITTI, the lists that papers score, and the calibration of its cameras and laser.

Geiger, Lenz, Stiller and Urtasun, "Vision meets Robotics: The KITTI Dataset", IJRR 2013.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.datasets.files import Line, numbers_of, text_lines
from rilievo.datasets.stored import camera_of, pinhole_K
from rilievo.errors import InputError
from rilievo.geometry.transforms import rigid
from rilievo.types import Camera

Names = Callable[[Path], frozenset[str]]
"""Function that lists the names in a folder: ``names_in``, possibly cached."""

CAMERAS: Mapping[str, str] = {"l": "image_02", "r": "image_03"}
"""Folder of the left and the right colour camera, by side."""

DRIVE_NAME = re.compile(r"(\d{4}_\d\d_\d\d)_drive_\d{4}_sync")
"""Folder name of a synchronised and rectified drive."""

_PLACE = r"(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>(?P=date)_drive_\d{4}_sync)"
_SIDED = re.compile(rf"{_PLACE}\s+(?P<index>\d{{1,10}})(\s+(?P<side>[lr]))?")
_PICTURED = re.compile(
    rf"/?{_PLACE}/(?P<camera>image_0[23])/data/(?P<index>\d{{10}})\.(png|jpg)(\s+(?P<depth>\S+).*)?"
)

_LISTS: Mapping[str, tuple[str, ...]] = {
    "eigen": (
        "splits/eigen/test_files.txt",
        "eigen/test_files.txt",
        "eigen_test_files.txt",
        "test_files_eigen.txt",
        "eigen_test_files_with_gt.txt",
        "test_files.txt",
    ),
    "eigen_benchmark": (
        "splits/eigen_benchmark/test_files.txt",
        "eigen_benchmark/test_files.txt",
        "eigen_benchmark_test_files.txt",
        "eigen_test_files_with_gt.txt",
        "test_files.txt",
    ),
}

COUNTS: Mapping[str, int] = {"eigen": 697, "eigen_benchmark": 652}
"""Number of images of each list: all of Eigen et al. 2014, and those with annotated depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KittiFrame:
    """One picture of one camera of one drive.

    Attributes:
        drive: Name of the drive, such as ``2011_09_26_drive_0002_sync``.
        camera: ``image_02`` (left) or ``image_03`` (right).
        index: Frame number as ten digits, as in the file names.
    """

    drive: str
    camera: str
    index: str

    @property
    def date(self) -> str:
        """Date of the drive: the folder above it, which holds its calibration."""
        return self.drive[:10]

    @property
    def id(self) -> str:
        """Path of the picture relative to the root, without its suffix."""
        return f"{self.date}/{self.drive}/{self.camera}/data/{self.index}"


def picture_of(frame: KittiFrame, raw: Path, names: Names) -> Path:
    """File of a picture in KITTI raw: PNG as published, or JPEG after a common conversion."""
    folder = raw / frame.date / frame.drive / frame.camera / "data"
    jpg = f"{frame.index}.jpg"
    png = f"{frame.index}.png"
    there = names(folder)
    return folder / (jpg if jpg in there and png not in there else png)


def listed_frames(root: Path, split: str, list_file: Path | None) -> list[KittiFrame]:
    """Frames of a list: the user's own, or the split's if it is found under the root.

    Args:
        root: Root of the download.
        split: ``eigen`` or ``eigen_benchmark``, if there is no list of the user's.
        list_file: The user's own list, of any length.
    """
    if list_file is not None:
        return _read_list(list_file, annotated=split == "eigen_benchmark")
    places = _LISTS[split]
    path = next((root / place for place in places if (root / place).is_file()), None)
    if path is None:
        raise InputError(
            f"{root}: has no list of the split '{split}' (looked for {', '.join(places)}); put it "
            "there, or name a list file of your own"
        )
    frames = _read_list(path, annotated=split == "eigen_benchmark")
    if len(frames) != COUNTS[split]:
        raise InputError(
            f"{path}: lists {len(frames)} frames, but the split '{split}' has {COUNTS[split]}; "
            "name it as a list file of your own if it is what you mean"
        )
    return frames


def _read_list(path: Path, *, annotated: bool) -> list[KittiFrame]:
    """Read the frames of a list file."""
    frames: list[KittiFrame] = []
    for line in text_lines(path):
        found = _PICTURED.fullmatch(line.text)
        if annotated and found is not None and found["depth"] == "None":
            continue
        frames.append(_frame(line, path))
    return frames


def _frame(line: Line, path: Path) -> KittiFrame:
    if found := _PICTURED.fullmatch(line.text):
        return KittiFrame(drive=found["drive"], camera=found["camera"], index=found["index"])
    if found := _SIDED.fullmatch(line.text):
        camera = CAMERAS[found["side"] or "l"]
        return KittiFrame(drive=found["drive"], camera=camera, index=found["index"].zfill(10))
    raise InputError(
        f"{path}: line {line.number} is '{line.text[:80]}'; expected "
        "'2011_09_26/2011_09_26_drive_0002_sync 0000000069 l' or "
        "'2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png'"
    )


CAMERA_FILE, LASER_FILE = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt"
_LARGEST = 1e9
"""Larger than any focal length [px] or distance [m]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KittiCamera:
    """One rectified camera of one date.

    Attributes:
        shape: (height, width) of the rectified pictures [px], from ``S_rect``.
        P: ``P_rect``: projects points [m] of the rectified frame of camera 0 to pixels.
        R: ``R_rect_00``: rotates camera 0's frame to its rectified frame.
    """

    shape: tuple[int, int]
    P: Float64[np.ndarray, "3 4"]
    R: Float64[np.ndarray, "3 3"]

    @property
    def camera(self) -> Camera:
        """Intrinsics of the rectified pictures."""
        return Camera(K=self.P[:, :3])


@dataclass(frozen=True, slots=True, kw_only=True)
class _DateCamera:
    """Calibration of one date that the left and right colour cameras share.

    Attributes:
        shape: (height, width) [px], unique to each date.
        focal: Focal length, both fx and fy [px].
        centre: Principal point (cx, cy) [px].
    """

    shape: tuple[int, int]
    focal: float
    centre: tuple[float, float]


# Values from the files of the dates (P_rect_02, S_rect_02), for downloads without those files.
_DATES: Mapping[str, _DateCamera] = {
    "2011_09_26": _DateCamera(shape=(375, 1242), focal=721.5377, centre=(609.5593, 172.854)),
    "2011_09_28": _DateCamera(shape=(370, 1224), focal=707.0493, centre=(604.0814, 180.5066)),
    "2011_09_29": _DateCamera(shape=(374, 1238), focal=718.3351, centre=(600.3891, 181.5122)),
    "2011_09_30": _DateCamera(shape=(370, 1226), focal=707.0912, centre=(601.8873, 183.1104)),
    "2011_10_03": _DateCamera(shape=(376, 1241), focal=718.856, centre=(607.1928, 185.2157)),
}


def camera_of_shape(shape: tuple[int, int]) -> Camera | None:
    """Intrinsics of a colour picture by its size, which is unique to each of the five dates.

    None where the size belongs to no date: the picture was then cropped or resized.
    """
    found = next((date for date in _DATES.values() if date.shape == shape), None)
    if found is None:
        return None
    return Camera(K=pinhole_K(found.focal, found.focal, *found.centre))


def read_camera(day: Path, camera: str) -> KittiCamera:
    """Read ``calib_cam_to_cam.txt`` of a date."""
    path = day / CAMERA_FILE
    entries = _entries(path)
    number = camera[-2:]
    width, height = _array(entries, f"S_rect_{number}", (2,), path).tolist()
    P = _array(entries, f"P_rect_{number}", (3, 4), path)
    camera_of(P[:, :3], path)
    return KittiCamera(
        shape=(int(height), int(width)),
        P=P,
        R=_array(entries, "R_rect_00", (3, 3), path),
    )


def read_laser(day: Path) -> Float64[np.ndarray, "4 4"]:
    """Read ``cam_T_laser`` of a date: maps laser points [m] to unrectified camera 0."""
    path = day / LASER_FILE
    entries = _entries(path)
    return rigid(_array(entries, "R", (3, 3), path), _array(entries, "T", (3,), path))


def image_from_laser(day: Path, camera: KittiCamera) -> Float64[np.ndarray, "3 4"]:
    """Projection of homogeneous laser points [m] to (u z, v z, z) in the camera's pictures."""
    rectified = rigid(camera.R, np.zeros(3))
    return camera.P @ rectified @ read_laser(day)


def _entries(path: Path) -> dict[str, tuple[float, ...]]:
    """Lines of the form ``name: numbers``; other lines, such as dates, are skipped."""
    entries: dict[str, tuple[float, ...]] = {}
    for line in text_lines(path):
        name, colon, rest = line.text.partition(":")
        numbers = numbers_of(rest) if colon else None
        if numbers:
            entries[name.strip()] = numbers
    return entries


def _array(
    entries: Mapping[str, tuple[float, ...]], name: str, shape: tuple[int, ...], path: Path
) -> Float64[np.ndarray, "..."]:
    size = int(np.prod(shape))
    numbers = entries.get(name)
    if numbers is None or len(numbers) != size or not (np.abs(numbers) < _LARGEST).all():
        found = "has no such entry" if numbers is None else f"has {len(numbers)} for it"
        raise InputError(
            f"{path}: {found}, but '{name}: ' with {size} finite numbers is expected; fetch the "
            "calibration of this date again"
        )
    return np.array(numbers, np.float64).reshape(shape)
