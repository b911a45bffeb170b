"""ONNX files with smaller weights: fp16 for storage, int8 for computation."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped, UInt8

from rilievo.errors import MissingExtraError, ModelError, RilievoError
from rilievo.io.photo import read_photo
from rilievo.models.engines import INPUT, first_line
from rilievo.models.preparation import Preparation

if TYPE_CHECKING:
    from onnx import ModelProto

FP32, FP16, INT8 = "fp32", "fp16", "int8"
FILE_PRECISIONS = (FP32, FP16, INT8)
LARGEST_FP16 = 65504.0


def halve(source: Path, target: Path) -> None:
    """Store a network's weights in 16 bits; they are converted to 32 bits when it runs.

    Arithmetic in 16 bits would overflow in some networks, and is no faster on CPUs; use
    ``precision="bf16"`` at run time for faster arithmetic.
    """
    onnx = _onnx()
    model = onnx.load(str(source))
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        # Biases and norms are small arrays, and the most sensitive to rounding.
        if weight.data_type != onnx.TensorProto.FLOAT or len(weight.dims) < 2:
            continue
        values = onnx.numpy_helper.to_array(weight)
        if np.abs(values).max() > LARGEST_FP16:
            raise ModelError(
                f"{source}: weight {weight.name} goes up to {np.abs(values).max():.3g}, beyond "
                f"what fp16 holds ({LARGEST_FP16:.0f}); keep fp32"
            )
        name = weight.name
        half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}/fp16")
        weight.CopyFrom(half)
        casts.append(onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    _save(model, target)


def quantise(
    source: Path,
    target: Path,
    preparation: Preparation | None = None,
    photos: Sequence[Path] = (),
) -> None:
    """Quantise weights, and with photographs also activations, to 8 bits.

    Without photographs only matrix products are quantised, with activation ranges computed anew for
    every photograph (dynamic). With them convolutions are too, with the ranges measured on these
    photographs (static).
    """
    _onnx()
    from onnxruntime import quantization

    try:
        with _quiet():
            _quantise(quantization, source, target, preparation, photos)
        _check_quantised(source, target)
    except RilievoError:
        raise
    # The quantiser raises general exceptions: ValueError, RuntimeError, AssertionError.
    except Exception as error:
        raise ModelError(f"{source}: cannot be quantised: {first_line(error)}") from error


def quantise_between(
    source: Path,
    target: Path,
    batches: Iterable[UInt8[np.ndarray, "1 h w 3"]],
    *,
    kept: Sequence[str],
) -> None:
    """Quantise convolutions and the operators between them to 8 bits, for ONNX Runtime on a CPU.

    No conversion to floats remains between two such convolutions: additions and resizing are done
    in 8 bits too, and a ReLU becomes the lower end of the range. Ranges are therefore asymmetric,
    unlike those of ``quantise``, which suit OpenVINO.

    Args:
        source: The network in fp32.
        target: Path to write to.
        batches: Inputs of the network, for calibration.
        kept: Substrings of the names of nodes that stay in fp32.
    """
    nodes = [node.name for node in _onnx().load(str(source)).graph.node]
    from onnxruntime import quantization

    # The quantiser only calls ``get_next``, but its signature declares a class of onnxruntime.
    reader: Any = _Reader(batches)
    try:
        with _quiet():
            quantization.quantize_static(
                source,
                target,
                reader,
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Relu", "Add", "Resize"],
                nodes_to_exclude=[name for name in nodes if any(part in name for part in kept)],
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
    except RilievoError:
        raise
    except Exception as error:
        raise ModelError(f"{source}: cannot be quantised: {first_line(error)}") from error


def set_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of an ONNX file."""
    onnx = _onnx()
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(metadata))
    _save(model, path)


def _check_quantised(source: Path, target: Path) -> None:
    operators = {node.op_type for node in _onnx().load(str(target)).graph.node}
    if not operators & {"DynamicQuantizeLinear", "QuantizeLinear"}:
        raise ModelError(
            f"{source}: it has no matrix products, and without photographs int8 "
            "quantises nothing else; give photographs with --calibration"
        )


def _quantise(
    quantization: Any,
    source: Path,
    target: Path,
    preparation: Preparation | None,
    photos: Sequence[Path],
) -> None:
    if preparation is None or not photos:
        quantization.quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            extra_options={"MatMulConstBOnly": True},
        )
        return
    quantization.quantize_static(
        source,
        target,
        _Reader(
            preparation.pixels(read_photo(each, own_depth=False).pixels)[None] for each in photos
        ),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gemm", "Conv"],
        per_channel=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        extra_options={
            # OpenVINO takes 284 ms of CPU time a photograph with symmetric ranges, and 590 ms
            # without; and it computes in int8 only if the bias is left unquantised.
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "MatMulConstBOnly": True,
            "QuantizeBias": False,
        },
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice off the terminal, and its handler out of the logging."""
    handler, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(handler)
    level = root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
        root.removeHandler(handler)


class _Reader:
    """Inputs of a network, one by one, in the interface of ONNX Runtime's calibration."""

    def __init__(self, batches: Iterable[Shaped[np.ndarray, "1 h w 3"]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Shaped[np.ndarray, "1 h w 3"]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _onnx() -> Any:
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("writing ONNX files", "export") from error
    return onnx


def _save(model: "ModelProto", path: Path) -> None:
    path.write_bytes(model.SerializeToString())
