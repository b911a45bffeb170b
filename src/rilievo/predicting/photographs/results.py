"""Results of photographs, and which are finished."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rilievo.calibration.size_files import find_sparse_file
from rilievo.calibration.sizes import Known
from rilievo.errors import InputError, OptionError, OutputError, RilievoError, needing
from rilievo.errors.messages import Note, OptionName, Text, note_about
from rilievo.io.checksums import CheckLevel, is_torn
from rilievo.io.files.atomic import remove_part
from rilievo.io.files.commit import FileSet, lock_path, sweep_lock
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.machine import check_disk_space
from rilievo.io.files.names import printable
from rilievo.io.outputs.overwrite_policy import (
    MEND,
    WAS_MADE,
    file_fault,
    first_difference,
    pending_path,
)
from rilievo.io.outputs.save_options import WRITING, SaveOptions
from rilievo.io.outputs.sidecar import FileFacts, find_sidecar, read_sidecar, sidecar_path
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.finishing import finish, is_of_depth_alone, option_notes
from rilievo.predicting.photographs.metres import Metres
from rilievo.predicting.photographs.photo_memory import PhotoMemory, photo_size
from rilievo.predicting.photographs.user_facts import with_camera
from rilievo.prediction.output import OUTPUTS, min_bytes_per_pixel, min_memory, options_of_output
from rilievo.prediction.output_record import Need, SurfaceDepth
from rilievo.prediction.saving import (
    check_outputs,
    is_output_installed,
    metre_notes,
    output_parts,
    saving_notes,
    write_part_files,
)
from rilievo.prediction.surface_depth import can_make_surface
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo
from rilievo.schema.fields import settings_to_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Writer of a run's results."""

    model: Model
    options: PredictOptions
    note: Callable[[str], None] = lambda message: None
    first: list[tuple[str, tuple[int, int]]] = field(default_factory=list)
    """First photograph of ``--same-camera``."""
    memory: PhotoMemory = field(default_factory=PhotoMemory)
    told: list[str] = field(default_factory=list)
    """Notes that were told once for all photographs."""

    @property
    def thoroughness(self) -> CheckLevel:
        """CheckLevel of comparisons with earlier files."""
        return CheckLevel.HASHES if self.options.saving.resume == "hash" else CheckLevel.ENDS

    @property
    def formats(self) -> tuple[str, ...]:
        """Outputs to write."""
        saving = self.options.saving
        if not saving.asks_for_all:
            return saving.formats
        return tuple(
            name
            for name in saving.formats
            if not self._missing_parts(name) and is_output_installed(name)
        )

    def left_out_of_all(self) -> Iterator[str]:
        """Notes on outputs of ``all`` without a package."""
        for name in self.options.saving.formats if self.options.saving.asks_for_all else ():
            extra = OUTPUTS[name].extra
            if not self._missing_parts(name) and not is_output_installed(name):
                yield Note(
                    Text(
                        OptionName("save", "all"),
                        f" leaves out {name}, which needs rilievo[{extra}]",
                    )
                )

    def check(self) -> None:
        """Refuse outputs that cannot be made."""
        check_outputs(self.formats)
        if self.options.sizes.markers is not None:
            with needing("", "markers", option="markers"):
                import cv2  # noqa: F401
        for name in self.formats:
            missing = self._missing_parts(name)
            if missing == [Need.CAMERA] and self.model.card.kind is not None:
                raise OptionError(
                    option="save",
                    problem=Text(
                        f"{name}: surfaces of depth of kind "
                        f"'{self.model.card.kind}' are bent until it is calibrated: "
                        "give two known depths or more with ",
                        OptionName("known"),
                        ", or leave out ",
                        OptionName("anchor", "off"),
                    ),
                )
            if missing:
                raise OptionError(
                    option="save",
                    problem=(
                        f"{name} needs {' and '.join(missing)}, which model "
                        f"'{self.model.card.name}' does not give"
                    ),
                )

    def _missing_parts(self, name: str) -> list[Need]:
        card = self.model.card
        has_depth, is_depth = card.kind is not None, card.kind is not None and card.kind.is_depth
        anchors = has_depth and not is_depth and self.options.surface.anchors
        is_depth = is_depth or anchors or self.options.sizes.makes_metric
        conditions = {
            Need.PHOTO: True,
            Need.DEPTH: has_depth,
            Need.NORMALS: card.normals or anchors,
            Need.CONFIDENCE: card.confidence,
            Need.SKY: card.sky,
            Need.CAMERA: has_depth and is_depth,
        }
        return [need for need in OUTPUTS[name].needs if not conditions[need]]

    def bytes_of(self, shape: tuple[int, int]) -> int:
        """Least bytes of a photograph's results."""
        card = self.model.card
        gives = {
            Need.DEPTH: card.kind is not None,
            Need.NORMALS: card.normals,
            Need.CONFIDENCE: card.confidence,
            Need.SKY: card.sky,
        }
        parts = [need for need, is_there in gives.items() if is_there]
        return shape[0] * shape[1] * min_bytes_per_pixel(self.formats, parts)

    def memory_of(self, shape: tuple[int, int]) -> int:
        """Least memory for a photograph's results [bytes]."""
        return min_memory(self.formats, shape[0] * shape[1], self.options.saving.surface_points)

    def read(self, job: Job) -> Photo:
        """Read a photograph, with its own depth if useful."""
        own_depth, reading = self.options.sizes.reads_own_depth, self.options.refine.reading
        if self.memory.at_once is not None:
            self.memory.check(photo_size(job.source), self.memory_of)
        photo = read_photo(job.source, own_depth=own_depth, **reading)
        self.memory.check(photo.shape, self.memory_of)
        return self.prepare(photo)

    def prepare(self, photo: Photo) -> Photo:
        """Give a photograph the user's camera."""
        if self.options.sizes.same_camera and self.first:
            name, (height, width) = self.first[0]
            if photo.shape != (height, width):
                raise InputError(
                    path=photo.name,
                    problem=Text(
                        f"is {photo.shape[1]}x{photo.shape[0]}, but {name} {width}x{height}: ",
                        OptionName("same_camera"),
                        " takes photographs of one size",
                    ),
                )
        view = self.options.view
        return with_camera(photo, view.named_camera, view.fov)

    def is_of_depth_alone(self, job: Job, photo: Photo) -> bool:
        """Whether neither normals nor confidence are needed."""
        return is_of_depth_alone(self.options, [*self.options_by_output(job)], photo)

    def take_size(self, jobs: Iterable[Job]) -> None:
        """Take the first photograph's size as all."""
        for job in jobs:
            if job.medium is not Medium.PHOTO:
                continue
            with suppress(RilievoError):
                photo = read_photo(job.source, own_depth=False, **self.options.refine.reading)
                self.first.append((str(job.source), photo.shape))
                return

    def metres(self, job: Job, shape: tuple[int, int], orientation: int = 1) -> Metres:
        """Known sizes of a photograph or first frame, with EXIF's orientation of a photograph."""
        sizes = self.options.sizes
        metres = Metres(known=self._known_sizes(job), camera_height=sizes.camera_height)
        if sizes.sparse is None:
            return metres
        # Few runs read depth of another instrument, and its readers are many.
        from rilievo.calibration.sparse import read_sparse

        file = self._sparse_file(job, sizes.sparse)
        points = read_sparse(
            file,
            shape,
            sizes.sparse_unit,
            sizes.sparse_crop,
            sizes.sparse_encoding,
            kind=sizes.sparse_kind,
            is_error_stated=sizes.stated_depth_error is not None,
            orientation=orientation,
        )
        return replace(
            metres,
            sparse=points.points,
            measured=points.measured,
            sparse_along=points.along,
            sensor_doubts=points.sensor_doubts,
            sensor_rounding=points.rounding,
            depth_error=sizes.stated_depth_error,
            instrument=points.instrument,
            notes=points.notes,
            camera_file=points.camera_file,
        )

    def _known_sizes(self, job: Job) -> tuple[Known, ...]:
        sizes = self.options.sizes
        if sizes.table is None:
            return sizes.known_sizes
        from rilievo.calibration.size_files import read_known_csv, read_known_of_fixed_camera

        if sizes.same_camera:
            return read_known_of_fixed_camera(sizes.table)
        facts = read_known_csv(sizes.table).get(job.source.resolve(), ())
        if not facts:
            raise InputError(f"{sizes.table} has no point of it", path=job.source)
        return facts

    def _sparse_file(self, job: Job, sparse: Path) -> Path:
        output = self.options.saving.output
        inside = job.target.is_relative_to(output)
        return find_sparse_file(
            sparse, job.target.relative_to(output) if inside else Path(job.source.stem)
        )

    def write(self, job: Job, photo: Photo, inference: Inference) -> FileSet | None:
        """Write a prediction's parts; return what remains to be placed."""
        options = self.options
        needed, what = self.bytes_of(photo.shape), f"the results of {printable(job.source.name)}"
        check_disk_space(
            job.target.parent,
            needed,
            what,
            Text("choose another folder with ", OptionName("output")),
        )
        metres = self.metres(job, photo.shape, photo.orientation)
        # The run has told these of all photographs.
        notes = {*option_notes(options)}

        def tell(note: str) -> None:
            if note not in notes:
                notes.add(note)
                self.note(note_about(printable(job.source), note))

        prediction = finish(self.model, inference, photo, options, metres=metres, tell=tell)
        for note in prediction.notes:
            tell(note)
        own, saving = self.options_by_output(job), options.saving
        has_depth, has_normals = prediction.has("depth_or_none"), prediction.has("normals")
        if saving.asks_for_all and has_depth and not can_make_surface(prediction):
            own = {
                name: its
                for name, its in own.items()
                if OUTPUTS[name].surface is not SurfaceDepth.REQUIRED
                and (Need.NORMALS not in OUTPUTS[name].needs or has_normals)
            }
        if Need.NORMALS not in output_parts([*own]):
            prediction = prediction.but(normals=None)
        if has_depth:
            self.note_once(metre_notes(prediction.depth.kind, [*own]))
        for note in saving_notes(prediction, job.target.name, [*own]):
            tell(note)
        run = self.run_facts(job)
        return write_part_files(
            prediction,
            job.target,
            [*own],
            saving,
            run=run,
            thoroughness=self.thoroughness,
            options_by_output=own,
        )

    def note_once(self, notes: Sequence[str]) -> None:
        """Tell of what is the same for many photographs, with what would mend it, once a run."""
        for note in notes:
            if note in self.told:
                continue
            self.told.append(note)
            hint = Text(
                OptionName("known", "U,V,METRES"),
                ", ",
                OptionName("camera_height", "METRES"),
                " or a model of metric depth (",
                OptionName("quality", "good"),
                ") gives metres",
            )
            self.note(Note(note, hint=hint))

    def options_by_output(self, job: Job) -> Mapping[str, SaveOptions]:
        """Options of the formats, done or not, and of others' files that are damaged, as before."""
        saving: dict[str, SaveOptions] = dict.fromkeys(self.formats, self.options.saving)
        for facts in self._earlier_file_facts(job):
            name = facts.output
            if name not in saving and file_fault(job.target.parent, facts, self.thoroughness):
                saving[name] = self.options.saving
                # Without options of before if they are none, as in a broken file.
                with suppress(OptionError, TypeError):
                    before = facts.options
                    if before is not None:
                        was: Any = {
                            option: before.get(option) for option in options_of_output(name)
                        }
                        saving[name] = replace(self.options.saving, **was)
        return {name: saving[name] for name in OUTPUTS.sorted_names([*saving])}

    def is_finished(self, job: Job) -> bool:
        """Whether an earlier run finished it alike."""
        path = sidecar_path(job.target)
        if self.options.saving.overwrite or not path.exists():
            return False
        if is_torn(path):
            self.note(Note("has no content, so its results are made anew", path=printable(path)))
            return False
        sidecar = read_sidecar(path)
        there = {facts.output: facts for facts in sidecar.files}
        run = self.run_facts(job)
        if job.medium is not Medium.PHOTO:
            # All outputs of a clip are written together: those not asked for must agree.
            others = there.keys() - {*self.formats}
            bound = {option for name in others for option in options_of_output(name)}
            free = {*WRITING} - bound
            run = {key: sidecar.run.get(key) if key in free else run[key] for key in run}
        difference = first_difference(sidecar, self.model.made_by, run)
        if difference is not None:
            raise OutputError(problem=Text(f"{path} {WAS_MADE} {difference}: ", MEND))
        saving = self.options.saving
        for name in self.formats:
            if name not in there:
                return False
            before = there[name].options
            if before is None:  # those of a clip's files stand in its run
                before = sidecar.run
            if any(
                getattr(saving, option) != before.get(option) for option in options_of_output(name)
            ):
                return False
        faults = (
            file_fault(job.target.parent, facts, self.thoroughness) for facts in sidecar.files
        )
        fault = next(filter(None, faults), None)
        if fault is not None:
            self.note(Note("made anew", path=printable(job.target.parent / fault)))
            return False
        # A leftover, if the system refused to remove it at the end of the earlier run.
        remove_part(pending_path(job.target))
        sweep_lock(lock_path(path))
        return True

    def _earlier_file_facts(self, job: Job) -> tuple[FileFacts, ...]:
        is_new = self.options.saving.overwrite
        before = None if is_new else find_sidecar(sidecar_path(job.target))
        return () if before is None else before.files

    def formats_with_earlier(self, job: Job) -> tuple[tuple[str, ...], bool]:
        """Outputs of this and an earlier run; whether one was."""
        there = {facts.output for facts in self._earlier_file_facts(job)}
        return OUTPUTS.sorted_names(there | {*self.formats}), bool(there)

    def run_facts(self, job: Job) -> Mapping[str, Setting]:
        """Options and source that files depend on."""
        options, sizes, saving = self.options, self.options.sizes, self.options.saving
        try:
            size, modified = _bytes_and_time(job)
        except OSError as error:
            raise InputError(f"cannot be read: {reason(error)}", path=job.source) from error
        facts = self._known_sizes(job)
        options_of_sizes = (*sizes.known, *sizes.known_length, *sizes.known_rectangle)
        written = facts if sizes.table is not None else options_of_sizes
        texts = (
            text if isinstance(text, str) else str(fact)
            for text, fact in zip(written, facts, strict=True)
        )
        run: dict[str, Setting] = {**settings_to_record(options.view), "known": " ".join(texts)}
        if sizes.sparse is not None:
            path = self._sparse_file(job, sizes.sparse)
            check_regular(path)
            state = path.stat()
            run["sparse"] = f"{path.name} {state.st_size} {state.st_mtime_ns}"
            run["sparse_unit"] = sizes.sparse_unit
            for name in ("sparse_kind", "sparse_crop", "sparse_encoding"):
                if getattr(sizes, name) is not None:
                    run[name] = getattr(sizes, name)
        for record in (sizes, options.surface, options.refine):
            run |= settings_to_record(record)
        # Of a photograph, options that outputs name are recorded with files.
        run |= {
            name: value for name, value in settings_to_record(saving).items() if name not in WRITING
        }
        if job.medium is not Medium.PHOTO:
            video = options.video
            run |= {name: getattr(saving, name) for name in WRITING}
            run["independent"] = video.independent
            fps = video.fps
            if fps is None and job.medium is Medium.SEQUENCE:
                from rilievo.io.videos.frame_source import DEFAULT_RATE

                fps = float(DEFAULT_RATE)
            if fps is not None:
                run["fps"] = fps
            run |= settings_to_record(video)
        return {**run, "source_bytes": size, "source_modified_ns": modified}


def _bytes_and_time(job: Job) -> tuple[int, int]:
    """Bytes and time [ns]; sum and latest of frames."""
    facts = job.source.stat()
    if job.medium is not Medium.SEQUENCE:
        return facts.st_size, facts.st_mtime_ns
    frames = [entry.stat() for entry in os.scandir(job.source) if not entry.name.startswith(".")]
    latest = max((status.st_mtime_ns for status in frames), default=facts.st_mtime_ns)
    return sum(status.st_size for status in frames), latest
