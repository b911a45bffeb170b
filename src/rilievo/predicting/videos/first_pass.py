"""First pass over a video: run the network on every frame, and store its inferences.

It also finds the properties of the whole video: shots, their borders and cameras, corrections of
the scale, and metres.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice
from operator import attrgetter, itemgetter

import numpy as np
from PIL import Image, ImageFilter

from rilievo.arrays.shapes import Mask, Size, UInt8
from rilievo.errors import InputError
from rilievo.geometry.borders import Margins
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.outputs.sidecar import Sidecar, make_sidecar
from rilievo.io.videos.frame_source import Frame, FrameSource
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import Trimmed, visible_part, with_margins, without_trimming
from rilievo.models.resampling.preparation import shrink
from rilievo.predicting.photographs.anchoring import is_listed_model
from rilievo.predicting.prefetching import read_ahead
from rilievo.predicting.videos.clip_options import ClipOptions, MetricConversion
from rilievo.predicting.videos.frame_comparison import sample_frame
from rilievo.predicting.videos.scale_track import ScaleTrack
from rilievo.predicting.videos.shot_anchoring import ShotFitter
from rilievo.predicting.videos.shot_borders import ShotBorders
from rilievo.predicting.videos.steadying import MOVING, Correction
from rilievo.predicting.videos.stored_inferences import StoredInferences
from rilievo.prediction import Prediction
from rilievo.prediction.output import Need
from rilievo.prediction.saving import check_parts, output_parts
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import Anchoring
from rilievo.records.sample import Photo

_MAX_PIXELS_AHEAD = 16_000_000
"""Maximum of pixels that are decoded ahead, but at least one frame is."""
_MAX_FRAMES_AHEAD = 8

Report = Callable[[int, int | None], None]
"""Progress function of the steps done and their total, if known. A frame is one step per pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """Shot of a video. All its frames have the same borders and get the same camera.

    Attributes:
        first_frame: Index of its first frame; the shot ends before that of the next one.
        borders: Borders of the picture, which have no depth.
        camera: Camera of its first frame.
        anchoring: Anchoring of its depth; None if depth is not anchored.
    """

    first_frame: int
    borders: Margins
    camera: Camera
    anchoring: Anchoring | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPass:
    """Properties of a video that the first pass has found.

    Attributes:
        ticks: Time of each frame in the source [ticks].
        corrections: Correction of the scale and shift of each frame.
        stretches: Still stretch of each frame, or ``MOVING``.
        shots: Shots, in the order of their frames.
        metric: Conversion to metres; None if there is none.
        sidecar: JSON of the first frame's prediction.
        fault: What was wrong in the source; None if nothing was.
        names: Files of a folder of frames; empty for a video.
    """

    ticks: tuple[int, ...]
    corrections: tuple[Correction, ...]
    stretches: tuple[int, ...]
    shots: tuple[Shot, ...]
    metric: MetricConversion | None
    size: tuple[int, int]
    sidecar: Sidecar
    fault: str | None
    names: tuple[str, ...]

    @property
    def anchorings(self) -> tuple[Anchoring, ...]:
        """Anchoring of each shot; empty if depth is not anchored."""
        return tuple(shot.anchoring for shot in self.shots if shot.anchoring is not None)

    def shot_of(self, frame: int) -> Shot:
        """Find the shot to which a frame belongs."""
        return self.shots[bisect_right(self.shots, frame, key=attrgetter("first_frame")) - 1]


def run_first_pass(
    source: FrameSource,
    model: Model,
    stored: StoredInferences,
    options: ClipOptions,
    report: Report,
) -> FirstPass:
    """Run the network on every frame of a video, and store the inferences.

    Raises:
        InputError: If the video has no frame, or depth cannot be anchored.
        CalibrationError: If the first frame does not determine metres.
    """
    needs_only_depth = output_parts(options.outputs).isdisjoint((Need.NORMALS, Need.CONFIDENCE))
    collector = _FrameCollector(source, model, stored, options)
    for batch, margins in _frame_batches(_frames_with_borders(source, model), options.batch_size):
        shot_model = with_margins(model, margins)
        photos = [options.prepare(frame.photo) for frame in batch]
        network = shot_model
        if needs_only_depth and not any(map(options.is_metric, photos)):
            network = shot_model.depth_alone()
        inferences = options.stopwatch.infer(network, photos)
        for frame, photo, inference in zip(batch, photos, inferences, strict=True):
            collector.add_frame(frame, photo, inference, shot_model, margins)
            # Each frame counts twice, because a second pass follows.
            estimate = source.frame_estimate
            report(collector.frame_count, None if estimate is None else 2 * estimate)
    return collector.first_pass()


