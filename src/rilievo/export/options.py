"""The options of ``rilievo export``: their names, defaults, help and checks, in one place."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.errors import OptionError
from rilievo.io.limits import printable
from rilievo.models import read_kind
from rilievo.models.conversion.adoption import Statement
from rilievo.models.conversion.compression import FP32, INT8
from rilievo.models.conversion.onnx_file import check_precision
from rilievo.models.preparation import Resampling


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How a model becomes an ONNX file; those from ``mean`` on are for files of other programs.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """What the depth of a checkpoint or file is that rilievo does not know: metric, up_to_scale,
    affine or affine_inverse."""
    precision: str = FP32
    """Of the weights: fp32; fp16, half the file and the same arithmetic; int8, a quarter of it."""
    calibration: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Photographs like those that will come: int8 then computes with the ranges that they have,
    which OpenVINO runs fastest. Without it only products of matrices are int8."""
    size: Annotated[str | None, tyro.conf.arg(metavar="HEIGHT,WIDTH")] = None
    """The size at which the network sees every photograph; by default its own rule, with height
    and width left free where it has them free."""
    overwrite: bool = False
    """Replace a file that is there."""
    mean: Annotated[str | None, tyro.conf.arg(metavar="R,G,B")] = None
    """For a file of another program: what is taken off red, green, blue, after dividing by the
    scale."""
    std: Annotated[str | None, tyro.conf.arg(metavar="R,G,B")] = None
    """For a file of another program: what they are divided by after that."""
    scale: float = 255.0
    """For a file of another program: what pixels of 0 to 255 are divided by first."""
    multiple: int | None = None
    """For a file of another program: keep the aspect, with both sides near --size and multiples
    of this."""
    resampling: str = Resampling.BILINEAR.value
    """For a file of another program: bilinear, bicubic, lanczos or triangle, all antialiased."""
    layout: str | None = None
    """For a file of another program: nchw or nhwc, where its input does not tell."""
    onnx_input: str | None = None
    """For a file of another program: the input that photographs go to, where there are several."""
    onnx_output: str | None = None
    """For a file of another program: the output that is depth, where there are several."""
    licence: str = "not stated"
    """For a file of another program: of the weights."""
    name: str | None = None
    """For a file of another program: what results call it."""

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
        """(height, width) of ``--size``."""
        if self.size is None:
            return None
        parts = [part.strip() for part in self.size.split(",")]
        if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
            raise OptionError(f"--size is HEIGHT,WIDTH, whole numbers, got '{self.size}'")
        return int(parts[0]), int(parts[1])

    def statement(self, path: Path) -> Statement:
        """What is said of a file of another program.

        Raises:
            OptionError: If something that must be said is not.
        """
        if self.kind is None or self.mean is None or self.std is None:
            raise OptionError(
                f"{printable(path)}: the file does not say what it is; say what its depth is with "
                "--kind and how its pixels are normalised with --mean R,G,B and --std R,G,B "
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
