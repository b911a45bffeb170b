"""Charts of a comparison, in the look of the report's."""

import numpy as np

from rilievo.evaluate.comparison import Column, Comparison
from rilievo.evaluate.wording import count, head, percentage, signed
from rilievo.io.limits import printable
from rilievo.metrics.metric import Better
from rilievo.pages.charts import (
    ACCENT,
    FAINT,
    MUTED,
    SECOND,
    Chart,
    Mark,
    drawing,
    intervals,
    short,
)

# More dots than this are thinned out: a page is not to be of many megabytes.
_MOST_DOTS = 3000


def standing(comparison: Comparison, column: Column) -> Chart:
    """Every row's value with its interval, published ones hollow."""
    cells = [
        (row, row.cells[column.metric]) for row in comparison.rows if column.metric in row.cells
    ]
    marks = [
        Mark(name=row.name, value=cell.value, low=cell.low, high=cell.high, hollow=row.is_published)
        for row, cell in cells
    ]
    caption = f"{column.label} with its 95 % interval; hollow: published"
    return intervals(marks, head(column.label, column.unit), caption)


def image_by_image(column: Column, name: str) -> Chart:
    """A run's value of each image against the reference's."""
    x, y = (np.array(column.values[each]) for each in (column.reference, name))
    shown = _thinned(x.size)
    with drawing(height=3.4) as canvas:
        axes = canvas.axes[0]
        ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
        axes.plot(ends, ends, color=MUTED, linewidth=0.9)
        axes.plot(x[shown], y[shown], ".", color=ACCENT, markersize=3.6, alpha=0.7)
        axes.set_xlabel(f"{short(column.reference)}: {column.label}", parse_math=False)
        axes.set_ylabel(f"{short(name)}: {column.label}", parse_math=False)
    better = y > x if column.better is Better.HIGHER else y < x
    caption = (
        f"{printable(name)} is better than {printable(column.reference)} on "
        f"{count(int(better.sum()))} of {count(x.size)} images ({percentage(better.mean())})"
    )
    if shown.size < x.size:
        caption += f"; {count(shown.size)} of them drawn"
    return Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)


def sorted_differences(column: Column, name: str) -> Chart:
    """The differences of all images, from the smallest to the largest."""
    values = np.sort(np.array(column.values[name]) - np.array(column.values[column.reference]))
    at = np.arange(values.size) + 0.5
    with drawing(height=3.4) as canvas:
        axes = canvas.axes[0]
        axes.fill_between(at, values, 0, color=FAINT, linewidth=0, step="mid")
        axes.step(at, values, color=ACCENT, linewidth=1.2, where="mid")
        axes.axhline(float(values.mean()), color=SECOND, linewidth=1.2)
        axes.axhline(0, color=MUTED, linewidth=0.9)
        axes.set_xlabel("images, sorted by difference")
        axes.set_ylabel(f"difference in {head(column.label, column.unit)}", parse_math=False)
        axes.set_xlim(0, values.size)
    caption = (
        f"{column.label} of {printable(name)} minus {printable(column.reference)}, image by image; "
        f"the mean (orange) is {signed(float(values.mean()))}"
    )
    return Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)


def _thinned(size: int) -> np.ndarray:
    """Indices of the dots that are drawn."""
    if size <= _MOST_DOTS:
        return np.arange(size)
    return np.sort(np.random.default_rng(0).choice(size, _MOST_DOTS, replace=False))
