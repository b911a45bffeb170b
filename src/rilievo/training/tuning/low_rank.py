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
    """
    backbone_layers = layers.weights[: layers.backbone]
    backbone_ids = {id(weight) for layer in backbone_layers for weight in layer}
    linear_names = _find_linear_layers(network, backbone_ids)
    with needing("a low-rank adapter", "lora"):
        from peft import LoraConfig, inject_adapter_in_model

    weights = list(network.parameters())
    was_trainable = [weight.requires_grad for weight in weights]
    with batch_seed(seed, 0, torch.device("cpu")):
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=linear_names)
        inject_adapter_in_model(config, network)
    # peft has frozen all weights, also those outside of the backbone.
    for weight, was_weight_trainable in zip(weights, was_trainable, strict=True):
        weight.requires_grad_(was_weight_trainable and id(weight) not in backbone_ids)

    matrices_by_weight = _adapters_by_weight(network)
    adapted_layers: list[Layer] = []
    for layer in backbone_layers:
        adapted_layer: list[nn.Parameter] = []
        for weight in layer:
            adapted_layer += matrices_by_weight.get(id(weight), [])
        adapted_layers.append(tuple(adapted_layer))
    head = layers.weights[layers.backbone :]
    return NetworkLayers(weights=(*adapted_layers, *head), backbone=layers.backbone)


def _find_linear_layers(network: nn.Module, weight_ids: set[int]) -> list[str]:
    """Names of the linear layers whose weight has one of these ids; ``OptionError`` if none."""
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and id(module.weight) in weight_ids
    ]
    if names:
        return names
    raise OptionError(
        option="lora",
        problem="has no effect: this backbone has no linear layers",
        hint=Text(
            "use ", OptionName("freeze", "backbone"), " or a smaller ", OptionName("learning_rate")
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
