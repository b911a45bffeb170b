"""Sources of predictions: a model, an earlier evaluation, another program.

Predictions of a model for a dataset's photographs, which a cache keeps.

Predictions of an earlier evaluation or another program.
"""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rilievo.data.datasets.loaders import Dataset, spread
from rilievo.errors import InputError, ModelError, OptionError
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    InputCrop,
    Task,
    judges_confidence,
    metrics_of,
)
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.predictions.cache import (
    FINGERPRINT,
    PREDICTIONS,
    Cache,
    Fingerprint,
    check_cache,
    open_cache,
    read_cache,
)
from rilievo.evaluation.predictions.foreign import Foreign, open_foreign, open_stack
from rilievo.evaluation.records import Unscored, unscored
from rilievo.evaluation.scoring.metres import refuse_other_kinds
from rilievo.evaluation.scoring.regions import shown_to_model
from rilievo.evaluation.selection import Selection
from rilievo.evaluation.stored_predictions import Meaning, PeerConfidence, Source
from rilievo.io.files.limits import printable, retry_miscounted
from rilievo.messages import at, literal
from rilievo.models.base import Model
from rilievo.models.requests import DepthFunction, name_of
from rilievo.options.run_options import notes_on_unused
from rilievo.predicting.summary import Tally, map_ahead
from rilievo.sample import Photo

AnyModel = Model | str | Path | DepthFunction | None
Fill = Callable[[Cache, Model, Dataset, InputCrop | str, Sequence[str], Tally], Sequence[Unscored]]

READERS = 2

# Predictions whose photographs are compared before the rest is trusted.
COMPARED = 8


def model_name(model: AnyModel) -> str | None:
    """The user's name of the model; None where there is none."""
    if isinstance(model, Model):
        return model.card.name
    if model is None or isinstance(model, str | Path):
        return None if model is None else str(model)
    return name_of(model)


def find_cache(
    folder: Path, model: Model, selection: Selection, *, is_whole: bool = False
) -> Cache:
    """The cache for a model, of all that it predicts if ``is_whole``; nothing is written."""
    fingerprint = fingerprint_of(model, selection.benchmark, is_whole=is_whole)
    refuse_other_kinds(selection.benchmark, fingerprint.kind)
    cache = Cache(folder=folder, fingerprint=fingerprint)
    if check_cache(folder, fingerprint):
        refuse_other_photographs(cache, selection)
    return cache


