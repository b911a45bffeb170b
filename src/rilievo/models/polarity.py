"""Self-test of polarity: whether near and far come out the right way round.

A network does not state whether its values grow or shrink with depth, and users may err about files
of other programs. The test uses three small pictures inside the package, rendered by
``scenes``, in which it is obvious what is near and what is far.
"""

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.errors import ModelError, OutputError, RilievoError
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.atomic import make_folder
from rilievo.io.photo import read_photo
from rilievo.models.base import Model
from rilievo.models.engines import cache_directory
from rilievo.types import Camera, CameraSource, DepthKind, Photo

_FOLDER = Path(__file__).parent / "near_and_far"
_FOV = 55.0  # degrees; only used by networks that need a focal length


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle in a picture, its edges as shares of height and width."""

    top: float
    bottom: float
    left: float
    right: float

    def median(self, values: np.ndarray, valid: np.ndarray) -> float | None:
        """Median of the valid values in it; None if there are none."""
        height, width = values.shape
        rows = slice(int(self.top * height), int(self.bottom * height))
        columns = slice(int(self.left * width), int(self.right * width))
        inside = values[rows, columns][valid[rows, columns]]
        return float(np.median(inside)) if inside.size else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture with a near and a far region."""

    file: str
    near: Region
    far: Region


SCENES = (
    Scene(
        file="street.jpg",
        near=Region(top=0.8, bottom=1.0, left=0.3, right=0.9),
        far=Region(top=0.1, bottom=0.28, left=0.58, right=0.72),
    ),
    Scene(
        file="rock.jpg",
        near=Region(top=0.55, bottom=0.9, left=0.6, right=0.9),
        far=Region(top=0.12, bottom=0.32, left=0.44, right=0.54),
    ),
    Scene(
        file="room.jpg",
        near=Region(top=0.85, bottom=1.0, left=0.55, right=0.95),
        far=Region(top=0.03, bottom=0.25, left=0.12, right=0.34),
    ),
)


def turned_round(model: Model) -> list[str]:
    """Names of the pictures in which a model confuses near and far."""
    return [scene.file for scene in SCENES if _is_turned(model, scene)]


def _is_turned(model: Model, scene: Scene) -> bool:
    photo = read_photo(_FOLDER / scene.file, own_depth=False)
    K = K_from_fov(_FOV, photo.shape)
    camera = Camera(K=K, source=CameraSource.ASSUMED)
    photo = Photo(pixels=photo.pixels, camera=camera, name=photo.name)
    [prediction] = model.predict([photo])
    depth = prediction.depth
    valid = np.isfinite(depth.values) & depth.valid
    near, far = (part.median(depth.values, valid) for part in (scene.near, scene.far))
    if near is None or far is None:  # as for sky, which is far
        return False
    return near < far if depth.kind is DepthKind.AFFINE_INVERSE else near > far


def doubt(model: Model) -> str | None:
    """Describe in one line what looks wrong about a model's kind of depth; None if nothing does."""
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
    return (
        f"model '{model.card.name}': near and far are swapped on {len(wrong)} of "
        f"{len(SCENES)} test pictures: its kind is stated as {kind} and looks like {other}; if so, "
        "export it again with that --kind"
    )


def doubt_once(model: Model) -> None:
    """Print the doubt to standard error, at the first use of a file on this machine."""
    place = None
    with suppress(ModelError):
        place = cache_directory() / "polarity" / model.weights_sha256
    if place is not None and place.exists():
        return
    said = doubt(model)
    if said is not None:
        sys.stderr.write(f"rilievo: warning: {said}\n")
    if place is not None:
        with suppress(OSError, OutputError):
            make_folder(place.parent)
            place.touch()
