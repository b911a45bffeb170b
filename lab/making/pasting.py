"""Objects of rendered frames, pasted into other frames.

After D. Dwibedi, I. Misra and M. Hebert, "Cut, Paste and Learn", ICCV 2017, with the depth known:
an object is what depth edges bound, its frame is seen by a turned camera with the intrinsics of the
other frame, and depth changes by one factor, so that shape, normals and rays agree.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64

from lab.making.distil.frames.training_frames import Frame, FrameSource
from lab.making.turning import seen_by
from rilievo.errors import MissingExtraError
from rilievo.geometry.transforms import rotation_from_axis_angle
from rilievo.records.depth_map import DepthKind

try:
    import cv2
except ImportError as missing:
    raise MissingExtraError("training", "train") from missing

_TRIES = 8
_ANGLE = 0.3
"""Largest angle [rad] by which an object moves across the image, or down it."""
_BEYOND = (0.02, 0.12)
"""Angle [rad] beyond the border of the image at which an object ends that its own image cuts."""
_EDGE = 0.15
"""Step of log depth between neighbours that bounds an object."""
_SIZES = (0.02, 0.3)
"""Least and largest share of the image that an object covers."""
_BOUNDED = 0.97
"""Least share of an object's outline behind which all lies farther."""
_FACTORS = (0.6, 1.3)
"""Least and largest factor of an object's depth: its true size is nearly kept, since it tells how
far the object is."""
_GAP = 0.9
"""Largest depth of an object, as a share of what is behind it."""
_NOTHING = np.float32(99)  # log depth of sky
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def with_object(frame: Frame, donors: FrameSource, random: np.random.Generator) -> Frame:
    """Put an object of another frame before the surfaces of ``frame``.

    The frame comes back as it is where its camera is not known, its depth is not metric, or none of
    a few donors has an object that fits.
    """
    for _ in range(_TRIES if _is_measured(frame) else 0):
        donor = donors.draw(random)
        mask = object_of(donor) if _is_measured(donor) else None
        R = None if mask is None else _rotation(donor, mask, frame, random)
        if mask is None or R is None:
            continue
        # Pixels that are neither part of the object nor sky lie outside the donor.
        alone = replace(donor, valid=mask, sky=~mask)
        seen = seen_by(alone, R, frame.camera, frame.image.shape[:2])
        is_cut = (cv2.dilate((~seen.valid & ~seen.sky).astype(np.uint8), _CROSS) & seen.valid).any()
        if is_cut or not _SIZES[0] < seen.valid.mean() < _SIZES[1]:
            continue
        if (placed := _placed(frame, seen, random)) is not None:
            return placed
    return frame


def _is_measured(frame: Frame) -> bool:
    return frame.kind is DepthKind.METRIC and bool(np.isfinite(frame.camera).all())


def object_of(frame: Frame) -> Bool[np.ndarray, "h w"] | None:
    """Return the largest part of a frame that depth edges bound, if one has a fitting size.

    All that surrounds it is farther; where the image ends it may be cut.
    """
    log_depth = np.where(frame.valid, frame.log_depth, np.where(frame.sky, _NOTHING, -_NOTHING))
    is_edge = log_depth - cv2.erode(log_depth, _CROSS) > _EDGE
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        (frame.valid & ~is_edge).astype(np.uint8), connectivity=4
    )
    areas = stats[:, cv2.CC_STAT_AREA] / log_depth.size
    areas[0] = 0  # the label of the edges
    for label in np.argsort(-areas):
        if areas[label] < _SIZES[0]:
            break
        if areas[label] > _SIZES[1]:
            continue
        mask = labels == label
        outline = cv2.dilate(mask.astype(np.uint8), _CROSS).astype(bool) & ~mask
        nearest = cv2.erode(np.where(mask, log_depth, _NOTHING), _CROSS)
        if (log_depth - nearest > _EDGE / 2)[outline].mean() > _BOUNDED:
            return mask
    return None


def _rotation(
    donor: Frame, mask: Bool[np.ndarray, "h w"], frame: Frame, random: np.random.Generator
) -> Float64[np.ndarray, "3 3"] | None:
    """Draw a rotation after which no side of the donor that cuts its object is seen."""
    cut = {"x": (mask[:, 0].any(), mask[:, -1].any()), "y": (mask[0].any(), mask[-1].any())}
    moves = []
    for axis, (first, last) in cut.items():
        (own, other) = (_angles(each, axis) for each in (donor, frame))
        low, high = -_ANGLE, _ANGLE
        if first:
            high = own[0] - other[0] - _BEYOND[0]
            low = high - _BEYOND[1]
        if last:
            least = other[1] - own[1] + _BEYOND[0]
            low, high = least, high if first else least + _BEYOND[1]
        if low > high or min(abs(low), abs(high)) > _ANGLE:
            return None
        moves.append(random.uniform(low, high))
    return rotation_from_axis_angle(np.array([-moves[1], moves[0], 0.0]))


def _angles(frame: Frame, axis: str) -> tuple[float, float]:
    """Angles [rad] between the optical axis and the two sides of a frame along an axis."""
    fx, fy, cx, cy = frame.camera
    focal, centre, side = (
        (fx, cx, frame.image.shape[1]) if axis == "x" else (fy, cy, frame.image.shape[0])
    )
    return float(np.arctan((centre + 0.5) / focal)), float(np.arctan((side - 0.5 - centre) / focal))


def _placed(frame: Frame, seen: Frame, random: np.random.Generator) -> Frame | None:
    """Put the valid pixels of ``seen`` before ``frame``; None if its size would be changed much."""
    mask = seen.valid
    behind = mask & frame.valid
    room = (frame.log_depth - seen.log_depth)[behind].min() if behind.any() else 1.0
    least, largest = _FACTORS[0], min(_FACTORS[1], _GAP * float(np.exp(room)))
    if largest < least:
        return None
    log_depth = seen.log_depth + np.float32(np.log(random.uniform(least, largest)))
    # The outermost pixel of an object shares its colour with what is behind.
    weight = cv2.blur(mask.astype(np.float32), (3, 3)) * mask
    image = frame.image + weight[..., None] * (seen.image.astype(np.float32) - frame.image)
    return replace(
        frame,
        image=np.rint(image).astype(np.uint8),
        log_depth=np.where(mask, log_depth, frame.log_depth),
        valid=frame.valid | mask,
        sky=frame.sky & ~mask,
        normals=np.where(mask, seen.normals, frame.normals),
        normals_valid=np.where(mask, seen.normals_valid, frame.normals_valid),
    )
