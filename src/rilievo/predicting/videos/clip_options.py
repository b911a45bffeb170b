"""Options of predicting one video."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.alignment.fit import Fit, to_depth
from rilievo.arrays.shapes import Mask
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.models.base import Inference, Model
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.metres.metric_references import MetricReferences
from rilievo.predicting.photographs.finishing import finish
from rilievo.predicting.run_times import Stopwatch
from rilievo.predicting.videos.shot_anchoring import ReferenceFunction
from rilievo.prediction import Prediction
from rilievo.prediction.saving import check_outputs
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Calibration, Setting
from rilievo.records.sample import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricConversion:
    """Conversion of all frames to metres, which the first frame has determined.

    Attributes:
        calibration: Record of the calibration, for files.
        is_anchored: Whether the fit applies to anchored depth.
    """

    fit: Fit
    calibration: Calibration
    is_anchored: bool = False

    def apply_to(self, prediction: Prediction) -> Prediction:
        """Convert a prediction to metres; depth that is not positive becomes invalid."""
        if self.is_anchored:
            prediction = prediction.anchored
        metres = to_depth(prediction.depth, self.fit)
        valid = prediction.depth.valid & (metres > 0) & np.isfinite(metres)
        metres[~valid] = 0
        depth = DepthMap(values=metres, kind=DepthKind.METRIC, valid=valid)
        anchoring = prediction.anchoring if self.is_anchored else None
        return prediction.but(
            depth_or_none=depth, calibration=self.calibration, anchoring=anchoring
        )


@runtime_checkable
class Finish(Protocol):
    """Function that makes the prediction of a frame from an inference."""

    def __call__(
        self,
        model: Model,
        inference: Inference,
        photo: Photo,
        *,
        clip: Callable[[Prediction], Prediction] | None = None,
    ) -> Prediction:
        """Make the prediction; ``clip`` adds the anchoring and the metres of the video."""
        ...


def make_finish_function(options: PhotoOptions) -> Finish:
    """Return a function that finishes frames like photographs, but without known sizes."""
    return partial(finish, options=options, references=MetricReferences())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOptions:
    """Options of one video.

    Attributes:
        outputs: Names in ``OUTPUTS``.
        temporal: Whether the scales of frames are aligned, and depth is averaged over time.
        prepare: Function that gives a frame the user's camera.
        checks_pixels: Whether ``prepare`` reads pixels.
        valid_mask: Pixels that the user calls valid, which ``prepare`` applies; None if all are.
        calibrate: Function that finds metres in the first frame, or returns None.
        finish: Function that makes the prediction of a frame.
        is_metric: Function that says whether the depth of a frame will be in metres.
        reference: Function that computes depth to which affine depth is fitted; None for no fit.
    """

    outputs: tuple[str, ...]
    save: SaveOptions = field(default_factory=SaveOptions)
    batch_size: int = 1
    temporal: bool = True
    prepare: Callable[[Photo], Photo] = lambda photo: photo
    checks_pixels: bool = False
    valid_mask: Mask | None = None
    calibrate: Callable[[Prediction], MetricConversion | None] = lambda first: None
    finish: Finish = field(
        default_factory=lambda: make_finish_function(PhotoOptions(anchor="off", own_depth="off"))
    )
    is_metric: Callable[[Photo], bool] = lambda photo: False
    reference: ReferenceFunction | None = None
    run: Mapping[str, Setting] = field(default_factory=dict)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        check_outputs(self.outputs)
