"""Camera of a sequence: the user's, that of a file beside the frames, EXIF's, or a guess."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Matrix, Size
from rilievo.data.clips.footage import VideoData
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import AnyOf, Note, OptionName, Text, join_notes, join_texts
from rilievo.geometry.cameras.camera import Camera, CameraSource, assumed_camera
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.intrinsics import K_from_fov, horizontal_fov, pinhole_K, resize_K
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.files.names import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCalibration:
    """Calibration of frames.

    Attributes:
        K: Intrinsics [px].
        shape: (height, width) of the frames to which K belongs; None for frames of any size.
        lens: Distortion, whose centre and focal lengths are those of K; None for a pinhole.
        note: Sentence on what was chosen among several cameras in the file.
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
    if record.is_bare_pinhole:
        raise InputError(
            f"{printable(path)}: names the pinhole lens without its intrinsics; add fx, fy, cx and "
            "cy in pixels"
        )
    if record.name not in ("pinhole", "opencv"):
        raise InputError(
            f"{printable(path)}: describes a '{record.name}' lens, but rilievo undistorts frames "
            "only for the lenses pinhole and opencv; undistort the frames first, with the program "
            "that calibrated the camera"
        )
    has_only_fov = len(record.numbers) == 1
    if has_only_fov:
        raise InputError(
            path=printable(path),
            problem=Text(
                "states only a field of view, not the intrinsics; give ",
                OptionName("fov", f"{record.numbers[0]:.6g}"),
                " instead of this file",
            ),
        )
    # The numbers of these lenses do not depend on the size, so any size serves if none is stated.
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


def user_calibration(data: VideoData) -> FrameCalibration | None:
    """Calibration from the user's file or intrinsics.

    None if the user gives neither. ``choose_camera`` handles a field of view.

    Raises:
        OptionError: If the camera is given twice, or its intrinsics are not positive.
    """
    options = {"camera": data.camera, "camera_file": data.camera_file, "fov": data.fov}
    given_options = [OptionName(name) for name, value in options.items() if value is not None]
    if len(given_options) > 1:
        raise OptionError(
            problem=Text(
                join_texts(" and ", given_options),
                " each set the camera; give only one of them",
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
                " must be fx,fy,cx,cy [px] with positive focal lengths, got "
                f"{','.join(f'{number:g}' for number in data.camera)}",
            )
        )
    return FrameCalibration(K=K)


def choose_camera(
    data: VideoData,
    shape: Size,
    name: str,
    *,
    file_calibration: FrameCalibration | None = None,
    exif: Camera | None = None,
) -> SequenceCamera:
    """Choose the camera of a sequence.

    The order of precedence is the user's camera, a file beside the frames, EXIF, and an assumed
    camera. A note says what was assumed or replaced. ``shape`` is (height, width) of the frames as
    stored, and ``name`` stands for the sequence in messages.

    Raises:
        InputError: If a calibration does not fit the frames.
        OptionError: If the camera is given twice, or is invalid.
    """
    user_note = _note_on_user_camera(data, name, file_calibration)
    calibration = user_calibration(data)
    if calibration is not None:
        user_camera = _camera_for_shape(calibration, shape, name)
        return replace(user_camera, note=_join_notes(user_camera.note, user_note))
    if data.fov is not None:
        camera = Camera(K=K_from_fov(data.fov, shape), source=CameraSource.FOV)
        return SequenceCamera(camera=camera, note=user_note)
    if file_calibration is not None:
        return _camera_for_shape(file_calibration, shape, name)

    fixed_note = "" if data.learn_camera else " and does not refine it"
    if exif is not None:
        note = (
            f"{printable(name)}: rilievo takes the focal length of {exif.focal:.4g} px from "
            f"EXIF{fixed_note}"
        )
        return SequenceCamera(camera=exif, note=note)
    camera = assumed_camera(shape)
    note = _note_on_assumed_camera(camera, shape, name, fixed_note)
    return SequenceCamera(camera=camera, note=note)


def _note_on_assumed_camera(camera: Camera, shape: Size, name: str, fixed_note: str) -> Note:
    return Note(
        "the camera is unknown, so rilievo assumes a field of view of "
        f"{camera.field_of_view(shape):.0f} degrees{fixed_note}",
        path=printable(name),
        hint=Text("give ", AnyOf(*map(OptionName, ("fov", "camera", "camera_file")))),
    )


