"""One step of further training."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.torch_model import TorchNetwork
from rilievo.training.losses.answer_losses import answer_loss, depth_target
from rilievo.training.losses.supervised import angular_loss
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.tensors import Maps, Normals, Scalar
from rilievo.training.tuning.start_answers import StartAnswers, outputs_by_name
from rilievo.training.tuning.starts import TunedNetwork
from rilievo.training.tuning.tuning_config import TuningConfig

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
