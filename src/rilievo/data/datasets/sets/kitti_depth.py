"""KITTI's annotated depth: eleven accumulated scans (Uhrig et al., 3DV 2017)."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

from rilievo.data.datasets.dataset import Request, checked_ids, own_card
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, read_steps
from rilievo.data.datasets.sets.kitti_calibration import CAMERA_FILE, camera_of_shape, read_camera
from rilievo.data.datasets.sets.kitti_raw import (
    CAMERAS,
    DRIVE_NAME,
    KittiFrame,
    NamesInFolder,
    listed_frames,
    picture_path,
)
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import Camera

STEPS_PER_METRE = 256.0
"""Stored numbers of a metre of depth."""
_PARTS = ("val", "train", "")
"""Folders of the annotated depth that have drives; "" for a folder that has drives itself."""
_DEPTH_FOLDER = Path("proj_depth", "groundtruth")  # in the folder of a drive
_DATE = re.compile(r"\d{4}_\d\d_\d\d")

IdAndFiles = tuple[str, DepthFiles]


class KittiDepth(DepthSet):
    """Pictures of KITTI with annotated depth; older papers score with scans of ``kitti_raw``."""

    card = own_card("kitti-depth")

    def __init__(self, request: Request) -> None:
        self.request = request
        files = _SPLITS[request.split](request)
        checked_ids([id for id, _ in files], str(request.list_file or request.root))
        self._set_entries(dict(files))


def _files_of_list(request: Request) -> list[IdAndFiles]:
    """Files of the frames in a list, from any part of the download."""
    annotated, raw = annotated_folder(request.root), raw_folder(request.root)
    frames = listed_frames(request, KittiDepth.card.counts)
    cached_names_in = cache(names_in)
    return [
        _files_of_frame(frame, _depth_path(frame, annotated), raw, cached_names_in)
        for frame in frames
    ]


def _files_of_part(request: Request) -> list[IdAndFiles]:
    """Files of every depth map of ``train`` or ``val``, for both cameras."""
    if request.list_file is not None:
        return _files_of_list(request)
    part = annotated_folder(request.root) / request.split
    raw = raw_folder(request.root)
    drives = sorted(name for name in names_in(part) if DRIVE_NAME.fullmatch(name))
    if not drives:
        raise InputError(
            f"{part}: folders such as 2011_09_26_drive_0002_sync are expected here, found "
            f"{contents_text(part)}"
        )
    cached_names_in = cache(names_in)
    files: list[IdAndFiles] = []
    for drive in drives:
        for camera in CAMERAS.values():
            folder = part / drive / _DEPTH_FOLDER / camera
            for name in sorted(names_in(folder)):
                if name.endswith(".png"):
                    frame = KittiFrame(drive=drive, camera=camera, index=name[:-4])
                    files.append(_files_of_frame(frame, folder / name, raw, cached_names_in))
    return files


def _files_of_equal_names(request: Request) -> list[IdAndFiles]:
    """Files of the folders ``rgb`` and ``depth`` that have equal names."""
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
    depth_stems = {name[:-4] for name in names_in(depths) if name.endswith(".png")}
    files: list[IdAndFiles] = []
    for stem in sorted(images.keys() | depth_stems):
        image = pictures / images.get(stem, f"{stem}.png")
        files.append(_files_of_paths(stem, image, depths / f"{stem}.png", camera_of_shape))
    return files


# A new split needs a function above and a row here.
_SPLITS: Mapping[str, Callable[[Request], list[IdAndFiles]]] = {
    "eigen_benchmark": _files_of_list,
    "val": _files_of_part,
    "train": _files_of_part,
    "pairs": _files_of_equal_names,
}


def annotated_folder(root: Path) -> Path:
    """Folder of annotated depth, with ``train`` and ``val`` or with drives: the root or below."""
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
    """Folder with the dates of KITTI raw: the root or one below it."""
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
    """File of a frame's depth, in whichever part has it; a path in ``val`` if none has."""
    relative = Path(frame.drive) / _DEPTH_FOLDER / frame.camera / f"{frame.index}.png"
    candidates = [annotated / part / relative for part in _PARTS]
    return next((path for path in candidates if path.is_file()), candidates[0])


def _files_of_frame(
    frame: KittiFrame, depth: Path, raw: Path, names_in_folder: NamesInFolder
) -> IdAndFiles:
    image = picture_path(frame, raw, names_in_folder)
    camera = partial(_camera_of_day_or_shape, day=raw / frame.date, camera=frame.camera)
    return _files_of_paths(frame.id, image, depth, camera)


def _files_of_paths(
    id: str, image: Path, depth: Path, camera: Callable[[tuple[int, int]], Camera | None]
) -> IdAndFiles:
    drive = DRIVE_NAME.search(id)
    return id, DepthFiles(
        image=image,
        depth=depth,
        read=partial(read_steps, steps=STEPS_PER_METRE),
        camera=camera,
        scene=None if drive is None else drive[0],
    )


def camera_of_day(day: Path, camera: str) -> Camera | None:
    """Calibrated camera in the folder of a date; None if it has no calibration."""
    return read_camera(day, camera).camera if (day / CAMERA_FILE).is_file() else None


def _camera_of_day_or_shape(shape: tuple[int, int], *, day: Path, camera: str) -> Camera | None:
    return camera_of_day(day, camera) or camera_of_shape(shape)
