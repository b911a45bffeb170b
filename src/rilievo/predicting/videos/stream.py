"""``rilievo.stream``: predictions frame by frame."""

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from rilievo.arrays.shapes import Pixels
from rilievo.errors import OptionError
from rilievo.models import FAST_MODEL, load_model
from rilievo.models.base import Model
from rilievo.models.model_options import model_for_quality
from rilievo.models.refinement.refine import refined
from rilievo.models.requests import DepthFunction
from rilievo.options.camera_forms import CameraLike
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.photographs.anchoring import reference_depth
from rilievo.predicting.photographs.finishing import finish
from rilievo.predicting.photographs.user_facts import with_camera
from rilievo.predicting.videos.frame_scales import StreamFitter
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo


def stream(
    source: str | Path | int,
    *,
    model: str | Path | Model | DepthFunction | None = None,
    quality: str | None = None,
    camera: CameraLike | None = None,
    fov: float | None = None,
    trim: bool = False,
    newest: bool = False,
    trust_code: Sequence[str] = (),
) -> Iterator[Prediction]:
    """Predict frames as they arrive, in constant memory.

    Frames are independent, but for anchoring; for steady depth use ``rilievo.predict_files``.

    >>> [prediction.shape for prediction in rilievo.stream("clip.mp4")]
    [(48, 64)]

    Args:
        source: Number of a camera (0 is /dev/video0), an address (http, https, rtsp, rtmp, udp,
            srt) or a video file.
        model: Model, by default ``rilievo/small``.
        quality: Same as in ``rilievo.predict``, as the next two.
        camera: Intrinsics [px].
        fov: Horizontal field of view [degrees].
        trim: Leave borders out; changing ones make depth jump.
        newest: Whether to skip to the latest frame, as robots need.
        trust_code: Same as in ``rilievo.load_model``.

    Raises:
        InputError: If the source cannot be opened, breaks off, or has no frame.
        ModelError: If there is no such model.
        OptionError: If two arguments contradict each other.
        MissingExtraError: If PyAV is not installed.
    """
    if quality is not None and model is not None:
        raise OptionError("quality and model do not go together; give one")
    model = model_for_quality(quality, default=FAST_MODEL) if model is None else model
    loaded = model if isinstance(model, Model) else load_model(model, trust_code=trust_code)
    options = PhotoOptions(camera=camera, fov=fov, trim=trim)
    return predicted_frames(source, loaded, options, newest=newest)


def predicted_frames(
    source: str | Path | int, model: Model, options: PhotoOptions, *, newest: bool
) -> Iterator[Prediction]:
    """Predict the frames of a source."""
    from rilievo.io.videos.live_frames import live_frames

    frames = live_frames(source, newest=newest)
    return _predict_pixels(frames, str(source), refined(model, options.refine), options)


def _predict_pixels(
    frames: Iterator[Pixels],
    name: str,
    model: Model,
    options: PhotoOptions,
) -> Iterator[Prediction]:
    view, fitter = options.view, StreamFitter(partial(reference_depth, refine=options.refine))
    for number, pixels in enumerate(frames):
        photo = Photo(pixels=pixels, name=f"{name} frame {number}")
        photo = with_camera(photo, view.named_camera, view.fov)
        [answer] = model.infer([photo])
        tell = _ignore_note if number else _warn_at_caller
        yield finish(model, answer, photo, options, clip=fitter.add_frame, tell=tell)


def _warn_at_caller(note: str) -> None:
    warnings.warn(note, UserWarning, stacklevel=2)


def _ignore_note(note: str) -> None:
    pass
