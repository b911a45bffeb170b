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
from rilievo.io.files.names import natural_sort_key, printable, relative_printable
from rilievo.io.files.numbered import (
    find_numbered_files,
    is_numbered_pattern,
    name_of_numbered,
)
from rilievo.io.photographs.signatures import PHOTO_SUFFIXES, VIDEO_SUFFIXES, is_video
from rilievo.io.videos import open_video

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
        clip_id: Name of the clip.
        folder: Folder of the video, or the folder that holds the frames or their subfolder for
            colour.
        files: Frames; empty for a video.
        frame_numbers: Place of each frame in its sequence, where numbers that are missing leave
            places free.
        video: The video; None for a folder of frames.
    """

    clip_id: str
    folder: Path
    files: tuple[Path, ...] = ()
    frame_numbers: tuple[int, ...] = ()
    video: Path | None = None


def sequences(data: VideoData) -> list[Clip]:
    """List the clips of all roots, in natural order."""
    clips: list[Clip] = []
    for root_index, root in enumerate(map(Path, data.roots)):
        if not os.path.lexists(root) and not is_numbered_pattern(root):
            raise MissingFileError(f"{relative_printable(root)}: no such file or folder")
        footage = list(_find_footage(root, _folder_name(root), 0))
        if not footage:
            raise InputError(
                f"{relative_printable(root)}: contains neither photographs nor videos, found "
                f"{contents_text(root)}"
            )
        # Roots of the same name are told apart by a number.
        earlier_names = [_folder_name(Path(path)) for path in data.roots[:root_index]]
        repeats = earlier_names.count(_folder_name(root))
        id_suffix = f"~{repeats + 1}" if repeats else ""
        clips.extend(_clip_of_footage(item, data, id_suffix) for item in footage)
    return clips


def _folder_name(root: Path) -> str:
    if is_numbered_pattern(root):
        return name_of_numbered(root)
    return root.resolve().name or "frames"


def _find_footage(path: Path, clip_id: str, depth: int) -> Iterator[_Footage]:
    """Find the footage of a path: a video, the frames of a folder, or what its subfolders have.

    It may also be a numbered pattern, such as ``shot.%04d.png``.

    A folder with at most two photographs is searched for footage in its subfolders first, and its
    photographs are taken for frames only if there is none. ``depth`` is the number of folders
    between the user's folder and this one.
    """
    if path.is_file():
        if not is_video(path):
            raise InputError(
                f"{printable(path)}: is not a video; expected a video or a folder of frames"
            )
        yield _Footage(clip_id=clip_id, folder=path.parent, video=path)
        return
    if is_numbered_pattern(path):
        yield _numbered_footage(path, clip_id)
        return
    files = _frames_of_folder(path)
    nested: list[_Footage] = []
    if len(files) < MIN_PHOTOGRAPHS:
        names = sorted(_visible_names(path), key=natural_sort_key)
        nested = list(_find_footage_below(path, names, clip_id, depth))
    if nested:
        yield from nested
    elif files:
        numbers = tuple(range(len(files)))
        yield _Footage(clip_id=clip_id, folder=path, files=files, frame_numbers=numbers)


def _numbered_footage(pattern: Path, clip_id: str) -> _Footage:
    """Find the frames of a numbered pattern; raise ``InputError`` if it has none."""
    numbered = find_numbered_files(pattern)
    if not numbered.paths:
        raise InputError("no file matches this numbered pattern", path=relative_printable(pattern))
    return _Footage(
        clip_id=clip_id,
        folder=pattern.parent,
        files=numbered.paths,
        frame_numbers=numbered.places,
    )


def _frames_of_folder(folder: Path) -> tuple[Path, ...]:
    """Photographs in the first subfolder for colour that has any, or in the folder itself."""
    for name in _COLOUR_FOLDERS:
        files = _colour_photographs(folder / name)
        if files:
            return files
    return _colour_photographs(folder)


def _find_footage_below(
    path: Path, names: list[str], clip_id: str, depth: int
) -> Iterator[_Footage]:
    """Find the footage of the named entries of a folder, except in subfolders without colours."""
    for name in names:
        entry = path / name
        is_searched = depth < _MAX_FOLDER_DEPTH and not _NOT_COLOUR.search(name.lower())
        if is_searched and entry.is_dir():
            yield from _find_footage(entry, f"{clip_id}/{name}", depth + 1)
        elif entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file():
            yield _Footage(clip_id=f"{clip_id}/{name}", folder=path, video=entry)


def _visible_names(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if not name.startswith(".")]


def _colour_photographs(folder: Path) -> tuple[Path, ...]:
    """List the colour photographs of a folder; all photographs if no name looks like colour."""
    names = [name for name in _visible_names(folder) if Path(name).suffix.lower() in PHOTO_SUFFIXES]
    marked_names = [name for name in names if ".color." in name.lower()]
    colour_names = marked_names or [
        name for name in names if not _NOT_COLOUR.search(Path(name).stem.lower())
    ]
    return tuple(folder / name for name in sorted(colour_names or names, key=natural_sort_key))


def _clip_of_footage(footage: _Footage, data: VideoData, id_suffix: str) -> Clip:
    """Describe a clip, with the calibration and the poses that lie beside its frames."""
    if footage.video is not None:
        return _clip_of_video(footage, footage.video, data, id_suffix)
    photo = first_photo(footage.files, footage.folder)
    calibration = _calibration_beside_frames(footage)
    folders = (footage.folder, footage.files[0].parent)
    return Clip(
        id=footage.clip_id + id_suffix,
        files=footage.files,
        frame_numbers=footage.frame_numbers,
        shape=photo.shape,
        camera=choose_camera(
            data, photo.shape, footage.clip_id, file_calibration=calibration, exif=photo.camera
        ),
        poses=sequence_poses(data.poses, folders, footage.files),
        stride=data.stride,
    )


def _clip_of_video(footage: _Footage, video: Path, data: VideoData, id_suffix: str) -> Clip:
    """Describe the clip of a video, whose frames are not counted yet."""
    reader = open_video(video)
    calibration = _calibration_beside_video(video)
    poses_file = None
    if data.poses is not None:
        # AUTO asks for the file beside the video.
        poses_file = video.with_suffix(".txt") if data.poses == AUTO else Path(data.poses)
    return Clip(
        id=footage.clip_id + id_suffix,
        video=video,
        shape=reader.size,
        camera=choose_camera(data, reader.size, footage.clip_id, file_calibration=calibration),
        poses_file=poses_file,
        stride=data.stride,
    )


def _calibration_beside_video(video: Path) -> FrameCalibration | None:
    for suffix in (".yaml", ".yml", ".json", ".xml", ".npz"):
        if video.with_suffix(suffix).is_file():
            return read_calibration(video.with_suffix(suffix))
    return None


def _calibration_beside_frames(footage: _Footage) -> FrameCalibration | None:
    """Read the first camera file beside the frames, or recognise a room of TUM RGB-D."""
    for folder in dict.fromkeys((footage.folder, footage.files[0].parent)):
        for name in _CAMERA_FILES:
            if (folder / name).is_file():
                return read_calibration(folder / name)
    if (footage.folder / "rgb.txt").is_file():
        camera = room_camera(footage.folder)
        if camera.source is CameraSource.GIVEN:
            return FrameCalibration(K=camera.K, shape=(480, 640))
    return None
