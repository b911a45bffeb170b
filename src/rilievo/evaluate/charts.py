"""Charts of a report: SVG that takes its colours and its font from the page around it."""

import io
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from rilievo.errors import MissingExtraError
from rilievo.evaluate.records import RangeError, Summary
from rilievo.evaluate.wording import count, head, number, percentage

# Colours that nothing else has: each becomes the page's own, which is dark or light.
INK, MUTED, LINE, ACCENT, SECOND, FAINT = (f"#0a0b0{digit}" for digit in range(1, 7))
_VARIABLES: Mapping[str, str] = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ACCENT: "var(--accent)",
    SECOND: "var(--second)",
    FAINT: "var(--faint)",
}
# More images than this are drawn in groups of neighbours.
_MOST_DOTS = 1500
_GROUPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing for a page.

    Attributes:
        svg: Inline, without names of its own.
        words: Description, for screen readers.
        caption: Caption below the chart.
    """

    svg: str
    words: str
    caption: str


class Canvas:
    """A figure under way.

    Attributes:
        axes: Axes of its plots, from top to bottom.
        svg: SVG text, available after the block of ``drawing``.
    """

    def __init__(self, axes: tuple[Any, ...]) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def drawing(
    *, width: float = 4.6, height: float = 2.6, ratios: tuple[float, ...] = (1.0,)
) -> Iterator[Canvas]:
    """Give axes to draw on, one above the other; what they became is in ``svg`` afterwards.

    Args:
        width: [inch]
        height: [inch]
        ratios: Heights of the plots against one another.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a report", "evaluate") from error
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
            _dress(axes)
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
    canvas.svg = _for_page(file.getvalue())


def _dress(axes: Any) -> None:
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


def _for_page(svg: str) -> str:
    """The drawing alone: it scales with the page, and shares no names with other drawings."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"(<g) id=\"[^\"]*\"", r"\1", body)
    body = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", body).replace("xlink:href", "href")
    body = re.sub(r"(<svg)[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'\1 \2 aria-hidden="true">', body)
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    own = f"{zlib.crc32(body.encode()):08x}"
    body = re.sub(r"(id=\"|href=\"#|url\(#)(?=[a-z])", rf"\1c{own}", body)
    # Hundredths of a point are enough for places; what stands between tags is text.
    body = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), body)
    return re.sub(r"\n\s*", "\n", body).strip()


def histogram(summary: Summary, values: Float64[np.ndarray, "n"]) -> Chart:
    """Histogram of a metric over images, with lines at mean and median.

    The first and the last bar take what lies far beyond the bulk, and the caption says how many.
    """
    mean, median = float(values.mean()), float(np.median(values))
    low, high = _bulk(values)
    edges = np.linspace(low, high, int(np.clip(2 * np.sqrt(values.size), 8, 40)) + 1)
    with drawing(width=4.0, height=2.0) as canvas:
        axes = canvas.axes[0]
        axes.hist(np.clip(values, low, high), bins=edges, color=ACCENT, alpha=0.6, rwidth=0.92)
        for at, style in ((mean, "-"), (median, (0, (2, 2)))):
            if low <= at <= high:
                axes.axvline(at, color=INK, linewidth=1.1, linestyle=style)
        axes.set_xlabel(head(summary.label, summary.unit), parse_math=False)
        axes.set_ylabel("images")
        axes.yaxis.get_major_locator().set_params(integer=True)
    spread = np.percentile(values, [5, 95])
    caption = f"{summary.label}: mean {number(mean)} (line), median {number(median)} (dashes)"
    beyond = int(((values < low) | (values > high)).sum())
    if beyond:
        caption += (
            f". {count(beyond)} beyond the ends, from {number(float(values.min()))} "
            f"to {number(float(values.max()))}"
        )
    return Chart(
        svg=canvas.svg,
        words=f"Histogram of {summary.label} over {count(values.size)} images: mean "
        f"{number(mean)}, median {number(median)}, nine in ten from {number(spread[0])} "
        f"to {number(spread[1])}.",
        caption=caption,
    )


def _bulk(values: Float64[np.ndarray, "n"]) -> tuple[float, float]:
    """Ends of an axis that a few images far off do not stretch."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        reach = max(abs(low), 1.0) / 20
        return low - reach, high + reach
    near, middle, far = (float(each) for each in np.percentile(values, [5, 50, 95]))
    if near < middle < far:
        low, high = max(low, middle - 4 * (middle - near)), min(high, middle + 4 * (far - middle))
    return low, high


