"""Charts in the page's colours and font."""

import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rilievo.errors import needing
from rilievo.io.files.names import printable

# Variables of the page's style, and their colours in a file of its own.
_VARIABLES = {
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
# Colours that nothing else has stand for them while a chart is drawn.
_STANDING_FOR = {f"#0a0b{place:02x}": name for place, name in enumerate(_VARIABLES, start=1)}
INK, MUTED, LINE, ACCENT, SECOND, FAINT, *_MORE = _STANDING_FOR
SERIES = (ACCENT, SECOND, *_MORE)

_LONGEST_NAME = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Drawing for a page.

    Attributes:
        svg: Inline, without names of its own.
        words: Description for screen readers.
    """

    svg: str
    words: str
    caption: str

    @property
    def file(self) -> str:
        """SVG file in light colours."""
        text = self.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        for variable, colour in _VARIABLES.items():
            text = text.replace(f"var({variable})", colour)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Value with its interval; ``hollow`` if it is of others."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    hollow: bool = False


class Canvas:
    """Axes of a drawing, and its SVG after the block."""

    def __init__(self, axes: tuple[Any, ...]) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def drawing(
    *, width: float = 4.6, height: float = 2.6, ratios: tuple[float, ...] = (1.0,)
) -> Iterator[Canvas]:
    """Yield axes to draw on; sizes are in inches."""
    with needing("a chart", "evaluate"):
        import matplotlib
        from matplotlib.figure import Figure
    # The user's own style has no say here, and is back afterwards.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9.5, "text.color": INK})
        # Not "1e-5+9.999e-1" beside an axis of a narrow range.
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
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        # Laid out once: while it has an engine, a figure is drawn and laid out twice to be saved.
        engine = figure.get_layout_engine()
        assert engine is not None, "it was made with one"
        engine.execute(figure)
        figure.set_layout_engine("none")
        figure.savefig(file, format="svg", metadata=nothing)
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
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"(<g) id=\"[^\"]*\"", r"\1", body)
    body = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", body).replace("xlink:href", "href")
    body = re.sub(r"(<svg)[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'\1 \2 aria-hidden="true">', body)
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", body)
    for colour, variable in _STANDING_FOR.items():
        body = body.replace(colour, f"var({variable})")
    own = f"{zlib.crc32(body.encode()):08x}"
    body = re.sub(r"(id=\"|href=\"#|url\(#)(?=[a-z])", rf"\1c{own}", body)
    # Hundredths of a point are enough for places; what stands between tags is text.
    body = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), body)
    return re.sub(r"\n\s*", "\n", body).strip()


def draw_intervals(marks: Sequence[Mark], label: str, caption: str) -> Chart:
    """Draw values with their intervals."""
    with drawing(height=0.9 + 0.27 * len(marks)) as canvas:
        [axes] = canvas.axes
        for place, mark in enumerate(marks[::-1]):
            if mark.low is not None and mark.high is not None:
                axes.plot([mark.low, mark.high], [place, place], color=ACCENT, linewidth=2)
            face, colour = ("none", MUTED) if mark.hollow else (ACCENT, ACCENT)
            axes.plot([mark.value], [place], "o", markersize=5.5, color=colour, mfc=face)
        names = [shorten_name(mark.name) for mark in marks[::-1]]
        axes.set_yticks(range(len(marks)), labels=names, parse_math=False, color=INK)
        axes.set_ylim(-0.6, len(marks) - 0.4)
        axes.set_xlabel(label, parse_math=False)
    listed = ", ".join(f"{printable(mark.name)} {mark.value:.4g}" for mark in marks)
    return Chart(svg=canvas.svg, words=f"{caption}: {listed}.", caption=caption)


def shorten_name(name: str) -> str:
    """Shorten a name to fit beside an axis."""
    line = printable(name)
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"
