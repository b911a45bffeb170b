"""Random augmentation of a sample: mirroring, and colour changes of what the networks see.

All frames of a sample change alike, since they are compared with one another.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from rilievo.geometry.intrinsics import flip_K
from rilievo.train.colour import ColourChange, changed
from rilievo.train.video.batches import OneViews
from rilievo.train.video.config import VideoAugmentation

_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0]).astype(np.float32)


def augmented(
    views: OneViews, augmentation: VideoAugmentation, rng: np.random.Generator
) -> OneViews:
    """Augment a sample; the same state of ``rng`` gives the same result."""
    flip, jitter = rng.random(2)
    change = draw_change(augmentation, rng)
    if flip < augmentation.flip:
        views = mirrored(views, move_centre=augmentation.move_centre)
    if jitter < augmentation.jitter:
        seen = np.stack([changed(frame, change) for frame in views.frames])
        views = replace(views, seen=seen)
    return views


def draw_change(augmentation: VideoAugmentation, rng: np.random.Generator) -> ColourChange:
    """Draw factors around 1 and a rotation of the hue around 0, uniform, in random order."""
    spreads = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    brightness, contrast, saturation = (
        float(rng.uniform(max(0.0, 1 - spread), 1 + spread)) for spread in spreads
    )
    return ColourChange(
        hue=float(rng.uniform(-augmentation.hue, augmentation.hue)),
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        order=tuple(map(int, rng.permutation(4))),
    )


def mirrored(views: OneViews, *, move_centre: bool = True) -> OneViews:
    """Mirror the scene of a sample: (x, y, z) becomes (-x, y, z) in every camera.

    The target stays the target, and the other camera of a stereo pair changes sides: known motion M
    becomes S M S with S = diag(-1, 1, 1, 1), and a baseline changes its sign.

    Args:
        views: Sample to mirror; not changed.
        move_centre: Whether the principal point moves too; the published program leaves it, which
            is right only where it lies in the middle.
    """
    width = views.frames.shape[2]
    K = flip_K(views.K, width=width).astype(np.float32) if move_centre else views.K
    return replace(
        views,
        frames=np.ascontiguousarray(views.frames[:, :, ::-1]),
        seen=None if views.seen is None else np.ascontiguousarray(views.seen[:, :, ::-1]),
        pyramid=tuple(np.ascontiguousarray(each[:, :, ::-1]) for each in views.pyramid),
        K=K,
        source_T_target=tuple(map(_mirrored_motion, views.source_T_target)),
        valid=None if views.valid is None else np.ascontiguousarray(views.valid[:, ::-1]),
        hints=None if views.hints is None else np.ascontiguousarray(views.hints[:, ::-1]),
        prior=None if views.prior is None else np.ascontiguousarray(views.prior[:, ::-1]),
        corners=None if views.corners is None else np.ascontiguousarray(views.corners[:, ::-1]),
    )


def _mirrored_motion(
    motion: Float32[np.ndarray, "4 4"] | None,
) -> Float32[np.ndarray, "4 4"] | None:
    return None if motion is None else _MIRROR @ motion @ _MIRROR
