"""Predictions of a network before it learns, on pictures of other places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import Pixels
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.torch_model import TorchNetwork
from rilievo.training.losses.answer_losses import answer_error, answer_loss
from rilievo.training.losses.supervised import angular_loss
from rilievo.training.tensors import Scalar
from rilievo.training.video.other_places import read_pictures

_IMAGES_PER_PICTURE = 4
"""Images of a batch for each picture of another place that is learned beside them."""
_RANDOM_STREAM = 7
"""Number that makes the random choice of pictures independent of other random choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """Prepared picture with the outputs that the network had for it before it learned."""

    image: Tensor
    start_outputs: Mapping[str, Tensor]


class StartPredictions:
    """What a network predicted before it learned, on pictures that rilievo ships.

    They serve as ground truth, so that the network does not forget other places (Z. Li and D.
    Hoiem, "Learning without Forgetting", ECCV 2016). Some pictures are learned, and others show how
    much the network has changed.
    """

    def __init__(
        self, network: TorchNetwork, kind: DepthKind, device: torch.device, *, seed: int
    ) -> None:
        self._kind, self._seed, self._device = kind, seed, device
        self._training = self._predict_pictures(network, read_pictures(held_out=False))
        self._held_out = self._predict_pictures(network, read_pictures(held_out=True))

    @torch.no_grad()
    def _predict_pictures(
        self, network: TorchNetwork, pictures: Sequence[Pixels]
    ) -> list[_Picture]:
        """Prepare pictures, and let the network predict their depth and normals."""
        network.eval()
        predicted = []
        for picture in pictures:
            pixels = np.array(network.preparation.pixels(picture))
            image = torch.from_numpy(pixels)[None].to(self._device)
            outputs = outputs_by_name(network, image)
            start_outputs = {name: output.float() for name, output in outputs.items()}
            predicted.append(_Picture(image=image, start_outputs=start_outputs))
        return predicted

    def loss(self, network: TorchNetwork, batch_number: int, num_images: int) -> Scalar:
        """Compute the mean loss on a few pictures, against the network's first predictions.

        ``batch_number`` determines the pictures, and ``num_images`` of the batch their number.
        """
        rng = np.random.default_rng([self._seed, batch_number, _RANDOM_STREAM])
        num_pictures = min(max(1, round(num_images / _IMAGES_PER_PICTURE)), len(self._training))
        total = torch.zeros((), device=self._device)
        for index in rng.choice(len(self._training), num_pictures, replace=False):
            picture = self._training[int(index)]
            outputs = outputs_by_name(network, picture.image)
            target = picture.start_outputs["depth"]
            total = total + answer_loss(
                self._kind, outputs["depth"].float(), target, torch.isfinite(target)
            )
            if "normals" in picture.start_outputs:
                normals = picture.start_outputs["normals"]
                all_valid = torch.ones_like(normals[:, 0], dtype=torch.bool)
                total = total + angular_loss(outputs["normals"].float(), normals, all_valid)
        return total / num_pictures

    @torch.no_grad()
    def depth_change(self, network: TorchNetwork) -> float:
        """Mean change of depth on the pictures that are not learned.

        It is the mean |change of log depth|, so that 0.05 is about 5%. For affine kinds, it is the
        mean |change of depth| in units of the mean deviation.
        """
        network.eval()
        changes = []
        for picture in self._held_out:
            depth = outputs_by_name(network, picture.image)["depth"].float()
            target = picture.start_outputs["depth"]
            error = answer_error(self._kind, depth, target, torch.isfinite(target))
            changes.append(float(error.abs().mean()))
        return float(np.mean(changes))


def outputs_by_name(network: TorchNetwork, image: Tensor) -> dict[str, Tensor]:
    """Run a network on a batch of prepared images; return its outputs by name."""
    return dict(zip(network.outputs, network(image), strict=True))
