"""A prediction in a benchmark's metres: resized, aligned, clipped."""

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
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Invalid, Task, call_fit
from rilievo.evaluation.scoring.regions import depth_mask, truth_size
from rilievo.evaluation.scoring.resizing import resize_depth
from rilievo.extensions.trust import is_import_path
from rilievo.io.depth.plausibility import TOO_FAR, TOO_NEAR, unit_warning
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth

FITTED = (Task.DEPTH, Task.POINTS, Task.STABILITY)

# No model of metric depth errs so many times in the mean: its numbers are of another unit.
OFF = 50.0

# A score that rests on fewer pixels weighs as much as any in a mean over images.
FEW = 100
UNANSWERED = {
    Invalid.SKIP: "pixels with truth have no prediction and are not scored",
    Invalid.FAR: "pixels with truth have no prediction and are scored as far",
}
CONSTANT = (
    "no scale follows from a constant prediction, which is scored as the constant depth that fits "
    "the truth best, as other programs do"
)
OTHER_UNIT = (
    f"metric depth is off by a factor of more than {OFF:g} in the mean: is its unit metres?"
)
TURNED = "the prediction seems to be {}: turned back, it would be in the order of the ground truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparableDepth:
    """Predicted and true depth of one image [m], to be read only where ``mask``."""

    depth: Field
    true: Field
    mask: Mask
    aligned: Aligned
    unanswered: int = 0
    notes: tuple[str, ...] = field(default=())


def in_metres(
    benchmark: Benchmark,
    predicted: DepthMap,
    truth: Truth,
    fit: Fit | None = None,
) -> ComparableDepth:
    """Bring a prediction to the truth's size and to metres, as the benchmark does."""
    method = alignment_for_kind(benchmark, predicted.kind)
    mask = depth_mask(benchmark, truth)
    assert truth.depth is not None, "what has a mask of depth has depth"
    if not truth.is_metric:
        _refuse_truth_without_unit(benchmark, method)
    if np.count_nonzero(mask) < benchmark.least_pixels:
        raise NoGroundTruthError(_no_pixels_reason(benchmark, truth, mask))
    true, size = truth.depth, truth_size(truth)
    resized = resize_for_benchmark(benchmark, predicted, size)
    both = mask & resized.valid
    unanswered = count_unanswered(benchmark, mask, both)
    aligned = _align_depth(benchmark, resized, true, both, method, fit)
    notes = _alignment_notes(benchmark, true, both, resized, aligned, unanswered)
    if truth.is_unit_declared:
        notes = [note for note in notes if note not in (TOO_FAR, TOO_NEAR)]
    if is_import_path(method):
        notes = [note for note in notes if note != OTHER_UNIT]
    depth, scored = aligned.depth.values, both
    if benchmark.clip is not None:
        near, far = benchmark.clip
        clipped = int((both & ((depth < near) | (depth > far))).sum())
        depth = np.clip(depth, near, far)
        if clipped:
            notes.append(f"{clipped} pixels clipped to {near:g} to {far:g} m")
    if unanswered and benchmark.invalid is Invalid.FAR:
        depth = np.where(both, depth, np.float32(_farthest_depth(benchmark, true, mask)))
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
    """Prediction in metres by the fit of its scene, without truth."""
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
    both: Mask,
    method: AlignMethod | PointFit | str,
    fit: Fit | None,
) -> Aligned:
    if fit is None and is_import_path(method):
        values = call_fit(method, resized, true, both)
        none = Fit(space=FitSpace.DEPTH, scale=1.0, shift=0.0, residual=0.0, pixels=int(both.sum()))
        metric = DepthMap(values=values, kind=DepthKind.METRIC, valid=resized.valid)
        return Aligned(depth=metric, fit=none, method=AlignMethod.NONE, clamped=0)
    method, chosen = AlignMethod(method), both
    if fit is None:
        chosen = _pixels_to_fit(benchmark, resized, both)
        fit = constant_fit(resized, true, chosen, method)
    if fit is None:
        return align(
            resized,
            true,
            chosen,
            method=method,
            min_depth=benchmark.least_depth,
            min_inverse=benchmark.min_inverse,
        )
    least = benchmark.min_inverse
    farthest = float(true[both].max()) if least is None else 1 / least
    return apply_fit(resized, fit, method, min_depth=benchmark.least_depth, farthest=farthest)


def resize_for_benchmark(benchmark: Benchmark, predicted: DepthMap, shape: Size) -> DepthMap:
    """A prediction at the truth's size, as the benchmark interpolates it."""
    resized = resize_depth(predicted, shape, benchmark.interpolation)
    least = benchmark.least_predicted
    if least is None or resized.kind is not DepthKind.AFFINE_INVERSE:
        return resized
    return replace(resized, values=np.maximum(resized.values, np.float32(least)))


