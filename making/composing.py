"""One network of two: the layout of one, and of the other what is finer.

Usage: python -m making.composing LAYOUT-RUN DETAIL-RUN|DETAIL.onnx OUT.onnx [--factor N]
"""

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from making.lasting_task import AVERAGE
from rilievo.errors import InputError, RilievoError
from rilievo.io.checks.onnx_sum import append_sum
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import printable, reason
from rilievo.models.onnx_files.onnx_model import FIRST_FORMAT
from rilievo.training.conversion.onnx_file import append_metadata, write_traced
from rilievo.training.conversion.padding import fold_paddings
from rilievo.training.distil.small_export import LICENCE, OUTPUTS
from rilievo.training.losses.depth_losses import confidence_of
from rilievo.training.networks.exported_weights import read_exported
from rilievo.training.networks.layout import CELL, MULTIPLE, LayoutNet
from rilievo.training.networks.small import SmallNet, double
from rilievo.training.networks.widths import SMALL

_LAYOUT_AREA = 49152
_COARSE = 2
"""Cells of layout to the side of one of the grid on which depth is corrected."""
_LARGEST_LOG_DEPTH = 6.9


class Composed(nn.Module):
    """Layout and detail, as deployed.

    The photograph's sides are multiples of 32 times ``factor``. Its means over ``factor`` ×
    ``factor`` pixels go to the layout network. Depth and normals are those of the detail network,
    put right by the layout's means over cells of 16 and of 8 of its pixels, linearly in between;
    confidence is the layout's, and sky and steps are the detail's.
    """

    def __init__(self, layout: LayoutNet, detail: SmallNet, *, factor: int = 2) -> None:
        super().__init__()
        self.layout, self.detail, self._factor = layout, detail, factor

    def forward(self, image: UInt8[Tensor, "b h w 3"]) -> tuple[Float32[Tensor, "b *_"], ...]:
        """Return ``OUTPUTS``; the geometric mean of depth is 1 in every image."""
        planes = image.permute(0, 3, 1, 2).float()
        small = F.avg_pool2d(planes, self._factor).round().permute(0, 2, 3, 1)
        layout, surface = self.layout(small), self.detail(image)
        cell = CELL * self._factor
        coarse = F.avg_pool2d(layout.log_depth[:, None], _COARSE)
        log_depth = _put_right(surface.log_depth[:, None], coarse, _COARSE * cell)[:, 0]
        log_depth = log_depth - log_depth.mean(dim=(1, 2), keepdim=True)
        depth = log_depth.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH).exp()
        seen = F.normalize(double(surface.normals), dim=1)
        normals = _put_right(seen, F.normalize(layout.normals, dim=1), cell)
        spread = _enlarged(layout.log_spread[:, None], cell)[:, 0]
        return (
            depth,
            F.normalize(normals, dim=1),
            confidence_of(spread),
            surface.sky.sigmoid(),
            surface.steps.sigmoid(),
        )


def _put_right(
    fine: Float[Tensor, "b c h w"], coarse: Float[Tensor, "b c h2 w2"], side: int
) -> Float[Tensor, "b c h w"]:
    return fine + _enlarged(coarse - F.avg_pool2d(fine, side), side)


def _enlarged(cells: Float[Tensor, "b c h2 w2"], side: int) -> Float[Tensor, "b c h w"]:
    return F.interpolate(cells, scale_factor=float(side), mode="bilinear", align_corners=False)


def write_composed(network: Composed, path: Path, *, factor: int, name: str, origin: str) -> None:
    """Write both networks as one ONNX file that rilievo loads."""
    with replacing(path) as part:
        write_traced(
            network.eval(),
            torch.zeros(1, 2 * MULTIPLE * factor, 3 * MULTIPLE * factor, 3, dtype=torch.uint8),
            part,
            outputs=OUTPUTS,
            free_size=True,
            free_batch=True,
        )
        fold_paddings(part)
        metadata = {
            "rilievo.name": name,
            "rilievo.kind": "up_to_scale",
            "rilievo.area": str(_LAYOUT_AREA * factor**2),
            "rilievo.multiple": str(MULTIPLE * factor),
            "rilievo.licence": LICENCE,
            "rilievo.trained_on": origin,
            "rilievo.precision": "fp32",
            "rilievo.format": FIRST_FORMAT,
        }
        append_metadata(part, metadata)
        append_sum(part)


def averaged(run: Path, network: nn.Module) -> int:
    """Fill a network with the averaged weights of a run; returns its step."""
    path = run / AVERAGE
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(stored["network"])
        return int(stored["step"])
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(f"{printable(path)}: no weights of a run ({reason(error)})") from error


def main() -> int:
    """Compose the networks of two runs; 2 for wrong input."""
    parser = argparse.ArgumentParser(prog="python -m making.composing", description=__doc__)
    parser.add_argument("layout", type=Path)
    parser.add_argument("detail", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--factor", type=int, default=2, help="detail's side over layout's (2)")
    options = parser.parse_args()
    try:
        layout, detail = LayoutNet(), SmallNet(SMALL)
        steps = [f"layout of step {averaged(options.layout, layout)}"]
        if options.detail.suffix == ".onnx":
            read_exported(detail, options.detail)
            steps.append(f"detail of {options.detail.name}")
        else:
            steps.append(f"detail of step {averaged(options.detail, detail)}")
        write_composed(
            Composed(layout, detail, factor=options.factor), options.out, factor=options.factor,
            name="layout-detail", origin=", ".join(steps),
        )  # fmt: skip
    except RilievoError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
