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

    ``images`` are ids, by default four, evenly spaced. The ids in the figure are returned.
    ``targets`` are those of ``open_targets``.
    """
    check_figure_format(Path(path))
    items = open_targets(targets, source or SourceOptions())
    for image_id in images:
        if image_id not in items.ids:
            raise OptionError(
                f"no image '{image_id}' for the figure; {suggest(image_id, items.ids)}"
            )
    drawn_ids = tuple(images)
    if not drawn_ids:
        count = min(DEFAULT_FIGURE_ROWS, len(items.ids))
        indices = np.linspace(0, len(items.ids) - 1, count).round().astype(int)
        drawn_ids = tuple(items.ids[index] for index in indices)
    rows = [sorted(item_panels(items.read(image_id)), key=_panel_order) for image_id in drawn_ids]
    write_figure(rows, Path(path))
    return drawn_ids


def _panel_order(panel: Panel) -> int:
    """Sort key within a row: photograph and truth, then predictions, then errors."""
    if panel.model is None:
        return 0
    return 2 if panel.title.startswith(f"{panel.model}, error") else 1
