"""Conversion of networks to ONNX files: cache, comparison with the original, 8 bits.

Files are ``KEY-HASH.onnx`` in ``converted/``; the key covers checkpoint, kind, precision and
versions of packages.
"""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Float, Mask, Pixels, Shaped, UInt8
from rilievo.errors import MissingExtraError, ModelError, OutputError, RilievoError, first_line
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.files.atomic import (
    make_folder,
    random_part_path,
    remove,
    sweep_parts,
    sync_file,
    sync_folder,
    unwritable,
)
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import Inference, Model, PreparedModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import cache_directory, sha256
from rilievo.models.onnx_files.engines import INPUT
from rilievo.models.onnx_files.onnx_model import FORMAT, OnnxModel
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import Preparation, limit_depth
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo
from rilievo.system.telemetry import import_onnxruntime
from rilievo.system.terminal import wrap_for_terminal
from rilievo.version import VERSION

INT8 = "int8"


FOLDER = "converted"
FP32 = "fp32"
_HASH = 24  # hexadecimal digits of each of a name's two parts
_REVISION = 2  # of what is traced; another number makes every file anew


Convert = Callable[[Path, str], object]


class NotConvertedError(ModelError):
    """Model that loads, but cannot be converted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Model that is converted once.

    Attributes:
        files: SHA-256 of its files by name.
        name: Name in the key; by default the card's.
        converter: Loads it; returns a function that writes a precision.
        made_by: Packages whose versions count.
    """

    card: ModelCard
    files: Mapping[str, str]
    name: str = ""
    weights_sha256: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    converter: Callable[[], Convert]
    made_by: tuple[str, ...] = ()
    open: Callable[[Path, LoadOptions], Model] | None = None


def open_converted(origin: Origin, options: LoadOptions) -> Model:
    """Open the converted file, made first where needed."""
    precision = _converted_precision(options)
    key = _conversion_key(origin, precision)
    for path in sorted(converted_folder().glob(f"{key}-*.onnx")):
        model = _open_if_whole(path, origin, options)
        if model is not None:
            return model
        _print_to_stderr(f"{printable(path)} is damaged; it is made again")
        remove(path)
    return _open_file(_write_converted(origin, precision, key), origin, options)


def _open_if_whole(path: Path, origin: Origin, options: LoadOptions) -> Model | None:
    with ThreadPoolExecutor(1) as aside:
        # Hashing takes as long as opening and both are independent, so they run in parallel.
        digest = aside.submit(sha256, path)
        try:
            model = _open_file(path, origin, options)
        except ModelError:
            if _name_has_hash(path, digest.result()):
                raise
            return None
    return model if _name_has_hash(path, digest.result()) else None


def _name_has_hash(path: Path, digest: str) -> bool:
    return path.stem.partition("-")[2] == digest[:_HASH]


def _open_file(path: Path, origin: Origin, options: LoadOptions) -> Model:
    settings = {"precision": options.precision, **origin.settings}
    if _converted_precision(options) == INT8:
        options = replace(options, precision=FP32)
    if origin.open is not None:
        model = origin.open(path, options)
        model.settings = {**model.settings, **settings}
        return model
    sha256 = origin.weights_sha256
    return OnnxModel(path, options, origin.card, weights_sha256=sha256, settings=settings)


def _converted_precision(options: LoadOptions) -> str:
    return INT8 if options.precision == INT8 else FP32


def converted_folder() -> Path:
    """Folder of the converted files."""
    return cache_directory() / FOLDER


def _conversion_key(origin: Origin, precision: str) -> str:
    facts = {
        "files": dict(origin.files),
        "kind": origin.card.kind,
        "name": origin.name or origin.card.name,
        "licence": origin.card.licence,
        "precision": precision,
        "rilievo": [VERSION, FORMAT, _REVISION],
        "made by": {name: package_version(name) for name in origin.made_by},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:_HASH]


def _write_converted(origin: Origin, precision: str, key: str) -> Path:
    where = converted_folder()
    make_folder(where)
    if not os.access(where, os.W_OK):
        raise OutputError("cannot be written to: set RILIEVO_CACHE to another folder", path=where)
    sweep_parts(where)
    convert = origin.converter()
    _print_to_stderr(
        f"converting {origin.card.name} to ONNX in {precision}, once; kept in {printable(where)}"
    )
    part = random_part_path(where / f"{key}.onnx")
    try:
        convert(part, precision)
        path = where / f"{key}-{sha256(part)[:_HASH]}.onnx"
        sync_file(part)
        os.replace(part, path)
        sync_folder(where)
    except ModelError as error:
        raise NotConvertedError(problem=Text(error)) from error
    except OutputError:
        raise
    except OSError as error:
        raise unwritable(where, error) from error
    finally:
        remove(part)
    return path


