"""Results of photographs: from a network's output to files, and which inputs are finished."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from rilievo.errors import InputError, OptionError, OutputError, RilievoError, needing
from rilievo.io.checks.faults import Thoroughness
from rilievo.io.checks.marks import is_torn
from rilievo.io.checks.sums import sum_of
from rilievo.io.files.atomic import discard
from rilievo.io.files.limits import printable, reason
from rilievo.io.files.locks import lock_path, sweep_lock
from rilievo.io.files.placement import Placement
from rilievo.io.outputs.facts import FileFacts, Sidecar
from rilievo.io.outputs.ownership import MEND, WAS_MADE, fault_of, first_difference, pending_path
from rilievo.io.outputs.save_options import WRITING
from rilievo.io.outputs.sidecar import find_sidecar, read_sidecar, sidecar_path
from rilievo.io.photographs.photo import read_photo
from rilievo.io.videos.frame_source import DEFAULT_RATE
from rilievo.models.base import Inference, Model
from rilievo.models.processing.refinement import tile_note
from rilievo.models.processing.trimming import border_note
from rilievo.options.option_record import recorded
from rilievo.options.saving_options import Saving
from rilievo.predicting.answers.keeping import kept_answer
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.anchored_depth import anchorable
from rilievo.predicting.photographs.known_metres import known_text, metres_of, sparse_facts
from rilievo.predicting.photographs.metres import in_metres, trust
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.predicting.photographs.panorama_signs import panorama_note
from rilievo.predicting.photographs.units import scale_notes
from rilievo.prediction import Prediction
from rilievo.prediction.anchored import can_be_anchored
from rilievo.prediction.output import Need, Surface
from rilievo.prediction.output_table import OUTPUTS, options_of
from rilievo.prediction.saving import (
    KeptAnswer,
    OwnOptions,
    check_outputs,
    is_installed,
    parts_of,
    write_parts,
)
from rilievo.types import Photo, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Writer of the results of one run's photographs; it knows which ones are finished."""

    model: Model
    options: PredictOptions
    note: Callable[[str], None] = lambda message: None
    """Function called with each note for the user."""
    again: bool = False
    """Whether results are made again where they are, from kept answers."""
    first: list[tuple[str, tuple[int, int]]] = field(default_factory=list)
    """Name and size of the first photograph of ``--same-camera``; the others must match it."""

    @property
    def thoroughness(self) -> Thoroughness:
        """Thoroughness of comparisons of an earlier run's files with what was written."""
        return Thoroughness.HASHES if self.options.saving.resume == "hash" else Thoroughness.ENDS

    @property
    def formats(self) -> tuple[str, ...]:
        """Outputs to write; for ``all``, those that this model and installation can make."""
        saving = self.options.saving
        if not saving.asks_for_all:
            return saving.formats
        return tuple(
            name for name in saving.formats if not self._missing(name) and is_installed(name)
        )

    @property
    def keeps_answers(self) -> bool:
        """Whether the answer of the network is kept beside the results."""
        return self.options.saving.keep_answers == "on"

    def left_out_of_all(self) -> Iterator[str]:
        """Notes on outputs of ``all`` that lack only an installed package."""
        for name in self.options.saving.formats if self.options.saving.asks_for_all else ():
            extra = OUTPUTS[name].extra
            if not self._missing(name) and not is_installed(name):
                yield f"--save all leaves out {name}, which needs rilievo[{extra}]"

    def check(self) -> None:
        """Refuse, before any work, outputs that cannot be made for any photograph."""
        check_outputs(self.formats)
        if self.options.sizes.markers is not None:
            with needing("--markers", "markers"):
                import cv2  # noqa: F401
        for name in self.formats:
            missing = self._missing(name)
            if missing == [Need.CAMERA] and self.model.card.kind is not None:
                raise OptionError(
                    f"--save {name}: surfaces of depth of kind '{self.model.card.kind}' are bent "
                    "until it is calibrated: give two known depths or more with --known, or leave "
                    "out --anchor off"
                )
            if missing:
                raise OptionError(
                    f"--save {name} needs {' and '.join(missing)}, which model "
                    f"'{self.model.card.name}' does not give"
                )

    def _missing(self, name: str) -> list[Need]:
        """Needs of a format that this model, with the sizes that the user knows, does not meet."""
        card = self.model.card
        has_depth, is_depth = card.kind is not None, card.kind is not None and card.kind.is_depth
        anchors = has_depth and not is_depth and self.options.surface.anchors
        is_depth = is_depth or anchors or self.options.sizes.makes_metric
        given = {
            Need.PHOTO: True,
            Need.DEPTH: has_depth,
            Need.NORMALS: card.normals or anchors,
            Need.CONFIDENCE: card.confidence,
            Need.SKY: card.sky,
            Need.CAMERA: has_depth and is_depth,
        }
        return [need for need in OUTPUTS[name].needs if not given[need]]

    def read(self, job: Job) -> Photo:
        """Read a photograph, with its own depth only where that may give metres."""
        sizes = self.options.sizes
        is_known = sizes.makes_metric or sizes.camera_height is not None
        own_depth = bool(sizes.own_depth) and not is_known
        reading = self.options.refine.reading
        return self.prepare(read_photo(job.source, own_depth=own_depth, **reading))

    def prepare(self, photo: Photo) -> Photo:
        """Give a photograph the camera that the user named."""
        if self.options.sizes.same_camera:
            self._check_size(photo)
        return with_camera(photo, self.options.view)

    def take_size(self, jobs: Iterable[Job]) -> None:
        """Take the size of the first readable photograph as the size of all."""
        for job in jobs:
            if job.medium is not Medium.PHOTO:
                continue
            with suppress(RilievoError):
                photo = read_photo(job.source, own_depth=False, **self.options.refine.reading)
                self.first.append((str(job.source), photo.shape))
                return

    def _check_size(self, photo: Photo) -> None:
        if not self.first:
            return
        name, (height, width) = self.first[0]
        if photo.shape != (height, width):
            raise InputError(
                f"{photo.name}: is {photo.shape[1]}x{photo.shape[0]}, but {name} {width}x{height}: "
                "--same-camera takes photographs of one size"
            )

    def write(self, job: Job, photo: Photo, inference: Inference) -> Placement | None:
        """Finish a prediction at the photograph's size, in metres if asked, and write its parts.

        Returns:
            A placement to complete, best with others; None if the results are in place.
        """
        formats, metres = self._with_broken(job), metres_of(self.options, job, photo.shape)
        notes = scale_notes(photo.camera, photo.shape, metres.sparse or metres.known)
        for each in notes:
            self.note(f"{printable(job.source)}: {each}")
        finished = self.model.finish(inference, photo)
        surface, refine = self.options.surface, self.options.refine
        finished = anchorable(
            finished, surface, refine, lambda words: self.note(f"{printable(job.source)}: {words}")
        )
        sizes = self.options.sizes
        own = photo.own_depth if sizes.own_depth else None
        prediction, remark = in_metres(finished, metres, markers=sizes.markers, own=own)
        formats = self._without_surfaces(formats, prediction)
        if Need.NORMALS not in parts_of(formats):
            prediction = prediction.but(normals=None)
        more = (
            remark,
            border_note(self.model, photo),
            tile_note(self.options.refine.tile, photo),
            *photo.notes,
            panorama_note(photo),
        )
        for each in filter(None, more):
            self.note(f"{printable(job.source)}: {each}")
        if sizes.table is None and prediction.calibration is not None:
            self.note(f"{printable(job.source)}: {trust(prediction.calibration)}")
        return write_parts(
            prediction,
            job.target,
            formats,
            self.options.saving.files,
            run=self.run_facts(job),
            thoroughness=self.thoroughness,
            own=self._own_options(job, formats),
            answer=self._answer(job, inference),
            notes=tuple(filter(None, (*notes, *more))),
        )

    def _answer(self, job: Job, inference: Inference) -> KeptAnswer | None:
        if not self.keeps_answers:
            return None
        return kept_answer(inference, self.model.card, job.source, job.target)

    def _without_surfaces(
        self, formats: tuple[str, ...], prediction: Prediction
    ) -> tuple[str, ...]:
        """Outputs that can be made of a photograph; ``all`` may be without surfaces."""
        depth = prediction.depth_or_none
        if not self.options.saving.asks_for_all or depth is None or can_be_anchored(prediction):
            return formats
        return tuple(
            name
            for name in formats
            if OUTPUTS[name].surface is not Surface.YES
            and (Need.NORMALS not in OUTPUTS[name].needs or prediction.has("normals"))
        )

    def _own_options(self, job: Job, formats: Iterable[str]) -> Mapping[str, OwnOptions]:
        """Options of each output: those of this run, or of the earlier one that asked for it."""
        there = {facts.output: facts.options for facts in self._there(job)}
        own: dict[str, OwnOptions] = {}
        for name in formats:
            before = there.get(name)
            saving = self.options.saving
            if name not in self.formats and before is not None:
                # It is damaged, and made again as it was.
                saving = _as_before(saving, {key: before.get(key) for key in options_of(name)})
            own[name] = OwnOptions(saving=saving.files, asked=_asked(saving, name))
        return own

    def is_finished(self, job: Job) -> bool:
        """Whether an earlier run with the same options and the same photograph has finished."""
        path = sidecar_path(job.target)
        if self.options.saving.overwrite or not path.exists():
            return False
        if is_torn(path):
            self.note(f"{printable(path)}: has no content, so its results are made anew")
            return False
        sidecar = read_sidecar(path)
        there = {facts.output: facts for facts in sidecar.files}
        run = self.run_facts(job)
        if job.medium is not Medium.PHOTO:
            # All outputs of a clip are written together: those not asked for must agree.
            bound = {each for name in there.keys() - {*self.formats} for each in options_of(name)}
            run = {key: value for key, value in run.items() if key not in WRITING or key in bound}
        difference = first_difference(sidecar, self.model.made_by, run)
        if difference is not None:
            raise OutputError(f"{path} {WAS_MADE} {difference}: {MEND}")
        for name in self.formats:
            if name not in there or _asked(self.options.saving, name) != _asked_before(
                there[name], sidecar
            ):
                return False
        faults = (fault_of(job.target.parent, facts, self.thoroughness) for facts in sidecar.files)
        fault = next(filter(None, faults), None)
        if fault is not None:
            self.note(f"{printable(job.target.parent / fault)}: made anew")
            return False
        # A leftover, if the system refused to remove it at the end of the earlier run.
        discard(pending_path(job.target))
        sweep_lock(lock_path(path))
        return True

    def _with_broken(self, job: Job) -> tuple[str, ...]:
        """Outputs to write for a photograph: those asked for, and those that are damaged.

        Results that are made again with other options are all written.
        """
        there, folder = self._there(job), job.target.parent
        if self.again and self.options.saving.overwrite:
            return OUTPUTS.ordered({*(facts.output for facts in there), *self.formats})
        broken = {facts.output for facts in there if fault_of(folder, facts, self.thoroughness)}
        return OUTPUTS.ordered(broken | {*self.formats})

    def _there(self, job: Job) -> tuple[FileFacts, ...]:
        """Files of an earlier run."""
        is_new = self.options.saving.overwrite and not self.again
        before = None if is_new else find_sidecar(sidecar_path(job.target))
        return () if before is None else before.files

    def formats_with_those_there(self, job: Job) -> tuple[tuple[str, ...], bool]:
        """Outputs to write for a video, and whether there are results already.

        A folder of frames holds several formats, so the outputs of an earlier run with the same
        options are written again together with the added ones.
        """
        there = {facts.output for facts in self._there(job)}
        return OUTPUTS.ordered(there | {*self.formats}), bool(there)

    def run_facts(self, job: Job) -> Mapping[str, Setting]:
        """Other facts that the files depend on: options, and size and time of the source."""
        options = self.options
        try:
            size, modified = _fingerprint(job)
        except OSError as error:
            raise InputError(f"{job.source}: cannot be read: {reason(error)}") from error
        return {
            **recorded(options.view),
            "known": known_text(options.sizes, job),
            **sparse_facts(options, job),
            **recorded(options.sizes),
            **recorded(options.surface),
            **recorded(options.refine),
            **self._saving_facts(job),
            **self._video_facts(job),
            "source_bytes": size,
            "source_modified_ns": self._modified(job, size, modified),
        }

    def _modified(self, job: Job, size: int, modified: int) -> int:
        """Time of a photograph; of one that was only copied anew, as its hash tells, the earlier.

        Beside results without a kept answer there is no hash, and the time alone decides.
        """
        before = find_sidecar(sidecar_path(job.target)) if job.medium is Medium.PHOTO else None
        if before is None or before.answer is None or before.run.get("source_bytes") != size:
            return modified
        then = before.run.get("source_modified_ns")
        if not isinstance(then, int) or then == modified:
            return modified
        return then if sum_of(job.source).sha256 == before.answer.photo_sha256 else modified

    def _saving_facts(self, job: Job) -> Mapping[str, Setting]:
        """Options of saving; of a photograph, those that outputs name are recorded with files."""
        saving = self.options.saving
        of_files = {} if job.medium is Medium.PHOTO else {n: getattr(saving, n) for n in WRITING}
        others = {name: value for name, value in recorded(saving).items() if name not in WRITING}
        return {**others, **of_files}

    def _video_facts(self, job: Job) -> Mapping[str, Setting]:
        video = self.options.video
        if job.medium is Medium.PHOTO:
            return {}
        fps = video.fps
        if fps is None and job.medium is Medium.SEQUENCE:
            fps = float(DEFAULT_RATE)
        rate = {} if fps is None else {"fps": fps}
        return {"independent": video.independent, **rate, **recorded(video)}


def _asked(saving: Saving, name: str) -> dict[str, Any]:
    """Options that concern an output."""
    return {each: getattr(saving, each) for each in options_of(name)}


def _as_before(saving: Saving, before: dict[str, Any]) -> Saving:
    """Options with those of an earlier run; without them if they are none, as in a broken file."""
    try:
        return replace(saving, **before)
    except (OptionError, TypeError):
        return saving


def _asked_before(facts: FileFacts, sidecar: Sidecar) -> dict[str, Any]:
    """Options with which an earlier run wrote a file."""
    if facts.options is not None:
        return dict(facts.options)
    before = {"backing": 0.0, **sidecar.run}
    return {name: before.get(name) for name in options_of(facts.output)}


def _fingerprint(job: Job) -> tuple[int, int]:
    """Bytes and time of a file; for a folder of frames, their sum and the latest time."""
    facts = job.source.stat()
    if job.medium is not Medium.SEQUENCE:
        return facts.st_size, facts.st_mtime_ns
    frames = [entry.stat() for entry in os.scandir(job.source) if not entry.name.startswith(".")]
    latest = max((each.st_mtime_ns for each in frames), default=facts.st_mtime_ns)
    return sum(each.st_size for each in frames), latest
