"""Engines that run ONNX files: a batch of images in, named arrays out."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from rilievo.errors import ModelError, OptionError, suggest
from rilievo.telemetry import import_onnxruntime
from rilievo.types import Setting

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

INPUT = "image"

AUTO = "auto"
ONNX_ENGINES = ("onnxruntime", "openvino")
PRECISIONS = {
    "onnxruntime": ("fp32",),
    "openvino": ("fp32", "bf16"),
    "torch": ("fp32", "bf16", "fp16"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Options of running a model; those that change its output are recorded in every prediction.

    Attributes:
        device: Device to run on: auto, cpu, cuda, cuda:N, coreml or directml.
        engine: Engine: onnxruntime, openvino or torch; auto takes the first that fits.
        precision: Precision of the arithmetic: fp32; or bf16 (openvino, torch), fp16 (torch on
            cuda) and int8, which are faster and less exact.
        threads: Threads of one inference; None takes one per core.
        revision: Branch, tag or commit of the repository on the hub; None takes its main branch.
        settings: Settings of this model, by name (``rilievo.models.settings``).
    """

    device: str = "auto"
    engine: str = AUTO
    precision: str = "fp32"
    threads: int | None = None
    revision: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A network ready to run.

    Attributes:
        feed: Function that runs the network on inputs by name, and returns every output by name.
        metadata: Metadata of the file.
        device: Device that is used: cpu, cuda:N, coreml or directml.
        one_by_one: Whether it accepts only batches of one photograph.
    """

    feed: Callable[[Arrays], Arrays]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    metadata: Mapping[str, str]
    device: str
    one_by_one: bool

    def run(self, batch: Shaped[np.ndarray, "b ..."], name: str = INPUT) -> Arrays:
        """Run the network on one input; one photograph after the other where it takes no more."""
        if not self.one_by_one or len(batch) == 1:
            return self.feed({name: batch})
        each = [self.feed({name: part}) for part in np.split(batch, len(batch))]
        return {key: np.concatenate([answers[key] for answers in each]) for key in each[0]}


def open_session(path: Path, options: LoadOptions) -> Session:
    """Open one file with the engine that ``options`` name."""
    options = checked(options, engines=ONNX_ENGINES, what=f"{path}: an ONNX file")
    try:
        if options.engine == "onnxruntime":
            return _onnxruntime(path, options)
        from rilievo.models.openvino_engine import open_openvino

        return open_openvino(path, options)
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: a name in the network is no text in UTF-8") from error


def checked(
    options: LoadOptions,
    *,
    engines: tuple[str, ...],
    what: str,
    precisions: Mapping[str, tuple[str, ...]] = PRECISIONS,
) -> LoadOptions:
    """Check the options and replace the engine ``auto`` by the first that has the precision."""
    if options.engine not in (AUTO, *PRECISIONS):
        known = suggest(options.engine, [AUTO, *PRECISIONS])
        raise OptionError(f"no engine '{options.engine}'; {known}")
    engine = options.engine
    if engine == AUTO:
        able = (each for each in engines if options.precision in precisions[each])
        engine = next(able, engines[0])
    if engine not in engines:
        raise OptionError(f"{what} is run by {' or '.join(engines)}, not by {engine}")
    if options.precision not in precisions[engine]:
        raise OptionError(
            f"the engine {engine} has no precision '{options.precision}'; "
            f"it has {', '.join(precisions[engine])}"
        )
    if options.threads is not None and options.threads < 1:
        raise OptionError(f"threads are 1 or more, got {options.threads}")
    return replace(options, engine=engine)


_shrinking: ContextVar[bool] = ContextVar("shrinking", default=False)


@contextmanager
def shrinking() -> Iterator[None]:
    """Let runs of ONNX Runtime in the block release the memory that larger batches took."""
    token = _shrinking.set(True)
    try:
        yield
    finally:
        _shrinking.reset(token)


def _onnxruntime(path: Path, options: LoadOptions) -> Session:
    onnxruntime = import_onnxruntime()

    session = inference_session(path, options.device, options.threads)
    metadata = session.get_modelmeta().custom_metadata_map
    inputs = tuple(each.name for each in session.get_inputs())
    outputs = tuple(each.name for each in session.get_outputs())
    halves = {each.name for each in session.get_inputs() if each.type == "tensor(float16)"}

    less = onnxruntime.RunOptions()
    less.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def feed(inputs: Arrays) -> Arrays:
        given = {
            name: array.astype(np.float16) if name in halves else array
            for name, array in inputs.items()
        }
        try:
            answers = session.run(outputs, given, less if _shrinking.get() else None)
        except Exception as error:
            raise ModelError(f"{path}: the network failed: {first_line(error)}") from error
        return {name: np.asarray(each) for name, each in zip(outputs, answers, strict=True)}

    return Session(
        feed=feed,
        input_names=inputs,
        output_names=outputs,
        metadata=metadata,
        device=device_of(session.get_providers()[0], options.device),
        one_by_one=any(each.shape and each.shape[0] == 1 for each in session.get_inputs()),
    )


def package_version(package: str) -> str | None:
    """Version of an installed package; None if it is not installed."""
    from importlib import metadata  # slow to import

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cache_directory() -> Path:
    """Folder of compiled networks: ``$RILIEVO_CACHE``, or else one in the user's cache."""
    given = os.environ.get("RILIEVO_CACHE")
    return Path(given) if given else user_cache("RILIEVO_CACHE") / "rilievo"


