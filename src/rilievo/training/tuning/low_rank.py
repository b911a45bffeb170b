"""Adapters of low rank: each linear layer learns through two thin matrices.

E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
"""

import copy

import torch
from torch import nn

from rilievo.errors import OptionError, needing
from rilievo.errors.messages import OptionName, Text
from rilievo.training.engine.loop import batch_seed
from rilievo.training.tuning.network_layers import Layer, NetworkLayers, TunedNetwork


def add_adapters(
    network: TunedNetwork, layers: NetworkLayers, *, rank: int, seed: int
) -> NetworkLayers:
    """Freeze the backbone and add an adapter to each of its linear layers.

    Returns:
        Layers that learn: the adapters in place of the backbone's weights, and the other layers as
        they were.

    Raises:
        OptionError: If no layer of the backbone is linear.
    """
    backbone = {id(weight) for layer in layers.weights[: layers.backbone] for weight in layer}
    linear_names = _find_linear_layers(network, backbone)
    with needing("adapters of low rank", "lora"):
        from peft import LoraConfig, inject_adapter_in_model

    weights = list(network.parameters())
    did_learn = [weight.requires_grad for weight in weights]
    with batch_seed(seed, 0, torch.device("cpu")):
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=linear_names)
        inject_adapter_in_model(config, network)
    # peft has frozen all weights, also those outside of the backbone.
    for weight, learned in zip(weights, did_learn, strict=True):
        weight.requires_grad_(learned and id(weight) not in backbone)

    adapters = _adapters_by_weight(network)
    adapted_layers: list[Layer] = []
    for layer in layers.weights[: layers.backbone]:
        pairs = [adapters[id(weight)] for weight in layer if id(weight) in adapters]
        adapted_layers.append(tuple(matrix for pair in pairs for matrix in pair))
    head = layers.weights[layers.backbone :]
    return NetworkLayers(weights=(*adapted_layers, *head), backbone=layers.backbone)


def _find_linear_layers(network: nn.Module, weight_ids: set[int]) -> list[str]:
    """Names of the linear layers whose weight is one of these; an ``OptionError`` without any."""
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and id(module.weight) in weight_ids
    ]
    if names:
        return names
    raise OptionError(
        option="lora",
        problem="has no effect: no layer of this backbone is linear",
        hint=Text(
            "use ", OptionName("freeze", "backbone"), " or smaller ", OptionName("learning_rate")
        ),
    )


def _adapters_by_weight(network: nn.Module) -> dict[int, list[nn.Parameter]]:
    """Matrices of each adapter, by the ``id`` of the weight that it adapts."""
    from peft.tuners.lora import LoraLayer

    adapters = {}
    for module in network.modules():
        if isinstance(module, LoraLayer):
            matrices = [*module.lora_A.parameters(), *module.lora_B.parameters()]
            adapters[id(module.get_base_layer().weight)] = matrices
    return adapters


def merge_adapters(network: TunedNetwork) -> TunedNetwork:
    """Copy a network, with its adapters merged into the weights that they adapt."""
    from peft.tuners.lora import LoraLayer

    merged = copy.deepcopy(network)
    for name, module in list(merged.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, attribute = name.rpartition(".")
            setattr(merged.get_submodule(parent), attribute, module.get_base_layer())
    return merged