def refusal_path(origin: Origin, options: LoadOptions) -> Path:
    """Path of the record of a failed conversion."""
    return converted_folder() / f"{_conversion_key(origin, _converted_precision(options))}.txt"


def _print_to_stderr(text: str) -> None:
    sys.stderr.write(wrap_for_terminal(f"rilievo: {text}", sys.stderr) + "\n")


def package_version(package: str) -> str | None:
    """Version of an installed package."""
    from importlib import metadata  # slow to import

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


LIMITS: Mapping[str, tuple[float, float]] = {
    "fp32": (1e-4, 1e-4),
    "fp16": (5e-1, 1e-2),
    "int8": (1.0, 5e-2),
}

SHAPES = ((480, 640), (400, 300))

_FOV = 55.0  # degrees


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Largest and median difference, as shares of the range."""

    most: float
    median: float

    def __str__(self) -> str:
        return f"at most {self.most:.1e} of the range, {self.median:.1e} in the median"


def check_agreement(
    reference: PreparedModel,
    converted: PreparedModel,
    precision: str,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]] = (),
) -> Agreement:
    """Compare two models' outputs, also batched; refuse beyond ``LIMITS``."""
    batches = list(
        _comparison_batches(converted, photos or [draw_scene(shape) for shape in SHAPES])
    )
    rule = reference.card.resizing

    def run(model: PreparedModel, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        answer = model.run(batch)
        return (
            {**answer, "depth": limit_depth(answer["depth"], rule)} if "depth" in answer else answer
        )

    apart = [
        _largest_differences(run(reference, batch), run(converted, batch)) for batch in batches
    ]
    return check_limits(_largest_of_each(apart), precision)


def compare_answers(reference: Inference, other: Inference) -> Agreement:
    """Compare two inferences; ``most`` covers pixels valid in one alone."""
    shared, lone = None, 0.0
    if reference.valid is not None and other.valid is not None:
        shared = reference.valid & other.valid
        lone = float(np.mean(reference.valid != other.valid))
    agreement = _largest_differences(
        _arrays_to_compare(reference, shared), _arrays_to_compare(other, shared)
    )
    return Agreement(most=float(np.maximum(agreement.most, lone)), median=agreement.median)


def check_limits(agreement: Agreement, precision: str) -> Agreement:
    """Return ``agreement`` if ``LIMITS`` allow it."""
    most, median = LIMITS[precision]
    if not np.isfinite(agreement.median):
        raise ModelError(f"in {precision} its numbers overflow: what it answers is not finite")
    if not (agreement.most <= most and agreement.median <= median):
        raise ModelError(
            f"as ONNX in {precision} its output differs ({agreement}; allowed are {most:.0e} and "
            f"{median:.0e})"
        )
    return agreement


def example_photo() -> Photo:
    """Make a drawn photograph with a camera."""
    shape = SHAPES[0]
    return Photo(pixels=draw_scene(shape), camera=Camera(K=K_from_fov(_FOV, shape)))


def draw_scene(shape: tuple[int, int]) -> Pixels:
    """Draw sky, floor, boxes and grain, always alike."""
    height, width = shape
    rng = np.random.default_rng(height * 10007 + width)
    rows = np.linspace(0, 1, height)[:, None, None]
    pixels = np.where(rows < 0.4, [120.0, 160.0, 220.0], [90.0, 80.0, 60.0]) * (0.6 + 0.5 * rows)
    pixels = np.broadcast_to(pixels, (height, width, 3)).copy()
    for _ in range(12):
        top, left = rng.integers(0, (height - 8, width - 8))
        down, across = rng.integers(8, (height // 2, width // 2))
        pixels[top : top + down, left : left + across] = rng.uniform(20, 235, 3)
    return (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)


def _comparison_batches(
    model: PreparedModel, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> Iterator[Shaped[np.ndarray, "b h w 3"]]:
    """Each photograph; the last with its mirror image."""
    for index, photo in enumerate(photos):
        pixels = model.preparation.pixels(photo)
        last = index == len(photos) - 1
        yield np.stack([pixels, pixels[:, ::-1]] if last else [pixels])


def _largest_differences(reference: Arrays, converted: Arrays) -> Agreement:
    if set(reference) != set(converted):
        raise ModelError(
            f"the converted network has the outputs {', '.join(converted)} in place of "
            f"{', '.join(reference)}"
        )
    return _largest_of_each(
        [_relative_differences(reference[name], converted[name]) for name in reference]
    )


def _largest_of_each(agreements: Sequence[Agreement]) -> Agreement:
    # Unlike ``max``, numpy's keeps NaN.
    return Agreement(
        most=float(np.max([agreement.most for agreement in agreements])),
        median=float(np.max([agreement.median for agreement in agreements])),
    )


def _arrays_to_compare(answer: Inference, valid: Mask | None) -> Arrays:
    depth = answer.depth if valid is None or answer.depth is None else answer.depth[valid]
    fields = {"depth": depth, "normals": answer.normals, "confidence": answer.confidence}
    # A batch of one photograph each; without a valid pixel there is no depth to compare.
    return {name: field[None] for name, field in fields.items() if field is not None and field.size}


def _relative_differences(
    reference: Float[np.ndarray, "b *rest"], converted: Float[np.ndarray, "..."]
) -> Agreement:
    if reference.shape != converted.shape:
        raise ModelError(
            f"the converted network's output is {converted.shape}, not {reference.shape}"
        )
    # An output with one number a photograph has no range, and a flat output almost none.
    with np.errstate(invalid="ignore"):  # of what is not finite
        field = reference.ndim > 1 and np.ptp(reference) > 0
        scale = np.ptp(reference) if field else np.abs(reference).max()
        apart = np.abs(reference.astype(np.float64) - converted) / max(float(scale), 1e-30)
    medians = np.median(apart.reshape(len(apart), -1), axis=1)
    return Agreement(most=float(apart.max()), median=float(medians.max()))


def import_onnx() -> Any:
    """Import ``onnx``.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("writing ONNX files", "export") from error
    return onnx


def quantise(
    source: Path,
    target: Path,
    preparation: Preparation | None = None,
    photos: Sequence[Path] = (),
) -> None:
    """Quantise a file to 8 bits: matrix products, with photographs also convolutions.

    Ranges are dynamic, or measured on the photographs.
    """
    if preparation is None or not photos:
        with _quantization_module(source) as quantization:
            quantization.quantize_dynamic(
                source,
                target,
                op_types_to_quantize=["MatMul", "Gemm"],
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                extra_options={"MatMulConstBOnly": True},
            )
    else:
        pictures = (read_photo(photo, own_depth=False).pixels for photo in photos)
        batches = (preparation.pixels(picture)[None] for picture in pictures)
        options = {
            # OpenVINO takes 284 ms of CPU time a photograph with symmetric ranges, and 590 ms
            # without; and it computes in int8 only if the bias is left unquantised.
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "MatMulConstBOnly": True,
            "QuantizeBias": False,
        }
        quantise_static(source, target, batches, ("MatMul", "Gemm", "Conv"), options=options)
    _check_quantised(source, target)


def quantise_static(
    source: Path,
    target: Path,
    batches: Iterable[Shaped[np.ndarray, "1 h w 3"]],
    operators: Sequence[str],
    *,
    options: Mapping[str, bool] | None = None,
) -> None:
    """Quantise weights and activations to 8 bits, by calibration inputs ``batches``."""
    # The quantiser only calls ``get_next``, but its signature declares a class of onnxruntime.
    reader: Any = _BatchReader(batches)
    with _quantization_module(source) as quantization:
        kinds = quantization.QuantType
        quantization.quantize_static(
            source,
            target,
            reader,
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            per_channel=True,
            activation_type=kinds.QInt8,
            weight_type=kinds.QInt8,
            # Weights of 7 bits: processors without VNNI add products in 16 bits, which overflow.
            reduce_range=True,
            extra_options=dict(options or {}),
        )


def _check_quantised(source: Path, target: Path) -> None:
    operators = {node.op_type for node in import_onnx().load(str(target)).graph.node}
    if not operators & {"DynamicQuantizeLinear", "QuantizeLinear"}:
        raise ModelError(
            "it has no matrix products, and without photographs int8 quantises nothing else",
            path=source,
            hint=Text("give photographs with ", OptionName("calibration")),
        )


@contextmanager
def _quantization_module(source: Path) -> Iterator[Any]:
    import_onnx()
    import_onnxruntime()
    from onnxruntime import quantization

    handler, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(handler)
    level = root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield quantization
    except RilievoError:
        raise
    # The quantiser raises general exceptions: ValueError, RuntimeError, AssertionError.
    except Exception as error:
        raise ModelError(f"cannot be quantised: {first_line(error)}", path=source) from error
    finally:
        logging.disable(level)
        root.removeHandler(handler)


class _BatchReader:
    def __init__(self, batches: Iterable[Shaped[np.ndarray, "1 h w 3"]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Shaped[np.ndarray, "1 h w 3"]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
