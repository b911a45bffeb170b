"""ONNX files that rilievo exported, with metadata that says what they are, as models."""

import mmap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import InputError, ModelError, RilievoError
from rilievo.errors.messages import Note, Text
from rilievo.io.files.limits import check_regular
from rilievo.io.files.names import printable
from rilievo.models.base import Model, PreparedModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import sha256
from rilievo.models.onnx_files.engines import Session, open_session, shrink_arena
from rilievo.models.onnx_files.file_metadata import file_metadata, graph_names
from rilievo.models.resampling.inference import DEFAULT_RESIZING, Arrays, Resizing, parse_resizing
from rilievo.models.resampling.preparation import Preparation, Rule, parse_preparation
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

INPUT = "image"
"""Name of the picture among the inputs of the files that rilievo exports."""
FORMAT = "2"
FIRST_FORMAT = "1"
"""Older format, which is still read."""
FOCAL_IS_WIDTH = "width"
"""Value of "rilievo.focal" if depth is that for a focal length of one width of the picture."""
_NO_DEPTH = "none"
"""Value of "rilievo.kind" for networks without depth."""
_TEXT_KEYS = ("rilievo.name", "rilievo.licence", "rilievo.precision")
_MAX_TEXT_LENGTH = 4096
_EXTERNAL_WEIGHTS = b"\x0a\x08location\x12"
"""Bytes of protobuf by which an ONNX file refers to weights in another file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxDescription:
    """Description of a network, which its ONNX file stores as metadata.

    Attributes:
        kind: Kind of its depth; None if it predicts none.
        needs_focal: Whether its depth is that for a focal length of one width of the picture, and
            has to be multiplied by focal length / width.
        resizing: How its maps are resized to the photograph.
        precision: Precision of its weights, such as "fp16".
        is_third_party: Whether another program made the network, so that its kind is what a user
            stated.
        teacher: Model that labelled the training images, with its licence.
    """

    name: str
    kind: DepthKind | None
    licence: str
    preparation: Preparation
    needs_focal: bool
    resizing: Resizing = DEFAULT_RESIZING
    precision: str = "fp32"
    is_third_party: bool = False
    teacher: str = ""

    def metadata(self) -> Mapping[str, str]:
        """The description as metadata of an ONNX file."""
        metadata = {
            "rilievo.format": FORMAT,
            "rilievo.name": self.name,
            "rilievo.kind": _NO_DEPTH if self.kind is None else self.kind.value,
            "rilievo.licence": self.licence,
            "rilievo.focal": FOCAL_IS_WIDTH if self.needs_focal else "none",
            "rilievo.back": str(self.resizing),
            "rilievo.precision": self.precision,
        }
        if self.is_third_party:
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
        """Open an ONNX file; ``card`` is None if the user named the file and not a listed model.

        Predictions record ``weights_sha256``, by default the hash of the file, and ``settings`` in
        addition to those of the session.
        """
        if card is None:
            # The file may be from anywhere, so it is checked before the engine opens it.
            _check_exported_file(path)
        self.weights_sha256 = weights_sha256 or sha256(path)
        what = "" if card is None else f"model '{card.name}'"
        self._session = open_session(path, options, what)
        self.path = path
        self.metadata = self._session.metadata
        self.one_by_one = self._session.one_by_one

        description = read_description(path, self._session)
        self.description = description
        self.preparation = description.preparation
        self.needs_focal = description.needs_focal
        self.card = card or _file_card(path, description, self._session.output_names)
        if self.card.kind is not description.kind:
            raise ModelError(
                f"the file states depth of kind '{description.kind}', but the card of model "
                f"'{self.card.name}' states '{self.card.kind}'",
                path=path,
            )
        self.settings = {
            **self._session.settings,
            **_recorded_settings(description),
            **(settings or {}),
        }

    def depth_alone(self) -> Model:
        """Model without normals and confidence, if the network can leave them out."""
        return self._copy_with(_session=self._session.depth_alone())

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network on a batch of inputs, whose levels are 0 to 255."""
        return self._session.run(batch, INPUT)

    def kind_warning(self) -> Note | None:
        """Warning that the kind of depth that a user stated looks wrong; None if it does not.

        rilievo knows the kind of its own networks, which are therefore not run for this.
        """
        # Imported on demand, because most files are rilievo's own.
        from rilievo.models.onnx_files.polarity import polarity_note

        return polarity_note(self) if self.description.is_third_party else None


def _recorded_settings(description: OnnxDescription) -> Mapping[str, Setting]:
    """Precision of the weights and size of the input, as predictions record them."""
    settings: dict[str, Setting] = {}
    if description.precision != "fp32":
        settings["weights"] = description.precision
    preparation = description.preparation
    if preparation.sizing.rule is Rule.AREA:
        settings["area"] = preparation.sizing.pixel_count
    else:
        settings["sizing"] = str(preparation.sizing)
        settings["resampling"] = preparation.resampling.value
    return settings


