"""KITTI odometry: ``image_2`` and ``image_3`` (Geiger et al., CVPR 2012)."""

from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Transforms
from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.pose_files import AUTO, read_kitti_poses
from rilievo.data.clips.sequence_camera import FrameCalibration, choose_camera
from rilievo.data.clips.sequences import NO_TARGETS, Clip, ListedTargets, OtherEye, first_photo
from rilievo.data.clips.split_lists import OTHER_SIDE, numbered_files, read_split_lists
from rilievo.data.datasets.text_files import contents_text, names_in, parse_numbers, text_lines
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import count_text
from rilievo.geometry.transforms import invert, rigid
from rilievo.io.files.limits import is_whole
from rilievo.io.files.names import printable, shortened

_CAMERAS = {"l": "image_2", "r": "image_3"}
_MATRICES = {"l": "P2", "r": "P3"}


def sequences(data: VideoData) -> list[Clip]:
    """List a clip for each camera of the sequences that the split names.

    The split is "00,01", or a list of frames. Without a split, all sequences are listed.
    """
    root = Path(data.roots[0])
    folder = root / "sequences" if (root / "sequences").is_dir() else root
    present = sorted(name for name in names_in(folder) if (folder / name / "image_2").is_dir())
    if not present:
        raise InputError(
            f"{printable(root)}: is not a KITTI odometry folder: expected sequences/00/image_2, "
            f"found {contents_text(folder)}"
        )
    if data.split is not None and not _are_sequence_numbers(data.split):
        return _clips_of_split_lists(root, folder, present, data, data.split)
    names = present
    if data.split is not None:
        names = [f"{int(name):02d}" for name in data.split.split(",")]
    missing = [name for name in names if name not in present]
    if missing:
        raise OptionError(
            f"{printable(root)}: has no sequence {missing[0]}; choose one of {', '.join(present)}"
        )
    sides = ("l", "r") if data.stereo else ("l",)
    return [
        _clip_of_camera(root, folder / name, side, data, None if side == "l" else NO_TARGETS)
        for name in names
        for side in sides
    ]


def _are_sequence_numbers(split: str) -> bool:
    return all(is_whole(name.strip()) for name in split.split(","))


def _clips_of_split_lists(
    root: Path, folder: Path, present: list[str], data: VideoData, split: str
) -> list[Clip]:
    """List the cameras in the lists of a split, whose sequences must be present."""
    lists = read_split_lists(root, split, stereo=data.stereo)
    for name, _ in lists.targets:
        if not is_whole(name) or f"{int(name):02d}" not in present:
            raise InputError(
                f"{printable(lists.path)}: lists frames of sequence {shortened(name)}, but the "
                f"download only has {', '.join(present)}"
            )
    return [
        _clip_of_camera(root, folder / f"{int(name):02d}", side, data, targets)
        for (name, side), targets in lists.targets.items()
    ]


def _clip_of_camera(
    root: Path, folder: Path, side: str, data: VideoData, listed_targets: ListedTargets | None
) -> Clip:
    """Describe the clip of one colour camera of a sequence; ``side`` is "l" or "r"."""
    files_by_number = numbered_files(folder / _CAMERAS[side])
    files = tuple(files_by_number.values())
    frame_numbers = tuple(files_by_number)
    photo = first_photo(files, folder)
    projections = _read_projections_by_side(folder / "calib.txt")
    P = projections[side]
    clip_id = f"{folder.name}/{_CAMERAS[side]}"
    other_eye = None
    if data.stereo:
        # P[0, 3] / P[0, 0] is the translation in x from camera 0's frame to the camera's.
        left_to_right = float(
            (projections["r"][0, 3] - projections["l"][0, 3]) / projections["l"][0, 0]
        )
        other_eye = OtherEye(
            sequence=f"{folder.name}/{_CAMERAS[OTHER_SIDE[side]]}",
            x_offset=left_to_right if side == "l" else -left_to_right,
        )
    return Clip(
        id=clip_id,
        files=files,
        frame_numbers=frame_numbers,
        shape=photo.shape,
        camera=choose_camera(
            data, photo.shape, clip_id, file_calibration=FrameCalibration(K=P[:, :3].copy())
        ),
        poses=_poses_of_camera(root, folder, P, frame_numbers, data),
        listed_targets=listed_targets,
        other_eye=other_eye,
        measures_motion=listed_targets is None,
        stride=data.stride or 1,
    )


def _read_projections_by_side(path: Path) -> dict[str, Float64[np.ndarray, "3 4"]]:
    """Read the projection matrices of the left and the right colour camera, by "l" and "r"."""
    entries: dict[str, tuple[float, ...]] = {}
    for line in text_lines(path):
        name, _, numbers = line.text.partition(":")
        entries[name.strip()] = parse_numbers(numbers) or ()
    for name in _MATRICES.values():
        if len(entries.get(name, ())) != 12 or not np.isfinite(entries[name]).all():
            raise InputError(
                f"{printable(path)}: has no entry '{name}:' with 12 finite numbers; download the "
                "calibration of the colour images again"
            )
        focal, offset = entries[name][0], entries[name][3]
        if not 1e-3 < focal < 1e9 or abs(offset) > 1e9:
            raise InputError(
                f"{printable(path)}: the entry '{name}:' has no valid focal length or camera "
                "position; download the calibration of the colour images again"
            )
    return {side: np.array(entries[name]).reshape(3, 4) for side, name in _MATRICES.items()}


def _poses_of_camera(
    root: Path,
    folder: Path,
    P: Float64[np.ndarray, "3 4"],
    frame_numbers: tuple[int, ...],
    data: VideoData,
) -> Transforms | None:
    """Read poses ``world_T_cam`` of a colour camera; None if there are none and none are required.

    The files have the poses of the grey camera 0, from which P gives the colour camera's offset.
    """
    path = root / "poses" / f"{folder.name}.txt"
    if data.poses not in (None, AUTO):
        path = Path(data.poses)
    elif data.poses is None and not path.is_file():
        return None
    world_T_grey = read_kitti_poses(path)
    if frame_numbers[-1] >= len(world_T_grey):
        raise InputError(
            f"{printable(path)}: has {count_text(len(world_T_grey), 'pose')}, but the last frame "
            f"in {printable(folder)} is number {frame_numbers[-1]}; expected one line per frame "
            "from number 0"
        )
    cam_T_grey = rigid(np.eye(3), np.linalg.solve(P[:, :3], P[:, 3]))
    return world_T_grey[list(frame_numbers)] @ invert(cam_T_grey)
