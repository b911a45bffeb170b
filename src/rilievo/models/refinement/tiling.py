"""Detail from tiles of a photograph, on the coarse shape of the whole."""

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


class Tiled(WrappedModel):
    """Detail from tiles on the coarse shape of the whole, since a tile has no reliable distance."""

    def __init__(self, model: Model, side: int) -> None:
        if side < 64:
            raise OptionError(f"tiles are at least 64 pixels wide, got {side}")
        super().__init__(model, {"tile": side})
        self._side = side

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict photographs as batches of tiles."""

        def narrow(photos: Sequence[Photo]) -> list[Inference]:
            return [self._infer_one(photo) for photo in photos]

        return infer_through_views(
            photos, self.card.kind, narrow, self.card.resizing, detailed=True
        )

    def _infer_one(self, photo: Photo) -> Inference:
        [whole] = self.model.infer([photo])
        if max(photo.shape) <= self._side:
            return whole
        boxes = list(_tile_boxes(photo.shape, self._side))
        canvas: _TileCanvas | None = None
        for box in boxes:
            [tile] = self.model.infer([_crop_photo(photo, box)])
            if canvas is None:
                canvas = _TileCanvas(photo.shape, box, tile, blending_space(self.card), whole)
            canvas.add(box, tile)
        assert canvas is not None
        return replace(canvas.result(), camera=whole.camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    top: int
    left: int
    height: int
    width: int


class _TileCanvas:
    def __init__(
        self,
        shape: tuple[int, int],
        box: _Box,
        tile: Inference,
        space: BlendingSpace,
        whole: Inference,
    ) -> None:
        rows, columns = _answer_size(tile)
        # Small tiles may be enlarged for the network; the canvas is never larger than the
        # photograph.
        self._scale = (min(1.0, rows / box.height), min(1.0, columns / box.width))
        self._shape = (round(shape[0] * self._scale[0]), round(shape[1] * self._scale[1]))
        self._space = space
        self._whole, self._inside = _stack_fields(whole, space, self._shape)
        self._sum = np.zeros_like(self._whole)
        self._weight = np.zeros(self._shape, np.float32)
        self._has_depth, self._has_normals = whole.depth is not None, whole.normals is not None
        self._chances = _chances_by_name(whole)

    def add(self, box: _Box, tile: Inference) -> None:
        top, left = round(box.top * self._scale[0]), round(box.left * self._scale[1])
        bottom = min(self._shape[0], top + round(box.height * self._scale[0]))
        right = min(self._shape[1], left + round(box.width * self._scale[1]))
        inside = (slice(top, bottom), slice(left, right))
        reference = self._whole[:, *inside]
        fields, mask = _stack_fields(tile, self._space, reference.shape[1:])
        mask &= self._inside[inside]
        if self._has_depth:
            fields[0] = self._space.match(fields[0], reference[0], mask)
        mended = fields + _coarse_part(reference - fields, mask)
        mended[0] = np.where(mask, mended[0], reference[0])  # unseen pixels: the whole
        weight = _fade_weights(reference.shape[1:])
        self._sum[:, *inside] += weight * mended
        self._weight[inside] += weight

    def result(self) -> Inference:
        mean = self._sum / self._weight
        first = int(self._has_depth)
        # Detail on the coarse shape of the whole may overshoot.
        rest = mean[first + 3 * self._has_normals :].clip(0, 1)
        chances = dict(zip(self._chances, rest, strict=True))
        return Inference(
            depth=self._space.leave(mean[0]) if self._has_depth else None,
            valid=None if self._inside.all() else self._inside,
            normals=mean[first : first + 3] if self._has_normals else None,
            confidence=chances.get("confidence"),
            sky=chances.get("sky"),
        )


def _stack_fields(
    answer: Inference, space: BlendingSpace, shape: tuple[int, ...]
) -> tuple[np.ndarray, Mask]:
    """Depth in the space, normals and chances, resized; valid mask."""
    size = (shape[0], shape[1])
    fields = [] if answer.depth is None else [depth_in_space(answer, space)]
    fields += [] if answer.normals is None else list(answer.normals)
    fields += _chances_by_name(answer).values()
    stack, valid = np.stack([resize(field, size) for field in fields]), answer.valid
    if answer.depth is None or valid is None:
        return stack, np.ones(size, bool)
    # As in ``Model.finish``: invalid pixels are not blended into valid ones.
    weight = resize(valid.astype(np.float32), size)
    depth_sum = resize(np.where(valid, fields[0], np.float32(0)), size)
    np.divide(depth_sum, weight, out=stack[0], where=weight > 0.5)
    return stack, weight > 0.5


def _chances_by_name(answer: Inference) -> Mapping[str, Field]:
    named = {"confidence": answer.confidence, "sky": answer.sky}
    return {name: field for name, field in named.items() if field is not None}


def _coarse_part(fields: np.ndarray, inside: Mask) -> np.ndarray:
    """Fields from 4 x 4 cells, enlarged smoothly."""
    size = (fields.shape[2], fields.shape[1])
    grids = [_cell_means(field) for field in fields]
    if not inside.all():
        grids[0] = _cell_means_inside(fields[0], inside)
    smooth = [Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC) for grid in grids]
    return np.stack([np.asarray(field) for field in smooth])


def _cell_means(field: Field) -> Float32[np.ndarray, "4 4"]:
    return np.asarray(Image.fromarray(field).resize((4, 4), Image.Resampling.BOX))


def _cell_means_inside(field: Field, inside: Mask) -> Float32[np.ndarray, "4 4"]:
    weight = _cell_means(inside.astype(np.float32))
    total = _cell_means(np.where(inside, field, np.float32(0)))
    mean = total.sum() / max(float(weight.sum()), 1e-6)
    return (total + np.float32(0.01 * mean)) / (weight + np.float32(0.01))


def _fade_weights(shape: tuple[int, ...]) -> np.ndarray:
    ramps = [np.sin(np.pi * (np.arange(n, dtype=np.float32) + 0.5) / n) ** 2 for n in shape]
    return ramps[0][:, None] * ramps[1][None, :] + np.float32(1e-4)


def _tile_boxes(shape: tuple[int, int], side: int) -> Iterator[_Box]:
    height, width = (min(side, length) for length in shape)
    for top in _tile_starts(shape[0], height):
        for left in _tile_starts(shape[1], width):
            yield _Box(top=top, left=left, height=height, width=width)


def _tile_starts(length: int, side: int) -> list[int]:
    steps = -(-2 * (length - side) // side)
    return [round(index * (length - side) / max(steps, 1)) for index in range(steps + 1)]


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
