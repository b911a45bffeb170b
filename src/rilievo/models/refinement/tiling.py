"""Add detail from the tiles of a photograph to the coarse shape of the whole photograph.

A network sees more detail in a tile than in the whole photograph, but it cannot tell the distance
of a tile reliably. So the coarse shape of each tile is replaced by that of the whole photograph
before the tiles are blended.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Field, Float32, Mask
from rilievo.errors import OptionError
from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.models.refinement.blending import BlendingSpace, blending_space, depth_in_space
from rilievo.models.resampling.resizing import resize
from rilievo.models.wide_photographs.wide_views import infer_through_views
from rilievo.records.sample import Photo

_MIN_SIDE = 64
_CELLS = 4
"""Rows and columns of the grid that is the coarse shape of a tile."""
_MIN_WEIGHT_AT_EDGE = 1e-4
"""Weight of a tile at its very edge, so that no pixel has weight 0."""
_PRIOR_WEIGHT = 0.01
"""Weight of a tile's mean in each cell, which decides in cells without a valid pixel."""


class Tiled(WrappedModel):
    """Model that adds detail from tiles to its inference for the whole photograph."""

    def __init__(self, model: Model, tile_side: int) -> None:
        """Wrap a model, with the side of the tiles [px]."""
        if tile_side < _MIN_SIDE:
            raise OptionError(f"tiles must be at least {_MIN_SIDE} pixels wide, got {tile_side}")
        super().__init__(model, {"tile": tile_side})
        self._tile_side = tile_side

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict photographs, and views of wide ones, by tiles."""

        def infer_pinhole(photos: Sequence[Photo]) -> list[Inference]:
            return [self._infer_photo(photo) for photo in photos]

        return infer_through_views(
            photos, self.card.kind, infer_pinhole, self.card.resizing, detailed=True
        )

    def _infer_photo(self, photo: Photo) -> Inference:
        """Run the model on the whole photograph and then on its tiles, and blend the tiles."""
        [whole] = self.model.infer([photo])
        if max(photo.shape) <= self._tile_side:
            return whole
        canvas: _TileCanvas | None = None
        for box in _tile_boxes(photo.shape, self._tile_side):
            [tile] = self.model.infer([_crop_photo(photo, box)])
            if canvas is None:
                # The first tile shows at which resolution the network sees a tile.
                canvas = _TileCanvas(photo.shape, box, tile, blending_space(self.card), whole)
            canvas.add_tile(box, tile)
        assert canvas is not None, "a photograph has at least one tile"
        return replace(canvas.blended_inference(), camera=whole.camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Tile of a photograph [px]."""

    top: int
    left: int
    height: int
    width: int


