"""Detail from the tiles of a photograph, on the coarse shape of the whole.

A network sees more detail in a tile than in the whole photograph, but it cannot tell the distance
of a tile reliably. So each tile is moved to the coarse shape of the whole before it is blended.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Field, Float32, Mask
from rilievo.errors import OptionError
from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.models.refinement.blending import BlendingSpace, blending_space, depth_in_space
from rilievo.models.resampling.resizing import resize
from rilievo.models.resampling.wide_views import infer_through_views
from rilievo.records.sample import Photo

_MIN_SIDE = 64
_CELLS = 4
"""Rows and columns of the coarse shape of a tile."""
_MIN_WEIGHT_AT_EDGE = 1e-4
"""Weight of a tile at its very edge, so that no pixel has none."""
_PRIOR_WEIGHT = 0.01
"""Weight of a tile's mean in its coarse cells, for cells without a valid pixel."""


class Tiled(WrappedModel):
    """Model that adds detail from tiles to its answer for the whole photograph."""

    def __init__(self, model: Model, side: int) -> None:
        """Wrap a model, with the side of the tiles [px].

        Raises:
            OptionError: If the tiles are too small.
        """
        if side < _MIN_SIDE:
            raise OptionError(f"tiles are at least {_MIN_SIDE} pixels wide, got {side}")
        super().__init__(model, {"tile": side})
        self._side = side

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict photographs, and views of wide ones, by tiles."""

        def infer_pinhole(photos: Sequence[Photo]) -> list[Inference]:
            return [self._infer_photo(photo) for photo in photos]

        return infer_through_views(
            photos, self.card.kind, infer_pinhole, self.card.resizing, detailed=True
        )

    def _infer_photo(self, photo: Photo) -> Inference:
        [whole] = self.model.infer([photo])
        if max(photo.shape) <= self._side:
            return whole
        canvas: _TileCanvas | None = None
        for box in _tile_boxes(photo.shape, self._side):
            [tile] = self.model.infer([_crop_photo(photo, box)])
            if canvas is None:
                canvas = _TileCanvas(photo.shape, box, tile, blending_space(self.card), whole)
            canvas.add(box, tile)
        assert canvas is not None, "a photograph has at least one tile"
        return replace(canvas.result(), camera=whole.camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Tile of a photograph [px]."""

    top: int
    left: int
    height: int
    width: int


class _TileCanvas:
    """Blended tiles, at the resolution at which the network sees a tile."""

    def __init__(
        self,
        shape: tuple[int, int],
        first_box: _Box,
        first_tile: Inference,
        space: BlendingSpace,
        whole: Inference,
    ) -> None:
        """Make a canvas of a photograph of ``shape``.

        Args:
            shape: Height and width of the photograph.
            first_box: A tile, whose resolution is that of the canvas.
            first_tile: Answer for it.
            space: Space in which depths are blended.
            whole: Answer for the whole photograph.
        """
        rows, columns = _answer_size(first_tile)
        # Small tiles may be enlarged for the network; the canvas is never larger than the
        # photograph.
        y_scale, x_scale = min(1.0, rows / first_box.height), min(1.0, columns / first_box.width)
        self._scale = (y_scale, x_scale)
        self._shape = (round(shape[0] * y_scale), round(shape[1] * x_scale))
        self._space = space
        self._whole, self._valid = _stack_fields(whole, space, self._shape)
        self._sum = np.zeros_like(self._whole)
        self._weight = np.zeros(self._shape, np.float32)
        self._has_depth, self._has_normals = whole.depth is not None, whole.normals is not None
        self._chance_names = tuple(_chances_by_name(whole))

    def add(self, box: _Box, tile: Inference) -> None:
        """Add the answer for a tile."""
        y_scale, x_scale = self._scale
        top, left = round(box.top * y_scale), round(box.left * x_scale)
        bottom = min(self._shape[0], top + round(box.height * y_scale))
        right = min(self._shape[1], left + round(box.width * x_scale))
        place = (slice(top, bottom), slice(left, right))

        whole_part = self._whole[:, *place]
        fields, valid = _stack_fields(tile, self._space, whole_part.shape[1:])
        valid &= self._valid[place]
        if self._has_depth:
            fields[0] = self._space.match(fields[0], whole_part[0], valid)
        detailed = fields + _coarse_part(whole_part - fields, valid)
        detailed[0] = np.where(valid, detailed[0], whole_part[0])
        weight = _fade_weights(whole_part.shape[1:])
        self._sum[:, *place] += weight * detailed
        self._weight[place] += weight

    def result(self) -> Inference:
        """Mean of the tiles."""
        mean = self._sum / self._weight
        first_normal = int(self._has_depth)
        first_chance = first_normal + 3 * self._has_normals
        # Detail on the coarse shape of the whole may overshoot.
        chance_fields = mean[first_chance:].clip(0, 1)
        chances = dict(zip(self._chance_names, chance_fields, strict=True))
        return Inference(
            depth=self._space.leave(mean[0]) if self._has_depth else None,
            valid=None if self._valid.all() else self._valid,
            normals=mean[first_normal:first_chance] if self._has_normals else None,
            confidence=chances.get("confidence"),
            sky=chances.get("sky"),
        )


