"""Encoders of networks on video: the base class, ResNets, and any encoder of timm."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, OptionError, explain_missing_extra, suggest
from rilievo.extensions.subpackages import resolve_name
from rilievo.io.files.limits import reason
from rilievo.training.networks.backbones.weights import download_error
from rilievo.training.networks.blueprint import TIMM, VideoBlueprint
from rilievo.training.tensors import Channels, FeatureMaps

_PACKAGE = __name__.rpartition(".")[0]
_MEAN, _DEVIATION = 0.45, 0.225
"""Normalisation of colours in Monodepth2's program."""


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
    """Encoder of timm, for images of one size.

    Attributes:
        size: (height, width) of the images [px].
        body: Model of timm, which computes a list of maps.
        channels_last: Whether the maps of the model have their channels last.
    """

    def __init__(self, name: str, size: Size, *, pretrained: bool = False) -> None:
        super().__init__()
        self.name = name
        self.size = size
        self.body = _create_timm_model(name, size, pretrained=pretrained)
        self.copy_timm_shapes(self.body)
        self.channels_last = self._has_channels_last(self._compute_map_shapes())

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

    def _compute_map_shapes(self) -> list[tuple[int, ...]]:
        """Run the model on a black image; return the shape of each map, without the batch."""
        height, width = self.size
        was_training = self.training
        try:
            with torch.no_grad():
                maps = self.eval().body(torch.zeros(1, 3, height, width))
            return [tuple(feature_map.shape[1:]) for feature_map in maps]
        except (AssertionError, RuntimeError, ValueError) as error:
            raise OptionError(
                f"encoder '{self.name}' does not take images of {height} x {width} pixels (height "
                f"x width): {reason(error)}"
            ) from error
        finally:
            self.train(was_training)

    def _has_channels_last(self, map_shapes: list[tuple[int, ...]]) -> bool:
        """Whether maps have their channels last; ``OptionError`` if they are no pyramid at all."""
        height, width = self.size
        expected = [
            (channels, height // reduction, width // reduction)
            for channels, reduction in zip(self.channels, self.reductions, strict=True)
        ]
        if map_shapes == expected:
            return False
        expected_channels_last = [(rows, columns, channels) for channels, rows, columns in expected]
        if map_shapes == expected_channels_last:
            return True
        raise OptionError(
            f"encoder '{self.name}' returns features of shapes {map_shapes} for images of {height} "
            f"x {width} pixels (height x width); expected {expected}, a pyramid that halves the "
            "size at each level"
        )


def import_network_class(import_path: str) -> Any:
    """Import a class by ``module:Class``, relative to this package."""
    return resolve_name(f"{_PACKAGE}.{import_path}")


def _import_timm(name: str) -> Any:
    with explain_missing_extra(f"encoder '{name}'", "train"):
        import timm
    return timm


def timm_model_name(name: str) -> str:
    """Name of a model in timm, without ``timm/``; ``ModelError`` if there is none."""
    timm = _import_timm(name)
    model_name = name.removeprefix(TIMM)
    if not timm.is_model(model_name):
        suggestion = suggest(model_name, timm.list_models())
        raise ModelError(f"no model '{model_name}' in timm; {suggestion}")
    return model_name


def _create_timm_model(name: str, size: Size, *, pretrained: bool) -> Any:
    """Create a model of timm that computes feature maps of images of one size.

    A model of timm takes the size by one of two options, or takes any size without an option. timm
    does not tell which, so the options are tried until the model accepts one.
    """
    model_name = timm_model_name(name)
    if pretrained and not _import_timm(name).models.is_model_pretrained(model_name):
        raise ModelError(
            f"encoder '{name}' has no published weights: choose a start other than 'imagenet'"
        )
    size_options: Sequence[Mapping[str, Any]] = ({"img_size": size}, {"dynamic_img_size": True})
    for size_option in size_options:
        try:
            return _create_feature_extractor(name, pretrained=pretrained, size_option=size_option)
        except (TypeError, KeyError):
            continue  # The model does not have this option.
    return _create_feature_extractor(name, pretrained=pretrained, size_option={})


def _create_feature_extractor(
    name: str, *, pretrained: bool, size_option: Mapping[str, Any]
) -> Any:
    """Create the model of an encoder, with ``size_option`` as a further argument of timm.

    Raises:
        TypeError, KeyError: If the model does not have this option.
        ModelError: If weights cannot be fetched, or the model has no feature maps.
    """
    timm = _import_timm(name)
    try:
        return timm.create_model(
            timm_model_name(name), features_only=True, pretrained=pretrained, **size_option
        )
    except (TypeError, KeyError):
        raise
    except (AttributeError, RuntimeError) as error:
        if pretrained:
            raise download_error(name, error) from error
        raise ModelError(f"encoder '{name}' returns no feature maps: {reason(error)}") from error
    except Exception as error:  # errors of the hub, its client or the file fetched
        raise download_error(name, error) from error


class ResNetDesign(NamedTuple):
    """Number of blocks in each of a ResNet's four layers, and whether these are bottlenecks."""

    blocks: tuple[int, ...]
    has_bottlenecks: bool


RESNETS: Mapping[str, ResNetDesign] = {
    "resnet18": ResNetDesign((2, 2, 2, 2), has_bottlenecks=False),
    "resnet34": ResNetDesign((3, 4, 6, 3), has_bottlenecks=False),
    "resnet50": ResNetDesign((3, 4, 6, 3), has_bottlenecks=True),
    "resnet101": ResNetDesign((3, 4, 23, 3), has_bottlenecks=True),
    "resnet152": ResNetDesign((3, 8, 36, 3), has_bottlenecks=True),
}
"""ResNets by their names."""


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
        """Fetch torchvision's weights from timm (``tv_in1k``); always returns True.

        The first convolution is replicated over all stacked input frames.
        """
        with explain_missing_extra("a start from 'imagenet'", "train"):
            import timm
        model_name = f"{self.name}.tv_in1k"
        create_model: Any = timm.create_model
        try:
            state = create_model(model_name, pretrained=True).state_dict()
        except Exception as error:  # errors of the hub, its client or the file fetched
            raise download_error(f"timm/{model_name}", error) from error
        frame_count = self.encoder.conv1.in_channels // 3
        # Divided, so that the outputs stay the same if all frames are equal.
        repeated_weight = torch.cat([state["conv1.weight"]] * frame_count, dim=1)
        state["conv1.weight"] = repeated_weight / frame_count
        self.encoder.load_state_dict({key: state[key] for key in self.encoder.state_dict()})
        return True

    def maps(self, image: Channels) -> FeatureMaps:
        """Compute features of normalised images."""
        return tuple(self.encoder(image))
