"""Read weights of ``SmallNet`` from an ONNX file, whose layers have no names and no norms."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.errors import InputError, explain_missing_extra
from rilievo.errors.messages import count_text
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.training.networks.small import ConvexUpsample, SmallNet

MULTIPLE = 32
"""Common divisor of the height and width of images [px]."""

_Arrays = tuple[np.ndarray, ...]


def fill_from_onnx(network: SmallNet, path: Path) -> None:
    """Fill a network with the weights of an ONNX file of ``export_small``.

    Layers are matched by the order in which they are called. An export may fuse a norm with the
    convolution before it, which then has a bias in the file but none in the network. The norm of
    the network is then filled so that it only adds this bias, and its statistics must be measured
    before further training.

    Raises:
        InputError: If the file is broken, or has other layers than the network.
    """
    sky_layers = set(network.sky.modules())
    unused_weights = deque(_read_weights_by_layer(path))
    layers = _layers_in_call_order(network)
    for layer, next_layer in itertools.zip_longest(layers, layers[1:]):
        if not unused_weights and layer in sky_layers:
            break  # The file has a network without sky.
        tensors = unused_weights.popleft() if unused_weights else ()
        if isinstance(next_layer, nn.BatchNorm2d) and _has_fused_norm(layer, tensors):
            kernel, bias = tensors
            tensors = (kernel,)
            unused_weights.appendleft(_identity_norm_with_bias(bias, next_layer.eps))
        if not _fill_if_shapes_match(layer, tensors):
            raise InputError(
                f"{printable(path)}: the layers do not match this network; use a file with the "
                "same architecture"
            )
    if unused_weights:
        raise InputError(
            f"{printable(path)}: has {count_text(len(unused_weights), 'more layer')} than this "
            "network; use a file with the same architecture"
        )


def _has_fused_norm(layer: nn.Module, stored: Sequence[Tensor]) -> bool:
    """Whether the stored weights are those of a convolution without bias, and yet have a bias."""
    is_conv_without_bias = isinstance(layer, nn.Conv2d) and layer.bias is None
    return is_conv_without_bias and len(stored) == 2


def _identity_norm_with_bias(bias: Tensor, eps: float) -> tuple[Tensor, ...]:
    """Weight, bias, mean and variance of a batch normalisation that only adds ``bias``."""
    one = torch.ones_like(bias)
    return one, bias, torch.zeros_like(bias), one - eps


@torch.no_grad()
def _fill_if_shapes_match(layer: nn.Module, stored: Sequence[Tensor]) -> bool:
    """Fill a layer and return True; leave it and return False if it has other shapes."""
    tensors = [tensor for tensor in layer.state_dict().values() if tensor.is_floating_point()]
    if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in stored]:
        return False
    for tensor, stored_tensor in zip(tensors, stored, strict=True):
        tensor.copy_(stored_tensor)
    return True


def _layers_in_call_order(network: SmallNet) -> list[nn.Module]:
    """Convolutions and norms of a network, in the order in which it calls them."""
    called_layers: list[nn.Module] = []

    def record_call(layer: nn.Module, inputs: Any, output: Any) -> None:
        called_layers.append(layer)

    layers = [
        module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    smallest_image = torch.zeros(1, MULTIPLE, MULTIPLE, 3, dtype=torch.uint8)
    with temporary_forward_hooks(layers, record_call), torch.no_grad():
        network.eval()(smallest_image)
    return called_layers


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

    Such a file computes the four new pixels of a doubled map side by side. So the kernels of
    ``look`` are padded from 3×3 to 4×4 and come four times, once for each new pixel. The 36 outputs
    of ``weigh`` are ordered by neighbour and then by new pixel, instead of the other way around.
    """
    num_neighbours = 9
    num_new_pixels = 4
    num_outputs = num_neighbours * num_new_pixels
    stored_order = np.arange(num_outputs).reshape(num_neighbours, num_new_pixels)
    order_by_new_pixel = stored_order.T.ravel()

    is_rearranged = False
    for layer in layers:
        kernel, *other_arrays = layer
        if kernel.shape[2:] == (4, 4):
            is_rearranged = True
            [bias] = other_arrays
            yield kernel[::num_new_pixels, :, :3, :3], bias[::num_new_pixels]
        elif is_rearranged and len(kernel) == num_outputs:
            yield tuple(array[order_by_new_pixel] for array in layer)
        else:
            yield layer


def _read_weights_by_layer(path: Path) -> list[tuple[Tensor, ...]]:
    """Read the weights of each convolution and norm, in the order of the graph."""
    with explain_missing_extra("reading weights from an ONNX file", "train"):
        import onnx
    try:
        check_regular(path)
        graph = onnx.load(str(path)).graph
        arrays = _constant_arrays(graph)
        # The upsampling's convolutions with fixed weights are in the graph too.
        upsample = ConvexUpsample(1)
        fixed_shapes = {upsample.gather.shape, upsample.group.shape}
        layers: list[_Arrays] = []
        for node in graph.node:
            if node.op_type not in ("Conv", "BatchNormalization"):
                continue
            # The first input of a node is the map that it computes from.
            stored = [arrays[name] for name in node.input[1:]]
            is_fixed = node.op_type == "Conv" and stored[0].shape in fixed_shapes
            if not is_fixed:
                layers.append(tuple(array.astype(np.float32) for array in stored))
        return [tuple(map(torch.from_numpy, layer)) for layer in _unfold_upsampling_weights(layers)]
    except Exception as error:  # protobuf and onnx raise errors of many kinds
        raise InputError(
            f"{printable(path)}: is not a network that rilievo exported: {reason(error)}"
        ) from error


def _constant_arrays(graph: Any) -> dict[str, np.ndarray]:
    """Constants of a graph by name, and arrays that are computed from them (8-bit weights)."""
    from onnx import numpy_helper

    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        operands = [arrays.get(input_name) for input_name in node.input]
        output_name = node.output[0]
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            arrays[output_name] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Cast" and operands[0] is not None:
            arrays[output_name] = operands[0].astype(np.float32)
        elif node.op_type == "DequantizeLinear":
            kernel, scales = (arrays[input_name] for input_name in node.input)
            per_output = (-1, *[1] * (kernel.ndim - 1))
            arrays[output_name] = kernel.astype(np.float32) * scales.reshape(per_output)
        elif node.op_type == "Mul" and operands[0] is not None and operands[1] is not None:
            arrays[output_name] = operands[0] * operands[1]  # 8-bit weights and their scales
    return arrays
