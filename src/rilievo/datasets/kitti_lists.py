"""Frames of KITTI, the lists that papers score, and the files of annotated depth by layout."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rilievo.datasets.base import Request
from rilievo.datasets.files import Line, found_in, names_in, text_lines
from rilievo.errors import InputError, OptionError

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


_PARTS = ("val", "train", "")
_TRUTH = Path("proj_depth", "groundtruth")
_DATE = re.compile(r"\d{4}_\d\d_\d\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFiles:
    """Files of one image.

    Attributes:
        frame: The frame of KITTI raw; None where it is not known.
        day: Folder of KITTI raw that may have the calibration.
    """

    id: str
    image: Path
    depth: Path
    frame: KittiFrame | None = None
    day: Path | None = None


def listed_files(request: Request) -> list[DepthFiles]:
    """Files of the frames of a list, in its order, from any part of the download."""
    annotated, raw = _annotated_folder(request.root), _raw_folder(request.root)
    frames = listed_frames(request.root, request.split, request.list_file)
    names = cache(names_in)
    return [_files(frame, _depth_of(frame, annotated), raw, names) for frame in frames]


def annotated_files(request: Request) -> list[DepthFiles]:
    """Files of every depth map in the part that the split names, for both cameras."""
    if request.list_file is not None:
        return listed_files(request)
    part = _annotated_folder(request.root) / request.split
    raw = _raw_folder(request.root)
    drives = sorted(name for name in names_in(part) if DRIVE_NAME.fullmatch(name))
    if not drives:
        raise InputError(
            f"{part}: folders such as 2011_09_26_drive_0002_sync are expected here, found "
            f"{found_in(part)}"
        )
    names = cache(names_in)
    return [
        _files(KittiFrame(drive=drive, camera=camera, index=name[:-4]), folder / name, raw, names)
        for drive in drives
        for camera in CAMERAS.values()
        for folder in (part / drive / _TRUTH / camera,)
        for name in sorted(names_in(folder))
        if name.endswith(".png")
    ]


def paired_files(request: Request) -> list[DepthFiles]:
    """Files of pictures in ``rgb`` and depth maps of the same name in ``depth``."""
    if request.list_file is not None:
        raise OptionError(
            f"split '{request.split}' of kitti-depth takes no list file; "
            "eigen_benchmark, val and train do"
        )
    pictures, depths = request.root / "rgb", request.root / "depth"
    if not (pictures.is_dir() and depths.is_dir()):
        raise InputError(
            f"{request.root}: the folders rgb and depth are expected in it, found "
            f"{found_in(request.root)}"
        )
    images = {
        Path(name).stem: name
        for name in sorted(names_in(pictures))
        if name.endswith((".png", ".jpg"))
    }
    stems = set(images) | {name[:-4] for name in names_in(depths) if name.endswith(".png")}
    return [
        DepthFiles(
            id=stem,
            image=pictures / images.get(stem, f"{stem}.png"),
            depth=depths / f"{stem}.png",
        )
        for stem in sorted(stems)
    ]


def _annotated_folder(root: Path) -> Path:
    """Folder with ``train`` and ``val``, or with the drives themselves."""
    for folder in _root_and_below(root):
        for part in _PARTS:
            drives = (name for name in names_in(folder / part) if DRIVE_NAME.fullmatch(name))
            if any((folder / part / drive / "proj_depth").is_dir() for drive in drives):
                return folder
    raise InputError(
        f"{root}: has no annotated depth: data_depth_annotated with train and val is expected in "
        f"it, found {found_in(root)}; 'pairs' is another split"
    )


def _raw_folder(root: Path) -> Path:
    """Folder with the dates of KITTI raw."""
    for folder in _root_and_below(root):
        if any(_DATE.fullmatch(name) for name in names_in(folder)):
            return folder
    raise InputError(
        f"{root}: has no pictures: KITTI raw, folders such as "
        f"2011_09_26/2011_09_26_drive_0002_sync, is expected in it, found {found_in(root)}"
    )


def _root_and_below(root: Path) -> Iterator[Path]:
    yield root
    for name in sorted(names_in(root)):
        yield root / name


def _depth_of(frame: KittiFrame, annotated: Path) -> Path:
    """File of a frame's depth; if there is none, the expected file in ``val``."""
    below = Path(frame.drive) / _TRUTH / frame.camera / f"{frame.index}.png"
    places = [annotated / part / below for part in _PARTS]
    return next((path for path in places if path.is_file()), places[0])


def _files(frame: KittiFrame, depth: Path, raw: Path, names: Names) -> DepthFiles:
    image = picture_of(frame, raw, names)
    return DepthFiles(id=frame.id, image=image, depth=depth, frame=frame, day=raw / frame.date)
