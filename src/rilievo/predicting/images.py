"""``rilievo.predict``: one image, or a list of them, in memory."""

import math
import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import overload

import numpy as np

from rilievo.calibration.lengths import Known, KnownLength, KnownPoint, parse_known
from rilievo.errors import OptionError
from rilievo.io.photo import read_photo
from rilievo.models import last_model
from rilievo.models.arguments import CameraLike, KnownLike
from rilievo.models.base import ImageLike, Model, as_list
from rilievo.models.model_options import check_confidence, model_of
from rilievo.models.trimming import border_note
from rilievo.outside import trust
from rilievo.predicting.cameras import read_camera
from rilievo.predicting.focal import with_camera
from rilievo.predicting.metres import Metres, in_metres
from rilievo.predicting.run import refined
from rilievo.predicting.units import unit_notes
from rilievo.types import Photo, Prediction


def read_known(known: Sequence[KnownLike]) -> tuple[Known, ...]:
    """Read known points and lengths."""
    expected = (
        "known is a list of rilievo.KnownPoint, rilievo.KnownLength, (u, v, metres) or "
        '(u1, v1, u2, v2, metres), or texts "u,v,metres"'
    )
    if isinstance(known, str | KnownPoint | KnownLength) or not isinstance(known, Sequence):
        raise OptionError(expected)
    return tuple(_read(each, expected) for each in known)


def read_sparse_depth(
    sparse: str | Path | np.ndarray, shape: tuple[int, int], unit: float | None
) -> tuple[KnownPoint, ...]:
    """Read the known points of sparse depth from an array or a file.

    Args:
        sparse: Array (h, w) with 0 and NaN as gaps, or a file as ``--sparse`` reads it.
        shape: (height, width) of the photograph [px].
        unit: Metres of one count; if None, 1 for floating-point numbers.
    """
    from rilievo.calibration.sparse import of_array, read_sparse

    if isinstance(sparse, np.ndarray):
        return of_array(sparse, shape, unit)
    if not isinstance(sparse, str | Path):
        raise OptionError("sparse is an array (h, w) in metres, or a file as --sparse takes it")
    return read_sparse(Path(sparse), shape, unit)


def _read(known: KnownLike, expected: str) -> Known:
    if isinstance(known, str):
        return parse_known(known)
    if isinstance(known, KnownPoint | KnownLength):
        return known
    if not isinstance(known, tuple | list):
        raise OptionError(f"{expected}; found {known!r}")
    numbers = [each for each in known if isinstance(each, float | int | np.number)]
    if len(numbers) == len(known) == 3:
        u, v, metres = map(float, numbers)
        return KnownPoint(u=u, v=v, metres=metres)
    if len(numbers) == len(known) == 5:
        u1, v1, u2, v2, metres = map(float, numbers)
        return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=metres)
    raise OptionError(f"{expected}; found {known!r}")


