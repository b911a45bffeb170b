"""Switch off the telemetry of dependencies before their import (docs/wheels.md)."""

import os
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

VARIABLES = {
    # From 1.29 on, ONNX Runtime stores a session and a device ID, and reports to Microsoft.
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "FIFTYONE_DO_NOT_TRACK": "true",
}
"""Environment variables that switch telemetry off, with their values."""

_ONNXRUNTIME_VARIABLE = "ORT_DISABLE_TELEMETRY"
_TRUE_VALUES = ("1", "true")
_FIRST_VERSION_WITH_TELEMETRY = (1, 29)
"""First version of ONNX Runtime with telemetry on Linux and macOS."""
_was_imported_before = False
"""Whether ONNX Runtime was imported before its variable was set, which it reads only once."""


def switch_off_telemetry() -> None:
    """Set the environment variables that the user has not set."""
    global _was_imported_before
    is_set_by_user = _ONNXRUNTIME_VARIABLE in os.environ
    _was_imported_before = "onnxruntime" in sys.modules and not is_set_by_user
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime without its telemetry, unless the user's variable allows it.

    If it was imported before rilievo, a warning says once that its telemetry is on.
    """
    global _was_imported_before
    module = import_module("onnxruntime")
    is_switched_off = os.environ.get(_ONNXRUNTIME_VARIABLE, "").lower() in _TRUE_VALUES
    if not is_switched_off:
        return module
    module.disable_telemetry_events()
    if _was_imported_before and _has_telemetry(module):
        _was_imported_before = False
        warnings.warn(
            "onnxruntime was imported before rilievo, so its telemetry is on and cannot be "
            "switched off in this process; import rilievo first, or set "
            f"{_ONNXRUNTIME_VARIABLE}=1",
            RuntimeWarning,
            stacklevel=2,
        )
    return module


def _has_telemetry(onnxruntime: ModuleType) -> bool:
    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    return sys.platform != "win32" and version >= _FIRST_VERSION_WITH_TELEMETRY


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    OpenVINO uses a stub if the package ``openvino_telemetry`` cannot be imported.
    """
    telemetry = "openvino_telemetry"
    if telemetry in sys.modules or "openvino" in sys.modules:
        return import_module("openvino")
    # Python refuses to import a module whose entry in ``sys.modules`` is None.
    imported_modules: dict[str, Any] = sys.modules
    imported_modules[telemetry] = None
    try:
        return import_module("openvino")
    finally:
        del imported_modules[telemetry]
