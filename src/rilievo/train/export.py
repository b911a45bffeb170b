"""ONNX export of the embedded model: from uint8 pixels to depth and unit normals in one graph.

Input ``image`` uint8 (batch, height, width, 3), RGB, both sides multiples of 32. Outputs ``depth``
float32 (batch, height, width), up to one factor per image, ``normals`` float32
(batch, 3, height, width), unit, towards the camera, ``confidence`` float32 (batch, height, width),
the chance that depth is right within a factor of 1.25, and likewise ``sky`` and ``steps``, the
chances that a pixel sees no surface and that it lies on a step of depth of 10 % and more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from rilievo.io.atomic import replacing
from rilievo.io.checksums import append_sum
from rilievo.losses.depth import confidence_of
from rilievo.models.conversion.onnx_file import append_metadata, write_traced
from rilievo.models.onnx import FIRST_FORMAT
from rilievo.networks.small import MULTIPLE, SmallNet, double

LICENCE = "Apache-2.0"
_SCENES = (
    "scenes rendered by rilievo's own renderer (textures: procedural, photographs of Kodak's and "
    "scikit-image's)"
)
_NYU = "735 of the 795 training frames of NYU Depth V2's labelled set"
_ENCODER = "the encoder started from ImageNet weights of the ONNX model zoo (Apache-2.0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Provenance of a network, as written into its ONNX file.

    Attributes:
        trained_on: Training images, and origin of the encoder.
        area: Pixels per image at inference. Training ends at 49,152; another value is only set
            where it scores better on held-out photographs.
    """

    name: str
    trained_on: str
    photographs: bool = True
    area: int = 49152


_MODELS = (
    f"{_SCENES[:-1]}, materials of ambientCG; 3-D models of AWS RoboMaker worlds, MIT-0, "
    "and of the Gazebo model collection, CC BY 3.0"
)
_RESNET = (
    "the encoder started from ImageNet weights of ResNet50 v2 of the ONNX model zoo (Apache-2.0)"
)

_FURTHER = Provenance(
    name="rilievo/base",
    trained_on=f"{_MODELS}, of Kenney and Poly Haven, CC0) and {_NYU}; {_RESNET}",
)
PROVENANCES: Mapping[str, Provenance] = {
    "small": Provenance(
        name="rilievo/small", trained_on=f"{_SCENES} and {_NYU}; {_ENCODER}", area=64512
    ),
    "tiny": Provenance(name="rilievo/tiny", trained_on=f"{_SCENES} and {_NYU}; {_ENCODER}"),
    "small-rendered": Provenance(
        name="rilievo/small-rendered",
        trained_on=f"{_SCENES}, and nothing else; {_ENCODER}",
        photographs=False,
    ),
    "base": Provenance(name="rilievo/base", trained_on=f"{_MODELS}) and {_NYU}; {_RESNET}"),
    "base-further": _FURTHER,
    "base-marks": _FURTHER,
}
"""Provenance of the networks that ship with rilievo, and of their teacher, by recipe."""

OUTPUTS = ("depth", "normals", "confidence", "sky", "steps")
_LARGEST_LOG_DEPTH = 6.9  # depth within a factor of 1000 of the image's (geometric) mean


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
        confidence = confidence_of(double(surface.log_spread[:, None])[:, 0])
        normals = F.normalize(double(surface.normals), dim=1)
        return depth, normals, confidence, surface.sky.sigmoid(), surface.steps.sigmoid()


def provenance_of(recipe: str, *, photographs: bool) -> Provenance:
    """Return the provenance of a network trained by a recipe, with photographs or without.

    A network that does not ship with rilievo has the recipe's own name.
    """
    known = PROVENANCES.get(recipe)
    if known is not None and known.photographs == photographs:
        return known
    return Provenance(
        name=recipe,
        trained_on=f"the frames that were given to the recipe '{recipe}'",
        photographs=photographs,
    )


def export_small(
    network: SmallNet, path: Path, provenance: Provenance = PROVENANCES["small"]
) -> None:
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
        metadata = {
            "rilievo.name": provenance.name,
            "rilievo.kind": "up_to_scale",
            "rilievo.area": str(provenance.area),
            "rilievo.multiple": str(MULTIPLE),
            "rilievo.licence": LICENCE,
            "rilievo.trained_on": provenance.trained_on,
            "rilievo.precision": "fp32",
            "rilievo.format": FIRST_FORMAT,
        }
        append_metadata(part, metadata)
        append_sum(part)
