"""Weights of Probe3D's own probes.

https://github.com/mbanani/probe3d keeps a probe's layers under ``head``. A DPT probe has
``conv_i``, ``ref_i.resConfUnit{1,2}.conv.{0,2}`` and ``out_conv.{0,2}``; a multiscale one has
``convs.i``, ``conv_mid.{0,2,4}`` and ``conv_out.{0,2}``; a linear one has ``conv``.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from rilievo.errors import ModelError
from rilievo.networks.probes.base import Probe
from rilievo.networks.probes.dpt import DptProbe
from rilievo.networks.probes.linear import LinearProbe
from rilievo.networks.probes.multiscale import MultiscaleProbe

_DPT = (
    (r"conv_(\d+)", r"project.\1"),
    (r"ref_(\d+)\.resConfUnit1\.conv\.0", r"levels.\1.first.conv1"),
    (r"ref_(\d+)\.resConfUnit1\.conv\.2", r"levels.\1.first.conv2"),
    (r"ref_(\d+)\.resConfUnit2\.conv\.0", r"levels.\1.second.conv1"),
    (r"ref_(\d+)\.resConfUnit2\.conv\.2", r"levels.\1.second.conv2"),
    (r"out_conv\.0", r"widen"),
    (r"out_conv\.2", r"answer"),
)
_MULTISCALE = (
    (r"convs\.(\d+)", r"project.\1"),
    (r"conv_mid\.0", r"middle.0"),
    (r"conv_mid\.2", r"middle.1"),
    (r"conv_mid\.4", r"middle.2"),
    (r"conv_out\.0", r"widen"),
    (r"conv_out\.2", r"answer"),
)
_LINEAR = ((r"conv", r"answer"),)


def load_original(probe: Probe, state: Mapping[str, Tensor]) -> None:
    """Load a state dict of Probe3D's program into a probe of the same kind and widths.

    Args:
        probe: Probe whose weights are replaced.
        state: Tensors by name, with or without the prefixes ``module.`` and ``head.``.

    Raises:
        ModelError: If the names or shapes are not those of this probe.
    """
    table = _table(probe)
    renamed = {_renamed(name, table): tensor for name, tensor in state.items()}
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
            raise ModelError(
                f"weights {name} of shape {tuple(tensor.shape)}: this probe has "
                f"{tuple(expected[name].shape)}; make it with the same widths"
            )
    probe.load_state_dict(renamed)


def _table(probe: Probe) -> tuple[tuple[str, str], ...]:
    if isinstance(probe, DptProbe):
        return _DPT
    if isinstance(probe, MultiscaleProbe):
        return _MULTISCALE
    if isinstance(probe, LinearProbe):
        return _LINEAR
    raise ModelError(
        f"Probe3D has no probe like {type(probe).__name__}: expected a dpt, multiscale or linear "
        "one"
    )


def _renamed(name: str, table: tuple[tuple[str, str], ...]) -> str:
    bare = name.removeprefix("module.").removeprefix("head.")
    layer, _, parameter = bare.rpartition(".")
    for pattern, ours in table:
        if found := re.fullmatch(pattern, layer):
            return f"{found.expand(ours)}.{parameter}"
    return bare
