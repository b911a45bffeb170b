"""Charts of the reports of one evaluation, and of comparisons on one benchmark."""

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

_MAX_DOTS = 3000
"""Most dots of a chart. More are thinned out, so that a page does not have many megabytes."""
_MIN_BARS, _MAX_BARS = 8, 40
"""Fewest and most bars of a histogram."""
_MAX_REACH = 4
"""Farthest end of a histogram from the median, in distances of the 5th or 95th percentile."""


def histogram(summary: Summary, values: Values) -> Chart:
    """Histogram of a metric over images; its outer bars have the outliers beyond them too."""
    mean, median = float(values.mean()), float(np.median(values))
    low, high = _histogram_range(values)
    bars = int(np.clip(2 * np.sqrt(values.size), _MIN_BARS, _MAX_BARS))
    edges = np.linspace(low, high, bars + 1)
    with drawing(width=4.0, height=2.0) as canvas:
        axes = canvas.axes[0]
        axes.hist(np.clip(values, low, high), bins=edges, color=ACCENT, alpha=0.6, rwidth=0.92)
        for marked_value, line_style in ((mean, "-"), (median, (0, (2, 2)))):
            if low <= marked_value <= high:
                axes.axvline(marked_value, color=INK, linewidth=1.1, linestyle=line_style)
        axes.set_xlabel(head(summary), parse_math=False)
        axes.set_ylabel("images")
        axes.yaxis.get_major_locator().set_params(integer=True)

    caption = f"{summary.label}: mean {number(mean)} (line), median {number(median)} (dashes)"
    outliers = int(((values < low) | (values > high)).sum())
    if outliers:
        least, largest = float(values.min()), float(values.max())
        caption += f". {outliers:,} beyond the ends, from {number(least)} to {number(largest)}"
    lower, upper = np.percentile(values, [5, 95])
    return Chart(
        svg=canvas.svg,
        words=f"Histogram of {summary.label} over {values.size:,} images: mean "
        f"{number(mean)}, median {number(median)}, nine in ten from {number(lower)} "
        f"to {number(upper)}.",
        caption=caption,
    )


def _histogram_range(values: Values) -> tuple[float, float]:
    """Ends of the bars, which leave out outliers far from the median."""
    least, largest = float(values.min()), float(values.max())
    if largest - least <= 1e-9 * max(abs(least), abs(largest), 1e-9):
        margin = max(abs(least), 1.0) / 20
        return least - margin, largest + margin
    lower, median, upper = (float(value) for value in np.percentile(values, [5, 50, 95]))
    if not lower < median < upper:
        return least, largest
    low = max(least, median - _MAX_REACH * (median - lower))
    high = min(largest, median + _MAX_REACH * (upper - median))
    return low, high


def error_against_depth(ranges: tuple[RangeError, ...]) -> Chart:
    """Mean relative error and bias of the pixels by their true depth, and the share of pixels."""
    filled = [depth_range for depth_range in ranges if depth_range.pixels]
    left = np.array([depth_range.near for depth_range in filled])
    widths = np.array([depth_range.far for depth_range in filled]) - left
    is_logarithmic = (left > 0).all()
    centres = np.sqrt(left * (left + widths)) if is_logarithmic else left + widths / 2
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
        counts = np.array([depth_range.pixels for depth_range in filled], float)
        pixels.bar(left, 100 * counts / counts.sum(), widths, align="edge", color=FAINT)
        pixels.set_ylabel("pixels [%]")
        pixels.set_xlabel("true depth [m]")
        _format_depth_axis(pixels, left, widths)

    worst = max(filled, key=lambda depth_range: depth_range.abs_rel)
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
    """Set the ends of an axis of depth, and make it logarithmic if it is more than an octave."""
    if left[0] > 0 and left[-1] > 2 * left[0]:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda metres, _: f"{metres:g}"))
    axes.set_xlim(left[0], left[-1] + widths[-1])


def sparsification_chart(curve: tuple[Sparsification, ...], label: str) -> Chart:
    """Error of the pixels that remain, by the share of pixels that is removed."""
    removed = [100 * point.removed for point in curve]
    error_of_all = curve[0].by_confidence
    with drawing() as canvas:
        axes = canvas.axes[0]
        axes.axhline(
            error_of_all, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), label="random"
        )
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
        words=f"Sparsification: {label} is {number(error_of_all)} over all pixels, "
        f"{number(half.by_confidence)} without the least sure half, and "
        f"{number(half.by_error)} without the half that is most wrong.",
        caption=f"{label} of the pixels that remain, as a mean over images. AUSE is the area "
        "between the two curves, AURG that between the dashes and the confidence",
    )


def reliability_chart(bins: tuple[Reliability, ...]) -> Chart:
    """Share of the pixels whose depth is right, by their confidence."""
    pixels = sum(confidence_bin.pixels for confidence_bin in bins)
    confidences = [confidence_bin.said for confidence_bin in bins]
    right_shares = [confidence_bin.right for confidence_bin in bins]
    dot_sizes = [4 + 80 * confidence_bin.pixels / pixels for confidence_bin in bins]
    with drawing() as canvas:
        axes = canvas.axes[0]
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.plot(confidences, right_shares, color=ACCENT, linewidth=1.2)
        axes.scatter(confidences, right_shares, dot_sizes, color=ACCENT)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right within 1.25")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)

    mean_confidence = (
        sum(confidence_bin.said * confidence_bin.pixels for confidence_bin in bins) / pixels
    )
    right_share = (
        sum(confidence_bin.right * confidence_bin.pixels for confidence_bin in bins) / pixels
    )
    return Chart(
        svg=canvas.svg,
        words=f"Calibration over {pixels:,} pixels: the mean confidence is "
        f"{number(mean_confidence)}, and {number(right_share)} of the depths are right within a "
        "factor of 1.25.",
        caption="Share of depths that are right within a factor of 1.25, by confidence; on the "
        "dashes it keeps its promise. Larger dots: more pixels",
    )


def standing_chart(group: ColumnGroup, column: Column) -> Chart:
    """Value of every row in one metric, with its interval; published results are hollow."""
    marks = []
    for row in group.rows:
        cell = row.cells.get(column.metric)
        if cell is not None:
            marks.append(
                Mark(
                    name=row.name,
                    value=cell.value,
                    low=cell.low,
                    high=cell.high,
                    hollow=row.is_published,
                )
            )
    caption = f"{column.label} with its 95 % interval; hollow: published"
    return draw_intervals(marks, head(column), caption)


def scatter_against_reference(column: Column, name: str) -> Chart:
    """Values of a run against those of the reference, a dot for each image."""
    reference_values = np.array(column.values[column.reference])
    run_values = np.array(column.values[name])
    images = reference_values.size
    drawn = np.arange(images)
    if images > _MAX_DOTS:
        drawn = np.sort(np.random.default_rng(0).choice(images, _MAX_DOTS, replace=False))
    low = float(min(reference_values.min(), run_values.min()))
    high = float(max(reference_values.max(), run_values.max()))
    with drawing(height=3.4) as canvas:
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
        f"{int(is_better.sum()):,} of {images:,} images ({percentage(is_better.mean())})"
    )
    if drawn.size < images:
        caption += f"; {drawn.size:,} of them drawn"
    return Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)
