"""Compare adapters of the catalogue with other programs' own networks, with random weights.

    pip install -e '.[models]' timm dlr-moge depth-estimation libreyolo
    python lab/studies/compare_with_authors.py [moge|da2|da3|midas ...]

Use an environment of its own, because these packages bring Gradio and more. Each network is written
as ONNX, as its publishers do, and our adapter of that file is compared with

* moge: ``infer()`` of dlr-moge (MIT), by the authors of MoGe-2;
* da2: image processor and network of Depth Anything V2 in transformers (Apache-2.0);
* da3: image processor and network of Depth Anything 3 small in depth-estimation (MIT);
* midas: ``predict()`` of MiDaS 2.1 small in libreyolo (MIT).
"""

import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor, nn

from rilievo.geometry.intrinsics import K_from_fov
from rilievo.models import MODELS
from rilievo.models.catalogue.graphs.graph_facts import graph_facts
from rilievo.models.catalogue.graphs.published_graph import open_graph
from rilievo.models.load_options import LoadOptions
from rilievo.types import Camera, Photo

TOKENS = 1200
FOV = 50.0
PHOTOGRAPH: UInt8[np.ndarray, "h w 3"] = skimage.data.coffee()[:392, :560]
WIDTHS = [96, 64, 32, 32, 32]


def moge_network() -> Any:
    """Return a random MoGe-2 network whose points fit a pinhole camera roughly, as real ones do."""
    from moge.model.v2 import MoGeModel
    from moge.utils.geometry_torch import normalized_view_plane_uv

    class Network(MoGeModel):
        def _remap_points(self, points: Tensor) -> Tensor:
            height, width = points.shape[1:3]
            plane = normalized_view_plane_uv(
                width=width, height=height, aspect_ratio=width / height, dtype=points.dtype
            )
            z = 2 + torch.tanh(points[..., 2:] / 2)
            return torch.cat([(z + 0.4) * 0.9 * plane + 0.03 * torch.tanh(points[..., :2]), z], -1)

    def stack(inputs: list[int], outputs: list[int | None]) -> Mapping[str, Any]:
        return {
            "dim_in": inputs,
            "dim_res_blocks": WIDTHS,
            "dim_out": outputs,
            "resamplers": ["bilinear"] * 4,
        }

    heads = {
        f"{name}_head": stack(WIDTHS, [None] * 4 + [channels])
        for name, channels in (("points", 3), ("mask", 1), ("normal", 3))
    }
    encoder = {"backbone": "dinov2_vits14", "intermediate_layers": 4, "dim_out": WIDTHS[0]}
    neck = stack([WIDTHS[0] + 2, 2, 2, 2, 2], [None] * 5)
    return Network(encoder, neck, **heads, scale_head={"dims": [384, 384, 1]}).eval()


def export(
    graph: nn.Module, given: tuple[Tensor, ...], path: Path, inputs: str, outputs: str
) -> None:
    """Write a network as ONNX, with the names of its inputs and outputs."""
    names = {"input_names": inputs.split(), "output_names": outputs.split()}
    torch.onnx.export(graph, given, path, dynamo=False, **names)


class _MogeGraph(nn.Module):
    """The network as its authors export it: a mode without what ONNX lacks, outputs in order."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        network.onnx_compatible_mode = True

    def forward(self, image: Tensor, num_tokens: Tensor) -> tuple[Tensor, ...]:
        answer = self.network.forward(image, num_tokens)
        return tuple(answer[name] for name in ("points", "normal", "mask", "metric_scale"))


def compare_moge(folder: Path) -> None:
    """Print how far depth, normals, mask and focal length are from those of ``infer()``."""
    network = moge_network()
    image = torch.from_numpy(PHOTOGRAPH / np.float32(255)).permute(2, 0, 1)
    said = {
        fov: network.infer(image, num_tokens=TOKENS, use_fp16=False, fov_x=fov, apply_mask=False)
        for fov in (None, FOV)
    }
    path = folder / "moge.onnx"
    given, outputs = (image[None], torch.tensor(TOKENS)), "points normal mask scale"
    export(_MogeGraph(network), given, path, "image num_tokens", outputs)
    card, options = MODELS["moge-2/small"], LoadOptions(device="cpu", settings={"tokens": TOKENS})
    ours = open_graph(path, options, card, weights_sha256="0")
    height, width = PHOTOGRAPH.shape[:2]
    for fov, theirs in said.items():
        camera = None if fov is None else Camera(K=K_from_fov(fov, (height, width)))
        [answer] = ours.infer([Photo(pixels=PHOTOGRAPH, camera=camera)])
        assert answer.normals is not None
        assert answer.camera is not None
        mask, depth = theirs["mask"].numpy(), theirs["depth"].numpy()
        both = mask & answer.valid
        cosine = np.einsum("chw,hwc->hw", answer.normals, theirs["normal"].numpy())
        focal = float(theirs["intrinsics"][0, 0]) * width
        print(
            f"MoGe-2, field of view {'found' if fov is None else 'given'}: "
            f"depth {np.abs(answer.depth / depth - 1)[both].max():.1e} at most, "
            f"focal length {abs(answer.camera.K[0, 0] / focal - 1):.1e}, "
            f"normals {np.degrees(np.arccos(cosine.clip(-1, 1))).mean():.3f} degrees in the mean, "
            f"mask differs in {(mask != answer.valid).mean():.1e} of the pixels"
        )


def compare_depth_anything(folder: Path) -> None:
    """Print how far the answer is from that of transformers' pipeline."""
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTImageProcessorPil,
    )

    layers = ["stage3", "stage6", "stage9", "stage12"]
    backbone = Dinov2Config(
        hidden_size=384,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        out_features=layers,  # type: ignore[call-arg]  # by a mixin
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=384, neck_hidden_sizes=[48, 96, 192, 384]
    )
    network = DepthAnythingForDepthEstimation(config).eval()
    # As the published preprocessor_config.json has it.
    preparation = graph_facts("depth-anything-v2").preparation
    assert preparation is not None
    processor = DPTImageProcessorPil(
        size={"height": 518, "width": 518},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        resample=Image.Resampling.BICUBIC,
        image_mean=preparation.mean,
        image_std=preparation.std,
    )
    # Their other processor rounds a few pixels of a bicubic resize the other way. Both
    # enlarge smaller photographs less than the authors' program does.
    photograph = np.asarray(Image.fromarray(PHOTOGRAPH).resize((800, 600)))
    with torch.no_grad():
        given = processor(Image.fromarray(photograph), return_tensors="pt")
        theirs = network(**given).predicted_depth[0].numpy()

    graph = _Graph(network, lambda pixels: network(pixels).predicted_depth)
    export(graph, (given["pixel_values"],), folder / "da2.onnx", "pixel_values", "predicted_depth")
    _compare(
        "Depth Anything V2", "depth-anything-v2/small", folder / "da2.onnx", photograph, theirs
    )


