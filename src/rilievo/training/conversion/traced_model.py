"""Interface of the models that are exported by tracing; without torch."""

from typing import Any

from rilievo.models.base import PreparedModel


class TracedModel(PreparedModel):
    """A model in torch.

    Attributes:
        network: Module from photographs to outputs, such as
            ``rilievo.training.adapters.torch_model.TorchNetwork``.
        device: ``torch.device`` of the network.
    """

    network: Any
    device: Any