class _TileCanvas:
    """Weighted sum of tiles, at the resolution at which the network sees a tile.

    The fields of an inference are stacked along the first axis, in the order of ``_stack_fields``.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        first_box: _Box,
        first_tile: Inference,
        space: BlendingSpace,
        whole: Inference,
    ) -> None:
        """Make an empty canvas.

        The first tile sets the resolution, by the size of its inference.
        """
        rows, columns = _inference_size(first_tile)
        # A small tile may be enlarged for the network, but the canvas is never larger than the
        # photograph.
        y_scale = min(1.0, rows / first_box.height)
        x_scale = min(1.0, columns / first_box.width)
        self._scale = (y_scale, x_scale)
        self._shape = (round(shape[0] * y_scale), round(shape[1] * x_scale))
        self._space = space
        self._whole, self._valid = _stack_fields(whole, space, self._shape)
        self._weighted_sum = np.zeros_like(self._whole)
        self._weight = np.zeros(self._shape, np.float32)
        self._has_depth = whole.depth is not None
        self._has_normals = whole.normals is not None
        self._has_confidence = whole.confidence is not None
        self._has_sky = whole.sky is not None

    def add_tile(self, box: _Box, tile: Inference) -> None:
        """Add a tile, after its coarse shape is replaced by that of the whole photograph."""
        y_scale, x_scale = self._scale
        top, left = round(box.top * y_scale), round(box.left * x_scale)
        bottom = min(self._shape[0], top + round(box.height * y_scale))
        right = min(self._shape[1], left + round(box.width * x_scale))
        window = (slice(top, bottom), slice(left, right))

        whole_fields = self._whole[:, *window]
        fields, valid = _stack_fields(tile, self._space, whole_fields.shape[1:])
        valid &= self._valid[window]
        if self._has_depth:
            fields[0] = self._space.match(fields[0], whole_fields[0], valid)
        detailed = fields + _coarse_shape(whole_fields - fields, valid)
        # The first field is depth; without depth, all pixels are valid.
        detailed[0] = np.where(valid, detailed[0], whole_fields[0])
        weight = _fade_weights(whole_fields.shape[1:])
        self._weighted_sum[:, *window] += weight * detailed
        self._weight[window] += weight

    def blended_inference(self) -> Inference:
        """Weighted mean of the tiles."""
        fields = iter(self._weighted_sum / self._weight)
        depth = self._space.to_depth(next(fields)) if self._has_depth else None
        normals = np.stack([*islice(fields, 3)]) if self._has_normals else None
        # The sum of detail and coarse shape may be outside 0 to 1.
        confidence = next(fields).clip(0, 1) if self._has_confidence else None
        sky = next(fields).clip(0, 1) if self._has_sky else None
        return Inference(
            depth=depth,
            valid=None if self._valid.all() else self._valid,
            normals=normals,
            confidence=confidence,
            sky=sky,
        )


def _stack_fields(
    inference: Inference, space: BlendingSpace, shape: tuple[int, ...]
) -> tuple[np.ndarray, Mask]:
    """Stack the fields of an inference, resized to ``shape``, and return where depth is valid.

    The order is depth in the blending space, three components of normals, confidence and sky. What
    the inference lacks is left out.
    """
    size = (shape[0], shape[1])
    fields = [] if inference.depth is None else [depth_in_space(inference, space)]
    fields += [] if inference.normals is None else list(inference.normals)
    probabilities = (inference.confidence, inference.sky)
    fields += [probability for probability in probabilities if probability is not None]
    stack = np.stack([resize(field, size) for field in fields])
    valid = inference.valid
    if inference.depth is None or valid is None:
        return stack, np.ones(size, bool)

    # Depth is the mean of the valid pixels around a resized one, as in ``resize_to_depth_map``.
    valid_fraction = resize(valid.astype(np.float32), size)
    resized_valid = valid_fraction > 0.5
    depth_sum = resize(np.where(valid, fields[0], np.float32(0)), size)
    np.divide(depth_sum, valid_fraction, out=stack[0], where=resized_valid)
    return stack, resized_valid


def _coarse_shape(fields: np.ndarray, valid: Mask) -> np.ndarray:
    """Coarse shape of each field: the means of a few cells, interpolated smoothly.

    The mask is that of depth, which is the first field; the others are valid everywhere.
    """
    height, width = fields.shape[1:]
    grids = [_cell_means(field) for field in fields]
    if not valid.all():
        grids[0] = _valid_cell_means(fields[0], valid)
    smooth_fields = [
        Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC) for grid in grids
    ]
    return np.stack([np.asarray(field) for field in smooth_fields])


def _cell_means(field: Field) -> Float32[np.ndarray, "c c"]:
    return np.asarray(Image.fromarray(field).resize((_CELLS, _CELLS), Image.Resampling.BOX))


def _valid_cell_means(field: Field, valid: Mask) -> Float32[np.ndarray, "c c"]:
    """Mean of the valid pixels in each cell; in cells without any, the mean of all valid pixels.

    The mean of all has a small weight in every cell (additive smoothing), so that no cell has
    weight 0.
    """
    valid_fraction = _cell_means(valid.astype(np.float32))
    valid_sum = _cell_means(np.where(valid, field, np.float32(0)))
    overall_mean = valid_sum.sum() / max(float(valid_fraction.sum()), 1e-6)
    prior_sum = np.float32(_PRIOR_WEIGHT * overall_mean)
    return (valid_sum + prior_sum) / (valid_fraction + np.float32(_PRIOR_WEIGHT))


def _fade_weights(shape: tuple[int, ...]) -> np.ndarray:
    """Weights that fall from 1 in the middle of a tile to nearly 0 at its edges (Hann window)."""
    fades = []
    for length in shape:
        position = (np.arange(length, dtype=np.float32) + 0.5) / length
        fades.append(np.sin(np.pi * position) ** 2)
    row_fade, column_fade = fades
    return row_fade[:, None] * column_fade[None, :] + np.float32(_MIN_WEIGHT_AT_EDGE)


def _tile_boxes(shape: tuple[int, int], tile_side: int) -> Iterator[_Box]:
    """Tiles that cover a photograph; neighbours overlap by at least half."""
    height, width = (min(tile_side, length) for length in shape)
    for top in _tile_starts(shape[0], height):
        for left in _tile_starts(shape[1], width):
            yield _Box(top=top, left=left, height=height, width=width)


def _tile_starts(length: int, tile_length: int) -> list[int]:
    """First pixel of each tile along an axis; the tiles are spread evenly."""
    last_start = length - tile_length
    steps = math.ceil(2 * last_start / tile_length)  # of at most half a tile
    return [round(index * last_start / max(steps, 1)) for index in range(steps + 1)]


def _crop_photo(photo: Photo, box: _Box) -> Photo:
    rows = slice(box.top, box.top + box.height)
    columns = slice(box.left, box.left + box.width)
    camera = photo.camera
    if camera is not None:
        camera = camera.cropped(top=box.top, left=box.left)
    return Photo(pixels=photo.pixels[rows, columns], camera=camera, name=photo.name)


def _inference_size(inference: Inference) -> tuple[int, int]:
    field = inference.normals if inference.depth is None else inference.depth
    assert field is not None, "a model predicts depth or normals"
    height, width = field.shape[-2:]
    return height, width
