"""First pass over a video: the network predicts every frame, and its answers are stored.

It also finds what holds for the whole video: shots, their borders and cameras, corrections of the
scale, and metres.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter

import numpy as np
from PIL import Image, ImageFilter

from rilievo.arrays.shapes import Mask, UInt8
from rilievo.errors import InputError
from rilievo.geometry.borders import Margins
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.map_pictures import ColourRange, Drawn, DrawnSample, range_of_samples
from rilievo.io.outputs.formats.colour_files import coloured_sky
from rilievo.io.outputs.sidecar import Sidecar, make_sidecar
from rilievo.io.outputs.skyline import extend_ground_to_sky
from rilievo.io.videos.frame_source import Frame, FrameSource
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import Trimmed, visible_part, with_margins, without_trimming
from rilievo.models.resampling.preparation import shrink
from rilievo.predicting.photographs.anchoring import is_listed_model
from rilievo.predicting.prefetching import read_ahead
from rilievo.predicting.videos.clip_options import ClipOptions, MetricConversion
from rilievo.predicting.videos.clip_outputs import Extent
from rilievo.predicting.videos.frame_answers import StoredAnswers
from rilievo.predicting.videos.frame_comparison import sample_frame
from rilievo.predicting.videos.scale_track import ScaleTrack
from rilievo.predicting.videos.shot_anchoring import ShotFitter
from rilievo.predicting.videos.shot_borders import ShotBorders
from rilievo.predicting.videos.steadying import MOVING, Correction
from rilievo.prediction import Prediction
from rilievo.prediction.output_record import Need
from rilievo.prediction.saving import check_parts, output_parts
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Anchoring
from rilievo.records.sample import Photo

_MAX_PIXELS_AHEAD = 16_000_000
"""Most pixels that are decoded ahead; at least one frame is."""
_MAX_FRAMES_AHEAD = 8
_MAX_EXTENT_FRAMES, _EXTENT_PIXELS = 1024, 2048
"""Most frames by which the range of colours is measured, and about as many pixels of each."""

Report = Callable[[int, int | None], None]
"""Function of the number of steps done and their total, if known; each pass is a step a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPass:
    """What the first pass found about a video.

    Attributes:
        ticks: Time of each frame in the source [ticks].
        corrections: Correction of the scale and shift of each frame.
        stretches: Still stretch of each frame, or ``MOVING``.
        shots: First frame of each shot.
        borders: Borders of each shot, which are left out.
        cameras: Camera of each shot's first frame.
        anchorings: Anchoring of each shot; empty if depth is not anchored.
        metric: Conversion to metres; None without one.
        size: Height and width of the frames [px].
        sidecar: Facts of the first frame's prediction.
        fault: What was wrong in the source; None if nothing was.
        names: Files of a folder of frames; empty for a video.
    """

    ticks: tuple[int, ...]
    corrections: tuple[Correction, ...]
    stretches: tuple[int, ...]
    shots: tuple[int, ...]
    borders: tuple[Margins, ...]
    cameras: tuple[Camera, ...]
    anchorings: tuple[Anchoring, ...]
    metric: MetricConversion | None
    size: tuple[int, int]
    sidecar: Sidecar
    fault: str | None
    names: tuple[str, ...]

    def shot_number(self, frame: int) -> int:
        """Index of the shot of a frame."""
        return bisect_right(self.shots, frame) - 1


