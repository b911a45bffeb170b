"""Options of ``rilievo export``."""

from pathlib import Path
from typing import Annotated

from rilievo.errors import OptionError
from rilievo.frozen import frozen
from rilievo.models import read_kind
from rilievo.models.load_options import TrustOptions
from rilievo.models.onnx_files.foreign import Statement
from rilievo.models.resampling.preparation import Resampling
from rilievo.schema import option
from rilievo.training.conversion.onnx_file import FP32, INT8, check_precision


@frozen(slots=False)
class ExportOptions(TrustOptions):
    """Options for exporting a model to ONNX; those from ``mean`` on are for third-party files.

    >>> rilievo.ExportOptions(precision="fp32").overwrite
    False

    Raises:
        OptionError: If an option is out of range, or two options conflict.
    """

    kind: Annotated[str | None, option(metavar="KIND")] = None
    """Kind of depth of an unknown checkpoint or file: metric, up_to_scale, affine or
    affine_inverse.
    """
    precision: str = FP32
    """Precision of the weights: fp32; fp16, half the size with the same arithmetic; int8, a
    quarter. An ONNX file of rilievo keeps its own by default.
    """
    calibration: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Sample photographs for int8 activations, which OpenVINO runs fastest; else only matrix
    products
    are int8.
    """
    size: Annotated[tuple[int, int] | None, option(metavar="HEIGHT,WIDTH")] = None
    """Size of every photograph at the network's input; by default the model's rule, dynamic if
    possible.
    """
    overwrite: bool = False
    """Replace an existing file."""
    mean: Annotated[tuple[float, float, float] | None, option(metavar="R,G,B")] = None
    """Third-party files: value subtracted from each channel, after the scale."""
    std: Annotated[tuple[float, float, float] | None, option(metavar="R,G,B")] = None
    """Third-party files: divisor of each channel after that."""
    scale: float = 255.0
    """Third-party files: divisor of pixel values, 0 to 255."""
    multiple: int | None = None
    """Third-party files: keep the aspect ratio, with sides near --size and multiples of this."""
    resampling: Resampling = Resampling.BILINEAR
    """Third-party files: resampling of photographs, antialiased."""
    licence: str = "not stated"
    """Third-party files: licence of the weights."""
    name: Annotated[str | None, option(hidden=True)] = None
    """Third-party files: name of the model in results."""

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.calibration is not None and self.precision != INT8:
            raise OptionError(
                option="calibration", problem=f"is for int8, not for {self.precision}"
            )
        if not 0 < self.scale < float("inf"):
            raise OptionError(option="scale", expected="a positive number", value=self.scale)
        if self.size is not None and min(self.size) < 1:
            raise OptionError(option="size", expected="two positive numbers", value=self.size)
        if self.std is not None and min(self.std) <= 0:
            raise OptionError(option="std", expected="three positive numbers", value=self.std)

    def statement(self, path: Path) -> Statement:
        """Description of a third-party file.

        Raises:
            OptionError: If ``kind``, ``mean`` or ``std`` is missing.
        """
        if self.kind is None or self.mean is None or self.std is None:
            raise OptionError(
                "the file has no metadata of rilievo",
                path=path,
                hint=(
                    "give the kind of its depth with {kind} and the "
                    "normalisation of its pixels with {mean=R,G,B} and "
                    "{std=R,G,B} (0,0,0 and 1,1,1 for pixels of 0 to 1)"
                ),
            )
        return Statement(
            kind=read_kind(self.kind),
            mean=self.mean,
            std=self.std,
            scale=self.scale,
            size=self.size,
            multiple=self.multiple,
            resampling=self.resampling,
            licence=self.licence,
            name=self.name,
        )
