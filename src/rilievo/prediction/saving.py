"""Save a prediction in the formats of the table of outputs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rilievo.errors import MissingExtraError, OptionError, OutputError, check_type
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.io.checksums import CheckLevel, compute_file_sum
from rilievo.io.files.atomic import make_folder
from rilievo.io.files.commit import FileSet, commit_files, fill_or_discard
from rilievo.io.outputs.overwrite_policy import (
    Claim,
    RecordedFiles,
    check_claim,
    earlier_sidecar,
    record_state,
)
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts, Sidecar, make_sidecar, sidecar_path
from rilievo.io.outputs.video_drawing import ClipDepthRange, Drawing, VideoJob
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.saved_origins import DEPTH_MAP_MODEL
from rilievo.prediction.output import (
    OUTPUTS,
    Need,
    SurfaceDepth,
    import_function,
    output_option_names,
)
from rilievo.prediction.output_names import check_suffix, parse_output_names, split_output_suffix
from rilievo.prediction.surface_depth import anchor_prediction, can_make_surface, require_anchoring
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import PredictionRecord, Setting

_MAX_CENTRE_OFFSET = 0.002
"""Largest distance of a principal point from the picture's centre that needs no note [fraction of
the longer side]."""


def save(
    prediction: PredictionRecord,
    stem: str | Path,
    names: str | Sequence[str] | None = None,
    options: SaveOptions | None = None,
    *,
    run: Mapping[str, Setting] | None = None,
    durable: bool = True,
) -> list[Path]:
    """Write a prediction in one or more formats, and a JSON that describes the files.

    Files are replaced atomically. Saving again adds formats. Saving another prediction under the
    same stem needs ``options.overwrite``.

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
        run: Further settings to record in the JSON.
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
    stem_and_output = split_output_suffix(stem)
    if names is None:
        check_suffix(stem)
        names = ["colour" if stem_and_output is None else stem_and_output.output]
    else:
        names = parse_output_names(names)
    # "out/cat.glb" with names="glb" stands for "out/cat".
    if stem_and_output is not None and stem_and_output.output in names:
        stem = stem_and_output.stem
    file_set = write_part_files(prediction, stem, names, options, run=run)
    commit_files(file_set, durable=durable)
    return [*_output_paths(stem, names), sidecar_path(stem)]


