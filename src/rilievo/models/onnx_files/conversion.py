"""Convert networks to ONNX files once, and keep the files for later."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.errors import ModelError, OutputError
from rilievo.errors.messages import Text, for_terminal
from rilievo.io.files.atomic import (
    make_folder,
    move_into_place,
    remove,
    scratch_path,
    sweep_parts,
    unwritable,
    write_text,
)
from rilievo.io.files.names import printable
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import cache_directory, sha256
from rilievo.models.onnx_files.onnx_model import FORMAT, OnnxModel
from rilievo.records.prediction_record import Setting
from rilievo.system.terminal import wrap_for_terminal
from rilievo.version import VERSION

INT8 = "int8"
FP32 = "fp32"

FOLDER = "converted"
_HASH_DIGITS = 24
"""Hexadecimal digits of each of the two parts of a file's name: key and hash of the content."""
_CONVERSION_VERSION = 2
"""Version of the conversion. If it is raised, all files are converted again."""

Convert = Callable[[Path, str], object]
"""Function that writes a network to a file, in a precision."""


class NotConvertedError(ModelError):
    """Error for a model that can be loaded, but not converted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionSource:
    """Model that is to be converted.

    Attributes:
        card: Card of the model.
        files: SHA-256 of each of its files, by the file's name.
        name: Name by which the converted file is found; by default that of the card.
        weights_sha256: Hash of its weights, which predictions record.
        settings: Settings to record in addition to those of the session.
        load_converter: Function that loads the model, and returns a function that writes it.
        packages: Packages on whose versions the converted file depends.
        open_file: Function that opens the converted file; None for ``OnnxModel``.
    """

    card: ModelCard
    files: Mapping[str, str]
    name: str = ""
    weights_sha256: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    load_converter: Callable[[], Convert]
    packages: tuple[str, ...] = ()
    open_file: Callable[[Path, LoadOptions], Model] | None = None


def open_converted(source: ConversionSource, options: LoadOptions) -> Model:
    """Open the converted file of a model, and convert the model first if there is none.

    Raises:
        NotConvertedError: If the model cannot be converted.
        OutputError: If the folder of converted files cannot be written to.
    """
    precision = _converted_precision(options)
    key = _conversion_key(source, precision)
    for path in sorted(converted_folder().glob(f"{key}-*.onnx")):
        model = _open_if_undamaged(path, source, options)
        if model is not None:
            return model
        _print_to_stderr(f"{printable(path)} is damaged, so rilievo converts the model again")
        remove(path)
    return _open_converted_file(_write_converted(source, precision, key), source, options)


def open_converted_or_original(
    source: ConversionSource, options: LoadOptions, load_original: Callable[[], Model]
) -> Model:
    """Open the converted file of a model, or load the original if it cannot be converted.

    A failed conversion is said once and recorded beside the converted files, so that it is not
    tried again.

    Raises:
        OutputError: If the folder of converted files cannot be written to.
    """
    failure_record = _failure_record_path(source, options)
    if failure_record.is_file():
        return load_original()
    try:
        return open_converted(source, options)
    except NotConvertedError as error:
        write_text(failure_record, f"{error}\n")
        _print_to_stderr(for_terminal(Text(error, "; using torch instead")))
        return load_original()


def _open_if_undamaged(path: Path, source: ConversionSource, options: LoadOptions) -> Model | None:
    """Open a converted file; None if its content does not have the hash in its name."""
    with ThreadPoolExecutor(1) as executor:
        # Hashing takes as long as opening, so the two run in parallel.
        digest_future = executor.submit(sha256, path)
        try:
            model = _open_converted_file(path, source, options)
        except ModelError:
            if _name_has_hash(path, digest_future.result()):
                raise  # the file is intact, so the error has another cause
            return None
    return model if _name_has_hash(path, digest_future.result()) else None


def _name_has_hash(path: Path, digest: str) -> bool:
    return path.stem.partition("-")[2] == digest[:_HASH_DIGITS]


def _open_converted_file(path: Path, source: ConversionSource, options: LoadOptions) -> Model:
    """Open a converted file with the options' engine, and record the source's settings."""
    settings = {"precision": options.precision, **source.settings}
    if _converted_precision(options) == INT8:
        # The weights of the file have 8 bits already; the engine computes in fp32.
        options = replace(options, precision=FP32)
    if source.open_file is not None:
        model = source.open_file(path, options)
        model.settings = {**model.settings, **settings}
        return model
    return OnnxModel(
        path, options, source.card, weights_sha256=source.weights_sha256, settings=settings
    )


def _converted_precision(options: LoadOptions) -> str:
    """Precision of the converted file; engines make all others but int8 from fp32 themselves."""
    return INT8 if options.precision == INT8 else FP32


def converted_folder() -> Path:
    """Folder of the converted files."""
    return cache_directory() / FOLDER


def _conversion_key(source: ConversionSource, precision: str) -> str:
    """Key that changes with everything on which the converted file depends."""
    dependencies = {
        "files": dict(source.files),
        "kind": source.card.kind,
        "name": source.name or source.card.name,
        "licence": source.card.licence,
        "precision": precision,
        "rilievo": [VERSION, FORMAT, _CONVERSION_VERSION],
        "made by": {name: package_version(name) for name in source.packages},
    }
    text = json.dumps(dependencies, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def _write_converted(source: ConversionSource, precision: str, key: str) -> Path:
    """Convert a model into the folder of converted files; return the path of the file."""
    folder = converted_folder()
    make_folder(folder)
    if not os.access(folder, os.W_OK):
        raise OutputError("cannot be written to: set RILIEVO_CACHE to another folder", path=folder)
    sweep_parts(folder)
    convert = source.load_converter()
    _print_to_stderr(
        f"converting {source.card.name} to ONNX in {precision} (only once; the file is "
        f"kept in {printable(folder)})"
    )
    try:
        with scratch_path(folder / f"{key}.onnx") as part:
            convert(part, precision)
            path = folder / f"{key}-{sha256(part)[:_HASH_DIGITS]}.onnx"
            move_into_place(part, path)
    except ModelError as error:
        raise NotConvertedError(problem=Text(error)) from error
    except OutputError:
        raise
    except OSError as error:
        raise unwritable(folder, error) from error
    return path


def _failure_record_path(source: ConversionSource, options: LoadOptions) -> Path:
    """Path of the record that says why a model could not be converted."""
    return converted_folder() / f"{_conversion_key(source, _converted_precision(options))}.txt"


def _print_to_stderr(text: str) -> None:
    sys.stderr.write(wrap_for_terminal(f"rilievo: {text}", sys.stderr) + "\n")


def package_version(package: str) -> str | None:
    """Version of an installed package; None if it is not installed."""
    from importlib import metadata  # slow to import

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
