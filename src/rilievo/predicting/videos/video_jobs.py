"""Predict the videos and folders of frames of a run."""

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from rilievo.arrays.shapes import Size
from rilievo.calibration.camera_checks import pixel_notes
from rilievo.errors import CalibrationError
from rilievo.errors.messages import Note, OptionName, Text, count_text, note_about
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.files.machine import check_memory
from rilievo.io.files.names import printable
from rilievo.io.outputs.sidecar import sidecar_path
from rilievo.io.videos import open_video
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.io.videos.frame_source import DEFAULT_RATE, FrameSource
from rilievo.measure.expected_errors import require_certain_height
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import UNREFINED
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.metres.fitting import convert_by_references
from rilievo.predicting.metres.metric_references import read_references
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.anchoring import reference_depth
from rilievo.predicting.photographs.finishing import becomes_metric, option_notes
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.photographs.run_record import input_record, run_record
from rilievo.predicting.run_times import Stopwatch
from rilievo.predicting.summary import Tally
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import (
    ClipOptions,
    MetricConversion,
    make_finish_function,
)
from rilievo.predicting.videos.clip_outputs import ClipSidecar, find_clip_sidecar
from rilievo.prediction import Prediction
from rilievo.records.depth_map import OwnDepth
from rilievo.records.sample import Photo

_MAX_RATE_DENOMINATOR = 1001
"""Largest denominator of a frame rate, as in 30000/1001."""


def predict_video(job: Job, results: ResultWriter, tally: Tally) -> None:
    """Predict one video or folder of frames of a run, unless it is finished already.

    Raises:
        CalibrationError: If an option is for photographs only, or metres cannot be determined.
    """
    if results.is_finished(job):
        tally.finished_before()
        earlier = find_clip_sidecar(sidecar_path(job.target))
        if earlier is not None:
            _report_faults(job, earlier, tally)
        return
    options = results.options
    _require_video_options(options)
    # If the run is stopped now, the summary says that nothing of this video is kept.
    tally.begins_anew = job.source
    start = time.perf_counter()
    make_folder(job.target.parent)
    sweep_parts(job.target.parent)
    source = _open_source(job, options)
    sidecar = predict_clip(
        source,
        results.model,
        job.target,
        _clip_options(job, results, source.own_depth, tally.stopwatch),
        _ProgressMeter(job.source, tally),
    )
    _report_faults(job, sidecar, tally)
    _report_notes(job, options, tally, sidecar)
    tally.begins_anew = None
    seconds = time.perf_counter() - start
    tally.done(job.target, frames=sidecar.video.frames, seconds=seconds)


def _require_video_options(options: PredictOptions) -> None:
    """Raise ``CalibrationError`` if an option is for photographs only."""
    if options.view.vanishing_points:
        raise CalibrationError(
            problem=Text(
                OptionName("vanishing_points"),
                " only works for photographs: for a video, give ",
                OptionName("fov"),
            )
        )
    if options.sizes.markers is not None:
        raise CalibrationError(
            problem=Text(
                OptionName("markers"),
                " only works for photographs: for a video, measure the distance of a "
                "point in its first frame, and give ",
                OptionName("known", "U,V,METRES"),
            )
        )


def _open_source(job: Job, options: PredictOptions) -> FrameSource:
    """Open a video or a folder of frames.

    The frame rate that the user gives reduces the frames of a video, which has a rate of its own.
    For a folder, it is the rate itself, ``DEFAULT_RATE`` if the user gives none.
    """
    user_rate: Fraction | None = None
    if options.video.fps is not None:
        user_rate = Fraction(options.video.fps).limit_denominator(_MAX_RATE_DENOMINATOR)
    if job.medium is Medium.SEQUENCE:
        return FrameFolder(
            job.source,
            rate=user_rate or DEFAULT_RATE,
            own_depth=bool(options.sizes.own_depth),
            **options.refine.reading,
        )
    return open_video(job.source, fps=user_rate)


def _report_notes(job: Job, options: PredictOptions, tally: Tally, sidecar: ClipSidecar) -> None:
    """Report the notes on a video, except those that are reported once for all inputs."""
    warning = None if sidecar.calibration is None else sidecar.calibration.warning
    common_notes = option_notes(options)
    for note in (*sidecar.video.notes, *(sidecar.notes or ()), warning):
        if note is not None and note not in common_notes:
            _report_note(job, note, tally)


def _report_faults(job: Job, sidecar: ClipSidecar, tally: Tally) -> None:
    """Report what is broken in a video, also if an earlier run has predicted its other frames."""
    faults = sidecar.video.faults
    if faults:
        tally.incomplete += 1
    for fault in faults:
        _report_note(job, fault, tally)


