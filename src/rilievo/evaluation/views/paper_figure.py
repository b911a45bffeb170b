"""Draw images as a figure for a paper, a row for each image.

Titles stand above the pictures, and legends below.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.errors import OptionError, explain_missing_extra, suggest
from rilievo.errors.messages import join_alternatives
from rilievo.evaluation.views.item_panels import item_panels
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.io.files.atomic import replacing
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import ANGLE_COLOURS, DEPTH_COLOURS, SIGNED_COLOURS
from rilievo.io.outputs.formats.colour_files import css_colours
from rilievo.pages.pictures import Panel

DEFAULT_FIGURE_ROWS = 4
"""Number of images in a figure for which the user chooses none."""
_SUFFIXES = (".pdf", ".svg", ".png")
_WIDTH = 6.9  # [inches], full width of common two-column templates
_FONT_SIZE = 7.0  # [points]
_TITLE_LINE_HEIGHT, _LEGEND_HEIGHT, _GAP, _MARGIN = 0.12, 0.32, 0.04, 0.03  # [inches]
_CHARACTER_WIDTH = 0.058  # [inches], of a wide letter at ``_FONT_SIZE``
_COLOUR_BAR_GAP, _COLOUR_BAR_HEIGHT = 0.2, 0.06  # [inches]
_COLOUR_MAPS: Mapping[str, str] = {
    "depth": DEPTH_COLOURS,
    "signed": SIGNED_COLOURS,
    "angle": ANGLE_COLOURS,
}
_LEGENDS: Mapping[str, str] = {
    "depth": "depth, on the scale that is printed in its row",
    "signed": "(predicted − true) / true",
    "angle": "angle between predicted and true normals",
}


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
    _check_figure_format(Path(path))
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
    _draw_rows(rows, Path(path))
    return drawn_ids


def _panel_order(panel: Panel) -> int:
    """Sort key within a row: photograph and truth, then predictions, then errors."""
    if panel.model is None:
        return 0
    return 2 if panel.title.startswith(f"{panel.model}, error") else 1


def _check_figure_format(path: Path) -> None:
    """Raise OptionError if the suffix of a file is not one of ``_SUFFIXES``."""
    if path.suffix.lower() not in _SUFFIXES:
        raise OptionError(
            f"{printable(path)}: is not a supported figure format; use a file name that ends in "
            f"{join_alternatives(_SUFFIXES)}"
        )


def _draw_rows(rows: Sequence[Sequence[Panel]], path: Path) -> None:
    """Draw a row of pictures for each image, as PDF, SVG or PNG with 300 dots per inch.

    Columns have the titles of the pictures. A row may lack some of them.
    """
    with explain_missing_extra("a figure for a paper", "evaluate"):
        import matplotlib
        from matplotlib.figure import Figure
    style = {
        "pdf.fonttype": 42,  # TrueType fonts, as publishers require
        "svg.fonttype": "none",  # text stays text
        "font.size": _FONT_SIZE,
        "svg.hashsalt": "r",  # equal pictures give equal files
    }
    titles = list(dict.fromkeys(panel.title for row in rows for panel in row))
    panel_width = (_WIDTH - 2 * _MARGIN + _GAP) / len(titles) - _GAP
    row_heights = [panel_width * _height_over_width(row[0]) for row in rows]
    title_lines = [_wrap_title(title, panel_width) for title in titles]
    title_height = _TITLE_LINE_HEIGHT * max(map(len, title_lines)) + _GAP
    height = title_height + sum(row_heights) + _GAP * len(rows) + _LEGEND_HEIGHT + _MARGIN
    # The user's own style of matplotlib must not change the figure, and is restored afterwards.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=(_WIDTH, height), dpi=300)
        top = height - title_height
        lefts = [_MARGIN + column * (panel_width + _GAP) for column in range(len(titles))]
        for lines, left in zip(title_lines, lefts, strict=True):
            middle = left + panel_width / 2
            _write_in_figure(figure, middle, top + 0.03, "\n".join(lines), ha="center", va="bottom")
        for row, row_height in zip(rows, row_heights, strict=True):
            panels = {panel.title: panel for panel in row}
            for title, left in zip(titles, lefts, strict=True):
                if title in panels:
                    box = (left, top - row_height, panel_width, row_height)
                    _draw_panel(figure, panels[title], row, box)
            top -= row_height + _GAP
        _draw_legends(figure, rows, top)
        _save_without_date(figure, path)


def _wrap_title(title: str, width: float) -> list[str]:
    """Break the title of a column into lines that fit into its width [inches]."""
    max_characters = max(1, int(width / _CHARACTER_WIDTH))
    return textwrap.wrap(printable(title), max_characters) or [""]


def _height_over_width(panel: Panel) -> float:
    height, width = panel.pixels.shape[:2]
    return height / width


def _save_without_date(figure: Any, path: Path) -> None:
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    suffix = path.suffix.lower()
    with replacing(path) as part:
        figure.savefig(part, format=suffix[1:], metadata=metadata[suffix])


def _write_in_figure(figure: Any, x: float, y: float, text: str, **style: Any) -> None:
    """Write text at a point (x, y) from the lower left corner [inches]."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, parse_math=False, **style)


