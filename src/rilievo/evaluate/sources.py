"""Sources of predictions that are not made now: an earlier evaluation, or another program."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from rilievo.errors import InputError, OptionError
from rilievo.evaluate.answers import Answer, Answers
from rilievo.evaluate.benchmark import Task
from rilievo.evaluate.cache import FINGERPRINT, Cache, Fingerprint, open_cache, read_cache
from rilievo.evaluate.foreign import describe_extra, open_foreign, said_kind, stranger
from rilievo.evaluate.metrics import judges_confidence
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.plan import Plan
from rilievo.evaluate.predicting import refuse_other_photographs
from rilievo.evaluate.stored import Stored, depth_of
from rilievo.io.limits import check_regular, printable, reason
from rilievo.types import DepthKind, MadeBy

PREDICTIONS = "predictions"
"""The folder of predictions within the folder of an evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Predictions on disk.

    Attributes:
        answers: To be scored.
        warnings: Warnings about the predictions.
    """

    answers: Answers
    warnings: tuple[str, ...] = ()


def open_run_cache(folder: Path, fingerprint: Fingerprint, ids: Iterable[str]) -> Cache:
    """The cache in the folder of an evaluation, as ``open_cache`` says."""
    return open_cache(folder / PREDICTIONS, fingerprint, ids)


def find_predictions(label: str | None, plan: Plan, options: EvaluateOptions) -> Found:
    """The predictions that the user gives.

    Args:
        label: Name of their model, if they do not state it.
        plan: Plan of the evaluation.
        options: Folder, kind and scale.

    Raises:
        OptionError: If they are not what the benchmark scores, or not what the options say.
        InputError: If the folder is not there or fits no image.
    """
    assert options.predictions is not None, "asked for only where they are given"
    for folder in (options.predictions, options.predictions / PREDICTIONS):
        if os.path.isfile(folder / FINGERPRINT):
            kept = _kept(read_cache(folder), plan, options)
            there = [id for id in plan.ids if os.path.exists(kept.path_of(id))]
            crop = plan.benchmark.input_crop
            refuse_other_photographs(kept, plan.dataset, crop, there)
            return Found(answers=kept)
    if os.path.isfile(options.predictions):
        return _stacked(label, plan, options)
    found = open_foreign(
        options.predictions,
        plan.ids,
        stored=options.stored,
        task=plan.benchmark.task,
        pattern=options.pattern,
    )
    if label is not None and not found.ours:
        found = replace(found, made_by=replace(found.made_by, model=label))
    extra = describe_extra(found)
    missing = len(plan.ids) - len(found.files)
    warnings = [extra] if extra else []
    if missing:
        warnings.append(f"{missing} of {len(plan.ids)} images have no prediction")
    return Found(answers=found, warnings=tuple(warnings))


def _stacked(label: str | None, plan: Plan, options: EvaluateOptions) -> Found:
    """The predictions of a whole split in one file."""
    assert options.predictions is not None
    if options.pattern is not None:
        raise OptionError("--pattern is for a folder of --predictions; this is one file")
    found = open_stack(
        options.predictions,
        plan.dataset.listed,
        stored=options.stored,
        task=plan.benchmark.task,
    )
    if label is not None:
        found = replace(found, made_by=replace(found.made_by, model=label))
    return Found(answers=found)


def _kept(cache: Cache, plan: Plan, options: EvaluateOptions) -> Cache:
    """Refuse what an earlier evaluation kept for photographs that were cut otherwise."""
    mark, benchmark = cache.fingerprint, plan.benchmark
    where = printable(cache.folder)
    if (options.scale, options.pattern) != (None, None) or options.kind not in (None, mark.kind):
        raise OptionError(
            f"{where}: says itself what it holds; leave --kind, --scale and --pattern out"
        )
    wanted = (("dataset", benchmark.dataset), ("input_crop", str(benchmark.input_crop)))
    for name, value in wanted:
        if getattr(mark, name) != value:
            raise OptionError(
                f"{where}: holds predictions for {name} '{getattr(mark, name)}', but the "
                f"benchmark '{benchmark.name}' has '{value}'; predict anew"
            )
    if benchmark.task in (Task.POINTS, Task.CAMERA) and not mark.camera:
        raise OptionError(
            f"{where}: holds no cameras, which the benchmark '{benchmark.name}' judges; predict "
            "anew"
        )
    normals = benchmark.task is Task.NORMALS
    if benchmark.task is Task.CAMERA:
        return cache
    if (normals and not mark.normals) or (not normals and mark.kind is None):
        raise OptionError(
            f"{where}: holds {'depth' if normals else 'normals'} alone, but the benchmark "
            f"'{benchmark.name}' scores {benchmark.task}; predict anew"
        )
    if judges_confidence(benchmark) and not mark.confidence:
        raise OptionError(
            f"{where}: holds no confidence, which the benchmark '{benchmark.name}' judges; "
            "predict anew"
        )
    return cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """An npy file with a map for each image; ``open_stack`` makes it.

    Attributes:
        path: The file.
        stored: Meaning of its values.
        kind: Kind of the depth.
        made_by: Known facts about the model.
        places: Index of each image's map.
    """

    path: Path
    stored: Stored
    kind: DepthKind
    made_by: MadeBy
    places: Mapping[str, int]

    def read(self, id: str) -> Answer:
        """The prediction of one image; nothing else is read.

        Raises:
            InputError: If the file is broken, or not what the user said.
        """
        numbers = np.array(_opened(self.path)[self.places[id]])
        try:
            return Answer(depth=depth_of(numbers, self.stored))
        except InputError as error:
            place = f"{printable(self.path)}[{self.places[id]}]"
            raise InputError(f"{place}: {error}") from error


def open_stack(path: Path, order: Sequence[str] | None, *, stored: Stored, task: Task) -> Stack:
    """The predictions of a split in one npy file, such as Monodepth2's ``disps_eigen_split.npy``.

    Args:
        path: An array (images, height, width), or with an axis of length one.
        order: Ids of all images of the split, those without files too; None where it is not known.
        stored: Meaning of the values.
        task: Quantity that is to be scored.

    Raises:
        InputError: If it is no such array, or has another number of maps than the split.
        OptionError: If the kind is missing, or something else than depth is scored.
    """
    if task not in (Task.DEPTH, Task.PICTURE):
        raise OptionError(f"{path}: one array of a whole split holds depth, not {task}")
    kind = said_kind(stored, path)
    count = len(_opened(path))
    if order is None:
        raise InputError(
            f"{path}: its maps are in the split's order, but files of the split are missing, and "
            "so is its order; name the images that are there with --list"
        )
    if count != len(order):
        raise InputError(
            f"{path}: holds {count} maps, but the split lists {len(order)} images; it is read in "
            "the split's order, one map an image"
        )
    return Stack(
        path=path,
        stored=stored,
        kind=kind,
        made_by=stranger(path, kind, stored),
        places={id: place for place, id in enumerate(order)},
    )


def _opened(path: Path) -> Shaped[np.ndarray, "n h w"]:
    """The array, of which only what is asked for is read."""
    check_regular(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is no npy file ({reason(error)})") from error
    if isinstance(array, np.ndarray) and array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "uif":
        shape = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else "an archive"
        raise InputError(
            f"{path}: is {shape}, expected an npy file of numbers (images, height, width); a "
            "folder of predictions has a file an image"
        )
    return array
