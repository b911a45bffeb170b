"""Anchor the affine depth of a video, by fitting each shot to a reference depth.

Affine depth has an unknown scale and shift. The reference depth, which the embedded model predicts
for the same frame, has no unknown shift, so a fit to it yields a surface. All frames of a shot
share one scale and shift (an ``Anchoring``). ``ShotFitter`` fits the shots of a video once all
frames are known, and ``StreamFitter`` those of a stream while frames arrive.

Where ``is_listed`` says that rilievo lists the model, its kind of depth is certain, and a weaker
correlation with the reference suffices.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock

import numpy as np

from rilievo.alignment.anchor import anchor_values, paired_values
from rilievo.arrays.shapes import Float32, Values
from rilievo.errors import CalibrationError, InputError
from rilievo.errors.messages import Text
from rilievo.predicting.photographs.anchoring import (
    anchoring_from_fit,
    is_listed_model,
    refused_anchoring,
)
from rilievo.predicting.videos.frame_comparison import FrameSample, compare_frames, sample_frame
from rilievo.predicting.videos.steadying import Correction
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Anchoring
from rilievo.records.sample import Photo

_MAX_SHOT_FRAMES = 8
"""Maximum number of frames that are sampled to fit a shot."""
_MAX_STREAM_GAP = 16
"""Maximum distance of two sampled frames of a stream."""
_MAX_FRAME_PIXELS = 512
"""Maximum number of sampled pixels of a frame."""

ReferenceFunction = Callable[[Photo], DepthMap]
"""Function that predicts the reference depth of a frame."""


@dataclass(frozen=True, slots=True)
class _FramePair:
    """Sampled affine values of one frame, and its reference depth at the same pixels."""

    frame: int
    values: Float32[np.ndarray, "n"]
    reference: Float32[np.ndarray, "n"]


def _frame_pair(frame: int, depth: DepthMap, reference: DepthMap) -> _FramePair:
    """Sample a frame's depth and reference depth at the same pixels."""
    values, reference_values = paired_values(depth, reference)
    step = max(1, math.ceil(values.size / _MAX_FRAME_PIXELS))
    return _FramePair(
        frame=frame,
        values=values[::step].astype(np.float32),
        reference=reference_values[::step].astype(np.float32),
    )


def _concatenate_as_float64(arrays: Sequence[Float32[np.ndarray, "_"]]) -> Values:
    return np.concatenate(arrays).astype(np.float64)


def _corrected_values(pair: _FramePair, corrections: Sequence[Correction]) -> Values:
    correction = corrections[pair.frame]
    return correction.scale * pair.values.astype(np.float64) + correction.shift


def _fit_or_refuse(
    values: Values, reference: Values, *, is_inverse: bool, is_listed: bool
) -> Anchoring:
    """Fit affine values to reference depth; if that fails, ``refused`` of the result says why."""
    try:
        fit = anchor_values(values, reference, is_inverse=is_inverse)
        return anchoring_from_fit(fit, is_listed=is_listed)
    except CalibrationError as error:
        return refused_anchoring(error)


class _ShotFrames:
    """A few frames that are sampled evenly over a shot, whose length is not known beforehand.

    Whenever there are too many, every second one is dropped and the stride is doubled.

    Attributes:
        first_frame: First frame of the shot.
        last_frame: Last frame of the shot that was seen so far, sampled or not.
        pairs: Sampled frames.
    """

    def __init__(self, first_frame: int) -> None:
        self.first_frame = first_frame
        self.last_frame = first_frame
        self.pairs: list[_FramePair] = []
        self._stride = 1

    def is_sampled(self, frame: int) -> bool:
        """Whether the stride includes a frame."""
        return (frame - self.first_frame) % self._stride == 0

    def add(self, pair: _FramePair) -> None:
        """Add a sampled frame; if there are too many, keep every second one."""
        self.pairs.append(pair)
        if len(self.pairs) > _MAX_SHOT_FRAMES:
            self._stride *= 2
            self.pairs = [kept for kept in self.pairs if self.is_sampled(kept.frame)]


