"""A network as heavy as Depth Anything V2 small, with random weights: nothing is downloaded.

Usage: python -m benchmarks.depth_anything transformers FOLDER
       python -m benchmarks.depth_anything onnx FILE
       python -m benchmarks.depth_anything published FILE

Yang et al., "Depth Anything V2", 2024; the configuration is that of its small variant in
transformers: a DINOv2 encoder of width 384 and 12 blocks, a DPT head, 518 pixels a side.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import answer_of
from rilievo.models.onnx_files.onnx_model import FORMAT
from rilievo.models.resampling.preparation import Preparation, Rule, Sizing

if TYPE_CHECKING:
    import torch

SIDE = 518
"""Side of the network's input [px]."""
_PATCH = 14
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def save_for_transformers(folder: Path) -> Path:
    """Write the model and its image processor as ``transformers.pipeline`` loads them."""
    answer_of("depth_anything", "transformers", folder)
    return folder


def save_as_published(path: Path) -> Path:
    """Write the network as the ONNX file that the catalogue's adapter takes."""
    answer_of("depth_anything", "published", path)
    return path


def save_as_onnx(path: Path) -> Path:
    """Write the network as an ONNX file that rilievo runs."""
    answer_of("depth_anything", "onnx", path)
    return path


def _network() -> Any:
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    torch.manual_seed(0)
    encoder = Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=SIDE,
        patch_size=_PATCH,
        out_features=["stage3", "stage6", "stage9", "stage12"],  # pyright: ignore[reportCallIssue]
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=encoder,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
    )
    return DepthAnythingForDepthEstimation(config).eval()


def _to_transformers(folder: Path) -> None:
    from transformers import DPTImageProcessor

    _network().save_pretrained(folder)
    DPTImageProcessor(
        size={"height": SIDE, "width": SIDE},
        ensure_multiple_of=_PATCH,
        keep_aspect_ratio=True,
        resample=3,
        image_mean=list(_MEAN),
        image_std=list(_DEVIATION),
    ).save_pretrained(folder)


def _to_onnx(path: Path) -> None:
    import torch

    network = _network()

    class Wrapped(torch.nn.Module):
        """The network behind the contract of ``rilievo.models.onnx_files.onnx_model``."""

        mean: "torch.Tensor"
        deviation: "torch.Tensor"

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("mean", 255 * torch.tensor(_MEAN).view(1, 3, 1, 1))
            self.register_buffer("deviation", 255 * torch.tensor(_DEVIATION).view(1, 3, 1, 1))

        def forward(self, image: "torch.Tensor") -> "torch.Tensor":
            pixels = image.permute(0, 3, 1, 2).float()
            return self.network((pixels - self.mean) / self.deviation).predicted_depth

    _trace(Wrapped(), torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8), path, "image", "depth")
    _describe(path)


def _to_published(path: Path) -> None:
    import torch

    network = _network()

    class Answer(torch.nn.Module):
        """The network with one output."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixel_values: "torch.Tensor") -> "torch.Tensor":
            return self.network(pixel_values).predicted_depth

    _trace(Answer(), torch.zeros(1, 3, SIDE, SIDE), path, "pixel_values", "predicted_depth")


def _trace(
    network: "torch.nn.Module", example: "torch.Tensor", path: Path, given: str, answer: str
) -> None:
    import torch

    with warnings.catch_warnings():
        # The tracing exporter is older, but its files run a third faster.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=[given],
            output_names=[answer],
            opset_version=17,
            dynamo=False,
        )


def _describe(path: Path) -> None:
    import onnx

    model = onnx.load(str(path))
    facts = {
        "rilievo.format": FORMAT,
        "rilievo.name": "benchmark/as-heavy-as-depth-anything-v2-small",
        "rilievo.kind": "affine_inverse",
        "rilievo.licence": "random weights",
        "rilievo.focal": "none",
        **Preparation(sizing=Sizing(rule=Rule.FIXED, height=SIDE, width=SIDE)).metadata(),
    }
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(path))


if __name__ == "__main__":
    parts = {"transformers": _to_transformers, "onnx": _to_onnx, "published": _to_published}
    parts[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps(None))
