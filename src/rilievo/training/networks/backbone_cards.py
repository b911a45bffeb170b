"""Cards of the backbones that are known by name; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import ModelError, suggest

NOT_CONFIRMED = "not confirmed"
"""Licence where no statement of the authors was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneCard:
    """Description of a backbone, for choosing one; a row of ``BACKBONES``.

    Attributes:
        name: Name that ``--backbone`` takes, such as ``timm/vit_base_patch16_224.mae``.
        summary: Method and network.
        paper: arXiv identifier of the paper.
        source: Repository of the Hugging Face hub that the weights are fetched from, or words.
        licence: SPDX identifier of the weights' licence, or words.
        stated: Where the authors state the licence; "" if that was not found.
        commercial: Whether commercial use is allowed; None if the licence has terms of its own, or
            was not confirmed.
        weights_file: Name of the file in an example of ``--weights``; "" if rilievo has or fetches
            the weights.
        parameters: Number of weights as rilievo makes the network; None if they were not counted.
        patch: Both sides of an image are multiples of this [px]; None if it is not known.
    """

    name: str
    summary: str
    paper: str
    source: str
    licence: str
    stated: str = ""
    commercial: bool | None = None
    weights_file: str = ""
    parameters: int | None = None
    patch: int | None = None


def _read_cards() -> Mapping[str, BackboneCard]:
    import tomllib

    text = Path(__file__).with_name("backbones.toml").read_text(encoding="utf-8")
    cards = (BackboneCard(**row) for row in tomllib.loads(text)["backbones"])
    return {card.name: card for card in cards}


BACKBONES: Mapping[str, BackboneCard] = _read_cards()
"""Backbones whose licence and size are known, by name. Any other model of timm, transformers and
diffusers can be named too.

Examples:
    >>> rilievo.BACKBONES["timm/vit_base_patch16_224.mae"].patch
    16
"""


def find_backbone_card(name: str) -> BackboneCard:
    """Find a backbone's card; the tag of timm's weights may be left out if one has the name."""
    if name in BACKBONES:
        return BACKBONES[name]
    tagged = [card for card in BACKBONES.values() if card.name.startswith(f"{name}.")]
    if len(tagged) == 1:
        return tagged[0]
    similar_names = [card.name for card in tagged] or [*BACKBONES]
    raise ModelError(f"no card for the backbone '{name}'; {suggest(name, similar_names)}")