def run_first_pass(
    source: FrameSource, model: Model, stored: StoredAnswers, options: ClipOptions, report: Report
) -> FirstPass:
    """Predict every frame of a video, and store the answers.

    Raises:
        InputError: If the video has no frame, or depth cannot be anchored.
        CalibrationError: If the first frame does not determine metres.
    """
    depth_suffices = output_parts(options.outputs).isdisjoint((Need.NORMALS, Need.CONFIDENCE))
    collector = _FrameCollector(source, model, stored, options)
    for batch, margins in _frame_batches(_frames_with_borders(source, model), options.batch_size):
        model = with_margins(model, margins)
        photos = [options.prepare(frame.photo) for frame in batch]
        network = model
        if depth_suffices and not any(map(options.is_metric, photos)):
            network = model.depth_alone()
        answers = options.stopwatch.infer(network, photos)
        for frame, photo, answer in zip(batch, photos, answers, strict=True):
            collector.add_frame(frame, photo, answer, model, margins)
            report(collector.frame_count, source.frame_estimate and 2 * source.frame_estimate)
    return collector.first_pass()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shot:
    """Shot of a video.

    Attributes:
        first: Index of its first frame.
        borders: Borders that are left out.
        camera: Camera of the first frame.
    """

    first: int
    borders: Margins
    camera: Camera


