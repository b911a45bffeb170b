"""One step of further training, with pictures of other places and LoRA.

E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR 2022).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Pixels
from rilievo.errors import OptionError, needing
from rilievo.errors.messages import OptionName, Text
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.torch_model import TorchNetwork
from rilievo.training.engine.loop import batch_seed
from rilievo.training.losses.supervised import angular_loss, answer_error, answer_loss, depth_target
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.tensors import Maps, Normals, Scalar
from rilievo.training.tuning.starts import Layer, NetworkLayers, TunedNetwork
from rilievo.training.tuning.tuning_config import TuningConfig
from rilievo.training.video.other_places import read_pictures

_IMAGES = 4
_STREAM = 7
_Answers = Mapping[str, Tensor]


class StartAnswers:
    """Answers of a network before it learns (Z. Li, D. Hoiem, ECCV 2016)."""

    @torch.no_grad()
    def __init__(
        self, network: TorchNetwork, kind: DepthKind, device: torch.device, *, seed: int
    ) -> None:
        self._kind, self._seed, self._device = kind, seed, device
        network.eval()
        self._trained, self._judges = (
            [self._input_and_answers(network, picture) for picture in read_pictures(judges=judges)]
            for judges in (False, True)
        )

    def loss(self, network: TorchNetwork, batch_number: int, image_count: int) -> Scalar:
        """Mean loss on some pictures, the start's answers as truth."""
        rng = np.random.default_rng([self._seed, batch_number, _STREAM])
        count = min(max(1, round(image_count / _IMAGES)), len(self._trained))
        total = torch.zeros((), device=self._device)
        for index in rng.choice(len(self._trained), count, replace=False):
            image, start = self._trained[int(index)]
            answers = outputs_by_name(network, image)
            depth, label = answers["depth"].float(), start["depth"]
            total = total + answer_loss(self._kind, depth, label, torch.isfinite(label))
            if "normals" in start:
                everywhere = torch.ones_like(start["normals"][:, 0], dtype=torch.bool)
                total = total + angular_loss(
                    answers["normals"].float(), start["normals"], everywhere
                )
        return total / count

    @torch.no_grad()
    def change(self, network: TorchNetwork) -> float:
        """Mean |log depth| change on pictures not learned from; 0.05 is about 5 %.

        Affine kinds are in units of the mean deviation.
        """
        network.eval()
        changes = []
        for image, start in self._judges:
            depth, label = outputs_by_name(network, image)["depth"].float(), start["depth"]
            error = answer_error(self._kind, depth, label, torch.isfinite(label))
            changes.append(float(error.abs().mean()))
        return float(np.mean(changes))

    def _input_and_answers(self, network: TorchNetwork, picture: Pixels) -> tuple[Tensor, _Answers]:
        image = torch.from_numpy(np.array(network.preparation.pixels(picture)))[None]
        image = image.to(self._device)
        return image, {
            name: output.float() for name, output in outputs_by_name(network, image).items()
        }


def outputs_by_name(network: TorchNetwork, image: Tensor) -> _Answers:
    """Run a network on a prepared image."""
    return dict(zip(network.outputs, network(image), strict=True))


_LEAST_LENGTH = 0.5  # squared: unit normals are kept in half precision, zero is no normal


class TuningBatch(NamedTuple):
    """Images and targets, in groups of one size."""

    number: int
    groups: Sequence[dict[str, Tensor]]


class TuningLearner(nn.Module):
    """Network with its losses."""

    elsewhere: StartAnswers | None = None

    def __init__(self, network: TunedNetwork, config: TuningConfig, kind: DepthKind) -> None:
        super().__init__()
        self.network, self._config, self._kind = network, config, kind

    def train(self, mode: bool = True) -> "TuningLearner":
        """Set the mode; batch statistics of the start stay."""
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self

    def forward(self, batch: TuningBatch) -> dict[str, Tensor]:
        """Compute ``loss`` and its unweighted parts."""
        images = sum(len(group["image"]) for group in batch.groups)
        depth = normals = replay = batch.groups[0]["depth"].new_zeros(())
        for group in batch.groups:
            share = len(group["image"]) / images
            if isinstance(self.network, LatentNetwork):
                target = depth_target(self._kind, group["depth"])
                loss = self.network(group["image"], target, group["depth"] > 0)
                depth = depth + share * loss
                continue
            answers = outputs_by_name(self.network, group["image"])
            # Networks may compute in lower precision; losses may not.
            with torch.autocast(group["depth"].device.type, enabled=False):
                predicted, true = (
                    self._fit_to_truth(answers["depth"].float(), group),
                    group["depth"],
                )
                loss = answer_loss(self._kind, predicted, depth_target(self._kind, true), true > 0)
                depth = depth + share * loss
                if "normals" in answers:
                    predicted = answers["normals"].float()
                    normals = normals + share * _normals_loss_or_zero(predicted, group["normals"])
        weight = self._config.tuning.replay_weight
        if self.elsewhere is not None and isinstance(self.network, TorchNetwork):
            replay = self.elsewhere.loss(self.network, batch.number, images)
        loss = depth + normals + weight * replay
        return {
            "loss": loss,
            "depth_loss": depth,
            "normals_loss": normals,
            "replay_loss": replay,
        }

    def _fit_to_truth(self, predicted: Maps, group: dict[str, Tensor]) -> Maps:
        rows, columns = group["depth"].shape[-2:]
        fill = self.network.preparation.fill
        down, across = -rows % fill, -columns % fill
        size = (rows + down, columns + across)
        if tuple(predicted.shape[-2:]) != size:
            predicted = F.interpolate(
                predicted[:, None], size, mode="bilinear", align_corners=False
            )[:, 0]
        top, left = down // 2, across // 2
        return predicted[:, top : top + rows, left : left + columns]


def _normals_loss_or_zero(predicted: Normals, true: Normals) -> Scalar:
    valid = true.square().sum(dim=1) > _LEAST_LENGTH
    if not bool(valid.any()):
        return 0 * predicted.sum()
    return angular_loss(predicted, F.normalize(true, dim=1), valid)


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
