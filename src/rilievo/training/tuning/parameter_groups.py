"""Choice of the weights that learn, and of their learning rates."""

from typing import Any

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.training.tuning.low_rank import add_adapters
from rilievo.training.tuning.network_layers import NetworkLayers, TunedNetwork, network_layers
from rilievo.training.tuning.tuning_config import BACKBONE, NONE, TuningOptions


def make_parameter_groups(
    network: TunedNetwork, tuning: TuningOptions, *, learning_rate: float, seed: int
) -> list[dict[str, Any]]:
    """Freeze the layers that do not learn, add adapters, and group the rest for an optimizer.

    ``learning_rate`` is that of the last layer, and ``seed`` that of the adapters' weights.

    Returns:
        One parameter group for each layer that learns, whose rate falls towards the input.

    Raises:
        OptionError: If ``lora`` has no effect, or ``freeze`` leaves nothing to learn.
    """
    layers = network_layers(network)
    if tuning.lora:
        layers = add_adapters(network, layers, rank=tuning.lora, seed=seed)
    num_frozen = _num_frozen_layers(tuning.freeze, layers)
    trained_backbone = layers.backbone[num_frozen:]
    if tuning.lora and not any(trained_backbone):
        raise OptionError(
            option="lora",
            problem=Text(
                "has no effect if ",
                OptionName("freeze", tuning.freeze),
                " freezes all layers of the backbone",
            ),
        )

    groups = []
    last_index = len(layers.all) - 1
    for index, layer in enumerate(layers.all):
        is_trained = index >= num_frozen
        for weight in layer:
            weight.requires_grad_(is_trained)
        if is_trained and layer:
            # The last layer has the full rate, and each one before it a fraction of the next.
            rate = learning_rate * tuning.layer_rate ** (last_index - index)
            groups.append({"params": list(layer), "lr": rate})
    return groups


def _num_frozen_layers(freeze: str, layers: NetworkLayers) -> int:
    """Number of layers, from the input, that the option ``freeze`` keeps from learning.

    Raises:
        OptionError: If no layer would learn.
    """
    num_layers = len(layers.all)
    num_backbone_layers = len(layers.backbone)
    num_by_name = {NONE: 0, BACKBONE: num_backbone_layers}
    num_frozen = num_by_name[freeze] if freeze in num_by_name else int(freeze)
    if num_frozen >= num_layers:
        raise OptionError(
            option="freeze",
            value=freeze,
            expected=(
                f"none, backbone ({num_backbone_layers} layers) or a number of layers less than "
                f"{num_layers}"
            ),
        )
    return num_frozen


def count_learning_weights(groups: list[dict[str, Any]]) -> int:
    """Count the numbers that the parameter groups of an optimizer adjust."""
    return sum(weight.numel() for group in groups for weight in group["params"])
