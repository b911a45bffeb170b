"""Quantise ONNX files to 8 bits, with the tools of ONNX Runtime."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import MissingExtraError, ModelError, RilievoError, first_line
from rilievo.errors.messages import OptionName, Text
from rilievo.io.photographs.photo import read_photo
from rilievo.models.onnx_files.onnx_model import INPUT
from rilievo.models.resampling.preparation import Preparation
from rilievo.system.telemetry import import_onnxruntime


def import_onnx() -> Any:
    """Import ``onnx``; ``MissingExtraError`` if it is not installed."""
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("writing ONNX files", "export") from error
    return onnx


def quantise(
    source: Path,
    target: Path,
    preparation: Preparation | None = None,
    photos: Sequence[Path] = (),
) -> None:
    """Quantise a network to 8 bits.

    With photographs, it is static quantisation, also of convolutions: the ranges of activations are
    measured on the photographs. Without them, it is dynamic quantisation of matrix products, which
    measures the ranges at each run.
    """
    if preparation is None or not photos:
        with _quantization_module(source) as quantization:
            quantization.quantize_dynamic(
                source,
                target,
                op_types_to_quantize=["MatMul", "Gemm"],
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                extra_options={"MatMulConstBOnly": True},
            )
    else:
        pictures = (read_photo(photo, own_depth=False).pixels for photo in photos)
        batches = (preparation.pixels(picture)[None] for picture in pictures)
        options = {
            # OpenVINO takes 284 ms of CPU time a photograph with symmetric ranges and 590 ms
            # without them. It computes in int8 only if the bias is left unquantised.
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "MatMulConstBOnly": True,
            "QuantizeBias": False,
        }
        quantise_static(source, target, batches, ("MatMul", "Gemm", "Conv"), options=options)
    _check_quantised(source, target)


def quantise_static(
    source: Path,
    target: Path,
    batches: Iterable[Shaped[np.ndarray, "1 h w 3"]],
    operators: Sequence[str],
    *,
    options: Mapping[str, bool] | None = None,
) -> None:
    """Quantise weights and activations to 8 bits, with ranges measured on ``batches``."""
    # The quantiser only calls ``get_next``, but its signature declares a class of onnxruntime.
    reader: Any = _BatchReader(batches)
    with _quantization_module(source) as quantization:
        quantization.quantize_static(
            source,
            target,
            reader,
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            # Use 7 bits for weights, because processors without VNNI add products in 16 bits.
            reduce_range=True,
            extra_options=dict(options or {}),
        )


def _check_quantised(source: Path, target: Path) -> None:
    operators = {node.op_type for node in import_onnx().load(str(target)).graph.node}
    if not operators & {"DynamicQuantizeLinear", "QuantizeLinear"}:
        raise ModelError(
            "without photographs, int8 only quantises matrix products, and the network has none",
            path=source,
            hint=Text("give photographs with ", OptionName("calibration")),
        )


@contextmanager
def _quantization_module(source: Path) -> Iterator[Any]:
    """Yield ONNX Runtime's quantiser, whose errors become ``ModelError`` and whose log is off."""
    import_onnx()
    import_onnxruntime()
    from onnxruntime import quantization

    # The quantiser logs to the root logger, and would configure one without a handler.
    root_logger = logging.getLogger()
    handler = logging.NullHandler()
    root_logger.addHandler(handler)
    disabled_level = root_logger.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield quantization
    except RilievoError:
        raise
    # The quantiser raises general exceptions: ValueError, RuntimeError, AssertionError.
    except Exception as error:
        raise ModelError(f"cannot be quantised: {first_line(error)}", path=source) from error
    finally:
        logging.disable(disabled_level)
        root_logger.removeHandler(handler)


class _BatchReader:
    """Source of calibration inputs, with the method that the quantiser calls."""

    def __init__(self, batches: Iterable[Shaped[np.ndarray, "1 h w 3"]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Shaped[np.ndarray, "1 h w 3"]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
