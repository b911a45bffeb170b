"""Export of a model to an ONNX file of our format: the options and the steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, OptionError
from rilievo.errors.argument_types import check_type
from rilievo.errors.messages import OptionName, Text, join_texts
from rilievo.io.files.atomic import random_part_path, replacing
from rilievo.io.files.names import printable
from rilievo.io.onnx_checksums import ONNX_KEY, append_onnx_checksum
from rilievo.models import MODELS, load_model, read_kind, replicate_cards
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.table import ENTRIES
from rilievo.models.hub import diffusion_cards
from rilievo.models.load_options import LoadOptions, TrustOptions
from rilievo.models.onnx_files.agreement import Agreement
from rilievo.models.onnx_files.engines import INT8_WEIGHTS, open_session, plain_kernels
from rilievo.models.onnx_files.foreign_model import NetworkStatement, ultralytics_statement
from rilievo.models.onnx_files.onnx_model import OnnxModel, has_rilievo_metadata
from rilievo.models.onnx_files.polarity import polarity_note
from rilievo.models.resampling.preparation import Resampling
from rilievo.options.unused_options import changed_options
from rilievo.predicting.inputs import Medium, find_jobs
from rilievo.schema.fields import option
from rilievo.training.conversion.onnx_changes import (
    fix_size_in_file,
    may_have_8bit_weights,
    set_metadata,
    write_without_dequantize,
)
from rilievo.training.conversion.onnx_file import (
    FP32,
    INT8,
    TracedModel,
    check_file_precision,
    convert_precision,
    measure_agreement,
    with_fixed_size,
    write_onnx,
)
from rilievo.training.conversion.wrapped_copy import write_wrapped_copy


@dataclass(frozen=True, kw_only=True)
class ExportOptions(TrustOptions):
    """Options for exporting a model to ONNX; those from ``mean`` on are for third-party files.

    Examples:
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
    products are int8.
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
        check_file_precision(self.precision)
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

    def statement(self, path: Path) -> NetworkStatement:
        """Description of a third-party file.

        Raises:
            OptionError: If ``kind``, ``mean`` or ``std`` is missing.
        """
        if self.kind is None or self.mean is None or self.std is None:
            raise OptionError(
                "the file has no metadata of rilievo",
                path=path,
                hint=Text(
                    "give the kind of its depth with ",
                    OptionName("kind"),
                    " and the normalisation of its pixels with ",
                    OptionName("mean", "R,G,B"),
                    " and ",
                    OptionName("std", "R,G,B"),
                    " (0,0,0 and 1,1,1 for pixels of 0 to 1)",
                ),
            )
        return NetworkStatement(
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


_NO_SINGLE_NETWORK = "is more than one network, or runs elsewhere: it has no ONNX file"
_THIRD_PARTY_OPTIONS = ("mean", "std", "scale", "multiple", "resampling", "licence")
"""Options that describe a file of another program."""
_MAX_CALIBRATION_PHOTOS = 64  # more change int8 almost nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """ONNX file that was written.

    Attributes:
        path: Path of the file.
        model: Name of the model.
        precision: Precision of the weights.
        sizing: Rule for the size of the network's input, in words.
        one_by_one: Whether the file takes only one photograph at a time.
        agreement: How far its predictions differ from those of the source model.
        calibrated_on: Number of photographs that calibrated int8.
        doubt: Warning that the stated kind of depth looks wrong; None if it does not.
    """

    path: Path
    model: str
    precision: str
    sizing: str
    one_by_one: bool
    agreement: Agreement
    calibrated_on: int
    doubt: str | None = None

    def __str__(self) -> str:
        one_by_one = ", one photograph at a time" if self.one_by_one else ""
        photos = f", calibrated on {self.calibrated_on} photographs" if self.calibrated_on else ""
        return (
            f"{printable(self.path)}: {self.model}, {self.precision}{photos}, "
            f"{self.path.stat().st_size / 1e6:.1f} MB; sees photographs at {self.sizing}"
            f"{one_by_one}; differs from what it was made of by {self.agreement}"
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
    with replacing(path) as part:
        source = Path(name)
        is_onnx_file = source.suffix == ".onnx" and source.exists()
        if is_onnx_file and not has_rilievo_metadata(source):
            agreement = _wrap_third_party_file(source, part, options)
        else:
            agreement = _export_known_model(name, part, options, photos)
        append_onnx_checksum(part)
        written = OnnxModel(part, LoadOptions(device="cpu"))
        doubt = polarity_note(written) if written.facts.adopted else None
    return Exported(
        path=path,
        model=written.card.name,
        precision=written.facts.precision,
        sizing=str(written.preparation.sizing),
        one_by_one=written.one_by_one,
        agreement=agreement,
        calibrated_on=len(photos),
        doubt=doubt,
    )


def _check_output(path: Path, *, overwrite: bool) -> None:
    if path.suffix != ".onnx":
        raise OptionError(f"-o is a file that ends in .onnx, got '{path}'")
    if path.exists() and not overwrite:
        raise OptionError(
            problem=Text(f"{path} is there already: give another name or ", OptionName("overwrite"))
        )


def _calibration_photos(folder: Path) -> Sequence[Path]:
    """Photographs of a folder, evenly spread if there are more than calibration needs."""
    jobs = find_jobs([folder], folder, sequence=False)
    paths = [job.source for job in jobs if job.medium is Medium.PHOTO]
    if not paths:
        raise OptionError(option="calibration", problem=f"{folder}: no photograph in it")
    step = max(1, len(paths) / _MAX_CALIBRATION_PHOTOS)
    return [paths[int(index * step)] for index in range(min(len(paths), _MAX_CALIBRATION_PHOTOS))]


def _wrap_third_party_file(source: Path, part: Path, options: ExportOptions) -> Agreement:
    if options.precision != "fp32":
        raise OptionError(
            f"{source}: wrap it in fp32 first, then export the copy in {options.precision}"
        )
    statement = None
    if options.kind is None and options.mean is None:
        metadata = open_session(source, LoadOptions(device="cpu")).metadata
        statement = ultralytics_statement(source, metadata)
    return write_wrapped_copy(source, part, statement or options.statement(source))


def _export_known_model(
    name: str | Path, part: Path, options: ExportOptions, photos: Sequence[Path]
) -> Agreement:
    """Export a model that rilievo loads: trace it, or convert its ONNX file."""
    _check_no_third_party_options(name, options)
    card = MODELS.get(str(name))
    _check_is_single_network(str(name), card)
    published = ENTRIES.get(str(name))
    if published is not None and published.twin is None:
        raise ModelError(
            f"model '{published.name}' is published as ONNX: 'rilievo models path "
            f"{published.name}' says where its file lies"
        )

    is_embedded = card is not None and card.extra is None and published is None
    is_onnx = Path(name).suffix == ".onnx" or is_embedded
    model = load_model(
        name,
        kind=options.kind,
        device="cpu",
        engine="onnxruntime" if is_onnx else "torch",
        trust_code=options.trust_code,
    )
    if isinstance(model, OnnxModel):
        return _convert_onnx_model(model, part, options, photos)
    if not isinstance(model, TracedModel):
        source = model.card.source
        hint = f"diffusers loads {source}" if source and Path(source).is_dir() else ""
        raise ModelError(f"model '{model.card.name}' {_NO_SINGLE_NETWORK}", hint=hint)
    return write_onnx(model, part, precision=options.precision, photos=photos, size=options.size)


def _check_no_third_party_options(name: str | Path, options: ExportOptions) -> None:
    unsuitable = [OptionName(name) for name in changed_options(options, _THIRD_PARTY_OPTIONS)]
    if unsuitable:
        raise OptionError(
            f"model '{name}' says itself how pixels are normalised and sized:",
            problem=Text(
                "leave ",
                join_texts(" and ", unsuitable),
                " out, which describe files of other programs",
            ),
        )


def _check_is_single_network(name: str, card: ModelCard | None) -> None:
    """Refuse a pipeline of diffusers or a model of a service, before anything is downloaded."""
    is_listed = card is not None and card.loader in (diffusion_cards.LOADER, replicate_cards.LOADER)
    is_remote = name.startswith(replicate_cards.PREFIX)
    if is_listed or is_remote or diffusion_cards.find_pipeline(name, None):
        raise ModelError(f"model '{name}' {_NO_SINGLE_NETWORK}")


def _convert_onnx_model(
    model: OnnxModel, part: Path, options: ExportOptions, photos: Sequence[Path]
) -> Agreement:
    """Write the ONNX file of a model with another precision or a fixed size."""
    size, precision = options.size, options.precision
    preparation = model.preparation if size is None else with_fixed_size(model.preparation, size)
    if precision != FP32 and model.facts.precision != FP32:
        raise OptionError(
            f"its weights are {model.facts.precision} already",
            path=model.card.name,
            hint=Text(
                "without ",
                OptionName("precision"),
                f" it is copied as it is, and {precision} needs the model that it was made of",
            ),
        )
    if precision == FP32 and size is None:
        _copy_without_dequantize(model, part)
        return measure_agreement(model, part, precision, photos)

    facts = replace(model.facts, preparation=preparation)
    if precision == FP32:
        _copy_with_size(model, part, size)
    else:
        facts = replace(facts, precision=precision)
        sized = random_part_path(part)
        try:
            _copy_with_size(model, sized, size)
            convert_precision(sized, part, precision, preparation, photos)
        finally:
            sized.unlink(missing_ok=True)
    metadata = {name: value for name, value in model.metadata.items() if name != ONNX_KEY}
    metadata |= facts.metadata()
    metadata["rilievo.weights_sha256"] = model.weights_sha256
    set_metadata(part, metadata)
    if precision != FP32:
        return measure_agreement(model, part, precision, photos)
    # Several threads sum in an order that depends on the load of the machine. Where the network
    # then rounds and picks a place, it would pick another one.
    load = LoadOptions(device="cpu", engine="onnxruntime", threads=1)
    with plain_kernels():
        return measure_agreement(OnnxModel(model.path, load), part, precision, photos, threads=1)


def _copy_with_size(model: OnnxModel, path: Path, size: Size | None) -> None:
    """Copy the file of a model, with a fixed size unless that is None."""
    if size is None:
        path.write_bytes(model.path.read_bytes())
        return
    _copy_without_dequantize(model, path)
    fix_size_in_file(path, size, model.path.name)


def _copy_without_dequantize(model: OnnxModel, part: Path) -> None:
    """Copy the file of a model, without the operator that converts 8-bit weights."""
    if model.facts.precision == INT8_WEIGHTS and may_have_8bit_weights(model.path):
        write_without_dequantize(model.path, part)
    else:
        part.write_bytes(model.path.read_bytes())
