"""Draw images as a figure for a paper, a row for each image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rilievo.errors import OptionError, suggest
from rilievo.evaluation.views.item_panels import item_panels
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.pages.figures import check_figure_format, write_figure
from rilievo.pages.pictures import Panel

DEFAULT_FIGURE_ROWS = 4
"""Number of images in a figure for which the user chooses none."""


def write_paper_figure(
    targets: Sequence[str | Path],
    path: str | Path,
    source: SourceOptions | None = None,
    *,
    images: Sequence[str] = (),
) -> tuple[str, ...]:
    """Draw photographs, truth, predictions and errors as PDF, SVG or PNG, a row for each image.

    ``images`` are ids; by default four images are chosen, evenly spaced. The ids of the images in
    the figure are returned. ``targets`` are those of ``open_targets``.

    Raises:
        OptionError: If there is no such image, or the ending names no format.
    """
    check_figure_format(Path(path))
    items = open_targets(targets, source or SourceOptions())
    for id in images:
        if id not in items.ids:
            raise OptionError(f"no image '{id}' for the figure; {suggest(id, items.ids)}")
    chosen = tuple(images)
    if not chosen:
        count = min(DEFAULT_FIGURE_ROWS, len(items.ids))
        positions = np.linspace(0, len(items.ids) - 1, count).round().astype(int)
        chosen = tuple(items.ids[position] for position in positions)
    rows = [sorted(item_panels(items, items.read(id)), key=_panel_order) for id in chosen]
    write_figure(rows, Path(path))
    return chosen


def _panel_order(panel: Panel) -> int:
    """Order in a row: photograph and truth, then predictions, then errors."""
    if panel.model is None:
        return 0
    return 2 if panel.title.startswith(f"{panel.model}, error") else 1
