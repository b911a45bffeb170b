"""ONNX files of the layout and the detail network, from the averaged weights of their runs."""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from lab.making.distil.depth_losses import confidence_of
from lab.making.distil.small_export import export_small, metadata_of
from lab.making.lasting_task import AVERAGE
from lab.making.layout_network import MULTIPLE, LayoutNet
from lab.making.padding import fold_paddings
from lab.making.provenances import provenance_of
from lab.making.recipe_options import DETAIL, LAYOUT
from rilievo.errors import InputError
from rilievo.io.checks import append_sum
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import printable, reason
from rilievo.training.conversion.onnx_file import append_metadata, write_traced
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.widths import SMALL

OUTPUTS = ("depth", "normals", "confidence", "sky")
"""Outputs of the layout network's file, at an eighth of the size of its picture."""
_LARGEST_LOG_DEPTH = 6.9


class DeployedLayout(nn.Module):
    """The layout network with bounded depth, unit normals, and chances in [0, 1]."""

    def __init__(self, network: LayoutNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: UInt8[Tensor, "b h w 3"]) -> tuple[Float32[Tensor, "b *_"], ...]:
        """Return ``OUTPUTS``; the geometric mean of depth is 1 in every image."""
        layout = self.network(image)
        log_depth = layout.log_depth - layout.log_depth.mean(dim=(1, 2), keepdim=True)
        depth = log_depth.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH).exp()
        normals = F.normalize(layout.normals, dim=1)
        return depth, normals, confidence_of(layout.log_spread), layout.sky.sigmoid()


def export_layout(network: LayoutNet, path: Path) -> None:
    """Write a layout network as an ONNX file."""
    with replacing(path) as part:
        write_traced(
            DeployedLayout(network).eval(),
            torch.zeros(1, 2 * MULTIPLE, 3 * MULTIPLE, 3, dtype=torch.uint8),
            part,
            outputs=OUTPUTS,
            free_size=True,
            free_batch=True,
        )
        fold_paddings(part)
        append_metadata(part, metadata_of(provenance_of(LAYOUT, photographs=True)))
        append_sum(part)


def export_run(run: Path, path: Path, *, recipe: str) -> None:
    """Write the averaged weights of a run of ``layout`` or ``detail`` as an ONNX file.

    Those of a layout run have the right statistics only once it has ended.

    Raises:
        InputError: If the folder has no such weights.
    """
    if recipe == LAYOUT:
        layout = LayoutNet()
        read_averaged(run, layout)
        export_layout(layout, path)
    else:
        detail = SmallNet(SMALL)
        read_averaged(run, detail)
        export_small(detail, path, provenance_of(DETAIL, photographs=True))


def read_averaged(run: Path, network: nn.Module) -> None:
    """Fill a network with the averaged weights of a run."""
    path = run / AVERAGE
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(stored["network"])
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(
            f"{printable(path)}: no weights of the network ({reason(error)})"
        ) from error
