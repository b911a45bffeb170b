"""Save a prediction in formats of the output table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rilievo.alignment import Fit, FitSpace
from rilievo.alignment.anchor import anchored_depth
from rilievo.arrays.shapes import Vectors
from rilievo.calibration.certainty import refuse_uncertain_height
from rilievo.errors import InputError, MissingExtraError, OptionError, OutputError
from rilievo.errors.argument_types import check_type
from rilievo.errors.messages import Text
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.checksums import CheckLevel, sum_of
from rilievo.io.files.atomic import make_folder
from rilievo.io.files.commit import FileSet, fill_or_discard, place_one
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
from rilievo.prediction.output import OUTPUTS, option_names
from rilievo.prediction.output_names import check_suffix, output_by_suffix, parse_output_names
from rilievo.prediction.output_record import Need, Surface, import_function
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Anchoring, PredictionRecord, Setting

AnyPrediction = TypeVar("AnyPrediction", bound=PredictionRecord)
_WINDOW = 5


def anchor_prediction(prediction: AnyPrediction) -> AnyPrediction:
    """Prediction up to scale by its anchoring, where depth is affine."""
    depth = prediction.depth
    if depth.is_depth:
        return prediction
    anchoring = require_anchoring(prediction)
    return with_normals(
        prediction.but(depth_or_none=anchored_depth(depth, anchoring_fit(anchoring)))
    )


def with_normals(prediction: AnyPrediction) -> AnyPrediction:
    """Give a prediction normals of its surface, on demand."""
    if prediction.has("normals") or prediction.camera is None:
        return prediction
    made = prediction.but()
    made.defer("normals", lambda: _surface_normals(prediction))
    return made


def require_anchoring(prediction: PredictionRecord) -> Anchoring:
    """Anchoring that was found and not refused.

    Raises:
        InputError: If there is none.
    """
    anchoring = prediction.anchoring
    if anchoring is not None and anchoring.refused is not None:
        raise InputError(problem=Text(anchoring.refused))
    if anchoring is None:
        prediction.depth.depth()
    assert anchoring is not None, "depth of an affine kind was just refused"
    return anchoring


def anchoring_fit(anchoring: Anchoring) -> Fit:
    """Fit of an anchoring that was not refused."""
    assert anchoring.space is not None, "it was not refused"
    assert anchoring.scale is not None, "it was not refused"
    assert anchoring.shift is not None, "it was not refused"
    return Fit(
        space=FitSpace(anchoring.space),
        scale=anchoring.scale,
        shift=anchoring.shift,
        residual=anchoring.residual or 0.0,
        pixels=0,
    )


def can_make_surface(prediction: PredictionRecord) -> bool:
    """Whether depth is not affine, or can be anchored."""
    depth = prediction.depth_or_none
    if depth is None or depth.is_depth:
        return depth is not None
    anchoring = prediction.anchoring
    return anchoring is not None and anchoring.refused is None


def _surface_normals(prediction: PredictionRecord) -> Vectors:
    """Normals of depth; NaN where there is none."""
    depth = prediction.depth
    normals, mask = normals_from_depth(
        depth.depth(), prediction.known_camera, depth.valid, window=_WINDOW
    )
    return np.where(mask, normals, np.float32(np.nan)).astype(np.float32)


def save(
    prediction: PredictionRecord,
    stem: str | Path,
    names: str | Sequence[str] | None = None,
    options: SaveOptions | None = None,
    *,
    run: Mapping[str, Setting] | None = None,
    durable: bool = True,
) -> list[Path]:
    """Write a prediction in some formats, and last their JSON.

    Files are whole or unchanged. Saving again adds formats; another prediction needs
    ``options.overwrite``.

    Examples:
        >>> prediction = rilievo.predict("photo.jpg", model="rilievo/small")
        >>> [path.name for path in rilievo.save(prediction, "out/photo", "npz")]
        ['photo.npz', 'photo.json']

    Args:
        prediction: Prediction to save.
        stem: Path without suffixes, or with one that chooses the format.
        names: Names in ``OUTPUTS``, needed for a stem with a dot; colour by default.
        options: Settings of the formats.
        run: Other options, for the JSON.
        durable: Whether files survive a power cut.

    Returns:
        Paths in the order of ``names``, then the JSON.

    Raises:
        OptionError: If a name or suffix is unknown, or a part is missing.
        MissingExtraError: If a package is not installed.
        InputError: If a surface is asked for and depth is affine.
        OutputError: If the system refuses, or another's file is in the way.
    """
    check_type("prediction", prediction, PredictionRecord, "a Prediction")
    if options is not None:
        check_type("options", options, SaveOptions, "a SaveOptions")
    stem = Path(stem)
    named = output_by_suffix(stem)
    if names is None:
        check_suffix(stem)
        names = [named.output if named else "colour"]
    else:
        names = parse_output_names(names)
    if named is not None and named.output in names:
        stem = named.stem
    place_one(write_parts(prediction, stem, names, options, run=run), durable=durable)
    return [*_output_paths(stem, names), sidecar_path(stem)]


def saving_notes(prediction: PredictionRecord, stem: str, names: Sequence[str]) -> tuple[str, ...]:
    """Notes on files whose numbers have another unit than programs expect of their format."""
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
    """Notes on formats whose unit is the metre, where depth of a kind is not in metres."""
    taken = [name for name in names if OUTPUTS[name].is_in_metres]
    if not taken or kind in (None, DepthKind.METRIC):
        return ()
    files = " and ".join(taken)
    problem = (
        f"viewers take the numbers of {files} for metres, and this depth is known only up to "
        "scale: sizes in them mean nothing"
    )
    return (problem,)


def write_parts(
    prediction: PredictionRecord,
    stem: Path,
    names: Sequence[str],
    options: SaveOptions | None = None,
    *,
    run: Mapping[str, Setting] | None = None,
    thoroughness: CheckLevel = CheckLevel.ENDS,
    options_by_output: Mapping[str, SaveOptions] | None = None,
) -> FileSet:
    """Write files as parts, which ``place`` renames.

    ``options_by_output`` has options of single outputs.
    """
    options, options_by_output = options or SaveOptions(), options_by_output or {}
    check_outputs(names)
    check_parts(prediction, names)
    refuse_uncertain_height(prediction.calibration)
    make_folder(stem.parent)
    paths = _output_paths(stem, names)
    if any(OUTPUTS[name].whole for name in names):
        can_make_surface(prediction)  # Its anchoring is found and stored.
    of_surface = {name for name in names if _needs_surface_depth(prediction, name)}
    surface = anchor_prediction(prediction) if of_surface else prediction
    about = make_sidecar(prediction, run=run, anchored=surface if of_surface else None)
    files = [path.name for path in paths]
    state = record_state(stem)
    overwrite = options.overwrite
    before, claim = _claim_files(stem, files, about, run, thoroughness, overwrite=overwrite)
    with fill_or_discard(claim.make_file_set()) as placement:
        json_part = placement.create_part(placement.record)
        facts, shared = [], dict[tuple[str, SaveOptions], Any]()
        settings = {name: options_by_output.get(name, options) for name in names}
        for number, (name, path) in enumerate(zip(names, paths, strict=True), start=1):
            its = options_by_output.get(name)
            is_of_surface = name in of_surface
            job = WriteJob(
                path=placement.create_part(path),
                file=path.name,
                output=name,
                prediction=surface if is_of_surface else prediction,
                options=settings[name],
                about=replace(about, depth=about.anchored) if is_of_surface else about,
                # Those with other options share nothing with it.
                later=frozenset(
                    other for other in names[number:] if settings[other] == settings[name]
                ),
                beside=dict(zip(names, files, strict=True)),
                shared=shared,
            )
            described = write_file(job)
            file_sum = sum_of(job.path)
            look = None if its is None else {one: getattr(its, one) for one in option_names(name)}
            facts.append(
                replace(described, options=look, bytes=file_sum.bytes, sha256=file_sum.sha256)
            )
        written = tuple(facts)
        write_sidecar(json_part, merge_sidecars(about, written, before, claim.earlier))

    def renew() -> str | None:
        if record_state(stem) == state:
            return None
        before, claim = _claim_files(stem, files, about, run, thoroughness, overwrite=overwrite)
        write_sidecar(json_part, merge_sidecars(about, written, before, claim.earlier))
        return claim.pending_text()

    placement.renew = renew
    return placement


def _claim_files(
    stem: Path,
    files: Sequence[str],
    about: Sidecar,
    run: Mapping[str, Setting] | None,
    thoroughness: CheckLevel,
    *,
    overwrite: bool,
) -> tuple[Sidecar | None, Claim]:
    """JSON of an earlier run, and claim; again after another run wrote."""
    others = [path.name for path in _output_paths(stem, OUTPUTS.own)]
    while True:
        state = record_state(stem)
        try:
            before = None if overwrite else earlier_sidecar(stem, about, run, thoroughness)
            overwrite = overwrite or before is not None
            return before, check_claim(stem, files, overwrite=overwrite, others=others)
        except OutputError:
            if record_state(stem) == state:
                raise


def _output_paths(stem: Path, names: Iterable[str]) -> list[Path]:
    return [stem.with_name(stem.name + OUTPUTS[name].suffix) for name in names]


def check_outputs(names: Sequence[str]) -> None:
    """Refuse unknown names, and formats whose extra is missing."""
    if not names:
        raise OptionError(f"no outputs are named; known: {', '.join(OUTPUTS)}")
    for name in names:
        extra = OUTPUTS.find(name).extra
        if extra and not is_output_installed(name):
            raise MissingExtraError(f"output '{name}'", extra)


def is_output_installed(name: str) -> bool:
    """Whether an output's package is installed."""
    package = OUTPUTS.find(name).package
    return package is None or find_spec(package) is not None


