"""Read photographs, write their results, and find what an earlier run has finished."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rilievo.arrays.shapes import Size
from rilievo.errors import InputError, OptionError, OutputError, RilievoError, explain_missing_extra
from rilievo.errors.messages import Note, OptionName, Text, note_about
from rilievo.io.checksums import CheckLevel, is_torn
from rilievo.io.files.commit import FileSet
from rilievo.io.files.machine import check_disk_space
from rilievo.io.files.names import printable
from rilievo.io.outputs.overwrite_policy import (
    check_same_settings,
    file_fault,
    sweep_leftovers,
)
from rilievo.io.outputs.save_options import WRITING, SaveOptions
from rilievo.io.outputs.sidecar import (
    SOURCE_BYTES,
    SOURCE_MODIFIED,
    FileFacts,
    Sidecar,
    find_sidecar,
    read_sidecar,
    sidecar_path,
)
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.metres.job_sizes import sizes_of_job
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.finishing import finish_photo, is_depth_sufficient, option_notes
from rilievo.predicting.photographs.masked_photos import with_valid_mask
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.predicting.photographs.output_sizes import min_bytes_per_pixel, min_memory
from rilievo.predicting.photographs.photo_memory import PhotoMemory, photo_size
from rilievo.predicting.photographs.run_record import input_record, run_record
from rilievo.predicting.summary import EarlierResultError
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS, Need, output_option_names
from rilievo.prediction.saving import (
    check_outputs,
    is_output_installed,
    metre_notes,
    output_parts,
    possible_outputs,
    saving_notes,
    write_part_files,
)
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class _FirstPhoto:
    """First photograph of a run with ``--same-camera``; all others must have its size."""

    name: str
    shape: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultWriter:
    """Reader of a run's photographs and writer of their results.

    Attributes:
        note: Function that is called with each note for the user.
        first_photo: Photograph whose size all must have; None if sizes may differ.
        memory: Bounds on the photographs that are in memory at once.
        common_notes: Notes on many photographs that were passed to ``note`` already.
    """

    model: Model
    options: PredictOptions
    note: Callable[[str], None] = lambda message: None
    first_photo: _FirstPhoto | None = None
    memory: PhotoMemory = field(default_factory=PhotoMemory)
    common_notes: set[str] = field(default_factory=set)

    @property
    def thoroughness(self) -> CheckLevel:
        """How thoroughly files of an earlier run are compared with their checksums."""
        return CheckLevel.HASHES if self.options.saving.resume == "hash" else CheckLevel.ENDS

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the outputs to write; "all" means those that are possible."""
        saving = self.options.saving
        if not saving.asks_for_all:
            return saving.formats
        return tuple(
            name
            for name in saving.formats
            if not self._missing_parts(name) and is_output_installed(name)
        )

    def skipped_output_notes(self) -> Iterator[str]:
        """Yield notes on outputs that "all" skips because a package is not installed."""
        if not self.options.saving.asks_for_all:
            return
        for name in self.options.saving.formats:
            if self._missing_parts(name) or is_output_installed(name):
                continue
            extra = OUTPUTS[name].extra
            yield Note(
                Text(OptionName("save", "all"), f" leaves out {name}, which needs rilievo[{extra}]")
            )

    def check(self) -> None:
        """Check that the model and the installed packages can make the outputs.

        Raises:
            OptionError: If the model lacks a part that an output needs.
            MissingExtraError: If a package is not installed.
        """
        check_outputs(self.formats)
        if self.options.sizes.markers is not None:
            with explain_missing_extra("", "markers", option="markers"):
                import cv2  # noqa: F401
        card = self.model.card
        for name in self.formats:
            missing = self._missing_parts(name)
            # Affine depth bends surfaces, so it has no camera until it is calibrated or anchored.
            if missing == [Need.CAMERA] and card.kind is not None:
                raise OptionError(
                    option="save",
                    problem=Text(
                        f"{name} needs calibrated depth, because surfaces from "
                        f"'{card.kind}' depth are distorted: give two or more known depths "
                        "with ",
                        OptionName("known"),
                        ", or leave out ",
                        OptionName("anchor", "off"),
                    ),
                )
            if missing:
                parts = " and ".join(part.text for part in missing)
                raise OptionError(
                    option="save",
                    problem=f"{name} needs {parts}, which model '{card.name}' does not predict",
                    hint=f"leave out {name}, or choose another model",
                )

    def _missing_parts(self, name: str) -> list[Need]:
        """List the parts that an output needs, but that predictions of this run will lack.

        The camera counts as missing if depth stays affine, because affine depth has no surface.
        """
        card = self.model.card
        has_depth = card.kind is not None
        is_affine = card.kind is not None and not card.kind.is_depth
        is_anchored = is_affine and self.options.surface.allows_anchoring
        has_surface = has_depth and (
            not is_affine or is_anchored or self.options.sizes.makes_metric
        )
        is_available = {
            Need.PHOTO: True,
            Need.DEPTH: has_depth,
            Need.NORMALS: card.normals or is_anchored,
            Need.CONFIDENCE: card.confidence,
            Need.SKY: card.sky,
            Need.CAMERA: has_surface,
        }
        return [need for need in OUTPUTS[name].needs if not is_available[need]]

    def min_file_bytes(self, shape: Size) -> int:
        """Estimate the least size on disk of the results of a photograph [bytes]."""
        card = self.model.card
        is_predicted = {
            Need.DEPTH: card.kind is not None,
            Need.NORMALS: card.normals,
            Need.CONFIDENCE: card.confidence,
            Need.SKY: card.sky,
        }
        predicted_parts = [part for part, is_present in is_predicted.items() if is_present]
        height, width = shape
        return height * width * min_bytes_per_pixel(self.formats, predicted_parts)

    def min_memory(self, shape: Size) -> int:
        """Estimate the least memory for the results of a photograph [bytes]."""
        height, width = shape
        return min_memory(self.formats, height * width, self.options.saving.surface_points)

    def read(self, job: Job) -> Photo:
        """Read a photograph, with the depth in its own file if that may be used for metres.

        Raises:
            InputError: If it cannot be read.
            OptionError: If its results do not fit into memory.
        """
        if self.memory.at_once is not None:
            self.memory.check(photo_size(job.source), self.min_memory)
        photo = read_photo(
            job.source,
            own_depth=self.options.sizes.reads_own_depth,
            **self.options.refine.reading,
        )
        self.memory.check(photo.shape, self.min_memory)
        return self.prepare(photo)

    def options_of(self, job: Job) -> PredictOptions:
        """Return the options of one job, with those of the known sizes that belong to it.

        Raises:
            InputError: If there are known sizes, but none for this job.
        """
        options = self.options
        sizes = sizes_of_job(options.sizes, job, options.saving.output)
        return replace(options, sizes=sizes)

    def prepare(self, photo: Photo) -> Photo:
        """Give a photograph the camera and the mask that the user names, and check its size.

        Raises:
            InputError: If it has another size than the mask, or than the first photograph of the
                same camera.
        """
        first = self.first_photo
        if first is not None and photo.shape != first.shape:
            height, width = photo.shape
            first_height, first_width = first.shape
            raise InputError(
                path=photo.name,
                problem=Text(
                    f"is {width}x{height}, but {first.name} is {first_width}x{first_height}: ",
                    OptionName("same_camera"),
                    " needs photographs of the same size",
                ),
            )
        view = self.options.view
        photo = with_camera(photo, view.named_camera, view.fov)
        return with_valid_mask(photo, self.options.refine)

    def require_size_of_first_photo(self, jobs: Iterable[Job]) -> "ResultWriter":
        """Return a writer that requires the size of the first photograph that can be read."""
        for job in jobs:
            if job.medium is not Medium.PHOTO:
                continue
            with suppress(RilievoError):
                photo = read_photo(job.source, own_depth=False, **self.options.refine.reading)
                first_photo = _FirstPhoto(name=str(job.source), shape=photo.shape)
                return replace(self, first_photo=first_photo)
        return self

    def is_depth_sufficient(self, job: Job, photo: Photo) -> bool:
        """Whether neither normals nor confidence are needed, so that the network may skip them."""
        return is_depth_sufficient(self.options.sizes, [*self.options_by_output(job)], photo)

    def write(self, job: Job, photo: Photo, inference: Inference) -> FileSet | None:
        """Finish a prediction and write its files under temporary names.

        Returns:
            The files that remain to be renamed; None if nothing remains.

        Raises:
            RilievoError: If the prediction cannot be finished or written.
        """
        check_disk_space(
            job.target.parent,
            self.min_file_bytes(photo.shape),
            f"the results of {printable(job.source.name)}",
            Text("choose another folder with ", OptionName("output")),
        )
        report_note = self._note_reporter(job)
        options = self.options_of(job)
        prediction = finish_photo(self.model, inference, photo, options, warn=report_note)
        options_by_output = self._possible_outputs(prediction, self.options_by_output(job))
        outputs = [*options_by_output]
        if Need.NORMALS not in output_parts(outputs):
            prediction = prediction.but(normals=None)
        part_files = write_part_files(
            prediction,
            job.target,
            outputs,
            options.saving,
            run=run_record(options, job.medium, input_record(job)),
            thoroughness=self.thoroughness,
            options_by_output=options_by_output,
        )

        # Notes on results that cannot be written, such as how certain their metres are, would
        # contradict the error.
        for note in prediction.notes:
            report_note(note)
        if prediction.has("depth_or_none"):
            self._note_missing_metres(metre_notes(prediction.depth.kind, outputs))
        for note in saving_notes(prediction, job.target.name, outputs):
            report_note(note)
        return part_files

    def _note_reporter(self, job: Job) -> Callable[[str], None]:
        """Return a function that reports a note on a photograph, unless it was reported before."""
        # Notes on options are reported once for all photographs together.
        reported_notes = {*option_notes(self.options)}

        def report_note(note: str) -> None:
            """Report a note, with the name of the photograph."""
            if note not in reported_notes:
                reported_notes.add(note)
                self.note(note_about(printable(job.source), note))

        return report_note

    def _possible_outputs(
        self, prediction: Prediction, options_by_output: Mapping[str, SaveOptions]
    ) -> Mapping[str, SaveOptions]:
        """Drop outputs with surfaces if the user asks for "all" and no surface can be made."""
        if not self.options.saving.asks_for_all:
            return options_by_output
        names = possible_outputs(prediction, [*options_by_output])
        return {name: options_by_output[name] for name in names}

    def _note_missing_metres(self, notes: Sequence[str]) -> None:
        """Report notes on missing metres, with advice, once for all photographs of a run."""
        hint = Text(
            OptionName("known", "U,V,METRES"),
            ", ",
            OptionName("camera_height", "METRES"),
            " or a metric model (",
            OptionName("quality", "good"),
            ") makes depth metric",
        )
        for note in notes:
            if note not in self.common_notes:
                self.common_notes.add(note)
                self.note(Note(note, hint=hint))

    def options_by_output(self, job: Job) -> Mapping[str, SaveOptions]:
        """Return the options of every output that a job has to write, in the order of ``OUTPUTS``.

        These are the outputs of this run, and those of earlier runs whose files are damaged. The
        latter are written with the options that they had.
        """
        options: dict[str, SaveOptions] = dict.fromkeys(self.formats, self.options.saving)
        for facts in self._earlier_files(job):
            if facts.output not in options and self._is_damaged(job, facts):
                options[facts.output] = self._earlier_options(facts)
        return {name: options[name] for name in OUTPUTS.sorted_names([*options])}

    def _earlier_options(self, facts: FileFacts) -> SaveOptions:
        """Return the options with which an earlier run wrote a file, as its JSON records them.

        Options that are not recorded, or whose recorded values are invalid because someone edited
        the JSON, are those of this run.
        """
        saving = self.options.saving
        if facts.options is None:
            return saving
        recorded: Any = {
            option: facts.options.get(option) for option in output_option_names(facts.output)
        }
        with suppress(OptionError, TypeError):
            return replace(saving, **recorded)
        return saving

    def _is_damaged(self, job: Job, facts: FileFacts) -> bool:
        """Whether a file of an earlier run is missing or was changed."""
        return bool(file_fault(job.target.parent, facts, self.thoroughness))

    def _earlier_files(self, job: Job) -> tuple[FileFacts, ...]:
        """Return the files of an earlier run, to which this run adds its own."""
        if self.options.saving.overwrite:
            return ()
        sidecar = find_sidecar(sidecar_path(job.target))
        return () if sidecar is None else sidecar.files

    def formats_with_earlier(self, job: Job) -> tuple[tuple[str, ...], bool]:
        """Return the outputs of this and an earlier run, and whether there was an earlier run."""
        earlier_outputs = {facts.output for facts in self._earlier_files(job)}
        return OUTPUTS.sorted_names(earlier_outputs | {*self.formats}), bool(earlier_outputs)

    def is_finished(self, job: Job) -> bool:
        """Whether an earlier run finished a job with the same model and options.

        Raises:
            EarlierResultError: If an earlier run used another model or other options.
            OutputError: If the photograph has changed since the earlier run.
        """
        path = sidecar_path(job.target)
        if self.options.saving.overwrite or not path.exists():
            return False
        if is_torn(path):
            self.note(
                Note("has no content, so rilievo computes its results again", path=printable(path))
            )
            return False
        sidecar = read_sidecar(path)
        self._check_same_run(job, path, sidecar)
        if not self._has_all_formats(sidecar):
            return False

        for facts in sidecar.files:
            fault = file_fault(job.target.parent, facts, self.thoroughness)
            if fault is not None:
                self.note(
                    Note(f"{printable(job.target.parent / fault)}, so rilievo writes it again")
                )
                return False
        sweep_leftovers(job.target)
        return True

    def _check_same_run(self, job: Job, path: Path, earlier: Sidecar) -> None:
        """Check that an earlier run, whose JSON lies at a path, agrees with this one.

        Raises:
            EarlierResultError: If it had another model or other options.
            OutputError: If it had another photograph, or the photograph has changed since.
        """
        record = self._comparable_record(job, earlier)
        made_by = self.model.made_by
        # First only the model and the options are compared, as if the photograph had not changed.
        # If they differ, they do so for many photographs.
        earlier_source = {name: earlier.run.get(name) for name in (SOURCE_BYTES, SOURCE_MODIFIED)}
        try:
            check_same_settings(path, earlier, made_by, {**record, **earlier_source})
        except OutputError as error:
            earlier_result_error = EarlierResultError(problem=Text(error))
            earlier_result_error.shared_reason = str(error).replace(str(path), "")
            raise earlier_result_error from error
        # Then the photograph is compared, too.
        check_same_settings(path, earlier, made_by, record)

    def _comparable_record(self, job: Job, sidecar: Sidecar) -> Mapping[str, Setting]:
        """Return the settings of this run with which an earlier run must agree.

        All outputs of a clip are written together. So options of writing may differ only if they
        do not affect the earlier outputs that this run does not replace.
        """
        source = input_record(job)
        record = run_record(self.options_of(job), job.medium, source)
        if job.medium is Medium.PHOTO:
            return record
        kept_outputs = {facts.output for facts in sidecar.files} - {*self.formats}
        fixed_options = {option for name in kept_outputs for option in output_option_names(name)}
        free_options = {*WRITING} - fixed_options
        return {
            name: sidecar.run.get(name) if name in free_options else value
            for name, value in record.items()
        }

    def _has_all_formats(self, sidecar: Sidecar) -> bool:
        """Whether an earlier run wrote all outputs of this one, with the same options."""
        facts_by_output = {facts.output: facts for facts in sidecar.files}
        return all(
            name in facts_by_output and self._has_same_options(name, facts_by_output[name], sidecar)
            for name in self.formats
        )

    def _has_same_options(self, name: str, facts: FileFacts, sidecar: Sidecar) -> bool:
        """Whether an earlier run wrote an output with the options that this run has."""
        # The options of a clip's outputs are in the record of its run.
        earlier_options = sidecar.run if facts.options is None else facts.options
        return all(
            getattr(self.options.saving, option) == earlier_options.get(option)
            for option in output_option_names(name)
        )
