"""Training frames as a turned camera sees them: exact, since the camera stays where it is.

A point X of the frame's camera is R X in the turned one, so images are related by the homography
K R⁻¹ K'⁻¹ from pixels there to pixels here. Its third coordinate w is z / z': the depth along a ray
changes by the factor 1 / w.
"""

import numpy as np
from jaxtyping import Float64, UInt8

from lab.making.distil.frames.training_frames import Camera, Frame
from rilievo.errors import MissingExtraError
from rilievo.geometry.transforms import rotation_from_axis_angle

try:
    import cv2
except ImportError as missing:
    raise MissingExtraError("training", "train") from missing

_DEVIATIONS = np.radians([4.0, 4.0, 8.0])
"""Standard deviations of pitch, yaw and roll [rad]."""
_LARGEST = 2.5  # standard deviations
_DENSE = 1.2
"""Source pixels per pixel from which the image is shrunk first, against aliasing."""


def turned(frame: Frame, shape: tuple[int, int], random: np.random.Generator) -> Frame:
    """Turn the camera at random and cut a window of ``shape`` that lies inside the frame.

    Where the camera is not known, or depth has an unknown shift, it only rolls about the middle,
    which leaves depth as it is.
    """
    angles = _DEVIATIONS * np.clip(random.standard_normal(3), -_LARGEST, _LARGEST)
    scale, *shift = (float(each) for each in random.uniform((0.85, -0.5, -0.5), (1.0, 0.5, 0.5)))
    if np.isfinite(frame.camera).all() and frame.kind.is_depth:
        # A telephoto lens turned further would no longer see the middle of its image.
        most = np.arctan(np.array(frame.image.shape[:2]) / 2 / frame.camera[1::-1]) / 2
        angles[:2] = np.clip(angles[:2], -most, most)
    else:
        angles[:2] = 0
    R = rotation_from_axis_angle(angles)
    return seen_by(
        frame, R, window(frame, R, shape, scale=scale, shift=(shift[0], shift[1])), shape
    )


def window(
    frame: Frame,
    R: Float64[np.ndarray, "3 3"],
    shape: tuple[int, int],
    *,
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Camera:
    """Return the turned camera, with square pixels, whose image of ``shape`` lies in the frame.

    Its field of view is the share ``scale`` of the largest around the optical axis, and ``shift``
    the offset of its middle (down, right) as a share of the room left by that, in [-0.5, 0.5].

    Args:
        frame: Frame that is seen; one without a camera counts as having one with square pixels.
        R: Rotation from the frame's camera to the turned one; both axes lie in the frame's image.
        shape: Height and width [px].
        scale: Share of the largest field of view, in tangents of half the angle.
        shift: Offset of the middle.
    """
    height, width = frame.image.shape[:2]
    borders = np.array([[1, 0, 0.5], [-1, 0, width - 0.5], [0, 1, 0.5], [0, -1, height - 0.5]])
    # Borders n of the frame in the turned camera: n (x, y, 1) is positive inside.
    x, y, inside = (borders @ _matrix(_known(frame)) @ R.T).T
    aspect = shape[1] / shape[0]
    largest = float((inside / (np.abs(x) * aspect + np.abs(y))).min())
    half, room = scale * largest, 2 * (1 - scale) * largest
    focal = shape[0] / (2 * half)
    return (
        focal,
        focal,
        (shape[1] - 1) / 2 - focal * shift[1] * room * aspect,
        (shape[0] - 1) / 2 - focal * shift[0] * room,
    )


def seen_by(
    frame: Frame, R: Float64[np.ndarray, "3 3"], camera: Camera, shape: tuple[int, int]
) -> Frame:
    """Return the frame as another camera at the same place sees it, targets by nearest pixel.

    What lies outside the frame is neither valid nor sky there. Depth of the affine kinds stays, as
    it does for a camera that only rolls.

    Args:
        frame: Frame that is seen; one without a camera counts as having one with square pixels.
        R: Rotation from the frame's camera to the other, by less than what makes a ray of the image
            run backwards.
        camera: Other camera: fx, fy, cx, cy [px].
        shape: Height and width of its image [px].
    """
    own = _known(frame)
    H = _matrix(own) @ R.T @ np.linalg.inv(_matrix(camera))
    u, v = (np.arange(side, dtype=np.float32) for side in shape[::-1])
    x, y, w = (a * u + (b * v + c)[:, None] for a, b, c in H.astype(np.float32))
    columns, rows = np.rint(x / w), np.rint(y / w)
    height, width = frame.image.shape[:2]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    pick = (rows.clip(0, height - 1) * width + columns.clip(0, width - 1)).astype(np.int32)
    log_depth = frame.log_depth.take(pick)
    if frame.kind.is_depth:
        log_depth -= np.log(w)
    normals = frame.normals.reshape(3, -1).take(pick.ravel(), axis=1).astype(np.float32)
    # Stored normals are up to 0.8 longer than 127, which turned onto an axis would wrap around.
    turned_normals = np.rint(R.astype(np.float32) @ normals).clip(-127, 127)
    is_known = np.isfinite(frame.camera[0])
    return Frame(
        image=_warped(frame.image, H, density=own[0] / camera[0], shape=shape),
        log_depth=log_depth,
        valid=frame.valid.take(pick) & inside,
        sky=frame.sky.take(pick) & inside,
        normals=turned_normals.astype(np.int8).reshape(3, *shape),
        normals_valid=frame.normals_valid.take(pick) & inside,
        camera=camera if is_known else (np.nan, np.nan, *camera[2:]),
        kind=frame.kind,
        is_rendered=frame.is_rendered,
    )


def _warped(
    image: UInt8[np.ndarray, "h w 3"],
    H: Float64[np.ndarray, "3 3"],
    *,
    density: float,
    shape: tuple[int, int],
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Sample an image at the pixels that H leads to; ``density`` is source pixels per pixel."""
    if density > _DENSE:
        height, width = image.shape[:2]
        size = round(width / density), round(height / density)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        across, down = size[0] / width, size[1] / height
        H = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]]) @ H
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mode = cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpPerspective(image, H, shape[::-1], flags=flags, borderMode=mode))


def _known(frame: Frame) -> Camera:
    """Return the frame's camera; one of square pixels if it is not known."""
    fx, fy, cx, cy = frame.camera
    if np.isfinite(fx):
        return fx, fy, cx, cy
    side = float(frame.image.shape[1])
    return side, side, cx, cy


def _matrix(camera: Camera) -> Float64[np.ndarray, "3 3"]:
    fx, fy, cx, cy = camera
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
