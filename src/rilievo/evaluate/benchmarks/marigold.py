"""Marigold's evaluations of affine-invariant depth, and of normals."""

from rilievo.evaluate.benchmark import Benchmark, Crop, InputCrop, Task
from rilievo.evaluate.benchmarks.blocks import AFFINE, NORMALS_METRICS, PIXEL_METRICS

_REPRODUCES = (
    "Marigold's evaluation (and that of GeoWizard, Lotus and others after it): scale and shift by "
    "least squares over all pixels that count, in depth, or in inverse depth for models that "
    "predict it (over pixels predicted above zero, and with inverse depth kept at 0.001 / m and "
    "above after it); clipped to the dataset's range; averaged over images"
)
_FORGIVES = (
    "scale and shift of every image are taken from its truth; a shift fitted in depth bends "
    "surfaces, which these metrics do not see; fits in depth and in inverse depth weigh near and "
    "far differently, so rows of both kinds compare only roughly"
)
NYUV2 = Benchmark(
    name="marigold-nyuv2",
    title="NYUv2 test, 654 images, raw depth to 10 m, Eigen crop, least-squares scale and shift",
    dataset="nyuv2",
    split="test",
    variant="raw",
    crop=Crop.NYU_EIGEN,
    max_depth=10.0,
    alignment=AFFINE,
    positive_fit=True,
    clip=(1e-3, 10.0),
    metrics=PIXEL_METRICS,
    reproduces=_REPRODUCES,
    hides=_FORGIVES,
)

KITTI = Benchmark(
    name="marigold-kitti",
    title="KITTI Eigen, 652 images cut to 352x1216, Eigen crop, least-squares scale and shift",
    dataset="kitti-depth",
    split="eigen_benchmark",
    input_crop=InputCrop.KITTI_BENCHMARK,
    crop=Crop.KITTI_EIGEN,
    min_depth=1e-5,
    max_depth=80.0,
    alignment=AFFINE,
    positive_fit=True,
    clip=(1e-5, 80.0),
    least_depth=1e-5,
    metrics=PIXEL_METRICS,
    reproduces=_REPRODUCES,
    hides=_FORGIVES,
)

ETH3D = Benchmark(
    name="marigold-eth3d",
    title="ETH3D training, 454 images, laser depth, least-squares scale and shift",
    dataset="eth3d",
    min_depth=1e-5,
    alignment=AFFINE,
    positive_fit=True,
    fit_side=1024,
    least_depth=1e-5,
    metrics=PIXEL_METRICS,
    reproduces=(
        f"{_REPRODUCES}; the fit rests on every so manyth row and column, 1024 at most "
        "(--alignment_max_res 1024), the score on all pixels with truth; no cap"
    ),
    hides=f"{_FORGIVES}; the photographs are distorted; a tenth of the pixels have truth",
)

SCANNET = Benchmark(
    name="marigold-scannet",
    title="ScanNet validation, 800 images, depth to 10 m, least-squares scale and shift",
    dataset="marigold-scannet",
    split="val",
    max_depth=10.0,
    alignment=AFFINE,
    positive_fit=True,
    clip=(1e-3, 10.0),
    metrics=PIXEL_METRICS,
    reproduces=_REPRODUCES,
    hides=f"{_FORGIVES}; the sensor says nothing of dark and shiny things",
)

DIODE = Benchmark(
    name="marigold-diode",
    title="DIODE validation, 325 indoor and 446 outdoor images, least-squares scale and shift",
    dataset="diode",
    min_depth=0.0,
    alignment=AFFINE,
    positive_fit=True,
    clip=(0.6, 350.0),
    metrics=PIXEL_METRICS,
    parts=("indoors", "outdoor"),
    reproduces=(
        f"{_REPRODUCES}; the dataset's own masks alone say which pixels count, and 0.6 to 350 m "
        "only clips predictions"
    ),
    hides=(
        f"{_FORGIVES}; indoors and outdoors are averaged together, and outdoors, a few far pixels "
        "decide the fit"
    ),
)

NYUV2_NORMALS = Benchmark(
    name="marigold-nyuv2-normals",
    title="NYUv2 test, 654 images, normals, averaged over images",
    task=Task.NORMALS,
    dataset="nyuv2",
    split="test",
    variant="normals",
    rounding=4,
    metrics=NORMALS_METRICS,
    reproduces=(
        "Marigold's evaluation of normals: each image's angles in degrees and shares in % rounded "
        "to 4 decimals, then averaged over images"
    ),
    hides=(
        "the truth is a fit to noisy Kinect depth, off by some 5° itself; a mean over images is "
        "not DSINE's pooled mean, though papers print both in one column"
    ),
)
