"""Prediction of one video in two passes and constant memory.

The first pass stores the network's answers to all frames. From them follow corrections of the
frames (``temporal``), and the range of colours and of 16-bit numbers (``Extent``). The second pass
finishes the frames and writes the results.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.checksums import CheckLevel
from rilievo.io.files.atomic import make_folder
from rilievo.io.files.commit import FileSet, commit_files, fill_or_discard
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
    FileFacts,
    SourceFacts,
    camera_facts,
    write_sidecar,
)
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.io.videos.frame_source import Coding, Frame, FrameSource, SoundSource
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import (
    is_worth_a_note,
    margins_note,
    with_margins,
    without_trimming,
)
from rilievo.predicting.prefetching import map_ahead
from rilievo.predicting.run_times import FINISH
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.predicting.videos.clip_outputs import (
    ClipForm,
    ClipSidecar,
    Extent,
    FolderSink,
    PlannedResult,
    Rendered,
    Sink,
    VideoFacts,
    numbers_note,
    open_video_sink,
    plan_results,
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
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

_MAX_PIXELS_IN_WORK = 32_000_000
"""Most pixels of frames that are finished at once; one frame always is."""
_MAX_NAMED_SHOTS = 4
"""Most shots that a note on borders lists."""
_MIN_FRAME_BYTES = 16
"""Fewest bytes of a frame in a file, since a file may state a wrong number of frames."""


def predict_clip(
    source: FrameSource,
    model: Model,
    target: Path,
    options: ClipOptions,
    report: Report = lambda done, total: None,
) -> ClipSidecar:
    """Predict a video, and write all of its results or none.

    Args:
        source: The video.
        model: Model whose answers are stored.
        target: Path of the results without suffix.
        options: Options of one video.
        report: Function that is told the progress.

    Returns:
        The JSON that was written beside the results.
    """
    results = _plan_results(source, target, options)
    names = [result.path.name for result in results]
    make_folder(target.parent)
    state = record_state(target)
    claim = check_claim(target, names, overwrite=options.save.overwrite)
    source_state = file_states(source.path)
    key = answers_key(source, model, options)
    with ExitStack() as outer:
        # It is left last, after the parts gave their space back, so that answers can be kept.
        answers = outer.enter_context(
            open_answers(target, key, is_positive=_predicts_positive_depth(model))
        )
        placement = outer.enter_context(fill_or_discard(claim.make_file_set()))
        parts = outer.enter_context(ExitStack())
        json_part = placement.create_part(placement.record)
        if answers.earlier is not None:
            first_pass = repeat_first_pass(source, model, answers.earlier, options)
        else:
            answers.stored.expect(target.parent, _believable_frame_count(source))
            first_pass = run_first_pass(source, model, answers.stored, options, report)
            answers.keep(key, first_pass)

        second_pass = _SecondPass(
            source=source,
            model=model,
            options=options,
            first_pass=first_pass,
            stored=answers.stored,
            source_state=source_state,
            # The notes and faults of a source are known after it was read to its end.
            reads_again=answers.earlier is not None
            or options.checks_pixels
            or _needs_frame_pixels(source, results, first_pass),
        )
        sidecar = second_pass.write(results, placement, parts, report)
        write_sidecar(json_part, replace(sidecar, earlier=claim.earlier))

    def renew() -> str | None:
        """Add the results that another run wrote meanwhile, or refuse to replace them."""
        if record_state(target) == state:
            return None
        before = earlier_sidecar(target, sidecar, options.run, CheckLevel.ENDS)
        claim = check_claim(target, names, overwrite=True)
        write_sidecar(json_part, merge_sidecars(sidecar, sidecar.files, before, claim.earlier))
        return claim.pending_text()

    placement.renew = renew
    commit_files(placement)
    return sidecar


def _plan_results(
    source: FrameSource, target: Path, options: ClipOptions
) -> tuple[PlannedResult, ...]:
    """Decide which videos and folders are written; suffixes of pictures are those for the sound."""
    copies_sound = source.has_audio and _has_pictures(options)
    suffix = _sound_suffix(source) if copies_sound else None
    return plan_results(
        target,
        options.outputs,
        picture_suffix=suffix or ".mp4",
        is_sequence=isinstance(source, FrameFolder),
    )


def _has_pictures(options: ClipOptions) -> bool:
    """Whether an output is a video of pictures, which may have sound."""
    forms = [OUTPUTS[output].video for output in options.outputs]
    return any(form is not None and not form.is_numbers for form in forms)


def _sound_suffix(source: FrameSource) -> str | None:
    """Suffix of a video that can hold the source's sound; None if none can."""
    from rilievo.io.videos.video_writer import sound_suffix

    return sound_suffix(source.path)


def _predicts_positive_depth(model: Model) -> bool:
    return model.card.kind is not None and model.card.kind.is_depth


