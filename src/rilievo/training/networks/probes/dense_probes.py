"""Linear and multiscale probes of Probe3D (El Banani et al., CVPR 2024), and its weights."""

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.training.networks.probes.dpt_probes import DptProbe
from rilievo.training.networks.probes.enlargement import enlarge, resize
from rilievo.training.networks.probes.lift import Lifting, lift_conv
from rilievo.training.networks.probes.probe import Probe, TokenConv, concatenate_maps_and_tokens
from rilievo.training.tensors import Channels, Outputs, Tensors

_DPT_NAMES = (
    (r"conv_(\d+)", r"project.\1"),
    (r"ref_(\d+)\.resConfUnit1\.conv\.0", r"levels.\1.first.conv1"),
    (r"ref_(\d+)\.resConfUnit1\.conv\.2", r"levels.\1.first.conv2"),
    (r"ref_(\d+)\.resConfUnit2\.conv\.0", r"levels.\1.second.conv1"),
    (r"ref_(\d+)\.resConfUnit2\.conv\.2", r"levels.\1.second.conv2"),
    (r"out_conv\.0", r"widen"),
    (r"out_conv\.2", r"answer"),
)
_MULTISCALE_NAMES = (
    (r"convs\.(\d+)", r"project.\1"),
    (r"conv_mid\.0", r"middle.0"),
    (r"conv_mid\.2", r"middle.1"),
    (r"conv_mid\.4", r"middle.2"),
    (r"conv_out\.0", r"widen"),
    (r"conv_out\.2", r"answer"),
)
_LINEAR_NAMES = ((r"conv", r"answer"),)
"""Patterns of the names of layers in Probe3D, and ours."""
_SCALE = 4
"""Factor by which outputs are enlarged."""


def load_probe3d_weights(probe: Probe, state: Mapping[str, Tensor]) -> None:
    """Load the weights of a probe that Probe3D's program trained.

    Args:
        probe: Probe of the same kind and layers.
        state: Tensors by the names of that program, perhaps after ``module.`` or ``head.``.

    Raises:
        ModelError: If they are of another probe.
    """
    table = _probe3d_layer_patterns(probe)
    renamed = {_name_from_probe3d(name, table): tensor for name, tensor in state.items()}
    expected = probe.state_dict()
    missing, foreign = expected.keys() - renamed.keys(), renamed.keys() - expected.keys()
    if missing or foreign:
        raise ModelError(
            f"not the weights of this probe: {len(missing)} tensors are missing "
            f"({', '.join(sorted(missing)[:2])}), {len(foreign)} have no place "
            f"({', '.join(sorted(foreign)[:2])}); make the probe of the same kind and layers"
        )
    for name, tensor in renamed.items():
        if tensor.shape != expected[name].shape:
            # What make_probe takes to give weights their shape.
            same_kernel = tensor.shape[2:] == expected[name].shape[2:]
            cause = "widths" if same_kernel else f"kernel: kernel={tensor.shape[-1]}"
            raise ModelError(
                f"weights {name} of shape {tuple(tensor.shape)}: this probe has "
                f"{tuple(expected[name].shape)}; make it with the same {cause}"
            )
    probe.load_state_dict(renamed)


def _probe3d_layer_patterns(probe: Probe) -> tuple[tuple[str, str], ...]:
    tables = {DptProbe: _DPT_NAMES, MultiscaleProbe: _MULTISCALE_NAMES, LinearProbe: _LINEAR_NAMES}
    for kind, table in tables.items():
        if isinstance(probe, kind):
            return table
    raise ModelError(
        f"Probe3D has no probe like {type(probe).__name__}: expected a dpt, multiscale or linear "
        "one"
    )


def _name_from_probe3d(name: str, table: tuple[tuple[str, str], ...]) -> str:
    """Name that a tensor of Probe3D has in our probe."""
    bare = name.removeprefix("module.").removeprefix("head.")
    layer, _, parameter = bare.rpartition(".")
    for pattern, ours in table:
        layer_match = re.fullmatch(pattern, layer)
        if layer_match:
            return f"{layer_match.expand(ours)}.{parameter}"
    return bare


class LinearProbe(Probe):
    """Probe of one convolution of all maps; a 1×1 convolution comes before their enlargement."""

    usual_kernel = 1

    def build(self, hidden: int) -> None:
        """Make the convolution."""
        kernel = self.kernel
        self.answer = nn.Conv2d(self.inputs, self.outputs, kernel, padding=kernel // 2)
        self.last_scale = _SCALE if kernel == 1 else 1

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute the outputs before their enlargement."""
        x = concatenate_maps_and_tokens(maps, tokens)
        if self.kernel == 1:
            return self.answer(x)
        return lift_conv(x, self.answer, Lifting(_SCALE, self.enlargement))


class BatchNormProbe(Probe):
    """Linear probe of DINOv2 and DINOv3, which normalises features."""

    last_scale = _SCALE

    def build(self, hidden: int) -> None:
        """Make the norm and the convolution; there are no hidden channels."""
        self.normalise = nn.BatchNorm2d(self.inputs)
        self.answer = nn.Conv2d(self.inputs, self.outputs, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        assert self.answer.bias is not None, "made with one"
        nn.init.zeros_(self.answer.bias)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute the outputs before their enlargement."""
        x = concatenate_maps_and_tokens(maps, tokens).contiguous(memory_format=torch.channels_last)
        return self.answer(self.normalise(x))


class MultiscaleProbe(Probe):
    """Probe3D's multiscale probe, which enlarges features by 2 and by 4 with convolutions between.

    A kernel above 1 shifts the map, as in the original.
    """

    usual_hidden = 512
    usual_kernel = 1

    def build(self, hidden: int) -> None:
        """Make the convolutions."""
        kernel = self.kernel
        self.project = nn.ModuleList(
            TokenConv(c, self.token_channels, hidden, kernel) for c in self.channels
        )
        self.middle = nn.ModuleList(
            nn.Conv2d(inputs, hidden, kernel)
            for inputs in (hidden * len(self.channels), hidden, hidden)
        )
        self.widen = nn.Conv2d(hidden, hidden, kernel)
        self.answer = nn.Conv2d(hidden, self.outputs, kernel)
        self.to(memory_format=torch.channels_last)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at eight times the size of the features."""
        projected = [
            project(feature_map, None if tokens is None else tokens[layer])
            for layer, (project, feature_map) in enumerate(zip(self.project, maps, strict=True))
        ]
        height, width = projected[-1].shape[2:]
        x = torch.cat([resize(x, (height, width), self.enlargement) for x in projected], dim=1)
        first, second, third = self.middle
        x = self._convolve_enlarged(first, F.relu(x, inplace=True), 2).relu_()
        x = third(second(x).relu_()).relu_()
        return self.answer(self._convolve_enlarged(self.widen, x, _SCALE).relu_())

    def _convolve_enlarged(self, convolution: nn.Module, x: Tensor, scale: int) -> Channels:
        """Convolve the enlarged ``x``; a 1×1 convolution may come first."""
        if self.kernel == 1:
            return enlarge(convolution(x), scale, self.enlargement)
        return convolution(enlarge(x, scale, self.enlargement))
