"""Models with refinements around them: trimming, cameras, mirror images, tiles.

Borders mislead networks, so they are hidden and have no depth.

Confidence is disagreement with the mirror image, "Post" of M. Poggi et al., "On the uncertainty of
self-supervised monocular depth estimation", CVPR 2020.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Field, Float32, Float64, Mask, Pixels
from rilievo.errors import OptionError, UnknownCameraError
from rilievo.errors.messages import Note
from rilievo.geometry.borders import Margins
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.models.card import ModelCard
from rilievo.models.resampling.preparation import limit_depth, resize
from rilievo.models.resampling.wide_views import through_views
from rilievo.options.photo_options import Mirroring, Refine
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo

_WORTH_A_WORD = 0.97
SIDE = 512


def refined(model: Model, refine: Refine, *, vanishing_points: bool = False) -> Model:
    """Refine a model by tiles, mirror image, camera and borders."""
    if refine.tile is not None:
        model = Tiled(model, refine.tile)
    if refine.flip or refine.mirrors:
        model = mirrored(model, refine)
    if vanishing_points:
        model = VanishingCamera(model)
    # Outermost: all else is shown the inside alone. Only depth can say where there is no answer.
    return Trimmed(model) if refine.trim and model.card.kind is not None else model


def mirrored(model: Model, mirroring: Mirroring) -> Model:
    """Refine a model by the mirror image alone, if asked."""
    model = FlipAveraged(model) if mirroring.flip else model
    return MirrorConfidence(model) if mirroring.mirrors else model


class Trimmed(WrappedModel):
    """Model that sees photographs without uniform borders.

    Inferences are of the inside, with cameras of the whole.
    """

    def __init__(self, model: Model, margins: Margins | None = None) -> None:
        super().__init__(model, {"trim": True})
        self.same_margins = margins

    def margins(self, photo: Photo) -> Margins:
        """Borders to trim."""
        return photo.margins if self.same_margins is None else self.same_margins

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict the insides."""
        answers = self.model.infer([visible_part(self, photo) for photo in photos])
        return [
            answer
            if answer.camera is None
            else replace(answer, camera=self.margins(photo).uncrop_camera(answer.camera))
            for answer, photo in zip(answers, photos, strict=True)
        ]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize an output to the photograph, without depth in borders."""
        margins = self.margins(photo)
        if not margins:
            return self.model.finish(inference, photo).but(made_by=self.made_by)
        if inference.camera is not None:
            inference = replace(inference, camera=margins.cropped(inference.camera))
        inner = self.model.finish(inference, _crop_margins(photo, margins))
        return _uncrop_prediction(inner, photo, margins).but(made_by=self.made_by)


def with_margins(model: Model, margins: Margins) -> Model:
    """Replace a ``Trimmed`` model's borders; keep others."""
    return Trimmed(model.model, margins) if isinstance(model, Trimmed) else model


def model_margins(model: Model, photo: Photo) -> Margins:
    """Borders that a model leaves out of a photograph."""
    return model.margins(photo) if isinstance(model, Trimmed) else Margins()


def border_note(model: Model, photo: Photo) -> str | None:
    """Note on a border that is left out."""
    return margins_note(model_margins(model, photo), photo.shape)


def margins_note(margins: Margins, size: tuple[int, int]) -> str | None:
    """Note on a border that was left out."""
    if not is_worth_a_note(margins, size):
        return None
    return Note(
        f"its uniform border ({margins} px) was left out and has no depth: {{trim=off}} keeps it"
    )


def is_worth_a_note(margins: Margins, size: tuple[int, int]) -> bool:
    """Whether borders cover over 3 % of pixels."""
    rows, columns = margins.inside(size)
    inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    return inside < _WORTH_A_WORD * size[0] * size[1]


def visible_part(model: Model, photo: Photo) -> Photo:
    """Part of a photograph that the network sees."""
    margins = model_margins(model, photo)
    return _crop_margins(photo, margins) if margins else photo


def without_trimming(model: Model) -> Model:
    """Model inside ``Trimmed``; another is itself."""
    return model.model if isinstance(model, Trimmed) else model


