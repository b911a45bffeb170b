"""KITTI raw: pictures from a car, with laser scans (Geiger et al., IJRR 2013)."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, Float64, Matrix, Transform
from rilievo.data.datasets.dataset import Request, checked_ids, own_card
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, MaskedValues
from rilievo.data.datasets.text_files import (
    Line,
    contents_text,
    names_in,
    parse_numbers,
    text_lines,
)
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import rigid
from rilievo.io.cameras.lens_checks import camera_from_K
from rilievo.io.files.limits import check_regular, reason

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


@dataclass(frozen=True, slots=True, kw_only=True)
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


def picture_path(frame: KittiFrame, raw: Path, names: Names) -> Path:
    """Published PNG, or converted JPEG."""
    folder = raw / frame.date / frame.drive / frame.camera / "data"
    jpg = f"{frame.index}.jpg"
    png = f"{frame.index}.png"
    there = names(folder)
    return folder / (jpg if jpg in there and png not in there else png)


def listed_frames(request: Request, counts: Mapping[str, int]) -> list[KittiFrame]:
    """Frames of the user's list, or of the split's: ``eigen`` (2014) or ``eigen_benchmark``."""
    root, split = request.root, request.split
    if request.list_file is not None:
        return _read_frame_list(request.list_file, annotated=split == "eigen_benchmark")
    places = _LISTS[split]
    path = next((root / place for place in places if (root / place).is_file()), None)
    if path is None:
        raise InputError(
            f"{root}: has no list of the split '{split}' (looked for {', '.join(places)}); put it "
            "there, or name a list file of your own"
        )
    frames = _read_frame_list(path, annotated=split == "eigen_benchmark")
    if len(frames) != counts[split]:
        raise InputError(
            f"{path}: lists {len(frames)} frames, but the split '{split}' has {counts[split]}; "
            "name it as a list file of your own if it is what you mean"
        )
    return frames


def _read_frame_list(path: Path, *, annotated: bool) -> list[KittiFrame]:
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


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """Intrinsics if a size tells the date."""
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
    camera_from_K(P[:, :3], path)
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
        numbers = parse_numbers(rest) if colon else None
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


Projection = Callable[
    [Float32[np.ndarray, "n 3"], Float64[np.ndarray, "3 4"], tuple[int, int]],
    Float64[np.ndarray, "h w"],
]

_BYTES_A_POINT = 16


def read_velodyne(path: Path) -> Float32[np.ndarray, "n 3"]:
    """Read points [m]: x forward, y left, z up; reflectance is dropped."""
    size = check_regular(path)
    if size % _BYTES_A_POINT:
        raise InputError(
            f"{path}: has {size} bytes, which is no multiple of {_BYTES_A_POINT} (a point); it is "
            "cut short: fetch it again"
        )
    try:
        points = np.fromfile(path, "<f4").reshape(-1, 4)[:, :3]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    broken = int((~np.isfinite(points)).any(axis=1).sum())
    if broken:
        raise InputError(
            f"{path}: {broken} of {len(points)} points are NaN or infinite, but a scan has none; "
            "fetch it again"
        )
    return points


def project_monodepth2(
    points: Float32[np.ndarray, "n 3"],
    image_from_laser: Float64[np.ndarray, "3 4"],
    shape: tuple[int, int],
    *,
    forward: bool = False,
) -> Float64[np.ndarray, "h w"]:
    """Project to depth [m], 0 for none, by the rule since SfMLearner (2017).

    Points with x < 0 are left out; coordinates are reduced by 1, a relic of MATLAB; the nearest
    point counts. ``forward`` stores the laser's x for z (``vel_depth``), as Monodepth2's true
    depths.
    """
    height, width = shape
    points = points[points[:, 0] >= 0]
    x, y, z = image_from_laser @ np.c_[points, np.ones(len(points), points.dtype)].T
    # Points in the camera's own plane project to infinity, outside the picture.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        u, v = np.round(x / z) - 1, np.round(y / z) - 1
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    u, v = u[inside].astype(np.int64), v[inside].astype(np.int64)
    stored = (points[:, 0].astype(np.float64) if forward else z)[inside]
    depth = np.zeros(shape)
    depth[v, u] = stored
    # Those programs index pixels such that the last pixel of a row and the first of the next share
    # a number: the pixel of the earlier point gets the least of both, the other its latest point.
    number = v * (width - 1) + u - 1
    _, first, group = np.unique(number, return_index=True, return_inverse=True)
    least = np.full(len(first), np.inf)
    np.minimum.at(least, group, stored)
    depth[v[first], u[first]] = least
    return np.maximum(depth, 0)


def project_nearest(
    points: Float32[np.ndarray, "n 3"],
    image_from_laser: Float64[np.ndarray, "3 4"],
    shape: tuple[int, int],
) -> Float64[np.ndarray, "h w"]:
    """Project to depth z [m] of the nearest point, 0 for none.

    Pixels extend half a pixel from their centres.
    """
    height, width = shape
    x, y, z = image_from_laser @ np.c_[points, np.ones(len(points), points.dtype)].T
    ahead = z > 0
    x, y, z = x[ahead], y[ahead], z[ahead]
    with np.errstate(over="ignore"):
        u, v = np.floor(x / z + 0.5), np.floor(y / z + 0.5)
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    depth = np.full(shape, np.inf)
    pixels = (v[inside].astype(np.int64), u[inside].astype(np.int64))
    np.minimum.at(depth, pixels, z[inside])
    return np.where(np.isinf(depth), 0, depth)


# A new rule needs one function above and one line here; its name is a variant of kitti-raw.
PROJECTIONS: Mapping[str, Projection] = {
    "monodepth2": project_monodepth2,
    "monodepth2_vel_depth": partial(project_monodepth2, forward=True),
    "nearest": project_nearest,
}


class KittiRaw(DepthSet):
    """Rectified KITTI raw; ``kitti_depth`` has denser depth."""

    card = own_card("kitti-raw")

    def __init__(self, request: Request) -> None:
        self.request = request
        frames = _frames_of_request(request)
        where = str(request.list_file or request.root)
        checked_ids([frame.id for frame in frames], where)
        names = cache(names_in)
        files = {}
        for frame in frames:
            day = request.root / frame.date
            scans = day / frame.drive / "velodyne_points" / "data"
            files[frame.id] = DepthFiles(
                image=picture_path(frame, request.root, names),
                depth=scans / f"{frame.index}.bin",
                read=partial(_project_scan, day=day, side=frame.camera, rule=request.variant),
                camera=partial(_camera_of_day, day=day, side=frame.camera),
                needs=(day / CAMERA_FILE, day / LASER_FILE),
                scene=frame.drive,
            )
        self._set_entries(files)


def _project_scan(scan: Path, *, day: Path, side: str, rule: str) -> MaskedValues:
    camera, points = read_camera(day, side), read_velodyne(scan)
    depth = PROJECTIONS[rule](points, image_from_laser(day, camera), camera.shape)
    return MaskedValues(depth.astype(np.float32), depth > 0)


def _camera_of_day(_: tuple[int, int], *, day: Path, side: str) -> Camera:
    return read_camera(day, side).camera


def _frames_of_request(request: Request) -> list[KittiFrame]:
    root = request.root
    drives = list(_drive_folders(root))
    if not drives:
        raise InputError(
            f"{root}: is no KITTI raw: folders such as 2011_09_26/2011_09_26_drive_0002_sync are "
            f"expected in it, found {contents_text(root)}"
        )
    if request.list_file is not None or not request.split.startswith("all"):
        return listed_frames(request, KittiRaw.card.counts)
    camera = CAMERAS["r" if request.split == "all_right" else "l"]
    return [
        KittiFrame(drive=drive.name, camera=camera, index=name.removesuffix(".bin"))
        for drive in drives
        for name in sorted(names_in(drive / "velodyne_points" / "data"))
        if name.endswith(".bin")
    ]


def _drive_folders(root: Path) -> Iterator[Path]:
    for day in sorted(names_in(root)):
        for drive in sorted(names_in(root / day)):
            name_parts = DRIVE_NAME.fullmatch(drive)
            if name_parts is not None and name_parts[1] == day:
                yield root / day / drive