@overload
def predict(
    image: ImageLike,
    *,
    model: str | Path | Model | None = None,
    quality: str | None = None,
    camera: CameraLike | None = None,
    fov: float | None = None,
    vanishing_points: bool = False,
    known: Sequence[KnownLike] = (),
    sparse: str | Path | np.ndarray | None = None,
    sparse_unit: float | None = None,
    markers: float | None = None,
    camera_height: float | None = None,
    own_depth: bool = True,
    flip: bool = False,
    confidence: str = "own",
    tile: int | None = None,
    sharp: bool = True,
    trim: bool = True,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "fp32",
    trust_code: Iterable[str] = (),
) -> Prediction: ...
@overload
def predict(
    image: Sequence[ImageLike],
    *,
    model: str | Path | Model | None = None,
    quality: str | None = None,
    camera: CameraLike | None = None,
    fov: float | None = None,
    vanishing_points: bool = False,
    markers: float | None = None,
    camera_height: float | None = None,
    own_depth: bool = True,
    flip: bool = False,
    confidence: str = "own",
    tile: int | None = None,
    sharp: bool = True,
    trim: bool = True,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "fp32",
    trust_code: Iterable[str] = (),
) -> list[Prediction]: ...
def predict(
    image: ImageLike | Sequence[ImageLike],
    *,
    model: str | Path | Model | None = None,
    quality: str | None = None,
    camera: CameraLike | None = None,
    fov: float | None = None,
    vanishing_points: bool = False,
    known: Sequence[KnownLike] = (),
    sparse: str | Path | np.ndarray | None = None,
    sparse_unit: float | None = None,
    markers: float | None = None,
    camera_height: float | None = None,
    own_depth: bool = True,
    flip: bool = False,
    confidence: str = "own",
    tile: int | None = None,
    sharp: bool = True,
    trim: bool = True,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "fp32",
    trust_code: Iterable[str] = (),
) -> Prediction | list[Prediction]:
    """Predict depth and normals of a photograph, or of each photograph in a list.

    Args:
        image: A path, an http(s) address, bytes, an open file, an array, a tensor of torch, a
            Pillow image (``rilievo.read_photo`` says which) or a ``Photo``; or a list of them,
            which are predicted one by one and held in memory together.
        model: A name in ``MODELS``, an ONNX file, or a loaded model; by default the embedded one.
            The last one that was named stays loaded for the next call; ``rilievo.unload_model``
            drops it.
        quality: One word in place of ``model``: fast (the embedded model), good (MoGe-2 small) or
            best (MoGe-2 large); the last two are downloaded once.
        camera: Intrinsics [px] of the upright photograph: a ``Camera``, a focal length with the
            centre in the middle, (fx, fy, cx, cy), a 3x3 matrix K, a text of these numbers with
            commas, or a file of them; by default from EXIF, else assumed.
        fov: Horizontal field of view [degrees], in place of ``camera``.
        vanishing_points: Find an unknown focal length from straight edges at right angles, if they
            are clear.
        known: Points whose depth is known and lengths: ``KnownPoint`` and ``KnownLength``, tuples
            (u, v, metres) and (u1, v1, u2, v2, metres), or the same as texts with commas; they
            make depth metric. For one photograph only.
        sparse: Depth from another instrument at some pixels, in place of ``known``: an array (h, w)
            in which 0 and NaN are gaps, or a file as ``--sparse`` reads it. For one photograph.
        sparse_unit: Metres of one count of ``sparse``, needed for whole numbers.
        markers: Side [m] of the black squares on a page that ``rilievo markers`` wrote and that is
            seen in the photograph, alone or with ``known``.
        camera_height: Height of the camera above a visible floor [m], in place of ``known``.
        own_depth: Take metres from the depth that the photograph's file holds, if no other size is
            known. ``Photo.own_depth`` has that depth.
        flip: Average with the mirror image.
        confidence: own, that of the model; or mirror, agreement with itself about the mirror image,
            which ranks errors better on unfamiliar cameras and takes twice the time.
        tile: Side [px] of overlapping tiles, for detail in large photographs.
        sharp: Enlarge the network's answer along the edges of the photograph.
        trim: Leave uniform borders, such as black bars and the margins of a scan, out of what the
            network sees; they have no valid depth, and a ``UserWarning`` says so.
        device: Device of a model that is named: auto, cpu, cuda, cuda:N, coreml or directml.
        engine: Engine of the model, as in ``rilievo.load_model``.
        precision: Precision of that model, as in ``rilievo.load_model``.
        trust_code: Same as in ``rilievo.load_model``.

    Returns:
        Depth of the model's kind, or ``METRIC`` if a size is known, and normals if the model gives
        them, at the photograph's resolution. ``calibration`` has the result of a calibration; its
        warning is also a ``UserWarning``. A list for a list.

    Raises:
        InputError: If the image cannot be read.
        ModelError: If there is no such model.
        OptionError: If two arguments contradict each other.
        CalibrationError: If the known sizes do not determine metres.
    """
    trust(trust_code)
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
    if markers is not None and not 0 < markers < 10:
        raise OptionError(
            f"markers is the side of the printed squares in metres, below 10, got {markers}"
        )
    if bool(facts or markers) + (sparse is not None) + (camera_height is not None) > 1:
        raise OptionError(
            "known (or markers), sparse and camera_height do not go together; give one"
        )
    if quality is not None and model is not None:
        raise OptionError("quality and model do not go together; give one")
    check_confidence(confidence, flip=flip)
    metres = Metres(known=facts, camera_height=camera_height)
    model = model_of(quality) if model is None else model
    if isinstance(model, Model) and (device, engine, precision) != ("auto", "auto", "fp32"):
        raise OptionError(
            "device, engine and precision are those of loading: this model is loaded already, so "
            "give them to rilievo.load_model"
        )
    reads_own = own_depth and not (metres or markers or sparse is not None)
    given = read_camera(camera)
    for note in unit_notes(facts, camera_height, fov):
        warnings.warn(note, UserWarning, stacklevel=2)
    predictions = []
    for each in as_list(image):
        photo = each if isinstance(each, Photo) else read_photo(each, own_depth=reads_own)
        photo = with_camera(photo, given, fov)
        with _ready(model, device, engine, precision) as loaded:
            network = refined(
                loaded,
                flip=flip,
                mirror=confidence == "mirror",
                tile=tile,
                sharp=sharp,
                vanishing_points=vanishing_points,
                trim=trim,
            )
            [prediction] = network.predict_raw([photo])
        if sparse is not None:
            metres = Metres(sparse=read_sparse_depth(sparse, photo.shape, sparse_unit))
        own = photo.own_depth if own_depth else None
        prediction, remark = in_metres(prediction, metres, markers=markers, own=own)
        remarks = (
            _remark(prediction, photo, remark),
            border_note(network, photo),
            photo.animation_note,
        )
        for remark in filter(None, remarks):
            warnings.warn(remark, UserWarning, stacklevel=2)
        predictions.append(prediction)
    return predictions if several else predictions[0]


def _ready(
    model: str | Path | Model, device: str, engine: str, precision: str
) -> AbstractContextManager[Model]:
    if isinstance(model, Model):
        return nullcontext(model)
    return last_model(model, device=device, engine=engine, precision=precision)


def _remark(prediction: Prediction, photo: Photo, unused: str | None) -> str | None:
    """Text of the warning, if any; a phone's depth map that is not metric deserves none."""
    if prediction.calibration is not None:
        return prediction.calibration.warning
    own = photo.own_depth
    relative = own is not None and own.metres is None and not own.broken
    return None if relative else unused
