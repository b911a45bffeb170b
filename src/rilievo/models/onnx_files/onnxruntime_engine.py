"""Sessions of ONNX Runtime, on any of its devices."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.errors import ModelError, OptionError, first_line
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.session import Arrays, Session
from rilievo.telemetry import import_onnxruntime

_CPU = "CPUExecutionProvider"

# The provider of each device, and the package that contains it. Without such hardware, only cpu and
# the choice among the others are tested.
_PROVIDERS = {
    "cpu": (_CPU, "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
}

_shrinking: ContextVar[bool] = ContextVar("shrinking", default=False)


@contextmanager
def shrinking() -> Iterator[None]:
    """Let runs of ONNX Runtime in the block release the memory that larger batches took."""
    token = _shrinking.set(True)
    try:
        yield
    finally:
        _shrinking.reset(token)


def open_onnxruntime(path: Path, options: LoadOptions) -> Session:
    """Open a file with ONNX Runtime."""
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
