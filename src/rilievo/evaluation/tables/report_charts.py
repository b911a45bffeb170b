"""Charts of a report."""

from typing import Any

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.evaluation.metrics.certainty import Reliability
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import RangeError, Sparsification, Summary
from rilievo.evaluation.tables.comparison import Column, ColumnGroup
from rilievo.evaluation.tables.wording import head, number, percentage
from rilievo.io.files.names import printable
from rilievo.pages.charts import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    SECOND,
    Chart,
    Mark,
    draw_intervals,
    drawing,
    shorten_name,
)

# More dots than this are thinned out: a page is not to be of many megabytes.
_MOST_DRAWN = 3000


def histogram(summary: Summary, values: Values) -> Chart:
    """Histogram of a metric over images; its outer bars take what lies far off."""
    mean, median = float(values.mean()), float(np.median(values))
    low, high = _histogram_range(values)
    edges = np.linspace(low, high, int(np.clip(2 * np.sqrt(values.size), 8, 40)) + 1)
    with drawing(width=4.0, height=2.0) as canvas:
        axes = canvas.axes[0]
        axes.hist(np.clip(values, low, high), bins=edges, color=ACCENT, alpha=0.6, rwidth=0.92)
        for at, style in ((mean, "-"), (median, (0, (2, 2)))):
            if low <= at <= high:
                axes.axvline(at, color=INK, linewidth=1.1, linestyle=style)
        axes.set_xlabel(head(summary), parse_math=False)
        axes.set_ylabel("images")
        axes.yaxis.get_major_locator().set_params(integer=True)
    spread = np.percentile(values, [5, 95])
    caption = f"{summary.label}: mean {number(mean)} (line), median {number(median)} (dashes)"
    beyond = int(((values < low) | (values > high)).sum())
    if beyond:
        caption += (
            f". {beyond:,} beyond the ends, from {number(float(values.min()))} "
            f"to {number(float(values.max()))}"
        )
    return Chart(
        svg=canvas.svg,
        words=f"Histogram of {summary.label} over {values.size:,} images: mean "
        f"{number(mean)}, median {number(median)}, nine in ten from {number(spread[0])} "
        f"to {number(spread[1])}.",
        caption=caption,
    )


