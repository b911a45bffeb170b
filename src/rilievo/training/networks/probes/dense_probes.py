"""Linear and multiscale probes of Probe3D (El Banani et al., CVPR 2024), and its weights."""

import re
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.training.networks.probes.dpt_probes import DptProbe
from rilievo.training.networks.probes.probe import Probe, TokenConv, concatenate_maps_and_tokens
from rilievo.training.networks.probes.upsampled_convolution import Upsampling, upsample_conv
from rilievo.training.networks.probes.upsampling import resize, upsample
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
"""Patterns of the names that layers have in Probe3D, and our names."""
_SCALE = 4
"""Factor by which outputs are upsampled."""


def load_probe3d_weights(probe: Probe, state: Mapping[str, Tensor]) -> None:
    """Load the weights of a probe that was trained with Probe3D's code.

    The names of tensors in ``state`` may begin with ``module.`` or ``head.``.
    """
    name_patterns = _probe3d_name_patterns(probe)
    renamed = {_name_from_probe3d(name, name_patterns): tensor for name, tensor in state.items()}
    expected = probe.state_dict()
    _check_same_names(renamed, expected)
    for name, tensor in renamed.items():
        _check_same_shape(name, tensor, expected[name])
    probe.load_state_dict(renamed)


def _check_same_names(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ``ModelError`` if tensors are missing, or others are there."""
    missing = expected.keys() - tensors.keys()
    extra = tensors.keys() - expected.keys()
    problems = []
    if missing:
        problems.append(f"they lack {_tensors_text(missing)}")
    if extra:
        problems.append(f"they also contain {_tensors_text(extra)}")
    if problems:
        raise ModelError(
            f"the weights do not fit this probe, because {' and '.join(problems)}; create a probe "
            "of the same kind with the same layers"
        )


def _check_same_shape(name: str, tensor: Tensor, expected: Tensor) -> None:
    """Raise ``ModelError`` if a tensor has another shape, which is blamed on the kernel first."""
    if tensor.shape == expected.shape:
        return
    has_same_kernel = tensor.shape[2:] == expected.shape[2:]
    hint = "create the probe with the same numbers of channels"
    if not has_same_kernel:
        hint = f"create the probe with kernel={tensor.shape[-1]}"
    raise ModelError(
        f"the weights {name} have the shape {tuple(tensor.shape)}, but this probe expects "
        f"{tuple(expected.shape)}; {hint}"
    )


def _tensors_text(names: Collection[str]) -> str:
    """Number of tensors, and the names of the first two."""
    count = "1 tensor" if len(names) == 1 else f"{len(names)} tensors"
    etc = ", ..." if len(names) > 2 else ""
    return f"{count} ({', '.join(sorted(names)[:2])}{etc})"


def _probe3d_name_patterns(probe: Probe) -> tuple[tuple[str, str], ...]:
    patterns_by_class = {
        DptProbe: _DPT_NAMES,
        MultiscaleProbe: _MULTISCALE_NAMES,
        LinearProbe: _LINEAR_NAMES,
    }
    for probe_class, name_patterns in patterns_by_class.items():
        if isinstance(probe, probe_class):
            return name_patterns
    raise ModelError(
        f"Probe3D has no probe like {type(probe).__name__}; expected a dpt, multiscale or linear "
        "probe"
    )


def _name_from_probe3d(name: str, name_patterns: tuple[tuple[str, str], ...]) -> str:
    """Name that a tensor of Probe3D has in our probe."""
    unprefixed = name.removeprefix("module.").removeprefix("head.")
    layer, _, parameter = unprefixed.rpartition(".")
    for pattern, our_layer in name_patterns:
        layer_match = re.fullmatch(pattern, layer)
        if layer_match:
            return f"{layer_match.expand(our_layer)}.{parameter}"
    return unprefixed


class LinearProbe(Probe):
    """Probe of one convolution of all maps; a 1×1 convolution comes before their upsampling."""

    default_kernel = 1

    def build(self, hidden: int) -> None:
        """Make the convolution."""
        kernel = self.kernel
        self.answer = nn.Conv2d(self.inputs, self.outputs, kernel, padding=kernel // 2)
        self.last_scale = _SCALE if kernel == 1 else 1

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute the outputs before their upsampling."""
        x = concatenate_maps_and_tokens(maps, tokens)
        if self.kernel == 1:
            return self.answer(x)
        return upsample_conv(x, self.answer, Upsampling(_SCALE, self.upsampling_mode))


class BatchNormProbe(Probe):
    """Linear probe of DINOv2 and DINOv3, which normalises features."""

    last_scale = _SCALE

    def build(self, hidden: int) -> None:
        """Make the norm and the convolution; there are no hidden channels."""
        self.normalise = nn.BatchNorm2d(self.inputs)
        self.answer = nn.Conv2d(self.inputs, self.outputs, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        assert self.answer.bias is not None, "convolutions have a bias by default"
        nn.init.zeros_(self.answer.bias)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute the outputs before their upsampling."""
        x = concatenate_maps_and_tokens(maps, tokens).contiguous(memory_format=torch.channels_last)
        return self.answer(self.normalise(x))


class MultiscaleProbe(Probe):
    """Probe3D's multiscale probe, which upsamples features by 2 and by 4 with convolutions between.

    A kernel above 1 shifts the map, as in the original.
    """

    default_hidden = 512
    default_kernel = 1

    def build(self, hidden: int) -> None:
        """Create the convolutions; stored weights have the names of these attributes."""
        kernel = self.kernel
        self.project = nn.ModuleList(
            TokenConv(channels, self.token_channels, hidden, kernel) for channels in self.channels
        )
        self.middle = nn.ModuleList(
            nn.Conv2d(in_channels, hidden, kernel)
            for in_channels in (hidden * len(self.channels), hidden, hidden)
        )
        self.widen = nn.Conv2d(hidden, hidden, kernel)  # with an upsampling by _SCALE
        self.answer = nn.Conv2d(hidden, self.outputs, kernel)
        self.to(memory_format=torch.channels_last)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at eight times the size of the features: by 2, and then by 4."""
        layer_tokens = [None] * len(maps) if tokens is None else tokens
        projected_maps = [
            project(feature_map, token)
            for project, feature_map, token in zip(self.project, maps, layer_tokens, strict=True)
        ]
        height, width = projected_maps[-1].shape[2:]
        resized = [resize(x, (height, width), self.upsampling_mode) for x in projected_maps]
        x = torch.cat(resized, dim=1).relu_()
        first, second, third = self.middle
        x = self._upsample_and_convolve(first, x, scale=2).relu_()
        x = second(x).relu_()
        x = third(x).relu_()
        x = self._upsample_and_convolve(self.widen, x, scale=_SCALE).relu_()
        return self.answer(x)

    def _upsample_and_convolve(self, convolution: nn.Module, x: Tensor, scale: int) -> Channels:
        """Upsample ``x`` and convolve.

        A 1×1 convolution comes before the upsampling, which has the same result and is cheaper.
        """
        if self.kernel == 1:
            return upsample(convolution(x), scale, self.upsampling_mode)
        return convolution(upsample(x, scale, self.upsampling_mode))
