"""Prediction of one video in two passes and constant memory.

The first stores answers, from which corrections (``temporal``), colours and 16-bit scale
(``extent``) follow; the second finishes and writes frames.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from rilievo.calibration.camera_checks import pixel_notes
from rilievo.calibration.certainty import refuse_uncertain_height
from rilievo.errors import CalibrationError, InputError
from rilievo.errors.messages import Note, OptionName, Text, note_about
from rilievo.io.checksums import CheckLevel
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.files.commit import FileSet, commit_files, fill_or_discard
from rilievo.io.files.machine import check_memory
from rilievo.io.files.names import printable
from rilievo.io.outputs.overwrite_policy import (
    check_claim,
    earlier_sidecar,
    merge_sidecars,
    record_state,
)
from rilievo.io.outputs.sidecar import (
    MEANINGS,
    UNITS,
    DepthFacts,
    SourceFacts,
    camera_facts,
    write_sidecar,
)
from rilievo.io.videos import open_video
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.io.videos.frame_source import DEFAULT_RATE, Coding, Frame, FrameSource, SoundSource
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import (
    is_worth_a_note,
    margins_note,
    with_margins,
    without_trimming,
)
from rilievo.options.photo_options import UNREFINED
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.anchoring import reference_depth
from rilievo.predicting.photographs.finishing import becomes_metric, option_notes
from rilievo.predicting.photographs.fitting import convert_by_references
from rilievo.predicting.photographs.job_references import references_of_job
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.photographs.run_record import run_record
from rilievo.predicting.prefetching import map_ahead
from rilievo.predicting.run_times import FINISH, Stopwatch
from rilievo.predicting.summary import Tally
from rilievo.predicting.videos.clip_options import ClipOptions, MetricConversion, finish_by
from rilievo.predicting.videos.clip_outputs import (
    ClipForm,
    ClipSidecar,
    Extent,
    FolderSink,
    Rendered,
    Sink,
    SinkRow,
    VideoFacts,
    numbers_note,
    open_video_sink,
    sink_rows,
)
from rilievo.predicting.videos.clip_resumption import (
    answers_key,
    file_states,
    open_answers,
    repeat_first_pass,
)
from rilievo.predicting.videos.first_pass import (
    FirstPass,
    Report,
    frames_ahead,
    measure_extent,
    run_first_pass,
)
from rilievo.predicting.videos.frame_answers import StoredAnswers
from rilievo.predicting.videos.steadying import steady_answers, still_frames
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.output_record import Need
from rilievo.prediction.saving import metre_notes, output_parts
from rilievo.records.depth_map import OwnDepth
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

_PIXELS_AT_ONCE = 32_000_000
_NAMED = 4
_FEWEST_BYTES = 16
"""Least bytes of a frame, as lengths may lie."""


def predict_clip(
    source: FrameSource,
    model: Model,
    target: Path,
    options: ClipOptions,
    report: Report = lambda done, total: None,
) -> ClipSidecar:
    """Predict a video, write all or nothing, return the JSON."""
    rows = _result_rows(source, target, options)
    names = [row.path.name for row in rows]
    make_folder(target.parent)
    state = record_state(target)
    claim = check_claim(target, names, overwrite=options.save.overwrite)
    is_positive = model.card.kind is not None and model.card.kind.is_depth
    source_state = file_states(source.path)
    key = answers_key(source, model, options)
    with ExitStack() as outer:
        # After the parts, which give their space back, the answers may be kept.
        answers = outer.enter_context(open_answers(target, key, is_positive=is_positive))
        placement = outer.enter_context(fill_or_discard(claim.make_file_set()))
        parts = outer.enter_context(ExitStack())
        json_part = placement.create_part(placement.record)
        if answers.earlier is None:
            answers.stored.expect(target.parent, _believable_frames(source))
            first_pass = run_first_pass(source, model, answers.stored, options, report)
            answers.keep(key, first_pass)
        else:
            first_pass = repeat_first_pass(source, model, answers.earlier, options)
        clip = _Clip(
            source=source,
            model=model,
            options=options,
            first_pass=first_pass,
            stored=answers.stored,
            # Notes and faults of a source are those of a reading to its end.
            source_state=source_state,
            reads_again=answers.earlier is not None
            or options.checks_pixels
            or _needs_frame_pixels(source, rows, first_pass),
        )
        sidecar = clip.write(rows, placement, parts, report)
        write_sidecar(json_part, replace(sidecar, earlier=claim.earlier))

    def renew() -> str | None:
        """Add another run's results, or refuse."""
        if record_state(target) == state:
            return None
        before = earlier_sidecar(target, sidecar, options.run, CheckLevel.ENDS)
        claim = check_claim(target, names, overwrite=True)
        write_sidecar(json_part, merge_sidecars(sidecar, sidecar.files, before, claim.earlier))
        return claim.pending_text()

    placement.renew = renew
    commit_files(placement)
    return sidecar


