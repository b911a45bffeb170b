"""Reliability of a model's confidence: its value, compared with how often depth is right."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rilievo.evaluation.benchmarks.benchmark import Benchmark
from rilievo.evaluation.metrics.pairs import sparsify
from rilievo.evaluation.scoring.comparable_depth import comparable_depth
from rilievo.evaluation.scoring.regions import cut_truth
from rilievo.prediction import Prediction
from rilievo.records.sample import Truth

NEAR = 1.25
EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSureness:
    """Sums over the pixels of one frame, for each interval of ``EDGES``, as shares of all pixels.

    Attributes:
        pixels: Share of the pixels.
        said: Sum of their confidence.
        right: Share of pixels whose depth is right within a factor of ``NEAR``.
        ause: Area between the sparsification curves of AbsRel, by confidence and by the error.
    """

    pixels: Float64[np.ndarray, "bins"]
    said: Float64[np.ndarray, "bins"]
    right: Float64[np.ndarray, "bins"]
    ause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Pixels of about the same confidence.

    Attributes:
        low: Least confidence.
        high: Largest confidence.
        pixels: Share of all.
        said: Mean confidence.
        right: Share whose depth is right within a factor of ``NEAR``.
    """

    low: float
    high: float
    pixels: float
    said: float
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraCalibration:
    """Confidence on the frames of one camera.

    Attributes:
        camera: Data set of the camera.
        frames: Number of frames.
        said: Mean confidence.
        right: Share of pixels whose depth is right within a factor of ``NEAR``.
        doubted: Share of pixels with a confidence below a half.
        doubted_right: Share of those that are right all the same; None if there are none.
        ause: Mean area between the sparsification curves of AbsRel.
    """

    camera: str
    frames: int
    said: float
    right: float
    doubted: float
    doubted_right: float | None
    ause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A model's confidence over many frames, each of which counts the same.

    Attributes:
        model: Name of the model.
        frames: Number of frames.
        said: Mean confidence.
        right: Share of pixels whose depth is right within a factor of ``NEAR``, after the
            benchmark's alignment.
        intervals: The same by confidence; intervals without pixels are left out.
        cameras: The same by camera.
    """

    model: str
    frames: int
    said: float
    right: float
    intervals: tuple[Interval, ...]
    cameras: tuple[CameraCalibration, ...] = ()


def sureness(benchmark: Benchmark, prediction: Prediction, truth: Truth) -> FrameSureness | None:
    """Reliability of the confidence of one prediction; None if it has none.

    Raises:
        RilievoError: If the benchmark has no score for it.
    """
    if prediction.confidence is None or prediction.depth_or_none is None:
        return None
    metres = comparable_depth(benchmark, prediction.depth, cut_truth(truth, benchmark.input_crop))
    said = prediction.confidence[metres.mask].astype(np.float64)
    ratio = metres.depth[metres.mask] / metres.true[metres.mask]
    right = np.maximum(ratio, 1 / ratio) < NEAR
    ause = sparsify(said, np.abs(ratio - 1).astype(np.float64)).ause
    place = np.clip(np.digitize(said, EDGES) - 1, 0, len(EDGES) - 2)

    def share(weights: np.ndarray | None) -> Float64[np.ndarray, "bins"]:
        return np.bincount(place, weights, minlength=len(EDGES) - 1) / said.size

    return FrameSureness(pixels=share(None), said=share(said), right=share(right), ause=ause)


def calibration(model: str, by_camera: Mapping[str, Sequence[FrameSureness]]) -> Calibration:
    """The mean over frames, of one at least, and over those of each camera."""
    frames = [each for group in by_camera.values() for each in group]
    pixels, said, right = (
        np.mean([getattr(each, name) for each in frames], axis=0)
        for name in ("pixels", "said", "right")
    )
    return Calibration(
        model=model,
        frames=len(frames),
        said=float(said.sum()),
        right=float(right.sum()),
        intervals=tuple(_intervals(pixels, said, right)),
        cameras=tuple(_of_camera(camera, group) for camera, group in by_camera.items()),
    )


def _of_camera(camera: str, frames: Sequence[FrameSureness]) -> CameraCalibration:
    doubted = float(np.mean([each.pixels[0] for each in frames]))
    right = float(np.mean([each.right[0] for each in frames]))
    return CameraCalibration(
        camera=camera,
        frames=len(frames),
        said=float(np.mean([each.said.sum() for each in frames])),
        right=float(np.mean([each.right.sum() for each in frames])),
        doubted=doubted,
        doubted_right=right / doubted if doubted else None,
        ause=float(np.mean([each.ause for each in frames])),
    )


def _intervals(
    pixels: Float64[np.ndarray, "bins"],
    said: Float64[np.ndarray, "bins"],
    right: Float64[np.ndarray, "bins"],
) -> Iterable[Interval]:
    for number in np.flatnonzero(pixels):
        share = pixels[number]
        yield Interval(
            low=EDGES[number],
            high=EDGES[number + 1],
            pixels=float(share),
            said=float(said[number] / share),
            right=float(right[number] / share),
        )
