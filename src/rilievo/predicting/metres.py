"""Sizes that a user knows, and the conversion of predictions to metres by them.

Most photographs have no known size, so what fits depth to one (``fitting``) is imported where used.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.calibration.lengths import Known, KnownPoint
from rilievo.errors import InputError
from rilievo.io.limits import check_regular
from rilievo.predicting.inputs import Job
from rilievo.predicting.options import PredictOptions
from rilievo.types import Calibration, OwnDepth, Prediction, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Metres:
    """Sizes that the user knows: points, lengths, the camera's height, or nothing."""

    known: tuple[Known, ...] = ()
    camera_height: float | None = None
    smooth: bool = True
    """Whether many facts may bend depth smoothly; False for videos, whose frames share one fit."""
    sparse: tuple[KnownPoint, ...] = ()
    """Points from an instrument, some of which may be wrong; in place of ``known``."""
    method: str | None = None
    """Source of ``known`` or ``sparse``; None if the user gave them."""

    def __bool__(self) -> bool:
        return bool(self.known or self.sparse) or self.camera_height is not None


def metres_of(options: PredictOptions, job: Job, shape: tuple[int, int]) -> Metres:
    """Collect the known sizes in one photograph, or in the first frame of a clip."""
    known = known_of(options, job)
    sparse: tuple[KnownPoint, ...] = ()
    if options.sparse is not None:
        from rilievo.calibration.sparse import find_sparse, read_sparse

        path = find_sparse(options.sparse, _in_tree(options, job))
        sparse = read_sparse(path, shape, options.sparse_unit)
    return Metres(known=known, sparse=sparse, camera_height=options.camera_height)


def _in_tree(options: PredictOptions, job: Job) -> Path:
    """Path of a photograph in the tree of results, which is that of the inputs."""
    if job.target.is_relative_to(options.output):
        return job.target.relative_to(options.output)
    return Path(job.source.stem)


def known_of(options: PredictOptions, job: Job) -> tuple[Known, ...]:
    """Known points and lengths of one photograph, from the options or their table."""
    table = options.known_table
    if table is None:
        return options.known_facts
    from rilievo.calibration.fact import read_known_table, shared_known

    if options.same_camera:
        return shared_known(table)
    known = read_known_table(table).get(job.source.resolve(), ())
    if not known:
        raise InputError(f"{job.source}: {table} has no point of it")
    return known


def sparse_facts(options: PredictOptions, job: Job) -> dict[str, Setting]:
    """Name, size and time of the file of sparse depth; empty if none was asked for."""
    if options.sparse is None:
        return {}
    from rilievo.calibration.sparse import find_sparse

    path = find_sparse(options.sparse, _in_tree(options, job))
    check_regular(path)
    state = path.stat()
    return {
        "sparse": f"{path.name} {state.st_size} {state.st_mtime_ns}",
        "sparse_unit": options.sparse_unit,
    }


def in_metres(
    prediction: Prediction, metres: Metres, *, markers: float | None, own: OwnDepth | None
) -> tuple[Prediction, str | None]:
    """Convert by known sizes and markers of this side [m], or else by the depth in its own file.

    Returns:
        The prediction, and a remark on its metres.
    """
    if markers is None and not metres and own is None:
        return prediction, None
    from rilievo.predicting.fitting import with_markers, with_metres, with_own_depth

    if markers is not None:
        prediction, found = with_markers(prediction, markers)
        both = replace(found, known=(*found.known, *metres.known), method=None)
        metres = both if metres.known else found
    prediction, fitted = with_metres(prediction, metres)
    return with_own_depth(prediction, own) if fitted is None else (prediction, fitted.warning)


def trust(calibration: Calibration) -> str:
    """Source and expected error of metres, in words."""
    method = calibration.method
    if calibration.own_depth is not None:
        method = f"the photograph's own depth ({calibration.own_depth})"
    if calibration.expected_error is None:
        return f"metres from {method}"
    return (
        f"metres from {method}; the depth of 8 in 10 pixels should be within "
        f"{100 * calibration.expected_error:.0f} %"
    )
