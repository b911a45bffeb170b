"""ONNX files of other programs: as models, and as copies in rilievo's format.

The user states what such files do not contain. In a copy, nodes around the network normalise the
pixels, and return its output as "depth".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import ModelError, OptionError, explain_missing_extra, first_line
from rilievo.errors.messages import OptionName, Text, join_alternatives
from rilievo.models.base import PreparedModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions, resolve_engine
from rilievo.models.network_files import sha256
from rilievo.models.onnx_files.agreement import Agreement
from rilievo.models.onnx_files.engines import inference_session, open_session, provider_device
from rilievo.models.onnx_files.file_writing import append_model_metadata, measure_agreement
from rilievo.models.onnx_files.onnx_model import INPUT, OnnxDescription
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_PREFIX = "network/"
"""Beginning of the network's names in the copy, so that they do not clash with ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """The user's description of a network. Its input is ``(pixels / scale - mean) / std``.

    Attributes:
        kind: Kind of its depth.
        scale: Divisor of pixels, which are 0 to 255.
        size: Height and width of the input [px]; None if the file fixes them.
        multiple: Both sides are rounded to multiples of this [px], for networks that keep the
            aspect ratio; None for networks that always take ``size``.
        resampling: Filter that resizes photographs to the input.
    """

    kind: DepthKind
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 255.0
    size: tuple[int, int] | None = None
    multiple: int | None = None
    resampling: Resampling = Resampling.BILINEAR
    licence: str = "not stated"
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ForeignGraph:
    """What the file of a network states about its input and its output.

    Attributes:
        input: Name of the input.
        output: Name of the output with depth.
        input_shape: Lengths of the input's four axes; None for those that are not fixed.
        dtype: Type of the input's numbers.
    """

    input: str
    output: str
    input_shape: tuple[int | None, ...]
    dtype: type[np.generic]

    @property
    def is_channels_first(self) -> bool:
        """Whether the input is (batch, 3, height, width), and not (batch, height, width, 3)."""
        return self.input_shape[3] != 3 or self.input_shape[1] == 3

    @property
    def fixed_size(self) -> tuple[int | None, ...]:
        """Height and width of the input [px]; None for those that are not fixed."""
        return self.input_shape[2:4] if self.is_channels_first else self.input_shape[1:3]


def _read_graph(session: Any, path: Path) -> _ForeignGraph:
    """Read the input and the output of a network that ONNX Runtime has opened.

    Raises:
        ModelError: If it has several inputs, or its input is no picture.
    """
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(node.name for node in inputs) or "none"
        raise ModelError(
            f"expected a network with one input, but its inputs are: {names}", path=path
        )
    [node] = inputs
    # An axis whose length is not fixed has a name in place of the number.
    input_shape = tuple(axis if isinstance(axis, int) else None for axis in node.shape)
    dtype = _DTYPES.get(node.type)
    if not _may_be_picture(input_shape) or dtype is None:
        raise ModelError(
            "expected an input of type float or uint8 and shape (batch, 3, height, width) or "
            f"(batch, height, width, 3), but input '{node.name}' has type {node.type} and "
            f"shape {node.shape}",
            path=path,
        )
    output_names = [output.name for output in session.get_outputs()]
    return _ForeignGraph(
        input=node.name,
        # In a network with several outputs, the depth is the one of that name or the first.
        output="depth" if "depth" in output_names else output_names[0],
        input_shape=input_shape,
        dtype=dtype,
    )


def _may_be_picture(shape: tuple[int | None, ...]) -> bool:
    """Whether a shape can be (batch, 3, height, width) or (batch, height, width, 3).

    The length of an axis is None if it is not fixed. Such an axis may be the channels, too.
    """
    if len(shape) != 4:
        return False
    _, second, _, fourth = shape
    return second in (3, None) or fourth in (3, None)


def open_foreign_model(
    path: Path, spec: NetworkSpec, *, device: str = "cpu", threads: int | None = None
) -> "ForeignModel":
    """Open the ONNX file of another program with ONNX Runtime.

    Raises:
        ModelError: If it is no network from one picture to one depth map.
        OptionError: If the device is not available.
    """
    session = inference_session(path, device, threads)
    graph = _read_graph(session, path)
    settings = {
        "engine": "onnxruntime",
        "precision": "fp32",
        "device": provider_device(session.get_providers()[0], device),
    }
    return ForeignModel(
        session,
        graph,
        spec,
        preparation=_foreign_preparation(path, graph.fixed_size, spec),
        card=_foreign_card(path, spec),
        weights_sha256=sha256(path),
        settings=settings,
    )


class ForeignModel(PreparedModel):
    """Network in the ONNX file of another program, from one picture to one depth map.

    ``open_foreign_model`` opens it.
    """

    def __init__(
        self,
        session: Any,
        graph: _ForeignGraph,
        spec: NetworkSpec,
        *,
        preparation: Preparation,
        card: ModelCard,
        weights_sha256: str,
        settings: Mapping[str, Setting],
    ) -> None:
        self._session = session
        self.graph = graph
        self.spec = spec
        self.preparation = preparation
        self.card = card
        self.weights_sha256 = weights_sha256
        self.settings = settings

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network, one photograph at a time if its batch is fixed to 1."""
        takes_single_photos = self.graph.input_shape[0] == 1
        batches = np.split(batch, len(batch)) if takes_single_photos else [batch]
        output = np.concatenate([self._run_session(part) for part in batches])
        return {"depth": _drop_channel_axis(output)}

    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output for one photograph."""
        black = self.preparation.pixels(np.zeros((480, 640, 3), np.uint8))
        return self._run_session(black[None]).shape

    def _run_session(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Shaped[np.ndarray, "..."]:
        """Normalise a batch, and run the network on it."""
        spec = self.spec
        pixels = (batch / np.float64(spec.scale) - spec.mean) / spec.std
        if self.graph.is_channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        try:
            inputs = {self.graph.input: pixels.astype(self.graph.dtype)}
            [output] = self._session.run([self.graph.output], inputs)
        except Exception as error:
            shape = "x".join(map(str, pixels.shape))
            raise ModelError(
                f"model '{self.card.name}': the network failed on an input of shape {shape}: "
                f"{first_line(error)}"
            ) from error
        return np.asarray(output)


def _drop_channel_axis(depth: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "b h w"]:
    if depth.ndim == 4:
        is_channels_first = depth.shape[1] == 1
        depth = depth[:, 0] if is_channels_first else depth[..., 0]
    return depth.astype(np.float32)


def _foreign_preparation(
    path: Path, fixed_size: tuple[int | None, ...], spec: NetworkSpec
) -> Preparation:
    """Make the preparation of photographs from what the user states and the file fixes.

    ``fixed_size`` has None for a side that the file leaves free.
    """
    sizing = _foreign_sizing(path, fixed_size, spec)
    if not spec.resampling.is_rounded:
        available = join_alternatives(each for each in Resampling if each.is_rounded)
        raise OptionError(
            option="resampling",
            problem=f"{spec.resampling} is not available for third-party networks; expected "
            f"{available}",
        )
    return Preparation(
        sizing=sizing,
        resampling=spec.resampling,
        rescale=1 / spec.scale,
        mean=spec.mean,
        std=spec.std,
    )


def _foreign_sizing(path: Path, fixed_size: tuple[int | None, ...], spec: NetworkSpec) -> Sizing:
    """Make the rule for the size of the input from what the user states and the file fixes."""
    height, width = spec.size or fixed_size
    if height is None or width is None:
        raise OptionError(
            "its input has no fixed size",
            path=path,
            hint=Text("give the size at which the network was trained with ", OptionName("size")),
        )
    if fixed_size[0] not in (None, height) or fixed_size[1] not in (None, width):
        raise OptionError(
            f"its input has the fixed size {_size_text(fixed_size)} (height x width), so it "
            f"cannot be {height} x {width}",
            path=path,
        )
    if spec.multiple is None:
        return Sizing(rule=Rule.FIXED, height=height, width=width)
    if None not in fixed_size:
        raise OptionError(
            f"its input always has the size {_size_text(fixed_size)} (height x width)",
            path=path,
            hint=Text("leave out ", OptionName("multiple")),
        )
    multiple = spec.multiple or 1
    return Sizing(rule=Rule.LEAST_CHANGE, height=height, width=width, multiple=multiple)


def _size_text(fixed_size: tuple[int | None, ...]) -> str:
    """Height and width in words; a side that the file leaves free is "any"."""
    return " x ".join("any" if side is None else str(side) for side in fixed_size)


def _foreign_card(path: Path, spec: NetworkSpec) -> ModelCard:
    return ModelCard(
        name=spec.name or path.stem,
        summary=f"the network in {path.name}",
        kind=spec.kind,
        licence=spec.licence,
    )


def read_ultralytics_spec(path: Path) -> NetworkSpec | None:
    """Open a file and read the metadata of a depth export of Ultralytics; None for other files."""
    return _ultralytics_spec(path, open_session(path, LoadOptions(device="cpu")).metadata)


def _ultralytics_spec(path: Path, metadata: Mapping[str, str]) -> NetworkSpec | None:
    """Parse the metadata of a depth export of Ultralytics; None for other files."""
    if metadata.get("author") != "Ultralytics" or metadata.get("task") != "depth":
        return None
    try:
        height, width = json.loads(metadata["imgsz"])
        size = int(height), int(width)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            "the entry 'imgsz' of its metadata is not a size: expected [HEIGHT, WIDTH]", path=path
        ) from error
    return NetworkSpec(
        kind=DepthKind.METRIC,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        size=size,
        licence=metadata.get("license", "not stated"),
        name=path.stem,
    )


def open_ultralytics(
    path: Path, metadata: Mapping[str, str], options: LoadOptions
) -> ForeignModel | None:
    """Open a depth export of Ultralytics; None if the metadata is not from Ultralytics."""
    spec = _ultralytics_spec(path, metadata)
    if spec is None:
        return None
    options = resolve_engine(
        options, engines=("onnxruntime",), what=f"{path}: a file from Ultralytics"
    )
    return open_foreign_model(path, spec, device=options.device, threads=options.threads)


@dataclass(frozen=True, slots=True)
class _Wrapping:
    """Nodes before or after the network, and the constants that they use."""

    nodes: "list[NodeProto]"
    constants: "list[TensorProto]"


def write_wrapped_copy(source: Path, target: Path, spec: NetworkSpec) -> Agreement:
    """Write a copy of another program's file that takes photographs.

    ``spec`` is the user's description of the network.

    Returns:
        How far the predictions of copy and original differ.
    """
    with explain_missing_extra("wrapping an ONNX file", "export"):
        import onnx
    foreign = open_foreign_model(source, spec)
    channel_axis = _channel_axis(source, foreign)
    model = onnx.compose.add_prefix(onnx.load(str(source)), _PREFIX)
    _wrap_graph_in_place(model, foreign, channel_axis)
    try:
        target.write_bytes(model.SerializeToString())
    # protobuf raises an unspecific ValueError for messages above 2 GB.
    except ValueError as error:
        raise ModelError(f"{source}: {first_line(error)}") from error
    assert foreign.card.kind is not None, "the user has stated the kind of depth"
    description = OnnxDescription(
        name=foreign.card.name,
        kind=foreign.card.kind,
        licence=foreign.card.licence,
        preparation=foreign.preparation,
        needs_focal=False,
        is_third_party=True,
    )
    append_model_metadata(target, foreign, description)
    return measure_agreement(foreign, target, "fp32")


def _channel_axis(path: Path, foreign: ForeignModel) -> int | None:
    """Axis of the only channel of the network's output; None if it has no channels."""
    shape = foreign.output_shape()
    if len(shape) == 3 and shape[0] == 1:
        return None
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        return 1 if shape[1] == 1 else 3
    raise ModelError(
        f"{path}: output '{foreign.graph.output}' has the shape {shape}; expected depth as (batch, "
        "height, width), with or without one channel"
    )


