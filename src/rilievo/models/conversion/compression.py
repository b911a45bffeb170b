"""ONNX files with smaller weights: fp16 to store, int8 to compute with."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

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
    """Store a network's weights in 16 bits; whoever runs it computes in 32 as before.

    Arithmetic in 16 bits would overflow in some networks, and no processor is faster by it;
    ``precision="bf16"`` is the faster arithmetic when a network is run.

    Raises:
        ModelError: If a weight is beyond what 16 bits hold.
        MissingExtraError: If the package onnx is not installed.
    """
    onnx = _onnx()
    model = onnx.load(str(source))
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        # Biases and norms are short, and the ones that rounding is seen of most.
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
    preparation: Preparation,
    photos: Sequence[Path],
) -> None:
    """Bring weights, and with photographs activations too, to 8 bits.

    Without photographs, the products of matrices alone are quantised, with the ranges of
    activations found anew for every photograph (dynamic). With them, convolutions too, with the
    ranges that these photographs had (static).

    Args:
        source: The network in fp32.
        target: Where to write.
        preparation: Of the network.
        photos: Files, for calibration.

    Raises:
        ModelError: If the network cannot be quantised.
        MissingExtraError: If the package onnx is not installed.
    """
    _onnx()
    from onnxruntime import quantization

    try:
        with _quiet():
            _quantise(quantization, source, target, preparation, photos)
        _check_quantised(source, target)
    except RilievoError:
        raise
    # Its own exceptions are those of a script: ValueError, RuntimeError, AssertionError.
    except Exception as error:
        raise ModelError(f"{source}: cannot be quantised: {first_line(error)}") from error


def set_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Let an ONNX file say this of itself, and nothing else.

    Raises:
        MissingExtraError: If the package onnx is not installed.
    """
    onnx = _onnx()
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(metadata))
    _save(model, path)


def _check_quantised(source: Path, target: Path) -> None:
    operators = {node.op_type for node in _onnx().load(str(target)).graph.node}
    if not operators & {"DynamicQuantizeLinear", "QuantizeLinear"}:
        raise ModelError(
            f"{source}: it has no products of matrices, which alone int8 takes without "
            "photographs; give some with --calibration"
        )


def _quantise(
    quantization: Any,
    source: Path,
    target: Path,
    preparation: Preparation,
    photos: Sequence[Path],
) -> None:
    if not photos:
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
        _Reader(preparation, photos),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gemm", "Conv"],
        per_channel=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        extra_options={
            # OpenVINO takes 284 ms of a processor for a photograph with symmetric ranges, and
            # 590 without; and it computes in int8 only where the bias is left as it is.
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
    """Photographs as ONNX Runtime's calibration asks for them, one by one."""

    def __init__(self, preparation: Preparation, photos: Sequence[Path]) -> None:
        self._photos = (preparation.pixels(read_photo(each).pixels) for each in photos)

    def get_next(self) -> dict[str, Shaped[np.ndarray, "1 h w 3"]] | None:
        pixels = next(self._photos, None)
        return None if pixels is None else {INPUT: pixels[None]}


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
