"""Export of a model to an ONNX file of rilievo's format: the options and the steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.errors import ModelError, OptionError, check_type
from rilievo.errors.messages import OptionName, Text, join_texts
from rilievo.io.files.atomic import replacing
from rilievo.io.files.names import printable
from rilievo.io.training_files import append_onnx_checksum
from rilievo.models import MODELS, is_single_network, load_model, read_kind
from rilievo.models.catalogue.table import ENTRIES
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.agreement import Agreement
from rilievo.models.onnx_files.conversion import FP32, INT8
from rilievo.models.onnx_files.file_writing import check_file_precision, write_converted_copy
from rilievo.models.onnx_files.foreign_model import (
    NetworkSpec,
    read_ultralytics_spec,
    write_wrapped_copy,
)
from rilievo.models.onnx_files.onnx_model import OnnxModel, has_rilievo_metadata
from rilievo.models.resampling.preparation import Resampling
from rilievo.options.run_options import TrustOptions
from rilievo.predicting.inputs import find_photographs
from rilievo.schema.fields import changed_options, option
from rilievo.training.conversion.onnx_file import TracedModel, write_onnx


@dataclass(frozen=True, kw_only=True)
class ExportOptions(TrustOptions):
    """Options for exporting a model to ONNX; those from ``mean`` on are for third-party files.

    Examples:
        >>> rilievo.ExportOptions(precision="fp16").overwrite
        False

    Raises:
        OptionError: If an option is out of range, or two options conflict.
    """

    kind: Annotated[str | None, option(metavar="KIND")] = None
    """Kind of depth that the model predicts, if its files do not state it: metric, up_to_scale,
    affine or affine_inverse.
    """
    precision: str | None = None
    """Precision of the weights: fp32, fp16 (half the size; computed in fp32) or int8 (a quarter of
    the size). By default, an ONNX file from rilievo and the models in the package keep their
    precision, and other models are exported in fp32.
    """
    calibration: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Sample photographs to calibrate int8 activations, which OpenVINO runs fastest. Without them,
    only matrix products are int8.
    """
    size: Annotated[tuple[int, int] | None, option(metavar="HEIGHT,WIDTH")] = None
    """Height and width to which every photograph is resized for the network [px]. By default the
    model determines the size, which stays dynamic if possible.
    """
    overwrite: bool = False
    """Replace an existing file."""
    mean: Annotated[tuple[float, float, float] | None, option(metavar="R,G,B")] = None
    """Third-party files: value that is subtracted from each channel, after scaling."""
    std: Annotated[tuple[float, float, float] | None, option(metavar="R,G,B")] = None
    """Third-party files: value that divides each channel, after subtracting the mean."""
    scale: float = 255.0
    """Third-party files: value that divides the pixel values, which are 0 to 255."""
    multiple: int | None = None
    """Third-party files: keep the aspect ratio, and round both sides to multiples of N near --size.
    """
    resampling: Resampling = Resampling.BILINEAR
    """Third-party files: antialiased filter for resizing photographs."""
    licence: str = "not stated"
    """Third-party files: licence of the weights."""
    name: Annotated[str | None, option(hidden=True)] = None
    """Third-party files: name of the model in results."""

    def __post_init__(self) -> None:
        if self.precision is not None:
            check_file_precision(self.precision)
        if self.calibration is not None and self.precision != INT8:
            precision = self.precision or FP32
            raise OptionError(
                option="calibration", problem=f"is only for int8, not for {precision}"
            )
        if not 0 < self.scale < float("inf"):
            raise OptionError(option="scale", expected="a positive number", value=self.scale)
        if self.size is not None and min(self.size) < 1:
            raise OptionError(option="size", expected="two positive numbers", value=self.size)
        if self.std is not None and min(self.std) <= 0:
            raise OptionError(option="std", expected="three positive numbers", value=self.std)

    def statement(self, path: Path) -> NetworkSpec:
        """Description of a third-party file.

        Raises:
            OptionError: If ``kind``, ``mean`` or ``std`` is missing.
        """
        if self.kind is None or self.mean is None or self.std is None:
            raise OptionError(
                "the file has no metadata from rilievo",
                path=path,
                hint=Text(
                    "state the kind of its depth with ",
                    OptionName("kind"),
                    " and the normalisation of its input with ",
                    OptionName("mean", "R,G,B"),
                    " and ",
                    OptionName("std", "R,G,B"),
                    " (0,0,0 and 1,1,1 if it takes pixels from 0 to 1)",
                ),
            )
        return NetworkSpec(
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


_NO_SINGLE_NETWORK = (
    "is a function, consists of several networks or runs on another computer, so it cannot be "
    "exported to ONNX"
)
_THIRD_PARTY_OPTIONS = ("mean", "std", "scale", "multiple", "resampling", "licence")
"""Options that describe a third-party file."""
_MAX_CALIBRATION_PHOTOS = 64
"""Most photographs that calibrate int8; more of them change almost nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """ONNX file that was written.

    Attributes:
        sizing: Rule for the size of the network's input, in words.
        one_by_one: Whether the file takes only one photograph at a time.
        agreement: How far its predictions differ from those of the source model.
        calibrated_on: Number of photographs that calibrated int8.
        kind_warning: Warning that the stated kind of depth looks wrong; None if it does not.
    """

    path: Path
    model: str
    precision: str
    sizing: str
    one_by_one: bool
    agreement: Agreement
    calibrated_on: int
    kind_warning: str | None = None

    def __str__(self) -> str:
        batch_note = ", one photograph at a time" if self.one_by_one else ""
        photos = ""
        if self.calibrated_on:
            plural = "" if self.calibrated_on == 1 else "s"
            photos = f", calibrated on {self.calibrated_on} photograph{plural}"
        megabytes = self.path.stat().st_size / 1e6
        return (
            f"{printable(self.path)}: {self.model}, {self.precision}{photos}, {megabytes:.1f} MB; "
            f"input size: {self.sizing}{batch_note}; differs from the original model by "
            f"{self.agreement}"
        )


def export_model(
    name: str | Path, output: Path | str, options: ExportOptions | None = None
) -> Exported:
    """Write a model as an ONNX file for ``load_model``, after a comparison with its source.

    Examples:
        >>> rilievo.export_model("rilievo/small", "small.onnx").agreement.most
        0.0

    A third-party ONNX file as ``name`` is wrapped.

    Raises:
        ModelError: If there is no such model, it cannot be exported, or predictions differ.
        OptionError: If an option does not suit the model, or the file exists without ``overwrite``.
        MissingExtraError: If a required package is not installed.
        OutputError: If the file cannot be written.
    """
    options = ExportOptions() if options is None else options
    check_type("options", options, ExportOptions, "an ExportOptions")
    path = Path(output)
    _check_output(path, overwrite=options.overwrite)
    photos = [] if options.calibration is None else _calibration_photos(options.calibration)
    with replacing(path) as temporary_path:
        source = Path(name)
        is_onnx_file = source.suffix == ".onnx" and source.exists()
        if is_onnx_file and not has_rilievo_metadata(source):
            agreement = _wrap_third_party_file(source, temporary_path, options)
        else:
            agreement = _export_known_model(name, temporary_path, options, photos)
        append_onnx_checksum(temporary_path)
        written = OnnxModel(temporary_path, LoadOptions(device="cpu"))
        kind_warning = written.kind_warning()
    return Exported(
        path=path,
        model=written.card.name,
        precision=written.description.precision,
        sizing=str(written.preparation.sizing),
        one_by_one=written.one_by_one,
        agreement=agreement,
        calibrated_on=len(photos),
        kind_warning=kind_warning,
    )


def _check_output(path: Path, *, overwrite: bool) -> None:
    if path.suffix != ".onnx":
        expected = "a file name that ends in .onnx"
        raise OptionError(option="output", expected=expected, value=str(path))
    if path.exists() and not overwrite:
        raise OptionError(
            problem=Text(
                f"{path} already exists: choose another name, or replace the file with ",
                OptionName("overwrite"),
            )
        )


def _calibration_photos(folder: Path) -> Sequence[Path]:
    """Photographs of a folder, evenly spread if there are more than calibration needs."""
    paths = find_photographs(folder)
    if not paths:
        raise OptionError(
            option="calibration", problem=f"needs photographs, but {folder} contains none"
        )
    count = min(len(paths), _MAX_CALIBRATION_PHOTOS)
    step = max(1, len(paths) / _MAX_CALIBRATION_PHOTOS)
    return [paths[int(index * step)] for index in range(count)]


def _wrap_third_party_file(source: Path, temporary_path: Path, options: ExportOptions) -> Agreement:
    """Wrap another program's file, as the user describes it, or as Ultralytics' metadata does."""
    if options.precision not in (None, FP32):
        raise OptionError(
            f"{source}: a third-party file can only be exported in fp32 first; then export the "
            f"resulting file in {options.precision}"
        )
    spec = None
    if options.kind is None and options.mean is None:
        spec = read_ultralytics_spec(source)
    if spec is None:
        spec = options.statement(source)
    return write_wrapped_copy(source, temporary_path, spec)


def _export_known_model(
    name: str | Path, temporary_path: Path, options: ExportOptions, photos: Sequence[Path]
) -> Agreement:
    """Export a model that rilievo loads: trace it, or convert its ONNX file."""
    _check_no_third_party_options(name, options)
    # Before any download.
    if not is_single_network(str(name)):
        raise ModelError(f"model '{name}' {_NO_SINGLE_NETWORK}")
    published = ENTRIES.get(str(name))
    if published is not None and published.twin is None:
        raise ModelError(
            f"model '{published.name}' is already published as ONNX: 'rilievo models path "
            f"{published.name}' prints the path of its file"
        )

    model = load_model(
        name,
        kind=options.kind,
        device="cpu",
        engine="onnxruntime" if _is_onnx_model(str(name)) else "torch",
        trust_code=options.trust_code,
    )
    if isinstance(model, OnnxModel):
        return write_converted_copy(
            model, temporary_path, precision=options.precision, photos=photos, size=options.size
        )
    if not isinstance(model, TracedModel):
        source = model.card.source
        hint = f"load {source} with diffusers instead" if source and Path(source).is_dir() else ""
        raise ModelError(f"model '{model.card.name}' {_NO_SINGLE_NETWORK}", hint=hint)
    return write_onnx(
        model,
        temporary_path,
        precision=options.precision or FP32,
        photos=photos,
        size=options.size,
    )


def _is_onnx_model(name: str) -> bool:
    """Whether a model is an ONNX file of the user, or one that rilievo comes with."""
    card = MODELS.get(name)
    is_embedded = card is not None and card.extra is None and name not in ENTRIES
    return is_embedded or Path(name).suffix == ".onnx"


def _check_no_third_party_options(name: str | Path, options: ExportOptions) -> None:
    changed = [OptionName(option) for option in changed_options(options, _THIRD_PARTY_OPTIONS)]
    if changed:
        raise OptionError(
            f"model '{name}' defines its own normalisation and size:",
            problem=Text(
                "leave out ",
                join_texts(" and ", changed),
                ", which only apply to third-party files",
            ),
        )
