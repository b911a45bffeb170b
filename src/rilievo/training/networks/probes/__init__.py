"""Probes: small networks that predict from the features of a backbone."""

from collections.abc import Sequence
from typing import Literal

from rilievo.errors import ModelError, OptionError, RilievoError, suggest
from rilievo.extensions.foreign_code import load_user_object
from rilievo.extensions.trust import is_import_path
from rilievo.io.files.limits import reason
from rilievo.training.networks.blueprint import PROBES
from rilievo.training.networks.probes.dense_probes import (
    load_probe3d_weights as load_probe3d_weights,
)
from rilievo.training.networks.probes.heads import DepthHead as DepthHead
from rilievo.training.networks.probes.heads import NormalsHead as NormalsHead
from rilievo.training.networks.probes.probe import Logits as Logits
from rilievo.training.networks.probes.probe import Probe
from rilievo.training.networks.probes.upsampling import UpsamplingMode

Preset = Literal["default", "probe3d", "probe3d-old"]


def find_probe_class(kind: str) -> type[Probe]:
    """Find the class of a probe by its name in ``PROBES``, or as ``package.module:Class``."""
    if kind not in PROBES and not is_import_path(kind):
        raise OptionError(f"no probe '{kind}'; {suggest(kind, PROBES)}")
    import_path = f"{__name__}.{PROBES[kind]}" if kind in PROBES else kind
    probe_class = load_user_object(import_path, "probe")
    if not (isinstance(probe_class, type) and issubclass(probe_class, Probe)):
        raise OptionError(
            f"'{kind}' is not a probe: it does not derive from {Probe.__module__}.Probe"
        )
    return probe_class


def make_probe(
    kind: str,
    channels: Sequence[int],
    token_channels: int,
    outputs: int,
    *,
    preset: Preset = "default",
    hidden: int | None = None,
    kernel: int | None = None,
) -> Probe:
    """Make a probe with random weights.

    Args:
        kind: Name of the probe.
        channels: Channels of each map of the features.
        token_channels: Channels of each class token; 0 for none.
        outputs: Number of outputs that the heads read together.
        preset: How maps are upsampled and cropped.
        hidden: Hidden channels; None for those of the kind.
        kernel: Side of the convolutions; None for 3 with dpt, else 1.
    """
    probe_class = find_probe_class(kind)
    if hidden is not None and not probe_class.default_hidden:
        raise OptionError(f"a {kind} probe has no hidden channels: leave out 'hidden'")
    if kernel is not None and not probe_class.default_kernel:
        raise OptionError(f"a {kind} probe has no kernel: leave out 'kernel'")
    upsampling_mode: UpsamplingMode = "corners" if preset == "probe3d" else "centres"
    # Only the old DPT probe repeated pixels; the other kinds have always been bilinear.
    if preset == "probe3d-old" and kind == "dpt":
        upsampling_mode = "nearest"
    try:
        return probe_class(
            channels,
            token_channels,
            outputs,
            hidden=hidden,
            kernel=kernel,
            upsampling_mode=upsampling_mode,
            crop=preset == "default",
        )
    except RilievoError:
        raise
    except Exception as error:  # user code may raise anything
        if kind in PROBES:
            raise
        raise ModelError(
            f"probe '{kind}' cannot be created: {type(error).__name__}: {reason(error)}"
        ) from error
