"""Camera of a sequence: the user's, that of a file beside the frames, EXIF's, or a guess."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Matrix, Size
from rilievo.data.clips.footage import VideoData
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Note, OptionName, Text, join_notes, join_texts
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.intrinsics import K_from_fov, horizontal_fov, pinhole_K, resize_K
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.files.names import printable
from rilievo.io.photographs.exif import assumed_camera


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCalibration:
    """Calibration of frames.

    Attributes:
        K: Intrinsics [px].
        shape: (height, width) of the frames for which K is; None for frames of any size.
        lens: Distortion, whose centre and focal lengths are those of K; None for a pinhole.
        note: What was chosen in the file of the calibration.
    """

    K: Matrix
    shape: Size | None = None
    lens: Distorted | None = None
    note: str | None = None


def read_calibration(path: Path) -> FrameCalibration:
    """Read a pinhole, or a lens with Brown's distortion.

    Raises:
        InputError: If the file has another lens, or states a field of view alone.
    """
    record = read_lens(path)
    if record.name not in ("pinhole", "opencv") or record.is_bare_pinhole:
        raise InputError(
            f"{printable(path)}: has a lens of kind '{record.name}', and frames are straightened "
            "for pinhole and opencv alone: straighten them first, with the program that calibrated "
            "them"
        )
    if len(record.numbers) == 1:
        raise InputError(
            path=printable(path),
            problem=Text(
                "states a field of view alone: give ",
                OptionName("fov", f"{record.numbers[0]:.6g}"),
            ),
        )
    lens = record.lens(record.size or (2, 2))
    return FrameCalibration(
        K=pinhole_K(*record.numbers[:4]),
        shape=record.size,
        lens=lens if isinstance(lens, Distorted) else None,
        note=record.note,
    )


_MIN_FOV = 5.0
_MAX_FOV = 160.0
"""Plausible fields of view [degrees]."""
_MAX_PRINCIPAL_POINT_OFFSET = 0.2
"""Distance of the principal point from the middle [fraction of the side]."""
_MAX_ASPECT_DEVIATION = 0.02
"""Relative difference of two aspect ratios up to which frames were scaled and not cropped."""
_MAX_COORDINATE = 1e9  # [px], so that a message about absurd numbers can be written


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCamera:
    """Camera of a sequence at the size of its files.

    Attributes:
        camera: The camera.
        lens: Distortion that is removed from frames; None for a pinhole.
        note: What was chosen or assumed.
    """

    camera: Camera
    lens: Distorted | None = None
    note: str | None = None


def calibration_of_user(data: VideoData) -> FrameCalibration | None:
    """Calibration by the user's file or intrinsics; None if neither is given.

    Raises:
        OptionError: If the camera is given twice, or its intrinsics are not positive.
    """
    choices = {"camera": data.camera, "camera_file": data.camera_file, "fov": data.fov}
    given = [OptionName(name) for name, choice in choices.items() if choice is not None]
    if len(given) > 1:
        raise OptionError(
            problem=Text(
                join_texts(" and ", given), " say the camera more than once; give one of them"
            )
        )
    if data.camera_file is not None:
        return read_calibration(Path(data.camera_file))
    if data.camera is None:
        return None
    K = pinhole_K(*data.camera)
    if not np.isfinite(K).all() or min(data.camera[:2]) <= 0:
        raise OptionError(
            problem=Text(
                OptionName("camera"),
                " is fx,fy,cx,cy [px] with positive focal lengths, got "
                f"{','.join(f'{number:g}' for number in data.camera)}",
            )
        )
    return FrameCalibration(K=K)


def choose_camera(
    data: VideoData,
    shape: Size,
    name: str,
    *,
    beside: FrameCalibration | None = None,
    exif: Camera | None = None,
) -> SequenceCamera:
    """Choose the camera of a sequence.

    The first of these that is known counts: the user's camera, the file beside the frames, EXIF,
    and a guess, about which a note says so.

    Args:
        data: Options of the run.
        shape: (height, width) of the frames as stored.
        name: Name of the sequence in messages.
        beside: Calibration of a file beside the frames.
        exif: Camera by EXIF.

    Raises:
        InputError: If a calibration does not fit to the frames.
        OptionError: If the camera is given twice, or wrongly.
    """
    user_note = _note_on_user_camera(data, name, beside)
    user_calibration = calibration_of_user(data)
    if user_calibration is not None:
        chosen = _camera_for_shape(user_calibration, shape, name)
        return replace(chosen, note=_join_notes(chosen.note, user_note))
    if data.fov is not None:
        camera = Camera(K=K_from_fov(data.fov, shape), source=CameraSource.FOV)
        return SequenceCamera(camera=camera, note=user_note)
    if beside is not None:
        return _camera_for_shape(beside, shape, name)

    fixed = "" if data.learn_camera else ", and held fixed where poses are estimated"
    if exif is not None:
        note = f"{printable(name)}: focal length {exif.focal:.4g} px, from EXIF{fixed}"
        return SequenceCamera(camera=exif, note=note)
    camera = assumed_camera(shape)
    return SequenceCamera(camera=camera, note=_note_on_assumed_camera(camera, shape, name, fixed))


def _note_on_assumed_camera(camera: Camera, shape: Size, name: str, fixed: str) -> Note:
    return Note(
        "nothing says which camera took it, so a field of view of "
        f"{camera.field_of_view(shape):.0f} degrees is assumed{fixed}",
        path=printable(name),
        hint=Text(
            "give ",
            OptionName("fov"),
            ", ",
            OptionName("camera"),
            " or ",
            OptionName("camera_file"),
        ),
    )


def _note_on_user_camera(data: VideoData, name: str, beside: FrameCalibration | None) -> str | None:
    """Note on what the user's camera replaces, or is taken for; None if there is nothing to say."""
    if beside is not None:
        return (
            f"{printable(name)}: has a camera file beside it, which the camera that is given "
            "replaces"
        )
    if len(data.roots) < 2:
        return None
    return (
        f"{printable(name)}: the one camera that is given is taken for it too; a file beside "
        "the frames, such as camera.yaml, is the camera of its folder alone"
    )


