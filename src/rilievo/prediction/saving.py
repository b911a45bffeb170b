"""Save a prediction in the formats of the table of outputs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rilievo.calibration.certainty import refuse_uncertain_height
from rilievo.errors import MissingExtraError, OptionError, OutputError
from rilievo.errors.argument_types import check_type
from rilievo.io.checksums import CheckLevel, sum_of
from rilievo.io.files.atomic import make_folder
from rilievo.io.files.commit import FileSet, commit_files, fill_or_discard
from rilievo.io.outputs.overwrite_policy import (
    Claim,
    check_claim,
    earlier_sidecar,
    merge_sidecars,
    record_state,
)
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import (
    FileFacts,
    Sidecar,
    make_sidecar,
    sidecar_path,
    write_sidecar,
)
from rilievo.io.outputs.writing import WriteJob
from rilievo.prediction.output import OUTPUTS, options_of_output
from rilievo.prediction.output_names import (
    parse_output_names,
    refuse_unknown_suffix,
    split_output_suffix,
)
from rilievo.prediction.output_record import Need, SurfaceDepth, import_function
from rilievo.prediction.surface_depth import (
    anchor_prediction,
    can_make_surface,
    require_anchoring,
)
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import PredictionRecord, Setting


def save(
    prediction: PredictionRecord,
    stem: str | Path,
    names: str | Sequence[str] | None = None,
    options: SaveOptions | None = None,
    *,
    run: Mapping[str, Setting] | None = None,
    durable: bool = True,
) -> list[Path]:
    """Write a prediction in some formats, and a JSON that describes the files.

    Each file is written whole or stays as it was. Saving again adds formats. Saving another
    prediction under the same stem needs ``options.overwrite``.

    Examples:
        >>> prediction = rilievo.predict("photo.jpg", model="rilievo/small")
        >>> [path.name for path in rilievo.save(prediction, "out/photo", "npz")]
        ['photo.npz', 'photo.json']

    Args:
        prediction: Prediction to save.
        stem: Path without suffixes, or with a suffix that chooses the format.
        names: Names of formats (``OUTPUTS``). Without names, the suffix of the stem chooses the
            format, by default colour. A stem with a dot needs names.
        options: Options of the formats.
        run: Further options of the run, which the JSON records.
        durable: Whether to wait until the files survive a power cut.

    Returns:
        Paths in the order of ``names``, then the JSON.

    Raises:
        OptionError: If a name or suffix is unknown, or the prediction lacks a part that is needed.
        MissingExtraError: If the package of a format is not installed.
        InputError: If a format shows a surface, and depth is affine and cannot be anchored.
        OutputError: If the files cannot be written, or files of another program are in the way.
    """
    check_type("prediction", prediction, PredictionRecord, "a Prediction")
    if options is not None:
        check_type("options", options, SaveOptions, "a SaveOptions")
    stem = Path(stem)
    split = split_output_suffix(stem)
    if names is None:
        refuse_unknown_suffix(stem)
        names = ["colour" if split is None else split.output]
    else:
        names = parse_output_names(names)
    if split is not None and split.output in names:
        stem = split.stem
    files = write_part_files(prediction, stem, names, options, run=run)
    commit_files(files, durable=durable)
    return [*_output_paths(stem, names), sidecar_path(stem)]


def _output_paths(stem: Path, names: Iterable[str]) -> list[Path]:
    """Paths of the files of outputs, in order."""
    return [stem.with_name(stem.name + OUTPUTS[name].suffix) for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilesToWrite:
    """Files of one prediction, with all that their writers need.

    Attributes:
        prediction: Prediction to save.
        anchored: The same with anchored depth, of which ``anchored_names`` are made.
        about: Description for the JSON.
        names: Names of the outputs.
        paths: Final paths of their files.
        options: Options of all outputs besides those in ``options_by_output``.
        shared: Intermediate results that writers share.
    """

    prediction: PredictionRecord
    anchored: PredictionRecord
    anchored_names: frozenset[str]
    about: Sidecar
    names: Sequence[str]
    paths: Sequence[Path]
    options: SaveOptions
    options_by_output: Mapping[str, SaveOptions]
    shared: dict[tuple[str, SaveOptions], Any] = field(default_factory=dict)

    @property
    def file_names(self) -> list[str]:
        return [path.name for path in self.paths]

    def write_into(self, file_set: FileSet) -> tuple[FileFacts, ...]:
        """Write every file into a part of the set, and describe it."""
        facts: list[FileFacts] = []
        for index, path in enumerate(self.paths):
            job = self._write_job(index, file_set.create_part(path))
            written = write_file(job)
            file_sum = sum_of(job.path)
            facts.append(
                replace(
                    written,
                    options=self._own_options(job.output),
                    bytes=file_sum.bytes,
                    sha256=file_sum.sha256,
                )
            )
        return tuple(facts)

    def _write_job(self, index: int, part: Path) -> WriteJob:
        """What the writer of one file needs; it writes to ``part``."""
        name = self.names[index]
        is_anchored = name in self.anchored_names
        options = self._options_of(name)
        # Outputs with other options cannot use what this one computes.
        later = [later for later in self.names[index + 1 :] if self._options_of(later) == options]
        return WriteJob(
            path=part,
            file=self.paths[index].name,
            output=name,
            prediction=self.anchored if is_anchored else self.prediction,
            options=options,
            about=replace(self.about, depth=self.about.anchored) if is_anchored else self.about,
            later=frozenset(later),
            beside=dict(zip(self.names, self.file_names, strict=True)),
            shared=self.shared,
        )

    def _options_of(self, name: str) -> SaveOptions:
        return self.options_by_output.get(name, self.options)

    def _own_options(self, name: str) -> dict[str, Any] | None:
        """Options of this output alone, for the JSON; None if it has those of the run."""
        options = self.options_by_output.get(name)
        if options is None:
            return None
        return {option: getattr(options, option) for option in options_of_output(name)}


def write_part_files(
    prediction: PredictionRecord,
    stem: Path,
    names: Sequence[str],
    options: SaveOptions | None = None,
    *,
    run: Mapping[str, Setting] | None = None,
    thoroughness: CheckLevel = CheckLevel.ENDS,
    options_by_output: Mapping[str, SaveOptions] | None = None,
) -> FileSet:
    """Write the files of a prediction under temporary names, for ``place`` to rename them.

    Args:
        prediction: Prediction to save.
        stem: Path without suffixes.
        names: Names of outputs.
        options: Options of the outputs.
        run: Further options of the run, which the JSON records.
        thoroughness: How files of an earlier run are compared with their checksums.
        options_by_output: Options of single outputs, in place of ``options``.

    Raises:
        RilievoError: As for ``save``.
    """
    options = options or SaveOptions()
    check_outputs(names)
    check_parts(prediction, names)
    refuse_uncertain_height(prediction.calibration)
    make_folder(stem.parent)
    if any(OUTPUTS[name].holds_everything for name in names):
        can_make_surface(prediction)  # finds the anchoring, which such a file stores

    anchored_names = frozenset(name for name in names if _needs_anchored_depth(prediction, name))
    anchored = anchor_prediction(prediction) if anchored_names else prediction
    about = make_sidecar(prediction, run=run, anchored=anchored if anchored_names else None)
    files = _FilesToWrite(
        prediction=prediction,
        anchored=anchored,
        anchored_names=anchored_names,
        about=about,
        names=names,
        paths=_output_paths(stem, names),
        options=options,
        options_by_output=options_by_output or {},
    )

    def claim_files() -> tuple[Sidecar | None, Claim]:
        return _claim_files(
            stem, files.file_names, about, run, thoroughness, overwrite=options.overwrite
        )

    state = record_state(stem)
    before, claim = claim_files()
    with fill_or_discard(claim.make_file_set()) as file_set:
        json_part = file_set.create_part(file_set.record)
        written = files.write_into(file_set)
        write_sidecar(json_part, merge_sidecars(about, written, before, claim.earlier))

    def renew() -> str | None:
        """Merge the JSON again if another process has written it meanwhile."""
        if record_state(stem) == state:
            return None
        before, claim = claim_files()
        write_sidecar(json_part, merge_sidecars(about, written, before, claim.earlier))
        return claim.pending_text()

    file_set.renew = renew
    return file_set


def _claim_files(
    stem: Path,
    files: Sequence[str],
    about: Sidecar,
    run: Mapping[str, Setting] | None,
    thoroughness: CheckLevel,
    *,
    overwrite: bool,
) -> tuple[Sidecar | None, Claim]:
    """Check that files may be written beside those of an earlier run.

    Returns the JSON of that run, if files are added to it, and the permission to write.

    Raises:
        OutputError: If other files are in the way.
    """
    all_files = [path.name for path in _output_paths(stem, OUTPUTS.own)]
    while True:
        state = record_state(stem)
        try:
            before = None if overwrite else earlier_sidecar(stem, about, run, thoroughness)
            overwrite = overwrite or before is not None
            return before, check_claim(stem, files, overwrite=overwrite, others=all_files)
        except OutputError:
            # If another process wrote the JSON meanwhile, its files are looked at once more.
            if record_state(stem) == state:
                raise


def check_outputs(names: Sequence[str]) -> None:
    """Check that outputs are known and that their packages are installed.

    Raises:
        OptionError: If no output is named, or one is unknown.
        MissingExtraError: If the package of an output is not installed.
    """
    if not names:
        raise OptionError(f"no outputs are named; known: {', '.join(OUTPUTS)}")
    for name in names:
        extra = OUTPUTS.find(name).extra
        if extra and not is_output_installed(name):
            raise MissingExtraError(f"output '{name}'", extra)


def is_output_installed(name: str) -> bool:
    """Whether the package that an output needs is installed."""
    package = OUTPUTS.find(name).package
    return package is None or find_spec(package) is not None


def check_parts(prediction: PredictionRecord, names: Sequence[str]) -> None:
    """Check that a prediction has the parts that outputs need.

    Raises:
        OptionError: If it lacks one.
        InputError: If affine depth must be anchored, and cannot be.
    """
    for name in names:
        is_anchored = _needs_anchored_depth(prediction, name)
        if is_anchored:
            require_anchoring(prediction)
        for need in OUTPUTS[name].needs:
            if prediction.has("depth_or_none" if need is Need.DEPTH else need):
                continue
            if need is Need.NORMALS and is_anchored and prediction.camera is not None:
                continue  # The surface has normals.
            if need is Need.NORMALS and prediction.anchoring is not None:
                require_anchoring(prediction)  # Its error says why there is no surface.
            raise OptionError(
                f"output '{name}' needs {need}, which model '{prediction.made_by.model}' does not "
                "give"
            )


def prediction_for_output(prediction: PredictionRecord, name: str) -> PredictionRecord:
    """Prediction of which an output is made: with anchored depth, if the output needs it."""
    if _needs_anchored_depth(prediction, name):
        return anchor_prediction(prediction)
    return prediction


def _needs_anchored_depth(prediction: PredictionRecord, name: str) -> bool:
    """Whether affine depth must be anchored for an output."""
    depth, surface = prediction.depth_or_none, OUTPUTS[name].surface
    if depth is None or depth.is_depth or surface is SurfaceDepth.NEVER:
        return False
    if Need.NORMALS in OUTPUTS[name].needs and prediction.has("normals"):
        return False
    return surface is SurfaceDepth.REQUIRED or can_make_surface(prediction)


def output_parts(names: Sequence[str]) -> set[Need]:
    """Parts of a prediction that outputs need, or store if there are any."""
    return {part for name in names for part in (*OUTPUTS[name].needs, *OUTPUTS[name].optional)}


def write_file(job: WriteJob) -> FileFacts:
    """Write one file with the writer of its output, and describe it.

    Raises:
        OptionError: If a writer of another package does not describe its file.
    """
    writer = import_function(OUTPUTS[job.output].writer)
    facts = writer(job, *needed_parts(job.prediction, job.output))
    if not isinstance(facts, FileFacts):
        raise OptionError(
            f"output '{job.output}': its writer returned a {type(facts).__name__}; expected "
            "FileFacts (rilievo.io.outputs.sidecar)"
        )
    return facts


def needed_parts(prediction: PredictionRecord, output: str) -> tuple[Any, ...]:
    """Parts of a prediction that the writer of an output takes, in its order."""
    return tuple(getattr(prediction, need) for need in OUTPUTS[output].needs)


def saving_notes(prediction: PredictionRecord, stem: str, names: Sequence[str]) -> tuple[str, ...]:
    """Note on a 16-bit PNG whose numbers are not the millimetres that other programs expect."""
    depth = prediction.depth_or_none
    if "png16" not in names or depth is None or depth.kind is not DepthKind.METRIC:
        return ()
    values = depth.values[depth.valid]
    if not values.size:
        return ()
    # Imported on demand, as all writers are.
    from rilievo.io.outputs.formats.png16 import count_note

    file = stem + OUTPUTS["png16"].suffix
    note = count_note(file, float(values.min()), float(values.max()))
    return () if note is None else (note,)


def metre_notes(kind: DepthKind | None, names: Sequence[str]) -> tuple[str, ...]:
    """Note on formats whose unit is the metre, if depth of this kind is not metric."""
    if kind in (None, DepthKind.METRIC):
        return ()
    files = " and ".join(name for name in names if OUTPUTS[name].is_in_metres)
    if not files:
        return ()
    return (
        f"viewers take the numbers of {files} for metres, and this depth is known only up to "
        "scale: sizes in them mean nothing",
    )