class ShotFitter:
    """Fitter of the shots of a video to reference depth, by a few sampled frames of each shot."""

    def __init__(self, reference: ReferenceFunction, kind: DepthKind, *, is_listed: bool) -> None:
        """Prepare to collect frames of affine depth of one kind.

        ``reference`` is called for the few frames that are sampled.
        """
        self._reference = reference
        self._is_inverse = kind is DepthKind.AFFINE_INVERSE
        self._is_listed = is_listed
        self._shots: list[_ShotFrames] = []

    def add_frame(self, frame: int, first_frame: int, depth: DepthMap, photo: Photo) -> None:
        """Add the next frame, of the shot that begins with frame ``first_frame``.

        Every frame of the video is added, in order.
        """
        if not self._shots or self._shots[-1].first_frame != first_frame:
            self._shots.append(_ShotFrames(first_frame))
        shot = self._shots[-1]
        shot.last_frame = frame
        if shot.is_sampled(frame):
            shot.add(_frame_pair(frame, depth, self._reference(photo)))

    def fit_shots(self, corrections: Sequence[Correction]) -> tuple[Anchoring, ...]:
        """Fit each shot by its sampled frames, with ``corrections`` of all frames of the video.

        Raises:
            InputError: If a shot cannot be fitted.
        """
        return tuple(self._fit_shot(shot, corrections) for shot in self._shots)

    def _fit_shot(self, shot: _ShotFrames, corrections: Sequence[Correction]) -> Anchoring:
        anchoring = _fit_or_refuse(
            np.concatenate([_corrected_values(pair, corrections) for pair in shot.pairs]),
            _concatenate_as_float64([pair.reference for pair in shot.pairs]),
            is_inverse=self._is_inverse,
            is_listed=self._is_listed,
        )
        if anchoring.refused is not None:
            raise InputError(
                problem=Text(f"frames {shot.first_frame} to {shot.last_frame}: ", anchoring.refused)
            )
        return anchoring


class _OpenShot:
    """Shot of a stream that has not ended yet, with its newest sampled frames.

    Fitting takes time, so it is deferred: a frame is only sampled, and the shot only fitted, when
    someone reads the ``anchoring`` of the frame's prediction. Several threads may do so at once.
    """

    def __init__(self, first_frame: int) -> None:
        self._first_frame = first_frame
        # When the deque is full, the next frame replaces the oldest one.
        self._pairs: deque[_FramePair] = deque(maxlen=_MAX_SHOT_FRAMES)
        self._lock = Lock()

    def fit(
        self,
        frame: int,
        depth: DepthMap,
        photo: Photo,
        reference: ReferenceFunction,
        *,
        is_listed: bool,
    ) -> Anchoring:
        """Fit the shot up to a frame; if that fails, ``refused`` of the result says why."""
        try:
            pairs = self._sample_pairs(frame, depth, photo, reference)
        except CalibrationError as error:
            return refused_anchoring(error)
        return _fit_or_refuse(
            _concatenate_as_float64([pair.values for pair in pairs]),
            _concatenate_as_float64([pair.reference for pair in pairs]),
            is_inverse=depth.kind is DepthKind.AFFINE_INVERSE,
            is_listed=is_listed,
        )

    def _sample_pairs(
        self, frame: int, depth: DepthMap, photo: Photo, reference: ReferenceFunction
    ) -> list[_FramePair]:
        """Sample a frame if it is due, and return all sampled frames."""
        with self._lock:
            if self._is_sampled(frame):
                self._pairs.append(_frame_pair(frame, depth, reference(photo)))
            return list(self._pairs)

    def _is_sampled(self, frame: int) -> bool:
        """Whether to sample a frame. The samples are first close together, and then 16 apart.

        If every frame is asked for, these are the frames 0, 1, 2, 4, 8, 16, 32, 48, ...
        """
        if not self._pairs:
            return True
        last_frame = self._pairs[-1].frame
        # The distance doubles, because it is the age of the shot at the last sample.
        min_distance = min(_MAX_STREAM_GAP, max(1, last_frame - self._first_frame))
        return frame - last_frame >= min_distance


class StreamFitter:
    """Fitter of the shots of a stream to reference depth, while its frames arrive.

    Each affine frame is compared with the one before. At a cut, a new shot begins, whose scale and
    shift are fitted anew.
    """

    def __init__(self, reference: ReferenceFunction) -> None:
        self._reference = reference
        self._affine_frame_count = 0
        self._last_sample: FrameSample | None = None
        self._shot = _OpenShot(0)

    def add_frame(self, prediction: Prediction) -> Prediction:
        """Return the next frame's prediction with the anchoring of its shot.

        The shot is fitted when ``anchoring`` of the result is first read. A prediction whose depth
        needs no fit is returned unchanged.
        """
        depth = prediction.depth_or_none
        photo = prediction.photo
        if depth is None or depth.is_depth or photo is None:
            return prediction

        frame = self._affine_frame_count
        self._affine_frame_count += 1
        self._begin_shot_if_cut(frame, sample_frame(depth, photo))

        # ``partial`` keeps the shot of this frame. By the time it is called, self._shot may be
        # another one.
        fit_shot = partial(
            self._shot.fit,
            frame,
            depth,
            photo,
            self._reference,
            is_listed=is_listed_model(prediction.made_by),
        )
        with_anchoring = prediction.but()  # a copy
        with_anchoring.defer("anchoring", fit_shot)
        return with_anchoring

    def _begin_shot_if_cut(self, frame: int, sample: FrameSample) -> None:
        """Begin a new shot with a frame if it is the first one, or if there is a cut before it."""
        if self._last_sample is None or compare_frames(self._last_sample, sample).is_cut:
            self._shot = _OpenShot(frame)
        self._last_sample = sample
