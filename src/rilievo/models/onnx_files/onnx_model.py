"""ONNX files as models: with our metadata, and of other programs.

Input ``image`` (batch, height, width, 3), RGB in 0..255, uint8, or float32 where resampling does
not round. Outputs float32: ``depth`` (batch, height, width), ``normals`` (batch, 3, height, width)
in our axes, or both; optionally ``confidence`` and ``sky``, chances, and ``fov`` (batch,)
[degrees].

Metadata ``rilievo.``: ``format`` 1 or 2, ``name``, ``kind`` (or ``none``), ``licence``, ``focal``
(``width`` or ``none``), ``Preparation.metadata``; optional ``back`` (``Resizing``), ``precision``,
``weights_sha256``, ``teacher``, ``adopted``. Format 1 has name, kind, licence, area and multiple.
"""

import json
import math
import mmap
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import (
    InputError,
    ModelError,
    OptionError,
    OutputError,
    RilievoError,
    first_line,
)
from rilievo.errors.messages import Note, OptionName, Text, for_terminal
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.files.atomic import make_folder
from rilievo.io.files.limits import check_regular
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import Model, PreparedModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions, resolve_engine
from rilievo.models.network_files import cache_directory, sha256
from rilievo.models.onnx_files.engines import (
    Session,
    file_metadata,
    graph_names,
    inference_session,
    open_session,
    provider_device,
)
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import PLAIN, Arrays, Resizing, read_resizing
from rilievo.models.resampling.preparation import (
    Preparation,
    Resampling,
    Rule,
    Sizing,
    read_preparation,
)
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Setting
from rilievo.system.terminal import wrap_for_terminal

FORMAT = "2"
FIRST_FORMAT = "1"
FOCAL_IS_WIDTH = "width"
_NO_DEPTH = "none"

_LINES = ("rilievo.name", "rilievo.licence", "rilievo.precision")
_LONGEST = 4096
_EXTERNAL = b"\x0a\x08location\x12"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFacts:
    """Metadata of a file; ``kind`` is None without depth."""

    name: str
    kind: DepthKind | None
    licence: str
    preparation: Preparation
    needs_focal: bool
    resizing: Resizing = PLAIN
    precision: str = "fp32"
    adopted: bool = False
    teacher: str = ""

    def metadata(self) -> Mapping[str, str]:
        """Metadata entries of a file with these facts."""
        return {
            "rilievo.format": FORMAT,
            "rilievo.name": self.name,
            "rilievo.kind": _NO_DEPTH if self.kind is None else self.kind.value,
            "rilievo.licence": self.licence,
            "rilievo.focal": FOCAL_IS_WIDTH if self.needs_focal else "none",
            "rilievo.back": str(self.resizing),
            "rilievo.precision": self.precision,
            **({"rilievo.adopted": "yes"} if self.adopted else {}),
            **({"rilievo.teacher": self.teacher} if self.teacher else {}),
            **self.preparation.metadata(),
        }


class SaysNothingError(ModelError):
    """ONNX file without our metadata."""

    def __init__(self, message: str, metadata: Mapping[str, str]) -> None:
        super().__init__(message)
        self.metadata = metadata


