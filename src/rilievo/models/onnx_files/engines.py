"""Opening of ONNX files with the engine that the options name."""

from pathlib import Path

from rilievo.errors import ModelError
from rilievo.models.load_options import ONNX_ENGINES, LoadOptions, checked
from rilievo.models.onnx_files.onnxruntime_engine import open_onnxruntime
from rilievo.models.onnx_files.session import Session


def open_session(path: Path, options: LoadOptions) -> Session:
    """Open one file with the engine that ``options`` name."""
    options = checked(options, engines=ONNX_ENGINES, what=f"{path}: an ONNX file")
    try:
        if options.engine == "onnxruntime":
            return open_onnxruntime(path, options)
        from rilievo.models.onnx_files.openvino_engine import open_openvino

        return open_openvino(path, options)
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: a name in the network is no text in UTF-8") from error
