"""Marigold's evaluations of affine-invariant depth, and of normals."""

from collections.abc import Iterator, Sequence

from rilievo.evaluate.benchmark import Benchmark, Crop, InputCrop, Published, Task
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
_BEST_OF = "paper; 50 steps, 10 predictions of each image averaged; version 1.0"
_OTHERS = "README of Metric3D"


def _rows(rows: Sequence[tuple[str, float, float | None, str]]) -> tuple[Published, ...]:
    return tuple(
        Published(
            model=model,
            values={"abs_rel": error} | ({} if share is None else {"delta1": share}),
            source=source,
        )
        for model, error, share, source in rows
    )


_ZIPDEPTH = "ZipDepth, Table 1"
_RETRAINED = "ZipDepth, Table 1; retrained by its authors"


def _small_rows(
    errors: Sequence[float], shares: Sequence[float]
) -> Iterator[tuple[str, float, float, str]]:
    """The five small models of ZipDepth's table, in its order."""
    names = ("PyDNet", "FastDepth", "GuideDepth", "ZipDepth", "Lite-Mono")
    for name, error, share in zip(names, errors, shares, strict=True):
        yield name, error, share, _ZIPDEPTH if name == "ZipDepth" else _RETRAINED


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
    published=_rows(
        (
            ("Marigold v1-0", 0.055, None, _BEST_OF),
            ("GeoWizard", 0.052, None, "paper; the best of several seeds"),
            ("Metric3D v2 L", 0.042, 0.980, _OTHERS),
            ("Depth Anything V1 L", 0.043, 0.981, _OTHERS),
            ("Depth Anything V2 S", 0.053, None, "paper, Table 2; its own fit in inverse depth"),
            ("Depth Anything V2 B", 0.049, None, "paper, Table 2; its own fit in inverse depth"),
            ("Depth Anything V2 L", 0.045, None, "paper, Table 2; its own fit in inverse depth"),
            *_small_rows((0.114, 0.103, 0.092, 0.084, 0.087), (0.871, 0.898, 0.918, 0.933, 0.927)),
            ("MiDaS v2.1 small", 0.115, 0.868, _ZIPDEPTH),
            ("Depth Anything V2 S", 0.061, 0.962, _ZIPDEPTH),
        )
    ),
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
    published=_rows(
        (
            ("Marigold v1-0", 0.099, 0.916, _BEST_OF + "; version 1.1 gives 0.109"),
            ("GeoWizard", 0.097, None, "paper; the best of several seeds"),
            ("Metric3D v2 L", 0.042, 0.979, _OTHERS),
            ("Depth Anything V1 L", 0.076, 0.947, _OTHERS),
            ("Depth Anything V2 S", 0.078, None, "paper, Table 2; its own fit in inverse depth"),
            ("Depth Anything V2 B", 0.078, None, "paper, Table 2; its own fit in inverse depth"),
            ("Depth Anything V2 L", 0.074, None, "paper, Table 2; its own fit in inverse depth"),
            *_small_rows((0.129, 0.168, 0.149, 0.123, 0.109), (0.849, 0.743, 0.806, 0.864, 0.895)),
            ("MiDaS v2.1 small", 0.259, 0.543, _ZIPDEPTH),
            ("Depth Anything V2 S", 0.084, 0.934, _ZIPDEPTH),
        )
    ),
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
    published=_rows(
        (
            *_small_rows((0.104, 0.123, 0.102, 0.100, 0.087), (0.906, 0.872, 0.919, 0.922, 0.936)),
            ("MiDaS v2.1 small", 0.134, 0.837, _ZIPDEPTH),
            ("Depth Anything V2 S", 0.063, 0.967, _ZIPDEPTH),
        )
    ),
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
    published=_rows(
        (
            ("Marigold v1-0", 0.308, 0.773, _OTHERS),
            ("Metric3D v2 L", 0.141, None, _OTHERS),
            ("Depth Anything V1 L", 0.277, 0.759, _OTHERS),
        )
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