def compare_depth_anything_3(folder: Path) -> None:
    """Print how far depth is from that of depth-estimation.

    The photograph has the size of the network's input, where both ways of resizing do nothing.
    """
    from depth_estimation.models.depth_anything_v3 import (
        DepthAnythingV3Config,
        DepthAnythingV3Model,
    )
    from depth_estimation.processing_utils import DepthProcessor

    photograph = skimage.data.coffee()[:378, :504]
    config = DepthAnythingV3Config(backbone="small", input_size=378)
    network = DepthAnythingV3Model(config).eval()
    given = DepthProcessor.from_config(config)(photograph)["pixel_values"]
    with torch.no_grad():
        theirs = network(given)[0].numpy()

    graph = _Graph(network, lambda pixels: network(pixels[:, 0])[:, None])
    export(graph, (given[:, None],), folder / "da3.onnx", "pixel_values", "predicted_depth")
    _compare("Depth Anything 3", "depth-anything-3/small", folder / "da3.onnx", photograph, theirs)


def compare_midas(folder: Path) -> None:
    """Print how far inverse depth is from that of libreyolo, at the network's size as above."""
    from libreyolo.models.midas import LibreMiDaS

    photograph = skimage.data.coffee()[:256, :256]
    program = LibreMiDaS(None, size="s", device="cpu")
    theirs = np.asarray(program.predict(Image.fromarray(photograph)).depth_map.data)

    graph, image = (
        _Graph(program.model, program.model.forward_normalized),
        torch.zeros(1, 3, 256, 256),
    )
    export(graph, (image,), folder / "midas.onnx", "image", "predicted_depth")
    _compare("MiDaS", "midas/small", folder / "midas.onnx", photograph, theirs)


def compare_zipdepth(folder: Path) -> None:
    """Print how far inverse depth is from libreyolo's, with resizing and at the network's size.

    Their resizing rounds to whole grey levels, and ours does not.
    """
    from libreyolo.models.zipdepth import LibreZipDepth
    from libreyolo.models.zipdepth.utils import preprocess_numpy

    network = LibreZipDepth(None, size="b", device="cpu").model.eval()
    for photograph in (skimage.data.coffee(), skimage.data.coffee()[:384, :576]):
        image = torch.from_numpy(preprocess_numpy(photograph, 384)[0])[None]
        with torch.no_grad():
            theirs = network(image)[0, 0].numpy()
        path = folder / f"zipdepth-{len(photograph)}.onnx"
        export(network, (image,), path, "pixel_values", "predicted_depth")
        _compare(f"ZipDepth, {len(photograph)} rows", "zipdepth", path, photograph, theirs)


class _Graph(nn.Module):
    """A network whose depth alone is exported."""

    def __init__(self, network: nn.Module, depth: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.depth = network, depth

    def forward(self, image: Tensor) -> Tensor:
        return self.depth(image)


def _compare(
    name: str,
    model: str,
    path: Path,
    photograph: UInt8[np.ndarray, "h w 3"],
    theirs: np.ndarray,
) -> None:
    ours = open_graph(path, LoadOptions(device="cpu"), MODELS[model], weights_sha256="0")
    [answer] = ours.infer([Photo(pixels=photograph)])
    assert answer.depth is not None
    off = np.abs(answer.depth - theirs) / np.ptp(theirs)
    print(f"{name}: {off.mean():.1e} of the range in the mean, {off.max():.1e} at most")


COMPARISONS = {
    "moge": compare_moge,
    "da2": compare_depth_anything,
    "da3": compare_depth_anything_3,
    "midas": compare_midas,
    "zipdepth": compare_zipdepth,
}

if __name__ == "__main__":
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        for name in sys.argv[1:] or COMPARISONS:
            COMPARISONS[name](Path(place))
