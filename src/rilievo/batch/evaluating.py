"""``rilievo evaluate`` by several processes: they predict, and scores are made of what they kept.

A cache has a file an image, so that processes and machines can fill one folder side by side.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.batch.options import BatchOptions
from rilievo.batch.predicting import refuse_paid
from rilievo.batch.spread import spread_out, threads_each
from rilievo.batch.work import Failure, Report
from rilievo.datasets.base import Dataset
from rilievo.errors import InputError
from rilievo.evaluate.benchmark import Benchmark, InputCrop
from rilievo.evaluate.cache import Cache
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.predicting import Fill, fill
from rilievo.evaluate.records import Evaluation, Unscored
from rilievo.evaluate.run import Kept, evaluate, keep_predictions
from rilievo.io.limits import printable
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.predicting.run import refined
from rilievo.predicting.summary import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepWork:
    """What is done with every image.

    Attributes:
        model: Its name, or its file.
        options: How it is loaded, with the threads that one process has.
        cache: Where predictions are kept.
        dataset: Gives the photographs.
        crop: Of the photographs, before the model.
    """

    model: str
    options: EvaluateOptions
    cache: Cache
    dataset: Dataset
    crop: InputCrop

    def open(self) -> "KeepHand":
        """Load the model.

        Raises:
            RilievoError: If there is no such model, or none here.
        """
        # Pillow warns of corrupt metadata that has no bearing on the pixels.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        options = self.options
        loaded = load_model(
            self.model,
            kind=options.kind,
            device=options.device,
            engine=options.engine,
            precision=options.precision,
            threads=options.threads,
            settings=options.model_settings,
        )
        refuse_paid(loaded)
        return KeepHand(self, refined(loaded, flip=options.flip, tile=None))

    def name(self, item: str) -> str:
        """The image."""
        return printable(item)


class KeepHand:
    """A model at work on tasks of images."""

    def __init__(self, work: KeepWork, model: Model) -> None:
        self._work, self._model = work, model

    def do(self, items: Sequence[str], *, again: bool) -> Report:
        """Predict some images; what a process that was killed had kept of them is done."""
        work = self._work
        wanted = [id for id in items if not (again and self._is_kept(id))]
        tally = Tally(output=work.cache.folder, total=1, show=False)
        failed = fill(work.cache, self._model, work.dataset, work.crop, wanted, tally)
        return Report(
            done=len(items) - len(failed),
            failures=tuple(Failure(name=each.id, reason=each.reason) for each in failed),
        )

    def _is_kept(self, id: str) -> bool:
        if not os.path.exists(self._work.cache.path_of(id)):
            return False
        try:
            self._work.cache.read(id)
        except InputError:
            return False
        return True


def evaluate_across(
    model: str | Path | None,
    benchmark: Benchmark | str,
    root: str | Path | None,
    options: EvaluateOptions,
    batch: BatchOptions,
    *,
    show: bool = True,
) -> Evaluation | Kept:
    """As ``evaluate``, with predictions made by several processes: the same files.

    A script calls this below ``if __name__ == "__main__"``, since it starts processes.

    Args:
        model: A name in ``MODELS`` or a file: every process loads it.
        benchmark: As ``evaluate`` has it.
        root: Where the dataset is on disk, of every machine.
        options: All else.
        batch: Which part of the images, by how many processes, on which machines.
        show: Whether to show progress on standard error.

    Returns:
        The evaluation; of one of several parts, what is kept of it, to be scored by a call
        without a part once all are there.

    Raises:
        RilievoError: As ``evaluate`` does.
    """
    filling = _filling(model, options, batch)
    if batch.shard is None:
        return evaluate(model, benchmark, root, options, show=show, filling=filling)
    takes = batch.share.takes
    return keep_predictions(
        model, benchmark, root, options, takes=takes, show=show, filling=filling
    )


def _filling(model: str | Path | None, options: EvaluateOptions, batch: BatchOptions) -> Fill:
    """A way to predict that takes the model by its name."""

    def spread(
        cache: Cache,
        loaded: Model,
        dataset: Dataset,
        crop: InputCrop,
        ids: Sequence[str],
        tally: Tally,
    ) -> list[Unscored]:
        del loaded  # every process loads its own
        threads = threads_each(batch, options.threads)
        work = KeepWork(
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
            for each in report.failures:
                failed.append(Unscored(id=each.name, reason=each.reason))
                tally.failed(f"{printable(each.name)}: {each.reason}")
        order = {id: place for place, id in enumerate(ids)}
        return sorted(failed, key=lambda each: order[each.id])

    return spread
