"""Shared parts of several benchmarks."""

from rilievo.alignment import AlignMethod
from rilievo.types import DepthKind

PIXEL_METRICS = (
    "abs_rel",
    "delta1",
    "delta2",
    "delta3",
    "rmse",
    "rmse_log",
    "log10",
    "sq_rel",
    "silog",
    "silog_unbiased",
    "silog_half",
    "irmse",
    "mae",
    "bias",
)
"""Everything that is summed up pixel by pixel; the literature quotes the first ones most."""

NORMALS_METRICS = (
    "mean",
    "median",
    "rmse",
    "within_5",
    "within_7_5",
    "within_11_25",
    "within_22_5",
    "within_30",
)

AS_PREDICTED = {DepthKind.METRIC: AlignMethod.NONE}
"""Metres are scored as they are, and nothing else is metres."""

NEEDED = {
    DepthKind.METRIC: AlignMethod.NONE,
    DepthKind.UP_TO_SCALE: AlignMethod.MEDIAN,
    DepthKind.AFFINE: AlignMethod.SCALE_SHIFT,
    DepthKind.AFFINE_INVERSE: AlignMethod.INVERSE_SCALE_SHIFT,
}
"""Just what each kind lacks."""

AFFINE = {
    DepthKind.METRIC: AlignMethod.SCALE_SHIFT,
    DepthKind.UP_TO_SCALE: AlignMethod.SCALE_SHIFT,
    DepthKind.AFFINE: AlignMethod.SCALE_SHIFT,
    DepthKind.AFFINE_INVERSE: AlignMethod.INVERSE_SCALE_SHIFT,
}
"""Scale and shift for every kind, by least squares, in the space in which the kind is affine."""

ALIGNED_HIDES = (
    "rows of different kinds of depth were given different help: a scale, or a scale and a shift, "
    "were taken from the truth of each image"
)
