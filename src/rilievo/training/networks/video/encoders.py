"""Encoders of networks on video: the base class, ResNets, and any encoder of timm."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, OptionError, needing, suggest
from rilievo.extensions.subpackages import resolve_name
from rilievo.io.files.limits import reason
from rilievo.training.networks.backbones.weights import download_error
from rilievo.training.networks.blueprint import TIMM, VideoBlueprint
from rilievo.training.tensors import Channels, FeatureMaps

_PACKAGE = __name__.rpartition(".")[0]
_MEAN, _DEVIATION = 0.45, 0.225
"""Normalisation of colours in Monodepth2's program."""
_SIZE_OPTIONS: Sequence[str] = ("img_size", "dynamic_img_size", "")
"""Options by which models of timm take their size; a model refuses those that it does not have."""


class Encoder(nn.Module, ABC):
    """Network that computes a pyramid of features.

    Attributes:
        channels: Channels of each map, the finest first.
        reductions: Factors by which the maps are smaller than the image, powers of 2.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]

    def forward(self, image: Channels) -> FeatureMaps:
        """Compute features of RGB in 0..1, the finest first."""
        return self.maps((image - _MEAN) / _DEVIATION)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint) -> "Encoder":
        """Make a blueprint's encoder with random weights."""
        return cls()

    def make_own_decoder(self, blueprint: VideoBlueprint, *, outputs: int) -> nn.Module | None:
        """Make the decoder that belongs to this encoder; None if a ``DepthDecoder`` does."""
        return None

    def load_imagenet_weights(self) -> bool:
        """Load weights that were trained on ImageNet; return False if none are published."""
        return False

    @abstractmethod
    def maps(self, image: Channels) -> FeatureMaps:
        """Compute features of normalised images, the finest first."""

    def copy_timm_shapes(self, body: Any) -> None:
        """Set the channels and reductions from a model of timm."""
        self.channels = tuple(body.feature_info.channels())
        self.reductions = tuple(body.feature_info.reduction())