def user_cache(variable: str) -> Path:
    """Folder of the user's caches for all programs.

    Args:
        variable: Environment variable that sets another folder; named in the error.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(base) if base else Path.home() / ".cache"
    except RuntimeError:
        text = f"this user has no home folder for networks: set a folder in {variable}"
        raise ModelError(text) from None


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


_CPU = "CPUExecutionProvider"
# The provider of each device, and the package that contains it. Without such hardware, only cpu and
# the choice among the others are tested.
_PROVIDERS = {
    "cpu": (_CPU, "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
}


def providers(device: str, available: list[str]) -> list[str | tuple[str, dict[str, str]]]:
    """Providers of ONNX Runtime for a device name, best first.

    Args:
        device: Device name: auto (cuda if present, otherwise cpu), cpu, cuda, cuda:N, coreml or
            directml.
        available: Providers of this installation.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", *_PROVIDERS) or (index and not (kind == "cuda" and index.isdigit())):
        raise OptionError(f"no device '{device}'; known: auto, cpu, cuda, cuda:N, coreml, directml")
    if kind == "auto":
        kind = "cuda" if _PROVIDERS["cuda"][0] in available else "cpu"
    provider, package = _PROVIDERS[kind]
    if provider not in available:
        raise OptionError(
            f"device '{device}' is not available: this onnxruntime has no {provider}; "
            f"install {package}, or use --device cpu"
        )
    if kind == "cpu":
        return [_CPU]
    return [(provider, {"device_id": index or "0"}) if kind == "cuda" else provider, _CPU]


def has_cuda() -> bool:
    """Whether this ONNX Runtime can run on NVIDIA's GPUs."""
    onnxruntime = import_onnxruntime()

    return _PROVIDERS["cuda"][0] in onnxruntime.get_available_providers()


def device_of(provider: str, asked: str) -> str:
    """Device of a session's provider, as recorded in results: cpu, cuda:N, coreml ..."""
    [kind] = [kind for kind, (name, _) in _PROVIDERS.items() if name == provider] or ["cpu"]
    return f"cuda:{asked.partition(':')[2] or 0}" if kind == "cuda" else kind


def inference_session(path: Path, device: str, threads: int | None) -> Any:
    """Open a file with ONNX Runtime."""
    onnxruntime = import_onnxruntime()

    chosen = providers(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    # Threads that spin between two small networks take cores from decoding and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The runtime's exceptions derive directly from Exception and are not exported.
    try:
        session = onnxruntime.InferenceSession(path, options, providers=chosen, enable_fallback=0)
        _ = session.get_modelmeta().custom_metadata_map  # fails if not UTF-8
    except Exception as error:
        if device == "auto" and chosen != [_CPU]:
            return inference_session(path, "cpu", threads)
        raise ModelError(
            f"{path}: not a network ONNX Runtime can run: {first_line(error)}"
        ) from error
    _check_provider(session.get_providers()[0], device)
    return session


def _check_provider(provider: str, device: str) -> None:
    """Refuse a silent fallback to the CPU where another device was asked for."""
    kind = device.partition(":")[0]
    if kind != "auto" and provider != _PROVIDERS[kind][0]:
        raise OptionError(
            f"device '{device}' is not available: ONNX Runtime could not load "
            f"{_PROVIDERS[kind][0]}; install the libraries it needs, or use --device cpu"
        )


def first_line(error: Exception) -> str:
    """The first informative line of a library's message, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO begins with a position in its own source.
    lines = [line for line in lines if not line.startswith("Exception from")] or lines
    lines = lines or [type(error).__name__]
    # ONNX Runtime repeats the path, which may be longer than the limit.
    lines[0] = lines[0].rpartition(" failed:")[2] if "Load model from " in lines[0] else lines[0]
    # transformers states the place in the first line and the cause in the second.
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text[:200]
