"""Answers of the start on other places, which a run must not forget."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from rilievo.depth_map import DepthKind
from rilievo.shapes import Pixels
from rilievo.training.adapters.torch_model import TorchNetwork
from rilievo.training.losses.answers import answer_error, answer_loss
from rilievo.training.losses.normals_losses import angular_loss
from rilievo.training.tensors import Scalar
from rilievo.training.video.elsewhere.replay import read_places

_IMAGES = 4
"""Images for each picture."""
_STREAM = 7
"""Number that keeps this draw apart from others."""
_Answers = Mapping[str, Tensor]


class StartAnswers:
    """Answers of a network before it learns.

    Z. Li, D. Hoiem, "Learning without Forgetting", ECCV 2016.
    """

    @torch.no_grad()
    def __init__(
        self, network: TorchNetwork, kind: DepthKind, device: torch.device, *, seed: int
    ) -> None:
        self._kind, self._seed, self._device = kind, seed, device
        network.eval()
        self._trained, self._judges = (
            [self._labelled(network, picture) for picture in read_places(judges=judges)]
            for judges in (False, True)
        )

    def loss(self, network: TorchNetwork, batch: int, images: int) -> Scalar:
        """Loss with the start's answers as truth."""
        rng = np.random.default_rng([self._seed, batch, _STREAM])
        count = min(max(1, round(images / _IMAGES)), len(self._trained))
        total = torch.zeros((), device=self._device)
        for index in rng.choice(len(self._trained), count, replace=False):
            image, start = self._trained[int(index)]
            answers = outputs_of(network, image)
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
        """Mean change of depth on pictures not learned from; 0.05 is about 5 %.

        It is |log depth|, or for affine kinds in units of the mean deviation.
        """
        network.eval()
        changes = []
        for image, start in self._judges:
            depth, label = outputs_of(network, image)["depth"].float(), start["depth"]
            error = answer_error(self._kind, depth, label, torch.isfinite(label))
            changes.append(float(error.abs().mean()))
        return float(np.mean(changes))

    def _labelled(self, network: TorchNetwork, picture: Pixels) -> tuple[Tensor, _Answers]:
        image = torch.from_numpy(np.array(network.preparation.pixels(picture)))[None]
        image = image.to(self._device)
        return image, {name: output.float() for name, output in outputs_of(network, image).items()}


def outputs_of(network: TorchNetwork, image: Tensor) -> _Answers:
    """Outputs by name."""
    return dict(zip(network.outputs, network(image), strict=True))
