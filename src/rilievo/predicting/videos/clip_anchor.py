"""Anchoring of a video: a scale with a shift for each shot, from several of its frames."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from rilievo.alignment.anchor import anchor_values, paired
from rilievo.errors import CalibrationError, InputError
from rilievo.predicting.photographs.anchored_depth import refused_anchoring, stated_anchoring
from rilievo.predicting.videos.frame_answers import Correction
from rilievo.types import Anchoring, DepthKind, DepthMap, Photo

_FRAMES = 8
"""Most frames of a shot that are kept, evenly spread."""
_PLACES = 512
"""Most places of a frame that are kept."""

Reference = Callable[[Photo], DepthMap]
"""Function that gives the embedded model's depth of a frame."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Values of a frame beside the reference, at the same places."""

    frame: int
    x: Float32[np.ndarray, "n"]
    reference: Float32[np.ndarray, "n"]


class _Shot:
    """Evenly spread frames of a shot whose length is not known yet."""

    def __init__(self, first: int) -> None:
        self.first, self.stride = first, 1
        self.pairs: list[_Pair] = []

    def takes(self, frame: int) -> bool:
        """Whether a frame is one to keep."""
        return (frame - self.first) % self.stride == 0

    def add(self, pair: _Pair) -> None:
        """Keep a frame, and at ``_FRAMES`` only every second one from there on."""
        self.pairs.append(pair)
        if len(self.pairs) > _FRAMES:
            self.stride *= 2
            self.pairs = [each for each in self.pairs if self.takes(each.frame)]


class AnchorTrack:
    """Collector of the frames to which each shot of a video is anchored."""

    def __init__(self, reference: Reference, kind: DepthKind) -> None:
        self._reference, self._is_inverse = reference, kind is DepthKind.AFFINE_INVERSE
        self._shots: list[_Shot] = []

    def watch(self, frame: int, first: int, depth: DepthMap, photo: Photo) -> None:
        """Take the next frame, whose shot began at the frame ``first``."""
        if not self._shots or self._shots[-1].first != first:
            self._shots.append(_Shot(first))
        shot = self._shots[-1]
        if not shot.takes(frame):
            return
        x, reference = paired(depth, self._reference(photo))
        step = max(1, -(-x.size // _PLACES))
        shot.add(_Pair(frame, x[::step].astype(np.float32), reference[::step].astype(np.float32)))

    def anchorings(self, corrections: Sequence[Correction]) -> tuple[Anchoring, ...]:
        """One anchoring a shot, for answers after their corrections.

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

    def _anchoring(self, shot: _Shot, end: int, corrections: Sequence[Correction]) -> Anchoring:
        x = np.concatenate(
            [
                corrections[each.frame].scale * each.x.astype(np.float64)
                + corrections[each.frame].shift
                for each in shot.pairs
            ]
        )
        reference = np.concatenate([each.reference.astype(np.float64) for each in shot.pairs])
        try:
            found = stated_anchoring(anchor_values(x, reference, is_inverse=self._is_inverse))
        except CalibrationError as error:
            found = refused_anchoring(str(error))
        if found.refused is not None:
            raise InputError(f"frames {shot.first} to {end - 1}: {found.refused}")
        return found


def of_frame(anchorings: Sequence[Anchoring], shots: Sequence[int], frame: int) -> Anchoring | None:
    """Anchoring of a frame's shot; None if the video is not anchored."""
    return anchorings[bisect_right(shots, frame) - 1] if anchorings else None
