"""One order for all metrics: the smaller, the better."""

from rilievo.metrics.metric import Better


def badness(value: float, better: Better) -> float:
    """A number that is smaller where the metric is better."""
    if better is Better.ZERO:
        return abs(value)
    return -value if better is Better.HIGHER else value
