"""Figures for papers: rows of pictures, with titles above and legends below."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rilievo.errors import OptionError, needing
from rilievo.io.files.atomic import replacing
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import ANGLE_COLOURS, DEPTH_COLOURS, SIGNED_COLOURS
from rilievo.io.outputs.formats.colour_files import css_colours
from rilievo.pages.charts import shorten_name
from rilievo.pages.pictures import Panel

SUFFIXES = (".pdf", ".svg", ".png")
_WIDTH = 6.9  # [inches], both columns of common templates
_FONT_SIZE = 7.0  # [points]
_TITLE_HEIGHT, _LEGEND_HEIGHT, _GAP, _MARGIN = 0.16, 0.32, 0.04, 0.03  # [inches]
_COLOUR_MAPS: Mapping[str, str] = {
    "depth": DEPTH_COLOURS,
    "signed": SIGNED_COLOURS,
    "angle": ANGLE_COLOURS,
}
_LEGENDS: Mapping[str, str] = {
    "depth": "depth, on the scale printed in its row",
    "signed": "(predicted − true) / true",
    "angle": "angle between predicted and true normals",
}


def check_figure_format(path: Path) -> None:
    """Refuse a file whose ending is none of ``SUFFIXES``.

    Raises:
        OptionError: If it is another one.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"{printable(path)}: a figure is written as {', '.join(SUFFIXES)}, by the file's ending"
        )


def write_figure(rows: Sequence[Sequence[Panel]], path: Path) -> None:
    """Draw a row of pictures for each image, as PDF, SVG or PNG with 300 dots an inch."""
    check_figure_format(path)
    with needing("a figure for a paper", "evaluate"):
        import matplotlib
        from matplotlib.figure import Figure
    style = {
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "font.size": _FONT_SIZE,
        "svg.hashsalt": "r",
    }
    titles = list(dict.fromkeys(panel.title for row in rows for panel in row))
    panel_width = (_WIDTH - 2 * _MARGIN + _GAP) / len(titles) - _GAP
    row_heights = [panel_width * _aspect(row[0]) for row in rows]
    height = _TITLE_HEIGHT + sum(row_heights) + _GAP * len(rows) + _LEGEND_HEIGHT + _MARGIN
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=(_WIDTH, height), dpi=300)
        top = height - _TITLE_HEIGHT
        lefts = [_MARGIN + column * (panel_width + _GAP) for column in range(len(titles))]
        for title, left in zip(titles, lefts, strict=True):
            middle = left + panel_width / 2
            _write_in_figure(figure, middle, top + 0.04, shorten_name(title), ha="center")
        for row, row_height in zip(rows, row_heights, strict=True):
            panels = {panel.title: panel for panel in row}
            for title, left in zip(titles, lefts, strict=True):
                if title in panels:
                    box = (left, top - row_height, panel_width, row_height)
                    _draw_panel(figure, panels[title], row, box)
            top -= row_height + _GAP
        _draw_legends(figure, rows, top)
        _save_without_date(figure, path)


def _aspect(panel: Panel) -> float:
    height, width = panel.pixels.shape[:2]
    return height / width


def _save_without_date(figure: Any, path: Path) -> None:
    """Save a figure so that equal pictures give equal files."""
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    suffix = path.suffix.lower()
    with replacing(path) as part:
        figure.savefig(part, format=suffix[1:], metadata=metadata[suffix])


def _write_in_figure(figure: Any, x: float, y: float, text: str, **style: Any) -> None:
    """Write text at a point in inches from the lower left corner."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, parse_math=False, **style)


def _add_axes(figure: Any, box: tuple[float, float, float, float]) -> Any:
    """Add axes in a box of left, bottom, width and height [inches]."""
    width, height = figure.get_size_inches()
    left, bottom, box_width, box_height = box
    axes = figure.add_axes((left / width, bottom / height, box_width / width, box_height / height))
    axes.set_axis_off()
    return axes


def _draw_panel(
    figure: Any, panel: Panel, row: Sequence[Panel], box: tuple[float, float, float, float]
) -> None:
    """Draw a picture, and the range of its depth if it is the first in its row with that range."""
    _add_axes(figure, box).imshow(panel.pixels, aspect="auto", interpolation="none")
    if panel.legend is None or panel.legend.ramp != "depth":
        return
    # Truth and metric predictions of a row share one scale, which is printed once.
    first_with_legend = next(candidate for candidate in row if candidate.legend == panel.legend)
    if first_with_legend is not panel:
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
    """Draw a bar with labels for each kind of colours, side by side below the rows."""
    legends = {
        panel.legend.ramp: panel.legend for row in rows for panel in row if panel.legend is not None
    }
    gap = 0.2
    width = (_WIDTH - 2 * _MARGIN) / max(2, len(legends)) - gap
    bottom = top - 0.08
    label_bottom = bottom - 0.12
    for index, (ramp, legend) in enumerate(legends.items()):
        left = _MARGIN + index * (width + gap)
        hex_colours = css_colours(_COLOUR_MAPS[ramp], 256)
        bar = [[tuple(bytes.fromhex(colour[1:])) for colour in hex_colours]]
        _add_axes(figure, (left, bottom, width, 0.06)).imshow(bar, aspect="auto")
        first, last = legend.marks[0], legend.marks[-1]
        if ramp == "depth":
            first, last = "far", "near"
        _write_in_figure(figure, left, label_bottom, first, ha="left")
        _write_in_figure(figure, left + width, label_bottom, last, ha="right")
        _write_in_figure(figure, left + width / 2, label_bottom, _LEGENDS[ramp], ha="center")
