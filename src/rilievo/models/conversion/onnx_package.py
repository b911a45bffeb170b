"""Package ``onnx``."""

from typing import Any

from rilievo.errors import MissingExtraError


def import_onnx() -> Any:
    """Import the package.

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
