"""Losses of a step of fine-tuning."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.torch_model import TorchNetwork
from rilievo.training.losses.answer_losses import answer_loss, depth_target
from rilievo.training.losses.supervised import angular_loss, has_normal
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.tensors import Maps, Normals, Scalar
from rilievo.training.tuning.network_layers import TunedNetwork
from rilievo.training.tuning.start_predictions import StartPredictions, outputs_by_name


class TuningBatch(NamedTuple):
    """Tensors ``image``, ``depth`` and ``normals`` of the images of a batch, by name.

    Each group has the images of one size. ``number`` is that of the batch in the run.
    """

    number: int
    groups: Sequence[dict[str, Tensor]]


class TuningLearner(nn.Module):
    """Network with the losses of fine-tuning.

    Attributes:
        replay: Start model's predictions on other scenes, which the network must keep; None if
            they are not learned.
    """

    def __init__(
        self,
        network: TunedNetwork,
        kind: DepthKind,
        replay: StartPredictions | None,
        *,
        replay_weight: float,
    ) -> None:
        super().__init__()
        self.network = network
        self.replay = replay
        self._kind = kind
        self._replay_weight = replay_weight

    def train(self, mode: bool = True) -> "TuningLearner":
        """Set the mode, except for batch normalisation, which keeps its statistics."""
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self

    def forward(self, batch: TuningBatch) -> dict[str, Tensor]:
        """Compute the ``loss`` of a batch, and the losses of which it is the weighted sum."""
        num_images = sum(len(group["image"]) for group in batch.groups)
        zero = batch.groups[0]["depth"].new_zeros(())
        depth_loss = zero
        normals_loss = zero
        for group in batch.groups:
            # So that each image weighs the same, whatever the size of its group.
            weight = len(group["image"]) / num_images
            group_losses = self._group_losses(group)
            depth_loss = depth_loss + weight * group_losses.depth
            normals_loss = normals_loss + weight * group_losses.normals

        replay_loss = zero
        if self.replay is not None and isinstance(self.network, TorchNetwork):
            replay_loss = self.replay.loss(self.network, batch.number, num_images)
        return {
            "loss": depth_loss + normals_loss + self._replay_weight * replay_loss,
            "depth_loss": depth_loss,
            "normals_loss": normals_loss,
            "replay_loss": replay_loss,
        }

    def _group_losses(self, group: dict[str, Tensor]) -> "_GroupLosses":
        """Compute the losses of images of one size."""
        true_depth = group["depth"]
        is_known = true_depth > 0
        target = depth_target(self._kind, true_depth)
        no_loss = target.new_zeros(())
        if isinstance(self.network, LatentNetwork):
            latent_loss = self.network(group["image"], target, is_known)
            return _GroupLosses(depth=latent_loss, normals=no_loss)

        outputs = outputs_by_name(self.network, group["image"])
        # Networks may compute in lower precision; losses may not.
        with torch.autocast(target.device.type, enabled=False):
            height, width = target.shape[-2:]
            pad_multiple = self.network.preparation.pad_multiple
            depth = _crop_to_size(
                outputs["depth"].float(), (height, width), pad_multiple=pad_multiple
            )
            depth_loss = answer_loss(self._kind, depth, target, is_known)
            normals_loss = no_loss
            if "normals" in outputs:
                normals_loss = _normals_loss(outputs["normals"].float(), group["normals"])
        return _GroupLosses(depth=depth_loss, normals=normals_loss)


class _GroupLosses(NamedTuple):
    """Mean losses of depth and of normals; 0 for normals that the network does not predict."""

    depth: Scalar
    normals: Scalar


def _crop_to_size(predicted: Maps, size: tuple[int, int], *, pad_multiple: int) -> Maps:
    """Cut off the border with which a network padded its input to a multiple of some pixels.

    If the prediction does not have the size of the padded input, it is first resized to that.
    """
    height, width = size
    border_rows = -height % pad_multiple
    border_columns = -width % pad_multiple
    padded_size = (height + border_rows, width + border_columns)
    if tuple(predicted.shape[-2:]) != padded_size:
        predicted = F.interpolate(
            predicted[:, None], padded_size, mode="bilinear", align_corners=False
        )[:, 0]
    top = border_rows // 2
    left = border_columns // 2
    return predicted[:, top : top + height, left : left + width]


def _normals_loss(predicted: Normals, true: Normals) -> Scalar:
    """Angular loss where the true normals are known; 0 if they are known nowhere."""
    valid = has_normal(true)
    if not valid.any():
        return 0 * predicted.sum()
    return angular_loss(predicted, F.normalize(true, dim=1), valid)
