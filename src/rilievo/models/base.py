"""Interface of all models, which take photographs and give a ``Prediction`` for each.

An adapter for a network implements ``run_network``, or ``run`` if it inherits ``PreparedModel``.
Callers use ``infer``, which also takes wide photographs, or call the model as they would call
``rilievo.predict``.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, SupportsIndex, Unpack, overload

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Pixels, Shaped, Vectors
from rilievo.errors import ModelError, UnknownCameraError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.photographs.sources import PhotoSource
from rilievo.models.card import ModelCard
from rilievo.models.resampling.inference import PLAIN, Arrays, Filter, Inference, Resizing
from rilievo.models.resampling.preparation import Preparation, Resampling
from rilievo.models.resampling.resizing import (
    depth_map,
    resize,
    resize_by_filter,
    resize_depth,
    resize_normals,
)
from rilievo.options.keywords import PhotoKeywords
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy, Setting
from rilievo.records.sample import Photo
from rilievo.version import PROCESSING, VERSION

_MAPS = ("depth", "normals", "confidence", "sky")

# An image in any form that ``rilievo.read_photo`` accepts, or one that was read already.
ImageLike = Photo | PhotoSource


class Model(ABC):
    """Model that predicts depth or normals. Calling it is the same as ``rilievo.predict`` with it.

    Attributes:
        card: What it predicts, its licence and its source.
        weights_sha256: Hash of the file with its weights.
        settings: Options that change its output.
        concurrent: Whether several threads may use it at a time.
        callers: Number of calls that it can work on at a time.
        again: Function that loads it again in another process; None if that is not possible.
    """

    card: ModelCard
    weights_sha256: str
    settings: Mapping[str, Setting]
    concurrent: bool = False
    callers: int = 1
    again: "Callable[[], Model] | None" = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.card.name

    @property
    def kind(self) -> DepthKind | None:
        """Kind of its depth, if any."""
        return self.card.kind

    def __repr__(self) -> str:
        card, settings = self.card, self.settings
        parts = [card.name]
        if card.kind is not None:
            parts.append(f"depth {card.kind}")
        parts += [name for name in ("normals", "confidence", "sky") if getattr(card, name)]
        engine = [settings[key] for key in ("engine", "device", "precision") if key in settings]
        if engine:
            parts.append(" ".join(map(str, engine)))
        return f"Model({', '.join(parts)})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        # Engines cannot be pickled, so the other process loads the model again.
        if self.again is None:
            return super().__reduce_ex__(protocol)
        return _reload_same_weights, (self.again, self.weights_sha256)

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on photographs, and return an answer for each.

        Wide photographs, such as panoramas, are split into views, whose answers are joined.

        Raises:
            TypeError: If ``photos`` is no list of photographs.
        """
        _check_photos(photos)
        if not any(photo.is_wide for photo in photos):
            return self.run_network(photos)
        from rilievo.models.resampling.wide_views import infer_through_views

        card = self.card
        return infer_through_views(photos, card.kind, self.run_network, card.resizing)

    @abstractmethod
    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on photographs that are not wide, and return an answer for each.

        Adapters implement it. Answers are at the network's resolution and in rilievo's conventions.
        """

    def depth_alone(self) -> "Model":
        """Model without normals and confidence, if it can leave them out; otherwise itself.

        Examples:
            >>> load_model().depth_alone().infer([photo])[0].depth
        """
        return self

    def _copy_with(self, **attributes: object) -> "Model":
        """Copy with other attributes, which shares everything else."""
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), **attributes)
        return copy

    def interrupt(self) -> None:  # noqa: B027
        """Stop waiting for another machine; called from another thread than that of ``infer``."""

    @overload
    def predict(self, image: ImageLike, **options: Unpack[PhotoKeywords]) -> Prediction: ...
    @overload
    def predict(
        self, image: Sequence[ImageLike], **options: Unpack[PhotoKeywords]
    ) -> list[Prediction]: ...
    def predict(
        self, image: ImageLike | Sequence[ImageLike], **options: Unpack[PhotoKeywords]
    ) -> Prediction | list[Prediction]:
        """Predict one photograph or a list, as ``rilievo.predict`` does.

        Raises:
            RilievoError: As for ``rilievo.predict``.
        """
        return import_module("rilievo").predict(image, model=self, **options)

    __call__ = predict

    def predict_raw(self, images: Sequence[ImageLike]) -> list[Prediction]:
        """Predict with the network alone, as evaluation and training need it.

        Raises:
            InputError: If an image cannot be read.
        """
        from rilievo.io.photographs.photo import read_photo

        if not isinstance(images, list | tuple):
            raise TypeError("predict_raw takes a list of images: predict_raw([image])")
        photos = [image if isinstance(image, Photo) else read_photo(image) for image in images]
        answers = self.infer(photos)
        return [self.finish(answer, photo) for answer, photo in zip(answers, photos, strict=True)]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize a network's answer to the photograph, and record what made it.

        Raises:
            ModelError: If values do not fit the model's kind of depth.
        """
        _check_answer_values(inference, self.card)
        rule = self.card.resizing
        camera = photo.camera or inference.camera
        if camera is None:
            from rilievo.io.photographs.exif import assumed_camera

            camera = assumed_camera(photo.shape)
        prediction = Prediction(
            depth_or_none=self._photo_size_depth(inference, photo),
            camera=camera,
            photo=photo,
            made_by=self.made_by,
        )
        normals, confidence, sky = inference.normals, inference.confidence, inference.sky
        if normals is not None:
            prediction.defer("normals", lambda: _photo_size_normals(normals, photo, rule))
        if confidence is not None:
            prediction.defer("confidence", lambda: _photo_size_chance(confidence, photo))
        if sky is not None:
            prediction.defer("sky", lambda: _photo_size_chance(sky, photo) > 0.5)
        return prediction

    def _photo_size_depth(self, inference: Inference, photo: Photo) -> DepthMap | None:
        """Depth at the size of the photograph; transparent pixels have none."""
        if inference.depth is None:
            return None
        kind, rule = self.card.kind, self.card.resizing
        assert kind is not None, "a model with depth says its kind"
        depth = depth_map(
            inference.depth, inference.valid, kind, photo.shape, rule, shift=inference.shift
        )
        transparent = photo.transparent
        if transparent is None:
            return depth
        values = np.where(transparent, np.float32(0), depth.values)
        return DepthMap(values=values, kind=kind, valid=depth.valid & ~transparent)

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings that its results record."""
        settings = dict(self.settings)
        if self.card.resizing != PLAIN:
            settings["resizing"] = str(self.card.resizing)
        settings["processing"] = PROCESSING
        return MadeBy(
            model=self.card.name,
            weights_sha256=self.weights_sha256,
            licence=self.card.licence,
            settings=settings,
            version=VERSION,
        )


def _check_photos(photos: object) -> None:
    is_list = isinstance(photos, Sequence) and not isinstance(photos, str | bytes)
    if not (is_list and all(isinstance(item, Photo) for item in photos)):
        raise TypeError(
            "infer takes a list of rilievo.Photo and answers at the network's resolution; for "
            "an array, a path or a picture call the model: model(image)"
        )


def _photo_size_normals(
    normals: Float32[np.ndarray, "3 a b"], photo: Photo, rule: Resizing
) -> Vectors:
    """Unit normals at the size of the photograph; NaN at transparent pixels."""
    resized = resize_normals(normals, photo.shape, rule.filter)
    if photo.transparent is None:
        return resized
    return np.where(photo.transparent, np.float32(np.nan), resized)


def _photo_size_chance(chance: Float32[np.ndarray, "a b"], photo: Photo) -> Field:
    """Confidence or sky at the size of the photograph; 0 at transparent pixels."""
    resized = resize(chance, photo.shape)
    return resized if photo.transparent is None else np.where(photo.transparent, 0, resized)


def _reload_same_weights(load: Callable[[], Model], weights_sha256: str) -> Model:
    model = load()
    if model.weights_sha256 != weights_sha256:
        raise ModelError(
            f"model '{model.card.name}': its weights changed since it was pickled: load it again "
            "and pass that"
        )
    return model


def _check_answer_values(inference: Inference, card: ModelCard) -> None:
    """Check that the numbers of an answer are finite and in range.

    Raises:
        ModelError: If they are not.
    """
    normals = inference.normals
    if normals is not None and not np.isfinite(normals).all():
        raise ModelError(f"model '{card.name}' returned NaN or infinite normals")
    for name in ("confidence", "sky"):
        chance = getattr(inference, name)
        # NaN fails this comparison as well.
        if chance is not None and not ((chance >= 0) & (chance <= 1)).all():
            raise ModelError(f"model '{card.name}' returned {name} outside 0 to 1")
    depth = inference.depth
    if depth is None:
        return
    if inference.valid is not None:
        depth = depth[inference.valid]
    if not np.isfinite(depth).all():
        raise ModelError(f"model '{card.name}' returned NaN or infinite depth")
    if card.kind is not None and card.kind.is_depth and (depth <= 0).any():
        raise ModelError(
            f"model '{card.name}' says its depth is {card.kind}, but returned values that "
            "are not positive: is its kind right?"
        )


class WrappedModel(Model):
    """Model that refines the answers of the model that it wraps."""

    def __init__(self, model: Model, settings: Mapping[str, Setting] | None = None) -> None:
        self.model = model
        self.card, self.weights_sha256 = model.card, model.weights_sha256
        self.settings = {**model.settings, **(settings or {})}
        self.concurrent, self.callers = model.concurrent, model.callers

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the refinement on photographs of any lens; the wrapped model splits wide ones."""
        _check_photos(photos)
        return self.run_network(photos)

    def depth_alone(self) -> Model:
        """The same refinement of the wrapped model's depth alone."""
        return self._copy_with(model=self.model.depth_alone())

    def interrupt(self) -> None:
        """Interrupt the wrapped model."""
        self.model.interrupt()


