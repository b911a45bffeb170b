"""Convert networks to ONNX files once, and keep the files."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.errors import ModelError, OutputError
from rilievo.errors.messages import Text
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
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import cache_directory, sha256
from rilievo.models.onnx_files.onnx_model import FORMAT, OnnxModel
from rilievo.records.prediction_record import Setting
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
