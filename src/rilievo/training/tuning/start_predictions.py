"""Predictions of a network before it learns, on pictures of other places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import Pixels, Shaped
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
    """Picture with the outputs that the network had for it before it learned.

    Attributes:
        image: The picture as the network takes it, a batch of one with levels of 0 to 255.
        start_outputs: Outputs by name, such as "depth" and "normals".
    """

    image: Shaped[Tensor, "1 h w 3"]
    start_outputs: Mapping[str, Tensor]


class StartPredictions:
    """What a network predicted before it learned, on pictures that rilievo ships.

    They serve as ground truth, so that the network does not forget other places (Z. Li and D.
    Hoiem, "Learning without Forgetting", ECCV 2016). Some pictures are learned, and others show how
    much the network has changed.
    """

    def __init__(
        self,
        training: Sequence[_Picture],
        held_out: Sequence[_Picture],
        kind: DepthKind,
        *,
        seed: int,
    ) -> None:
        """Keep pictures that are learned, and pictures that are held out to measure the change.

        ``kind`` is that of the network's depth. ``seed`` determines the choice of pictures for each
        batch.
        """
        self._training = training
        self._held_out = held_out
        self._kind = kind
        self._seed = seed

    @classmethod
    def predict(
        cls, network: TorchNetwork, kind: DepthKind, device: torch.device, *, seed: int
    ) -> "StartPredictions":
        """Let a network on ``device`` predict the pictures that rilievo ships."""
        training = _predict_pictures(network, read_pictures(held_out=False), device)
        held_out = _predict_pictures(network, read_pictures(held_out=True), device)
        return cls(training, held_out, kind, seed=seed)

    def loss(self, network: TorchNetwork, batch_number: int, num_images: int) -> Scalar:
        """Compute the mean loss on a few pictures, against the network's first predictions.

        ``batch_number`` determines the pictures, and ``num_images`` of the batch their number.
        """
        rng = np.random.default_rng([self._seed, batch_number, _RANDOM_STREAM])
        num_pictures = min(max(1, round(num_images / _IMAGES_PER_PICTURE)), len(self._training))
        total = torch.zeros((), device=self._training[0].image.device)
        for index in rng.choice(len(self._training), num_pictures, replace=False):
            picture = self._training[int(index)]
            outputs = outputs_by_name(network, picture.image)

            depth = outputs["depth"].float()
            start_depth = picture.start_outputs["depth"]
            is_valid = torch.isfinite(start_depth)
            total = total + answer_loss(self._kind, depth, start_depth, is_valid)

            if "normals" in picture.start_outputs:
                normals = outputs["normals"].float()
                start_normals = picture.start_outputs["normals"]
                all_valid = torch.ones_like(start_normals[:, 0], dtype=torch.bool)
                total = total + angular_loss(normals, start_normals, all_valid)
        return total / num_pictures

    @torch.no_grad()
    def depth_change(self, network: TorchNetwork) -> float:
        """Mean change of depth on the pictures that are held out.

        It is the mean |change of log depth|, so that 0.05 is about 5%. For affine kinds, it is the
        mean |change of depth| in units of the mean deviation.
        """
        network.eval()
        changes = []
        for picture in self._held_out:
            depth = outputs_by_name(network, picture.image)["depth"].float()
            start_depth = picture.start_outputs["depth"]
            error = answer_error(self._kind, depth, start_depth, torch.isfinite(start_depth))
            changes.append(float(error.abs().mean()))
        return float(np.mean(changes))


@torch.no_grad()
def _predict_pictures(
    network: TorchNetwork, pictures: Sequence[Pixels], device: torch.device
) -> list[_Picture]:
    """Prepare pictures, and let the network predict their depth and normals."""
    network.eval()
    predicted = []
    for picture in pictures:
        pixels = np.array(network.preparation.pixels(picture))
        image = torch.from_numpy(pixels)[None].to(device)
        outputs = outputs_by_name(network, image)
        start_outputs = {name: output.float() for name, output in outputs.items()}
        predicted.append(_Picture(image=image, start_outputs=start_outputs))
    return predicted


def outputs_by_name(network: TorchNetwork, image: Tensor) -> dict[str, Tensor]:
    """Run a network on a batch of prepared images; return its outputs by name."""
    return dict(zip(network.outputs, network(image), strict=True))
