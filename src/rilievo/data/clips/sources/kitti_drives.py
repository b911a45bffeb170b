"""KITTI raw: drives of both colour cameras (Geiger et al., IJRR 2013)."""

from pathlib import Path

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequence_camera import FrameCalibration, choose_camera
from rilievo.data.clips.sequences import NO_TARGETS, Clip, ListedTargets, OtherEye, first_photo
from rilievo.data.clips.split_lists import (
    OTHER_SIDE,
    ListedSequences,
    numbered_files,
    read_split_lists,
)
from rilievo.data.datasets.sets.kitti_calibration import CAMERA_FILE, camera_of_shape, read_camera
from rilievo.data.datasets.sets.kitti_raw import CAMERAS, DRIVE_NAME
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import count_text
from rilievo.io.files.names import printable


def sequences(data: VideoData) -> list[Clip]:
    """List a sequence for each camera of each drive."""
    root = Path(data.roots[0])
    if data.poses is not None:
        raise OptionError(
            "poses are not supported for kitti-raw; of the named datasets, only kitti-odometry "
            "has poses"
        )
    if data.split is None:
        return _clips_of_all_drives(root, data)
    lists = read_split_lists(root, data.split, stereo=data.stereo)
    _check_cameras_exist(root, lists)
    return [
        _clip_of_drive(root / folder, side, data, targets)
        for (folder, side), targets in lists.targets.items()
    ]


def _clips_of_all_drives(root: Path, data: VideoData) -> list[Clip]:
    """List the cameras of all drives in the folders of dates below the root."""
    drives = [
        day / drive
        for day in (root / name for name in sorted(names_in(root)))
        for drive in sorted(names_in(day))
        if DRIVE_NAME.fullmatch(drive)
    ]
    if not drives:
        raise InputError(
            f"{printable(root)}: is not a KITTI raw folder: expected folders such as "
            f"2011_09_26/2011_09_26_drive_0002_sync, found {contents_text(root)}"
        )
    sides = ("l", "r") if data.stereo else ("l",)
    return [
        _clip_of_drive(drive, side, data, None if side == "l" else NO_TARGETS)
        for drive in drives
        for side in sides
    ]


def _check_cameras_exist(root: Path, lists: ListedSequences) -> None:
    """Check that the folder of each listed camera exists."""
    missing = [
        f"{folder}/{CAMERAS[side]}"
        for folder, side in lists.targets
        if not (root / folder / CAMERAS[side] / "data").is_dir()
    ]
    if missing:
        raise InputError(
            f"{printable(root)}: lacks {count_text(len(missing), 'camera folder')} of "
            f"{len(lists.targets)} in {printable(lists.path)}, such as {printable(missing[0])}; "
            "download what is missing, or remove it from the list"
        )


def _clip_of_drive(drive: Path, side: str, data: VideoData, listed: ListedTargets | None) -> Clip:
    """Describe the clip of one colour camera of a drive; ``side`` is "l" or "r"."""
    camera = CAMERAS[side]
    files_by_number = numbered_files(drive / camera / "data")
    files = tuple(files_by_number.values())
    photo = first_photo(files, drive / camera / "data")
    clip_id = f"{drive.parent.name}/{drive.name}/{camera}"
    calibration = _calibration_by_file_or_size(drive, camera, photo.shape)
    return Clip(
        id=clip_id,
        files=files,
        frame_numbers=tuple(files_by_number),
        shape=photo.shape,
        camera=choose_camera(data, photo.shape, clip_id, file_calibration=calibration),
        listed_targets=listed,
        other_eye=_other_eye(drive, side) if data.stereo else None,
        measures_motion=listed is None,
        stride=data.stride or 1,
    )


def _calibration_by_file_or_size(
    drive: Path, camera: str, shape: tuple[int, int]
) -> FrameCalibration | None:
    """Read the calibration of the drive's day, or recognise the camera by its image size."""
    if (drive.parent / CAMERA_FILE).is_file():
        calibration = read_camera(drive.parent, camera)
        return FrameCalibration(K=calibration.camera.K, shape=calibration.shape)
    known_camera = camera_of_shape(shape)
    return None if known_camera is None else FrameCalibration(K=known_camera.K, shape=shape)


def _other_eye(drive: Path, side: str) -> OtherEye:
    """Describe the other colour camera of a drive.

    P[0, 3] / P[0, 0] is the translation in x from the frame of camera 0 to that of the camera.
    """
    left_P, right_P = (read_camera(drive.parent, CAMERAS[eye]).P for eye in "lr")
    left_to_right = float((right_P[0, 3] - left_P[0, 3]) / left_P[0, 0])
    other = CAMERAS[OTHER_SIDE[side]]
    return OtherEye(
        sequence=f"{drive.parent.name}/{drive.name}/{other}",
        x_offset=left_to_right if side == "l" else -left_to_right,
    )