def _output_paths(stem: Path, names: Iterable[str]) -> list[Path]:
    return [stem.with_name(stem.name + OUTPUTS[name].suffix) for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilesToWrite:
    """Files of one prediction, with all that their writers need.

    Attributes:
        anchored: The prediction with anchored depth.
        anchored_names: Names of the outputs that are made from ``anchored``.
        sidecar: Description for the JSON, without the files.
        cache: Intermediate results that writers share.
    """

    prediction: PredictionRecord
    anchored: PredictionRecord
    anchored_names: frozenset[str]
    sidecar: Sidecar
    names: Sequence[str]
    paths: Sequence[Path]
    options: SaveOptions
    options_by_output: Mapping[str, SaveOptions]
    cache: dict[tuple[str, SaveOptions], Any] = field(default_factory=dict)

    @property
    def file_names(self) -> list[str]:
        return [path.name for path in self.paths]

    def write_into(self, file_set: FileSet) -> tuple[FileFacts, ...]:
        """Write every file under a temporary name of the set, and return their descriptions."""
        descriptions: list[FileFacts] = []
        for index, path in enumerate(self.paths):
            job = self._make_job(index, file_set.create_part(path))
            file_facts = write_file(job)
            file_sum = compute_file_sum(job.path)
            descriptions.append(
                replace(
                    file_facts,
                    options=self._recorded_options(job.output),
                    bytes=file_sum.bytes,
                    sha256=file_sum.sha256,
                )
            )
        return tuple(descriptions)

    def _make_job(self, index: int, part: Path) -> WriteJob:
        """Collect what the writer of one file needs; it writes to ``part``."""
        name = self.names[index]
        options = self._options_for(name)
        # Outputs with other options cannot reuse what this one computes.
        later_outputs = [
            later for later in self.names[index + 1 :] if self._options_for(later) == options
        ]
        prediction, sidecar = self.prediction, self.sidecar
        if name in self.anchored_names:
            prediction = self.anchored
            sidecar = replace(sidecar, depth=sidecar.anchored)
        return WriteJob(
            path=part,
            file=self.paths[index].name,
            output=name,
            prediction=prediction,
            options=options,
            sidecar=sidecar,
            later_outputs=frozenset(later_outputs),
            files_by_output=dict(zip(self.names, self.file_names, strict=True)),
            cache=self.cache,
        )

    def _options_for(self, name: str) -> SaveOptions:
        return self.options_by_output.get(name, self.options)

    def _recorded_options(self, name: str) -> dict[str, Any] | None:
        """Options of this output alone, for the JSON; None if it has those of the run."""
        options = self.options_by_output.get(name)
        if options is None:
            return None
        return {option: getattr(options, option) for option in output_option_names(name)}


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
    """Write the files of a prediction under temporary names, which ``commit_files`` then renames.

    Arguments are as for ``save``. ``thoroughness`` says how thoroughly files of an earlier run are
    compared with their checksums. ``options_by_output`` replaces ``options`` for single outputs.

    Raises:
        RilievoError: As for ``save``.
    """
    options = options or SaveOptions()
    check_outputs(names)
    check_parts(prediction, names)
    if prediction.calibration is not None:
        # Imported on demand, because most photographs have no metres to check.
        from rilievo.measure.expected_errors import require_certain_height

        require_certain_height(prediction.calibration)
    make_folder(stem.parent)
    if any(OUTPUTS[name].holds_everything for name in names):
        # Such a file stores the anchoring, which this call computes and caches.
        can_make_surface(prediction)

    anchored_names = frozenset(name for name in names if _needs_anchored_depth(prediction, name))
    anchored = anchor_prediction(prediction) if anchored_names else prediction
    sidecar = make_sidecar(prediction, run=run, anchored=anchored if anchored_names else None)
    files = _FilesToWrite(
        prediction=prediction,
        anchored=anchored,
        anchored_names=anchored_names,
        sidecar=sidecar,
        names=names,
        paths=_output_paths(stem, names),
        options=options,
        options_by_output=options_by_output or {},
    )

    def claim_files() -> tuple[Sidecar | None, Claim]:
        """Return the JSON to which files are added, if any, and the permission to write."""
        return _claim_files(
            stem, files.file_names, sidecar, run, thoroughness, overwrite=options.overwrite
        )

    recorded = RecordedFiles(stem, claim_files)
    with fill_or_discard(recorded.file_set) as file_set:
        recorded.create_record_part()
        written_files = files.write_into(file_set)
        recorded.write_record(replace(sidecar, files=written_files), claim_files)

    file_set.replaces_described_file = partial(
        recorded.claim.replaces_described_file, written_files
    )
    return file_set


def _claim_files(
    stem: Path,
    file_names: Sequence[str],
    sidecar: Sidecar,
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
    possible_names = [path.name for path in _output_paths(stem, OUTPUTS.own)]
    while True:
        json_state = record_state(stem)
        try:
            earlier = None if overwrite else earlier_sidecar(stem, sidecar, run, thoroughness)
            overwrite = overwrite or earlier is not None
            claim = check_claim(stem, file_names, overwrite=overwrite, others=possible_names)
            return earlier, claim
        except OutputError:
            # If another process wrote the JSON meanwhile, its files are checked once more.
            if record_state(stem) == json_state:
                raise


def check_outputs(names: Sequence[str]) -> None:
    """Check that outputs are known and that their packages are installed.

    Raises:
        OptionError: If no output is named, or one is unknown.
        MissingExtraError: If the package of an output is not installed.
    """
    if not names:
        raise OptionError(f"no outputs are given; known: {', '.join(OUTPUTS)}")
    for name in names:
        extra = OUTPUTS.find(name).extra
        if extra and not is_output_installed(name):
            raise MissingExtraError(f"output '{name}'", extra)


def is_output_installed(name: str) -> bool:
    """Whether the package that an output needs is installed."""
    package = OUTPUTS.find(name).package
    return package is None or find_spec(package) is not None


def possible_outputs(prediction: PredictionRecord, names: Sequence[str]) -> list[str]:
    """Leave out outputs that show a surface, if affine depth cannot be anchored."""
    if not prediction.has("depth_or_none") or can_make_surface(prediction):
        return [*names]
    has_normals = prediction.has("normals")
    return [
        name
        for name in names
        if OUTPUTS[name].surface is not SurfaceDepth.REQUIRED
        and (has_normals or Need.NORMALS not in OUTPUTS[name].needs)
    ]


def check_parts(prediction: PredictionRecord, names: Sequence[str]) -> None:
    """Check that a prediction has the parts that outputs need.

    Raises:
        OptionError: If it lacks a part.
        InputError: If affine depth must be anchored and cannot be.
    """
    for name in names:
        is_anchored = _needs_anchored_depth(prediction, name)
        if is_anchored:
            require_anchoring(prediction)
        for need in OUTPUTS[name].needs:
            if prediction.has("depth_or_none" if need is Need.DEPTH else need):
                continue
            surface_has_normals = is_anchored and prediction.camera is not None
            if need is Need.NORMALS and surface_has_normals:
                continue
            if need is Need.NORMALS and prediction.anchoring is not None:
                require_anchoring(prediction)  # Its error says why there is no surface.
            raise _missing_part_error(prediction, name, need)


def _missing_part_error(prediction: PredictionRecord, output: str, need: Need) -> OptionError:
    """Error for an output that needs a part, which says why the prediction lacks it."""
    model = prediction.made_by.model
    if need is Need.PHOTO:
        reason = "this prediction does not contain"
    elif model.startswith(DEPTH_MAP_MODEL):
        reason = "a given depth map does not contain"
    else:
        reason = f"model '{model}' does not predict"
    return OptionError(f"output '{output}' needs {need.text}, which {reason}")


def prediction_for_output(prediction: PredictionRecord, name: str) -> PredictionRecord:
    """Prediction from which an output is made, with anchored depth if the output needs it."""
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
    """Write one file with the writer of its output, which must describe it."""
    output = OUTPUTS[job.output]
    # The writer takes the parts that the output needs, in the order of its arguments.
    parts = [getattr(job.prediction, need) for need in output.needs]
    file_facts = import_function(output.writer)(job, *parts)
    if not isinstance(file_facts, FileFacts):
        raise OptionError(
            f"output '{job.output}': its writer returned a {type(file_facts).__name__}; expected "
            "FileFacts (rilievo.io.outputs.sidecar)"
        )
    return file_facts


def make_drawing(job: VideoJob) -> Drawing:
    """Prepare to draw an output as a video, by the function in its row of ``OUTPUTS``."""
    video = OUTPUTS[job.output].video
    assert video is not None, "the caller writes files of frames for other outputs"
    drawing: Drawing = import_function(video.drawing)(job)
    return drawing


def saving_notes(prediction: PredictionRecord, stem: str, names: Sequence[str]) -> tuple[str, ...]:
    """Notes for the user on files to be saved, about what a program that reads them may miss."""
    notes = (
        _millimetre_note(prediction, stem) if "png16" in names else None,
        _centred_camera_note(prediction, stem) if "glb" in names else None,
        *(_range_note(prediction, stem, name) for name in ("kitti", "tum") if name in names),
    )
    return tuple(note for note in notes if note is not None)


def _millimetre_note(prediction: PredictionRecord, stem: str) -> str | None:
    """Note on a 16-bit PNG of metric depth whose numbers are not millimetres."""
    depth = prediction.depth_or_none
    if depth is None or depth.kind is not DepthKind.METRIC:
        return None
    valid_depths = depth.values[depth.valid]
    if not valid_depths.size:
        return None
    # Imported on demand, as all writers are.
    from rilievo.io.outputs.formats.png16 import count_note

    file = stem + OUTPUTS["png16"].suffix
    return count_note(file, depth.kind, float(valid_depths.min()), float(valid_depths.max()))


def _range_note(prediction: PredictionRecord, stem: str, name: str) -> str | None:
    """Note on metric depth that does not fit into the 16 bits of a benchmark's file."""
    depth = prediction.depth_or_none
    if depth is None or depth.kind is not DepthKind.METRIC:
        return None
    # Imported on demand, as all writers are.
    from rilievo.io.outputs.formats.png16 import range_note

    return range_note(stem + OUTPUTS[name].suffix, name, depth)


def _centred_camera_note(prediction: PredictionRecord, stem: str) -> str | None:
    """Note on the camera in a GLB file, if the principal point is not the picture's centre.

    The shifts are those of Blender, whose importer fits the camera to the picture's height, so that
    both are in units of the height.
    """
    camera = prediction.camera
    if camera is None or not isinstance(camera.lens, Pinhole):
        return None
    height, width = prediction.shape
    K = camera.K
    right, down = float(K[0, 2] - (width - 1) / 2), float(K[1, 2] - (height - 1) / 2)
    if max(abs(right), abs(down)) < _MAX_CENTRE_OFFSET * max(height, width):
        return None
    shift_x, shift_y = -right * float(K[1, 1] / K[0, 0]) / height, down / height
    return (
        f"{stem}{OUTPUTS['glb'].suffix}: glTF cameras are centred, but the principal point of this "
        f"camera is {abs(right):.0f} px to the {'right' if right > 0 else 'left'} of the picture's "
        f"centre and {abs(down):.0f} px {'below' if down > 0 else 'above'} it; in Blender, set the "
        f"camera's Shift X to {shift_x:.4f} and its Shift Y to {shift_y:.4f}"
    )


def video_saving_notes(depth_range: ClipDepthRange, names: Sequence[str]) -> tuple[str, ...]:
    """Notes for the user on the files of a video, about what a program may misread in them."""
    notes = metre_notes(depth_range.kind, names)
    if "png16" not in names:
        return notes
    # Imported on demand, as all writers are.
    from rilievo.io.outputs.formats.png16 import count_note

    note = count_note("png16", depth_range.kind, *depth_range.ends)
    return notes if note is None else (*notes, note)


def metre_notes(kind: DepthKind | None, names: Sequence[str]) -> tuple[str, ...]:
    """Note on formats whose unit is the metre, if depth of this kind is not metric."""
    if kind in (None, DepthKind.METRIC):
        return ()
    metre_formats = [name for name in names if OUTPUTS[name].is_in_metres]
    if not metre_formats:
        return ()
    return (
        f"viewers read the numbers in {', '.join(metre_formats)} as metres, but this depth is "
        "known only up to scale, so sizes in them are meaningless",
    )
