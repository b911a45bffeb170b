"""``rilievo.stream``: predict frames as they arrive."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Unpack

from rilievo.arrays.shapes import Pixels
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.errors.messages import Note, OptionName, Text, note_about
from rilievo.models import FAST_MODEL
from rilievo.models.base import Model
from rilievo.models.model_options import load_as, model_for_quality
from rilievo.models.refinement.refine import refined
from rilievo.models.requests import DepthFunction
from rilievo.options.keywords import StreamKeywords
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.run_options import Engine
from rilievo.predicting.metres.metric_references import MetricReferences, read_references
from rilievo.predicting.options import (
    STREAM_NAMES,
    STREAM_RECORDS,
    StreamOptions,
    check_options_are_live,
)
from rilievo.predicting.photographs.anchoring import reference_depth
from rilievo.predicting.photographs.finishing import finish
from rilievo.predicting.photographs.masked_photos import with_valid_mask
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.predicting.videos.shot_anchoring import StreamFitter
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo
from rilievo.schema.fields import list_options, option_names, with_options

_IN_SIGNATURE = ("model", "quality", "trim")
"""Options that the signature of ``stream`` writes out."""
_ALL_NAMES = {name for record in STREAM_RECORDS.values() for name in option_names(record)}
_NO_KEYWORDS = _ALL_NAMES - set(STREAM_NAMES)
"""Options in these records that ``stream`` does not have."""
_LOADING_OPTIONS = (*option_names(Engine), "kind", "settings")
"""Options that only apply while a model is loaded."""


@with_options(*STREAM_RECORDS.values(), without={*_IN_SIGNATURE, *_NO_KEYWORDS})
def stream(
    source: str | Path | int,
    *,
    model: str | Path | Model | DepthFunction | None = None,
    quality: str | None = None,
    trim: bool = False,
    newest: bool = False,
    **options: Unpack[StreamKeywords],
) -> Iterator[Prediction]:
    """Predict frames as they arrive, in constant memory.

    Each frame is predicted as ``rilievo.predict`` predicts a photograph, but affine depth is
    anchored by several frames. For steady depth use ``rilievo.predict_files``.

    Examples:
        >>> [prediction.shape for prediction in rilievo.stream("clip.mp4")]
        [(48, 64)]

    Args:
        source: Number of a camera (0 is /dev/video0), an address (http, https, rtsp, rtmp, udp,
            srt) or a video file.
        model: Model, by default ``rilievo/small``.
        quality: Same as in ``rilievo.predict``.
        trim: Leave borders out; changing ones make depth jump.
        newest: Whether to skip to the latest frame, as robots need.
        options: Options of ``rilievo.PredictOptions``, but for those about files and those of
            ``rilievo.options.live_options.NOT_LIVE``, which says why.

    Keyword Args:
        known: Known sizes in all frames, with ``same_camera=True``; so are ``known_length``,
            ``known_rectangle``, ``known_circle`` and ``sparse``, a file or an array.
        same_camera: Whether neither the camera nor what is known moves.
        camera_height: Height of the camera above a floor that every frame shows [m].
        fps: Frames to keep of each second, nearest in time.

    Raises:
        InputError: If the source cannot be opened, breaks off, or has no frame.
        ModelError: If there is no such model.
        OptionError: If two arguments contradict each other, or a stream does not have an option.
        CalibrationError: If the known sizes do not determine metres in the first frame. Later
            frames without metres are left out, with a ``UserWarning``.
        MissingExtraError: If PyAV is not installed.
    """
    check_options_are_live(options)
    if quality is not None and model is not None:
        raise OptionError(option="quality", without="model")
    stream_options = StreamOptions(trim=trim, **options)
    loaded_model = _stream_model(model, quality, stream_options)
    return predicted_frames(
        source, loaded_model, stream_options, newest=newest, notify=_warn_at_caller
    )


def _stream_model(
    model: str | Path | Model | DepthFunction | None, quality: str | None, options: StreamOptions
) -> Model:
    """Load the model, unless it is loaded already."""
    if isinstance(model, Model):
        _require_no_loading_options(options)
        return model
    if quality is not None:
        model = model_for_quality(quality, default=FAST_MODEL)
    return load_as(model or FAST_MODEL, options.network, options.speed)


def _require_no_loading_options(options: StreamOptions) -> None:
    """Raise ``OptionError`` if an option applies to loading, but the model is loaded already."""
    for record in (options.network, options.speed):
        for option in list_options(type(record)):
            is_default = getattr(record, option.name) == option.default
            if option.name in _LOADING_OPTIONS and not is_default:
                raise OptionError(
                    problem=Text(
                        OptionName(option.name),
                        " only applies when a model is loaded, and this model is loaded "
                        "already: pass this option to rilievo.load_model",
                    )
                )


def predicted_frames(
    source: str | Path | int,
    model: Model,
    options: StreamOptions,
    *,
    newest: bool,
    notify: Callable[[str], None],
) -> Iterator[Prediction]:
    """Predict the frames of a source.

    ``notify`` is called with notes on the first frame, and on skipped frames.

    Raises:
        InputError: If the source cannot be opened, breaks off, or has no frame.
        CalibrationError: If the first frame has no metres.
    """
    from rilievo.io.videos.live_frames import live_frames

    frames = live_frames(source, newest=newest, fps=options.video.fps, notify=notify)
    network = refined(model, options.refine, vanishing_points=options.view.vanishing_points)
    return _predict_pixels(frames, str(source), network, options, notify)


def _predict_pixels(
    frames: Iterable[Pixels],
    name: str,
    model: Model,
    options: StreamOptions,
    notify: Callable[[str], None],
) -> Iterator[Prediction]:
    """Predict frames, and skip those whose metres cannot be determined.

    Raises:
        CalibrationError: If the metres of the first frame cannot be determined.
    """
    view = options.view
    sizes = _StreamSizes(options.sizes)
    fitter = StreamFitter(partial(reference_depth, refine=options.refine))
    was_last_skipped = False
    for index, pixels in enumerate(frames):
        is_first = index == 0
        photo = Photo(pixels=pixels, name=f"{name} frame {index}")
        photo = with_camera(photo, view.named_camera, view.fov)
        photo = with_valid_mask(photo, options.refine)
        references = sizes.frame_references(photo)
        [inference] = model.infer([photo])
        try:
            prediction = finish(
                model,
                inference,
                photo,
                options,
                references=references,
                anchor=fitter.add_frame,
                warn=notify if is_first else _ignore_note,
            )
        except CalibrationError as error:
            if is_first:
                raise
            if not was_last_skipped:  # one note for consecutive frames
                notify(note_about(photo.name, Note(Text("left out: ", error))))
            was_last_skipped = True
        else:
            was_last_skipped = False
            yield prediction


@dataclass(slots=True)
class _StreamSizes:
    """Known sizes that hold for all frames of a stream, and are read at the first frame."""

    sizes: KnownSizes
    _shape: tuple[int, int] | None = field(default=None, init=False)
    _references: MetricReferences = field(default_factory=MetricReferences, init=False)

    def frame_references(self, photo: Photo) -> MetricReferences:
        """Return the references of a frame.

        Raises:
            InputError: If the camera is fixed, but the frame has another size than the first.
        """
        if self._shape is None:
            self._shape = photo.shape
            self._references = self._read_sizes(photo)
        if self.sizes.same_camera and photo.shape != self._shape:
            height, width = self._shape
            raise InputError(
                path=photo.name,
                problem=Text(
                    f"is {photo.shape[1]}x{photo.shape[0]}, but the first frame is "
                    f"{width}x{height}: ",
                    OptionName("same_camera"),
                    " needs frames of the same size",
                ),
            )
        return self._references

    def _read_sizes(self, photo: Photo) -> MetricReferences:
        """Read the references that the user gives: sparse depth, a table, or known sizes."""
        sizes = self.sizes
        if sizes.table is not None:
            from rilievo.predicting.metres.size_files import read_known_of_fixed_camera

            sizes = sizes.with_rows(read_known_of_fixed_camera(sizes.table))
        return read_references(sizes, photo)


def _warn_at_caller(note: str) -> None:
    warnings.warn(note, UserWarning, stacklevel=2)


def _ignore_note(note: str) -> None:
    pass
