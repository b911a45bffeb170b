"""Arguments of a family's loader."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.networks.backbones.facts import Normalisation, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The name of a backbone, and the settings that replace its family's defaults.

    Attributes:
        name: Full name, with its prefix.
        pretrained: True for published weights, the path of a file of weights, or False for random
            ones of ``seed``.
        layers: Layers taken, from 0; negative ones count from the last. None for the family's
            choice.
        tokens: Whether class tokens are taken; None for the family's choice.
        preset: Treatment of images and maps.
        normalisation: Normalisation that replaces the network's own; None keeps it.
        seed: Seed of random weights, and of the noise of a diffusion model.
        timestep: Timestep of a diffusion model's noise.
    """

    name: str
    pretrained: bool | Path = True
    layers: tuple[int, ...] | None = None
    tokens: bool | None = None
    preset: Preset = Preset.DEFAULT
    normalisation: Normalisation | None = None
    seed: int = 0
    timestep: int = 1
