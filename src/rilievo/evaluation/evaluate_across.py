"""Evaluate with predictions by several processes or machines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rilievo.data.datasets.dataset import Dataset
from rilievo.errors.messages import note_about
from rilievo.evaluation.benchmarks.benchmark import Benchmark, InputCrop
from rilievo.evaluation.evaluation_plan import make_plan
from rilievo.evaluation.evaluation_run import PredictedPart, predict_part, score_plan
from rilievo.evaluation.options import EvaluateOptions, ignore_pillow_warnings
from rilievo.evaluation.predictions.prediction_cache import PredictionCache, predict_into_cache
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.io.files.names import printable
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.predicting.consent import check_not_paid
from rilievo.predicting.options import BatchOptions
from rilievo.predicting.summary import Tally
from rilievo.predicting.work_processes import (
    Failure,
    Report,
    TaskFunction,
    distribute_work,
    threads_per_process,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PredictionWork:
    """Work of a process that predicts images of a dataset into a cache."""

    model: str
    options: EvaluateOptions
    cache: PredictionCache
    dataset: Dataset
    crop: InputCrop | str

    def open(self) -> TaskFunction:
        """Load the model, and return the function that predicts a list of image ids."""
        # Pillow warns of corrupt metadata that has no bearing on the pixels.
        ignore_pillow_warnings()
        loaded = self.options.load(self.model)
        check_not_paid(loaded)
        return partial(self._predict_images, mirrored(loaded, self.options))

    def name(self, item: str) -> str:
        """Name of a work item, which is an image id, as messages show it."""
        return printable(item)

    def _predict_images(self, model: Model, ids: Sequence[str], *, is_retry: bool) -> Report:
        """Predict images; a second try (``is_retry``) skips those whose file is complete."""
        ids_to_predict = ids
        if is_retry:
            absent, broken = self.cache.missing(ids)
            ids_to_predict = [*absent, *broken]
        silent_tally = Tally(output=self.cache.folder, total=1, show=False)
        failed = predict_into_cache(
            self.cache, model, self.dataset, self.crop, ids_to_predict, silent_tally
        )
        return Report(
            done=len(ids) - len(failed),
            failures=tuple(Failure(name=image.id, reason=image.reason) for image in failed),
        )


def evaluate_across(
    model: str | Path | None,
    benchmark: Benchmark | str,
    root: str | Path | None,
    options: EvaluateOptions,
    batch: BatchOptions,
    *,
    show: bool = True,
    shown_warnings: set[str] | None = None,
) -> Evaluation | PredictedPart:
    """Evaluate as ``evaluate`` does, with predictions by several processes or machines.

    With ``batch.shard`` only this part of the images is predicted, and nothing is scored. A later
    call without it scores all images. ``shown_warnings`` is as for ``score_plan``.
    """
    fill_cache = partial(_fill_cache_in_parallel, str(model), options, batch)
    if batch.shard is None:
        plan = make_plan(model, benchmark, root, options)
        return score_plan(plan, show=show, fill_cache=fill_cache, shown_warnings=shown_warnings)
    return predict_part(
        model,
        benchmark,
        root,
        options,
        is_in_part=batch.selected_shard.contains,
        show=show,
        fill_cache=fill_cache,
    )


def _fill_cache_in_parallel(
    model_name: str,
    options: EvaluateOptions,
    batch: BatchOptions,
    cache: PredictionCache,
    model: Model,
    dataset: Dataset,
    crop: InputCrop | str,
    ids: Sequence[str],
    tally: Tally,
) -> list[Unscored]:
    """Predict images by several processes, which load the model by its name.

    Images that fail are returned in the order of ``ids``.
    """
    threads = threads_per_process(batch, options.threads)
    work = _PredictionWork(
        model=model_name,
        options=replace(options, threads=threads),
        cache=cache,
        dataset=dataset,
        crop=crop,
    )
    failed: list[Unscored] = []
    for report in distribute_work(
        work, ids, count=len(ids), batch=batch, threads=threads, device=options.device
    ):
        for _ in range(report.done):
            tally.done()
        for failure in report.failures:
            failed.append(Unscored(id=failure.name, reason=failure.reason))
            tally.failed(note_about(printable(failure.name), failure.reason))
    index_by_id = {image_id: index for index, image_id in enumerate(ids)}
    return sorted(failed, key=lambda image: index_by_id[image.id])
