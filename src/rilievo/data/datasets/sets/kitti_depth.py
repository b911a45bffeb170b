"""KITTI's annotated depth: eleven accumulated scans (Uhrig et al., 3DV 2017)."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

from rilievo.data.datasets.dataset import DatasetCard, Request, checked_ids
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

_CARD = DatasetCard(
    name="kitti-depth",
    title="KITTI depth prediction and completion (Uhrig et al. 2017)",
    summary="roads and towns from a car; depth from eleven merged laser scans, to 85 m",
    homepage="https://www.cvlibs.net/datasets/kitti/eval_depth.php?benchmark=depth_prediction",
    licence="CC-BY-NC-SA-3.0",
    commercial=False,
    gigabytes=14.0,
    layout="""\
data_depth_annotated/                      (or its train/ and val/ right here)
  val/2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000005.png
                                           uint16, metres * 256, 0 unknown; image_03 likewise
raw/2011_09_26/...                         KITTI raw, for the pictures and calib_cam_to_cam.txt
                                           (under any name, or its dates right here)
splits/eigen_benchmark/test_files.txt      the list of 'eigen_benchmark' (from Monodepth2's
                                           repository); also eigen_test_files_with_gt.txt, or
                                           your own list file
rgb/NAME.png, depth/NAME.png               split 'pairs': the same name in both, as in demos""",
    splits=("eigen_benchmark", "val", "train", "pairs"),
    counts={"eigen_benchmark": 652, "val": 6852, "train": 85898},
    caveats=(
        "Depth covers 15 to 20 % of the pixels, and none in the upper third.",
        (
            "A stereo check removed moving objects and pixels near edges, so difficult pixels "
            "have no ground truth."
        ),
        "Eigen's test frames are in both train and val of this download.",
        (
            "Intrinsics come from calib_cam_to_cam.txt. Without this file, they come from the "
            "date with images of the same size, and are unknown for cropped images."
        ),
    ),
)

STEPS_PER_METRE = 256.0
"""Stored numbers in a metre of depth."""
_PARTS = ("val", "train", "")
"""Subfolders of the annotated depth that contain drives; "" if the drives lie in it directly."""
_DEPTH_FOLDER = Path("proj_depth", "groundtruth")  # in the folder of a drive
_DATE = re.compile(r"\d{4}_\d\d_\d\d")

IdAndFiles = tuple[str, DepthFiles]


class KittiDepth(DepthSet):
    """Pictures of KITTI with annotated depth; older papers score with scans of ``kitti_raw``."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        files = _SPLITS[request.split](request)
        checked_ids([image_id for image_id, _ in files], str(request.list_file or request.root))
        self._set_images(dict(files))


def _files_of_list(request: Request) -> list[IdAndFiles]:
    """Find the files of the frames in a list, in any part of the download."""
    annotated, raw = annotated_folder(request.root), raw_folder(request.root)
    frames = listed_frames(request, KittiDepth.card.counts)
    cached_names_in = cache(names_in)
    return [
        _files_of_frame(frame, _depth_path(frame, annotated), raw, cached_names_in)
        for frame in frames
    ]


def _files_of_part(request: Request) -> list[IdAndFiles]:
    """List every depth map of ``train`` or ``val``, for both cameras, with its picture."""
    if request.list_file is not None:
        return _files_of_list(request)
    part = annotated_folder(request.root) / request.split
    raw = raw_folder(request.root)
    drives = sorted(name for name in names_in(part) if DRIVE_NAME.fullmatch(name))
    if not drives:
        raise InputError(
            f"{part}: expected folders such as 2011_09_26_drive_0002_sync, found "
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
    """Pair the files of the folders ``rgb`` and ``depth`` by their names."""
    if request.list_file is not None:
        raise OptionError(
            f"the split '{request.split}' of kitti-depth does not accept a list file; only "
            "eigen_benchmark, val and train do"
        )
    pictures, depths = request.root / "rgb", request.root / "depth"
    if not (pictures.is_dir() and depths.is_dir()):
        raise InputError(
            f"{request.root}: expected the folders rgb and depth, found "
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
    """Find the folder of annotated depth: the root or a folder in it.

    It contains ``train`` and ``val``, or the drives themselves.
    """
    for folder in _root_and_subfolders(root):
        for part in _PARTS:
            drives = (name for name in names_in(folder / part) if DRIVE_NAME.fullmatch(name))
            if any((folder / part / drive / "proj_depth").is_dir() for drive in drives):
                return folder
    raise InputError(
        f"{root}: has no annotated depth: expected data_depth_annotated with train and val, found "
        f"{contents_text(root)}; if you have the folders rgb and depth, choose the split 'pairs'"
    )


def raw_folder(root: Path) -> Path:
    """Find the folder with the dates of KITTI raw: the root or a folder in it."""
    for folder in _root_and_subfolders(root):
        if any(_DATE.fullmatch(name) for name in names_in(folder)):
            return folder
    raise InputError(
        f"{root}: has no images: expected the folders of KITTI raw, such as "
        f"2011_09_26/2011_09_26_drive_0002_sync, found {contents_text(root)}"
    )


def _root_and_subfolders(root: Path) -> Iterator[Path]:
    yield root
    for name in sorted(names_in(root)):
        yield root / name


def _depth_path(frame: KittiFrame, annotated: Path) -> Path:
    """Path of a frame's depth in the part that has it, or in ``val`` if no part has it."""
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
    image_id: str, image: Path, depth: Path, camera: Callable[[tuple[int, int]], Camera | None]
) -> IdAndFiles:
    drive = DRIVE_NAME.search(image_id)
    return image_id, DepthFiles(
        image=image,
        depth=depth,
        read_depth=partial(read_steps, steps=STEPS_PER_METRE),
        camera=camera,
        scene=None if drive is None else drive[0],
    )


def camera_of_day(day: Path, camera: str) -> Camera | None:
    """Calibrated camera in the folder of a date; None if it has no calibration."""
    return read_camera(day, camera).camera if (day / CAMERA_FILE).is_file() else None


def _camera_of_day_or_shape(shape: tuple[int, int], *, day: Path, camera: str) -> Camera | None:
    return camera_of_day(day, camera) or camera_of_shape(shape)
