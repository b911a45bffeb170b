"""Add detail from the tiles of a photograph to the coarse shape of the whole photograph.

A network sees more detail in a tile than in the whole photograph, but it cannot tell the distance
of a tile reliably. So the coarse shape of each tile is replaced by that of the whole photograph
before the tiles are blended.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
_MIN_VALID_FRACTION = 0.5
"""Fraction of valid pixels around a resized pixel above which it is valid."""
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


_Fields = dict[str, Float32[np.ndarray, "c h w"]]
"""Fields of an inference by their names: ``_DEPTH``, normals (with 3 channels), and so on."""
_DEPTH = "depth"


class _TileCanvas:
    """Weighted sum of tiles, at the resolution at which the network sees a tile."""

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
        self._whole_fields, self._valid = _resize_fields(whole, space, self._shape)
        self._weighted_sums = {
            name: np.zeros_like(field) for name, field in self._whole_fields.items()
        }
        self._weight = np.zeros(self._shape, np.float32)

    def add_tile(self, box: _Box, tile: Inference) -> None:
        """Add a tile, after its coarse shape is replaced by that of the whole photograph."""
        place = self._place_on_canvas(box)
        weight = _fade_weights(self._weight[place].shape)
        fields, valid_in_tile = _resize_fields(tile, self._space, weight.shape)
        valid = valid_in_tile & self._valid[place]
        for name, whole_field in self._whole_fields.items():
            whole = whole_field[:, *place]
            if name == _DEPTH:
                detailed = self._replace_coarse_depth(fields[name], whole, valid)
            else:
                detailed = fields[name] + _coarse_shape(whole - fields[name])
            self._weighted_sums[name][:, *place] += weight * detailed
        self._weight[place] += weight

    def _replace_coarse_depth(
        self,
        depth: Float32[np.ndarray, "1 h w"],
        whole_depth: Float32[np.ndarray, "1 h w"],
        valid: Mask,
    ) -> Float32[np.ndarray, "1 h w"]:
        """Detail of a tile's depth on the coarse shape of the whole photograph's depth.

        Invalid pixels get the whole photograph's depth.
        """
        matched = self._space.match(depth[0], whole_depth[0], valid)[None]
        detailed = matched + _coarse_shape(whole_depth - matched, valid)
        return np.where(valid, detailed, whole_depth)

    def _place_on_canvas(self, box: _Box) -> tuple[slice, slice]:
        """Rows and columns of a tile on the canvas."""
        y_scale, x_scale = self._scale
        top = round(box.top * y_scale)
        left = round(box.left * x_scale)
        bottom = min(self._shape[0], top + round(box.height * y_scale))
        right = min(self._shape[1], left + round(box.width * x_scale))
        return slice(top, bottom), slice(left, right)

    def blended_inference(self) -> Inference:
        """Weighted mean of the tiles."""
        means = {
            name: weighted_sum / self._weight for name, weighted_sum in self._weighted_sums.items()
        }
        depth = means.get(_DEPTH)
        return Inference(
            depth=None if depth is None else self._space.to_depth(depth[0]),
            valid=None if self._valid.all() else self._valid,
            normals=means.get("normals"),
            confidence=_as_probability(means.get("confidence")),
            sky=_as_probability(means.get("sky")),
        )


def _as_probability(field: Float32[np.ndarray, "1 h w"] | None) -> Field | None:
    """Limit a field to 0 to 1, because the sum of detail and coarse shape may be outside."""
    return None if field is None else field[0].clip(0, 1)


def _resize_fields(
    inference: Inference, space: BlendingSpace, shape: tuple[int, ...]
) -> tuple[_Fields, Mask]:
    """Resize the fields of an inference to ``shape``, and return where depth is valid.

    Depth is converted to the blending space. Fields that the inference lacks are left out.
    """
    size = (shape[0], shape[1])
    fields: _Fields = {}
    if inference.normals is not None:
        fields["normals"] = np.stack([resize(channel, size) for channel in inference.normals])
    if inference.confidence is not None:
        fields["confidence"] = resize(inference.confidence, size)[None]
    if inference.sky is not None:
        fields["sky"] = resize(inference.sky, size)[None]
    if inference.depth is None:
        return fields, np.ones(size, bool)
    depth = depth_in_space(inference, space)
    if inference.valid is None:
        return {_DEPTH: resize(depth, size)[None], **fields}, np.ones(size, bool)
    resized_depth, resized_valid = _resize_valid_depth(depth, inference.valid, size)
    return {_DEPTH: resized_depth[None], **fields}, resized_valid


def _resize_valid_depth(depth: Field, valid: Mask, size: tuple[int, int]) -> tuple[Field, Mask]:
    """Resize depth to the mean of the valid pixels around each new one, and return its mask.

    A new pixel is valid if most of the pixels around it are, as in ``resize_to_depth_map``. Others
    are the mean of all pixels around them.
    """
    mean_of_all = resize(depth, size)
    valid_fraction = resize(valid.astype(np.float32), size)
    resized_valid = valid_fraction > _MIN_VALID_FRACTION
    valid_sum = resize(np.where(valid, depth, np.float32(0)), size)
    mean_of_valid = np.divide(
        valid_sum, valid_fraction, out=mean_of_all.copy(), where=resized_valid
    )
    return mean_of_valid, resized_valid


def _coarse_shape(
    field: Float32[np.ndarray, "c h w"], valid: Mask | None = None
) -> Float32[np.ndarray, "c h w"]:
    """Coarse shape of each channel: the means of a few cells, interpolated smoothly.

    ``valid`` are the pixels that count; None if all do.
    """
    height, width = field.shape[1:]
    smooth_channels = []
    for channel in field:
        if valid is None or valid.all():
            grid = _cell_means(channel)
        else:
            grid = _valid_cell_means(channel, valid)
        smooth = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        smooth_channels.append(np.asarray(smooth))
    return np.stack(smooth_channels)


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