class OnnxModel(PreparedModel):
    """Network in an ONNX file."""

    concurrent = True

    def __init__(
        self,
        path: Path,
        options: LoadOptions,
        card: ModelCard | None = None,
        *,
        weights_sha256: str | None = None,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        if card is None:
            _refuse_external_weights(path)
            # Of a file that its user names; before anything of the network is computed.
            metadata = file_metadata(path)
            _check_format(path, metadata)
            names = graph_names(path)
            _check_input_and_outputs(path, metadata, names.inputs, names.outputs)
        self.weights_sha256 = weights_sha256 or sha256(path)
        what = "" if card is None else f"model '{card.name}'"
        self._session = open_session(path, options, what)
        facts = read_facts(path, self._session)
        self.path, self.metadata = path, self._session.metadata
        self.one_by_one = self._session.one_by_one
        self.card = card or _file_card(path, facts, self._session.output_names)
        if self.card.kind is not facts.kind:
            raise ModelError(
                (
                    f"the file says that its depth is {facts.kind}, the card "
                    f"of model '{self.card.name}' {self.card.kind}"
                ),
                path=path,
            )
        self.facts = facts
        self.preparation, self.needs_focal = facts.preparation, facts.needs_focal
        sizing, resampling = facts.preparation.sizing, facts.preparation.resampling
        if sizing.rule is Rule.AREA:
            sized: Mapping[str, Setting] = {"area": sizing.area}
        else:
            sized = {"sizing": str(sizing), "resampling": resampling.value}
        self.settings: Mapping[str, Setting] = {
            **self._session.settings,
            **({} if facts.precision == "fp32" else {"weights": facts.precision}),
            **sized,
            **(settings or {}),
        }

    def depth_alone(self) -> Model:
        """Model without normals and confidence."""
        return self._copy_with(_session=self._session.depth_alone())

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the session."""
        return self._session.run(batch)


def has_rilievo_metadata(path: Path) -> bool:
    """Whether an ONNX file has our metadata."""
    _check_regular_file(path)
    return "rilievo.format" in file_metadata(path)


def read_facts(path: Path, session: Session) -> OnnxFacts:
    """Read and check the metadata of a file."""
    metadata = {"rilievo.precision": "fp32", **session.metadata}
    _check_input_and_outputs(path, metadata, session.input_names, session.output_names)
    back = metadata.get("rilievo.back")
    try:
        lines = {name: metadata[name] for name in _LINES}
        for key, text in lines.items():
            if not 0 < len(text) <= _LONGEST:
                raise ModelError(f"{key} has 1 to {_LONGEST} characters, got {len(text)}")
        name, licence, precision = map(printable, lines.values())
        return OnnxFacts(
            name=name,
            kind=None if _is_without_depth(metadata) else DepthKind(metadata["rilievo.kind"]),
            licence=licence,
            preparation=read_preparation(metadata),
            needs_focal=metadata.get("rilievo.focal") == FOCAL_IS_WIDTH,
            resizing=PLAIN if back is None else read_resizing(back),
            precision=precision,
            adopted=metadata.get("rilievo.adopted") == "yes",
            teacher=printable(metadata.get("rilievo.teacher", "")[:_LONGEST]),
        )
    except KeyError as error:
        raise ModelError(f"metadata {error} is missing", path=path) from error
    except (ValueError, ModelError) as error:
        raise ModelError("metadata is not valid:", path=path, problem=Text(error)) from error


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("rilievo.format") not in (FORMAT, FIRST_FORMAT):
        raise SaysNothingError(
            f"{path}: the file has no metadata of rilievo (rilievo.format = {FORMAT}); "
            f"'rilievo export {printable(path)} --kind KIND --mean R,G,B --std R,G,B "
            "--size HEIGHT,WIDTH -o NEW.onnx' writes a copy that has it",
            metadata,
        )


def _is_without_depth(metadata: Mapping[str, str]) -> bool:
    return metadata.get("rilievo.kind") == _NO_DEPTH


def _check_input_and_outputs(
    path: Path, metadata: Mapping[str, str], inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    needed = {"image": inputs, "normals" if _is_without_depth(metadata) else "depth": outputs}
    for name, names in needed.items():
        if name not in names:
            raise ModelError(f"the network has no {name!r} among its inputs and outputs", path=path)
    if _is_without_depth(metadata) and "depth" in outputs:
        raise ModelError(("metadata says that there is no depth, but it is an output"), path=path)


def _check_regular_file(path: Path) -> None:
    try:
        check_regular(path)
    except InputError as error:
        raise ModelError(problem=Text(error)) from error


def _refuse_external_weights(path: Path) -> None:
    # The hash does not cover them.
    _check_regular_file(path)
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            position = content.find(_EXTERNAL)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", path=path) from error
    if position >= 0:
        raise ModelError(
            "its weights are in another file; save it as one (onnx.save(onnx.load(FILE), NEW))",
            path=path,
        )


def _file_card(path: Path, facts: OnnxFacts, outputs: Sequence[str]) -> ModelCard:
    return ModelCard(
        name=facts.name,
        summary=f"the network in {path.name}",
        kind=facts.kind,
        normals="normals" in outputs,
        confidence="confidence" in outputs,
        sky="sky" in outputs,
        resizing=facts.resizing,
        licence=facts.licence,
        teacher=facts.teacher,
        megabytes=path.stat().st_size / 1e6,
    )


_FOLDER = Path(__file__).parents[1] / "near_and_far"
_FOV = 55.0  # degrees; only used by networks that need a focal length


_Region = tuple[float, float, float, float]
SCENES: Mapping[str, tuple[_Region, _Region]] = {
    "street.jpg": ((0.8, 1.0, 0.3, 0.9), (0.1, 0.28, 0.58, 0.72)),
    "rock.jpg": ((0.55, 0.9, 0.6, 0.9), (0.12, 0.32, 0.44, 0.54)),
    "room.jpg": ((0.85, 1.0, 0.55, 0.95), (0.03, 0.25, 0.12, 0.34)),
}


def swapped_pictures(model: Model) -> list[str]:
    """Files of ``SCENES`` where near and far are swapped."""
    return [file for file in SCENES if _swaps_near_and_far(model, file)]


def _swaps_near_and_far(model: Model, file: str) -> bool:
    photo = read_photo(_FOLDER / file, own_depth=False)
    camera = Camera(K=K_from_fov(_FOV, photo.shape), source=CameraSource.ASSUMED)
    [prediction] = model.predict_raw([replace(photo, camera=camera)])
    depth = prediction.depth
    near, far = (_region_median(depth, region) for region in SCENES[file])
    if math.isnan(near) or math.isnan(far):  # as for sky, which is far
        return False
    return near < far if depth.kind is DepthKind.AFFINE_INVERSE else near > far


def _region_median(depth: DepthMap, region: _Region) -> float:
    (top, bottom, left, right), (height, width) = region, depth.shape
    part = np.s_[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    inside = depth.values[part][depth.valid[part] & np.isfinite(depth.values[part])]
    return float(np.median(inside)) if inside.size else math.nan


def polarity_note(model: Model) -> Note | None:
    """Note if near and far are swapped on most ``SCENES``."""
    kind = model.card.kind
    if kind is None:
        return None
    try:
        wrong = swapped_pictures(model)
    except RilievoError:
        return None  # failures are reported when the model is used
    if 2 * len(wrong) < len(SCENES):
        return None
    inverse = DepthKind.AFFINE_INVERSE
    other = "depth (metric, up_to_scale or affine)" if kind is inverse else f"{inverse}"
    return Note(
        Text(
            f"near and far are swapped on {len(wrong)} of {len(SCENES)} "
            f"test pictures: its kind is stated as {kind} and looks like "
            f"{other}; if so, export it again with that ",
            OptionName("kind"),
        ),
        path=f"model '{model.card.name}'",
    )


def warn_of_polarity_once(model: Model) -> None:
    """Print ``polarity_note`` once per file and machine."""
    place = None
    with suppress(ModelError):
        place = cache_directory() / "polarity" / model.weights_sha256
    if place is not None and place.exists():
        return
    message = polarity_note(model)
    if message is not None:
        sys.stderr.write(
            wrap_for_terminal(f"rilievo: warning: {for_terminal(message)}", sys.stderr) + "\n"
        )
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


def find(request: ModelRequest) -> FoundModel | None:
    """Find a network by the path of its file."""
    return _model_in_file(Path(request.name)) if request.is_onnx_file else None


def find_in_folder(request: ModelRequest) -> FoundModel | None:
    """Find the only ONNX file of a folder."""
    # Unlike Path.is_dir, this takes names that the system refuses, such as long ones, as missing.
    if not os.path.isdir(request.name) or os.path.exists(Path(request.name) / "config.json"):
        return None
    files = tuple(Path(request.name).glob("*.onnx"))
    return _model_in_file(files[0]) if len(files) == 1 else None


def _model_in_file(path: Path) -> FoundModel:
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
        warn_of_polarity_once(model)
    return model
