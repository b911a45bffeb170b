"""A network of ZipDepth's size class, with random weights: nothing is downloaded.

Usage: python -m benchmarks.small_network FILE

ZipDepth (ECCV 2026) has 6.1 million parameters, and its published file 16-bit weights between an
input and an output in 32 bits. This stands for it where a file of that weight is to be run; it is
not its architecture. One run at 384x384 takes 0.06 CPU-s, as libreyolo's ZipDepth does.
"""

import json
import sys
import warnings
from pathlib import Path

from benchmarks.measure import answer_of

SIDE = 384
_STEPS = ((3, 32), (32, 64), (64, 128), (128, 256), (256, 512))
_WIDE = 768


def save_small_network(path: Path) -> Path:
    """Write the network as an ONNX file with the names of ZipDepth's."""
    answer_of("small_network", path)
    return path


def _write(path: Path) -> None:
    import onnx
    import torch
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from torch import nn

    torch.manual_seed(0)

    def block(given: int, made: int, step: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(given, made, 3, step, 1), nn.ReLU())

    class Network(nn.Module):
        """An encoder of five steps, and a decoder that takes each of them again."""

        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(block(*step, 2) for step in _STEPS)
            self.middle = block(_STEPS[-1][1], _WIDE, 1)
            self.up = nn.ModuleList(
                block(wide + _STEPS[at][1], 64, 1)
                for at, wide in ((4, _WIDE), (3, 64), (2, 64), (1, 64), (0, 64))
            )
            self.last = nn.Conv2d(64, 1, 3, 1, 1)

        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            seen = [picture]
            for down in self.down:
                seen.append(down(seen[-1]))
            depth = self.middle(seen[-1])
            for at, up in zip((5, 4, 3, 2, 1), self.up, strict=True):
                depth = up(torch.cat([depth, seen[at]], 1))
                depth = nn.functional.interpolate(depth, scale_factor=2.0, mode="bilinear")
            # It falls from far to near down the picture, as indoors.
            rows = torch.cumsum(torch.ones_like(picture[:, :1]), 2)
            return rows + torch.sigmoid(self.last(depth))

    part = path.with_suffix(".32.onnx")
    sizes = {0: "batch_size", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Network().eval(),
            (torch.zeros(1, 3, SIDE, SIDE),),
            str(part),
            input_names=["pixel_values"],
            output_names=["predicted_depth"],
            dynamic_axes={"pixel_values": sizes, "predicted_depth": sizes},
            opset_version=17,
            dynamo=False,
        )
        half = convert_float_to_float16(onnx.load(str(part)), keep_io_types=True)
    onnx.save(half, str(path))
    part.unlink()


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
    print(json.dumps(None))