def _histogram_range(values: Values) -> tuple[float, float]:
    """Ends of the bars, without far outliers."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        reach = max(abs(low), 1.0) / 20
        return low - reach, high + reach
    near, middle, far = (float(percentile) for percentile in np.percentile(values, [5, 50, 95]))
    if near < middle < far:
        low, high = max(low, middle - 4 * (middle - near)), min(high, middle + 4 * (far - middle))
    return low, high


def error_against_depth(ranges: tuple[RangeError, ...]) -> Chart:
    """Mean relative error and bias of pixels by their true depth [m]."""
    filled = [depth_range for depth_range in ranges if depth_range.pixels]
    left = np.array([depth_range.near for depth_range in filled])
    widths = np.array([depth_range.far for depth_range in filled]) - left
    centres = np.sqrt(left * (left + widths)) if (left > 0).all() else left + widths / 2
    with drawing(height=3.6, ratios=(2.2, 1.0)) as canvas:
        errors, pixels = canvas.axes
        for values, colour, name in (
            ([100 * depth_range.abs_rel for depth_range in filled], ACCENT, "AbsRel"),
            ([100 * depth_range.bias for depth_range in filled], SECOND, "bias"),
        ):
            errors.plot(centres, values, "o-", color=colour, markersize=3.5, label=name)
        errors.axhline(0, color=MUTED, linewidth=0.8)
        errors.set_ylabel("error [% of true depth]")
        errors.legend(frameon=False, ncols=2, loc="upper left", labelcolor=INK)
        errors.margins(y=0.22)
        shares = np.array([depth_range.pixels for depth_range in filled], float)
        pixels.bar(left, 100 * shares / shares.sum(), widths, align="edge", color=FAINT)
        pixels.set_ylabel("pixels [%]")
        pixels.set_xlabel("true depth [m]")
        _format_depth_axis(pixels, left, widths)
    worst = max(filled, key=lambda row: row.abs_rel)
    caption = (
        "Error of pixels by their true depth. Bias above zero: predicted too far; below: too near"
    )
    return Chart(
        svg=canvas.svg,
        words=f"{caption}. The largest AbsRel, {percentage(worst.abs_rel)}, is from "
        f"{worst.near:.3g} to {worst.far:.3g} m.",
        caption=caption,
    )


def _format_depth_axis(axes: Any, left: np.ndarray, widths: np.ndarray) -> None:
    if left[0] > 0 and left[-1] > 2 * left[0]:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda metres, _: f"{metres:g}"))
    axes.set_xlim(left[0], left[-1] + widths[-1])


def sparsification_chart(curve: tuple[Sparsification, ...], label: str) -> Chart:
    """Error of what remains, by the share of pixels taken out."""
    removed = [100 * point.removed for point in curve]
    whole = curve[0].by_confidence
    with drawing() as canvas:
        axes = canvas.axes[0]
        axes.axhline(whole, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), label="random")
        by_confidence = [point.by_confidence for point in curve]
        axes.plot(removed, by_confidence, color=ACCENT, linewidth=1.6, label="by confidence")
        by_error = [point.by_error for point in curve]
        axes.plot(removed, by_error, color=SECOND, linewidth=1.2, label="by the error itself")
        axes.set_xlabel("least sure pixels taken out [%]")
        axes.set_ylabel(label, parse_math=False)
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=INK)
    half = curve[len(curve) // 2]
    return Chart(
        svg=canvas.svg,
        words=f"Sparsification: {label} is {number(whole)} over all pixels, "
        f"{number(half.by_confidence)} without the least sure half, and "
        f"{number(half.by_error)} without the half that is most wrong.",
        caption=f"{label} of the pixels that remain, as a mean over images. AUSE is the area "
        "between the two curves, AURG that between the dashes and the confidence",
    )


def reliability_chart(bins: tuple[Reliability, ...]) -> Chart:
    """Share of depth that is right, against the confidence."""
    pixels = sum(confidence_bin.pixels for confidence_bin in bins)
    with drawing() as canvas:
        axes = canvas.axes[0]
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        confidences, right = (
            [confidence_bin.said for confidence_bin in bins],
            [confidence_bin.right for confidence_bin in bins],
        )
        sizes = [4 + 80 * confidence_bin.pixels / pixels for confidence_bin in bins]
        axes.plot(confidences, right, color=ACCENT, linewidth=1.2)
        axes.scatter(confidences, right, sizes, color=ACCENT)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right within 1.25")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
    mean = sum(confidence_bin.said * confidence_bin.pixels for confidence_bin in bins) / pixels
    share = sum(confidence_bin.right * confidence_bin.pixels for confidence_bin in bins) / pixels
    return Chart(
        svg=canvas.svg,
        words=f"Calibration over {pixels:,} pixels: the mean confidence is {number(mean)}, "
        f"and {number(share)} of the depths are right within a factor of 1.25.",
        caption="Share of depths that are right within a factor of 1.25, by confidence; on the "
        "dashes it keeps its promise. Larger dots: more pixels",
    )


def standing_chart(group: ColumnGroup, column: Column) -> Chart:
    """Every row's value with its interval, published ones hollow."""
    cells = [(row, row.cells[column.metric]) for row in group.rows if column.metric in row.cells]
    marks = [
        Mark(name=row.name, value=cell.value, low=cell.low, high=cell.high, hollow=row.is_published)
        for row, cell in cells
    ]
    caption = f"{column.label} with its 95 % interval; hollow: published"
    return draw_intervals(marks, head(column), caption)


def scatter_against_reference(column: Column, name: str) -> Chart:
    """A run's values against the reference's."""
    x, y = (np.array(column.values[model]) for model in (column.reference, name))
    shown = np.arange(x.size)
    if x.size > _MOST_DRAWN:
        shown = np.sort(np.random.default_rng(0).choice(x.size, _MOST_DRAWN, replace=False))
    with drawing(height=3.4) as canvas:
        axes = canvas.axes[0]
        ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
        axes.plot(ends, ends, color=MUTED, linewidth=0.9)
        axes.plot(x[shown], y[shown], ".", color=ACCENT, markersize=3.6, alpha=0.7)
        axes.set_xlabel(f"{shorten_name(column.reference)}: {column.label}", parse_math=False)
        axes.set_ylabel(f"{shorten_name(name)}: {column.label}", parse_math=False)
    better = y > x if column.better is Better.HIGHER else y < x
    caption = (
        f"{printable(name)} is better than {printable(column.reference)} on "
        f"{int(better.sum()):,} of {x.size:,} images ({percentage(better.mean())})"
    )
    if shown.size < x.size:
        caption += f"; {shown.size:,} of them drawn"
    return Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)
