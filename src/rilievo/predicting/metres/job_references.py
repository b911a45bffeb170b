"""Find the known sizes and the sensor file of one job, in options for many photographs."""

from dataclasses import replace
from pathlib import Path

from rilievo.arrays.shapes import Size
from rilievo.calibration.sizes import Known
from rilievo.options.known_sizes import KnownSizes
from rilievo.predicting.inputs import Job
from rilievo.predicting.metres.metric_references import (
    MetricReferences,
    read_sensor_references,
)
from rilievo.predicting.metres.size_files import find_sparse_file
from rilievo.predicting.options import PredictOptions


def read_job_references(
    job: Job, options: PredictOptions, shape: Size, orientation: int = 1
) -> MetricReferences:
    """Read the references for the metres of a photograph, or of the first frame of a video.

    ``orientation`` is EXIF's orientation of a photograph, by which a sensor's map is turned.
    """
    sizes = options.sizes
    references = MetricReferences()
    if sizes.sparse is not None:
        file = find_job_sparse_file(job, options, sizes.sparse)
        references = read_sensor_references(file, sizes, shape, orientation)
    return replace(references, known=read_job_sizes(job, sizes), camera_height=sizes.camera_height)


def read_job_sizes(job: Job, sizes: KnownSizes) -> tuple[Known, ...]:
    """Return the known sizes of one job, from the options or from its rows of a table.

    Raises:
        InputError: If the table has no row for the job.
    """
    if sizes.table is None:
        return sizes.known_sizes
    from rilievo.predicting.metres.size_files import read_known_of_fixed_camera, read_photo_sizes

    if sizes.same_camera:
        return read_known_of_fixed_camera(sizes.table)
    return read_photo_sizes(job.source, sizes.table)


def find_job_sparse_file(job: Job, options: PredictOptions, sparse: Path) -> Path:
    """Find the sensor file of one job: ``sparse``, or the file of the same name in that folder."""
    output = options.saving.output
    if job.target.is_relative_to(output):
        return find_sparse_file(sparse, job.target.relative_to(output))
    return find_sparse_file(sparse, Path(job.source.stem))
