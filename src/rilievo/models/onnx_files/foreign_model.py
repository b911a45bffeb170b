"""ONNX files of other programs as models. The user states what the files do not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import ModelError, OptionError, first_line
from rilievo.errors.messages import OptionName, Text
from rilievo.models.base import PreparedModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions, resolve_engine
from rilievo.models.network_files import sha256
from rilievo.models.onnx_files.engines import inference_session, provider_device
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.records.depth_map import DepthKind

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStatement:
    """What a user states of a network. Its input is ``(pixels / scale - mean) / std``.

    Attributes:
        kind: Kind of its depth.
        mean: Mean of RGB.
        std: Standard deviation of RGB.
        scale: Divisor of pixels of 0 to 255.
        size: Height and width of the input [px]; None for those that the file fixes.
        multiple: Multiple of which both sides have to be, for networks that keep the aspect ratio;
            None for networks that always take ``size``.
        resampling: Filter that resizes photographs.
        licence: Licence of the weights.
        name: Name of the model; None for that of the file.
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
    """Network in the ONNX file of another program, which takes one picture and gives one map.

    Attributes:
        input: Name of the input; ``output`` is that of the output.
        dims: Sizes of the input's four axes; None for those that are not fixed.
        dtype: Type of the input's numbers.
        is_channels_first: Whether the input is (batch, 3, height, width).
    """

    def __init__(
        self,
        path: Path,
        statement: NetworkStatement,
        *,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        session = inference_session(path, device, threads)
        self._session, self.statement = session, statement
        inputs = {item.name: item for item in session.get_inputs()}
        if len(inputs) != 1:
            names = ", ".join(inputs) or "none"
            raise ModelError(f"expected a network with one input, it has {names}", path=path)
        [(self.input, node)] = inputs.items()
        outputs = [item.name for item in session.get_outputs()]
        # Networks with further outputs call that of depth so, or put it first.
        self.output = "depth" if "depth" in outputs else outputs[0]
        self.dims = tuple(item if isinstance(item, int) else None for item in node.shape)
        self.dtype = _DTYPES.get(node.type)
        may_have_channels = bool({3, None} & set(self.dims[1::2]))
        if len(self.dims) != 4 or not may_have_channels or self.dtype is None:
            raise ModelError(
                "a picture goes to numbers of (batch, 3, height, width) or (batch, height, width, "
                f"3), input '{self.input}' is {node.type} {node.shape}",
                path=path,
            )
        self.is_channels_first = self.dims[3] != 3 or self.dims[1] == 3
        fixed_size = self.dims[2:4] if self.is_channels_first else self.dims[1:3]
        self.preparation = _stated_preparation(path, fixed_size, statement)
        self.card = _foreign_card(path, statement)
        self.weights_sha256 = sha256(path)
        self.settings = {
            "engine": "onnxruntime",
            "precision": "fp32",
            "device": provider_device(session.get_providers()[0], device),
        }

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network, one photograph at a time if its batch is fixed to 1."""
        parts = np.split(batch, len(batch)) if self.dims[0] == 1 else [batch]
        output = np.concatenate([self._raw_output(part) for part in parts])
        return {"depth": _drop_channel_axis(output)}

    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output for one photograph."""
        black = self.preparation.pixels(np.zeros((480, 640, 3), np.uint8))
        return self._raw_output(black[None]).shape

    def _raw_output(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Shaped[np.ndarray, "..."]:
        statement = self.statement
        pixels = (batch / np.float64(statement.scale) - statement.mean) / statement.std
        if self.is_channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        try:
            [output] = self._session.run([self.output], {self.input: pixels.astype(self.dtype)})
        except Exception as error:
            raise ModelError(
                f"model '{self.card.name}': the network failed on "
                f"{'x'.join(map(str, pixels.shape))}: {first_line(error)}"
            ) from error
        return np.asarray(output)


def _drop_channel_axis(depth: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "b h w"]:
    if depth.ndim == 4:
        depth = depth[:, 0] if depth.shape[1] == 1 else depth[..., 0]
    return depth.astype(np.float32)


def _stated_preparation(
    path: Path, fixed_size: tuple[int | None, ...], statement: NetworkStatement
) -> Preparation:
    """How photographs are prepared, by what the user states.

    Args:
        path: File of the network, for messages.
        fixed_size: Height and width that the file fixes; None for those that it does not.
        statement: What the user states.

    Raises:
        OptionError: If the two contradict, or neither states a size.
    """
    height, width = statement.size or fixed_size
    if height is None or width is None:
        raise OptionError(
            "its input has no fixed size",
            path=path,
            hint=Text("give the size it was trained at with ", OptionName("size")),
        )
    if fixed_size[0] not in (None, height) or fixed_size[1] not in (None, width):
        raise OptionError(f"its input is {fixed_size}, not {height} x {width}", path=path)
    if statement.multiple is not None and None not in fixed_size:
        raise OptionError(
            f"its input is always {fixed_size}",
            path=path,
            hint=Text("leave out ", OptionName("multiple")),
        )
    sizing = Sizing(
        rule=Rule.FIXED if statement.multiple is None else Rule.LEAST_CHANGE,
        height=height,
        width=width,
        multiple=statement.multiple or 1,
    )
    if not statement.resampling.is_rounded:
        raise OptionError(
            option="resampling",
            problem=f"{statement.resampling} is not available for third-party networks",
        )
    return Preparation(
        sizing=sizing,
        resampling=statement.resampling,
        rescale=1 / statement.scale,
        mean=statement.mean,
        std=statement.std,
    )


def _foreign_card(path: Path, statement: NetworkStatement) -> ModelCard:
    return ModelCard(
        name=statement.name or path.stem,
        summary=f"the network in {path.name}",
        kind=statement.kind,
        licence=statement.licence,
    )


def ultralytics_statement(path: Path, metadata: Mapping[str, str]) -> NetworkStatement | None:
    """What the metadata of a depth export of Ultralytics states; None for other files."""
    if metadata.get("author") != "Ultralytics" or metadata.get("task") != "depth":
        return None
    try:
        height, width = json.loads(metadata["imgsz"])
        size = int(height), int(width)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"its metadata imgsz is not a size: {error}", path=path) from error
    return NetworkStatement(
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
    """Open a depth export of Ultralytics; None if the metadata is that of another file."""
    statement = ultralytics_statement(path, metadata)
    if statement is None:
        return None
    options = resolve_engine(
        options, engines=("onnxruntime",), what=f"{path}: a file of Ultralytics"
    )
    return ForeignModel(path, statement, device=options.device, threads=options.threads)
