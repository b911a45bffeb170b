"""Answers of a network before it learns, on pictures of other places."""

from collections.abc import Mapping

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
