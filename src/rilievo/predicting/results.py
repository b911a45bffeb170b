"""From a network's answer to files: camera, metres, writing, and knowing what is finished."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec

from rilievo.errors import InputError, OptionError, OutputError
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.atomic import discard
from rilievo.io.limits import printable, reason
from rilievo.io.marks import is_torn
from rilievo.io.merging import MEND, fault_of, told_apart
from rilievo.io.output_table import OUTPUTS, Need, Output
from rilievo.io.outputs import check_outputs, parts_of, write_parts
from rilievo.io.ownership import pending_path
from rilievo.io.placement import Placement
from rilievo.io.sidecar import read_sidecar, sidecar_path
from rilievo.io.writing import SaveOptions
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.metres import metres_of, of_table, sparse_facts, trust, with_metres
from rilievo.predicting.options import PredictOptions
from rilievo.types import Camera, CameraSource, Photo, Setting


def with_camera(photo: Photo, camera: Camera | None, fov: float | None) -> Photo:
    """The photograph with the camera that the user named, if any.

    Raises:
        InputError: If the camera's centre lies outside, as it does when the intrinsics belong to
            another resolution.
    """
    if fov is not None:
        camera = Camera(K=K_from_fov(fov, photo.shape), source=CameraSource.FOV)
    if camera is None:
        return photo
    height, width = photo.shape
    cx, cy = camera.K[0, 2], camera.K[1, 2]
    if not (0 <= cx < width and 0 <= cy < height):
        raise InputError(
            f"{printable(photo.name)}: the camera's centre ({cx:g}, {cy:g}) lies outside its "
            f"{width}x{height} pixels: are the intrinsics for another resolution?"
        )
    return replace(photo, camera=camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Writes the results of one run's photographs, and knows which are finished."""

    model: Model
    options: PredictOptions
    note: Callable[[str], None] = lambda message: None
    """Told of what was done but deserves a look."""

    @property
    def formats(self) -> tuple[str, ...]:
        """What is to be written; of ``all``, what this model and installation can give."""
        options = self.options
        if not options.asks_for_all:
            return options.formats
        return tuple(
            name
            for name in options.formats
            if not self._missing(name) and _is_installed(OUTPUTS[name])
        )

    def left_out_of_all(self) -> Iterator[str]:
        """What ``all`` would write too, were its package installed."""
        for name in self.options.formats if self.options.asks_for_all else ():
            extra = OUTPUTS[name].extra
            if not self._missing(name) and not _is_installed(OUTPUTS[name]):
                yield f"--save all leaves out {name}, which needs rilievo[{extra}]"

    def check(self) -> None:
        """Refuse, before any work, what no photograph could be given.

        Raises:
            OptionError: If a format needs what the model does not give.
            MissingExtraError: If a format needs a package that is not installed.
        """
        check_outputs(self.formats)
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
        """What a format needs and this model, with what the user knows, does not give."""
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

    def prepare(self, photo: Photo) -> Photo:
        """Give a photograph the camera that the user named."""
        return with_camera(photo, self.options.given_camera, self.options.fov)

    def write(self, job: Job, photo: Photo, inference: Inference) -> Placement | None:
        """Bring an answer to the photograph's size, to metres where asked, and write its parts.

        Returns:
            What remains to be placed, best with others; None where the results are in place.

        Raises:
            RilievoError: If that cannot be done; nothing half-written is left.
        """
        formats, metres = self._with_broken(job), metres_of(self.options, job, photo.shape)
        if Need.NORMALS not in parts_of(formats) and metres.camera_height is None:
            # Bringing them to the photograph's size takes three times as long as the depth.
            inference = replace(inference, normals=None)
        prediction, fitted = with_metres(self.model.finish(inference, photo), metres)
        if fitted is not None and fitted.warning is not None:
            self.note(f"{printable(job.source)}: {fitted.warning}")
        if self.options.known_table is None and prediction.calibration is not None:
            self.note(f"{printable(job.source)}: {trust(prediction.calibration)}")
        return write_parts(
            prediction,
            job.target,
            formats,
            self.save_options(),
            run=self.run_facts(job),
        )

    def is_finished(self, job: Job) -> bool:
        """Whether an earlier run with the same options and the same photograph has finished.

        Raises:
            OutputError: If there are results, but of other options: mixing them helps nobody.
        """
        path = sidecar_path(job.target)
        if self.options.overwrite or not path.exists():
            return False
        if is_torn(path):
            self.note(f"{printable(path)}: has no content, so its results are made anew")
            return False
        sidecar = read_sidecar(path)
        difference = told_apart(sidecar, self.model.made_by, self.run_facts(job))
        if difference is not None:
            raise OutputError(f"{printable(path)} is of {difference}: {MEND}")
        if not {facts.output for facts in sidecar.files} >= set(self.formats):
            return False
        faults = (fault_of(job.target.parent, facts) for facts in sidecar.files)
        fault = next(filter(None, faults), None)
        if fault is not None:
            self.note(f"{printable(job.target.parent / fault)}: made anew")
            return False
        # Where the system refused to remove it at the end of the earlier run.
        discard(pending_path(job.target))
        return True

    def _with_broken(self, job: Job) -> tuple[str, ...]:
        """What is to be written of a photograph: what is asked, and what is no longer whole."""
        try:
            before = None if self.options.overwrite else read_sidecar(sidecar_path(job.target))
        except InputError:
            before = None
        folder, there = job.target.parent, () if before is None else before.files
        broken = {facts.output for facts in there if fault_of(folder, facts)}
        return tuple(name for name in OUTPUTS if name in broken | {*self.formats})

    def formats_with_those_there(self, job: Job) -> tuple[tuple[str, ...], bool]:
        """What is to be written of a video, all of it anew, and whether something is there already.

        A folder of frames holds several formats, so what an agreeing run wrote is written again
        with what is added.
        """
        try:
            before = None if self.options.overwrite else read_sidecar(sidecar_path(job.target))
        except InputError:
            before = None
        there = set() if before is None else {facts.output for facts in before.files}
        return tuple(name for name in OUTPUTS if name in there | {*self.formats}), bool(there)

    def run_facts(self, job: Job) -> Mapping[str, Setting]:
        """What else decides the files: options, and the source by size and time."""
        options = self.options
        try:
            size, modified = _fingerprint(job)
        except OSError as error:
            raise InputError(f"{printable(job.source)}: cannot be read: {reason(error)}") from error
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
                else map(str, of_table(options.known_table, job))
            ),
            **sparse_facts(options, job),
            "camera_height": options.camera_height,
            "colour_map": options.colour_map,
            "colour_range": options.colour_range,
            "surface_points": options.surface_points,
            "edge": options.edge,
            "source_bytes": size,
            "source_modified_ns": modified,
        }

    def save_options(self) -> SaveOptions:
        """How files are written."""
        options = self.options
        return SaveOptions(
            colour_map=options.colour_map,
            colour_limits=options.limits,
            surface_points=options.surface_points,
            edge=options.edge,
            overwrite=options.overwrite,
        )


def _is_installed(output: Output) -> bool:
    return output.package is None or find_spec(output.package) is not None


def _fingerprint(job: Job) -> tuple[int, int]:
    """Bytes and time of a file; of a folder of frames, their sum and the latest."""
    facts = job.source.stat()
    if job.medium is not Medium.SEQUENCE:
        return facts.st_size, facts.st_mtime_ns
    frames = [entry.stat() for entry in os.scandir(job.source) if not entry.name.startswith(".")]
    latest = max((each.st_mtime_ns for each in frames), default=facts.st_mtime_ns)
    return sum(each.st_size for each in frames), latest
