"""Charts as SVG, in the colours and the font of the page that holds them."""

import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rilievo.errors import explain_missing_extra
from rilievo.io.files.names import printable

_LIGHT_COLOURS = {
    "--ink": "#1d2125",
    "--muted": "#5f6872",
    "--line": "#e2e0db",
    "--accent": "#0b6e75",
    "--second": "#b4531f",
    "--faint": "#b9c4c9",
    "--third": "#6b4fa0",
    "--fourth": "#8a7a12",
    "--fifth": "#b03a6b",
    "--sixth": "#2f6fb5",
}
"""CSS variables of the page, and their colours in a chart that is a file of its own."""
_PLACEHOLDERS = {
    f"#0a0b{number:02x}": variable for number, variable in enumerate(_LIGHT_COLOURS, start=1)
}
"""CSS variables by colours that nothing else has, which they replace in the finished SVG."""
INK, MUTED, LINE, ACCENT, SECOND, FAINT, *_FURTHER = _PLACEHOLDERS
SERIES = (ACCENT, SECOND, *_FURTHER)
"""Colours of the first, second ... curve of a chart."""

_MAX_NAME_LENGTH = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Chart for a page: an inline SVG element with its description and caption.

    Attributes:
        svg: SVG element for a page, without ids that could clash with those of other charts.
        description: Text for screen readers.
    """

    svg: str
    description: str
    caption: str

    @property
    def file(self) -> str:
        """The chart as the content of an SVG file, which has no style sheet with the colours."""
        text = self.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        for variable, colour in _LIGHT_COLOURS.items():
            text = text.replace(f"var({variable})", colour)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalPoint:
    """Value with its confidence interval; published values of others are drawn as hollow dots."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    is_hollow: bool = False


class Canvas:
    """Axes of matplotlib to draw on, and what was drawn as SVG.

    Attributes:
        axes: Axes, from the top to the bottom.
        svg: SVG element for a page; empty until the ``chart_canvas`` block ends.
    """

    def __init__(self, axes: tuple[Any, ...]) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def chart_canvas(
    *, width: float = 4.6, height: float = 2.6, ratios: tuple[float, ...] = (1.0,)
) -> Iterator[Canvas]:
    """Yield axes to draw on, and render them as SVG at the end of the block.

    ``width`` and ``height`` are in inches. ``ratios`` are relative heights of stacked axes.
    """
    with explain_missing_extra("a chart", "evaluate"):
        import matplotlib
        from matplotlib.figure import Figure
    # The user's own style of matplotlib must not change the chart, and is restored afterwards.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9.5, "text.color": INK})
        # Otherwise, the axis of a narrow range is labelled "1e-5+9.999e-1".
        matplotlib.rcParams["axes.formatter.useoffset"] = False
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
        axes_grid = figure.subplots(
            len(ratios), sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
        )
        canvas = Canvas(tuple(axes_grid[:, 0]))
        for axes in canvas.axes:
            _style_axes(axes)
        yield canvas
        matplotlib.rcParams["svg.hashsalt"] = "rilievo"  # equal charts get equal ids
        canvas.svg = _inline_svg(_render_svg(figure))


def _render_svg(figure: Any) -> str:
    # With a layout engine, saving would lay out and draw a figure twice. So it is laid out once
    # here, and saved without the engine.
    engine = figure.get_layout_engine()
    assert engine is not None, "the figure was made with one"
    engine.execute(figure)
    figure.set_layout_engine("none")
    svg_file = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(svg_file, format="svg", metadata=no_metadata)
    return svg_file.getvalue()


def _style_axes(axes: Any) -> None:
    """Draw thin grid lines and only the bottom border, in the page's colours."""
    axes.set_facecolor("none")
    axes.grid(visible=True, color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", colors=MUTED, labelcolor=MUTED, width=0.6, length=3)
    axes.tick_params(axis="y", which="both", length=0)
    # Labels of a narrow range are long, and more than five of them would overlap.
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _inline_svg(svg: str) -> str:
    """Turn matplotlib's SVG file into an element of a page, in the page's colours and font."""
    element = svg[svg.index("<svg") :]  # without the XML declaration
    element = _remove_unused_parts(element)
    element = _use_page_style(element)
    element = _make_ids_unique(element)
    # In tags only, because numbers in the text have to stay as they are.
    element = re.sub(r"<[^>]+>", _shorten_coordinates, element)
    return re.sub(r"\n\s*", "\n", element).strip()


def _remove_unused_parts(element: str) -> str:
    """Remove what an element of a page does not need: styles, metadata, ids, namespaces, its size.

    Screen readers skip it, because the page describes the chart in words.
    """
    element = re.sub(r"<style.*?</style>", "", element, flags=re.DOTALL)
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r"(<g) id=\"[^\"]*\"", r"\1", element)
    element = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", element).replace("xlink:href", "href")
    return re.sub(r"(<svg)[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'\1 \2 aria-hidden="true">', element)


def _use_page_style(element: str) -> str:
    """Replace matplotlib's font, and the placeholders of colours by the page's variables."""
    element = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", element)
    for colour, variable in _PLACEHOLDERS.items():
        element = element.replace(colour, f"var({variable})")
    return element


def _make_ids_unique(element: str) -> str:
    """Give ids, and the references to them, a prefix, so that a page can have several charts."""
    prefix = f"c{zlib.crc32(element.encode()):08x}"
    return re.sub(r"(id=\"|href=\"#|url\(#)(?=[a-z])", rf"\1{prefix}", element)


def _shorten_coordinates(tag: "re.Match[str]") -> str:
    """Cut the numbers in a tag to hundredths of a point."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0])


def draw_intervals(points: Sequence[IntervalPoint], label: str, caption: str) -> Chart:
    """Draw values as dots with their confidence intervals, one below the other.

    ``label`` is that of the axis of the values.
    """
    rows_from_bottom = points[::-1]  # so that the first point is at the top
    num_rows = len(points)
    with chart_canvas(height=0.9 + 0.27 * num_rows) as canvas:  # [inches]
        [axes] = canvas.axes
        for row, point in enumerate(rows_from_bottom):
            if point.low is not None and point.high is not None:
                axes.plot([point.low, point.high], [row, row], color=ACCENT, linewidth=2)
            dot_style = {
                "color": MUTED if point.is_hollow else ACCENT,
                "markerfacecolor": "none" if point.is_hollow else ACCENT,
            }
            axes.plot([point.value], [row], "o", markersize=5.5, **dot_style)
        names = [shorten_name(point.name) for point in rows_from_bottom]
        axes.set_yticks(range(num_rows), labels=names, parse_math=False, color=INK)
        axes.set_ylim(-0.6, num_rows - 0.4)
        axes.set_xlabel(label, parse_math=False)
    listed_values = ", ".join(f"{printable(point.name)} {point.value:.4g}" for point in points)
    return Chart(svg=canvas.svg, description=f"{caption}: {listed_values}.", caption=caption)


def shorten_name(name: str) -> str:
    """Shorten a name so that it fits beside an axis."""
    shown = printable(name)
    if len(shown) <= _MAX_NAME_LENGTH:
        return shown
    return f"{shown[: _MAX_NAME_LENGTH - 1]}…"
