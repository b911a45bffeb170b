"""KITTI raw: pictures from a car, with laser scans (Geiger et al., IJRR 2013)."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from rilievo.data.datasets.dataset import DatasetCard, Request, checked_ids
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, MaskedValues
from rilievo.data.datasets.sets.kitti_calibration import (
    CAMERA_FILE,
    LASER_FILE,
    image_from_laser,
    read_camera,
)
from rilievo.data.datasets.sets.kitti_scans import PROJECTIONS, read_velodyne
from rilievo.data.datasets.text_files import Line, contents_text, names_in, text_lines
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera

_CARD = DatasetCard(
    name="kitti-raw",
    title="KITTI raw data, synchronised and rectified (Geiger et al. 2013)",
    summary="roads and towns from a car; depth from single scans of a 64-beam laser, to 80 m",
    homepage="https://www.cvlibs.net/datasets/kitti/raw_data.php",
    licence="CC-BY-NC-SA-3.0",
    commercial=False,
    gigabytes=175.0,
    layout="""\
2011_09_26/                              one folder per date, five in all
  calib_cam_to_cam.txt                   cameras: P_rect_02, R_rect_00, S_rect_02, ...
  calib_velo_to_cam.txt                  laser to camera 0: R, T
  2011_09_26_drive_0002_sync/
    image_02/data/0000000069.png         left colour picture (or .jpg); image_03 is the right
    velodyne_points/data/0000000069.bin  x y z reflectance, float32 [m]
