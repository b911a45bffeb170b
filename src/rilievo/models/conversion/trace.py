"""Export of networks in torch to ONNX by tracing.

The tracing exporter is the older of torch's two, but ONNX Runtime runs its files faster: Depth
Anything V2 small takes 316 ms a photograph, against 549 ms (two cores of an AMD EPYC).
"""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import MissingExtraError, ModelError
from rilievo.models.engines import INPUT, first_line

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17
LARGEST = 2**31 - 2**24
"""Most bytes of weights in one ONNX file, whose format counts in 31 bits."""

# Tracing takes int() of a size as a constant; these modules call it on sizes.
_WITH_INT = ("transformers.models.depth_anything.modeling_depth_anything",)
# Axes of batch, height and width of each input and output; the default is 0, 1, 2.
_AXES = {"normals": (0, 2, 3), "fov": (0,)}


def write_traced(
    network: "nn.Module",
    example: "Tensor",
    path: Path,
    *,
    outputs: Sequence[str],
    free_size: bool,
    free_batch: bool,
) -> None:
    """Write a network as an ONNX file.

    Args:
        network: Network in evaluation mode, from photographs (batch, height, width, 3) to a tuple
            of outputs.
        example: Example input for the trace.
        path: Path, written in place; give a part file.
        outputs: Names of the outputs, as in ``rilievo.models.prepared``.
        free_size: Whether height and width are free, or fixed to those of the example.
        free_batch: Whether the batch size is free, or 1.
    """
    import torch

    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("exporting to ONNX", "export") from error
    _check_size(network)
    try:
        with warnings.catch_warnings(), _sizes_kept(), torch.inference_mode(mode=False):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                str(path),
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_axes={
                    name: _free_axes(name, free_size=free_size, free_batch=free_batch)
                    for name in (INPUT, *outputs)
                },
                opset_version=OPSET,
                dynamo=False,
            )
    except OSError:
        # A full disk is not the network's fault.
        raise
    # Unsupported operators raise many types of exceptions.
    except Exception as error:
        raise ModelError(f"the network cannot be traced: {first_line(error)}") from error


def _check_size(network: "nn.Module") -> None:
    size = sum(each.numel() * each.element_size() for each in network.state_dict().values())
    if size > LARGEST:
        raise ModelError(
            f"the weights take {size / 2**30:.1f} GB, and an ONNX file holds 2 at most"
        )


def append_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Append entries to the metadata of an ONNX file, without reading it.

    Two concatenated protocol buffers are one message, with their lists joined.
    """
    import onnx

    entries = onnx.ModelProto()
    for key, value in metadata.items():
        entries.metadata_props.add(key=key, value=value)
    with path.open("ab") as file:
        file.write(entries.SerializeToString())


def _free_axes(name: str, *, free_size: bool, free_batch: bool) -> Mapping[int, str]:
    batch, *size = _AXES.get(name, (0, 1, 2))
    free = {batch: "batch"} if free_batch else {}
    return free | dict(zip(size, ("height", "width"), strict=False)) if free_size else free


@contextmanager
def _sizes_kept() -> Iterator[None]:
    """Make ``int`` in the modules that need it keep traced numbers."""
    modules: list[Any] = [sys.modules[name] for name in _WITH_INT if name in sys.modules]
    for module in modules:
        module.int = _whole
    try:
        yield
    finally:
        for module in modules:
            del module.int


def _whole(value: Any) -> Any:
    import torch

    return value.to(torch.int64) if isinstance(value, torch.Tensor) else int(value)
