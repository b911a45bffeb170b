"""Known sizes and sensor files of one job, from options that may speak of many photographs."""

from dataclasses import replace
from pathlib import Path

from rilievo.arrays.shapes import Size
from rilievo.calibration.size_files import find_sparse_file
from rilievo.calibration.sizes import Known
from rilievo.errors import InputError
from rilievo.options.known_sizes import KnownSizes
from rilievo.predicting.inputs import Job
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.metric_references import (
    MetricReferences,
    read_sensor_references,
)


def references_of_job(
    job: Job, options: PredictOptions, shape: Size, orientation: int = 1
) -> MetricReferences:
    """What gives metres to a photograph, or to the first frame of a video.

    Args:
        job: Photograph or video.
        options: Options of the run.
        shape: Height and width of the photograph or frame.
        orientation: EXIF's orientation of a photograph, by which a sensor's map is turned.
    """
    sizes = options.sizes
    references = MetricReferences()
    if sizes.sparse is not None:
        file = sparse_file_of_job(job, options, sizes.sparse)
        references = read_sensor_references(file, sizes, shape, orientation)
    return replace(
        references, known=known_sizes_of_job(job, sizes), camera_height=sizes.camera_height
    )


def known_sizes_of_job(job: Job, sizes: KnownSizes) -> tuple[Known, ...]:
    """Known sizes of one job: those of the options, or those in its rows of a table.

    Raises:
        InputError: If the table has no row of the job.
    """
    if sizes.table is None:
        return sizes.known_sizes
    from rilievo.calibration.size_files import read_known_csv, read_known_of_fixed_camera

    if sizes.same_camera:
        return read_known_of_fixed_camera(sizes.table)
    known = read_known_csv(sizes.table).get(job.source.resolve(), ())
    if not known:
        raise InputError(f"{sizes.table} has no point of it", path=job.source)
    return known


def sparse_file_of_job(job: Job, options: PredictOptions, sparse: Path) -> Path:
    """Sensor's file of one job: ``sparse``, or the file of the same name in that folder."""
    output = options.saving.output
    if job.target.is_relative_to(output):
        return find_sparse_file(sparse, job.target.relative_to(output))
    return find_sparse_file(sparse, Path(job.source.stem))
