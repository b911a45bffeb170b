"""What every model is: photographs in, one ``Prediction`` each out.

An adapter implements ``infer``, at the network's own resolution and in our conventions; this
module brings the answer to the photograph's size and writes down what made it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex, cast, overload

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image

from rilievo.errors import ModelError
from rilievo.io.bands import bands
from rilievo.io.exif import assumed_camera
from rilievo.io.photo import PhotoSource, read_photo
from rilievo.models.card import ModelCard
from rilievo.models.speeds import infer_timed
from rilievo.sameness import no_hash, same_record
from rilievo.types import Camera, DepthKind, DepthMap, MadeBy, Photo, Prediction, Setting
from rilievo.version import VERSION

# A picture as users have it: all that ``rilievo.read_photo`` reads, or read already.
ImageLike = Photo | PhotoSource


def as_list(images: ImageLike | Sequence[ImageLike]) -> list[ImageLike]:
    """A list of the images of a list or tuple, or of the one image."""
    # A type checker cannot tell that a list is no open file, which is whatever has a ``read``.
    return list(images) if isinstance(images, list | tuple) else [cast("ImageLike", images)]


# Function that resizes fields to the photograph's size.
Enlarge = Callable[[Float32[np.ndarray, "n a b"]], Float32[np.ndarray, "n h w"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """A network's answer for one photograph, at the network's own resolution.

    Attributes:
        depth: Numbers of the card's kind; read only where ``valid``.
        valid: Pixels that have depth; None where all have.
        normals: Camera frame, towards the camera; need not be unit yet.
        confidence: In [0, 1].
        camera: Intrinsics of the photograph that the network saw in it; None where it says none.
        enlarge: Resizes normals and confidence when they are first read; bilinear when None.
    """

    depth: Float32[np.ndarray, "h w"] | None = None
    valid: Bool[np.ndarray, "h w"] | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    confidence: Float32[np.ndarray, "h w"] | None = None
    camera: Camera | None = None
    enlarge: "Enlarge | None" = None

    __eq__ = same_record
    __hash__ = no_hash


class Model(ABC):
    """A depth or normals model behind the one verb ``predict``."""

    card: ModelCard
    weights_sha256: str
    settings: Mapping[str, Setting]
    """Every option of this model that changes its numbers."""
    concurrent: bool = False
    """Whether several threads may use it at once."""
    again: "Callable[[], Model] | None" = None
    """Function that loads it in another process; None for a model made without ``load_model``."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """A loaded model is pickled by its name and options, and loaded again where it arrives."""
        if self.again is None:
            return super().__reduce_ex__(protocol)
        return _loaded_again, (self.again, self.weights_sha256)

    @abstractmethod
    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network; one answer a photograph, in the same order."""

    def interrupt(self) -> None:  # noqa: B027
        """Stop waiting for work that goes on elsewhere; called from another thread than ``infer``.

        Most models have none: what runs here is finished.
        """

    def predict(self, images: Sequence[ImageLike]) -> list[Prediction]:
        """Depth and normals of some photographs, at their own resolution.

        Args:
            images: A list of what ``rilievo.read_photo`` reads, or of ``Photo`` records.
                They are held in memory together: for a folder use ``rilievo.predict_files``.

        Raises:
            InputError: If one of them cannot be read.
        """
        if not isinstance(images, list | tuple):
            raise TypeError("predict takes a list of images: predict([image]), or call the model")
        photos = [image if isinstance(image, Photo) else read_photo(image) for image in images]
        inferences = infer_timed(self, photos)
        return [
            self.finish(answer, photo) for answer, photo in zip(inferences, photos, strict=True)
        ]

    @overload
    def __call__(self, images: ImageLike) -> Prediction: ...
    @overload
    def __call__(self, images: Sequence[ImageLike]) -> list[Prediction]: ...
    def __call__(self, images: ImageLike | Sequence[ImageLike]) -> Prediction | list[Prediction]:
        """``predict`` of one image, or of a list or tuple of them.

        Raises:
            InputError: If one of them cannot be read.
        """
        predictions = self.predict(as_list(images))
        return predictions if isinstance(images, list | tuple) else predictions[0]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Bring a network's answer to the photograph's size, and say what made it.

        Raises:
            ModelError: If the network's numbers are not what its kind promises.
        """
        check_answer(inference, self.card)
        depth = None
        if inference.depth is not None:
            assert self.card.kind is not None, "a model with depth says its kind"
            depth = _depth_map(inference.depth, inference.valid, photo.shape, self.card.kind)
        prediction = Prediction(
            depth_or_none=depth,
            camera=photo.camera or inference.camera or assumed_camera(photo.shape),
            photo=photo,
            made_by=self.made_by,
        )
        normals, confidence, enlarge = inference.normals, inference.confidence, inference.enlarge
        if normals is not None:
            prediction.defer("normals", lambda: _normals(normals, enlarge, photo.shape))
        if confidence is not None:
            prediction.defer("confidence", lambda: _confidence(confidence, enlarge, photo.shape))
        return prediction

    @property
    def made_by(self) -> MadeBy:
        """What stands on every result of this model."""
        return MadeBy(
            model=self.card.name,
            weights_sha256=self.weights_sha256,
            licence=self.card.licence,
            settings=self.settings,
            version=VERSION,
        )


def _normals(
    normals: Float32[np.ndarray, "3 a b"], enlarge: Enlarge | None, shape: tuple[int, int]
) -> Float32[np.ndarray, "3 h w"]:
    return unit(normals if enlarge is None else enlarge(normals), shape)


def _confidence(
    confidence: Float32[np.ndarray, "a b"], enlarge: Enlarge | None, shape: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    if enlarge is None:
        return resize(confidence, shape)
    return np.clip(enlarge(confidence[None])[0], 0, 1)


def _loaded_again(load: Callable[[], Model], weights_sha256: str) -> Model:
    """The model that was pickled.

    Raises:
        ModelError: If its weights are not those of then.
    """
    model = load()
    if model.weights_sha256 != weights_sha256:
        raise ModelError(
            f"model '{model.card.name}': its weights changed since it was pickled: load it anew "
            "and pass that"
        )
    return model


def _depth_map(
    depth: Float32[np.ndarray, "a b"],
    valid: Bool[np.ndarray, "a b"] | None,
    shape: tuple[int, int],
    kind: DepthKind,
) -> DepthMap:
    """Depth at the photograph's size; pixels without depth do not blend into those that have it."""
    if valid is None or valid.all():
        return DepthMap(values=resize(depth, shape), kind=kind)
    weight = resize(valid.astype(np.float32), shape)
    values = resize(np.where(valid, depth, np.float32(0)), shape)
    inside = weight > 0.5
    values = np.divide(values, weight, out=np.zeros_like(values), where=inside)
    return DepthMap(values=values, kind=kind, valid=inside)


