"""A model that sees one slanted wall in everything, and photographs to show it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.types import DepthKind, Photo
from rilievo.views.app.answers import AnswerStore
from rilievo.views.app.network import Networks

HEIGHT, WIDTH = 48, 64


def wall(kind: DepthKind) -> np.ndarray:
    """Depth 2 in the first row to 4 in the last, in numbers of a kind."""
    depth = np.repeat(np.linspace(2, 4, HEIGHT, dtype=np.float32)[:, None], WIDTH, axis=1)
    match kind:
        case DepthKind.METRIC:
            return depth
        case DepthKind.UP_TO_SCALE:
            return 5 * depth
        case DepthKind.AFFINE:
            return 3 * depth - 7
        case DepthKind.AFFINE_INVERSE:
            return 3 / depth - 7


class WallModel(Model):
    """Answers with ``wall``, after doing something else if asked."""

    def __init__(self, kind: DepthKind, before: Callable[[], None] = lambda: None) -> None:
        self.card = ModelCard(
            name="test/wall",
            summary="a wall",
            kind=kind,
            normals=False,
            licence="MIT",
            commercial=True,
            megabytes=0.1,
            extra=None,
            speed="at once",
            loader="nowhere:nothing",
        )
        self.weights_sha256, self.settings = "ab" * 32, {}
        self._before = before

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        self._before()
        assert self.card.kind is not None
        return [Inference(depth=wall(self.card.kind)) for _ in photos]


def write_photo(path: Path, *, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A JPEG without EXIF."""
    width, height = size
    rows = np.linspace(0, 255, height, dtype=np.uint8)[:, None, None]
    Image.fromarray(np.broadcast_to(rows, (height, width, 3)).copy()).save(path, "JPEG")
    return path


def write_scene(path: Path, *, focal_35mm: int | None = None) -> Path:
    """A photograph of 320 x 240 with a floor, a wall and a box, and EXIF if asked."""
    rows, columns = np.mgrid[:240, :320]
    pixels = np.stack([90 + rows // 4, 120 + columns // 8, 200 - rows // 3], axis=2)
    pixels[150:] = (120, 95, 70)
    pixels[100:200, 120:200] = (200, 60, 40)
    pixels[(rows // 20 + columns // 20) % 2 == 0] += 15
    exif = Image.Exif()
    if focal_35mm is not None:
        exif.get_ifd(0x8769)[0xA405] = focal_35mm
    Image.fromarray(pixels.astype(np.uint8)).save(path, "JPEG", quality=92, exif=exif)
    return path


def make_store(folder: Path, model: Model, *, limit: float = 20.0) -> AnswerStore:
    """A store whose questions one model answers, whatever its name."""
    return AnswerStore(folder, Networks(lambda _: model, limit=limit), max_pixels=1_000_000)