def prediction_for_output(prediction: PredictionRecord, name: str) -> PredictionRecord:
    """Prediction for an output, anchored where it is of a surface."""
    return anchor_prediction(prediction) if _needs_surface_depth(prediction, name) else prediction


def _needs_surface_depth(prediction: PredictionRecord, name: str) -> bool:
    """Whether affine depth must be anchored for an output."""
    depth, surface = prediction.depth_or_none, OUTPUTS[name].surface
    if depth is None or depth.is_depth or surface is Surface.NO:
        return False
    if Need.NORMALS in OUTPUTS[name].needs and prediction.has("normals"):
        return False
    return surface is Surface.YES or can_make_surface(prediction)


def check_parts(prediction: PredictionRecord, names: Sequence[str]) -> None:
    """Refuse outputs that need missing parts."""
    for name in names:
        is_surface = _needs_surface_depth(prediction, name)
        if is_surface:
            require_anchoring(prediction)
        for need in OUTPUTS[name].needs:
            if is_surface and need is Need.NORMALS and prediction.camera is not None:
                continue  # They are those of the surface.
            if not prediction.has("depth_or_none" if need is Need.DEPTH else need):
                if need is Need.NORMALS and prediction.anchoring is not None:
                    require_anchoring(prediction)  # It says why there is no surface.
                raise OptionError(
                    f"output '{name}' needs {need}, which model '{prediction.made_by.model}' "
                    "does not give"
                )


def output_parts(names: Sequence[str]) -> set[Need]:
    """Parts that outputs need or take."""
    return {part for name in names for part in (*OUTPUTS[name].needs, *OUTPUTS[name].takes)}


def write_file(job: WriteJob) -> FileFacts:
    """Write a file by its output's writer."""
    facts = import_function(OUTPUTS[job.output].writer)(
        job, *needed_parts(job.prediction, job.output)
    )
    if not isinstance(facts, FileFacts):
        raise OptionError(
            f"output '{job.output}': its writer returned a {type(facts).__name__}; expected "
            "FileFacts (rilievo.io.outputs.sidecar)"
        )
    return facts


def needed_parts(prediction: PredictionRecord, output: str) -> tuple[Any, ...]:
    """Values of the parts that an output needs, in order."""
    return tuple(getattr(prediction, need) for need in OUTPUTS[output].needs)
