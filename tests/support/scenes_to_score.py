"""A scene with true depth, and guesses of it of every kind."""

import numpy as np

from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark
from rilievo.evaluation.scoring.score import ScoreWithSums, score
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.stored_answers import stored


def scene(shape: tuple[int, int] = (480, 640), *, far: float = 12.0, seed: int = 0) -> Truth:
    """Depth of 0.5 m to ``far``, with holes."""
    chance = np.random.default_rng(seed)
    v, u = np.mgrid[: shape[0], : shape[1]]
    share = 0.5 + 0.25 * np.sin(u / 40) + 0.25 * np.cos(v / 60)
    depth = (0.5 + (far - 0.5) * share).astype(np.float32)
    valid = chance.random(shape) > 0.2
    return Truth(id="a", depth=np.where(valid, depth, np.float32(0)), depth_valid=valid)


def depth_of(truth: Truth) -> np.ndarray:
    assert truth.depth is not None
    return truth.depth


def guess(truth: Truth, kind: DepthKind, *, seed: int = 1) -> DepthMap:
    chance = np.random.default_rng(seed)
    depth = np.where(depth_of(truth) > 0, depth_of(truth), 3.0)
    depth = depth * np.exp(chance.normal(0, 0.15, depth.shape)) * 1.3
    values = {
        DepthKind.METRIC: depth,
        DepthKind.UP_TO_SCALE: depth * 7,
        DepthKind.AFFINE: depth * 0.1 - 0.2,
        DepthKind.AFFINE_INVERSE: 30 / depth + 4,
    }[kind]
    return DepthMap(values=values.astype(np.float32), kind=kind)


def scored(
    name: str | Benchmark, predicted: DepthMap, truth: Truth, crop: str | None = None
) -> ScoreWithSums:
    benchmark = name if isinstance(name, Benchmark) else find_benchmark(name)
    return score(benchmark, stored(depth=predicted, crop=crop), truth)