def _add_axes(figure: Any, box: tuple[float, float, float, float]) -> Any:
    width, height = figure.get_size_inches()
    left, bottom, box_width, box_height = box
    axes = figure.add_axes((left / width, bottom / height, box_width / width, box_height / height))
    axes.set_axis_off()
    return axes


def _draw_panel(
    figure: Any, panel: Panel, row: Sequence[Panel], box: tuple[float, float, float, float]
) -> None:
    """Draw a picture in a box, and print its depth range.

    The true depth and metric predictions of a row share one range, which only the first one prints.
    """
    _add_axes(figure, box).imshow(panel.pixels, aspect="auto", interpolation="none")
    if panel.legend is None or panel.legend.ramp != "depth":
        return
    first_with_range = next(candidate for candidate in row if candidate.legend == panel.legend)
    if first_with_range is not panel:
        return
    far, near = panel.legend.marks[0], panel.legend.marks[-1]
    depth_range = f"{near.removesuffix(' m')}–{far}" if near != "near" else "not in metres"
    background = {"fc": "black", "ec": "none", "alpha": 0.55, "pad": 1.2}
    left, bottom, *_ = box
    _write_in_figure(
        figure,
        left + 0.05,
        bottom + 0.05,
        depth_range,
        color="white",
        bbox=background,
        size=_FONT_SIZE - 1.5,
    )


def _draw_legends(figure: Any, rows: Sequence[Sequence[Panel]], top: float) -> None:
    """Draw the colour bars that explain the panels, side by side below the rows.

    There is one bar for depth, one for errors of depth and one for errors of normals, if the rows
    have such panels. The labels of its ends and its subject stand under each bar. ``top`` is the
    upper edge of the space for them [inches].
    """
    panels = [panel for row in rows for panel in row]
    legends = {panel.legend.ramp: panel.legend for panel in panels if panel.legend is not None}
    # A single bar takes half of the width, because a longer one would look like a panel.
    width = (_WIDTH - 2 * _MARGIN) / max(2, len(legends)) - _COLOUR_BAR_GAP
    bar_bottom = top - 0.08
    label_bottom = bar_bottom - 0.12
    for index, (ramp, legend) in enumerate(legends.items()):
        left = _MARGIN + index * (width + _COLOUR_BAR_GAP)
        bar_axes = _add_axes(figure, (left, bar_bottom, width, _COLOUR_BAR_HEIGHT))
        hex_colours = css_colours(_COLOUR_MAPS[ramp], 256)
        rgb_colours = [tuple(bytes.fromhex(colour.removeprefix("#"))) for colour in hex_colours]
        bar_axes.imshow([rgb_colours], aspect="auto")  # a picture with one row
        if ramp == "depth":
            # Each row has its own range of depth, which is printed in its panels.
            left_label, right_label = "far", "near"
        else:
            left_label, right_label = legend.marks[0], legend.marks[-1]
        _write_in_figure(figure, left, label_bottom, left_label, ha="left")
        _write_in_figure(figure, left + width, label_bottom, right_label, ha="right")
        _write_in_figure(figure, left + width / 2, label_bottom, _LEGENDS[ramp], ha="center")
