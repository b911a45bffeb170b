"""Made-up evaluations, as realistic as tests of reports and comparisons need."""

from pathlib import Path
from typing import Any

import numpy as np

from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import (
    Evaluation,
    RangeError,
    Score,
    ScoredData,
    Summary,
    Unscored,
)
from rilievo.io.json_record import to_json
from rilievo.records.prediction_record import MadeBy, Setting

METRICS = (
    ("abs_rel", "AbsRel", "", Better.LOWER),
    ("rmse", "RMSE", "m", Better.LOWER),
    ("delta1", "δ1", "", Better.HIGHER),
)


def evaluation(
    *,
    model: str = "test/model",
    values: dict[str, np.ndarray] | None = None,
    ids: tuple[str, ...] | None = None,
    scenes: tuple[str | None, ...] | None = None,
    images: int = 12,
    seed: int = 0,
    settings: dict[str, Setting] | None = None,
    sha256: str = "cd" * 32,
    benchmark: str = "rooms",
    dataset: str = "rooms",
    alignment: str = "median",
    task: str = "depth",
    metrics: tuple[tuple[str, str, str, Better], ...] = METRICS,
    unscored: tuple[Unscored, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Evaluation:
    """One with random scores of ``images`` images, or with the given values of each metric."""
    if values is None:
        rng = np.random.default_rng(seed)
        values = {name: rng.gamma(4.0, 0.02, images) for name, *_ in metrics}
    count = len(next(iter(values.values())))
    ids = tuple(f"room/{i:04}" for i in range(count)) if ids is None else ids
    scores = tuple(
        Score(
            id=id,
            values={name: float(each[i]) for name, each in values.items()},
            pixels=1000 + i,
            true_share=0.75,
            scale=1.5,
            notes=("3 pixels clamped",) if i == 1 else (),
            scene=None if scenes is None else scenes[i],
        )
        for i, id in enumerate(ids)
    )
    return Evaluation(
        benchmark=benchmark,
        benchmark_sha256=sha256,
        settings={"crop": "none", "max_depth": 10.0} if settings is None else settings,
        task=task,
        made_by=MadeBy(
            model=model,
            weights_sha256="ab" * 32,
            licence="Apache-2.0",
            settings={"size": 256, "flip": False},
            version="1.2.3",
        ),
        kind="up_to_scale",
        alignment=alignment,
        data=ScoredData(
            dataset=dataset,
            root="data/rooms",
            split="test",
            variant="default",
            official=count + len(unscored) + 5,
            found=count + len(unscored),
            asked=count + len(unscored),
            ids_sha256="ef" * 32,
        ),
        summaries=tuple(summary(m, values[m[0]]) for m in metrics),
        ranges=(
            RangeError(near=0.5, far=1.0, pixels=120, abs_rel=0.05, bias=0.01),
            RangeError(near=1.0, far=2.0, pixels=48_000, abs_rel=0.08, bias=-0.02),
            RangeError(near=2.0, far=4.0, pixels=0, abs_rel=0.0, bias=0.0),
        ),
        scores=scores,
        unscored=unscored,
        warnings=warnings,
        command="rilievo evaluate --model test/model --benchmark rooms --root data/rooms",
        version="1.2.3",
        seconds=12.5,
    )


def summary(metric: tuple[str, str, str, Better], values: np.ndarray) -> Summary:
    """Summary of one metric, with an interval of one standard error twice to either side."""
    name, label, unit, better = metric
    mean = float(values.mean())
    reach = 2 * float(values.std()) / len(values) ** 0.5
    return Summary(
        metric=name,
        label=label,
        unit=unit,
        better=better,
        value=mean,
        low=mean - reach if len(values) > 1 else None,
        high=mean + reach if len(values) > 1 else None,
        per_image=mean,
        pooled=mean * 1.01,
        median=float(np.median(values)),
        images=len(values),
        pixels=1000 * len(values),
    )


def random_errors(seed: int = 0, images: int = 40) -> np.ndarray:
    """One an image, as AbsRel has them."""
    return np.random.default_rng(seed).gamma(4, 0.02, images)


def run_of(model: str, values: np.ndarray, **given: Any) -> Evaluation:
    """A run with AbsRel alone."""
    return evaluation(model=model, values={"abs_rel": values}, metrics=METRICS[:1], **given)


def in_folder(made: Evaluation, folder: Path) -> Path:
    """The folder, with the run in it."""
    folder.mkdir()
    (folder / "evaluation.json").write_text(to_json(made))
    return folder
