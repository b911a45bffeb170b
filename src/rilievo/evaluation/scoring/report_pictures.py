"""Pictures of an evaluation: photographs, predictions and truth as they were scored."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rilievo.alignment.fit import Fit
from rilievo.data.datasets.photo_files import Dataset
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.scoring.metres import in_metres
from rilievo.evaluation.scoring.placing import placed
from rilievo.evaluation.scoring.regions import (
    depth_mask,
    normals_mask,
    shown_to_model,
    size_of,
    truth_for,
)
from rilievo.evaluation.scoring.resizing import normals_at
from rilievo.evaluation.stored_predictions import Predictions, StoredPrediction
from rilievo.frozen import frozen
from rilievo.prediction_record import MadeBy, PredictionRecord
from rilievo.sample import Truth
from rilievo.shapes import Mask, Pixels, Vectors


@frozen
class ReportPictures:
    """The few pictures that a report or a comparison shows, read when asked for.

    All arrays of one image have the same size: that of its truth under the benchmark, which is
    the photograph's after the benchmark's input crop. An image that cannot be read any more raises
    a ``RilievoError``.

    Attributes:
        fit_of: Fit of an image's scene, where it has no fit of its own.
    """

    benchmark: Benchmark
    dataset: Dataset
    predictions: Predictions
    fit_of: Callable[[str], Fit | None] = lambda _: None

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings that made the predictions."""
        return self.predictions.made_by

    @property
    def kind(self) -> DepthKind | None:
        """Kind of the depth that was predicted."""
        return self.predictions.kind

    def read(self, id: str) -> PredictionRecord:
        """Depth in metres, as aligned and clipped; normals of unit length.

        Depth that was scored as a picture is returned in the model's own values.
        """
        if self.benchmark.task is Task.PICTURE:
            return self.predictions.read(id)
        return StoredPrediction(
            depth_or_none=self.depth(id),
            normals=self.normals(id),
            sky=self.sky(id),
            made_by=self.made_by,
        )

    def photo(self, id: str) -> Pixels:
        """The photograph as the model saw it, RGB."""
        return shown_to_model(self.dataset.image(id), self.benchmark.input_crop)

    def depth(self, id: str) -> DepthMap | None:
        """Predicted depth [m] as it was scored; None where the task is another."""
        if self.benchmark.task is not Task.DEPTH:
            return None
        prediction = self._placed(id)
        metres = in_metres(self.benchmark, prediction.depth, self._cut(id), self.fit_of(id))
        # Pixels that were charged as far have no answer, but were scored.
        valid = metres.aligned.depth.valid | metres.mask
        return DepthMap(values=metres.depth, kind=DepthKind.METRIC, valid=valid)

    def normals(self, id: str) -> Vectors | None:
        """Predicted normals of unit length; None where the task is another."""
        if self.benchmark.task is not Task.NORMALS:
            return None
        prediction = self._placed(id)
        assert prediction.normals is not None, "an image with a score of normals has normals"
        size = size_of(self._cut(id))
        normals = normals_at(prediction.normals, size, self.benchmark.interpolation)
        with np.errstate(invalid="ignore"):
            length = np.linalg.norm(normals, axis=0)
            return normals / np.where(length > 0, length, np.float32(1))

    def sky(self, id: str) -> Mask | None:
        """Sky of a prediction that has the truth's size; None where it is not known."""
        sky = self._placed(id).sky if self.benchmark.task is Task.DEPTH else None
        return None if sky is None or sky.shape != size_of(self._cut(id)) else sky

    def truth(self, id: str) -> Truth:
        """Ground truth; its masks hold just the pixels that were scored."""
        truth = self._cut(id)
        if self.benchmark.task is Task.NORMALS:
            return replace(truth, normals_valid=normals_mask(self.benchmark, truth))
        if self.benchmark.task is Task.DEPTH:
            return replace(truth, depth_valid=depth_mask(self.benchmark, truth))
        return truth

    def _placed(self, id: str) -> PredictionRecord:
        return placed(self.benchmark, self.predictions.read(id), self.dataset.truth(id)).prediction

    def _cut(self, id: str) -> Truth:
        return truth_for(self.benchmark, self.dataset.truth(id))
