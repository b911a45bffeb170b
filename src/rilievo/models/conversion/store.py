"""Cache of converted models: made once, and found again without torch.

A model in torch that ONNX Runtime or OpenVINO runs is written once as an ONNX file into
``converted/`` of our cache folder. The file's name is ``KEY-HASH.onnx``. The key covers everything
that determines the file: the SHA-256 of the checkpoint's files, the kind of depth, the precision,
and the versions of the packages that made it; all of these are known without importing the
packages. The hash is that of the file's content, so that damage is noticed.
Models of the catalogue in 8 bits are kept here in the same way.

On two cores of an AMD EPYC, Depth Anything V2 small takes 590 ms a photograph in torch and 316 ms
in ONNX Runtime (272 ms in OpenVINO), and a process that loads torch and transformers for a single
photograph takes six seconds, against one. So the default on a CPU is ONNX Runtime, with a file
converted at first use; on a GPU it is torch.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import ModelError, OptionError, OutputError
from rilievo.io.atomic import make_folder, part_of, remove, replacing, sweep_parts, unwritable
from rilievo.io.durable import sync_file, sync_folder
from rilievo.io.limits import printable
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.engines import (
    AUTO,
    ONNX_ENGINES,
    LoadOptions,
    cache_directory,
    checked,
    package_version,
    sha256,
)
from rilievo.models.onnx import FORMAT, OnnxModel
from rilievo.types import Setting
from rilievo.version import VERSION

if TYPE_CHECKING:
    from rilievo.models.torch_model import TorchModel


INT8 = "int8"
ENGINES = ("torch", *ONNX_ENGINES)
PRECISIONS = {
    "torch": ("fp32", "bf16", "fp16"),
    "onnxruntime": ("fp32", INT8),
    "openvino": ("fp32", "bf16"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The engine chosen for a model in torch."""

    options: LoadOptions
    usual: bool


def chosen(options: LoadOptions, what: str) -> Choice:
    """Choose the engine for a model in torch, among those with the requested precision."""
    usual = options.engine == AUTO
    if usual:
        options = replace(options, engine=_usual(options))
    if options.engine == "openvino" and options.precision == INT8:
        raise OptionError(
            f"{what}: openvino's int8 needs photographs to calibrate on: rilievo export MODEL "
            "--precision int8 --calibration FOLDER -o FILE.onnx, then --model FILE.onnx"
        )
    checked_options = checked(options, engines=ENGINES, what=what, precisions=PRECISIONS)
    return Choice(options=checked_options, usual=usual)


def _usual(options: LoadOptions) -> str:
    if options.device.startswith("cuda") or (options.device == AUTO and may_have_cuda()):
        return "torch"
    if options.precision == "bf16" and find_spec("openvino") is not None:
        return "openvino"
    return "onnxruntime" if options.precision in PRECISIONS["onnxruntime"] else "torch"


def may_have_cuda() -> bool:
    """Whether the system has an NVIDIA driver; checked without loading torch."""
    if sys.platform == "win32":
        return Path("C:/Windows/System32/nvcuda.dll").exists()
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists()


FOLDER = "converted"
FP32, TORCH = "fp32", "torch"
_MADE_BY = ("torch", "transformers")
_HASH = 24  # hexadecimal digits of each of a name's two parts
_REVISION = 1  # of what is traced; another number makes every file anew


Convert = Callable[[Path, str], object]
"""Function that writes a converted file to a path, in a precision."""


class _NotConvertedError(ModelError):
    """The model loads, but cannot be converted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A model that is converted once, as far as it is known without importing torch.

    Attributes:
        card: Card of the model.
        files: SHA-256 of every file that it is made from, by name.
        weights_sha256: Hash of its weights, as recorded in results.
        settings: Settings recorded in results, besides those of the engine.
        make: Function that loads it in torch; None for a model of the catalogue.
        converter: Function that loads what is converted, and returns a function that writes it to
            a file in a precision; by default the model in torch is exported.
        open: Function that opens the converted file; by default as one with our metadata.
    """

    card: ModelCard
    files: Mapping[str, str]
    weights_sha256: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    make: "Callable[[LoadOptions], TorchModel] | None" = None
    converter: "Callable[[], Convert] | None" = None
    open: Callable[[Path, LoadOptions], Model] | None = None

    def in_torch(self, options: LoadOptions) -> "TorchModel":
        """Load the model in torch."""
        assert self.make is not None, "models of the catalogue do not choose torch"
        return self.make(options)


