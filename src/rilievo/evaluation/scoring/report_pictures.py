"""Photographs, predictions and truth of an evaluation, in the form in which they were scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rilievo.alignment.fit import Fit
from rilievo.arrays.shapes import Mask, Pixels, Vectors
from rilievo.data.datasets.dataset import Dataset
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.scoring.comparable_depth import comparable_depth
from rilievo.evaluation.scoring.placing import PlacedPrediction, read_placed
from rilievo.evaluation.scoring.regions import (
    crop_for_model,
    depth_mask,
    normals_mask,
    truth_in_view,
    truth_size,
)
from rilievo.evaluation.scoring.resizing import resize_normals
from rilievo.evaluation.stored_predictions import Predictions, StoredPrediction
from rilievo.pages.pictures import (
    Panel,
    PredictedMaps,
    choose_max_error,
    comparison_panels,
    photo_panel,
)
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy, PredictionRecord
from rilievo.records.sample import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPictures:
    """Maps that a report shows: photographs, predictions and truth, all of the truth's size.

    Attributes:
        scene_fits: Alignment of each image's scene, by image; empty if images are aligned alone.
    """

    benchmark: Benchmark
    dataset: Dataset
    predictions: Predictions
    scene_fits: Mapping[str, Fit] = field(default_factory=dict)

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings that made the predictions."""
        return self.predictions.made_by

    @property
    def kind(self) -> DepthKind | None:
        """Kind of the predicted depth."""
        return self.predictions.kind

    def read(self, image_id: str) -> PredictionRecord:
        """Prediction of an image: depth [m] as scored, or unit normals.

        Where 8-bit pictures are scored, it is the prediction as the model made it.
        """
        if self.benchmark.task is Task.PICTURE:
            return self.predictions.read(image_id)
        return StoredPrediction(
            depth_or_none=self.depth(image_id),
            normals=self.normals(image_id),
            sky=self.sky(image_id),
            made_by=self.made_by,
        )

    def photo(self, image_id: str) -> Pixels:
        """Photograph as the model saw it."""
        return crop_for_model(self.dataset.image(image_id), self.benchmark.input_crop)

    def depth(self, image_id: str) -> DepthMap | None:
        """Predicted depth [m] as scored; None if the benchmark does not score depth."""
        if self.benchmark.task is not Task.DEPTH:
            return None
        placed = self._placed_prediction(image_id)
        comparable = comparable_depth(
            self.benchmark,
            placed.prediction.depth,
            placed.truth,
            self.scene_fits.get(image_id),
        )
        # Pixels without a prediction that are scored as far are shown as far.
        valid = comparable.aligned.depth.valid | comparable.mask
        return DepthMap(values=comparable.depth, kind=DepthKind.METRIC, valid=valid)

    def normals(self, image_id: str) -> Vectors | None:
        """Predicted unit normals; None if the benchmark does not score normals."""
        if self.benchmark.task is not Task.NORMALS:
            return None
        placed = self._placed_prediction(image_id)
        predicted, size = placed.prediction.normals, truth_size(placed.truth)
        assert predicted is not None, "an image with a score of normals has normals"
        normals = resize_normals(predicted, size, self.benchmark.interpolation)
        with np.errstate(invalid="ignore"):
            lengths = np.linalg.norm(normals, axis=0)
            # Vectors of length zero stay zero.
            return normals / np.where(lengths > 0, lengths, np.float32(1))

    def sky(self, image_id: str) -> Mask | None:
        """Predicted sky; None if it has not the truth's size, or the benchmark scores no depth."""
        if self.benchmark.task is not Task.DEPTH:
            return None
        placed = self._placed_prediction(image_id)
        sky = placed.prediction.sky
        return sky if sky is not None and sky.shape == truth_size(placed.truth) else None

    def truth(self, image_id: str) -> Truth:
        """Ground truth that is valid only at the pixels that are scored."""
        truth = truth_in_view(self.benchmark, self.dataset.truth(image_id))
        if self.benchmark.task is Task.NORMALS:
            return replace(truth, normals_valid=normals_mask(self.benchmark, truth))
        if self.benchmark.task is Task.DEPTH:
            return replace(truth, depth_valid=depth_mask(self.benchmark, truth))
        return truth

    def _placed_prediction(self, image_id: str) -> PlacedPrediction:
        return read_placed(self.benchmark, self.dataset, self.predictions, image_id)


def image_panels(
    image_id: str,
    pictures: Mapping[str, ReportPictures],
    typical_errors: list[float],
    *,
    shows_normals: bool | None = None,
) -> tuple[Panel, ...]:
    """Pictures of one image: photograph, ground truth, and each run's prediction and error.

    The range of the error's colours is chosen from the runs' typical AbsRel, if there are any. With
    ``shows_normals=None``, the first run decides whether depth or normals are shown.
    """
    predictions = {
        name: PredictedMaps(
            depth=reader.depth(image_id),
            normals=reader.normals(image_id),
            sky=reader.sky(image_id),
        )
        for name, reader in pictures.items()
    }
    first_name, first = next(iter(pictures.items()))
    if shows_normals is None:
        shows_normals = predictions[first_name].depth is None
    panels = comparison_panels(
        first.truth(image_id),
        predictions,
        choose_max_error(typical_errors),
        depth=not shows_normals,
        normals=shows_normals,
    )
    return (photo_panel(first.photo(image_id)), *panels)
