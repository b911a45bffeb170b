"""Charts of the reports of one evaluation, and of comparisons on one benchmark."""

from typing import Any

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.errors.messages import count_text
from rilievo.evaluation.metrics.certainty import Reliability
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import RangeError, Sparsification, Summary
from rilievo.evaluation.tables.comparison import BenchmarkComparison, ComparedMetric
from rilievo.evaluation.tables.wording import head, number, percentage
from rilievo.io.files.names import printable
from rilievo.pages.charts import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    SECOND,
    Chart,
    IntervalPoint,
    chart_canvas,
    draw_intervals,
    shorten_name,
)

_MAX_DOTS = 3000
"""Most dots of a chart. More are thinned out, so that a page does not have many megabytes."""
_MIN_BARS, _MAX_BARS = 8, 40
"""Fewest and most bars of a histogram."""
_MAX_REACH = 4
"""Farthest end of a histogram from the median, in distances of the 5th or 95th percentile."""


def histogram(summary: Summary, values: Values) -> Chart:
    """Histogram of a metric over images; its first and last bars also count the outliers."""
    mean, median = float(values.mean()), float(np.median(values))
    low, high = _histogram_range(values)
    num_bars = int(np.clip(2 * np.sqrt(values.size), _MIN_BARS, _MAX_BARS))
    edges = np.linspace(low, high, num_bars + 1)
    with chart_canvas(width=4.0, height=2.0) as canvas:
        axes = canvas.axes[0]
        axes.hist(np.clip(values, low, high), bins=edges, color=ACCENT, alpha=0.6, rwidth=0.92)
        for marked_value, line_style in ((mean, "-"), (median, (0, (2, 2)))):
            if low <= marked_value <= high:
                axes.axvline(marked_value, color=INK, linewidth=1.1, linestyle=line_style)
        axes.set_xlabel(head(summary), parse_math=False)
        axes.set_ylabel("images")
        axes.yaxis.get_major_locator().set_params(integer=True)

    caption = f"{summary.label}: mean {number(mean)} (solid line), median {number(median)} (dashed)"
    outlier_count = int(((values < low) | (values > high)).sum())
    if outlier_count:
        least, largest = float(values.min()), float(values.max())
        images = "1 image is" if outlier_count == 1 else f"{outlier_count:,} images are"
        caption += (
            f". {images} outside the plotted range; all values are between {number(least)} and "
            f"{number(largest)}"
        )
    percentile_5, percentile_95 = np.percentile(values, [5, 95])
    return Chart(
        svg=canvas.svg,
        description=(
            f"Histogram of {summary.label} over {count_text(values.size, 'image')}: "
            f"mean {number(mean)}, median {number(median)}. For 90% of the images, the value is "
            f"between {number(percentile_5)} and {number(percentile_95)}."
        ),
        caption=caption,
    )


def _histogram_range(values: Values) -> tuple[float, float]:
    """Ends of the bars, which leave out outliers far from the median."""
    least, largest = float(values.min()), float(values.max())
    is_constant = largest - least <= 1e-9 * max(abs(least), abs(largest), 1e-9)
    if is_constant:
        margin = max(abs(least), 1.0) / 20
        return least - margin, largest + margin
    lower, median, upper = (float(value) for value in np.percentile(values, [5, 50, 95]))
    if not lower < median < upper:
        return least, largest
    low = max(least, median - _MAX_REACH * (median - lower))
    high = min(largest, median + _MAX_REACH * (upper - median))
    return low, high


def error_against_depth(ranges: tuple[RangeError, ...]) -> Chart:
    """Mean relative error and bias by true depth, above a bar chart of the pixels.

    At least one of the ranges must have pixels.
    """
    nonempty_ranges = [depth_range for depth_range in ranges if depth_range.pixels]
    near_ends = np.array([depth_range.near for depth_range in nonempty_ranges])
    widths = np.array([depth_range.far for depth_range in nonempty_ranges]) - near_ends
    is_logarithmic = (near_ends > 0).all()
    # Geometric means are the middles on a logarithmic axis.
    centres = (
        np.sqrt(near_ends * (near_ends + widths)) if is_logarithmic else near_ends + widths / 2
    )
    abs_rels = [100 * depth_range.abs_rel for depth_range in nonempty_ranges]
    biases = [100 * depth_range.bias for depth_range in nonempty_ranges]
    counts = np.array([depth_range.pixels for depth_range in nonempty_ranges], float)
    with chart_canvas(height=3.6, ratios=(2.2, 1.0)) as canvas:
        error_axes, pixel_axes = canvas.axes
        error_axes.plot(centres, abs_rels, "o-", color=ACCENT, markersize=3.5, label="AbsRel")
        error_axes.plot(centres, biases, "o-", color=SECOND, markersize=3.5, label="bias")
        error_axes.axhline(0, color=MUTED, linewidth=0.8)
        error_axes.set_ylabel("error [% of true depth]")
        error_axes.legend(frameon=False, ncols=2, loc="upper left", labelcolor=INK)
        error_axes.margins(y=0.22)  # leaves room for the legend
        pixel_axes.bar(near_ends, 100 * counts / counts.sum(), widths, align="edge", color=FAINT)
        pixel_axes.set_ylabel("pixels [%]")
        pixel_axes.set_xlabel("true depth [m]")
        _format_depth_axis(pixel_axes, near_ends, widths)

    worst = max(nonempty_ranges, key=lambda depth_range: depth_range.abs_rel)
    caption = (
        "Error of pixels by their true depth. If the bias is above zero, depth is predicted too "
        "far, and if it is below zero, too near"
    )
    return Chart(
        svg=canvas.svg,
        description=(
            f"{caption}. The largest AbsRel, {percentage(worst.abs_rel)}, is between "
            f"{worst.near:.3g} and {worst.far:.3g} m."
        ),
        caption=caption,
    )


