"""Interface of exported models; without torch."""

from typing import Any

from rilievo.models.base import PreparedModel


class TracedModel(PreparedModel):
    """Model in torch that can be exported."""

    network: Any
    device: Any
