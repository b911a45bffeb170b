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
from rilievo.geometry.cameras.camera import Camera, CameraSource, assumed_camera
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.photographs.photo import PhotoSource, read_photo
from rilievo.models.card import ModelCard
from rilievo.models.resampling.inference import (
    DEFAULT_RESIZING,
    Arrays,
    Filter,
    Inference,
)
from rilievo.models.resampling.preparation import Preparation, Resampling
from rilievo.models.resampling.resizing import (
    PaddedAxis,
    resize,
    resize_by_filter,
    resize_depth,
    resize_normals,
    resize_to_depth_map,
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
        concurrent: Whether several threads may use it at the same time.
        callers: Number of calls at the same time above which none gets faster.
        again: Function that loads it again, for a pickled model in another process; None if that
            is not possible.
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
        """Name, outputs and engine: ``Model(rilievo/small, depth up_to_scale, ...)``."""
        card, settings = self.card, self.settings
        words = [card.name]
        if card.kind is not None:
            words.append(f"depth {card.kind}")
        words += [name for name in ("normals", "confidence", "sky") if getattr(card, name)]
        engine_keys = ("engine", "device", "precision")
        engine_words = [str(settings[key]) for key in engine_keys if key in settings]
        if engine_words:
            words.append(" ".join(engine_words))
        return f"Model({', '.join(words)})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        # Engines cannot be pickled, so the other process loads the model again.
        if self.again is None:
            return super().__reduce_ex__(protocol)
        return _reload_same_weights, (self.again, self.weights_sha256)

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on photographs, and return an inference for each.

        Wide photographs, such as panoramas, are split into views, whose inferences are merged.

        Raises:
            TypeError: If ``photos`` is no list of photographs.
        """
        _check_photos(photos)
        if not any(photo.is_wide for photo in photos):
            return self.run_network(photos)
        from rilievo.models.wide_photographs.wide_views import infer_through_views

        card = self.card
        return infer_through_views(photos, card.kind, self.run_network, card.resizing)

    @abstractmethod
    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on photographs that are not wide, and return an inference for each.

        Adapters implement it. An inference has the network's resolution and rilievo's conventions.
        """

    def depth_alone(self) -> "Model":
        """Model that predicts depth but no normals and confidence; itself if it always does both.

        Examples:
            >>> load_model().depth_alone().infer([photo])[0].depth
        """
        return self

    def _copy_with(self, **attributes: object) -> "Model":
        """Shallow copy of the model in which these attributes are replaced."""
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), **attributes)
        return copy

    def interrupt(self) -> None:  # noqa: B027
        """Make a running ``infer`` stop waiting for a service; called from another thread."""

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
        if not isinstance(images, list | tuple):
            raise TypeError(
                "predict_raw takes a list of images; for a single image, call predict_raw([image])"
            )
        photos = [image if isinstance(image, Photo) else read_photo(image) for image in images]
        inferences = self.infer(photos)
        return [
            self.finish(inference, photo)
            for inference, photo in zip(inferences, photos, strict=True)
        ]

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize a network's outputs to the photograph, and record what made them.

        Raises:
            ModelError: If values do not fit the model's kind of depth.
        """
        _check_values(inference, self.card)
        camera = photo.camera or inference.camera
        if camera is None:
            camera = assumed_camera(photo.shape)
        prediction = Prediction(
            depth_or_none=self._depth_at_photo_size(inference, photo),
            camera=camera,
            photo=photo,
            made_by=self.made_by,
        )

        # The other maps are resized on first use, because many callers read the depth alone.
        normals, confidence, sky = inference.normals, inference.confidence, inference.sky
        if normals is not None:
            resize_filter = self.card.resizing.filter
            prediction.defer(
                "normals", lambda: _normals_at_photo_size(normals, photo, resize_filter)
            )
        if confidence is not None:
            prediction.defer("confidence", lambda: _probability_at_photo_size(confidence, photo))
        if sky is not None:
            prediction.defer("sky", lambda: _probability_at_photo_size(sky, photo) > 0.5)
        return prediction

    def _depth_at_photo_size(self, inference: Inference, photo: Photo) -> DepthMap | None:
        """Depth at the size of the photograph, without depth at transparent pixels.

        None if the network predicted no depth.
        """
        if inference.depth is None:
            return None
        kind = self.card.kind
        assert kind is not None, "the card of a model with depth has a kind"
        depth = resize_to_depth_map(
            inference.depth,
            inference.valid,
            kind,
            photo.shape,
            self.card.resizing,
            shift=inference.shift,
        )
        if photo.transparent is None:
            return depth
        values = np.where(photo.transparent, np.float32(0), depth.values)
        return DepthMap(values=values, kind=kind, valid=depth.valid & ~photo.transparent)

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings that its results record."""
        settings = dict(self.settings)
        if self.card.resizing != DEFAULT_RESIZING:
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
            "infer takes a list of rilievo.Photo objects; for an array, a path or a PIL image, "
            "call model(image) instead"
        )