def _stack_fields(
    answer: Inference, space: BlendingSpace, shape: tuple[int, ...]
) -> tuple[np.ndarray, Mask]:
    """Depth in the space, normals and chances, resized to ``shape``; and where depth is valid."""
    size = (shape[0], shape[1])
    fields = [] if answer.depth is None else [depth_in_space(answer, space)]
    fields += [] if answer.normals is None else list(answer.normals)
    fields += _chances_by_name(answer).values()
    stack = np.stack([resize(field, size) for field in fields])
    valid = answer.valid
    if answer.depth is None or valid is None:
        return stack, np.ones(size, bool)

    # Invalid pixels are not blended into valid ones, as in ``Model.finish``.
    weight = resize(valid.astype(np.float32), size)
    depth_sum = resize(np.where(valid, fields[0], np.float32(0)), size)
    np.divide(depth_sum, weight, out=stack[0], where=weight > 0.5)
    return stack, weight > 0.5


def _chances_by_name(answer: Inference) -> Mapping[str, Field]:
    fields = {"confidence": answer.confidence, "sky": answer.sky}
    return {name: field for name, field in fields.items() if field is not None}


def _coarse_part(fields: np.ndarray, valid: Mask) -> np.ndarray:
    """Coarse shape of fields: means of a few cells, interpolated smoothly.

    The first field counts only where it is valid.
    """
    height, width = fields.shape[1:]
    grids = [_cell_means(field) for field in fields]
    if not valid.all():
        grids[0] = _cell_means_of_valid(fields[0], valid)
    smooth = [
        Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC) for grid in grids
    ]
    return np.stack([np.asarray(field) for field in smooth])


def _cell_means(field: Field) -> Float32[np.ndarray, "c c"]:
    return np.asarray(Image.fromarray(field).resize((_CELLS, _CELLS), Image.Resampling.BOX))


def _cell_means_of_valid(field: Field, valid: Mask) -> Float32[np.ndarray, "c c"]:
    """Means of the valid pixels of each cell; nearly the mean of all in cells without any."""
    weight = _cell_means(valid.astype(np.float32))
    total = _cell_means(np.where(valid, field, np.float32(0)))
    mean = total.sum() / max(float(weight.sum()), 1e-6)
    return (total + np.float32(_PRIOR_WEIGHT * mean)) / (weight + np.float32(_PRIOR_WEIGHT))


def _fade_weights(shape: tuple[int, ...]) -> np.ndarray:
    """Weights that fall from 1 in the middle of a tile to nearly 0 at its edges."""
    fades = []
    for length in shape:
        position = (np.arange(length, dtype=np.float32) + 0.5) / length
        fades.append(np.sin(np.pi * position) ** 2)
    return fades[0][:, None] * fades[1][None, :] + np.float32(_MIN_WEIGHT_AT_EDGE)


def _tile_boxes(shape: tuple[int, int], side: int) -> Iterator[_Box]:
    """Tiles that cover a photograph; neighbours overlap by at least half."""
    height, width = (min(side, length) for length in shape)
    for top in _tile_starts(shape[0], height):
        for left in _tile_starts(shape[1], width):
            yield _Box(top=top, left=left, height=height, width=width)


def _tile_starts(length: int, side: int) -> list[int]:
    """First pixels of tiles along an axis, spread evenly."""
    last_start = length - side
    steps = -(-2 * last_start // side)  # rounded up
    return [round(index * last_start / max(steps, 1)) for index in range(steps + 1)]


def _crop_photo(photo: Photo, box: _Box) -> Photo:
    rows = slice(box.top, box.top + box.height)
    columns = slice(box.left, box.left + box.width)
    camera = photo.camera
    if camera is not None:
        camera = camera.cropped(top=box.top, left=box.left)
    return Photo(pixels=photo.pixels[rows, columns], camera=camera, name=photo.name)


def _answer_size(inference: Inference) -> tuple[int, int]:
    field = inference.normals if inference.depth is None else inference.depth
    assert field is not None, "a model gives depth or normals"
    height, width = field.shape[-2:]
    return height, width
