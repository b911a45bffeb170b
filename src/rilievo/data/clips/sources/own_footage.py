"""Videos, folders of frames, and folders of these."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.pose_files import AUTO, sequence_poses
from rilievo.data.clips.sequence_camera import FrameCalibration, choose_camera, read_calibration
from rilievo.data.clips.sequences import Clip, first_photo
from rilievo.data.datasets.sets.tum import room_camera
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError, MissingFileError
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.io.files.names import printable, relative_printable
from rilievo.io.photographs.signatures import PHOTO_SUFFIXES, VIDEO_SUFFIXES, is_video
from rilievo.io.videos import open_video
from rilievo.io.videos.frame_folder import natural_sort_key

_COLOUR_FOLDERS = ("rgb", "images", "image", "color", "colour", "frames", "image_02", "image_2")
_NOT_COLOUR = re.compile(
    r"(?:^|[._\- ])(?:depth|disp|disparity|normals?|masks?|labels?|seg|semantic|confidence|conf|"
    r"flow|ir|infrared)(?:$|[._\- \d])"
)
_CAMERA_FILES = (
    *("intrinsics.txt", "camera-intrinsics.txt", "intrinsics.yaml", "intrinsics.json"),
    *("camera.yaml", "camera.yml", "camera.json", "calibration.yaml", "camera_info.yaml"),
    *("camera.txt", "camera.xml", "camera.npz", "calibration.yml", "calibration.json"),
    *("calibration.xml", "calibration.npz", "transforms.json", "cameras.txt", "cameras.bin"),
)
_MAX_FOLDER_DEPTH = 6
MIN_PHOTOGRAPHS = 3
"""Photographs that make a folder a clip, whose subfolders are then not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Footage:
    """A video, or the frames of a folder.

    Attributes:
        id: Name of the clip.
        folder: Folder of the video, or of the frames. Frames may lie in a subfolder for colour.
        files: Frames; none for a video.
        video: The video; None for a folder of frames.
    """

    id: str
    folder: Path
    files: tuple[Path, ...] = ()
    video: Path | None = None


def sequences(data: VideoData) -> list[Clip]:
    """List the sequences of all roots, in natural order."""
    clips: list[Clip] = []
    for number, root in enumerate(map(Path, data.roots)):
        if not os.path.lexists(root):
            raise MissingFileError(f"{relative_printable(root)}: no such file or folder")
        footage = list(_find_footage(root, _folder_name(root), 0))
        if not footage:
            raise InputError(
                f"{relative_printable(root)}: has neither photographs nor videos, "
                f"found {contents_text(root)}"
            )
        # Roots of the same name are told apart by a number.
        names_before = [_folder_name(Path(path)) for path in data.roots[:number]]
        repeats = names_before.count(_folder_name(root))
        suffix = f"~{repeats + 1}" if repeats else ""
        clips.extend(_clip_of_footage(item, data, suffix) for item in footage)
    return clips


def _folder_name(root: Path) -> str:
    return root.resolve().name or "frames"


def _find_footage(path: Path, id: str, depth: int) -> Iterator[_Footage]:
    """Find the footage of a path: a video, the frames of a folder, or what its subfolders have.

    A folder with fewer than three photographs is taken for one around footage, and its photographs
    for frames only if its subfolders have none.

    Args:
        path: Video or folder.
        id: Name of the clip.
        depth: Number of folders between the user's folder and this one.
    """
    if path.is_file():
        if not is_video(path):
            raise InputError(f"{printable(path)}: is no video; a video or a folder is expected")
        yield _Footage(id=id, folder=path.parent, video=path)
        return
    files = _frames_of_folder(path)
    nested: list[_Footage] = []
    if len(files) < MIN_PHOTOGRAPHS:
        names = sorted(_visible_names(path), key=natural_sort_key)
        nested = list(_find_footage_below(path, names, id, depth))
    if nested:
        yield from nested
    elif files:
        yield _Footage(id=id, folder=path, files=files)


def _frames_of_folder(folder: Path) -> tuple[Path, ...]:
    """Photographs in the first subfolder for colour that has any, or else in the folder itself."""
    for name in _COLOUR_FOLDERS:
        files = _colour_photographs(folder / name)
        if files:
            return files
    return _colour_photographs(folder)


def _find_footage_below(path: Path, names: list[str], id: str, depth: int) -> Iterator[_Footage]:
    for name in names:
        below = path / name
        if below.is_dir() and depth < _MAX_FOLDER_DEPTH and not _NOT_COLOUR.search(name.lower()):
            yield from _find_footage(below, f"{id}/{name}", depth + 1)
        elif below.suffix.lower() in VIDEO_SUFFIXES and below.is_file():
            yield _Footage(id=f"{id}/{name}", folder=path, video=below)


def _visible_names(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if not name.startswith(".")]


def _colour_photographs(folder: Path) -> tuple[Path, ...]:
    names = [name for name in _visible_names(folder) if Path(name).suffix.lower() in PHOTO_SUFFIXES]
    colours = [name for name in names if ".color." in name.lower()]
    frames = colours or [name for name in names if not _NOT_COLOUR.search(Path(name).stem.lower())]
    return tuple(folder / name for name in sorted(frames or names, key=natural_sort_key))


def _clip_of_footage(footage: _Footage, data: VideoData, suffix: str) -> Clip:
    if footage.video is not None:
        return _clip_of_video(footage, footage.video, data, suffix)
    photo = first_photo(footage.files, footage.folder)
    calibration = _calibration_beside_frames(footage)
    folders = (footage.folder, footage.files[0].parent)
    return Clip(
        id=footage.id + suffix,
        files=footage.files,
        numbers=tuple(range(len(footage.files))),
        shape=photo.shape,
        camera=choose_camera(data, photo.shape, footage.id, beside=calibration, exif=photo.camera),
        poses=sequence_poses(data.poses, folders, footage.files),
        stride=data.stride,
    )


def _clip_of_video(footage: _Footage, video: Path, data: VideoData, suffix: str) -> Clip:
    reader = open_video(video)
    calibration = _calibration_beside_video(video)
    poses_file = None
    if data.poses is not None:
        poses_file = video.with_suffix(".txt") if data.poses == AUTO else Path(data.poses)
    return Clip(
        id=footage.id + suffix,
        video=video,
        shape=reader.size,
        camera=choose_camera(data, reader.size, footage.id, beside=calibration),
        poses_file=poses_file,
        stride=data.stride,
    )


def _calibration_beside_video(video: Path) -> FrameCalibration | None:
    for suffix in (".yaml", ".yml", ".json", ".xml", ".npz"):
        if video.with_suffix(suffix).is_file():
            return read_calibration(video.with_suffix(suffix))
    return None


def _calibration_beside_frames(footage: _Footage) -> FrameCalibration | None:
    """Calibration of a file beside the frames, or of a room of TUM RGB-D."""
    for folder in dict.fromkeys((footage.folder, footage.files[0].parent)):
        for name in _CAMERA_FILES:
            if (folder / name).is_file():
                return read_calibration(folder / name)
    if (footage.folder / "rgb.txt").is_file():
        camera = room_camera(footage.folder)
        if camera.source is CameraSource.GIVEN:
            return FrameCalibration(K=camera.K, shape=(480, 640))
    return None
