"""ONNX files of other programs, whose stated kind of depth is tested by near and far regions."""

import json
import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import ModelError, OptionError, OutputError, RilievoError, first_line
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.files.atomic import make_folder
from rilievo.io.photographs.photo import read_photo
from rilievo.messages import Note, for_terminal, literal
from rilievo.models.base import Model, PreparedModel
from rilievo.models.card import ModelCard
from rilievo.models.contracts import FoundModel, ModelRequest
from rilievo.models.load_options import LoadOptions, checked
from rilievo.models.network_files import cache_directory, sha256
from rilievo.models.onnx_files.engines import device_of, inference_session
from rilievo.models.onnx_files.onnx_model import OnnxModel, SaysNothingError
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.shapes import Shaped
from rilievo.terminal import fitted

_FOLDER = Path(__file__).parents[1] / "near_and_far"
_FOV = 55.0  # degrees; only used by networks that need a focal length


_Region = tuple[float, float, float, float]
SCENES: Mapping[str, tuple[_Region, _Region]] = {
    "street.jpg": ((0.8, 1.0, 0.3, 0.9), (0.1, 0.28, 0.58, 0.72)),
    "rock.jpg": ((0.55, 0.9, 0.6, 0.9), (0.12, 0.32, 0.44, 0.54)),
    "room.jpg": ((0.85, 1.0, 0.55, 0.95), (0.03, 0.25, 0.12, 0.34)),
}


def turned_round(model: Model) -> list[str]:
    """Pictures where a model confuses near and far."""
    return [file for file in SCENES if _is_turned(model, file)]


def _is_turned(model: Model, file: str) -> bool:
    photo = read_photo(_FOLDER / file, own_depth=False)
    camera = Camera(K=K_from_fov(_FOV, photo.shape), source=CameraSource.ASSUMED)
    [prediction] = model.predict_raw([replace(photo, camera=camera)])
    depth = prediction.depth
    near, far = (_median(depth, region) for region in SCENES[file])
    if math.isnan(near) or math.isnan(far):  # as for sky, which is far
        return False
    return near < far if depth.kind is DepthKind.AFFINE_INVERSE else near > far


def _median(depth: DepthMap, region: _Region) -> float:
    (top, bottom, left, right), (height, width) = region, depth.shape
    part = np.s_[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    inside = depth.values[part][depth.valid[part] & np.isfinite(depth.values[part])]
    return float(np.median(inside)) if inside.size else math.nan


def doubt(model: Model) -> Note | None:
    """Note on a doubtful kind of depth."""
    kind = model.card.kind
    if kind is None:
        return None
    try:
        wrong = turned_round(model)
    except RilievoError:
        return None  # failures are reported when the model is used
    if 2 * len(wrong) < len(SCENES):
        return None
    inverse = DepthKind.AFFINE_INVERSE
    other = "depth (metric, up_to_scale or affine)" if kind is inverse else f"{inverse}"
    return Note(
        f"near and far are swapped on {len(wrong)} of {len(SCENES)} test pictures: its kind is "
        f"stated as {kind} and looks like {other}; if so, export it again with that {{kind}}",
        path=f"model '{model.card.name}'",
    )


def doubt_once(model: Model) -> None:
    """Print the doubt once per file and machine."""
    place = None
    with suppress(ModelError):
        place = cache_directory() / "polarity" / model.weights_sha256
    if place is not None and place.exists():
        return
    message = doubt(model)
    if message is not None:
        sys.stderr.write(fitted(f"rilievo: warning: {for_terminal(message)}", sys.stderr) + "\n")
    if place is not None:
        with suppress(OSError, OutputError):
            make_folder(place.parent)
            place.touch()


_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


@frozen
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
        self.preparation = _preparation(path, self.dims, self.layout, statement)
        self.card = _card(path, statement)
        self.weights_sha256 = sha256(path)
        self.settings = {
            "engine": "onnxruntime",
            "precision": "fp32",
            "device": device_of(session.get_providers()[0], device),
        }

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network, one by one if its batch is 1."""
        parts = np.split(batch, len(batch)) if self.dims[0] == 1 else [batch]
        return {"depth": _as_maps(np.concatenate([self._fed(part) for part in parts]))}

    def answer_shape(self) -> tuple[int, ...]:
        """Shape of the output for a photograph."""
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
    path: Path, dims: tuple[int | None, ...], layout: str, statement: Statement
) -> Preparation:
    own = dims[2:4] if layout == "nchw" else dims[1:3]
    height, width = statement.size or own
    if height is None or width is None:
        raise OptionError(
            "its input has no fixed size",
            path=path,
            hint="give the size it was trained at with {size}",
        )
    if any(
        side not in (None, user_side) for side, user_side in zip(own, (height, width), strict=True)
    ):
        raise OptionError(f"its input is {own}, not {height} x {width}", path=path)
    if statement.multiple is not None and None not in own:
        raise OptionError(f"its input is always {own}", path=path, hint="leave out {multiple}")
    sizing = Sizing(
        rule=Rule.FIXED if statement.multiple is None else Rule.LEAST_CHANGE,
        height=height,
        width=width,
        multiple=statement.multiple or 1,
    )
    if not statement.resampling.is_rounded:
        raise OptionError(
            option="resampling",
            problem=f"{literal(statement.resampling)} is not available for third-party networks",
        )
    return Preparation(
        sizing=sizing,
        resampling=statement.resampling,
        rescale=1 / statement.scale,
        mean=statement.mean,
        std=statement.std,
    )


def _card(path: Path, statement: Statement) -> ModelCard:
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
    options = checked(options, engines=("onnxruntime",), what=f"{path}: a file of Ultralytics")
    return ForeignModel(path, statement, device=options.device, threads=options.threads)


def find(request: ModelRequest) -> FoundModel | None:
    """Find a network by the path of its file."""
    return _found(Path(request.name)) if request.is_onnx_file else None


def find_in_folder(request: ModelRequest) -> FoundModel | None:
    """Find the only ONNX file of a folder."""
    # Unlike Path.is_dir, this takes names that the system refuses, such as long ones, as missing.
    if not os.path.isdir(request.name) or os.path.exists(Path(request.name) / "config.json"):
        return None
    files = tuple(Path(request.name).glob("*.onnx"))
    return _found(files[0]) if len(files) == 1 else None


def _found(path: Path) -> FoundModel:
    return FoundModel(card=None, load=lambda options: open_file(path, options))


def open_file(path: Path, options: LoadOptions) -> Model:
    """Open a file of rilievo, or a depth export of Ultralytics."""
    try:
        model = OnnxModel(path, options)
    except SaysNothingError as error:
        export = open_ultralytics(path, error.metadata, options)
        if export is None:
            raise
        return export
    if model.facts.adopted:
        doubt_once(model)
    return model
