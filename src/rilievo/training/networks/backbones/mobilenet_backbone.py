"""The MobileNetV2 encoder as a backbone."""

from pathlib import Path

from rilievo.errors import ModelError
from rilievo.training.networks.backbones.backbone import (
    IMAGENET,
    Backbone,
    BackboneProperties,
    BackboneRequest,
    Layer,
    LayerOutputs,
    make_properties,
    no_class_token_error,
)
from rilievo.training.networks.backbones.weights import load_weights, temporary_torch_seed
from rilievo.training.networks.mobilenetv2 import CHANNELS, MobileNetV2, load_gluon_mobilenet
from rilievo.training.tensors import Images

_STRIDES = (2, 2, 4, 8, 16, 32)
"""Strides of its maps [px]: of the stem, and of each size."""


class _MobileNet(Backbone):
    """MobileNetV2, whose layers are the stem and then the last block of each size."""

    def __init__(self, properties: BackboneProperties) -> None:
        super().__init__(properties)
        self.body = MobileNetV2()

    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        levels = self.body(pixels)
        return LayerOutputs(maps=tuple(levels[layer] for layer in self.properties.layers))


def load(request: BackboneRequest) -> Backbone:
    """Load MobileNetV2 with the weights of a file, or random ones."""
    if request.tokens:
        raise no_class_token_error(request.name)
    if request.pretrained is True:
        raise ModelError(
            f"backbone '{request.name}' has no weights that rilievo can download: save the "
            "initializers of mobilenetv2-7.onnx from the ONNX Model Zoo (github.com/onnx/models) "
            "as an .npz file and pass this file as its weights, or choose random weights"
        )
    layers = [
        Layer(channels=channels, stride=stride)
        for channels, stride in zip(CHANNELS, _STRIDES, strict=True)
    ]
    properties = make_properties(request, layers, IMAGENET, positions="none")
    with temporary_torch_seed(request.seed):
        backbone = _MobileNet(properties)
    if isinstance(request.pretrained, Path):
        if request.pretrained.suffix == ".npz":
            load_gluon_mobilenet(backbone.body, request.pretrained)
        else:
            load_weights(backbone.body, request.pretrained)
    return backbone
