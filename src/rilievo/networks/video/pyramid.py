"""Encoders: their base class, and those of timm (``timm/NAME`` of any model with feature maps)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import MissingExtraError, ModelError, OptionError, suggest
from rilievo.io.limits import reason
from rilievo.networks.backbones.weights import why_not_fetched

_MEAN, _DEVIATION = 0.45, 0.225


class Encoder(nn.Module, ABC):
    """A pyramid of features.

    Attributes:
        channels: Number of channels of each map that ``forward`` returns.
        reductions: Factor by which each map is smaller than the image along a side; powers of 2.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]

    def forward(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Compute features of RGB in 0..1, the finest first.

        All colours are normalised by one mean and deviation (Godard et al. 2019), near those of
        ImageNet. Several frames are stacked as channels.
        """
        return self.maps((image - _MEAN) / _DEVIATION)

    @abstractmethod
    def maps(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Compute features of normalised images."""


PREFIX = "timm/"


class TimmEncoder(Encoder):
    """Feature maps of a model of timm, unchanged but for the order of axes.

    Attributes:
        channels_last: Whether the model gives its channels after height and width.
    """

    channels_last: bool = False

    def __init__(self, name: str, size: tuple[int, int], *, pretrained: bool = False) -> None:
        """Make one with random weights, or with those that its authors published.

        Args:
            name: ``timm/NAME``.
            size: (height, width) of the images that it will see.
            pretrained: Whether weights are fetched.

        Raises:
            ModelError: If timm has no such model, it gives no feature maps, or its weights are not
                available.
            OptionError: If it does not take images of that size.
            MissingExtraError: If timm is not installed.
        """
        super().__init__()
        self.body = _make(name, size, pretrained=pretrained)
        self.channels = tuple(self.body.feature_info.channels())
        self.reductions = tuple(self.body.feature_info.reduction())
        self._check(name, size)

    def maps(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Compute features of normalised images, channels first."""
        found = self.body(image)
        return tuple(each.permute(0, 3, 1, 2) if self.channels_last else each for each in found)

    def _check(self, name: str, size: tuple[int, int]) -> None:
        """Run the model once: its ``feature_info`` is not always right."""
        training = self.training
        try:
            with torch.no_grad():
                found = [
                    tuple(each.shape[1:]) for each in self.eval().body(torch.zeros(1, 3, *size))
                ]
        except (AssertionError, RuntimeError, ValueError) as error:
            raise OptionError(
                f"encoder '{name}' at {size[0]}x{size[1]}: {reason(error)}"
            ) from error
        finally:
            self.train(training)
        expected = [
            (channels, size[0] // each, size[1] // each)
            for channels, each in zip(self.channels, self.reductions, strict=True)
        ]
        if found == expected:
            return
        self.channels_last = found == [(height, width, c) for c, height, width in expected]
        if not self.channels_last:
            raise OptionError(
                f"encoder '{name}' gives features {found} of {size[0]}x{size[1]}, expected "
                f"{expected}: it is no pyramid of halvings"
            )


# Options by which families of timm take the size; a family refuses those that are not its own.
_SIZES: Sequence[str] = ("img_size", "dynamic_img_size", "")


def _make(name: str, size: tuple[int, int], *, pretrained: bool) -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"encoder '{name}'", "train") from error
    model = name.removeprefix(PREFIX)
    if not timm.is_model(model):
        raise ModelError(f"no model '{model}' in timm; {suggest(model, timm.list_models())}")
    if pretrained and not timm.models.is_model_pretrained(model):
        raise ModelError(f"encoder '{name}' has no published weights: start without 'imagenet'")
    values: Mapping[str, Any] = {"img_size": size, "dynamic_img_size": True}
    for word in _SIZES:
        options = {word: values[word]} if word else {}
        try:
            return timm.create_model(model, features_only=True, pretrained=pretrained, **options)
        except (TypeError, KeyError):
            if not word:
                raise
        except (AttributeError, RuntimeError) as error:
            if pretrained:
                raise why_not_fetched(name, error) from error
            raise ModelError(f"encoder '{name}' gives no feature maps: {reason(error)}") from error
        except Exception as error:  # errors of the hub, its client or the file fetched
            raise why_not_fetched(name, error) from error
    raise AssertionError("the last attempt has no option that could be refused")
