"""Telemetry of dependencies, switched off before their import (docs/wheels.md)."""

import os
import sys
import warnings
from importlib import import_module
from types import ModuleType

VARIABLES = {
    # From 1.29 on, ONNX Runtime writes a session and a device ID and reports to Microsoft.
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "FIFTYONE_DO_NOT_TRACK": "true",
}

_ORT = "ORT_DISABLE_TELEMETRY"
_OFF = ("1", "true")
_FIRST_WITH_TELEMETRY = (1, 29)
_was_too_late = False


def switch_off_telemetry() -> None:
    """Set environment variables against it, unless the user has."""
    global _was_too_late
    _was_too_late = _ORT not in os.environ and "onnxruntime" in sys.modules
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime without its telemetry.

    A warning says so if it was imported before rilievo: it reads the variable once.
    """
    global _was_too_late
    module = import_module("onnxruntime")
    if os.environ.get(_ORT, "").lower() not in _OFF:
        return module
    module.disable_telemetry_events()
    if _was_too_late and _has_telemetry(module):
        _was_too_late = False
        warnings.warn(
            "onnxruntime was imported before rilievo, so its telemetry is on and cannot be "
            f"switched off in this process; import rilievo first, or set {_ORT}=1",
            RuntimeWarning,
            stacklevel=2,
        )
    return module


def _has_telemetry(onnxruntime: ModuleType) -> bool:
    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    return sys.platform != "win32" and version >= _FIRST_WITH_TELEMETRY


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, in place of which it has a stub."""
    name = "openvino_telemetry"
    if name in sys.modules or "openvino" in sys.modules:
        return import_module("openvino")
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        del sys.modules[name]