def _normals_at_photo_size(
    normals: Float32[np.ndarray, "3 a b"], photo: Photo, resize_filter: Filter
) -> Vectors:
    """Unit normals at the size of the photograph; NaN at transparent pixels."""
    resized = resize_normals(normals, photo.shape, resize_filter)
    if photo.transparent is None:
        return resized
    return np.where(photo.transparent, np.float32(np.nan), resized)


def _probability_at_photo_size(probability: Float32[np.ndarray, "a b"], photo: Photo) -> Field:
    """Confidence or sky at the size of the photograph; 0 at transparent pixels."""
    resized = resize(probability, photo.shape)
    return resized if photo.transparent is None else np.where(photo.transparent, 0, resized)


def _reload_same_weights(load: Callable[[], Model], weights_sha256: str) -> Model:
    """Load a pickled model again, and check that its weights are still the same."""
    model = load()
    if model.weights_sha256 != weights_sha256:
        raise ModelError(
            f"the weights of model '{model.card.name}' have changed since the model was pickled; "
            "load the model again, and pickle the new object"
        )
    return model


def _check_values(inference: Inference, card: ModelCard) -> None:
    """Check that a network's outputs are finite and in range."""
    normals = inference.normals
    if normals is not None and not np.isfinite(normals).all():
        raise _infinite_values_error("normals", card)
    for name in ("confidence", "sky"):
        probability = getattr(inference, name)
        # NaN fails this comparison as well.
        if probability is not None and not ((probability >= 0) & (probability <= 1)).all():
            raise ModelError(f"model '{card.name}' returned {name} values outside 0 to 1")

    depth = inference.depth
    if depth is None:
        return
    if inference.valid is not None:
        depth = depth[inference.valid]
    if not np.isfinite(depth).all():
        raise _infinite_values_error("depth", card)
    if card.kind is not None and card.kind.is_depth and (depth <= 0).any():
        raise ModelError(
            f"model '{card.name}' states depth of kind '{card.kind}', but it returned "
            "values that are not positive: check the kind"
        )


def _infinite_values_error(map_name: str, card: ModelCard) -> ModelError:
    """Error for a map with values that are not finite, as some networks return in fp16."""
    return ModelError(
        f"model '{card.name}' returned NaN or infinite {map_name}, expected finite values",
        hint=Text("if the model runs in a low precision, try ", OptionName("precision", "fp32")),
    )


class WrappedModel(Model):
    """Model that refines the inferences of another model, which it wraps."""

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
    """Run photographs in batches of equal input size; inferences keep the photographs' order.

    Args:
        photos: Photographs of any size.
        size: Function from a photograph's (height, width) to the size of the input.
        infer: Function that runs photographs whose inputs have one size.
    """
    indices_by_size: defaultdict[object, list[int]] = defaultdict(list)
    for index, photo in enumerate(photos):
        indices_by_size[size(photo.shape)].append(index)

    inference_by_index: dict[int, Inference] = {}
    for indices in indices_by_size.values():
        inferences = infer([photos[index] for index in indices])
        inference_by_index |= zip(indices, inferences, strict=True)
    return [inference_by_index[index] for index in range(len(photos))]


