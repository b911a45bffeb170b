"""Plan of an evaluation: what it reads, predicts, aligns and scores, settled at its beginning.

All that can be refused is refused here, before the first photograph is predicted.
"""

from collections.abc import Mapping
from pathlib import Path

from rilievo.alignment import AlignMethod
from rilievo.alignment.lines import PointFit
from rilievo.cores import cores
from rilievo.errors import OptionError, RilievoError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.predictions.given import find_predictions
from rilievo.evaluation.predictions.predicting import (
    AnyModel,
    find_cache,
    load_model_of,
    model_name,
)
from rilievo.evaluation.results.evaluation_folder import check_results
from rilievo.evaluation.scoring.metres import FITTED, method_for
from rilievo.evaluation.scoring.pool import check_memory_of_scores
from rilievo.evaluation.scoring.scenes import needs_scenes, scene_of
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.stored_predictions import Source
from rilievo.frozen import frozen
from rilievo.io.files.atomic import check_folder
from rilievo.models.base import Model


@frozen
class Plan:
    """All that an evaluation does.

    Attributes:
        selection: Images that are read, and the benchmark that scores them.
        source: Predictions, those that the model has still to make too, and the results' folder.
        model: Model that predicts, before it is refined; None where all predictions are files.
        method: Alignment of the predictions; None where nothing is fitted.
        workers: Most processes that score.
        command: Command that repeats the evaluation.
        asked: Words of its options, by their names.
    """

    selection: Selection
    source: Source
    model: Model | None
    method: AlignMethod | PointFit | str | None
    options: EvaluateOptions
    workers: int
    command: str
    asked: Mapping[str, tuple[str, ...]]


def make_plan(
    model: AnyModel,
    benchmark: Benchmark | str,
    root: str | Path | None,
    options: EvaluateOptions,
    *,
    scores: bool = True,
) -> Plan:
    """Plan an evaluation; arguments are those of ``evaluate``.

    Without ``scores`` it only predicts, and needs neither truth nor the memory of scores.

    Raises:
        OptionError: If names are unknown or options do not go together.
        InputError: If the root is not the dataset, or lacks what the benchmark scores.
        OutputError: If the folder cannot be written or holds other results.
    """
    chosen = benchmark if isinstance(benchmark, Benchmark) else find_benchmark(benchmark)
    selection = select_images(chosen, root, options)
    loaded = None if options.predictions is not None else load_model_of(model, options)
    return plan_scores(
        selection,
        model=model,
        loaded=loaded,
        asked=(chosen.name, root),
        options=options,
        scores=scores,
    )


def plan_scores(
    selection: Selection,
    *,
    model: AnyModel,
    loaded: Model | None,
    asked: tuple[str, str | Path | None],
    options: EvaluateOptions,
    is_whole: bool = False,
    scores: bool = True,
) -> Plan:
    """Plan the scores of images that are selected: what depends on files beside the dataset.

    Args:
        selection: Images and benchmark.
        model: Model as the user names it.
        loaded: Model itself, for options without predictions.
        asked: Benchmark and root as the user names them.
        options: All else.
        is_whole: Whether all is cached that the model predicts, whatever the benchmark scores.
        scores: Whether predictions are scored, too.
    """
    benchmark, workers = selection.benchmark, options.workers or cores()
    name = model_name(model)
    if options.predictions is None:
        assert loaded is not None, "what predicts is loaded before"
        source = find_cache(loaded, selection, options, is_whole=is_whole)
    else:
        source = find_predictions(name, selection, options)
        made_by = source.predictions.made_by
        check_results(source.folder, benchmark, made_by, selection.dataset.request.root)
    kind = source.predictions.kind
    method = method_for(benchmark, kind) if benchmark.task in FITTED and kind else None
    if scores:
        _check_truth(selection, workers)
    check_folder(source.folder)
    return Plan(
        selection=selection,
        source=source,
        model=None if options.predictions else loaded,
        method=method,
        options=options,
        workers=workers,
        command=options.command_line(name, *asked),
        asked=options.asked(name, *asked),
    )


def _check_truth(selection: Selection, workers: int) -> None:
    """Refuse what no image can be scored by, as the first image shows it if it can be read.

    Raises:
        OptionError: If the dataset has no true normals, or there is not enough memory.
        InputError: If a scene is needed and the dataset names none.
    """
    benchmark, dataset = selection.benchmark, selection.dataset
    has_normals = benchmark.task is not Task.NORMALS or dataset.card.normals is not None
    if benchmark.task is not Task.DEPTH and has_normals and not needs_scenes(benchmark):
        return
    id = selection.ids[0]
    try:
        truth = dataset.truth(id)
    except (RilievoError, OSError):
        return  # its score says so
    if not has_normals and truth.normals is None:
        raise OptionError(
            f"the dataset '{dataset.card.name}' has no true normals, which the benchmark "
            f"'{benchmark.name}' scores"
        )
    if needs_scenes(benchmark):
        scene_of(truth, benchmark)
    if benchmark.task is Task.DEPTH and truth.depth is not None:
        check_memory_of_scores(truth.depth.shape, len(selection.ids), workers)
