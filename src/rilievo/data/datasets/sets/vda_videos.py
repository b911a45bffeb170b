"""Videos of Sintel, KITTI, Bonn and ScanNet with the frames of Video Depth Anything (CVPR 2025).

Sources: Butler et al., ECCV 2012; Palazzolo et al., IROS 2019; Dai et al., CVPR 2017, as SensReader
exports it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np

from rilievo.arrays.shapes import Field, Pixels, Transform, UInt8
from rilievo.data.datasets.dataset import Absent, Request, own_card
from rilievo.data.datasets.loaders import (
    DepthFiles,
    DepthSet,
    MaskedValues,
    masked_metres,
    read_if_present,
    read_steps,
)
from rilievo.data.datasets.sets.kitti_depth import annotated_folder, camera_of_day, raw_folder
from rilievo.data.datasets.sets.kitti_raw import CAMERAS, KittiFrame, picture_path
from rilievo.data.datasets.sets.tum import associate
from rilievo.data.datasets.text_files import contents_text, names_in, parse_numbers, text_lines
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.transforms import invert, rigid
from rilievo.io.cameras.lens_checks import camera_from_K
from rilievo.io.files.limits import check_regular, check_size, is_whole, read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.records.sample import Truth

USUAL = "default"  # that of papers
_LEVELS = 2

Frames: TypeAlias = Iterator[tuple[str, DepthFiles]]
Videos: TypeAlias = Callable[[str, slice], Frames]


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One set; ``open`` finds its parts."""

    videos: tuple[str, ...]
    open: Callable[[Path, str], Videos]
    variants: tuple[str, ...] = ()


def downloaded_frames(
    download: Download, root: Path, variant: str, taken: slice
) -> tuple[dict[str, DepthFiles], tuple[Absent, ...]]:
    """Frames by id, and missing videos, of a download."""
    variants = (USUAL, *download.variants)
    if variant not in variants:
        raise OptionError(f"these videos have no variant '{variant}', but {', '.join(variants)}")
    frames_of = download.open(root, variant)
    all_frames: dict[str, DepthFiles] = {}
    absent: list[Absent] = []
    for video in download.videos:
        frames = dict(frames_of(video, taken))
        all_frames |= frames
        if not frames:
            reason = f"the download in {printable(root)} has no frames of this video"
            absent.append(Absent(id=video, reason=reason))
    return all_frames, tuple(absent)


def folder_below(root: Path, expected: str, is_it: Callable[[Path], bool]) -> Path:
    """First folder, up to two levels deep, that holds a part."""
    for folder in _folders_by_level(root):
        if is_it(folder):
            return folder
    raise InputError(f"{printable(root)}: expected {expected}, found {contents_text(root)}")


def folder_of_videos(root: Path, videos: Sequence[str], expected: str) -> Path:
    """First folder that holds any of the videos."""
    return folder_below(root, expected, lambda folder: not names_in(folder).isdisjoint(videos))


def sorted_stems(folder: Path, suffix: str) -> list[str]:
    """Names without their suffix."""
    return sorted(name[: -len(suffix)] for name in names_in(folder) if name.endswith(suffix))


def _folders_by_level(root: Path) -> Iterator[Path]:
    level = [root]
    yield root
    for _ in range(_LEVELS):
        level = [
            folder / name
            for folder in level
            for name in sorted(names_in(folder))
            if (folder / name).is_dir()
        ]
        yield from level


_LEFT = CAMERAS["l"]
_STEPS_A_METRE = 256.0


