"""iBims-1: 100 indoor scenes, measured by laser."""

from rilievo.evaluate.benchmark import Benchmark, Published
from rilievo.evaluate.benchmarks.blocks import ALIGNED_HIDES, NEEDED, PIXEL_METRICS

METRIC = Benchmark(
    name="ibims",
    title="iBims-1, 100 indoor images, laser depth to 50 m, no crop",
    dataset="ibims",
    min_depth=0.0,
    alignment=NEEDED,
    metrics=PIXEL_METRICS,
    reproduces=(
        "the authors' masks (invalid and transparent pixels do not count), no cap and no crop; "
        "ZoeDepth caps at 10 m inside NYUv2's Eigen crop, which gives other numbers"
    ),
    hides=f"few images, so wide intervals; truth far beyond indoor sensors' reach; {ALIGNED_HIDES}",
    published=(
        Published(
            model="ZoeDepth (NK)",
            values={"delta1": 0.580},
            source="README of UniDepth; capped and cropped",
        ),
        Published(model="UniDepth V2", values={"delta1": 0.945}, source="README of UniDepth"),
        Published(model="Depth Pro", values={"delta1": 0.823}, source="README of UniDepth"),
    ),
)
