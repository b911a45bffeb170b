"""DIODE: indoor and outdoor scenes, measured by laser."""

from rilievo.evaluate.benchmark import Benchmark, Published
from rilievo.evaluate.benchmarks.blocks import ALIGNED_HIDES, NEEDED, PIXEL_METRICS

METRIC = Benchmark(
    name="diode",
    title="DIODE validation, 325 indoor and 446 outdoor images, laser depth to 50 m",
    dataset="diode",
    min_depth=1e-3,
    max_depth=50.0,
    alignment=NEEDED,
    clip=(1e-3, 50.0),
    metrics=PIXEL_METRICS,
    parts=("indoors", "outdoor"),
    reproduces=(
        "evaluations that cap at 50 m and average over all 771 images; marigold-diode reaches to "
        "350 m and fits scale and shift"
    ),
    hides=(
        "the laser and the camera did not see the same at edges and through foliage, and the "
        "mask leaves much of that in; indoors and outdoors are averaged together, and given apart "
        "beside; "
        f"{ALIGNED_HIDES}"
    ),
    published=(
        Published(
            model="Depth Anything V2 L",
            values={"abs_rel": 0.066},
            source="paper, Table 2; others could not repeat it and found 0.21",
        ),
    ),
)
