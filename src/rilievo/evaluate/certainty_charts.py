"""Charts of a report on what a model's confidence is worth."""

from rilievo.evaluate.records import Sparsification
from rilievo.evaluate.wording import count, number
from rilievo.metrics.certainty import Reliability
from rilievo.pages.charts import ACCENT, INK, MUTED, SECOND, Chart, drawing


def sparsification_chart(curve: tuple[Sparsification, ...], label: str) -> Chart:
    """Error of what remains, against the share of pixels that were taken out."""
    removed = [100 * each.removed for each in curve]
    whole = curve[0].by_confidence
    with drawing() as canvas:
        axes = canvas.axes[0]
        axes.axhline(whole, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), label="random")
        by_confidence = [each.by_confidence for each in curve]
        axes.plot(removed, by_confidence, color=ACCENT, linewidth=1.6, label="by confidence")
        by_error = [each.by_error for each in curve]
        axes.plot(removed, by_error, color=SECOND, linewidth=1.2, label="by the error itself")
        axes.set_xlabel("least sure pixels taken out [%]")
        axes.set_ylabel(label, parse_math=False)
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=INK)
    half = curve[len(curve) // 2]
    return Chart(
        svg=canvas.svg,
        words=f"Sparsification: {label} is {number(whole)} over all pixels, "
        f"{number(half.by_confidence)} without the least sure half, and "
        f"{number(half.by_error)} without the half that is most wrong.",
        caption=f"{label} of the pixels that remain, as a mean over images. AUSE is the area "
        "between the two curves, AURG that between the dashes and the confidence",
    )


def reliability_chart(bins: tuple[Reliability, ...]) -> Chart:
    """Share of depth that is right, against the confidence."""
    pixels = sum(each.pixels for each in bins)
    with drawing() as canvas:
        axes = canvas.axes[0]
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        said, right = [each.said for each in bins], [each.right for each in bins]
        sizes = [4 + 80 * each.pixels / pixels for each in bins]
        axes.plot(said, right, color=ACCENT, linewidth=1.2)
        axes.scatter(said, right, sizes, color=ACCENT)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right within 1.25")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
    mean = sum(each.said * each.pixels for each in bins) / pixels
    share = sum(each.right * each.pixels for each in bins) / pixels
    return Chart(
        svg=canvas.svg,
        words=f"Calibration over {count(pixels)} pixels: the mean confidence is {number(mean)}, "
        f"and {number(share)} of the depths are right within a factor of 1.25.",
        caption="Share of depths that are right within a factor of 1.25, by confidence; on the "
        "dashes it keeps its promise. Larger dots: more pixels",
    )
