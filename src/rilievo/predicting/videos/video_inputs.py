"""Videos and folders of frames as inputs."""

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from rilievo.errors import CalibrationError
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.files.limits import printable
from rilievo.io.files.memory import check_memory
from rilievo.io.videos import open_video
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.io.videos.frame_source import DEFAULT_RATE, FrameSource
from rilievo.messages import Note, at
from rilievo.options.photo_options import UNREFINED
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.anchored_depth import reference_depth
from rilievo.predicting.photographs.finishing import is_metric, option_notes
from rilievo.predicting.photographs.fitting import with_metres
from rilievo.predicting.photographs.photo_camera import scale_notes
from rilievo.predicting.photographs.results import Results
from rilievo.predicting.stages import Stages
from rilievo.predicting.summary import Tally
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions, MetricConversion, finish_by
from rilievo.prediction import Prediction
from rilievo.types import OwnDepth, Photo


def predict_video(job: Job, results: Results, tally: Tally) -> None:
    """Predict one video or folder of frames."""
    if results.is_finished(job):
        tally.finished_before()
        return
    _refuse_photo_options(results.options)
    # A clip that is stopped leaves nothing to go on from.
    tally.begins_anew = job.source
    start = time.perf_counter()
    folder = job.target.parent
    make_folder(folder)
    sweep_parts(folder)
    source = _open(job, results)
    own = source.own_depth if isinstance(source, FrameFolder) else None
    sidecar = predict_clip(
        source,
        results.model,
        job.target,
        _options(job, results, own, tally.stages),
        _Meter(job.source, tally),
    )
    doubt = None if sidecar.calibration is None else sidecar.calibration.warning
    common_notes = option_notes(results.options)  # of all inputs
    notes = (*sidecar.video.faults, *sidecar.video.notes, *(sidecar.notes or ()), doubt)
    for note in notes:
        if note is not None and note not in common_notes:
            is_named = note.startswith(str(job.source))
            tally.note(note if is_named else at(str(job.source), note))
    tally.begins_anew = None
    seconds = time.perf_counter() - start
    tally.done(job.target, frames=sidecar.video.frames, seconds=seconds)


def _open(job: Job, results: Results) -> FrameSource:
    fps = results.options.video.fps
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    if job.medium is Medium.SEQUENCE:
        own_depth = bool(results.options.sizes.own_depth)
        return FrameFolder(
            job.source,
            rate=rate or DEFAULT_RATE,
            own_depth=own_depth,
            **results.options.refine.reading,
        )
    return open_video(job.source, fps=rate)


def _refuse_photo_options(options: PredictOptions) -> None:
    if options.view.vanishing_points:
        raise CalibrationError(problem="{vanishing_points} is for photographs: give {fov}")
    if options.sizes.markers is not None:
        raise CalibrationError(
            problem=(
                "{markers} is for photographs: measure a point of its first "
                "frame, and give {known=U,V,METRES}"
            )
        )


def _prepared_by(results: Results) -> Callable[[Photo], Photo]:
    first = iter((True,))

    def prepare(frame: Photo) -> Photo:
        if next(first, False):
            height, width = frame.shape
            check_memory(
                results.memory_of(frame.shape),
                f"the results of frames of {width}x{height} pixels",
                "choose fewer outputs with {save}, or make the video smaller",
            )
        return results.prepare(frame)

    return prepare


def _options(job: Job, results: Results, own: OwnDepth | None, stages: Stages) -> ClipOptions:
    def calibrate(first: Prediction) -> MetricConversion | None:
        metres = results.metres(job, first.shape)
        for note in scale_notes(None, first.shape, metres.sparse or metres.known):
            results.note(at(printable(job.source), note))
        if own is not None and not metres:
            results.note(
                Note(
                    f"depth that its frames hold ({own.source}) is not used: give "
                    "{known=U,V,METRES} for metres",
                    path=printable(job.source),
                )
            )
        prediction, fitted = with_metres(first, replace(metres, smooth=False))
        if fitted is None or prediction.calibration is None:
            return None
        is_anchored = prediction.anchoring is not None
        return MetricConversion(
            fit=fitted.fit, facts=prediction.calibration, is_anchored=is_anchored
        )

    saving = results.options.saving
    outputs, adds = results.formats_with_those_there(job)
    return ClipOptions(
        outputs=outputs,
        # Added outputs are written beside those that are there.
        save=replace(saving, overwrite=saving.overwrite or adds, resume=False),
        batch_size=results.options.speed.batch_size,
        temporal=not results.options.video.independent,
        prepare=_prepared_by(results),
        checks_pixels=results.options.view.given_camera is not None,
        calibrate=calibrate,
        finish=finish_by(results.options),
        is_metric=partial(is_metric, results.options),
        reference=lambda photo: reference_depth(photo, UNREFINED),
        run=results.run_facts(job),
        stages=stages,
    )


class _Meter:
    def __init__(self, source: Path, tally: Tally) -> None:
        self._name, self._tally = source.name, tally
        self._start = time.perf_counter()

    def __call__(self, done: int, total: int | None) -> None:
        rate = done / max(time.perf_counter() - self._start, 1e-9)
        share = f"{100 * done // total} %" if total else f"{done // 2} frames"
        left = f", {(total - done) / rate:.0f} s left" if total else ""
        self._tally.part(f"{self._name}: {share}, {rate / 2:.1f} frames a second{left}")
