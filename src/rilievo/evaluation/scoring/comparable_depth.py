"""Make predicted depth comparable with the truth: resized, aligned and clipped, in metres."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace
from rilievo.alignment.ground_truth import Aligned, AlignMethod, align, apply_fit, constant_fit
from rilievo.arrays.shapes import Field, Mask, Size
from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Invalid, Task
from rilievo.evaluation.benchmarks.user_rules import call_fit
from rilievo.evaluation.point_fit import PointFit
from rilievo.evaluation.scoring.orientation import orientation_note
from rilievo.evaluation.scoring.regions import ScoredPixels, scored_depth_pixels, truth_size
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
    Invalid.SKIP: (
        "rilievo does not score {} with ground truth, because the prediction has no value there"
    ),
    Invalid.FAR: (
        "rilievo scores {} with ground truth as if the largest depth were predicted, because the "
        "prediction has no value there"
    ),
}
CONSTANT_PREDICTION = (
    "a constant prediction has no scale, so it is scored as the constant depth that fits the "
    "ground truth best, as in other programs"
)
OTHER_UNIT = (
    "the predicted metric depth is off by a factor of more than "
    f"{MAX_MEAN_RATIO:g} on average: check that its unit is metres"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparableDepth:
    """Predicted and true depth of one image [m], which are compared where ``mask`` is set.

    Attributes:
        depth: Predicted depth at the truth's size, after alignment and clip.
        aligned: Prediction at that size after its alignment, before the clip.
        left_out: Number of pixels with truth that each setting of the benchmark leaves out.
        unanswered: Number of pixels to be scored that have no prediction.
    """

    depth: Field
    true: Field
    mask: Mask
    aligned: Aligned
    left_out: Mapping[str, int] = field(default_factory=dict)
    unanswered: int = 0
    notes: tuple[str, ...] = ()


def comparable_depth(
    benchmark: Benchmark,
    predicted: DepthMap,
    truth: Truth,
    fit: Fit | None = None,
) -> ComparableDepth:
    """Resize, align and clip predicted depth as the benchmark does.

    ``fit`` is the alignment of the image's scene; None aligns the image to its own truth.

    Raises:
        InputError: If no pixel is left to score, or the truth lacks what the benchmark needs.
        OptionError: If the benchmark does not score this kind of depth.
    """
    method = alignment_for_kind(benchmark, predicted.kind)
    to_score = scored_depth_pixels(benchmark, truth)
    truth_mask = to_score.mask
    assert truth.depth is not None, "scored_depth_pixels raises if there is no true depth"
    if not truth.is_metric:
        _require_unitless_benchmark(benchmark, method)
    if np.count_nonzero(truth_mask) < benchmark.least_pixels:
        raise NoGroundTruthError(_too_few_pixels_reason(benchmark, truth, to_score))

    true = truth.depth
    resized = resize_for_benchmark(benchmark, predicted, truth_size(truth))
    both_valid = truth_mask & resized.valid
    unanswered = count_unanswered(benchmark, truth_mask, both_valid)
    aligned = _align_depth(benchmark, resized, true, both_valid, method, fit)
    notes = _depth_notes(benchmark, truth, both_valid, resized, aligned, unanswered)

    depth = aligned.depth.values
    if benchmark.clip is not None:
        near, far = benchmark.clip
        clipped_count = int((both_valid & ((depth < near) | (depth > far))).sum())
        depth = np.clip(depth, near, far)
        if clipped_count:
            pixels = count_text(clipped_count, "pixel")
            notes.append(
                f"the depth of {pixels} was clipped to the range from {near:g} to {far:g} m"
            )
    scored_mask = both_valid
    if unanswered and benchmark.invalid is Invalid.FAR:
        farthest = np.float32(_unanswered_depth(benchmark, true, truth_mask))
        depth = np.where(both_valid, depth, farthest)
        scored_mask = truth_mask
    return ComparableDepth(
        depth=depth,
        true=true,
        mask=scored_mask,
        aligned=aligned,
        left_out=to_score.left_out,
        unanswered=unanswered,
        notes=tuple(notes),
    )


def apply_scene_fit(benchmark: Benchmark, predicted: DepthMap, shape: Size, fit: Fit) -> DepthMap:
    """Resize a prediction, convert it to metres by its scene's fit, and clip it."""
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
    both_valid: Mask,
    method: AlignMethod | PointFit | str,
    scene_fit: Fit | None,
) -> Aligned:
    """Align a prediction by its scene's fit, the user's function, or a fit to its own truth.

    ``both_valid`` are the pixels with prediction and truth that count.
    """
    if scene_fit is not None:
        return _apply_fit(benchmark, resized, true, both_valid, AlignMethod(method), scene_fit)
    if is_import_path(method):
        return _align_by_user_function(method, resized, true, both_valid)

    method = AlignMethod(method)
    fitted_mask = _fitted_pixels(benchmark, resized, both_valid)
    fit_of_constant = constant_fit(resized, true, fitted_mask, method)
    if fit_of_constant is not None:
        return _apply_fit(benchmark, resized, true, both_valid, method, fit_of_constant)
    return align(
        resized,
        true,
        fitted_mask,
        method=method,
        min_depth=benchmark.least_depth,
        min_inverse=benchmark.min_inverse,
    )