def crop_to_even_sides(image: Pixels) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Drop an odd last row or column."""
    height, width = image.shape[:2]
    return image[: height - height % 2, : width - width % 2]


def _kitti_frame_lister(root: Path, _: str) -> Videos:
    annotated, raw, names = annotated_folder(root), raw_folder(root), cache(names_in)

    def frames_of_video(video: str, taken: slice) -> Frames:
        parts = (annotated / part / video / "proj_depth" for part in ("val", "train", ""))
        there = next((part for part in parts if part.is_dir()), annotated / video)
        depths = there / "groundtruth" / _LEFT
        for stem in sorted_stems(depths, ".png")[taken]:
            frame = KittiFrame(drive=video, camera=_LEFT, index=stem)
            files = DepthFiles(
                image=picture_path(frame, raw, names),
                depth=depths / f"{stem}.png",
                scene=video,
                read=partial(read_steps, steps=_STEPS_A_METRE),
                camera=partial(_left_camera_of_day, day=raw / frame.date),
                cut=crop_to_even_sides,
            )
            yield f"{video}/rgb/{stem}", files

    return frames_of_video


def _left_camera_of_day(_: tuple[int, int], *, day: Path) -> Camera | None:
    return camera_of_day(day, _LEFT)


KITTI = Download(
    videos=(
        "2011_09_26_drive_0002_sync",
        "2011_09_26_drive_0005_sync",
        "2011_09_26_drive_0013_sync",
        "2011_09_26_drive_0020_sync",
        "2011_09_26_drive_0023_sync",
        "2011_09_26_drive_0036_sync",
        "2011_09_26_drive_0079_sync",
        "2011_09_26_drive_0095_sync",
        "2011_09_26_drive_0113_sync",
        "2011_09_28_drive_0037_sync",
        "2011_09_29_drive_0026_sync",
        "2011_09_30_drive_0016_sync",
        "2011_10_03_drive_0047_sync",
    ),
    open=_kitti_frame_lister,
)


ASSOCIATED = "associated"
"""Variant with depth nearest in time, within 20 ms, not by place."""
_SECONDS = re.compile(r"\d{1,12}\.\d{1,9}")
_BONN = (
    "rgbd_bonn_balloon2",
    "rgbd_bonn_crowd2",
    "rgbd_bonn_crowd3",
    "rgbd_bonn_person_tracking",
    "rgbd_bonn_synchronous",
)


def _bonn_frame_lister(root: Path, variant: str) -> Videos:
    folder = folder_of_videos(root, _BONN, "folders of Bonn RGB-D such as rgbd_bonn_balloon2")

    def frames_of_video(video: str, taken: slice) -> Frames:
        for colour, depth in _colour_and_depth_stems(folder / video, variant, taken):
            frame = DepthFiles(
                image=folder / video / "rgb" / f"{colour}.png",
                depth=folder / video / "depth" / f"{depth}.png",
                scene=video,
                read=partial(read_steps, steps=5000),
            )
            yield f"{video}/rgb/{colour}", frame

    return frames_of_video


def _colour_and_depth_stems(folder: Path, variant: str, taken: slice) -> Iterator[tuple[str, str]]:
    colours, depths = _stems_by_time(folder / "rgb"), _stems_by_time(folder / "depth")
    if variant != ASSOCIATED:
        return zip(colours[taken], depths[taken], strict=False)
    partners = associate([float(stamp) for stamp in colours], [float(stamp) for stamp in depths])
    pairs = zip(colours, partners, strict=True)
    return iter([(colour, depths[place]) for colour, place in pairs if place is not None][taken])


def _stems_by_time(folder: Path) -> list[str]:
    return sorted(filter(_SECONDS.fullmatch, sorted_stems(folder, ".png")), key=float)


BONN = Download(videos=_BONN, open=_bonn_frame_lister, variants=(ASSOCIATED,))

INSIDE = slice(8, -8), slice(11, -11)  # rows and columns inside black margins
_SCANNET = tuple(f"scene{number:04}_00" for number in range(707, 807))


def crop_margins(image: Pixels) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Drop ScanNet's black margins."""
    return image[INSIDE]


def _scannet_frame_lister(root: Path, _: str) -> Videos:
    folder = folder_of_videos(root, _SCANNET, "exported scenes of ScanNet such as scene0707_00")

    def frames_of_video(video: str, taken: slice) -> Frames:
        scene = folder / video
        numbers = filter(is_whole, sorted_stems(scene / "color", ".jpg"))
        for number in sorted(numbers, key=int)[taken]:
            frame = DepthFiles(
                image=scene / "color" / f"{number}.jpg",
                depth=scene / "depth" / f"{number}.png",
                scene=video,
                read=partial(read_steps, steps=1000),
                camera=partial(
                    read_if_present, _read_depth_camera, scene / "intrinsic/intrinsic_depth.txt"
                ),
                pose=partial(
                    read_if_present, _read_pose_unless_lost, scene / "pose" / f"{number}.txt"
                ),
                cut=crop_margins,
            )
            yield f"{video}/color/{number}", frame

    return frames_of_video


def _read_depth_camera(path: Path) -> Camera:
    return camera_from_K(_read_4x4_matrix(path)[:3, :3], path)


def _read_pose_unless_lost(path: Path) -> Transform | None:
    """Pose; None if infinite, of a lost camera."""
    pose = _read_4x4_matrix(path)
    return pose if np.isfinite(pose).all() else None


def _read_4x4_matrix(path: Path) -> Transform:
    numbers = parse_numbers(" ".join(line.text for line in text_lines(path)))
    if numbers is None or len(numbers) != 16:
        raise InputError(f"{printable(path)}: expected the 16 numbers of a 4x4 matrix")
    return np.array(numbers).reshape(4, 4)


SCANNET = Download(videos=_SCANNET, open=_scannet_frame_lister)


