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

    GROUP: ClassVar[str] = "Losses"
    OFF_HELP: ClassVar[Mapping[str, str]] = {
        "minimum": "Take the mean over the sources of a pixel, not the best one.",
        "automask": "Keep pixels that an unmoved source explains better.",
    }

    photometric: float = 1.0
    """Weight of the photometric error."""
    ssim: float = 0.85
    """Share of SSIM in the photometric error; the rest is L1."""
    smoothness: float = 1e-3
    """Weight of edge-aware smoothness, halved at every scale."""
    minimum: bool = True
    """Whether only the best source of a pixel counts, instead of their mean."""
    automask: bool = True
    """Whether pixels that an unmoved source explains better are left out."""
    scales: Scales = Scales.FULL
    """Size at which coarser disparities are compared: all at the finest, or each at its own."""
    pixel_centres: Annotated[bool, HIDDEN] = True
    """Whether coarser sizes of ``native`` keep the half pixel at the image's edges."""
    predictive_mask: bool = False
    """Learn a mask of pixels to leave out (Zhou et al. 2017); not with automask."""
    align_corners: Annotated[bool, HIDDEN] = True
    """Whether corners of the sampled grid are pixel centres; False repeats a published error."""
    in_front: Annotated[bool, HIDDEN] = True
    """Whether points behind a source's camera have the largest error, 1."""

    consistency: float = 0.0
    """Weight of the difference between depth of neighbouring frames (Bian et al. 2019)."""
    motion_mask: bool = False
    """Let pixels count less where neighbouring frames' depth differs (Bian et al. 2019)."""
    anchor: float = 0.0
    """Weight of the difference from the prior's depth, up to one factor an image: the mean of |log
    depth - log prior|; 0.1 with preset clip.
    """
    corners: Annotated[float, HIDDEN] = 0.0
    """Weight of the same difference from triangulated tracked corners. 0.5 with preset clip."""
    replay: float = 0.0
    """Weight of the same difference from the start's own depth on pictures of other places, so that
    a run does not forget them. 1 with preset clip, where the start is an embedded model or a run
    that refined one.
    """
    labels: Annotated[float, HIDDEN] = 0.5
    """Weight of the same difference from --labels, by their own weights."""
    own: Annotated[tuple[str, ...], option(metavar="MODULE:NAME=WEIGHT,...")] = ()
    """Further terms of your own: package.module:NAME=WEIGHT or file.py:NAME=WEIGHT."""

    def __post_init__(self) -> None:
        if not 0 <= self.ssim <= 1:
            raise OptionError(f"the share of SSIM is 0 to 1, got {self.ssim}")
        for field in fields(self):
            value = getattr(self, field.name)
            is_weight = isinstance(value, float)
            if is_weight and not (value >= 0 and isfinite(value)):
                raise OptionError(f"the weight of {field.name} is 0 or more, got {value}")
        _ = self.own_weights  # refuses what it cannot read
        if self.predictive_mask and self.automask:
            raise OptionError(
                problem=Text(
                    "a predictive mask and the automask would both leave pixels "
                    "out: turn one off, such as automask (",
                    OptionName("losses.automask", "False"),
                    ")",
                )
            )
        if self.scales is Scales.NATIVE and self.motion_mask:
            raise OptionError("the motion mask compares at full size: set scales to full")

    @property
    def own_weights(self) -> Mapping[str, float]:
        """Weights of the user's own terms, by import path.

        Raises:
            OptionError: If a term has no import path, or no weight of 0 or more.
        """
        weights: dict[str, float] = {}
        for term in self.own:
            place, _, weight_text = term.rpartition("=")
            try:
                weight = float(weight_text)
            except ValueError:
                weight = nan
            if not is_import_path(place) or not 0 <= weight < inf:
                raise OptionError(
                    "a term of your own is package.module:NAME=WEIGHT with a weight of 0 or more, "
                    f"got '{term}'"
                )
            weights[place] = weight
        return weights

    @property
    def needs_source_depth(self) -> bool:
        """Whether the depth network must see the sources."""
        return self.consistency > 0 or self.motion_mask
