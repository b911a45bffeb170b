"""Camera of a sequence, and frames without lens distortion."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Bool, Field, Float64, Mask, Matrix, Pixels
from rilievo.data.clips.footage import VideoData
from rilievo.errors import InputError, OptionError, needing
from rilievo.errors.messages import Note, OptionName, Text, join_notes, join_texts
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.intrinsics import K_from_fov, horizontal_fov, pinhole_K, resize_K
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.files.names import printable
from rilievo.io.photographs.exif import assumed_camera


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCalibration:
    """Calibration of frames of ``shape``; ``lens`` has the centre and focal lengths of K."""

    K: Matrix
    shape: tuple[int, int] | None = None
    lens: Distorted | None = None
    note: str | None = None


def read_calibration(path: Path) -> FrameCalibration:
    """Read a pinhole, or a lens with Brown's distortion."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class UndistortionMap:
    """Map from an undistorted frame to the original; ``valid`` pixels lie inside that."""

    x: Field
    y: Field
    valid: Mask


def undistortion_map(lens: Distorted, K: Matrix, shape: tuple[int, int]) -> UndistortionMap:
    """Map that undistorts frames and keeps K; pixels beyond the turning point are invalid."""
    height, width = shape
    column, row = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    x = np.broadcast_to((column - K[0, 2]) / K[0, 0], shape)
    y = np.broadcast_to(((row - K[1, 2]) / K[1, 1])[:, None], shape)
    seen_x, seen_y = lens.distort(x, y)
    u, v = seen_x * K[0, 0] + K[0, 2], seen_y * K[1, 1] + K[1, 2]
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    return UndistortionMap(
        x=u.astype(np.float32),
        y=v.astype(np.float32),
        valid=inside & _mask_before_turning_point(lens, np.hypot(x, y)),
    )


def undistort(pixels: Pixels, undistortion: UndistortionMap) -> Pixels:
    """Undistort a frame; black outside."""
    with needing("frames of a distorting lens", "train"):
        import cv2
    return cv2.remap(pixels, undistortion.x, undistortion.y, cv2.INTER_LINEAR)


def shrink_mask(valid: Mask, size: tuple[int, int]) -> Bool[np.ndarray, "new_h new_w"]:
    """Resize a mask; pixels over any invalid one are invalid."""
    height, width = size
    levels = Image.fromarray(valid.astype(np.uint8) * 255)
    return np.asarray(levels.resize((width, height), Image.Resampling.BOX)) == 255


def _mask_before_turning_point(lens: Distorted, radius: Float64[np.ndarray, "h w"]) -> Mask:
    steps = np.linspace(0.0, float(radius.max()) + 1e-9, 1000)
    radii, _ = replace(lens, p=(0.0, 0.0)).distort(steps, np.zeros_like(steps))
    falls = np.flatnonzero(np.diff(radii) <= 0)
    return radius <= (steps[falls[0]] if falls.size else np.inf)


_LEAST_FOV, _GREATEST_FOV = 5.0, 160.0  # plausible [degrees]
_ENDLESS = 1e9
_MIDDLE = 0.2  # distance of a principal point from the middle, as a share of the side
_SAME_ASPECT = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCamera:
    """Camera of a sequence at the size of its files."""

    camera: Camera
    lens: Distorted | None = None
    note: str | None = None


