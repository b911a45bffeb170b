"""Statistics of batch normalisations, which exported weights do not hold."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.small_weights import temporary_forward_hooks
from rilievo.training.tensors import Pictures


@torch.no_grad()
def measure_statistics(network: SmallNet, images: Iterable[Pictures]) -> None:
    """Set the mean and variance of batch normalisations from their inputs, outputs unchanged."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    moments: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}

    def note(norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        moments[norm].append(torch.stack([mean, variance + mean**2]).double())

    network.eval()
    with temporary_forward_hooks(norms, note):
        for image in images:
            network(image)
    for norm in norms:
        if norm.running_mean is None or norm.running_var is None:
            continue
        mean, square = torch.stack(moments[norm]).mean(dim=0)
        variance = (square - mean**2).clamp(min=1e-8)
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        norm.bias.add_((scale * (mean - norm.running_mean.double())).float())
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
