"""A backbone with its probe and heads."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Size
from rilievo.training.networks.backbones import Backbone, make_backbone
from rilievo.training.networks.backbones.weights import temporary_torch_seed
from rilievo.training.networks.blueprint import PRETRAINED, RANDOM, Blueprint, Form, Readout
from rilievo.training.networks.features import Features
from rilievo.training.networks.probes import DepthHead, Logits, NormalsHead, Probe, make_probe
from rilievo.training.networks.probes.heads import (
    bin_centres,
    expected_centre,
    most_probable_centre,
)
from rilievo.training.networks.probes.probe import crop_and_resize, upsample_outputs
from rilievo.training.tensors import Images, Maps, Normals


class ProbeOutput(NamedTuple):
    """Output for a batch; None for what is not read.

    Attributes:
        depth: Depth, of the kind and in the unit of the blueprint.
        normals: Unit normals in the camera frame, towards the camera.
        kappa: Concentration of the normals, above 0.01; large where they are certain.
    """

    depth: Maps | None
    normals: Normals | None
    kappa: Maps | None


class BackboneWithProbe(nn.Module):
    """Backbone with its probe, and the heads that read depth and normals."""

    def __init__(self, blueprint: Blueprint, backbone: Backbone, probe: Probe) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.backbone = backbone
        self.probe = probe
        self.depth_head = DepthHead(blueprint.depth)
        self.normals_head = NormalsHead(uncertainty=blueprint.uncertainty)

    def forward(self, image: Images) -> ProbeOutput:
        """Predict from RGB in 0..1."""
        size = (int(image.shape[-2]), int(image.shape[-1]))
        return self.predict_from_features(self.backbone(image), size)

    def predict_from_features(self, features: Features, size: Size) -> ProbeOutput:
        """Predict from the features of an image, at a size (height, width) [px]."""
        logits = self.probe.logits(features)
        task = self.blueprint.task
        # The channels of depth come first, then those of normals.
        depth_channels = self.blueprint.depth_channels
        depth = None
        normals = None
        kappa = None
        if task.has_depth:
            depth = self._read_depth(logits.select_channels(0, depth_channels), size)
        if task.has_normals:
            end = depth_channels + self.blueprint.normals_channels
            normals, kappa = self.normals_head(logits.select_channels(depth_channels, end), size)
        return ProbeOutput(depth=depth, normals=normals, kappa=kappa)

    def _read_depth(self, logits: Logits, size: Size) -> Maps:
        """Compute depth by the head, or by operations that ONNX has while it is exported."""
        choice = self.blueprint.depth
        if not torch.onnx.is_in_onnx_export() or choice.form is not Form.BINS:
            return self.depth_head(logits, size)
        # An ONNX graph cannot loop over strips of rows, so the map of all bins is computed at once.
        bin_outputs = upsample_outputs(logits).permute(0, 2, 3, 1).float()
        centres = bin_centres(choice).to(bin_outputs)
        decode = expected_centre if choice.readout is Readout.EXPECTATION else most_probable_centre
        depth = decode(bin_outputs, centres, choice.normalisation)
        return crop_and_resize(depth[:, None], logits, size)[:, 0]


def stored_weights(network: nn.Module) -> Mapping[str, Tensor]:
    """Tensors of a network under the names that a run stores; see ``Backbone.stored_weights``."""
    tensors = dict(network.state_dict())
    for prefix, backbone in _backbones_by_prefix(network).items():
        tensors = {name: value for name, value in tensors.items() if not name.startswith(prefix)}
        tensors |= {f"{prefix}{name}": value for name, value in backbone.stored_weights().items()}
    return tensors


def rename_stored_weights(
    network: nn.Module, stored: Mapping[str, Tensor], path: Path
) -> Mapping[str, Tensor]:
    """Rename tensors of the file ``path`` to a network's parameters; undoes ``stored_weights``.

    Raises:
        ModelError: If a backbone's tensors belong to a different network.
    """
    tensors = dict(stored)
    for prefix, backbone in _backbones_by_prefix(network).items():
        backbone_names = [name for name in tensors if name.startswith(prefix)]
        backbone_tensors = {name.removeprefix(prefix): tensors.pop(name) for name in backbone_names}
        renamed = backbone.rename_stored_weights(backbone_tensors, path)
        tensors |= {f"{prefix}{name}": value for name, value in renamed.items()}
    return tensors


def _backbones_by_prefix(network: nn.Module) -> Mapping[str, Backbone]:
    """Backbones in a network, by the beginning of their tensors' names."""
    return {
        f"{name}.": module
        for name, module in network.named_modules()
        if isinstance(module, Backbone)
    }


def backbone_from_blueprint(blueprint: Blueprint) -> Backbone:
    """Make the frozen backbone of a blueprint, with its weights."""
    choice = blueprint.backbone
    if choice.weights in (PRETRAINED, RANDOM):
        pretrained: bool | Path = choice.weights == PRETRAINED
    else:
        pretrained = Path(choice.weights)
    # The treatments of Probe3D's program and paper differ in their probes, not their backbones.
    preset = "default" if blueprint.treatment == "default" else "probe3d"
    return make_backbone(
        choice.name,
        layers=choice.layers,
        tokens=choice.tokens,
        pretrained=pretrained,
        preset=preset,
        seed=choice.seed,
    )


def probe_from_blueprint(blueprint: Blueprint, backbone: Backbone, *, seed: int) -> Probe:
    """Make the probe of a blueprint for the features of a backbone, with random weights."""
    token_channels = backbone.token_channels
    with temporary_torch_seed(seed):
        return make_probe(
            blueprint.probe.kind,
            backbone.channels,
            token_channels[0] if token_channels else 0,
            blueprint.depth_channels + blueprint.normals_channels,
            preset=blueprint.treatment,  # pyright: ignore[reportArgumentType]
            hidden=blueprint.probe.hidden,
            kernel=blueprint.probe.kernel,
        )