def calibration_of_user(data: VideoData) -> FrameCalibration | None:
    """Calibration by the user's file or intrinsics, not field of view."""
    options = [
        OptionName(name)
        for name, option in (
            ("camera", data.camera),
            ("camera_file", data.camera_file),
            ("fov", data.fov),
        )
        if option is not None
    ]
    if len(options) > 1:
        raise OptionError(
            problem=Text(
                join_texts(" and ", options), " say the camera more than once; give one of them"
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
    shape: tuple[int, int],
    name: str,
    *,
    beside: FrameCalibration | None = None,
    exif: Camera | None = None,
) -> SequenceCamera:
    """Choose the camera: the user's, the file's, EXIF or a guess."""
    user_camera = calibration_of_user(data)
    if user_camera is not None:
        chosen = _camera_for_shape(user_camera, shape, name)
        note = _note_on_user_camera(data, name, own=beside)
        return chosen if note is None else replace(chosen, note=_join_notes(chosen.note, note))
    if data.fov is not None:
        camera = Camera(K=K_from_fov(data.fov, shape), source=CameraSource.FOV)
        return SequenceCamera(camera=camera, note=_note_on_user_camera(data, name, own=beside))
    if beside is not None:
        return _camera_for_shape(beside, shape, name)
    held = "" if data.learn_camera else ", and held fixed where poses are estimated"
    if exif is not None:
        focal = f"focal length {exif.focal:.4g} px, from EXIF"
        return SequenceCamera(camera=exif, note=f"{printable(name)}: {focal}{held}")
    camera = assumed_camera(shape)
    return SequenceCamera(
        camera=camera,
        note=Note(
            "nothing says which camera took it, so a field of view of "
            f"{camera.field_of_view(shape):.0f} degrees is assumed{held}",
            path=printable(name),
            hint=Text(
                "give ",
                OptionName("fov"),
                ", ",
                OptionName("camera"),
                " or ",
                OptionName("camera_file"),
            ),
        ),
    )


def _note_on_user_camera(data: VideoData, name: str, own: FrameCalibration | None) -> str | None:
    if own is not None:
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


def _join_notes(first: str | None, second: str) -> str | None:
    return second if first is None else join_notes([first, second])


def _camera_for_shape(
    calibration: FrameCalibration, shape: tuple[int, int], name: str
) -> SequenceCamera:
    """Scale a calibration to frames; refuse another aspect ratio."""
    K = calibration.K
    note = None if calibration.note is None else f"{printable(name)}: {calibration.note}"
    if calibration.shape is not None and calibration.shape != shape:
        ratio = (shape[1] / shape[0]) / (calibration.shape[1] / calibration.shape[0])
        if abs(ratio - 1) > _SAME_ASPECT:
            raise InputError(
                f"{printable(name)}: the camera is calibrated for frames of "
                f"{_size_text(calibration.shape)}, but these are {_size_text(shape)}, of another "
                "shape: they were cropped; calibrate for these frames, or give their fx,fy,cx,cy"
            )
        K = resize_K(K, size=calibration.shape, new_size=shape)
        note = _join_notes(
            note,
            f"{printable(name)}: the camera was calibrated at {_size_text(calibration.shape)} and "
            f"is scaled to {_size_text(shape)}",
        )
    _check_intrinsics(K, shape, name)
    return SequenceCamera(camera=Camera(K=K), lens=calibration.lens, note=note)


def _check_intrinsics(K: Matrix, shape: tuple[int, int], name: str) -> None:
    try:
        Camera(K=K)
    except InputError as error:
        raise InputError(path=printable(name), problem=Text(error)) from error
    height, width = shape
    cx, cy = float(K[0, 2]), float(K[1, 2])
    if abs((cx + 0.5) / width - 0.5) > _MIDDLE or abs((cy + 0.5) / height - 0.5) > _MIDDLE:
        own_cy, own_cx = np.clip((cy, cx), -_ENDLESS, _ENDLESS)
        own = round(2 * own_cy + 1), round(2 * own_cx + 1)
        raise InputError(
            f"{printable(name)}: the principal point ({cx:g}, {cy:g}) is far from the middle of "
            f"frames of {_size_text(shape)}; these intrinsics look like those of about "
            f"{_size_text(own)}: multiply them by the ratio of the sizes"
        )
    vertical = np.array([[K[1, 1], 0.0, cy], [0.0, K[0, 0], cx], [0.0, 0.0, 1.0]])
    views = (horizontal_fov(K, width), horizontal_fov(vertical, height))
    if max(views) > _GREATEST_FOV or max(views) < _LEAST_FOV:
        raise InputError(
            f"{printable(name)}: focal lengths {K[0, 0]:g} and {K[1, 1]:g} px see {views[0]:.3g} x "
            f"{views[1]:.3g} degrees of frames of {_size_text(shape)}; {_LEAST_FOV:g} to "
            f"{_GREATEST_FOV:g} is expected: are they in pixels, and of this size?"
        )


def _size_text(shape: tuple[int, int]) -> str:
    return f"{shape[1]}x{shape[0]}"
