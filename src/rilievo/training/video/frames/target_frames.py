"""Targets of a run with their sources: read, augmented, and stacked into batches.

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
"""Transform that mirrors x."""
PREFETCHED_BATCHES = 2
"""Batches that workers read ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSample:
    """One target frame and its sources, at the training size, as bytes.

    Attributes:
        id: Name of the target.
        frames: The target and then its sources.
        seen: The same with changed colours, as the networks see them; None for no change.
        pyramid: The target at scales 1 to 3, with its sources if they are compared there.
        K: Intrinsics [px].
        source_T_target: Motion to each source; None where the network predicts it.
        true_motion: Motion to each source by poses or the baseline; None where it is not known.
        valid: Pixels to learn from; None for all.
        maps: Maps of the target that losses take, by name.
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
    """Batch of targets.

    Attributes:
        step: Number of the batch in the run, from 0.
        epoch: Number of the pass through the targets, from 0.
        views: Targets with their sources.
        ids: Names of the targets.
    """

    step: int
    epoch: int
    views: Views
    ids: tuple[str, ...]


def collate(samples: list[TargetSample], device: torch.device | str = "cpu") -> Views:
    """Stack samples into tensors on a device; colours become floats in 0..1."""
    first = samples[0]
    assert all(sample.maps.keys() == first.maps.keys() for sample in samples), "of one set"
    frames = _stack_float_frames([sample.frames for sample in samples], device)
    seen = frames
    if any(sample.seen is not None for sample in samples):
        seen = _stack_float_frames(
            [sample.frames if sample.seen is None else sample.seen for sample in samples], device
        )
    coarser_levels = [
        _stack_float_frames([sample.pyramid[level] for sample in samples], device)
        for level in range(len(first.pyramid))
    ]
    # Without pyramids of the sources, the coarser levels have the target alone.
    target_pyramid, *source_pyramids = zip(frames, *coarser_levels, strict=False)
    return Views(
        target=frames[0],
        sources=frames[1:],
        target_seen=seen[0],
        sources_seen=seen[1:],
        pyramid=target_pyramid,
        source_pyramids=tuple(source_pyramids) or None,
        K=_to_device(np.stack([sample.K for sample in samples]), device),
        source_T_target=tuple(
            _stack_motion_if_any([sample.source_T_target[source] for sample in samples], device)
            for source in range(len(first.source_T_target))
        ),
        true_motion=tuple(
            _stack_motion_or_nan([sample.true_motion[source] for sample in samples], device)
            for source in range(len(first.true_motion))
        ),
        valid=_stack_valid_masks(samples, device),
        maps={
            name: _to_device(np.stack([sample.maps[name] for sample in samples]), device)
            for name in first.maps
        },
    )


def _stack_float_frames(
    stacks: list[FrameStack], device: torch.device | str
) -> tuple[Float32[Tensor, "b 3 h w"], ...]:
    """Batch of each frame: of the targets, of their first sources, and so on."""
    batches_of_bytes = _to_device(np.stack(stacks, axis=1), device)
    return tuple(
        batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        for batch in batches_of_bytes
    )


def _stack_motion_if_any(
    motions: list[Motion | None], device: torch.device | str
) -> Float32[Tensor, "b 4 4"] | None:
    known_motions = [motion for motion in motions if motion is not None]
    if not known_motions:
        return None
    assert len(known_motions) == len(motions), "motion is known of all targets or of none"
    return _to_device(np.stack(known_motions), device)


def _stack_motion_or_nan(
    motions: list[Motion | None], device: torch.device | str
) -> Float32[Tensor, "b 4 4"] | None:
    if all(motion is None for motion in motions):
        return None
    unknown = np.full((4, 4), np.nan, np.float32)
    matrices = [unknown if motion is None else motion for motion in motions]
    return _to_device(np.stack(matrices), device)


def _stack_valid_masks(samples: list[TargetSample], device: torch.device | str) -> Masks | None:
    if all(sample.valid is None for sample in samples):
        return None
    everywhere = np.ones(samples[0].frames.shape[1:3], bool)
    masks = [everywhere if sample.valid is None else sample.valid for sample in samples]
    return _to_device(np.stack(masks), device)


def _to_device(array: np.ndarray, device: torch.device | str) -> Tensor:
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def augment(
    sample: TargetSample, augmentation: VideoAugmentation, rng: np.random.Generator
) -> TargetSample:
    """Mirror a sample and change its colours at random; the state of ``rng`` determines how."""
    flip, jitter = rng.random(2)
    change = draw_colour_change(augmentation, rng)
    if flip < augmentation.flip:
        sample = mirror_sample(sample, move_centre=augmentation.move_centre)
    if jitter < augmentation.jitter:
        seen = np.stack([change_colours(frame, change) for frame in sample.frames])
        sample = replace(sample, seen=seen)
    return sample


def draw_colour_change(augmentation: VideoAugmentation, rng: np.random.Generator) -> ColourChange:
    """Draw a change of colours at random, which is the same for all frames of a sample."""
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


def mirror_sample(sample: TargetSample, *, move_centre: bool = True) -> TargetSample:
    """Mirror a sample: x becomes -x, and motion M becomes S M S with S = diag(-1, 1, 1, 1).

    Without ``move_centre``, the principal point stays, as in the published program.
    """
    width = sample.frames.shape[2]
    K = flip_K(sample.K, width=width).astype(np.float32) if move_centre else sample.K
    return replace(
        sample,
        frames=_flip_axis(sample.frames, 2),
        seen=None if sample.seen is None else _flip_axis(sample.seen, 2),
        pyramid=tuple(_flip_axis(level, 2) for level in sample.pyramid),
        K=K,
        source_T_target=_mirror_motions(sample.source_T_target),
        true_motion=_mirror_motions(sample.true_motion),
        valid=None if sample.valid is None else _flip_axis(sample.valid, 1),
        maps={name: _flip_axis(values, 1) for name, values in sample.maps.items()},
    )


def _mirror_motions(motions: tuple[Motion | None, ...]) -> tuple[Motion | None, ...]:
    return tuple(None if motion is None else _MIRROR @ motion @ _MIRROR for motion in motions)


def _flip_axis(array: np.ndarray, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.flip(array, axis))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClip:
    """Sequence whose frames are stored.

    Attributes:
        K: Intrinsics at the training size [px].
        valid: Pixels to learn from; None for all.
        shift: x of the translation to the other camera of a stereo pair, in the unit of depth; None
            without such a camera.
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
    """Maps of targets that losses take, such as depth of a prior.

    Attributes:
        names: Names that the losses have for the maps.
    """

    names: tuple[str, ...]

    @abstractmethod
    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Maps of a target by name; ``size`` is (height, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMaps(TargetMaps):
    """Maps of targets in an ``.npy`` file.

    Attributes:
        path: File in half precision.
        places: Index of each target in the file.
    """

    path: Path
    places: Mapping[FramePlace, int]

    def maps_or_zeros(self, place: FramePlace) -> Float32[np.ndarray, "*n h w"]:
        """Stacked maps of a target; zeros if the file has none."""
        stored, index = np.load(self.path, mmap_mode="r"), self.places.get(place)
        if index is None:
            return np.zeros(stored.shape[1:], np.float32)
        return stored[index].astype(np.float32)

    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Maps of a target by name."""
        return dict(zip(self.names, self.maps_or_zeros(place).reshape(-1, *size), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class CornerMaps(TargetMaps):
    """Depth at triangulated corners, and 0 at other pixels.

    Attributes:
        corners: x [px], y [px] and depth up to one factor a target, by target.
    """

    corners: Mapping[FramePlace, Points]
    names: tuple[str, ...] = ("corners",)

    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Map of a target; none if no target has corners."""
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
    """Store maps of targets in a file, unless there is one of the same key.

    Args:
        folder: Folder of the file.
        names: Names that the losses have for the maps; the first one is part of the file's name.
        key: Text that determines the maps.
        places: Places of the targets.
        maps: Maps of each target, which are computed only if they are stored.
    """
    path = folder / f"{names[0]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        stacked_maps = np.stack([*maps])
        make_folder(folder)
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, stacked_maps)
    return StoredMaps(
        path=path, places={place: index for index, place in enumerate(places)}, names=names
    )