def _crop_margins(photo: Photo, margins: Margins) -> Photo:
    rows, columns = margins.inside(photo.shape)
    camera = None if photo.camera is None else margins.cropped(photo.camera)
    hidden = None if photo.transparent is None else photo.transparent[rows, columns]
    pixels = photo.pixels[rows, columns]
    return Photo(pixels=pixels, camera=camera, transparent=hidden, name=photo.name)


def _uncrop_prediction(inner: Prediction, photo: Photo, margins: Margins) -> Prediction:
    place = margins.inside(photo.shape)
    depth = inner.depth_or_none
    if depth is not None:
        values, valid = np.zeros(photo.shape, np.float32), np.zeros(photo.shape, bool)
        values[place], valid[place] = depth.values, depth.valid
        depth = DepthMap(values=values, kind=depth.kind, valid=valid)
    camera = None if inner.camera is None else margins.uncrop_camera(inner.camera)
    whole = Prediction(depth_or_none=depth, camera=camera, photo=photo, made_by=inner.made_by)

    for name in ("normals", "confidence", "sky"):
        if inner.has(name):
            whole.defer(name, partial(_uncrop_field, inner, name, photo.shape, place))
    return whole


def _uncrop_field(
    inner: Prediction, name: str, shape: tuple[int, int], place: tuple[slice, slice]
) -> np.ndarray:
    part = getattr(inner, name)
    empty = np.nan if name == "normals" else 0
    field = np.full((*part.shape[:-2], *shape), empty, part.dtype)
    field[..., *place] = part
    return field


def with_vanishing_points(prediction: Prediction) -> Prediction:
    """Replace an assumed camera, if vanishing points are clear."""
    camera, photo = prediction.camera, prediction.photo
    if photo is None or camera is None or camera.source is not CameraSource.ASSUMED:
        return prediction
    estimate = vanishing_camera(photo)
    return prediction if estimate is None else prediction.but(camera=estimate)


def vanishing_camera(photo: Photo) -> Camera | None:
    """Camera from clear vanishing points."""
    from rilievo.geometry.focal import find_vanishing

    picture = grey_picture(photo.pixels)
    estimate = find_vanishing(picture)
    if estimate is None or not estimate.is_clear:
        return None
    focal = estimate.focal * max(photo.shape) / max(picture.shape)
    K = K_from_focal(focal, focal, photo.shape)
    return Camera(K=K, source=CameraSource.VANISHING_POINTS)


def grey_picture(pixels: Pixels) -> Float64[np.ndarray, "a b"]:
    """Grey values, reduced to a longer side of ``SIDE``."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    small = Image.fromarray(pixels).resize(
        (max(1, round(scale * width)), max(1, round(scale * height))),
        Image.Resampling.BOX,
        reducing_gap=2.0,
    )
    return np.asarray(small.convert("L"), np.float64)


class VanishingCamera(WrappedModel):
    """Model whose cameras come from vanishing points."""

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the model, with cameras where it needs them."""
        try:
            return self.model.infer(photos)
        except UnknownCameraError:
            return [self._infer_one(photo) for photo in photos]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Replace an assumed camera of the result."""
        return with_vanishing_points(self.model.finish(inference, photo))

    def _infer_one(self, photo: Photo) -> Inference:
        try:
            return self.model.infer([photo])[0]
        except UnknownCameraError as error:
            camera = vanishing_camera(photo)
            if camera is None:
                raise UnknownCameraError(
                    problem=(
                        f"model '{self.card.name}' needs the focal length, and "
                        "the vanishing points of this photograph are not "
                        "clear: give {fov=...} or {camera=...}"
                    )
                ) from error
        [answer] = self.model.infer([replace(photo, camera=camera)])
        return replace(answer, camera=camera)


# Width of the window, as a share of the image's.
WIDTH = 1 / 24

# Logit of the chance that depth is right within a factor of 1.25 at a difference of e^-3, and its
# change with the logarithm of the difference; fitted on rendered mirrors.
LEVEL, SLOPE = 1.16, -0.42

MIDDLE = -3.0

# Least difference of log depth.
LEAST = 1e-3


class _MirrorModel(WrappedModel):
    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        straight = self.model.infer(photos)
        mirrored = self.model.infer([mirror(photo) for photo in photos])
        return [
            self._merge_mirror_image(one, mirror_back(other))
            for one, other in zip(straight, mirrored, strict=True)
        ]

    @abstractmethod
    def _merge_mirror_image(self, one: Inference, other: Inference) -> Inference:
        """Combine a photograph's answer with its mirror image's, mirrored back."""


class FlipAveraged(_MirrorModel):
    """Average with the mirror image's prediction."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, {"flip": True})

    def _merge_mirror_image(self, one: Inference, other: Inference) -> Inference:
        depth, valid = None, _valid_in_both(one.valid, other.valid)
        if one.depth is not None and other.depth is not None:
            space = _blending_space(self.card)
            ours, theirs = _depth_in_space(one, space), _depth_in_space(other, space)
            inside = np.ones(ours.shape, bool) if valid is None else valid
            # Two predictions of one network may differ in scale (and shift); only shape is
            # averaged.
            depth = space.leave((ours + space.match(theirs, ours, inside)) / 2)
        return Inference(
            depth=depth,
            valid=valid,
            normals=_mean_or_none(one.normals, other.normals),
            confidence=_mean_or_none(one.confidence, other.confidence),
            sky=_mean_or_none(one.sky, other.sky),
            camera=one.camera,
        )


