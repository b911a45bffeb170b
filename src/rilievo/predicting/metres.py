"""What a user knows of true size, and predictions brought to metres by it."""

from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.calibration import Calibrated, Known, KnownPoint
from rilievo.calibration.sparse import find_sparse, plausible, read_sparse
from rilievo.calibration.table import read_known_table
from rilievo.errors import CalibrationError, InputError
from rilievo.io.limits import check_regular, printable
from rilievo.predicting.inputs import Job
from rilievo.predicting.options import PredictOptions
from rilievo.types import Calibration, Prediction, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Metres:
    """What the user knows of true size: points, lengths, the camera's height, or nothing."""

    known: tuple[Known, ...] = ()
    camera_height: float | None = None
    smooth: bool = True
    """Whether many facts may bend depth; of a video, other frames take over one factor."""
    sparse: tuple[KnownPoint, ...] = ()
    """Points of an instrument, of which some may be wrong; in place of ``known``."""


def metres_of(options: PredictOptions, job: Job, shape: tuple[int, int]) -> Metres:
    """What the user knows of true size in one photograph, or in the first frame of a clip.

    Args:
        options: What was asked.
        job: Of the photograph or clip.
        shape: (height, width) of its pictures [px].

    Raises:
        InputError: If the table of known points has none of it, or sparse depth cannot be read.
        OptionError: If sparse depth needs a unit.
    """
    known = options.known_facts
    if options.known_table is not None:
        known = of_table(options.known_table, job)
    sparse: tuple[KnownPoint, ...] = ()
    if options.sparse is not None:
        path = find_sparse(options.sparse, _in_tree(options, job))
        sparse = read_sparse(path, shape, options.sparse_unit)
    return Metres(known=known, sparse=sparse, camera_height=options.camera_height)


def _in_tree(options: PredictOptions, job: Job) -> Path:
    """Place of a photograph in the tree of results, which is that of the inputs."""
    if job.target.is_relative_to(options.output):
        return job.target.relative_to(options.output)
    return Path(job.source.stem)


def of_table(table: Path, job: Job) -> tuple[Known, ...]:
    """Known points and lengths of one photograph, from a table.

    Raises:
        InputError: If the table cannot be read, or has none of it.
    """
    known = read_known_table(table).get(job.source.resolve(), ())
    if not known:
        raise InputError(f"{printable(job.source)}: {printable(table)} has no point of it")
    return known


def sparse_facts(options: PredictOptions, job: Job) -> dict[str, Setting]:
    """Which file of sparse depth, as it is now; nothing where none was asked for.

    Raises:
        InputError: If there is none.
    """
    if options.sparse is None:
        return {}
    path = find_sparse(options.sparse, _in_tree(options, job))
    check_regular(path)
    state = path.stat()
    return {
        "sparse": f"{path.name} {state.st_size} {state.st_mtime_ns}",
        "sparse_unit": options.sparse_unit,
    }


def with_metres(prediction: Prediction, metres: Metres) -> tuple[Prediction, Calibrated | None]:
    """The prediction in metres, where the user knows enough, and what was fitted.

    Raises:
        CalibrationError: If what is known does not determine metres, or there is no depth.
    """
    if not (metres.known or metres.sparse) and metres.camera_height is None:
        return prediction, None
    if prediction.depth_or_none is None:
        raise CalibrationError("this model gives no depth, so there is nothing to calibrate")
    from rilievo.calibration import calibrate, calibrate_height
    from rilievo.calibration.record import facts
    from rilievo.measure.expectation import with_expected_error

    if metres.known or metres.sparse:
        known, remark = metres.known, None
        if metres.sparse:
            known, remark = plausible(prediction.depth, metres.sparse)
        fitted = calibrate(
            prediction.depth,
            known,
            camera=prediction.camera,
            smooth=metres.smooth,
            judge=not metres.sparse,
        )
        remarks = (fitted.warning, remark)
        fitted = replace(fitted, warning="; ".join(filter(None, remarks)) or None)
        asked = tuple(map(str, known))
    else:
        assert metres.camera_height is not None, "checked above"
        assert prediction.camera is not None, "every finished prediction has a camera"
        fitted = calibrate_height(
            prediction.depth,
            prediction.camera,
            metres.camera_height,
            normals=prediction.normals,
        )
        asked = (f"{metres.camera_height:g} m",)
    metric = replace(prediction, depth_or_none=fitted.depth, calibration=facts(fitted, asked))
    return with_expected_error(metric), fitted


def trust(calibration: Calibration) -> str:
    """How far to believe metres, in words."""
    if calibration.expected_error is None:
        return f"metres from {calibration.method}"
    return (
        f"metres from {calibration.method}; expect depths of 8 pixels in 10 within "
        f"{100 * calibration.expected_error:.0f} %"
    )