def _believable_frame_count(source: FrameSource) -> int:
    """Estimated number of frames, as far as the size of the file allows it; 0 if unknown."""
    if source.frame_estimate is None or source.path.is_dir():
        return source.frame_estimate or 0
    return min(source.frame_estimate, source.path.stat().st_size // _MIN_FRAME_BYTES)


def _needs_frame_pixels(
    source: FrameSource, results: Sequence[PlannedResult], first_pass: FirstPass
) -> bool:
    """Whether the second pass needs the pixels of frames, and not only stored answers."""
    shows_photo = any(
        result.video is None or Need.PHOTO in output_parts(result.outputs) for result in results
    )
    return shows_photo or source.has_alpha or bool(first_pass.anchorings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SecondPass:
    """Second pass over a video, which finishes its frames and writes the results.

    Attributes:
        source: The video.
        model: Model of the first pass.
        options: Options of the video.
        first_pass: What the first pass found.
        stored: Answers of the first pass.
        source_state: Sizes and times of the video's files before the first pass.
        reads_again: Whether the frames are read again; otherwise they are blank.
    """

    source: FrameSource
    model: Model
    options: ClipOptions
    first_pass: FirstPass
    stored: StoredAnswers
    source_state: Sequence[Setting]
    reads_again: bool

    def write(
        self,
        results: Sequence[PlannedResult],
        placement: FileSet,
        parts: ExitStack,
        report: Report,
    ) -> ClipSidecar:
        """Write the results as parts of a placement, and return the JSON."""
        extent = self._measure_extent()
        form = ClipForm(
            size=self.source.size,
            rate=self.source.rate,
            time_base=self.source.time_base,
            sound=self._sound_source(),
            extent=extent,
            options=self.options.save,
        )
        sinks = [_open_sink(result, form, placement, parts) for result in results]
        valid_pixels = self._render_and_count_valid(sinks, report)
        files = [facts for sink in sinks for facts in sink.finish()]
        faults = [self.first_pass.fault, *(sink.fault for sink in sinks)]
        different_faults = tuple(dict.fromkeys(fault for fault in faults if fault))
        return self._make_sidecar(
            video=self._video_facts(form, different_faults),
            depth=None if extent is None else _depth_facts(extent, valid_pixels),
            files=files,
        )

    def _make_sidecar(
        self, *, video: VideoFacts, depth: DepthFacts | None, files: Sequence[FileFacts]
    ) -> ClipSidecar:
        """JSON of the video: what was found in both passes, and the facts of the first frame."""
        height, width = self.source.size
        outputs, first_frame = self.options.outputs, self.first_pass.sidecar
        # What is said of the whole video is not said of its first frame, too.
        video_notes = (*video.notes, margins_note(self.first_pass.borders[0], self.source.size))
        notes = tuple(note for note in first_frame.notes or () if note not in video_notes)
        return ClipSidecar(
            source=SourceFacts(file=self.source.path.resolve().name, width=width, height=height),
            depth=depth,
            normals=first_frame.normals,
            camera=first_frame.camera,
            calibration=first_frame.calibration,
            anchored=first_frame.anchored,
            anchoring=first_frame.anchoring,
            made_by=first_frame.made_by,
            notes=notes or None,
            run=first_frame.run,
            files=tuple(sorted(files, key=lambda file: outputs.index(file.output))),
            video=video,
        )

    @property
    def _origin_tick(self) -> int:
        """Time in the source from which the results count [ticks]."""
        return min(round(self.source.origin / self.source.time_base), self.first_pass.ticks[0])

    def _sound_source(self) -> SoundSource | None:
        """Sound that is copied into pictures; None without any."""
        if not _has_pictures(self.options) or not self.source.has_audio:
            return None
        if _sound_suffix(self.source) is None:
            return None
        origin = self._origin_tick * self.source.time_base
        return SoundSource(path=self.source.path, origin=origin)

    def _measure_extent(self) -> Extent | None:
        """Range of the video's depth; None without depth."""
        if self.first_pass.sidecar.depth is None:
            return None
        return measure_extent(
            self._depth_predictions(), count=self.stored.count, what=self.options.save.draw
        )

    def _depth_predictions(self) -> Iterator[Prediction]:
        """Yield the depth and the sky of all frames, with blank pixels."""
        for index, answer in enumerate(self._steady_answers()):
            assert answer.depth is not None, "the first frame had depth"
            blank = Photo(pixels=np.zeros((*answer.depth.shape, 3), np.uint8))
            depth_only = Inference(depth=answer.depth, valid=answer.valid, sky=answer.sky)
            yield self._frame_prediction(depth_only, blank, without_trimming(self.model), index)

    def _steady_answers(self) -> Iterator[Inference]:
        """Yield the stored answers, corrected and held steady where nothing moves."""
        return steady_answers(
            self.stored,
            self.first_pass.corrections,
            self.first_pass.stretches,
            is_positive=_predicts_positive_depth(self.model),
        )

    def _frame_prediction(
        self, answer: Inference, photo: Photo, model: Model, index: int
    ) -> Prediction:
        """Finish a frame with what is known of its shot and of the video."""
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
            # Known sizes lie at pixels of the first frame.
            return in_metres if index == 0 else _without_known_sizes(in_metres)

        return self.options.finish(model, answer, photo, clip=with_clip_facts)

    def _render_and_count_valid(self, sinks: Sequence[Sink], report: Report) -> int:
        """Write all frames, and return the number of pixels with depth."""

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
        workers = max(1, min(os.cpu_count() or 1, _MAX_PIXELS_IN_WORK // (height * width)))
        finish_timed = self.options.stopwatch.timed(FINISH, finish)
        count, valid_pixels = self.stored.count, 0
        for frame, rendered, valid in map_ahead(
            finish_timed, self._frames_and_answers(), workers=workers
        ):
            for sink, frame_data in zip(sinks, rendered, strict=True):
                sink.write(frame_data, frame.ticks - self._origin_tick)
            valid_pixels += valid
            report(count + frame.index + 1, 2 * count)
        return valid_pixels

    def _frames_and_answers(self) -> Iterator[tuple[Frame, Inference]]:
        """Yield frames with their corrected answers.

        Raises:
            InputError: If the video has changed since the first pass.
        """
        changed = InputError(
            "the video changed while it was being read; try again", path=self.source.path
        )
        answers = self._steady_answers()
        frames = frames_ahead(self.source) if self.reads_again else self._blank_frames()
        for frame in frames:
            answer = next(answers, None)
            if answer is None or frame.ticks != self.first_pass.ticks[frame.index]:
                raise changed
            yield frame, answer
        if next(answers, None) is not None:
            raise changed
        if not self.reads_again and not self._is_source_unchanged():
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

    def _video_facts(self, form: ClipForm, faults: tuple[str, ...]) -> VideoFacts:
        """What the JSON says about the video as a whole."""
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
            shifts=tuple(correction.shift for correction in first_pass.corrections),
            still=still_frames(first_pass.stretches),
            names=first_pass.names,
            sound=self._describe_sound(form),
            notes=(*source.notes, *self._video_notes(form)),
            faults=faults,
        )

    def _describe_sound(self, form: ClipForm) -> str:
        """What became of the source's sound, for the JSON."""
        if form.sound is not None:
            return "copied into the pictures"
        if not self.source.has_audio:
            return "none in the source"
        if not _has_pictures(self.options):
            return "not asked for: no output is a picture"
        return "left out: neither MP4 nor Matroska holds its codec"

    def _video_notes(self, form: ClipForm) -> list[str]:
        """Notes on what was assumed or left out in the whole video."""
        notes: list[str] = []
        border_note = self._border_note()
        if border_note is not None:
            notes.append(border_note)
        height, width = form.size
        coded_height, coded_width = form.video(Coding.PICTURE).coded_size
        if form.size != (coded_height, coded_width) and _has_pictures(self.options):
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
        if "png16" in self.options.outputs:
            note = numbers_note("png16", form)
            if note is not None:
                notes.append(note)
        return notes

    def _border_note(self) -> str | None:
        """Note on borders that were left out; None if there are none worth it."""
        shots, all_borders, size = self.first_pass.shots, self.first_pass.borders, self.source.size
        if len(set(all_borders)) == 1:
            return margins_note(all_borders[0], size)
        ends = (*shots[1:], len(self.first_pass.ticks))
        named = [
            f"frames {first} to {end - 1}: {borders} px"
            for first, end, borders in zip(shots, ends, all_borders, strict=True)
            if is_worth_a_note(borders, size)
        ]
        if not named:
            return None
        more = ""
        if len(named) > _MAX_NAMED_SHOTS:
            more = f"; {len(named) - _MAX_NAMED_SHOTS:,} more: video.borders"
        return Note(
            Text(
                f"uniform borders of {len(named):,} of {len(shots):,} shots were left out and have "
                f"no depth ({'; '.join(named[:_MAX_NAMED_SHOTS])}{more}): ",
                OptionName("trim", "off"),
                " keeps them",
            )
        )


def _open_sink(result: PlannedResult, form: ClipForm, placement: FileSet, parts: ExitStack) -> Sink:
    if result.video is None:
        part = placement.create_part_folder(result.path)
        return FolderSink(part, result.path.name, result.outputs, form)
    return open_video_sink(result, result.video, form, placement, parts)


def _without_known_sizes(prediction: Prediction) -> Prediction:
    """Prediction whose calibration names no known sizes, which lie elsewhere in its picture."""
    calibration = prediction.calibration
    assert calibration is not None, "it is in metres by a calibration"
    return prediction.but(calibration=replace(calibration, asked=(), residuals=()))


def _depth_facts(extent: Extent, valid_pixels: int) -> DepthFacts:
    """What the JSON says about the depth of all frames."""
    return DepthFacts(
        kind=extent.kind,
        unit=UNITS.get(extent.kind, "arbitrary"),
        meaning=MEANINGS[extent.kind],
        minimum=extent.low if valid_pixels else None,
        maximum=extent.high if valid_pixels else None,
        valid_pixels=valid_pixels,
    )
