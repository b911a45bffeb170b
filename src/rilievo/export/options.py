"""Options of ``rilievo export``: names, defaults, help and checks."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.errors import OptionError
from rilievo.models import read_kind
from rilievo.models.conversion.adoption import Statement
from rilievo.models.conversion.compression import FP32, INT8
from rilievo.models.conversion.onnx_file import check_precision
from rilievo.models.preparation import Resampling


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options for exporting a model to ONNX; those from ``mean`` on are for third-party files.

    Raises:
        OptionError: If an option is out of range, or two options conflict.
    """

    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Kind of depth of an unknown checkpoint or file: metric, up_to_scale, affine or
    affine_inverse."""
    precision: str = FP32
    """Precision of the weights: fp32; fp16, half the size with the same arithmetic; int8, a
    quarter of the size."""
    calibration: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Sample photographs for int8: their activation ranges are used, which OpenVINO runs fastest.
    Without them only matrix products are int8."""
    size: Annotated[str | None, tyro.conf.arg(metavar="HEIGHT,WIDTH")] = None
    """Size of every photograph at the network's input; by default the model's own rule, with
    height and width left dynamic where it allows that."""
    overwrite: bool = False
    """Replace an existing file."""
    mean: Annotated[str | None, tyro.conf.arg(metavar="R,G,B")] = None
    """Third-party files: value subtracted from each channel, after division by the scale."""
    std: Annotated[str | None, tyro.conf.arg(metavar="R,G,B")] = None
    """Third-party files: divisor of each channel, after the mean is subtracted."""
    scale: float = 255.0
    """Third-party files: divisor of pixel values, 0 to 255, before the mean is subtracted."""
    multiple: int | None = None
    """Third-party files: keep the aspect ratio, with both sides near --size and multiples of
    this."""
    resampling: str = Resampling.BILINEAR.value
    """Third-party files: bilinear, bicubic, lanczos or triangle, all antialiased."""
    layout: str | None = None
    """Third-party files: nchw or nhwc, where the input's shape is ambiguous."""
    onnx_input: str | None = None
    """Third-party files: name of the input for photographs, where there are several."""
    onnx_output: str | None = None
    """Third-party files: name of the depth output, where there are several."""
    licence: str = "not stated"
    """Third-party files: licence of the weights."""
    name: str | None = None
    """Third-party files: name of the model in results."""

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.calibration is not None and self.precision != INT8:
            raise OptionError(f"--calibration is for int8, not for {self.precision}")
        if not 0 < self.scale < float("inf"):
            raise OptionError(f"--scale is a positive number, got {self.scale}")
        if self.resampling not in list(Resampling):
            raise OptionError(f"--resampling is one of {', '.join(Resampling)}")
        _ = self.pixels

    @property
    def pixels(self) -> tuple[int, int] | None:
        """(height, width) from ``--size``; None where it is not given."""
        if self.size is None:
            return None
        parts = [part.strip() for part in self.size.split(",")]
        if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
            raise OptionError(f"--size is HEIGHT,WIDTH, whole numbers, got '{self.size}'")
        return int(parts[0]), int(parts[1])

    def statement(self, path: Path) -> Statement:
        """Description of a third-party file, from these options.

        Raises:
            OptionError: If ``kind``, ``mean`` or ``std`` is missing or invalid.
        """
        if self.kind is None or self.mean is None or self.std is None:
            raise OptionError(
                f"{path}: the file has no metadata of rilievo; give the kind of its depth with "
                "--kind and the normalisation of its pixels with --mean R,G,B and --std R,G,B "
                "(0,0,0 and 1,1,1 for pixels of 0 to 1)"
            )
        std = _colours("--std", self.std)
        if min(std) <= 0:
            raise OptionError(f"--std is three positive numbers, got '{self.std}'")
        return Statement(
            kind=read_kind(self.kind),
            mean=_colours("--mean", self.mean),
            std=std,
            scale=self.scale,
            size=self.pixels,
            multiple=self.multiple,
            resampling=Resampling(self.resampling),
            layout=self.layout,
            input=self.onnx_input,
            output=self.onnx_output,
            licence=self.licence,
            name=self.name,
        )


def _colours(flag: str, text: str) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"{flag} is R,G,B, three numbers, got '{text}'") from error
    if not all(map(math.isfinite, (red, green, blue))):
        raise OptionError(f"{flag} is three finite numbers, got '{text}'")
    return red, green, blue
