"""NYU Depth v2, the 654 test images, cropped as Eigen et al. (2014) did."""

from rilievo.evaluate.benchmark import Averaging, Benchmark, Crop, Interpolation, Published, Task
from rilievo.evaluate.benchmarks.blocks import (
    ALIGNED_HIDES,
    NEEDED,
    NORMALS_METRICS,
    PIXEL_METRICS,
)

_METRIC3D = "README of Metric3D; predictions without alignment"

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
    published=(
        Published(
            model="AdaBins",
            values={"abs_rel": 0.103, "delta1": 0.903, "rmse": 0.364, "log10": 0.044},
            source="tables of AdaBins and its successors; whether raw or filled is disputed",
        ),
        Published(
            model="ZoeDepth (NK)",
            values={"abs_rel": 0.077, "delta1": 0.953, "rmse": 0.277},
            source="READMEs of Metric3D and UniDepth",
        ),
        Published(model="UniDepth V1", values={"delta1": 0.984}, source="README of UniDepth"),
        Published(model="UniDepth V2", values={"delta1": 0.988}, source="README of UniDepth"),
        Published(
            model="Metric3D v2 L, zero-shot",
            values={"abs_rel": 0.063, "delta1": 0.975, "rmse": 0.251},
            source=_METRIC3D,
        ),
        Published(
            model="Metric3D v2 L, fine-tuned",
            values={"abs_rel": 0.047, "delta1": 0.989, "rmse": 0.183},
            source=_METRIC3D,
        ),
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
    published=(
        Published(
            model="DSINE",
            values={"mean": 16.4, "within_11_25": 0.596},
            source="paper of DSINE",
        ),
        Published(
            model="Metric3D v2 L",
            values={"mean": 12.0, "within_11_25": 0.688},
            source="README of Metric3D; trained on NYUv2",
        ),
        Published(
            model="Metric3D v2 g",
            values={"mean": 13.2, "within_11_25": 0.662},
            source="README of Metric3D; trained on NYUv2",
        ),
        Published(
            model="EESNU",
            values={"mean": 16.0, "within_11_25": 0.597},
            source="README of Metric3D; trained on ScanNet",
        ),
        Published(
            model="PolyMax",
            values={"mean": 13.1, "within_11_25": 0.656},
            source="README of Metric3D; trained on NYUv2",
        ),
    ),
)
