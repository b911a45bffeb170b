"""Evaluations of the tiny dataset, and predictions of it as another program leaves them."""

from pathlib import Path

import numpy as np

from rilievo.evaluation.benchmarks.benchmark import Benchmark
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import Evaluation
from rilievo.models.base import Model

TINY = "support.tiny_dataset:Tiny"


def run_tiny(
    model: str | Model | None, root: Path, benchmark: str | Benchmark = "depth", **options: object
) -> Evaluation:
    """Evaluate without progress, on the tiny dataset if the benchmark fits any."""
    given = {"dataset": TINY, **options}
    return evaluate(model, benchmark, root, EvaluateOptions(**given), show=False)


def write_predictions(root: Path, folder: Path, *, power: float = 1.0) -> None:
    """Depth with some error, of every image; ``power`` -1 makes it inverse depth."""
    for number, path in enumerate(sorted((root / "depth").rglob("*.npy"))):
        depth = np.load(path)
        depth = np.where(depth > 0, depth, 2) * (
            1 + 0.1 * np.sin(np.arange(depth.shape[1]) + number)
        )
        file = folder / path.relative_to(root / "depth")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, (depth**power).astype(np.float32))
