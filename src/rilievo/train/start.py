"""Start from the weights of a narrower network without losing what it has learned.

T. Chen, I. Goodfellow and J. Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR
2016: the wider network computes at first what the narrower one did. Here new channels get random
weights of their own, and old channels give them zero weight at first.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.errors import InputError, MissingExtraError
from rilievo.io.limits import check_regular, printable, reason
from rilievo.networks.small import MULTIPLE, ConvexUpsample, SmallNet
from rilievo.train.batches import Batch


def take_over(network: nn.Module, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Fill ``network`` with the weights of one that is as wide or narrower.

    Parts that the other one lacks keep their weights; their names are returned. Raises
    ``InputError`` if the other has weights of another rank or kernel, or wider ones.
    """
    mine = network.state_dict()
    for name, theirs in state.items():
        if name not in mine:
            raise InputError(f"weights to start from: '{name}' is not in this network")
        own = mine[name]
        if not _fits(theirs.shape, own.shape):
            raise InputError(
                f"weights to start from: '{name}' is {tuple(theirs.shape)}, which does not fit "
                f"into {tuple(own.shape)}"
            )
        window = tuple(slice(size) for size in theirs.shape)
        if own.dim() > 1:
            own[: theirs.shape[0]] = 0.0
        own[window] = theirs
    network.load_state_dict(mine)
    return tuple(name for name in mine if name not in state)


def _fits(theirs: Sequence[int], own: Sequence[int]) -> bool:
    """Whether weights fit into others: no more channels, and kernels of the same size."""
    same_kind = len(theirs) == len(own) and tuple(theirs[2:]) == tuple(own[2:])
    return same_kind and all(small <= large for small, large in zip(theirs, own, strict=True))


def start_from(network: nn.Module, run: Path, *, takes: str = "") -> None:
    """Take over the averaged weights of a run, whose network is as wide or narrower.

    Only weights whose names begin with ``takes`` are taken, and of these not those that ``network``
    does not have, as the last blocks of a shorter encoder.
    """
    theirs, mine = read_average(run), network.state_dict()
    if takes:
        theirs = {
            name: value for name, value in theirs.items() if name.startswith(takes) and name in mine
        }
    try:
        if not theirs:
            raise InputError(f"no weights to start from: none is called '{takes}...'")
        take_over(network, theirs)
    except InputError as error:
        raise InputError(f"{printable(run)}: a run of another network: {error}") from error


def read_average(run: Path) -> dict[str, Tensor]:
    """Read the averaged weights of a run."""
    path = run / "checkpoint.pt"
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
        return {name: torch.as_tensor(value) for name, value in entries["average"].items()}
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(
            f"{printable(path)}: no checkpoint of a run to start from ({reason(error)})"
        ) from error


def read_exported(network: SmallNet, path: Path) -> None:
    """Fill ``network`` with the weights of an ONNX file that ``export_small`` wrote.

    Of a batch normalisation after a convolution the file has only the bias that it adds, so in
    training mode ``measure_statistics`` is needed first. A file from before there were marks leaves
    theirs as they are.
    """
    marks, stored = set(network.marks.modules()), deque(_stored(path))
    bias: Tensor | None = None
    for layer in _in_order(network):
        if not stored and layer in marks:
            break
        if isinstance(layer, nn.BatchNorm2d) and bias is not None:
            one = torch.ones_like(bias)
            _fill(layer, (one, bias, 0 * one, one - layer.eps))
            bias = None
            continue
        arrays = stored.popleft() if stored else ()
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            arrays, bias = arrays[:1], next(iter(arrays[1:]), None)
        if not _fill(layer, arrays):
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
def _fill(layer: nn.Module, arrays: Sequence[Tensor]) -> bool:
    """Fill the weights and statistics of a layer, unless it has others than those given."""
    own = [each for each in layer.state_dict().values() if each.is_floating_point()]
    if [each.shape for each in own] != [each.shape for each in arrays]:
        return False
    for mine, theirs in zip(own, arrays, strict=True):
        mine.copy_(theirs)
    return True


@torch.no_grad()
def measure_statistics(network: SmallNet, batches: Iterable[Batch]) -> None:
    """Set the mean and variance of batch normalisations from their inputs, outputs unchanged."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    moments: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}

    def note(norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        moments[norm].append(torch.stack([mean, variance + mean**2]).double())

    network.eval()
    with _hooked(norms, note):
        for batch in batches:
            network(batch.image)
    for norm in norms:
        if norm.running_mean is None or norm.running_var is None:
            continue
        mean, square = torch.stack(moments[norm]).mean(dim=0)
        variance = (square - mean**2).clamp(min=1e-8)
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        norm.bias.add_((scale * (mean - norm.running_mean.double())).float())
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _in_order(network: SmallNet) -> list[nn.Module]:
    """Convolutions and batch normalisations in the order of execution."""
    seen: list[nn.Module] = []
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    with _hooked(layers, lambda layer, inputs, output: seen.append(layer)), torch.no_grad():
        network.eval()(torch.zeros(1, MULTIPLE, MULTIPLE, 3, dtype=torch.uint8))
    return seen


@contextmanager
def _hooked(layers: Iterable[nn.Module], hook: object) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook) for layer in layers]  # pyright: ignore[reportArgumentType, reportCallIssue]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _fixed_shapes() -> set[torch.Size]:
    """Shapes of the upsampling's convolutions with fixed weights, which are in the graph too."""
    upsample = ConvexUpsample(1)
    return {upsample.gather.shape, upsample.group.shape}


def _stored(path: Path) -> list[tuple[Tensor, ...]]:
    """Arrays of every convolution and batch normalisation of a file, in the graph's order.

    A convolution has its weight, and its bias if there is one; a batch normalisation has weight,
    bias, mean and variance.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingExtraError("reading weights of an ONNX file", "train") from error
    try:
        check_regular(path)
        graph = onnx.load(str(path)).graph
        arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        for node in graph.node:
            given, name = [arrays.get(each) for each in node.input], node.output[0]
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                arrays[name] = numpy_helper.to_array(node.attribute[0].t)
            elif node.op_type == "Cast" and given[0] is not None:
                arrays[name] = given[0].astype(np.float32)
            elif node.op_type == "Mul" and given[0] is not None and given[1] is not None:
                arrays[name] = given[0] * given[1]  # weights in 8 bits and their steps
        fixed = _fixed_shapes()
        return [
            tuple(torch.from_numpy(arrays[name].astype(np.float32)) for name in node.input[1:])
            for node in graph.node
            if node.op_type == "BatchNormalization"
            or (node.op_type == "Conv" and arrays[node.input[1]].shape not in fixed)
        ]
    except Exception as error:  # protobuf and onnx raise errors of many kinds
        raise InputError(f"{printable(path)}: no network of ours: {reason(error)}") from error