def resize(field: Float32[np.ndarray, "a b"], shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Bilinear, half-pixel centres: nothing overshoots, so depth stays positive and in range."""
    if field.shape == shape:
        return field
    image = Image.fromarray(np.ascontiguousarray(field))
    # In bands, because Pillow hands its pixels over in a way that takes three times their memory.
    resized = np.empty(shape, np.float32)
    for rows in bands(shape):
        resized[rows] = _resized_rows(image, shape, rows)
    return resized


def unit(
    normals: Float32[np.ndarray, "3 a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "3 h w"]:
    """Normals at another size, of unit length; where they cancel, one that faces the camera."""
    images = [Image.fromarray(np.ascontiguousarray(channel)) for channel in normals]
    resized = np.empty((3, *shape), np.float32)
    for rows in bands(shape):
        band = resized[:, rows]
        for channel, image in zip(band, images, strict=True):
            channel[:] = _resized_rows(image, shape, rows)
        length = np.sqrt(np.einsum("chw,chw->hw", band, band))
        lost = length < 1e-6
        if lost.any():
            band[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
            length[lost] = 1.0
        band /= length
    return resized


def _resized_rows(
    image: Image.Image, shape: tuple[int, int], rows: slice
) -> Float32[np.ndarray, "rows w"]:
    """Some rows of a field in Pillow's mode F resized to ``shape``."""
    height, width = shape
    # Only the grid is cut to the box; pixels beyond it still count at its edges.
    top, bottom = (row * image.height / height for row in (rows.start, rows.stop))
    size, box = (width, rows.stop - rows.start), (0.0, top, float(image.width), bottom)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))


def check_answer(inference: Inference, card: ModelCard) -> None:
    """Refuse NaN and what the kind excludes, in words that name the model.

    Raises:
        ModelError: If there are such numbers.
    """
    normals, confidence = inference.normals, inference.confidence
    if normals is not None and not np.isfinite(normals).all():
        raise ModelError(f"model '{card.name}' answered with NaN or infinite normals")
    # A NaN is not between anything either.
    if confidence is not None and not ((confidence >= 0) & (confidence <= 1)).all():
        raise ModelError(f"model '{card.name}' answered with confidence outside 0 to 1")
    depth = inference.depth
    if depth is None:
        return
    if inference.valid is not None:
        depth = depth[inference.valid]
    if not np.isfinite(depth).all():
        raise ModelError(f"model '{card.name}' answered with NaN or infinite depth")
    if card.kind is not None and card.kind.is_depth and (depth <= 0).any():
        raise ModelError(
            f"model '{card.name}' says its depth is {card.kind}, but answered with values that "
            "are not positive: is its kind right?"
        )
