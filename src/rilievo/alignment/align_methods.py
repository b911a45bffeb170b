"""Methods of alignment, by kind of depth."""

from collections.abc import Mapping
from enum import StrEnum

from rilievo.errors import OptionError
from rilievo.types import DepthKind

_WHY: Mapping[DepthKind, str] = {
    DepthKind.METRIC: "it is depth in metres",
    DepthKind.UP_TO_SCALE: "its scale is not known",
    DepthKind.AFFINE: "it is depth with an unknown scale and shift, and needs both",
    DepthKind.AFFINE_INVERSE: "it is inverse depth with an unknown scale and shift, and needs both",
}


class AlignMethod(StrEnum):
    """Line that is fitted to the ground truth."""

    NONE = "none"
    """No fit, for metres."""
    MEDIAN = "median"
    """Scale: ratio of the medians (Zhou et al. 2017)."""
    SCALE = "scale"
    """Scale, by least squares in depth."""
    SCALE_SHIFT = "scale_shift"
    """Scale and shift, by least squares in depth."""
    INVERSE_SCALE_SHIFT = "inverse_scale_shift"
    """Scale and shift, by least squares in inverse depth (Ranftl et al. 2020)."""
    LOG = "log"
    """Power and factor, by least squares in the logarithm."""
    ROBUST_SCALE = "robust_scale"
    """Scale, by least relative deviations over 64x64 pixels (Wang et al. 2025, MoGe)."""
    ROBUST_SCALE_SHIFT = "robust_scale_shift"
    """Scale and shift, likewise."""


_ANY_DEPTH = (
    AlignMethod.MEDIAN,
    AlignMethod.SCALE,
    AlignMethod.SCALE_SHIFT,
    AlignMethod.INVERSE_SCALE_SHIFT,
    AlignMethod.LOG,
    AlignMethod.ROBUST_SCALE,
    AlignMethod.ROBUST_SCALE_SHIFT,
)

# Methods that are valid for each kind, the default first.
METHODS: Mapping[DepthKind, tuple[AlignMethod, ...]] = {
    DepthKind.METRIC: (AlignMethod.NONE, *_ANY_DEPTH),
    DepthKind.UP_TO_SCALE: _ANY_DEPTH,
    DepthKind.AFFINE: (AlignMethod.SCALE_SHIFT, AlignMethod.ROBUST_SCALE_SHIFT),
    DepthKind.AFFINE_INVERSE: (AlignMethod.INVERSE_SCALE_SHIFT,),
}


def choose_method(kind: DepthKind, method: AlignMethod | None) -> AlignMethod:
    """Check the method; None gives the kind's default."""
    allowed = METHODS[kind]
    if method is None:
        return allowed[0]
    if method not in allowed:
        raise OptionError(
            f"a prediction of kind '{kind}' is not aligned by '{method}', since {_WHY[kind]}: "
            f"choose {' or '.join(repr(str(other)) for other in allowed)}"
        )
    return AlignMethod(method)
