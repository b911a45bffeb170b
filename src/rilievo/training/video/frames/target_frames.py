"""Targets of a run with their sources: read, augmented, and stacked into batches.

A batch depends on the seed and its own number alone.
"""

import copy
import hashlib
import itertools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
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
from rilievo.data.clips.sequences import Clip
from rilievo.data.datasets.true_depth import read_true_depth
from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.geometry.intrinsics import flip_K
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.training.arrays import FrameStack, Indices, Motion
from rilievo.training.engine.frame_colour import ColourChange, change_colours
from rilievo.training.losses.warped_frames import Views
from rilievo.training.tensors import Masks
from rilievo.training.video.batch_numbers import VideoTruth
from rilievo.training.video.frames.frame_store import FrameStore
from rilievo.training.video.frames.targets import FramePlace, Target
from rilievo.training.video.video_config import VideoAugmentation

_PYRAMID_SCALES = 3
"""Halvings of a frame's sides below the frame itself."""
_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0]).astype(np.float32)
"""Transform that mirrors x."""
PREFETCHED_BATCHES = 2
"""Batches that workers read ahead, beside the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSample:
    """One target frame and its sources, at the training size, as bytes.

    Attributes:
        frames: The target and then its sources.
        seen: The same frames with changed colours, as the networks see them; None for no change.
        pyramid: Frames at scales 1 to 3: the target, and its sources if they are compared there.
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
    """

    step: int
    epoch: int
    views: Views
    ids: tuple[str, ...]


def collate(samples: list[TargetSample], device: torch.device | str = "cpu") -> Views:
    """Stack samples into tensors on a device; colours become floats in 0..1."""
    map_names = samples[0].maps.keys()
    assert all(sample.maps.keys() == map_names for sample in samples), "all samples are of one set"
    frames = _stack_float_frames([sample.frames for sample in samples], device)
    seen_frames = frames
    if any(sample.seen is not None for sample in samples):
        seen_frames = _stack_float_frames(
            [sample.frames if sample.seen is None else sample.seen for sample in samples], device
        )
    target_pyramid, *source_pyramids = _stack_pyramids(samples, frames, device)
    motions_by_source = zip(*(sample.source_T_target for sample in samples), strict=True)
    true_motions_by_source = zip(*(sample.true_motion for sample in samples), strict=True)
    return Views(
        target=frames[0],
        sources=frames[1:],
        target_seen=seen_frames[0],
        sources_seen=seen_frames[1:],
        pyramid=target_pyramid,
        source_pyramids=tuple(source_pyramids) or None,
        K=_to_device(np.stack([sample.K for sample in samples]), device),
        source_T_target=tuple(
            _stack_motions_or_none(motions, device) for motions in motions_by_source
        ),
        true_motion=tuple(
            _stack_motions_or_nan(motions, device) for motions in true_motions_by_source
        ),
        valid=_stack_valid_masks(samples, device),
        maps={
            name: _to_device(np.stack([sample.maps[name] for sample in samples]), device)
            for name in map_names
        },
    )


def _stack_pyramids(
    samples: list[TargetSample],
    frames: tuple[Float32[Tensor, "b 3 h w"], ...],
    device: torch.device | str,
) -> list[tuple[Float32[Tensor, "b 3 _ _"], ...]]:
    """Pyramid of the targets and, if the samples have them, of each of their sources.

    ``frames`` are the finest level, the targets first.
    """
    num_coarser_levels = len(samples[0].pyramid)
    coarser_levels = [
        _stack_float_frames([sample.pyramid[level] for sample in samples], device)
        for level in range(num_coarser_levels)
    ]
    # Samples are stored level by level. Without coarser sources, the levels have targets alone, so
    # the zip ends after the pyramid of the targets.
    return list(zip(frames, *coarser_levels, strict=False))


def _stack_float_frames(
    stacks: list[FrameStack], device: torch.device | str
) -> tuple[Float32[Tensor, "b 3 h w"], ...]:
    """Batch of each frame in the stacks: of the targets, of their first sources, and so on."""
    # Bytes are sent to the device, and become floats there.
    byte_batches = _to_device(np.stack(stacks, axis=1), device)
    return tuple(
        batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        for batch in byte_batches
    )


def _stack_motions_or_none(
    motions: Sequence[Motion | None], device: torch.device | str
) -> Float32[Tensor, "b 4 4"] | None:
    """Stack the motions of the targets to one source; None if the network predicts them."""
    known_motions = [motion for motion in motions if motion is not None]
    if not known_motions:
        return None
    assert len(known_motions) == len(motions), "motion is known of all targets or of none"
    return _to_device(np.stack(known_motions), device)


def _stack_motions_or_nan(
    motions: Sequence[Motion | None], device: torch.device | str
) -> Float32[Tensor, "b 4 4"] | None:
    """Stack true motions to one source, with NaN where unknown; None if all are unknown."""
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
    """Mirror a sample and change its colours at random."""
    # All numbers are drawn, whether they are used or not, so that the later ones stay the same.
    flip_draw, jitter_draw = rng.random(2)
    colour_change = draw_colour_change(augmentation, rng)
    if flip_draw < augmentation.flip:
        sample = mirror_sample(sample, move_centre=augmentation.move_centre)
    if jitter_draw < augmentation.jitter:
        seen = np.stack([change_colours(frame, colour_change) for frame in sample.frames])
        sample = replace(sample, seen=seen)
    return sample


def draw_colour_change(augmentation: VideoAugmentation, rng: np.random.Generator) -> ColourChange:
    """Draw a random change of colours, which is meant for all frames of a sample."""

    def draw_factor(max_change: float) -> float:
        """Draw a factor in 1 ± ``max_change`` that is not negative."""
        return float(rng.uniform(max(0.0, 1 - max_change), 1 + max_change))

    # The order of the draws is part of what a seed means.
    brightness = draw_factor(augmentation.brightness)
    contrast = draw_factor(augmentation.contrast)
    saturation = draw_factor(augmentation.saturation)
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
        frames=_flip(sample.frames, axis=2),
        seen=None if sample.seen is None else _flip(sample.seen, axis=2),
        pyramid=tuple(_flip(level, axis=2) for level in sample.pyramid),
        K=K,
        source_T_target=_mirror_motions(sample.source_T_target),
        true_motion=_mirror_motions(sample.true_motion),
        valid=None if sample.valid is None else _flip(sample.valid, axis=1),
        maps={name: _flip(values, axis=1) for name, values in sample.maps.items()},
    )


def _mirror_motions(motions: tuple[Motion | None, ...]) -> tuple[Motion | None, ...]:
    return tuple(None if motion is None else _MIRROR @ motion @ _MIRROR for motion in motions)


def _flip(array: np.ndarray, *, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.flip(array, axis))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClip:
    """Clip whose frames are stored at the training size.

    Attributes:
        K: Intrinsics at the training size [px].
        valid: Pixels to learn from; None for all.
        eye_shift: x of the translation to the other camera of a stereo pair, in the unit of depth;
            None without such a camera.
    """

    clip: Clip
    frames: FrameStore
    K: Matrix
    valid: Mask | None = None
    eye_shift: float | None = None
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetMaps(ABC):
    """Source of maps that the losses take for each target, such as depth of a prior.

    ``names`` are the names of the maps in the losses.
    """

    names: tuple[str, ...]

    @abstractmethod
    def maps_for_target(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Maps of a target by name; ``size`` is (height, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMaps(TargetMaps):
    """Maps of targets in an ``.npy`` file of half precision.

    Attributes:
        index_by_target: Index of each target in the file.
    """

    path: Path
    index_by_target: Mapping[FramePlace, int]

    def maps_or_zeros(self, place: FramePlace) -> Float32[np.ndarray, "*n h w"]:
        """Stacked maps of a target; zeros if the file does not have the target."""
        stored_maps = np.load(self.path, mmap_mode="r")
        index = self.index_by_target.get(place)
        if index is None:
            return np.zeros(stored_maps.shape[1:], np.float32)
        return stored_maps[index].astype(np.float32)

    def maps_for_target(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Maps of a target by name."""
        # A file of one map per target has no axis for the maps.
        maps = self.maps_or_zeros(place).reshape(-1, *size)
        return dict(zip(self.names, maps, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class CornerMaps(TargetMaps):
    """Depth at triangulated corners, and 0 at other pixels.

    Attributes:
        corners: x [px], y [px] and depth, up to one factor per target, by target.
    """

    corners: Mapping[FramePlace, Points]
    names: tuple[str, ...] = ("corners",)

    def maps_for_target(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Depth map of the target's corners; no map at all if no target has corners."""
        if not self.corners:
            return {}
        height, width = size
        corners = self.corners.get(place, np.zeros((0, 3)))
        column, row = corners[:, :2].round().astype(int).T
        depth = np.zeros(size, np.float32)
        depth[row.clip(0, height - 1), column.clip(0, width - 1)] = corners[:, 2]
        return {self.names[0]: depth}


def store_maps(
    folder: Path,
    names: tuple[str, ...],
    key: str,
    places: Iterable[FramePlace],
    maps: Iterable[np.ndarray],
) -> StoredMaps:
    """Store maps of targets in a file, unless the folder has a file of the same key.

    ``names`` are the names of the maps in the losses, and ``key`` is a text that determines the
    maps. ``maps`` has those of each target, and is only read if they have to be stored.
    """
    key_hash = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = folder / f"{names[0]}-{key_hash}.npy"
    if not path.exists():
        stacked_maps = np.stack([*maps])
        make_folder(folder)
        with replacing(path) as temporary_path, temporary_path.open("wb") as file:
            np.save(file, stacked_maps)
    index_by_target = {place: index for index, place in enumerate(places)}
    return StoredMaps(path=path, index_by_target=index_by_target, names=names)


class VideoTargetFrames:
    """Targets of a run, which are read from stored frames.

    Attributes:
        targets: Places of the targets and of their sources.
        map_sources: Sources of the maps that the losses take.
    """

    def __init__(
        self,
        clips: Sequence[OpenClip],
        targets: Sequence[Target],
        *,
        source_pyramids: bool = False,
    ) -> None:
        """Prepare to read targets, and with ``source_pyramids`` pyramids of the sources too."""
        self._clips = tuple(clips)
        self._has_source_pyramids = source_pyramids
        self._follows_poses = False
        self._estimated_motions: Mapping[tuple[FramePlace, FramePlace], Transform] | None = None
        self.targets = tuple(targets)
        self.ids = tuple(self._make_id(target.place) for target in self.targets)
        self.map_sources: tuple[TargetMaps, ...] = ()

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> Size:
        """Height and width of the frames [px]."""
        return self._clips[0].frames.size

    def with_motion_from_poses(self) -> "VideoTargetFrames":
        """Copy of the targets whose motion comes from recorded poses, not from a pose network."""
        copied = copy.copy(self)
        copied._follows_poses = True
        return copied

    def targets_with_motion(
        self, motions: Mapping[tuple[FramePlace, FramePlace], Transform], *maps: TargetMaps
    ) -> "VideoTargetFrames":
        """Copy of those targets that have an estimated motion to all their sources.

        ``motions`` are ``source_T_target`` by target and source. They replace earlier estimates of
        the same pairs. ``maps`` are further maps of the targets.
        """
        all_motions = {**(self._estimated_motions or {}), **motions}
        indices_with_motion = [
            index
            for index, target in enumerate(self.targets)
            if all((target.place, source) in all_motions for source in target.sources)
        ]
        copied = self.subset(indices_with_motion)
        copied._estimated_motions = all_motions
        return copied.with_maps(*maps)

    def with_maps(self, *maps: TargetMaps) -> "VideoTargetFrames":
        """Copy of the targets that has further maps."""
        copied = copy.copy(self)
        copied.map_sources = (*self.map_sources, *maps)
        return copied

    def spread_subset(self, max_count: int, *, block: int = 1) -> "VideoTargetFrames":
        """Choose at most ``max_count`` targets, in blocks of about ``block`` neighbours.

        The blocks are spread evenly over all targets.
        """
        blocks = np.array_split(np.arange(len(self)), max(1, len(self) // block))
        num_blocks = max(1, max_count // block)
        block_indices = np.linspace(0, len(blocks) - 1, num_blocks).round().astype(int)
        # Unique, as there may be fewer blocks than are asked for.
        indices = np.concatenate([blocks[index] for index in np.unique(block_indices)])[:max_count]
        return self.subset([int(index) for index in indices])

    def subset(self, indices: Sequence[int]) -> "VideoTargetFrames":
        """Copy that has only the targets with these indices."""
        copied = copy.copy(self)
        copied.targets = tuple(self.targets[index] for index in indices)
        copied.ids = tuple(self.ids[index] for index in indices)
        return copied

    def read_frame(self, place: FramePlace) -> Pixels:
        """Read a frame; ``InputError`` if it is broken."""
        return self._clips[place.sequence].frames.frame(place.frame)

    def get_stride(self, place: FramePlace) -> int:
        """Number of frames from a frame of this sequence to its neighbours."""
        return self._clips[place.sequence].stride

    def get_K(self, target: Target) -> Matrix:
        """Intrinsics of a target [px]."""
        return self._clips[target.place.sequence].K

    def read_sample(self, index: int) -> TargetSample:
        """Read a target with its sources, motions and maps."""
        target = self.targets[index]
        open_clip = self._clips[target.place.sequence]
        frames = np.stack([self.read_frame(place) for place in target.places])
        recorded_motions = self._recorded_motions(target)
        maps: dict[str, Field] = {}
        for map_source in self.map_sources:
            maps |= map_source.maps_for_target(target.place, self.size)
        return TargetSample(
            id=self.ids[index],
            frames=frames,
            seen=None,
            pyramid=_coarser_levels(frames if self._has_source_pyramids else frames[:1]),
            K=open_clip.K.astype(np.float32),
            source_T_target=self._loss_motions(target, recorded_motions),
            true_motion=tuple(map(_to_float32, recorded_motions)),
            valid=open_clip.valid,
            maps=maps,
        )

    def read_truth(self, index: int) -> VideoTruth:
        """Ground truth of the depth and motion of a target, as far as it is known."""
        target = self.targets[index]
        clip = self._clips[target.place.sequence].clip
        depth = None
        # Stored depth does not fit a frame whose distortion was removed.
        is_as_stored = clip.camera.lens is None
        if clip.files and is_as_stored:
            depth = read_true_depth(clip.files[target.place.frame])
        return VideoTruth(depth=depth, source_T_target=self._recorded_motions(target))

    def _make_id(self, place: FramePlace) -> str:
        clip = self._clips[place.sequence].clip
        name = clip.files[place.frame].stem if clip.files else f"{place.frame:06d}"
        return f"{clip.id}/{name}"

    def _loss_motions(
        self, target: Target, recorded_motions: Sequence[Transform | None]
    ) -> tuple[Motion | None, ...]:
        """Motion to each source for the loss; None where the network predicts it."""
        motions: list[Transform | None] = []
        for source, recorded_motion in zip(target.sources, recorded_motions, strict=True):
            if self._estimated_motions is not None:
                motions.append(self._estimated_motions[target.place, source])
            elif self._follows_poses or target.is_other_eye(source):
                motions.append(recorded_motion)
            else:
                motions.append(None)
        return tuple(map(_to_float32, motions))

    def _recorded_motions(self, target: Target) -> tuple[Transform | None, ...]:
        """Motion to each source by poses or the baseline; None where it is not known."""
        clip = self._clips[target.place.sequence].clip
        return tuple(
            self._stereo_motion(target)
            if target.is_other_eye(source)
            else clip.motion(source.frame, target.place.frame)
            for source in target.sources
        )

    def _stereo_motion(self, target: Target) -> Transform:
        eye_shift = self._clips[target.place.sequence].eye_shift
        assert eye_shift is not None, "the shift to the other camera is known"
        motion = np.eye(4)
        motion[0, 3] = eye_shift
        return motion


def _coarser_levels(frames: FrameStack) -> tuple[UInt8[np.ndarray, "m _ _ 3"], ...]:
    """Frames at scales 1 to 3, stacked at each scale."""
    pyramids = [frame_pyramid(frame) for frame in frames]
    return tuple(np.stack(level) for level in zip(*pyramids, strict=True))


def frame_pyramid(frame: Pixels) -> tuple[UInt8[np.ndarray, "_ _ 3"], ...]:
    """Resize a frame to a half, a quarter and an eighth."""
    image = Image.fromarray(frame)
    levels: list[np.ndarray] = []
    for _ in range(_PYRAMID_SCALES):
        half_size = (image.width // 2, image.height // 2)
        image = image.resize(half_size, Image.Resampling.LANCZOS)
        levels.append(np.asarray(image))
    return tuple(levels)


def _to_float32(motion: Transform | None) -> Motion | None:
    return None if motion is None else motion.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrames:
    """Frames that a run trains on and is validated with.

    Attributes:
        all_targets: Targets of both kinds and between them, in the order of time.
        offsets: Offsets of the sources in time; 0 is the other camera of a stereo pair.
        notes: Notes on frames that are left out, and on the cameras.
        left_out: Description of the frames that are no targets: counts with reasons.
    """

    training: VideoTargetFrames
    held_out: VideoTargetFrames
    all_targets: VideoTargetFrames
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
    """Yield batches without end, each of which depends on the seed and its own number alone.

    Batches are numbered through all epochs. The first one is ``start_step``, and the numbers rise
    by ``stride``, which is the number of processes. So many ``workers`` read ahead in threads; with
    0 of them, this thread reads.
    """
    if len(frames) < batch_size:
        raise InputError(
            f"the footage has {count_text(len(frames), 'target frame')} to train on, fewer than "
            f"the batch size of {batch_size}: use a smaller batch or more footage"
        )
    batches_per_epoch = len(frames) // batch_size

    def read_sample(step: int, slot: int) -> TargetSample:
        """Read and augment the sample at position ``slot`` of the batch number ``step``."""
        epoch, batch_in_epoch = divmod(step, batches_per_epoch)
        order = _epoch_order(len(frames), seed, epoch)
        sample = frames.read_sample(int(order[batch_in_epoch * batch_size + slot]))
        if augmentation is None:
            return sample
        return augment(sample, augmentation, np.random.default_rng([seed, step, slot]))

    steps = itertools.count(start_step, stride)
    with closing(_read_batches(read_sample, batch_size, steps, workers)) as sample_batches:
        for step, samples in sample_batches:
            yield Batch(
                step=step,
                epoch=step // batches_per_epoch,
                views=collate(samples, device),
                ids=tuple(sample.id for sample in samples),
            )


def _read_batches(
    read_sample: Callable[[int, int], TargetSample],
    batch_size: int,
    steps: Iterator[int],
    workers: int,
) -> Generator[tuple[int, list[TargetSample]], None, None]:
    """Yield the number and the samples of each batch, read by this thread or ahead by workers.

    ``read_sample`` takes the number of a batch, and that of a sample within it.
    """
    if workers:
        yield from _read_batches_ahead(read_sample, batch_size, steps, workers)
        return
    for step in steps:
        yield step, [read_sample(step, slot) for slot in range(batch_size)]


def _read_batches_ahead(
    read_sample: Callable[[int, int], TargetSample],
    batch_size: int,
    steps: Iterator[int],
    workers: int,
) -> Generator[tuple[int, list[TargetSample]], None, None]:
    """``_read_batches`` with threads, which read ``PREFETCHED_BATCHES`` beside the next one."""
    pending: deque[tuple[int, list[Future[TargetSample]]]] = deque()
    with ThreadPoolExecutor(workers, "frames") as pool:
        try:
            for new_step in steps:
                futures = [pool.submit(read_sample, new_step, slot) for slot in range(batch_size)]
                pending.append((new_step, futures))
                if len(pending) > PREFETCHED_BATCHES:
                    step, finished = pending.popleft()
                    yield step, [future.result() for future in finished]
        finally:
            # Reached when the caller closes the generator, since the steps have no end.
            pool.shutdown(cancel_futures=True)


@lru_cache(maxsize=4)
def _epoch_order(num_targets: int, seed: int, epoch: int) -> Indices:
    """Random order of the indices of the targets in one pass through them."""
    return np.random.default_rng([seed, epoch]).permutation(num_targets)
