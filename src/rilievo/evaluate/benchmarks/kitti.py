"""KITTI: the images of Eigen et al. (2014), against raw scans or annotated depth (2017)."""

from dataclasses import replace

from rilievo.alignment import AlignMethod
from rilievo.evaluate.benchmark import Benchmark, Crop, InputCrop, Interpolation
from rilievo.evaluate.benchmarks.blocks import ALIGNED_HIDES, AS_PREDICTED, NEEDED, PIXEL_METRICS
from rilievo.metrics.certainty import CERTAINTY_METRICS
from rilievo.types import DepthKind

LASER_HIDES = (
    "the laser stands beside the camera and sees behind foreground; nothing in the upper third "
    "of the picture is measured, nor far things well"
)

EIGEN = Benchmark(
    name="kitti-eigen",
    title="KITTI Eigen test, 697 images, raw LiDAR to 80 m, Garg crop, median scaling",
    dataset="kitti-raw",
    split="eigen",
    variant="monodepth2_vel_depth",
    crop=Crop.KITTI_GARG,
    max_depth=80.0,
    alignment={DepthKind.METRIC: AlignMethod.NONE, DepthKind.UP_TO_SCALE: AlignMethod.MEDIAN},
    clip=(1e-3, 80.0),
    interpolation=Interpolation.BILINEAR_INVERSE,
    metrics=PIXEL_METRICS,
    reproduces=(
        "Monodepth2's evaluate_depth: scans reprojected with its rounding, distance along the "
        "laser's own axis taken for depth as its gt_depths.npz has it, truth strictly between 1 mm "
        "and 80 m inside the Garg crop, inverse depth resized, scale by medians per image (metric "
        "depth, as of stereo training, stays), clipped to 1 mm to 80 m, averaged over "
        "images"
    ),
    hides=(
        f"{LASER_HIDES}; one moment of a spinning laser is taken for one moment of the camera, so "
        "moving things are misplaced; median scaling forgives the scale of every image anew"
    ),
)

EIGEN_IMPROVED = Benchmark(
    name="kitti-eigen-improved",
    title="KITTI Eigen test with annotated depth, 652 images, to 80 m, Garg crop",
    dataset="kitti-depth",
    split="eigen_benchmark",
    crop=Crop.KITTI_GARG,
    max_depth=80.0,
    alignment=NEEDED,
    clip=(1e-3, 80.0),
    metrics=PIXEL_METRICS,
    reproduces=(
        "evaluations of metric depth inside Garg's crop: that of ZoeDepth's program, which Depth "
        "Anything V1 names as its own, of Metric3D and of Depth Anything 3: depth of eleven scans "
        "gathered by Uhrig et al. (2017), strictly between 1 mm and 80 m, predictions clipped to "
        "that, averaged over images. Depth Anything V2 released another loop, without crop and "
        "clipping: kitti-dav2; on three frames its AbsRel was 2 to 3 % higher"
    ),
    hides=(
        f"45 of the 697 images have no such depth; {LASER_HIDES}, and what eleven scans disagree "
        f"on was taken out, which is much of what moves and of thin things; {ALIGNED_HIDES}"
    ),
)

BENCHMARK_EIGEN = Benchmark(
    name="kitti-kb-eigen",
    title="KITTI Eigen test with annotated depth, 652 images cut to 352x1216, Eigen crop",
    dataset="kitti-depth",
    split="eigen_benchmark",
    input_crop=InputCrop.KITTI_BENCHMARK,
    crop=Crop.KITTI_EIGEN,
    max_depth=80.0,
    alignment=NEEDED,
    clip=(1e-3, 80.0),
    metrics=PIXEL_METRICS,
    reproduces=(
        "protocols that cut images to KITTI's benchmark size first (bottom aligned, in the middle) "
        "and score inside Eigen's crop of that, without Marigold's alignment"
    ),
    hides=(
        "the crop moves AbsRel by 5 to 10 % against kitti-eigen-improved, on the same images; "
        f"{LASER_HIDES}; {ALIGNED_HIDES}"
    ),
)


_ANNOTATED_HIDES = (
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
    hides=_ANNOTATED_HIDES,
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
    hides=f"{_ANNOTATED_HIDES}; median scaling forgives the scale of every image anew",
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
        f"{_ANNOTATED_HIDES}; a worse model has larger errors to find, so AUSE and AURG compare "
        "confidences of like depth"
    ),
)
