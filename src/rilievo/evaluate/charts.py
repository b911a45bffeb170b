"""Charts of a report."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from rilievo.evaluate.records import RangeError, Summary
from rilievo.evaluate.wording import count, head, number, percentage
from rilievo.pages.charts import ACCENT, FAINT, INK, MUTED, SECOND, Chart, drawing

# More images than this are drawn in groups of neighbours.
_MOST_DOTS = 1500
_GROUPS = 200


def histogram(summary: Summary, values: Float64[np.ndarray, "n"]) -> Chart:
    """Histogram of a metric over images, with lines at mean and median.

    The first and the last bar take what lies far beyond the bulk, and the caption says how many.
    """
    mean, median = float(values.mean()), float(np.median(values))
    low, high = _bulk(values)
    edges = np.linspace(low, high, int(np.clip(2 * np.sqrt(values.size), 8, 40)) + 1)
    with drawing(width=4.0, height=2.0) as canvas:
        axes = canvas.axes[0]
        axes.hist(np.clip(values, low, high), bins=edges, color=ACCENT, alpha=0.6, rwidth=0.92)
        for at, style in ((mean, "-"), (median, (0, (2, 2)))):
            if low <= at <= high:
                axes.axvline(at, color=INK, linewidth=1.1, linestyle=style)
        axes.set_xlabel(head(summary.label, summary.unit), parse_math=False)
        axes.set_ylabel("images")
        axes.yaxis.get_major_locator().set_params(integer=True)
    spread = np.percentile(values, [5, 95])
    caption = f"{summary.label}: mean {number(mean)} (line), median {number(median)} (dashes)"
    beyond = int(((values < low) | (values > high)).sum())
    if beyond:
        caption += (
            f". {count(beyond)} beyond the ends, from {number(float(values.min()))} "
            f"to {number(float(values.max()))}"
        )
    return Chart(
        svg=canvas.svg,
        words=f"Histogram of {summary.label} over {count(values.size)} images: mean "
        f"{number(mean)}, median {number(median)}, nine in ten from {number(spread[0])} "
        f"to {number(spread[1])}.",
        caption=caption,
    )


def _bulk(values: Float64[np.ndarray, "n"]) -> tuple[float, float]:
    """Ends of an axis that a few images far off do not stretch."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        reach = max(abs(low), 1.0) / 20
        return low - reach, high + reach
    near, middle, far = (float(each) for each in np.percentile(values, [5, 50, 95]))
    if near < middle < far:
        low, high = max(low, middle - 4 * (middle - near)), min(high, middle + 4 * (far - middle))
    return low, high


def sequence(summary: Summary, values: Float64[np.ndarray, "n"]) -> Chart:
    """A metric along the dataset's order, where neighbours often are of one scene."""
    with drawing() as canvas:
        axes = canvas.axes[0]
        caption = f"{summary.label} of each image, in the dataset's order"
        if values.size <= _MOST_DOTS:
            axes.plot(np.arange(values.size) + 1, values, ".", color=ACCENT, markersize=3.2)
        else:
            groups = np.array_split(values, _GROUPS)
            at = np.cumsum([group.size for group in groups])
            low, middle, high = (
                [float(np.percentile(group, share)) for group in groups] for share in (10, 50, 90)
            )
            axes.fill_between(at, low, high, color=ACCENT, alpha=0.3, linewidth=0)
            axes.plot(at, middle, color=ACCENT, linewidth=1.2)
            caption += f": median and the middle 80 % of {_GROUPS} groups of neighbours"
        axes.set_xlabel("image")
        axes.set_ylabel(head(summary.label, summary.unit), parse_math=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)


def error_against_depth(ranges: tuple[RangeError, ...]) -> Chart:
    """Mean relative error and bias of pixels by their true depth, and how many there are."""
    filled = [each for each in ranges if each.pixels]
    left = np.array([each.near for each in filled])
    widths = np.array([each.far for each in filled]) - left
    centres = np.sqrt(left * (left + widths)) if (left > 0).all() else left + widths / 2
    with drawing(height=3.6, ratios=(2.2, 1.0)) as canvas:
        errors, pixels = canvas.axes
        for values, colour, name in (
            ([100 * each.abs_rel for each in filled], ACCENT, "AbsRel"),
            ([100 * each.bias for each in filled], SECOND, "bias"),
        ):
            errors.plot(centres, values, "o-", color=colour, markersize=3.5, label=name)
        errors.axhline(0, color=MUTED, linewidth=0.8)
        errors.set_ylabel("error [% of true depth]")
        errors.legend(frameon=False, ncols=2, loc="upper left", labelcolor=INK)
        errors.margins(y=0.22)
        shares = np.array([each.pixels for each in filled], float)
        pixels.bar(left, 100 * shares / shares.sum(), widths, align="edge", color=FAINT)
        pixels.set_ylabel("pixels [%]")
        pixels.set_xlabel("true depth [m]")
        _scale_depths(pixels, left, widths)
    worst = max(filled, key=lambda each: each.abs_rel)
    caption = (
        "Error of pixels by their true depth. Bias above zero: predicted too far; below: too near"
    )
    return Chart(
        svg=canvas.svg,
        words=f"{caption}. The largest AbsRel, {percentage(worst.abs_rel)}, is from "
        f"{worst.near:.3g} to {worst.far:.3g} m.",
        caption=caption,
    )


def _scale_depths(axes: Any, left: np.ndarray, widths: np.ndarray) -> None:
    """Ranges that grow with depth lie evenly on a logarithmic axis."""
    if left[0] > 0 and left[-1] > 2 * left[0]:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda metres, _: f"{metres:g}"))
    axes.set_xlim(left[0], left[-1] + widths[-1])
