"""Notes on what deserves a look in the scores of one image, and on why an image has none."""

import numpy as np
from jaxtyping import Bool

from rilievo.alignment import Aligned, AlignMethod
from rilievo.datasets.files import unit_doubt
from rilievo.depth_map import DepthMap
from rilievo.evaluate.benchmark import Benchmark, Invalid
from rilievo.types import Truth

OFF = 50.0
"""Times that no model of metric depth errs in the mean: its numbers are of another unit."""

FEW = 100
"""Pixels: a score that rests on fewer weighs as much as any in a mean over images, and says so."""

UNANSWERED = {
    Invalid.SKIP: "pixels with truth have no prediction and are not scored",
    Invalid.FAR: "pixels with truth have no prediction and are scored as far",
}
OTHER_UNIT = (
    f"metric depth is off by a factor of more than {OFF:g} in the mean: is its unit metres?"
)


def why_nothing_counts(benchmark: Benchmark, truth: Truth, mask: Bool[np.ndarray, "h w"]) -> str:
    """Reason why an image has no score whose truth has too few pixels that count."""
    assert truth.depth is not None
    assert truth.depth_valid is not None
    if mask.any():
        return (
            f"{np.count_nonzero(mask)} pixels have truth that counts, and the benchmark "
            f"'{benchmark.name}' passes over images with fewer than {benchmark.least_pixels}"
        )
    true = truth.depth[truth.depth_valid]
    if not true.size:
        return "no pixel has true depth"
    middle = float(np.median(true))
    farthest = benchmark.max_depth
    if farthest is not None and true.min() >= farthest and middle / 1000 < farthest:
        return (
            f"all true depth lies beyond the cap of {farthest:g} m (median {middle:.0f}): it looks "
            "like millimetres read as metres; give the dataset its scale"
        )
    cap = "" if farthest is None else f" and {farthest:g}"
    return (
        f"none of the {true.size} pixels with true depth (median {middle:.3g} m) lies inside the "
        f"crop{' and the mask' if benchmark.mask else ''} and between "
        f"{benchmark.min_depth:g}{cap} m"
    )


def notes_on(
    benchmark: Benchmark,
    truth: Truth,
    both: Bool[np.ndarray, "h w"],
    resized: DepthMap,
    aligned: Aligned,
    unanswered: int,
) -> list[str]:
    """Notes on the depth of one image that was aligned."""
    notes = []
    assert truth.depth is not None
    if aligned.clamped:
        notes.append(f"{aligned.clamped} pixels taken out of range by the fit, and put at its end")
    notes += notes_on_pixels(benchmark, int(np.count_nonzero(both)), unanswered)
    x = resized.values[both]
    if x.min() == x.max():
        notes.append(f"the prediction is constant ({x[0]:g}) over all pixels that are scored")
    # The mean is as good here as the median, which would cost a tenth of the whole score.
    true = float(truth.depth[both].mean(dtype=np.float64))
    doubt = unit_doubt(true)
    if doubt is not None:
        notes.append(doubt)
    predicted = float(x.mean(dtype=np.float64))
    if aligned.method is AlignMethod.NONE and not 1 / OFF < predicted / true < OFF:
        notes.append(OTHER_UNIT)
    return notes


def notes_on_pixels(benchmark: Benchmark, scored: int, unanswered: int) -> list[str]:
    """Notes on the number of pixels that a score rests on."""
    notes = []
    if unanswered:
        notes.append(f"{unanswered} {UNANSWERED[benchmark.invalid]}")
    if scored < FEW:
        notes.append(f"its score rests on {scored} pixels: fewer than {FEW}")
    return notes
