"""Probes: small dense networks that read depth and normals from a backbone's features."""

from collections.abc import Sequence
from typing import Literal

from rilievo.errors import ModelError, OptionError, RilievoError, suggest
from rilievo.io.files.limits import reason
from rilievo.registry import is_import_path, load_outside
from rilievo.training.networks.blueprint import PROBES
from rilievo.training.networks.probes.heads import DepthHead as DepthHead
from rilievo.training.networks.probes.heads import NormalsHead as NormalsHead
from rilievo.training.networks.probes.lift import Enlargement
from rilievo.training.networks.probes.original import load_original as load_original
from rilievo.training.networks.probes.probe_base import Logits as Logits
from rilievo.training.networks.probes.probe_base import Probe

Preset = Literal["default", "probe3d", "probe3d-old"]
"""Method of enlarging maps and laying them over the image: geometrically right ("default"), that
of Probe3D's program ("probe3d"), or that of the paper's numbers ("probe3d-old")."""


def find_probe(kind: str) -> type[Probe]:
    """Find the class of a kind of probe.

    Args:
        kind: A name in ``PROBES``, or ``package.module:Class`` of a ``Probe``.

    Raises:
        OptionError: If there is no such kind.
    """
    if kind not in PROBES and not is_import_path(kind):
        raise OptionError(f"no probe '{kind}'; {suggest(kind, PROBES)}")
    place = f"{__name__}.{PROBES[kind]}" if kind in PROBES else kind
    probe = load_outside(place, "probe")
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
        kind: A name in ``PROBES``, or ``package.module:Class`` of a ``Probe``.
        channels: Number of channels of each of the backbone's maps.
        token_channels: Number of channels of each class token; 0 if the backbone gives none.
        outputs: Number of output channels: the sum of those that its heads read.
        preset: Method of enlarging maps and laying them over the image.
        hidden: Number of hidden channels; the kind's default if None.
        kernel: Side of the convolutions, as Probe3D's ``kernel_size``; its default if None, which
            is 3 for dpt and 1 for multiscale and linear.

    Raises:
        OptionError: If there is no such kind, or the kind has no hidden channels or choice of
            kernel.
        ModelError: If the counts or the kernel are impossible.
    """
    probe = find_probe(kind)
    if hidden is not None and not probe.usual_hidden:
        raise OptionError(f"a {kind} probe has no hidden: leave it out")
    if kernel is not None and not probe.usual_kernel:
        raise OptionError(f"a {kind} probe has no kernel: leave it out")
    enlargement: Enlargement = "corners" if preset == "probe3d" else "centres"
    # The old DPT probe repeated pixels; the other kinds have always been bilinear.
    if preset == "probe3d-old" and kind == "dpt":
        enlargement = "nearest"
    crop = preset == "default"
    try:
        return probe(
            channels,
            token_channels,
            outputs,
            hidden=hidden,
            kernel=kernel,
            enlargement=enlargement,
            crop=crop,
        )
    except RilievoError:
        raise
    except Exception as error:  # user code may raise anything
        if kind in PROBES:
            raise
        raise ModelError(
            f"probe '{kind}' cannot be made: {type(error).__name__}: {reason(error)}"
        ) from error