_TAG = np.float32(202021.25).astype("<f4").tobytes()
_CAMERA_BYTES = 4 + 8 * (9 + 12)
_HEAD_BYTES = 12
FINAL = "final"  # with blur and haze
_NAMES = (
    "alley_1",
    "alley_2",
    "ambush_2",
    "ambush_4",
    "ambush_5",
    "ambush_6",
    "ambush_7",
    "bamboo_1",
    "bamboo_2",
    "bandage_1",
    "bandage_2",
    "cave_2",
    "cave_4",
    "market_2",
    "market_5",
    "market_6",
    "mountain_1",
    "shaman_2",
    "shaman_3",
    "sleeping_1",
    "sleeping_2",
    "temple_2",
    "temple_3",
)


def _sintel_frame_lister(root: Path, variant: str) -> Videos:
    # Pictures and depth are two downloads, which may lie beside each other.
    name = FINAL if variant == FINAL else "clean"
    pictures, depths = _folder_of_part(root, name), _folder_of_part(root, "depth")
    cameras = depths.with_name("camdata_left")

    def frames_of_video(video: str, taken: slice) -> Frames:
        for stem in sorted_stems(pictures / video, ".png")[taken]:
            camera = cameras / video / f"{stem}.cam"
            frame = DepthFiles(
                image=pictures / video / f"{stem}.png",
                depth=depths / video / f"{stem}.dpt",
                scene=video,
                read=_read_depth,
                camera=partial(read_if_present, _camera_of_cam_file, camera),
                pose=partial(read_if_present, _pose_of_cam_file, camera),
            )
            yield f"{name}/{video}/{stem}", frame

    return frames_of_video


def _folder_of_part(root: Path, name: str) -> Path:
    expected = f"Sintel's training/{name}"

    def has_videos(folder: Path) -> bool:
        return not names_in(folder / name).isdisjoint(_NAMES)

    return folder_below(root, expected, has_videos) / name


def _read_depth(path: Path) -> MaskedValues:
    return masked_metres(read_dpt(path))


def _camera_of_cam_file(path: Path) -> Camera:
    return read_cam(path)[0]


def _pose_of_cam_file(path: Path) -> Transform:
    return read_cam(path)[1]


def read_dpt(path: Path) -> Field:
    """Read Sintel's depth [m]."""
    content = _read_tagged_file(path, "depth (.dpt)")
    width, height = (int(number) for number in np.frombuffer(content[4:_HEAD_BYTES], "<i4", 2))
    check_size(printable(path), (height, width))
    values = len(content) - _HEAD_BYTES
    if values != 4 * width * height:
        raise InputError(
            f"{printable(path)}: has {values} bytes of depth, and {width} x {height} pixels have "
            f"{4 * width * height}; fetch the original file again"
        )
    numbers = np.frombuffer(content, "<f4", offset=_HEAD_BYTES).astype(np.float32)
    return numbers.reshape(height, width)


def read_cam(path: Path) -> tuple[Camera, Transform]:
    """Read Sintel's intrinsics and ``world_T_cam``."""
    content = _read_tagged_file(path, "a camera (.cam)")
    if len(content) != _CAMERA_BYTES:
        raise InputError(
            f"{printable(path)}: has {len(content)} bytes, and a camera of Sintel {_CAMERA_BYTES}"
        )
    numbers = np.frombuffer(content, "<f8", offset=4).astype(np.float64)
    K, cam_T_world = numbers[:9].reshape(3, 3), numbers[9:].reshape(3, 4)
    R = cam_T_world[:, :3]
    if not (np.isfinite(numbers).all() and np.allclose(R @ R.T, np.eye(3), atol=1e-3)):
        raise InputError(f"{printable(path)}: its transform is no rotation with a translation")
    return camera_from_K(K, path), invert(rigid(R, cam_T_world[:, 3]))


def _read_tagged_file(path: Path, what: str) -> bytes:
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read ({reason(error)})") from error
    if not content.startswith(_TAG) or len(content) < _HEAD_BYTES:
        raise InputError(f"{printable(path)}: is no {what.removeprefix('a ')} of Sintel")
    return content


SINTEL = Download(
    videos=_NAMES,
    open=_sintel_frame_lister,
    variants=(FINAL,),
)


_MOST_STEPS = 1e300


def listed_frames(path: Path, key: str, most: int) -> dict[str, DepthFiles]:
    """Frames of a JSON list by id, at most ``most`` a video."""
    entries: dict[str, DepthFiles] = {}
    for scene, frames in _frames_by_video(path, key):
        for frame in frames[:most]:
            entry = _files_of_frame(path, scene, frame)
            id = entry.image.relative_to(path.parent).with_suffix("").as_posix()
            if id in entries:
                raise InputError(f"{path}: lists '{printable(id)}' twice")
            entries[id] = entry
    return entries