class TimmEncoder(Encoder):
    """Encoder of timm, at one size of images.

    Attributes:
        channels_last: Whether the model gives maps with their channels last.
    """

    channels_last: bool = False

    def __init__(self, name: str, size: Size, *, pretrained: bool = False) -> None:
        super().__init__()
        self.name, self.size = name, size
        self.body = _create_timm_model(name, size, pretrained=pretrained)
        self.copy_timm_shapes(self.body)
        self._check_shapes_and_set_layout(name, size)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint) -> Encoder:
        """Make a blueprint's encoder, for its size."""
        return cls(blueprint.encoder, blueprint.size)

    def load_imagenet_weights(self) -> bool:
        """Fetch the weights that timm publishes."""
        self.load_state_dict(TimmEncoder(self.name, self.size, pretrained=True).state_dict())
        return True

    def maps(self, image: Channels) -> FeatureMaps:
        """Compute features, with their channels first."""
        features = self.body(image)
        return tuple(
            tensor.permute(0, 3, 1, 2) if self.channels_last else tensor for tensor in features
        )

    def _check_shapes_and_set_layout(self, name: str, size: Size) -> None:
        """Find out by a black image where the maps have their channels.

        Raises:
            OptionError: If the model does not take the size, or its maps are no pyramid.
        """
        shapes = self._feature_shapes(name, size)
        expected = [
            (channels, size[0] // reduction, size[1] // reduction)
            for channels, reduction in zip(self.channels, self.reductions, strict=True)
        ]
        expected_channels_last = [(height, width, channels) for channels, height, width in expected]
        self.channels_last = shapes != expected
        if shapes not in (expected, expected_channels_last):
            raise OptionError(
                f"encoder '{name}' gives features {shapes} of {size[0]}x{size[1]}, expected "
                f"{expected}: it is no pyramid of halvings"
            )

    def _feature_shapes(self, name: str, size: Size) -> list[tuple[int, ...]]:
        was_training = self.training
        try:
            with torch.no_grad():
                features = self.eval().body(torch.zeros(1, 3, *size))
            return [tuple(feature.shape[1:]) for feature in features]
        except (AssertionError, RuntimeError, ValueError) as error:
            raise OptionError(
                f"encoder '{name}' at {size[0]}x{size[1]}: {reason(error)}"
            ) from error
        finally:
            self.train(was_training)


def import_network_class(place: str) -> Any:
    """Import a class by ``module:Class``, relative to this package."""
    return resolve_name(f"{_PACKAGE}.{place}")


def _import_timm(name: str) -> Any:
    with needing(f"encoder '{name}'", "train"):
        import timm
    return timm


def timm_model_name(name: str) -> str:
    """Name of a model in timm, without ``timm/``; ``ModelError`` if there is none."""
    timm, model = _import_timm(name), name.removeprefix(TIMM)
    if not timm.is_model(model):
        raise ModelError(f"no model '{model}' in timm; {suggest(model, timm.list_models())}")
    return model


def _create_timm_model(name: str, size: Size, *, pretrained: bool) -> Any:
    timm, model = _import_timm(name), timm_model_name(name)
    if pretrained and not timm.models.is_model_pretrained(model):
        raise ModelError(f"encoder '{name}' has no published weights: start without 'imagenet'")
    option_values: Mapping[str, Any] = {"img_size": size, "dynamic_img_size": True}
    for option in _SIZE_OPTIONS:
        options = {option: option_values[option]} if option else {}
        try:
            return timm.create_model(model, features_only=True, pretrained=pretrained, **options)
        except (TypeError, KeyError):
            if not option:
                raise
        except (AttributeError, RuntimeError) as error:
            if pretrained:
                raise download_error(name, error) from error
            raise ModelError(f"encoder '{name}' gives no feature maps: {reason(error)}") from error
        except Exception as error:  # errors of the hub, its client or the file fetched
            raise download_error(name, error) from error
    raise AssertionError("the last attempt has no option that could be refused")


RESNETS: Mapping[str, tuple[tuple[int, ...], bool]] = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
}
"""Number of blocks in each layer of a ResNet, and whether these are bottlenecks."""


class ResNetEncoder(Encoder):
    """ResNet, whose weights are named as in Monodepth2's ``encoder.pth``.

    With more than three ``colours`` it sees several frames at once, as ``ResNetMultiImageInput``.
    """

    def __init__(self, name: str, *, colours: int = 3) -> None:
        super().__init__()
        self.name = name
        # The last norm of a block begins at 1, as in the official program; timm begins at 0.
        self.encoder = _import_timm(name).create_model(
            name, features_only=True, in_chans=colours, num_classes=0, zero_init_last=False
        )
        self.copy_timm_shapes(self.encoder)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint) -> Encoder:
        """Make a blueprint's ResNet with random weights."""
        return cls(blueprint.encoder)

    def load_imagenet_weights(self) -> bool:
        """Fetch weights that torchvision publishes, and spread them over several frames."""
        with needing("a start from 'imagenet'", "train"):
            import timm
        create: Any = timm.create_model
        try:
            state = create(f"{self.name}.tv_in1k", pretrained=True).state_dict()
        except Exception as error:  # errors of the hub, its client or the file fetched
            raise download_error(f"timm/{self.name}.tv_in1k", error) from error
        frames = self.encoder.conv1.in_channels // 3
        # Each filter is repeated for every frame, at 1 / frames of its weight, to keep its output.
        state["conv1.weight"] = torch.cat([state["conv1.weight"]] * frames, dim=1) / frames
        self.encoder.load_state_dict({key: state[key] for key in self.encoder.state_dict()})
        return True

    def maps(self, image: Channels) -> FeatureMaps:
        """Compute features of normalised images."""
        return tuple(self.encoder(image))
