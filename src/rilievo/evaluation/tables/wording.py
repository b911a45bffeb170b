"""Numbers, names and meanings of metrics, as reports write them."""

from collections.abc import Mapping, Sequence

from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import Summary
from rilievo.evaluation.tables.comparison import Column
from rilievo.pages.tables import NOTHING

SHOWN = 5

# What papers of depth, normals and pictures print, one of each sort.
_USUAL = (
    *("ece", "abs_rel", "rmse", "silog", "delta1", "mean", "median", "within_11_25", "within_30"),
    *("log10", "delta2", "psnr", "ssim"),
)

_HEADLINE = ("abs_rel", "delta1", "rmse", "mean", "within_11_25", "median", "psnr", "ssim")
ARROWS: Mapping[Better, str] = {Better.LOWER: "↓", Better.HIGHER: "↑", Better.ZERO: "→0"}
# Settings that are sentences, and change no number.
PROSE = ("title", "reproduces", "hides")
# Of the metrics that head a benchmark; others are explained by their formula alone.
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
_ALIGNED: Mapping[str, str] = {
    "none": "in metres as predicted, nothing fitted",
    "median": "after one factor an image, fitted to its truth",
    "scale": "after one factor an image, fitted to its truth",
    "robust_scale": "after one factor an image, fitted to its truth",
    "scale_shift": "after a factor and a shift an image, fitted to its truth",
    "robust_scale_shift": "after a factor and a shift an image, fitted to its truth",
    "inverse_scale_shift": "after a factor and a shift of inverse depth an image, fitted to its "
    "truth",
    "point_shift": "after a shift in space an image, fitted to its truth",
    "point_scale": "after one factor an image, fitted to its truth",
    "point_scale_shift": "after a factor and a shift in space an image, fitted to its truth",
    "log": "after a factor and a power an image, fitted to its truth",
}


def headline(metrics: Sequence[str]) -> tuple[str, ...]:
    """The leading metric and the two most usual."""
    usual = sorted(shortlist(metrics)[1:], key=lambda name: _position_or_end(name, _HEADLINE))
    return (*metrics[:1], *usual[:2])


def shortlist(metrics: Sequence[str]) -> tuple[str, ...]:
    """Choose at most ``SHOWN`` metrics: the leading and usual ones."""
    ranked = sorted(metrics[1:], key=lambda name: _position_or_end(name, _USUAL))
    chosen = {*metrics[:1], *ranked[: SHOWN - 1]}
    return tuple(name for name in metrics if name in chosen)


def _position_or_end(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def alignment_text(method: str | None) -> str | None:
    """Alignment of predictions in words."""
    if method is None:
        return None
    return _ALIGNED.get(method, f"aligned by {method}, fitted to its truth")


def number(value: float | None) -> str:
    """Four digits; a dash where there is no number."""
    if value is None:
        return NOTHING
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e5):
        return f"{value:.3g}"
    decimals = 4 if size < 10 else 3 if size < 100 else 2
    return f"{value:.{decimals}f}"


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit."""
    if value is None or not unit:
        return number(value)
    return f"{number(value)}{unit}" if unit in ("°", "%") else f"{number(value)} {unit}"


def bounds(low: float | None, high: float | None) -> str:
    """An interval; a dash where there is none."""
    if low is None or high is None:
        return NOTHING
    return f"{number(low)} to {number(high)}"


def percentage(share: float) -> str:
    """A share as per cent."""
    return f"{100 * share:.1f} %"


def head(metric: Summary | Column) -> str:
    """Name of a metric with its unit."""
    return f"{metric.label} [{metric.unit}]" if metric.unit else metric.label


def column_head(metric: Summary | Column) -> str:
    """Name of a metric with its unit and better direction."""
    return f"{head(metric)} {ARROWS[metric.better]}"


def full_name(task: str, summary: Summary) -> str:
    """Label, with "angle" for angles of normals."""
    return f"{summary.label} angle" if (task, summary.unit) == ("normals", "°") else summary.label


def meaning(task: str, summary: Summary) -> str | None:
    """Meaning of a number in a sentence."""
    sentence = _MEANINGS.get((task, summary.metric))
    if sentence is None:
        return None
    return sentence.format(
        percent=percentage(summary.value), value=quantity(summary.value, summary.unit)
    )


def setting_value(value: object) -> str:
    """Value of a setting in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
