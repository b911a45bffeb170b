"""Depth of videos: one fit for a whole sequence, and agreement between its frames."""

from rilievo.alignment import AlignMethod
from rilievo.evaluate.benchmark import Benchmark, Task
from rilievo.evaluate.benchmarks.blocks import PIXEL_METRICS
from rilievo.types import DepthKind

_SEQUENCE = {
    DepthKind.METRIC: AlignMethod.INVERSE_SCALE_SHIFT,
    DepthKind.UP_TO_SCALE: AlignMethod.INVERSE_SCALE_SHIFT,
    DepthKind.AFFINE_INVERSE: AlignMethod.INVERSE_SCALE_SHIFT,
}
_FIT = (
    "one scale and shift for each sequence, by least squares in inverse depth over all pixels with "
    "truth of all its frames, predictions of inverse depth and the fitted ones kept at 0.001 and "
    "above"
)
_DATA = (
    "its sets (Sintel, Bonn, ScanNet, KITTI) have caps and selections of frames of their own, "
    "which are not those of a dataset here"
)

DEPTH = Benchmark(
    name="video-depth",
    title="any dataset with sequences, one scale and shift for each sequence",
    dataset=None,
    min_depth=1e-3,
    alignment=_SEQUENCE,
    fit_scene=True,
    least_predicted=1e-3,
    metrics=PIXEL_METRICS,
    reproduces=f"the fit of Video Depth Anything's evaluation: {_FIT}; averaged over frames",
    hides=f"scale and shift of every sequence are taken from its truth; {_DATA}",
)

STABILITY = Benchmark(
    name="video-tae",
    title="any dataset with sequences and poses, agreement of neighbouring frames",
    task=Task.STABILITY,
    dataset=None,
    min_depth=1e-3,
    alignment=_SEQUENCE,
    fit_scene=True,
    least_predicted=1e-3,
    metrics=("tae",),
    reproduces=(
        "Video Depth Anything's temporal alignment error: the points of each frame are seen from "
        "the next one by the true motion, and back, and their depth is compared with what is "
        f"predicted at the nearest pixel; in per cent, after {_FIT}. Of points that fall into one "
        "pixel the last in reading order counts. Averaged over pairs of frames; its paper averages "
        "over sequences, which is the same where they are equally long"
    ),
    hides=(
        "things that move are taken for errors, and what one frame hides from the next one too; a "
        f"depth that is wrong alike in all frames is stable; {_DATA}"
    ),
)