class _FrameCollector:
    """Collector of a video's frames in order, which stores their answers and finds the shots."""

    def __init__(
        self, source: FrameSource, model: Model, stored: StoredAnswers, options: ClipOptions
    ) -> None:
        self._source, self._stored, self._options = source, stored, options
        self._parts = output_parts(options.outputs)
        kind = model.card.kind
        self._scale_track = None if kind is None else ScaleTrack(kind)
        self._shot_fitter: ShotFitter | None = None
        self._first_frame: FirstFrame | None = None
        self._shots: list[_Shot] = []
        self._ticks: list[int] = []
        self._names: list[str] = []

    @property
    def frame_count(self) -> int:
        """Number of frames that were added."""
        return len(self._ticks)

    def add_frame(
        self, frame: Frame, photo: Photo, answer: Inference, model: Model, margins: Margins
    ) -> None:
        """Add the next frame.

        Args:
            frame: The frame as it was read.
            photo: The frame with the user's camera.
            answer: The network's answer.
            model: Model that leaves the margins out.
            margins: Borders of the frame's shot.
        """
        if self._first_frame is None:
            self._read_first_frame(model, answer, photo)
        # What is stored is checked and completed, at the resolution of the network.
        small_photo = _photo_of_answer_size(visible_part(model, photo), answer)
        needed = _answer_with_parts(answer, self._parts)
        prediction = without_trimming(model).finish(needed, small_photo)
        reduced = _prediction_as_answer(prediction)
        grey = None if reduced.depth is None else _grey_pixels(small_photo)
        self._stored.append(reduced, grey)

        # A shot begins where the borders change, or where the picture does.
        depth = prediction.depth_or_none
        is_new_shot = not self._shots or margins != self._shots[-1].borders
        if self._scale_track is not None and depth is not None:
            sample = sample_frame(depth, small_photo)
            is_new_shot = self._scale_track.add_frame(sample, is_new_shot=is_new_shot)
        if is_new_shot:
            camera = model.finish(answer, photo).camera
            assert camera is not None, "a prediction of a photograph has a camera"
            self._shots.append(_Shot(first=self.frame_count, borders=margins, camera=camera))

        if self._shot_fitter is not None and depth is not None:
            first = self._shots[-1].first
            self._shot_fitter.add_frame(self.frame_count, first, depth, small_photo)
        self._ticks.append(frame.ticks)
        if frame.file:
            self._names.append(frame.file)

    def _read_first_frame(self, model: Model, answer: Inference, photo: Photo) -> None:
        """Find metres in the first frame, and whether its shots have to be anchored."""
        options, kind = self._options, model.card.kind
        self._first_frame = read_first_frame(options.finish(model, answer, photo), options)
        if self._first_frame.uses_anchor and options.reference and kind is not None:
            is_listed = is_listed_model(model.made_by)
            self._shot_fitter = ShotFitter(options.reference, kind, is_listed=is_listed)

    def first_pass(self) -> FirstPass:
        """What was found, after all frames were added."""
        source, first_frame = self._source, self._first_frame
        if first_frame is None:
            raise InputError("no frame of this video could be read", path=source.path)
        corrections = [Correction(scale=1.0)] * self.frame_count
        stretches = [MOVING] * self.frame_count
        if self._scale_track is not None and self._options.temporal:
            corrections = self._scale_track.corrections(float(source.rate))
            stretches = self._scale_track.stretches(float(source.rate))
        if first_frame.metric is not None:
            corrections = _relative_to_first(corrections)
        anchorings: tuple[Anchoring, ...] = ()
        if self._shot_fitter is not None:
            anchorings = self._shot_fitter.fit_shots(corrections)
        if anchorings:
            anchored = first_frame.prediction.but(anchoring=anchorings[0])
            first_frame = read_first_frame(anchored, self._options)
        return FirstPass(
            ticks=tuple(self._ticks),
            corrections=tuple(corrections),
            stretches=tuple(stretches),
            shots=tuple(shot.first for shot in self._shots),
            borders=tuple(shot.borders for shot in self._shots),
            cameras=tuple(shot.camera for shot in self._shots),
            anchorings=anchorings,
            metric=first_frame.metric,
            size=source.size,
            sidecar=first_frame.sidecar,
            fault=source.fault,
            names=tuple(self._names),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFrame:
    """What the first frame tells about its video.

    Attributes:
        prediction: Prediction without metres of the user.
        uses_anchor: Whether its depth is anchored.
        metric: Conversion to metres; None without one.
        sidecar: Facts for the JSON.
    """

    prediction: Prediction
    uses_anchor: bool
    metric: MetricConversion | None
    sidecar: Sidecar


def read_first_frame(prediction: Prediction, options: ClipOptions) -> FirstFrame:
    """Find metres in the first frame, and check that the outputs can be made of it.

    Raises:
        CalibrationError: If what is known does not determine metres.
        OptionError: If an output needs what the model does not predict.
        InputError: If affine depth must be anchored, and cannot be.
    """
    metric = options.calibrate(prediction)
    shown = prediction if metric is None else metric.applied_to(prediction)
    check_parts(shown, options.outputs)
    if Need.NORMALS not in output_parts(options.outputs):
        shown = shown.but(normals=None)
    sidecar = make_sidecar(shown, run=options.run)
    return FirstFrame(
        prediction=prediction,
        uses_anchor=sidecar.anchoring is not None and sidecar.anchoring.refused is None,
        metric=metric,
        sidecar=sidecar,
    )


def _relative_to_first(corrections: list[Correction]) -> list[Correction]:
    """Corrections that leave the first frame unchanged, whose metres are known."""
    first = corrections[0]
    return [
        Correction(
            scale=correction.scale / first.scale,
            shift=(correction.shift - first.shift) / first.scale,
        )
        for correction in corrections
    ]


def frames_ahead(source: FrameSource) -> Iterator[Frame]:
    """Yield the frames of a source, decoded ahead in a thread."""
    height, width = source.size
    most = min(_MAX_FRAMES_AHEAD, _MAX_PIXELS_AHEAD // (height * width))
    return read_ahead(source, most=max(1, most))


def _frames_with_borders(source: FrameSource, model: Model) -> Iterator[tuple[Frame, Margins]]:
    """Yield frames with the borders of their shots, if the model leaves borders out."""
    borders = ShotBorders(source) if isinstance(model, Trimmed) else None
    for frame in frames_ahead(source):
        if borders is None:
            yield frame, Margins()
        else:
            yield frame, borders.frame_margins(frame.index, frame.photo)


def _frame_batches(
    frames: Iterable[tuple[Frame, Margins]], size: int
) -> Iterator[tuple[list[Frame], Margins]]:
    """Yield up to ``size`` frames that follow each other and have the same borders."""
    for margins, group in groupby(frames, key=itemgetter(1)):
        while batch := [frame for frame, _ in islice(group, size)]:
            yield batch, margins


def _photo_of_answer_size(photo: Photo, answer: Inference) -> Photo:
    """Photograph at the resolution of the network's answer."""
    size = _answer_size(answer)
    pixels = answer.shown
    if pixels is None or pixels.shape[:2] != size:
        pixels = shrink(photo.pixels, size)
    transparent = photo.transparent
    if transparent is not None:
        height, width = size
        mask = Image.fromarray(transparent.astype(np.uint8) * 255)
        small_mask = mask.resize((width, height), Image.Resampling.BOX)
        # A pixel stays transparent if it and its neighbours are so altogether.
        transparent = np.asarray(small_mask.filter(ImageFilter.MinFilter(3))) == 255
    return Photo(pixels=pixels, transparent=transparent, name=photo.name)


def _grey_pixels(photo: Photo) -> UInt8[np.ndarray, "h w"]:
    return np.asarray(Image.fromarray(photo.pixels).convert("L"))


def _answer_size(answer: Inference) -> tuple[int, int]:
    """Height and width of the maps of an answer."""
    for array in (answer.depth, answer.normals, answer.confidence, answer.sky):
        if array is not None:
            height, width = array.shape[-2:]
            return height, width
    raise AssertionError("a model answers something")


def _prediction_as_answer(prediction: Prediction) -> Inference:
    """Answer with the maps of a prediction, which was checked and completed."""
    depth = prediction.depth_or_none
    return Inference(
        depth=None if depth is None else depth.values,
        valid=None if depth is None else depth.valid,
        normals=prediction.normals,
        confidence=prediction.confidence,
        sky=None if prediction.sky is None else prediction.sky.astype(np.float32),
    )


def _answer_with_parts(answer: Inference, parts: set[Need]) -> Inference:
    """Answer with depth, and those other maps that the outputs need."""
    return Inference(
        depth=answer.depth,
        valid=answer.valid,
        normals=answer.normals if Need.NORMALS in parts else None,
        confidence=answer.confidence if Need.CONFIDENCE in parts else None,
        sky=answer.sky if Need.SKY in parts else None,
    )


def measure_extent(predictions: Iterable[Prediction], *, count: int, what: Drawn) -> Extent:
    """Measure the range of a video's depth, and that of its colours by at most 1,024 frames.

    Args:
        predictions: Predictions of all frames.
        count: Number of frames.
        what: What the colours show, such as inverse depth.
    """
    low, high, kind, has_sky = np.inf, -np.inf, DepthKind.METRIC, False
    stride = -(-count // _MAX_EXTENT_FRAMES)
    samples: list[DrawnSample] = []
    frames_with_depth = 0
    for prediction in predictions:
        depth, sky = prediction.depth, coloured_sky(prediction)
        kind, has_sky = depth.kind, has_sky or sky is not None
        valid_values = depth.values[depth.valid]
        if not valid_values.size:
            continue
        low, high = min(low, float(valid_values.min())), max(high, float(valid_values.max()))
        # Counted among frames with depth: others might be all those of the stride.
        if frames_with_depth % stride == 0:
            samples.append(_drawn_sample(depth, what, sky))
        frames_with_depth += 1
    if not any(sample.values.size for sample in samples):
        return Extent(kind=kind, low=0.0, high=0.0, colours=ColourRange(low=0.0, high=1.0))
    colours = range_of_samples(samples, kind, what)
    return Extent(kind=kind, low=low, high=high, colours=colours, has_sky=has_sky)


def _drawn_sample(depth: DepthMap, what: Drawn, sky: Mask | None) -> DrawnSample:
    """Sample what is drawn of a frame on a coarse grid of pixels."""
    stride = max(1, round((depth.values.size / _EXTENT_PIXELS) ** 0.5))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    values = extend_ground_to_sky(depth, sky).values[grid]
    sampled = DepthMap(values=values, kind=depth.kind, valid=depth.valid[grid])
    return DrawnSample.from_map(sampled, what, None if sky is None else sky[grid])
