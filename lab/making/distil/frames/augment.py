"""Augmentation of training frames: crops, mirroring, colours, faults of lens and file."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lab.making.distil.distil_config import Stage
from lab.making.distil.frames.training_frames import FARTHEST, Frame
from rilievo.arrays.shapes import Bool, Float32, UInt8
from rilievo.errors import MissingExtraError

try:
    import cv2
except ImportError as missing:
    raise MissingExtraError("training", "train") from missing

MULTIPLE = 32
_LEAST = 0.55
"""Least side of a crop, as a share of the largest; more where a frame would be enlarged more than
1.8 times, since such an image has no detail."""
ASPECTS = (4 / 3, 3 / 4, 1.0, 16 / 9, 9 / 16, 2.0, 3.0)
"""Aspect ratios (width / height) of batches; ``ASPECT_SHARES`` has the probability of each."""
ASPECT_SHARES = (0.44, 0.14, 0.10, 0.14, 0.05, 0.06, 0.07)

SKY_MARGIN = float(np.log(2.0))
"""Offset in log depth that puts the sky at twice the farthest surface of its image."""

Window = Callable[[Frame, tuple[int, int], np.random.Generator], Frame]
"""Way to cut a window of a shape (height, width) out of a frame."""


def batch_shape(stage: Stage, random: np.random.Generator) -> tuple[int, int]:
    """Draw the (height, width) of a batch, multiples of 32: a random aspect and area."""
    # One area takes no random number.
    areas = stage.areas
    area = areas[int(random.choice(len(areas), p=stage.shares))] if len(areas) > 1 else areas[0]
    aspect = ASPECTS[int(random.choice(len(ASPECTS), p=ASPECT_SHARES))]
    height = MULTIPLE * max(1, round((area / aspect) ** 0.5 / MULTIPLE))
    return height, MULTIPLE * max(1, round(area / height / MULTIPLE))


def random_crop(frame: Frame, shape: tuple[int, int], random: np.random.Generator) -> Frame:
    """Cut a window of random size and place out of ``frame``, and resize it to ``shape``."""
    height, width = frame.image.shape[:2]
    least = _LEAST * max(1.0, shape[0] / height, shape[1] / width)
    scale = 1.0 if random.random() < 0.35 else float(random.uniform(min(least, 1.0), 1.0))
    # Near the middle: a crop far from it shows the scene under angles that no camera has.
    down, right = (float(shift) for shift in random.uniform(-0.2, 0.2, 2))
    return crop(frame, shape, scale=scale, shift=(down, right))


def augment(
    frame: Frame,
    shape: tuple[int, int],
    random: np.random.Generator,
    *,
    window: Window = random_crop,
) -> Frame:
    """Cut a window of ``shape`` out of ``frame``, mirror half of them and degrade the image.

    Sky gets its target depth here and counts as ``valid``.
    """
    frame = window(frame, shape, random)
    if random.random() < 0.5:
        frame = mirrored(frame)
    return replace(
        frame,
        image=degrade(frame.image, random),
        log_depth=sky_filled(frame.log_depth, frame.valid, frame.sky),
        valid=frame.valid | frame.sky,
    )


def sky_filled(
    log_depth: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    sky: Bool[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"]:
    """Put the sky at twice the farthest surface (200 m where an image shows nothing else)."""
    farthest = log_depth[valid].max() if valid.any() else np.log(FARTHEST)
    return np.where(sky, np.float32(farthest + SKY_MARGIN), log_depth)


def degrade(
    image: UInt8[np.ndarray, "h w 3"], random: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Change exposure, contrast and colours; sometimes blur, downsample, add noise, compress."""
    image = np.ascontiguousarray(image)
    if random.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), float(random.uniform(0.4, 1.6)))
    if random.random() < 0.1:
        image = _coarsened(image, float(random.uniform(0.4, 0.8)))
    if random.random() < 0.8:
        image = _saturated(image, float(random.uniform(0.2, 1.6)))
        image = _toned(image, random)
    if random.random() < 0.1:
        image = _saturated(image, 0.0)
    if random.random() < 0.08:
        image = cv2.convertScaleAbs(image, alpha=float(random.uniform(0.1, 0.45)))  # night
    if random.random() < 0.35:
        deviation = float(random.uniform(1.0, 14.0))
        noise = random.standard_normal(image.shape, dtype=np.float32) * deviation
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.3:
        image = _compressed(image, int(random.integers(20, 90)))
    return image


