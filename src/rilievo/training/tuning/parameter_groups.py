"""Choice of the weights that learn, and of their learning rates."""

from typing import Any

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.tuning.low_rank import add_adapters
from rilievo.training.tuning.network_layers import NetworkLayers, TunedNetwork, network_layers
from rilievo.training.tuning.tuning_config import BACKBONE, NONE, TuningConfig


def make_parameter_groups(config: TuningConfig, network: TunedNetwork) -> list[dict[str, Any]]:
    """Freeze the layers that do not learn, add adapters, and group the rest for an optimizer.

    Returns:
        One parameter group for each layer that learns, whose rate falls towards the input.

    Raises:
        OptionError: If ``replay`` or ``lora`` has no effect, or ``freeze`` leaves nothing to learn.
    """
    if isinstance(network, LatentNetwork) and config.tuning.replay:
        problem = "cannot be used for a pipeline, because pipelines predict in several steps"
        hint = Text("leave out ", OptionName("replay"))
        raise OptionError(option="replay", problem=problem, hint=hint)

    layers = network_layers(network)
    if config.tuning.lora:
        layers = add_adapters(network, layers, rank=config.tuning.lora, seed=config.seed)
    num_frozen = _num_frozen_layers(config.tuning.freeze, layers)
    has_trained_backbone = any(layers.weights[num_frozen : layers.backbone])
    if config.tuning.lora and not has_trained_backbone:
        raise OptionError(
            option="lora",
            problem=Text(
                "has no effect if ",
                OptionName("freeze", config.tuning.freeze),
                " freezes all layers of the backbone",
            ),
        )

    groups = []
    last_index = len(layers.weights) - 1
    for index, layer in enumerate(layers.weights):
        is_trained = index >= num_frozen
        for weight in layer:
            weight.requires_grad_(is_trained)
        if is_trained and layer:
            # The last layer has the full rate, and each one before it a fraction of the next.
            rate = config.learning_rate * config.tuning.layer_rate ** (last_index - index)
            groups.append({"params": list(layer), "lr": rate})
    return groups


def _num_frozen_layers(freeze: str, layers: NetworkLayers) -> int:
    """Number of layers, from the input, that the option ``freeze`` keeps from learning.

    Raises:
        OptionError: If no layer would learn.
    """
    num_layers = len(layers.weights)
    num_by_name = {NONE: 0, BACKBONE: layers.backbone}
    num_frozen = num_by_name[freeze] if freeze in num_by_name else int(freeze)
    if num_frozen >= num_layers:
        raise OptionError(
            option="freeze",
            value=freeze,
            expected=(
                f"none, backbone ({layers.backbone} layers) or a number of layers less than "
                f"{num_layers}"
            ),
        )
    return num_frozen


def count_learning_weights(groups: list[dict[str, Any]]) -> int:
    """Count the numbers that the parameter groups of an optimizer adjust."""
    return sum(weight.numel() for group in groups for weight in group["params"])
