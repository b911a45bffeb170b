"""Make predicted depth comparable with the truth: resized, aligned and clipped, in metres."""

from dataclasses import dataclass, field, replace

import numpy as np

from rilievo.alignment import Aligned, AlignMethod, align
from rilievo.alignment.fit import Fit, FitSpace
from rilievo.alignment.ground_truth import apply_fit, constant_fit
from rilievo.alignment.point_fit import PointFit
from rilievo.alignment.turned_maps import how_turned
from rilievo.arrays.shapes import Field, Mask, Size
from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Invalid, Task
from rilievo.evaluation.benchmarks.user_rules import call_fit
from rilievo.evaluation.scoring.regions import depth_mask, truth_size
from rilievo.evaluation.scoring.resizing import resize_depth
from rilievo.extensions.trust import is_import_path
from rilievo.io.depth.plausibility import unit_warning
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth

ALIGNED_TASKS = (Task.DEPTH, Task.POINTS, Task.STABILITY)

MAX_MEAN_RATIO = 50.0
"""Largest ratio of mean predicted to mean true depth that a model of metric depth is believed to
have. Beyond it, its numbers probably have another unit."""
FEW_PIXELS = 100
"""Number of scored pixels below which an image has a note, because its score weighs as much as any
other in a mean over images."""
UNANSWERED = {
    Invalid.SKIP: "pixels with truth have no prediction and are not scored",
    Invalid.FAR: "pixels with truth have no prediction and are scored as far",
}
CONSTANT_PREDICTION = (
    "no scale follows from a constant prediction, which is scored as the constant depth that fits "
    "the truth best, as other programs do"
)
OTHER_UNIT = (
    f"metric depth is off by a factor of more than {MAX_MEAN_RATIO:g} in the mean: is its unit "
    "metres?"
)
TURNED = "the prediction seems to be {}: turned back, it would be in the order of the ground truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparableDepth:
    """Predicted and true depth of one image [m], to be read only where ``mask`` is set.

    Attributes:
        aligned: Prediction after its alignment, before the clip.
        unanswered: Number of pixels to be scored that have no prediction.
    """

    depth: Field
    true: Field
    mask: Mask
    aligned: Aligned
    unanswered: int = 0
    notes: tuple[str, ...] = field(default=())


def comparable_depth(
    benchmark: Benchmark,
    predicted: DepthMap,
    truth: Truth,
    fit: Fit | None = None,
) -> ComparableDepth:
    """Resize, align and clip predicted depth as the benchmark does.

    ``fit`` is the alignment of the image's scene; without it, the image is aligned to its own
    truth.

    Raises:
        InputError: If no pixel is left to score, or the truth lacks what the benchmark needs.
        OptionError: If the benchmark does not score this kind of depth.
    """
    method = alignment_for_kind(benchmark, predicted.kind)
    mask = depth_mask(benchmark, truth)
    assert truth.depth is not None, "what has a mask of depth has depth"
    if not truth.is_metric:
        _refuse_truth_without_unit(benchmark, method)
    if np.count_nonzero(mask) < benchmark.least_pixels:
        raise NoGroundTruthError(_too_few_pixels_reason(benchmark, truth, mask))

    true = truth.depth
    resized = resize_for_benchmark(benchmark, predicted, truth_size(truth))
    answered = mask & resized.valid
    unanswered = count_unanswered(benchmark, mask, answered)
    aligned = _align_depth(benchmark, resized, true, answered, method, fit)
    notes = _depth_notes(benchmark, truth, answered, resized, aligned, unanswered)

    depth, scored = aligned.depth.values, answered
    if benchmark.clip is not None:
        near, far = benchmark.clip
        clipped = int((answered & ((depth < near) | (depth > far))).sum())
        depth = np.clip(depth, near, far)
        if clipped:
            notes.append(f"{clipped} pixels clipped to {near:g} to {far:g} m")
    if unanswered and benchmark.invalid is Invalid.FAR:
        far_end = np.float32(_far_end(benchmark, true, mask))
        depth = np.where(answered, depth, far_end)
        scored = mask
    return ComparableDepth(
        depth=depth,
        true=true,
        mask=scored,
        aligned=aligned,
        unanswered=unanswered,
        notes=tuple(notes),
    )


def apply_scene_fit(benchmark: Benchmark, predicted: DepthMap, shape: Size, fit: Fit) -> DepthMap:
    """Predicted depth [m] by the fit of its scene, resized and clipped; no truth is needed."""
    assert benchmark.min_inverse is not None
    resized = resize_for_benchmark(benchmark, predicted, shape)
    method = AlignMethod(alignment_for_kind(benchmark, predicted.kind))
    farthest = 1 / benchmark.min_inverse
    aligned = apply_fit(resized, fit, method, min_depth=benchmark.least_depth, farthest=farthest)
    if benchmark.clip is None:
        return aligned.depth
    return replace(aligned.depth, values=np.clip(aligned.depth.values, *benchmark.clip))


