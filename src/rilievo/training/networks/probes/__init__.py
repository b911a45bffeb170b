"""Probes: small networks that predict from the features of a backbone."""

from collections.abc import Sequence
from typing import Literal

from rilievo.errors import ModelError, OptionError, RilievoError, suggest
from rilievo.extensions.trust import is_import_path
from rilievo.extensions.user_objects import load_user_object
from rilievo.io.files.limits import reason
from rilievo.training.networks.blueprint import PROBES
from rilievo.training.networks.probes.dense_probes import (
    load_probe3d_weights as load_probe3d_weights,
)
from rilievo.training.networks.probes.enlargement import Enlargement
from rilievo.training.networks.probes.heads import DepthHead as DepthHead
from rilievo.training.networks.probes.heads import NormalsHead as NormalsHead
from rilievo.training.networks.probes.probe import Logits as Logits
from rilievo.training.networks.probes.probe import Probe

Preset = Literal["default", "probe3d", "probe3d-old"]


def find_probe_class(kind: str) -> type[Probe]:
    """Find the class of a probe by its name in ``PROBES``, or as ``package.module:Class``.

    Raises:
        OptionError: If there is none.
    """
    if kind not in PROBES and not is_import_path(kind):
        raise OptionError(f"no probe '{kind}'; {suggest(kind, PROBES)}")
    import_path = f"{__name__}.{PROBES[kind]}" if kind in PROBES else kind
    probe = load_user_object(import_path, "probe")
    if not (isinstance(probe, type) and issubclass(probe, Probe)):
        raise OptionError(f"'{kind}' is no probe: it does not derive from {Probe.__module__}.Probe")
    return probe


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
        preset: How maps are enlarged and cropped.
        hidden: Hidden channels; None for those of the kind.
        kernel: Side of the convolutions; None for 3 with dpt, else 1.

    Raises:
        OptionError: If the kind is unknown, or has no hidden channels or kernel to choose.
        ModelError: If the counts or the kernel are impossible.
    """
    probe = find_probe_class(kind)
    if hidden is not None and not probe.usual_hidden:
        raise OptionError(f"a {kind} probe has no hidden: leave it out")
    if kernel is not None and not probe.usual_kernel:
        raise OptionError(f"a {kind} probe has no kernel: leave it out")
    enlargement: Enlargement = "corners" if preset == "probe3d" else "centres"
    # The old DPT probe repeated pixels; the other kinds have always been bilinear.
    if preset == "probe3d-old" and kind == "dpt":
        enlargement = "nearest"
    try:
        return probe(
            channels,
            token_channels,
            outputs,
            hidden=hidden,
            kernel=kernel,
            enlargement=enlargement,
            crop=preset == "default",
        )
    except RilievoError:
        raise
    except Exception as error:  # user code may raise anything
        if kind in PROBES:
            raise
        raise ModelError(
            f"probe '{kind}' cannot be made: {type(error).__name__}: {reason(error)}"
        ) from error
