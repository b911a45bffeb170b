"""KITTI's annotated depth: eleven accumulated scans (Uhrig et al., 3DV 2017)."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

from rilievo.data.datasets.dataset import Request, checked_ids, own_card
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, read_steps
from rilievo.data.datasets.sets.kitti_raw import (
    CAMERA_FILE,
    CAMERAS,
    DRIVE_NAME,
    KittiFrame,
    Names,
    camera_of_shape,
    listed_frames,
    picture_path,
    read_camera,
)
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import Camera

_READ = partial(read_steps, steps=256)
_PARTS = ("val", "train", "")
_TRUTH = Path("proj_depth", "groundtruth")
_DATE = re.compile(r"\d{4}_\d\d_\d\d")


Pairs = list[tuple[str, DepthFiles]]


def listed_files(request: Request) -> Pairs:
    """Files of a list, from any part of the download."""
    annotated, raw = annotated_folder(request.root), raw_folder(request.root)
    frames = listed_frames(request, KittiDepth.card.counts)
    names = cache(names_in)
    return [
        _id_and_files_of_frame(frame, _depth_path(frame, annotated), raw, names) for frame in frames
    ]


def annotated_files(request: Request) -> Pairs:
    """Files of every map of the split, for both cameras."""
    if request.list_file is not None:
        return listed_files(request)
    part = annotated_folder(request.root) / request.split
    raw = raw_folder(request.root)
    drives = sorted(name for name in names_in(part) if DRIVE_NAME.fullmatch(name))
    if not drives:
        raise InputError(
            f"{part}: folders such as 2011_09_26_drive_0002_sync are expected here, found "
            f"{contents_text(part)}"
        )
    names = cache(names_in)
    return [
        _id_and_files_of_frame(
            KittiFrame(drive=drive, camera=camera, index=name[:-4]), folder / name, raw, names
        )
        for drive in drives
        for camera in CAMERAS.values()
        for folder in (part / drive / _TRUTH / camera,)
        for name in sorted(names_in(folder))
        if name.endswith(".png")
    ]


def paired_files(request: Request) -> Pairs:
    """Files of ``rgb`` and ``depth`` with equal names."""
    if request.list_file is not None:
        raise OptionError(
            f"split '{request.split}' of kitti-depth takes no list file; "
            "eigen_benchmark, val and train do"
        )
    pictures, depths = request.root / "rgb", request.root / "depth"
    if not (pictures.is_dir() and depths.is_dir()):
        raise InputError(
            f"{request.root}: the folders rgb and depth are expected in it, found "
            f"{contents_text(request.root)}"
        )
    images = {
        Path(name).stem: name
        for name in sorted(names_in(pictures))
        if name.endswith((".png", ".jpg"))
    }
    stems = set(images) | {name[:-4] for name in names_in(depths) if name.endswith(".png")}
    return [
        _id_and_files_of_paths(
            stem,
            pictures / images.get(stem, f"{stem}.png"),
            depths / f"{stem}.png",
            camera_of_shape,
        )
        for stem in sorted(stems)
    ]


def annotated_folder(root: Path) -> Path:
    """Folder with ``train`` and ``val``, or drives."""
    for folder in _root_and_subfolders(root):
        for part in _PARTS:
            drives = (name for name in names_in(folder / part) if DRIVE_NAME.fullmatch(name))
            if any((folder / part / drive / "proj_depth").is_dir() for drive in drives):
                return folder
    raise InputError(
        f"{root}: has no annotated depth: data_depth_annotated with train and val is expected in "
        f"it, found {contents_text(root)}; 'pairs' is another split"
    )


def raw_folder(root: Path) -> Path:
    """Folder with the dates of KITTI raw."""
    for folder in _root_and_subfolders(root):
        if any(_DATE.fullmatch(name) for name in names_in(folder)):
            return folder
    raise InputError(
        f"{root}: has no pictures: KITTI raw, folders such as "
        f"2011_09_26/2011_09_26_drive_0002_sync, is expected in it, found {contents_text(root)}"
    )


def _root_and_subfolders(root: Path) -> Iterator[Path]:
    yield root
    for name in sorted(names_in(root)):
        yield root / name


def _depth_path(frame: KittiFrame, annotated: Path) -> Path:
    below = Path(frame.drive) / _TRUTH / frame.camera / f"{frame.index}.png"
    places = [annotated / part / below for part in _PARTS]
    return next((path for path in places if path.is_file()), places[0])


def _id_and_files_of_frame(
    frame: KittiFrame, depth: Path, raw: Path, names: Names
) -> tuple[str, DepthFiles]:
    camera = partial(_camera_of_day_or_shape, day=raw / frame.date, side=frame.camera)
    return _id_and_files_of_paths(frame.id, picture_path(frame, raw, names), depth, camera)


def _id_and_files_of_paths(
    id: str, image: Path, depth: Path, camera: Callable[[tuple[int, int]], Camera | None]
) -> tuple[str, DepthFiles]:
    drive = DRIVE_NAME.search(id)
    scene = None if drive is None else drive[0]
    return id, DepthFiles(image=image, depth=depth, read=_READ, camera=camera, scene=scene)


# A new split needs one function above and one line here.
_SPLITS: Mapping[str, Callable[[Request], Pairs]] = {
    "eigen_benchmark": listed_files,
    "val": annotated_files,
    "train": annotated_files,
    "pairs": paired_files,
}


class KittiDepth(DepthSet):
    """Annotated depth; older papers score with scans of ``kitti_raw``."""

    card = own_card("kitti-depth")

    def __init__(self, request: Request) -> None:
        self.request = request
        files = _SPLITS[request.split](request)
        checked_ids([id for id, _ in files], str(request.list_file or request.root))
        self._set_entries(dict(files))


def camera_of_day(day: Path, side: str) -> Camera | None:
    """Camera of a date, if calibrated."""
    return read_camera(day, side).camera if (day / CAMERA_FILE).is_file() else None


def _camera_of_day_or_shape(shape: tuple[int, int], *, day: Path, side: str) -> Camera | None:
    return camera_of_day(day, side) or camera_of_shape(shape)
