"""Charts of a comparison, in the look of the report's."""

import numpy as np

from rilievo.evaluate.charts import ACCENT, FAINT, INK, MUTED, SECOND, Chart, drawing
from rilievo.evaluate.comparison import Column, Comparison
from rilievo.evaluate.wording import count, head, number, percentage, signed
from rilievo.io.limits import printable
from rilievo.metrics.metric import Better

# More dots than this are thinned out: a page is not to be of many megabytes.
_MOST_DOTS = 3000
_LONGEST_NAME = 28


def standing(comparison: Comparison, column: Column) -> Chart:
    """Every row's value with its interval, published ones hollow."""
    rows = [row for row in comparison.rows if column.metric in row.cells][::-1]
    with drawing(width=4.6, height=0.9 + 0.27 * len(rows)) as canvas:
        axes = canvas.axes[0]
        for place, row in enumerate(rows):
            cell = row.cells[column.metric]
            if cell.low is not None and cell.high is not None:
                axes.plot([cell.low, cell.high], [place, place], color=ACCENT, linewidth=2)
            face = "none" if row.is_published else ACCENT
            colour = MUTED if row.is_published else ACCENT
            axes.plot([cell.value], [place], "o", markersize=5.5, color=colour, mfc=face)
        names = [_short(row.name) for row in rows]
        axes.set_yticks(range(len(rows)), labels=names, parse_math=False, color=INK)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(head(column.label, column.unit), parse_math=False)
    caption = f"{column.label} with its 95 % interval; hollow: published"
    listed = ", ".join(
        f"{printable(row.name)} {number(row.cells[column.metric].value)}" for row in rows[::-1]
    )
    return Chart(svg=canvas.svg, words=f"{caption}: {listed}.", caption=caption)


def image_by_image(column: Column, name: str) -> Chart:
    """A run's value of each image against the reference's."""
    x, y = (np.array(column.values[each]) for each in (column.reference, name))
    shown = _thinned(x.size)
    with drawing(height=3.4) as canvas:
        axes = canvas.axes[0]
        ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
        axes.plot(ends, ends, color=MUTED, linewidth=0.9)
        axes.plot(x[shown], y[shown], ".", color=ACCENT, markersize=3.6, alpha=0.7)
        axes.set_xlabel(f"{_short(column.reference)}: {column.label}", parse_math=False)
        axes.set_ylabel(f"{_short(name)}: {column.label}", parse_math=False)
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


def _short(name: str) -> str:
    line = printable(name)
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"