class PaidModel(Model):
    """Model that makes a paid call for each photograph."""

    service: str

    @abstractmethod
    def allow(self, calls: int) -> None:
        """Set how many paid calls the user has confirmed."""


def infer_by_size(
    photos: Sequence[Photo],
    size: Callable[[tuple[int, int]], object],
    infer: Callable[[Sequence[Photo]], Iterable[Inference]],
) -> list[Inference]:
    """Run photographs of equal size together, and return the answers in the photographs' order.

    Args:
        photos: Photographs.
        size: Function from a photograph's (height, width) to what has to be equal.
        infer: Function that runs photographs of equal size.
    """
    indices_by_size: defaultdict[object, list[int]] = defaultdict(list)
    for index, photo in enumerate(photos):
        indices_by_size[size(photo.shape)].append(index)
    answers: dict[int, Inference] = {}
    for indices in indices_by_size.values():
        answers |= zip(indices, infer([photos[index] for index in indices]), strict=True)
    return [answers[index] for index in range(len(photos))]


class PreparedModel(Model):
    """Network with its ``Preparation``, on any engine.

    Attributes:
        preparation: How a photograph becomes the network's input.
        needs_focal: Whether true depth is fx / width times the network's, as in Depth Pro.
    """

    preparation: Preparation
    needs_focal: bool = False

    @abstractmethod
    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network on a batch of inputs, whose levels are 0 to 255.

        Returns:
            ``depth`` (batch, height, width), and perhaps ``normals`` (batch, 3, height, width) in
            the camera frame, ``confidence`` and ``sky`` (batch, height, width), and the horizontal
            field of view ``fov`` (batch,) [degrees].
        """

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run photographs in batches whose inputs have equal sizes."""
        return infer_by_size(photos, self.preparation.size, self._infer_batch)

    def _infer_batch(self, photos: Sequence[Photo]) -> list[Inference]:
        batch = np.stack([self.preparation.pixels(photo.pixels, photo.shape) for photo in photos])
        outputs = self.run(batch)
        _check_dtypes_and_shapes(outputs, len(photos), self.card.name)
        is_only_shrunk = self.preparation.resampling is Resampling.TRIANGLE
        return [
            self._inference_of_row(outputs, row, photo, batch[row] if is_only_shrunk else None)
            for row, photo in enumerate(photos)
        ]

    def _inference_of_row(
        self, outputs: Arrays, row: int, photo: Photo, shown: Pixels | None
    ) -> Inference:
        """Answer for one photograph of a batch; ``shown`` is what the network saw of it."""
        rule, shape, camera = self.card.resizing, photo.shape, None
        if "fov" in outputs and photo.camera is None:
            camera = _camera_from_fov(float(outputs["fov"][row]), shape, self.card.name)
        maps = {name: outputs[name][row] for name in _MAPS if name in outputs}
        depth = maps.get("depth")
        if depth is not None and self.needs_focal:
            known_camera = photo.camera or camera
            if known_camera is None:
                raise focal_length_error(self.card.name)
            depth = depth * np.float32(known_camera.focal / shape[1])
        windows = self.preparation.windows(shape)
        if windows is not None:
            if depth is not None:
                positive = self.card.kind is not None and self.card.kind.is_depth
                depth = resize_depth(depth, shape, rule, positive=positive, windows=windows)
            filters = {"normals": rule.filter}
            maps = {
                name: resize_by_filter(field, shape, filters.get(name, Filter.ANTIALIASED), windows)
                for name, field in maps.items()
            }
        return Inference(
            depth=depth,
            normals=maps.get("normals"),
            confidence=maps.get("confidence"),
            sky=maps.get("sky"),
            camera=camera,
            shown=shown,
        )


