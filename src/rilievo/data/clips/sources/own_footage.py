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
_OTHER = re.compile(
    r"(?:^|[._\- ])(?:depth|disp|disparity|normals?|masks?|labels?|seg|semantic|confidence|conf|"
    r"flow|ir|infrared)(?:$|[._\- \d])"
)
_CAMERA_FILES = (
    *("intrinsics.txt", "camera-intrinsics.txt", "intrinsics.yaml", "intrinsics.json"),
    *("camera.yaml", "camera.yml", "camera.json", "calibration.yaml", "camera_info.yaml"),
    *("camera.txt", "camera.xml", "camera.npz", "calibration.yml", "calibration.json"),
    *("calibration.xml", "calibration.npz", "transforms.json", "cameras.txt", "cameras.bin"),
)
_DEEPEST = 6
FEWEST = 3
"""Photographs that make a folder a clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FootagePlace:
    id: str
    home: Path
    files: tuple[Path, ...] = ()
    video: Path | None = None


def sequences(data: VideoData) -> list[Clip]:
    """List the sequences of all roots, in natural order."""
    clips: list[Clip] = []
    for number, root in enumerate(map(Path, data.roots)):
        if not os.path.lexists(root):
            raise MissingFileError(f"{relative_printable(root)}: no such file or folder")
        places = list(_find_footage(root, _folder_name(root), 0))
        if not places:
            raise InputError(
                f"{relative_printable(root)}: has neither photographs nor videos, "
                f"found {contents_text(root)}"
            )
        repeats = sum(
            _folder_name(Path(path)) == _folder_name(root) for path in data.roots[:number]
        )
        mark = f"~{repeats + 1}" if repeats else ""
        clips.extend(_clip_of_place(place, data, mark) for place in places)
    return clips


def _folder_name(root: Path) -> str:
    return root.resolve().name or "frames"


def _find_footage(path: Path, id: str, depth: int) -> Iterator[_FootagePlace]:
    if path.is_file():
        if not is_video(path):
            raise InputError(f"{printable(path)}: is no video; a video or a folder is expected")
        yield _FootagePlace(id=id, home=path.parent, video=path)
        return
    names = sorted(_visible_names(path), key=natural_sort_key)
    colour = next(
        (folder for folder in _COLOUR_FOLDERS if _colour_photographs(path / folder)), None
    )
    files = _colour_photographs(path / colour) if colour else _colour_photographs(path)
    inside = [] if len(files) >= FEWEST else list(_find_footage_below(path, names, id, depth))
    if inside:
        yield from inside
    elif files:
        yield _FootagePlace(id=id, home=path, files=files)


def _find_footage_below(
    path: Path, names: list[str], id: str, depth: int
) -> Iterator[_FootagePlace]:
    for name in names:
        below = path / name
        if below.is_dir() and depth < _DEEPEST and not _OTHER.search(name.lower()):
            yield from _find_footage(below, f"{id}/{name}", depth + 1)
        elif below.suffix.lower() in VIDEO_SUFFIXES and below.is_file():
            yield _FootagePlace(id=f"{id}/{name}", home=path, video=below)


def _visible_names(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if not name.startswith(".")]


def _colour_photographs(folder: Path) -> tuple[Path, ...]:
    names = [name for name in _visible_names(folder) if Path(name).suffix.lower() in PHOTO_SUFFIXES]
    colours = [name for name in names if ".color." in name.lower()]
    frames = colours or [name for name in names if not _OTHER.search(Path(name).stem.lower())]
    return tuple(folder / name for name in sorted(frames or names, key=natural_sort_key))


def _clip_of_place(place: _FootagePlace, data: VideoData, mark: str) -> Clip:
    if place.video is not None:
        return _clip_of_video(place, place.video, data, mark)
    photo = first_photo(place.files, place.home)
    return Clip(
        id=place.id + mark,
        files=place.files,
        numbers=tuple(range(len(place.files))),
        shape=photo.shape,
        camera=choose_camera(
            data, photo.shape, place.id, beside=_calibration_beside_frames(place), exif=photo.camera
        ),
        poses=sequence_poses(data.poses, (place.home, place.files[0].parent), place.files),
        stride=data.stride,
    )


def _clip_of_video(place: _FootagePlace, video: Path, data: VideoData, mark: str) -> Clip:
    reader = open_video(video)
    beside = video.with_suffix(".txt")
    poses = None
    if data.poses is not None:
        poses = beside if data.poses == AUTO else Path(data.poses)
    return Clip(
        id=place.id + mark,
        video=video,
        shape=reader.size,
        camera=choose_camera(data, reader.size, place.id, beside=_calibration_beside_video(video)),
        poses_file=poses,
        stride=data.stride,
    )


def _calibration_beside_video(video: Path) -> FrameCalibration | None:
    for suffix in (".yaml", ".yml", ".json", ".xml", ".npz"):
        if video.with_suffix(suffix).is_file():
            return read_calibration(video.with_suffix(suffix))
    return None


def _calibration_beside_frames(place: _FootagePlace) -> FrameCalibration | None:
    for folder in dict.fromkeys((place.home, place.files[0].parent)):
        for name in _CAMERA_FILES:
            if (folder / name).is_file():
                return read_calibration(folder / name)
    if (place.home / "rgb.txt").is_file():
        camera = room_camera(place.home)
        if camera.source is CameraSource.GIVEN:
            return FrameCalibration(K=camera.K, shape=(480, 640))
    return None