def open_origin(origin: Origin, choice: Choice) -> Model:
    """Open the model with the chosen engine, or with torch if a default engine cannot run it."""
    options = choice.options
    if options.engine == TORCH:
        return origin.in_torch(options)
    if choice.usual and _refusal(_key(origin, _file_precision(options))).is_file():
        return origin.in_torch(replace(options, engine=TORCH))

    try:
        return open_converted(origin, options)
    except _NotConvertedError as error:
        if not choice.usual:
            raise ModelError(f"{error}; --engine torch runs it") from error
        with replacing(_refusal(_key(origin, _file_precision(options)))) as note:
            note.write_text(f"{error}\n", encoding="utf-8")
        _say(f"{error}: torch runs it")
        return origin.in_torch(replace(options, engine=TORCH))


def open_converted(origin: Origin, options: LoadOptions) -> Model:
    """Open the converted file, converting the model first where needed."""
    precision = _file_precision(options)
    key = _key(origin, precision)
    for path in sorted(folder().glob(f"{key}-*.onnx")):
        kept = _open_whole(path, origin, options)
        if kept is not None:
            return kept
        _say(f"{printable(path)} is damaged; it is made again")
        remove(path)
    return _open(_convert(origin, precision, key), origin, options)


def _open_whole(path: Path, origin: Origin, options: LoadOptions) -> Model | None:
    """Open a cached file; None if it is damaged."""
    with ThreadPoolExecutor(1) as aside:
        # Hashing takes as long as opening and both are independent, so they run in parallel.
        digest = aside.submit(sha256, path)
        try:
            model = _open(path, origin, options)
        except ModelError:
            if _is_whole(path, digest.result()):
                raise
            return None
    return model if _is_whole(path, digest.result()) else None


def _is_whole(path: Path, digest: str) -> bool:
    return path.stem.partition("-")[2] == digest[:_HASH]


def _open(path: Path, origin: Origin, options: LoadOptions) -> Model:
    settings = {"precision": options.precision, **origin.settings}
    if _file_precision(options) == INT8:
        options = replace(options, precision=FP32)
    if origin.open is not None:
        model = origin.open(path, options)
        model.settings = {**model.settings, **settings}
        return model
    sha256 = origin.weights_sha256
    return OnnxModel(path, options, origin.card, weights_sha256=sha256, settings=settings)


def _file_precision(options: LoadOptions) -> str:
    return INT8 if options.precision == INT8 else FP32


def folder() -> Path:
    """Folder of the converted files."""
    return cache_directory() / FOLDER


def _key(origin: Origin, precision: str) -> str:
    """Hash of everything that determines the converted file."""
    facts = {
        "files": dict(origin.files),
        "kind": origin.card.kind,
        "name": origin.card.name,
        "licence": origin.card.licence,
        "precision": precision,
        "rilievo": [VERSION, FORMAT, _REVISION],
        "made by": {name: package_version(name) for name in _MADE_BY if origin.converter is None},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:_HASH]


def _convert(origin: Origin, precision: str, key: str) -> Path:
    where = folder()
    make_folder(where)
    if not os.access(where, os.W_OK):
        raise OutputError(f"{where}: cannot be written to: set RILIEVO_CACHE to another folder")
    sweep_parts(where)
    convert = (origin.converter or partial(_torch_converter, origin))()
    _say(f"converting {origin.card.name} to ONNX in {precision}, once; kept in {printable(where)}")
    part = part_of(where / f"{key}.onnx")
    try:
        convert(part, precision)
        path = where / f"{key}-{sha256(part)[:_HASH]}.onnx"
        sync_file(part)
        os.replace(part, path)
        sync_folder(where)
    except ModelError as error:
        raise _NotConvertedError(str(error)) from error
    except OutputError:
        raise
    except OSError as error:
        raise unwritable(where, error) from error
    finally:
        remove(part)
    return path


def _torch_converter(origin: Origin) -> Convert:
    from rilievo.models.conversion.onnx_file import write_onnx

    model = origin.in_torch(LoadOptions(device="cpu", engine=TORCH))
    return lambda part, precision: write_onnx(model, part, precision=precision)


def _refusal(key: str) -> Path:
    """Path of the file that records why an earlier conversion failed."""
    return folder() / f"{key}.txt"


def _say(text: str) -> None:
    sys.stderr.write(f"rilievo: {text}\n")
