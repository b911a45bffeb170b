"""Score several models on the same frames; each frame is read once and shown to each model once.

The results equal those of ``rilievo evaluate`` for each model under the same benchmarks, without
reports and folders of predictions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from real_sets import RealSet
from sureness import FrameSureness, sureness

from rilievo.data.datasets.dataset import Request
from rilievo.errors import CalibrationError, RilievoError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.scoring.regions import crop_for_model
from rilievo.evaluation.scoring.score import ScoreWithSums, score
from rilievo.evaluation.selection import Selection, select_images
from rilievo.models.base import Model
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo, Truth


class Column(Enum):
    """Columns of a row that a part fills."""

    PLAIN = auto()
    """Depth, with the benchmark's alignment."""
    ALIGNED = auto()
    """Depth, after a fit of scale and shift by least squares, as Marigold's evaluation does it, but
    with a scale that is not negative: where the best line would fall, a constant is scored."""
    NORMALS = auto()


_METRICS: Mapping[Column, tuple[str, ...]] = {
    Column.PLAIN: ("abs_rel", "delta1"),
    Column.ALIGNED: ("abs_rel", "delta1"),
    Column.NORMALS: ("mean", "within_30"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One way to score a set.

    Attributes:
        benchmark: Name of the benchmark, before it was modified.
        column: Columns of the row that it fills.
        selection: Benchmark and dataset as ``rilievo evaluate`` resolves them.
        takes: Ids that it scores, in order.
        sure: Whether confidence is compared with the errors of this benchmark.
    """

    benchmark: str
    column: Column
    selection: Selection
    takes: tuple[str, ...]
    sure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Score of one model on one frame.

    Attributes:
        model: Index of the model.
        part: Index of the part within the set.
        scored: The score; None if there is none.
        reason: Reason for a missing score.
        flat: Whether the best line would have turned near into far, so that a constant was scored.
        sureness: Reliability of its confidence; None if it has none, or it is not asked for.
    """

    model: int
    part: int
    scored: ScoreWithSums | None = None
    reason: str = ""
    flat: bool = False
    sureness: FrameSureness | None = None


def parts_of(real: RealSet, data: Path) -> tuple[Part, ...]:
    """Parts that score a set; a row's plain depth comes before its fit of two numbers.

    Raises:
        RilievoError: If the set is not there.
    """
    options = EvaluateOptions(dataset=real.dataset, split=real.split, variant=real.variant)
    parts = list[Part]()
    chosen = [find_benchmark(each) if isinstance(each, str) else each for each in real.benchmarks]
    for benchmark in chosen:
        sure = real.photographs and not real.trained and benchmark is chosen[-1]
        parts.append(_part(real, benchmark, Column.PLAIN, data, options, sure=sure))
        fitted = replace(options, align="scale_shift")
        parts.append(_part(real, benchmark, Column.ALIGNED, data, fitted))
    if real.normals is not None:
        asked = real.normals_benchmark
        benchmark = find_benchmark(asked) if isinstance(asked, str) else asked
        here = replace(options, variant=real.normals)
        parts.append(_part(real, benchmark, Column.NORMALS, data, here))
    return tuple(parts)


def _part(
    real: RealSet,
    benchmark: Benchmark,
    column: Column,
    data: Path,
    options: EvaluateOptions,
    *,
    sure: bool = False,
) -> Part:
    selection = select_images(
        replace(benchmark, metrics=_METRICS[column]), real.root(data), options
    )
    return Part(
        benchmark=benchmark.name,
        column=column,
        selection=selection,
        takes=real.thinned(selection.ids),
        sure=sure,
    )


def ids_of(parts: Iterable[Part]) -> tuple[str, ...]:
    """Ids of all frames of a set, each once."""
    return tuple(dict.fromkeys(id for part in parts for id in part.takes))


def judge(models: Sequence[Model], parts: Sequence[Part], id: str) -> list[Judged]:
    """Score every model on one frame, with every part that includes it."""
    frame = _Frame(id=id, models=models)
    return [
        _judge(frame, model, number, part)
        for number, part in enumerate(parts)
        if id in part.takes
        for model in range(len(models))
    ]


def _judge(frame: "_Frame", model: int, number: int, part: Part) -> Judged:
    try:
        prediction = frame.prediction(model, part)
        truth = frame.truth(part)
        try:
            scored, flat = score(part.selection.benchmark, prediction, truth), False
        except CalibrationError:
            if part.column is not Column.ALIGNED:
                raise
            # A line whose slope is not below zero: the best one is level.
            scored, flat = score(part.selection.benchmark, _level(prediction), truth), True
        sure = sureness(part.selection.benchmark, prediction, truth) if part.sure else None
    except RilievoError as error:
        return Judged(model=model, part=number, reason=str(error))
    return Judged(model=model, part=number, scored=scored, flat=flat, sureness=sure)


def _level(prediction: Prediction) -> Prediction:
    """The same prediction with one depth everywhere."""
    level = np.ones_like(prediction.depth.values)
    return replace(prediction, depth_or_none=replace(prediction.depth, values=level))


@dataclass(slots=True, kw_only=True)
class _Frame:
    """One frame: its data, and the models' predictions, cached for the next part."""

    id: str
    models: Sequence[Model]
    _images: dict[Request, UInt8[np.ndarray, "h w 3"]] = field(default_factory=dict)
    _truths: dict[Request, Truth] = field(default_factory=dict)
    _predictions: dict[tuple[int, bytes], Prediction] = field(default_factory=dict)

    def truth(self, part: Part) -> Truth:
        dataset = part.selection.dataset
        if dataset.request not in self._truths:
            self._truths[dataset.request] = dataset.truth(self.id)
        return self._truths[dataset.request]

    def prediction(self, model: int, part: Part) -> Prediction:
        dataset = part.selection.dataset
        if dataset.request not in self._images:
            self._images[dataset.request] = dataset.image(self.id)
        shown = crop_for_model(self._images[dataset.request], part.selection.benchmark.input_crop)
        # Variants of a dataset mostly show the same photograph.
        key = (model, shown.tobytes())
        if key not in self._predictions:
            [answer] = self.models[model].predict_raw([Photo(pixels=shown, name=self.id)])
            self._predictions[key] = answer
        return self._predictions[key]
