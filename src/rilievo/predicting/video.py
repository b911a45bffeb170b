"""Videos and folders of frames as inputs of ``rilievo predict``."""

import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from rilievo.io.atomic import make_folder, sweep_parts
from rilievo.io.frames import FrameFolder, FrameSource
from rilievo.io.video import VideoReader
from rilievo.predicting.clip import predict_clip
from rilievo.predicting.clip_options import ClipOptions, Metric
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.metres import metres_of, with_metres
from rilievo.predicting.results import Results
from rilievo.predicting.summary import Tally
from rilievo.types import Prediction


def predict_video(job: Job, results: Results, tally: Tally) -> None:
    """Predict one video, or one folder of frames, unless an earlier run has finished it.

    Raises:
        RilievoError: If that cannot be done; nothing half-written is left.
    """
    if results.is_finished(job):
        tally.finished_before()
        return
    # A clip that is stopped leaves nothing to go on from.
    tally.begins_anew = job.source
    start = time.perf_counter()
    folder = job.target.parent
    make_folder(folder)
    sweep_parts(folder)
    sidecar = predict_clip(
        _open(job, results),
        results.model,
        job.target,
        _options(job, results),
        _Meter(job.source, tally),
    )
    doubt = None if sidecar.calibration is None else sidecar.calibration.warning
    for remark in (*sidecar.video.faults, *sidecar.video.notes, *((doubt,) if doubt else ())):
        tally.note(remark if remark.startswith(str(job.source)) else f"{job.source}: {remark}")
    tally.begins_anew = None
    seconds = time.perf_counter() - start
    tally.done(job.target, frames=sidecar.video.frames, seconds=seconds)


def _open(job: Job, results: Results) -> FrameSource:
    if job.medium is Medium.SEQUENCE:
        rate = Fraction(results.options.fps).limit_denominator(1001)
        return FrameFolder(job.source, rate=rate)
    return VideoReader(job.source)


def _options(job: Job, results: Results) -> ClipOptions:
    def calibrate(first: Prediction) -> Metric | None:
        prediction, fitted = with_metres(
            first, replace(metres_of(results.options, job, first.shape), smooth=False)
        )
        if fitted is None or prediction.calibration is None:
            return None
        return Metric(fit=fitted.fit, facts=prediction.calibration)

    outputs, adds = results.formats_with_those_there(job)
    return ClipOptions(
        outputs=outputs,
        save=replace(results.save_options(), overwrite=results.options.overwrite or adds),
        batch_size=results.options.batch_size,
        temporal=not results.options.independent,
        prepare=results.prepare,
        calibrate=calibrate,
        run=results.run_facts(job),
    )


class _Meter:
    """Turns frames done into a line about one video."""

    def __init__(self, source: Path, tally: Tally) -> None:
        self._name, self._tally = source.name, tally
        self._start = time.perf_counter()

    def __call__(self, done: int, total: int | None) -> None:
        """Say how far it is; every frame counts twice, once each time through."""
        rate = done / max(time.perf_counter() - self._start, 1e-9)
        share = f"{100 * done // total} %" if total else f"{done // 2} frames"
        left = f", {(total - done) / rate:.0f} s left" if total else ""
        self._tally.part(f"{self._name}: {share}, {rate / 2:.1f} frames a second{left}")
