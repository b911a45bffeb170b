"""What is asked of a family's loader."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.networks.backbones.facts import Normalisation, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A backbone by name, and what of it differs from its own choice.

    Attributes:
        name: In full.
        pretrained: Its published weights, those of a file, or random ones of ``seed``.
        layers: From 0; negative ones count from the last. None for the family's choice.
        tokens: Whether class tokens are taken; None for the family's choice.
        preset: Whose treatment.
        normalisation: Instead of its own.
        seed: Of random weights, and of the noise of a diffusion model.
        timestep: Of a diffusion model's noise.
    """

    name: str
    pretrained: bool | Path = True
    layers: tuple[int, ...] | None = None
    tokens: bool | None = None
    preset: Preset = Preset.DEFAULT
    normalisation: Normalisation | None = None
    seed: int = 0
    timestep: int = 1