def _align_depth(
    benchmark: Benchmark,
    resized: DepthMap,
    true: Field,
    answered: Mask,
    method: AlignMethod | PointFit | str,
    fit: Fit | None,
) -> Aligned:
    """Align a prediction by its scene's fit, the user's function, or a fit to its own truth."""
    if fit is not None:
        return _apply_fit(benchmark, resized, true, answered, AlignMethod(method), fit)
    if is_import_path(method):
        return _align_by_user_function(method, resized, true, answered)

    method = AlignMethod(method)
    fitted_pixels = _pixels_to_fit(benchmark, resized, answered)
    constant = constant_fit(resized, true, fitted_pixels, method)
    if constant is not None:
        return _apply_fit(benchmark, resized, true, answered, method, constant)
    return align(
        resized,
        true,
        fitted_pixels,
        method=method,
        min_depth=benchmark.least_depth,
        min_inverse=benchmark.min_inverse,
    )


def _align_by_user_function(
    import_path: str, resized: DepthMap, true: Field, answered: Mask
) -> Aligned:
    values = call_fit(import_path, resized, true, answered)
    identity = Fit(
        space=FitSpace.DEPTH, scale=1.0, shift=0.0, residual=0.0, pixels=int(answered.sum())
    )
    metric = DepthMap(values=values, kind=DepthKind.METRIC, valid=resized.valid)
    return Aligned(depth=metric, fit=identity, method=AlignMethod.NONE, clamped=0)


def _apply_fit(
    benchmark: Benchmark,
    resized: DepthMap,
    true: Field,
    answered: Mask,
    method: AlignMethod,
    fit: Fit,
) -> Aligned:
    """Apply a fit, and keep depth below the benchmark's farthest, or the farthest true depth."""
    if benchmark.min_inverse is None:
        farthest = float(true[answered].max())
    else:
        farthest = 1 / benchmark.min_inverse
    return apply_fit(resized, fit, method, min_depth=benchmark.least_depth, farthest=farthest)


def resize_for_benchmark(benchmark: Benchmark, predicted: DepthMap, shape: Size) -> DepthMap:
    """Resize a prediction to the truth's size, as the benchmark interpolates it.

    Inverse depth is also raised to the benchmark's ``least_predicted``.
    """
    resized = resize_depth(predicted, shape, benchmark.interpolation)
    least = benchmark.least_predicted
    if least is None or resized.kind is not DepthKind.AFFINE_INVERSE:
        return resized
    return replace(resized, values=np.maximum(resized.values, np.float32(least)))


def count_unanswered(benchmark: Benchmark, mask: Mask, answered: Mask) -> int:
    """Count the pixels to be scored that have no prediction.

    Raises:
        InputError: If none has a prediction, or some have not and the benchmark refuses that.
    """
    pixels, predicted = int(np.count_nonzero(mask)), int(np.count_nonzero(answered))
    unanswered = pixels - predicted
    if not predicted:
        raise InputError(f"the prediction has no answer at any of the {pixels} pixels scored")
    if unanswered > 0 and benchmark.invalid is Invalid.REFUSE:
        raise InputError(
            f"the prediction has no answer at {unanswered} of the {pixels} pixels scored",
            hint=Text(
                OptionName("invalid", "skip"),
                " leaves them out, ",
                OptionName("invalid", "far"),
                " charges them as far",
            ),
        )
    return unanswered


def _far_end(benchmark: Benchmark, true: Field, mask: Mask) -> float:
    """Depth [m] at which pixels without a prediction are scored (``Invalid.FAR``).

    It is the far end of the clip, else the cap, else the largest true depth that counts.
    """
    if benchmark.clip is not None:
        return benchmark.clip[1]
    if benchmark.max_depth is not None:
        return benchmark.max_depth
    return float(true[mask].max())


def require_scored_kind(benchmark: Benchmark, kind: DepthKind | None) -> None:
    """Raise an OptionError for a kind of depth that the benchmark cannot align."""
    if benchmark.task in ALIGNED_TASKS and kind is not None:
        alignment_for_kind(benchmark, kind)


def alignment_for_kind(benchmark: Benchmark, kind: DepthKind) -> AlignMethod | PointFit | str:
    """Alignment that the benchmark makes of a kind of depth.

    Raises:
        OptionError: If it does not score this kind.
    """
    if kind in benchmark.alignment:
        return benchmark.alignment[kind]
    kinds = ", ".join(f"'{name}'" for name in benchmark.alignment)
    advice: str | Text = ""
    if DepthKind.UP_TO_SCALE in benchmark.alignment and kind is DepthKind.AFFINE_INVERSE:
        advice = Text(
            "give inverse depth without a shift as ", OptionName("kind", "disparity"), ", "
        )
    raise OptionError(
        f"the benchmark '{benchmark.name}' takes depth of kind {kinds}, not '{kind}':",
        problem=Text(
            advice,
            "choose another benchmark, or say ",
            OptionName("align", "METHOD"),
            " to score it in a way of your own",
        ),
    )