def release_memory(model: Model) -> None:
    """Predict a tiny picture, after which ONNX Runtime releases the rest of its memory arena."""
    tiny_picture = Photo(pixels=np.zeros((64, 64, 3), np.uint8))
    with shrink_arena(), suppress(RilievoError):
        model.infer([tiny_picture])


def has_rilievo_metadata(path: Path) -> bool:
    """Whether an ONNX file has metadata of rilievo; ``ModelError`` if it is no ONNX file."""
    _check_regular_file(path)
    return "rilievo.format" in file_metadata(path)


def read_description(path: Path, session: Session) -> OnnxDescription:
    """Read the description of an open file from its metadata."""
    # Older files do not state their precision.
    metadata = {"rilievo.precision": "fp32", **session.metadata}
    _check_input_and_outputs(path, metadata, session.input_names, session.output_names)
    try:
        return _parse_description(metadata)
    except KeyError as error:
        raise ModelError(
            f"its metadata has no entry {error}; export the model again", path=path
        ) from error
    except (ValueError, ModelError) as error:
        raise ModelError("its metadata is not valid:", path=path, problem=Text(error)) from error


def _parse_description(metadata: Mapping[str, str]) -> OnnxDescription:
    """Parse the metadata that ``OnnxDescription.metadata`` writes.

    Raises:
        KeyError: If an entry is missing.
        ValueError: If the kind is unknown.
        ModelError: If another entry is invalid.
    """
    texts = {key: metadata[key] for key in _TEXT_KEYS}
    for key, text in texts.items():
        if not 0 < len(text) <= _MAX_TEXT_LENGTH:
            raise ModelError(f"{key} must have 1 to {_MAX_TEXT_LENGTH} characters, got {len(text)}")
    resizing = metadata.get("rilievo.back")
    teacher = metadata.get("rilievo.teacher", "")[:_MAX_TEXT_LENGTH]
    return OnnxDescription(
        name=printable(texts["rilievo.name"]),
        kind=None if _is_without_depth(metadata) else DepthKind(metadata["rilievo.kind"]),
        licence=printable(texts["rilievo.licence"]),
        preparation=parse_preparation(metadata),
        needs_focal=metadata.get("rilievo.focal") == FOCAL_IS_WIDTH,
        resizing=DEFAULT_RESIZING if resizing is None else parse_resizing(resizing),
        precision=printable(texts["rilievo.precision"]),
        is_third_party=metadata.get("rilievo.adopted") == "yes",
        # Earlier exports of exported files state two quotes in place of no teacher.
        teacher=printable(teacher) if teacher not in ("", "''") else "",
    )


def _check_exported_file(path: Path) -> None:
    """Check that rilievo exported a file, without running its network."""
    _check_no_external_weights(path)
    metadata = file_metadata(path)
    _check_format(path, metadata)
    names = graph_names(path)
    _check_input_and_outputs(path, metadata, names.inputs, names.outputs)


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("rilievo.format") not in (FORMAT, FIRST_FORMAT):
        raise NoMetadataError(
            f"{path}: the file has no metadata from rilievo (rilievo.format = {FORMAT}); "
            f"'rilievo export {printable(path)} --kind KIND --mean R,G,B --std R,G,B "
            "--size HEIGHT,WIDTH -o NEW.onnx' writes a copy with this metadata",
            metadata,
        )


def _is_without_depth(metadata: Mapping[str, str]) -> bool:
    return metadata.get("rilievo.kind") == _NO_DEPTH


def _check_input_and_outputs(
    path: Path, metadata: Mapping[str, str], inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """Check that a network has the inputs and outputs that its metadata promises."""
    has_depth = not _is_without_depth(metadata)
    required_output = "depth" if has_depth else "normals"
    for required_name, names in ((INPUT, inputs), (required_output, outputs)):
        if required_name not in names:
            raise ModelError(
                f"the network has no {required_name!r} among its inputs and outputs", path=path
            )
    if not has_depth and "depth" in outputs:
        raise ModelError(
            "the metadata states that the network predicts no depth, but it has an output 'depth'",
            path=path,
        )


def _check_regular_file(path: Path) -> None:
    try:
        check_regular(path)
    except InputError as error:
        raise ModelError(problem=Text(error)) from error


def _check_no_external_weights(path: Path) -> None:
    """Check that no weights are in another file, which the file's hash would not cover."""
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
            "its weights are in another file; save the model as one file with "
            "onnx.save(onnx.load(FILE), NEW)",
            path=path,
        )


def _file_card(path: Path, description: OnnxDescription, outputs: Sequence[str]) -> ModelCard:
    """Card of a model that the user names by its file."""
    return ModelCard(
        name=description.name,
        summary=f"the network in {path.name}",
        kind=description.kind,
        normals="normals" in outputs,
        confidence="confidence" in outputs,
        sky="sky" in outputs,
        resizing=description.resizing,
        licence=description.licence,
        teacher=description.teacher,
        megabytes=path.stat().st_size / 1e6,
    )
