"""KITTI raw: drives of both colour cameras (Geiger et al., IJRR 2013)."""

from pathlib import Path

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequence_camera import FrameCalibration, choose_camera
from rilievo.data.clips.sequences import SOURCE_ALONE, Clip, ListedTargets, OtherEye, first_photo
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
from rilievo.io.files.names import printable


def sequences(data: VideoData) -> list[Clip]:
    """List a sequence for each camera of each drive."""
    root = Path(data.roots[0])
    if data.poses is not None:
        raise OptionError("poses of kitti-raw are not read; kitti-odometry has them")
    if data.split is None:
        return _clips_of_all_drives(root, data)
    lists = read_split_lists(root, data.split, stereo=data.stereo)
    _refuse_missing_cameras(root, lists)
    return [
        _clip_of_drive(root / folder, side, data, targets)
        for (folder, side), targets in lists.targets.items()
    ]


def _clips_of_all_drives(root: Path, data: VideoData) -> list[Clip]:
    drives = [
        day / drive
        for day in (root / name for name in sorted(names_in(root)))
        for drive in sorted(names_in(day))
        if DRIVE_NAME.fullmatch(drive)
    ]
    if not drives:
        raise InputError(
            f"{printable(root)}: is no KITTI raw: folders such as "
            f"2011_09_26/2011_09_26_drive_0002_sync are expected, found {contents_text(root)}"
        )
    sides = ("l", "r") if data.stereo else ("l",)
    return [
        _clip_of_drive(drive, side, data, None if side == "l" else SOURCE_ALONE)
        for drive in drives
        for side in sides
    ]


def _refuse_missing_cameras(root: Path, lists: ListedSequences) -> None:
    missing = [
        f"{folder}/{CAMERAS[side]}"
        for folder, side in lists.targets
        if not (root / folder / CAMERAS[side] / "data").is_dir()
    ]
    if missing:
        raise InputError(
            f"{printable(root)}: {printable(lists.path)} lists frames of {len(missing)} of "
            f"{len(lists.targets)} cameras that are not there, the first {printable(missing[0])}; "
            "fetch them, or make a list without them"
        )


def _clip_of_drive(drive: Path, side: str, data: VideoData, listed: ListedTargets | None) -> Clip:
    camera = CAMERAS[side]
    numbered = numbered_files(drive / camera / "data")
    numbers, files = tuple(numbered), tuple(numbered.values())
    photo = first_photo(files, drive / camera / "data")
    id = f"{drive.parent.name}/{drive.name}/{camera}"
    return Clip(
        id=id,
        files=files,
        numbers=numbers,
        shape=photo.shape,
        camera=choose_camera(
            data, photo.shape, id, beside=_calibration_by_file_or_size(drive, camera, photo.shape)
        ),
        listed=listed,
        other_eye=_other_eye(drive, side) if data.stereo else None,
        measured=listed is None,
        stride=data.stride or 1,
    )


def _calibration_by_file_or_size(
    drive: Path, camera: str, shape: tuple[int, int]
) -> FrameCalibration | None:
    if (drive.parent / CAMERA_FILE).is_file():
        calibration = read_camera(drive.parent, camera)
        return FrameCalibration(K=calibration.camera.K, shape=calibration.shape)
    camera_model = camera_of_shape(shape)
    return None if camera_model is None else FrameCalibration(K=camera_model.K, shape=shape)


def _other_eye(drive: Path, side: str) -> OtherEye:
    left, right = (read_camera(drive.parent, CAMERAS[eye]).P for eye in "lr")
    shift = float((right[0, 3] - left[0, 3]) / left[0, 0])
    other = CAMERAS[OTHER_SIDE[side]]
    return OtherEye(
        sequence=f"{drive.parent.name}/{drive.name}/{other}",
        shift=shift if side == "l" else -shift,
    )
