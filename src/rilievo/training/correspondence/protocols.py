"""Protocols for scoring correspondence: the numbers of Probe3D's paper and program."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import OptionName, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Largest error of a correct correspondence, in metres or pixels."""

    value: float
    unit: Literal["m", "px"]

    @property
    def label(self) -> str:
        """Text in tables, such as "2 cm"."""
        return f"{100 * self.value:g} cm" if self.unit == "m" else f"{self.value:g} px"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How correspondence is scored on a dataset.

    Attributes:
        source: Where the numbers come from.
        step: Step of the grid of pixels whose points are matched [px].
        thresholds: Thresholds of the error at which recall is computed.
        main: The one of them for which recall is also computed by angle.
        angles: Limits of the ranges of relative viewpoint angles [degrees]; a range contains its
            lower limit.
        pixel: Side, in pixels of the image, of the pixels in which errors are counted.
        interpolation: How features are interpolated between the patches.
        border: Features outside the map: those of its border, or zeros.
        probe3d_shift: Distance from a pixel to the place where Probe3D's program believes that its
            depth was measured [px], to the right and down.
        probe3d_half: Whether Probe3D's program normalises pixels by a mean and a standard deviation
            of 0.5, and not by those of ImageNet.
    """

    source: str
    step: int = 4
    thresholds: tuple[Threshold, ...]
    main: Threshold
    angles: tuple[float, ...]
    pixel: int = 1
    interpolation: Literal["bicubic", "bilinear"]
    border: Literal["border", "zeros"]
    probe3d_shift: float = 0.0
    probe3d_half: bool = False

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Lower and upper limit of each range of angles [degrees]."""
        return tuple(zip(self.angles, self.angles[1:], strict=False))


_CENTIMETRES = tuple(Threshold(value=value, unit="m") for value in (0.01, 0.02, 0.05))
_PIXELS_OF_CROP = tuple(Threshold(value=value, unit="px") for value in (5, 25, 50))
_PIXELS = tuple(Threshold(value=value, unit="px") for value in (5, 10, 20))

# A new protocol is a row here.
PROTOCOLS: Mapping[str, Protocol] = {
    "navi": Protocol(
        source="Probe3D, evaluate_navi_correspondence.py",
        thresholds=(*_CENTIMETRES, *_PIXELS_OF_CROP),
        main=_CENTIMETRES[1],
        angles=(0, 30, 60, 90, 120),
        interpolation="bicubic",
        border="border",
    ),
    "scannet": Protocol(
        source="Probe3D, evaluate_scannet_correspondence.py",
        thresholds=_PIXELS,
        main=_PIXELS[1],
        angles=(0, 15, 30, 60, 180),
        # The program counts in pixels of its depth maps, which have a quarter of the size.
        pixel=4,
        interpolation="bilinear",
        border="zeros",
        # The program takes every fourth pixel, but the rays of the middles of 4x4 blocks.
        probe3d_shift=2.0,
        probe3d_half=True,
    ),
}
"""Protocols by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDataset:
    """What Probe3D uses of a dataset with pairs of views.

    Attributes:
        protocol: Name of its protocol; None if it has none of its own.
        split: Split whose images are the first views of pairs; None for the dataset's first.
        variant: Variant of the dataset; None for its first.
    """

    protocol: str | None = None
    split: str | None = None
    variant: str | None = None


_PAIR_DATASETS: Mapping[str, PairDataset] = {
    "navi": PairDataset(protocol="navi", split="probe3d-test", variant="metric-crop"),
    "scannet-pairs": PairDataset(protocol="scannet"),
}


def find_pair_dataset(name: str) -> PairDataset:
    """Find what Probe3D uses of a dataset; the defaults for any other dataset."""
    return _PAIR_DATASETS.get(name, PairDataset())


def find_protocol(name: str | None, dataset: str) -> Protocol:
    """Find a protocol by its name; by default that of the dataset.

    Raises:
        OptionError: If there is no such protocol, or the dataset has none of its own.
    """
    if name is None:
        name = find_pair_dataset(dataset).protocol
    if name is None:
        raise OptionError(
            problem=Text(
                f"dataset '{dataset}' has no protocol of its own: choose one with ",
                OptionName("protocol", "|".join(PROTOCOLS)),
            )
        )
    if name not in PROTOCOLS:
        raise OptionError(f"no protocol '{name}'; {suggest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
