"""Anchoring of shots, from several frames; a stream's from the latest."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from rilievo.alignment.anchor import anchor_values, paired
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import CalibrationError, InputError
from rilievo.messages import template
from rilievo.predicting.photographs.fitting import (
    is_known,
    refused_anchoring,
    stated_anchoring,
)
from rilievo.predicting.videos.frame_answers import Correction
from rilievo.predicting.videos.scale_smoothing import FrameSample, compare, sample_of
from rilievo.prediction import Prediction
from rilievo.prediction_record import Anchoring
from rilievo.sample import Photo
from rilievo.shapes import Float32, Values

_FRAMES = 8
"""Most frames of a shot."""
_APART = 16
"""Frames between two of a stream."""
_PLACES = 512

Reference = Callable[[Photo], DepthMap]
"""Function to a frame's reference depth."""


@dataclass(frozen=True, slots=True)
class _FramePair:
    frame: int
    x: Float32[np.ndarray, "n"]
    reference: Float32[np.ndarray, "n"]


def _frame_pair(frame: int, depth: DepthMap, reference: DepthMap) -> _FramePair:
    x, z = paired(depth, reference)
    step = max(1, -(-x.size // _PLACES))
    return _FramePair(frame, x[::step].astype(np.float32), z[::step].astype(np.float32))


def _concatenate_as_float64(arrays: Sequence[Float32[np.ndarray, "_"]]) -> Values:
    return np.concatenate(arrays).astype(np.float64)


class _ShotFrames:
    def __init__(self, first: int) -> None:
        self.first, self.stride = first, 1
        self.pairs: list[_FramePair] = []

    def takes(self, frame: int) -> bool:
        return (frame - self.first) % self.stride == 0

    def add(self, pair: _FramePair) -> None:
        """Add a frame; when full, keep every second."""
        self.pairs.append(pair)
        if len(self.pairs) > _FRAMES:
            self.stride *= 2
            self.pairs = [frame_pair for frame_pair in self.pairs if self.takes(frame_pair.frame)]


class AnchorTrack:
    """Collector of frames that anchor shots."""

    def __init__(self, reference: Reference, kind: DepthKind, *, is_known: bool) -> None:
        self._reference, self._is_inverse = reference, kind is DepthKind.AFFINE_INVERSE
        self._is_known = is_known
        self._shots: list[_ShotFrames] = []

    def watch(self, frame: int, first: int, depth: DepthMap, photo: Photo) -> None:
        """Take the next frame of a shot."""
        if not self._shots or self._shots[-1].first != first:
            self._shots.append(_ShotFrames(first))
        shot = self._shots[-1]
        if not shot.takes(frame):
            return
        shot.add(_frame_pair(frame, depth, self._reference(photo)))

    def anchorings(self, corrections: Sequence[Correction]) -> tuple[Anchoring, ...]:
        """Anchorings of shots.

        Raises:
            InputError: If a shot cannot be anchored.
        """
        return tuple(
            self._anchoring(shot, end, corrections)
            for shot, end in zip(
                self._shots,
                [*(shot.first for shot in self._shots[1:]), len(corrections)],
                strict=True,
            )
        )

    def _anchoring(
        self, shot: _ShotFrames, end: int, corrections: Sequence[Correction]
    ) -> Anchoring:
        x = np.concatenate(
            [
                corrections[pair.frame].scale * pair.x.astype(np.float64)
                + corrections[pair.frame].shift
                for pair in shot.pairs
            ]
        )
        reference = _concatenate_as_float64([pair.reference for pair in shot.pairs])
        try:
            fitted = anchor_values(x, reference, is_inverse=self._is_inverse)
            anchoring = stated_anchoring(fitted, is_known=self._is_known)
        except CalibrationError as error:
            anchoring = refused_anchoring(error)
        if anchoring.refused is not None:
            raise InputError(
                problem=f"frames {shot.first} to {end - 1}: {template(anchoring.refused)}"
            )
        return anchoring


@dataclass(slots=True)
class _OpenShot:
    first: int
    pairs: deque[_FramePair] = field(default_factory=lambda: deque(maxlen=_FRAMES))
    lock: Lock = field(default_factory=Lock)

    def takes(self, frame: int) -> bool:
        """Whether to show frame 0, 1, 2, 4, 8, 16, 32, 48, ..."""
        if not self.pairs:
            return True
        last = self.pairs[-1].frame
        return frame - last >= min(_APART, max(1, last - self.first))

    def anchoring(
        self, frame: int, depth: DepthMap, photo: Photo, reference: Reference, *, is_known: bool
    ) -> Anchoring:
        with self.lock:
            try:
                if self.takes(frame):
                    self.pairs.append(_frame_pair(frame, depth, reference(photo)))
                x = _concatenate_as_float64([pair.x for pair in self.pairs])
                z = _concatenate_as_float64([pair.reference for pair in self.pairs])
                is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
                fitted = anchor_values(x, z, is_inverse=is_inverse)
                return stated_anchoring(fitted, is_known=is_known)
            except CalibrationError as error:
                return refused_anchoring(error)


class RunningAnchor:
    """Anchoring of a stream's frames in order."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._count = 0
        self._sample: FrameSample | None = None
        self._shot = _OpenShot(0)

    def watch(self, prediction: Prediction) -> Prediction:
        """Let the next frame be anchored on demand."""
        depth, photo = prediction.depth_or_none, prediction.photo
        if depth is None or depth.is_depth or photo is None:
            return prediction
        frame, self._count = self._count, self._count + 1
        sample = sample_of(depth, photo)
        if self._sample is None or compare(self._sample, sample).is_cut:
            self._shot = _OpenShot(frame)
        self._sample = sample
        shot, reference, is_familiar = self._shot, self._reference, is_known(prediction.made_by)
        anchored = prediction.but()
        anchored.defer(
            "anchoring",
            lambda: shot.anchoring(frame, depth, photo, reference, is_known=is_familiar),
        )
        return anchored
