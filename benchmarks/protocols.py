"""One prediction scored by every benchmark, against one prediction plus separate scores."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.photographs import make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.plan import make_plan
from rilievo.evaluation.predictions.predicting import fill, filled, whole_fingerprint
from rilievo.evaluation.protocols.protocols_run import evaluate_protocols
from rilievo.evaluation.reports import results_writing
from rilievo.evaluation.scoring import metres, points
from rilievo.io.png import write_png
from rilievo.models import load_model
from rilievo.models.base import Model

MOST = 1.05
FOLDER, DEPTH, ALL = "folder", "depth", "all"


def run(settings: Settings) -> Report:
    count, rounds = settings.count(12, quick=2), settings.count(5, quick=1)
    root, model = settings.work / "set", load_model(settings.weights)
    _make_set(root, model, count)
    # Reports cost the same on both sides, and would hide what differs.
    vars(results_writing)["write_report"] = lambda *_: None
    names = _benchmarks(root, model, settings.work / "warm-up")
    costs = [_round(root, model, names, settings.work / str(each)) for each in range(rounds)]
    whole, one, scores, fits = (statistics.median(column) for column in zip(*costs, strict=True))
    ratio = statistics.median(each[0] / (each[1] + each[2]) for each in costs)
    return Report(
        name="protocols",
        about=(
            f"{count} photographs of 640x640 with true depth and a camera, scored by "
            f"{len(names)} benchmarks ({', '.join(names)}), in one process without its start, in "
            f"turns, medians of {rounds}. One prediction: photographs read, predicted, written. A "
            "score: predictions and truth read, fitted, scored, tables written. Neither side "
            "writes reports"
        ),
        tables=(
            Table(
                columns=("what", "CPU seconds"),
                rows=[
                    ("`evaluate --protocols all`", f"{whole:.2f}"),
                    ("one prediction of each photograph", f"{one:.2f}"),
                    ("every benchmark by itself, from these predictions", f"{scores:.2f}"),
                    ("of that, the fits alone", f"{fits:.2f}"),
                    ("all, over one prediction plus the fits alone", f"{whole / (one + fits):.2f}"),
                ],
            ),
        ),
        bars=(
            Bar(
                promise=f"at most {MOST:g} times one prediction plus every benchmark by itself",
                measured=f"{ratio:.2f} times",
                kept=ratio <= MOST,
            ),
        ),
    )


def _make_set(root: Path, model: Model, count: int) -> None:
    """Photographs with a truth that is near what the model predicts, and has holes."""
    paths = make_photographs(root / "images", count, 640)
    (root / DEPTH).mkdir()
    for number, path in enumerate(paths):
        random = np.random.default_rng(number)
        depth = model.predict(path).depth.values
        depth = depth * np.exp(0.1 * random.standard_normal(depth.shape))
        depth[random.random(depth.shape) < 0.25] = 0
        stored = np.clip(np.round(1000 * depth), 0, 65535).astype(np.uint16)
        write_png(root / DEPTH / f"{path.stem}.png", stored, {})
    (root / "rilievo.yaml").write_text("camera: {fx: 600, fy: 600, cx: 319.5, cy: 319.5}\n")


def _benchmarks(root: Path, model: Model, output: Path) -> list[str]:
    """Names of the benchmarks that can be scored here."""
    found = evaluate_protocols(model, ALL, root, _options(output), show=False)
    return [row.label for row in found.rows if row.evaluation is not None]


def _round(
    root: Path, model: Model, names: Sequence[str], output: Path
) -> tuple[float, float, float, float]:
    """CPU seconds of all at once, one prediction, separate scores, and the fits of these."""
    whole = _cpu(lambda: evaluate_protocols(model, ALL, root, _options(output / ALL), show=False))
    options = _options(output / "one")
    plan = make_plan(find_benchmark(DEPTH), root, options)
    mark = whole_fingerprint(model, plan.benchmark)
    place = output / "one"
    one = _cpu(lambda: filled(place, mark, model, plan, options, show=False, filling=fill))
    with _timed_fits() as fits:
        scores = sum(_cpu(lambda name=name: _score(root, place, name, output)) for name in names)
    return whole, one, scores, sum(fits)


def _score(root: Path, predictions: Path, name: str, output: Path) -> None:
    options = _options(output / name, predictions)
    evaluate_protocols(None, name, root, options, show=False)


def _options(output: Path, predictions: Path | None = None) -> EvaluateOptions:
    return EvaluateOptions(dataset=FOLDER, output=output, predictions=predictions, workers=1)


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


@contextmanager
def _timed_fits() -> Iterator[list[float]]:
    """CPU seconds of each fit that scoring makes."""
    seconds: list[float] = []
    places = [(metres, "align"), (points, "fit_points")]
    real = [getattr(module, name) for module, name in places]

    def timed(fit: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **given: object) -> object:
            start = time.process_time()
            try:
                return fit(*args, **given)
            finally:
                seconds.append(time.process_time() - start)

        return call

    for (module, name), fit in zip(places, real, strict=True):
        setattr(module, name, timed(fit))
    try:
        yield seconds
    finally:
        for (module, name), fit in zip(places, real, strict=True):
            setattr(module, name, fit)
