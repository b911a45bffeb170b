"""``rilievo.predict``: predict images in memory."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, cast, overload

import numpy as np

from rilievo.errors import InputTypeError, OptionError
from rilievo.extensions.trust import trust
from rilievo.io.photographs.photo import Readable, Tensor, read_photo
from rilievo.models import DEFAULT_MODEL, last_model, load_model
from rilievo.models.base import ImageLike, Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.refinement.refine import refined
from rilievo.models.requests import DepthFunction
from rilievo.options.keywords import ImageKeywords
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.metres.metric_references import read_references
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo
from rilievo.schema.fields import Interface, check_keywords, option_names, with_options

_SINGLE_IMAGE_TYPES = (str, Path, bytes, bytearray, memoryview, Readable, Mapping)
"""Types that are iterable, but hold a single image."""
_RECORDS = (LoadOptions, *PhotoOptions.RECORDS.values())
_LOAD_OPTION_NAMES = option_names(LoadOptions, Interface.PYTHON)


@overload
def predict(
    image: ImageLike,
    *,
    model: str | Path | Model | DepthFunction | None = None,
    quality: str | None = None,
    **options: Unpack[ImageKeywords],
) -> Prediction: ...


@overload
def predict(
    image: Sequence[ImageLike],
    *,
    model: str | Path | Model | DepthFunction | None = None,
    quality: str | None = None,
    **options: Unpack[ImageKeywords],
) -> list[Prediction]: ...


@with_options(*_RECORDS, interface=Interface.PYTHON)
def predict(
    image: ImageLike | Sequence[ImageLike],
    *,
    model: str | Path | Model | DepthFunction | None = None,
    quality: str | None = None,
    **options: Unpack[ImageKeywords],
) -> Prediction | list[Prediction]:
    """Predict depth and normals of a photograph, or of each in a list.

    Examples:
        >>> rilievo.predict("photo.jpg").depth
        DepthMap(64x48, up_to_scale ...)

    Args:
        image: Path, http(s) address, bytes, open file, array, tensor, Pillow image or ``Photo``, or
            a list of them.
        model: A name in ``MODELS``, an ONNX file, a model, or your function (``rilievo.model``); by
            default the embedded one. It stays loaded until ``rilievo.unload_model``.
        quality: A word in place of a model: fast (embedded), good (MoGe-2 small) or best (MoGe-2
            large).
        options: Any of the following.

    Keyword Args:
        device: Same as in ``rilievo.load_model``, as the next three.
        engine: Engine of the model.
        precision: Precision of the arithmetic.
        trust_code: Code that a file may name.
        camera: Intrinsics [px] of the upright photograph: a ``Camera``, focal length, (fx, fy, cx,
            cy), K, a text, or a file; by default from EXIF, else assumed.
        fov: Horizontal field of view [degrees], in place of ``camera``.
        projection: Lens: equirect, equirect:HxV (degrees), fisheye:DEGREES, pinhole, or numbers; by
            default as the file says.
        vanishing_points: Find an unknown focal length from straight edges.
        known: ``KnownPoint``, ``KnownLength``, ``KnownRectangle`` and ``KnownCircle``, tuples (u,
            v, metres) and (u1, v1, u2, v2, metres), or texts; they make one photograph metric.
        sparse: Depth from another instrument: an array (h, w) with 0 and NaN as gaps, or a file.
            With ``cam_T_sensor``, the array has points (n, 3).
        cam_T_sensor: Pose of that instrument: the transform (3x4 or 4x4) that takes its points [m]
            to the frame of the camera, as an array, a text of numbers, or a file.
        sparse_unit: Metres of one count, needed for whole numbers.
        depth_error: Error that eight in ten depths of ``sparse`` stay below: "1%", "10mm", "0.3%/m"
            or a sum of these; by default 2% is assumed.
        sparse_kind: metric, along the optical axis, or distance, along the ray; by default what the
            file states, else metric, and distance of a fisheye or panorama.
        sparse_crop: Part of the photograph that a map is of: "TOP,LEFT,HEIGHT,WIDTH", a word for a
            known crop, or "resized".
        sparse_encoding: What its numbers hold besides depth: "bits=3,13 invalid=0,8191", as for
            ``Prediction.from_depth``.
        markers: Side [m] of squares of ``rilievo markers``.
        camera_height: Height of the camera above a visible floor [m].
        own_depth: Take metres from the file's depth if no size is known.
        anchor: auto: affine depth takes its scale and shift from the embedded model on demand; off:
            no surface.
        flip: Average with the mirror image.
        confidence: own; or mirror, agreement with the mirror image, better on unfamiliar cameras,
            in twice the time.
        tile: Side [px] of tiles, for detail.
        manhattan: If the camera is known, correct the depth of rooms to agree with their lines.
        trim: Leave uniform borders out, without valid depth, with a ``UserWarning``.
        valid_mask: Mask of the valid pixels, an array (h, w) or a picture that is white there; the
            other pixels have no valid depth.
        alpha: mask: transparent pixels have no valid depth, with a ``UserWarning``; keep: as on
            white.
        stretch: Read a 16-bit grey picture from its 1st to 99th percentile.

    Returns:
        Depth of the model's kind, or ``METRIC`` if a size is known, and the model's normals. What
        may be wrong, such as contradicting sizes, is a ``UserWarning`` too.

    Raises:
        InputError: If the image cannot be read.
        ModelError: If there is no such model.
        OptionError: If two arguments contradict each other.
        CalibrationError: If the known sizes do not determine metres.
    """
    # Imported on demand, so that naming ``rilievo.predict`` loads no readers.
    from rilievo.predicting.photographs.finishing import finish_photo

    names = [name for record in _RECORDS for name in option_names(record, Interface.PYTHON)]
    check_keywords("predict", options, ["model", "quality", *names])
    values: dict[str, Any] = {**options}
    load_values = {name: values.pop(name) for name in _LOAD_OPTION_NAMES if name in values}
    load_options = LoadOptions(**load_values)
    trust(load_options.trust_code)
    photo_options = PhotoOptions(**values)
    is_list = isinstance(image, list | tuple)
    _check_known_sizes(photo_options.sizes, is_list=is_list)
    chosen_model = _choose_model(model, quality, load_options)

    predictions = []
    for source in as_list(image):
        photo = _read_image(source, photo_options)
        references = read_references(photo_options.sizes, photo)
        with _open_model(chosen_model, load_options) as loaded:
            network = refined(
                loaded,
                photo_options.refine,
                vanishing_points=photo_options.view.vanishing_points,
            )
            [inference] = network.infer([photo])
        prediction = finish_photo(
            network,
            inference,
            photo,
            photo_options,
            references=references,
            warn=_warn_at_caller,
        )
        predictions.append(prediction)
    return predictions if is_list else predictions[0]


def _check_known_sizes(sizes: KnownSizes, *, is_list: bool) -> None:
    """Raise ``OptionError`` if known sizes belong to one image, but there is a list of images."""
    if is_list and (sizes.known or sizes.sparse is not None):
        raise OptionError(
            "known and sparse apply to one photograph: call predict once for each "
            "photograph, with its own values"
        )
    if sizes.table is not None:
        raise OptionError(
            "known takes points, lengths and rectangles; to use a table of known sizes, call "
            "rilievo.predict_files"
        )


def _choose_model(
    model: str | Path | Model | DepthFunction | None, quality: str | None, options: LoadOptions
) -> str | Path | Model:
    """Choose the model by the arguments of ``predict``; a function becomes a model."""
    if quality is not None and model is not None:
        raise OptionError(option="quality", without="model")
    if quality is not None:
        from rilievo.models.model_options import model_for_quality

        model = model_for_quality(quality)
    if model is None:
        model = DEFAULT_MODEL
    if isinstance(model, str | Path):
        return model
    if not isinstance(model, Model):
        model = load_model(model)
    if replace(options, trust_code=()) != LoadOptions():
        raise OptionError(
            "device, engine and precision take effect only while a model is being loaded, and "
            "this model is loaded already; pass these options to rilievo.load_model"
        )
    return model


def _read_image(source: ImageLike, options: PhotoOptions) -> Photo:
    """Read one image, and give it the camera that the user names."""
    from rilievo.predicting.photographs.masked_photos import with_valid_mask
    from rilievo.predicting.photographs.named_camera import with_camera

    _check_single_image(source)
    if not isinstance(source, Photo):
        own_depth = options.sizes.reads_own_depth
        photo = read_photo(source, own_depth=own_depth, **options.refine.reading)
    elif options.refine.alpha == "keep":
        photo = replace(source, transparent=None)
    else:
        photo = source
    photo = with_camera(photo, options.view.named_camera, options.view.fov)
    return with_valid_mask(photo, options.refine)


def as_list(images: ImageLike | Sequence[ImageLike]) -> list[ImageLike]:
    """Wrap a single image in a list."""
    # Type checkers cannot see that a list is not an open file, which is anything with ``read``.
    return list(images) if isinstance(images, list | tuple) else [cast("ImageLike", images)]


def _check_single_image(image: object) -> None:
    """Raise ``InputTypeError`` for a folder, a pattern, or an object with several images."""
    if isinstance(image, str | Path):
        _check_not_folder_or_pattern(image)
    if _holds_several_images(image):
        raise InputTypeError(
            "contains several images; pass them as a list: rilievo.predict(list(images))",
            path=type(image).__name__,
        )


def _check_not_folder_or_pattern(path: str | Path) -> None:
    """Raise ``InputTypeError`` for a folder, or a name with wildcards that is not a file."""
    text = str(path)
    is_folder = os.path.isdir(path)
    is_address = "://" in text
    has_wildcard = any(wildcard in text for wildcard in "*?[")
    is_pattern = has_wildcard and not is_address and not os.path.exists(path)
    if is_folder or is_pattern:
        kind = "folder" if is_folder else "pattern"
        raise InputTypeError(
            f"{path}: is a {kind}, not an image; to predict many images and write files, use "
            f'rilievo.predict_files(["{path}"])'
        )


def _holds_several_images(image: object) -> bool:
    """Whether an array, a tensor or another object holds several images."""
    if isinstance(image, np.ndarray):
        is_batch = image.ndim == 4
        is_array_of_objects = image.dtype.kind in "OSU"  # such as paths or Pillow images
        return is_batch or is_array_of_objects
    if isinstance(image, Tensor):
        # A batch of one tensor counts as one image.
        return getattr(image, "ndim", 0) == 4 and getattr(image, "shape", (1,))[0] > 1
    return isinstance(image, Iterable) and not isinstance(image, _SINGLE_IMAGE_TYPES)


def _warn_at_caller(warning: str) -> None:
    """Warn in the line that calls ``predict``."""
    warnings.warn(warning, UserWarning, stacklevel=5)


def _open_model(model: str | Path | Model, options: LoadOptions) -> AbstractContextManager[Model]:
    """Open a model; one that is loaded by name stays loaded for the next call."""
    return nullcontext(model) if isinstance(model, Model) else last_model(model, options)
