"""Sources of predictions: a model, an earlier evaluation, another program.

The cache has an npz file an image, with a checksum of the photograph, since those of another folder
can have the same names.
"""

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import OptionError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Task,
    benchmark_metrics,
    judges_confidence,
)
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.peer_confidence import Meaning, PeerConfidence
from rilievo.evaluation.predictions.foreign import ForeignPredictions, open_foreign, open_stack
from rilievo.evaluation.predictions.prediction_cache import (
    FINGERPRINT,
    PredictionCache,
    read_cache,
    refuse_other_photographs,
)
from rilievo.evaluation.selection import Selection
from rilievo.evaluation.stored_predictions import Source
from rilievo.io.depth.crops import RESIZED, STRETCHED, StatedPlacement
from rilievo.io.depth.placement import PlacementWords, orientation_note
from rilievo.io.files.names import printable
from rilievo.io.photographs.decode import read_orientation
from rilievo.options.unused_options import notes_on_unused

PREDICTIONS = "predictions"

_PHOTOGRAPHS_LOOKED_AT = 24  # whose EXIF is read before anything is scored

_OF_MODELS = ("flip", "confidence", "device", "engine", "precision")


def find_predictions(
    label: str | None,
    selection: Selection,
    options: EvaluateOptions,
    *,
    words: Collection[str] = (),
) -> Source:
    """Open the predictions of options; warn of ``words`` for models."""
    path, benchmark = options.predictions, selection.benchmark
    assert path is not None, "asked for only where they are given"
    unused = [name for name in _OF_MODELS if name in words]
    doubts: list[str] = []
    warnings = notes_on_unused(
        unused, Text("a model, and ", OptionName("predictions"), " are there already")
    )
    for mark in (path / FINGERPRINT, path / PREDICTIONS / FINGERPRINT):
        if os.path.isfile(mark):
            predictions = read_cache(mark.parent)
            _refuse_unfit_cache(predictions, benchmark, options)
            refuse_other_photographs(predictions, selection)
            break
    else:
        predictions = _open_foreign_predictions(path, selection, options)
        if label is not None and not predictions.ours:
            predictions = replace(predictions, made_by=replace(predictions.made_by, model=label))
        doubts = predictions.number_doubts()
        if not predictions.ours:
            doubts += _orientation_doubts(selection, options.place)
        warnings += doubts
        extra = predictions.extra
        warnings += [extra] if extra else []
    return Source(predictions=predictions, warnings=tuple(warnings), doubts=tuple(doubts))


def _orientation_doubts(selection: Selection, stated: StatedPlacement | None) -> list[str]:
    """Sentences on photographs that EXIF turns, a kind each; many programs ignore that."""
    words = PlacementWords(map="the prediction", picture="the photograph")
    is_part = stated not in (None, RESIZED, STRETCHED)
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    chosen = evenly_spread(selection.ids, _PHOTOGRAPHS_LOOKED_AT)
    for id in chosen:
        file = selection.dataset.photo_file(id)
        if file is None:
            return []
        try:
            stored = read_orientation(file)
        except (RilievoError, OSError):
            continue  # A broken photograph is named where it is read.
        note = orientation_note(stored.orientation, stored.upright_size, words, is_part=is_part)
        if note is not None:
            count[note] += 1
            first.setdefault(note, id)
    return [
        f"prediction of {id}: {note}; so {count[note]} of {len(chosen)} photographs"
        for note, id in first.items()
    ]


def _open_foreign_predictions(
    path: Path, selection: Selection, options: EvaluateOptions
) -> ForeignPredictions:
    """Open another program's predictions: a folder of files, or one array of a whole split."""
    confidence = _usable_peer_confidence(selection, options)
    if os.path.isfile(path):
        _refuse_options_of_a_folder(options)
        return open_stack(
            path,
            selection.dataset.listed,
            stored=options.stored,
            task=selection.benchmark.task,
            crop=options.place,
            declared=options.declared,
        )
    return open_foreign(
        path,
        selection.ids,
        stored=options.stored,
        task=selection.benchmark.task,
        pattern=options.pattern,
        sure=confidence,
        crop=options.place,
        declared=options.declared,
    )


def _refuse_options_of_a_folder(options: EvaluateOptions) -> None:
    """Refuse options that say how the files of a folder are read."""
    for name in ("pattern", "sure"):
        if getattr(options, name) is not None:
            raise OptionError(
                option=name,
                problem=Text("is for a folder of ", OptionName("predictions")),
                hint="this is one file",
            )


def _usable_peer_confidence(
    selection: Selection, options: EvaluateOptions
) -> PeerConfidence | None:
    sure = options.peer_confidence
    if sure is None:
        return None
    benchmark = selection.benchmark
    if not judges_confidence(benchmark):
        raise OptionError(
            problem=Text(
                f"the benchmark '{benchmark.name}' judges no confidence: leave ",
                OptionName("sure"),
                " out, or take certainty or certainty-order",
            )
        )
    names = [
        name for name, metric in benchmark_metrics(benchmark).items() if metric.needs_probability
    ]
    if names and sure.meaning is not Meaning.PROBABILITY:
        raise OptionError(
            f"'{options.sure}' is an order of the pixels and no probability, which "
            f"{', '.join(names)} of the benchmark '{benchmark.name}' ask for: take certainty-order"
        )
    return sure


def _refuse_unfit_cache(
    cache: PredictionCache, benchmark: Benchmark, options: EvaluateOptions
) -> None:
    mark, task = cache.fingerprint, benchmark.task
    name = f"the benchmark '{benchmark.name}'"
    normals = task is Task.NORMALS
    has_part = mark.normals if normals else mark.kind is not None or task is Task.CAMERA
    needs_camera = task in (Task.POINTS, Task.CAMERA)
    is_told = any((options.scale, options.crop, options.encoding, options.pattern, options.sure))
    if is_told or options.kind not in (None, mark.kind):
        raise OptionError(
            path=printable(cache.folder),
            problem=Text(
                "says itself what it holds; leave ",
                OptionName("kind"),
                ", ",
                OptionName("scale"),
                ", ",
                OptionName("crop"),
                ", ",
                OptionName("encoding"),
                ", ",
                OptionName("pattern"),
                " and ",
                OptionName("sure"),
                " out",
            ),
        )
    for is_wrong, problem in (
        *(
            (held != wanted, f"holds predictions for {fact} '{held}', but {name} has '{wanted}'")
            for fact, held, wanted in (
                ("dataset", mark.dataset, benchmark.dataset),
                ("input_crop", mark.input_crop, str(benchmark.input_crop)),
            )
        ),
        (needs_camera and not mark.camera, f"holds no cameras, which {name} judges"),
        (
            not has_part,
            f"holds {'depth' if normals else 'normals'} alone, but {name} scores {task}",
        ),
        (
            judges_confidence(benchmark) and not mark.confidence,
            f"holds no confidence, which {name} judges",
        ),
    ):
        if is_wrong:
            raise OptionError(path=printable(cache.folder), problem=problem, hint="predict anew")