def missing(cache: Cache, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ids that are still to be predicted, and those whose file is broken."""
    cache = open_cache(cache.folder, cache.fingerprint, ids)
    absent, broken = cache.missing(ids)
    wanted = {*absent, *broken}
    return [id for id in ids if id in wanted], broken


def fill_cache(
    cache: Cache,
    model: Model,
    selection: Selection,
    wanted: Sequence[str],
    *,
    notes: Sequence[str],
    show: bool,
    filling: Fill,
) -> Sequence[Unscored]:
    """Predict images into a begun cache; those that cannot be come back."""
    crop = selection.benchmark.input_crop
    with Tally(output=cache.folder, total=len(wanted), show=show) as tally:
        for note in notes:
            tally.say(note)
        return filling(cache, model, selection.dataset, crop, wanted, tally)


def fingerprint_of(model: Model, benchmark: Benchmark, *, is_whole: bool = False) -> Fingerprint:
    """Facts that predictions of this model for this benchmark share."""
    card = model.card
    normals = benchmark.task is Task.NORMALS
    if normals and not card.normals:
        raise OptionError(f"the model '{card.name}' predicts no normals")
    camera = benchmark.task in (Task.POINTS, Task.CAMERA)
    if camera and not card.camera:
        raise OptionError(
            f"the model '{card.name}' sees no camera in a photograph, which the benchmark "
            f"'{benchmark.name}' judges"
        )
    if not normals and benchmark.task is not Task.CAMERA and card.kind is None:
        raise OptionError(f"the model '{card.name}' predicts no depth")
    confidence = judges_confidence(benchmark)
    if confidence and not card.confidence:
        raise OptionError(
            f"the model '{card.name}' gives no confidence, which the benchmark "
            f"'{benchmark.name}' judges; 'rilievo models NAME' says which models do"
        )
    if confidence and normals and card.kind is not None:
        raise OptionError(
            f"the confidence of the model '{card.name}' is of its depth, and the benchmark "
            f"'{benchmark.name}' judges that of normals"
        )
    assert benchmark.dataset is not None, "the selection has settled it"
    assert benchmark.split is not None
    assert benchmark.variant is not None
    made_by = model.made_by
    return Fingerprint(
        model=made_by.model,
        weights_sha256=made_by.weights_sha256,
        licence=made_by.licence,
        settings=made_by.settings,
        kind=card.kind if is_whole or not (normals or benchmark.task is Task.CAMERA) else None,
        normals=card.normals if is_whole else normals,
        dataset=benchmark.dataset,
        split=benchmark.split,
        variant=benchmark.variant,
        input_crop=str(benchmark.input_crop),
        version=made_by.version,
        confidence=card.confidence if is_whole else confidence,
        camera=card.camera if is_whole else camera,
    )


def fill(
    cache: Cache,
    model: Model,
    dataset: Dataset,
    crop: InputCrop | str,
    ids: Iterable[str],
    tally: Tally,
) -> list[Unscored]:
    """Predict images into the cache; those that cannot be predicted come back."""

    @retry_miscounted
    def read(id: str) -> Photo | Unscored:
        try:
            image = dataset.image(id)
            pixels = shown_to_model(image, crop)
            camera = dataset.wide_camera(id, image.shape[:2])
            if camera is not None and pixels.shape != image.shape:
                raise InputError(f"{id}: a crop for the model is of pinhole pictures only")
            return Photo(pixels=pixels, camera=camera, name=id)
        except (InputError, OSError) as error:
            return unscored(id, error)

    failed: list[Unscored] = []
    for photo in map_ahead(read, ids, workers=READERS):
        lost = photo
        if isinstance(photo, Photo):
            try:
                [prediction] = model.predict_raw([photo])
            except (InputError, ModelError) as error:
                lost = unscored(photo.name, error)
            else:
                cache.write(photo.name, prediction, photo.pixels)
                tally.done()
        if isinstance(lost, Unscored):
            failed.append(lost)
            tally.failed(at(printable(lost.id), lost.reason))
    return failed


def refuse_other_photographs(cache: Cache, selection: Selection) -> None:
    """Refuse predictions of other photographs; some, evenly spread, are compared."""
    dataset = selection.dataset
    there = [id for id in selection.ids if os.path.exists(cache.path_of(id))]
    for id in spread(there, COMPARED):
        try:
            pixels = shown_to_model(dataset.image(id), selection.benchmark.input_crop)
            same = cache.is_of(id, pixels)
        except (InputError, OSError):
            # What is broken is another matter, and told when its turn comes.
            continue
        if not same:
            raise OptionError(
                f"{cache.folder}: holds predictions of other photographs than those in "
                f"{dataset.request.root} ('{id}' is another picture there); choose another output "
                "folder"
            )


_OF_MODELS = ("flip", "confidence", "device", "engine", "precision")


def find_predictions(
    label: str | None,
    selection: Selection,
    options: EvaluateOptions,
    *,
    words: Collection[str] = (),
) -> Source:
    """The predictions of the options; ``words`` of models have no effect, which is a warning."""
    path, benchmark = options.predictions, selection.benchmark
    assert path is not None, "asked for only where they are given"
    unused = [name for name in _OF_MODELS if name in words]
    warnings = notes_on_unused(unused, "a model, and {predictions} are there already")
    for mark in (path / FINGERPRINT, path / PREDICTIONS / FINGERPRINT):
        if os.path.isfile(mark):
            predictions = read_cache(mark.parent)
            _refuse_misfit(predictions, benchmark, options)
            refuse_other_photographs(predictions, selection)
            break
    else:
        predictions = _foreign(path, selection, options)
        if label is not None and not predictions.ours:
            predictions = replace(predictions, made_by=replace(predictions.made_by, model=label))
        extra = predictions.extra
        missing = sum(id not in predictions.files for id in selection.ids)
        warnings += [extra] if extra else []
        warnings += (
            [f"{missing} of {len(selection.ids)} images have no prediction"] if missing else []
        )
    return Source(predictions=predictions, warnings=tuple(warnings))


def _foreign(path: Path, selection: Selection, options: EvaluateOptions) -> Foreign:
    task, sure = selection.benchmark.task, _sure(selection, options)
    if not os.path.isfile(path):
        return open_foreign(
            path,
            selection.ids,
            stored=options.stored,
            task=task,
            pattern=options.pattern,
            sure=sure,
            crop=options.place,
        )
    for name in ("pattern", "sure"):
        if getattr(options, name) is not None:
            raise OptionError(
                option=name, problem="is for a folder of {predictions}", hint="this is one file"
            )
    return open_stack(
        path, selection.dataset.listed, stored=options.stored, task=task, crop=options.place
    )


def _sure(selection: Selection, options: EvaluateOptions) -> PeerConfidence | None:
    sure = options.peer_confidence
    if sure is None:
        return None
    benchmark = selection.benchmark
    if not judges_confidence(benchmark):
        raise OptionError(
            problem=(
                f"the benchmark '{literal(benchmark.name)}' judges no confidence: leave "
                "{sure} out, or take certainty or certainty-order"
            )
        )
    names = [name for name, metric in metrics_of(benchmark).items() if metric.needs_probability]
    if names and sure.meaning is not Meaning.PROBABILITY:
        raise OptionError(
            f"'{options.sure}' is an order of the pixels and no probability, which "
            f"{', '.join(names)} of the benchmark '{benchmark.name}' ask for: take certainty-order"
        )
    return sure


def _refuse_misfit(cache: Cache, benchmark: Benchmark, options: EvaluateOptions) -> None:
    mark, task = cache.fingerprint, benchmark.task
    name = f"the benchmark '{benchmark.name}'"
    normals = task is Task.NORMALS
    has_part = mark.normals if normals else mark.kind is not None or task is Task.CAMERA
    needs_camera = task in (Task.POINTS, Task.CAMERA)
    is_told = any((options.scale, options.crop, options.pattern, options.sure))
    for is_wrong, problem in (
        (
            is_told or options.kind not in (None, mark.kind),
            "says itself what it holds; leave {kind}, {scale}, {crop}, {pattern} and {sure} out",
        ),
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
            hint = "" if "leave" in problem else "predict anew"
            raise OptionError(path=printable(cache.folder), problem=problem, hint=hint)
