"""KITTI's annotated depth: eleven accumulated laser scans, checked against stereo.

Uhrig, Schneider, Schneider, Franke, Brox and Geiger, "Sparsity Invariant CNNs", 3DV 2017.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from rilievo.data.datasets.base import Request, checked_ids, own_card
from rilievo.data.datasets.files import found_in, names_in, read_counts
from rilievo.data.datasets.photo_files import PhotoFiles
from rilievo.data.datasets.sets.kitti_calibration import CAMERA_FILE, camera_of_shape, read_camera
from rilievo.data.datasets.sets.kitti_frames import (
    CAMERAS,
    DRIVE_NAME,
    KittiFrame,
    Names,
    listed_frames,
    picture_of,
)
from rilievo.errors import InputError, OptionError
from rilievo.types import Camera, Truth

_STEPS_A_METRE = 256
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
    annotated, raw = annotated_folder(request.root), raw_folder(request.root)
    frames = listed_frames(request.root, request.split, request.list_file)
    names = cache(names_in)
    return [_files(frame, _depth_of(frame, annotated), raw, names) for frame in frames]


def annotated_files(request: Request) -> list[DepthFiles]:
    """Files of every depth map in the part that the split names, for both cameras."""
    if request.list_file is not None:
        return listed_files(request)
    part = annotated_folder(request.root) / request.split
    raw = raw_folder(request.root)
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


def annotated_folder(root: Path) -> Path:
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


def raw_folder(root: Path) -> Path:
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


# A new split needs one function above and one line here.
_SPLITS: Mapping[str, Callable[[Request], list[DepthFiles]]] = {
    "eigen_benchmark": listed_files,
    "val": annotated_files,
    "train": annotated_files,
    "pairs": paired_files,
}


class KittiDepth(PhotoFiles[DepthFiles]):
    """KITTI annotated depth; ``kitti_raw`` has the single scans that older papers score with."""

    card = own_card("kitti-depth")

    def __init__(self, request: Request) -> None:
        self.request = request
        files = _SPLITS[request.split](request)
        where = str(request.list_file or request.root)
        checked_ids([each.id for each in files], where)
        self._keep(
            {each.id: each for each in files},
            lambda each: (each.image, each.depth),
        )

    def truth(self, id: str) -> Truth:
        """Annotated depth, and the camera where it is known."""
        files = self._entry(id)
        stored = read_counts(files.depth)
        height, width = stored.shape
        return Truth(
            id=id,
            depth=stored.astype(np.float32) / _STEPS_A_METRE,
            depth_valid=stored > 0,
            camera=_camera(files, (height, width)),
            scene=drive[0] if (drive := DRIVE_NAME.search(id)) else None,
        )


def _camera(files: DepthFiles, shape: tuple[int, int]) -> Camera | None:
    if files.frame is not None and files.day is not None and (files.day / CAMERA_FILE).is_file():
        return read_camera(files.day, files.frame.camera).camera
    return camera_of_shape(shape)