def _join_notes(*notes: str | None) -> str | None:
    known = [note for note in notes if note is not None]
    if len(known) < 2:
        return known[0] if known else None
    return join_notes(known)


def _camera_for_shape(calibration: FrameCalibration, shape: Size, name: str) -> SequenceCamera:
    """Scale a calibration to frames of a size; refuse frames of another aspect ratio."""
    K = calibration.K
    note = None if calibration.note is None else f"{printable(name)}: {calibration.note}"
    if calibration.shape is not None and calibration.shape != shape:
        calibrated_size = _size_text(calibration.shape)
        aspect_ratio = (shape[1] / shape[0]) / (calibration.shape[1] / calibration.shape[0])
        if abs(aspect_ratio - 1) > _MAX_ASPECT_DEVIATION:
            raise InputError(
                f"{printable(name)}: the camera is calibrated for frames of {calibrated_size}, but "
                f"these are {_size_text(shape)}, of another shape: they were cropped; calibrate "
                "for these frames, or give their fx,fy,cx,cy"
            )
        K = resize_K(K, size=calibration.shape, new_size=shape)
        scaled_note = (
            f"{printable(name)}: the camera was calibrated at {calibrated_size} and is scaled to "
            f"{_size_text(shape)}"
        )
        note = _join_notes(note, scaled_note)
    _check_intrinsics(K, shape, name)
    return SequenceCamera(camera=Camera(K=K), lens=calibration.lens, note=note)


def _check_intrinsics(K: Matrix, shape: Size, name: str) -> None:
    """Refuse intrinsics that are probably those of another size, or no pixels."""
    try:
        Camera(K=K)
    except InputError as error:
        raise InputError(path=printable(name), problem=Text(error)) from error
    _check_principal_point(K, shape, name)

    height, width = shape
    horizontal = horizontal_fov(K, width)
    transposed_K = np.array([[K[1, 1], 0.0, K[1, 2]], [0.0, K[0, 0], K[0, 2]], [0.0, 0.0, 1.0]])
    vertical = horizontal_fov(transposed_K, height)
    if not _MIN_FOV <= max(horizontal, vertical) <= _MAX_FOV:
        raise InputError(
            f"{printable(name)}: focal lengths {K[0, 0]:g} and {K[1, 1]:g} px see "
            f"{horizontal:.3g} x {vertical:.3g} degrees of frames of {_size_text(shape)}; "
            f"{_MIN_FOV:g} to {_MAX_FOV:g} is expected: are they in pixels, and of this size?"
        )


def _check_principal_point(K: Matrix, shape: Size, name: str) -> None:
    height, width = shape
    cx, cy = float(K[0, 2]), float(K[1, 2])
    x_offset = abs((cx + 0.5) / width - 0.5)
    y_offset = abs((cy + 0.5) / height - 0.5)
    if max(x_offset, y_offset) <= _MAX_PRINCIPAL_POINT_OFFSET:
        return
    bounded_cy, bounded_cx = np.clip((cy, cx), -_MAX_COORDINATE, _MAX_COORDINATE)
    likely_size = round(2 * bounded_cy + 1), round(2 * bounded_cx + 1)
    raise InputError(
        f"{printable(name)}: the principal point ({cx:g}, {cy:g}) is far from the middle of frames "
        f"of {_size_text(shape)}; these intrinsics look like those of about "
        f"{_size_text(likely_size)}: multiply them by the ratio of the sizes"
    )


def _size_text(shape: Size) -> str:
    return f"{shape[1]}x{shape[0]}"
