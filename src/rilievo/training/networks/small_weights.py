"""Weights of the embedded network's ONNX file."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.errors import InputError, needing
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.training.networks.small import ConvexUpsample, SmallNet

# Of both sides.
MULTIPLE = 32

_Arrays = tuple[np.ndarray, ...]


def fill_from_onnx(network: SmallNet, path: Path) -> None:
    """Fill ``network`` with the weights of an ONNX file of ``export_small``.

    Training mode first measures statistics of batch normalisations that the file merged.
    """
    sky, stored = set(network.sky.modules()), deque(_read_weights_by_layer(path))
    bias: Tensor | None = None
    for layer in _layers_in_call_order(network):
        if not stored and layer in sky:
            break
        if isinstance(layer, nn.BatchNorm2d) and bias is not None:
            one = torch.ones_like(bias)
            _fill_if_shapes_match(layer, (one, bias, 0 * one, one - layer.eps))
            bias = None
            continue
        arrays = stored.popleft() if stored else ()
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            arrays, bias = arrays[:1], next(iter(arrays[1:]), None)
        if not _fill_if_shapes_match(layer, arrays):
            raise InputError(
                f"{printable(path)}: its layers are not those of this network; give a file of the "
                "same recipe"
            )
    if stored:
        raise InputError(
            f"{printable(path)}: {len(stored)} layers more than those of this network; give a file "
            "of the same recipe"
        )


@torch.no_grad()
def _fill_if_shapes_match(layer: nn.Module, arrays: Sequence[Tensor]) -> bool:
    own = [tensor for tensor in layer.state_dict().values() if tensor.is_floating_point()]
    if [tensor.shape for tensor in own] != [array.shape for array in arrays]:
        return False
    for mine, theirs in zip(own, arrays, strict=True):
        mine.copy_(theirs)
    return True


def _layers_in_call_order(network: SmallNet) -> list[nn.Module]:
    order: list[nn.Module] = []
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    with (
        temporary_forward_hooks(layers, lambda layer, inputs, output: order.append(layer)),
        torch.no_grad(),
    ):
        network.eval()(torch.zeros(1, MULTIPLE, MULTIPLE, 3, dtype=torch.uint8))
    return order


@contextmanager
def temporary_forward_hooks(layers: Iterable[nn.Module], hook: object) -> Iterator[None]:
    """Hook layers for a block."""
    handles = [layer.register_forward_hook(hook) for layer in layers]  # pyright: ignore[reportArgumentType, reportCallIssue]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _unfold_upsampling_weights(layers: Iterable[_Arrays]) -> Iterator[_Arrays]:
    order, is_folded = np.arange(36).reshape(9, 4).T.ravel(), False
    for layer in layers:
        kernel = layer[0]
        if kernel.shape[2:] == (4, 4):
            four = kernel.reshape(-1, 4, *kernel.shape[1:])
            is_folded, layer = True, (four[:, 0, :, :3, :3], layer[1][::4])
        elif is_folded and kernel.shape[0] == order.size:
            layer = tuple(array[order] for array in layer)
        yield layer


def _read_weights_by_layer(path: Path) -> list[tuple[Tensor, ...]]:
    with needing("reading weights of an ONNX file", "train"):
        import onnx
        from onnx import numpy_helper
    try:
        check_regular(path)
        graph = onnx.load(str(path)).graph
        arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            operands, name = [arrays.get(source) for source in node.input], node.output[0]
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                arrays[name] = numpy_helper.to_array(node.attribute[0].t)
            elif node.op_type == "Cast" and operands[0] is not None:
                arrays[name] = operands[0].astype(np.float32)
            elif node.op_type == "DequantizeLinear":
                kernel, steps = (arrays[source] for source in node.input)
                shape = (-1, *[1] * (kernel.ndim - 1))
                arrays[name] = kernel.astype(np.float32) * steps.reshape(shape)
            elif node.op_type == "Mul" and operands[0] is not None and operands[1] is not None:
                arrays[name] = operands[0] * operands[1]  # weights in 8 bits and their steps
        # The upsampling's convolutions with fixed weights are in the graph too.
        upsample = ConvexUpsample(1)
        fixed = {upsample.gather.shape, upsample.group.shape}
        layers = [
            tuple(arrays[name].astype(np.float32) for name in node.input[1:])
            for node in graph.node
            if node.op_type == "BatchNormalization"
            or (node.op_type == "Conv" and arrays[node.input[1]].shape not in fixed)
        ]
        return [tuple(map(torch.from_numpy, layer)) for layer in _unfold_upsampling_weights(layers)]
    except Exception as error:  # protobuf and onnx raise errors of many kinds
        raise InputError(f"{printable(path)}: no network of ours: {reason(error)}") from error
