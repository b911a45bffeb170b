"""DA-2K: which of two points is nearer."""

from rilievo.evaluate.benchmark import Averaging, Benchmark, Task

ORDER = Benchmark(
    name="da2k",
    title="DA-2K, 2,000 pairs of points in 1,000 photographs, which one is nearer",
    task=Task.ORDER,
    dataset="da2k",
    split="all",
    averaging=Averaging.POOLED,
    metrics=("in_order",),
    reproduces=(
        "the accuracy of Depth Anything V2's paper, over all pairs of all photographs. Its authors "
        "released the pairs and no program: here a prediction is resized bilinearly to the "
        "photograph and read at the two pixels, and equal numbers are wrong"
    ),
    hides=(
        "everything but the order of two points, which people picked because they were sure of it; "
        "the eight scenarios weigh by their pairs (--split indoor and so on scores one)"
    ),
)
