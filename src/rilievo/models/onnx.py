"""Networks in ONNX files that say of themselves what they are.

The contract, version 2. Input: ``image``, (batch, height, width, 3), RGB in 0..255, uint8; or
float32 where the resampling does not round; the batch may be fixed to 1. Outputs: ``depth`` float32
(batch, height, width), ``normals`` float32 (batch, 3, height, width) in our axes, or both;
optionally ``confidence`` float32 (batch, height, width), at any one size, and ``fov`` float32
(batch,) [degrees]. Normalisation and the like are inside the graph. Metadata: ``rilievo.format`` =
2, ``rilievo.name``, ``rilievo.kind`` (``none`` where there is no depth), ``rilievo.licence``,
``rilievo.focal`` (``width`` where depth is that of a camera whose focal length is the photograph's
width, else ``none``) and what ``rilievo.models.preparation`` writes: ``rilievo.sizing``,
``rilievo.size``, ``rilievo.area``, ``rilievo.multiple``, ``rilievo.resampling``,
``rilievo.padding``, ``rilievo.fill``. Optional: ``rilievo.back`` (``inverse`` where depth comes
back to the photograph's size by way of its inverse, else ``values``), ``rilievo.precision`` of the
weights (fp32 where it is not said), ``rilievo.weights_sha256`` of what the file was made of, and
``rilievo.adopted`` = ``yes`` where it is another program's and its user said what it is.

Version 1 always has depth, but no ``fov``, and of the metadata only the first four,
``rilievo.area`` (pixels that it was trained at) and ``rilievo.multiple`` (what both sides must be a
multiple of).
"""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from rilievo.errors import InputError, ModelError
from rilievo.io.limits import check_regular, printable
from rilievo.models.card import ModelCard
from rilievo.models.engines import ONNX_ENGINES, Arrays, LoadOptions, Session, checked, open_session
from rilievo.models.hub_lock import sha256
from rilievo.models.preparation import Preparation, Rule, Sizing, read_preparation
from rilievo.models.prepared import PreparedModel
from rilievo.types import DepthKind, Setting

FORMAT = "2"
FIRST_FORMAT = "1"
FOCAL_IS_WIDTH = "width"
_NO_DEPTH = "none"

_LONGEST = 4096
"""Characters of a model's name, which may be the path of a folder, or of its licence."""
_EXTERNAL = b"\x0a\x08location\x12"
"""The entry of a tensor that says in which file its numbers are (``StringStringEntryProto``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFacts:
    """What a file's metadata says of its network; ``kind`` is None where it gives no depth.

    ``adopted``: it came from another program, and its user said what it is.
    """

    name: str
    kind: DepthKind | None
    licence: str
    preparation: Preparation
    needs_focal: bool
    precision: str = "fp32"
    adopted: bool = False

    def metadata(self) -> Mapping[str, str]:
        """What to write into a file that says the same."""
        return {
            "rilievo.format": FORMAT,
            "rilievo.name": self.name,
            "rilievo.kind": _NO_DEPTH if self.kind is None else self.kind.value,
            "rilievo.licence": self.licence,
            "rilievo.focal": FOCAL_IS_WIDTH if self.needs_focal else "none",
            "rilievo.precision": self.precision,
            **({"rilievo.adopted": "yes"} if self.adopted else {}),
            **self.preparation.metadata(),
        }


class SaysNothingError(ModelError):
    """An ONNX file does not say what it is in rilievo's words.

    Attributes:
        metadata: What it says in other words.
    """

    def __init__(self, message: str, metadata: Mapping[str, str]) -> None:
        super().__init__(message)
        self.metadata = metadata


class OnnxModel(PreparedModel):
    """A network in an ONNX file, run at the resolution it was trained at."""

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
        """Open and check the file.

        Args:
            path: The ONNX file.
            options: How to run it.
            card: Its line of ``MODELS``; by default one made of its metadata and outputs.
            weights_sha256: Of the weights that the file was made of; by default the file's own.
            settings: What results say besides how it is run, or in place of that.

        Raises:
            ModelError: If it cannot be read, or does not keep the contract of this module.
        """
        options = checked(options, engines=ONNX_ENGINES, what=f"{path}: an ONNX file")
        if card is None:
            _check_whole(path)
        self.weights_sha256 = weights_sha256 or sha256(path)
        self._session = open_session(path, options)
        facts = read_facts(path, self._session)
        self.path, self.metadata = path, self._session.metadata
        self.one_by_one = self._session.one_by_one
        self.card = card or _card(path, facts, self._session.output_names)
        if self.card.kind is not facts.kind:
            raise ModelError(
                f"{path}: the file says that its depth is {facts.kind}, the card of model "
                f"'{self.card.name}' {self.card.kind}"
            )
        self.facts = facts
        self.preparation, self.needs_focal = facts.preparation, facts.needs_focal
        self.settings: Mapping[str, Setting] = {
            "engine": options.engine,
            "precision": options.precision,
            "device": self._session.device,
            **({} if facts.precision == "fp32" else {"weights": facts.precision}),
            **_size_settings(facts.preparation),
            **(settings or {}),
        }

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """The session's answers."""
        if not self._session.one_by_one:
            return self._session.run(batch)
        each = [self._session.run(part) for part in np.split(batch, len(batch))]
        return {name: np.concatenate([answers[name] for answers in each]) for name in each[0]}


