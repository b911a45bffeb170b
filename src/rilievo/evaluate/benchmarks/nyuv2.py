"""NYU Depth v2, the 654 test images, cropped as Eigen et al. (2014) did."""

from rilievo.evaluate.benchmark import Averaging, Benchmark, Crop, Interpolation, Task
from rilievo.evaluate.benchmarks.blocks import (
    ALIGNED_HIDES,
    NEEDED,
    NORMALS_METRICS,
    PIXEL_METRICS,
)

EIGEN = Benchmark(
    name="nyuv2-eigen",
    title="NYUv2 test, 654 images, raw Kinect depth to 10 m, Eigen crop",
    dataset="nyuv2",
    split="test",
    variant="raw",
    crop=Crop.NYU_EIGEN,
    max_depth=10.0,
    alignment=NEEDED,
    clip=(1e-3, 10.0),
    interpolation=Interpolation.BILINEAR_CORNERS,
    metrics=PIXEL_METRICS,
    reproduces=(
        "ZoeDepth's evaluation of metric depth (and that of AdaBins before it): raw depth, "
        "strictly between 1 mm and 10 m, rows 45:471 and columns 41:601, predictions clipped to "
        "the cap, metrics averaged over images"
    ),
    hides=(
        "a quarter of the pixels has no truth, most of them on glass, black and shiny things and "
        "around edges; the Kinect errs by about 4 cm at 4 m and more farther on; "
        f"{ALIGNED_HIDES}; the models in the published rows saw NYUv2's training images, but for "
        "those said to be zero-shot"
    ),
)

EIGEN_FILLED = Benchmark(
    name="nyuv2-eigen-filled",
    title="NYUv2 test, 654 images, in-painted depth to 10 m, Eigen crop",
    dataset="nyuv2",
    split="test",
    variant="filled",
    crop=Crop.NYU_EIGEN,
    max_depth=10.0,
    alignment=NEEDED,
    clip=(1e-3, 10.0),
    interpolation=Interpolation.BILINEAR_CORNERS,
    metrics=PIXEL_METRICS,
    reproduces="nyuv2-eigen on the depth whose holes were filled by colour, as many probes do",
    hides=(
        "a quarter of the truth is guessed from colours, so it is smooth where the scene is not, "
        f"and errors come out lower than on raw depth; {ALIGNED_HIDES}"
    ),
)

NORMALS = Benchmark(
    name="nyuv2-normals",
    title="NYUv2 test, 654 images, normals, pixels of all images pooled",
    task=Task.NORMALS,
    dataset="nyuv2",
    split="test",
    variant="normals",
    averaging=Averaging.POOLED,
    metrics=NORMALS_METRICS,
    reproduces=(
        "DSINE's evaluation: the angles of all pixels of all images in one list, of which mean, "
        "median, root mean square and shares below thresholds are taken"
    ),
    hides=(
        "the truth is a fit to noisy Kinect depth by Ladický et al. (2014): smooth, blunt at "
        "edges, off by some 5° on average; pooled, images with more truth weigh more"
    ),
)
