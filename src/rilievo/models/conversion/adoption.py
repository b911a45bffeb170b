"""ONNX files of other programs, wrapped into the format of ``rilievo.models.onnx``.

The user states once what the file does not: the kind of its depth, the normalisation of its pixels,
the size of its input. Normalisation becomes part of the graph.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from rilievo.errors import MissingExtraError, ModelError, OptionError
from rilievo.models.card import ModelCard
from rilievo.models.conversion.agreement import Agreement
from rilievo.models.conversion.onnx_file import compare, describe
from rilievo.models.engines import INPUT, device_of, first_line, inference_session, sha256
from rilievo.models.onnx import OnnxFacts
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.models.prepared import Arrays, PreparedModel
from rilievo.types import DepthKind

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Facts about a network, as stated by the user.

    Attributes:
        kind: Kind of its depth.
        mean: Mean of red, green and blue, subtracted after division by ``scale``.
        std: Standard deviation of red, green and blue, the divisor after that.
        scale: First divisor of pixels, which are 0 to 255.
        size: Size (height, width) of the input; None takes that of the graph.
        multiple: Multiple to which both sides are rounded, with the aspect ratio kept: of the
            scales to height and to width the one nearer to 1 is taken. None always resizes to
            ``size``.
        resampling: Filter for resizing photographs.
        licence: Licence of the weights.
        name: Name of the model in results; None takes the file's name.
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


class ForeignModel(PreparedModel):
    """The network in its original form: the reference that the wrapped one is compared with."""

    def __init__(
        self,
        path: Path,
        statement: Statement,
        *,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        session = inference_session(path, device, threads)
        self._session, self.statement = session, statement
        inputs = {each.name: each for each in session.get_inputs()}
        if len(inputs) != 1:
            names = ", ".join(inputs) or "none"
            raise ModelError(f"{path}: expected a network with one input, it has {names}")
        [self.input] = inputs
        outputs = [each.name for each in session.get_outputs()]
        # Networks with further outputs call this one so, or put it first.
        self.output = "depth" if "depth" in outputs else outputs[0]
        shape = inputs[self.input].shape
        self.dims = tuple(each if isinstance(each, int) else None for each in shape)
        self.type = _TYPES.get(inputs[self.input].type)
        colours = {3, None} & set(self.dims[1::2])
        if len(self.dims) != 4 or not colours or self.type is None:
            raise ModelError(
                f"{path}: a picture goes to numbers of (batch, 3, height, width) or (batch, "
                f"height, width, 3), input '{self.input}' is {inputs[self.input].type} {shape}"
            )
        self.layout = "nhwc" if self.dims[3] == 3 and self.dims[1] != 3 else "nchw"
        self.preparation = _preparation(path, self.dims, self.layout, statement)
        self.card = _card(path, statement)
        self.weights_sha256 = sha256(path)
        self.settings = {
            "engine": "onnxruntime",
            "precision": "fp32",
            "device": device_of(session.get_providers()[0], device),
        }

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network, one photograph at a time if its batch is 1."""
        parts = np.split(batch, len(batch)) if self.dims[0] == 1 else [batch]
        return {"depth": _as_maps(np.concatenate([self._fed(part) for part in parts]))}

    def answer_shape(self) -> tuple[int, ...]:
        """Shape of the output for one photograph."""
        black = self.preparation.pixels(np.zeros((480, 640, 3), np.uint8))
        return self._fed(black[None]).shape

    def _fed(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Shaped[np.ndarray, "..."]:
        statement = self.statement
        pixels = (batch / np.float64(statement.scale) - statement.mean) / statement.std
        if self.layout == "nchw":
            pixels = pixels.transpose(0, 3, 1, 2)
        try:
            [answer] = self._session.run([self.output], {self.input: pixels.astype(self.type)})
        except Exception as error:
            raise ModelError(
                f"model '{self.card.name}': the network failed on "
                f"{'x'.join(map(str, pixels.shape))}: {first_line(error)}"
            ) from error
        return np.asarray(answer)


def _as_maps(answer: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "b h w"]:
    if answer.ndim == 4:
        answer = answer[:, 0] if answer.shape[1] == 1 else answer[..., 0]
    return answer.astype(np.float32)


def _preparation(
    path: Path, dims: tuple[int | None, ...], layout: str, said: Statement
) -> Preparation:
    own = dims[2:4] if layout == "nchw" else dims[1:3]
    height, width = said.size or own
    if height is None or width is None:
        raise OptionError(
            f"{path}: its input has no fixed size; give the size it was trained at with --size"
        )
    if any(side not in (None, given) for side, given in zip(own, (height, width), strict=True)):
        raise OptionError(f"{path}: its input is {own}, not {height} x {width}")
    if said.multiple is not None and None not in own:
        raise OptionError(f"{path}: its input is always {own}; leave out --multiple")
    sizing = Sizing(
        rule=Rule.FIXED if said.multiple is None else Rule.LEAST_CHANGE,
        height=height,
        width=width,
        multiple=said.multiple or 1,
    )
    if not said.resampling.is_rounded:
        raise OptionError(
            f"--resampling {said.resampling} is not available for third-party networks"
        )
    return Preparation(
        sizing=sizing,
        resampling=said.resampling,
        rescale=1 / said.scale,
        mean=said.mean,
        std=said.std,
    )


def _card(path: Path, said: Statement) -> ModelCard:
    return ModelCard(
        name=said.name or path.stem,
        summary=f"the network in {path.name}",
        kind=said.kind,
        licence=said.licence,
        loader="rilievo.models.onnx:load",
    )


_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


_PREFIX = "network/"  # avoids clashes between the network's names and ours


def adopt(source: Path, part: Path, statement: Statement) -> Agreement:
    """Write a copy of a network with our metadata that takes photographs without preparation.

    Args:
        source: The original ONNX file.
        part: Path to write to; the file is valid only if this function returns.
        statement: Facts that the file does not contain.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise MissingExtraError("wrapping an ONNX file", "export") from error
    foreign = ForeignModel(source, statement)
    axis = _squeezed_axis(source, foreign)
    network = onnx.compose.add_prefix(onnx.load(str(source)), _PREFIX)
    _wrap(network, foreign, axis)
    try:
        part.write_bytes(network.SerializeToString())
    # Messages above 2 GB are refused with an unspecific ValueError.
    except ValueError as error:
        raise ModelError(f"{source}: {first_line(error)}") from error
    assert foreign.card.kind is not None, "its user says it"
    facts = OnnxFacts(
        name=foreign.card.name,
        kind=foreign.card.kind,
        licence=foreign.card.licence,
        preparation=foreign.preparation,
        needs_focal=False,
        adopted=True,
    )
    describe(part, foreign, facts)
    return compare(foreign, part, "fp32")


def _wrap(network: "ModelProto", foreign: ForeignModel, axis: int | None) -> None:
    """Put our input before the graph and our output behind it."""
    from onnx import TensorProto, helper

    graph = network.graph
    theirs, answer = _PREFIX + foreign.input, _PREFIX + foreign.output
    nodes, constants = _normalising(foreign, theirs)
    behind, more = _behind(answer, axis)
    inner = [*nodes, *graph.node, *behind]
    del graph.node[:]
    graph.node.extend(inner)
    graph.initializer.extend([*constants, *more])
    # Old files list their weights among the inputs.
    rest = [each for each in graph.input if each.name != theirs]
    height, width = foreign.preparation.sizing.height, foreign.preparation.sizing.width
    fixed = foreign.preparation.sizing.rule is Rule.FIXED
    batch = 1 if foreign.dims[0] == 1 else "batch"
    shape = [batch, height, width, 3] if fixed else [batch, "height", "width", 3]
    del graph.input[:]
    graph.input.extend([helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape), *rest])
    del graph.output[:]
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [batch, None, None])
    graph.output.append(depth)
    del network.metadata_props[:]


def _normalising(foreign: ForeignModel, theirs: str) -> tuple[list["NodeProto"], list[Any]]:
    from onnx import TensorProto, helper, numpy_helper

    said = foreign.statement
    constants = [
        numpy_helper.from_array(np.asarray(values, np.float32), name)
        for name, values in (("scale", said.scale), ("mean", said.mean), ("std", said.std))
    ]
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
    ]
    order = [0, 3, 1, 2] if foreign.layout == "nchw" else [0, 1, 2, 3]
    nodes.append(helper.make_node("Transpose", ["normalised"], ["ordered"], perm=order))
    to = helper.np_dtype_to_tensor_dtype(np.dtype(foreign.type))
    nodes.append(helper.make_node("Cast", ["ordered"], [theirs], to=to))
    return nodes, constants


def _behind(answer: str, axis: int | None) -> tuple[list["NodeProto"], list[Any]]:
    from onnx import TensorProto, helper, numpy_helper

    if axis is None:
        return [helper.make_node("Cast", [answer], ["depth"], to=TensorProto.FLOAT)], []
    cast = helper.make_node("Cast", [answer], ["answer"], to=TensorProto.FLOAT)
    # The same in all sets of operators, unlike Squeeze.
    first = numpy_helper.from_array(np.array(0, np.int64), "channel")
    return [cast, helper.make_node("Gather", ["answer", "channel"], ["depth"], axis=axis)], [first]


def _squeezed_axis(path: Path, foreign: ForeignModel) -> int | None:
    """Index of the output's channel axis; None if it has none."""
    shape = foreign.answer_shape()
    if len(shape) == 3 and shape[0] == 1:
        return None
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        return 1 if shape[1] == 1 else 3
    raise ModelError(
        f"{path}: depth is (batch, height, width), with one channel or none; output "
        f"'{foreign.output}' is {shape}"
    )
