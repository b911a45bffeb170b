"""Targets of a run with their sources as arrays, augmented, and batches of them as tensors.

A batch depends on the seed and its own number alone.
"""

import copy
import hashlib
import itertools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import (
    Field,
    Float32,
    Mask,
    Matrix,
    Pixels,
    Points,
    Size,
    Transform,
    UInt8,
)
from rilievo.data.clips.sequences import Clip, frame_pyramid
from rilievo.errors import InputError
from rilievo.geometry.intrinsics import flip_K
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.training.arrays import FrameStack, Indices, Motion
from rilievo.training.engine.frame_colour import ColourChange, change_colours
from rilievo.training.losses.warped_frames import Views
from rilievo.training.tensors import Masks
from rilievo.training.video.batch_numbers import VideoTruth
from rilievo.training.video.frames.frame_store import FrameStore
from rilievo.training.video.frames.targets import FramePlace, Target
from rilievo.training.video.frames.true_depth import read_true_depth
from rilievo.training.video.video_config import VideoAugmentation

_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0]).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSample:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Batch of a run."""

    step: int
    epoch: int
    views: Views
    ids: tuple[str, ...]


def collate(views: list[TargetSample], device: torch.device | str = "cpu") -> Views:
    """Stack targets; colours become floats on the device."""
    first = views[0]
    assert all(view.maps.keys() == first.maps.keys() for view in views), "of one set of frames"
    frames = _stack_float_frames([view.frames for view in views], device)
    pictures = frames
    if any(view.seen is not None for view in views):
        changed = [view.frames if view.seen is None else view.seen for view in views]
        pictures = _stack_float_frames(changed, device)
    levels = [
        _stack_float_frames([view.pyramid[scale] for view in views], device)
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
        valid=_stack_valid_masks(views, device),
        maps={
            name: _to_device(np.stack([view.maps[name] for view in views]), device)
            for name in first.maps
        },
    )


def _stack_float_frames(
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


def _stack_valid_masks(views: list[TargetSample], device: torch.device | str) -> Masks | None:
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


def augment(
    views: TargetSample, augmentation: VideoAugmentation, rng: np.random.Generator
) -> TargetSample:
    """Augment a sample; the same state of ``rng`` gives the same result."""
    flip, jitter = rng.random(2)
    change = draw_colour_change(augmentation, rng)
    if flip < augmentation.flip:
        views = mirror_sample(views, move_centre=augmentation.move_centre)
    if jitter < augmentation.jitter:
        pictures = np.stack([change_colours(frame, change) for frame in views.frames])
        views = replace(views, seen=pictures)
    return views


def draw_colour_change(augmentation: VideoAugmentation, rng: np.random.Generator) -> ColourChange:
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


def mirror_sample(views: TargetSample, *, move_centre: bool = True) -> TargetSample:
    """Mirror a sample: x becomes -x, and motion M becomes S M S with S = diag(-1, 1, 1, 1)."""
    width = views.frames.shape[2]
    K = flip_K(views.K, width=width).astype(np.float32) if move_centre else views.K
    return replace(
        views,
        frames=_flip_axis(views.frames, 2),
        seen=None if views.seen is None else _flip_axis(views.seen, 2),
        pyramid=tuple(_flip_axis(plane, 2) for plane in views.pyramid),
        K=K,
        source_T_target=_mirror_motions(views.source_T_target),
        true_motion=_mirror_motions(views.true_motion),
        valid=None if views.valid is None else _flip_axis(views.valid, 1),
        maps={name: _flip_axis(plane, 1) for name, plane in views.maps.items()},
    )


def _mirror_motions(motions: tuple[Motion | None, ...]) -> tuple[Motion | None, ...]:
    return tuple(None if motion is None else _MIRROR @ motion @ _MIRROR for motion in motions)


def _flip_axis(array: np.ndarray, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.flip(array, axis))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClip:
    """Clip whose frames are open.

    Attributes:
        K: Intrinsics at the training size [px].
        shift: Shift to the other camera of a stereo pair along x, in the depth's unit.
        stride: Frames between neighbours.
    """

    sequence: Clip
    frames: FrameStore
    K: Matrix
    valid: Mask | None = None
    shift: float | None = None
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetMaps(ABC):
    """Maps of targets, under names that the losses take."""

    names: tuple[str, ...]

    @abstractmethod
    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Maps of a target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMaps(TargetMaps):
    """Maps of targets in a file of half precision."""

    path: Path
    places: Mapping[FramePlace, int]

    def maps_or_zeros(self, place: FramePlace) -> Float32[np.ndarray, "*n h w"]:
        """Maps of a target; zeros without an entry."""
        stored, index = np.load(self.path, mmap_mode="r"), self.places.get(place)
        if index is None:
            return np.zeros(stored.shape[1:], np.float32)
        return stored[index].astype(np.float32)

    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Maps of a target by name."""
        return dict(zip(self.names, self.maps_or_zeros(place).reshape(-1, *size), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class CornerMaps(TargetMaps):
    """Depth of triangulated corners, 0 elsewhere.

    Attributes:
        corners: x [px], y [px], depth up to a factor.
    """

    corners: Mapping[FramePlace, Points]
    names: tuple[str, ...] = ("corners",)

    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Map of a target; none without corners."""
        if not self.corners:
            return {}
        depth = np.zeros(size, np.float32)
        corners = self.corners.get(place, np.zeros((0, 3)))
        column, row = corners[:, :2].round().astype(int).T
        depth[row.clip(0, size[0] - 1), column.clip(0, size[1] - 1)] = corners[:, 2]
        return {self.names[0]: depth}


def store_maps(
    folder: Path,
    names: tuple[str, ...],
    key: str,
    places: Iterable[FramePlace],
    maps: Iterable[np.ndarray],
) -> StoredMaps:
    """Store maps, which are made only where no file of the same key has them."""
    path = folder / f"{names[0]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        made = np.stack([*maps])
        make_folder(folder)
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, made)
    return StoredMaps(
        path=path, places={place: index for index, place in enumerate(places)}, names=names
    )


class VideoTargetFrames:
    """Targets of a run; files are opened anew where they are unpickled."""

    def __init__(
        self,
        sequences: Sequence[OpenClip],
        targets: Sequence[Target],
        *,
        source_pyramids: bool = False,
    ) -> None:
        self._sequences, self.targets = tuple(sequences), tuple(targets)
        self._source_pyramids, self._follows_poses = source_pyramids, False
        self._given: Mapping[tuple[FramePlace, FramePlace], Transform] | None = None
        self.additions: tuple[TargetMaps, ...] = ()
        self.ids = tuple(self._id_of(target.place) for target in self.targets)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> Size:
        """(height, width) of training."""
        return self._sequences[0].frames.size

    def with_motion_of_poses(self) -> "VideoTargetFrames":
        """Targets with motion from poses, not from a pose network."""
        changed = copy.copy(self)
        changed._follows_poses = True
        return changed

    def targets_with_motion(
        self, motions: Mapping[tuple[FramePlace, FramePlace], Transform], *maps: TargetMaps
    ) -> "VideoTargetFrames":
        """Targets that have motion to all sources alone, with more maps."""
        all_motions = {**(self._given or {}), **motions}
        changed = self.subset(
            [
                index
                for index, target in enumerate(self.targets)
                if all((target.place, source) in all_motions for source in target.sources)
            ]
        )
        changed._given = all_motions
        return changed.with_maps(*maps)

    def with_maps(self, *maps: TargetMaps) -> "VideoTargetFrames":
        """Targets with more maps."""
        changed = copy.copy(self)
        changed.additions = (*self.additions, *maps)
        return changed

    def spread_subset(self, count: int, *, block: int = 1) -> "VideoTargetFrames":
        """Targets, ``count`` at most, in blocks of ``together``, spread over all."""
        blocks = np.array_split(np.arange(len(self)), max(1, len(self) // block))
        picked = np.linspace(0, len(blocks) - 1, max(1, count // block)).round().astype(int)
        chosen = np.concatenate([blocks[index] for index in np.unique(picked)])[:count]
        return self.subset([int(index) for index in chosen])

    def subset(self, indices: Sequence[int]) -> "VideoTargetFrames":
        """Targets with these indices."""
        changed = copy.copy(self)
        changed.targets = tuple(self.targets[index] for index in indices)
        changed.ids = tuple(self.ids[index] for index in indices)
        return changed

    def frame_of(self, place: FramePlace) -> Pixels:
        """Frame; raises ``InputError`` if it is broken."""
        return self._sequences[place.sequence].frames.frame(place.frame)

    def stride_of(self, place: FramePlace) -> int:
        """Number of frames between neighbours."""
        return self._sequences[place.sequence].stride

    def K_of(self, target: Target) -> Matrix:
        """Intrinsics of a target [px]."""
        return self._sequences[target.place.sequence].K

    def sample_of(self, index: int) -> TargetSample:
        """Read a target with its sources, motions and maps."""
        target = self.targets[index]
        opened = self._sequences[target.place.sequence]
        frames = np.stack([self.frame_of(place) for place in target.places])
        compared = frames if self._source_pyramids else frames[:1]
        levels = [frame_pyramid(frame) for frame in compared]
        pose_motions = self._recorded_motions(target)
        height, width = frames.shape[1:3]
        maps = {
            name: values
            for added in self.additions
            for name, values in added.maps_of(target.place, (height, width)).items()
        }
        return TargetSample(
            id=self.ids[index],
            frames=frames,
            seen=None,
            pyramid=tuple(map(np.stack, zip(*levels, strict=True))),
            K=opened.K.astype(np.float32),
            source_T_target=self._loss_motions(target, pose_motions),
            true_motion=tuple(
                None if motion is None else motion.astype(np.float32) for motion in pose_motions
            ),
            valid=opened.valid,
            maps=maps,
        )

    def truth_of(self, index: int) -> VideoTruth:
        """True depth and motion of a target."""
        target = self.targets[index]
        sequence = self._sequences[target.place.sequence].sequence
        is_straight = sequence.camera.lens is None
        file = sequence.files[target.place.frame] if sequence.files else None
        return VideoTruth(
            depth=read_true_depth(file) if file is not None and is_straight else None,
            source_T_target=self._recorded_motions(target),
        )

    def _id_of(self, place: FramePlace) -> str:
        sequence = self._sequences[place.sequence].sequence
        name = sequence.files[place.frame].stem if sequence.files else f"{place.frame:06d}"
        return f"{sequence.id}/{name}"

    def _loss_motions(
        self, target: Target, motions: Sequence[Transform | None]
    ) -> tuple[Motion | None, ...]:
        """Motion to each source; None where the network predicts it."""
        if self._given is not None:
            pairs = [self._given[target.place, source] for source in target.sources]
            return tuple(transform.astype(np.float32) for transform in pairs)
        return tuple(
            transform.astype(np.float32)
            if transform is not None and (self._follows_poses or target.is_other_eye(source))
            else None
            for source, transform in zip(target.sources, motions, strict=True)
        )

    def _recorded_motions(self, target: Target) -> tuple[Transform | None, ...]:
        """Motion to each source by poses or baseline; None where unknown."""
        clip = self._sequences[target.place.sequence].sequence
        return tuple(
            self._stereo_motion(target)
            if target.is_other_eye(source)
            else clip.motion(source.frame, target.place.frame)
            for source in target.sources
        )

    def _stereo_motion(self, target: Target) -> Transform:
        shift = self._sequences[target.place.sequence].shift
        assert shift is not None, "targets with another eye know where it is"
        motion = np.eye(4)
        motion[0, 3] = shift
        return motion


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrames:
    """Frames that a run trains on and is validated with.

    Attributes:
        whole: All targets in the order of time.
        offsets: Offsets of the sources in time; 0 is the other camera of a stereo pair.
        left_out: Counts of other frames, with reasons.
    """

    training: VideoTargetFrames
    held_out: VideoTargetFrames
    whole: VideoTargetFrames
    offsets: tuple[int, ...]
    sequences: tuple[OpenClip, ...]
    notes: tuple[str, ...] = ()
    left_out: str = ""


AHEAD = 2
"""Number of prefetched batches."""


def batches(
    frames: VideoTargetFrames,
    *,
    seed: int,
    batch_size: int,
    start_step: int = 0,
    stride: int = 1,
    workers: int = 0,
    augmentation: VideoAugmentation | None = None,
    device: torch.device | str = "cpu",
) -> Generator[Batch, None, None]:
    """Yield batches without end, numbered from ``start_step`` through all epochs.

    ``stride`` is the number of processes, each of which starts at its rank; ``workers`` are
    threads.
    """
    if len(frames) < batch_size:
        raise InputError(
            f"{len(frames)} targets are fewer than a batch of {batch_size}: take a smaller batch, "
            "or more footage"
        )
    epoch_batches = len(frames) // batch_size

    def draw(step: int, slot: int) -> TargetSample:
        epoch, place = divmod(step, epoch_batches)
        index = int(_epoch_order(len(frames), seed, epoch)[place * batch_size + slot])
        views, rng = frames.sample_of(index), np.random.default_rng([seed, step, slot])
        return views if augmentation is None else augment(views, augmentation, rng)

    with closing(_draw_in_order(draw, batch_size, start_step, stride, workers)) as drawn:
        for step, views in drawn:
            yield Batch(
                step=step,
                epoch=step // epoch_batches,
                views=collate(views, device),
                ids=tuple(view.id for view in views),
            )


def _draw_in_order(
    draw: Callable[[int, int], TargetSample], size: int, start: int, stride: int, workers: int
) -> Generator[tuple[int, list[TargetSample]], None, None]:
    """Yield steps with their samples, drawn ahead by workers."""
    if not workers:
        for step in itertools.count(start, stride):
            yield step, [draw(step, slot) for slot in range(size)]
    with ThreadPoolExecutor(workers, "frames") as pool:
        waiting: deque[list[Future[TargetSample]]] = deque()
        try:
            for step in itertools.count(start, stride):
                while len(waiting) <= AHEAD:
                    ahead = step + stride * len(waiting)
                    waiting.append([pool.submit(draw, ahead, slot) for slot in range(size)])
                yield step, [future.result() for future in waiting.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)


@lru_cache(maxsize=4)
def _epoch_order(count: int, seed: int, epoch: int) -> Indices:
    return np.random.default_rng([seed, epoch]).permutation(count)