def focal_length_error(model: str) -> UnknownCameraError:
    """Error for a model that needs the focal length, which is not known."""
    return UnknownCameraError(
        problem=Text(
            f"model '{model}' needs the focal length and predicts none: give ",
            OptionName("fov", "..."),
            " or ",
            OptionName("camera", "..."),
            ", or try ",
            OptionName("vanishing_points", "True"),
        )
    )


def _camera_from_fov(degrees: float, shape: tuple[int, int], name: str) -> Camera:
    if not 0 < degrees < 180:
        raise ModelError(
            f"model '{name}' returned a field of view of {degrees:g} degrees",
            hint=Text("give ", OptionName("fov", "..."), " or ", OptionName("camera", "...")),
        )
    return Camera(K=K_from_fov(degrees, shape), source=CameraSource.PREDICTED)


def _check_dtypes_and_shapes(outputs: Arrays, count: int, name: str) -> None:
    """Check the outputs of the network ``name`` for ``count`` photographs.

    Raises:
        ModelError: If an output has another type or shape than ``PreparedModel.run`` states.
    """
    for key in _MAPS:
        channels = (3,) if key == "normals" else ()
        array = outputs.get(key)
        if array is None:
            continue
        if array.dtype != np.float32 or array.shape[:-2] != (count, *channels):
            raise ModelError(
                f"model '{name}': output {key!r} is {array.dtype} {array.shape}, expected float32 "
                f"({', '.join(map(str, (count, *channels)))}, height, width)"
            )
    fov = outputs.get("fov")
    if fov is not None and (fov.dtype != np.float32 or fov.shape != (count,)):
        raise ModelError(
            f"model '{name}': output 'fov' is {fov.dtype} {fov.shape}, expected float32 ({count},)"
        )