splits/eigen/test_files.txt              the list of a split (from Monodepth2's repository); also
                                         eigen_test_files_with_gt.txt, or your own list file""",
    splits=("eigen", "eigen_benchmark", "all", "all_right"),
    counts={"eigen": 697, "eigen_benchmark": 652},
    variants=("monodepth2", "monodepth2_vel_depth", "nearest"),
    caveats=(
        "A scan covers about 4 % of the pixels, and none in the upper third.",
        (
            "The laser is beside the camera and sees behind the foreground, so some pixels near "
            "edges have the depth of hidden surfaces."
        ),
        (
            "Moving objects can be off by 0.05 s, because a scan takes 0.1 s and the image is "
            "taken at once."
        ),
        "'monodepth2' shifts depth one pixel up and left of 'nearest', which counts pixels from 0.",
        (
            "'monodepth2_vel_depth' stores the laser's x, which is 0.27 m more than the camera's "
            "z. Monodepth2 and its successors were scored with it."
        ),
        "'all' and 'all_right' contain every scan, seen from the left or the right camera.",
    ),
)

NamesInFolder = Callable[[Path], frozenset[str]]
"""``names_in``, usually with a cache."""

CAMERAS: Mapping[str, str] = {"l": "image_02", "r": "image_03"}
"""Folders of the left and the right colour camera."""

DRIVE_NAME = re.compile(r"(\d{4}_\d\d_\d\d)_drive_\d{4}_sync")

_DRIVE_PATH = r"(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>(?P=date)_drive_\d{4}_sync)"
_LINE_WITH_SIDE = re.compile(rf"{_DRIVE_PATH}\s+(?P<index>\d{{1,10}})(\s+(?P<side>[lr]))?")
_LINE_WITH_PICTURE = re.compile(
    rf"/?{_DRIVE_PATH}/(?P<camera>image_0[23])/data/(?P<index>\d{{10}})\.(png|jpg)"
    r"(\s+(?P<depth>\S+).*)?"
)

_SPLIT_FILES: Mapping[str, tuple[str, ...]] = {
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
"""Paths, below the root, at which other programs keep the lists of the splits."""


class KittiRaw(DepthSet):
    """Rectified pictures with depth of one laser scan each; ``kitti_depth`` has denser depth."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        frames = _frames_of_request(request)
        checked_ids([frame.id for frame in frames], str(request.list_file or request.root))
        cached_names_in = cache(names_in)
        files = {}
        for frame in frames:
            day = request.root / frame.date
            scans = day / frame.drive / "velodyne_points" / "data"
            files[frame.id] = DepthFiles(
                image=picture_path(frame, request.root, cached_names_in),
                depth=scans / f"{frame.index}.bin",
                read_depth=partial(read_scan, day=day, camera=frame.camera, rule=request.variant),
                camera=partial(_camera_of_day, day=day, camera=frame.camera),
                required_files=(day / CAMERA_FILE, day / LASER_FILE),
                scene=frame.drive,
            )
        self._set_images(files)


def read_scan(scan: Path, *, day: Path, camera: str, rule: str) -> MaskedValues:
    """Read a laser scan as the depth map [m] of a camera, by a rule of ``PROJECTIONS``.

    ``day`` is the folder with the calibration, and ``camera`` is such as "image_02".
    """
    calibration, points = read_camera(day, camera), read_velodyne(scan)
    projection = image_from_laser(day, calibration)
    depth = PROJECTIONS[rule](points, projection, calibration.shape)
    return MaskedValues(depth.astype(np.float32), depth > 0)


def _camera_of_day(_: tuple[int, int], *, day: Path, camera: str) -> Camera:
    return read_camera(day, camera).camera


@dataclass(frozen=True, slots=True, kw_only=True)
class KittiFrame:
    """One picture of a drive.

    Attributes:
        drive: Folder of the drive, such as "2011_09_26_drive_0002_sync".
        camera: Folder of the camera, "image_02" or "image_03".
        index: Number of the picture, with ten digits.
    """

    drive: str
    camera: str
    index: str

    @property
    def date(self) -> str:
        """Folder above the drive, which also has the calibration."""
        return self.drive[:10]

    @property
    def id(self) -> str:
        """Path of the picture below the root, without suffix."""
        return f"{self.date}/{self.drive}/{self.camera}/data/{self.index}"


def picture_path(frame: KittiFrame, raw: Path, names_in_folder: NamesInFolder) -> Path:
    """Path of a picture of KITTI raw: the published PNG, or a JPEG if only that exists."""
    folder = raw / frame.date / frame.drive / frame.camera / "data"
    jpg = f"{frame.index}.jpg"
    png = f"{frame.index}.png"
    present = names_in_folder(folder)
    return folder / (jpg if jpg in present and png not in present else png)


def _frames_of_request(request: Request) -> list[KittiFrame]:
    """List the frames of a list or an official split, or all frames with a laser scan."""
    root = request.root
    drives = list(_drive_folders(root))
    if not drives:
        raise InputError(
            f"{root}: is not a KITTI raw folder: expected folders such as "
            f"2011_09_26/2011_09_26_drive_0002_sync, found {contents_text(root)}"
        )
    if request.list_file is not None or not request.split.startswith("all"):
        return listed_frames(request, KittiRaw.card.counts)

    camera = CAMERAS["r" if request.split == "all_right" else "l"]
    frames: list[KittiFrame] = []
    for drive in drives:
        for name in sorted(names_in(drive / "velodyne_points" / "data")):
            if name.endswith(".bin"):
                index = name.removesuffix(".bin")
                frames.append(KittiFrame(drive=drive.name, camera=camera, index=index))
    return frames


def _drive_folders(root: Path) -> Iterator[Path]:
    """Yield the folders root/DATE/DATE_drive_NNNN_sync."""
    for day in sorted(names_in(root)):
        for drive in sorted(names_in(root / day)):
            match = DRIVE_NAME.fullmatch(drive)
            if match is not None and match[1] == day:
                yield root / day / drive


def listed_frames(request: Request, counts: Mapping[str, int]) -> list[KittiFrame]:
    """Read the frames of the user's list, or of the split ``eigen`` or ``eigen_benchmark``.

    ``counts`` has the official number of frames in each split.

    Raises:
        InputError: If the list is missing, broken, or of another length.
    """
    root, split = request.root, request.split
    has_annotated_depth = split == "eigen_benchmark"
    if request.list_file is not None:
        return _read_frame_list(request.list_file, has_annotated_depth=has_annotated_depth)
    candidates = _SPLIT_FILES[split]
    path = next((root / name for name in candidates if (root / name).is_file()), None)
    if path is None:
        raise InputError(
            f"{root}: has no list for the split '{split}' (rilievo looked for "
            f"{', '.join(candidates)}); put the list there, or give a list file of your own"
        )
    frames = _read_frame_list(path, has_annotated_depth=has_annotated_depth)
    if len(frames) != counts[split]:
        raise InputError(
            f"{path}: lists {len(frames)} frames, but the split '{split}' has {counts[split]}; to "
            "use it anyway, give it as a list file of your own"
        )
    return frames


def _read_frame_list(path: Path, *, has_annotated_depth: bool) -> list[KittiFrame]:
    """Read a list of frames, except those for which the list says that depth is "None"."""
    frames: list[KittiFrame] = []
    for line in text_lines(path):
        match = _LINE_WITH_PICTURE.fullmatch(line.text)
        if has_annotated_depth and match is not None and match["depth"] == "None":
            continue
        frames.append(_parse_frame(line, path))
    return frames


def _parse_frame(line: Line, path: Path) -> KittiFrame:
    """Parse a line with the path of a picture, or with a drive, a number and a side."""
    match = _LINE_WITH_PICTURE.fullmatch(line.text)
    if match is not None:
        return KittiFrame(drive=match["drive"], camera=match["camera"], index=match["index"])
    match = _LINE_WITH_SIDE.fullmatch(line.text)
    if match is not None:
        camera = CAMERAS[match["side"] or "l"]
        return KittiFrame(drive=match["drive"], camera=camera, index=match["index"].zfill(10))
    raise InputError(
        f"{path}: line {line.number} is '{line.text[:80]}'; expected "
        "'2011_09_26/2011_09_26_drive_0002_sync 0000000069 l' or "
        "'2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png'"
    )