def _frames_by_video(path: Path, key: str) -> Iterator[tuple[str, list[Any]]]:
    try:
        content = parse_json(read_text(path))
    except NotThisRecord as error:
        raise InputError(f"{printable(path)}: {error}") from error
    videos = content.get(key) if isinstance(content, dict) else None
    if not isinstance(videos, list):
        raise InputError(f"{path}: has no list of videos under '{key}'")
    for video in videos:
        if not isinstance(video, dict):
            raise InputError(f"{path}: holds a {type(video).__name__}, expected a video by name")
        for scene, frames in video.items():
            if not isinstance(frames, list):
                raise InputError(f"{path}: the video '{printable(scene)}' is no list of frames")
            yield scene, frames


def _files_of_frame(path: Path, scene: str, frame: Any) -> DepthFiles:
    if not isinstance(frame, dict):
        frame = {}
    factor = frame.get("factor")
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not 0 < factor < _MOST_STEPS:
        raise InputError(f"{path}: a frame of '{printable(scene)}' has no positive number 'factor'")
    image, depth = (
        _path_below_list(path, scene, frame.get(name)) for name in ("image", "gt_depth")
    )
    read = partial(read_steps, steps=float(factor))
    return DepthFiles(image=image, depth=depth, scene=scene, read=read)


def _path_below_list(path: Path, scene: str, name: object) -> Path:
    relative = PurePosixPath(name) if isinstance(name, str) and "\0" not in name else None
    if not name or relative is None or relative.is_absolute() or ".." in relative.parts:
        raise InputError(
            f"{path}: a frame of '{printable(scene)}' names no 'image' and 'gt_depth' below "
            "the list's folder"
        )
    return path.parent / relative


_KITTI_PART = slice(0, 374), slice(0, 1242)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSet:
    """One set at one length; ``part`` is scored."""

    download: Download
    taken: slice
    part: tuple[slice, slice] = (slice(None), slice(None))


SETS: Mapping[str, VideoSet] = {
    "sintel": VideoSet(download=SINTEL, taken=slice(100)),
    "kitti": VideoSet(download=KITTI, taken=slice(110), part=_KITTI_PART),
    "kitti-500": VideoSet(download=KITTI, taken=slice(500), part=_KITTI_PART),
    "bonn": VideoSet(download=BONN, taken=slice(30, 140)),
    "bonn-500": VideoSet(download=BONN, taken=slice(500)),
    "scannet": VideoSet(download=SCANNET, taken=slice(0, 270, 3), part=INSIDE),
    "scannet-500": VideoSet(download=SCANNET, taken=slice(500), part=INSIDE),
}
"""Sets by folder, and length where there are two."""


class VdaVideos(DepthSet):
    """Frames video by video; the split is set and length."""

    card = own_card("vda-videos")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        frames, absent = _frames_of_request(request, self._set)
        self._set_entries_of_list(frames, request.list_file)
        if request.list_file is None:
            self.absent = (*absent, *self.absent)

    def truth(self, id: str) -> Truth:
        """Read depth of the scored part, camera and pose."""
        truth, part = super().truth(id), self._set.part
        assert truth.depth is not None, "every frame has depth"
        assert truth.depth_valid is not None, "the same"
        depth = truth.depth[part]
        if not depth.size:
            raise InputError(f"{self._entry(id).depth}: is too small for the part that is scored")
        top, left = (side.start or 0 for side in part)
        camera = None if truth.camera is None else truth.camera.cropped(top=top, left=left)
        return replace(truth, depth=depth, depth_valid=truth.depth_valid[part], camera=camera)


def _frames_of_request(
    request: Request, chosen: VideoSet
) -> tuple[dict[str, DepthFiles], tuple[Absent, ...]]:
    root, (name, _, length) = request.root, request.split.partition("-")
    listing = f"{name}_video_{length}.json" if length else f"{name}_video.json"
    own = root / name
    for folder in (own, root):
        if (folder / listing).is_file():
            if request.variant != USUAL:
                raise InputError(
                    f"{printable(folder / listing)}: this list says which frames there are, so "
                    f"the variant '{request.variant}' has to be read from the set as downloaded"
                )
            most = len(range(*chosen.taken.indices(chosen.taken.stop)))
            return listed_frames(folder / listing, name, most), ()
    try:
        place = own if own.is_dir() else root
        return downloaded_frames(chosen.download, place, request.variant, chosen.taken)
    except InputError as error:
        raise InputError(
            problem=Text(error),
            hint=f"{name}/{listing}, as the authors' scripts write it, also does",
        ) from error