def count_unanswered(benchmark: Benchmark, mask: Mask, answered: Mask) -> int:
    """Count the scored pixels without a prediction, or refuse them."""
    count, scored = int(np.count_nonzero(mask)), int(np.count_nonzero(answered))
    if not scored:
        raise InputError(f"the prediction has no answer at any of the {count} pixels scored")
    if scored < count and benchmark.invalid is Invalid.REFUSE:
        raise InputError(
            f"the prediction has no answer at {count - scored} of the {count} pixels scored",
            hint=Text(
                OptionName("invalid", "skip"),
                " leaves them out, ",
                OptionName("invalid", "far"),
                " charges them as far",
            ),
        )
    return count - scored


def _farthest_depth(benchmark: Benchmark, true: Field, mask: Mask) -> float:
    """Clip's end, cap or farthest truth [m]."""
    if benchmark.clip is not None:
        return benchmark.clip[1]
    return float(true[mask].max()) if benchmark.max_depth is None else benchmark.max_depth


def refuse_other_kinds(benchmark: Benchmark, kind: DepthKind | None) -> None:
    """Refuse a kind of depth that the benchmark does not score."""
    if benchmark.task in FITTED and kind is not None:
        alignment_for_kind(benchmark, kind)


def alignment_for_kind(benchmark: Benchmark, kind: DepthKind) -> AlignMethod | PointFit | str:
    """Fit that the benchmark makes; kinds without one are refused."""
    if kind not in benchmark.alignment:
        kinds = ", ".join(f"'{name}'" for name in benchmark.alignment)
        as_disparity = Text(
            "give inverse depth without a shift as ", OptionName("kind", "disparity"), ", "
        )
        pure = DepthKind.UP_TO_SCALE in benchmark.alignment and kind is DepthKind.AFFINE_INVERSE
        raise OptionError(
            f"the benchmark '{benchmark.name}' takes depth of kind {kinds}, not '{kind}':",
            problem=Text(
                as_disparity if pure else "",
                "choose another benchmark, or say ",
                OptionName("align", "METHOD"),
                " to score it in a way of your own",
            ),
        )
    return benchmark.alignment[kind]


def _pixels_to_fit(benchmark: Benchmark, resized: DepthMap, both: Mask) -> Mask:
    both = _sparse_columns_mask(benchmark, both)
    if not benchmark.positive_fit or resized.kind is not DepthKind.AFFINE_INVERSE:
        return both
    above = both & (resized.values > 0)
    if not above.any():
        raise InputError(
            f"the prediction is nowhere above zero at the {both.sum()} pixels scored, and the "
            f"benchmark '{benchmark.name}' fits inverse depth above zero alone"
        )
    return above


def _sparse_columns_mask(benchmark: Benchmark, both: Mask) -> Mask:
    side = benchmark.fit_side
    if side is None or max(both.shape) <= side:
        return both
    # Marigold's program gives torch.nn.Upsample (1, height, width), rows of channels to PyTorch:
    # only the width shrinks, also where the height is the longer side.
    width = both.shape[1]
    factor = min(side / length for length in both.shape)
    steps = np.arange(int(width * factor)) * np.float32(1 / factor)
    columns = np.minimum(steps.astype(np.int64), width - 1)
    chosen = np.zeros(width, bool)
    chosen[columns] = True
    thinned = both & chosen
    if not thinned.any():
        raise NoGroundTruthError(
            f"no pixel with truth lies in the {columns.size} columns of {width} that the benchmark "
            f"'{benchmark.name}' fits to"
        )
    return thinned


def _refuse_truth_without_unit(benchmark: Benchmark, method: AlignMethod | PointFit | str) -> None:
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


def _no_pixels_reason(benchmark: Benchmark, truth: Truth, mask: Mask) -> str:
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


def _alignment_notes(
    benchmark: Benchmark,
    true: Field,
    both: Mask,
    resized: DepthMap,
    aligned: Aligned,
    unanswered: int,
) -> list[str]:
    notes = []
    if aligned.clamped:
        notes.append(f"{aligned.clamped} pixels taken out of range by the fit, and put at its end")
    notes += notes_on_pixels(benchmark, int(np.count_nonzero(both)), unanswered)
    x = resized.values[both]
    if x.min() == x.max():
        notes.append(f"the prediction is constant ({x[0]:g}) over all pixels that are scored")
    if aligned.fit.scale == 0:
        notes.append(CONSTANT)
    # The mean is as good here as the median, which would cost a tenth of the whole score.
    mean = float(true[both].mean(dtype=np.float64))
    doubt = unit_warning(mean)
    if doubt is not None:
        notes.append(doubt)
    predicted = float(x.mean(dtype=np.float64))
    if aligned.method is AlignMethod.NONE and not 1 / OFF < predicted / mean < OFF:
        notes.append(OTHER_UNIT)
    is_inverse = resized.kind is DepthKind.AFFINE_INVERSE
    turned = how_turned(resized.values, resized.valid, true, both, is_inverse=is_inverse)
    if turned is not None:
        notes.append(TURNED.format(turned))
    return notes


def notes_on_pixels(benchmark: Benchmark, scored: int, unanswered: int) -> list[str]:
    """Notes on unanswered pixels, and on few scored ones."""
    notes = []
    if unanswered:
        notes.append(f"{unanswered} {UNANSWERED[benchmark.invalid]}")
    if scored < FEW:
        notes.append(f"its score rests on {scored} pixels: fewer than {FEW}")
    return notes
