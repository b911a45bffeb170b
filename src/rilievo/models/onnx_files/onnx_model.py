"""ONNX files that rilievo exported, with metadata that says what they are, as models."""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import InputError, ModelError
from rilievo.errors.messages import Text
from rilievo.io.files.limits import check_regular
from rilievo.io.files.names import printable
from rilievo.models.base import Model, PreparedModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import sha256
from rilievo.models.onnx_files.engines import Session, open_session
from rilievo.models.onnx_files.file_metadata import file_metadata, graph_names
from rilievo.models.resampling.inference import PLAIN, Arrays, Resizing, read_resizing
from rilievo.models.resampling.preparation import Preparation, Rule, read_preparation
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting

FORMAT = "2"
FIRST_FORMAT = "1"
"""Older format, which is still read."""
FOCAL_IS_WIDTH = "width"
"""Value of "rilievo.focal" if depth is that of a focal length of one width of the picture."""
_NO_DEPTH = "none"
"""Value of "rilievo.kind" for networks without depth."""
_TEXT_KEYS = ("rilievo.name", "rilievo.licence", "rilievo.precision")
_MAX_TEXT_LENGTH = 4096
_EXTERNAL_WEIGHTS = b"\x0a\x08location\x12"
"""Bytes of protobuf by which an ONNX file refers to weights in another file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFacts:
    """What the metadata of an ONNX file says of its network.

    Attributes:
        kind: Kind of its depth; None if it predicts none.
        needs_focal: Whether its depth is that of a focal length of one width of the picture.
        resizing: How its depth is resized to the photograph.
        precision: Precision of the weights.
        adopted: Whether another program made the network, so that its kind is what a user stated.
        teacher: Model that labelled the training images, with its licence.
    """

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
        """Metadata with which an ONNX file states these facts."""
        metadata = {
            "rilievo.format": FORMAT,
            "rilievo.name": self.name,
            "rilievo.kind": _NO_DEPTH if self.kind is None else self.kind.value,
            "rilievo.licence": self.licence,
            "rilievo.focal": FOCAL_IS_WIDTH if self.needs_focal else "none",
            "rilievo.back": str(self.resizing),
            "rilievo.precision": self.precision,
        }
        if self.adopted:
            metadata["rilievo.adopted"] = "yes"
        if self.teacher:
            metadata["rilievo.teacher"] = self.teacher
        return {**metadata, **self.preparation.metadata()}


class NoMetadataError(ModelError):
    """Error for an ONNX file without metadata of rilievo; ``metadata`` is what it has."""

    def __init__(self, message: str, metadata: Mapping[str, str]) -> None:
        super().__init__(message)
        self.metadata = metadata


class OnnxModel(PreparedModel):
    """Network in an ONNX file that rilievo exported."""

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
            # The user named the file, so it is checked before any of the network is computed.
            _refuse_unknown_file(path)
        self.weights_sha256 = weights_sha256 or sha256(path)
        what = "" if card is None else f"model '{card.name}'"
        self._session = open_session(path, options, what)
        facts = read_facts(path, self._session)
        self.path, self.metadata = path, self._session.metadata
        self.one_by_one = self._session.one_by_one
        self.card = card or _file_card(path, facts, self._session.output_names)
        if self.card.kind is not facts.kind:
            raise ModelError(
                f"the file says that its depth is {facts.kind}, the card of model "
                f"'{self.card.name}' {self.card.kind}",
                path=path,
            )
        self.facts = facts
        self.preparation, self.needs_focal = facts.preparation, facts.needs_focal
        self.settings = {**self._session.settings, **_recorded_facts(facts), **(settings or {})}

    def depth_alone(self) -> Model:
        """Model without normals and confidence, if the network can leave them out."""
        return self._copy_with(_session=self._session.depth_alone())

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network on a batch of inputs, whose levels are 0 to 255."""
        return self._session.run(batch)


def _recorded_facts(facts: OnnxFacts) -> Mapping[str, Setting]:
    """Precision of the weights and size of the input, as predictions record them."""
    recorded: dict[str, Setting] = {}
    if facts.precision != "fp32":
        recorded["weights"] = facts.precision
    sizing = facts.preparation.sizing
    if sizing.rule is Rule.AREA:
        recorded["area"] = sizing.area
    else:
        recorded["sizing"] = str(sizing)
        recorded["resampling"] = facts.preparation.resampling.value
    return recorded


def has_rilievo_metadata(path: Path) -> bool:
    """Whether an ONNX file has metadata of rilievo.

    Raises:
        ModelError: If it is no ONNX file.
    """
    _check_regular_file(path)
    return "rilievo.format" in file_metadata(path)


def read_facts(path: Path, session: Session) -> OnnxFacts:
    """Read the metadata of an open file.

    Raises:
        ModelError: If it is not valid, or does not fit the network.
    """
    metadata = {"rilievo.precision": "fp32", **session.metadata}
    _check_input_and_outputs(path, metadata, session.input_names, session.output_names)
    resizing = metadata.get("rilievo.back")
    try:
        texts = {key: metadata[key] for key in _TEXT_KEYS}
        for key, text in texts.items():
            if not 0 < len(text) <= _MAX_TEXT_LENGTH:
                raise ModelError(f"{key} has 1 to {_MAX_TEXT_LENGTH} characters, got {len(text)}")
        name, licence, precision = map(printable, texts.values())
        return OnnxFacts(
            name=name,
            kind=None if _is_without_depth(metadata) else DepthKind(metadata["rilievo.kind"]),
            licence=licence,
            preparation=read_preparation(metadata),
            needs_focal=metadata.get("rilievo.focal") == FOCAL_IS_WIDTH,
            resizing=PLAIN if resizing is None else read_resizing(resizing),
            precision=precision,
            adopted=metadata.get("rilievo.adopted") == "yes",
            teacher=printable(metadata.get("rilievo.teacher", "")[:_MAX_TEXT_LENGTH]),
        )
    except KeyError as error:
        raise ModelError(f"metadata {error} is missing", path=path) from error
    except (ValueError, ModelError) as error:
        raise ModelError("metadata is not valid:", path=path, problem=Text(error)) from error


def _refuse_unknown_file(path: Path) -> None:
    """Check a file without running its network.

    Raises:
        ModelError: If it is no file that rilievo exported.
    """
    _refuse_external_weights(path)
    metadata = file_metadata(path)
    _check_format(path, metadata)
    names = graph_names(path)
    _check_input_and_outputs(path, metadata, names.inputs, names.outputs)


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("rilievo.format") not in (FORMAT, FIRST_FORMAT):
        raise NoMetadataError(
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
    has_depth = not _is_without_depth(metadata)
    required_output = "depth" if has_depth else "normals"
    for name, names in (("image", inputs), (required_output, outputs)):
        if name not in names:
            raise ModelError(f"the network has no {name!r} among its inputs and outputs", path=path)
    if not has_depth and "depth" in outputs:
        raise ModelError("metadata says that there is no depth, but it is an output", path=path)


def _check_regular_file(path: Path) -> None:
    try:
        check_regular(path)
    except InputError as error:
        raise ModelError(problem=Text(error)) from error


def _refuse_external_weights(path: Path) -> None:
    """Refuse a network whose weights are in another file, which its hash would not cover."""
    _check_regular_file(path)
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            position = content.find(_EXTERNAL_WEIGHTS)
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
