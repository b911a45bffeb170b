"""Execution providers and sessions of ONNX Runtime."""

from pathlib import Path
from typing import Any

from rilievo.errors import ModelError, OptionError

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
    import onnxruntime

    return _PROVIDERS["cuda"][0] in onnxruntime.get_available_providers()


def device_of(provider: str, asked: str) -> str:
    """Device of a session's provider, as recorded in results: cpu, cuda:N, coreml ..."""
    [kind] = [kind for kind, (name, _) in _PROVIDERS.items() if name == provider] or ["cpu"]
    return f"cuda:{asked.partition(':')[2] or 0}" if kind == "cuda" else kind


def inference_session(path: Path, device: str, threads: int | None) -> Any:
    """Open a file with ONNX Runtime."""
    import onnxruntime

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