def _align_by_user_function(
    import_path: str, resized: DepthMap, true: Field, both_valid: Mask
) -> Aligned:
    """Let a function of the user convert a prediction to metres; the recorded fit is identity."""
    values = call_fit(import_path, resized, true, both_valid)
    identity = Fit(
        space=FitSpace.DEPTH, scale=1.0, shift=0.0, residual=0.0, pixels=int(both_valid.sum())
    )
    metric = DepthMap(values=values, kind=DepthKind.METRIC, valid=resized.valid)
    return Aligned(depth=metric, fit=identity, method=AlignMethod.NONE, clamped=0)


def _apply_fit(
    benchmark: Benchmark,
    resized: DepthMap,
    true: Field,
    both_valid: Mask,
    method: AlignMethod,
    fit: Fit,
) -> Aligned:
    """Apply a fit, and limit depth to the benchmark's farthest, or to the farthest true depth."""
    if benchmark.min_inverse is None:
        farthest = float(true[both_valid].max())
    else:
        farthest = 1 / benchmark.min_inverse
    return apply_fit(resized, fit, method, min_depth=benchmark.least_depth, farthest=farthest)


def resize_for_benchmark(benchmark: Benchmark, predicted: DepthMap, shape: Size) -> DepthMap:
    """Resize a prediction to the truth's size, with the benchmark's interpolation.

    Inverse depth is also raised to the benchmark's ``least_predicted``.
    """
    resized = resize_depth(predicted, shape, benchmark.interpolation)
    least = benchmark.least_predicted
    if least is None or resized.kind is not DepthKind.AFFINE_INVERSE:
        return resized
    return replace(resized, values=np.maximum(resized.values, np.float32(least)))


def count_unanswered(benchmark: Benchmark, truth_mask: Mask, both_valid: Mask) -> int:
    """Count the pixels with truth that have no prediction."""
    truth_count = int(np.count_nonzero(truth_mask))
    both_count = int(np.count_nonzero(both_valid))
    unanswered = truth_count - both_count
    if not both_count:
        raise InputError(f"the prediction has no value at any of the {truth_count} scored pixels")
    if unanswered > 0 and benchmark.invalid is Invalid.REFUSE:
        raise InputError(
            f"the prediction has no value at {unanswered} of the {truth_count} scored pixels",
            hint=Text(
                OptionName("invalid", "skip"),
                " leaves these pixels out, and ",
                OptionName("invalid", "far"),
                " scores them as if the largest depth were predicted",
            ),
        )
    return unanswered


def _unanswered_depth(benchmark: Benchmark, true: Field, truth_mask: Mask) -> float:
    """Depth [m] at which pixels without a prediction are scored (``Invalid.FAR``).

    It is the far end of the clip. Without a clip it is the cap, and without a cap the largest true
    depth that counts.
    """
    if benchmark.clip is not None:
        return benchmark.clip[1]
    if benchmark.max_depth is not None:
        return benchmark.max_depth
    return float(true[truth_mask].max())