class PreparedModel(Model):
    """Network with its ``Preparation``, on any engine.

    Attributes:
        preparation: How a photograph becomes the network's input.
        needs_focal: Whether the network's depth is still to be multiplied by focal length / width,
            as in Depth Pro.
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
        """Run photographs whose inputs have one size as one batch."""
        batch = np.stack([self.preparation.pixels(photo.pixels, photo.shape) for photo in photos])
        outputs = self.run(batch)
        _check_dtypes_and_shapes(outputs, len(photos), self.card.name)

        is_only_shrunk = self.preparation.resampling is Resampling.TRIANGLE
        inferences = []
        for index, photo in enumerate(photos):
            maps = {name: outputs[name][index] for name in _MAPS if name in outputs}
            fov = float(outputs["fov"][index]) if "fov" in outputs else None
            network_image = batch[index] if is_only_shrunk else None
            inferences.append(self._to_inference(maps, fov, photo, network_image))
        return inferences

    def _to_inference(
        self, maps: Arrays, fov: float | None, photo: Photo, network_image: Pixels | None
    ) -> Inference:
        """Inference from the network's maps and field of view [degrees] for one photograph.

        If the input was padded, its maps are cropped and resized to the photograph here. Other
        maps keep the network's size until ``finish``.
        """
        predicted_camera = None
        if fov is not None and photo.camera is None:
            predicted_camera = _camera_from_fov(fov, photo.shape, self.card.name)
        if self.needs_focal and "depth" in maps:
            depth = self._scale_by_focal(maps["depth"], photo, photo.camera or predicted_camera)
            maps = {**maps, "depth": depth}
        padded_axes = self.preparation.padded_axes(photo.shape)
        if padded_axes is not None:
            maps = {
                name: self._crop_padding_and_resize(name, field, photo.shape, padded_axes)
                for name, field in maps.items()
            }
        return Inference(
            depth=maps.get("depth"),
            normals=maps.get("normals"),
            confidence=maps.get("confidence"),
            sky=maps.get("sky"),
            camera=predicted_camera,
            network_image=network_image,
        )

    def _scale_by_focal(
        self, depth: Float32[np.ndarray, "a b"], photo: Photo, camera: Camera | None
    ) -> Float32[np.ndarray, "a b"]:
        """Convert depth for a focal length of one width of the photograph to the camera's own.

        Raises:
            UnknownCameraError: If the camera is None.
        """
        if camera is None:
            raise focal_length_error(self.card.name)
        _, width = photo.shape
        return depth * np.float32(camera.focal / width)

    def _crop_padding_and_resize(
        self,
        map_name: str,
        field: Float32[np.ndarray, "*c a b"],
        shape: tuple[int, int],
        padded_axes: tuple[PaddedAxis, PaddedAxis],
    ) -> Float32[np.ndarray, "*c h w"]:
        """Resize the part of a map that shows the photograph to the photograph's ``shape``.

        ``padded_axes`` are the rows and the columns of the map.
        """
        resizing = self.card.resizing
        if map_name == "depth":
            # Depth is positive, but affine inverse depth may have any sign.
            is_positive = self.card.kind is not None and self.card.kind.is_depth
            return resize_depth(
                field, shape, resizing, positive=is_positive, padded_axes=padded_axes
            )
        resize_filter = resizing.filter if map_name == "normals" else Filter.ANTIALIASED
        return resize_by_filter(field, shape, resize_filter, padded_axes)


def focal_length_error(model: str) -> UnknownCameraError:
    """Error for a photograph of unknown focal length and a model that needs it."""
    return UnknownCameraError(
        problem=Text(
            f"model '{model}' needs the focal length, which it does not predict: give ",
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
            f"model '{name}' returned a field of view of {degrees:g} degrees, expected 0 to 180",
            hint=Text("give ", OptionName("fov", "..."), " or ", OptionName("camera", "...")),
        )
    return Camera(K=K_from_fov(degrees, shape), source=CameraSource.PREDICTED)


def _check_dtypes_and_shapes(outputs: Arrays, photo_count: int, model: str) -> None:
    """Check the outputs of the network of ``model`` for a batch of photographs."""
    for name in _MAPS:
        array = outputs.get(name)
        if array is None:
            continue
        leading_axes = (photo_count, 3) if name == "normals" else (photo_count,)
        if array.dtype != np.float32 or array.shape[:-2] != leading_axes:
            raise ModelError(
                f"model '{model}': output {name!r} has type {array.dtype} and shape {array.shape}, "
                f"expected float32 and ({', '.join(map(str, leading_axes))}, height, width)"
            )
    fov = outputs.get("fov")
    if fov is not None and (fov.dtype != np.float32 or fov.shape != (photo_count,)):
        raise ModelError(
            f"model '{model}': output 'fov' has type {fov.dtype} and shape {fov.shape}, expected "
            f"float32 and ({photo_count},)"
        )