def _format_depth_axis(axes: Any, starts: np.ndarray, widths: np.ndarray) -> None:
    """Set the ends of an axis of depth, and make it logarithmic if it is more than an octave."""
    if starts[0] > 0 and starts[-1] > 2 * starts[0]:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda metres, _: f"{metres:g}"))
    axes.set_xlim(starts[0], starts[-1] + widths[-1])


def sparsification_chart(curve: tuple[Sparsification, ...], label: str) -> Chart:
    """Error of the remaining pixels, by the removed fraction of pixels."""
    removed = [100 * point.removed for point in curve]
    error_of_all = curve[0].by_confidence
    with chart_canvas() as canvas:
        axes = canvas.axes[0]
        axes.axhline(
            error_of_all, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), label="random"
        )
        by_confidence = [point.by_confidence for point in curve]
        axes.plot(removed, by_confidence, color=ACCENT, linewidth=1.6, label="by confidence")
        by_error = [point.by_error for point in curve]
        axes.plot(removed, by_error, color=SECOND, linewidth=1.2, label="by the error itself")
        axes.set_xlabel("least confident pixels removed [%]")
        axes.set_ylabel(label, parse_math=False)
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=INK)

    half = curve[len(curve) // 2]
    return Chart(
        svg=canvas.svg,
        description=(
            f"Sparsification: {label} is {number(error_of_all)} over all pixels, "
            f"{number(half.by_confidence)} without the least confident half, and "
            f"{number(half.by_error)} without the half with the largest errors."
        ),
        caption=(
            f"{label} of the remaining pixels, as a mean over images. AUSE is the area between the "
            "two curves, and AURG is the area between the dashed line and the curve by confidence"
        ),
    )


def reliability_chart(bins: tuple[Reliability, ...]) -> Chart:
    """Fraction of right depths by confidence; the area of a dot shows the number of pixels."""
    counts = np.array([confidence_bin.pixels for confidence_bin in bins])
    confidences = np.array([confidence_bin.said for confidence_bin in bins])
    right_fractions = np.array([confidence_bin.right for confidence_bin in bins])
    total = int(counts.sum())
    with chart_canvas() as canvas:
        axes = canvas.axes[0]
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.plot(confidences, right_fractions, color=ACCENT, linewidth=1.2)
        axes.scatter(confidences, right_fractions, 4 + 80 * counts / total, color=ACCENT)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right within 1.25")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)

    mean_confidence = float(confidences @ counts) / total
    mean_right_fraction = float(right_fractions @ counts) / total
    return Chart(
        svg=canvas.svg,
        description=f"Calibration over {total:,} pixels: the mean confidence is "
        f"{number(mean_confidence)}, and {number(mean_right_fraction)} of the depths are right "
        "within a factor of 1.25.",
        caption=(
            "Fraction of depths that are right within a factor of 1.25, by confidence. On the "
            "dashed line, the confidence is exact. Larger dots stand for more pixels"
        ),
    )


def means_chart(group: BenchmarkComparison, column: ComparedMetric) -> Chart:
    """Mean of every row in one metric, with its interval; published results are hollow."""
    cells = [(row, row.cells.get(column.metric)) for row in group.rows]
    marks = [
        IntervalPoint(
            name=row.name,
            value=cell.value,
            low=cell.low,
            high=cell.high,
            is_hollow=row.is_published,
        )
        for row, cell in cells
        if cell is not None
    ]
    caption = f"{column.label} of each model"
    if any(mark.low is not None for mark in marks):
        caption = f"{column.label} of each model with its 95% confidence interval"
    if any(mark.is_hollow for mark in marks):
        caption += "; hollow dots are published results"
    return draw_intervals(marks, head(column), caption)


def scatter_against_reference(column: ComparedMetric, name: str) -> Chart:
    """Values of a run against those of the reference, a dot for each image."""
    reference_values = np.array(column.values[column.reference])
    run_values = np.array(column.values[name])
    num_images = reference_values.size
    drawn = np.arange(num_images)
    if num_images > _MAX_DOTS:
        drawn = np.sort(np.random.default_rng(0).choice(num_images, _MAX_DOTS, replace=False))
    low = float(min(reference_values.min(), run_values.min()))
    high = float(max(reference_values.max(), run_values.max()))
    with chart_canvas(height=3.4) as canvas:
        axes = canvas.axes[0]
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.9)
        axes.plot(
            reference_values[drawn],
            run_values[drawn],
            ".",
            color=ACCENT,
            markersize=3.6,
            alpha=0.7,
        )
        axes.set_xlabel(f"{shorten_name(column.reference)}: {column.label}", parse_math=False)
        axes.set_ylabel(f"{shorten_name(name)}: {column.label}", parse_math=False)

    if column.better is Better.HIGHER:
        is_better = run_values > reference_values
    else:
        is_better = run_values < reference_values
    caption = (
        f"{printable(name)} is better than {printable(column.reference)} on "
        f"{int(is_better.sum()):,} of {count_text(num_images, 'image')} "
        f"({percentage(is_better.mean())})"
    )
    if drawn.size < num_images:
        caption += f"; {drawn.size:,} of them are drawn"
    return Chart(svg=canvas.svg, description=f"{caption}.", caption=caption)
