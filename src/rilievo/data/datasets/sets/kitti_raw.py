"""KITTI raw: pictures from a car, with laser scans."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np

from rilievo.data.datasets.files import found_in, names_in
from rilievo.data.datasets.photo_files import (
    DepthFiles,
    DepthSet,
    MaskedValues,
    Request,
    checked_ids,
    own_card,
)
from rilievo.data.datasets.sets.kitti_frames import (
    CAMERA_FILE,
    CAMERAS,
    DRIVE_NAME,
    LASER_FILE,
    KittiFrame,
    image_from_laser,
    listed_frames,
    picture_of,
    read_camera,
)
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.files.limits import check_regular, reason
from rilievo.shapes import Float32, Float64

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
                image=picture_of(frame, request.root, names),
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
            f"expected in it, found {found_in(root)}"
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