def _note_on_user_camera(
    data: VideoData, name: str, file_calibration: FrameCalibration | None
) -> str | None:
    """Note that the user's camera replaces a file, or is used for several roots; None otherwise."""
    if file_calibration is not None:
        return (
            f"{printable(name)}: rilievo ignores the calibration that comes with these frames, "
            "because you gave a camera"
        )
    if len(data.roots) < 2:
        return None
    return (
        f"{printable(name)}: rilievo uses your camera for all inputs; if their cameras differ, put "
        "a file such as camera.yaml beside the frames of each input instead"
    )


def _join_notes(*notes: str | None) -> str | None:
    known = [note for note in notes if note is not None]
    if len(known) < 2:
        return known[0] if known else None
    return join_notes(known)


def _camera_for_shape(calibration: FrameCalibration, shape: Size, name: str) -> SequenceCamera:
    """Scale a calibration to the size of the frames, if their aspect ratio is the same."""
    K = calibration.K
    note = None if calibration.note is None else f"{printable(name)}: {calibration.note}"
    if calibration.shape is not None and calibration.shape != shape:
        calibrated_size = _size_text(calibration.shape)
        calibrated_aspect = calibration.shape[1] / calibration.shape[0]
        aspect_ratio_change = (shape[1] / shape[0]) / calibrated_aspect
        if abs(aspect_ratio_change - 1) > _MAX_ASPECT_DEVIATION:
            raise InputError(
                f"the camera was calibrated for frames of {calibrated_size}, but these frames of "
                f"{_size_text(shape)} have a different aspect ratio",
                path=printable(name),
                hint=Text(
                    "calibrate the camera at this size, or give its intrinsics at this size with ",
                    OptionName("camera"),
                ),
            )
        K = resize_K(K, size=calibration.shape, new_size=shape)
        scaling_note = (
            f"{printable(name)}: the camera was calibrated at {calibrated_size}, so rilievo scales "
            f"its intrinsics to {_size_text(shape)}"
        )
        note = _join_notes(note, scaling_note)
    _check_intrinsics(K, shape, name)
    return SequenceCamera(camera=Camera(K=K), lens=calibration.lens, note=note)


def _check_intrinsics(K: Matrix, shape: Size, name: str) -> None:
    """Check that intrinsics are plausible, since those of another size or unit are common."""
    try:
        Camera(K=K)
    except InputError as error:
        raise InputError(path=printable(name), problem=Text(error)) from error
    _check_principal_point(K, shape, name)

    height, width = shape
    horizontal_degrees = horizontal_fov(K, width)
    # With x and y exchanged, the horizontal field of view is the vertical one.
    transposed_K = np.array([[K[1, 1], 0.0, K[1, 2]], [0.0, K[0, 0], K[0, 2]], [0.0, 0.0, 1.0]])
    vertical_degrees = horizontal_fov(transposed_K, height)
    if not _MIN_FOV <= max(horizontal_degrees, vertical_degrees) <= _MAX_FOV:
        raise InputError(
            f"{printable(name)}: the focal lengths {K[0, 0]:g} and {K[1, 1]:g} px give frames of "
            f"{_size_text(shape)} a field of view of {horizontal_degrees:.3g} x "
            f"{vertical_degrees:.3g} degrees, expected {_MIN_FOV:g} to {_MAX_FOV:g}; check that "
            "the focal lengths are in pixels and belong to this frame size"
        )


def _check_principal_point(K: Matrix, shape: Size, name: str) -> None:
    """Check that the principal point is near the middle of the frames."""
    height, width = shape
    cx, cy = float(K[0, 2]), float(K[1, 2])
    x_offset = abs((cx + 0.5) / width - 0.5)
    y_offset = abs((cy + 0.5) / height - 0.5)
    if max(x_offset, y_offset) <= _MAX_PRINCIPAL_POINT_OFFSET:
        return
    # The intrinsics would fit frames with this point in the middle.
    bounded_cy, bounded_cx = np.clip((cy, cx), -_MAX_COORDINATE, _MAX_COORDINATE)
    likely_size = round(2 * bounded_cy + 1), round(2 * bounded_cx + 1)
    raise InputError(
        f"{printable(name)}: the principal point ({cx:g}, {cy:g}) is far from the centre of frames "
        f"of {_size_text(shape)}; these intrinsics seem to belong to frames of about "
        f"{_size_text(likely_size)}: multiply them by the ratio of the sizes"
    )


def _size_text(shape: Size) -> str:
    return f"{shape[1]}x{shape[0]}"
