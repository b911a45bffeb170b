"""ONNX files of the layout and the detail network, from the averaged weights of their runs."""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from lab.making.distil.depth_losses import confidence_of
from lab.making.distil.small_export import export_small, metadata_of
from lab.making.lasting_task import AVERAGE, Network
from lab.making.layout_network import MULTIPLE, Layout, LayoutNet, NormalsDecoder
from lab.making.padding import fold_paddings
from lab.making.provenances import provenance_of
from lab.making.recipe_options import DETAIL, LAYOUT
from rilievo.errors import InputError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.training_files import append_onnx_checksum
from rilievo.models.onnx_files.file_writing import append_metadata
from rilievo.training.conversion.onnx_file import write_traced
from rilievo.training.networks.small import SMALL, SmallNet

OUTPUTS = ("depth", "normals", "confidence", "sky")
"""Outputs of the layout network's file, at an eighth of the size of its picture."""
_LARGEST_LOG_DEPTH = 6.9


class DeployedLayout(nn.Module):
    """Layout networks with bounded depth, unit normals, and chances in [0, 1].

    The first one sees a picture, the last one its mirror image, and the mean of both answers
    counts. Where they differ, half the difference is added to the expected error. Normals come
    from a decoder on the features of the first one, if there is such a decoder.
    """

    def __init__(self, *networks: LayoutNet, normals: NormalsDecoder | None = None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(dict.fromkeys(networks))
        self.normals = normals

    def forward(self, image: UInt8[Tensor, "b h w 3"]) -> tuple[Float32[Tensor, "b *_"], ...]:
        """Return ``OUTPUTS``; the geometric mean of depth is 1 in every image."""
        layout = self.networks[0](image)
        seen = _answer(layout)
        mirrored = [each.flip(-1) for each in _answer(self.networks[-1](image.flip(2)))]
        (one, normals, error, sky), (other, turned, other_error, other_sky) = seen, mirrored
        log_depth = (one + other) / 2
        depth = log_depth.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH).exp()
        if self.normals is None:
            x, yz = turned.split((1, 2), dim=1)
            normals = F.normalize(normals + torch.cat([-x, yz], dim=1), dim=1)
        else:
            normals = F.normalize(self.normals(layout.levels), dim=1)
        error = (error + other_error + (one - other).abs()) / 2
        return depth, normals, confidence_of(error.log()), (sky + other_sky) / 2


def _answer(layout: Layout) -> tuple[Float32[Tensor, "b *_"], ...]:
    """Log depth of mean zero, unit normals, expected error and chance of sky."""
    logs = layout.log_depth - layout.log_depth.mean(dim=(1, 2), keepdim=True)
    error = layout.log_spread.exp()
    return logs, F.normalize(layout.normals, dim=1), error, layout.sky.sigmoid()


def export_layout(path: Path, *networks: LayoutNet, normals: NormalsDecoder | None = None) -> None:
    """Write a layout network as an ONNX file, or two, the second for mirror images.

    ``normals`` is a decoder for normals that reads the first network's features.
    """
    with replacing(path) as part:
        write_traced(
            DeployedLayout(*networks, normals=normals).eval(),
            torch.zeros(1, 2 * MULTIPLE, 3 * MULTIPLE, 3, dtype=torch.uint8),
            part,
            outputs=OUTPUTS,
            free_size=True,
            free_batch=True,
        )
        fold_paddings(part)
        append_metadata(part, metadata_of(provenance_of(LAYOUT, photographs=True)))
        append_onnx_checksum(part)


def export_run(run: Path, path: Path, *, recipe: str, mirrored: Path | None = None) -> None:
    """Write the averaged weights of a run of ``layout`` or ``detail`` as an ONNX file.

    Those of a layout run have the right statistics only once it has ended.

    Args:
        run: Folder of the run.
        path: ONNX file to write.
        recipe: Recipe of the run.
        mirrored: Folder of another run of ``layout``, for mirror images.

    Raises:
        InputError: If a folder has no such weights.
    """
    if recipe == LAYOUT:
        networks = [_averaged(each, LayoutNet()) for each in (run, mirrored) if each is not None]
        export_layout(path, *networks)
    else:
        detail = _averaged(run, SmallNet(SMALL))
        export_small(detail, path, provenance_of(DETAIL, photographs=True))


def _averaged(run: Path, network: Network) -> Network:
    """Fill a network with the averaged weights of a run, and return it."""
    path = run / AVERAGE
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(stored["network"])
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(
            f"{printable(path)}: no weights of the network ({reason(error)})"
        ) from error
    return network