class _FrameCollector:
    """Collector of a video's frames in order, which stores their inferences and finds the shots."""

    def __init__(
        self, source: FrameSource, model: Model, stored: StoredInferences, options: ClipOptions
    ) -> None:
        self._source = source
        self._stored = stored
        self._options = options
        self._needed_parts = output_parts(options.outputs)
        kind = model.card.kind
        self._scale_track = None if kind is None else ScaleTrack(kind)
        self._shot_fitter: ShotFitter | None = None
        self._first_frame: FirstFrame | None = None
        self._shots: list[Shot] = []
        self._ticks: list[int] = []
        self._names: list[str] = []

    @property
    def frame_count(self) -> int:
        """Number of frames that were added."""
        return len(self._ticks)

    def add_frame(
        self, frame: Frame, photo: Photo, inference: Inference, model: Model, margins: Margins
    ) -> None:
        """Add the next frame.

        ``photo`` is the frame with the user's camera, and ``margins`` are the borders of its shot,
        which ``model`` trims.
        """
        if self._first_frame is None:
            self._read_first_frame(model, inference, photo)
        small_photo = _photo_of_inference_size(visible_part(model, photo), inference)
        depth = self._store_inference(inference, small_photo, model)
        if self._track_and_detect_shot(depth, small_photo, margins):
            camera = model.finish(inference, photo).camera
            assert camera is not None, "a finished prediction has a camera"
            shot = Shot(first_frame=self.frame_count, borders=margins, camera=camera)
            self._shots.append(shot)
        if self._shot_fitter is not None and depth is not None:
            first_frame = self._shots[-1].first_frame
            self._shot_fitter.add_frame(self.frame_count, first_frame, depth, small_photo)
        self._ticks.append(frame.ticks)
        if frame.file:
            self._names.append(frame.file)

    def _store_inference(
        self, inference: Inference, small_photo: Photo, model: Model
    ) -> DepthMap | None:
        """Store the maps of a frame for the second pass, and return its depth if it has any.

        The frame is finished at the resolution of the network, so that the maps are checked and
        complete.
        """
        needed_maps = _select_maps(inference, self._needed_parts)
        prediction = without_trimming(model).finish(needed_maps, small_photo)
        checked_inference = _inference_from_prediction(prediction)
        grey = None if checked_inference.depth is None else _grey_pixels(small_photo)
        self._stored.append(checked_inference, grey)
        return prediction.depth_or_none

    def _track_and_detect_shot(
        self, depth: DepthMap | None, small_photo: Photo, margins: Margins
    ) -> bool:
        """Add a frame to the track of scales, and return whether a shot begins with it.

        A shot begins where the borders change, or where the picture does.
        """
        has_new_borders = not self._shots or margins != self._shots[-1].borders
        if self._scale_track is None or depth is None:
            return has_new_borders
        sample = sample_frame(depth, small_photo)
        return self._scale_track.add_frame(sample, is_new_shot=has_new_borders)

    def _read_first_frame(self, model: Model, inference: Inference, photo: Photo) -> None:
        """Find metres in the first frame, and prepare the anchoring of the shots if needed."""
        options = self._options
        kind = model.card.kind
        self._first_frame = read_first_frame(options.finish(model, inference, photo), options)
        if self._first_frame.uses_anchor and options.reference and kind is not None:
            is_listed = is_listed_model(model.made_by)
            self._shot_fitter = ShotFitter(options.reference, kind, is_listed=is_listed)

    def first_pass(self) -> FirstPass:
        """Return the result, after all frames were added.

        Raises:
            InputError: If there is no frame, or depth cannot be anchored.
        """
        source = self._source
        first_frame = self._first_frame
        if first_frame is None:
            raise InputError(
                "no frame of this video could be read; check that the file is complete",
                path=source.path,
            )
        if self._scale_track is not None and self._options.temporal:
            corrections = self._scale_track.corrections(float(source.rate))
            stretches = self._scale_track.stretches(float(source.rate))
        else:
            corrections = [Correction(scale=1.0)] * self.frame_count
            stretches = [MOVING] * self.frame_count
        if first_frame.metric is not None:
            corrections = _relative_to_first(corrections)
        shots = self._shots
        if self._shot_fitter is not None:
            anchorings = self._shot_fitter.fit_shots(corrections)
            shots = [
                replace(shot, anchoring=anchoring)
                for shot, anchoring in zip(shots, anchorings, strict=True)
            ]
            # Its metres and its JSON depend on the anchoring, so both are made again.
            anchored = first_frame.prediction.but(anchoring=anchorings[0])
            first_frame = read_first_frame(anchored, self._options)
        return FirstPass(
            ticks=tuple(self._ticks),
            corrections=tuple(corrections),
            stretches=tuple(stretches),
            shots=tuple(shots),
            metric=first_frame.metric,
            size=source.size,
            sidecar=first_frame.sidecar,
            fault=source.fault,
            names=tuple(self._names),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFrame:
    """First frame of a video, which determines the metres and the JSON of the video.

    Attributes:
        prediction: Prediction before the conversion to metres.
        uses_anchor: Whether its depth is anchored.
        metric: Conversion to metres; None if there is none.
        sidecar: JSON of the prediction.
    """

    prediction: Prediction
    uses_anchor: bool
    metric: MetricConversion | None
    sidecar: Sidecar


def read_first_frame(prediction: Prediction, options: ClipOptions) -> FirstFrame:
    """Find metres in the first frame, and check that the outputs can be made from it.

    Raises:
        CalibrationError: If the known sizes do not determine metres.
        OptionError: If an output needs a part that the model does not predict.
        InputError: If affine depth must be anchored, but cannot be.
    """
    metric = options.calibrate(prediction)
    converted = prediction if metric is None else metric.apply_to(prediction)
    check_parts(converted, options.outputs)
    if Need.NORMALS not in output_parts(options.outputs):
        converted = converted.but(normals=None)
    sidecar = make_sidecar(converted, run=options.run)
    return FirstFrame(
        prediction=prediction,
        uses_anchor=sidecar.anchoring is not None and sidecar.anchoring.refused is None,
        metric=metric,
        sidecar=sidecar,
    )


def _relative_to_first(corrections: list[Correction]) -> list[Correction]:
    """Normalize corrections so that the first frame, whose metres are known, stays unchanged."""
    first = corrections[0]
    return [
        Correction(
            scale=correction.scale / first.scale,
            shift=(correction.shift - first.shift) / first.scale,
        )
        for correction in corrections
    ]


def frames_ahead(source: FrameSource) -> Iterator[Frame]:
    """Yield the frames of a source, which a thread decodes ahead."""
    height, width = source.size
    max_frames = min(_MAX_FRAMES_AHEAD, _MAX_PIXELS_AHEAD // (height * width))
    return read_ahead(source, max_items=max(1, max_frames))


def _frames_with_borders(source: FrameSource, model: Model) -> Iterator[tuple[Frame, Margins]]:
    """Yield frames with the borders of their shots, which are empty unless the model trims."""
    borders = ShotBorders(source) if isinstance(model, Trimmed) else None
    for frame in frames_ahead(source):
        if borders is None:
            yield frame, Margins()
        else:
            yield frame, borders.frame_margins(frame.index, frame.photo)


def _frame_batches(
    frames: Iterable[tuple[Frame, Margins]], size: int
) -> Iterator[tuple[list[Frame], Margins]]:
    """Group consecutive frames with the same borders into batches of up to ``size``."""
    for margins, group in groupby(frames, key=itemgetter(1)):
        # Each ``islice`` takes the next frames out of the group, until none is left.
        while batch := [frame for frame, _ in islice(group, size)]:
            yield batch, margins


def _photo_of_inference_size(photo: Photo, inference: Inference) -> Photo:
    """Reduce a photograph to the resolution of an inference."""
    size = _inference_size(inference)
    pixels = inference.network_image
    if pixels is None or pixels.shape[:2] != size:
        pixels = shrink(photo.pixels, size)
    transparent = None if photo.transparent is None else shrink_mask(photo.transparent, size)
    return Photo(pixels=pixels, transparent=transparent, name=photo.name)


def shrink_mask(transparent: Mask, size: Size) -> Mask:
    """Shrink a mask; a small pixel is in it only if it and its neighbours are completely so."""
    height, width = size
    mask = Image.fromarray(transparent.astype(np.uint8) * 255)
    small_mask = mask.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small_mask.filter(ImageFilter.MinFilter(3))) == 255


def _grey_pixels(photo: Photo) -> UInt8[np.ndarray, "h w"]:
    return np.asarray(Image.fromarray(photo.pixels).convert("L"))


def _inference_size(inference: Inference) -> tuple[int, int]:
    """Return height and width of the maps of an inference."""
    for array in (inference.depth, inference.normals, inference.confidence, inference.sky):
        if array is not None:
            height, width = array.shape[-2:]
            return height, width
    raise AssertionError("an inference has at least one map")


def _inference_from_prediction(prediction: Prediction) -> Inference:
    """Make an inference from the maps of a prediction, which were checked and completed."""
    depth = prediction.depth_or_none
    return Inference(
        depth=None if depth is None else depth.values,
        valid=None if depth is None else depth.valid,
        normals=prediction.normals,
        confidence=prediction.confidence,
        sky=None if prediction.sky is None else prediction.sky.astype(np.float32),
    )


def _select_maps(inference: Inference, needed_parts: set[Need]) -> Inference:
    """Keep depth, and of the other maps those that the outputs need."""
    return Inference(
        depth=inference.depth,
        valid=inference.valid,
        normals=inference.normals if Need.NORMALS in needed_parts else None,
        confidence=inference.confidence if Need.CONFIDENCE in needed_parts else None,
        sky=inference.sky if Need.SKY in needed_parts else None,
    )
