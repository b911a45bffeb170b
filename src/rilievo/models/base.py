"""Interface of all models: photographs in, one ``Prediction`` each out.

An adapter implements ``run_network``, or ``run`` (``PreparedModel``). Others call ``infer``.
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
    """Model of depth or normals. Calling it does what ``rilievo.predict`` does with it."""

    card: ModelCard
    weights_sha256: str
    settings: Mapping[str, Setting]
    """Options that change its output."""
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
        depth = [] if card.kind is None else [f"depth {card.kind}"]
        parts = [
            *depth,
            *(name for name in ("normals", "confidence", "sky") if getattr(card, name)),
        ]
        runs = " ".join(
            str(settings[key]) for key in ("engine", "device", "precision") if key in settings
        )
        return f"Model({', '.join([card.name, *parts, *filter(None, [runs])])})"

    # Engines cannot be pickled, so an unpickled model is loaded again, by ``again``.
    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if self.again is None:
            return super().__reduce_ex__(protocol)
        return _reload_same_weights, (self.again, self.weights_sha256)

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on photographs; one output for each, in order.

        Wide photographs, such as panoramas, are split into views, whose outputs are joined.

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
        """Implement ``infer`` for a list of photographs that are not wide.

        Outputs are at the network's resolution and in rilievo's conventions.
        """

    def depth_alone(self) -> "Model":
        """Model without normals and confidence, where it can leave them out.

        Examples:
            >>> load_model().depth_alone().infer([photo])[0].depth
        """
        return self

    def _copy_with(self, **parts: object) -> "Model":
        twin = object.__new__(type(self))
        vars(twin).update(vars(self), **parts)
        return twin

    def interrupt(self) -> None:  # noqa: B027
        """Stop waiting for work on another machine, from another thread than ``infer``."""

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
        """Predict with the network alone, as evaluation and training need.

        Raises:
            InputError: If an image cannot be read.
        """
        from rilievo.io.photographs.photo import read_photo

        if not isinstance(images, list | tuple):
            raise TypeError("predict_raw takes a list of images: predict_raw([image])")
        photos = [image if isinstance(image, Photo) else read_photo(image) for image in images]
        inferences = self.infer(photos)
        return [
            self.finish(answer, photo) for answer, photo in zip(inferences, photos, strict=True)
        ]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize a network's output to the photograph, and record what made it.

        Raises:
            ModelError: If values do not fit the model's kind of depth.
        """
        _check_answer_values(inference, self.card)
        depth, rule = None, self.card.resizing
        if inference.depth is not None:
            assert self.card.kind is not None, "a model with depth says its kind"
            depth = depth_map(
                inference.depth,
                inference.valid,
                self.card.kind,
                photo.shape,
                rule,
                shift=inference.shift,
            )
        hidden = photo.transparent
        if hidden is not None and depth is not None:
            values = np.where(hidden, np.float32(0), depth.values)
            depth = DepthMap(values=values, kind=depth.kind, valid=depth.valid & ~hidden)
        camera = photo.camera or inference.camera
        if camera is None:
            from rilievo.io.photographs.exif import assumed_camera

            camera = assumed_camera(photo.shape)
        prediction = Prediction(
            depth_or_none=depth,
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

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings of its results."""
        rule = self.card.resizing
        return MadeBy(
            model=self.card.name,
            weights_sha256=self.weights_sha256,
            licence=self.card.licence,
            settings={
                **self.settings,
                **({} if rule == PLAIN else {"resizing": str(rule)}),
                "processing": PROCESSING,
            },
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
    """Unit normals; NaN where transparent."""
    field = resize_normals(normals, photo.shape, rule.filter)
    if photo.transparent is None:
        return field
    return np.where(photo.transparent, np.float32(np.nan), field)


def _photo_size_chance(chance: Float32[np.ndarray, "a b"], photo: Photo) -> Field:
    field = resize(chance, photo.shape)
    return field if photo.transparent is None else np.where(photo.transparent, 0, field)


def _reload_same_weights(load: Callable[[], Model], weights_sha256: str) -> Model:
    model = load()
    if model.weights_sha256 != weights_sha256:
        raise ModelError(
            f"model '{model.card.name}': its weights changed since it was pickled: load it again "
            "and pass that"
        )
    return model


def _check_answer_values(inference: Inference, card: ModelCard) -> None:
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
    """Model that refines another one's answers."""

    def __init__(self, model: Model, settings: Mapping[str, Setting] | None = None) -> None:
        self.model = model
        self.card, self.weights_sha256 = model.card, model.weights_sha256
        self.settings = {**model.settings, **(settings or {})}
        self.concurrent, self.callers = model.concurrent, model.callers

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the refinement on photographs of any lens; the model inside splits wide ones."""
        _check_photos(photos)
        return self.run_network(photos)

    def depth_alone(self) -> Model:
        """Keep the refinement, of depth alone."""
        return self._copy_with(model=self.model.depth_alone())

    def interrupt(self) -> None:
        """Interrupt the wrapped model."""
        self.model.interrupt()


class PaidModel(Model):
    """Model that makes a paid call for each photograph."""

    service: str

    @abstractmethod
    def allow(self, calls: int) -> None:
        """Set how many paid calls the user confirmed."""


def infer_by_size(
    photos: Sequence[Photo],
    size: Callable[[tuple[int, int]], object],
    infer: Callable[[Sequence[Photo]], Iterable[Inference]],
) -> list[Inference]:
    """Run photographs of equal size together; keep their order."""
    groups: defaultdict[object, list[int]] = defaultdict(list)
    for index, photo in enumerate(photos):
        groups[size(photo.shape)].append(index)
    answers: dict[int, Inference] = {}
    for indices in groups.values():
        answers |= zip(indices, infer([photos[index] for index in indices]), strict=True)
    return [answers[index] for index in range(len(photos))]


class PreparedModel(Model):
    """Network with its ``Preparation``, on any engine.

    Outputs are ``depth`` (batch, height, width), and optionally ``normals`` (batch, 3, height,
    width)
    in our axes, ``confidence``, ``sky``, and ``fov`` (batch,), horizontal [degrees].
    """

    preparation: Preparation
    needs_focal: bool = False
    """Whether true depth is fx / width times the network's, as in Depth Pro."""

    @abstractmethod
    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run photographs at the network's size, in 0..255."""

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run photographs in batches of equal network size."""
        return infer_by_size(photos, self.preparation.size, self._infer_batch)

    def _infer_batch(self, photos: Sequence[Photo]) -> list[Inference]:
        batch = np.stack([self.preparation.pixels(photo.pixels, photo.shape) for photo in photos])
        outputs = self.run(batch)
        _check_dtypes_and_shapes(outputs, len(photos), self.card.name)
        is_whole = self.preparation.resampling is Resampling.TRIANGLE
        return [
            self._inference_of_row(outputs, row, photo, batch[row] if is_whole else None)
            for row, photo in enumerate(photos)
        ]

    def _inference_of_row(
        self, outputs: Arrays, row: int, photo: Photo, shown: Pixels | None
    ) -> Inference:
        rule, shape, camera = self.card.resizing, photo.shape, None
        if "fov" in outputs and photo.camera is None:
            camera = _camera_from_fov(float(outputs["fov"][row]), shape, self.card.name)
        maps = {name: outputs[name][row] for name in _MAPS if name in outputs}
        depth = maps.get("depth")
        if depth is not None and self.needs_focal:
            best_camera = photo.camera or camera
            if best_camera is None:
                raise focal_length_error(self.card.name)
            depth = depth * np.float32(best_camera.focal / shape[1])
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
    """Error of a model that needs an unknown focal length."""
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
