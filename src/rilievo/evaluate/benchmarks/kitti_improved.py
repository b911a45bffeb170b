"""KITTI's annotated depth (Uhrig et al. 2017) on Eigen's images, without a crop."""

from dataclasses import replace

from rilievo.alignment import AlignMethod
from rilievo.evaluate.benchmark import Benchmark, Interpolation, Published
from rilievo.evaluate.benchmarks.blocks import AS_PREDICTED, PIXEL_METRICS
from rilievo.evaluate.benchmarks.kitti import LASER_HIDES
from rilievo.metrics.certainty import CERTAINTY_METRICS
from rilievo.types import DepthKind

_HIDES = (
    f"45 of the 697 images have no such depth; {LASER_HIDES}, and what eleven scans disagree on "
    "was taken out, which is much of what moves and of thin things"
)
_COLUMNS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3")

DEPTH_ANYTHING_V2 = Benchmark(
    name="kitti-dav2",
    title="KITTI Eigen test with annotated depth, 652 images, to 80 m, no crop, metric depth",
    dataset="kitti-depth",
    split="eigen_benchmark",
    # 80 m itself counts: the next number of single precision.
    max_depth=80.00001,
    least_pixels=10,
    alignment=AS_PREDICTED,
    interpolation=Interpolation.BILINEAR_CORNERS,
    metrics=PIXEL_METRICS,
    reproduces=(
        "Depth Anything V2's released loop (metric_depth/train.py): all annotated depth from 1 mm "
        "to 80 m, both ends included, no crop, predictions resized bilinearly, corners on corners, "
        "and not clipped; images with fewer than 10 such pixels passed over; averaged over images. "
        "Its SILog is the one with λ = 0.5"
    ),
    hides=_HIDES,
)

MONODEPTH2 = Benchmark(
    name="kitti-monodepth2-improved",
    title="KITTI Eigen test with annotated depth, 652 images, no crop, no cap, median scaling",
    dataset="kitti-depth",
    split="eigen_benchmark",
    min_depth=0.0,
    alignment={DepthKind.METRIC: AlignMethod.NONE, DepthKind.UP_TO_SCALE: AlignMethod.MEDIAN},
    clip=(1e-3, 80.0),
    interpolation=Interpolation.BILINEAR_INVERSE,
    metrics=PIXEL_METRICS,
    reproduces=(
        "Monodepth2's evaluate_depth with --eval_split eigen_benchmark, its table of improved "
        "truth: every annotated pixel counts, no crop and no cap, inverse depth resized, scale by "
        "medians per image (metric depth, as of stereo training, stays), clipped to 1 mm to 80 m, "
        "averaged over images"
    ),
    hides=f"{_HIDES}; median scaling forgives the scale of every image anew",
    published=tuple(
        Published(
            model=f"Monodepth2 {name}",
            values=dict(zip(_COLUMNS, values, strict=False)),
            source="paper, table of improved ground truth; quoted at second hand",
        )
        for name, values in (
            ("M 640x192", (0.090, 0.545, 3.942, 0.137, 0.914, 0.983, 0.995)),
            ("S 640x192", (0.085, 0.537, 3.868, 0.139, 0.912)),
            ("MS 640x192", (0.080, 0.466, 3.681, 0.127, 0.926)),
        )
    ),
)

UNCERTAINTY = replace(
    MONODEPTH2,
    name="kitti-uncertainty",
    title="KITTI Eigen test with annotated depth, 652 images, what the model's confidence is worth",
    metrics=(*CERTAINTY_METRICS, *_COLUMNS),
    reproduces=(
        "AUSE and AURG of AbsRel, RMSE and 1 - δ1 of Poggi et al. (2020), from their program's "
        "arithmetic (mono-uncertainty, evaluate.py, --eval_split eigen_benchmark): annotated "
        "depth, no crop, clipped to 80 m, 50 steps, averaged over images. Their program reads "
        "disparity and uncertainty from 16-bit PNG and resizes both, and as released scales no "
        "monocular depth by its medians, which its map generator does before; the calibration "
        "columns are ours"
    ),
    hides=(
        f"{_HIDES}; a worse model has larger errors to find, so AUSE and AURG compare confidences "
        "of like depth"
    ),
    published=(
        Published(
            model="Monodepth2-Post M 640x192",
            values={
                "ause_abs_rel": 0.044,
                "aurg_abs_rel": 0.012,
                "ause_rmse": 2.864,
                "aurg_rmse": 0.412,
                "ause_delta1": 0.056,
                "aurg_delta1": 0.022,
                **dict(
                    zip(_COLUMNS, (0.088, 0.508, 3.842, 0.134, 0.917, 0.983, 0.995), strict=True)
                ),
            },
            source="README of mono-uncertainty; unsure where the mirror image's answer differs",
        ),
    ),
)
