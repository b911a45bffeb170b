"""A kind of model that rilievo does not have: one depth everywhere, named ``near/METRES``."""

from collections.abc import Sequence

import numpy as np

from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo


class Near(Model):
    """A model that sees one wall."""

    def __init__(self, card: ModelCard) -> None:
        self.card, self.weights_sha256, self.settings = card, "", {}

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Depth of the card's name."""
        metres = float(self.card.name.partition("/")[2])
        return [Inference(depth=np.full(photo.shape, metres, np.float32)) for photo in photos]


def find(request: ModelRequest) -> FoundModel | None:
    """Find any of them."""
    return FoundModel(card=_card(request.text)) if request.text.startswith("near/") else None


def listed_cards() -> tuple[ModelCard, ...]:
    """The one that has a row in the table."""
    return (_card("near/2"),)


def load(card: ModelCard, options: LoadOptions) -> Near:
    """Load one."""
    return Near(card)


def _card(name: str) -> ModelCard:
    return ModelCard(
        name=name, summary="one wall", kind=DepthKind.METRIC, licence="CC0-1.0", loader="near"
    )
