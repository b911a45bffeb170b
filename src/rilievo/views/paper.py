"""Figures for papers, from evaluations or predictions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rilievo.errors import OptionError, suggest
from rilievo.pages.figure import check_figure, write_figure
from rilievo.pages.pictures import Panel
from rilievo.views.options import SourceOptions
from rilievo.views.report_cards import panels_of
from rilievo.views.targets import open_targets

ROWS = 4
"""Images of a figure for which none are named, evenly spaced over the dataset."""


def write_paper_figure(
    targets: Sequence[str | Path],
    path: str | Path,
    source: SourceOptions | None = None,
    *,
    images: Sequence[str] = (),
) -> tuple[str, ...]:
    """Draw photographs, ground truth, and every model's prediction and error, a row an image.

    Args:
        targets: Folders of evaluations or predictions, of the same images.
        path: Ends in ``.pdf``, ``.svg`` or ``.png``.
        source: Place of photographs and ground truth, if the targets do not state it.
        images: Names of the images; empty for ``ROWS`` of them, evenly spaced.

    Returns:
        Names of the images.
    """
    check_figure(Path(path))
    items = open_targets(targets, source or SourceOptions())
    for name in images:
        if name not in items.ids:
            raise OptionError(f"no image '{name}' for the figure; {suggest(name, items.ids)}")
    places = np.linspace(0, len(items.ids) - 1, min(ROWS, len(items.ids))).round().astype(int)
    chosen = tuple(images) or tuple(items.ids[place] for place in places)
    rows = [sorted(panels_of(items, items.read(id)), key=_place) for id in chosen]
    write_figure(rows, Path(path))
    return chosen


def _place(panel: Panel) -> int:
    """Photograph and truth first, then predictions, then errors."""
    return 0 if panel.model is None else 2 if panel.title.startswith(f"{panel.model}, error") else 1