def require_scored_kind(benchmark: Benchmark, kind: DepthKind | None) -> None:
    """Raise an OptionError for a kind of depth that the benchmark cannot align."""
    if benchmark.task in ALIGNED_TASKS and kind is not None:
        alignment_for_kind(benchmark, kind)


def alignment_for_kind(benchmark: Benchmark, kind: DepthKind) -> AlignMethod | PointFit | str:
    """Alignment that the benchmark uses for a kind of depth."""
    if kind in benchmark.alignment:
        return benchmark.alignment[kind]
    scored_kinds = " or ".join(f"'{name}'" for name in benchmark.alignment)
    disparity_hint: str | Text = ""
    if DepthKind.UP_TO_SCALE in benchmark.alignment and kind is DepthKind.AFFINE_INVERSE:
        disparity_hint = Text(
            "; if files contain inverse depth without a shift, set ",
            OptionName("kind", "disparity"),
        )
    alignment_hint: str | Text = ""
    if benchmark.task is Task.DEPTH:  # Other tasks do not take the option.
        alignment_hint = Text(
            ", or set ", OptionName("align", "METHOD"), " to choose the alignment yourself"
        )
    raise OptionError(
        f"the benchmark '{benchmark.name}' scores depth of kind {scored_kinds}, not '{kind}':",
        problem=Text("choose another benchmark", alignment_hint, disparity_hint),
    )


def _fitted_pixels(benchmark: Benchmark, resized: DepthMap, both_valid: Mask) -> Mask:
    """Pixels to which the alignment is fitted.

    A benchmark may restrict them to some columns, and to inverse depth above zero.
    """
    pixels = _keep_fitted_columns(benchmark, both_valid)
    if not benchmark.positive_fit or resized.kind is not DepthKind.AFFINE_INVERSE:
        return pixels
    positive = pixels & (resized.values > 0)
    if not positive.any():
        raise InputError(
            f"the prediction is not above zero at any of the {pixels.sum()} scored pixels, but the "
            f"benchmark '{benchmark.name}' only fits inverse depth above zero"
        )
    return positive


def _keep_fitted_columns(benchmark: Benchmark, both_valid: Mask) -> Mask:
    """Thin out the columns of a map that is larger than the benchmark's ``fit_side``.

    Marigold's program shrinks the map for the fit, but gives torch.nn.Upsample an array (1, height,
    width), which PyTorch reads as rows of channels. So only the width shrinks, also where the
    height is the longer side.
    """
    max_side = benchmark.fit_side
    if max_side is None or max(both_valid.shape) <= max_side:
        return both_valid
    width = both_valid.shape[1]
    factor = min(max_side / side for side in both_valid.shape)
    positions = np.arange(int(width * factor)) * np.float32(1 / factor)
    columns = np.minimum(positions.astype(np.int64), width - 1)
    is_fitted_column = np.zeros(width, bool)
    is_fitted_column[columns] = True
    thinned = both_valid & is_fitted_column
    if not thinned.any():
        raise NoGroundTruthError(
            f"the benchmark '{benchmark.name}' fits predictions to {columns.size} of {width} "
            "columns, but no pixel of these columns has both a prediction and ground truth"
        )
    return thinned


def _require_unitless_benchmark(benchmark: Benchmark, method: AlignMethod | PointFit | str) -> None:
    """Raise an InputError if the benchmark needs true depth in metres; call it for other truth."""
    no_unit = "the ground-truth depth has no unit (it is up to scale)"
    if method is AlignMethod.NONE:
        raise InputError(
            f"{no_unit}, but the benchmark '{benchmark.name}' scores metric depth without "
            "alignment: choose a benchmark that fits a scale"
        )
    if benchmark.max_depth is not None:
        raise InputError(
            f"{no_unit}, but the benchmark '{benchmark.name}' has a cap of {benchmark.max_depth:g} "
            "m: choose a benchmark without a cap, such as 'moge-scale'"
        )


