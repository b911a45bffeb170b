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
        problem = "has no effect: a pipeline answers in many steps"
        raise OptionError(option="replay", problem=problem, hint="leave it out")

    layers = network_layers(network)
    if config.tuning.lora:
        layers = add_adapters(network, layers, rank=config.tuning.lora, seed=config.seed)
    frozen_count = _frozen_layer_count(config, layers)

    groups = []
    last = len(layers.weights) - 1
    for index, layer in enumerate(layers.weights):
        learns = index >= frozen_count
        for weight in layer:
            weight.requires_grad_(learns)
        if learns and layer:
            rate = config.learning_rate * config.tuning.layer_rate ** (last - index)
            groups.append({"params": list(layer), "lr": rate, "initial_lr": rate})
    return groups


def _frozen_layer_count(config: TuningConfig, layers: NetworkLayers) -> int:
    freeze, count = config.tuning.freeze, len(layers.weights)
    counts_by_name = {NONE: 0, BACKBONE: layers.backbone}
    frozen_count = counts_by_name[freeze] if freeze in counts_by_name else int(freeze)
    if frozen_count >= count:
        raise OptionError(
            option="freeze",
            value=freeze,
            expected=f"none, backbone ({layers.backbone} layers) or fewer layers than all {count}",
        )
    if config.tuning.lora and not any(layers.weights[frozen_count : layers.backbone]):
        raise OptionError(
            option="lora",
            problem=Text(
                "has no effect where ",
                OptionName("freeze", freeze),
                " freezes all layers of the backbone",
            ),
        )
    return frozen_count


def count_learning_weights(groups: list[dict[str, Any]]) -> int:
    """Count the numbers that the parameter groups of an optimizer adjust."""
    return sum(weight.numel() for group in groups for weight in group["params"])
