"""Models whose answers depend on all that an option may change, by their places in this module.

They see a floor below a wall, with the camera that the photograph states, in the shade of the
pixels; how they are loaded and what goes through them together is written down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.extensions.trust import check_trusted
from rilievo.geometry.manhattan_depth import LogDepthChange
from rilievo.models.base import Inference, Model, PaidModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.panelled_rooms import panelled_room

LOADED: list[LoadOptions] = []
"""Options of each model that was loaded."""
BATCHES: list[int] = []
"""Photographs of each call of a network."""
CALLS: list[int] = []
"""Calls that users of the paid model have agreed to."""

HEIGHT, WALL, FOV = 1.5, 4.0, 60.0
"""Camera above the floor [m], the wall [m], field of view without a camera [degrees]."""
CARD = ModelCard(
    name="test/acting",
    summary="",
    kind=DepthKind.UP_TO_SCALE,
    confidence=True,
    licence="none",
    settings="support.acting_model:Settings",
)


@dataclass(frozen=True)
class Settings:
    """Settings of the models."""

    gain: float = 1.0
    """Exponent of depth."""


class Acting(Model):
    """Depth of the scene, which all of the photograph and of the options changes."""

    def __init__(self, card: ModelCard, options: LoadOptions) -> None:
        LOADED.append(options)
        self.card, self.weights_sha256 = card, ""
        self._gain = float(options.settings.get("gain", 1.0))
        self._is_exact = options.precision == "fp32"
        self.settings = {"gain": self._gain, "precision": options.precision}

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        BATCHES.append(len(photos))
        return [self._answer(photo) for photo in photos]

    def _answer(self, photo: Photo) -> Inference:
        depth = scene(photo) ** self._gain
        depth = depth if self._is_exact else np.round(depth, 1)
        if self.card.kind is DepthKind.AFFINE_INVERSE:
            depth = 2.5 / depth + 0.3
        return Inference(
            depth=depth.astype(np.float32), confidence=np.full(depth.shape, 0.75, np.float32)
        )


def scene(photo: Photo) -> np.ndarray:
    """Depth at half the size of the photograph, of a floor below a wall; what is white is near."""
    grey = photo.pixels[::2, ::2].mean(axis=2) / 255
    height, width = grey.shape
    focal = width / 2 / np.tan(np.radians(FOV) / 2)
    if photo.camera is not None:
        focal = photo.camera.K[0, 0] / 2
    below = np.arange(height) - (height - 1) / 2
    floor = HEIGHT * focal / np.maximum(below, 1e-3)
    depth = np.minimum(floor, WALL)[:, None]
    near = np.where(grey > 0.99, 0.5, 1.0)
    return depth * near * (1 + 0.02 * grey) * (1 + grey.mean())


class Paid(Acting, PaidModel):
    """The same, for money."""

    service = "a service"

    def allow(self, calls: int) -> None:
        CALLS.append(calls)


class Facing(Acting):
    """The same with normals, which all face the camera and the floor."""

    def _answer(self, photo: Photo) -> Inference:
        answer = super()._answer(photo)
        assert answer.depth is not None
        normals = np.empty((3, *answer.depth.shape), np.float32)
        normals[:] = np.float32([0, -0.6, -0.8])[:, None, None]
        return replace(answer, normals=normals)


class Tilted(Acting):
    """Depth of a room with panels, tilted and with too much relief."""

    def _answer(self, photo: Photo) -> Inference:
        room = panelled_room(25, 10, 3)
        tilted = LogDepthChange(tilt_x=0.25, tilt_y=-0.2, power=1.3).apply(room.depth, room.K)
        return Inference(depth=tilted, confidence=np.full(tilted.shape, 0.75, np.float32))


def _loading(
    name: str, kind: DepthKind = DepthKind.UP_TO_SCALE, made: type[Acting] = Acting
) -> Callable[[LoadOptions], Model]:
    has_normals = issubclass(made, Facing)
    card = replace(
        CARD,
        name=f"support.acting_model:{name}",
        kind=kind,
        normals=has_normals,
        corrected_by_lines=made is Tilted,
    )

    def load(options: LoadOptions) -> Model:
        return made(card, options)

    load.card = card  # pyright: ignore[reportFunctionMemberAccess]
    return load


plain = _loading("plain")
other = _loading("other", DepthKind.METRIC)
affine = _loading("affine", DepthKind.AFFINE_INVERSE)
facing = _loading("facing", made=Facing)
tilted = _loading("tilted", made=Tilted)
paid = _loading("paid", made=Paid)
UNKNOWN = "acting/unknown"


def trusting(options: LoadOptions) -> Model:
    """Load a model whose file names code of somebody."""
    check_trusted("their_lab:backbone", "backbone", "run.json")
    return Acting(CARD, options)


trusting.card = CARD  # pyright: ignore[reportFunctionMemberAccess]


def find(request: ModelRequest) -> FoundModel | None:
    """Find the checkpoint whose kind nobody knows but the user."""
    if request.text != UNKNOWN or request.kind is None:
        return None
    card = replace(CARD, name=UNKNOWN, kind=request.kind)
    return FoundModel(card=card, load=lambda options: Acting(card, options))
