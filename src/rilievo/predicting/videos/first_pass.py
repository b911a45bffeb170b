"""First pass over a video: every frame is predicted, and the answers are stored."""

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
from rilievo.predicting.videos.frame_scales import ScaleTrack, ShotFitter, sample_frame
from rilievo.predicting.videos.shot_borders import ShotBorders
from rilievo.predicting.videos.steadying import MOVING, Correction
from rilievo.prediction import Prediction
from rilievo.prediction.output_record import Need
from rilievo.prediction.saving import check_parts, output_parts
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Anchoring
from rilievo.records.sample import Photo

_PIXELS_AHEAD = 16_000_000
_FRAMES, _PIXELS = 1024, 2048
Report = Callable[[int, int | None], None]
"""Function of the frames done and the total, if known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPass:
    """Results of the first pass.

    Attributes:
        ticks: Time in the source [ticks].
        stretches: Still stretch, or ``MOVING``.
        shots: First frames of shots.
        borders: Borders of each shot.
        cameras: Camera of each shot's first frame.
        anchorings: Anchoring of each shot.
        metric: Conversion to metres.
        about: Facts of the first frame.
        names: Files of a sequence.
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
    about: Sidecar
    fault: str | None
    names: tuple[str, ...]

    def shot_number(self, frame: int) -> int:
        """Number of a frame's shot."""
        return bisect_right(self.shots, frame) - 1


def run_first_pass(
    source: FrameSource, model: Model, stored: StoredAnswers, options: ClipOptions, report: Report
) -> FirstPass:
    """Predict every frame, and store the answers."""
    first: FirstFrame | None = None
    anchors: ShotFitter | None = None
    track = None if model.card.kind is None else ScaleTrack(model.card.kind)
    parts = output_parts(options.outputs)
    are_alone = parts.isdisjoint((Need.NORMALS, Need.CONFIDENCE))
    ticks: list[int] = []
    names: list[str] = []
    shots: list[_Shot] = []
    frames = _frames_with_borders(source, model)
    for batch, margins in _frame_batches(frames, options.batch_size):
        model = with_margins(model, margins)
        photos = [options.prepare(frame.photo) for frame in batch]
        alone = are_alone and not any(map(options.is_metric, photos))
        answers = options.stopwatch.infer(model.depth_alone() if alone else model, photos)
        for frame, photo, answer in zip(batch, photos, answers, strict=True):
            if first is None:
                own = options.finish(model, answer, photo)
                first = read_first_frame(own, options)
                if first.uses_anchor and options.reference and model.card.kind is not None:
                    anchors = ShotFitter(
                        options.reference, model.card.kind, is_listed=is_listed_model(model.made_by)
                    )
            small = _photo_of_answer_size(visible_part(model, photo), answer)
            checked = without_trimming(model).finish(_answer_with_parts(answer, parts), small)
            reduced = _prediction_as_answer(checked)
            stored.append(reduced, None if reduced.depth is None else _grey_pixels(small))
            is_new_shot = not shots or margins != shots[-1].borders
            if track is not None and checked.depth_or_none is not None:
                is_new_shot = track.add_frame(
                    sample_frame(checked.depth, small), is_new_shot=is_new_shot
                )
            if is_new_shot:
                camera = model.finish(answer, photo).camera
                assert camera is not None, "a prediction of a photograph has a camera"
                shots.append(_Shot(first=len(ticks), borders=margins, camera=camera))
            if anchors is not None and checked.depth_or_none is not None:
                anchors.add_frame(len(ticks), shots[-1].first, checked.depth, small)
            ticks.append(frame.ticks)
            names += [frame.file] if frame.file else []
            report(len(ticks), source.frame_estimate and 2 * source.frame_estimate)
    if first is None:
        raise InputError("no frame of this video could be read", path=source.path)
    corrections = [Correction(scale=1.0)] * len(ticks)
    stretches = [MOVING] * len(ticks)
    if track is not None and options.temporal:
        corrections = track.corrections(float(source.rate))
        stretches = track.stretches(float(source.rate))
    if first.metric is not None:
        corrections = _relative_to_first(corrections)
    anchorings = () if anchors is None else anchors.fit_shots(corrections)
    if anchorings:
        first = read_first_frame(first.prediction.but(anchoring=anchorings[0]), options)
    return FirstPass(
        ticks=tuple(ticks),
        corrections=tuple(corrections),
        stretches=tuple(stretches),
        shots=tuple(shot.first for shot in shots),
        borders=tuple(shot.borders for shot in shots),
        cameras=tuple(shot.camera for shot in shots),
        anchorings=anchorings,
        metric=first.metric,
        size=source.size,
        about=first.about,
        fault=source.fault,
        names=tuple(names),
    )


