"""ONNX files of other programs as models, whose facts the user states."""

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

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Facts about a network, as stated by the user.

    Attributes:
        mean: Subtracted from RGB after division by ``scale``.
        std: Divisor after that.
        scale: First divisor of pixels of 0 to 255.
        size: Height and width; None takes the graph's.
        multiple: Multiple of sides, aspect ratio kept; None always takes ``size``.
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
    """Network in its original form."""

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
        inputs = {item.name: item for item in session.get_inputs()}
        if len(inputs) != 1:
            names = ", ".join(inputs) or "none"
            raise ModelError(f"expected a network with one input, it has {names}", path=path)
        [self.input] = inputs
        outputs = [item.name for item in session.get_outputs()]
        # Networks with further outputs call this one so, or put it first.
        self.output = "depth" if "depth" in outputs else outputs[0]
        shape = inputs[self.input].shape
        self.dims = tuple(item if isinstance(item, int) else None for item in shape)
        self.type = _TYPES.get(inputs[self.input].type)
        colours = {3, None} & set(self.dims[1::2])
        if len(self.dims) != 4 or not colours or self.type is None:
            raise ModelError(
                (
                    "a picture goes to numbers of (batch, 3, height, width) "
                    f"or (batch, height, width, 3), input '{self.input}' is "
                    f"{inputs[self.input].type} {shape}"
                ),
                path=path,
            )
        self.layout = "nhwc" if self.dims[3] == 3 and self.dims[1] != 3 else "nchw"
        self.preparation = _preparation_of_statement(path, self.dims, self.layout, statement)
        self.card = _foreign_card(path, statement)
        self.weights_sha256 = sha256(path)
        self.settings = {
            "engine": "onnxruntime",
            "precision": "fp32",
            "device": provider_device(session.get_providers()[0], device),
        }

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network, one by one if its batch is 1."""
        parts = np.split(batch, len(batch)) if self.dims[0] == 1 else [batch]
        return {
            "depth": _drop_channel_axis(np.concatenate([self._raw_output(part) for part in parts]))
        }

    def answer_shape(self) -> tuple[int, ...]:
        """Shape of the output for a photograph."""
        black = self.preparation.pixels(np.zeros((480, 640, 3), np.uint8))
        return self._raw_output(black[None]).shape

    def _raw_output(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Shaped[np.ndarray, "..."]:
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


def _drop_channel_axis(answer: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "b h w"]:
    if answer.ndim == 4:
        answer = answer[:, 0] if answer.shape[1] == 1 else answer[..., 0]
    return answer.astype(np.float32)


def _preparation_of_statement(
    path: Path, dims: tuple[int | None, ...], layout: str, statement: Statement
) -> Preparation:
    own = dims[2:4] if layout == "nchw" else dims[1:3]
    height, width = statement.size or own
    if height is None or width is None:
        raise OptionError(
            "its input has no fixed size",
            path=path,
            hint=Text("give the size it was trained at with ", OptionName("size")),
        )
    if any(
        side not in (None, user_side) for side, user_side in zip(own, (height, width), strict=True)
    ):
        raise OptionError(f"its input is {own}, not {height} x {width}", path=path)
    if statement.multiple is not None and None not in own:
        raise OptionError(
            f"its input is always {own}", path=path, hint=Text("leave out ", OptionName("multiple"))
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


def _foreign_card(path: Path, statement: Statement) -> ModelCard:
    return ModelCard(
        name=statement.name or path.stem,
        summary=f"the network in {path.name}",
        kind=statement.kind,
        licence=statement.licence,
    )


def ultralytics_statement(path: Path, metadata: Mapping[str, str]) -> Statement | None:
    """Facts of a depth export of Ultralytics, in metres."""
    if metadata.get("author") != "Ultralytics" or metadata.get("task") != "depth":
        return None
    try:
        height, width = json.loads(metadata["imgsz"])
        size = int(height), int(width)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"its metadata imgsz is not a size: {error}", path=path) from error
    return Statement(
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
    """Open a depth export of Ultralytics, or None."""
    statement = ultralytics_statement(path, metadata)
    if statement is None:
        return None
    options = resolve_engine(
        options, engines=("onnxruntime",), what=f"{path}: a file of Ultralytics"
    )
    return ForeignModel(path, statement, device=options.device, threads=options.threads)
