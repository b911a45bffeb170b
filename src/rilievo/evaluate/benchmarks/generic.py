"""Protocols for any dataset, a folder or videos of one's own among them."""

from rilievo.alignment import AlignMethod
from rilievo.evaluate.benchmark import Averaging, Benchmark, Task
from rilievo.evaluate.benchmarks.blocks import (
    ALIGNED_HIDES,
    NEEDED,
    NORMALS_METRICS,
    PIXEL_METRICS,
)
from rilievo.metrics.certainty import CERTAINTY_METRICS
from rilievo.types import DepthKind

DEPTH = Benchmark(
    name="depth",
    title="any dataset, all true depth, just the alignment that the kind of depth needs",
    dataset=None,
    min_depth=0.0,
    alignment=NEEDED,
    metrics=PIXEL_METRICS,
    reproduces="nobody's numbers: a plain protocol for data of one's own",
    hides=ALIGNED_HIDES,
)

SURFACES = Benchmark(
    name="surfaces",
    title="any dataset with cameras: edges, and the points that depth unprojects to",
    dataset=None,
    min_depth=0.0,
    alignment=NEEDED,
    metrics=("boundary_f1", "point_rel", "point_delta1", "point_distance", "abs_rel"),
    reproduces=(
        "Depth Pro's boundary F1, and MoGe's errors of points, each after the alignment that the "
        "kind of depth needs; points are unprojected with the true camera"
    ),
    hides=(
        f"edges are only as sharp as the truth's, which sensors blunt; {ALIGNED_HIDES}; an error "
        "of the camera is none here"
    ),
)

NORMALS = Benchmark(
    name="normals",
    title="any dataset with normals, pixels of all images pooled",
    task=Task.NORMALS,
    dataset=None,
    averaging=Averaging.POOLED,
    metrics=NORMALS_METRICS,
    reproduces="nobody's numbers: DSINE's way of averaging, on data of one's own",
    hides="normals made from depth are as smooth, and as noisy, as that depth",
)

CERTAINTY = Benchmark(
    name="certainty",
    title="any dataset, what the model's confidence in its depth is worth",
    dataset=None,
    min_depth=0.0,
    alignment=NEEDED,
    metrics=(*CERTAINTY_METRICS, "abs_rel", "rmse", "delta1"),
    reproduces=(
        "AUSE and AURG of AbsRel, RMSE and 1 - δ1 as Poggi et al. (2020) compute them, in 50 "
        "steps, and calibration errors of the confidence as the chance that depth is right within "
        "a factor of 1.25, each after the alignment that the kind of depth needs"
    ),
    hides=(
        "a worse model has larger errors to find, so AUSE and AURG compare confidences of like "
        "depth; confidences that are no probabilities (Depth Anything 3, ensembles) can be "
        f"compared by AUSE and AURG alone; {ALIGNED_HIDES}"
    ),
)

NORMALS_CERTAINTY = Benchmark(
    name="normals-certainty",
    title="any dataset with normals, what the model's confidence in its normals is worth",
    task=Task.NORMALS,
    dataset=None,
    metrics=("ause_mean", "aurg_mean", "mean"),
    reproduces="nobody's numbers: AUSE and AURG in 50 steps, of the mean angle of each image",
    hides=(
        "a worse model has larger errors to find, so AUSE and AURG compare confidences of like "
        "normals; a confidence of normals is an order of the pixels and no probability"
    ),
)


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

VIDEO_DEPTH = Benchmark(
    name="video-depth",
    title="any dataset with sequences, one scale and shift for each sequence",
    dataset=None,
    alignment=_SEQUENCE,
    fit_scene=True,
    least_predicted=1e-3,
    metrics=PIXEL_METRICS,
    reproduces=f"the fit of Video Depth Anything's evaluation: {_FIT}; averaged over frames",
    hides=f"scale and shift of every sequence are taken from its truth; {_DATA}",
)

VIDEO_STABILITY = Benchmark(
    name="video-tae",
    title="any dataset with sequences and poses, agreement of neighbouring frames",
    task=Task.STABILITY,
    dataset=None,
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
