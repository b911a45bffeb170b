"""``rilievo evaluate`` in several processes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rilievo.data.datasets.dataset import Dataset
from rilievo.errors.messages import note_about
from rilievo.evaluation.benchmarks.benchmark import Benchmark, InputCrop
from rilievo.evaluation.evaluation_run import PredictedPart, evaluate, predict_part
from rilievo.evaluation.options import EvaluateOptions, ignore_pillow_warnings
from rilievo.evaluation.predictions.prediction_cache import (
    Fill,
    PredictionCache,
    predict_into_cache,
)
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.io.files.names import printable
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.predicting.options import BatchOptions
from rilievo.predicting.predict_across import refuse_paid
from rilievo.predicting.summary import Tally
from rilievo.predicting.work_processes import (
    Do,
    Failure,
    Report,
    distribute_work,
    threads_per_process,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FillWork:
    model: str
    options: EvaluateOptions
    cache: PredictionCache
    dataset: Dataset
    crop: InputCrop | str

    def open(self) -> Do:
        # Pillow warns of corrupt metadata that has no bearing on the pixels.
        ignore_pillow_warnings()
        loaded = self.options.load(self.model)
        refuse_paid(loaded)
        return partial(
            self._predict_items,
            mirrored(loaded, self.options),
        )

    def name(self, item: str) -> str:
        return printable(item)

    def _predict_items(self, model: Model, items: Sequence[str], *, again: bool) -> Report:
        """Predict items; ``again``: only those without a prediction."""
        wanted = items
        if again:
            absent, broken = self.cache.missing(items)
            wanted = [*absent, *broken]
        tally = Tally(output=self.cache.folder, total=1, show=False)
        failed = predict_into_cache(self.cache, model, self.dataset, self.crop, wanted, tally)
        return Report(
            done=len(items) - len(failed),
            failures=tuple(Failure(name=failure.id, reason=failure.reason) for failure in failed),
        )


def evaluate_across(
    model: str | Path | None,
    benchmark: Benchmark | str,
    root: str | Path | None,
    options: EvaluateOptions,
    batch: BatchOptions,
    *,
    show: bool = True,
) -> Evaluation | PredictedPart:
    """Evaluate as ``evaluate`` does, with predictions by several processes or machines.

    One of several parts only predicts; a call without a part scores all.
    """
    filling = _make_parallel_fill(model, options, batch)
    if batch.shard is None:
        return evaluate(model, benchmark, root, options, show=show, filling=filling)
    takes = batch.share.takes
    return predict_part(model, benchmark, root, options, takes=takes, show=show, filling=filling)


def _make_parallel_fill(
    model: str | Path | None, options: EvaluateOptions, batch: BatchOptions
) -> Fill:

    def spread(
        cache: PredictionCache,
        loaded: Model,
        dataset: Dataset,
        crop: InputCrop | str,
        ids: Sequence[str],
        tally: Tally,
    ) -> list[Unscored]:
        threads = threads_per_process(batch, options.threads)

        work = _FillWork(
            model=str(model),
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
        order = {id: place for place, id in enumerate(ids)}
        return sorted(failed, key=lambda failure: order[failure.id])

    return spread
