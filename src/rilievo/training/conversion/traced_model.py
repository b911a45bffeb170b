"""Interface of exported models; without torch."""

from typing import Any

from rilievo.models.base import PreparedModel


class TracedModel(PreparedModel):
    """A model in torch."""

    network: Any
    device: Any