def _wrap_graph_in_place(
    model: "ModelProto", foreign: ForeignModel, channel_axis: int | None
) -> None:
    """Put nodes before and after the network, and replace its inputs, outputs and metadata."""
    from onnx import TensorProto, helper

    graph = model.graph
    network_input = _PREFIX + foreign.graph.input
    input_wrapping = _wrap_input(foreign, network_input)
    output_wrapping = _wrap_output(_PREFIX + foreign.graph.output, channel_axis)
    nodes = [*input_wrapping.nodes, *graph.node, *output_wrapping.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*input_wrapping.constants, *output_wrapping.constants])

    # In shapes of ONNX, a name stands for a length that is not fixed.
    sizing = foreign.preparation.sizing
    has_fixed_size = sizing.rule is Rule.FIXED
    size = [sizing.height, sizing.width] if has_fixed_size else ["height", "width"]
    batch = 1 if foreign.graph.input_shape[0] == 1 else "batch"
    image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [batch, *size, 3])
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [batch, None, None])
    # Files of old versions of ONNX list their weights among the inputs.
    weights = [entry for entry in graph.input if entry.name != network_input]
    del graph.input[:]
    graph.input.extend([image, *weights])
    del graph.output[:]
    graph.output.append(depth)
    del model.metadata_props[:]