class VideoTargetFrames:
    """Targets of a run, which are read from stored frames.

    Attributes:
        targets: Places of the targets and of their sources.
        ids: Names of the targets.
        additions: Maps of targets for the losses.
    """

    def __init__(
        self,
        sequences: Sequence[OpenClip],
        targets: Sequence[Target],
        *,
        source_pyramids: bool = False,
    ) -> None:
        """Prepare to read targets; ``source_pyramids`` tells whether sources have pyramids too."""
        self._sequences, self.targets = tuple(sequences), tuple(targets)
        self._source_pyramids, self._follows_poses = source_pyramids, False
        self._estimated_motions: Mapping[tuple[FramePlace, FramePlace], Transform] | None = None
        self.additions: tuple[TargetMaps, ...] = ()
        self.ids = tuple(self._id_of(target.place) for target in self.targets)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> Size:
        """Height and width of the frames [px]."""
        return self._sequences[0].frames.size

    def with_motion_of_poses(self) -> "VideoTargetFrames":
        """Copy of the targets that has motion from recorded poses, not from a pose network."""
        changed = copy.copy(self)
        changed._follows_poses = True
        return changed

    def targets_with_motion(
        self, motions: Mapping[tuple[FramePlace, FramePlace], Transform], *maps: TargetMaps
    ) -> "VideoTargetFrames":
        """Copy of those targets that have an estimated motion to all their sources.

        Args:
            motions: ``source_T_target`` by target and source; earlier motions of others stay.
            maps: Further maps of the targets.
        """
        all_motions = {**(self._estimated_motions or {}), **motions}

        def has_motion(target: Target) -> bool:
            return all((target.place, source) in all_motions for source in target.sources)

        changed = self.subset(
            [index for index, target in enumerate(self.targets) if has_motion(target)]
        )
        changed._estimated_motions = all_motions
        return changed.with_maps(*maps)

    def with_maps(self, *maps: TargetMaps) -> "VideoTargetFrames":
        """Copy of the targets that has further maps."""
        changed = copy.copy(self)
        changed.additions = (*self.additions, *maps)
        return changed

    def spread_subset(self, count: int, *, block: int = 1) -> "VideoTargetFrames":
        """Choose at most ``count`` targets, in blocks of about ``block`` that are spread evenly."""
        blocks = np.array_split(np.arange(len(self)), max(1, len(self) // block))
        block_count = max(1, count // block)
        chosen_blocks = np.linspace(0, len(blocks) - 1, block_count).round().astype(int)
        indices = np.concatenate([blocks[index] for index in np.unique(chosen_blocks)])[:count]
        return self.subset([int(index) for index in indices])

    def subset(self, indices: Sequence[int]) -> "VideoTargetFrames":
        """Copy that has only the targets with these indices."""
        changed = copy.copy(self)
        changed.targets = tuple(self.targets[index] for index in indices)
        changed.ids = tuple(self.ids[index] for index in indices)
        return changed

    def frame_of(self, place: FramePlace) -> Pixels:
        """Read a frame; ``InputError`` if it is broken."""
        return self._sequences[place.sequence].frames.frame(place.frame)

    def stride_of(self, place: FramePlace) -> int:
        """Number of frames from a frame of this sequence to its neighbours."""
        return self._sequences[place.sequence].stride

    def K_of(self, target: Target) -> Matrix:
        """Intrinsics of a target [px]."""
        return self._sequences[target.place.sequence].K

    def sample_of(self, index: int) -> TargetSample:
        """Read a target with its sources, motions and maps."""
        target = self.targets[index]
        sequence = self._sequences[target.place.sequence]
        frames = np.stack([self.frame_of(place) for place in target.places])
        frames_with_pyramid = frames if self._source_pyramids else frames[:1]
        pyramids = [frame_pyramid(frame) for frame in frames_with_pyramid]
        recorded_motions = self._recorded_motions(target)
        height, width = frames.shape[1:3]
        maps: dict[str, Field] = {}
        for addition in self.additions:
            maps |= addition.maps_of(target.place, (height, width))
        return TargetSample(
            id=self.ids[index],
            frames=frames,
            seen=None,
            pyramid=tuple(map(np.stack, zip(*pyramids, strict=True))),
            K=sequence.K.astype(np.float32),
            source_T_target=self._loss_motions(target, recorded_motions),
            true_motion=tuple(
                None if motion is None else motion.astype(np.float32) for motion in recorded_motions
            ),
            valid=sequence.valid,
            maps=maps,
        )

    def truth_of(self, index: int) -> VideoTruth:
        """Ground truth of depth and motion of a target, as far as it is known."""
        target = self.targets[index]
        sequence = self._sequences[target.place.sequence].sequence
        # Depth of a distorted frame does not fit the undistorted one.
        is_undistorted = sequence.camera.lens is None
        file = sequence.files[target.place.frame] if sequence.files else None
        return VideoTruth(
            depth=read_true_depth(file) if file is not None and is_undistorted else None,
            source_T_target=self._recorded_motions(target),
        )

    def _id_of(self, place: FramePlace) -> str:
        sequence = self._sequences[place.sequence].sequence
        name = sequence.files[place.frame].stem if sequence.files else f"{place.frame:06d}"
        return f"{sequence.id}/{name}"

    def _loss_motions(
        self, target: Target, recorded_motions: Sequence[Transform | None]
    ) -> tuple[Motion | None, ...]:
        """Motion to each source for the loss; None where the network predicts it."""
        motions: list[Motion | None] = []
        for source, recorded_motion in zip(target.sources, recorded_motions, strict=True):
            if self._estimated_motions is not None:
                motion = self._estimated_motions[target.place, source]
            elif self._follows_poses or target.is_other_eye(source):
                motion = recorded_motion
            else:
                motion = None
            motions.append(None if motion is None else motion.astype(np.float32))
        return tuple(motions)

    def _recorded_motions(self, target: Target) -> tuple[Transform | None, ...]:
        """Motion to each source by poses or the baseline; None where it is not known."""
        clip = self._sequences[target.place.sequence].sequence
        return tuple(
            self._stereo_motion(target)
            if target.is_other_eye(source)
            else clip.motion(source.frame, target.place.frame)
            for source in target.sources
        )

    def _stereo_motion(self, target: Target) -> Transform:
        shift = self._sequences[target.place.sequence].shift
        assert shift is not None, "the shift to the other camera is known"
        motion = np.eye(4)
        motion[0, 3] = shift
        return motion


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrames:
    """Frames that a run trains on and is validated with.

    Attributes:
        training: Targets to train on.
        held_out: Targets to validate on.
        whole: All targets, in the order of time.
        offsets: Offsets of the sources in time; 0 is the other camera of a stereo pair.
        sequences: Sequences of these frames.
        notes: Notes on frames that are left out, and on the cameras.
        left_out: Counts of frames that are no targets, with reasons.
    """

    training: VideoTargetFrames
    held_out: VideoTargetFrames
    whole: VideoTargetFrames
    offsets: tuple[int, ...]
    sequences: tuple[OpenClip, ...]
    notes: tuple[str, ...] = ()
    left_out: str = ""


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
    """Yield batches without end.

    Every batch depends on the seed and its own number alone.

    Args:
        frames: Targets.
        seed: Seed of the order of the targets and of augmentation.
        batch_size: Targets per batch.
        start_step: Number of the first batch, from 0 through all epochs.
        stride: Difference of the numbers of successive batches: the number of processes.
        workers: Threads that read ahead; 0 to read in this thread.
        augmentation: Augmentation; None for none.
        device: Device of the tensors.

    Raises:
        InputError: If there are fewer targets than a batch has.
    """
    if len(frames) < batch_size:
        raise InputError(
            f"{len(frames)} targets are fewer than a batch of {batch_size}: take a smaller batch, "
            "or more footage"
        )
    epoch_batches = len(frames) // batch_size

    def read_sample(step: int, slot: int) -> TargetSample:
        epoch, batch_in_epoch = divmod(step, epoch_batches)
        order = _epoch_order(len(frames), seed, epoch)
        sample = frames.sample_of(int(order[batch_in_epoch * batch_size + slot]))
        if augmentation is None:
            return sample
        return augment(sample, augmentation, np.random.default_rng([seed, step, slot]))

    with closing(
        _read_in_order(read_sample, batch_size, start_step, stride, workers)
    ) as numbered_samples:
        for step, samples in numbered_samples:
            yield Batch(
                step=step,
                epoch=step // epoch_batches,
                views=collate(samples, device),
                ids=tuple(sample.id for sample in samples),
            )


def _read_in_order(
    read_sample: Callable[[int, int], TargetSample],
    batch_size: int,
    start_step: int,
    stride: int,
    workers: int,
) -> Generator[tuple[int, list[TargetSample]], None, None]:
    """Yield the number and the samples of each batch; workers read those of the next batches."""
    if not workers:
        for step in itertools.count(start_step, stride):
            yield step, [read_sample(step, slot) for slot in range(batch_size)]

    with ThreadPoolExecutor(workers, "frames") as pool:
        pending: deque[list[Future[TargetSample]]] = deque()
        try:
            for step in itertools.count(start_step, stride):
                while len(pending) <= PREFETCHED_BATCHES:
                    next_step = step + stride * len(pending)
                    pending.append(
                        [pool.submit(read_sample, next_step, slot) for slot in range(batch_size)]
                    )
                yield step, [future.result() for future in pending.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)


@lru_cache(maxsize=4)
def _epoch_order(count: int, seed: int, epoch: int) -> Indices:
    """Order of the targets in one pass through them."""
    return np.random.default_rng([seed, epoch]).permutation(count)