def _pixels_to_fit(benchmark: Benchmark, resized: DepthMap, answered: Mask) -> Mask:
    """Pixels that the alignment rests on: by the benchmark's columns, and only those above zero."""
    pixels = _keep_fitted_columns(benchmark, answered)
    if not benchmark.positive_fit or resized.kind is not DepthKind.AFFINE_INVERSE:
        return pixels
    positive = pixels & (resized.values > 0)
    if not positive.any():
        raise InputError(
            f"the prediction is nowhere above zero at the {pixels.sum()} pixels scored, and the "
            f"benchmark '{benchmark.name}' fits inverse depth above zero alone"
        )
    return positive


def _keep_fitted_columns(benchmark: Benchmark, answered: Mask) -> Mask:
    """Thin out the columns of a map that is larger than the benchmark's ``fit_side``.

    Marigold's program shrinks the map for the fit, but gives torch.nn.Upsample an array (1, height,
    width), which PyTorch reads as rows of channels. So only the width shrinks, also where the
    height is the longer side.
    """
    side = benchmark.fit_side
    if side is None or max(answered.shape) <= side:
        return answered
    width = answered.shape[1]
    factor = min(side / length for length in answered.shape)
    positions = np.arange(int(width * factor)) * np.float32(1 / factor)
    columns = np.minimum(positions.astype(np.int64), width - 1)
    is_fitted_column = np.zeros(width, bool)
    is_fitted_column[columns] = True
    thinned = answered & is_fitted_column
    if not thinned.any():
        raise NoGroundTruthError(
            f"no pixel with truth lies in the {columns.size} columns of {width} that the benchmark "
            f"'{benchmark.name}' fits to"
        )
    return thinned


def _refuse_truth_without_unit(benchmark: Benchmark, method: AlignMethod | PointFit | str) -> None:
    """Refuse true depth up to scale if the benchmark compares metres or has a cap in metres."""
    no_unit = "the true depth has no unit (it is up to scale)"
    if method is AlignMethod.NONE:
        raise InputError(
            f"{no_unit}, and the benchmark takes metric depth as it is: choose one that fits a "
            "scale"
        )
    if benchmark.max_depth is not None:
        raise InputError(
            f"{no_unit}, and the benchmark '{benchmark.name}' has a cap of "
            f"{benchmark.max_depth:g} m: choose one without, such as 'moge-scale'"
        )


def _too_few_pixels_reason(benchmark: Benchmark, truth: Truth, mask: Mask) -> str:
    """Explain why an image has no, or too few, pixels to be scored."""
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

    median = float(np.median(true))
    cap = benchmark.max_depth
    if cap is not None and true.min() >= cap and median / 1000 < cap:
        return (
            f"all true depth lies beyond the cap of {cap:g} m (median {median:.0f}): it looks "
            "like millimetres read as metres; give the dataset its scale"
        )
    mask_words = " and the mask" if benchmark.mask else ""
    cap_words = "" if cap is None else f" and {cap:g}"
    return (
        f"none of the {true.size} pixels with true depth (median {median:.3g} m) lies inside the "
        f"crop{mask_words} and between {benchmark.min_depth:g}{cap_words} m"
    )


def _depth_notes(
    benchmark: Benchmark,
    truth: Truth,
    answered: Mask,
    resized: DepthMap,
    aligned: Aligned,
    unanswered: int,
) -> list[str]:
    """Notes on what was odd about the depth of one image, a sentence each."""
    assert truth.depth is not None
    notes = []
    if aligned.clamped:
        notes.append(f"{aligned.clamped} pixels taken out of range by the fit, and put at its end")
    notes += notes_on_pixels(benchmark, int(np.count_nonzero(answered)), unanswered)
    predicted = resized.values[answered]
    if predicted.min() == predicted.max():
        notes.append(
            f"the prediction is constant ({predicted[0]:g}) over all pixels that are scored"
        )
    if aligned.fit.scale == 0:
        notes.append(CONSTANT_PREDICTION)

    # The mean is as good here as the median, which would cost a tenth of the whole score.
    true_mean = float(truth.depth[answered].mean(dtype=np.float64))
    unit_note = None if truth.is_unit_declared else unit_warning(true_mean)
    if unit_note is not None:
        notes.append(unit_note)
    method = alignment_for_kind(benchmark, resized.kind)
    if aligned.method is AlignMethod.NONE and not is_import_path(method):
        mean_ratio = float(predicted.mean(dtype=np.float64)) / true_mean
        if not 1 / MAX_MEAN_RATIO < mean_ratio < MAX_MEAN_RATIO:
            notes.append(OTHER_UNIT)

    is_inverse = resized.kind is DepthKind.AFFINE_INVERSE
    turned = how_turned(resized.values, resized.valid, truth.depth, answered, is_inverse=is_inverse)
    if turned is not None:
        notes.append(TURNED.format(turned))
    return notes


def notes_on_pixels(benchmark: Benchmark, scored: int, unanswered: int) -> list[str]:
    """Notes on pixels without a prediction, and on a score that rests on few pixels."""
    notes = []
    if unanswered:
        notes.append(f"{unanswered} {UNANSWERED[benchmark.invalid]}")
    if scored < FEW_PIXELS:
        notes.append(f"its score rests on {scored} pixels: fewer than {FEW_PIXELS}")
    return notes