class Tiled(WrappedModel):
    """Detail from tiles on the coarse shape of the whole, since a tile has no reliable distance."""

    def __init__(self, model: Model, side: int) -> None:
        if side < 64:
            raise OptionError(f"tiles are at least 64 pixels wide, got {side}")
        super().__init__(model, {"tile": side})
        self._side = side

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict photographs as batches of tiles."""

        def narrow(photos: Sequence[Photo]) -> list[Inference]:
            return [self._infer_one(photo) for photo in photos]

        return through_views(photos, self.card.kind, narrow, self.card.resizing, detailed=True)

    def _infer_one(self, photo: Photo) -> Inference:
        [whole] = self.model.infer([photo])
        if max(photo.shape) <= self._side:
            return whole
        boxes = list(_tile_boxes(photo.shape, self._side))
        canvas: _TileCanvas | None = None
        for box in boxes:
            [tile] = self.model.infer([_crop_photo(photo, box)])
            if canvas is None:
                canvas = _TileCanvas(photo.shape, box, tile, _blending_space(self.card), whole)
            canvas.add(box, tile)
        assert canvas is not None
        return replace(canvas.result(), camera=whole.camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _BlendingSpace:
    enter: Callable[[Field], Field]
    leave: Callable[[Field], Field]
    match: Callable[[Field, Field, Mask], Field]


class _TileCanvas:
    def __init__(
        self,
        shape: tuple[int, int],
        box: _Box,
        tile: Inference,
        space: _BlendingSpace,
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


def _blending_space(card: ModelCard) -> _BlendingSpace:
    if card.kind is not None and card.kind.is_depth:
        return _BlendingSpace(
            enter=lambda depth: np.log(limit_depth(depth, card.resizing)),
            leave=np.exp,
            match=_match_median,
        )
    return _BlendingSpace(enter=np.asarray, leave=np.asarray, match=_match_scale_and_shift)


def _match_median(values: Field, reference: Field, inside: Mask) -> Field:
    return values + np.median((reference - values)[inside]) if inside.any() else values


def _match_scale_and_shift(values: Field, reference: Field, inside: Mask) -> Field:
    if not inside.any():
        return values
    middle, level = values[inside].mean(), reference[inside].mean()
    centred, target = values[inside] - middle, reference[inside] - level
    power = float((centred * centred).sum())
    scale = float((centred * target).sum()) / power if power > 0 else 1.0
    return (values - middle) * (scale if scale > 0 else 1) + level


def _depth_in_space(inference: Inference, space: _BlendingSpace) -> Field:
    depth, valid = inference.depth, inference.valid
    assert depth is not None, "asked for depth alone"
    if valid is None or valid.all():
        return space.enter(depth)
    least = depth[valid].min() if valid.any() else np.float32(1)
    return space.enter(np.where(valid, depth, least))


def _stack_fields(
    answer: Inference, space: _BlendingSpace, shape: tuple[int, ...]
) -> tuple[np.ndarray, Mask]:
    """Depth in the space, normals and chances, resized; valid mask."""
    size = (shape[0], shape[1])
    fields = [] if answer.depth is None else [_depth_in_space(answer, space)]
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


def mirror(photo: Photo) -> Photo:
    """Mirror a photograph and its camera."""
    camera = photo.camera
    if camera is not None:
        camera = camera.mirrored(width=photo.shape[1])
    pixels = np.ascontiguousarray(photo.pixels[:, ::-1])
    return Photo(pixels=pixels, camera=camera, name=photo.name)


def mirror_back(inference: Inference) -> Inference:
    """Mirror an answer back."""
    normals = _mirror_columns(inference.normals)
    if normals is not None:
        normals = normals * np.array([-1, 1, 1], np.float32)[:, None, None]
    return Inference(
        depth=_mirror_columns(inference.depth),
        valid=_mirror_columns(inference.valid),
        normals=normals,
        confidence=_mirror_columns(inference.confidence),
        sky=_mirror_columns(inference.sky),
    )


def _mirror_columns(field: np.ndarray | None) -> np.ndarray | None:
    return None if field is None else field[..., ::-1]


def _valid_in_both(one: Mask | None, other: Mask | None) -> Mask | None:
    return other if one is None else one if other is None else one & other


def _mean_or_none(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    return None if one is None or other is None else (one + other) / 2


class MirrorConfidence(_MirrorModel):
    """Model whose confidence is agreement with the mirror image."""

    def __init__(self, model: Model) -> None:
        kind = model.card.kind
        if kind is None or not kind.is_depth:
            what = "no depth" if kind is None else f"depth of kind '{kind}'"
            raise OptionError(
                f"confidence 'mirror' compares logarithms of depth, and model '{model.card.name}' "
                f"gives {what}: take a model of kind 'metric' or 'up_to_scale'"
            )
        super().__init__(model, {"confidence": "mirror"})
        self.card = replace(model.card, confidence=True)

    def _merge_mirror_image(self, one: Inference, other: Inference) -> Inference:
        assert one.depth is not None, "checked when the model was wrapped"
        assert other.depth is not None, "checked when the model was wrapped"
        valid = _valid_in_both(one.valid, other.valid)
        inside = np.ones(one.depth.shape, bool) if valid is None else valid
        difference = mirror_difference(one.depth, other.depth, inside)
        return replace(one, confidence=confidence_from_difference(difference))


def mirror_difference(
    depth: Field,
    mirrored: Field,
    inside: Mask,
) -> Field:
    """Local mean of the absolute log ratio, less its median."""
    if not inside.any():
        return np.full(depth.shape, np.inf, np.float32)
    ratio = np.zeros(depth.shape)
    ratio[inside] = np.log(depth[inside] / mirrored[inside])
    ratio[inside] = np.abs(ratio[inside] - np.median(ratio[inside]))
    ratio[~inside] = ratio.max()
    reach = max(1, round(WIDTH * depth.shape[1] / 2))
    return _window_means(_window_means(ratio, reach, 0), reach, 1).astype(np.float32)


def confidence_from_difference(difference: Field) -> Field:
    """Chance of depth within a factor of 1.25."""
    logit = LEVEL + SLOPE * (np.log(np.maximum(difference, LEAST)) - MIDDLE)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def _window_means(values: np.ndarray, reach: int, axis: int) -> np.ndarray:
    length = values.shape[axis]
    sums = np.insert(np.cumsum(values, axis=axis), 0, 0, axis=axis)
    first = np.maximum(np.arange(length) - reach, 0)
    last = np.minimum(np.arange(length) + reach + 1, length)
    count = (last - first).reshape((-1, 1) if axis == 0 else (1, -1))
    return (sums.take(last, axis=axis) - sums.take(first, axis=axis)) / count
