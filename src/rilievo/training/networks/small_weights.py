"""Weights of ``SmallNet`` from an ONNX file, in which norms are merged and no layer has a name."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.errors import InputError, needing
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.training.networks.small import ConvexUpsample, SmallNet

MULTIPLE = 32
"""Common divisor of the height and width of images [px]."""

_Arrays = tuple[np.ndarray, ...]


def fill_from_onnx(network: SmallNet, path: Path) -> None:
    """Fill a network with the weights of an ONNX file of ``export_small``.

    Layers are matched in the order in which they are called. Norms that the file merged with their
    convolution become an identity plus the bias; further training first measures their statistics.

    Raises:
        InputError: If the file has other layers.
    """
    sky_layers = set(network.sky.modules())
    stored_layers = deque(_read_weights_by_layer(path))
    merged_bias: Tensor | None = None
    for layer in _layers_in_call_order(network):
        if not stored_layers and layer in sky_layers:
            break  # files of networks without sky
        if isinstance(layer, nn.BatchNorm2d) and merged_bias is not None:
            one = torch.ones_like(merged_bias)
            _fill_if_shapes_match(layer, (one, merged_bias, 0 * one, one - layer.eps))
            merged_bias = None
            continue

        arrays = stored_layers.popleft() if stored_layers else ()
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            merged_bias = arrays[1] if len(arrays) > 1 else None
            arrays = arrays[:1]
        if not _fill_if_shapes_match(layer, arrays):
            raise InputError(
                f"{printable(path)}: its layers are not those of this network; give a file of the "
                "same recipe"
            )
    if stored_layers:
        raise InputError(
            f"{printable(path)}: {len(stored_layers)} layers more than those of this network; give "
            "a file of the same recipe"
        )


@torch.no_grad()
def _fill_if_shapes_match(layer: nn.Module, arrays: Sequence[Tensor]) -> bool:
    """Fill a layer; return False, without a change, if it has tensors of other shapes."""
    tensors = [tensor for tensor in layer.state_dict().values() if tensor.is_floating_point()]
    if [tensor.shape for tensor in tensors] != [array.shape for array in arrays]:
        return False
    for tensor, array in zip(tensors, arrays, strict=True):
        tensor.copy_(array)
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
    """Call ``hook`` after each call of the layers, as long as the block runs."""
    handles = [layer.register_forward_hook(hook) for layer in layers]  # pyright: ignore[reportArgumentType, reportCallIssue]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _unfold_upsampling_weights(layers: Iterable[_Arrays]) -> Iterator[_Arrays]:
    """Undo the rearrangement of the layers of ``ConvexUpsample`` that an export may make.

    Such a file computes the four pixels of a doubled map side by side, so kernels of 3×3 are padded
    to 4×4 and come four times, and the 36 weights are in another order.
    """
    order, is_folded = np.arange(36).reshape(9, 4).T.ravel(), False
    for layer in layers:
        kernel = layer[0]
        if kernel.shape[2:] == (4, 4):
            is_folded = True
            copies = kernel.reshape(-1, 4, *kernel.shape[1:])
            yield copies[:, 0, :, :3, :3], layer[1][::4]
        elif is_folded and kernel.shape[0] == order.size:
            yield tuple(array[order] for array in layer)
        else:
            yield layer


def _read_weights_by_layer(path: Path) -> list[tuple[Tensor, ...]]:
    """Read the weights of each convolution and norm, in the order of the graph."""
    with needing("reading weights of an ONNX file", "train"):
        import onnx
    try:
        check_regular(path)
        graph = onnx.load(str(path)).graph
        arrays = _constant_arrays(graph)
        # The upsampling's convolutions with fixed weights are in the graph too.
        upsample = ConvexUpsample(1)
        fixed_shapes = {upsample.gather.shape, upsample.group.shape}
        layers = [
            tuple(arrays[name].astype(np.float32) for name in node.input[1:])
            for node in graph.node
            if node.op_type == "BatchNormalization"
            or (node.op_type == "Conv" and arrays[node.input[1]].shape not in fixed_shapes)
        ]
        return [tuple(map(torch.from_numpy, layer)) for layer in _unfold_upsampling_weights(layers)]
    except Exception as error:  # protobuf and onnx raise errors of many kinds
        raise InputError(f"{printable(path)}: no network of ours: {reason(error)}") from error


def _constant_arrays(graph: Any) -> dict[str, np.ndarray]:
    """Constants of a graph by name, and those that follow from them, as weights in 8 bits do."""
    from onnx import numpy_helper

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
    return arrays
