"""Targets of a run with their sources."""

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rilievo.data.clips.sequences import Clip, pyramid_of
from rilievo.frozen import frozen
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.shapes import Field, Float32, Mask, Matrix, Pixels, Points, Size, Transform
from rilievo.training.arrays import Motion
from rilievo.training.video.batch_numbers import VideoTruth
from rilievo.training.video.frames.frame_store import FrameStore
from rilievo.training.video.frames.targets import FramePlace, Target, depth_beside
from rilievo.training.video.frames.video_batches import OneViews


@frozen
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


@frozen
class TargetMaps(ABC):
    """Maps of targets, under names that the losses take."""

    names: tuple[str, ...]

    @abstractmethod
    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Maps of a target."""


@frozen
class StoredMaps(TargetMaps):
    """Maps of targets in a file of half precision."""

    path: Path
    places: Mapping[FramePlace, int]

    def of(self, place: FramePlace) -> Float32[np.ndarray, "*n h w"]:
        """Maps of a target; zeros without an entry."""
        stored, index = np.load(self.path, mmap_mode="r"), self.places.get(place)
        if index is None:
            return np.zeros(stored.shape[1:], np.float32)
        return stored[index].astype(np.float32)

    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Maps of a target by name."""
        return dict(zip(self.names, self.of(place).reshape(-1, *size), strict=True))


@frozen
class CornerMaps(TargetMaps):
    """Depth of triangulated corners, 0 elsewhere.

    Attributes:
        corners: x [px], y [px], depth up to a factor.
    """

    corners: Mapping[FramePlace, Points]
    names: tuple[str, ...] = ("corners",)

    def maps_of(self, place: FramePlace, size: Size) -> Mapping[str, Field]:
        """Map of a target."""
        if not self.corners:
            return {}
        depth = np.zeros(size, np.float32)
        corners = self.corners.get(place, np.zeros((0, 3)))
        column, row = corners[:, :2].round().astype(int).T
        depth[row.clip(0, size[0] - 1), column.clip(0, size[1] - 1)] = corners[:, 2]
        return {self.names[0]: depth}


def stored_maps(
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

    def with_motion(
        self, motions: Mapping[tuple[FramePlace, FramePlace], Transform], *maps: TargetMaps
    ) -> "VideoTargetFrames":
        """Targets that have motion to all sources, with more maps."""
        all_motions = {**(self._given or {}), **motions}
        changed = self.at(
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

    def some(self, count: int, *, together: int = 1) -> "VideoTargetFrames":
        """Targets, ``count`` at most, in blocks of ``together``, spread over all."""
        blocks = np.array_split(np.arange(len(self)), max(1, len(self) // together))
        picked = np.linspace(0, len(blocks) - 1, max(1, count // together)).round().astype(int)
        chosen = np.concatenate([blocks[index] for index in np.unique(picked)])[:count]
        return self.at([int(index) for index in chosen])

    def at(self, indices: Sequence[int]) -> "VideoTargetFrames":
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

    def views_of(self, index: int) -> OneViews:
        """Target with its sources."""
        target = self.targets[index]
        opened = self._sequences[target.place.sequence]
        frames = np.stack([self.frame_of(place) for place in target.places])
        compared = frames if self._source_pyramids else frames[:1]
        levels = [pyramid_of(frame) for frame in compared]
        pose_motions = self._recorded_motion(target)
        height, width = frames.shape[1:3]
        maps = {
            name: values
            for added in self.additions
            for name, values in added.maps_of(target.place, (height, width)).items()
        }
        return OneViews(
            id=self.ids[index],
            frames=frames,
            seen=None,
            pyramid=tuple(map(np.stack, zip(*levels, strict=True))),
            K=opened.K.astype(np.float32),
            source_T_target=self._motion_to_feed(target, pose_motions),
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
            depth=depth_beside(file) if file is not None and is_straight else None,
            source_T_target=self._recorded_motion(target),
        )

    def _id_of(self, place: FramePlace) -> str:
        sequence = self._sequences[place.sequence].sequence
        name = sequence.files[place.frame].stem if sequence.files else f"{place.frame:06d}"
        return f"{sequence.id}/{name}"

    def _motion_to_feed(
        self, target: Target, motions: Sequence[Transform | None]
    ) -> tuple[Motion | None, ...]:
        """Motion for the loss; None where the network predicts it."""
        if self._given is not None:
            pairs = [self._given[target.place, source] for source in target.sources]
            return tuple(transform.astype(np.float32) for transform in pairs)
        return tuple(
            transform.astype(np.float32)
            if transform is not None and (self._follows_poses or target.is_other_eye(source))
            else None
            for source, transform in zip(target.sources, motions, strict=True)
        )

    def _recorded_motion(self, target: Target) -> tuple[Transform | None, ...]:
        """Motion of poses or the stereo pair; None where unknown."""
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


@frozen
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