def _believable_frames(source: FrameSource) -> int:
    """Estimate of frames that the size of the file allows; 0 if unknown."""
    if source.frame_estimate is None or source.path.is_dir():
        return source.frame_estimate or 0
    return min(source.frame_estimate, source.path.stat().st_size // _FEWEST_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clip:
    source: FrameSource
    model: Model
    options: ClipOptions
    first_pass: FirstPass
    stored: StoredAnswers
    source_state: Sequence[Setting]
    reads_again: bool

    def write(
        self, rows: Sequence[SinkRow], placement: FileSet, parts: ExitStack, report: Report
    ) -> ClipSidecar:
        extent = self._depth_extent()
        form = ClipForm(
            size=self.source.size,
            rate=self.source.rate,
            time_base=self.source.time_base,
            sound=self._sound_source(),
            extent=extent,
            options=self.options.save,
        )
        sinks = [_open_sink(row, form, placement, parts) for row in rows]
        valid_pixels = self._render_and_count_valid(sinks, report)
        facts = [fact for sink in sinks for fact in sink.finish()]
        faults = (self.first_pass.fault, *(sink.fault for sink in sinks))
        outputs, (height, width) = self.options.outputs, self.source.size
        about = self.first_pass.about
        video = self._video_facts(form, tuple(dict.fromkeys(filter(None, faults))))
        of_video = (*video.notes, margins_note(self.first_pass.borders[0], self.source.size))
        return ClipSidecar(
            source=SourceFacts(file=self.source.path.resolve().name, width=width, height=height),
            depth=None if extent is None else _depth_facts(extent, valid_pixels),
            normals=about.normals,
            camera=about.camera,
            calibration=about.calibration,
            anchored=about.anchored,
            anchoring=about.anchoring,
            made_by=about.made_by,
            notes=tuple(note for note in about.notes or () if note not in of_video) or None,
            run=about.run,
            files=tuple(sorted(facts, key=lambda fact: outputs.index(fact.output))),
            video=video,
        )

    @property
    def _origin_tick(self) -> int:
        return min(round(self.source.origin / self.source.time_base), self.first_pass.ticks[0])

    def _sound_source(self) -> SoundSource | None:
        if not _has_pictures(self.options) or not self.source.has_audio:
            return None
        if _sound_suffix(self.source) is None:
            return None
        origin = self._origin_tick * self.source.time_base
        return SoundSource(path=self.source.path, origin=origin)

    def _steady_answers(self) -> Iterator[Inference]:
        kind = self.model.card.kind
        return steady_answers(
            self.stored,
            self.first_pass.corrections,
            self.first_pass.stretches,
            is_positive=kind is not None and kind.is_depth,
        )

    def _frame_prediction(
        self, answer: Inference, photo: Photo, model: Model, index: int
    ) -> Prediction:
        first_pass = self.first_pass
        shot, metric = first_pass.shot_number(index), first_pass.metric
        # The JSON has one camera for a shot; a camera of the photo still takes precedence.
        answer = replace(answer, camera=first_pass.cameras[shot])
        anchoring = first_pass.anchorings[shot] if first_pass.anchorings else None

        def with_clip_facts(prediction: Prediction) -> Prediction:
            anchored = prediction.but(anchoring=anchoring)
            if metric is None:
                return anchored
            in_metres = metric.applied_to(anchored)
            # Known places are those of the first frame.
            is_first = index == 0
            return in_metres if is_first else _without_known_places(in_metres)

        return self.options.finish(model, answer, photo, clip=with_clip_facts)

    def _depth_extent(self) -> Extent | None:
        if self.first_pass.about.depth is None:
            return None
        return measure_extent(
            self._depth_predictions(), count=self.stored.count, what=self.options.save.draw
        )

    def _depth_predictions(self) -> Iterator[Prediction]:
        for index, answer in enumerate(self._steady_answers()):
            assert answer.depth is not None, "the first frame had depth"
            blank = Photo(pixels=np.zeros((*answer.depth.shape, 3), np.uint8))
            alone = Inference(depth=answer.depth, valid=answer.valid, sky=answer.sky)
            yield self._frame_prediction(alone, blank, without_trimming(self.model), index)

    def _frames_and_answers(self) -> Iterator[tuple[Frame, Inference]]:
        source = self.source
        changed = InputError(
            "the video changed while it was being read; try again", path=source.path
        )
        answers = self._steady_answers()
        for frame in frames_ahead(source) if self.reads_again else self._blank_frames():
            answer = next(answers, None)
            if answer is None or frame.ticks != self.first_pass.ticks[frame.index]:
                raise changed
            yield frame, answer
        if next(answers, None) is not None or not (self.reads_again or self._is_source_unchanged()):
            raise changed

    def _is_source_unchanged(self) -> bool:
        with suppress(OSError):
            return file_states(self.source.path) == self.source_state
        return False

    def _blank_frames(self) -> Iterator[Frame]:
        blank = np.broadcast_to(np.uint8(0), (*self.source.size, 3))
        for index, ticks in enumerate(self.first_pass.ticks):
            photo = Photo(pixels=blank, name=f"{self.source.path} frame {index}")
            yield Frame(photo=photo, index=index, ticks=ticks)

    def _render_and_count_valid(self, sinks: Sequence[Sink], report: Report) -> int:
        def finish(work: tuple[Frame, Inference]) -> tuple[Frame, list[Rendered], int]:
            frame, answer = work
            photo = self.options.prepare(frame.photo)
            borders = self.first_pass.borders[self.first_pass.shot_number(frame.index)]
            model = with_margins(self.model, borders)
            prediction = self._frame_prediction(answer, photo, model, frame.index)
            rendered = [sink.render(prediction, frame) for sink in sinks]
            depth = prediction.depth_or_none
            return frame, rendered, 0 if depth is None else int(np.count_nonzero(depth.valid))

        height, width = self.source.size
        workers = max(1, min(os.cpu_count() or 1, _PIXELS_AT_ONCE // (height * width)))
        total, valid_pixels = self.stored.count, 0
        finish_timed = self.options.stopwatch.timed(FINISH, finish)
        for frame, rendered, valid in map_ahead(
            finish_timed, self._frames_and_answers(), workers=workers
        ):
            for sink, picture in zip(sinks, rendered, strict=True):
                sink.write(picture, frame.ticks - self._origin_tick)
            valid_pixels += valid
            report(total + frame.index + 1, 2 * total)
        return valid_pixels

    def _video_facts(self, form: ClipForm, faults: tuple[str, ...]) -> VideoFacts:
        source, first_pass = self.source, self.first_pass
        cameras = tuple(camera_facts(camera, source.size) for camera in first_pass.cameras)
        return VideoFacts(
            frames=len(first_pass.ticks),
            rate=float(source.rate),
            time_base=str(source.time_base),
            ticks=tuple(ticks - self._origin_tick for ticks in first_pass.ticks),
            origin=str(self._origin_tick * source.time_base),
            shots=first_pass.shots,
            borders=first_pass.borders if any(first_pass.borders) else (),
            cameras=cameras if len(set(cameras)) > 1 else (),
            anchorings=first_pass.anchorings,
            scales=tuple(correction.scale for correction in first_pass.corrections),
            shifts=tuple(adjustment.shift for adjustment in first_pass.corrections),
            still=still_frames(first_pass.stretches),
            names=first_pass.names,
            sound=self._sound_words(form),
            notes=(*source.notes, *self._clip_notes(form)),
            faults=faults,
        )

    def _sound_words(self, form: ClipForm) -> str:
        if form.sound is not None:
            return "copied into the pictures"
        if not self.source.has_audio:
            return "none in the source"
        if not _has_pictures(self.options):
            return "not asked for: no output is a picture"
        return "left out: neither MP4 nor Matroska holds its codec"

    def _border_note(self) -> str | None:
        shots, size = self.first_pass.shots, self.source.size
        if len(set(self.first_pass.borders)) == 1:
            return margins_note(self.first_pass.borders[0], size)
        ends = (*shots[1:], len(self.first_pass.ticks))
        named = [
            f"frames {first} to {end - 1}: {borders} px"
            for first, end, borders in zip(shots, ends, self.first_pass.borders, strict=True)
            if is_worth_a_note(borders, size)
        ]
        if not named:
            return None
        more = f"; {len(named) - _NAMED:,} more: video.borders" if len(named) > _NAMED else ""
        return Note(
            Text(
                f"uniform borders of {len(named):,} of {len(shots):,} shots were "
                "left out and have no depth "
                f"({'; '.join(named[:_NAMED])}{more}): ",
                OptionName("trim", "off"),
                " keeps them",
            )
        )

    def _clip_notes(self, form: ClipForm) -> list[str]:
        notes: list[str] = []
        border = self._border_note()
        if border is not None:
            notes.append(border)
        (height, width), (coded_height, coded_width) = (
            form.size,
            form.video(Coding.PICTURE).coded_size,
        )
        if (height, width) != (coded_height, coded_width) and _has_pictures(self.options):
            notes.append(
                f"pictures are {coded_width}x{coded_height}, the last row or column repeated: "
                f"H.264 has no odd sizes such as {width}x{height}"
            )
        if self.first_pass.metric is not None and len(self.first_pass.shots) > 1:
            notes.append(
                "metres were found in the first frame; those of other shots rest on the model "
                "giving every shot the same scale"
            )
        if form.extent is not None:
            notes += metre_notes(form.extent.kind, self.options.outputs)
        counts = numbers_note("png16", form) if "png16" in self.options.outputs else None
        return notes if counts is None else [*notes, counts]


def _needs_frame_pixels(
    source: FrameSource, rows: Sequence[SinkRow], first_pass: FirstPass
) -> bool:
    is_shown = any(row.video is None or Need.PHOTO in output_parts(row.outputs) for row in rows)
    return is_shown or source.has_alpha or bool(first_pass.anchorings)


def _open_sink(row: SinkRow, form: ClipForm, placement: FileSet, parts: ExitStack) -> Sink:
    if row.video is None:
        return FolderSink(placement.create_part_folder(row.path), row.path.name, row.outputs, form)
    return open_video_sink(row, row.video, form, placement, parts)


def _without_known_places(prediction: Prediction) -> Prediction:
    """Prediction whose calibration names no known sizes, which lie elsewhere in its picture."""
    calibration = prediction.calibration
    assert calibration is not None, "it is in metres by a calibration"
    return prediction.but(calibration=replace(calibration, asked=(), residuals=()))


def _has_pictures(options: ClipOptions) -> bool:
    forms = (OUTPUTS[output].video for output in options.outputs)
    return any(form is not None and not form.is_numbers for form in forms)


def _sound_suffix(source: FrameSource) -> str | None:
    from rilievo.io.videos.video_writer import sound_suffix

    return sound_suffix(source.path)


def _result_rows(source: FrameSource, target: Path, options: ClipOptions) -> tuple[SinkRow, ...]:
    has_sound = source.has_audio and _has_pictures(options)
    suffix = _sound_suffix(source) if has_sound else None
    return sink_rows(
        target,
        options.outputs,
        picture_suffix=suffix or ".mp4",
        is_sequence=isinstance(source, FrameFolder),
    )


def _depth_facts(extent: Extent, valid_pixels: int) -> DepthFacts:
    return DepthFacts(
        kind=extent.kind,
        unit=UNITS.get(extent.kind, "arbitrary"),
        meaning=MEANINGS[extent.kind],
        minimum=extent.low if valid_pixels else None,
        maximum=extent.high if valid_pixels else None,
        valid_pixels=valid_pixels,
    )


def predict_video(job: Job, results: ResultWriter, tally: Tally) -> None:
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
    source = _open_source(job, results)
    own = source.own_depth if isinstance(source, FrameFolder) else None
    sidecar = predict_clip(
        source,
        results.model,
        job.target,
        _clip_options(job, results, own, tally.stopwatch),
        _ProgressMeter(job.source, tally),
    )
    doubt = None if sidecar.calibration is None else sidecar.calibration.warning
    common_notes = option_notes(results.options)  # of all inputs
    notes = (*sidecar.video.faults, *sidecar.video.notes, *(sidecar.notes or ()), doubt)
    for note in notes:
        if note is not None and note not in common_notes:
            is_named = note.startswith(str(job.source))
            tally.note(note if is_named else note_about(str(job.source), note))
    tally.begins_anew = None
    seconds = time.perf_counter() - start
    tally.done(job.target, frames=sidecar.video.frames, seconds=seconds)


def _open_source(job: Job, results: ResultWriter) -> FrameSource:
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
        raise CalibrationError(
            problem=Text(
                OptionName("vanishing_points"), " is for photographs: give ", OptionName("fov")
            )
        )
    if options.sizes.markers is not None:
        raise CalibrationError(
            problem=Text(
                OptionName("markers"),
                " is for photographs: measure a point of its first frame, and give ",
                OptionName("known", "U,V,METRES"),
            )
        )


def _frame_preparation(results: ResultWriter) -> Callable[[Photo], Photo]:
    first = iter((True,))

    def prepare(frame: Photo) -> Photo:
        if next(first, False):
            height, width = frame.shape
            check_memory(
                results.min_memory(frame.shape),
                f"the results of frames of {width}x{height} pixels",
                Text(
                    "choose fewer outputs with ", OptionName("save"), ", or make the video smaller"
                ),
            )
        return results.prepare(frame)

    return prepare


def _clip_options(
    job: Job, results: ResultWriter, own: OwnDepth | None, stopwatch: Stopwatch
) -> ClipOptions:
    def calibrate(first: Prediction) -> MetricConversion | None:
        references = references_of_job(job, results.options, first.shape)
        notes = pixel_notes(None, first.shape, references.sparse_points or references.known)
        for note in (*notes, *references.notes):
            results.note(note_about(printable(job.source), note))
        if own is not None and not references.give_metres:
            results.note(
                Note(
                    Text(
                        f"depth that its frames hold ({own.source}) is not used: give ",
                        OptionName("known", "U,V,METRES"),
                        " for metres",
                    ),
                    path=printable(job.source),
                )
            )
        prediction, fitted = convert_by_references(first, replace(references, smooth=False))
        if fitted is None or prediction.calibration is None:
            return None
        refuse_uncertain_height(prediction.calibration)
        is_anchored = prediction.anchoring is not None
        return MetricConversion(
            fit=fitted.fit, facts=prediction.calibration, is_anchored=is_anchored
        )

    saving = results.options.saving
    outputs, adds = results.formats_with_earlier(job)
    return ClipOptions(
        outputs=outputs,
        # Added outputs are written beside those that are there.
        save=replace(saving, overwrite=saving.overwrite or adds, resume=False),
        batch_size=results.options.speed.batch_size,
        temporal=not results.options.video.independent,
        prepare=_frame_preparation(results),
        checks_pixels=results.options.view.named_camera is not None,
        calibrate=calibrate,
        finish=finish_by(results.options),
        is_metric=partial(becomes_metric, results.options),
        reference=lambda photo: reference_depth(photo, UNREFINED),
        run=run_record(job, results.options),
        stopwatch=stopwatch,
    )


class _ProgressMeter:
    def __init__(self, source: Path, tally: Tally) -> None:
        self._name, self._tally = source.name, tally
        self._start = time.perf_counter()

    def __call__(self, done: int, total: int | None) -> None:
        rate = done / max(time.perf_counter() - self._start, 1e-9)
        share = f"{100 * done // total} %" if total else f"{done // 2} frames"
        left = f", {(total - done) / rate:.0f} s left" if total else ""
        self._tally.part(f"{self._name}: {share}, {rate / 2:.1f} frames a second{left}")
