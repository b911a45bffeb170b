"""``rilievo.predict``: one image, or a list of them, in memory."""

import math
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import overload

import numpy as np

from rilievo.errors import OptionError
from rilievo.io.photo import read_photo
from rilievo.models.base import ImageLike, Model, as_list
from rilievo.models.last import last_model
from rilievo.models.quality import model_of
from rilievo.predicting.given import (
    CameraLike,
    KnownLike,
    read_camera,
    read_known,
    read_sparse_depth,
)
from rilievo.predicting.metres import Metres, with_metres
from rilievo.predicting.results import with_camera
from rilievo.predicting.run import refined
from rilievo.types import Photo, Prediction


@overload
def predict(
    image: ImageLike,
    *,
    model: str | Path | Model | None = None,
    quality: str | None = None,
    camera: CameraLike | None = None,
    fov: float | None = None,
    known: Sequence[KnownLike] = (),
    sparse: str | Path | np.ndarray | None = None,
    sparse_unit: float | None = None,
    camera_height: float | None = None,
    flip: bool = False,
    tile: int | None = None,
    sharp: bool = True,
) -> Prediction: ...
@overload
def predict(
    image: Sequence[ImageLike],
    *,
    model: str | Path | Model | None = None,
    quality: str | None = None,
    camera: CameraLike | None = None,
    fov: float | None = None,
    camera_height: float | None = None,
    flip: bool = False,
    tile: int | None = None,
    sharp: bool = True,
) -> list[Prediction]: ...
def predict(
    image: ImageLike | Sequence[ImageLike],
    *,
    model: str | Path | Model | None = None,
    quality: str | None = None,
    camera: CameraLike | None = None,
    fov: float | None = None,
    known: Sequence[KnownLike] = (),
    sparse: str | Path | np.ndarray | None = None,
    sparse_unit: float | None = None,
    camera_height: float | None = None,
    flip: bool = False,
    tile: int | None = None,
    sharp: bool = True,
) -> Prediction | list[Prediction]:
    """Depth and normals of a photograph, or of each of a list of them.

    Args:
        image: A path, an http(s) address, bytes, an open file, an array, a tensor of torch, a
            Pillow image (``rilievo.read_photo`` says which) or a ``Photo``; or a list of them,
            which are predicted one by one and held in memory together.
        model: A name in ``MODELS``, an ONNX file, or a model loaded before; by default the
            embedded one. The last one that was named is kept for the next call;
            ``rilievo.unload_model`` drops it.
        quality: One word in place of ``model``: fast (the embedded model), good (MoGe-2 small) or
            best (MoGe-2 large); the last two are downloaded once.
        camera: Intrinsics [px] of the upright photograph, as a ``Camera``, a 3x3 matrix K or a
            focal length with the centre in the middle; by default from EXIF, else assumed.
        fov: Horizontal field of view [degrees], in place of ``camera``.
        known: Points whose depth is known and lengths: ``KnownPoint`` and ``KnownLength``, tuples
            (u, v, metres) and (u1, v1, u2, v2, metres), or the same as texts with commas; they
            make depth metric. Of one photograph alone.
        sparse: Depth of another instrument at some pixels, in place of ``known``: an array (h, w)
            in which 0 and NaN are gaps, or a file as ``--sparse`` reads it. Of one photograph.
        sparse_unit: Metres that one count of it stands for, needed for whole numbers.
        camera_height: Height of the camera above a visible floor [m], in place of ``known``.
        flip: Average with the mirror image.
        tile: Side [px] of overlapping tiles, for detail in large photographs.
        sharp: Enlarge the network's answer along the edges of the photograph.

    Returns:
        Depth of the model's kind, or ``METRIC`` where something is known; normals if the model
        gives them; at the photograph's resolution. What a calibration found stands in
        ``calibration``; what deserves a look there is a ``UserWarning`` too. A list for a list.

    Raises:
        InputError: If the image cannot be read.
        ModelError: If there is no such model.
        OptionError: If two arguments contradict each other.
        CalibrationError: If what is known does not determine metres.
    """
    several = isinstance(image, list | tuple)
    facts = read_known(known)
    if sparse_unit is not None and (sparse is None or not 0 < sparse_unit < math.inf):
        raise OptionError("sparse_unit is a positive number of metres, and goes with sparse")
    if several and (facts or sparse is not None):
        raise OptionError(
            "known and sparse belong to one photograph: call predict for each with its own"
        )
    if camera is not None and fov is not None:
        raise OptionError("camera and fov do not go together; give one")
    if bool(facts) + (sparse is not None) + (camera_height is not None) > 1:
        raise OptionError("known, sparse and camera_height do not go together; give one")
    if quality is not None and model is not None:
        raise OptionError("quality and model do not go together; give one")
    metres = Metres(known=facts, camera_height=camera_height)
    model = model_of(quality) if model is None else model
    predictions = []
    for each in as_list(image):
        photo = each if isinstance(each, Photo) else read_photo(each)
        photo = with_camera(photo, read_camera(camera, photo.shape), fov)
        with nullcontext(model) if isinstance(model, Model) else last_model(model) as loaded:
            [prediction] = refined(loaded, flip=flip, tile=tile, sharp=sharp).predict([photo])
        if sparse is not None:
            metres = Metres(sparse=read_sparse_depth(sparse, photo.shape, sparse_unit))
        prediction, _ = with_metres(prediction, metres)
        if prediction.calibration is not None and prediction.calibration.warning is not None:
            warnings.warn(prediction.calibration.warning, UserWarning, stacklevel=2)
        predictions.append(prediction)
    return predictions if several else predictions[0]
