"""KITTI odometry: ``image_2`` and ``image_3`` (Geiger et al., CVPR 2012)."""

from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Transforms
from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.pose_files import AUTO, read_kitti_poses
from rilievo.data.clips.sequence_camera import FrameCalibration, choose_camera
from rilievo.data.clips.sequences import SOURCE_ALONE, Clip, ListedTargets, OtherEye, first_photo
from rilievo.data.clips.split_lists import OTHER_SIDE, numbered_files, read_split_lists
from rilievo.data.datasets.text_files import contents_text, names_in, parse_numbers, text_lines
from rilievo.errors import InputError, OptionError
from rilievo.geometry.transforms import invert, rigid
from rilievo.io.files.limits import is_whole
from rilievo.io.files.names import printable, shortened

_CAMERAS = {"l": "image_2", "r": "image_3"}
_MATRICES = {"l": "P2", "r": "P3"}


def sequences(data: VideoData) -> list[Clip]:
    """List a sequence for each camera of named sequences: "00,01", a list's, or all."""
    root = Path(data.roots[0])
    folder = root / "sequences" if (root / "sequences").is_dir() else root
    present = sorted(name for name in names_in(folder) if (folder / name / "image_2").is_dir())
    if not present:
        raise InputError(
            f"{printable(root)}: is no KITTI odometry: sequences/00/image_2 is expected, found "
            f"{contents_text(folder)}"
        )
    if data.split is not None and not _are_sequence_numbers(data.split):
        return _clips_of_split_lists(root, folder, present, data, data.split)
    wanted = present
    if data.split is not None:
        wanted = [f"{int(name):02d}" for name in data.split.split(",")]
    missing = [name for name in wanted if name not in present]
    if missing:
        raise OptionError(
            f"{printable(root)}: has no sequence {missing[0]}; there are {', '.join(present)}"
        )
    sides = ("l", "r") if data.stereo else ("l",)
    return [
        _clip_of_camera(root, folder / name, side, data, None if side == "l" else SOURCE_ALONE)
        for name in wanted
        for side in sides
    ]


def _are_sequence_numbers(split: str) -> bool:
    return all(is_whole(name.strip()) for name in split.split(","))


def _clips_of_split_lists(
    root: Path, folder: Path, present: list[str], data: VideoData, split: str
) -> list[Clip]:
    lists = read_split_lists(root, split, stereo=data.stereo)
    for name, _ in lists.targets:
        if not is_whole(name) or f"{int(name):02d}" not in present:
            raise InputError(
                f"{printable(lists.path)}: lists frames of the sequence {shortened(name)}, "
                f"but there are {', '.join(present)}"
            )
    return [
        _clip_of_camera(root, folder / f"{int(name):02d}", side, data, targets)
        for (name, side), targets in lists.targets.items()
    ]


def _clip_of_camera(
    root: Path, folder: Path, side: str, data: VideoData, listed: ListedTargets | None
) -> Clip:
    numbered = numbered_files(folder / _CAMERAS[side])
    numbers, files = tuple(numbered), tuple(numbered.values())
    photo = first_photo(files, folder)
    P = _read_projections_by_side(folder / "calib.txt")
    id = f"{folder.name}/{_CAMERAS[side]}"
    other_eye = None
    if data.stereo:
        right_minus_left = (P["r"][0, 3] - P["l"][0, 3]) / P["l"][0, 0]
        other_eye = OtherEye(
            sequence=f"{folder.name}/{_CAMERAS[OTHER_SIDE[side]]}",
            shift=float(right_minus_left if side == "l" else -right_minus_left),
        )
    return Clip(
        id=id,
        files=files,
        numbers=numbers,
        shape=photo.shape,
        camera=choose_camera(
            data, photo.shape, id, beside=FrameCalibration(K=P[side][:, :3].copy())
        ),
        poses=_poses_of_camera(root, folder, P[side], numbers, data),
        listed=listed,
        other_eye=other_eye,
        measured=listed is None,
        stride=data.stride or 1,
    )


def _read_projections_by_side(path: Path) -> dict[str, Float64[np.ndarray, "3 4"]]:
    """Projection matrices of the left and the right colour camera, by "l" and "r"."""
    entries: dict[str, tuple[float, ...]] = {}
    for line in text_lines(path):
        name, _, rest = line.text.partition(":")
        entries[name.strip()] = parse_numbers(rest) or ()
    for name in _MATRICES.values():
        if len(entries.get(name, ())) != 12 or not np.isfinite(entries[name]).all():
            raise InputError(
                f"{printable(path)}: has no '{name}:' with 12 numbers; fetch the calibration of "
                "the colour pictures again"
            )
        if not 1e-3 < entries[name][0] < 1e9 or abs(entries[name][3]) > 1e9:
            raise InputError(
                f"{printable(path)}: '{name}:' has no focal length [px] or no place of its camera; "
                "fetch the calibration of the colour pictures again"
            )
    return {side: np.array(entries[name]).reshape(3, 4) for side, name in _MATRICES.items()}


def _poses_of_camera(
    root: Path,
    folder: Path,
    P: Float64[np.ndarray, "3 4"],
    numbers: tuple[int, ...],
    data: VideoData,
) -> Transforms | None:
    """Poses ``world_T_cam`` of a colour camera, from those of the grey camera 0."""
    path = root / "poses" / f"{folder.name}.txt"
    if data.poses not in (None, AUTO):
        path = Path(data.poses)
    elif data.poses is None and not path.is_file():
        return None
    world_T_grey = read_kitti_poses(path)
    if numbers[-1] >= len(world_T_grey):
        raise InputError(
            f"{printable(path)}: has {len(world_T_grey)} poses, but {printable(folder)} has "
            f"a frame {numbers[-1]}"
        )
    cam_T_grey = rigid(np.eye(3), np.linalg.solve(P[:, :3], P[:, 3]))
    return world_T_grey[list(numbers)] @ invert(cam_T_grey)
