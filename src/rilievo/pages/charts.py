"""Charts as SVG, in the colours and the font of the page that holds them."""

import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rilievo.errors import needing
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
"""Variables of the page's style, and their colours where a chart is a file of its own."""
_PLACEHOLDERS = {
    f"#0a0b{number:02x}": variable for number, variable in enumerate(_LIGHT_COLOURS, start=1)
}
"""Colours that nothing else has; in the finished SVG the variables of the style replace them."""
INK, MUTED, LINE, ACCENT, SECOND, FAINT, *_FURTHER = _PLACEHOLDERS
SERIES = (ACCENT, SECOND, *_FURTHER)
"""Colours of the curves of a chart, in order."""

_MAX_NAME_LENGTH = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Drawing for a page.

    Attributes:
        svg: Element to stand in a page, without names that could clash with others.
        words: Description for screen readers.
    """

    svg: str
    words: str
    caption: str

    @property
    def file(self) -> str:
        """Content of an SVG file of its own, in light colours."""
        text = self.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        for variable, colour in _LIGHT_COLOURS.items():
            text = text.replace(f"var({variable})", colour)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Value with its interval; ``hollow`` marks a value that others published."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    hollow: bool = False


class Canvas:
    """Axes to draw on; ``svg`` is empty until the block of ``drawing`` ends."""

    def __init__(self, axes: tuple[Any, ...]) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def drawing(
    *, width: float = 4.6, height: float = 2.6, ratios: tuple[float, ...] = (1.0,)
) -> Iterator[Canvas]:
    """Yield axes to draw on, and make their SVG at the end of the block.

    Args:
        width: Width of the chart [inches].
        height: Height of the chart [inches].
        ratios: Relative heights of axes below one another, which share x.
    """
    with needing("a chart", "evaluate"):
        import matplotlib
        from matplotlib.figure import Figure
    # The user's own style of matplotlib must not change the chart, and is restored afterwards.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9.5, "text.color": INK})
        # Otherwise an axis of a narrow range is labelled "1e-5+9.999e-1".
        matplotlib.rcParams["axes.formatter.useoffset"] = False
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
        plots = figure.subplots(
            len(ratios), sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
        )
        canvas = Canvas(tuple(plots[:, 0]))
        for axes in canvas.axes:
            _style_axes(axes)
        yield canvas
        file = io.StringIO()
        matplotlib.rcParams["svg.hashsalt"] = "rilievo"
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        # Laid out once: while it has an engine, a figure is drawn and laid out twice to be saved.
        engine = figure.get_layout_engine()
        assert engine is not None, "it was made with one"
        engine.execute(figure)
        figure.set_layout_engine("none")
        figure.savefig(file, format="svg", metadata=no_metadata)
    canvas.svg = _inline_svg(file.getvalue())


def _style_axes(axes: Any) -> None:
    axes.set_facecolor("none")
    axes.grid(visible=True, color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", colors=MUTED, labelcolor=MUTED, width=0.6, length=3)
    axes.tick_params(axis="y", which="both", length=0)
    # Labels of a narrow range are long, and more of them would run into one another.
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _inline_svg(svg: str) -> str:
    """Turn matplotlib's SVG file into an element of a page, in the page's colours and font."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"(<g) id=\"[^\"]*\"", r"\1", body)
    body = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", body).replace("xlink:href", "href")
    body = re.sub(r"(<svg)[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'\1 \2 aria-hidden="true">', body)
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", body)
    for colour, variable in _PLACEHOLDERS.items():
        body = body.replace(colour, f"var({variable})")
    # Names get a prefix, so that several charts can stand in one page.
    prefix = f"c{zlib.crc32(body.encode()):08x}"
    body = re.sub(r"(id=\"|href=\"#|url\(#)(?=[a-z])", rf"\1{prefix}", body)
    # Coordinates are cut to hundredths of a point, but not the text between tags.
    body = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), body)
    return re.sub(r"\n\s*", "\n", body).strip()


def draw_intervals(marks: Sequence[Mark], label: str, caption: str) -> Chart:
    """Draw values as points with their intervals, one below the other."""
    with drawing(height=0.9 + 0.27 * len(marks)) as canvas:
        [axes] = canvas.axes
        for y, mark in enumerate(marks[::-1]):
            if mark.low is not None and mark.high is not None:
                axes.plot([mark.low, mark.high], [y, y], color=ACCENT, linewidth=2)
            face, colour = ("none", MUTED) if mark.hollow else (ACCENT, ACCENT)
            axes.plot([mark.value], [y], "o", markersize=5.5, color=colour, mfc=face)
        names = [shorten_name(mark.name) for mark in marks[::-1]]
        axes.set_yticks(range(len(marks)), labels=names, parse_math=False, color=INK)
        axes.set_ylim(-0.6, len(marks) - 0.4)
        axes.set_xlabel(label, parse_math=False)
    listed = ", ".join(f"{printable(mark.name)} {mark.value:.4g}" for mark in marks)
    return Chart(svg=canvas.svg, words=f"{caption}: {listed}.", caption=caption)


def shorten_name(name: str) -> str:
    """Shorten a name so that it fits beside an axis."""
    shown = printable(name)
    if len(shown) <= _MAX_NAME_LENGTH:
        return shown
    return f"{shown[: _MAX_NAME_LENGTH - 1]}…"
