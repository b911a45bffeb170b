"""Figures for papers: rows of pictures with legends."""

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
_WIDTH = 6.9  # inches, both columns of the usual templates
_FONT = 7.0  # points
_TITLE, _LEGEND, _GAP, _MARGIN = 0.16, 0.32, 0.04, 0.03  # inches
_RAMPS: Mapping[str, str] = {
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
    """Refuse a file whose ending names no format."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"{printable(path)}: a figure is written as {', '.join(SUFFIXES)}, by the file's ending"
        )


def write_figure(rows: Sequence[Sequence[Panel]], path: Path) -> None:
    """Draw one row an image, as PDF, SVG or PNG (300 dots an inch)."""
    check_figure_format(path)
    with needing("a figure for a paper", "evaluate"):
        import matplotlib
        from matplotlib.figure import Figure
    titles = list(dict.fromkeys(panel.title for row in rows for panel in row))
    width = (_WIDTH - 2 * _MARGIN + _GAP) / len(titles) - _GAP
    heights = [width * row[0].pixels.shape[0] / row[0].pixels.shape[1] for row in rows]
    height = _TITLE + sum(heights) + _GAP * len(rows) + _LEGEND + _MARGIN
    style = {"pdf.fonttype": 42, "svg.fonttype": "none", "font.size": _FONT, "svg.hashsalt": "r"}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=(_WIDTH, height), dpi=300)
        top = height - _TITLE
        for place, title in enumerate(titles):
            left = _MARGIN + place * (width + _GAP)
            _write_in_figure(figure, left + width / 2, top + 0.04, shorten_name(title), ha="center")
        for row, tall in zip(rows, heights, strict=True):
            by_title = {panel.title: panel for panel in row}
            for place, title in enumerate(titles):
                if title in by_title:
                    left = _MARGIN + place * (width + _GAP)
                    _draw_panel(figure, by_title[title], row, (left, top - tall, width, tall))
            top -= tall + _GAP
        _draw_legends(figure, rows, top)
        dates = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        ending = path.suffix.lower()
        with replacing(path) as part:
            figure.savefig(part, format=ending[1:], metadata=dates[ending])


def _write_in_figure(figure: Any, x: float, y: float, words: str, **how: Any) -> None:
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, words, parse_math=False, **how)


def _add_axes(figure: Any, box: tuple[float, float, float, float]) -> Any:
    width, height = figure.get_size_inches()
    left, bottom, wide, tall = box
    axes = figure.add_axes((left / width, bottom / height, wide / width, tall / height))
    axes.set_axis_off()
    return axes


def _draw_panel(
    figure: Any, panel: Panel, row: Sequence[Panel], box: tuple[float, float, float, float]
) -> None:
    _add_axes(figure, box).imshow(panel.pixels, aspect="auto", interpolation="none")
    # Truth and metric predictions of a row share one scale, which is printed once.
    first = next((candidate for candidate in row if candidate.legend == panel.legend), None)
    if panel.legend is not None and panel.legend.ramp == "depth" and first is panel:
        far, near = panel.legend.marks[0], panel.legend.marks[-1]
        edge = {"fc": "black", "ec": "none", "alpha": 0.55, "pad": 1.2}
        words = f"{near.removesuffix(' m')}–{far}" if near != "near" else "not in metres"
        place = box[0] + 0.05, box[1] + 0.05
        _write_in_figure(figure, *place, words, color="white", bbox=edge, size=_FONT - 1.5)


def _draw_legends(figure: Any, rows: Sequence[Sequence[Panel]], top: float) -> None:
    legends = {
        panel.legend.ramp: panel.legend for row in rows for panel in row if panel.legend is not None
    }
    wide = (_WIDTH - 2 * _MARGIN) / max(2, len(legends)) - 0.2
    for place, (ramp, legend) in enumerate(legends.items()):
        left, bottom = _MARGIN + place * (wide + 0.2), top - 0.08
        steps = [[tuple(bytes.fromhex(colour[1:])) for colour in css_colours(_RAMPS[ramp], 256)]]
        _add_axes(figure, (left, bottom, wide, 0.06)).imshow(steps, aspect="auto")
        marks = ("far", "near") if ramp == "depth" else (legend.marks[0], legend.marks[-1])
        for spot, mark in enumerate(marks):
            _write_in_figure(
                figure, left + spot * wide, bottom - 0.12, mark, ha=("left", "right")[spot]
            )
        _write_in_figure(figure, left + wide / 2, bottom - 0.12, _LEGENDS[ramp], ha="center")
