"""Targets as arrays, random changes of them, and batches as tensors."""

from collections.abc import Mapping
from dataclasses import field, replace

import numpy as np
import torch
from torch import Tensor

from rilievo.frozen import frozen
from rilievo.geometry.intrinsics import flip_K
from rilievo.shapes import Field, Float32, Mask, UInt8
from rilievo.training.arrays import FrameStack, Motion
from rilievo.training.engine.frame_colour import ColourChange, changed
from rilievo.training.losses.warped_frames import Views
from rilievo.training.tensors import Masks
from rilievo.training.video.video_config import VideoAugmentation

_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0]).astype(np.float32)


@frozen
class OneViews:
    """One target frame and its sources, at the training size, as bytes.

    Attributes:
        seen: Frames whose colours are changed for the networks.
        pyramid: Target, and sources where they are compared, at scales 1 to 3.
        source_T_target: Known motion of each source; None where it is to be learned.
        true_motion: Motion of each source by poses or the baseline.
    """

    id: str
    frames: FrameStack
    seen: FrameStack | None
    pyramid: tuple[UInt8[np.ndarray, "m _ _ 3"], ...]
    K: Float32[np.ndarray, "3 3"]
    source_T_target: tuple[Motion | None, ...]
    true_motion: tuple[Motion | None, ...] = ()
    valid: Mask | None = None
    maps: Mapping[str, Field] = field(default_factory=dict)


@frozen
class Batch:
    """Batch of a run."""

    step: int
    epoch: int
    views: Views
    ids: tuple[str, ...]


def collate(views: list[OneViews], device: torch.device | str = "cpu") -> Views:
    """Stack targets; colours become floats on the device."""
    first = views[0]
    assert all(view.maps.keys() == first.maps.keys() for view in views), "of one set of frames"
    frames = _float_frames([view.frames for view in views], device)
    pictures = frames
    if any(view.seen is not None for view in views):
        changed = [view.frames if view.seen is None else view.seen for view in views]
        pictures = _float_frames(changed, device)
    levels = [
        _float_frames([view.pyramid[scale] for view in views], device)
        for scale in range(len(first.pyramid))
    ]
    pyramids = tuple(zip(frames, *levels, strict=False))
    return Views(
        target=frames[0],
        sources=frames[1:],
        target_seen=pictures[0],
        sources_seen=pictures[1:],
        pyramid=pyramids[0],
        source_pyramids=pyramids[1:] or None,
        K=_to_device(np.stack([view.K for view in views]), device),
        source_T_target=tuple(
            _stack_motion_if_any([view.source_T_target[place] for view in views], device)
            for place in range(len(first.source_T_target))
        ),
        true_motion=tuple(
            _stack_motion_or_nan([view.true_motion[place] for view in views], device)
            for place in range(len(first.true_motion))
        ),
        valid=_stack_valid(views, device),
        maps={
            name: _to_device(np.stack([view.maps[name] for view in views]), device)
            for name in first.maps
        },
    )


def _float_frames(
    frames: list[FrameStack], device: torch.device | str
) -> tuple[Float32[Tensor, "b 3 h w"], ...]:
    stacked = _to_device(np.stack(frames, axis=1), device)
    return tuple(
        frame_stack.permute(0, 3, 1, 2)
        .to(torch.float32, memory_format=torch.contiguous_format)
        .div_(255)
        for frame_stack in stacked
    )


def _stack_motion_if_any(
    motions: list[Motion | None], device: torch.device | str
) -> Float32[Tensor, "b 4 4"] | None:
    matrices = [motion for motion in motions if motion is not None]
    if not matrices:
        return None
    assert len(matrices) == len(motions), "motion is known of all targets or of none"
    return _to_device(np.stack(matrices), device)


def _stack_motion_or_nan(
    motions: list[Motion | None], device: torch.device | str
) -> Float32[Tensor, "b 4 4"] | None:
    if all(motion is None for motion in motions):
        return None
    unknown = np.full((4, 4), np.nan, np.float32)
    return _to_device(
        np.stack([unknown if motion is None else motion for motion in motions]), device
    )


def _stack_valid(views: list[OneViews], device: torch.device | str) -> Masks | None:
    if all(view.valid is None for view in views):
        return None
    everywhere = np.ones(views[0].frames.shape[1:3], bool)
    masks = [everywhere if view.valid is None else view.valid for view in views]
    return _to_device(np.stack(masks), device)


def _to_device(array: np.ndarray, device: torch.device | str) -> Tensor:
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def augmented(
    views: OneViews, augmentation: VideoAugmentation, rng: np.random.Generator
) -> OneViews:
    """Augment a sample; the same state of ``rng`` gives the same result."""
    flip, jitter = rng.random(2)
    change = draw_change(augmentation, rng)
    if flip < augmentation.flip:
        views = mirrored(views, move_centre=augmentation.move_centre)
    if jitter < augmentation.jitter:
        pictures = np.stack([changed(frame, change) for frame in views.frames])
        views = replace(views, seen=pictures)
    return views


def draw_change(augmentation: VideoAugmentation, rng: np.random.Generator) -> ColourChange:
    """Draw a change of colours."""
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
    """Mirror a sample: x becomes -x, and motion M becomes S M S with S = diag(-1, 1, 1, 1)."""
    width = views.frames.shape[2]
    K = flip_K(views.K, width=width).astype(np.float32) if move_centre else views.K
    return replace(
        views,
        frames=_flip(views.frames, 2),
        seen=None if views.seen is None else _flip(views.seen, 2),
        pyramid=tuple(_flip(plane, 2) for plane in views.pyramid),
        K=K,
        source_T_target=_mirrored_motion(views.source_T_target),
        true_motion=_mirrored_motion(views.true_motion),
        valid=None if views.valid is None else _flip(views.valid, 1),
        maps={name: _flip(plane, 1) for name, plane in views.maps.items()},
    )


def _mirrored_motion(motions: tuple[Motion | None, ...]) -> tuple[Motion | None, ...]:
    return tuple(None if motion is None else _MIRROR @ motion @ _MIRROR for motion in motions)


def _flip(array: np.ndarray, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.flip(array, axis))
