"""Normals as DSINE scores them, on the sets of its zip."""

from rilievo.evaluate.benchmark import Averaging, Benchmark, Published, Task
from rilievo.evaluate.benchmarks.blocks import NORMALS_METRICS

_REPRODUCES = (
    "DSINE's evaluation: the angles of all pixels of all images of its zip in one list, of which "
    "mean, median, root mean square and shares below thresholds are taken"
)
_METRIC3D = "README of Metric3D"


def _benchmark(
    split: str, title: str, hides: str, published: tuple[Published, ...] = ()
) -> Benchmark:
    return Benchmark(
        name=f"dsine-{split}",
        title=f"{title}, normals, pixels of all images pooled",
        task=Task.NORMALS,
        dataset="dsine",
        split=split,
        averaging=Averaging.POOLED,
        metrics=NORMALS_METRICS,
        reproduces=_REPRODUCES,
        hides=f"{hides}; pooled, images with more truth weigh more",
        published=published,
    )


def _rows(*values: tuple[str, float, float, str]) -> tuple[Published, ...]:
    return tuple(
        Published(model=model, values={"mean": mean, "within_11_25": share}, source=source)
        for model, mean, share, source in values
    )


SCANNET = _benchmark(
    "scannet",
    "ScanNet test as FrameNet chose it",
    "the truth is made of reconstructed surfaces, smooth where scans were few",
    _rows(
        ("Metric3D v2 L", 9.9, 0.760, f"{_METRIC3D}; trained on ScanNet"),
        ("Metric3D v2 g", 9.2, 0.778, f"{_METRIC3D}; trained on ScanNet"),
    ),
)
IBIMS = _benchmark(
    "ibims",
    "iBims-1",
    "the truth is fitted to laser depth by DSINE's authors; a hundred images",
    _rows(("Metric3D v2 L", 19.4, 0.694, _METRIC3D), ("Metric3D v2 g", 19.6, 0.697, _METRIC3D)),
)
SINTEL = _benchmark(
    "sintel", "Sintel", "an animated film; the truth is fitted to depth by DSINE's authors"
)
OASIS = _benchmark(
    "oasis", "OASIS validation", "people estimated these normals, of one part of each picture"
)
