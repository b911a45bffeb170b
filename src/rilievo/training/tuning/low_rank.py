"""Adapters of low rank (LoRA): a layer learns through two thin matrices."""

import copy

import torch
from torch import nn

from rilievo.errors import OptionError, needing
from rilievo.errors.messages import OptionName, Text
from rilievo.training.engine.loop import batch_seed
from rilievo.training.tuning.starts import Layer, NetworkLayers, TunedNetwork


def add_adapters(
    network: TunedNetwork, layers: NetworkLayers, *, rank: int, seed: int
) -> NetworkLayers:
    """Freeze the backbone, add adapters; return the layers that learn."""
    backbone = {id(weight) for layer in layers.weights[: layers.backbone] for weight in layer}
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and id(module.weight) in backbone
    ]
    if not names:
        raise OptionError(
            option="lora",
            problem="has no effect: no layer of this backbone is linear",
            hint=Text(
                "use ",
                OptionName("freeze", "backbone"),
                " or smaller ",
                OptionName("learning_rate"),
            ),
        )
    with needing("adapters of low rank", "lora"):
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer
    learning = [weight.requires_grad for weight in network.parameters()]
    weights = [*network.parameters()]
    with batch_seed(seed, 0, torch.device("cpu")):
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=names)
        inject_adapter_in_model(config, network)
    for weight, learns in zip(weights, learning, strict=True):
        weight.requires_grad_(learns and id(weight) not in backbone)
    pairs = {
        id(module.get_base_layer().weight): (
            *module.lora_A.parameters(),
            *module.lora_B.parameters(),
        )
        for module in network.modules()
        if isinstance(module, LoraLayer)
    }
    groups: list[Layer] = []
    for place, layer in enumerate(layers.weights):
        if place >= layers.backbone:
            groups.append(layer)
            continue
        both = [pairs[id(weight)] for weight in layer if id(weight) in pairs]
        groups.append(tuple(weight for pair in both for weight in pair))
    return NetworkLayers(weights=tuple(groups), backbone=layers.backbone)


def merge_adapters(network: TunedNetwork) -> TunedNetwork:
    """Merge adapters into a copy."""
    from peft.tuners.lora import LoraLayer

    whole = copy.deepcopy(network)
    for name, module in [*whole.named_modules()]:
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, place = name.rpartition(".")
            setattr(whole.get_submodule(parent), place, module.get_base_layer())
    return whole
