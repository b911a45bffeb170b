"""Predict one video in two passes and constant memory.

The first pass runs the network on all frames and stores its inferences. They determine corrections
of the frames (``temporal``), and the range of colours and of 16-bit numbers (``ClipDepthRange``).
The second pass finishes the frames and writes the results.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Mask, Size
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.checksums import CheckLevel
from rilievo.io.files.atomic import make_folder
from rilievo.io.files.commit import FileSet, commit_files, fill_or_discard
from rilievo.io.outputs.formats.colour_files import measure_depth_range
from rilievo.io.outputs.overwrite_policy import (
    Claim,
    RecordedFiles,
    check_claim,
    earlier_sidecar,
)
from rilievo.io.outputs.sidecar import (
    DepthFacts,
    FileFacts,
    Sidecar,
    SourceFacts,
    camera_facts,
    depth_facts,
)
from rilievo.io.outputs.video_drawing import ClipDepthRange
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
    ClipFormat,
    ClipSidecar,
    FolderSink,
    PlannedResult,
    Rendered,
    Sink,
    VideoFacts,
    check_videos_can_be_written,
    open_video_sink,
    plan_results,
)
from rilievo.predicting.videos.clip_resumption import (
    file_states,
    inferences_key,
    open_clip_inferences,
    repeat_first_pass,
)
from rilievo.predicting.videos.first_pass import (
    FirstPass,
    Report,
    frames_ahead,
    run_first_pass,
    shrink_mask,
)
from rilievo.predicting.videos.steadying import steady_inferences, still_spans
from rilievo.predicting.videos.stored_inferences import StoredInferences
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS, Need
from rilievo.prediction.saving import output_parts, video_saving_notes
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

_MAX_PIXELS_IN_WORK = 32_000_000
"""Maximum of pixels in frames that are finished at once, but at least one frame is."""
_MAX_NAMED_SHOTS = 4
"""Maximum number of shots that a note on borders lists."""
_MIN_FRAME_BYTES = 16
"""Minimum size of a frame in a file, to bound a number of frames that a file states wrongly."""


def predict_clip(
    source: FrameSource,
    model: Model,
    target: Path,
    options: ClipOptions,
    report: Report = lambda done, total: None,
) -> ClipSidecar:
    """Predict a video, and write all of its results or none.

    ``target`` is the path of the results without suffix, and ``report`` is called with the
    progress.

    Returns:
        The JSON that was written beside the results.
    """
    results = _plan_results(source, target, options)
    check_videos_can_be_written(results)
    names = [result.path.name for result in results]
    make_folder(target.parent)
    recorded = RecordedFiles(
        target, lambda: (None, check_claim(target, names, overwrite=options.save.overwrite))
    )
    source_state = file_states(source.path)
    key = inferences_key(source, model, options)
    with ExitStack() as resources:
        # Entered first and so closed last: if the disk is full, the parts of the results have been
        # removed by then, and there is room to keep the inferences.
        inferences = resources.enter_context(
            open_clip_inferences(target, key, is_positive=_predicts_positive_depth(model))
        )
        file_set = resources.enter_context(fill_or_discard(recorded.file_set))
        open_writers = resources.enter_context(ExitStack())
        recorded.create_record_part()
        is_resumed = inferences.earlier is not None
        if inferences.earlier is not None:
            # An earlier run has made the inferences of all frames.
            first_pass = repeat_first_pass(source, model, inferences.earlier, options)
        else:
            inferences.stored.check_space_for(_believable_frame_count(source), target.parent)
            first_pass = run_first_pass(source, model, inferences.stored, options, report)
            inferences.append_first_pass(key, first_pass)

        needs_pixels = options.checks_pixels or _needs_frame_pixels(source, results, first_pass)
        second_pass = _SecondPass(
            source=source,
            model=model,
            options=options,
            first_pass=first_pass,
            stored=inferences.stored,
            source_state=source_state,
            # Without a first pass in this run, the source has to be read to its end for its notes.
            reads_again=is_resumed or needs_pixels,
        )
        sidecar = second_pass.write(results, file_set, open_writers, report)

        def claim_again() -> tuple[Sidecar | None, Claim]:
            """Check results that another run has written meanwhile; they must agree."""
            other_sidecar = earlier_sidecar(target, sidecar, options.run, CheckLevel.ENDS)
            return other_sidecar, check_claim(target, names, overwrite=True)

        recorded.write_record(sidecar, claim_again)

    commit_files(file_set)
    return sidecar


def _plan_results(
    source: FrameSource, target: Path, options: ClipOptions
) -> tuple[PlannedResult, ...]:
    """Decide which videos and folders are written; the container of pictures must fit the sound."""
    copies_sound = source.has_audio and _has_pictures(options)
    suffix = _sound_suffix(source) if copies_sound else None
    return plan_results(
        target,
        options.outputs,
        picture_suffix=suffix or ".mp4",
        is_sequence=source.is_folder,
    )


def _has_pictures(options: ClipOptions) -> bool:
    """Whether an output is a video of pictures, which may have sound."""
    video_forms = [OUTPUTS[output].video for output in options.outputs]
    return any(video is not None and not video.is_numbers for video in video_forms)


def _sound_suffix(source: FrameSource) -> str | None:
    """Return the suffix of a container that can hold the source's sound; None if none can."""
    from rilievo.io.videos.video_writer import sound_suffix

    return sound_suffix(source.path)


