"""Sizes that the user knows in one photograph, as its conversion to metres needs them."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.calibration.lengths import Known, KnownPoint
from rilievo.errors import InputError
from rilievo.io.files.limits import check_regular
from rilievo.options.known_sizes import KnownSizes
from rilievo.predicting.inputs import Job
from rilievo.predicting.options import PredictOptions
from rilievo.types import Setting


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
    sizes = options.sizes
    sparse: tuple[KnownPoint, ...] = ()
    if sizes.sparse is not None:
        from rilievo.calibration.sparse import read_sparse

        sparse = read_sparse(_sparse_file(options, job, sizes.sparse), shape, sizes.sparse_unit)
    return Metres(known=known_of(sizes, job), sparse=sparse, camera_height=sizes.camera_height)


def known_of(sizes: KnownSizes, job: Job) -> tuple[Known, ...]:
    """Known points and lengths of one photograph, from the options or their table."""
    if sizes.table is None:
        return sizes.facts
    from rilievo.calibration.known_csv import read_known_csv, shared_known

    if sizes.same_camera:
        return shared_known(sizes.table)
    known = read_known_csv(sizes.table).get(job.source.resolve(), ())
    if not known:
        raise InputError(f"{job.source}: {sizes.table} has no point of it")
    return known


def known_text(sizes: KnownSizes, job: Job) -> str:
    """Known points and lengths of one photograph, in one line."""
    return sizes.text if sizes.table is None else " ".join(map(str, known_of(sizes, job)))


def sparse_facts(options: PredictOptions, job: Job) -> dict[str, Setting]:
    """Name, size and time of the file of sparse depth; empty if none was asked for."""
    sizes = options.sizes
    if sizes.sparse is None:
        return {}
    path = _sparse_file(options, job, sizes.sparse)
    check_regular(path)
    state = path.stat()
    return {
        "sparse": f"{path.name} {state.st_size} {state.st_mtime_ns}",
        "sparse_unit": sizes.sparse_unit,
    }


def _sparse_file(options: PredictOptions, job: Job, sparse: Path) -> Path:
    """File of a photograph's sparse depth, found by its path in the tree of results."""
    from rilievo.calibration.sparse import find_sparse

    output = options.saving.output
    inside = job.target.is_relative_to(output)
    return find_sparse(sparse, job.target.relative_to(output) if inside else Path(job.source.stem))
