"""``rilievo evaluate`` in several processes."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rilievo.data.datasets.photo_files import Dataset
from rilievo.evaluation.benchmarks.benchmark import Benchmark, InputCrop
from rilievo.evaluation.evaluate_options import EvaluateOptions, ignore_odd_pictures
from rilievo.evaluation.evaluating import PredictedPart, evaluate, predict_part
from rilievo.evaluation.predictions.cache import Cache
from rilievo.evaluation.predictions.predicting import Fill, fill
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable
from rilievo.messages import at
from rilievo.models.base import Model
from rilievo.models.wrappers import mirrored
from rilievo.predicting.options import BatchOptions
from rilievo.predicting.summary import Tally
from rilievo.predicting.workers.predict_across import refuse_paid
from rilievo.predicting.workers.spreading import Do, Failure, Report, spread_out, threads_each


@frozen
class _FillWork:
    model: str
    options: EvaluateOptions
    cache: Cache
    dataset: Dataset
    crop: InputCrop | str

    def open(self) -> Do:
        # Pillow warns of corrupt metadata that has no bearing on the pixels.
        ignore_odd_pictures()
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
        failed = fill(self.cache, model, self.dataset, self.crop, wanted, tally)
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
        cache: Cache,
        loaded: Model,
        dataset: Dataset,
        crop: InputCrop | str,
        ids: Sequence[str],
        tally: Tally,
    ) -> list[Unscored]:
        threads = threads_each(batch, options.threads)

        work = _FillWork(
            model=str(model),
            options=replace(options, threads=threads),
            cache=cache,
            dataset=dataset,
            crop=crop,
        )
        failed: list[Unscored] = []
        for report in spread_out(
            work, ids, count=len(ids), batch=batch, threads=threads, device=options.device
        ):
            for _ in range(report.done):
                tally.done()
            for failure in report.failures:
                failed.append(Unscored(id=failure.name, reason=failure.reason))
                tally.failed(at(printable(failure.name), failure.reason))
        order = {id: place for place, id in enumerate(ids)}
        return sorted(failed, key=lambda failure: order[failure.id])

    return spread