def says_what_it_is(path: Path) -> bool:
    """Whether an ONNX file has the metadata of some version of the contract.

    Raises:
        ModelError: If it cannot be read.
    """
    _check_file(path)
    return "rilievo.format" in open_session(path, LoadOptions(device="cpu")).metadata


def read_facts(path: Path, session: Session) -> OnnxFacts:
    """Read and check what the file says of itself.

    Raises:
        ModelError: If something is missing or makes no sense; the message says what.
    """
    metadata = session.metadata
    version = metadata.get("rilievo.format")
    if version not in (FORMAT, FIRST_FORMAT):
        raise SaysNothingError(
            f"{path}: the file does not say what it is (no metadata rilievo.format = {FORMAT}); "
            f"'rilievo export {printable(path)} --kind KIND --mean R,G,B --std R,G,B -o NEW.onnx' "
            "writes a copy that does",
            metadata,
        )
    kind = metadata.get("rilievo.kind")
    needed = ("image", "normals" if kind == _NO_DEPTH and version == FORMAT else "depth")
    for name in needed:
        if name not in (session.input_names if name == "image" else session.output_names):
            raise ModelError(f"{path}: the network has no {name!r} among its inputs and outputs")
    if needed[1] == "normals" and "depth" in session.output_names:
        raise ModelError(f"{path}: metadata says that there is no depth, but it is an output")
    try:
        return OnnxFacts(
            name=_line(metadata, "rilievo.name"),
            kind=None if needed[1] == "normals" else DepthKind(metadata["rilievo.kind"]),
            licence=_line(metadata, "rilievo.licence"),
            preparation=_preparation(metadata, version),
            needs_focal=version == FORMAT and metadata["rilievo.focal"] == FOCAL_IS_WIDTH,
            precision=_line({"rilievo.precision": "fp32", **metadata}, "rilievo.precision"),
            adopted=metadata.get("rilievo.adopted") == "yes",
        )
    except KeyError as error:
        raise ModelError(f"{path}: metadata {error} is missing") from error
    except (ValueError, ModelError) as error:
        raise ModelError(f"{path}: metadata makes no sense: {error}") from error


def load(card: ModelCard, options: LoadOptions) -> OnnxModel:
    """Load a network that ships inside the package (``ModelCard.loader``)."""
    return OnnxModel(embedded_file(card.name), options, card)


def embedded_file(name: str) -> Path:
    """File of a network that ships inside the package, such as that of ``rilievo/small``."""
    return Path(__file__).parent / "default" / f"{name.partition('/')[2]}.onnx"


def _line(metadata: Mapping[str, str], name: str) -> str:
    """One of the texts that go into messages and results, on one line."""
    text = metadata[name]
    if not 0 < len(text) <= _LONGEST:
        raise ModelError(f"{name} has 1 to {_LONGEST} characters, got {len(text)}")
    return printable(text)


def _check_file(path: Path) -> None:
    """Refuse a pipe or a folder before an engine opens it.

    Raises:
        ModelError: If it is no regular file.
    """
    try:
        check_regular(path)
    except InputError as error:
        raise ModelError(str(error)) from error


def _check_whole(path: Path) -> None:
    """Refuse a file whose weights lie in another one, which its hash says nothing of.

    Raises:
        ModelError: If so, or if it cannot be read.
    """
    _check_file(path)
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            found = content.find(_EXTERNAL)
    except OSError as error:
        raise ModelError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    if found >= 0:
        raise ModelError(
            f"{printable(path)}: its weights lie in another file; save it as one "
            "(onnx.save(onnx.load(FILE), NEW))"
        )


def _preparation(metadata: Mapping[str, str], version: str | None) -> Preparation:
    if version == FORMAT:
        return read_preparation(metadata)
    area, multiple = int(metadata["rilievo.area"]), int(metadata["rilievo.multiple"])
    return Preparation(sizing=Sizing(rule=Rule.AREA, area=area, multiple=multiple))


def _size_settings(preparation: Preparation) -> Mapping[str, Setting]:
    """How photographs come to the network's size, as results say it."""
    if preparation.sizing.rule is Rule.AREA:
        return {"area": preparation.sizing.area}
    return {"sizing": str(preparation.sizing), "resampling": preparation.resampling.value}


def _card(path: Path, facts: OnnxFacts, outputs: Sequence[str]) -> ModelCard:
    return ModelCard(
        name=facts.name,
        summary=f"the network in {path.name}",
        kind=facts.kind,
        normals="normals" in outputs,
        confidence="confidence" in outputs,
        licence=facts.licence,
        commercial=None,
        megabytes=path.stat().st_size / 1e6,
        extra=None,
        speed="not measured",
        loader="rilievo.models.onnx:load",
    )
