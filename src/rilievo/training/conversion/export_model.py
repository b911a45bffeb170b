"""Export of a model to a self-contained ONNX file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rilievo.errors import ModelError, OptionError
from rilievo.frozen import frozen
from rilievo.io.checks import ONNX_KEY, append_sum
from rilievo.io.files.atomic import part_of, replacing
from rilievo.io.files.limits import printable
from rilievo.messages import literal
from rilievo.models import MODELS, load_model, replicate_cards
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.table import ENTRIES
from rilievo.models.conversion.agreement import Agreement
from rilievo.models.hub import diffusion_cards
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import INT8_WEIGHTS, open_session, plain_kernels
from rilievo.models.onnx_files.foreign import doubt, ultralytics_statement
from rilievo.models.onnx_files.onnx_model import OnnxModel, says_what_it_is
from rilievo.options.run_options import changed_options
from rilievo.other_libraries import answered
from rilievo.predicting.inputs import Medium, find_jobs
from rilievo.training.conversion.adoption import adopt
from rilievo.training.conversion.export_options import ExportOptions
from rilievo.training.conversion.onnx_file import (
    FP32,
    compare,
    compress,
    fix_size,
    is_dequantised,
    multiply_weights,
    set_metadata,
    with_fixed_size,
    write_onnx,
)
from rilievo.training.conversion.traced_model import TracedModel

_NOT_ONE = "is more than one network, or runs elsewhere: it has no ONNX file"

_OF_FOREIGN = ("mean", "std", "scale", "multiple", "resampling", "licence")

# More change int8 almost nothing.
MOST_PHOTOS = 64


@frozen
class Exported:
    """ONNX file that was written.

    Attributes:
        sizing: Rule for the input size, in words.
        agreement: Difference from the source model.
        calibrated_on: Number of photographs for int8.
        doubt: Warning that the stated kind of depth looks wrong.
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


@answered
def export_model(
    name: str | Path, output: Path | str, options: ExportOptions | None = None
) -> Exported:
    """Write a model as an ONNX file for ``load_model``, after a comparison with its source.

    >>> rilievo.export_model("rilievo/small", "small.onnx").agreement.most
    0.0

    A third-party ONNX file as ``name`` is wrapped.

    Raises:
        ModelError: If there is no such model, it cannot be exported, or predictions differ.
        OptionError: If an option does not suit the model, or the file exists without ``overwrite``.
        MissingExtraError: If a required package is not installed.
        OutputError: If the file cannot be written.
    """
    options, path = options or ExportOptions(), Path(output)
    if path.suffix != ".onnx":
        raise OptionError(f"-o is a file that ends in .onnx, got '{path}'")
    if path.exists() and not options.overwrite:
        raise OptionError(
            problem=f"{literal(path)} is there already: give another name or {{overwrite}}"
        )
    photos = [] if options.calibration is None else _calibration_photos(options.calibration)
    with replacing(path) as part:
        source = Path(name)
        if source.suffix == ".onnx" and source.exists() and not says_what_it_is(source):
            agreement = _wrap_third_party(source, part, options)
        else:
            agreement = _export_model(name, part, options, photos)
        append_sum(part)
        written = OnnxModel(part, LoadOptions(device="cpu"))
        doubted = doubt(written) if written.facts.adopted else None
    return Exported(
        path=path,
        model=written.card.name,
        precision=written.facts.precision,
        sizing=str(written.preparation.sizing),
        one_by_one=written.one_by_one,
        agreement=agreement,
        calibrated_on=len(photos),
        doubt=doubted,
    )


def _wrap_third_party(source: Path, part: Path, options: ExportOptions) -> Agreement:
    if options.precision != "fp32":
        raise OptionError(
            f"{source}: wrap it in fp32 first, then export the copy in {options.precision}"
        )
    statement = None
    if options.kind is None and options.mean is None:
        metadata = open_session(source, LoadOptions(device="cpu")).metadata
        statement = ultralytics_statement(source, metadata)
    return adopt(source, part, statement or options.statement(source))


