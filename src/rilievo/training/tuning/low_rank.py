"""Adapters of low rank: each linear layer learns through two thin matrices.

E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
"""

import copy
import itertools

import torch
from torch import Tensor, nn

from rilievo.errors import OptionError, explain_missing_extra
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
    # Weights are recognised by identity, as sets and dictionaries compare them. They stay the same
    # objects when peft wraps their layers, but the names of these layers change.
    backbone_weights = {weight for layer in layers.backbone for weight in layer}
    _inject_adapters(network, backbone_weights, rank=rank, seed=seed)
    matrices_by_weight = _adapters_by_weight(network)
    adapted_layers: list[Layer] = []
    for layer in layers.backbone:
        # Weights of other than linear layers have no adapter.
        matrices = [matrices_by_weight.get(weight, ()) for weight in layer]
        adapted_layers.append(tuple(itertools.chain.from_iterable(matrices)))
    return NetworkLayers(backbone=tuple(adapted_layers), head=layers.head)


def _inject_adapters(
    network: TunedNetwork, backbone_weights: set[nn.Parameter], *, rank: int, seed: int
) -> None:
    """Let peft freeze the backbone and add adapters to its linear layers, in place."""
    linear_names = _find_linear_layers(network, backbone_weights)
    trained_outside = [
        weight
        for weight in network.parameters()
        if weight.requires_grad and weight not in backbone_weights
    ]
    with explain_missing_extra("a low-rank adapter", "lora"):
        from peft import LoraConfig, inject_adapter_in_model

    with batch_seed(seed, 0, torch.device("cpu")):
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=linear_names)
        inject_adapter_in_model(config, network)
    # peft freezes all weights of the network, but only those of the backbone have to be frozen.
    for weight in trained_outside:
        weight.requires_grad_(True)


def _find_linear_layers(network: nn.Module, weights: set[nn.Parameter]) -> list[str]:
    """Names of the linear layers whose weight is one of these; ``OptionError`` if none is."""
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and module.weight in weights
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


def _adapters_by_weight(network: nn.Module) -> dict[Tensor, Layer]:
    """The two thin matrices of each adapter, by the weight that it adapts."""
    from peft.tuners.lora import LoraLayer

    adapters: dict[Tensor, Layer] = {}
    for module in network.modules():
        if isinstance(module, LoraLayer):
            linear = module.get_base_layer()
            assert isinstance(linear, nn.Linear), "adapters are added to linear layers alone"
            adapters[linear.weight] = (*module.lora_A.parameters(), *module.lora_B.parameters())
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
