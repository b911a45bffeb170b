"""Protocols for any dataset, a folder of one's own among them."""

from rilievo.evaluate.benchmark import Averaging, Benchmark, Task
from rilievo.evaluate.benchmarks.blocks import (
    ALIGNED_HIDES,
    NEEDED,
    NORMALS_METRICS,
    PIXEL_METRICS,
)

DEPTH = Benchmark(
    name="depth",
    title="any dataset, all true depth, just the alignment that the kind of depth needs",
    dataset=None,
    min_depth=0.0,
    alignment=NEEDED,
    metrics=PIXEL_METRICS,
    reproduces="nobody's numbers: a plain protocol for data of one's own",
    hides=ALIGNED_HIDES,
)

SURFACES = Benchmark(
    name="surfaces",
    title="any dataset with cameras: edges, and the points that depth unprojects to",
    dataset=None,
    min_depth=0.0,
    alignment=NEEDED,
    metrics=("boundary_f1", "point_rel", "point_delta1", "point_distance", "abs_rel"),
    reproduces=(
        "Depth Pro's boundary F1, and MoGe's errors of points, each after the alignment that the "
        "kind of depth needs; points are unprojected with the true camera"
    ),
    hides=(
        f"edges are only as sharp as the truth's, which sensors blunt; {ALIGNED_HIDES}; an error "
        "of the camera is none here"
    ),
)

NORMALS = Benchmark(
    name="normals",
    title="any dataset with normals, pixels of all images pooled",
    task=Task.NORMALS,
    dataset=None,
    averaging=Averaging.POOLED,
    metrics=NORMALS_METRICS,
    reproduces="nobody's numbers: DSINE's way of averaging, on data of one's own",
    hides="normals made from depth are as smooth, and as noisy, as that depth",
)
