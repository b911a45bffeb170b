"""ONNX export of a trained network: from uint8 pixels to depth and unit normals in one graph.

Input ``image`` uint8 (batch, height, width, 3), RGB, both sides multiples of 32. Outputs ``depth``
float32 (batch, height, width), up to one factor per image, ``normals`` float32
(batch, 3, height, width), unit, towards the camera, ``confidence`` float32 (batch, height, width),
the chance that depth is right within a factor of 1.25, and likewise ``sky``, the chance that a
pixel sees no surface.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.making.distil.depth_losses import confidence_of
from rilievo.arrays.shapes import Float32, UInt8
from rilievo.io.files.atomic import replacing
from rilievo.io.training_files import append_onnx_checksum
from rilievo.models.onnx_files.file_writing import append_metadata
from rilievo.models.onnx_files.onnx_model import FIRST_FORMAT
from rilievo.training.conversion.onnx_file import write_traced
from rilievo.training.networks.small import SmallNet, double_bilinearly
from rilievo.training.networks.small_weights import MULTIPLE

LICENCE = "Apache-2.0"
OUTPUTS = ("depth", "normals", "confidence", "sky")
_LARGEST_LOG_DEPTH = 6.9  # depth within a factor of 1000 of the image's (geometric) mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Provenance of a network, as written into its ONNX file.

    Attributes:
        trained_on: Training images, and origin of the encoder.
        licence: Licence of the weights.
        teacher: Models that labelled the images, with their licences; empty if none did.
        area: Pixels per image at inference. Training ends at 49,152; another value is only set
            where it scores better on held-out photographs.
    """

    name: str
    trained_on: str
    licence: str = LICENCE
    teacher: str = ""
    area: int = 49152


class Deployed(nn.Module):
    """The network as deployed, with bounded depth, unit normals, and chances in [0, 1]."""

    def __init__(self, network: SmallNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: UInt8[Tensor, "b h w 3"]) -> tuple[Float32[Tensor, "b *_"], ...]:
        """Return ``OUTPUTS``; the geometric mean of depth is 1 in every image."""
        surface = self.network(image)
        log_depth = surface.log_depth - surface.log_depth.mean(dim=(1, 2), keepdim=True)
        depth = log_depth.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH).exp()
        confidence = confidence_of(double_bilinearly(surface.log_spread[:, None])[:, 0])
        normals = F.normalize(double_bilinearly(surface.normals), dim=1)
        return depth, normals, confidence, surface.sky.sigmoid()


def export_small(network: SmallNet, path: Path, provenance: Provenance) -> None:
    """Write ``network`` as an ONNX file, with its name, licence and input format as metadata."""
    with replacing(path) as part:
        write_traced(
            Deployed(network).eval(),
            torch.zeros(1, 2 * MULTIPLE, 3 * MULTIPLE, 3, dtype=torch.uint8),
            part,
            outputs=OUTPUTS,
            free_size=True,
            free_batch=True,
        )
        append_metadata(part, metadata_of(provenance))
        append_onnx_checksum(part)


def metadata_of(provenance: Provenance) -> dict[str, str]:
    """Entries that an ONNX file of a network in fp32 has, but for its sum."""
    return {
        "rilievo.name": provenance.name,
        "rilievo.kind": "up_to_scale",
        "rilievo.area": str(provenance.area),
        "rilievo.multiple": str(MULTIPLE),
        "rilievo.licence": provenance.licence,
        "rilievo.trained_on": provenance.trained_on,
        **({"rilievo.teacher": provenance.teacher} if provenance.teacher else {}),
        "rilievo.precision": "fp32",
        "rilievo.format": FIRST_FORMAT,
    }