def distribution(summary: Summary, values: Float64[np.ndarray, "n"]) -> Chart:
    """The share of images that are below each value of a metric."""
    shares = np.linspace(0, 1, min(values.size, 400) + 1)
    levels = np.quantile(values, shares)
    with drawing() as canvas:
        axes = canvas.axes[0]
        axes.plot(levels, 100 * shares, color=ACCENT, linewidth=1.6)
        axes.set_xlabel(head(summary.label, summary.unit), parse_math=False)
        axes.set_ylabel("images below it [%]")
        axes.set_ylim(0, 100)
    quarters = ", ".join(number(float(level)) for level in np.quantile(values, [0.25, 0.5, 0.75]))
    return Chart(
        svg=canvas.svg,
        words=f"Share of images below each {summary.label}; the quartiles are {quarters}.",
        caption=f"Share of images below each {summary.label}. Quartiles: {quarters}",
    )


def sequence(summary: Summary, values: Float64[np.ndarray, "n"]) -> Chart:
    """A metric along the dataset's order, where neighbours often are of one scene."""
    with drawing() as canvas:
        axes = canvas.axes[0]
        caption = f"{summary.label} of each image, in the dataset's order"
        if values.size <= _MOST_DOTS:
            axes.plot(np.arange(values.size) + 1, values, ".", color=ACCENT, markersize=3.2)
        else:
            groups = np.array_split(values, _GROUPS)
            at = np.cumsum([group.size for group in groups])
            low, middle, high = (
                [float(np.percentile(group, share)) for group in groups] for share in (10, 50, 90)
            )
            axes.fill_between(at, low, high, color=ACCENT, alpha=0.3, linewidth=0)
            axes.plot(at, middle, color=ACCENT, linewidth=1.2)
            caption += f": median and the middle 80 % of {_GROUPS} groups of neighbours"
        axes.set_xlabel("image")
        axes.set_ylabel(head(summary.label, summary.unit), parse_math=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)


def error_against_depth(ranges: tuple[RangeError, ...]) -> Chart:
    """Mean relative error and bias of pixels by their true depth, and how many there are."""
    filled = [each for each in ranges if each.pixels]
    left = np.array([each.near for each in filled])
    widths = np.array([each.far for each in filled]) - left
    centres = np.sqrt(left * (left + widths)) if (left > 0).all() else left + widths / 2
    with drawing(height=3.6, ratios=(2.2, 1.0)) as canvas:
        errors, pixels = canvas.axes
        for values, colour, name in (
            ([100 * each.abs_rel for each in filled], ACCENT, "AbsRel"),
            ([100 * each.bias for each in filled], SECOND, "bias"),
        ):
            errors.plot(centres, values, "o-", color=colour, markersize=3.5, label=name)
        errors.axhline(0, color=MUTED, linewidth=0.8)
        errors.set_ylabel("error [% of true depth]")
        errors.legend(frameon=False, ncols=2, loc="upper left", labelcolor=INK)
        errors.margins(y=0.22)
        shares = np.array([each.pixels for each in filled], float)
        pixels.bar(left, 100 * shares / shares.sum(), widths, align="edge", color=FAINT)
        pixels.set_ylabel("pixels [%]")
        pixels.set_xlabel("true depth [m]")
        _scale_depths(pixels, left, widths)
    worst = max(filled, key=lambda each: each.abs_rel)
    caption = (
        "Error of pixels by their true depth. Bias above zero: predicted too far; below: too near"
    )
    return Chart(
        svg=canvas.svg,
        words=f"{caption}. The largest AbsRel, {percentage(worst.abs_rel)}, is from "
        f"{worst.near:.3g} to {worst.far:.3g} m.",
        caption=caption,
    )


def _scale_depths(axes: Any, left: np.ndarray, widths: np.ndarray) -> None:
    """Ranges that grow with depth lie evenly on a logarithmic axis."""
    if left[0] > 0 and left[-1] > 2 * left[0]:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda metres, _: f"{metres:g}"))
    axes.set_xlim(left[0], left[-1] + widths[-1])
