"""Heads: conversion of a probe's outputs to depth in metres or to unit normals."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import ModelError, OptionError
from rilievo.networks.probes.base import Logits, enlarged, placed
from rilievo.networks.probes.expectation import Normalisation, Reading, expected_depth

_LEAST_KAPPA = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthReading:
    """Settings for reading depth. The defaults are Probe3D's for NYUv2."""

    form: Literal["bins", "sigmoid", "exponential"] = "bins"
    """Shares of bins of depth, or one output whose sigmoid spans the range or whose exponential is
    depth."""
    bins: int = 256
    """Number of bins; their centres include both ends of the range."""
    spacing: Literal["linear", "log"] = "linear"
    """Spacing of the bins: equal steps of depth, or of its logarithm."""
    normalisation: Normalisation = "linear"
    """Conversion of outputs to the bins' shares."""
    decision: Literal["expectation", "argmax"] = "expectation"
    """The mean of the bins, or the bin with the largest share, which has no gradient and cannot be
    trained."""
    least: float = 0.001
    """Start of the range [m]."""
    most: float = 10.0
    """End of the range [m]."""

    def __post_init__(self) -> None:
        if not 0 < self.least < self.most < math.inf:
            raise OptionError(
                f"a range of depth from {self.least} to {self.most} m: expected 0 < least < most"
            )
        if self.bins < 2:
            raise OptionError(f"{self.bins} bins of depth: expected at least 2")

    @property
    def outputs(self) -> int:
        """Number of outputs that a probe must have."""
        return self.bins if self.form == "bins" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalsReading:
    """Settings for reading normals."""

    uncertainty: bool = True
    """Whether a fourth output predicts the certainty of the direction."""
    outward: bool = False
    """Whether the outputs point away from the camera, as those of Probe3D's own probes do; the head
    reverses them."""

    @property
    def outputs(self) -> int:
        """Number of outputs that a probe must have."""
        return 4 if self.uncertainty else 3


class Directions(NamedTuple):
    """Output of a normals head.

    Attributes:
        normals: Unit, in the camera frame, towards the camera.
        kappa: Concentration of the angular von Mises-Fisher distribution, above 0.01; larger means
            more certain. None if the probe was not made for it.
    """

    normals: Float[Tensor, "b 3 h w"]
    kappa: Float[Tensor, "b h w"] | None


class DepthHead(nn.Module):
    """Reads depth from a probe's outputs."""

    def __init__(self, reading: DepthReading) -> None:
        super().__init__()
        self.reading = reading

    def forward(self, logits: Logits, size: tuple[int, int]) -> Float[Tensor, "b h w"]:
        """Read depth [m] at the image's size.

        Depth is read at the probe's own resolution and then resized, in metres, as Probe3D does.

        Args:
            logits: Outputs of a probe.
            size: Height and width of the depth map [px].

        Raises:
            ModelError: If the probe has another number of outputs.
            OptionError: If a decision without a gradient would be trained.
        """
        _check(logits, self.reading.outputs, "depth")
        return placed(self._read(logits)[:, None], logits, size)[:, 0]

    def _read(self, logits: Logits) -> Float[Tensor, "b h w"]:
        form, least, most = self.reading.form, self.reading.least, self.reading.most
        if form != "bins":
            # Half precision would round depth to steps of 1 %.
            value = enlarged(logits)[:, 0]
            value = value.to(torch.promote_types(value.dtype, torch.float32))
            return least + value.sigmoid() * (most - least) if form == "sigmoid" else value.exp()
        if self.reading.decision == "argmax":
            if self.training and logits.values.requires_grad:
                raise OptionError(
                    "depth by argmax has no gradient: train with the expectation, then choose "
                    "argmax to evaluate"
                )
            best = enlarged(logits).argmax(dim=1)
            return bin_centres(self.reading).to(best.device, torch.get_default_dtype())[best]
        reading = Reading(logits.scale, logits.enlargement, self.reading.normalisation)
        return expected_depth(logits.values, bin_centres(self.reading), reading)


class NormalsHead(nn.Module):
    """Reads normals from a probe's outputs."""

    def __init__(self, reading: NormalsReading) -> None:
        super().__init__()
        self.reading = reading

    def forward(self, logits: Logits, size: tuple[int, int]) -> Directions:
        """Read normals at the image's size.

        The raw outputs are resized (bicubic) before they are made unit or positive, as Probe3D
        does.

        Args:
            logits: Outputs of a probe.
            size: Height and width of the map of normals [px].

        Raises:
            ModelError: If the probe has another number of outputs.
        """
        _check(logits, self.reading.outputs, "normals")
        raw = enlarged(logits)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        raw = placed(raw, logits, size, "bicubic")
        normals = F.normalize(-raw[:, :3] if self.reading.outward else raw[:, :3], dim=1)
        kappa = F.elu(raw[:, 3]) + 1 + _LEAST_KAPPA if self.reading.uncertainty else None
        return Directions(normals, kappa)


def bin_centres(reading: DepthReading) -> Float[Tensor, "n"]:
    """Depths [m] of the bins, in double precision, on the CPU."""
    least, most = reading.least, reading.most
    if reading.spacing == "log":
        logs = torch.linspace(math.log(least), math.log(most), reading.bins, dtype=torch.float64)
        return logs.exp()
    return torch.linspace(least, most, reading.bins, dtype=torch.float64)


def _check(logits: Logits, expected: int, what: str) -> None:
    found = logits.values.shape[1]
    if found != expected:
        raise ModelError(
            f"a probe of {found} outputs cannot be read as {what}, which takes {expected} here; "
            "make the probe with as many, or hand over logits.channels(start, stop)"
        )