def _report_note(job: Job, note: str, tally: Tally) -> None:
    """Report a note, with the name of the video unless it begins with it."""
    source = str(job.source)
    tally.note(note if note.startswith(source) else note_about(source, note))


def _clip_options(
    job: Job, results: ResultWriter, own_depth: OwnDepth | None, stopwatch: Stopwatch
) -> ClipOptions:
    """Make the options of one video from those of the run.

    ``own_depth`` is depth in the files of the frames, which is not used, but noted.
    """
    source = input_record(job)
    options = results.options_of(job)
    outputs, has_earlier_outputs = results.formats_with_earlier(job)
    # Outputs are added to those of an earlier run by writing all of them with one JSON.
    overwrite = options.saving.overwrite or has_earlier_outputs
    return ClipOptions(
        outputs=outputs,
        save=replace(options.saving, overwrite=overwrite, resume=False),
        batch_size=options.speed.batch_size,
        temporal=not options.video.independent,
        prepare=_frame_preparation(results),
        checks_pixels=options.view.named_camera is not None,
        valid_mask=options.refine.valid_pixels,
        calibrate=lambda first: _find_metres(first, job, options.sizes, own_depth, results.note),
        finish=make_finish_function(options),
        is_metric=partial(becomes_metric, options.sizes),
        reference=lambda photo: reference_depth(photo, UNREFINED),
        run=run_record(options, job.medium, source),
        stopwatch=stopwatch,
    )


def _find_metres(
    first: Prediction,
    job: Job,
    sizes: KnownSizes,
    own_depth: OwnDepth | None,
    notify: Callable[[str], None],
) -> MetricConversion | None:
    """Find metres in the first frame; None if the user gives no known sizes.

    ``own_depth`` is depth in the files of the frames, and ``notify`` is called with each note for
    the user.
    """
    photo = first.photo
    assert photo is not None, "a new prediction has its photograph"
    # A sensor's map of a video is upright, whatever the files of the frames state.
    references = read_references(sizes, replace(photo, orientation=1))
    notes = pixel_notes(None, first.shape, references.sparse_points or references.known)
    for note in (*notes, *references.notes):
        notify(note_about(printable(job.source), note))
    if own_depth is not None and not references.give_metres:
        notify(_unused_depth_note(own_depth, job))
    prediction, fitted = convert_by_references(first, replace(references, smooth=False))
    if fitted is None or prediction.calibration is None:
        return None
    require_certain_height(prediction.calibration)
    return MetricConversion(
        fit=fitted.fit,
        calibration=prediction.calibration,
        is_anchored=prediction.anchoring is not None,
    )


def _unused_depth_note(own_depth: OwnDepth, job: Job) -> Note:
    """Return a note that depth in the files of frames does not convert a video to metres."""
    return Note(
        Text(
            f"the depth maps in the frames' files ({own_depth.source}) are not used: give ",
            OptionName("known", "U,V,METRES"),
            " to get metres",
        ),
        path=printable(job.source),
    )


def _frame_preparation(results: ResultWriter) -> Callable[[Photo], Photo]:
    """Return a function that gives frames the user's camera, and checks memory at the first."""
    is_memory_checked = False

    def prepare(frame: Photo) -> Photo:
        """Give a frame the user's camera."""
        nonlocal is_memory_checked
        if not is_memory_checked:
            is_memory_checked = True
            _check_memory_for_results(results, frame.shape)
        return results.prepare(frame)

    return prepare


def _check_memory_for_results(results: ResultWriter, frame_shape: Size) -> None:
    """Raise an error if the results of frames of this size do not fit into memory."""
    height, width = frame_shape
    check_memory(
        results.min_memory(frame_shape),
        f"the results of frames of {width}x{height} pixels",
        Text("choose fewer outputs with ", OptionName("save"), ", or make the video smaller"),
    )


class _ProgressMeter:
    """Display of a video's progress: the fraction that is done, the rate, and the time left."""

    def __init__(self, source: Path, tally: Tally) -> None:
        self._name = source.name
        self._tally = tally
        self._start = time.perf_counter()

    def __call__(self, done_steps: int, total_steps: int | None) -> None:
        """Show the progress in steps, of which each frame has two, one in each pass.

        The total is None or 0 if the number of frames is unknown.
        """
        seconds = max(time.perf_counter() - self._start, 1e-9)
        steps_per_second = done_steps / seconds
        speed = f"{steps_per_second / 2:.1f} frames a second"
        if total_steps:
            seconds_left = (total_steps - done_steps) / steps_per_second
            percentage = 100 * done_steps // total_steps
            self._tally.part(f"{self._name}: {percentage}%, {speed}, {seconds_left:.0f} s left")
        else:
            frames = count_text(done_steps // 2, "frame")
            self._tally.part(f"{self._name}: {frames}, {speed}")