def crop(
    frame: Frame,
    shape: tuple[int, int],
    *,
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Frame:
    """Cut a window out of ``frame`` and resize it to ``shape``, targets by nearest pixel.

    The window has the aspect of ``shape``. Its side is the share ``scale`` of the largest that
    fits, and ``shift`` its offset from the middle (down, right), as a share of the free room, in
    [-0.5, 0.5].
    """
    height, width = shape
    source_height, source_width = frame.image.shape[:2]
    largest = min(source_height, source_width * height / width)
    tall = round(scale * largest)
    wide = min(round(scale * largest * width / height), source_width)
    top = int((source_height - tall) * (0.5 + shift[0]))
    left = int((source_width - wide) * (0.5 + shift[1]))
    rows = (top + (np.arange(height) + 0.5) * tall / height).astype(int)
    columns = (left + (np.arange(width) + 0.5) * wide / width).astype(int)
    window = frame.image[top : top + tall, left : left + wide]
    interpolation = cv2.INTER_AREA if tall > height else cv2.INTER_LINEAR
    pick = np.ix_(rows, columns)
    fx, fy, cx, cy = frame.camera
    return Frame(
        image=np.asarray(cv2.resize(window, (width, height), interpolation=interpolation)),
        log_depth=frame.log_depth[pick],
        valid=frame.valid[pick],
        sky=frame.sky[pick],
        normals=frame.normals[:, rows][:, :, columns],
        normals_valid=frame.normals_valid[pick],
        camera=(
            fx * width / wide,
            fy * height / tall,
            (cx - left + 0.5) * width / wide - 0.5,
            (cy - top + 0.5) * height / tall - 0.5,
        ),
        kind=frame.kind,
        is_rendered=frame.is_rendered,
    )


def mirrored(frame: Frame) -> Frame:
    """Return a frame's mirror image; the x of its normals changes sign."""
    fx, fy, cx, cy = frame.camera
    return Frame(
        image=frame.image[:, ::-1],
        log_depth=frame.log_depth[:, ::-1],
        valid=frame.valid[:, ::-1],
        sky=frame.sky[:, ::-1],
        normals=frame.normals[:, :, ::-1] * np.array([-1, 1, 1], np.int8)[:, None, None],
        normals_valid=frame.normals_valid[:, ::-1],
        camera=(fx, fy, frame.image.shape[1] - 1 - cx, cy),
        kind=frame.kind,
        is_rendered=frame.is_rendered,
    )


def _saturated(image: UInt8[np.ndarray, "h w 3"], factor: float) -> UInt8[np.ndarray, "h w 3"]:
    luma = np.array([0.299, 0.587, 0.114])
    return np.asarray(cv2.transform(image, factor * np.eye(3) + (1 - factor) * luma[None, :]))


def _toned(
    image: UInt8[np.ndarray, "h w 3"], random: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(random.normal(0, 0.3))
    levels = (levels - 0.5) * random.uniform(0.6, 1.35) + 0.5 + random.normal(0, 0.06)
    levels = levels * np.exp(random.normal(0, 0.08, 3))
    table = np.clip(np.round(255 * levels), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]))


def _coarsened(image: UInt8[np.ndarray, "h w 3"], factor: float) -> UInt8[np.ndarray, "h w 3"]:
    height, width = image.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def _compressed(image: UInt8[np.ndarray, "h w 3"], quality: int) -> UInt8[np.ndarray, "h w 3"]:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
