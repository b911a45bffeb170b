"""Interface of models exported by tracing; without torch."""

from typing import Any

from rilievo.models.base import PreparedModel


class TracedModel(PreparedModel):
    """A model in torch, its module and device."""

    network: Any
    device: Any
