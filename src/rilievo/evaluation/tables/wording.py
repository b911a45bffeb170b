"""How tables and reports write numbers, and the names and meanings of metrics."""

from collections.abc import Mapping, Sequence

from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import Summary
from rilievo.evaluation.tables.comparison import ComparedMetric
from rilievo.pages.tables import EMPTY_CELL

MAX_SHORTLIST = 5
"""Most metrics of a short table."""

_USUAL_METRICS = (
    *("ece", "abs_rel", "rmse", "silog", "delta1", "mean", "median", "within_11_25", "within_30"),
    *("log10", "delta2", "psnr", "ssim"),
)
"""Metrics that papers on depth, normals and pictures print, the most usual first."""
_HEADLINE_METRICS = (
    *("abs_rel", "delta1", "rmse", "mean", "within_11_25", "median", "psnr", "ssim"),
)
"""Metrics that a page begins with, the most usual first."""
ARROWS: Mapping[Better, str] = {Better.LOWER: "↓", Better.HIGHER: "↑", Better.ZERO: "→0"}
PROSE = ("title", "reproduces", "hides")
"""Settings that are sentences, and change no number."""
_MEANINGS: Mapping[tuple[str, str], str] = {
    ("depth", "abs_rel"): "On average, a depth is off by {percent} of the true depth.",
    ("depth", "rmse"): "The typical error of a depth is {value}; large errors weigh most.",
    ("depth", "mae"): "On average, a depth is off by {value}.",
    ("depth", "delta1"): "{percent} of the depths are right within a factor of 1.25.",
    ("depth", "delta2"): "{percent} of the depths are right within a factor of 1.25².",
    ("depth", "delta3"): "{percent} of the depths are right within a factor of 1.25³.",
    ("normals", "mean"): "On average, a normal is off by {value}.",
    ("normals", "median"): "Half of the normals are off by less than {value}.",
    ("normals", "rmse"): "The typical error of a normal is {value}; large errors weigh most.",
}
"""Meaning of a metric by task and name; other metrics are explained by their formula alone."""
_ALIGNMENT_TEXTS: Mapping[str, str] = {
    "none": "in metres as predicted, without alignment",
    "median": "after fitting a scale to each image",
    "scale": "after fitting a scale to each image",
    "robust_scale": "after fitting a scale to each image",
    "scale_shift": "after fitting a scale and a shift to each image",
    "robust_scale_shift": "after fitting a scale and a shift to each image",
    "inverse_scale_shift": "after fitting a scale and a shift of inverse depth to each image",
    "point_shift": "after fitting a 3D shift to each image",
    "point_scale": "after fitting a scale to each image",
    "point_scale_shift": "after fitting a scale and a 3D shift to each image",
    "log": "after fitting a scale and an exponent to each image",
}


def headline(metrics: Sequence[str]) -> tuple[str, ...]:
    """The leading metric, and the two most usual of the others."""
    usual = sorted(
        shortlist(metrics)[1:], key=lambda name: _position_or_end(name, _HEADLINE_METRICS)
    )
    return (*metrics[:1], *usual[:2])


def shortlist(metrics: Sequence[str]) -> tuple[str, ...]:
    """At most five metrics, in their order: the leading one and the most usual of the others."""
    most_usual_first = sorted(metrics[1:], key=lambda name: _position_or_end(name, _USUAL_METRICS))
    kept = {*metrics[:1], *most_usual_first[: MAX_SHORTLIST - 1]}
    return tuple(name for name in metrics if name in kept)


def _position_or_end(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def alignment_text(method: str | None) -> str | None:
    """How predictions were aligned, in words; None if nothing is aligned."""
    if method is None:
        return None
    return _ALIGNMENT_TEXTS.get(method, f"after the alignment {method}")


def number(value: float | None) -> str:
    """Number with about four digits; a dash for None."""
    if value is None:
        return EMPTY_CELL
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e5):
        return f"{value:.3g}"
    if size < 10:
        return f"{value:.4f}"
    return f"{value:.3f}" if size < 100 else f"{value:.2f}"


def quantity(value: float | None, unit: str) -> str:
    """Number with its unit as text; a dash for None."""
    if value is None or not unit:
        return number(value)
    separator = "" if unit in ("°", "%") else " "
    return f"{number(value)}{separator}{unit}"


def bounds(low: float | None, high: float | None) -> str:
    """Interval as "low to high"; a dash if there is no interval."""
    if low is None or high is None:
        return EMPTY_CELL
    return f"{number(low)} to {number(high)}"


def percentage(fraction: float) -> str:
    """A fraction, 0 to 1, in per cent."""
    return f"{100 * fraction:.1f}%"


def head(metric: Summary | ComparedMetric) -> str:
    """Label of a metric with its unit, such as "RMSE [m]"."""
    return f"{metric.label} [{metric.unit}]" if metric.unit else metric.label


def column_head(metric: Summary | ComparedMetric) -> str:
    """Label of a metric with its unit and an arrow in the better direction, "RMSE [m] ↓"."""
    return f"{head(metric)} {ARROWS[metric.better]}"


def full_name(task: str, summary: Summary) -> str:
    """Label of a metric, with the word "angle" for angles between normals."""
    is_angle = task == "normals" and summary.unit == "°"
    return f"{summary.label} angle" if is_angle else summary.label


def meaning(task: str, summary: Summary) -> str | None:
    """Sentence that says what a metric's value means; None if there is none."""
    sentence = _MEANINGS.get((task, summary.metric))
    if sentence is None:
        return None
    return sentence.format(
        percent=percentage(summary.value), value=quantity(summary.value, summary.unit)
    )


def setting_value(value: object) -> str:
    """Value of a benchmark's setting in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