def _export_model(
    name: str | Path, part: Path, options: ExportOptions, photos: Sequence[Path]
) -> Agreement:
    if foreign := [f"{{{one}}}" for one in changed_options(options, _OF_FOREIGN)]:
        raise OptionError(
            f"model '{name}' says itself how pixels are normalised and sized:",
            problem=f"leave {' and '.join(foreign)} out, which describe files of other programs",
        )
    model_entry = MODELS.get(str(name))
    _check_single_graph(str(name), model_entry)
    entry = ENTRIES.get(str(name))
    if entry is not None and entry.twin is None:
        raise ModelError(
            f"model '{entry.name}' is published as ONNX: 'rilievo models path {entry.name}' says "
            "where its file lies"
        )
    is_core = model_entry is not None and model_entry.extra is None and entry is None
    is_onnx = Path(name).suffix == ".onnx" or is_core
    model = load_model(
        name,
        kind=options.kind,
        device="cpu",
        engine="onnxruntime" if is_onnx else "torch",
        trust_code=options.trust_code,
    )
    if isinstance(model, OnnxModel):
        return _convert_precision_or_size(model, part, options, photos)
    if not isinstance(model, TracedModel):
        source = model.card.source
        hint = f"diffusers loads {literal(source)}" if source and Path(source).is_dir() else ""
        raise ModelError(f"model '{model.card.name}' {_NOT_ONE}", hint=hint)
    return write_onnx(model, part, precision=options.precision, photos=photos, size=options.size)


def _check_single_graph(name: str, card: ModelCard | None) -> None:
    others = (diffusion_cards.LOADER, replicate_cards.LOADER)
    listed = card is not None and card.loader in others
    if (
        listed
        or diffusion_cards.find_pipeline(name, None)
        or name.startswith(replicate_cards.PREFIX)
    ):
        raise ModelError(f"model '{name}' {_NOT_ONE}")


def _convert_precision_or_size(
    model: OnnxModel, part: Path, options: ExportOptions, photos: Sequence[Path]
) -> Agreement:
    size, precision = options.size, options.precision
    preparation = model.preparation if size is None else with_fixed_size(model.preparation, size)
    if precision != FP32 and model.facts.precision != FP32:
        raise OptionError(
            f"its weights are {model.facts.precision} already",
            path=model.card.name,
            hint=(
                f"without {{precision}} it is copied as it is, and {precision} "
                "needs the model that it was made of"
            ),
        )
    if precision == FP32 and size is None:
        _copy_onnx(model, part)
        return compare(model, part, precision, photos)
    sized = part if precision == FP32 else part_of(part)
    facts = replace(model.facts, preparation=preparation)
    try:
        if size is None:
            sized.write_bytes(model.path.read_bytes())
        else:
            _copy_onnx(model, sized)
            fix_size(sized, size, model.path.name)
        if precision != FP32:
            facts = replace(facts, precision=precision)
            compress(sized, part, precision, preparation, photos)
    finally:
        if sized != part:
            sized.unlink(missing_ok=True)
    origin = {"rilievo.weights_sha256": model.weights_sha256}
    entries = {name: value for name, value in model.metadata.items() if name != ONNX_KEY}
    set_metadata(part, {**entries, **facts.metadata(), **origin})
    if precision != FP32:
        return compare(model, part, precision, photos)
    # Threads add up in an order that depends on load, and a rounded pick then falls elsewhere.
    load = LoadOptions(device="cpu", engine="onnxruntime", threads=1)
    with plain_kernels():
        return compare(OnnxModel(model.path, load), part, precision, photos, threads=1)


def _copy_onnx(model: OnnxModel, part: Path) -> None:
    """Copy a file, with 8-bit weights multiplied out."""
    if model.facts.precision == INT8_WEIGHTS and is_dequantised(model.path):
        multiply_weights(model.path, part)
    else:
        part.write_bytes(model.path.read_bytes())


def _calibration_photos(folder: Path) -> Sequence[Path]:
    jobs = find_jobs([folder], folder, sequence=False)
    paths = [job.source for job in jobs if job.medium is Medium.PHOTO]
    if not paths:
        raise OptionError(option="calibration", problem=f"{literal(folder)}: no photograph in it")
    step = max(1, len(paths) / MOST_PHOTOS)
    return [paths[int(index * step)] for index in range(min(len(paths), MOST_PHOTOS))]
