"""KITTI's frames by lists of papers, cameras and laser (Geiger et al., IJRR 2013)."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from rilievo.data.datasets.files import Line, numbers_of, text_lines
from rilievo.data.datasets.photo_files import Request
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.transforms import rigid
from rilievo.io.lens_files import camera_of, pinhole_K
from rilievo.shapes import Float64, Matrix, Transform

Names = Callable[[Path], frozenset[str]]

CAMERAS: Mapping[str, str] = {"l": "image_02", "r": "image_03"}

DRIVE_NAME = re.compile(r"(\d{4}_\d\d_\d\d)_drive_\d{4}_sync")

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


@frozen
class KittiFrame:
    """Picture of a drive's left or right camera."""

    drive: str
    camera: str
    index: str

    @property
    def date(self) -> str:
        """Folder above the drive, with calibration."""
        return self.drive[:10]

    @property
    def id(self) -> str:
        """Relative path without suffix."""
        return f"{self.date}/{self.drive}/{self.camera}/data/{self.index}"


def picture_of(frame: KittiFrame, raw: Path, names: Names) -> Path:
    """File of a picture: published PNG, or converted JPEG."""
    folder = raw / frame.date / frame.drive / frame.camera / "data"
    jpg = f"{frame.index}.jpg"
    png = f"{frame.index}.png"
    there = names(folder)
    return folder / (jpg if jpg in there and png not in there else png)


def listed_frames(request: Request, counts: Mapping[str, int]) -> list[KittiFrame]:
    """Frames of the user's list, or of the split's: ``eigen`` (2014) or ``eigen_benchmark``."""
    root, split = request.root, request.split
    if request.list_file is not None:
        return _read_list(request.list_file, annotated=split == "eigen_benchmark")
    places = _LISTS[split]
    path = next((root / place for place in places if (root / place).is_file()), None)
    if path is None:
        raise InputError(
            f"{root}: has no list of the split '{split}' (looked for {', '.join(places)}); put it "
            "there, or name a list file of your own"
        )
    frames = _read_list(path, annotated=split == "eigen_benchmark")
    if len(frames) != counts[split]:
        raise InputError(
            f"{path}: lists {len(frames)} frames, but the split '{split}' has {counts[split]}; "
            "name it as a list file of your own if it is what you mean"
        )
    return frames


def _read_list(path: Path, *, annotated: bool) -> list[KittiFrame]:
    frames: list[KittiFrame] = []
    for line in text_lines(path):
        parts = _PICTURED.fullmatch(line.text)
        if annotated and parts is not None and parts["depth"] == "None":
            continue
        frames.append(_frame_of_line(line, path))
    return frames


def _frame_of_line(line: Line, path: Path) -> KittiFrame:
    if parts := _PICTURED.fullmatch(line.text):
        return KittiFrame(drive=parts["drive"], camera=parts["camera"], index=parts["index"])
    if parts := _SIDED.fullmatch(line.text):
        camera = CAMERAS[parts["side"] or "l"]
        return KittiFrame(drive=parts["drive"], camera=camera, index=parts["index"].zfill(10))
    raise InputError(
        f"{path}: line {line.number} is '{line.text[:80]}'; expected "
        "'2011_09_26/2011_09_26_drive_0002_sync 0000000069 l' or "
        "'2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png'"
    )


CAMERA_FILE, LASER_FILE = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt"
_LARGEST = 1e9


@frozen
class KittiCamera:
    """Rectified camera of one date, from camera 0 [m]."""

    shape: tuple[int, int]
    P: Float64[np.ndarray, "3 4"]
    R: Matrix

    @property
    def camera(self) -> Camera:
        """Intrinsics of rectified pictures."""
        return Camera(K=self.P[:, :3])


# Height, width, focal length (fx and fy), cx and cy [px] of the colour cameras of each date, from
# its files (P_rect_02, S_rect_02), for downloads without those files.
_DATES: Mapping[str, tuple[int, int, float, float, float]] = {
    "2011_09_26": (375, 1242, 721.5377, 609.5593, 172.854),
    "2011_09_28": (370, 1224, 707.0493, 604.0814, 180.5066),
    "2011_09_29": (374, 1238, 718.3351, 600.3891, 181.5122),
    "2011_09_30": (370, 1226, 707.0912, 601.8873, 183.1104),
    "2011_10_03": (376, 1241, 718.856, 607.1928, 185.2157),
}


def camera_of_shape(shape: tuple[int, int]) -> Camera | None:
    """Intrinsics by size, which tells five dates apart."""
    for height, width, focal, cx, cy in _DATES.values():
        if shape == (height, width):
            return Camera(K=pinhole_K(focal, focal, cx, cy))
    return None


def read_camera(day: Path, camera: str) -> KittiCamera:
    """Read ``calib_cam_to_cam.txt``."""
    path = day / CAMERA_FILE
    entries = _read_number_entries(path)
    number = camera[-2:]
    width, height = _entry_as_array(entries, f"S_rect_{number}", (2,), path).tolist()
    P = _entry_as_array(entries, f"P_rect_{number}", (3, 4), path)
    camera_of(P[:, :3], path)
    return KittiCamera(
        shape=(int(height), int(width)),
        P=P,
        R=_entry_as_array(entries, "R_rect_00", (3, 3), path),
    )


def read_laser(day: Path) -> Transform:
    """Read ``cam_T_laser`` to unrectified camera 0."""
    path = day / LASER_FILE
    entries = _read_number_entries(path)
    return rigid(
        _entry_as_array(entries, "R", (3, 3), path), _entry_as_array(entries, "T", (3,), path)
    )


def image_from_laser(day: Path, camera: KittiCamera) -> Float64[np.ndarray, "3 4"]:
    """Projection of homogeneous laser points [m] to (u z, v z, z)."""
    rectified = rigid(camera.R, np.zeros(3))
    return camera.P @ rectified @ read_laser(day)


def _read_number_entries(path: Path) -> dict[str, tuple[float, ...]]:
    entries: dict[str, tuple[float, ...]] = {}
    for line in text_lines(path):
        name, colon, rest = line.text.partition(":")
        numbers = numbers_of(rest) if colon else None
        if numbers:
            entries[name.strip()] = numbers
    return entries


def _entry_as_array(
    entries: Mapping[str, tuple[float, ...]], name: str, shape: tuple[int, ...], path: Path
) -> Float64[np.ndarray, "..."]:
    size = int(np.prod(shape))
    numbers = entries.get(name)
    if numbers is None or len(numbers) != size or not (np.abs(numbers) < _LARGEST).all():
        problem = "has no such entry" if numbers is None else f"has {len(numbers)} for it"
        raise InputError(
            f"{path}: {problem}, but '{name}: ' with {size} finite numbers is expected; fetch the "
            "calibration of this date again"
        )
    return np.array(numbers, np.float64).reshape(shape)
