"""How one video is predicted and written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rilievo.alignment import Fit, to_depth
from rilievo.io.writing import SaveOptions
from rilievo.types import Calibration, DepthKind, DepthMap, Photo, Prediction, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How a video's depth becomes metres: what the first frame told.

    Attributes:
        fit: From the model's numbers of the first frame to metres.
        facts: For the JSON.
    """

    fit: Fit
    facts: Calibration

    def applied_to(self, prediction: Prediction) -> Prediction:
        """A prediction in metres, whose numbers have the scale (and shift) of the first frame.

        Pixels that the fit leaves without a positive depth are not valid any more.
        """
        metres = to_depth(prediction.depth, self.fit)
        valid = prediction.depth.valid & (metres > 0) & np.isfinite(metres)
        metres[~valid] = 0
        depth = DepthMap(values=metres, kind=DepthKind.METRIC, valid=valid)
        return replace(prediction, depth_or_none=depth, calibration=self.facts)


def _same(photo: Photo) -> Photo:
    return photo


def _unknown(_: Prediction) -> Metric | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOptions:
    """How one video is predicted and written.

    Attributes:
        outputs: Names in ``OUTPUTS``.
        save: How they are written. One colour range serves the whole video.
        batch_size: Frames that go through the network together.
        temporal: Whether the scales of frames are brought together.
        prepare: Gives a frame the camera that the user named.
        calibrate: Metres from the first frame; None where nothing is known.
        run: What else was asked, for the JSON.
    """

    outputs: tuple[str, ...]
    save: SaveOptions = field(default_factory=SaveOptions)
    batch_size: int = 1
    temporal: bool = True
    prepare: Callable[[Photo], Photo] = _same
    calibrate: Callable[[Prediction], Metric | None] = _unknown
    run: Mapping[str, Setting] = field(default_factory=dict)