def _wrap_input(foreign: ForeignModel, network_input: str) -> _Wrapping:
    """Nodes that normalise pixels, (values / scale - mean) / std, and reorder the axes."""
    from onnx import TensorProto, helper, numpy_helper

    spec = foreign.spec
    normalisation = {"scale": spec.scale, "mean": spec.mean, "std": spec.std}
    constants = [
        numpy_helper.from_array(np.asarray(values, np.float32), name)
        for name, values in normalisation.items()
    ]
    axes = [0, 3, 1, 2] if foreign.graph.is_channels_first else [0, 1, 2, 3]
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(foreign.graph.dtype))
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
        helper.make_node("Transpose", ["normalised"], ["ordered"], perm=axes),
        helper.make_node("Cast", ["ordered"], [network_input], to=dtype),
    ]
    return _Wrapping(nodes, constants)


def _wrap_output(network_output: str, channel_axis: int | None) -> _Wrapping:
    """Nodes that convert the network's output to a float32 map without channels."""
    from onnx import TensorProto, helper, numpy_helper

    if channel_axis is None:
        cast = helper.make_node("Cast", [network_output], ["depth"], to=TensorProto.FLOAT)
        return _Wrapping([cast], [])
    cast = helper.make_node("Cast", [network_output], ["answer"], to=TensorProto.FLOAT)
    # Gather is the same in all versions of ONNX's operators, unlike Squeeze.
    first_channel = numpy_helper.from_array(np.array(0, np.int64), "channel")
    gather = helper.make_node("Gather", ["answer", "channel"], ["depth"], axis=channel_axis)
    return _Wrapping([cast, gather], [first_channel])
