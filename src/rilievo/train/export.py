"""The embedded model as ONNX: everything from uint8 pixels to depth and unit normals in one graph.

Input ``image`` uint8 (batch, height, width, 3), RGB, both sides multiples of 32. Outputs ``depth``
float32 (batch, height, width), up to one factor per image, and ``normals`` float32
(batch, 3, height, width), unit, towards the camera.
"""

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from rilievo.errors import MissingExtraError
from rilievo.networks.small import MULTIPLE, SmallNet, double

NAME = "rilievo/small"
LICENCE = "Apache-2.0"
TRAINED_ON = (
    "scenes rendered by rilievo.datasets.synthetic (textures: procedural, photographs of Kodak's "
    "and scikit-image's) and 735 of the 795 training frames of NYU Depth V2's labelled set; the "
    "encoder started from ImageNet weights of the ONNX model zoo (Apache-2.0)"
)
_AREA = 49152
_OPSET = 17
_LARGEST_LOG_DEPTH = 6.9  # depth within a factor of 1000 of the image's (geometric) mean


class Deployed(nn.Module):
    """The network with what surrounds it in use: bounded depth and unit normals at full size."""

    def __init__(self, network: SmallNet) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, image: UInt8[Tensor, "b h w 3"]
    ) -> tuple[Float32[Tensor, "b h w"], Float32[Tensor, "b 3 h w"]]:
        """Return depth, whose geometric mean is 1 in every image, and normals."""
        surface = self.network(image)
        log_depth = surface.log_depth - surface.log_depth.mean(dim=(1, 2), keepdim=True)
        depth = log_depth.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH).exp()
        return depth, F.normalize(double(surface.normals), dim=1)


def export_small(network: SmallNet, path: Path, *, trained_on: str = TRAINED_ON) -> None:
    """Write ``network`` as an ONNX file with its name, licence and contract inside.

    Raises:
        MissingExtraError: If the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("exporting to ONNX", "train") from error
    deployed = Deployed(network).eval()
    example = torch.zeros(1, 2 * MULTIPLE, 3 * MULTIPLE, 3, dtype=torch.uint8)
    image_axes = {0: "batch", 1: "height", 2: "width"}
    with warnings.catch_warnings():
        # The older exporter is deprecated, but ONNX Runtime runs its graphs faster.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            deployed,
            (example,),
            str(path),
            input_names=["image"],
            output_names=["depth", "normals"],
            dynamic_axes={
                "image": image_axes,
                "depth": image_axes,
                "normals": {0: "batch", 2: "height", 3: "width"},
            },
            opset_version=_OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    facts = {
        "name": NAME,
        "kind": "up_to_scale",
        "area": str(_AREA),
        "multiple": str(MULTIPLE),
        "licence": LICENCE,
        "trained_on": trained_on,
        "format": "1",
    }
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"rilievo.{key}", value
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