def frames_ahead(source: FrameSource) -> Iterator[Frame]:
    """Yield frames, decoded ahead."""
    height, width = source.size
    return read_ahead(source, most=max(1, min(8, _PIXELS_AHEAD // (height * width))))


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFrame:
    """Facts that the first frame tells."""

    prediction: Prediction
    uses_anchor: bool
    metric: MetricConversion | None
    about: Sidecar


def read_first_frame(prediction: Prediction, options: ClipOptions) -> FirstFrame:
    """Find metres from the first frame; refuse outputs."""
    own = prediction
    metric = options.calibrate(prediction)
    if metric is not None:
        prediction = metric.applied_to(prediction)
    check_parts(prediction, options.outputs)
    shown = prediction
    if Need.NORMALS not in output_parts(options.outputs):
        shown = prediction.but(normals=None)
    about = make_sidecar(shown, run=options.run)
    uses_anchor = about.anchoring is not None and about.anchoring.refused is None
    return FirstFrame(
        prediction=own,
        uses_anchor=uses_anchor,
        metric=metric,
        about=about,
    )


def _relative_to_first(corrections: list[Correction]) -> list[Correction]:
    """Corrections that leave the first frame unchanged."""
    first = corrections[0]
    return [
        Correction(
            scale=correction.scale / first.scale,
            shift=(correction.shift - first.shift) / first.scale,
        )
        for correction in corrections
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shot:
    first: int
    borders: Margins
    camera: Camera


def _frames_with_borders(source: FrameSource, model: Model) -> Iterator[tuple[Frame, Margins]]:
    borders = ShotBorders(source) if isinstance(model, Trimmed) else None
    for frame in frames_ahead(source):
        yield (
            frame,
            Margins() if borders is None else borders.frame_margins(frame.index, frame.photo),
        )


def _frame_batches(
    frames: Iterable[tuple[Frame, Margins]], size: int
) -> Iterator[tuple[list[Frame], Margins]]:
    for margins, alike in groupby(frames, key=itemgetter(1)):
        while batch := [frame for frame, _ in islice(alike, size)]:
            yield batch, margins


def _photo_of_answer_size(photo: Photo, answer: Inference) -> Photo:
    hidden, pixels, size = photo.transparent, answer.shown, _answer_size(answer)
    if pixels is None or pixels.shape[:2] != size:
        pixels = shrink(photo.pixels, size)
    if hidden is not None:
        grey = Image.fromarray(hidden.astype(np.uint8) * 255)
        small = grey.resize((size[1], size[0]), Image.Resampling.BOX)
        hidden = np.asarray(small.filter(ImageFilter.MinFilter(3))) == 255
    return Photo(pixels=pixels, transparent=hidden, name=photo.name)


def _grey_pixels(photo: Photo) -> UInt8[np.ndarray, "h w"]:
    return np.asarray(Image.fromarray(photo.pixels).convert("L"))


def _answer_size(answer: Inference) -> tuple[int, int]:
    for array in (answer.depth, answer.normals, answer.confidence, answer.sky):
        if array is not None:
            height, width = array.shape[-2:]
            return height, width
    raise AssertionError("a model answers something")


def _prediction_as_answer(prediction: Prediction) -> Inference:
    depth = prediction.depth_or_none
    return Inference(
        depth=None if depth is None else depth.values,
        valid=None if depth is None else depth.valid,
        normals=prediction.normals,
        confidence=prediction.confidence,
        sky=None if prediction.sky is None else prediction.sky.astype(np.float32),
    )


def _answer_with_parts(answer: Inference, parts: set[Need]) -> Inference:
    return Inference(
        depth=answer.depth,
        valid=answer.valid,
        normals=answer.normals if Need.NORMALS in parts else None,
        confidence=answer.confidence if Need.CONFIDENCE in parts else None,
        sky=answer.sky if Need.SKY in parts else None,
    )


def measure_extent(predictions: Iterable[Prediction], *, count: int, what: Drawn) -> Extent:
    """Measure a video's depth by at most 1,024 frames."""
    low, high, kind, has_sky = np.inf, -np.inf, DepthKind.METRIC, False
    stride = -(-count // _FRAMES)
    samples: list[DrawnSample] = []
    with_depth = 0
    for prediction in predictions:
        depth, sky = prediction.depth, coloured_sky(prediction)
        kind, has_sky = depth.kind, has_sky or sky is not None
        inside = depth.values[depth.valid]
        if not inside.size:
            continue
        low, high = min(low, float(inside.min())), max(high, float(inside.max()))
        # Counted among frames with depth: others might be all those of the stride.
        if with_depth % stride == 0:
            samples.append(_drawn_sample(depth, what, sky))
        with_depth += 1
    if not any(sample.values.size for sample in samples):
        return Extent(kind=kind, low=0.0, high=0.0, colours=ColourRange(low=0.0, high=1.0))
    colours = range_of_samples(samples, kind, what)
    return Extent(kind=kind, low=low, high=high, colours=colours, has_sky=has_sky)


def _drawn_sample(depth: DepthMap, what: Drawn, sky: Mask | None) -> DrawnSample:
    stride = max(1, round((depth.values.size / _PIXELS) ** 0.5))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    shown = extend_ground_to_sky(depth, sky)
    some = DepthMap(values=shown.values[grid], kind=depth.kind, valid=depth.valid[grid])
    return DrawnSample.from_map(some, what, None if sky is None else sky[grid])