def _predicts_positive_depth(model: Model) -> bool:
    return model.card.kind is not None and model.card.kind.is_depth


def _believable_frame_count(source: FrameSource) -> int:
    """Estimate the number of frames, bounded by the size of the file; 0 if unknown."""
    if source.frame_estimate is None:
        return 0
    if source.is_folder:
        return source.frame_estimate
    max_frame_count = source.path.stat().st_size // _MIN_FRAME_BYTES
    return min(source.frame_estimate, max_frame_count)


def _needs_frame_pixels(
    source: FrameSource, results: Sequence[PlannedResult], first_pass: FirstPass
) -> bool:
    """Whether the second pass needs the pixels of frames, besides the stored inferences."""
    shows_photo = any(
        result.video is None or Need.PHOTO in output_parts(result.outputs) for result in results
    )
    return shows_photo or source.has_alpha or bool(first_pass.anchorings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FinishedFrame:
    """Frame with its results for each sink, and the number of its pixels with depth."""

    frame: Frame
    rendered: list[Rendered]
    valid_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _SecondPass:
    """Second pass over a video, which finishes its frames and writes the results.

    Attributes:
        stored: Inferences of the first pass.
        source_state: Sizes and times of the video's files before the first pass.
        reads_again: Whether the frames are read again. Otherwise they are blank.
    """

    source: FrameSource
    model: Model
    options: ClipOptions
    first_pass: FirstPass
    stored: StoredInferences
    source_state: Sequence[Setting]
    reads_again: bool

    def write(
        self,
        results: Sequence[PlannedResult],
        file_set: FileSet,
        open_writers: ExitStack,
        report: Report,
    ) -> ClipSidecar:
        """Write the results under temporary names of the set, and return the JSON."""
        depth_range = self._measure_depth_range()
        clip_format = ClipFormat(
            size=self.source.size,
            rate=self.source.rate,
            time_base=self.source.time_base,
            sound=self._sound_source(),
            depth_range=depth_range,
            options=self.options.save,
        )
        sinks = [_open_sink(result, clip_format, file_set, open_writers) for result in results]
        valid_pixels = self._write_frames(sinks, report)
        files = [facts for sink in sinks for facts in sink.finish()]
        faults = [self.first_pass.fault, *(sink.fault for sink in sinks)]
        unique_faults = tuple(dict.fromkeys(fault for fault in faults if fault))
        return self._make_sidecar(
            video=self._video_facts(clip_format, unique_faults),
            depth=None if depth_range is None else _depth_facts(depth_range, valid_pixels),
            files=files,
        )

    def _make_sidecar(
        self, *, video: VideoFacts, depth: DepthFacts | None, files: Sequence[FileFacts]
    ) -> ClipSidecar:
        """Make the JSON from both passes and from the prediction of the first frame."""
        height, width = self.source.size
        outputs = self.options.outputs
        first_frame = self.first_pass.sidecar
        # Notes on the whole video are not repeated as notes on its first frame.
        video_notes = (
            *video.notes,
            margins_note(self.first_pass.shots[0].borders, self.source.size),
        )
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
        """Time in the source that is zero in the results [ticks]."""
        return min(round(self.source.origin / self.source.time_base), self.first_pass.ticks[0])

    def _sound_source(self) -> SoundSource | None:
        """Return the sound that is copied into videos of pictures, if any."""
        if not _has_pictures(self.options) or not self.source.has_audio:
            return None
        if _sound_suffix(self.source) is None:
            return None
        origin = self._origin_tick * self.source.time_base
        return SoundSource(path=self.source.path, origin=origin)

    def _measure_depth_range(self) -> ClipDepthRange | None:
        """Measure the range of the video's depth; None if the video has no depth."""
        if self.first_pass.sidecar.depth is None:
            return None
        return measure_depth_range(
            self._depth_predictions(), count=self.stored.count, what=self.options.save.draw
        )

    def _depth_predictions(self) -> Iterator[Prediction]:
        """Yield predictions with the depth and the sky of all frames, but with blank pixels."""
        for index, inference in enumerate(self._steady_inferences()):
            assert inference.depth is not None, "the first frame had depth"
            size = inference.depth.shape
            blank = Photo(
                pixels=np.zeros((*size, 3), np.uint8), transparent=self._masked_pixels(index, size)
            )
            depth_only = Inference(depth=inference.depth, valid=inference.valid, sky=inference.sky)
            yield self._frame_prediction(depth_only, blank, without_trimming(self.model), index)

    def _masked_pixels(self, index: int, size: Size) -> Mask | None:
        """Pixels of a frame's inference that the user's mask leaves out; None without a mask."""
        valid = self.options.valid_mask
        if valid is None:
            return None
        borders = self.first_pass.shot_of(index).borders
        return shrink_mask(~valid[borders.inside(valid.shape)], size)

    def _steady_inferences(self) -> Iterator[Inference]:
        """Yield the stored inferences, corrected and averaged over time where nothing moves."""
        return steady_inferences(
            self.stored,
            self.first_pass.corrections,
            self.first_pass.stretches,
            is_positive=_predicts_positive_depth(self.model),
        )

    def _frame_prediction(
        self, inference: Inference, photo: Photo, model: Model, index: int
    ) -> Prediction:
        """Finish a frame with the camera and the anchoring of its shot, and the video's metres."""
        metric = self.first_pass.metric
        shot = self.first_pass.shot_of(index)
        # All frames of a shot get the same camera. If the photo has a camera, that is used instead.
        inference = replace(inference, camera=shot.camera)

        def apply_clip_calibration(prediction: Prediction) -> Prediction:
            """Anchor the depth of the frame, and convert it to metres if the video has them."""
            anchored = prediction.but(anchoring=shot.anchoring)
            if metric is None:
                return anchored
            in_metres = metric.apply_to(anchored)
            # The known sizes are at pixels of the first frame.
            return in_metres if index == 0 else _without_known_sizes(in_metres)

        return self.options.finish(model, inference, photo, clip=apply_clip_calibration)

    def _finish_frame(
        self, sinks: Sequence[Sink], frame_and_inference: tuple[Frame, Inference]
    ) -> _FinishedFrame:
        """Render a frame for all sinks, and count its pixels with depth."""
        frame, inference = frame_and_inference
        photo = self.options.prepare(frame.photo)
        model = with_margins(self.model, self.first_pass.shot_of(frame.index).borders)
        prediction = self._frame_prediction(inference, photo, model, frame.index)
        rendered = [sink.render(prediction, frame) for sink in sinks]
        depth = prediction.depth_or_none
        valid_count = 0 if depth is None else int(np.count_nonzero(depth.valid))
        return _FinishedFrame(frame=frame, rendered=rendered, valid_count=valid_count)

    def _write_frames(self, sinks: Sequence[Sink], report: Report) -> int:
        """Write all frames, and return the number of their pixels with depth.

        Several threads finish frames ahead, and this one writes them in order.
        """
        height, width = self.source.size
        workers = max(1, min(os.cpu_count() or 1, _MAX_PIXELS_IN_WORK // (height * width)))
        finish_frame = partial(self._finish_frame, sinks)
        finish_timed = self.options.stopwatch.timed(FINISH, finish_frame)
        frame_count = self.stored.count
        total_valid_count = 0
        for finished in map_ahead(finish_timed, self._frames_and_inferences(), workers=workers):
            frame = finished.frame
            for sink, frame_data in zip(sinks, finished.rendered, strict=True):
                sink.write(frame_data, frame.ticks - self._origin_tick)
            total_valid_count += finished.valid_count
            # Each frame counts twice: the first pass has counted all of them once.
            report(frame_count + frame.index + 1, 2 * frame_count)
        return total_valid_count

    def _frames_and_inferences(self) -> Iterator[tuple[Frame, Inference]]:
        """Yield frames with their corrected inferences.

        Raises:
            InputError: If the source has other frames, or at other times, than in the first pass.
        """
        changed_error = InputError(
            "the video changed while it was being read; try again", path=self.source.path
        )
        inferences = self._steady_inferences()
        frames = frames_ahead(self.source) if self.reads_again else self._blank_frames()
        for frame in frames:
            inference = next(inferences, None)
            if inference is None or frame.ticks != self.first_pass.ticks[frame.index]:
                raise changed_error
            yield frame, inference
        if next(inferences, None) is not None:
            raise changed_error
        if not self.reads_again and not self._is_source_unchanged():
            raise changed_error

    def _is_source_unchanged(self) -> bool:
        """Whether the source's files have the sizes and times of before the first pass."""
        with suppress(OSError):
            return file_states(self.source.path) == self.source_state
        return False

    def _blank_frames(self) -> Iterator[Frame]:
        """Yield black frames with the times of the first pass, if no output shows pixels."""
        blank = np.broadcast_to(np.uint8(0), (*self.source.size, 3))
        for index, ticks in enumerate(self.first_pass.ticks):
            photo = Photo(pixels=blank, name=f"{self.source.path} frame {index}")
            yield Frame(photo=photo, index=index, ticks=ticks)

    def _video_facts(self, clip_format: ClipFormat, faults: tuple[str, ...]) -> VideoFacts:
        """Make the record of the video as a whole, for the JSON."""
        source = self.source
        first_pass = self.first_pass
        shots = first_pass.shots
        borders = tuple(shot.borders for shot in shots)
        cameras = tuple(camera_facts(shot.camera, source.size) for shot in shots)
        return VideoFacts(
            frames=len(first_pass.ticks),
            rate=float(source.rate),
            time_base=str(source.time_base),
            ticks=tuple(ticks - self._origin_tick for ticks in first_pass.ticks),
            origin=str(self._origin_tick * source.time_base),
            shots=tuple(shot.first_frame for shot in shots),
            borders=borders if any(borders) else (),
            cameras=cameras if len(set(cameras)) > 1 else (),
            anchorings=first_pass.anchorings,
            scales=tuple(correction.scale for correction in first_pass.corrections),
            shifts=tuple(correction.shift for correction in first_pass.corrections),
            still=still_spans(first_pass.stretches),
            names=first_pass.names,
            sound=self._describe_sound(clip_format),
            notes=(*source.notes, *self._video_notes(clip_format)),
            faults=faults,
        )

    def _describe_sound(self, clip_format: ClipFormat) -> str:
        """Describe for the JSON what was done with the source's sound."""
        if clip_format.sound is not None:
            return "copied into the picture videos"
        if not self.source.has_audio:
            return "the source has no sound"
        if not _has_pictures(self.options):
            return "not copied, because no output is a picture video"
        return "left out, because neither MP4 nor Matroska supports its codec"

    def _video_notes(self, clip_format: ClipFormat) -> list[str]:
        """Return notes on what was assumed or left out in the whole video."""
        candidates = (self._border_note(), self._odd_size_note(clip_format))
        notes = [note for note in candidates if note is not None]
        if self.first_pass.metric is not None and len(self.first_pass.shots) > 1:
            notes.append(
                "metres were determined in the first frame; for other shots, rilievo "
                "assumes that the model predicts every shot at the same scale"
            )
        if clip_format.depth_range is not None:
            notes += video_saving_notes(clip_format.depth_range, self.options.outputs)
        return notes

    def _odd_size_note(self, clip_format: ClipFormat) -> str | None:
        """Return a note if videos of pictures are larger than the source; None otherwise."""
        height, width = clip_format.size
        coded_height, coded_width = clip_format.video(Coding.PICTURE).coded_size
        if (height, width) == (coded_height, coded_width) or not _has_pictures(self.options):
            return None
        return (
            f"pictures are {coded_width}x{coded_height}, with the last row or column "
            "repeated, because H.264 does not support odd sizes such as "
            f"{width}x{height}"
        )

    def _border_note(self) -> str | None:
        """Return a note on borders that were left out; None if they are too narrow to matter."""
        size = self.source.size
        shots = self.first_pass.shots
        all_shots_have_equal_borders = len({shot.borders for shot in shots}) == 1
        if all_shots_have_equal_borders:
            return margins_note(shots[0].borders, size)
        # A shot ends before the first frame of the next one.
        end_frames = (*(shot.first_frame for shot in shots[1:]), len(self.first_pass.ticks))
        trimmed_shots = [
            f"frames {shot.first_frame} to {end_frame - 1}: {shot.borders} px"
            for shot, end_frame in zip(shots, end_frames, strict=True)
            if is_worth_a_note(shot.borders, size)
        ]
        if not trimmed_shots:
            return None
        return Note(
            Text(
                f"uniform borders of {len(trimmed_shots):,} of {len(shots):,} shots were left out "
                f"and have no depth ({_list_shots(trimmed_shots)}): ",
                OptionName("trim", "off"),
                " keeps them",
            )
        )


def _list_shots(descriptions: Sequence[str]) -> str:
    """Join the descriptions of the first few shots, and say how many more there are."""
    listed = "; ".join(descriptions[:_MAX_NAMED_SHOTS])
    unlisted_count = len(descriptions) - _MAX_NAMED_SHOTS
    if unlisted_count > 0:
        listed += f"; {unlisted_count:,} more are listed in video.borders"
    return listed


def _open_sink(
    result: PlannedResult, clip_format: ClipFormat, file_set: FileSet, open_writers: ExitStack
) -> Sink:
    """Open the sink of a result under a temporary name: a video, or a folder of frames."""
    if result.video is None:
        part = file_set.create_part_folder(result.path)
        return FolderSink(part, result.path.name, result.outputs, clip_format)
    return open_video_sink(result, result.video, clip_format, file_set, open_writers)


def _without_known_sizes(prediction: Prediction) -> Prediction:
    """Remove the known sizes from the record of the calibration; they are in another frame."""
    calibration = prediction.calibration
    assert calibration is not None, "the caller has just calibrated it"
    return prediction.but(calibration=replace(calibration, asked=(), residuals=()))


def _depth_facts(depth_range: ClipDepthRange, valid_pixels: int) -> DepthFacts:
    """Make the record of the depth of all frames, for the JSON."""
    ends = (depth_range.low, depth_range.high) if valid_pixels else None
    is_distance = depth_range.is_distance
    return depth_facts(depth_range.kind, ends, valid_pixels, is_distance=is_distance)
