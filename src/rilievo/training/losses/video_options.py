"""Options of the losses on video; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from math import inf, isfinite, nan
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.extensions.trust import is_import_path
from rilievo.schema.fields import option
from rilievo.training.networks.blueprint import HIDDEN


class Scales(StrEnum):
    """Size at which frames are compared for the coarser disparities."""

    FULL = "full"
    NATIVE = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLosses:
    """Terms of the loss: those of Godard et al. (2019), then further ones."""

    HELP_TITLE: ClassVar[str] = "Losses"
    OFF_HELP: ClassVar[Mapping[str, str]] = {
        "minimum": "Average the photometric error over the sources of each pixel instead of using "
        "the smallest error.",
        "automask": "Keep pixels that a source matches better without warping.",
    }

    photometric: float = 1.0
    """Weight of the photometric error."""
    ssim: float = 0.85
    """Share of SSIM in the photometric error; the rest is L1."""
    smoothness: float = 1e-3
    """Weight of edge-aware smoothness, halved at each coarser scale."""
    minimum: bool = True
    """Whether only the best source of each pixel counts, instead of the mean over sources."""
    automask: bool = True
    """Whether to leave out pixels that a source matches better without warping."""
    scales: Scales = Scales.FULL
    """Size at which coarser disparity maps are compared: full compares all at the finest size,
    native each at its own.
    """
    pixel_centres: Annotated[bool, HIDDEN] = True
    """Whether the coarser sizes of ``native`` keep the half pixel at the image border."""
    predictive_mask: bool = False
    """Learn a mask of pixels to leave out (Zhou et al. 2017); cannot be combined with automask."""
    align_corners: Annotated[bool, HIDDEN] = True
    """Whether the corners of the sampling grid are pixel centres; False reproduces a published
    error.
    """
    in_front: Annotated[bool, HIDDEN] = True
    """Whether points behind a source's camera get the largest error, 1."""

    consistency: float = 0.0
    """Weight of the difference between the depth maps of neighbouring frames (Bian et al. 2019)."""
    motion_mask: bool = False
    """Reduce the weight of pixels where the depth of neighbouring frames differs (Bian et al.
    2019).
    """
    anchor: float = 0.0
    """Weight of the difference from the prior's depth, up to one scale factor per image: the mean
    of |log depth - log prior|. 0.1 with preset clip.
    """
    corners: Annotated[float, HIDDEN] = 0.0
    """Weight of the same difference from the depth of tracked, triangulated corners. 0.5 with
    preset clip.
    """
    replay: float = 0.0
    """Weight of the difference from the start model's own depth on pictures of other scenes,
    measured as for --losses.anchor, so that the run does not forget them. 1 with preset clip if the
    start is an embedded model or a run that refined one.
    """
    labels: Annotated[float, HIDDEN] = 0.5
    """Weight of the same difference from --labels, multiplied by the labels' own weights."""
    own: Annotated[tuple[str, ...], option(metavar="MODULE:NAME=WEIGHT,...")] = ()
    """Additional loss terms of your own: package.module:NAME=WEIGHT or file.py:NAME=WEIGHT."""

    def __post_init__(self) -> None:
        if not 0 <= self.ssim <= 1:
            raise OptionError(f"the share of SSIM must be from 0 to 1, got {self.ssim}")
        for field in fields(self):
            value = getattr(self, field.name)
            is_weight = isinstance(value, float)
            if is_weight and not (value >= 0 and isfinite(value)):
                raise OptionError(f"the weight of {field.name} must be 0 or more, got {value}")
        _parse_own_weights(self.own)
        if self.predictive_mask and self.automask:
            raise OptionError(
                problem=Text(
                    "the predictive mask and the automask both leave out pixels and cannot be "
                    "combined: turn one off, for example with ",
                    OptionName("losses.automask", "False"),
                )
            )
        if self.scales is Scales.NATIVE and self.motion_mask:
            raise OptionError(
                problem=Text(
                    "the motion mask can only be computed at the full size: use ",
                    OptionName("losses.scales", "full"),
                )
            )

    @property
    def own_weights(self) -> Mapping[str, float]:
        """Weights of the user's own terms, by import path."""
        return _parse_own_weights(self.own)

    @property
    def needs_source_depth(self) -> bool:
        """Whether the depth network must see the sources."""
        return self.consistency > 0 or self.motion_mask


def _parse_own_weights(own: tuple[str, ...]) -> Mapping[str, float]:
    """Parse terms of the form IMPORT_PATH=WEIGHT; ``OptionError`` if one has another form."""
    weights: dict[str, float] = {}
    for term in own:
        import_path, _, weight_text = term.rpartition("=")
        try:
            weight = float(weight_text)
        except ValueError:
            weight = nan
        if not is_import_path(import_path) or not 0 <= weight < inf:
            raise OptionError(
                "a loss term of your own must be package.module:NAME=WEIGHT or "
                f"file.py:NAME=WEIGHT, with a weight of 0 or more, got '{term}'"
            )
        weights[import_path] = weight
    return weights
