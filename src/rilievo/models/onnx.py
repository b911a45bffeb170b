"""Networks in ONNX files that say of themselves what they are.

The contract, version 1. Input: ``image``, uint8, (batch, height, width, 3), RGB. Outputs:
``depth`` float32 (batch, height, width) and, optionally, ``normals`` float32 (batch, 3, height,
width) in our axes and ``confidence`` float32 (batch, height, width), at any one size.
Normalisation and the like are inside the graph. Metadata: ``rilievo.format`` = 1,
``rilievo.name``, ``rilievo.kind``, ``rilievo.licence``, ``rilievo.area`` (pixels that it was
trained at) and ``rilievo.multiple`` (what both sides must be a multiple of).
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rilievo.errors import ModelError
from rilievo.io.pixels import STRIP_PIXELS
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.engines import Arrays, LoadOptions, Session, open_session
from rilievo.types import DepthKind, Photo, Setting

FORMAT = "1"
GAP = 3.0
"""What is left for the triangle filter to shrink by, at least, where boxes go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFacts:
    """What a file's metadata says of its network."""

    name: str
    kind: DepthKind
    licence: str
    area: int
    multiple: int


class OnnxModel(Model):
    """A network in an ONNX file, run at the resolution it was trained at."""

    def __init__(self, path: Path, options: LoadOptions, card: ModelCard | None = None) -> None:
        """Open and check the file.

        Args:
            path: The ONNX file.
            options: How to run it.
            card: Its line of ``MODELS``; by default one made of its metadata and outputs.

        Raises:
            ModelError: If it cannot be read, or does not keep the contract of this module.
        """
        self.weights_sha256 = _sha256(path)
        self._session = open_session(path, options)
        facts = read_facts(path, self._session)
        self.card = card or _card(path, facts, self._session.output_names)
        if self.card.kind is not facts.kind:
            raise ModelError(
                f"{path}: the file says that its depth is {facts.kind}, the card of model "
                f"'{self.card.name}' {self.card.kind}"
            )
        self._area, self._multiple = facts.area, facts.multiple
        self.settings: Mapping[str, Setting] = {
            "engine": options.engine,
            "precision": options.precision,
            "device": self._session.device,
            "area": facts.area,
        }

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network, in batches of photographs that come to one size."""
        groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for index, photo in enumerate(photos):
            size = network_size(photo.shape, area=self._area, multiple=self._multiple)
            groups[size].append(index)
        answers: dict[int, Inference] = {}
        for size, indices in groups.items():
            batch = np.stack([shrink(photos[index].pixels, size) for index in indices])
            outputs = self._session.run(batch)
            _check_shapes(outputs, len(indices), self.card.name)
            answers |= {index: _pick(outputs, row) for row, index in enumerate(indices)}
        return [answers[index] for index in range(len(photos))]


def network_size(shape: tuple[int, int], *, area: int, multiple: int) -> tuple[int, int]:
    """The (height, width) at which a network of this ``area`` [px] sees a photograph.

    Both sides are multiples of ``multiple``; the aspect is kept as well as that allows, and the
    area is nearly the trained one, because a network knows the size of things in pixels.
    """
    height, width = shape
    ideal_height = math.sqrt(area * height / width)
    ideal_width = area / ideal_height
    candidates = [
        (rows * multiple, columns * multiple)
        for rows in _around(ideal_height / multiple)
        for columns in _around(ideal_width / multiple)
    ]

    def misfit(size: tuple[int, int]) -> float:
        aspect = math.log(size[0] * width / (size[1] * height))
        return 4 * abs(aspect) + abs(math.log(size[0] * size[1] / area))

    return min(candidates, key=misfit)


def shrink(pixels: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "a b 3"]:
    """Resize without aliasing: triangle filter, after whole-number boxes on large photographs."""
    if pixels.shape[:2] == size:
        return pixels
    height, width, _ = pixels.shape
    down, across = max(1, int(height / size[0] / GAP)), max(1, int(width / size[1] / GAP))
    image = Image.fromarray(_reduce(pixels, down, across))
    # Boxes at the right and lower edge may reach beyond the photograph.
    box = (0.0, 0.0, width / across, height / down)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))


def read_facts(path: Path, session: Session) -> OnnxFacts:
    """Read and check what the file says of itself.

    Raises:
        ModelError: If something is missing or makes no sense; the message says what.
    """
    metadata = session.metadata
    if metadata.get("rilievo.format") != FORMAT:
        raise ModelError(
            f"{path}: the file does not say what it is (no metadata rilievo.format = {FORMAT}); "
            "only networks that state kind, size and licence can be run"
        )
    for name in ("image", "depth"):
        if name not in (session.input_names if name == "image" else session.output_names):
            raise ModelError(f"{path}: the network has no {name!r} among its inputs and outputs")
    try:
        facts = OnnxFacts(
            name=metadata["rilievo.name"],
            kind=DepthKind(metadata["rilievo.kind"]),
            licence=metadata["rilievo.licence"],
            area=int(metadata["rilievo.area"]),
            multiple=int(metadata["rilievo.multiple"]),
        )
    except KeyError as error:
        raise ModelError(f"{path}: metadata {error} is missing") from error
    except ValueError as error:
        raise ModelError(f"{path}: metadata makes no sense: {error}") from error
    if not (1 <= facts.multiple <= 512 and facts.multiple**2 <= facts.area <= 10**8):
        raise ModelError(
            f"{path}: metadata makes no sense: area {facts.area}, multiple {facts.multiple}"
        )
    return facts


def load(card: ModelCard, options: LoadOptions) -> OnnxModel:
    """Load a network that ships inside the package (``ModelCard.loader``)."""
    directory = Path(__file__).parent / "default"
    return OnnxModel(directory / f"{card.name.partition('/')[2]}.onnx", options, card)


def _reduce(
    pixels: UInt8[np.ndarray, "h w 3"], down: int, across: int
) -> UInt8[np.ndarray, "a b 3"]:
    """Means of boxes of pixels, in strips: Pillow would copy the whole photograph, and larger."""
    if down == across == 1:
        return pixels
    height, width, _ = pixels.shape
    reduced = np.empty((-(-height // down), -(-width // across), 3), np.uint8)
    rows = max(1, STRIP_PIXELS // (width * down))
    for first in range(0, len(reduced), rows):
        strip = np.ascontiguousarray(pixels[first * down : (first + rows) * down])
        reduced[first : first + rows] = np.asarray(Image.fromarray(strip).reduce((across, down)))
    return reduced


def _around(ideal: float) -> tuple[int, ...]:
    floor = max(1, math.floor(ideal))
    return (floor, floor + 1)


def _card(path: Path, facts: OnnxFacts, outputs: Sequence[str]) -> ModelCard:
    return ModelCard(
        name=facts.name,
        summary=f"the network in {path.name}",
        kind=facts.kind,
        normals="normals" in outputs,
        confidence="confidence" in outputs,
        licence=facts.licence,
        commercial=False,
        megabytes=path.stat().st_size / 1e6,
        extra=None,
        speed="not measured",
        loader="rilievo.models.onnx:load",
    )


def _check_shapes(outputs: Arrays, count: int, name: str) -> None:
    for key, channels in (("depth", ()), ("normals", (3,)), ("confidence", ())):
        array = outputs.get(key)
        if array is None:
            continue
        if array.dtype != np.float32 or array.shape[:-2] != (count, *channels):
            raise ModelError(
                f"model '{name}': output {key!r} is {array.dtype} {array.shape}, expected float32 "
                f"({', '.join(map(str, (count, *channels)))}, height, width)"
            )


def _pick(outputs: Arrays, row: int) -> Inference:
    normals, confidence = outputs.get("normals"), outputs.get("confidence")
    return Inference(
        depth=outputs["depth"][row],
        normals=None if normals is None else normals[row],
        confidence=None if confidence is None else confidence[row],
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
