"""Results of photographs: from a network's output to files, and which inputs are finished."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from rilievo.errors import InputError, OptionError, OutputError, RilievoError, needing
from rilievo.io.atomic import discard
from rilievo.io.checksums import Look, is_torn
from rilievo.io.facts import FileFacts, Sidecar
from rilievo.io.limits import printable, reason
from rilievo.io.locks import lock_path, sweep_lock
from rilievo.io.output_table import OUTPUTS, WRITING, Need, options_of
from rilievo.io.outputs import OwnOptions, check_outputs, is_installed, parts_of, write_parts
from rilievo.io.ownership import MEND, WAS_MADE, fault_of, first_difference, pending_path
from rilievo.io.photo import read_photo
from rilievo.io.placement import Placement
from rilievo.io.sidecar import find_sidecar, read_sidecar, sidecar_path
from rilievo.io.writing import SaveOptions
from rilievo.models.base import Inference, Model
from rilievo.models.trimming import border_note
from rilievo.predicting.focal import with_camera
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.metres import (
    in_metres,
    known_of,
    metres_of,
    sparse_facts,
    trust,
)
from rilievo.predicting.options import PredictOptions
from rilievo.types import Photo, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Writer of the results of one run's photographs; it knows which ones are finished."""

    model: Model
    options: PredictOptions
    note: Callable[[str], None] = lambda message: None
    """Function called with each note for the user."""
    first: list[tuple[str, tuple[int, int]]] = field(default_factory=list)
    """Name and size of the first photograph of ``--same-camera``; the others must match it."""

    @property
    def look(self) -> Look:
        """Depth of comparisons of an earlier run's files with what was written."""
        return Look.HASHES if self.options.resume == "hash" else Look.ENDS

    @property
    def formats(self) -> tuple[str, ...]:
        """Outputs to write; for ``all``, those that this model and installation can make."""
        if not self.options.asks_for_all:
            return self.options.formats
        return tuple(
            name for name in self.options.formats if not self._missing(name) and is_installed(name)
        )

    def left_out_of_all(self) -> Iterator[str]:
        """Notes on outputs of ``all`` that lack only an installed package."""
        for name in self.options.formats if self.options.asks_for_all else ():
            extra = OUTPUTS[name].extra
            if not self._missing(name) and not is_installed(name):
                yield f"--save all leaves out {name}, which needs rilievo[{extra}]"

    def check(self) -> None:
        """Refuse, before any work, outputs that cannot be made for any photograph."""
        check_outputs(self.formats)
        if self.options.markers is not None:
            with needing("--markers", "markers"):
                import cv2  # noqa: F401
        for name in self.formats:
            missing = self._missing(name)
            if missing == [Need.CAMERA] and self.model.card.kind is not None:
                raise OptionError(
                    f"--save {name}: surfaces of depth of kind '{self.model.card.kind}' are bent "
                    "until it is calibrated: give two known depths or more with --known"
                )
            if missing:
                raise OptionError(
                    f"--save {name} needs {' and '.join(missing)}, which model "
                    f"'{self.model.card.name}' does not give"
                )

    def _missing(self, name: str) -> list[Need]:
        """Needs of a format that this model, with the sizes that the user knows, does not meet."""
        card = self.model.card
        is_depth = self.options.knows or (card.kind is not None and card.kind.is_depth)
        given = {
            Need.PHOTO: True,
            Need.DEPTH: card.kind is not None,
            Need.NORMALS: card.normals,
            Need.CONFIDENCE: card.confidence,
            Need.CAMERA: card.kind is not None and bool(is_depth),
        }
        return [need for need in OUTPUTS[name].needs if not given[need]]

    def read(self, job: Job) -> Photo:
        """Read a photograph, with its own depth only where that may give metres."""
        options = self.options
        known = options.knows or options.camera_height is not None
        own_depth = options.own_depth == "on" and not known
        return self.prepare(read_photo(job.source, own_depth=own_depth))

    def prepare(self, photo: Photo) -> Photo:
        """Give a photograph the camera that the user named."""
        if self.options.same_camera:
            self._check_size(photo)
        return with_camera(photo, self.options.given_camera, self.options.fov)

    def take_size(self, jobs: Iterable[Job]) -> None:
        """Take the size of the first readable photograph as the size of all."""
        for job in jobs:
            if job.medium is not Medium.PHOTO:
                continue
            with suppress(RilievoError):
                self.first.append((str(job.source), read_photo(job.source, own_depth=False).shape))
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
        finished = self.model.finish(inference, photo)
        own = photo.own_depth if self.options.own_depth == "on" else None
        prediction, remark = in_metres(finished, metres, markers=self.options.markers, own=own)
        if Need.NORMALS not in parts_of(formats):
            # Only now: sharpening asks the network's normals, whatever is written.
            prediction = prediction.but(normals=None)
        for each in filter(None, (remark, border_note(self.model, photo), photo.animation_note)):
            self.note(f"{printable(job.source)}: {each}")
        if self.options.known_table is None and prediction.calibration is not None:
            self.note(f"{printable(job.source)}: {trust(prediction.calibration)}")
        return write_parts(
            prediction,
            job.target,
            formats,
            saving_of(self.options),
            run=self.run_facts(job),
            look=self.look,
            own=self._own_options(job, formats),
        )

    def _own_options(self, job: Job, formats: Iterable[str]) -> Mapping[str, OwnOptions]:
        """Options of each output: those of this run, or of the earlier one that asked for it."""
        there = {facts.output: facts.options for facts in self._there(job)}
        own: dict[str, OwnOptions] = {}
        for name in formats:
            before = there.get(name)
            options = self.options
            if name not in self.formats and before is not None:
                # It is damaged, and made again as it was.
                options = _as_before(options, {key: before.get(key) for key in options_of(name)})
            own[name] = OwnOptions(saving=saving_of(options), asked=_asked(options, name))
        return own

    def is_finished(self, job: Job) -> bool:
        """Whether an earlier run with the same options and the same photograph has finished."""
        path = sidecar_path(job.target)
        if self.options.overwrite or not path.exists():
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
            if name not in there or _asked(self.options, name) != _asked_before(
                there[name], sidecar
            ):
                return False
        faults = (fault_of(job.target.parent, facts, self.look) for facts in sidecar.files)
        fault = next(filter(None, faults), None)
        if fault is not None:
            self.note(f"{printable(job.target.parent / fault)}: made anew")
            return False
        # A leftover, if the system refused to remove it at the end of the earlier run.
        discard(pending_path(job.target))
        sweep_lock(lock_path(path))
        return True

    def _with_broken(self, job: Job) -> tuple[str, ...]:
        """Outputs to write for a photograph: those asked for, and those that are damaged."""
        there, folder = self._there(job), job.target.parent
        broken = {facts.output for facts in there if fault_of(folder, facts, self.look)}
        return OUTPUTS.ordered(broken | {*self.formats})

    def _there(self, job: Job) -> tuple[FileFacts, ...]:
        """Files of an earlier run."""
        before = None if self.options.overwrite else find_sidecar(sidecar_path(job.target))
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
        of_clips: dict[str, Setting] = {"independent": options.independent}
        if job.medium is Medium.SEQUENCE:
            of_clips["fps"] = options.fps
        return {
            **({} if job.medium is Medium.PHOTO else of_clips),
            "camera": options.camera,
            "fov": options.fov,
            "known": " ".join(
                (*options.known, *options.known_length)
                if options.known_table is None
                else map(str, known_of(options, job))
            ),
            **sparse_facts(options, job),
            "camera_height": options.camera_height,
            # Defaults are left out, so that results of earlier versions still agree.
            **({} if options.own_depth == "on" else {"own_depth": options.own_depth}),
            **({} if options.markers is None else {"markers": options.markers}),
            **({"vanishing_points": True} if options.vanishing_points else {}),
            # Of a photograph they are recorded with each file.
            **({} if job.medium is Medium.PHOTO else _of_writing(options)),
            "source_bytes": size,
            "source_modified_ns": modified,
        }


def saving_of(options: PredictOptions) -> SaveOptions:
    """Options of writing files."""
    return SaveOptions(
        colour_map=options.colour_map,
        colour_limits=options.limits,
        surface_points=options.surface_points,
        edge=options.edge,
        drop=options.dropped,
        backing=options.backing,
        stereo=options.stereo_options,
        overwrite=options.overwrite,
    )


def _of_writing(options: PredictOptions) -> dict[str, Setting]:
    return {name: getattr(options, name) for name in WRITING}


def _asked(options: PredictOptions, name: str) -> dict[str, Any]:
    """Options that concern an output."""
    return {each: getattr(options, each) for each in options_of(name)}


def _as_before(options: PredictOptions, before: dict[str, Any]) -> PredictOptions:
    """Options with those of an earlier run; without them if they are none, as in a broken file."""
    try:
        return replace(options, **before)
    except (OptionError, TypeError):
        return options


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
