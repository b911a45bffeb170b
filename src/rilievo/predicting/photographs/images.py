"""``rilievo.predict``: images in memory."""

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
from rilievo.io.photographs.sources import Readable, Tensor
from rilievo.models import DEFAULT_MODEL, last_model, load_model
from rilievo.models.base import ImageLike, Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.refinement.refine import refined
from rilievo.models.requests import DepthFunction
from rilievo.options.keywords import ImageKeywords
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.photographs.metres import Metres
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo
from rilievo.schema.fields import Door, option_names, refuse_unknown_keywords, with_options

_WHOLE = (str, Path, bytes, bytearray, memoryview, Readable, Mapping)
"""Iterable types that hold one image."""
_RECORDS = (LoadOptions, *PhotoOptions.RECORDS.values())
_LOADING = option_names(LoadOptions, Door.PYTHON)


def read_sparse_depth(sizes: KnownSizes, photo: Photo) -> Metres:
    """Known facts: points, and a map, of another instrument [m]."""
    from rilievo.calibration.sparse import read_sparse

    assert sizes.sparse is not None, "callers have checked"
    points = read_sparse(
        sizes.sparse,
        photo.shape,
        sizes.sparse_unit,
        sizes.sparse_crop,
        sizes.sparse_encoding,
        kind=sizes.sparse_kind,
        is_error_stated=sizes.stated_depth_error is not None,
        orientation=photo.orientation,
    )
    return Metres(
        sparse=points.points,
        measured=points.measured,
        sparse_along=points.along,
        sensor_doubts=points.sensor_doubts,
        sensor_rounding=points.rounding,
        depth_error=sizes.stated_depth_error,
        instrument=points.instrument,
        notes=points.notes,
        camera_file=points.camera_file,
    )


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


@with_options(*_RECORDS, door=Door.PYTHON)
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
            a list.
        model: A name in ``MODELS``, an ONNX file, a model, or your function (``rilievo.model``); by
            default the embedded one. It stays loaded until ``rilievo.unload_model``.
        quality: Word for a model: fast (embedded), good (MoGe-2 small) or best (MoGe-2 large).
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
        known: ``KnownPoint``, ``KnownLength`` and ``KnownRectangle``, tuples (u, v, metres) and
            (u1, v1, u2, v2, metres), or texts; they make one photograph metric.
        sparse: Depth from another instrument: an array (h, w) with 0 and NaN as gaps, or a file.
        sparse_unit: Metres of one count, needed for whole numbers.
        depth_error: Error that eight in ten depths of ``sparse`` stay below: "1%", "10mm", "0.3%/m"
            or a sum of these; by default 2 % is assumed.
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
        trim: Leave uniform borders out, without valid depth, with a ``UserWarning``.
        alpha: mask: transparent pixels have no valid depth, with a ``UserWarning``; keep: as on
            white.
        stretch: Read a 16-bit grey picture from its 1st to 99th percentile.

    Returns:
        Depth of the model's kind, or ``METRIC`` if a size is known, and the model's normals. A
        warning of ``calibration`` is a ``UserWarning``.

    Raises:
        InputError: If the image cannot be read.
        ModelError: If there is no such model.
        OptionError: If two arguments contradict each other.
        CalibrationError: If the known sizes do not determine metres.
    """
    # Imported on demand, so that naming ``rilievo.predict`` loads no readers.
    from rilievo.io.photographs.photo import read_photo
    from rilievo.predicting.photographs.finishing import finish
    from rilievo.predicting.photographs.user_facts import with_camera

    several = isinstance(image, list | tuple)
    names = [name for record in _RECORDS for name in option_names(record, Door.PYTHON)]
    refuse_unknown_keywords("predict", options, ["model", "quality", *names])
    values: dict[str, Any] = {**options}
    load_options = LoadOptions(**{name: values.pop(name) for name in _LOADING if name in values})
    trust(load_options.trust_code)
    photo_options = PhotoOptions(**values)
    sizes, refine = photo_options.sizes, photo_options.refine
    named, fov = photo_options.view.named_camera, photo_options.view.fov
    if several and (sizes.known or sizes.sparse is not None):
        raise OptionError(
            "known and sparse belong to one photograph: call predict for each with its own"
        )
    if sizes.table is not None:
        raise OptionError("known is of points and lengths: a table is of rilievo.predict_files")
    if quality is not None and model is not None:
        raise OptionError("quality and model do not go together; give one")
    if quality is not None:
        from rilievo.models.model_options import model_for_quality

        model = model_for_quality(quality)
    model = DEFAULT_MODEL if model is None else model
    if not isinstance(model, str | Path | Model):
        model = load_model(model)
    if isinstance(model, Model) and replace(load_options, trust_code=()) != LoadOptions():
        raise OptionError(
            "device, engine and precision are those of loading: this model is loaded already, so "
            "give them to rilievo.load_model"
        )
    metres, predictions = None, []
    for source in as_list(image):
        _refuse_several_images(source)
        if not isinstance(source, Photo):
            photo = read_photo(source, own_depth=sizes.reads_own_depth, **refine.reading)
        else:
            photo = replace(source, transparent=None) if refine.alpha == "keep" else source
        photo = with_camera(photo, named, fov)
        if sizes.sparse is not None:
            metres = read_sparse_depth(sizes, photo)
        with _open_model(model, load_options) as loaded:
            network = refined(loaded, refine, vanishing_points=photo_options.view.vanishing_points)
            [inference] = network.infer([photo])
        predictions.append(
            finish(network, inference, photo, photo_options, metres=metres, tell=_warn_at_caller)
        )
    return predictions if several else predictions[0]


def as_list(images: ImageLike | Sequence[ImageLike]) -> list[ImageLike]:
    """Wrap a single image in a list."""
    # Type checkers cannot see that a list is not an open file, which is anything with ``read``.
    return list(images) if isinstance(images, list | tuple) else [cast("ImageLike", images)]


def _refuse_several_images(image: object) -> None:
    if isinstance(image, str | Path):
        is_folder, text = os.path.isdir(image), str(image)
        is_pattern = "://" not in text and {*"*?["} & {*text} and not os.path.exists(image)
        if is_folder or is_pattern:
            raise InputTypeError(
                f"{image}: is a {'folder' if is_folder else 'pattern'}; write "
                f'rilievo.predict_files(["{image}"]), which writes files'
            )
    if isinstance(image, np.ndarray):
        is_several = image.ndim == 4 or image.dtype.kind in "OSU"
    elif isinstance(image, Tensor):
        is_several = getattr(image, "ndim", 0) == 4 and getattr(image, "shape", (1,))[0] > 1
    else:
        is_several = isinstance(image, Iterable) and not isinstance(image, _WHOLE)
    if is_several:
        raise InputTypeError(
            "is several images; write rilievo.predict(list(images))", path=type(image).__name__
        )


def _warn_at_caller(remark: str) -> None:
    warnings.warn(remark, UserWarning, stacklevel=4)  # the line that calls predict


def _open_model(model: str | Path | Model, options: LoadOptions) -> AbstractContextManager[Model]:
    return nullcontext(model) if isinstance(model, Model) else last_model(model, options)
