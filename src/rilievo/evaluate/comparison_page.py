"""A comparison as a page of HTML, in the look of the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.evaluate.charts import Chart
from rilievo.evaluate.comparison import Column, Comparison
from rilievo.evaluate.comparison_charts import image_by_image, sorted_differences, standing
from rilievo.evaluate.pages import write_page
from rilievo.evaluate.wording import aligned

MOST_DISAGREED = 20
"""Images that the page lists, of those on which the runs disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One image.

    Attributes:
        id: Name of the image in its dataset.
        values: Values of the leading metric, in the order of the runs' rows.
        spread: Largest minus smallest of them.
    """

    id: str
    values: tuple[float, ...]
    spread: float


def write_comparison_page(comparison: Comparison, path: Path) -> None:
    """Write a comparison as one page that loads nothing from elsewhere.

    Raises:
        MissingExtraError: If Jinja or matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    leading = comparison.columns[0]
    write_page(
        path,
        "comparison.html",
        comparison=comparison,
        leading=leading,
        alignments=alignments(comparison),
        standing=standing(comparison, leading),
        pairs=_pairs(comparison, leading),
        disagreements=disagreements(comparison, leading),
    )


def alignments(comparison: Comparison) -> tuple[str, ...]:
    """Alignments of the runs' predictions, each once."""
    said = [aligned(row.alignment) for row in comparison.runs]
    return tuple(dict.fromkeys(each for each in said if each is not None))


def _pairs(comparison: Comparison, column: Column) -> tuple[Chart, ...]:
    """Two charts for every run but the reference."""
    if not column.ids:
        return ()
    others = [row.name for row in comparison.runs if row.name != column.reference]
    return tuple(
        chart(column, name) for name in others for chart in (image_by_image, sorted_differences)
    )


def disagreements(comparison: Comparison, column: Column) -> tuple[Disagreement, ...]:
    """The images on which the runs disagree most, those first."""
    runs = comparison.runs
    if len(runs) < 2 or not column.ids:
        return ()
    values = np.array([column.values[row.name] for row in runs])
    spreads = values.max(axis=0) - values.min(axis=0)
    return tuple(
        Disagreement(
            id=column.ids[index],
            values=tuple(values[:, index].tolist()),
            spread=float(spreads[index]),
        )
        for index in np.argsort(-spreads, kind="stable")[:MOST_DISAGREED].tolist()
    )
