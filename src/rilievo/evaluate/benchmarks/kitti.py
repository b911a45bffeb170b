"""KITTI: the images of Eigen et al. (2014), against raw scans or annotated depth."""

from rilievo.alignment import AlignMethod
from rilievo.evaluate.benchmark import Benchmark, Crop, InputCrop, Interpolation, Published
from rilievo.evaluate.benchmarks.blocks import ALIGNED_HIDES, NEEDED, PIXEL_METRICS
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
    published=tuple(
        Published(
            model=f"Monodepth2 {name}",
            values={"abs_rel": error} | ({} if share is None else {"delta1": share}),
            source="README of Monodepth2",
        )
        for name, error, share in (
            ("M 640x192", 0.115, 0.877),
            ("S 640x192", 0.109, None),
            ("MS 640x192", 0.106, None),
            ("M 1024x320", 0.115, None),
            ("S 1024x320", 0.107, None),
            ("MS 1024x320", 0.106, None),
            ("M 640x192, not pretrained", 0.132, None),
        )
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
    published=(
        Published(
            model="Metric3D v2 L, zero-shot",
            values={"abs_rel": 0.052, "delta1": 0.985},
            source="README of Metric3D",
        ),
        Published(
            model="Metric3D v2 g, zero-shot",
            values={"abs_rel": 0.051, "delta1": 0.989},
            source="README of Metric3D",
        ),
        Published(
            model="Metric3D v2 L, fine-tuned",
            values={"abs_rel": 0.044, "delta1": 0.985, "rmse": 1.985},
            source="README of Metric3D",
        ),
        Published(model="UniDepth V1", values={"delta1": 0.986}, source="README of UniDepth"),
        Published(model="UniDepth V2", values={"delta1": 0.989}, source="README of UniDepth"),
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
