"""Probe3D (El Banani et al. 2024): what features know of depth, read out by a trained probe.

Published rows are of the paper. The code released with it trains otherwise, and others who ran it
found lower numbers: DINOv2 B with 41.9 % (scale-aware) where the paper has 68.8 % on NAVI.
"""

from dataclasses import replace

from rilievo.alignment import AlignMethod
from rilievo.evaluate.benchmark import Benchmark, InputCrop, Interpolation, Task
from rilievo.evaluate.benchmarks.blocks import AS_PREDICTED
from rilievo.types import DepthKind

_METRICS = ("delta1", "delta2", "delta3", "rmse")

_ALIGNED = {
    DepthKind.METRIC: AlignMethod.SCALE_SHIFT,
    DepthKind.UP_TO_SCALE: AlignMethod.SCALE_SHIFT,
    DepthKind.AFFINE: AlignMethod.SCALE_SHIFT,
}
_SI_REPRODUCES = (
    "; scale and shift per image by least squares in depth (in float64: the original's float32 "
    "fits of nearly constant maps are noise), which may not turn near into far (the original "
    "allows that), with depth kept at 1e-9 m and above (the original does so for shares alone)"
)


NYUV2 = Benchmark(
    name="probe3d-nyuv2",
    title="Probe3D on NYUv2 test: 654 images cut to 480x480, raw depth to 10 m, scale-aware",
    dataset="nyuv2",
    split="test",
    variant="raw",
    input_crop=InputCrop.NYU_SQUARE,
    min_depth=0.0,
    # 10 m itself counts: the next number of single precision.
    max_depth=10.000001,
    alignment=AS_PREDICTED,
    interpolation=Interpolation.BILINEAR_CORNERS,
    metrics=_METRICS,
    reproduces=(
        "Probe3D's released evaluation: the middle 480x480 pixels, every pixel with raw depth up "
        "to 10 m, shares and RMSE per image, averaged over images"
    ),
    hides="no Eigen crop, so it does not compare with other NYUv2 tables; the truth is a Kinect's",
)

NYUV2_SI = replace(
    NYUV2,
    name="probe3d-nyuv2-si",
    title="Probe3D on NYUv2 test: 654 images cut to 480x480, raw depth to 10 m, scale-invariant",
    alignment=_ALIGNED,
    least_depth=1e-9,
    reproduces=NYUV2.reproduces + _SI_REPRODUCES,
    hides=NYUV2.hides + "; scale and shift of every image are taken from its truth",
)

NAVI = Benchmark(
    name="probe3d-navi",
    title="Probe3D on NAVI: objects in the wild, cropped, relative depth, scale-aware",
    dataset="navi",
    split="probe3d-test",
    variant="relative-crop",
    min_depth=0.0,
    alignment=AS_PREDICTED,
    interpolation=Interpolation.BILINEAR_CORNERS,
    metrics=_METRICS,
    reproduces=(
        "Probe3D's evaluation of relative depth: every fourth image in the wild, a square around "
        "the object at 512x512, depth of each image stretched to 0.01 to 1 before; shares and RMSE "
        "per image, averaged over images"
    ),
    hides=(
        "depth is stretched by each image's own least and largest, so it is no length, though "
        "'metric' is the kind to give it; the background has no truth"
    ),
)

NAVI_SI = replace(
    NAVI,
    name="probe3d-navi-si",
    title="Probe3D on NAVI: objects in the wild, cropped, relative depth, scale-invariant",
    alignment=_ALIGNED,
    least_depth=1e-9,
    reproduces=NAVI.reproduces + _SI_REPRODUCES,
    hides=NAVI.hides + "; scale and shift of every image are taken from its truth",
)


_NORMALS_METRICS = ("within_11_25", "within_22_5", "within_30", "rmse")


NYUV2_NORMALS = Benchmark(
    name="probe3d-nyuv2-normals",
    title="Probe3D on NYUv2 test: 654 images cut to 480x480, Ladický's normals",
    task=Task.NORMALS,
    dataset="nyuv2",
    split="test",
    variant="normals",
    input_crop=InputCrop.NYU_SQUARE,
    interpolation=Interpolation.BICUBIC_CORNERS,
    metrics=_NORMALS_METRICS,
    reproduces=(
        "Probe3D's released evaluation: the middle 480x480 pixels, shares and RMSE of the angle "
        "per image, averaged over images; predictions are resized bicubically, corners on corners; "
        "where the truth has no normal nothing is scored (the original counts 90 degrees there)"
    ),
    hides="the truth is a smoothed fit to a Kinect's depth, off by some 5 degrees on average",
)

NAVI_NORMALS = Benchmark(
    name="probe3d-navi-normals",
    title="Probe3D on NAVI: objects in the wild, cropped, normals",
    task=Task.NORMALS,
    dataset="navi",
    split="probe3d-test",
    variant="normals-crop",
    interpolation=Interpolation.BICUBIC_CORNERS,
    metrics=_NORMALS_METRICS,
    reproduces=(
        "Probe3D's evaluation of every fourth image in the wild, a square around the object at "
        "512x512; shares and RMSE of the angle per image, averaged over images; predictions are "
        "resized bicubically, corners on corners"
    ),
    hides=(
        "published rows were scored on truth computed with the principal point in the corner of "
        "the crop, wrong by some 4 degrees on average; ours has it where it is, so the rows "
        "compare only roughly"
    ),
)