def _too_few_pixels_reason(benchmark: Benchmark, truth: Truth, to_score: ScoredPixels) -> str:
    """Explain why an image has too few pixels to be scored, or none."""
    assert truth.depth is not None
    assert truth.depth_valid is not None
    left_out_words = describe_left_out(benchmark, to_score.left_out)
    if to_score.mask.any():
        reason = (
            f"the number of pixels with ground truth to score is {np.count_nonzero(to_score.mask)}"
            f", but the benchmark '{benchmark.name}' skips images with fewer than "
            f"{benchmark.least_pixels} such pixels"
        )
        return f"{reason}; it leaves out {left_out_words}" if left_out_words else reason
    true = truth.depth[truth.depth_valid]
    if not true.size:
        return "no pixel has ground-truth depth to score"

    median = float(np.median(true))
    cap = benchmark.max_depth
    if cap is not None and true.min() >= cap and median / 1000 < cap:
        return (
            f"all ground-truth depth is beyond the cap of {cap:g} m, with a median of "
            f"{median:.0f} m: its unit seems to be millimetres, so set the scale of the dataset"
        )
    return (
        f"the benchmark '{benchmark.name}' scores none of the {true.size} pixels with ground-truth "
        f"depth (median {median:.3g} m): it leaves out {left_out_words}"
    )


def describe_left_out(benchmark: Benchmark, left_out: Mapping[str, int]) -> str:
    """Words for pixels that settings leave out, such as "20 by crop (nyu_eigen)"; "" for none."""
    texts = []
    for setting, count in left_out.items():
        value = getattr(benchmark, setting)
        unit = " m" if isinstance(value, int | float) else ""
        shown_value = f"{value:g}" if unit else str(value)
        texts.append(f"{count:,} by {setting} ({shown_value}{unit})")
    return ", ".join(texts)


def _depth_notes(
    benchmark: Benchmark,
    truth: Truth,
    both_valid: Mask,
    resized: DepthMap,
    aligned: Aligned,
    unanswered: int,
) -> list[str]:
    """Notes on what is odd about the depth of one image, a sentence each."""
    assert truth.depth is not None
    notes = []
    if aligned.clamped:
        notes.append(
            f"the fitted depth of {count_text(aligned.clamped, 'pixel')} was out of range and has "
            "been clipped"
        )
    notes += pixel_notes(benchmark, int(np.count_nonzero(both_valid)), unanswered)
    predicted = resized.values[both_valid]
    if predicted.min() == predicted.max():
        notes.append(f"the prediction is constant ({predicted[0]:g}) over all scored pixels")
    if aligned.fit.scale == 0:
        notes.append(CONSTANT_PREDICTION)

    # The mean is as good here as the median, which would cost a tenth of the whole score.
    true_mean = float(truth.depth[both_valid].mean(dtype=np.float64))
    unit_note = None if truth.is_unit_given else unit_warning(true_mean)
    if unit_note is not None:
        notes.append(unit_note)
    is_scored_without_fit = aligned.method is AlignMethod.NONE and not is_import_path(
        alignment_for_kind(benchmark, resized.kind)
    )
    if is_scored_without_fit:
        mean_ratio = float(predicted.mean(dtype=np.float64)) / true_mean
        if not 1 / MAX_MEAN_RATIO < mean_ratio < MAX_MEAN_RATIO:
            notes.append(OTHER_UNIT)

    turned_or_swapped = orientation_note(resized, truth.depth, both_valid)
    if turned_or_swapped is not None:
        notes.append(turned_or_swapped)
    return notes


def pixel_notes(benchmark: Benchmark, scored_count: int, unanswered: int) -> list[str]:
    """Notes on pixels without a prediction, and on a score that rests on few pixels."""
    notes = []
    if unanswered:
        notes.append(UNANSWERED[benchmark.invalid].format(count_text(unanswered, "pixel")))
    if scored_count < FEW_PIXELS:
        pixels = count_text(scored_count, "pixel")
        notes.append(f"the score is based on only {pixels}, which is fewer than {FEW_PIXELS}")
    return notes
