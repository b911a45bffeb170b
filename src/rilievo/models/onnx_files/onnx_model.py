"""ONNX files with our metadata as models."""

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
